// The rows of the list: reading, finding and ordering them. Nothing here touches the page.
"use strict";
globalThis.Streakline = globalThis.Streakline ?? {};

(function (Streakline) {
  // The order of `streakline/dashboard/rows.py: Row` and `LastSignal`.
  const FIELDS = [
    "run", "project", "state", "attempt", "started", "step", "loss", "eventAt", "sparkline", "signal", "diff", "isLive",
  ];
  const STATES = { running: 0, failed: 1, ended: 2, completed: 3 };
  const SEVERITIES = { critical: 3, warning: 2, info: 1 };

  Streakline.rowOf = function (values) {
    const row = Object.fromEntries(FIELDS.map((name, index) => [name, values[index]]));
    if (row.signal !== null) {
      const [type, severity, step, at] = row.signal;
      row.signal = { type, severity, step, at };
    }
    row.text = `${row.run}\n${row.project}`.toLowerCase();
    return row;
  };

  Streakline.matches = function (row, { q, state, project, severity }) {
    return (
      (state === "" || row.state === state) &&
      (project === "" || row.project === project) &&
      (severity === "" || (row.signal?.severity ?? "none") === severity) &&
      (q === "" || q.toLowerCase().split(/\s+/).every((word) => row.text.includes(word)))
    );
  };

  const byText = (one, other) => (one < other ? -1 : one > other ? 1 : 0);
  // Where there is no figure it is last, whichever way the others go.
  const byNumber = (one, other, way) => {
    if (one === null || other === null) return one === other ? 0 : one === null ? 1 : -1;
    return way * (one - other);
  };

  const ORDERS = {
    run: (one, other, way) => way * byText(one.run, other.run),
    project: (one, other, way) => way * byText(one.project, other.project),
    state: (one, other, way) => way * (STATES[one.state] - STATES[other.state]),
    loss: (one, other, way) => byNumber(one.loss, other.loss, way),
    step: (one, other, way) => byNumber(one.step, other.step, way),
    // An age grows where a time falls.
    age: (one, other, way) => byNumber(one.eventAt, other.eventAt, -way),
    signal: (one, other, way) =>
      byNumber(SEVERITIES[one.signal?.severity] ?? null, SEVERITIES[other.signal?.severity] ?? null, way) ||
      byNumber(one.signal?.at ?? null, other.signal?.at ?? null, way),
  };

  // Those that run first, and of them the newest: an order that stays as it is while they go on.
  const usual = (one, other) =>
    (one.state === "running" ? 0 : 1) - (other.state === "running" ? 0 : 1) ||
    byNumber(one.started ?? one.eventAt, other.started ?? other.eventAt, -1) ||
    byText(one.run, other.run);

  Streakline.isOrder = (name) => Object.hasOwn(ORDERS, name);

  // `sort`: null, or {by, way}, whose way is 1 or -1.
  Streakline.ordered = function (rows, sort) {
    if (sort === null) return rows.sort(usual);
    const order = ORDERS[sort.by];
    return rows.sort((one, other) => order(one, other, sort.way) || usual(one, other));
  };
})(globalThis.Streakline);
