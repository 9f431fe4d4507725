// The page's connection to its events. It comes back by itself, and goes on where it was.
//
//   Streakline.link(url, onUpdate)
//
// A hidden page lets go of it: a browser has but six connections for all pages of one server.
"use strict";
globalThis.Streakline = globalThis.Streakline ?? {};

(function (Streakline) {
  const SILENT_MS = 40_000; // the server says something every 15 s
  const PAUSES_MS = [1000, 2000, 4000, 8000];
  const WORDS = {
    connecting: "Connecting",
    live: "Live",
    lost: "Connection lost, trying again",
    paused: "Paused",
  };

  function show(state) {
    const place = document.getElementById("connection");
    if (place.dataset.state === state) return;
    place.dataset.state = state;
    place.textContent = WORDS[state];
  }

  // What the sources have to say, {state, detail} each; where that is nothing, the detail is empty.
  Streakline.showNotices = function (sources) {
    const told = sources.filter((source) => source.detail !== "");
    const place = document.getElementById("notices");
    const text = JSON.stringify(told);
    if (place.dataset.text === text) return;
    place.dataset.text = text;
    place.replaceChildren(
      ...told.map(({ state, detail }) => Streakline.element("p", { class: "notice", "data-state": state }, detail)),
    );
  };

  Streakline.link = function (url, onUpdate) {
    let source = null;
    let last = null;
    let failures = 0;
    let timer = null;

    function heard() {
      failures = 0;
      show("live");
      wait(SILENT_MS);
    }

    function wait(milliseconds) {
      clearTimeout(timer);
      timer = setTimeout(open, milliseconds);
    }

    function open() {
      close();
      source = new EventSource(last === null ? url : `${url}?after=${encodeURIComponent(last)}`);
      source.addEventListener("beat", heard);
      source.addEventListener("update", (event) => {
        heard();
        if (event.lastEventId !== "") last = event.lastEventId;
        onUpdate(JSON.parse(event.data));
      });
      source.addEventListener("error", () => {
        show("lost");
        // The browser tries again by itself, unless the answer was no stream.
        if (source.readyState !== EventSource.CLOSED) return;
        if (failures === 0) askToLogIn();
        wait(PAUSES_MS[Math.min(failures++, PAUSES_MS.length - 1)]);
      });
      wait(SILENT_MS);
    }

    function close() {
      clearTimeout(timer);
      source?.close();
      source = null;
    }

    // A session that is over: the page itself knows the way to the form.
    async function askToLogIn() {
      try {
        const answer = await fetch(url, { method: "HEAD" });
        if (answer.status === 401) location.reload();
      } catch {
        // The server is away: it is tried again in any case.
      }
    }

    document.addEventListener("visibilitychange", () => {
      if (document.hidden) {
        close();
        show("paused");
      } else if (source === null) {
        open();
      }
    });
    if (document.hidden) show("paused");
    else open();
  };
})(globalThis.Streakline);
