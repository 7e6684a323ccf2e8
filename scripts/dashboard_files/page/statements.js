// The statements by what they cost, their times as a picture, and one of them in detail.
import { cardHead, copyButton, fill, h, openDialog, svg, timeElement } from "./dom.js";
import { bytes, count, duration, isKnown, plural, share, unixMs } from "./format.js";
import { Table } from "./table.js";

export const kFirstOrder = "total_ms";
const kTrend = 40; // looks that the trend goes back

function logPosition(ms, low, high) {
  return ((Math.log(Math.max(ms, low)) - Math.log(low)) / (Math.log(high) - Math.log(low))) * 100;
}

// Shortest to longest as a line, the middle half of the picture as a bar from p50 to p99, on a logarithmic axis from 1 µs to 10 s.
function timesPicture(row) {
  if (!isKnown(row.p50_ms)) return h("span", { text: "–" });
  const at = (ms) => logPosition(ms, 0.001, 10000);
  return svg("svg", { class: "times", viewBox: "0 0 100 16", preserveAspectRatio: "none", role: "img",
    "aria-label": `median ${duration(row.p50_ms)}, 95 % within ${duration(row.p95_ms)}, 99 % within ${duration(row.p99_ms)}, longest ${duration(row.max_ms)}` },
  [1, 2, 3, 4, 5, 6].map((i) => svg("line", { x1: (i * 100) / 7, x2: (i * 100) / 7, y1: 0, y2: 16, class: "times-grid" })),
  svg("line", { x1: at(row.min_ms), x2: at(row.max_ms), y1: 8, y2: 8, class: "times-range" }),
  svg("rect", { x: at(row.p50_ms), width: Math.max(at(row.p99_ms) - at(row.p50_ms), 1), y: 4, height: 8, class: "times-body" }),
  svg("line", { x1: at(row.p95_ms), x2: at(row.p95_ms), y1: 2, y2: 14, class: "times-p95" }));
}

function trendPicture(points) {
  const known = points.filter(isKnown);
  if (known.length < 3) return h("span", { class: "muted", text: "…" });
  const high = Math.max(...known) || 1;
  const step = 60 / (kTrend - 1);
  const path = points.map((value, i) => `${i ? "L" : "M"}${((kTrend - points.length + i) * step).toFixed(1)} ${(15 - (13 * (value || 0)) / high).toFixed(1)}`).join("");
  const half = known.length >> 1;
  const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
  const before = mean(known.slice(0, half));
  const after = mean(known.slice(half));
  const word = after > 1.25 * before ? "rising" : after < 0.8 * before ? "falling" : "steady";
  return h("span", { class: "trend" }, svg("svg", { viewBox: "0 0 60 16", class: "spark", "aria-hidden": "true" }, svg("path", { d: path })),
    h("span", { class: "arrow", title: word, role: "img", "aria-label": word, text: { rising: "↗", falling: "↘", steady: "→" }[word] }));
}

function histogramPicture(buckets) {
  const most = Math.max(...buckets.map((one) => one[1]));
  const width = 640 / buckets.length;
  // A root, so that the few long ones can be seen beside the many short ones.
  const height = (number) => Math.max(116 * Math.sqrt(number / most), 2);
  return h("figure", { class: "histogram" }, svg("svg", { viewBox: "0 0 640 120", role: "img", preserveAspectRatio: "none",
    "aria-label": `Executions by their time: ${buckets.filter((one) => one[1]).length} classes, most often up to ${duration(buckets.find((one) => one[1] === most)[0])}` },
  buckets.map(([upper, number], i) => number > 0 && svg("rect", { x: i * width + 0.5, width: Math.max(width - 1, 1), y: 118 - height(number), height: height(number) },
    svg("title", { text: `up to ${duration(upper)}: ${count(number)}` })))),
  h("figcaption", {}, h("span", { text: duration(buckets[0][0]) }), h("span", { text: "executions by their time (height: square root of their number)" }), h("span", { text: duration(buckets[buckets.length - 1][0]) })));
}

export class Statements {
  constructor(card, context) {
    this.context = context;
    this.order = kFirstOrder;
    this.search = "";
    this.trends = new Map();
    this.figure = cardHead(card, 5, "Statements", context.about.sql.statements);
    this.input = h("input", { type: "search", id: "search", placeholder: "Search statements ( / )", "aria-label": "Search statements", maxlength: "200",
      oninput: () => { clearTimeout(this.timer); this.timer = setTimeout(() => { this.search = this.input.value.trim(); this.ask(); }, 150); } });
    card.querySelector(".card-head").insertBefore(this.input, card.querySelector(".link"));
    const number = (title, key, text, about, hides) => ({ title, sort: key, align: "right", text, about, class: hides });
    this.table = new Table([
      { title: "Total", sort: "total_ms", class: "share-cell", about: "share of the time of all statements", fill: (cell, row) => this.fillShare(cell, row) },
      number("Calls", "calls", (row) => count(row.calls), "executions", "hide-narrow"),
      number("Mean", "mean_ms", (row) => duration(row.mean_ms), "mean time of an execution"),
      { title: "Times", class: "hide-narrow", about: "1 µs to 10 s: line from the shortest to the longest, bar from the median to p99, tick at p95", fill: (cell, row) => fill(cell, `${row.min_ms} ${row.p50_ms} ${row.p95_ms} ${row.p99_ms} ${row.max_ms}`, () => timesPicture(row)) },
      number("p95", "p95_ms", (row) => duration(row.p95_ms), "95 of 100 executions took less", "hide-narrow"),
      number("Rows", "rows", (row) => count(row.rows), "rows returned or changed", "hide-narrow"),
      { title: "Scans", sort: "fullscan_steps", align: "right", class: "hide-narrow", about: "rows stepped over in full scans of tables", fill: (cell, row) => { cell.textContent = count(row.fullscan_steps); cell.classList.toggle("loud", row.fullscan_steps > 20 * Math.max(row.rows, 1) && row.fullscan_steps > 10000); } },
      { title: "Trend", class: "hide-narrow", about: "mean time since the page was opened", fill: (cell, row) => { const points = this.trends.get(row.query_id)?.points || []; fill(cell, points.join(), () => trendPicture(points)); } },
      { title: "Statement", sort: "query", class: "statement", fill: (cell, row) => fill(cell, row.query, () => h("code", { text: row.query, title: row.query })) },
    ], { label: "Statements", key: (row) => row.query_id || row.query, open: (row) => this.open(row), order: this.order, sort: (order) => { this.order = order; this.ask(); } });
    this.more = h("p", { class: "card-foot" });
    card.append(this.table.node, this.more);
  }

