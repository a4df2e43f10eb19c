/* page.js: draws a report from its data, the JSON in the element "report" (lua/rille/report.lua has its shape).
**
** Whatever comes from the store is a text in the data and a text node here, never markup. Each part of
** the page is a function that fills one element; the only state is which key of which projection is
** looked at, and after which event, and that is kept in the address: #projection=NAME&key=K&at=POSITION. */
"use strict";

const data = JSON.parse(document.getElementById("report").textContent);

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
const show = (id, ...children) => at(id).replaceChildren(...children.flat().filter(child => child));

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

/* ---- The head ------------------------------------------------------------------------------- */

function problemsOf() {
  const list = data.problems.map(p =>
    h("p", { class: "problem", role: "alert" }, h("strong", {}, `Not all of this store could be read (${p.part}). `), name(p.message)));
  if (data.remark) list.unshift(h("p", { class: "note" }, name(data.remark)));
  return list;
}

function drawHead() {
  const store = data.store || {};
  show("title", name(data.title));
  const part = data.after > 0 ? ` · only events from position ${number(data.after + 1)} on` : "";
  show("subtitle", `As of ${moment(data.made * 1000)} UTC${part}`);
  show("problems", problemsOf());
  const facts = [[data.after > 0 ? "events looked at" : "events", number(data.events)],
    ["streams", number(data.streams.names) + (data.streams.uncounted ? "+" : "")], ["types", number(data.types.names)]];
  if (store.log_bytes !== undefined) facts.push(["in the log", bytes(store.log_bytes)]);
  if (store.last_time) facts.push(["last event (UTC)", moment(store.last_time * 1000, DAY_MS)]);
  const open = data.transactions && data.transactions.rows.length + data.transactions.more;
  if (open !== undefined) facts.push(["transactions open", number(open)]);
  show("facts", facts.map(([what, value]) => h("div", {}, h("dt", {}, what), h("dd", {}, value))));
}

/* ---- Events by type ------------------------------------------------------------------------- */

const laneName = row => row.name !== undefined ? name(row.name) : row.others ? "other types" : "all events";

/* One path of bars, as high as their share of the row's largest. */
function bars(values) {
  const most = Math.max(1, ...values);
  const gap = values.length > 60 ? 0.12 : 0.2;
  return values.map((n, i) => n === 0 ? "" : `M${i + gap / 2} 100V${100 - Math.max(3, 98 * n / most)}h${1 - gap}V100z`).join("");
}

function ticksOf(chart, label) {
  const n = chart.rows[0].values.length;
  const count = Math.min(n, matchMedia("(max-width: 720px)").matches ? 2 : 5);
  const ticks = [];
  for (let i = 0; i < count; i++) {
    const share = count === 1 ? 0 : i / (count - 1);
    ticks.push(h("span", { style: { left: `${100 * share}%` } }, label(Math.round(share * (n - 1)))));
  }
  return h("div", { class: "axis", "aria-hidden": "true" }, h("span"), h("div", { class: "ticks" }, ticks), h("span"));
}

function binTable(chart, label) {
  const rows = chart.rows[0].values.map((n, bin) => ({ n, bin })).filter(row => row.n > 0);
  const columns = [{ title: "from", of: row => label(row.bin) }]
    .concat(chart.rows.map(lane => ({ title: laneName(lane), number: true, of: row => lane.values[row.bin] })));
  return table(columns, rows, "Events by type");
}

