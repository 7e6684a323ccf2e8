// The first card: failing health checks, statements that wait or hold the log now, and advice with its SQL.
import { badge, copyButton, fill, h, kShapes, showSql, sqlText } from "./dom.js";
import { duration, plural } from "./format.js";

const kShown = 6; // findings before the button that shows all, if so many are advice
const kOrder = { critical: 0, warning: 1, now: 2, advice: 3 };
// Checks for which a connection is to blame that the page can name.
const kReaderChecks = ["log_pinned", "wal_size", "checkpoint_progress", "checkpoint_partial", "unfinished_statement", "long_transaction"];

export function nameOf(one) {
  return one.application || one.process || (one.pid ? `pid ${one.pid}` : "an unknown process");
}

export function nameWithPid(one) {
  return one.pid && (one.application || one.process) ? `${nameOf(one)} (pid ${one.pid})` : nameOf(one);
}

// A statement that has returned rows and is fetched from no more. To cancel it frees nothing, and each statement of its
// connection fails until the program closes the cursor.
export function isForgotten(row, readers) {
  return row.still_ms > 1000 || readers.some((one) => one.connection_id === row.connection_id && one.verdict === "unfinished statement");
}

// A recommendation that begins with SQL which can be run as it is.
export function leadingSql(text) {
  const found = /^(SELECT wal_\w+\([^()]*\)|PRAGMA [^:;,]+|ANALYZE[^:;,]*|VACUUM[^:;,]*)(?=$|[:;,]| (while|or|gives|is|shows|on)\b)/.exec(text || "");
  return found && !found[1].includes("/somewhere/") ? found[1].trim() : null;
}

// The connections that wait now, each with the one that it waits for; the longest wait first.
export function waitsByHolder(connections) {
  const holders = new Map();
  for (const one of connections) {
    if (!one.waiting_for) continue;
    const id = one.blocked_by || `pid ${one.blocked_by_pid}`;
    if (!holders.has(id)) holders.set(id, { id, holder: connections.find((other) => other.connection_id === one.blocked_by), waiters: [] });
    holders.get(id).waiters.push(one);
  }
  const found = [...holders.values()];
  for (const one of found) one.waiters.sort((a, b) => b.waiting_ms - a.waiting_ms);
  return found.sort((a, b) => b.waiters[0].waiting_ms - a.waiters[0].waiting_ms);
}

// One reader for each mark of the log. Connections of one process share its locks, so several may hold a mark: the one
// with the oldest transaction is named, with the number of the others. Nobody is named twice.
export function pins(readers) {
  const marks = new Map();
  for (const one of readers) {
    const key = `${one.slot} ${one.pid}`;
    if (!marks.has(key)) marks.set(key, []);
    const holders = marks.get(key);
    if (!holders.some((other) => other.connection_id === one.connection_id)) holders.push(one);
  }
  const oldest = [...marks.values()].map((holders) => ({ ...holders.sort((a, b) => (b.transaction_ms ?? -1) - (a.transaction_ms ?? -1))[0], others: holders.length - 1 }));
  const named = new Set();
  return oldest.sort((a, b) => (a.blocks === "checkpoint" ? 0 : 1) - (b.blocks === "checkpoint" ? 0 : 1) || b.lag_frames - a.lag_frames)
    .filter((one) => !one.connection_id || (!named.has(one.connection_id) && named.add(one.connection_id)));
}

function culprit(check, state) {
  if (check === "idle_in_transaction") return state.connections.find((one) => one.state === "idle in transaction");
  if (!kReaderChecks.includes(check)) return null;
  const oldest = state.connections.filter((one) => one.transaction_ms && one.state === "active").sort((a, b) => b.transaction_ms - a.transaction_ms)[0];
  if (check === "long_transaction" || check === "unfinished_statement") return oldest;
  return state.connections.find((one) => one.connection_id === pins(state.readers)[0]?.connection_id);
}

// A sentence of a check may begin with the name of a setting or a table, which stays as it is.
function sentence(text) {
  return /^(the|of|no|every|a|an|one|commits?|checkpoints?|connections?|statements?|reading) /.test(text) ? text[0].toUpperCase() + text.slice(1) : text;
}

