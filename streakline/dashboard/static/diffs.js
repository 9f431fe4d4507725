// Diffs that are being made: how far each is.
"use strict";
globalThis.Streakline = globalThis.Streakline ?? {};

(function (Streakline) {
  const { element } = Streakline;

  Streakline.left = (diff) => (diff.eta_seconds === null ? "–" : `about ${Streakline.span(diff.eta_seconds)}`);

  // A bar, and its figure as text.
  Streakline.progress = function (label) {
    const bar = element("progress", { max: 100, value: 0, "aria-label": label });
    const text = element("span", { class: "percent" });
    return {
      cell: element("span", { class: "progress" }, bar, text),
      show(percent) {
        bar.value = percent;
        text.textContent = `${Math.floor(percent)} %`;
      },
    };
  };

  // → show(diffs); rows stay where they are as long as their diff goes on.
  Streakline.diffTable = function (section, body) {
    const rows = new Map();

    function add(diff) {
      const progress = Streakline.progress(`Diff of ${diff.run_id}`);
      const [stage, left, worker] = [element("td"), element("td", { class: "number" }), element("td", { class: "muted given" })];
      const name = element("th", { scope: "row" }, element("a", { href: Streakline.runPath(diff.run_id) }, diff.run_id));
      const row = element("tr", {}, name, stage, element("td", {}, progress.cell), left, worker);
      body.append(row);
      return {
        row,
        show(now) {
          stage.textContent = Streakline.spoken(now.stage);
          progress.show(now.percent);
          left.textContent = Streakline.left(now);
          worker.textContent = Streakline.printable(now.worker);
        },
      };
    }

    return function show(diffs) {
      const current = new Set(diffs.map((diff) => diff.run_id));
      for (const [run, shown] of rows) {
        if (current.has(run)) continue;
        shown.row.remove();
        rows.delete(run);
      }
      for (const diff of diffs) {
        if (!rows.has(diff.run_id)) rows.set(diff.run_id, add(diff));
        rows.get(diff.run_id).show(diff);
      }
      section.hidden = diffs.length === 0;
    };
  };
})(globalThis.Streakline);
