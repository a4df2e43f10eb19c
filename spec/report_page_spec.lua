-- report_page_spec.lua: the page of a report, in a browser: what stands in it, at the widths of a desk and of a
-- telephone, and what the slider, the keys and the address do.
local browser = require "spec.support.browser"
local rille = require "rille"
local page = require "rille.page"
local report = require "rille.report"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local REDUCER = [[return { initial = { balance = 0 }, key = "stream", on = {
  Opened = function(state, event) state.owner = event.data.owner state.big = event.data.big end,
  Moved = function(state, event) state.balance = state.balance + event.data.amount end,
  Renamed = function(state) state.owner = nil end,
} }]]

local EVIL = "</script><img src=x onerror=\"document.title='evil'\">"

local store, path

---The page of the store, and its address.
local function made(options)
  local file = scratch.file("page.html", page.html(report.collect(store, options)))
  return "file://" .. file
end

before_each(function() store, path = stores.new() end)
after_each(function()
  store:close()
  scratch.remove(path)
end)

local function fill()
  assert(store:append("account-1", { { type = "Opened", data = { owner = EVIL, big = 9007199254740993 } },
    { type = "Moved", data = { amount = 5 } }, { type = "Moved", data = { amount = -7 } }, { type = "Renamed" } }))
  assert(store:append("account-2", { type = "Moved", data = { amount = 1 } }))
  assert(store:append("account-2", { { type = "Opened", data = { owner = "Ben" } }, { type = "Renamed" },
    { type = "Moved", data = { amount = 2 } } }))
  assert(store:append(EVIL, { { type = EVIL, data = EVIL, tags = { EVIL, "שלום \"x\"" } } }))
end

local STATE = [[
  all("#state tbody tr").map(row => [row.className, ...[...row.cells].map(cell => cell.textContent)].join("|")) ]]

