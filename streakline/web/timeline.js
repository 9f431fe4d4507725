// The loss and the gradient norm of a run, one above the other on the same steps, with its signals.
//
//   Streakline.timeline(element, {timelines, signals}) → {append(points, signals, attempt), destroy()}
//
// `timelines` and `signals` are those of streakline/report/content.py, oldest first; `points` are rows
// [step, loss, maxGrad] of the attempt, the newest where none is said. A null, or what is no finite number, is a gap.
"use strict";
globalThis.Streakline = globalThis.Streakline ?? {};

(function (Streakline) {
  const HEIGHTS = { loss: 270, norm: 200 };
  const ZOOM = 0.7;
  const NARROWEST = 280; // CSS pixels
  const ON_PAPER = 900; // a little smaller than on the screen, and sharper
  let made = 0;

  // What is said of a checkpoint has no place on a scale of steps.
  const ofSteps = (signals) =>
    signals.filter((each) => each.type !== "category_regressed").sort((one, other) => one.step - other.step);

  class Timeline {
    constructor(element, { timelines, signals }) {
      this.element = element;
      this.attempts = new Streakline.Attempts(timelines);
      this.signals = ofSteps(signals);
      this.log = { loss: this.attempts.isSpiky("loss"), norm: this.attempts.isSpiky("norm") };
      this.zoom = null;
      this.sync = `streakline-${made++}`;
      this.plots = {};
      this.buildFrame();
      this.build();
      this.unwatch = Streakline.onPalette(() => this.build());
      this.resizing = new ResizeObserver(() => this.resize());
      this.resizing.observe(this.element);
    }

    buildFrame() {
      const { element } = Streakline;
      this.markers = Streakline.markerRow();
      this.keys = element("div", { class: "timeline-keys" });
      this.reading = element("output", { class: "timeline-reading", "aria-live": "off" });
      this.hosts = { loss: element("div", { class: "plot" }), norm: element("div", { class: "plot" }) };
      this.buttons = {
        loss: this.button("Log loss", () => this.toggle("loss")),
        norm: this.button("Log norm", () => this.toggle("norm")),
        reset: this.button("Whole run", () => this.reset()),
      };
      const label = "Loss and gradient norm by step. Arrow keys read values, plus and minus zoom, 0 shows the whole run.";
      this.area = element("div", { class: "timeline", tabindex: 0, role: "group", "aria-label": label });
      this.area.append(this.hosts.loss, this.hosts.norm);
      this.area.addEventListener("keydown", (event) => this.onKey(event));
      this.area.addEventListener("pointerdown", () => (this.reading.ariaLive = "off"));
      const tools = element("div", { class: "figure-tools screen-only" }, ...Object.values(this.buttons));
      this.head = element("div", { class: "figure-head" }, this.keys, this.reading, tools);
      this.element.replaceChildren(this.head, this.area);
    }

    button(label, act) {
      const button = Streakline.element("button", { type: "button" }, label);
      button.addEventListener("click", act);
      return button;
    }

    spec(name) {
      return {
        title: name === "loss" ? "Loss" : "Gradient norm",
        attempts: Math.max(1, this.attempts.length),
        hasSteps: name === "norm",
        hasMarks: name === "loss",
        log: this.log[name],
        sync: this.sync,
        clusters: () => this.clusters(this.plots[name]),
        colorOf: (index) => Streakline.palette()[index === Math.max(0, this.attempts.length - 1) ? "accent" : "earlier"],
        onCursor: (plot) => this.read(plot),
        onScale: (plot) => this.follow(plot),
        onDraw: (plot) => this.placeMarkers(plot),
        onReset: () => this.reset(),
      };
    }

    build() {
      this.unbuild();
      const width = this.width();
      for (const name of ["loss", "norm"]) {
        const options = Streakline.plotOptions(this.spec(name), width, HEIGHTS[name]);
        const plot = new uPlot(options, this.attempts.columns(name), this.hosts[name]);
        this.plots[name] = plot;
        if (this.zoom !== null) plot.setScale("x", { ...this.zoom });
        Streakline.sharpen(plot.ctx.canvas, (scale) => this.drawn(name, scale));
        this.buttons[name].setAttribute("aria-pressed", this.log[name]);
      }
      this.hosts.loss.append(this.markers.row);
      this.markers.row.style.top = `${Streakline.plotTop}px`;
      this.buttons.reset.disabled = this.zoom === null;
      this.drawKeys();
    }

    unbuild() {
      for (const plot of Object.values(this.plots)) plot.destroy();
      this.plots = {};
    }

    width() {
      if ("printing" in document.documentElement.dataset) return ON_PAPER;
      return Math.max(NARROWEST, this.element.clientWidth);
    }

    resize() {
      const width = this.width();
      if (this.plots.loss.width === width) return;
      for (const name of ["loss", "norm"]) this.plots[name].setSize({ width, height: HEIGHTS[name] });
    }

    // The same plot in a canvas `scale` times as large.
    async drawn(name, scale) {
      const { min, max } = this.plots[name].scales.x;
      let plot = null;
      const spec = {
        ...this.spec(name),
        sync: null,
        clusters: () => this.clusters(plot, scale),
        onCursor: () => {},
        onScale: () => {},
        onDraw: () => {},
      };
      const options = Streakline.plotOptions(spec, this.plots[name].width, HEIGHTS[name], scale);
      plot = new uPlot({ ...options, scales: { ...options.scales, x: { time: false, range: [min, max] } } }, this.attempts.columns(name));
      await Promise.resolve();
      const { canvas } = plot.ctx;
      plot.destroy();
      return canvas;
    }

    clusters(plot, scale = 1) {
      if (plot === null || plot === undefined || this.attempts.length === 0) return [];
      const { min, max } = plot.scales.x;
      const toX = (step) => (step < min || step > max ? null : plot.valToPos(step, "x") / scale);
      return Streakline.clusters(this.signals, toX);
    }

    placeMarkers(plot) {
      if (plot !== this.plots.loss) return;
      this.markers.place(this.clusters(plot), Streakline.plotLeft, this.attempts.length > 1);
    }

    drawKeys() {
      this.keys.replaceChildren(...Streakline.legend(this.attempts.all, this.signals));
    }

    // What one plot shows of the steps, the other does, too.
    follow(plot) {
      const steps = plot.data[0];
      const { min, max } = plot.scales.x;
      const isWhole = steps.length < 2 || (min === steps[0] && max === steps.at(-1));
      this.zoom = isWhole ? null : { min, max };
      this.buttons.reset.disabled = isWhole;
      const other = plot === this.plots.loss ? this.plots.norm : this.plots.loss;
      if (isWhole || (other.scales.x.min === min && other.scales.x.max === max)) return;
      other.setScale("x", { min, max });
    }

    read(plot) {
      if (plot !== this.plots.loss) return;
      const index = plot.cursor.idx ?? null;
      if (index === null) {
        this.reading.textContent = "";
        return;
      }
      const last = (columns) => columns.slice(1).findLast((column) => typeof column[index] === "number")?.[index];
      const loss = Streakline.number(last(plot.data));
      const norm = Streakline.number(last(this.plots.norm.data));
      this.reading.textContent = `step ${Streakline.number(plot.data[0][index])} · loss ${loss} · norm ${norm}`;
    }

    toggle(name) {
      this.log[name] = !this.log[name];
      this.build();
    }

    reset() {
      this.zoom = null;
      this.buttons.reset.disabled = true;
      for (const name of ["loss", "norm"]) this.plots[name].setData(this.attempts.columns(name), true);
    }

    onKey(event) {
      if (event.target !== this.area) return;
      const plot = this.plots.loss;
      const move = { ArrowLeft: -1, ArrowRight: 1, PageUp: -50, PageDown: 50 }[event.key];
      if (move !== undefined) this.moveCursor(plot, move);
      else if (event.key === "+" || event.key === "=") this.zoomBy(plot, ZOOM);
      else if (event.key === "-") this.zoomBy(plot, 1 / ZOOM);
      else if (event.key === "0") this.reset();
      else return;
      event.preventDefault();
    }

    moveCursor(plot, by) {
      const steps = plot.data[0];
      if (steps.length === 0) return;
      const from = plot.cursor.idx ?? (by > 0 ? -1 : steps.length);
      const index = Math.max(0, Math.min(from + by, steps.length - 1));
      this.reading.ariaLive = "polite";
      plot.setCursor({ left: plot.valToPos(steps[index], "x"), top: 10 });
      this.plots.norm.setCursor({ left: plot.valToPos(steps[index], "x"), top: 10 });
    }

    zoomBy(plot, factor) {
      const steps = plot.data[0];
      if (steps.length < 2) return;
      const { min, max } = plot.scales.x;
      const middle = steps[plot.cursor.idx ?? -1] ?? (min + max) / 2;
      const low = Math.max(steps[0], middle - (middle - min) * factor);
      const high = Math.min(steps.at(-1), middle + (max - middle) * factor);
      if (high - low < 1) return;
      if (low === steps[0] && high === steps.at(-1)) this.reset();
      else plot.setScale("x", { min: low, max: high });
    }

    append(points, signals = [], attempt = null) {
      const isNew = this.attempts.append(points, attempt);
      if (signals.length > 0) {
        this.signals = ofSteps([...this.signals, ...signals]);
        this.drawKeys();
      }
      this.arrived(isNew);
    }

    // Many may arrive between two frames: they are drawn once.
    arrived(isNew) {
      this.mustBuild = this.mustBuild || isNew;
      if (this.frame !== undefined) return;
      this.frame = requestAnimationFrame(() => {
        this.frame = undefined;
        if (this.mustBuild) {
          this.mustBuild = false;
          this.build();
          return;
        }
        for (const name of ["loss", "norm"]) {
          this.plots[name].setData(this.attempts.columns(name), this.zoom === null);
          if (this.zoom !== null) this.plots[name].redraw();
        }
      });
    }

    destroy() {
      if (this.frame !== undefined) cancelAnimationFrame(this.frame);
      this.unwatch();
      this.resizing.disconnect();
      this.unbuild();
      this.element.replaceChildren();
    }
  }

  Streakline.timeline = function (element, content) {
    const timeline = new Timeline(element, content);
    return {
      append: (points, signals, attempt) => timeline.append(points, signals, attempt),
      destroy: () => timeline.destroy(),
    };
  };
})(globalThis.Streakline);