function fromHealth(state) {
  return state.health.filter((row) => (row.status === "warning" || row.status === "critical") && row.check_name !== "overall").map((row) => {
    const sql = leadingSql(row.recommendation);
    const blamed = culprit(row.check_name, state);
    return { key: `health ${row.check_name}`, status: row.status, title: sentence(row.detail), todo: row.recommendation, sql, about: row.check_name, blamed: blamed?.connection_id };
  });
}

// What a person at the screen asks about before it has lasted long enough for a check.
function fromNow(state, covered) {
  const found = [];
  for (const reader of pins(state.readers)) {
    if (reader.blocks !== "checkpoint" || !(reader.transaction_ms > 1000) || covered.has(reader.connection_id)) continue;
    found.push({
      key: `reader ${reader.connection_id} ${reader.pid}`, status: "now", sql: null, about: "wal_readers", blamed: reader.connection_id, statement: reader.query,
      title: `${nameWithPid(reader)} has held the log for ${duration(reader.transaction_ms)}${reader.verdict ? `: ${reader.verdict}` : ""}${reader.others ? ` (or ${plural(reader.others, "other connection")} of its process)` : ""}. ${plural(reader.lag_frames, "frame")} after its snapshot cannot be copied into the database.`,
      todo: { "unfinished statement": "fetch all its rows, or close the cursor", "open transaction": "commit or roll back when the reading is done",
        "running query": "make the statement shorter, or read in several steps" }[reader.verdict] || null });
  }
  for (const { id, holder, waiters } of waitsByHolder(state.connections)) {
    const longest = waiters[0];
    if (!(longest.waiting_ms > 200)) continue;
    const others = waiters.length - 1;
    const held = holder ? `${nameWithPid(holder)} holds (${holder.state || "its state is not known"})` : longest.blocked_by_pid ? `process ${longest.blocked_by_pid} holds, without walmanager` : "another connection holds";
    found.push({
      key: `wait ${id}`, status: "now", isCause: longest.waiting_ms > 1000, sql: null, about: "connection_metrics", blamed: holder?.connection_id, statement: holder?.query,
      title: `${nameWithPid(longest)} has waited ${duration(longest.waiting_ms)} for the ${longest.waiting_for} lock, which ${held}.${others ? ` ${plural(others, "other connection")} ${others === 1 ? "waits" : "wait"} for it, too.` : ""}`,
      todo: holder?.state === "idle in transaction" ? "commit or roll back before doing anything else that takes time" : null });
  }
  return found;
}

function fromAdvice(state) {
  return state.advice.filter((row) => row.area !== "readers" || !state.readers.length).map((row) => ({
    key: `advice ${row.area} ${row.finding} ${row.sql_to_run || row.evidence.slice(-80)}`, status: "advice", title: row.finding, evidence: row.evidence, todo: row.action, sql: row.sql_to_run, about: row.area }));
}

export function findingsOf(state) {
  const health = fromHealth(state);
  const covered = new Set(health.map((one) => one.blamed).filter(Boolean));
  return [...health, ...fromNow(state, covered), ...fromAdvice(state)].sort((a, b) => rank(a) - rank(b));
}

// What makes others wait explains the checks of latency, and so stands before them.
function rank(one) {
  return one.isCause ? -1 : kOrder[one.status];
}

function copyLabel(sql) {
  return `Copy ${/^(CREATE INDEX|DROP INDEX|[A-Z]+)/.exec(sql)?.[1] || "SQL"}`.replace("Copy SELECT", "Copy SQL");
}

export class Findings {
  constructor(card, context) {
    this.card = card;
    this.context = context;
    this.list = h("ol", { class: "finding-list" });
    this.checks = h("details", { class: "checks" }, h("summary", { text: "Checks" }), h("div", { class: "check-list" }));
    this.all = h("button", { class: "link", hidden: true, "aria-expanded": "false", onclick: () => {
      this.showsAll = !this.showsAll;
      this.all.setAttribute("aria-expanded", String(this.showsAll));
      this.show(this.shown);
    } });
    card.append(this.list, h("div", { class: "findings-foot" }, this.checks, this.all,
      h("button", { class: "link", "aria-label": "SQL of health and advice", onclick: () => showSql("Health and advice", context.about.sql.findings) }, "SQL")));
    this.items = new Map();
    this.checks.addEventListener("toggle", () => this.shown && this.showChecks(this.shown));
  }

