// The charts: one time axis, one cursor and one selection for all of them. uPlot draws the lines.
import { h } from "./dom.js";
import { clock, day, duration, isKnown, moment, unixMs } from "./format.js";

const kSpanMs = { "15m": 900e3, "1d": 86400e3, "90d": 90 * 86400e3 };
const kResolutionMs = { "15m": 1000, "1d": 60e3, "90d": 3600e3 };
const kHeight = 190;

export function cssColor(name, alpha = 1) {
  const value = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  return alpha === 1 ? value : `color-mix(in srgb, ${value} ${alpha * 100}%, transparent)`;
}

function axisTimes(_, splits, __, ___, step) {
  return splits.map((at) => (step >= 86400e3 || (step >= 3600e3 && clock(at, false) === "00:00") ? day(at) : clock(at, step < 60e3)));
}

// What the history counts, as the series of the charts. Where nothing was measured there is a gap, not a zero.
export function seriesOf(columns, span, metrics) {
  const at = (columns.at || []).map(unixMs);
  const page = metrics.page_size || 4096;
  const made = { t: [], wal: [], pending: [], rate: [], mean: [], p99: [], stall: [], log_rate: [], database_rate: [], sync: [] };
  const names = Object.keys(made).slice(1);
  const get = (name, i) => (columns[name] ? columns[name][i] : null);
  const gaps = at.slice(1).map((t, i) => t - at[i]).sort((a, b) => a - b);
  const usual = Math.max(kResolutionMs[span], gaps.length ? gaps[gaps.length >> 1] : 0);
  at.forEach((t, i) => {
    if (i && t - at[i - 1] > 3 * usual) {
      made.t.push(at[i - 1] + usual);
      for (const name of names) made[name].push(null);
    }
    const seconds = Math.max(get("covers_ms", i) || usual, 1) / 1000;
    const commits = get("commits", i);
    const positive = (value) => (value > 0 ? value : null);
    made.t.push(t);
    made.wal.push(span === "15m" ? get("wal_bytes", i) : get("wal_bytes_max", i) ?? get("wal_bytes", i));
    made.pending.push(isKnown(get("pending_frames", i)) ? get("pending_frames", i) * (page + 24) : null);
    made.rate.push(isKnown(commits) ? commits / seconds : null);
    made.mean.push(commits ? positive(get("commit_ms", i) / commits) : null);
    made.p99.push(positive(get("commit_p99_ms", i)));
    made.stall.push(isKnown(get("checkpoint_stall_ms", i)) ? get("checkpoint_stall_ms", i) / seconds : null);
    made.log_rate.push(isKnown(get("frames_written", i)) ? (get("frames_written", i) * (page + 24)) / seconds : null);
    made.database_rate.push(isKnown(get("checkpoint_frames", i)) ? (get("checkpoint_frames", i) * page) / seconds : null);
    made.sync.push(positive(get("sync_p99_ms", i)));
  });
  return made;
}

export class Timeline {
  constructor(onSelect) {
    this.onSelect = onSelect;
    this.charts = [];
    this.span = "15m";
    this.selected = null;
    this.alerts = [];
    this.checkpoints = [];
    this.sync = uPlot.sync("time");
    this.range = [Date.now() - 900e3, Date.now()];
  }

  show(data, now) {
    this.data = data;
    const first = data.t.length ? data.t[0] : now;
    const from = Math.max(now - kSpanMs[this.span], Math.min(first, now - 60 * kResolutionMs[this.span]));
    this.range = this.selected || [from, now];
    for (const chart of this.charts) chart.draw();
  }

  select(range) {
    this.selected = range;
    this.onSelect(range);
  }

  isWithin(ms) {
    return !this.selected || (ms >= this.selected[0] && ms <= this.selected[1]);
  }

  redraw() {
    for (const chart of this.charts) chart.plot?.redraw(false);
  }
}

// Alerts shade their time; each has its shape on top, so that colour is not needed.
function drawAlerts(plot, timeline) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (const alert of timeline.alerts) {
    const from = plot.valToPos(alert.from, "x", true);
    const width = Math.max(plot.valToPos(alert.to, "x", true) - from, 2);
    if (from + width < bbox.left || from > bbox.left + bbox.width) continue;
    ctx.fillStyle = cssColor(alert.status, 0.1);
    ctx.fillRect(from, bbox.top, width, bbox.height);
    ctx.fillStyle = cssColor(alert.status);
    ctx.fillRect(from, bbox.top, width, 2 * devicePixelRatio);
  }
  ctx.restore();
}