describe("a report's page", function()
  if not browser.find() then
    return it("is shown by a browser", function() pending "chromium is not installed" end)
  end

  it("shows names as text, fits a desk and a telephone, and has all its parts", function()
    fill()
    local address = made { reducer = scratch.file("reducer.lua", REDUCER), title = EVIL }
    local answers = browser.visit({ { address = address, width = 1280 }, { address = address, width = 390 } }, [[
      $("details").open = true; await later();
      return { title: document.title, images: all("img").length, scripts: all("script").length,
        width: document.documentElement.scrollWidth, room: window.innerWidth, heading: text("#title"),
        colophon: text("#colophon"), colour: window.getComputedStyle($("#title")).fontSize,
        lanes: all(".lane").map(lane => lane.children[0].textContent + " " + lane.children[2].textContent),
        streams: text("#streams"), tags: text("#tags"), unlabelled: all("input, select, button").filter(e =>
          !e.textContent && !e.getAttribute("aria-label") && !(e.labels && e.labels.length)).length,
        headings: all("h2").map(e => e.textContent).join(", ") }]])
    for i, answer in ipairs(answers) do
      assert.equal(({ 1280, 390 })[i], answer.room)
      assert(answer.width <= answer.room, answer.width)
      assert.equal(EVIL, answer.title)
      assert.equal(EVIL, answer.heading)
      assert.equal(0, answer.images)
      assert.equal(2, answer.scripts)
      assert.equal(0, answer.unlabelled)
      assert.same({ "all events 9", "Moved 4", "Opened 2", "Renamed 2", EVIL .. " 1" }, answer.lanes)
      stores.contains(answer.streams, EVIL)
      stores.contains(answer.tags, "שלום \"x\"")
      stores.contains(answer.colophon, "Made by rille")
      stores.contains(answer.headings, "Time travel")
    end
  end)

  it("goes through the states of a key: by address, slider, buttons and list", function()
    fill()
    local address = made { reducer = scratch.file("reducer.lua", REDUCER) }
    local answer = browser.visit({ { address = address .. "#projection=reducer&key=account-1&at=3", width = 1280 } }, [[
      const seen = {};
      const look = what => { seen[what] = [text("#where"), text("#event .type"), ...]] .. STATE .. [[]; };
      look("address");
      $("#step").value = 0; $("#step").dispatchEvent(new window.Event("input")); look("slider");
      $("[title=Forward]").click(); look("forward");
      $("[title=Last]").click(); look("last");
      $("[data-step='2']").click(); look("list");
      seen.hash = window.location.hash;
      window.location.hash = "projection=reducer&key=account-2"; await later(); look("other");
      $("#key").value = 0; $("#key").dispatchEvent(new window.Event("change")); look("key");
      seen.chart = $(".chart").getAttribute("aria-label");
      seen.range = $("#step").getAttribute("aria-valuetext");
      return seen; ]])[1]
    local big = "|big|9007199254740993"
    local owner = "|owner|" .. '"</script><img src=x onerror=\\"document.title=\'evil\'\\">"'
    assert.same({ "3 of 4", "Moved", "changed|balance|was 5→-2", big, owner }, answer.address)
    assert.same({ "0 of 4", "Before the first event shown" }, answer.slider)
    assert.same({ "1 of 4", "Opened", "changed|balance|new: 0", "changed|big|new: 9007199254740993",
      "changed|owner|new: " .. owner:sub(8) }, answer.forward)
    local last = { "4 of 4", "Renamed", "|balance|-2", big, "changed gone|owner|removed: " .. owner:sub(8) }
    assert.same(last, answer.last)
    assert.same({ "2 of 4", "Moved", "changed|balance|was 0→5", big, owner }, answer.list)
    stores.contains(answer.hash, "at=2")
    assert.same({ "4 of 4", "Moved", "changed|balance|was 1→3" }, answer.other)
    assert.same(last, answer.key)
    assert.equal("balance, from -2 to 5", answer.chart)
    assert.equal("4 of 4: Renamed at position 4", answer.range)
  end)

  it("has numbers for each bar: by pointer, by keys, and as a table", function()
    for i = 1, 40 do
      assert(store:append("a", { type = i % 4 == 0 and "Seldom" or "Often", time = 1.7e9 + i * 60 }))
    end
    local answer = browser.visit({ { address = made(), width = 1000 } }, [[
      const press = key => $(".lanes").dispatchEvent(new window.KeyboardEvent("keydown", { key }));
      const counts = () => all(".lane .count").map(e => e.textContent).join(" ");
      const seen = { before: counts() };
      press("ArrowRight"); press("ArrowRight"); seen.second = counts(); seen.readout = text(".readout");
      seen.value = $(".lanes").getAttribute("aria-valuetext");
      press("Escape"); seen.after = counts();
      const area = $(".lane svg").getBoundingClientRect();
      const there = { clientX: area.right - 2, clientY: area.top + 5 };
      $(".lanes").dispatchEvent(new window.PointerEvent("pointermove", there));
      seen.last = counts();
      all("#timeline-choice button")[1].click();
      press("Home"); seen.position = text(".readout");
      $("details").open = true; await later();
      seen.table = all("details tbody tr").length;
      seen.sum = all("details tbody td:nth-child(2)").reduce((sum, cell) => sum + Number(cell.textContent), 0);
      return seen; ]])[1]
    assert.equal("40 30 10", answer.before)
    assert.equal("40 30 10", answer.after)
    assert(answer.second ~= answer.before, answer.second)
    stores.contains(answer.readout, "2023-11-14 22:")
    stores.contains(answer.value, "event")
    assert(answer.last ~= answer.before, answer.last)
    assert.equal("position 1 · 1 position", answer.position)
    assert.equal(40, answer.table)
    assert.equal(40, answer.sum)
  end)

  it("says what is missing, and what is not there", function()
    local empty = page.html(report.collect(store))
    local damaged = page.html(report.collect(store, { remark = "damage at byte 7 <b>", damaged = true }))
    local answers = browser.visit({ { address = "file://" .. scratch.file("empty.html", empty), width = 390 },
      { address = "file://" .. scratch.file("damaged.html", damaged), width = 390 } }, [[
      return { width: document.documentElement.scrollWidth, travel: text("#travel"), timeline: text("#timeline"),
        transactions: text("#transactions"), alert: text("[role=alert]"), bold: all("b").length }; ]])
    assert.equal(390, answers[1].width)
    stores.contains(answers[1].travel, "Give a reducer")
    stores.contains(answers[1].timeline, "No events")
    stores.contains(answers[1].transactions, "None")
    assert.equal(rille.null, answers[1].alert)
    stores.contains(answers[2].alert, "damage at byte 7 <b>")
    assert.equal(0, answers[2].bold)
  end)
end)
