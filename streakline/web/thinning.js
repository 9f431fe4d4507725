// Fewer points of a line that looks the same: every spike and every gap stays.
"use strict";
globalThis.Streakline = globalThis.Streakline ?? {};

(function (Streakline) {
  // Which points to keep, at most `most`: of each stretch of steps the lowest and the highest of every column, and a
  // gap; the first and the last. Stretches are equally wide, so that thinning again does not wear out the beginning.
  Streakline.thinned = function (steps, columns, most) {
    const length = steps.length;
    if (length <= most) return Array.from({ length }, (_, index) => index);
    const buckets = Math.max(1, Math.floor((most - 2) / (2 * columns.length + 1)));
    const width = (steps[length - 1] - steps[0]) / buckets;
    const kept = new Set([0, length - 1]);
    let begin = 0;
    for (let bucket = 1; bucket <= buckets; bucket++) {
      let end = begin;
      const limit = bucket === buckets ? Infinity : steps[0] + bucket * width;
      while (end < length && steps[end] < limit) end++;
      keep(columns, begin, end, kept);
      begin = end;
    }
    return [...kept].sort((one, other) => one - other);
  };

  function keep(columns, begin, end, kept) {
    let gap = null;
    for (const column of columns) {
      let lowest = null;
      let highest = null;
      for (let index = begin; index < end; index++) {
        const value = column[index];
        if (value === null) {
          gap ??= index;
        } else {
          if (lowest === null || value < column[lowest]) lowest = index;
          if (highest === null || value > column[highest]) highest = index;
        }
      }
      if (lowest !== null) kept.add(lowest).add(highest);
    }
    if (gap !== null) kept.add(gap);
  }
})(globalThis.Streakline);