const kResultColors = { complete: "green", partial: "orange", busy: "vermillion", failed: "vermillion" };

// Checkpoints stand on the axis: a bar for a complete one, a triangle for a partial one, a cross for one in vain.
function drawCheckpoints(plot, timeline) {
  const { ctx, bbox } = plot;
  const size = 5 * devicePixelRatio;
  const base = bbox.top + bbox.height;
  ctx.save();
  ctx.lineWidth = 1.5 * devicePixelRatio;
  for (const one of timeline.checkpoints) {
    const x = plot.valToPos(one.t, "x", true);
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.strokeStyle = ctx.fillStyle = cssColor(kResultColors[one.result] || "muted");
    ctx.beginPath();
    if (one.result === "complete") {
      ctx.fillRect(x - devicePixelRatio, base - 2 * size, 2 * devicePixelRatio, 2 * size);
    } else if (one.result === "partial") {
      ctx.moveTo(x - size, base);
      ctx.lineTo(x, base - 2 * size);
      ctx.lineTo(x + size, base);
      ctx.closePath();
      ctx.stroke();
    } else {
      ctx.moveTo(x - size, base - 2 * size);
      ctx.lineTo(x + size, base);
      ctx.moveTo(x + size, base - 2 * size);
      ctx.lineTo(x - size, base);
      ctx.stroke();
    }
  }
  ctx.restore();
}

function drawStalls(plot, timeline) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.fillStyle = cssColor("vermillion");
  const { t, stall } = timeline.data;
  for (let i = 0; i < t.length; ++i) {
    if (!(stall[i] > 1)) continue;
    const x = plot.valToPos(t[i], "x", true);
    if (x >= bbox.left && x <= bbox.left + bbox.width) ctx.fillRect(x - devicePixelRatio, bbox.top, 2 * devicePixelRatio, 6 * devicePixelRatio);
  }
  ctx.restore();
}

// The charts share the cursor. A drag belongs to one chart, and the timeline tells the others.
function isMove(type) {
  return type !== "mousedown" && type !== "mouseup";
}

const kMarks = { checkpoints: drawCheckpoints, stalls: drawStalls };

export class Chart {
  // series: {key, label, color, format, scale, fill, dash, constant()}; options: label, scales, axes, mark, notes(t)
  constructor(card, timeline, series, options) {
    this.timeline = timeline;
    this.series = series;
    this.options = options;
    this.legend = h("ul", { class: "legend" }, h("li", { class: "legend-time" }), series.map((one) => h("li", {},
      h("span", { class: `swatch ${one.dash ? "dashed" : ""} ${one.fill ? "filled" : ""}`, style: { "--series": `var(--${one.color})` }, "aria-hidden": "true" }),
      `${one.label} `, h("span", { class: "value" }))), h("li", { class: "legend-note" }));
    this.host = h("div", { class: "plot", tabindex: "0", role: "slider", "aria-label": `${options.label}: the moment shown`,
      "aria-valuemin": "0", "aria-valuemax": "0", "aria-valuenow": "0", onkeydown: (event) => this.key(event), onkeyup: (event) => event.key === "Shift" && this.endSelection(), onblur: () => this.leave() });
    card.append(this.legend, this.host);
    timeline.charts.push(this);
    new ResizeObserver(() => this.resize()).observe(this.host);
  }

  values() {
    const { data } = this.timeline;
    return [data.t, ...this.series.map((one) => {
      if (!one.constant) return data[one.key];
      const value = one.constant();
      return data.t.map(() => value);
    })];
  }

  draw() {
    const values = this.values();
    if (!this.plot) {
      if (!this.host.clientWidth) return;
      this.plot = new uPlot(this.plotOptions(), values, this.host);
    } else {
      this.plot.setData(values, false);
    }
    const [min, max] = this.timeline.range;
    this.plot.setScale("x", { min, max });
    this.say(this.plot.cursor.idx);
  }

  resize() {
    const width = this.host.clientWidth;
    if (!width || !this.timeline.data) return;
    if (!this.plot) this.draw();
    else if (this.plot.width !== width) this.plot.setSize({ width, height: kHeight });
  }

