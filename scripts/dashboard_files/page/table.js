// A table whose rows stay in place while their numbers change. Arrow keys move, Enter opens.
import { fill, h } from "./dom.js";

export class Table {
  // columns: {name, title, align, fill(cell, row) | text(row), sort}; options: label, key(row), open(row), sort(order), order, empty
  constructor(columns, options) {
    this.columns = columns;
    this.options = options;
    this.rows = new Map();
    this.heads = columns.map((column) => this.head(column));
    this.body = h("tbody");
    this.table = h("table", {}, h("caption", { class: "offscreen", text: options.label }), h("thead", {}, h("tr", {}, this.heads)), this.body);
    this.empty = h("p", { class: "empty" });
    this.node = h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": `Table of ${options.label.toLowerCase()}` }, this.table, this.empty);
    this.body.addEventListener("keydown", (event) => this.key(event));
    this.mark();
  }

  head(column) {
    const content = column.sort
      ? h("button", { class: "sort", onclick: () => { this.options.order = column.sort; this.mark(); this.options.sort(column.sort); } }, column.title)
      : column.title;
    return h("th", { scope: "col", class: `${column.align || ""} ${column.class || ""}`.trim() || undefined, title: column.about }, content);
  }

  mark() {
    this.columns.forEach((column, index) => {
      if (column.sort) this.heads[index].setAttribute("aria-sort", column.sort === this.options.order ? (column.sort === "query" ? "ascending" : "descending") : "none");
    });
  }

  show(rows, empty) {
    const { key, open } = this.options;
    const seen = new Set();
    let place = this.body.firstElementChild;
    for (const row of rows) {
      const id = String(key(row));
      if (seen.has(id)) continue;
      seen.add(id);
      let line = this.rows.get(id);
      if (!line) {
        line = h("tr", { tabindex: "-1", class: open ? "opens" : undefined, onclick: () => open && open(line.row) },
          this.columns.map((column) => h("td", { class: `${column.align || ""} ${column.class || ""}`.trim() || undefined })));
        this.rows.set(id, line);
      }
      line.row = row;
      this.columns.forEach((column, index) => {
        const cell = line.children[index];
        if (column.fill) column.fill(cell, row);
        else {
          const text = column.text(row);
          if (cell.textContent !== text) cell.textContent = text;
        }
      });
      if (line !== place) this.body.insertBefore(line, place);
      else place = place.nextElementSibling;
    }
    for (const [id, line] of this.rows) {
      if (!seen.has(id)) {
        line.remove();
        this.rows.delete(id);
      }
    }
    const lines = [...this.body.children];
    if (lines.length && !lines.some((line) => line.tabIndex === 0)) lines[0].tabIndex = 0;
    this.table.hidden = !lines.length;
    this.empty.hidden = lines.length > 0;
    fill(this.empty, empty, () => empty);
  }

  key(event) {
    const line = event.target.closest("tr");
    if (event.target !== line) return;
    const lines = [...this.body.children];
    const at = lines.indexOf(line);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: lines.length - 1 }[event.key];
    if (to !== undefined && lines[to]) {
      line.tabIndex = -1;
      lines[to].tabIndex = 0;
      lines[to].focus();
      event.preventDefault();
    } else if (event.key === "Enter" && this.options.open) {
      this.options.open(line.row);
      event.preventDefault();
    }
  }
}
