// One plot over steps, on uPlot: a line an attempt, the signals as thin lines down through it.
"use strict";
globalThis.Streakline = globalThis.Streakline ?? {};

(function (Streakline) {
  const DASHES = [[6, 3], [2, 3], [9, 3, 2, 3]];
  const TITLE = 20; // CSS pixels above a plot
  const MARKS = 22;
  const GUTTER = 58;
  const RIGHT = 14;
  const MANY_DECADES = 1e4;

  // The newest attempt is a solid line of the accent; earlier ones are grey and dashed.
  Streakline.dashOf = (index, attempts) => (index === attempts - 1 ? [] : DASHES[index % DASHES.length]);

  function rangeOf(log) {
    return (_, low, high) => {
      if (low === null || low === undefined) return log ? [1, 10] : [0, 1];
      if (log) return uPlot.rangeLog(low, high, 10, false);
      return uPlot.rangeNum(low, high, 0.08, true);
    };
  }

  // Of a log scale over many decades only the powers of ten: the lines between them would be a wall.
  function gridOf(plot, splits) {
    const { min, max } = plot.scales.y;
    if (max / min < MANY_DECADES) return splits;
    return splits.map((each) => (each !== null && Number.isInteger(Math.round(Math.log10(each) * 1e9) / 1e9) ? each : null));
  }

  // Short enough for the gutter.
  function tick(value) {
    return Math.abs(value) >= 1e6 ? value.toExponential().replace("e+", "e") : Streakline.number(value);
  }

  function axes(spec, scale) {
    const colors = Streakline.palette;
    const shared = {
      font: `${11 * scale}px ${colors().sans}`,
      stroke: () => colors().muted,
      grid: { stroke: () => colors().hair, width: scale },
      ticks: { stroke: () => colors().line, width: scale, size: 4 * scale },
      gap: 4 * scale,
    };
    const numbers = (_, splits) => splits.map((each) => (each === null ? null : tick(each)));
    const steps = (_, splits) => splits.map((each) => (Number.isInteger(each) ? Streakline.number(each) : null));
    return [
      {
        ...shared,
        space: 70 * scale,
        size: (spec.hasSteps ? 26 : 8) * scale,
        values: spec.hasSteps ? steps : (_, splits) => splits.map(() => null),
      },
      {
        ...shared,
        scale: "y",
        space: 34 * scale,
        size: GUTTER * scale,
        values: numbers,
        ...(spec.log ? { grid: { ...shared.grid, filter: gridOf }, ticks: { ...shared.ticks, filter: gridOf } } : {}),
      },
    ];
  }

  function series(spec, scale) {
    return Array.from({ length: spec.attempts }, (_, index) => {
      const latest = index === spec.attempts - 1;
      return {
        scale: "y",
        stroke: () => Streakline.palette()[latest ? "accent" : "earlier"],
        width: (latest ? 1.4 : 1.1) * scale,
        dash: Streakline.dashOf(index, spec.attempts).map((each) => each * scale),
        points: { size: 4 * scale },
      };
    });
  }

  function drawMarks(plot, spec, scale) {
    const { ctx, bbox } = plot;
    const ratio = devicePixelRatio * scale;
    const colors = Streakline.palette();
    ctx.save();
    ctx.fillStyle = colors.ink;
    ctx.font = `600 ${12 * ratio}px ${colors.sans}`;
    ctx.textBaseline = "top";
    ctx.textAlign = "left";
    ctx.fillText(spec.title, 2 * ratio, 2 * ratio);
    for (const { x, severity } of spec.clusters()) {
      const at = Math.round(bbox.left + x * ratio) + 0.5;
      ctx.strokeStyle = severity === "critical" ? colors.bad : colors.muted;
      ctx.globalAlpha = severity === "info" ? 0.35 : 0.6;
      ctx.lineWidth = ratio;
      ctx.setLineDash(severity === "critical" ? [] : [2 * ratio, 3 * ratio]);
      ctx.beginPath();
      ctx.moveTo(at, bbox.top - (spec.hasMarks ? 4 * ratio : 0));
      ctx.lineTo(at, bbox.top + bbox.height);
      ctx.stroke();
      ctx.globalAlpha = 1;
      ctx.setLineDash([]);
      if (spec.hasMarks) Streakline.drawMark(ctx, severity, at, bbox.top - (MARKS / 2) * ratio, 11 * ratio);
    }
    ctx.restore();
  }

  // What `uPlot` is made with. `spec`: title, attempts (how many), hasSteps, hasMarks, log, clusters(), sync and the `on…` calls;
  // `scale` draws everything so much larger, for an image.
  Streakline.plotOptions = function (spec, width, height, scale = 1) {
    const top = (TITLE + (spec.hasMarks ? MARKS : 0)) * scale;
    const single = (_, low, high) => (low === high ? [low - 1, high + 1] : [low, high]);
    return {
      width: width * scale,
      height: height * scale,
      padding: [top, RIGHT * scale, 0, 0],
      legend: { show: false },
      pxAlign: 0,
      cursor: {
        y: false,
        drag: { x: true, y: false, dist: 4 },
        sync: spec.sync === null ? undefined : { key: spec.sync, scales: ["x", null] },
        bind: { dblclick: () => () => spec.onReset() },
        // An attempt that has ended has no value where the cursor is.
        hover: { prox: 20 },
        points: { size: 7, width: 0, fill: (_, index) => spec.colorOf(index - 1) },
      },
      scales: {
        x: { time: false, range: single },
        y: { distr: spec.log ? 3 : 1, range: rangeOf(spec.log) },
      },
      axes: axes(spec, scale),
      series: [{}, ...series(spec, scale)],
      hooks: {
        draw: [(plot) => drawMarks(plot, spec, scale), (plot) => spec.onDraw(plot)],
        setCursor: [(plot) => spec.onCursor(plot)],
        setScale: [(plot, key) => (key === "x" ? spec.onScale(plot) : undefined)],
      },
    };
  };

  Streakline.plotLeft = GUTTER;
  Streakline.plotTop = TITLE;
})(globalThis.Streakline);
