// What the lines and the shapes of a timeline stand for.
"use strict";
globalThis.Streakline = globalThis.Streakline ?? {};

(function (Streakline) {
  const SVG = "http://www.w3.org/2000/svg";

  function line(index, attempts) {
    const made = document.createElementNS(SVG, "svg");
    const path = document.createElementNS(SVG, "path");
    for (const [name, value] of Object.entries({ width: 28, height: 8, "aria-hidden": "true" })) {
      made.setAttribute(name, value);
    }
    path.setAttribute("d", "M0 4H28");
    path.setAttribute("stroke-width", 2);
    path.setAttribute("stroke-dasharray", Streakline.dashOf(index, attempts).join(" "));
    path.style.stroke = Streakline.palette()[index === attempts - 1 ? "accent" : "earlier"];
    made.append(path);
    return made;
  }

  // Elements: a line for each of several attempts, and how many signals there are of each severity.
  Streakline.legend = function (attempts, signals) {
    const { element } = Streakline;
    const lines = attempts.map(({ attempt }, index) => {
      const name = element("span", { "data-png": true }, Streakline.attempt(attempt));
      return element("span", { class: "timeline-key" }, line(index, attempts.length), name);
    });
    const counts = ["critical", "warning", "info"].flatMap((severity) => {
      const count = signals.filter((each) => each.severity === severity).length;
      if (count === 0) return [];
      const look = severity === "critical" ? "timeline-key bad" : "timeline-key";
      const text = `${Streakline.markOf(severity)} ${count} ${severity}`;
      return [element("span", { class: look, "data-png": true }, text)];
    });
    return [...(attempts.length > 1 ? lines : []), ...counts];
  };
})(globalThis.Streakline);