/* Rows of bars, one a type, with one cursor for all: its numbers stand where the totals do. */
function lanes(chart, label, what) {
  const n = chart.rows[0].values.length;
  const cursors = [], counts = [];
  const readout = h("p", { class: "readout" });
  let current = -1;
  function point(bin) {
    current = bin;
    for (const cursor of cursors) cursor.setAttribute("x", bin < 0 ? -9 : bin);
    chart.rows.forEach((row, i) => { counts[i].textContent = number(bin < 0 ? row.total : row.values[bin]); });
    box.classList.toggle("pointed", bin >= 0);
    readout.textContent = bin < 0 ? `Each row has a scale of its own; a bar is ${what}. Point at one, or use the arrow keys, for its numbers.`
      : label(bin);
    box.setAttribute("aria-valuenow", bin + 1);
    box.setAttribute("aria-valuetext", bin < 0 ? "all" : `${label(bin)}: ${plural(chart.rows[0].values[bin], "event")}`);
  }
  const rows = chart.rows.map((row, i) => {
    cursors.push(svg("rect", { class: "cursor", x: -9, width: 1, height: 100 }));
    counts.push(h("span", { class: "count" }, number(row.total)));
    return h("div", { class: i === 0 ? "lane all" : "lane" }, h("span", { class: "name" }, laneName(row)),
      svg("svg", { viewBox: `0 0 ${n} 100`, preserveAspectRatio: "none", "aria-hidden": "true" },
        svg("path", { class: "bars", d: bars(row.values) }), cursors[i]), counts[i]);
  });
  function pointed(event) {
    const area = rows[0].querySelector("svg").getBoundingClientRect();
    const bin = Math.floor((event.clientX - area.left) / area.width * n);
    point(bin >= 0 && bin < n ? bin : -1);
  }
  function pressed(event) {
    const to = { ArrowLeft: current - 1, ArrowRight: current + 1, Home: 0, End: n - 1, Escape: -1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    point(Math.max(-1, Math.min(n - 1, to)));
  }
  const box = h("div", { class: "lanes", tabindex: 0, role: "slider", "aria-label": "Events by type", "aria-valuemin": 0,
    "aria-valuemax": n, on: { pointermove: pointed, pointerdown: pointed, pointerleave: () => point(-1), keydown: pressed,
      blur: () => point(-1) } }, rows);
  point(-1);
  return [readout, box];
}

/* A moment as the axis has it: no more of it than tells the ticks apart. */
function tick(ms, span) {
  const text = moment(ms, 1);
  if (text.length < 20 || span >= 4 * DAY_MS) return text.split(" ")[0];
  return span >= DAY_MS ? text.slice(5, 16) : span >= 600000 ? text.slice(11, 16) : text.slice(11, 19);
}

/* What each way along the events is called, what a bin of it is, and how bins and ticks are labelled. */
const AXES = {
  by_time: { title: "By time", what: chart => `${binWidth(chart.width)} (UTC)`,
    label: (chart, bin) => moment(chart.from + bin * chart.width, chart.width),
    tick: (chart, bin) => tick(chart.from + bin * chart.width, chart.width * chart.rows[0].values.length) },
  by_position: { title: "By position", what: chart => plural(chart.width, "position"),
    label: (chart, bin) => `from position ${number(chart.from + bin * chart.width)}`,
    tick: (chart, bin) => number(chart.from + bin * chart.width) },
};

function binWidth(ms) {
  const units = [[DAY_MS, "day"], [3600000, "hour"], [60000, "minute"], [1000, "second"], [1, "millisecond"]];
  const [size, unit] = units.find(([least]) => ms >= least);
  return plural(ms / size, unit);
}

function drawTimeline(way) {
  const chart = data.timeline[way];
  if (!chart) return show("timeline", nothing("No events."));
  const axis = AXES[way];
  const label = bin => axis.label(chart, bin);
  show("timeline-choice", Object.keys(AXES).map(key =>
    h("button", { type: "button", "aria-pressed": String(key === way), on: { click: () => drawTimeline(key) } }, AXES[key].title)));
  const details = h("details", {}, h("summary", {}, "As a table"));
  details.addEventListener("toggle", () => details.children.length < 2 && details.append(binTable(chart, label)));
  show("timeline", lanes(chart, label, axis.what(chart)), ticksOf(chart, bin => axis.tick(chart, bin)), details);
}

/* ---- Time travel: the states of a key ------------------------------------------------------- */

/* States after each entry: the base, then one more for each. */
function statesOf(history) {
  const states = [new Map(history.base.map(leaf => [leaf.place, leaf.value]))];
  for (const entry of history.entries) {
    const state = new Map(states[states.length - 1]);
    for (const change of entry.changes) {
      if (change.after === undefined) state.delete(change.place); else state.set(change.place, change.after);
    }
    states.push(state);
  }
  return states;
}

const isNumber = text => text !== undefined && /^-?\d+(\.\d+)?(e[-+]?\d+)?$/.test(text);

/* The place whose number changes most often. */
function liveliest(history) {
  const counts = new Map();
  for (const entry of history.entries) {
    for (const change of entry.changes) {
      if (isNumber(change.before) && isNumber(change.after)) counts.set(change.place, (counts.get(change.place) || 0) + 1);
    }
  }
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).map(([place]) => place)[0];
}

