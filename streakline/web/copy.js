// A button that copies a command. Where the clipboard is out of reach the command is selected instead.
"use strict";
globalThis.Streakline = globalThis.Streakline ?? {};

(function (Streakline) {
  const SAID_FOR_MS = 2500;

  async function copy(block) {
    try {
      await navigator.clipboard.writeText(block.textContent);
      return "Copied";
    } catch {
      const selection = getSelection();
      selection.selectAllChildren(block);
      return document.execCommand("copy") ? "Copied" : "Selected: Ctrl-C";
    }
  }

  // `command` holds a <pre>; the button comes after it.
  Streakline.copyable = function (command) {
    const button = Streakline.element("button", { type: "button", class: "screen-only", "aria-live": "polite" }, "Copy");
    button.addEventListener("click", async () => {
      button.textContent = await copy(command.querySelector("pre"));
      setTimeout(() => (button.textContent = "Copy"), SAID_FOR_MS);
    });
    command.append(button);
  };
})(globalThis.Streakline);
