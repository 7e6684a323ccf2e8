// Waits, connections, checkpoints and disk.
import { badge, cardHead, copyButton, fill, h, openDialog, sqlText, timeElement } from "./dom.js";
import { isForgotten, nameOf, nameWithPid, pins, waitsByHolder } from "./findings.js";
import { ago, bytes, count, duration, isKnown, plural, share, unixMs } from "./format.js";
import { Table } from "./table.js";

const kHolds = { checkpoint: "keeps frames from being copied", reset: "keeps the log from starting over" };

export class Waits {
  constructor(card, context) {
    this.figure = cardHead(card, 3, "Waits", context.about.sql.waits);
    this.tree = h("div", { class: "tree" });
    this.last = h("div", { class: "last-waits", tabindex: "0", role: "group", "aria-label": "Last waits" });
    card.append(this.tree, h("h3", { text: "Last waits" }), this.last);
    this.context = context;
  }

  clear() {
    this.figure.textContent = "";
    for (const part of [this.tree, this.last]) fill(part, "", () => []);
  }

  show(state, timeline) {
    const { connections, readers, metrics } = state;
    const waiting = connections.filter((one) => one.waiting_for);
    const staying = pins(readers).filter((one) => one.blocks === "checkpoint" || !(one.transaction_ms < 200)); // others come and go
    this.figure.textContent = metrics.lock_waits ? `${plural(metrics.lock_waits, "wait")} · p99 of all ${duration(metrics.lock_wait_p99_ms)} · ${plural(metrics.busy_errors + metrics.snapshot_conflicts, "error")}` : "";
    const unseen = this.context.unseen();
    const key = JSON.stringify([unseen, waiting.map((one) => [one.connection_id, one.blocked_by, Math.round(one.waiting_ms / 100)]), staying.map((one) => [one.connection_id, one.blocks, one.lag_frames, Math.round((one.transaction_ms || 0) / 1000)])]);
    fill(this.tree, key, () => {
      const items = [];
      for (const { id, holder, waiters } of waitsByHolder(connections)) {
        items.push(h("li", {}, h("strong", { text: holder ? nameWithPid(holder) : String(id) === "pid null" ? "a holder that is not known, or has just gone" : String(id) }),
          h("span", { class: "muted", text: holder ? ` ${holder.state || "state not known"}${holder.transaction_ms ? `, transaction open for ${duration(holder.transaction_ms)}` : ""}` : String(id) === "pid null" ? "" : " without walmanager" }),
          holder?.query && sqlText(holder.query),
          h("ul", {}, waiters.map((one) => h("li", {}, h("strong", { text: nameWithPid(one) }), h("span", { class: "waits", text: ` waits ${duration(one.waiting_ms)} for the ${one.waiting_for} lock` }), one.query && sqlText(one.query))))));
      }
      for (const one of staying) {
        items.push(h("li", {}, h("strong", { text: nameWithPid(one) }),
          h("span", { class: "waits", text: ` ${kHolds[one.blocks]}${one.transaction_ms ? ` since ${duration(one.transaction_ms)}` : ""}` }),
          h("span", { class: "muted", text: ` ${one.verdict || ""}${one.others ? `, or ${plural(one.others, "other connection")} of its process` : ""} · ${plural(one.lag_frames, "frame")} behind` }), one.query && sqlText(one.query)));
      }
      return items.length ? h("ul", {}, items) : h("p", { class: "empty", text: unseen || "Nobody waits now. A statement that waits for another one's lock appears here with its holder, and so does a reader that holds the log." });
    });
    const rows = state.lock_waits.filter((row) => timeline.isWithin(unixMs(row.at))).slice(0, 10);
    fill(this.last, `${unseen} ${timeline.selected ? "selected" : "all"} ${rows.map((row) => row.id)}`, () => (rows.length ? h("ul", { class: "lines" }, rows.map((row) => h("li", {},
      timeElement(unixMs(row.at)), h("span", {}, h("strong", { text: nameWithPid(row) }), ` waited ${duration(row.waited_ms)} for ${row.lock}, `,
        h("span", { class: row.outcome === "acquired" ? "muted" : "loud", text: { acquired: "and got it", busy: "and failed: database is locked", snapshot: "and failed: another connection had committed" }[row.outcome] || row.outcome }),
        row.holder_state || row.holder_pid ? h("span", { class: "muted", text: `; held by ${nameWithPid({ application: row.holder_application, pid: row.holder_pid })}${row.holder_state ? `, ${row.holder_state}` : ""}` }) : null,
        row.query && sqlText(row.query)))))
      : h("p", { class: "empty", text: unseen || timeline.selected ? unseen || "No wait in the selected time." : "No wait of 100 ms (lock_wait_ms) or more, and none that failed." })));
  }
}

