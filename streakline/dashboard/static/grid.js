// A table of thousands of rows, of which those in sight are in the document. All rows are equally high.
"use strict";
globalThis.Streakline = globalThis.Streakline ?? {};

(function (Streakline) {
  const BEYOND = 12; // rows above and below those in sight

  class Grid {
    // `make()` gives a new <tr>, `paint(tr, item)` fills it; the first link of a row is what the keys go to.
    constructor(table, { make, paint }) {
      this.table = table;
      this.body = table.tBodies[0];
      this.make = make;
      this.paint = paint;
      this.items = [];
      this.active = 0;
      this.first = 0;
      this.above = this.spacer();
      this.below = this.spacer();
      this.body.append(this.above, this.below);
      this.rows = [];
      this.height = 0;
      addEventListener("scroll", () => this.schedule(), { passive: true });
      addEventListener("resize", () => {
        this.height = 0;
        this.schedule();
      });
      this.body.addEventListener("keydown", (event) => this.onKey(event));
      this.body.addEventListener("focusin", (event) => this.onFocus(event));
    }

    spacer() {
      // Of one column: which of the others there are depends on the width of the page.
      return Streakline.element("tr", { class: "space", "aria-hidden": true, hidden: true }, Streakline.element("td"));
    }

    show(items) {
      this.items = items;
      this.table.setAttribute("aria-rowcount", items.length + 1);
      this.active = Math.max(0, Math.min(this.active, items.length - 1));
      this.draw();
    }

    schedule() {
      if (this.frame !== undefined) return;
      this.frame = requestAnimationFrame(() => {
        this.frame = undefined;
        this.draw();
      });
    }

    get holdsFocus() {
      return this.body.contains(document.activeElement);
    }

    // [first, behind the last] of the rows that have to be in the document.
    range() {
      if (this.height === 0) this.measure();
      const top = -this.body.getBoundingClientRect().top;
      const first = Math.max(0, Math.floor(top / this.height) - BEYOND);
      const last = Math.ceil((top + innerHeight) / this.height) + BEYOND;
      return [Math.min(first, this.items.length), Math.max(0, Math.min(last, this.items.length))];
    }

    measure() {
      const row = this.rows[0] ?? this.add();
      this.height = row.getBoundingClientRect().height || 36;
    }

    add() {
      const row = this.make();
      this.below.before(row);
      this.rows.push(row);
      return row;
    }

    draw() {
      const [first, last] = this.range();
      const count = Math.max(0, last - first);
      while (this.rows.length < count) this.add();
      while (this.rows.length > count) this.rows.pop().remove();
      // A row keeps its element while it is in sight, and with it the focus.
      const shift = first - this.first;
      if (shift > 0 && shift < count) this.rotate(this.rows.splice(0, shift), false);
      else if (shift < 0 && -shift < count) this.rotate(this.rows.splice(shift), true);
      this.first = first;
      this.rows.forEach((row, place) => {
        const index = first + place;
        row.setAttribute("aria-rowindex", index + 2);
        this.paint(row, this.items[index]);
        row.querySelector("a").tabIndex = index === this.active ? 0 : -1;
      });
      this.space(this.above, first);
      this.space(this.below, this.items.length - last);
    }

    rotate(moved, toFront) {
      if (toFront) {
        this.rows.unshift(...moved);
        this.above.after(...moved);
      } else {
        this.rows.push(...moved);
        this.below.before(...moved);
      }
    }

    space(spacer, rows) {
      spacer.hidden = rows <= 0;
      spacer.cells[0].style.height = `${Math.max(0, rows) * this.height}px`;
    }

    onFocus(event) {
      const place = this.rows.indexOf(event.target.closest("tr"));
      if (place < 0) return;
      this.active = this.first + place;
      this.rows.forEach((row, other) => (row.querySelector("a").tabIndex = other === place ? 0 : -1));
    }

    onKey(event) {
      const page = Math.max(1, Math.floor(innerHeight / this.height) - 4);
      const by = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
      if (by === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      this.go(Math.max(0, Math.min(this.active + by, this.items.length - 1)));
    }

    go(index) {
      this.active = index;
      const top = this.body.getBoundingClientRect().top + scrollY + index * this.height;
      const edge = this.table.tHead.getBoundingClientRect().height + this.height;
      if (top < scrollY + 2 * edge) scrollTo({ top: top - 2 * edge, behavior: "instant" });
      else if (top + this.height > scrollY + innerHeight) scrollTo({ top: top + 2 * this.height - innerHeight, behavior: "instant" });
      this.draw();
      this.rows[index - this.first]?.querySelector("a").focus({ preventScroll: true });
    }
  }

  Streakline.grid = (table, options) => new Grid(table, options);
})(globalThis.Streakline);
