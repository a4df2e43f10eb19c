/* page.js: draws a report from its data, the JSON in the element "report" (lua/rille/report.lua has its
** shape): each function fills one element of page.html. The last lines draw everything. */

const data = JSON.parse(document.getElementById("report").textContent);

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

const status = row => h("span", { class: row.message && "bad" }, STATES[row.state]);

const progress = row => bar(data.head > 0 ? row.mark / data.head : 1);

function drawProjections() {
  const list = data.projections;
  if (!list || list.rows.length === 0) return show("projections", nothing("None was opened here."));
  show("projections", table([{ title: "name", className: "title", of: row => name(row.name) }, { title: "", className: "bar slim wide", of: progress },
    { title: "mark", number: true, of: row => row.mark === undefined ? "" : row.mark },
    { title: "behind", number: true, of: row => row.lag === undefined ? "" : row.lag },
    { title: "state", of: status }, { title: "script", className: "wide text", of: row => row.script === undefined ? "" : name(row.script) },
    { title: "form", className: "wide form", of: row => row.identity ? code(row.identity) : "" }], list.rows, "Projections"), more(list, "projection"),
    list.rows.filter(row => row.message).map(row => h("p", { class: "problem small" }, h("strong", {}, name(row.name)), ": ", name(row.message))));
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
