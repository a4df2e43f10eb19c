/* travel.js: the states of a key, and a slider through them.
**
** A history is a base and changes; `statesOf` makes all states of it, and everything else is drawn from
** the one that the slider is at. The only state of the page is which history, which step, and which place is
** drawn as a line; the first two are kept in the address: #projection=NAME&key=K&at=POSITION. */

/* ---- States of a key ------------------------------------------------------- */

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
        on: { click: () => follow(place) } }, name(place))), valueCell(change, state.get(place)));
  });
  return h("div", { class: "tall" }, h("table", { class: "state" }, h("caption", { class: "hidden" }, "The state, with what this event changed"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "place"), h("th", { scope: "col" }, "value"))), h("tbody", {}, rows)));
}

/* Draws another place's number above the slider. */
function follow(place) {
  travel.place = place;
  show("line", lineChart());
  go(travel.step, true);
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
  for (const button of document.querySelectorAll(".steps button")) button.setAttribute("aria-disabled", button.step_to() === travel.step);
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

/* ---- Choosing, and the address ------------------------------------------------- */

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

const option = (value, text, selected) => h("option", { value, selected }, text);

function drawChoice() {
  const projections = [...new Set(data.histories.map(history => history.projection))];
  const { projection } = travel.history;
  const keys = data.histories.filter(history => history.projection === projection);
  const first = value => data.histories.find(history => history.projection === value);
  const choose_last = history => { choose(history, history.entries.length); keepAddress(history.entries[history.entries.length - 1]); };
  show("travel-choice",
    h("label", {}, "projection", h("select", { id: "projection", on: { change: event => choose_last(first(event.target.value)) } },
      projections.map(value => option(value, value, value === projection)))),
    h("label", {}, "key", h("select", { id: "key", on: { change: event => choose_last(keys[event.target.value]) } },
      keys.map((history, i) => option(i, `${keyLabel(history)} (${plural(history.count, "change")})`, history === travel.history)))));
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
    notes(history), h("div", { id: "line" }, lineChart()),
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