const natural = new Intl.Collator("en", { numeric: true }).compare;
const travel = { history: undefined, states: [], step: 0, place: undefined };

/* A step line of one place's number over all steps, from its least to its largest. */
function lineChart() {
  const values = travel.states.map(state => isNumber(state.get(travel.place)) ? Number(state.get(travel.place)) : null);
  const known = values.filter(value => value !== null);
  if (known.length < 2) return undefined;
  const low = Math.min(...known), high = Math.max(...known), last = values.length - 1;
  const y = value => high === low ? 50 : 96 - 92 * (value - low) / (high - low);
  let d = "";
  values.forEach((value, i) => {
    if (value !== null) d += i > 0 && values[i - 1] !== null ? `H${i}V${y(value)}` : `M${i} ${y(value)}`;
  });
  const range = `from ${number(low)} to ${number(high)}`;
  return h("figure", { class: "track" },
    h("figcaption", { class: "muted small" }, h("code", {}, name(travel.place)), ` ${range}`),
    svg("svg", { class: "chart", viewBox: `0 0 ${last} 100`, preserveAspectRatio: "none", role: "img", "aria-label": `${travel.place}, ${range}` },
      low < 0 && high > 0 && svg("line", { class: "zero", x1: 0, x2: last, y1: y(0), y2: y(0) }), svg("path", { d }),
      svg("line", { class: "now", x1: 0, x2: 0, y1: 0, y2: 100 })));
}

function eventCard(entry, history) {
  if (!entry) {
    const hidden = history.count - history.entries.length;
    return [h("p", { class: "type" }, "Before the first event shown"),
      h("p", { class: "muted" }, hidden > 0 ? `The ${plural(hidden, "older change")} of this key are not on this page; what they made of it is below.`
        : data.after > 0 ? "The state as it was before the events looked at." : "Nothing is there yet.")];
  }
  return [h("p", { class: "type" }, name(entry.type)),
    h("p", { class: "muted small" }, `position ${number(entry.position)} · `, name(entry.stream),
      ` version ${number(entry.version)} · ${moment(entry.time * 1000)} UTC`),
    entry.data !== undefined ? code(entry.data) : h("p", { class: "muted small" }, "It has no data.")];
}

function valueCell(change, value) {
  if (!change) return h("td", {}, code(value));
  if (change.after === undefined) return h("td", {}, h("span", { class: "hidden" }, "removed: "), code(change.before));
  if (change.before === undefined) return h("td", {}, h("span", { class: "hidden" }, "new: "), code(change.after));
  return h("td", {}, h("span", { class: "before" }, h("span", { class: "hidden" }, "was "), code(change.before)),
    h("span", { class: "arrow" }, "→"), code(change.after));
}

function stateTable() {
  const state = travel.states[travel.step], entry = travel.history.entries[travel.step - 1];
  const changes = new Map((entry ? entry.changes : []).map(change => [change.place, change]));
  const places = [...new Set([...state.keys(), ...changes.keys()])].sort(natural);
  if (places.length === 0) return nothing("No state.");
  const rows = places.map(place => {
    const change = changes.get(place);
    return h("tr", { class: change && (change.after === undefined ? "changed gone" : "changed") },
      h("td", { class: "place" }, h("button", { type: "button", title: "Draw this place above", "aria-pressed": String(place === travel.place),
        on: { click: () => { travel.place = place; drawHistory(); } } }, name(place))), valueCell(change, state.get(place)));
  });
  return h("div", { class: "tall" }, h("table", { class: "state" }, h("caption", { class: "hidden" }, "The state, with what this event changed"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "place"), h("th", { scope: "col" }, "value"))), h("tbody", {}, rows)));
}

