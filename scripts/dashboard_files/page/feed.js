// Where the page's data comes from: the running dashboard, or the report that it was saved in.

const kPaths = {
  history: (db, span) => `history?db=${db}&span=${span}`,
  statements: (db, order, search) => `statements?${new URLSearchParams({ db, order, search })}`,
};

export class LiveFeed {
  constructor(known) {
    this.about = known.about;
    this.first = known.sections; // of the database, if it is the only one
    this.stream = null;
    this.ahead = new Map();
  }

  // Asks for what the page will ask for first. The answers come while it is being built. `db` is null for the overview.
  expect(db, span, order) {
    this.view = { view: db ?? "overview" };
    this.connect();
    if (db === null || document.hidden) return;
    for (const path of [kPaths.history(db, span), kPaths.statements(db, order, "")]) this.ahead.set(path, this.ask(path));
  }

  json(path) {
    const answer = this.ahead.get(path) || this.ask(path);
    this.ahead.delete(path);
    return answer;
  }

  async ask(path) {
    const answer = await fetch(path, { credentials: "same-origin" });
    if (!answer.ok) throw new Error((await answer.text()).trim());
    const value = await answer.json();
    if (value && value.error) throw new Error(value.error);
    return value;
  }

  history(...asked) { return this.json(kPaths.history(...asked)); }
  statements(...asked) { return this.json(kPaths.statements(...asked)); }
  statement(db, id) { return this.json(`statement?${new URLSearchParams({ db, id })}`); }

  async cancel(db, connection, query, running) {
    const answer = await fetch("cancel", { method: "POST", credentials: "same-origin", headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ db, connection_id: connection, query, running_ms: running }) });
    if (!answer.ok) return { error: (await answer.text()).trim() };
    return answer.json();
  }

  // Calls back with the changed sections. While the page is hidden nothing is asked, and so nothing is read.
  watch(view, changed, lost) {
    const isConnected = this.stream && this.view.view === view && !this.view.changed;
    this.view = { view, changed, lost };
    if (!isConnected) this.connect();
    if (view === 0 && this.first.metrics) changed(this.first);
    this.first = {};
    if (!this.listens) {
      this.listens = true;
      document.addEventListener("visibilitychange", () => this.connect());
    }
  }

  connect() {
    this.stream?.close();
    this.stream = null;
    if (document.hidden || !this.view) return;
    const stream = new EventSource(`stream?db=${this.view.view}`);
    this.stream = stream;
    stream.onmessage = (event) => {
      if (stream !== this.stream) return;
      this.view.lost(null);
      this.view.changed(JSON.parse(event.data));
    };
    stream.onerror = () => {
      if (stream !== this.stream) return;
      this.view.lost(Date.now());
      if (stream.readyState === EventSource.CLOSED) setTimeout(() => stream === this.stream && this.connect(), 3000);
    };
  }
}

export class FrozenFeed {
  constructor(data) {
    this.data = data;
    this.about = data.about;
    this.madeAt = data.made_at;
  }

  expect() {}

  async history(db, span) {
    const known = this.data.databases[db].histories;
    if (!known) throw new Error("The report has no history of it.");
    return known[span];
  }

  async statements(db, order, search) {
    const { sections } = this.data.databases[db];
    if (sections.state && sections.state.state !== "ok") throw new Error(sections.state.said);
    const all = this.data.databases[db].statements || { rows: [], found: 0, statements: 0, total_ms: 0, calls: 0 };
    const rows = all.rows.filter((row) => row.query.toLowerCase().includes(search.toLowerCase()));
    rows.sort((a, b) => (order === "query" ? (a.query < b.query ? -1 : 1) : order === "last_seen" ? (a.last_seen > b.last_seen ? -1 : 1) : (b[order] ?? -1) - (a[order] ?? -1)));
    return { ...all, rows, found: search ? rows.length : all.found };
  }

  async statement(db, id) {
    const known = this.data.databases[db];
    const row = known.statements.rows.find((one) => one.query_id === id);
    return known.details[id] || (row && { ...row, indexes: [], notKept: true });
  }

  watch(view, changed) {
    changed(view === "overview" ? { overview: this.data.overview } : this.data.databases[view].sections);
  }
}
