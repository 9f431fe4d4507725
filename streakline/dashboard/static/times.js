// How long ago, by the server's clock.
"use strict";
globalThis.Streakline = globalThis.Streakline ?? {};

(function (Streakline) {
  let ahead = 0; // seconds by which the server's clock is ahead of this one

  Streakline.serverSays = (unixSeconds) => (ahead = unixSeconds - Date.now() / 1000);
  Streakline.now = () => Date.now() / 1000 + ahead;

  // A length of time in one unit.
  Streakline.span = function (seconds) {
    if (seconds < 60) return `${Math.max(0, Math.floor(seconds))} s`;
    if (seconds < 5400) return `${Math.floor(seconds / 60)} min`;
    if (seconds < 129_600) return `${Math.floor(seconds / 3600)} h`;
    return `${Math.floor(seconds / 86_400).toLocaleString("en-US")} d`;
  };

  Streakline.age = (unixSeconds) => (unixSeconds === null ? "–" : Streakline.span(Streakline.now() - unixSeconds));
})(globalThis.Streakline);
