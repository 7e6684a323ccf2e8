// The page: what it knows of the database that is shown, and which part shows what.
import { Chart, checkpointNote, seriesOf, Timeline } from "./charts.js";
import { Checkpoints, Connections, Disk, Waits } from "./cards.js";
import { badge, cardHead, copyButton, fill, h, kShapes, openDialog, refreshTimes } from "./dom.js";
import { FrozenFeed, LiveFeed } from "./feed.js";
import { Findings, isForgotten, nameWithPid } from "./findings.js";
import { bytes, clock, count, duration, isKnown, moment, plural, rate, unixMs, utc } from "./format.js";
import { Overview } from "./overview.js";
import { kFirstOrder, Statements } from "./statements.js";

const byId = (id) => document.getElementById(id);
const kSpans = { "15m": "15 min", "1d": "day", "90d": "90 days" };

// The card of each section of the stream.
const kCards = { connections: "connections", readers: "waits", lock_waits: "waits", checkpoints: "checkpoints", samples: "log", health: "findings", alerts: "findings",
  advice: "findings", storage: "disk", trends: "disk" };

const kFirstSpan = "15m";

// The number of the database that the URL names; null: the overview of several.
function askedDatabase(about) {
  const asked = location.hash.slice(1);
  if (/^\d+$/.test(asked) && Number(asked) < about.databases.length) return Number(asked);
  return about.databases.length > 1 ? null : 0;
}

class Page {
  constructor(feed) {
    const { about } = feed;
    this.feed = feed;
    this.about = about;
    this.db = null;
    this.span = kFirstSpan;
    this.skew = 0; // the browser's clock less the server's, in ms
    this.context = {
      about, feed, unseen: () => (this.state?.metrics.unseen ? "It cannot be seen here." : null),
      mayCancel: () => !about.read_only && !feed.madeAt && !this.lostSince, cancel: (id) => this.askToCancel(id) };
    Object.defineProperty(this.context, "db", { get: () => this.db });
    Object.defineProperty(this.context, "skew", { get: () => this.skew });
    this.timeline = new Timeline((range) => this.selected(range));
    this.build();
  }