  plotOptions() {
    const { timeline } = this;
    const line = () => cssColor("line");
    const text = () => cssColor("muted");
    const font = "12px system-ui, sans-serif";
    return {
      width: this.host.clientWidth,
      height: kHeight,
      ms: 1,
      padding: [8, 8, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: "time", filters: { pub: isMove, sub: isMove } }, drag: { x: true, y: false, setScale: false }, points: { size: 7 }, y: false },
      scales: { x: { time: true }, ...this.options.scales },
      axes: [
        { stroke: text, font, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1, size: 4 }, values: axisTimes, space: 70, size: 28 },
        ...this.options.axes.map((axis) => ({ stroke: text, font, size: 62, gap: 4, space: 36, ...axis,
          grid: axis.side === 1 ? { show: false } : { stroke: line, width: 1 }, ticks: { show: false } })),
      ],
      series: [{}, ...this.series.map((one) => ({
        scale: one.scale, width: one.width ?? 1.5, spanGaps: false, points: { show: false },
        stroke: () => cssColor(one.color), dash: one.dash, fill: one.fill && (() => cssColor(one.color, one.fill)),
        paths: one.steps ? uPlot.paths.stepped({ align: -1 }) : undefined,
      }))],
      hooks: {
        drawAxes: [(plot) => drawAlerts(plot, timeline)],
        draw: [(plot) => kMarks[this.options.mark]?.(plot, timeline)],
        setCursor: [(plot) => this.say(plot.cursor.idx)],
        setSelect: [(plot) => {
          if (plot.select.width < 4) return;
          const from = plot.posToVal(plot.select.left, "x");
          const to = plot.posToVal(plot.select.left + plot.select.width, "x");
          plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
          timeline.select([from, to]);
        }],
      },
    };
  }

  // The values at the cursor, or the newest.
  say(index) {
    const values = this.values();
    const newest = values[0].length - 1;
    const at = isKnown(index) && index <= newest ? index : newest;
    const t = values[0][at];
    const items = this.legend.children;
    const hovers = isKnown(index);
    this.set(items[0], hovers ? moment(t) : "");
    const spoken = [];
    this.series.forEach((one, i) => {
      let value = values[i + 1][at];
      // The newest sample may not have what is counted more seldom.
      for (let back = at - 1; !hovers && !isKnown(value) && back >= Math.max(0, at - 15); --back) value = values[i + 1][back];
      const text = one.format(value);
      items[i + 1].hidden = one.optional && !values[i + 1].some(isKnown);
      this.set(items[i + 1].lastElementChild, text);
      if (!items[i + 1].hidden) spoken.push(`${one.label} ${text}`);
    });
    const note = hovers && this.options.notes ? this.options.notes(t) : "";
    this.set(items[items.length - 1], note);
    this.host.setAttribute("aria-valuemax", String(Math.max(newest, 0)));
    this.host.setAttribute("aria-valuenow", String(Math.max(at, 0)));
    this.host.setAttribute("aria-valuetext", newest < 0 ? "nothing measured yet" : [moment(t), ...spoken, note].filter(Boolean).join(", "));
  }

  set(node, text) {
    if (node.textContent !== text) node.textContent = text;
  }

  key(event) {
    const { plot } = this;
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30, Home: -Infinity, End: Infinity }[event.key];
    if (!plot || step === undefined || !this.timeline.data.t.length) return;
    event.preventDefault();
    const { t } = this.timeline.data;
    const now = isKnown(plot.cursor.idx) ? plot.cursor.idx : t.length - 1;
    const to = Math.max(t.findIndex((at) => at >= this.timeline.range[0]), Math.min(t.length - 1, now + step));
    for (const chart of this.timeline.charts) chart.plot?.setCursor({ left: chart.plot.valToPos(t[to], "x"), top: kHeight / 2 });
    if (!event.shiftKey) return;
    this.selecting = [this.selecting ? this.selecting[0] : t[now], t[to]];
    const [left, right] = this.selecting.map((at) => plot.valToPos(at, "x")).sort((a, b) => a - b);
    plot.setSelect({ left, width: right - left, top: 0, height: plot.over.clientHeight }, false);
  }

  // The time from where Shift was pressed to the cursor is selected when Shift is let go.
  endSelection() {
    const range = this.selecting?.sort((a, b) => a - b);
    this.selecting = null;
    this.plot?.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    if (range && range[0] < range[1]) this.timeline.select(range);
  }

  leave() {
    this.selecting = null;
    this.plot?.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    for (const chart of this.timeline.charts) chart.plot?.setCursor({ left: -10, top: -10 });
  }
}

export function checkpointNote(timeline) {
  return (t) => {
    const step = kResolutionMs[timeline.span];
    const near = timeline.checkpoints.filter((one) => one.t > t - step && one.t <= t);
    if (!near.length) return "";
    if (near.length > 1) return `${near.length} checkpoints`;
    return `checkpoint ${near[0].result}, ${near[0].moved} frames in ${duration(near[0].ms)}`;
  };
}
