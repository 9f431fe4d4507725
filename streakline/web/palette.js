// The tokens of theme.css for what is drawn on a canvas, and a call whenever they change.
"use strict";
globalThis.Streakline = globalThis.Streakline ?? {};

(function (Streakline) {
  const NAMES = ["paper", "card", "ink", "muted", "line", "hair", "accent", "bad", "earlier", "sans"];
  const SCHEMES = ["(prefers-color-scheme: dark)", "(forced-colors: active)"];
  const listeners = new Set();
  let current = null;

  Streakline.palette = function () {
    if (current === null) {
      const style = getComputedStyle(document.documentElement);
      current = Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    }
    return current;
  };

  // Returns a function that ends it.
  Streakline.onPalette = function (listener) {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };

  function changed() {
    current = null;
    for (const listener of listeners) listener();
  }

  for (const scheme of SCHEMES) matchMedia(scheme).addEventListener("change", changed);
  addEventListener("beforeprint", () => {
    document.documentElement.dataset.printing = "";
    changed();
  });
  addEventListener("afterprint", () => {
    delete document.documentElement.dataset.printing;
    changed();
  });
})(globalThis.Streakline);
