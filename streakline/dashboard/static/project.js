// A project's figures can be saved.
"use strict";

document.querySelectorAll("figure.figure").forEach(Streakline.exportable);
