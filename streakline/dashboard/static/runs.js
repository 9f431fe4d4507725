// The list of all runs.
"use strict";

(function (Streakline) {
  const { element } = Streakline;
  const QUIET_MS = 3000; // between two changes of the order that nobody asked for

  const rows = new Map();
  const diffs = new Map();
  let order = [];
  let isLoaded = false;
  let isStarting = true;
  let reorderedAt = 0;
  let hovers = false;

  const table = document.getElementById("runs");
  const byId = (id) => document.getElementById(id);
  const filters = Streakline.filters(byId("filters"), table, () => reorder());
  const showDiffs = Streakline.diffTable(byId("diffs"), byId("diff-rows"));
  const grid = Streakline.grid(table, { make, paint });

  function make() {
    const run = element("a", { class: "run" });
    const under = element("span", { class: "under" });
    const project = element("a", { tabindex: -1 });
    const state = element("span");
    const curve = Streakline.sparkline();
    const [loss, step, age] = ["", " k-step", " k-age"].map((look) => element("td", { class: `number${look}` }));
    const mark = element("span", { class: "mark", "aria-hidden": true });
    const signal = element("span");
    const diff = element("td", { class: "k-diff muted" });
    const row = element(
      "tr",
      {},
      element("th", { scope: "row" }, run, under),
      element("td", { class: "k-project" }, project),
      element("td", { class: "k-state" }, state),
      element("td", { class: "k-curve" }, curve),
      loss,
      step,
      element("td", { class: "k-signal" }, mark, " ", signal),
      age,
      diff,
    );
    row.parts = { run, under, project, state, curve, loss, step, mark, signal, age, diff };
    return row;
  }

  function paint(tr, name) {
    const row = rows.get(name);
    const progress = diffs.get(name);
    if (row === undefined) return;
    if (tr.row !== row) {
      tr.row = row;
      fill(tr.parts, row);
    }
    if (tr.progress !== progress || tr.diff !== row.diff || tr.named !== name) {
      Object.assign(tr, { progress, diff: row.diff, named: name });
      fillDiff(tr.parts.diff, row, progress);
    }
    setText(tr.parts.age, Streakline.age(row.eventAt));
  }

  function fill(parts, row) {
    parts.run.href = Streakline.runPath(row.run);
    parts.project.href = Streakline.projectPath(row.project);
    setText(parts.run, row.run);
    setText(parts.project, row.project);
    parts.run.title = row.run;
    parts.project.title = Streakline.printable(row.project);
    setText(parts.state, row.state);
    parts.state.className = `state ${row.state}`;
    setText(parts.under, `${row.project} · ${row.state} · step ${Streakline.number(row.step)}`);
    Streakline.drawSparkline(parts.curve, row.sparkline);
    setText(parts.loss, Streakline.number(row.loss));
    setText(parts.step, Streakline.number(row.step));
    const { signal } = row;
    setText(parts.mark, signal === null ? "" : Streakline.markOf(signal.severity));
    parts.mark.className = `mark ${signal?.severity ?? ""}`;
    setText(parts.signal, signal === null ? "–" : Streakline.spoken(signal.type));
    parts.signal.className = signal === null ? "muted" : "";
    const at = signal === null ? "" : `${signal.severity}, step ${Streakline.number(signal.step)}, ${Streakline.moment(signal.at)}`;
    parts.signal.parentElement.title = at;
  }

  function fillDiff(cell, row, progress) {
    if (progress !== undefined) setText(cell, `${Math.floor(progress.percent)} %`);
    else if (row.diff === null) setText(cell, "–");
    else cell.replaceChildren(element("a", { href: `${Streakline.runPath(row.run)}/report`, tabindex: -1, "aria-label": `Report of ${row.run}` }, "report"));
  }

  function setText(place, text) {
    const shown = Streakline.printable(text);
    if (place.textContent !== shown) place.textContent = shown;
  }

  function found() {
    const wanted = filters.wanted();
    return Streakline.ordered([...rows.values()].filter((row) => Streakline.matches(row, wanted)), filters.sort());
  }

  function reorder(names = found().map((row) => row.run)) {
    order = names;
    reorderedAt = performance.now();
    byId("reorder").hidden = true;
    grid.show(order);
    say();
  }

  // Rows do not move under a pointer, a focus or a reader who has scrolled: they are offered to.
  function maybeReorder() {
    const names = found().map((row) => row.run);
    const isSame = names.length === order.length && names.every((name, index) => name === order[index]);
    const button = byId("reorder");
    if (isSame) {
      button.hidden = true;
      grid.draw();
      return;
    }
    const mayMove = !hovers && !grid.holdsFocus && table.getBoundingClientRect().top > 0;
    if (order.length === 0 || (mayMove && performance.now() - reorderedAt > QUIET_MS)) {
      reorder(names);
      return;
    }
    const before = new Set(order);
    const fresh = names.filter((name) => !before.has(name)).length;
    setText(button, fresh === 0 ? "Order changed: update" : `${Streakline.number(fresh)} new: update`);
    button.hidden = false;
    // Those that are gone cannot be shown any more.
    if (order.some((name) => !rows.has(name))) order = order.filter((name) => rows.has(name));
    grid.show(order);
  }

  function say() {
    const all = [...rows.values()];
    const running = all.filter((row) => row.state === "running").length;
    const critical = all.filter((row) => row.state === "running" && row.signal?.severity === "critical").length;
    const parts = [`${Streakline.number(all.length)} ${all.length === 1 ? "run" : "runs"}`, `${Streakline.number(running)} running`];
    if (critical > 0) parts.push(`${Streakline.number(critical)} of them with a critical signal`);
    setText(byId("counts"), isLoaded ? parts.join(" · ") : "");
    setText(byId("shown"), order.length === all.length ? "" : `${Streakline.number(order.length)} of ${Streakline.number(all.length)}`);
    const none = byId("none");
    none.hidden = !isLoaded || order.length > 0;
    table.hidden = isLoaded && order.length === 0;
    setText(none, all.length > 0 ? "No run is like that: clear the search, or one of the filters." : EMPTY);
  }

  function malformed(source, name) {
    const are = source.malformed === 1 ? "entry in" : "entries in";
    const detail = `${Streakline.number(source.malformed)} ${are} ${name} cannot be read, and not shown.`;
    return { state: "malformed", detail: source.malformed === 0 ? "" : detail };
  }

  const EMPTY =
    "No runs yet. A run is here a second after a trainer publishes its first step to a stream worker that shares this Redis; " +
    "what has ended stays where `streakline archive` or a diff worker writes it to the lake.";

  function update(news) {
    Streakline.serverSays(news.now);
    Streakline.showNotices([news.redis, news.lake, malformed(news.redis, "Redis"), malformed(news.lake, "the lake")]);
    if (news.is_whole) rows.clear();
    for (const values of news.rows) {
      const row = Streakline.rowOf(values);
      rows.set(row.run, row);
    }
    diffs.clear();
    for (const diff of news.diffs) diffs.set(diff.run_id, diff);
    showDiffs(news.diffs);
    filters.offer([...new Set([...rows.values()].map((row) => row.project))]);
    // Until both have been read for the first time, there is no order yet that anyone could be reading.
    const isFirst = !isLoaded || isStarting;
    isStarting = news.redis.state === "starting" || news.lake.state === "starting";
    isLoaded = isLoaded || rows.size > 0 || !isStarting;
    if (isFirst) {
      reorder();
      performance.mark("streakline-drawn");
    } else {
      maybeReorder();
    }
    say();
  }

  byId("reorder").addEventListener("click", () => reorder());
  table.addEventListener("pointerenter", () => (hovers = true));
  table.addEventListener("pointerleave", () => (hovers = false));
  setInterval(() => {
    if (document.hidden) return;
    if (byId("reorder").hidden) grid.draw();
    else maybeReorder();
  }, 1000);
  Streakline.link("/events/runs", update);
})(globalThis.Streakline);