export class Connections {
  constructor(card, context) {
    this.context = context;
    this.figure = cardHead(card, 6, "Connections", context.about.sql.connections);
    this.table = new Table([
      { title: "Connection", fill: (cell, row) => fill(cell, `${row.application} ${row.process} ${row.pid} ${row.role}`, () => [h("strong", { text: nameOf(row) }), h("span", { class: "sub", text: `${row.pid ? `pid ${row.pid}` : "of another namespace"}${row.role === "application" ? "" : ` · ${row.role}`}` })]) },
      { title: "Age", align: "right", class: "hide-narrow", fill: (cell, row) => { cell.textContent = duration(Date.now() - context.skew - unixMs(row.opened_at)).replace(/ \d+ s$/, ""); cell.title = `since ${row.opened_at} UTC`; } },
      { title: "State", fill: (cell, row) => this.fillState(cell, row) },
      { title: "Commits", align: "right", class: "hide-narrow", text: (row) => count(row.commits) },
      { title: "Statement", class: "statement hide-narrow", fill: (cell, row) => fill(cell, row.query || "", () => (row.query ? h("code", { text: row.query, title: row.query }) : h("span", { class: "muted", text: "–" }))) },
      { title: "", align: "right", class: "cancel-cell", fill: (cell, row) => fill(cell, `${this.offers(row)} ${row.connection_id}`, () => (this.offers(row) ? h("button", { class: "button danger small", "data-focus": "cancel", "aria-label": `Cancel the statement of ${nameOf(row)}`, onclick: (event) => { event.stopPropagation(); context.cancel(row.connection_id); } }, "Cancel…") : null)) },
    ], { label: "Connections", key: (row) => row.connection_id, open: (row) => this.open(row) });
    this.table.heads[5].append(h("span", { class: "offscreen", text: "Action" }));
    card.append(this.table.node);
  }

  clear() {
    this.figure.textContent = "";
    this.table.show([], "");
  }

  cancels(row) {
    return row.role === "application" && row.state === "active" && this.context.mayCancel();
  }

  // The row of a forgotten cursor has no button; its dialog has one, and says what a cancel does there.
  offers(row) {
    return this.cancels(row) && !isForgotten(row, this.readers);
  }

  fillState(cell, row) {
    const waits = row.waiting_for ? `waits for ${row.waiting_for}` : null;
    const progress = row.pages_total ? `${share(row.pages_done / row.pages_total)} copied` : null;
    const word = waits || progress || row.state || (row.trace === "active" ? "–" : `not measured (trace ${row.trace})`);
    const time = waits ? row.waiting_ms : row.transaction_ms ?? row.query_ms;
    const text = `${word}${isKnown(time) && word !== "idle" ? ` · ${duration(time)}` : ""}`;
    const kept = isKnown(row.still_ms) ? `no row fetched for ${duration(row.still_ms)}` : row.transaction_state && row.transaction_state !== "none" ? `${row.transaction_state} transaction` : "";
    if (!cell.firstChild) cell.append(h("span", {}), h("span", { class: "sub" }));
    if (cell.firstChild.textContent !== text) cell.firstChild.textContent = text;
    cell.firstChild.className = waits || row.still_ms > 1000 || row.state === "idle in transaction" ? "loud" : "";
    if (cell.lastChild.textContent !== kept) cell.lastChild.textContent = kept;
  }

  show(state) {
    const rows = state.connections;
    this.readers = state.readers;
    const programs = rows.filter((row) => row.role === "application");
    const busy = programs.filter((row) => row.state && row.state !== "idle").length;
    this.figure.textContent = rows.length ? `${plural(programs.length, "connection")} · ${busy} not idle` : "";
    this.table.show(rows, this.context.unseen() || "No connection with walmanager loaded is open. A program's connection appears here as soon as it loads the extension.");
  }

  open(row) {
    const fact = (name, value) => h("div", { class: "fact" }, h("dt", { text: name }), h("dd", {}, value));
    openDialog(`Connection ${row.connection_id}`,
      row.query ? h("pre", { class: "block", tabindex: "0" }, h("code", { text: row.query })) : null,
      h("dl", { class: "facts-grid" }, fact("application", row.application || "–"), fact("process", `${row.process || "–"}${row.pid ? ` (pid ${row.pid})` : ""}`), fact("state", row.state || "–"),
        fact("transaction", row.transaction_state ? `${row.transaction_state}${row.transaction_ms ? ` · ${duration(row.transaction_ms)}` : ""}` : "–"), fact("statements", count(row.statements)), fact("rows", count(row.rows)),
        fact("commits", count(row.commits)), fact("rollbacks", count(row.rollbacks)), fact("from cache", share(row.cache_hit_ratio)), fact("SQLite", row.sqlite_version || "–"),
        fact("opened", timeElement(unixMs(row.opened_at))), fact("last active", row.last_active_at ? timeElement(unixMs(row.last_active_at)) : "–")),
      h("div", { class: "actions" }, copyButton("Copy SQL for its row", `SELECT * FROM connection_metrics WHERE connection_id = ${row.connection_id};`),
        this.cancels(row) ? h("button", { class: "button danger", onclick: () => this.context.cancel(row.connection_id) }, "Cancel its statement…") : null));
  }
}

const kResults = { complete: "ok", partial: "warning", busy: "critical", failed: "critical" };

