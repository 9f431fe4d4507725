// The signals of one run as a table, the newest on top, and new ones told to who cannot see them.
"use strict";
globalThis.Streakline = globalThis.Streakline ?? {};

(function (Streakline) {
  const { element } = Streakline;
  const SHOWN = 100;
  const TOLD_AT_ONCE = 3;

  const keyOf = (signal) =>
    JSON.stringify([signal.attempt, signal.step, signal.type, signal.type === "category_regressed" ? signal.message : ""]);

  function rowOf(signal) {
    const cell = (text, look = null) => element("td", { class: look }, text);
    const mark = element("span", { class: `mark ${signal.severity}`, "aria-hidden": true }, Streakline.markOf(signal.severity));
    const told = element("td", { class: "said given" }, signal.message);
    if (signal.layers.length > 0) told.append(layersOf(signal.layers));
    return element(
      "tr",
      {},
      element("th", { scope: "row", class: "number" }, Streakline.number(signal.step)),
      element("td", { class: "nowrap" }, mark, " ", Streakline.spoken(signal.type)),
      cell(signal.severity, signal.severity === "critical" ? "bad" : null),
      cell(signal.value === null ? "not a number" : Streakline.number(signal.value), "number"),
      cell(Streakline.number(signal.threshold), "number"),
      told,
      cell(Streakline.moment(signal.ts), "muted nowrap"),
    );
  }

  function layersOf(layers) {
    const names = element("ul", { class: "plain mono small" }, ...layers.map((name) => element("li", {}, name)));
    return element("details", {}, element("summary", {}, layers.length === 1 ? "1 layer" : `${layers.length} layers`), names);
  }

  // → {reset(signals), add(signals) → those that are new}
  Streakline.signalTable = function ({ table, count, none, more, announced }) {
    let known = new Map();
    let shown = SHOWN;

    function draw() {
      const all = [...known.values()].sort((one, other) => other.attempt - one.attempt || other.step - one.step || other.ts - one.ts);
      const attempts = new Set(all.map((signal) => signal.attempt));
      const rows = [];
      let attempt = null;
      for (const signal of all.slice(0, shown)) {
        if (attempts.size > 1 && signal.attempt !== attempt) {
          attempt = signal.attempt;
          const name = element("th", { scope: "rowgroup", colspan: 7, class: "group" }, Streakline.attempt(attempt));
          rows.push(element("tr", {}, name));
        }
        signal.row ??= rowOf(signal);
        rows.push(signal.row);
      }
      table.tBodies[0].replaceChildren(...rows);
      table.hidden = all.length === 0;
      none.hidden = all.length > 0;
      more.hidden = all.length <= shown;
      more.textContent = `Show all ${Streakline.number(all.length)}`;
      count.textContent = all.length === 0 ? "" : Streakline.number(all.length);
    }

    function take(signals) {
      const fresh = signals.filter((signal) => !known.has(keyOf(signal)));
      for (const signal of fresh) known.set(keyOf(signal), signal);
      return fresh;
    }

    function announce(fresh) {
      const told = fresh.slice(0, TOLD_AT_ONCE).map((signal) => `${signal.severity}: ${Streakline.spoken(signal.type)} at step ${signal.step}.`);
      if (fresh.length > TOLD_AT_ONCE) told.push(`And ${fresh.length - TOLD_AT_ONCE} more signals.`);
      announced.replaceChildren(...told.map((line) => element("p", {}, line)));
    }

    more.addEventListener("click", () => {
      shown = Infinity;
      draw();
    });

    return {
      reset(signals) {
        known = new Map();
        take(signals);
        draw();
      },
      add(signals) {
        const fresh = take(signals);
        if (fresh.length === 0) return fresh;
        draw();
        announce(fresh);
        return fresh;
      },
    };
  };
})(globalThis.Streakline);