  build() {
    const { about, context, feed, timeline } = this;
    this.overview = new Overview(byId("overview"), (row) => { location.hash = `#${row.number}`; });
    this.findings = new Findings(byId("findings"), context);
    const byteAxis = { scale: "bytes", values: (_, splits) => splits.map(bytes) };
    const byteScale = { range: (_, __, max) => [0, Math.max(max || 0, 1000) * 1.08] };
    const msAxis = { scale: "ms", values: (_, splits) => splits.map((ms) => (isKnown(ms) && Math.abs(Math.log10(ms) - Math.round(Math.log10(ms))) < 0.01 ? duration(ms) : "")) };
    const msScale = { distr: 3, log: 10, range: (_, low, high) => [10 ** Math.floor(Math.log10((low || 0.01) * 0.9)), 10 ** Math.ceil(Math.log10((high || 1) * 1.1))] };

    this.logFigure = cardHead(byId("log"), 1, "Log", about.sql.log);
    this.logChart = new Chart(byId("log"), timeline, [
      { key: "wal", label: "log", color: "blue", fill: 0.18, scale: "bytes", format: bytes },
      { key: "pending", label: "not copied yet", color: "orange", scale: "bytes", format: bytes },
      { label: "limit", color: "vermillion", dash: [6, 4], width: 1.5, scale: "bytes", format: bytes, constant: () => this.state.metrics.wal_limit_bytes ?? null },
    ], { label: "Log", mark: "checkpoints", notes: checkpointNote(timeline), axes: [byteAxis],
      scales: { bytes: { range: (_, __, max) => {
        // The limit is in the picture where the log comes near it; a small log is not pressed flat by it.
        const top = Math.max(...(timeline.data?.wal || []).map((value) => value || 0), 1);
        const limit = this.state.metrics.wal_limit_bytes || 0;
        return [0, (top > limit / 8 ? Math.max(top, limit) : top * 1.3) * 1.08];
      } } } });
    byId("log").append(h("p", { class: "key" }, "Checkpoints: ", h("span", { class: "mark complete", text: "▮" }), " complete ", h("span", { class: "mark partial", text: "△" }), " partial ", h("span", { class: "mark failed", text: "✕" }), " in vain"));

    this.commitFigure = cardHead(byId("commits"), 2, "Commits", about.sql.commits);
    new Chart(byId("commits"), timeline, [
      { key: "mean", label: "mean", color: "green", scale: "ms", format: duration },
      { key: "p99", label: "p99 of each sample", color: "purple", scale: "ms", format: duration },
      { key: "rate", label: "commits", color: "blue", fill: 0.25, width: 1, scale: "rate", steps: true, format: rate },
      { key: "stall", label: "waited for checkpoints", color: "vermillion", scale: "hidden", width: 0, format: (value) => (isKnown(value) ? `${duration(value)}/s` : "–") },
    ], { label: "Commits", mark: "stalls", axes: [msAxis, { scale: "rate", side: 1, values: (_, splits, __, ___, step) => splits.map((value) => (value <= (this.topRate || 0) + step ? rate(value) : "")) }],
      scales: { ms: msScale, rate: { range: (_, __, max) => { this.topRate = max || 1; return [0, (max || 1) * 3]; } }, hidden: { range: [0, 1] } } });
    byId("commits").append(h("p", { class: "key" }, h("span", { class: "mark failed", text: "▮" }), " at the top: commits waited more than 1 ms a second for checkpoints"));

    this.waits = new Waits(byId("waits"), context);
    this.disk = new Disk(byId("disk"), context);
    new Chart(byId("disk"), timeline, [
      { key: "log_rate", label: "into the log", color: "blue", fill: 0.18, scale: "bytes", format: (value) => (isKnown(value) ? `${bytes(value)}/s` : "–") },
      { key: "database_rate", label: "into the database", color: "green", scale: "bytes", format: (value) => (isKnown(value) ? `${bytes(value)}/s` : "–") },
      { key: "sync", label: "sync p99 of each sample", color: "purple", scale: "ms", format: duration, optional: true },
    ], { label: "Disk", axes: [{ ...byteAxis, values: (_, splits) => splits.map((value) => `${bytes(value)}/s`), size: 70 }], scales: { bytes: byteScale, ms: msScale } });
    this.disk.finish();
    this.statements = new Statements(byId("statements"), context);
    this.connections = new Connections(byId("connections"), context);
    this.checkpoints = new Checkpoints(byId("checkpoints"), context);

    byId("spans").append(...Object.entries(kSpans).map(([span, label]) => h("button", { "data-span": span, "aria-pressed": String(span === this.span), onclick: () => this.setSpan(span) }, label)));
    byId("unselect").addEventListener("click", () => this.timeline.select(null));
    byId("theme").addEventListener("click", () => this.switchTheme());
    byId("help").addEventListener("click", () => this.showHelp());
    document.addEventListener("keydown", (event) => this.key(event));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.timeline.redraw());
    addEventListener("hashchange", () => this.route());
    this.switchTheme(storedTheme());
    setInterval(() => !document.hidden && refreshTimes(), 5000);
    const again = () => !document.hidden && !feed.madeAt && this.db !== null && this.loadHistory();
    document.addEventListener("visibilitychange", again); // what has happened meanwhile
    setInterval(() => this.span !== "15m" && again(), 60000);
  }

  // -- which database

  route() {
    const several = this.about.databases.length > 1;
    const number = askedDatabase(this.about);
    this.db = number;
    this.state = { metrics: {}, connections: [], readers: [], lock_waits: [], checkpoints: [], health: [], alerts: [], advice: [], storage: {}, trends: [] };
    this.timeline.selected = null;
    this.timeline.allCheckpoints = [];
    this.history = null;
    this.live = [];
    this.liveRate = this.endedAt = null;
    for (const part of [this.overview, this.findings, this.waits, this.disk, this.statements, this.connections, this.checkpoints]) part.clear();
    for (const note of document.querySelectorAll(".card-error")) note.remove();
    this.logFigure.textContent = this.commitFigure.textContent = "";
    this.showSelection();
    this.drawCharts();
    byId("overview").hidden = number !== null;
    byId("database").hidden = number === null;
    byId("spans").hidden = number === null;
    fill(byId("status"), "", () => []);
    byId("facts").textContent = byId("announce").textContent = "";
    const name = number === null ? "Databases" : this.about.databases[number].name;
    byId("title").textContent = name;
    byId("title").title = number === null ? "" : this.about.databases[number].path;
    document.title = `${name} · walmanager`;
    fill(byId("crumbs"), `${number}`, () => (several && number !== null ? h("a", { href: "#", text: "‹ All databases" }) : []));
    this.banner(null);
    if (number !== null) {
      this.loadHistory();
      this.askForStatements();
    }
    this.feed.watch(number === null ? "overview" : number, (sections) => this.changed(sections), (since) => this.lost(since));
  }

  // -- data

  changed(sections) {
    if (sections.overview) {
      this.overview.show(sections.overview);
      return;
    }
    const { state } = this;
    const before = state.metrics;
    Object.assign(state, sections);
    if (sections.metrics) {
      this.skew = this.feed.madeAt ? Date.now() - this.feed.madeAt : Date.now() - sections.metrics.at;
      this.addLive(before, sections.metrics);
    }
    if (sections.samples) this.addSamples(sections.samples);
    if (sections.state?.state === "ok" && !this.history && !this.loads) this.loadHistory();
    this.show(sections);
    if (sections.metrics && !before.at) requestAnimationFrame(() => performance.mark("shown"));
  }

  now() {
    return Date.now() - this.skew;
  }

  // Every three seconds, and less often where there are so many that it would cost more than a thousandth of a processor.
  async askForStatements() {
    clearTimeout(this.asking);
    const { db } = this;
    if (!document.hidden && !this.lostSince) await this.statements.ask();
    if (!this.feed.madeAt && db === this.db) this.asking = setTimeout(() => this.askForStatements(), Math.max(3000, (this.statements.shown?.cost_ms || 0) * 1000));
  }

  async loadHistory() {
    const { db, span } = this;
    this.loads = true;
    try {
      const answer = await this.feed.history(db, span);
      if (db !== this.db || span !== this.span) return;
      this.history = answer;
      this.timeline.span = span;
      this.timeline.allCheckpoints = answer.checkpoints;
      if (this.state.samples) this.addSamples(this.state.samples);
    } catch {
      if (db !== this.db) return;
    } finally {
      this.loads = false;
    }
    this.drawCharts();
  }

  // New samples of the history; those that the page has are skipped.
  addSamples(samples) {
    const columns = this.history?.columns;
    if (!columns || this.span !== "15m") return;
    const last = columns.at[columns.at.length - 1] || "";
    samples.at.forEach((at, i) => {
      if (at <= last) return;
      for (const name of Object.keys(columns)) columns[name].push(samples[name] ? samples[name][i] : null);
    });
    const begins = this.now() - 900e3;
    let old = 0;
    while (old < columns.at.length && unixMs(columns.at[old]) < begins) ++old;
    if (old > 30) for (const name of Object.keys(columns)) columns[name].splice(0, old);
  }

  // Between two samples of the history the counters of wal_metrics carry the lines on.
  addLive(before, metrics) {
    if (this.feed.madeAt || !isKnown(before.commits) || !(metrics.at > before.at) || metrics.commits < before.commits) return;
    const seconds = (metrics.at - before.at) / 1000;
    const commits = metrics.commits - before.commits;
    const page = metrics.page_size;
    this.live.push({ t: metrics.at, wal: metrics.wal_bytes, pending: metrics.pending_frames * (page + 24), rate: commits / seconds,
      mean: commits ? Math.max((metrics.commits * metrics.commit_mean_ms - before.commits * before.commit_mean_ms) / commits, 0) || null : null, p99: null,
      stall: (metrics.checkpoint_stall_ms - before.checkpoint_stall_ms) / seconds, log_rate: ((metrics.frames_written - before.frames_written) * (page + 24)) / seconds,
      database_rate: ((metrics.checkpoint_frames - before.checkpoint_frames) * page) / seconds, sync: null });
    this.liveRate = this.live.slice(-3).reduce((sum, one) => sum + one.rate, 0) / Math.min(3, this.live.length);
  }

  // In the next frame, once for all that has come since the last one.
  drawCharts() {
    this.drawing ??= requestAnimationFrame(() => {
      this.drawing = null;
      this.drawNow();
    });
  }

  drawNow() {
    const { state, timeline } = this;
    const data = seriesOf(this.history?.columns || {}, this.span, state.metrics);
    const newest = data.t.length ? data.t[data.t.length - 1] : 0;
    this.live = this.live.filter((one) => one.t > newest + 500).slice(-900);
    if (this.span === "15m") {
      for (const one of this.live) for (const name of Object.keys(data)) data[name].push(one[name]);
    }
    const known = new Map((timeline.allCheckpoints || []).map((row) => [row.id, row]));
    for (const row of state.checkpoints) known.set(row.id, row);
    timeline.allCheckpoints = [...known.values()].sort((a, b) => b.id - a.id);
    timeline.checkpoints = timeline.allCheckpoints.map((row) => ({ t: unixMs(row.at), result: row.result, moved: row.moved_frames, ms: row.duration_ms }));
    timeline.alerts = state.alerts.filter((row) => row.status === "warning" || row.status === "critical").map((row) => ({ status: row.status, from: unixMs(row.raised_at), to: unixMs(row.cleared_at) || this.now() }));
    const inUse = state.metrics.processes > 0 || !data.t.length;
    timeline.show(data, this.feed.madeAt || inUse ? this.now() : Math.max(newest, this.now() - 900e3));
  }

  // -- showing

  show(sections) {
    const { state, timeline } = this;
    const { metrics } = state;
    this.showErrors(sections);
    if (sections.state || sections.metrics) this.showState();
    if (sections.metrics) this.showFigures(metrics);
    if (sections.health || sections.readers || sections.connections || sections.advice) this.findings.show(state);
    if (sections.connections || sections.readers || sections.lock_waits || sections.metrics) this.waits.show(state, timeline);
    if (sections.connections) this.connections.show(state);
    if (sections.checkpoints || sections.metrics) this.checkpoints.show(state, timeline);
    if (sections.storage || sections.metrics || sections.trends) this.disk.show(state);
    if (sections.health || sections.metrics) this.showStatus();
    if (sections.metrics || sections.samples || sections.checkpoints) this.drawCharts();
  }

  // What one of the queries could not read is said in its card; the others go on.
  showErrors(sections) {
    if (sections.state) for (const note of document.querySelectorAll(".card-error")) note.textContent = "";
    for (const [name, sentence] of Object.entries(sections)) {
      const card = name.startsWith("error_") && byId(kCards[name.slice(6)]);
      if (!card) continue;
      let note = card.querySelector(".card-error");
      if (!note) card.append(note = h("p", { class: "card-error loud" }));
      note.textContent = sentence || "";
    }
  }

  showFigures(metrics) {
    this.logFigure.textContent = isKnown(metrics.wal_bytes) ? `${bytes(metrics.wal_bytes)}${metrics.wal_limit_bytes ? ` of ${bytes(metrics.wal_limit_bytes)}` : ""}` : "";
    this.commitFigure.textContent = metrics.commits ? `${isKnown(this.liveRate) ? `${rate(this.liveRate)} · ` : ""}of all: p50 ${duration(metrics.commit_p50_ms)}, p99 ${duration(metrics.commit_p99_ms)}` : "";
  }

  showStatus() {
    const { health, metrics, connections } = this.state;
    const overall = health.find((row) => row.check_name === "overall");
    if (overall) {
      // What was found before is not known to be so now.
      const status = this.stale ? "unknown" : overall.status;
      const words = status === "unknown" ? "not known" : `${status} ${overall.score}`;
      const about = status === "unknown" ? null : `health score ${overall.score} of 100`;
      fill(byId("status"), words, () => h("span", { class: `pill ${status}`, title: about }, h("span", { "aria-hidden": "true", text: `${kShapes[status]} ` }), words, about && h("span", { class: "offscreen", text: ` (${about})` })));
      // Only a change of status is spoken; the score changes often.
      const spoken = status === "unknown" ? words : status;
      if (byId("announce").textContent !== spoken) byId("announce").textContent = spoken;
      document.title = `${status === "ok" ? "" : `${kShapes[status]} `}${byId("title").textContent} · walmanager`;
    }
    const programs = connections.filter((row) => row.role === "application").length;
    const facts = [isKnown(metrics.processes) ? plural(metrics.processes + (metrics.unmanaged_processes || 0), "process", "processes") : null, metrics.unseen ? null : plural(programs, "connection"),
      this.state.storage.sqlite_version ? `SQLite ${connections[0]?.sqlite_version || this.state.storage.sqlite_version}` : null,
      metrics.statistics_since ? `counted for ${duration(this.now() - unixMs(metrics.statistics_since)).replace(/ \d+ s$/, "")}` : null];
    const isOfBefore = this.lostSince || (this.state.state && this.state.state.state !== "ok");
    const text = isOfBefore ? "" : facts.filter(Boolean).join(" · ");
    if (byId("facts").textContent !== text) byId("facts").textContent = text;
  }

  // The states in which the page shows what was, and not what is.
  showState() {
    const { metrics } = this.state;
    const about = this.state.state;
    const because = about && about.state !== "ok" ? about.said : metrics.unseen;
    if (this.feed.madeAt) return this.banner("report", `Report of ${moment(this.feed.madeAt, 0)} (${utc(this.feed.madeAt)}). It does not change.${because ? ` ${because}` : ""}`, false);
    if (this.lostSince) return;
    if (about && about.state !== "ok") return this.banner(about.state, `${about.said} Since ${clock(about.since)}.`, true);
    if (metrics.unseen && metrics.journal_mode !== "wal") return this.banner("mode", `${metrics.unseen} PRAGMA journal_mode=WAL changes it for good.`, false, "PRAGMA journal_mode=WAL;");
    if (metrics.unseen) return this.banner("unseen", metrics.unseen, true);
    if (metrics.processes === 0) {
      this.endedAt ||= this.now();
      const last = this.history?.columns.at?.at(-1);
      if (metrics.private_because) return this.banner("unused", "No program with walmanager has written to this database yet. Load the extension in your program, and what it does appears here.", false);
      return this.banner("ended", `No program has the database open with walmanager${last ? `; last measured ${moment(unixMs(last))}` : ""}. The page shows what was, and goes on when one opens it.`, true);
    }
    this.endedAt = null;
    this.banner(null);
  }

  banner(kind, text, stale = false, sql = null) {
    const banner = byId("banner");
    banner.hidden = !kind;
    document.body.classList.toggle("stale", stale);
    this.stale = stale;
    if (this.db !== null) this.showStatus();
    fill(banner, `${kind} ${text}`, () => (kind ? [h("span", { class: "shape", "aria-hidden": "true", text: stale ? "■" : "◆" }), h("span", { text: ` ${text} ` }), sql ? copyButton("Copy PRAGMA", sql) : null].filter(Boolean) : []));
    if (stale) banner.setAttribute("role", "alert");
    else banner.removeAttribute("role");
  }

  lost(since) {
    if (since && !this.lostSince) {
      this.lostSince = since;
      this.banner("lost", `The dashboard does not answer since ${clock(since)}. If it has ended, start scripts/dashboard again and open the URL that it prints.`, true);
    } else if (!since && this.lostSince) {
      this.lostSince = null;
      this.showState();
    }
  }

  // -- what people do

  setSpan(span) {
    this.span = span;
    this.timeline.selected = null;
    this.showSelection();
    for (const button of byId("spans").children) button.setAttribute("aria-pressed", String(button.dataset.span === span));
    this.loadHistory();
  }

  selected() {
    this.showSelection();
    this.drawCharts();
    this.waits.show(this.state, this.timeline);
    this.checkpoints.show(this.state, this.timeline);
  }

  showSelection() {
    const { selected } = this.timeline;
    byId("unselect").hidden = !selected;
    if (selected) byId("unselect").textContent = `${moment(selected[0])} to ${moment(selected[1])} ✕`;
  }

  // Asked twice: the button opens this question, and only its second button acts.
  askToCancel(id) {
    const row = this.state.connections.find((one) => one.connection_id === id);
    if (!row) return;
    const asked = performance.now();
    const forgotten = isForgotten(row, this.state.readers);
    // Another statement, that began after this one was shown, is not meant.
    const running = () => Math.max(0, (row.query_ms ?? 0) + performance.now() - asked - 1000);
    const outcome = h("p", { class: "outcome", role: "status" });
    const yes = h("button", { class: "button danger", onclick: async () => {
      yes.disabled = true;
      outcome.textContent = "Asking its process to end it…";
      const answer = await this.feed.cancel(this.db, id, row.query, running());
      outcome.textContent = answer.error ? `Not cancelled: ${answer.error}` : answer.cancelled ? "Cancelled. The program sees the error “interrupted”." : "That statement has ended by itself; nothing was cancelled.";
      if (!answer.error) yes.remove();
      else yes.disabled = false;
      no.textContent = "Close";
    } }, "Yes, cancel the statement");
    const no = h("button", { class: "button", autofocus: true, onclick: () => byId("dialog").close() }, "No, let it run");
    openDialog("Cancel this statement?", h("p", {}, h("strong", { text: nameWithPid(row) }), ` runs it for ${duration(row.query_ms ?? row.transaction_ms)}.`),
      h("pre", { class: "block", tabindex: "0" }, h("code", { text: row.query || "" })),
      h("p", { class: "muted", text: forgotten ? "It has returned rows, and its program fetches no more. A cancel does not free the log, and each statement of this connection fails with “interrupted” until the program closes the cursor."
        : row.transaction_state === "write" ? "SQLite undoes what it has written; a write after BEGIN takes its whole transaction with it." : "The program sees the error SQLITE_INTERRUPT." }),
      h("div", { class: "actions" }, no, yes), outcome);
  }

  switchTheme(theme) {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    const next = theme === undefined ? (dark ? "light" : "dark") : theme;
    if (next) root.dataset.theme = next;
    if (theme === undefined) {
      try { localStorage.setItem("walmanager-theme", next); } catch { /* a report from a file has no storage */ }
    }
    byId("theme").textContent = "◐";
    this.timeline.redraw();
  }

  showHelp() {
    const keys = { "/": "search the statements", "1 … 7": "go to a card", "0": "what is wrong", "↑ ↓ Enter": "move in a table, open a row", "← →": "move in a chart", "Esc": "close, or end the selection", "Shift ← →, or drag": "select a time in a chart" };
    openDialog("Keys and export", h("dl", { class: "keys" }, Object.entries(keys).flatMap(([key, what]) => [h("dt", {}, h("kbd", { text: key })), h("dd", { text: what })])),
      this.feed.madeAt ? null : h("p", {}, "For a colleague: ", h("a", { href: "report", download: "walmanager-report.html" }, "save this as one file"), ". It holds names and statements of the database, but no values."),
      h("p", { class: "muted", text: "Times are in your zone; hover or focus shows UTC. A dash means: not known." }),
      h("p", { class: "muted" }, "Charts by uPlot, ", this.feed.madeAt ? "MIT license." : h("a", { href: "LICENSE" }, "MIT license")));
  }

  key(event) {
    if (event.key === "Escape" && !byId("dialog").open) {
      if (document.activeElement === byId("search")) byId("search").blur();
      else if (this.timeline.selected) this.timeline.select(null);
    }
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || byId("dialog").open || this.db === null) return;
    if (event.key === "/") {
      event.preventDefault();
      byId("search").focus();
    } else if (event.key === "?") {
      this.showHelp();
    } else if (/^[0-7]$/.test(event.key)) {
      const target = event.key === "0" ? byId("findings") : byId(`${["log", "commits", "waits", "disk", "statements", "connections", "checkpoints"][event.key - 1]}-title`);
      target.scrollIntoView({ block: "start", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
      target.focus({ preventScroll: true });
    }
  }
}

function storedTheme() {
  try {
    return localStorage.getItem("walmanager-theme");
  } catch {
    return null;
  }
}

function start() {
  const frozen = byId("frozen");
  const feed = frozen ? new FrozenFeed(JSON.parse(frozen.textContent)) : new LiveFeed(JSON.parse(byId("known").textContent));
  const { about } = feed;
  feed.expect(askedDatabase(about), kFirstSpan, kFirstOrder);
  byId("foot").append(h("span", { text: `${about.exposed ? "This page is served without TLS: whoever can read the traffic can read it and its secret. " : ""}${about.read_only && !frozen ? "Read-only: nothing can be cancelled here. " : ""}Every number here is SQL that you can ask yourself; ? shows the keys.` }));
  new Page(feed).route();
}

start();