export class Checkpoints {
  constructor(card, context) {
    this.context = context;
    this.figure = cardHead(card, 7, "Checkpoints", context.about.sql.checkpoints);
    this.table = new Table([
      { title: "At", fill: (cell, row) => fill(cell, String(row.id), () => timeElement(unixMs(row.at), true, false)) },
      { title: "Result", fill: (cell, row) => fill(cell, `${row.result}`, () => badge(kResults[row.result] || "unknown", row.result)) },
      { title: "Frames", align: "right", text: (row) => count(row.moved_frames) },
      { title: "Time", align: "right", text: (row) => duration(row.duration_ms) },
      { title: "Why", class: "statement", fill: (cell, row) => fill(cell, String(row.id), () => h("span", { title: row.error || "", text: row.error || `${row.rule || row.origin}${row.rule ? `, ${row.origin}` : ""}` })) },
    ], { label: "Checkpoints", key: (row) => row.id, open: (row) => this.open(row) });
    card.append(this.table.node);
  }

  clear() {
    this.figure.textContent = "";
    this.table.show([], "");
  }

  show(state, timeline) {
    const { metrics } = state;
    this.figure.textContent = metrics.checkpoints ? `${plural(metrics.checkpoints, "checkpoint")} · p95 of all ${duration(metrics.checkpoint_p95_ms)}` : "";
    const from = timeline.selected ? timeline.allCheckpoints || state.checkpoints : state.checkpoints;
    this.table.show(from.filter((row) => timeline.isWithin(unixMs(row.at))).slice(0, 60),
      this.context.unseen() || (timeline.selected ? "No checkpoint in the selected time." : "No checkpoint yet. The first one runs when the log has reached some frames."));
  }

  open(row) {
    openDialog(`Checkpoint ${row.id}`, h("dl", { class: "facts-grid" }, Object.entries({ at: timeElement(unixMs(row.at)), result: row.result, mode: row.mode, started_by: row.origin, rule: row.rule || "–",
      log: plural(row.wal_frames, "frame"), copied: plural(row.moved_frames, "frame"), in_the_database: plural(row.checkpointed_frames, "frame"), took: duration(row.duration_ms), file: bytes(row.wal_bytes), pid: row.pid ?? "–", blocked_by_pid: row.blocked_by_pid ?? "–" })
      .map(([name, value]) => h("div", { class: "fact" }, h("dt", { text: name.replaceAll("_", " ") }), h("dd", {}, typeof value === "object" ? value : String(value))))),
    row.error ? h("p", { class: "loud", text: row.error }) : null);
  }
}

export class Disk {
  constructor(card, context) {
    this.figure = cardHead(card, 4, "Disk", context.about.sql.disk);
    this.card = card;
  }

  // The chart stands between the head and these facts.
  finish() {
    this.facts = h("dl", { class: "facts-grid" });
    this.more = h("div", {});
    this.card.append(this.facts, this.more);
  }

  clear() {
    this.figure.textContent = "";
    for (const part of [this.facts, this.more]) fill(part, "", () => []);
  }

  show(state) {
    const { metrics, storage, trends } = state;
    if (!metrics.page_size) return;
    this.figure.textContent = storage.file_system_free_bytes ? `${bytes(storage.file_system_free_bytes)} free` : "";
    const growth = trends.find((row) => row.metric === "database_bytes" && row.period === "day") || trends.find((row) => row.metric === "database_bytes" && row.period === "hour");
    const empty = storage.page_count ? storage.freelist_pages / storage.page_count : null;
    const sync = (storage.io || []).filter((row) => isKnown(row.sync_p99_ms)).map((row) => row.sync_p99_ms);
    const values = [
      ["database", bytes(metrics.database_bytes)],
      ["grows", growth && isKnown(growth.slope_per_hour) ? `${bytes(growth.slope_per_hour)}/h` : "–"],
      ["empty pages", isKnown(empty) ? `${share(empty)}` : "–"],
      ["log, largest", bytes(metrics.wal_bytes_max)],
      ["file system", storage.file_system || "–"],
      ["last backup", storage.backup_at ? ago(unixMs(storage.backup_at)) : "never"],
      ["last integrity check", storage.integrity_at ? `${ago(unixMs(storage.integrity_at))}, ${storage.integrity_findings ? plural(storage.integrity_findings, "finding") : "ok"}` : "never"],
      ...(sync.length ? [["sync p99 of all", duration(Math.max(...sync))]] : []),
    ];
    fill(this.facts, JSON.stringify(values), () => values.map(([name, value]) => h("div", { class: "fact" }, h("dt", { text: name }), h("dd", { text: value }))));
    const unused = storage.unused_indexes || [];
    fill(this.more, JSON.stringify([unused, growth?.forecast]), () => [growth?.forecast ? h("p", { class: "muted", text: growth.forecast }) : null,
      unused.length ? h("details", { class: "checks" }, h("summary", { text: `${plural(unused.length, "index", "indexes")} that nothing seen needs` }), h("ul", { class: "lines" }, unused.map((row) => h("li", {}, h("span", {}, h("code", { text: row.index_name }), ` on ${row.table_name}: ${row.reason}`), copyButton("Copy DROP INDEX", row.sql_to_run, { class: "button small" }))))) : null].filter(Boolean));
  }
}
