// Brings the report to life; without it the tables still say everything.
"use strict";

(function (Streakline) {
  const dataOf = (id) => JSON.parse(document.getElementById(id).textContent);

  const plot = document.getElementById("timeline-plot");
  if (plot !== null) Streakline.timeline(plot, dataOf("timeline-data"));
  const grid = document.querySelector("table.grid");
  if (grid !== null) Streakline.featureGrid(grid, dataOf("grid-data"));
  document.querySelectorAll("figure.figure").forEach(Streakline.exportable);
  document.querySelectorAll(".command").forEach(Streakline.copyable);
  // After the first frame with everything in it: what the benchmark reads.
  requestAnimationFrame(() => setTimeout(() => performance.mark("streakline-drawn")));
})(globalThis.Streakline);
