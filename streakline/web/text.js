// Values as text, as `streakline/web/filters.py` writes them, and elements that hold nothing but text.
"use strict";
globalThis.Streakline = globalThis.Streakline ?? {};

(function (Streakline) {
  const NOTHING = "–";

  // What Python's str.isprintable() calls printable; line ends and tabs may stay.
  const UNPRINTABLE = /[^\P{C}\n\t]|[^\P{Z} ]/gu;

  function escaped(character) {
    if (character === "\r") return "\\r";
    const code = character.codePointAt(0);
    if (code < 0x100) return "\\x" + code.toString(16).padStart(2, "0");
    if (code < 0x10000) return "\\u" + code.toString(16).padStart(4, "0");
    return "\\U" + code.toString(16).padStart(8, "0");
  }

  Streakline.printable = (text) => String(text).replace(UNPRINTABLE, escaped);

  Streakline.number = function (value) {
    if (value === null || value === undefined) return NOTHING;
    const size = Math.abs(value);
    if (size >= 1e9 || (size > 0 && size < 1e-4)) {
      return value.toExponential(3).replace(/\.?0+e/, "e").replace(/([+-])(\d)$/, "$10$2");
    }
    if (Number.isInteger(value) || size >= 1000) return Math.round(value).toLocaleString("en-US");
    return String(Number(value.toPrecision(4)));
  };

  Streakline.signed = function (value) {
    return value === null || value === undefined ? NOTHING : (value < 0 ? "" : "+") + Streakline.number(value);
  };

  Streakline.moment = function (unixSeconds) {
    const date = new Date(unixSeconds * 1000);
    if (Number.isNaN(date.getTime())) return Streakline.number(unixSeconds);
    return date.toISOString().slice(0, 19).replace("T", " ") + "Z";
  };

  Streakline.attempt = function (number) {
    return number < 1e9 ? `attempt ${number}` : `attempt of ${Streakline.moment(number)}`;
  };

  Streakline.spoken = (identifier) => Streakline.printable(identifier).replaceAll("_", " ");

  // Attributes that are null or false are left out; strings among the children become text, never markup.
  Streakline.element = function (tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : String(value));
    }
    for (const child of children) {
      made.append(typeof child === "string" ? Streakline.printable(child) : child);
    }
    return made;
  };
})(globalThis.Streakline);
