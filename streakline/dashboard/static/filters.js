// What is looked for and in which order, kept in the address so that a link shows the same.
"use strict";
globalThis.Streakline = globalThis.Streakline ?? {};

(function (Streakline) {
  const NAMES = ["q", "state", "project", "severity"];

  // → {wanted(), sort(), offer(projects)}; `onChange` hears of every change a person makes.
  Streakline.filters = function (form, table, onChange) {
    const fields = Object.fromEntries(NAMES.map((name) => [name, form.elements[name]]));
    const clear = form.querySelector("#clear");
    let sort = null;

    function fromAddress() {
      const asked = new URLSearchParams(location.search);
      for (const name of NAMES) {
        const value = asked.get(name) ?? "";
        // A project may not be known yet.
        if (name === "project" && value !== "") offer([value]);
        fields[name].value = value;
        if (fields[name].value !== value) fields[name].value = "";
      }
      const given = asked.get("sort") ?? "";
      const by = given.replace(/^-/, "");
      sort = Streakline.isOrder(by) ? { by, way: given.startsWith("-") ? -1 : 1 } : null;
      mark();
    }

    function toAddress() {
      const asked = new URLSearchParams();
      for (const name of NAMES) if (fields[name].value !== "") asked.set(name, fields[name].value);
      if (sort !== null) asked.set("sort", (sort.way < 0 ? "-" : "") + sort.by);
      history.replaceState(null, "", asked.size === 0 ? location.pathname : `?${asked}`);
    }

    function mark() {
      for (const cell of table.tHead.querySelectorAll("[data-sort]")) {
        const isIt = sort !== null && cell.dataset.sort === sort.by;
        if (isIt) cell.setAttribute("aria-sort", sort.way > 0 ? "ascending" : "descending");
        else cell.removeAttribute("aria-sort");
      }
      clear.disabled = sort === null && NAMES.every((name) => fields[name].value === "");
    }

    function changed() {
      mark();
      toAddress();
      onChange();
    }

    function offer(projects) {
      const known = new Set([...fields.project.options].map((option) => option.value));
      const missing = projects.filter((project) => !known.has(project));
      if (missing.length === 0) return;
      const { value } = fields.project;
      const [any, ...others] = fields.project.options;
      const all = [...others, ...missing.map((project) => Streakline.element("option", { value: project }, project))];
      all.sort((one, other) => (one.value < other.value ? -1 : 1));
      fields.project.replaceChildren(any, ...all);
      fields.project.value = value;
    }

    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", changed);
    form.addEventListener("reset", () => {
      sort = null;
      // The fields are emptied once all have heard of this event.
      setTimeout(changed);
    });
    table.tHead.addEventListener("click", (event) => {
      const by = event.target.closest("[data-sort] button")?.parentElement.dataset.sort;
      if (by === undefined) return;
      // Up, down, and back to the usual order.
      if (sort?.by !== by) sort = { by, way: by === "signal" || by === "step" ? -1 : 1 };
      else if (sort.way === (by === "signal" || by === "step" ? -1 : 1)) sort = { by, way: -sort.way };
      else sort = null;
      changed();
    });
    addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
      if (/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName ?? "")) return;
      event.preventDefault();
      fields.q.focus();
    });
    fromAddress();

    return {
      wanted: () => Object.fromEntries(NAMES.map((name) => [name, fields[name].value])),
      sort: () => sort,
      offer,
    };
  };
})(globalThis.Streakline);
