// The page of one run.
"use strict";

(function (Streakline) {
  const byId = (id) => document.getElementById(id);
  const page = byId("run");
  const signals = Streakline.signalTable({
    table: byId("signals"),
    count: byId("signals-count"),
    none: byId("no-signals"),
    more: byId("more-signals"),
    announced: byId("announced"),
  });
  const progress = Streakline.progress("Diff");
  const diffText = Streakline.element("span");
  byId("diff-line").append(progress.cell, diffText);
  let timeline = null;
  let attempt = -1;
  let row = null;

  function setText(id, text) {
    const shown = Streakline.printable(text);
    if (byId(id).textContent !== shown) byId(id).textContent = shown;
  }

  function showRow() {
    if (row === null) return;
    setText("state", row.state);
    byId("state").className = `badge ${row.state}`;
    setText("step", Streakline.number(row.step));
    setText("loss", Streakline.number(row.loss));
    setText("attempt", Streakline.attempt(row.attempt));
    showAge();
  }

  function showAge() {
    if (row !== null) setText("age", row.eventAt === null ? "–" : `${Streakline.age(row.eventAt)} ago`);
  }

  function showDiff(diff) {
    byId("diff").hidden = diff === null;
    if (diff === null) return;
    progress.show(diff.percent);
    const left = diff.eta_seconds === null ? "" : `, ${Streakline.left(diff)} left`;
    diffText.textContent = Streakline.printable(`${Streakline.spoken(diff.stage)}${left}, on ${diff.worker}`);
  }

  function showWhole({ timelines, signals: all }) {
    timeline?.destroy();
    attempt = timelines.at(-1)?.attempt ?? -1;
    const isEmpty = timelines.every((each) => each.steps.length === 0);
    timeline = isEmpty ? null : Streakline.timeline(byId("timeline"), { timelines, signals: all });
    byId("figure").hidden = isEmpty;
    byId("no-steps").hidden = !isEmpty;
    signals.reset(all);
  }

  function showBatch(batch) {
    const fresh = signals.add(batch.signals);
    // What comes late of an attempt before is on the page when it is next opened.
    if (batch.attempt < attempt) return;
    attempt = batch.attempt;
    if (timeline === null) {
      byId("figure").hidden = false;
      byId("no-steps").hidden = true;
      timeline = Streakline.timeline(byId("timeline"), { timelines: [], signals: [] });
    }
    timeline.append(batch.points, fresh, batch.attempt);
  }

  function update(news) {
    Streakline.serverSays(news.now);
    // Of entries that cannot be read the list tells.
    Streakline.showNotices([news.redis, news.lake]);
    if (news.row !== null) row = Streakline.rowOf(news.row);
    showRow();
    showDiff(news.diff);
    if (news.whole !== null) showWhole(news.whole);
    for (const batch of news.batches) showBatch(batch);
  }

  Streakline.exportable(byId("figure"));
  setInterval(showAge, 1000);
  Streakline.link(page.dataset.events, update);
})(globalThis.Streakline);
