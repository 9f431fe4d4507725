// The latest losses of a run as a small curve; the figure beside it says the last one.
"use strict";
globalThis.Streakline = globalThis.Streakline ?? {};

(function (Streakline) {
  const SVG = "http://www.w3.org/2000/svg";
  const HEIGHTS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"; // as in rows.py
  const WIDTH = 112;
  const HEIGHT = 22;
  const EDGE = 2;

  Streakline.sparkline = function () {
    const svg = document.createElementNS(SVG, "svg");
    const path = document.createElementNS(SVG, "path");
    for (const [name, value] of Object.entries({ viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "sparkline", "aria-hidden": "true" })) {
      svg.setAttribute(name, value);
    }
    svg.append(path);
    return svg;
  };

  // `shape`: a letter of HEIGHTS each, a blank for a gap.
  Streakline.drawSparkline = function (svg, shape) {
    const width = (WIDTH - 2 * EDGE) / Math.max(1, shape.length - 1);
    let commands = "";
    let pen = "M";
    for (let index = 0; index < shape.length; index++) {
      const level = HEIGHTS.indexOf(shape[index]);
      if (level < 0) {
        pen = "M";
        continue;
      }
      const x = EDGE + index * width;
      const y = HEIGHT - EDGE - (level / (HEIGHTS.length - 1)) * (HEIGHT - 2 * EDGE);
      commands += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
      // A point between gaps is a dot.
      if (pen === "M") commands += "h0";
      pen = "L";
    }
    svg.firstChild.setAttribute("d", commands);
  };
})(globalThis.Streakline);
