-- pick_spec.lua: a handler that only names fields of its event's data gets a table of these alone.
-- It must not be able to tell.
--
-- Each reducer is run twice: as it is, and with a use of the event in each function that makes
-- rille give it all of the data. What comes of it must be the same.
-- SEED=n repeats a run; RILLE_SOAK=n makes it n times as long.
local rille = require "rille"
local rounds = require "spec.support.rounds"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local values = require "spec.support.values"

local ROUNDS = rounds(60)
local EVENTS = 30

local files, store, path

before_each(function()
  files = {}
  store, path = stores.new { load = function(name) return files[name] end }
end)
after_each(function()
  store:close()
  scratch.remove(path)
end)

---The body's markers as what makes no use of the event, or one that rille can't see through.
local function twins(text)
  return (text:gsub("<here>", "")), (text:gsub("<here>", "local _ = event == 1"))
end

local function fold(name, text, options)
  files[name] = text
  return table.pack(store:fold(name, options))
end

---The states of a projection, or what is wrong with it.
local function project(name, text)
  files[name] = text
  local projection = assert(store:projection(name, name))
  local done, message = projection:update()
  local states = {}
  if done == nil then
    states.message = message:gsub(name, "it")
  else
    for key, state in projection:each() do states[#states + 1] = { key = key, state = state } end
  end
  projection:close()
  return states
end

local function expect(wanted, got, text)
  if values.same(wanted, got) then return end
  assert.same(wanted, got)
  error("not the same: " .. text)
end

local function check_same(text, keys)
  local picked, whole = twins(text)
  assert(picked ~= whole, "there is no marker")
  for _, key in ipairs(keys or { false }) do
    local a = fold("it", picked, { key = key or nil })
    local b = fold("it", whole, { key = key or nil })
    expect(b, a, text)
  end
  if not keys then return end
  local a, b = project("as it is", picked), project("with all", whole)
  if b.message then b.message = b.message:gsub("with all", "it") end
  if a.message then a.message = a.message:gsub("as it is", "it") end
  expect(b, a, text)
end

local function append(data) assert(store:append("s", { type = "T", data = data })) end

local function all(body)
  return ("return { initial = { list = {} }, on = { T = function(state, event) <here> %s end } }"):format(body)
end

---The bytes of garbage that an event costs.
local function garbage(text)
  files["cost"] = text
  collectgarbage()
  collectgarbage "stop"
  local before = collectgarbage "count"
  assert(store:fold("cost", { params = {} }))
  local after = collectgarbage "count"
  collectgarbage "restart"
  return (after - before) * 1024 / store:head()
end

describe("a handler that names fields", function()
  local KEEP = "local l = state.list; l[#l + 1] = "

  it("gets no table of its own for each event", function()
    local list = {}
    for i = 1, 1000 do list[i] = { type = "T", data = { amount = i, currency = "EUR" } } end
    assert(store:append("s", list))
    for _ = 2, 10 do assert(store:append("s", list)) end
    local text = all "state.list[1] = (state.list[1] or 0) + event.data.amount"
    local picked, whole = twins(text)
    local few, many = garbage(picked), garbage(whole)
    assert(many > 100, ("whole data cost %.1f bytes an event"):format(many))
    assert(few < 20, ("picked fields cost %.1f bytes an event"):format(few))
  end)

  it("finds what it would find in all of the data", function()
    append { a = 1, b = "x", c = 1.5, d = true, e = rille.null }
    append { a = -1, b = ("long"):rep(20), c = false }
    append { a = math.mininteger, d = 1 / 0 }
    append { a = { 1, 2 }, b = { c = 3 } }
    append { a = {}, b = rille.array {} }
    append {}
    append { [1] = "one" }
    append { "one", "two" }
    for n = 14, 17 do -- as many pairs as the head of a map has room for, and more
      local data = { b = n }
      for i = 1, n - 1 do data["key " .. i] = i end
      append(data)
    end
    append { [("k"):rep(31)] = 31, [("k"):rep(32)] = 32 }
    check_same(all(KEEP .. "{ a = event.data.a, b = event.data.b, c = event.data.c }"))
    check_same(all(KEEP .. "{ d = event.data.d, e = event.data.e, x = event.data.xyz }"))
    check_same(all("local d = event.data; " .. KEEP .. "{ d.a, d.b }"))
    check_same(all(KEEP .. "{ x = event.data." .. ("k"):rep(31) .. ", y = event.data." .. ("k"):rep(32) .. " }"))
  end)

  it("finds what is taken from the data by other means", function()
    append { a = "text", b = 1 }
    check_same(all("local d = event.data['a']; " .. KEEP .. "{ d.len ~= nil, event.data.b }"))
    check_same(all("local d = event.data.a; " .. KEEP .. "{ d.len ~= nil, d, event.data.b }"))
    check_same(all("local d = event.data and event.data.a; " .. KEEP .. "{ d.len ~= nil, event.data.b }"))
  end)

  it("fails where it would fail", function()
    append { a = 1 }
    append(nil)
    check_same(all(KEEP .. "{ event.data.a }"))
    append "text"
    check_same(all(KEEP .. "{ event.data.a.b }"))
    check_same(all(KEEP .. "{ event.data.a + 1 }"))
  end)

  it("sees what it writes there until the event is over", function()
    append { a = 1 }
    append { b = 2 }
    append { a = 3, b = 4 }
    check_same(all("event.data.b = 5; event.data.z = (event.data.z or 0) + 1; " .. KEEP ..
      "{ a = event.data.a, b = event.data.b, z = event.data.z }"))
  end)

  it("can't keep a table that changes", function()
    for i = 1, 5 do append { a = i, b = { i } } end
    for _, body in ipairs {
      KEEP .. "event.data", "local d = event.data; " .. KEEP .. "d", KEEP .. "event.data.b",
      "local d = event.data; local e = d; " .. KEEP .. "e; d.a = d.a + 1",
      "local d; d = event.data; " .. KEEP .. "d; local x = d.a",
      "local d = event.data if d.a > 2 then " .. KEEP .. "d end",
      "local e = event; " .. KEEP .. "e.data; local x = event.data.a",
      "local event = event.data; " .. KEEP .. "event; local x = event.a",
      "local event = event; " .. KEEP .. "event.data; local x = event.data.a",
      "local function get() return event.data end; " .. KEEP .. "get(); local x = event.data.a",
      "local t = { event = event.data.a, d = event.data }; " .. KEEP .. "t",
      "local data <const> = event.data; " .. KEEP .. "data; local x = event.data.a",
      "local a, d = event.data.a, event.data; " .. KEEP .. "d",
      "local d = event.data or {}; " .. KEEP .. "d; local x = d.a",
      "for _, d in ipairs { event.data } do " .. KEEP .. "d end local x = event.data.a",
      "local d = event.data (function(x) " .. KEEP .. "x end)(event.data)",
      "local d = event.data; local x = d.a; do local d = event.data; " .. KEEP .. "d end",
      KEEP .. "event['data']; local x = event.data.a",
      KEEP .. "select(2, event.data.a, event.data)",
      "local s = state; " .. KEEP .. "rawget({ event.data }, 1)",
    } do check_same(all(body)) end
  end)

  it("can't leave a function behind that looks at others", function()
    append { a = 1, b = 2, c = 3 }
    assert(store:append("s", { type = "U", data = { a = 4, b = 5, c = 6 } }))
    check_same [[local get
      return { initial = { list = {} }, on = {
        T = function(state, event) <here>
          local x = event.data.a
          get = function() return event.data.b end
        end,
        U = function(state, event) <here> table.insert(state.list, { event.data.c, get() }) end } }]]
  end)

  it("lists all fields where it lists them", function()
    append { a = 1, b = 2, c = 3 }
    check_same(all("local n = event.data.a for k, v in pairs(event.data) do n = n + v end " .. KEEP .. "n"))
    check_same(all("local d = event.data; local k, v = next(d); " .. KEEP .. "{ d.b, k, v }"))
    check_same(all("local x = event.data.a; " .. KEEP .. "{ #event.data, rawlen(event.data) }"))
  end)
end)

describe("what a function's source tells", function()
  it("is not taken from another function in its line", function()
    for i = 1, 3 do append { a = i } end
    local one_line = [[return { initial = { list = {} }, on = {
      T = function
      (state, event) <here> table.insert(state.list, event.data) end, U = function(state, event) state.x = event.data.a
      end } }]]
    for _, text in ipairs { one_line, (one_line:gsub("function\n%s*", "function ")) } do
      check_same(text)
      assert.same({ list = { { a = 1 }, { a = 2 }, { a = 3 } } }, (fold("it", (text:gsub("<here>", "")))[1]))
    end
    check_same([[
      local function keep(state, event) <here> table.insert(state.list, event.data) end
      return { initial = { list = {} }, on = { T = keep,
        U = function(state, event) state.x = event.data.a end } }]])
  end)

  it("is of the right line whatever ends the lines", function()
    for i = 1, 3 do append { a = i } end
    local text = "#!/usr/bin/lua\n-- one\n--[[ two\n]] local x = [==[\n\n]==] local y = 'a\\\n\\z  \n b'\n" ..
      "return { initial = { list = {} },\n" ..
      "on = { T = function(state, event) <here> table.insert(state.list, event.data.a) " ..
      "end,\n" ..
      "U = function(state, event) table.insert(state.list, event.data) end } }"
    assert(store:append("s", { type = "U", data = { a = 5 } }))
    for _, eol in ipairs { "\n", "\r\n", "\r", "\n\r" } do check_same((text:gsub("\n", eol))) end
    check_same("\239\187\191" .. text)
  end)

  it("is that of a neighbour's functions, too", function()
    for i = 1, 3 do append { a = i, b = -i } end
    files["other.lua"] = [[
      local other = {}
      function other.keep(state, event) table.insert(state.list, event.data) end
      other.sum = function(state, event) table.insert(state.list, event.data.b) end
      return other]]
    check_same [[local other = require "other"
      return { initial = { list = {} }, on = { T = other.sum, U = function(state, event) <here> end } }]]
    check_same [[local other = require "other"
      return { initial = { list = {} }, on = { T = other.keep, U = function(state, event) <here> end } }]]
    check_same [[local other = require "other"
      return { initial = { list = {} }, on = { T = function(state, event) <here> other.keep(state, event)
        table.insert(state.list, event.data.a) end } }]]
  end)
end)

describe("a key's function that names fields", function()
  local function keyed(key, body)
    return ("return { initial = { list = {} }, key = function(event) <here> %s end,\non = { T = " ..
      "function(state, event) <here> table.insert(state.list, { %s }) end } }"):format(key, body)
  end

  it("leaves the handler the data as it is", function()
    append { k = "a", n = 1, list = { "a", "b" } }
    append { k = "b", n = 2, list = { "b" } }
    append { n = 3, k = "a", list = {} }
    append { n = 4 }
    append { k = "a", n = 5 }
    append { k = "b", n = 6 }
    for _, key in ipairs {
      "return event.data.k", "local d = event.data return d.k", "return { event.data.k, 'b' }",
      "return event.data.list", "event.data.n = 7 return event.data.k",
      "local d = event.data; d.n = 8 return d.k",
      "if event.data.list then table.insert(event.data.list, 'x') end return event.data.k", "return 'a', event.data.k",
    } do
      check_same(keyed(key, "event.data.n, event.data.k"), { "a", "b" })
      check_same(keyed(key, "event.data"), { "a" })
      check_same(keyed(key, "event.data.list"), { "a" })
    end
  end)
end)

-- By chance -------------------------------------------------------------------------------

local FIELDS = { "a", "b", "c", "data", "event" }

local STATEMENTS = {
  "keep(state, event.data.?)", "keep(state, event.data.?, event.data.?)",
  "local d = event.data keep(state, d.?)", "keep(state, event.data.?, 'x')",
  "local data = event.data; keep(state, data.?, event.data.?)", "event.data.? = 7",
  "if event.data.? then keep(state, 1) end",
  "local d = event.data; d.? = d.?", "keep(state, event.data)", "local d = event.data; keep(state, d)",
  "keep(state, event.type, event.version)",
  "do local event = { data = { a = 1 } } keep(state, event.data.?) end",
  "for k in pairs(event.data) do keep(state, k) end", "keep(state, #state.list, event.data.?)",
  "state.event = { data = 1 } keep(state, state.event.data)",
  "keep(state, ('event.data'), [[event]], event --[[x]]\n . data .?)",
  "local d = event.data; do local d = { a = 3 } keep(state, d.?) end keep(state, d.?)",
  "repeat local x = event.data.? until true", "while event.data.? == 7 do event.data.? = 8 break end",
  "local f = function() return event.data.? end keep(state, f())", "goto on ::on::",
  "keep(state, event.data .? and 1)",
  "keep(state, type(event.data.?), rawequal(event.data.?, 7))", "local d, e = event.data, 1 keep(state, d.?, e)",
}

local LEAVES = { 1, -1, 127, 128, 1.5, true, false, rille.null, "", "short", ("long"):rep(12) }

local function some_data()
  local kind = math.random(12)
  if kind == 1 then return { 1, 2 } end
  if kind == 2 then return values.random(2) end
  local data = {}
  for _ = 1, math.random(0, 6) do
    local field = math.random(4) == 1 and "f" .. math.random(20) or FIELDS[math.random(#FIELDS)]
    data[field] = math.random(6) == 1 and { math.random(9) } or LEAVES[math.random(#LEAVES)]
  end
  return data
end

local function some_body()
  local body = {}
  for i = 1, math.random(3) do
    local statement = STATEMENTS[math.random(#STATEMENTS)]
    body[i] = "do " .. statement:gsub("%?", function() return FIELDS[math.random(#FIELDS)] end) .. " end"
  end
  return table.concat(body, " ")
end

local TYPES = { "T", "U", "V" }
local KEYS = { "return event.stream", "return event.data.b", "local d = event.data return d.a or 'none'" }

local function some_key()
  local get = KEYS[math.random(#KEYS)]
  return ("key = function(event) <here> local key = (function(event) %s end)(event) return type(key) == 'string'" ..
    " and #key < 9 and key or nil end,"):format(get)
end

it("no reducer made at random can tell", function()
  values.seed "pick_spec"
  for round = 1, ROUNDS do
    if round % 20 == 1 then
      for _ = 1, EVENTS do assert(store:append("s", { type = TYPES[math.random(#TYPES)], data = some_data() })) end
    end
    local keyed = math.random(3) == 1
    local text = ([[
local function keep(state, ...) table.insert(state.list, { n = select("#", ...), v = { ... } }) end
return { initial = { list = {} }, %s on = {
  T = function(state, event) <here> %s end,
  U = function(state, event, key) <here> %s end,
  ["*"] = function(state, event) <here> %s end } }]]):format(keyed and some_key() or "", some_body(), some_body(),
      some_body())
    check_same(text, keyed and { "s", "short" } or nil)
  end
end)