/* Goes to a step: everything that depends on it is made anew, but for the slider. */
function go(step, quietly) {
  const history = travel.history, last = history.entries.length;
  travel.step = Math.max(0, Math.min(last, step));
  const entry = history.entries[travel.step - 1];
  const range = at("step");
  range.value = travel.step;
  range.setAttribute("aria-valuetext", entry ? `${travel.step} of ${last}: ${entry.type} at position ${entry.position}` : "before the first event");
  at("where").textContent = `${number(travel.step)} of ${number(last)}`;
  for (const button of document.querySelectorAll(".steps button")) button.disabled = button.step_to() === travel.step;
  const line = document.querySelector(".chart .now");
  if (line) { line.setAttribute("x1", travel.step); line.setAttribute("x2", travel.step); }
  show("event", eventCard(entry, history));
  show("state", stateTable());
  markPast();
  if (!quietly) keepAddress(entry);
}

function markPast() {
  const list = at("past");
  for (const button of list.querySelectorAll("[aria-current]")) button.removeAttribute("aria-current");
  const button = list.querySelector(`[data-step="${travel.step}"]`);
  if (!button) return;
  button.setAttribute("aria-current", "step");
  const top = button.offsetTop - list.offsetTop;
  if (top < list.scrollTop || top + button.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = top - list.clientHeight / 2;
}

function pastList(history) {
  const items = history.entries.map((entry, i) => h("li", {}, h("button", { type: "button", "data-step": i + 1, on: { click: () => go(i + 1) } },
    h("span", { class: "muted number" }, number(entry.position)), h("span", { class: "type" }, name(entry.type)),
    h("span", { class: "muted" }, entry.changes.length > 0 ? "" : "no change"))));
  return h("ol", { class: "past", id: "past", "aria-label": "Events that touched this key: position and type, the last first" }, items.reverse());
}

/* ---- Time travel: choosing, and the address ------------------------------------------------- */

const keyLabel = history => history.key === "" ? "(one state)" : history.key;

function keepAddress(entry) {
  const values = new URLSearchParams({ projection: travel.history.projection, key: travel.history.key });
  values.set("at", entry ? entry.position : 0);
  location.replace("#" + values);
}

/* The history and the step that the address names; what it does not name is the first key, and its last event. */
function readAddress() {
  const values = new URLSearchParams(location.hash.slice(1));
  const fits = history => (!values.has("projection") || history.projection === values.get("projection"))
    && (!values.has("key") || history.key === values.get("key"));
  const history = data.histories.find(fits) || data.histories[0];
  const position = values.has("at") ? Number(values.get("at")) : Infinity;
  const later = history.entries.findIndex(entry => entry.position > position);
  return { history, step: later < 0 ? history.entries.length : later };
}

function choose(history, step) {
  travel.history = history;
  travel.states = statesOf(history);
  travel.place = liveliest(history);
  drawHistory(step);
}

function option(value, text, chosen) { return h("option", { value, selected: chosen }, text); }

function drawChoice() {
  const projections = [...new Set(data.histories.map(history => history.projection))];
  const { projection, key } = travel.history;
  const keys = data.histories.filter(history => history.projection === projection);
  const first = value => data.histories.find(history => history.projection === value);
  const go_to = history => { choose(history, history.entries.length); keepAddress(history.entries[history.entries.length - 1]); };
  show("travel-choice",
    h("label", {}, "projection", h("select", { id: "projection", on: { change: event => go_to(first(event.target.value)) } },
      projections.map(value => option(value, value, value === projection)))),
    h("label", {}, "key", h("select", { id: "key", on: { change: event => go_to(keys.find(history => history.key === event.target.value)) } },
      keys.map(history => option(history.key, `${keyLabel(history)} (${plural(history.count, "change")})`, history.key === key)))));
}

const STEPS = [["First", "«", () => 0], ["Back", "‹", () => Math.max(0, travel.step - 1)],
  ["Forward", "›", () => Math.min(travel.history.entries.length, travel.step + 1)], ["Last", "»", () => travel.history.entries.length]];

function stepButton([title, sign, to]) {
  const button = h("button", { type: "button", title, "aria-label": title, on: { click: () => go(to()) } }, sign);
  button.step_to = to;
  return button;
}

function notes(history) {
  const list = [];
  const hidden = history.count - history.entries.length;
  if (hidden > 0) list.push(`The last ${number(history.entries.length)} of ${plural(history.count, "change")} are here.`);
  if (history.left_out > 0) list.push(`The state has ${plural(history.left_out, "place")} more than are shown.`);
  if (history.ends !== undefined) list.push(`The reducer fails behind position ${number(history.ends)}: the history ends there.`);
  return list.length > 0 && h("p", { class: "note small" }, list.join(" "));
}

function drawHistory(step = travel.step) {
  const history = travel.history, last = history.entries.length;
  drawChoice();
  show("travel",
    notes(history), lineChart(),
    h("label", { class: "hidden", for: "step" }, "Which event"),
    h("input", { type: "range", id: "step", min: 0, max: last, step: 1, value: step, on: { input: event => go(Number(event.target.value)) } }),
    h("div", { class: "steps" }, STEPS.map(stepButton), h("span", { id: "where", class: "where muted" })),
    h("div", { class: "travel" },
      h("div", {}, h("div", { class: "event", id: "event", "aria-live": "polite" }), h("div", { id: "state" })),
      h("div", {}, h("h3", { class: "hidden" }, "Events"), pastList(history))));
  go(step, true);
}

function drawTravel() {
  if (!data.histories || data.histories.length === 0) {
    return show("travel", nothing("The store knows of no projection whose states could be shown. Give a reducer: rille report STORE --reducer FILE."));
  }
  const address = readAddress();
  choose(address.history, address.step);
  addEventListener("hashchange", () => {
    const to = readAddress();
    if (to.history !== travel.history) choose(to.history, to.step);
    else if (to.step !== travel.step) go(to.step, true);
  });
}

/* ---- Tables of what there is ---------------------------------------------------------------- */

const FIRST_ROWS = 12, ALL_ROWS = 50;

/* Streams, types or tags: those with most events or bytes, a few at first. */
function drawNames(id, noun, by = "events", limit = FIRST_ROWS) {
  const all = data[id];
  if (all.names === 0) return show(id, nothing(`No ${noun}s.`));
  const sorted = [...all.rows].sort((a, b) => b[by] - a[by] || (a.name < b.name ? -1 : 1)).slice(0, ALL_ROWS);
  const rows = sorted.slice(0, limit), most = Math.max(1, rows[0][by]);
  const sorter = key => h("button", { type: "button", "aria-pressed": String(by === key), title: `Sort by ${key}`,
    on: { click: () => drawNames(id, noun, key, limit) } }, key);
  const columns = [{ title: noun, className: "title", of: row => name(row.name) }, { title: "", className: "bar", of: row => bar(row[by] / most) },
    { title: sorter("events"), number: true, of: row => row.events },
    { title: sorter("bytes"), className: "number", of: row => bytes(row.bytes) }];
  if (id === "streams") columns.push({ title: "last event (UTC)", className: "number wide", of: row => moment(row.last_time * 1000) });
  const left = all.names - rows.length, rest = rows.reduce((sum, row) => sum - row.events, all.events);
  show(id, table(columns, rows, noun),
    left > 0 && nothing(`and ${plural(left, `other ${noun}`)} with ${plural(rest, id === "tags" ? "use" : "event")}`),
    all.uncounted > 0 && nothing(`${plural(all.uncounted, "event")} of names that came after the first ${number(all.names)} were not counted by name.`),
    sorted.length > limit && h("button", { type: "button", on: { click: () => drawNames(id, noun, by, ALL_ROWS) } }, `Show ${number(sorted.length)}`));
}

const STATES = { current: "up to date", behind: "behind", empty: "not computed yet", edited: "script edited since", failing: "failing",
  broken: "can't be loaded" };

const status = row => h("span", { class: row.message && "bad" }, STATES[row.state], row.message && h("br"),
  row.message && h("span", { class: "small" }, name(row.message)));

const progress = row => bar(data.head > 0 ? row.mark / data.head : 1);

function drawProjections() {
  const list = data.projections;
  if (!list || list.rows.length === 0) return show("projections", nothing("None was opened here."));
  show("projections", table([{ title: "name", className: "title", of: row => name(row.name) }, { title: "", className: "bar slim wide", of: progress },
    { title: "mark", number: true, of: row => row.mark === undefined ? "" : row.mark },
    { title: "behind", number: true, of: row => row.lag === undefined ? "" : row.lag },
    { title: "state", className: "text", of: status }, { title: "script", className: "wide text", of: row => row.script === undefined ? "" : name(row.script) },
    { title: "form", className: "wide form", of: row => row.identity ? code(row.identity) : "" }], list.rows, "Projections"), more(list, "projection"));
}

function parkedOf(row) {
  if (row.parked === 0) return number(0);
  return h("details", { class: "inline" }, h("summary", { class: "bad" }, number(row.parked)), row.list.map(entry =>
    h("p", { class: "small" }, `position ${number(entry.position)} `, name(entry.type), ": ", name(entry.message))));
}

function drawProcessors() {
  const list = data.processors, marks = data.marks;
  const parts = [];
  if (list && list.rows.length > 0) {
    parts.push(table([{ title: "processor", className: "title", of: row => name(row.name) }, { title: "", className: "bar slim wide", of: progress },
      { title: "mark", number: true, of: row => row.mark }, { title: "behind", number: true, of: row => row.lag },
      { title: "parked", className: "number", of: parkedOf }, { title: "timers", number: true, of: row => row.delayed },
      { title: "script", className: "wide", of: row => name(row.script) }], list.rows, "Processors"), more(list, "processor"));
  }
  if (marks && marks.rows.length > 0) {
    parts.push(table([{ title: "mark of a loop of your own", className: "title", of: row => name(row.name) }, { title: "", className: "bar slim wide", of: progress },
      { title: "mark", number: true, of: row => row.mark }, { title: "behind", number: true, of: row => row.lag }], marks.rows, "Marks"), more(marks, "mark"));
  }
  show("processors", parts.length > 0 ? parts : nothing("None was run here."));
}

function drawTransactions() {
  const list = data.transactions;
  if (!list) return show("transactions", nothing("They could not be read."));
  if (list.rows.length === 0) return show("transactions", nothing("None: nothing is in doubt, and nothing is pending."));
  show("transactions", table([{ title: "transaction", className: "title", of: row => name(row.client || row.id) },
    { title: "state", of: row => h("span", { class: row.state !== "pending" && "bad" }, row.state) },
    { title: "age", className: "number", of: row => duration(row.age) }, { title: "coordinator", of: row => name(row.coordinator) },
    { title: "with", className: "wide", of: row => name(row.participants.join(", ")) }, { title: "decided at", className: "wide", of: row => name(row.place) }],
  list.rows, "Transactions"), more(list, "transaction"));
}

function drawLog() {
  const store = data.store;
  if (!store) return show("log", nothing("The store could not tell."));
  const facts = [["head", number(store.head)], ["durable", number(store.durable)], ["log files", number(store.segments)],
    ["log", bytes(store.log_bytes)], ["not yet in the index", bytes(store.unfolded_bytes)], ["index", bytes(store.index_bytes)],
    ["keys kept by scripts", number(store.kept)], ["appends with ids", number(store.ids)],
    ["a flush has failed", store.failed ? h("span", { class: "bad" }, "yes: close the store everywhere") : "no"],
    ["identity", code(store.uuid)]];
  if (store.created) facts.push(["made (UTC)", moment(store.created * 1000)]);
  show("log", facts.map(([what, value]) => h("div", {}, h("dt", {}, what), h("dd", {}, value))));
}

drawHead();
drawTimeline("by_time");
drawTravel();
drawNames("streams", "stream");
drawNames("types", "type");
drawNames("tags", "tag");
drawProjections();
drawProcessors();
drawTransactions();
drawLog();
show("colophon", `Made by ${data.version}. Bytes are those of data and meta as stored. Events of rille's own, whose types begin with "$", are not counted. `
  + `Lists end after ${number(data.limits.rows)} rows, values after ${number(data.limits.data_bytes)} bytes.`);
