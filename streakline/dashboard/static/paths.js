// Where pages are, as `streakline/dashboard/addresses.py` has it.
"use strict";
globalThis.Streakline = globalThis.Streakline ?? {};

(function (Streakline) {
  // A browser takes dots for steps through folders, however they are spelled.
  const segment = (name) => (name === "." || name === ".." ? `~${name}` : encodeURIComponent(name));

  Streakline.runPath = (run) => `/runs/${segment(run)}`;
  Streakline.projectPath = (project) => `/projects/${segment(project)}`;
})(globalThis.Streakline);
