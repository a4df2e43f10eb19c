-- report_spec.lua: what a report says of a store is what the store says itself: counts against
-- reading, histories against folding. And it stays small, and harmless in a page, whatever is in the store.
local process = require "spec.support.process"
local rille = require "rille"
local page = require "rille.page"
local report = require "rille.report"
local rounds = require "spec.support.rounds"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local values = require "spec.support.values"
local contains = stores.contains

values.seed "report_spec"

local BUILD = os.getenv "RILLE_BUILD" or "build"
local PAGE_BYTES = 5 * 1024 * 1024

local store, path

before_each(function() store, path = stores.new() end)
after_each(function()
  store:close()
  scratch.remove(path)
end)

---Runs `rille report`: its status, and what it printed.
local function run(...)
  local words = { ("'%s/bin/rille' report"):format(BUILD) }
  for _, word in ipairs { ... } do words[#words + 1] = "'" .. word:gsub("'", "'\\''") .. "'" end
  local output, status = process.run_ours(table.concat(words, " "))
  return status, output
end

local function read(name)
  local file = assert(io.open(name, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

---The data that a page has in it.
local function data_of(html)
  return assert(rille.json.decode(html:match '<script type="application/json" id="report">(.-)</script>'))
end

local function row_of(list, name)
  for _, row in ipairs(list) do
    if row.name == name then return row end
  end
  error("no row " .. name, 2)
end

-- Counting --------------------------------------------------------------------------------------

---Random events: some names often, some seldom, times in any order, and sometimes far apart.
local function fill_at_random(n)
  local spread = 10 ^ math.random(0, 9)
  for _ = 1, n do
    local tags = {}
    for t = 1, math.random(0, 2) do tags[t] = "tag-" .. t .. math.random(3) end
    assert(store:append("s-" .. math.floor(math.random() ^ 2 * 90), { type = "T" .. math.floor(math.random() ^ 2 * 20),
      data = math.random(3) > 1 and { n = math.random(0) } or nil, tags = tags,
      time = 1.7e9 + math.random() * spread }))
  end
end

---What the events behind a position are, counted by itself.
local function count(after, field)
  local counts = {}
  for e in store:all { after = after } do
    for _, name in ipairs(field == "tags" and e.tags or { e[field] }) do
      local row = counts[name] or { events = 0, bytes = 0 }
      counts[name] = row
      row.events, row.bytes = row.events + 1, row.bytes + (e.data ~= nil and #rille.encode(e.data) or 0)
    end
  end
  return counts
end

local function check_counts(list, counts)
  local n = 0
  for _ in pairs(counts) do n = n + 1 end
  assert.equal(n, list.names)
  for _, row in ipairs(list.rows) do
    assert.equal(counts[row.name].events, row.events)
    assert.equal(counts[row.name].bytes, row.bytes)
  end
end

---Each bin has what lies in it, and all rows together have everything.
local function check_chart(chart, after, of)
  local first, expected = chart.from, {}
  for e in store:all { after = after } do
    local bin = math.floor((of(e) - first) / chart.width) + 1
    expected[bin] = expected[bin] or { all = 0 }
    expected[bin].all, expected[bin][e.type] = expected[bin].all + 1, (expected[bin][e.type] or 0) + 1
  end
  assert(#chart.rows[1].values <= 160, #chart.rows[1].values)
  for bin, all in ipairs(chart.rows[1].values) do
    local there, left = expected[bin] or { all = 0 }, all
    assert.equal(there.all, all)
    for i = 2, #chart.rows do
      local row = chart.rows[i]
      if row.name then assert.equal(there[row.name] or 0, row.values[bin]) end
      left = left - row.values[bin]
    end
    assert.equal(0, left)
    expected[bin] = nil
  end
  assert.equal(nil, next(expected))
end

describe("a report's counts", function()
  it("are those of the events, whatever their times", function()
    for _ = 1, rounds(6) do
      store, path = stores.new()
      fill_at_random(math.random(1, 400))
      local after = math.random(0, 1) == 1 and math.random(0, store:head()) or 0
      local data = report.collect(store, { since = after + 1 })
      assert.same({}, data.problems)
      assert.equal(store:head() - after, data.events)
      check_counts(data.streams, count(after, "stream"))
      check_counts(data.types, count(after, "type"))
      check_counts(data.tags, count(after, "tags"))
      if data.events > 0 then
        check_chart(data.timeline.by_time, after, function(e) return math.floor(e.time * 1000) end)
        check_chart(data.timeline.by_position, after, function(e) return e.position end)
      end
      store:close()
    end
  end)

  it("end with the largest: by events, and by bytes", function()
    for i = 1, 150 do
      stores.fill(store, "s-" .. i, i > 100 and 1 or 2, nil, function()
        return { type = "T", data = ("x"):rep(i > 100 and 100 + i or 1) }
      end)
    end
    local data = report.collect(store)
    assert.equal(100, #data.streams.rows)
    assert.equal(150, data.streams.names)
    assert.equal(250, data.streams.events)
    assert(row_of(data.streams.rows, "s-150").bytes > 240)
  end)

  it("are of the last events, or of those from a position on", function()
    stores.fill(store, "a", 10)
    assert.equal(3, report.collect(store, { last = 3 }).events)
    assert.equal(10, report.collect(store, { last = 30 }).events)
    assert.equal(4, report.collect(store, { since = 7 }).events)
    assert.equal(0, report.collect(store, { since = 77 }).events)
  end)
end)

-- Histories ---------------------------------------------------------------------------------------

local REDUCER = [[
local rille = require "rille"
return {
  initial = function(key) return { of = key, list = {} } end,
  key = function(event) return event.data and event.data.keys end,
  on = {
    Put = function(state, event) state[event.data.place] = event.data.value end,
    Pushed = function(state, event)
      table.insert(state.list, event.data.value)
      if #state.list > 3 then table.remove(state.list, 1) end
    end,
    Gone = function() return rille.null end,
    Became = function(state, event) return event.data.value end,
    Seen = function() end,
  },
  upcast = { Both = function(event)
    return { { type = "Put", data = event.data }, { type = "Pushed", data = event.data } }
  end, Dropped = function() end },
}]]

local TYPES = { "Put", "Put", "Pushed", "Pushed", "Gone", "Became", "Seen", "Both", "Dropped", "Unknown" }
local VALUES = { 1, 2.5, -7, "text", true, false, { a = { b = 1 }, c = { 1, 2, { d = "deep" } } }, {}, "</script>",
                 9007199254740993, ("long "):rep(80), rille.null, "\255\0", "\226\128\174" }

local function some_event()
  local keys = {}
  for i = 1, math.random(0, 3) do keys[i] = math.random(4) == 1 and math.random(5) or "key-" .. math.random(3) end
  local kind = TYPES[math.random(#TYPES)]
  local value = VALUES[math.random(#VALUES)]
  if kind == "Became" and (type(value) ~= "table" or value == rille.null) then value = { list = {} } end
  if kind == "Became" and value.list == nil then value = { list = {}, value = value } end
  return { type = kind, data = { keys = keys, place = "p" .. math.random(9), value = value } }
end

---The leaves of a value, as a report shows them, made by other means.
local function leaves_of(value, place, leaves)
  if value == nil then return leaves end
  if type(value) ~= "table" or next(value) == nil then
    local text = require "rille.screen".visible(rille.json.encode(value))
    leaves[place == "" and "state" or place] = #text > 160 and text:sub(1, 160) or text
    return leaves
  end
  for key, inner in pairs(value) do
    local name = type(key) == "number" and ("[%d]"):format(key) or (place == "" and "" or ".") .. key
    leaves_of(inner, place .. name, leaves)
  end
  return leaves
end

---A history, played: what the leaves are after each entry.
local function play(history, seen)
  local leaves = {}
  for _, leaf in ipairs(history.base) do leaves[leaf.place] = leaf.value end
  seen(0, leaves)
  for _, entry in ipairs(history.entries) do
    for _, change in ipairs(entry.changes) do
      assert.equal(leaves[change.place], change.before)
      leaves[change.place] = change.after
    end
    seen(entry.position, leaves)
  end
end

---The ends of long texts are cut, with a sign for that.
local function uncut(leaves)
  local all = {}
  for place, text in pairs(leaves) do all[place] = text:gsub("…$", "") end
  return all
end

describe("a history", function()
  local script

  before_each(function() script = scratch.file("reducer.lua", REDUCER) end)

  it("has the state that a fold has after each event", function()
    for _ = 1, rounds(4) do
      store, path = stores.new()
      for _ = 1, math.random(5, 120) do assert(store:append("s", some_event())) end
      local data = report.collect(store, { reducer = script })
      assert.same({}, data.problems)
      for _, history in ipairs(data.histories) do
        assert.equal(history.count, #history.entries)
        play(history, function(position, leaves)
          local state = store:fold(script, { key = history.key, at = position })
          if position == 0 then state = nil end
          assert.same(leaves_of(state, "", {}), uncut(leaves))
        end)
      end
      store:close()
    end
  end)

  it("tells the events that `why` tells", function()
    for _ = 1, 60 do assert(store:append("s", some_event())) end
    local p = assert(store:projection("states", script))
    assert(p:update())
    p:close()
    store:close()
    local key = "key-1"
    local output = process.run_ours(("'%s/bin/rille' why '%s' states %s --json"):format(BUILD, path, key))
    store = assert(rille.open(path, { readonly = true }))
    local history = report.collect(store, { projection = "states", keys = { key } }).histories[1]
    assert.equal(key, history.key)
    local i = 0
    for line in output:gmatch "[^\n]+" do
      i = i + 1
      local told, entry = assert(rille.json.decode(line)), history.entries[i]
      for _, field in ipairs { "position", "stream", "version", "type" } do assert.equal(told[field], entry[field]) end
      assert.equal(#told.changes == 0, #entry.changes == 0)
    end
    assert.equal(i, #history.entries)
  end)

  it("begins later where there is much, and says from what", function()
    local counts = scratch.file("counts.lua", [[return { initial = { n = 0 }, key = "stream",
      on = { Counted = function(state) state.n = state.n + 1 end } }]])
    stores.fill(store, "many", 1000, 100)
    stores.fill(store, "few", 3)
    local data = report.collect(store, { reducer = counts })
    local many, few = data.histories[1], data.histories[2]
    assert.equal("many", many.key)
    assert.equal(1000, many.count)
    assert.equal(250, #many.entries)
    assert.same({ { place = "n", value = "750" } }, many.base)
    assert.same({ { place = "n", before = "750", after = "751" } }, many.entries[1].changes)
    assert.equal(3, #few.entries)
    many = report.collect(store, { reducer = counts, since = 991 }).histories[1]
    assert.equal(10, many.count)
    assert.same({ { place = "n", value = "990" } }, many.base)
  end)

  it("follows as many places as there is room for", function()
    local wide = scratch.file("wide.lua", [[return { initial = {},
      on = { Wide = function(state, event) for i = 1, 1000 do state["p" .. i] = event.data end end } }]])
    assert(store:append("a", { { type = "Wide", data = 1 }, { type = "Wide", data = 2 } }))
    local history = report.collect(store, { reducer = wide }).histories[1]
    assert.equal("", history.key)
    assert.equal(700, history.left_out)
    assert.equal(300, #history.entries[2].changes)
  end)

  it("has nothing of an event that fails for another key", function()
    local failing = scratch.file("failing.lua", [[return { initial = { n = 0 },
      key = function() return { "a", "b" } end,
      on = { Added = function(state, event, key)
        if key == "b" and event.data == 2 then error "not b" end
        state.n = state.n + event.data
      end } }]])
    assert(store:append("s", { { type = "Added", data = 1 }, { type = "Added", data = 2 } }))
    local data = report.collect(store, { reducer = failing })
    for i = 1, 2 do
      assert.equal(1, #data.histories[i].entries)
      assert.equal(1, data.histories[i].ends)
    end
  end)

  it("ends where the reducer fails", function()
    local failing = scratch.file("failing.lua", [[return { initial = { n = 0 }, key = "stream",
      on = { Added = function(state, event) state.n = state.n + event.data end } }]])
    assert(store:append("a", { { type = "Added", data = 1 }, { type = "Added", data = 2 }, { type = "Added" },
      { type = "Added", data = 4 } }))
    local p = assert(store:projection("sums", failing))
    p:update()
    p:close()
    local data = report.collect(store)
    assert.same({}, data.problems)
    assert.equal(2, #data.histories[1].entries)
    assert.equal(2, data.histories[1].ends)
    assert.equal("failing", data.projections.rows[1].state)
    contains(data.projections.rows[1].message, "failing.lua:2")
    data = report.collect(store, { reducer = failing })
    contains(data.problems[1].message, "failing.lua:2")
  end)
end)

-- Projections, processors, transactions -------------------------------------------------------------

describe("a report", function()
  it("tells how far projections, processors and marks are", function()
    local sums = scratch.file("sums.lua", [[return { initial = { n = 0 }, key = "stream",
      on = { Counted = function(state, event) state.n = state.n + event.data.n end } }]])
    local parks = scratch.file("parks.lua", [[return { key = "stream", on_error = "park", on = {
      Counted = function(event, ctx)
        if event.data.n == 2 then error "no twos" end
        ctx:emit("later", { type = "Late" }, { delay = 9000 })
      end } }]])
    stores.fill(store, "a", 3)
    local p, w = assert(store:projection("sums", sums)), assert(store:processor("parks", parks))
    assert(p:update())
    assert(w:run())
    assert(store:append { mark = { "own", 0, 2 } })
    stores.fill(store, "b", 2)
    p:close()
    w:close()
    local head = store:head()
    local data = report.collect(store)
    assert.same({}, data.problems)
    local row = data.projections.rows[1]
    assert.equal("sums", row.name)
    assert.equal(3, row.mark)
    assert.equal(head - 3, row.lag)
    assert.equal("behind", row.state)
    row = data.processors.rows[1]
    assert.equal("parks", row.name)
    assert.equal(store:mark "parks", row.mark)
    assert.equal(2, row.parked)
    contains(row.list[1].message, "no twos")
    assert.equal(1, row.delayed)
    assert.same({ { name = "own", mark = 2, lag = head - 2 } }, data.marks.rows)
    scratch.file("sums.lua", "return 7")
    assert.equal("broken", report.collect(store).projections.rows[1].state)
    scratch.file("sums.lua", [[return { initial = { n = 7 }, on = {} }]])
    assert.equal("edited", report.collect(store).projections.rows[1].state)
  end)

  it("tells what is in doubt, and what is pending", function()
    local home, there = scratch.path(), scratch.path()
    local output = process.lua([[
      local rille = require "rille"
      local home, there = assert(rille.open(arg[1])), assert(rille.open(arg[2]))
      local function die() os.execute("kill -9 " .. io.open "/proc/self/stat":read "n") end
      local functions = { prepare = function() return true end, commit = die }
      local c = assert(rille.coordinator(home, { name = "till", participants = { last = functions } }))
      c:transact({ id = "order-7", timeout = 60 }, function(tx)
        tx:enlist "last"
        tx:append(home, "a", { type = "Moved" })
        tx:append(there, "a", { type = "Moved" })
        tx:enlist(there)
        return true
      end)
      print "not killed"]], home, there)
    assert.equal("", output)
    local decided = assert(rille.open(home, { readonly = true }))
    local row = report.collect(decided).transactions.rows[1]
    decided:close()
    assert.equal("order-7", row.client)
    assert.equal("pending", row.state)
    assert.equal("till", row.coordinator)
    assert(row.age >= 0 and #row.participants >= 1)
    scratch.shell("mv '%s' '%s.away'", home, home)
    local prepared = assert(rille.open(there, { readonly = true }))
    local list = report.collect(prepared).transactions.rows
    prepared:close()
    assert.equal(1, #list)
    assert.equal("in doubt", list[1].state)
  end)

  it("is there for a store without events, and says what is not there", function()
    local data = report.collect(store)
    assert.same({}, data.problems)
    assert.equal(0, data.events)
    assert.same({}, data.streams.rows)
    assert.equal(nil, data.timeline.by_time)
    store:close()
    local status, output = run(path, "--projection", "nothing")
    assert.equal(1, status)
    contains(output, 'no projection that is called "nothing"')
    status, output = run(path .. "x")
    assert.equal(1, status)
    contains(output, "no store")
    status = run(path, "--since", "0")
    assert.equal(2, status)
  end)

  it("changes nothing in the store", function()
    stores.fill(store, "a", 20)
    local p = assert(store:projection("counts", "examples/reducers/counts.lua"))
    assert(p:update())
    stores.fill(store, "a", 20)
    local w = assert(store:processor("none", scratch.file("none.lua", "return { on = { Never = function() end } }")))
    assert(w:run())
    store:close()
    local function files() return process.run(("cd '%s' && find . -type f ! -name lock.mdb ! -name control | " ..
      "LC_ALL=C sort | xargs sha256sum"):format(path)) end
    local before = files()
    local out = scratch.path "report.html"
    local status, output = run(path, "-o", out)
    assert(status == 0, output)
    contains(output, "wrote")
    assert.equal(before, files())
    assert.equal(40, data_of(read(out)).events)
    assert.equal(1, #data_of(read(out)).histories)
    status, output = run(path, "--json")
    assert.equal(0, status)
    assert.equal(40, assert(rille.json.decode(output)).events)
    status, output = run(path, "-o", path .. "/no/such/folder/x")
    assert.equal(1, status)
    contains(output, "can't write")
  end)

  it("has what a damaged store still gives, and says that it is not all", function()
    store, path = stores.new { sync = "always" }
    for i = 1, 10 do assert(store:append("a", { type = "Counted", data = "marker-" .. i })) end
    store:close()
    local log = path .. "/log/0000000000000000.seg"
    local bytes = read(log)
    local at = bytes:find("marker-6", 1, true)
    local file = assert(io.open(log, "r+b"))
    file:seek("set", at - 1)
    file:write "X"
    file:close()
    local out = scratch.path "report.html"
    for _ = 1, 2 do -- with its index, and without one
      local status, output = run(path, "-o", out)
      assert.equal(1, status)
      contains(output, "damage at byte")
      local data = data_of(read(out))
      assert.equal(5, data.events)
      contains(data.problems[1].message, "damage at byte")
      scratch.remove(path .. "/index")
    end
  end)
end)

-- Names and data that mean something to HTML, terminals or people ----------------------------------------

local NASTY = { "</script><img src=x onerror=alert(1)>", "<!-- --><script>", "a\"b'c&amp;\\",
  "\226\128\174evil\226\128\172", "שלום", "🎲👩‍🚀", "\255\254 no UTF-8 \192\128", "line\nbreak\r\t\0nul",
  "]]>{{data}}%1", "\226\128\168\226\128\169", ("long"):rep(60) }

describe("a page", function()
  it("holds names and data as they are, and nothing of them is markup", function()
    for i, text in ipairs(NASTY) do
      assert(store:append("s" .. text,
        { type = text, data = { [text] = text, n = 9007199254740993 + i }, tags = { text } }))
    end
    local last = scratch.file("last.lua", [[return { initial = {}, key = "stream",
      on = { ["*"] = function(_, event) return event.data end } }]])
    local data = report.collect(store, { title = NASTY[1], reducer = last })
    assert.same({}, data.problems)
    local html = page.html(data)
    local _, scripts = html:gsub("</script", "")
    assert.equal(2, scripts)
    assert.equal(nil, html:find("<img", 1, true))
    assert.equal(nil, html:find("onerror=alert(1)>", 1, true))
    assert.equal(nil, html:find "[\255\254\0\r]")
    assert.equal(nil, html:find("\226\128\174", 1, true))
    assert.equal(nil, html:find("\226\128\168", 1, true))
    assert(utf8.len(html))
    local again = data_of(html)
    assert.equal(rille.json.encode(data), rille.json.encode(again))
    assert.equal("שלום", row_of(again.types.rows, "שלום").name)
    local found = false
    for _, history in ipairs(again.histories) do
      for _, change in ipairs(history.entries[1].changes) do found = found or change.after == "9007199254740994" end
    end
    assert(found, "an integer has lost digits")
  end)

  it("loads nothing, and runs its own script alone", function()
    local html = page.html(report.collect(store))
    local nonce = html:match "script%-src 'nonce%-(%x+)'"
    assert.equal(16, #nonce)
    contains(html, "default-src 'none'")
    for address in html:gmatch "https?://[^\"'%s]+" do assert.equal("http://www.w3.org/2000/svg", address) end
    assert.equal(nil, html:find "src=")
    assert.equal(nil, html:find "@import")
    assert.equal(nil, html:find "innerHTML")
    assert(nonce ~= page.html(report.collect(store)):match "nonce%-(%x+)")
  end)

  it("stays small, however much there is", function()
    local n, t = rounds.all and 300000 or 30000, 1.6e9
    local long, texts = ("<"):rep(200), {}
    for i = 1, 60 do texts[i] = ("<>&"):rep(i) end
    for first = 1, n, 1000 do
      local parts = {}
      for i = first, first + 999 do
        t = t + math.random() * 1000
        parts[#parts + 1] = { stream = long .. i % 20000, events = { { type = long .. i % 700, time = t,
          data = { at = i, text = texts[math.random(60)] }, tags = { "tag-" .. i % 3000 } } } }
      end
      assert(store:append(parts))
    end
    local reducer = scratch.file("big.lua", [[return { initial = { seen = {} },
      key = function(event) return event.data.at % 100 end,
      on = { ["*"] = function(state, event) state.seen["p" .. event.data.at % 900] = event.data.text end } }]])
    local began = os.clock()
    local html = page.html(report.collect(store, { reducer = reducer }))
    print(("report_spec: %d events: %.1f s of processor time, %d bytes"):format(n, os.clock() - began, #html))
    assert(#html < PAGE_BYTES, #html)
    local data = data_of(html)
    assert.equal(n, data.events)
    assert.equal(20000, data.streams.names)
    assert.equal(24, #data.histories)
    assert.equal(n / 100, data.histories[1].count)
  end)
end)
