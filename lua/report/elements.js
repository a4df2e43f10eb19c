/* elements.js: what all parts of a report are made of: elements, numbers, times, tables. Nothing here
** makes markup of a text: whatever comes from the store ends as a text node or an attribute.
**
** A page is elements.js, timeline.js, travel.js and page.js, one behind the other. */
"use strict";

/* ---- Making elements ------------------------------------------------------------------------ */

const SVG = "http://www.w3.org/2000/svg";
const SPECIAL = { text: 1, on: 1, style: 1 };

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "on") for (const [event, f] of Object.entries(value)) node.addEventListener(event, f);
    if (name === "style") Object.assign(node.style, value);
    if (!SPECIAL[name] && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter(child => child !== undefined && child !== null && child !== ""));
  return node;
}

const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
const at = id => document.getElementById(id);

/* Fills an element anew. Whoever has the focus in it, by its place, keeps it. */
function show(id, ...children) {
  const node = at(id), held = () => [...node.querySelectorAll("button, input, select, summary, [tabindex]")];
  const focused = held().indexOf(document.activeElement);
  node.replaceChildren(...children.flat().filter(child => child));
  if (focused >= 0 && held()[focused]) held()[focused].focus({ preventScroll: true });
}

/* A name or a value from the store: its direction of writing does not reach beyond it. */
const name = text => h("bdi", { title: text }, text);
const code = text => h("code", { dir: "ltr" }, h("bdi", {}, text));

/* ---- Numbers, sizes, times ------------------------------------------------------------------ */

const grouped = new Intl.NumberFormat("en-GB");
const number = n => typeof n === "number" ? grouped.format(n) : String(n);
const plural = (n, noun) => `${number(n)} ${noun}${n === 1 ? "" : "s"}`;

function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; n >= 1024 && unit < units.length - 1; unit++) n /= 1024;
  return `${unit && n < 100 ? n.toFixed(1) : Math.round(n)} ${units[unit]}`;
}

const DAY_MS = 86400000;

/* A moment, as exactly as `step` milliseconds tell it apart from others. Beyond what a date can be: the number. */
function moment(ms, step = 1000) {
  const date = new Date(ms);
  if (isNaN(date)) return `${number(Math.round(ms / 1000))} s`;
  const text = date.toISOString().replace("T", " ").replace("Z", "");
  if (step >= DAY_MS) return text.slice(0, -13);
  return text.slice(0, step >= 60000 ? -7 : step >= 1000 ? -4 : undefined);
}

function duration(seconds) {
  if (seconds < 120) return `${seconds.toFixed(1)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}

/* ---- Tables --------------------------------------------------------------------------------- */

const cell = (column, value) =>
  h("td", { class: column.className }, value instanceof Node ? value : column.number && value !== "" ? number(value) : value);

/* columns: { title, of(row), number: boolean, className } */
function table(columns, rows, caption) {
  for (const column of columns) column.className = [column.number && "number", column.className].filter(Boolean).join(" ") || undefined;
  return h("div", { class: "scroll" }, h("table", {},
    caption && h("caption", { class: "hidden" }, caption),
    h("thead", {}, h("tr", {}, columns.map(c => h("th", { scope: "col", class: c.className }, c.title)))),
    h("tbody", {}, rows.map(row => h("tr", {}, columns.map(c => cell(c, c.of(row))))))));
}

const nothing = text => h("p", { class: "muted" }, text);
const more = (list, noun) => list.more > 0 && nothing(`and ${plural(list.more, noun)} more.`);

function bar(share) {
  return svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { width: Math.max(share * 100, share > 0 ? 0.6 : 0), height: 10 }));
}
