/* timeline.js: events by type, as rows of bars over one axis, of time or of positions.
**
** One cursor goes through all rows; while it stands on a bin, the numbers at the right are that bin's. */

const laneName = row => row.name !== undefined ? name(row.name) : row.others ? "other types" : "all events";

/* Few bins leave room at the right, so that a bar stays a bar. */
const slotsOf = bins => Math.max(bins, 24);

/* One path of bars, as high as their share of the row's largest. */
function bars(values) {
  const most = Math.max(1, ...values);
  const gap = values.length > 60 ? 0.12 : 0.2;
  return values.map((n, i) => n === 0 ? "" : `M${i + gap / 2} 100V${100 - Math.max(3, 98 * n / most)}h${1 - gap}V100z`).join("");
}

function ticksOf(chart, label) {
  const n = chart.rows[0].values.length, filled = n / slotsOf(n);
  const count = Math.min(Math.ceil(n / 6), matchMedia("(max-width: 720px)").matches ? 2 : 5);
  const ticks = [];
  for (let i = 0; i < count; i++) {
    const share = count === 1 ? 0 : i / (count - 1);
    ticks.push(h("span", { style: { left: `${100 * share * filled}%` } }, label(Math.round(share * (n - 1)))));
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
  const n = chart.rows[0].values.length, slots = slotsOf(n);
  const cursors = [], counts = [];
  const readout = h("p", { class: "readout" });
  let current = -1;
  function point(bin) {
    current = bin;
    for (const cursor of cursors) cursor.setAttribute("x", bin < 0 ? -9 : bin);
    chart.rows.forEach((row, i) => { counts[i].textContent = number(bin < 0 ? row.total : row.values[bin]); });
    box.classList.toggle("pointed", bin >= 0);
    readout.textContent = bin < 0 ? `${label(0)} to ${label(n - 1)}. A bar is ${what}; each row has a scale of its own. Point at one, or use the arrow keys, for its numbers.`
      : `${label(bin)} · ${what}`;
    box.setAttribute("aria-valuenow", bin + 1);
    box.setAttribute("aria-valuetext", bin < 0 ? "all" : `${label(bin)}: ${plural(chart.rows[0].values[bin], "event")}`);
  }
  const rows = chart.rows.map((row, i) => {
    cursors.push(svg("rect", { class: "cursor", x: -9, width: 1, height: 100 }));
    counts.push(h("span", { class: "count" }, number(row.total)));
    return h("div", { class: i === 0 ? "lane all" : "lane" }, h("span", { class: "name" }, laneName(row)),
      svg("svg", { viewBox: `0 0 ${slots} 100`, preserveAspectRatio: "none", "aria-hidden": "true" },
        svg("path", { class: "bars", d: bars(row.values) }), cursors[i]), counts[i]);
  });
  function pointed(event) {
    const area = rows[0].querySelector("svg").getBoundingClientRect();
    const bin = Math.floor((event.clientX - area.left) / area.width * slots);
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
  return span >= DAY_MS ? text.slice(5, 16) : text.slice(11, span >= 600000 ? 16 : span >= 10000 ? 19 : 23);
}

/* What each way along the events is called, what a bin of it is, and how bins and ticks are labelled. */
const AXES = {
  by_time: { title: "By time", what: chart => `${binWidth(chart.width)} (UTC)`,
    label: (chart, bin) => moment(chart.from + bin * chart.width, chart.width),
    tick: (chart, bin) => tick(chart.from + bin * chart.width, chart.width * chart.rows[0].values.length) },
  by_position: { title: "By position", what: chart => plural(chart.width, "position"),
    label: (chart, bin) => `position ${number(chart.from + bin * chart.width)}`,
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
