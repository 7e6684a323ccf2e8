// Elements. Text of the database goes through textContent alone and can never be markup.
import { ago, moment, utc } from "./format.js";

const kSvg = "http://www.w3.org/2000/svg";

function applied(node, props, children) {
  for (const [name, value] of Object.entries(props || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "text") node.textContent = value;
    else if (name === "style") for (const [key, wanted] of Object.entries(value)) node.style.setProperty(key, wanted);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function h(tag, props, ...children) {
  return applied(document.createElement(tag), props, children);
}

export function svg(tag, props, ...children) {
  return applied(document.createElementNS(kSvg, tag), props, children);
}

// Replaces the children only where something changed, so that focus and selection stay.
export function fill(node, key, make) {
  if (node.filledWith === key) return false;
  node.filledWith = key;
  const focused = node.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
  node.replaceChildren(...[make()].flat().filter(Boolean));
  if (focused) node.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
  return true;
}

// In the viewer's zone; UTC on hover and on focus.
export function timeElement(ms, relative = true, focusable = true) {
  if (!ms) return h("span", { text: "–" });
  const said = relative ? ago(ms) : moment(ms);
  return h("time", { datetime: new Date(ms).toISOString(), "data-tip": utc(ms), tabindex: focusable ? "0" : undefined,
    "aria-label": `${said}, ${utc(ms)}`, role: focusable ? "note" : undefined, "data-relative": relative ? ms : undefined, text: said });
}

export function refreshTimes() {
  for (const node of document.querySelectorAll("[data-relative]")) {
    const said = ago(Number(node.dataset.relative));
    if (node.textContent !== said) node.textContent = said;
  }
}

export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", { class: "offscreen", readonly: true });
    area.value = text;
    (document.querySelector("dialog[open]") || document.body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

export function copyButton(label, text, extra = {}) {
  const button = h("button", { class: "button", "data-copies": text, "data-focus": `copy ${text}`, title: text, ...extra }, label);
  button.addEventListener("click", async (event) => {
    event.stopPropagation();
    await copyText(text);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 1500);
  });
  return button;
}

export function sqlText(text) {
  return h("code", { class: "sql", text });
}

// Status is a shape and a word; the colour only repeats it.
export const kShapes = { ok: "●", warning: "▲", critical: "■", advice: "◆", unknown: "○", now: "◆" };

export function badge(status, word = status) {
  return h("span", { class: `badge ${status}` }, h("span", { class: "shape", "aria-hidden": "true", text: kShapes[status] || "○" }), word);
}

// The head of a card: its number for the keyboard, its title, its figure, and the SQL behind it.
export function cardHead(card, number, title, sql) {
  const figure = h("span", { class: "figure" });
  const head = h("div", { class: "card-head" },
    h("h2", { id: `${card.id}-title`, tabindex: "-1" }, title, h("kbd", { "aria-hidden": "true", text: number })),
    figure,
    sql && h("button", { class: "link", "aria-label": `SQL of ${title}`, onclick: () => showSql(title, sql) }, "SQL"));
  card.setAttribute("aria-labelledby", `${card.id}-title`);
  card.append(head);
  return figure;
}

export function openDialog(title, ...content) {
  const dialog = document.getElementById("dialog");
  dialog.replaceChildren(
    h("div", { class: "dialog-head" }, h("h2", { id: "dialog-title", text: title }),
      h("button", { class: "icon", "aria-label": "Close", onclick: () => dialog.close() }, "✕")),
    h("div", { class: "dialog-body" }, ...content));
  if (!dialog.open) dialog.showModal();
  return dialog;
}

export function showSql(title, sql) {
  openDialog(`${title}: the SQL behind it`,
    h("p", { text: "In the sqlite3 shell, after .load ./walmanager:" }),
    h("pre", { class: "block", tabindex: "0" }, h("code", { text: sql })),
    h("div", { class: "actions" }, copyButton("Copy", sql)));
}
