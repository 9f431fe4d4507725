// A figure as a PNG: what is drawn in its body, twice as large, on its background, below its title.
//
//   Streakline.exportable(figure)
//
// `figure` has data-title, data-subtitle and data-file, a `.figure-body` and a `.figure-tools`. Canvases and SVGs of the
// body are drawn where they stand, and so is the text of the elements that are marked data-png, each on one line.
"use strict";
globalThis.Streakline = globalThis.Streakline ?? {};

(function (Streakline) {
  const SCALE = 2;
  const MARGIN = 20;
  const HEAD = 48;
  const KEPT = [
    "fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-opacity", "stroke-linejoin",
    "stroke-linecap", "opacity", "font-family", "font-size", "font-weight", "text-anchor", "dominant-baseline",
  ]; // prettier-ignore
  const sharper = new WeakMap();

  // `draw(scale)` gives (a promise of) a canvas of the same picture so many times as large.
  Streakline.sharpen = (canvas, draw) => sharper.set(canvas, draw);

  // The SVG on its own: the page's style does not reach into an image.
  function standalone(svg) {
    const copy = svg.cloneNode(true);
    const originals = [svg, ...svg.querySelectorAll("*")];
    [copy, ...copy.querySelectorAll("*")].forEach((element, index) => {
      const style = getComputedStyle(originals[index]);
      for (const name of KEPT) element.setAttribute(name, style.getPropertyValue(name));
    });
    const { width, height } = svg.getBoundingClientRect();
    if (!copy.hasAttribute("viewBox")) copy.setAttribute("viewBox", `0 0 ${width} ${height}`);
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    copy.setAttribute("width", width * SCALE);
    copy.setAttribute("height", height * SCALE);
    return new XMLSerializer().serializeToString(copy);
  }

  function image(svg) {
    return new Promise((resolve, reject) => {
      const made = new Image();
      made.onload = () => resolve(made);
      made.onerror = () => reject(new Error("the picture could not be drawn"));
      made.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(standalone(svg))}`;
    });
  }

  async function pictureOf(element) {
    if (element instanceof SVGElement) return image(element);
    return sharper.has(element) ? sharper.get(element)(SCALE) : element;
  }

  function drawText(context, element, { left, top, width, height }) {
    const style = getComputedStyle(element);
    context.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
    context.fillStyle = style.color;
    context.textBaseline = "middle";
    let text = element.textContent.replace(/\s+/g, " ").trim();
    const room = width + 1;
    while (text.length > 1 && context.measureText(text).width > room) text = `${text.slice(0, -2)}…`;
    const right = style.textAlign === "right" || style.textAlign === "end";
    context.textAlign = right ? "right" : "left";
    context.fillText(text, right ? left + width : left, top + height / 2);
  }

  function contentBox(element) {
    const rectangle = element.getBoundingClientRect();
    const style = getComputedStyle(element);
    const left = rectangle.left + parseFloat(style.paddingLeft);
    const width = rectangle.right - parseFloat(style.paddingRight) - left;
    return { left, top: rectangle.top, width, height: rectangle.height };
  }

  const isSeen = (element) => element.getClientRects().length > 0;

  Streakline.drawFigure = async function (figure) {
    const body = figure.querySelector(".figure-body");
    const origin = body.getBoundingClientRect();
    const canvas = document.createElement("canvas");
    canvas.width = Math.ceil((origin.width + 2 * MARGIN) * SCALE);
    canvas.height = Math.ceil((origin.height + HEAD + 2 * MARGIN) * SCALE);
    const context = canvas.getContext("2d");
    const colors = Streakline.palette();
    context.scale(SCALE, SCALE);
    context.fillStyle = colors.card;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.fillStyle = colors.ink;
    context.textBaseline = "top";
    context.font = `600 16px ${colors.sans}`;
    context.fillText(Streakline.printable(figure.dataset.title), MARGIN, MARGIN);
    context.fillStyle = colors.muted;
    context.font = `12px ${colors.sans}`;
    context.fillText(Streakline.printable(figure.dataset.subtitle), MARGIN, MARGIN + 22);
    const place = ({ left, top, width, height }) => ({
      left: left - origin.left + MARGIN,
      top: top - origin.top + MARGIN + HEAD,
      width,
      height,
    });
    for (const element of body.querySelectorAll("canvas, svg, [data-png]")) {
      if (!isSeen(element)) continue;
      if (element instanceof HTMLCanvasElement || element instanceof SVGElement) {
        const { left, top, width, height } = place(element.getBoundingClientRect());
        context.drawImage(await pictureOf(element), left, top, width, height);
      } else {
        drawText(context, element, place(contentBox(element)));
      }
    }
    return canvas;
  };

  Streakline.savePng = async function (figure) {
    const canvas = await Streakline.drawFigure(figure);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${figure.dataset.file.replace(/[^A-Za-z0-9._-]+/g, "-")}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  };

  Streakline.exportable = function (figure) {
    const button = Streakline.element("button", { type: "button" }, "Save PNG");
    button.setAttribute("aria-label", `Save PNG of ${figure.dataset.title}`);
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        await Streakline.savePng(figure);
      } finally {
        button.disabled = false;
        button.focus();
      }
    });
    figure.querySelector(".figure-tools").append(button);
  };
})(globalThis.Streakline);