  clear() {
    this.shown = this.well = null;
    this.showsAll = false;
    this.items.clear();
    this.list.replaceChildren();
    this.all.hidden = this.checks.hidden = true;
    fill(this.checks.lastElementChild, "", () => []);
  }

  show(state) {
    this.shown = state;
    const found = state.health.length || state.readers.length ? findingsOf(state) : null;
    if (found) {
      const urgent = found.filter((one) => one.status !== "advice").length;
      const few = Math.max(kShown, urgent);
      this.showList(this.showsAll ? found : found.slice(0, few), state);
      this.all.hidden = found.length <= few;
      const text = this.showsAll ? "Show fewer" : `Show ${found.length - few} more`;
      if (this.all.textContent !== text) this.all.textContent = text;
    }
    this.showChecks(state);
  }

  showList(found, state) {
    const seen = new Set();
    let place = this.list.firstElementChild;
    for (const one of found) {
      seen.add(one.key);
      let item = this.items.get(one.key);
      if (!item) this.items.set(one.key, item = h("li", { class: "finding" }));
      this.showOne(item, one, state);
      if (item !== place) this.list.insertBefore(item, place);
      else place = place.nextElementSibling;
    }
    for (const [key, item] of this.items) {
      if (!seen.has(key)) {
        item.remove();
        this.items.delete(key);
      }
    }
    const isWell = !found.length && !state.metrics.unseen;
    if (isWell && !this.well) this.list.append(this.well = h("li", { class: "finding well" }, badge("ok"), h("div", { class: "finding-text" }, h("strong", { text: "Nothing is wrong" }), h("span", { class: "todo", text: " and there is no advice." }))));
    if (!isWell && this.well) {
      this.well.remove();
      this.well = null;
    }
  }

  // The sentence changes as time goes on; the buttons stay the same elements, or a click could miss them.
  showOne(item, one, state) {
    const blamed = one.blamed && state.connections.find((row) => row.connection_id === one.blamed);
    const cancels = blamed && blamed.state === "active" && !isForgotten(blamed, state.readers) && this.context.mayCancel();
    fill(item, `${one.status} ${one.sql} ${one.todo} ${cancels} ${one.blamed} ${one.statement}`, () => {
      const actions = [];
      if (one.sql) actions.push(copyButton(copyLabel(one.sql), one.sql));
      if (cancels) actions.push(h("button", { class: "button danger", "data-focus": "cancel", onclick: () => this.context.cancel(one.blamed) }, "Cancel it…"));
      return [badge(one.status, { now: "right now" }[one.status] || one.status),
        h("div", { class: "finding-text" }, h("strong"), one.todo && h("span", { class: "todo", text: one.todo }),
          one.statement && sqlText(one.statement), one.evidence && h("p", { class: "evidence" })),
        actions.length ? h("div", { class: "actions" }, actions) : null];
    });
    const title = item.querySelector("strong");
    if (title.textContent !== one.title) title.textContent = one.title;
    const evidence = item.querySelector(".evidence");
    if (evidence && evidence.textContent !== one.evidence) evidence.textContent = one.evidence;
  }

  showChecks(state) {
    const rows = state.health.filter((row) => row.check_name !== "overall");
    this.checks.hidden = !rows.length;
    if (!rows.length) return;
    const number = (status) => rows.filter((row) => row.status === status).length;
    const summary = `${plural(rows.length, "check")}: ${["critical", "warning", "ok", "unknown"].filter(number).map((status) => `${number(status)} ${status === "unknown" ? "not known yet" : status}`).join(", ")}`;
    const head = this.checks.firstElementChild;
    if (head.textContent !== summary) head.textContent = summary;
    if (!this.checks.open) return; // they are drawn when it opens
    fill(this.checks.lastElementChild, JSON.stringify(rows.map((row) => [row.status, row.detail])), () => h("ul", {}, rows.map((row) => h("li", {},
      h("span", { class: `shape ${row.status}`, role: "img", "aria-label": row.status, text: kShapes[row.status] }), h("code", { text: row.check_name }), h("span", { text: row.detail })))));
  }
}
