// Signals on the timeline: shapes on its canvas, and over each a button that says what it is.
"use strict";
globalThis.Streakline = globalThis.Streakline ?? {};

(function (Streakline) {
  const APART = 12; // CSS pixels; those that are closer are one button
  const TOLD = 6; // signals of a button's tooltip
  const GRAVITY = { critical: 2, warning: 1, info: 0 };

  // Signals in order of steps → [{x, severity, signals}], of those that `toX` puts somewhere.
  Streakline.clusters = function (signals, toX) {
    const made = [];
    for (const signal of signals) {
      const x = toX(signal.step);
      if (x === null) continue;
      const last = made.at(-1);
      if (last !== undefined && x - last.x < APART) {
        last.signals.push(signal);
        if (GRAVITY[signal.severity] > GRAVITY[last.severity]) last.severity = signal.severity;
      } else {
        made.push({ x, severity: signal.severity, signals: [signal] });
      }
    }
    return made;
  };

  // A triangle, a diamond or a ring of that many pixels: the shape says the severity, too.
  Streakline.drawMark = function (context, severity, x, y, size) {
    const colors = Streakline.palette();
    const half = size / 2;
    context.beginPath();
    if (severity === "critical") {
      context.moveTo(x - half, y - half * 0.9);
      context.lineTo(x + half, y - half * 0.9);
      context.lineTo(x, y + half * 0.9);
    } else if (severity === "warning") {
      context.moveTo(x, y - half);
      context.lineTo(x + half, y);
      context.lineTo(x, y + half);
      context.lineTo(x - half, y);
    } else {
      context.arc(x, y, half * 0.75, 0, 2 * Math.PI);
    }
    context.closePath();
    if (severity === "info") {
      context.strokeStyle = colors.muted;
      context.lineWidth = size / 7;
      context.stroke();
    } else {
      context.fillStyle = severity === "critical" ? colors.bad : colors.ink;
      context.fill();
    }
  };

  // Where it stands, for a legend or a table: a small canvas has no place in a screen reader's text.
  Streakline.markOf = function (severity) {
    return { critical: "▼", warning: "◆", info: "○" }[severity] ?? "○";
  };

  // What a signal says, in paragraphs. `several`: the run has more than one attempt.
  Streakline.explain = function (signal, several) {
    const bound = signal.threshold === null ? "" : `, bound ${Streakline.number(signal.threshold)}`;
    const value = signal.value === null ? "not a number" : Streakline.number(signal.value);
    const of = several ? `, ${Streakline.attempt(signal.attempt)}` : "";
    const head = `${Streakline.markOf(signal.severity)} step ${Streakline.number(signal.step)}, `;
    return [
      `${head}${Streakline.spoken(signal.type)} (${signal.severity}): ${value}${bound}${of}`,
      ...(signal.message === "" ? [] : [signal.message]),
    ];
  };

  // The row of buttons. One of them is in the tab order; the arrow keys, Home and End go to the others.
  Streakline.markerRow = function () {
    const row = Streakline.element("div", { class: "markers", role: "group", "aria-label": "Signals by step" });
    let shown = [];
    let several = false;

    function tell(button) {
      const { signals } = shown[button.dataset.index];
      const said = signals.slice(0, TOLD).flatMap((signal) => Streakline.explain(signal, several));
      if (signals.length > TOLD) said.push(`and ${signals.length - TOLD} more: the table below has all`);
      Streakline.showTooltip(button, button.getBoundingClientRect(), said);
    }

    function go(button, index) {
      const next = row.children[Math.max(0, Math.min(index, row.children.length - 1))];
      button.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    }

    for (const type of ["pointerover", "focusin", "click"]) {
      row.addEventListener(type, (event) => {
        const button = event.target.closest(".marker");
        if (button !== null) tell(button);
      });
    }
    for (const type of ["pointerout", "focusout"]) row.addEventListener(type, Streakline.hideTooltip);
    row.addEventListener("keydown", (event) => {
      const index = Number(event.target.dataset.index);
      const to = { ArrowLeft: index - 1, ArrowRight: index + 1, Home: 0, End: Infinity }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      go(event.target, to);
    });

    return {
      row,
      // Buttons stay where they are as long as there are as many: focus is not lost while points arrive.
      place(clusters, left, hasAttempts) {
        shown = clusters;
        several = hasAttempts;
        while (row.children.length > clusters.length) row.lastChild.remove();
        while (row.children.length < clusters.length) {
          row.append(Streakline.element("button", { type: "button", class: "marker", tabindex: -1 }));
        }
        clusters.forEach(({ x, signals, severity }, index) => {
          const button = row.children[index];
          button.dataset.index = index;
          button.style.left = `${left + x}px`;
          const [first] = signals;
          const more = signals.length > 1 ? ` and ${signals.length - 1} more` : "";
          const label = `${severity}: ${Streakline.spoken(first.type)} at step ${Streakline.number(first.step)}${more}`;
          button.setAttribute("aria-label", label);
        });
        if (row.firstChild !== null && row.querySelector('[tabindex="0"]') === null) row.firstChild.tabIndex = 0;
      },
    };
  };
})(globalThis.Streakline);
