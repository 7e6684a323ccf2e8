// Several databases: the one that needs somebody first.
import { badge, fill, h } from "./dom.js";
import { bytes, count, duration, isKnown, plural, rate } from "./format.js";
import { Table } from "./table.js";

const kWords = { unknown: "…", missing: "no file", corrupt: "corrupt", unreadable: "cannot be read" };

export function statusOf(row) {
  if (row.state === "unknown") return "unknown"; // it has not been read yet
  if (row.state !== "ok") return "critical";
  if (row.unseen || !row.processes) return "unknown"; // its alerts are of the time when it was in use
  return row.critical ? "critical" : row.warnings ? "warning" : "ok";
}

const kWeight = { critical: 3e6, warning: 2e6, ok: 1e6, unknown: 0 };

export function weightOf(row) {
  if (row.unseen) return kWeight.ok + 5e5;
  const full = row.wal_limit_bytes ? Math.min(9, row.wal_bytes / row.wal_limit_bytes) : 0;
  return kWeight[statusOf(row)] + 1e5 * Math.min(9, (row.critical || 0) * 3 + (row.warnings || 0)) + 1e4 * Math.floor(full * 10) / 10;
}

export class Overview {
  constructor(card, open) {
    this.rates = new Map();
    this.title = h("h2", { id: "overview-title" });
    const number = (title, text, hides) => ({ title, align: "right", text, class: hides });
    this.table = new Table([
      { title: "Status", fill: (cell, row) => fill(cell, `${statusOf(row)} ${row.critical} ${row.warnings} ${row.state} ${row.unseen}`, () => badge(statusOf(row), kWords[row.state] || (row.unseen ? "cannot be seen" : !row.processes ? "not in use" : row.critical ? plural(row.critical, "critical alert") : row.warnings ? plural(row.warnings, "warning") : "ok"))) },
      { title: "Database", fill: (cell, row) => fill(cell, `${row.name} ${row.said || row.unseen}`, () => [h("a", { href: `#${row.number}`, text: row.name, title: row.path, onclick: (event) => event.stopPropagation() }), row.said || row.unseen ? h("span", { class: "sub said", text: row.said || row.unseen }) : null].filter(Boolean)) },
      { title: "Log", class: "log-cell", fill: (cell, row) => this.fillLog(cell, row) },
      number("Commits", (row) => rate(this.rates.get(row.number)?.rate)),
      number("p99 of all", (row) => duration(row.commit_p99_ms), "hide-narrow"),
      number("Readers", (row) => count(row.active_readers), "hide-narrow"),
      number("Processes", (row) => count(row.processes), "hide-narrow"),
      number("Size", (row) => bytes(row.database_bytes), "hide-narrow"),
    ], { label: "Databases", key: (row) => row.number, open });
    card.append(h("div", { class: "card-head" }, this.title), this.table.node, h("p", { class: "card-foot", text: "Alerts decide the order, then how full the log is." }));
  }

  fillLog(cell, row) {
    const part = row.wal_limit_bytes ? row.wal_bytes / row.wal_limit_bytes : null;
    if (!cell.firstChild) cell.append(h("span", { class: "bar", "aria-hidden": "true" }, h("span", {})), h("span", { class: "bar-text" }));
    cell.firstChild.firstChild.style.width = `${Math.min(100, (part || 0) * 100)}%`;
    cell.firstChild.firstChild.classList.toggle("over", part > 1);
    cell.lastChild.textContent = isKnown(part) ? `${bytes(row.wal_bytes)} of ${bytes(row.wal_limit_bytes)}` : "–";
  }

  clear() {
    this.rates.clear();
    this.title.textContent = "";
    this.table.show([], "");
  }

  show(rows) {
    if (!rows.length) return; // none has been read yet
    for (const row of rows) {
      const known = this.rates.get(row.number);
      if (known && row.at > known.at) this.rates.set(row.number, { at: row.at, commits: row.commits, rate: isKnown(row.commits) && isKnown(known.commits) ? Math.max(0, row.commits - known.commits) / ((row.at - known.at) / 1000) : null });
      else if (!known) this.rates.set(row.number, { at: row.at, commits: row.commits, rate: null });
    }
    const sorted = [...rows].sort((a, b) => weightOf(b) - weightOf(a) || a.name.localeCompare(b.name));
    this.table.show(sorted, "");
    const need = sorted.filter((row) => row.unseen || ["critical", "warning"].includes(statusOf(row))).length;
    this.title.textContent = `${plural(rows.length, "database")}, ${need ? `${need} to look at` : "nothing to look at"}`;
  }
}
