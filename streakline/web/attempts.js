// The points of a run, attempt by attempt, as they are and as they arrive.
"use strict";
globalThis.Streakline = globalThis.Streakline ?? {};

(function (Streakline) {
  const MOST_POINTS = 20_000; // of an attempt
  const SPIKY = 20; // times the middle value: only a logarithmic scale shows the rest

  const finite = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);

  Streakline.Attempts = class {
    constructor(timelines) {
      this.all = timelines.map((timeline) => ({
        attempt: timeline.attempt,
        steps: [...timeline.steps],
        loss: timeline.loss.map(finite),
        norm: timeline.max_grad.map(finite),
      }));
    }

    get length() {
      return this.all.length;
    }

    // uPlot's columns: the steps of all attempts, and the values of each, undefined where it has none.
    columns(name) {
      if (this.length === 0) return [[], []];
      const tables = this.all.map((each) => [each.steps, each[name]]);
      return tables.length === 1 ? tables[0] : uPlot.join(tables);
    }

    isSpiky(name) {
      const values = this.all.flatMap((each) => each[name]).filter((value) => value !== null);
      if (values.length === 0 || values.some((value) => value <= 0)) return false;
      values.sort((one, other) => one - other);
      return values.at(-1) > SPIKY * values[values.length >> 1];
    }

    // Rows [step, loss, norm] of an attempt, the newest where it is null. Whether it is a new one.
    append(rows, attempt) {
      let current = this.all.at(-1);
      const isNew = current === undefined || (attempt !== null && attempt !== current.attempt);
      if (isNew) {
        current = { attempt: attempt ?? 1, steps: [], loss: [], norm: [] };
        this.all.push(current);
      }
      for (const [step, loss, norm] of rows) {
        // After a dropped connection some arrive twice.
        if (current.steps.length > 0 && step <= current.steps.at(-1)) continue;
        current.steps.push(step);
        current.loss.push(finite(loss));
        current.norm.push(finite(norm));
      }
      if (current.steps.length > MOST_POINTS) thin(current);
      return isNew;
    }
  };

  function thin(current) {
    const kept = Streakline.thinned(current.steps, [current.loss, current.norm], MOST_POINTS / 2);
    for (const name of ["steps", "loss", "norm"]) current[name] = kept.map((index) => current[name][index]);
  }
})(globalThis.Streakline);
