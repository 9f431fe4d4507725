// The SAE grid: in each layer's row of the table a strip of its features, those that changed lit.
//
//   Streakline.featureGrid(table, rows)
//
// `rows` are those of streakline/report/features.py; a cell is [cell, changed, feature, deltaMean, label].
"use strict";
globalThis.Streakline = globalThis.Streakline ?? {};

(function (Streakline) {
  const HEIGHT = 22;
  const NARROWEST = 1.5; // CSS pixels
  const REACH = 6; // how far from a cell the pointer may be

  class Strip {
    constructor(row, largest, canvas) {
      this.row = row;
      this.largest = largest;
      this.canvas = canvas;
      this.current = null;
      this.width = 0; // CSS pixels
    }

    measure() {
      this.width = this.canvas.clientWidth;
    }

    left(cell) {
      return (cell * this.width) / this.row.n_cells;
    }

    paint() {
      const ratio = devicePixelRatio;
      this.canvas.width = Math.round(this.width * ratio);
      this.canvas.height = HEIGHT * ratio;
      this.paintOn(this.canvas.getContext("2d"), ratio);
    }

    paintOn(context, scale) {
      const colors = Streakline.palette();
      const middle = HEIGHT / 2;
      context.setTransform(scale, 0, 0, scale, 0, 0);
      context.clearRect(0, 0, this.width, HEIGHT);
      context.fillStyle = colors.line;
      context.fillRect(0, middle - 0.5, this.width, 1);
      const width = Math.max(NARROWEST, this.width / this.row.n_cells - 0.5);
      this.row.cells.forEach(([cell, , , delta], index) => {
        const length = Math.max(2, (middle - 1) * Math.sqrt(Math.abs(delta) / this.largest));
        context.fillStyle = index === this.current ? colors.ink : this.row.in_doubt ? colors.earlier : colors.accent;
        context.fillRect(this.left(cell), delta < 0 ? middle : middle - length, width, length);
      });
    }

    sharp(scale) {
      const canvas = document.createElement("canvas");
      canvas.width = this.width * scale;
      canvas.height = HEIGHT * scale;
      this.paintOn(canvas.getContext("2d"), scale);
      return canvas;
    }

    nearest(x) {
      let found = null;
      let closest = REACH;
      this.row.cells.forEach(([cell], index) => {
        const distance = Math.abs(this.left(cell + 0.5) - x);
        if (distance < closest) [found, closest] = [index, distance];
      });
      return found;
    }

    select(index) {
      this.current = index;
      this.paint();
      if (index === null) {
        Streakline.hideTooltip();
        return;
      }
      const box = this.canvas.getBoundingClientRect();
      const x = box.left + this.left(this.row.cells[index][0] + 0.5);
      Streakline.showTooltip(this.canvas, { left: x, right: x, top: box.top, bottom: box.bottom }, this.says(index));
    }

    says(index) {
      const [cell, changed, feature, delta, label] = this.row.cells[index];
      const said = [`Layer ${this.row.layer}, feature ${feature}: ${Streakline.signed(delta)}`, label ?? "no label"];
      if (this.row.features_per_cell > 1) {
        const first = cell * this.row.features_per_cell;
        const last = first + this.row.features_per_cell - 1;
        said.push(`${changed} of the features ${first} to ${last} changed; this one moved most`);
      }
      return said;
    }
  }

  Streakline.featureGrid = function (table, rows) {
    const largest = Math.max(1e-12, ...rows.map((row) => Math.max(0, ...row.cells.map((cell) => Math.abs(cell[3])))));
    const strips = [...table.querySelectorAll("td[data-row]")].map((place, index) => {
      const row = rows[place.dataset.row];
      const label = `Layer ${row.layer}: ${row.cells.length} places with features that changed. Arrow keys read them.`;
      const canvas = Streakline.element("canvas", { tabindex: index === 0 ? 0 : -1, role: "img", "aria-label": label });
      place.append(canvas);
      const strip = new Strip(row, largest, canvas);
      Streakline.sharpen(canvas, (scale) => strip.sharp(scale));
      canvas.addEventListener("pointermove", (event) => strip.select(strip.nearest(event.offsetX)));
      canvas.addEventListener("pointerleave", () => strip.select(null));
      canvas.addEventListener("blur", () => strip.select(null));
      canvas.addEventListener("keydown", (event) => onKey(event, index));
      return strip;
    });

    function onKey(event, index) {
      const strip = strips[index];
      const last = strip.row.cells.length - 1;
      const from = strip.current ?? -1;
      const cell = {
        ArrowRight: Math.min(from + 1, last),
        ArrowLeft: Math.max(from - 1, 0),
        Home: 0,
        End: last,
      }[event.key];
      const layer = { ArrowDown: index + 1, ArrowUp: index - 1 }[event.key];
      if (cell === undefined && strips[layer] === undefined) return;
      event.preventDefault();
      if (cell !== undefined) {
        if (last >= 0) strip.select(cell);
        return;
      }
      strip.canvas.tabIndex = -1;
      strips[layer].canvas.tabIndex = 0;
      strips[layer].canvas.focus();
    }

    const paint = () => strips.forEach((strip) => strip.paint());
    // Called at once, too. All are measured before the first is painted: else each of them has the page laid out anew.
    const resized = () => {
      strips.forEach((strip) => strip.measure());
      paint();
    };
    new ResizeObserver(resized).observe(table);
    Streakline.onPalette(paint);
  };
})(globalThis.Streakline);
