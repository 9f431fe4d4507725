// The one tooltip of a page. Elements that it explains name it with aria-describedby while it is shown.
"use strict";
globalThis.Streakline = globalThis.Streakline ?? {};

(function (Streakline) {
  const GAP = 8;
  let bubble = null;
  let owner = null;

  // `where` is a rectangle in the viewport; `paragraphs` are strings, or elements.
  Streakline.showTooltip = function (element, where, paragraphs) {
    if (bubble === null) {
      bubble = Streakline.element("div", { class: "tooltip", role: "tooltip", id: "streakline-tooltip", hidden: true });
      document.body.append(bubble);
    }
    Streakline.hideTooltip();
    owner = element;
    owner.setAttribute("aria-describedby", bubble.id);
    bubble.replaceChildren(...paragraphs.map((each) => Streakline.element("p", {}, each)));
    bubble.hidden = false;
    const { width, height } = bubble.getBoundingClientRect();
    const middle = (where.left + where.right) / 2 - width / 2;
    const left = Math.max(GAP, Math.min(middle, document.documentElement.clientWidth - width - GAP));
    const above = where.top - height - GAP;
    const top = above >= 0 ? above : where.bottom + GAP;
    bubble.style.left = `${left + scrollX}px`;
    bubble.style.top = `${top + scrollY}px`;
  };

  Streakline.hideTooltip = function () {
    if (owner === null) return;
    owner.removeAttribute("aria-describedby");
    owner = null;
    bubble.hidden = true;
  };

  addEventListener("keydown", (event) => {
    if (event.key === "Escape") Streakline.hideTooltip();
  });
})(globalThis.Streakline);