  fillShare(cell, row) {
    const part = this.total > 0 ? row.total_ms / this.total : null;
    if (!cell.firstChild) cell.append(h("span", { class: "bar", "aria-hidden": "true" }, h("span", {})), h("span", { class: "bar-text" }));
    cell.firstChild.firstChild.style.width = `${Math.min(100, (part || 0) * 100)}%`;
    const text = share(part);
    if (cell.lastChild.textContent !== text) cell.lastChild.textContent = text;
    cell.title = duration(row.total_ms);
  }

  clear() {
    this.trends.clear();
    this.shown = null;
    this.figure.textContent = this.more.textContent = "";
    this.table.show([], "");
  }

  async ask() {
    const { db } = this.context;
    if (db === null) return;
    try {
      const answer = await this.context.feed.statements(db, this.order, this.search);
      if (db === this.context.db) this.show(answer);
    } catch (error) {
      if (db === this.context.db && !this.shown) this.table.show([], String(error.message));
    }
  }

  show(answer) {
    this.shown = answer;
    this.total = answer.total_ms;
    for (const row of answer.rows) {
      const known = this.trends.get(row.query_id) || { points: [] };
      const calls = row.calls - known.calls;
      if (known.calls !== undefined) known.points.push(calls > 0 ? (row.total_ms - known.total) / calls : null);
      if (known.points.length > kTrend) known.points.shift();
      this.trends.set(row.query_id, { points: known.points, calls: row.calls, total: row.total_ms });
    }
    this.figure.textContent = this.context.unseen() ? "" : `${plural(answer.statements, "shape")} · ${plural(answer.calls || 0, "call")} · ${duration(answer.total_ms || 0)}`;
    this.table.show(answer.rows, this.search ? `No statement contains “${this.search}”.`
      : this.context.unseen() || "No statement yet. What programs run with walmanager loaded appears here, with its times, its rows and its plan.");
    this.more.textContent = answer.found > answer.rows.length ? `The first ${count(answer.rows.length)} of ${count(answer.found)}. Search or sort to see others.` : "";
  }

  async open(row) {
    if (!row.query_id) return;
    let one;
    try {
      one = await this.context.feed.statement(this.context.db, row.query_id);
    } catch (error) {
      openDialog("Statement", h("p", { text: error.message }));
      return;
    }
    if (!one) return openDialog("Statement", h("p", { text: "The statement has made room for others meanwhile." }));
    const fact = (name, value, about) => h("div", { class: "fact", title: about }, h("dt", { text: name }), h("dd", {}, value));
    const pages = (one.cache_hits || 0) + (one.cache_misses || 0);
    openDialog("Statement",
      h("pre", { class: "block", tabindex: "0" }, h("code", { text: one.query })),
      h("div", { class: "actions" }, copyButton("Copy the statement", one.query), copyButton("Copy SQL for its row", `SELECT *, plan FROM query_performance WHERE query_id = '${one.query_id}';`)),
      h("dl", { class: "facts-grid" },
        fact("calls", count(one.calls)), fact("total", duration(one.total_ms)), fact("mean", duration(one.mean_ms)), fact("median", duration(one.p50_ms)),
        fact("p95", duration(one.p95_ms)), fact("p99", duration(one.p99_ms)), fact("longest", duration(one.max_ms)), fact("slow calls", count(one.slow_calls)),
        fact("rows", count(one.rows)), fact("scanned", count(one.fullscan_steps)), fact("sorts", count(one.sorts)), fact("from cache", pages ? share(one.cache_hits / pages) : "–"),
        fact("frames written", count(one.wal_frames)), fact("waited for locks", duration(one.lock_wait_ms)), fact("locked errors", count((one.busy_errors || 0) + (one.snapshot_conflicts || 0))),
        fact("first seen", timeElement(unixMs(one.first_seen))), fact("last seen", timeElement(unixMs(one.last_seen)))),
      one.histogram && one.histogram.length ? histogramPicture(one.histogram) : null,
      h("h3", { text: "Plan" }),
      one.plan ? h("pre", { class: "block", tabindex: "0" }, h("code", { text: one.plan }))
        : h("p", { class: "muted", text: one.notKept ? "The report has the plans of the first statements only." : one.plan === "" || one.kind === "transaction" ? "It reads no table." : "Not known: plans are made in the background, some seconds after a statement was first seen." }),
      ...(one.indexes || []).flatMap((index) => [h("h3", { text: `An index on ${index.table_name} (${index.columns}) would serve it` }),
        h("pre", { class: "block", tabindex: "0" }, h("code", { text: `${index.sql_to_run};\n\n${index.plan_after}` })),
        h("div", { class: "actions" }, copyButton("Copy CREATE INDEX", index.sql_to_run))]));
  }
}
