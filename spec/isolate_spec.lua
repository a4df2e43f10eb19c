-- isolate_spec.lua: a script in a state of its own can be wrong, and no more than that.
local rille = require "rille"
local attacks = require "spec.support.attacks"
local stores = require "spec.support.stores"
local values = require "spec.support.values"
local contains, failure, raised = stores.contains, stores.failure, stores.raised
local isolate = require "rille.isolate"

-- The limit of time, 500 ms, goes by the clock of the wall: on a busy machine it may come before
-- any other, though the script has had less of a processor. Under ThreadSanitizer (RILLE_SLOW) all
-- takes ten times as long: some attacks, by chance, stand for all, and that limit may always come.
local SLOW = os.getenv "RILLE_SLOW"
local SECONDS = (SLOW or os.getenv "RILLE_PRELOAD") and 10 or 1 -- of the processor's time
local ONE_IN, MANY = SLOW and 12 or 1, SLOW and 5000 or 50000 -- within 500 ms on a busy machine, too
if SLOW then values.seed "isolate_spec" end
local SUM = "return { initial = { n = 0 }, on = { T = function(state, e) state.n = state.n + e.data.n end } }"

local files, store

before_each(function()
  files = { ["sum.lua"] = SUM }
  store = stores.new {
    load = function(name)
      if name == "broken.lua" then error "the disk is on fire" end
      if files[name] then return files[name] end
      return nil, "there is no such file"
    end,
  }
  for n = 1, 3 do assert(store:append("a", { type = "T", data = { n = n } })) end
end)

after_each(function() store:close() end)

local function handler(body)
  return ("return { initial = {}, on = { T = function(state, event)\n%s\nend } }"):format(body)
end

local function fold(text, options)
  files["x.lua"] = text
  local with = { isolated = true }
  for name, value in pairs(options or {}) do with[name] = value end
  return store:fold("x.lua", with)
end

---Whether it ended as the list has it; `took`: of the processor's time.
local function is_right(verdict, attack, message, took)
  local is_late = type(message) == "string" and message:find("longer than 500 ms", 1, true)
  if is_late and (SLOW or took < 0.45) then return true end
  return ("|" .. attack.verdict .. "|"):find("|" .. verdict .. "|", 1, true)
end

describe("an attack:", function()
  for _, attack in ipairs(attacks) do
    local chosen = math.random(ONE_IN) == 1 and it or function() end
    chosen(attack.name, function()
      local began = os.clock()
      local key = attack.name == "a key that loops" and "k" or nil
      local state, message, code = fold(attack.text and attack.body or handler(attack.body), { key = key })
      local took = os.clock() - began
      local verdict = state == nil and code or "clean"
      if not is_right(verdict, attack, message, took) then
        error(("%s, not %s: %s"):format(verdict, attack.verdict, tostring(message)))
      end
      if took > SECONDS then error(("it took %.2f s"):format(took)) end
      assert.equal(6, store:fold("sum.lua", { isolated = true }).n)
      assert.equal(6, store:fold("sum.lua").n)
      assert.equal(3, store:head())
      assert.equal("HI", ("hi"):upper())
    end)
  end
end)

describe("what was exceeded", function()
  it("is named, with the script's line and the event", function()
    local iso <close> = assert(isolate.new(store, { ms = 60000 }))
    files["x.lua"] = handler "while true do end"
    local message, code, detail = failure(iso:run("rille.reducer", "fold", store, "x.lua"))
    contains(message, "x.lua:2: the script was stopped: it took more than 10000000 instructions")
    contains(message, "position 1")
    assert.equal("budget", code)
    assert.same({ limit = "instructions", position = 1 }, detail)
  end)

  it("is memory, of which there may be less", function()
    local body = "local t = {} for i = 1, 1e5 do t[i] = i end"
    assert(fold(handler(body)))
    local _, code, detail = failure(fold(handler(body), { memory_bytes = 2 << 20 }))
    assert.equal("budget", code)
    assert.same({ limit = "memory", position = 1 }, detail)
  end)

  it("is counted anew for each event", function()
    local body = "for i = 1, 50000 do end"
    assert(fold(handler(body), { instructions = 100000 }))
    local _, code = failure(fold(handler(body), { instructions = 40000 }))
    assert.equal("budget", code)
  end)

  it("is only what the script does", function()
    local state = assert(fold(handler "state.n = (state.n or 0) + 1", { instructions = 100 }))
    assert.equal(3, state.n)
    local _, code = failure(fold(handler "for i = 1, 300 do end", { instructions = 100 }))
    assert.equal("budget", code)
    local body = ("if event.position == 1 then for i = 1, %d do state[i] = { i } end end"):format(MANY)
    assert.equal(MANY, #assert(fold(handler(body))))
  end)

  it("is not given back by a call of the host's", function()
    local _, code = failure(fold [[while true do pcall(require, "none") end]])
    assert.equal("budget", code)
  end)

  it("is time, where nothing else has an end", function()
    local iso = assert(isolate.new(store, { ms = 100, instructions = 1 << 60 }))
    files["x.lua"] = handler "while true do end"
    local message, code, detail = failure(iso:run("rille.reducer", "fold", store, "x.lua"))
    contains(message, "longer than 100 ms")
    assert.equal("budget", code)
    assert.equal("time", detail.limit)
    assert(iso:is_dead())
    message, code = failure(iso:run("rille.reducer", "fold", store, "sum.lua"))
    contains(message, "longer than 100 ms")
    assert.equal("budget", code)
  end)

  it("can't be 0, nor a word", function()
    local message, code = failure(store:fold("sum.lua", { isolated = true, instructions = 0 }))
    contains(message, "at least 1")
    assert.equal("invalid", code)
    contains(raised(store.fold, store, "sum.lua", { isolated = true, memory_bytes = "2" }), "must be an integer")
    contains(raised(isolate.new, store, { memry_bytes = 5 }), "did you mean")
  end)
end)

describe("what crosses", function()
  local function run(text, ...)
    local iso <close> = assert(isolate.new(store))
    files["x.lua"] = text
    return iso:run("rille.reducer", "fold", store, "x.lua", ...)
  end

  it("is copied: nil, null, arrays, integers and floats", function()
    local ok, state = run([[local params = ... return { initial = params, on = {} }]], {
      params = { a = rille.null, b = rille.array {}, c = { 1, 2 }, d = 1, e = 1.0, f = false, g = "\0\255" } })
    assert.equal(true, ok)
    assert.equal(rille.null, state.a)
    assert.equal(rille.encode(rille.array {}), rille.encode(state.b))
    assert.same({ 1, 2 }, state.c)
    assert.equal("integer", math.type(state.d))
    assert.equal("float", math.type(state.e))
    assert.equal(false, state.f)
    assert.equal("\0\255", state.g)
  end)

  it("is every result, nil among them", function()
    local results = table.pack(run "return 5")
    assert.equal(true, results[1])
    assert.equal(nil, results[2])
    contains(results[3], "x.lua: a script must return a table")
    assert.equal("script", results[4])
  end)

  it("is refused by name where it can't", function()
    local iso <close> = assert(isolate.new(store))
    local message, code = failure(iso:run("rille.reducer", "fold", { { coroutine.create(print) } }))
    contains(message, "is a thread")
    assert.equal("invalid", code)
  end)

  it("is a function, which answers or fails", function()
    files["x.lua"] = [[local helper = require "helper" return { initial = helper, on = {} }]]
    files["helper.lua"] = "return { answer = 42 }"
    assert.equal(42, store:fold("x.lua", { isolated = true }).answer)
    contains(failure(store:fold("none.lua", { isolated = true })), "there is no such file")
    contains(failure(store:fold("broken.lua", { isolated = true })), "the disk is on fire")
  end)

  it("may not call back into the isolate", function()
    local iso
    local other <close> = stores.new {
      load = function() return select(2, pcall(iso.run, iso, "rille.reducer", "fold")) end }
    iso = assert(isolate.new(other))
    local _, _, message = iso:run("rille.reducer", "fold", other, "x.lua")
    contains(message, "x.lua")
    assert.equal(true, (iso:run("rille.reducer", "load", "sum.lua", function() return "" end)))
    iso:close()
  end)

  it("is a store that can't be closed there, and is not kept from being closed here", function()
    local iso = assert(isolate.new(store))
    assert(iso:run("rille.reducer", "fold", store, "sum.lua"))
    local path_store, path = stores.new()
    assert(path_store:append("a", { type = "T", data = { n = 1 } }))
    files["sum.lua"] = SUM
    path_store:close()
    local ok, result, message, code = iso:run("rille.reducer", "fold", path_store, "sum.lua")
    assert.same({ true, nil, "closed" }, { ok, result, code })
    contains(message, "closed")
    assert(rille.open(path)):close()
    iso:close()
    iso:close()
    local _, later = failure(iso:run("rille.reducer", "fold", store, "sum.lua"))
    assert.equal("closed", later)
  end)

  it("may close the store and the isolate while it runs", function()
    local iso, other
    other = stores.new { load = function()
      other:close()
      iso:close()
      return SUM
    end }
    iso = assert(isolate.new(other))
    iso:run("rille.reducer", "fold", other, "x.lua")
    assert(iso:is_dead())
    contains(tostring(other), "closed")
  end)
end)

describe("the functions of the isolated tier", function()
  local DIFFERENT = [[
    local function show(...)
      local t = table.pack(...)
      for i = 1, t.n do t[i] = math.type(t[i]) == "float" and "f" .. t[i] or tostring(t[i]) end
      local text = table.concat(t, " ", 1, t.n)
      return (text:gsub("bad argument #%d to '[^']*'", "bad argument"))
    end
    return { initial = {}, on = { T = function(state) end, Case = function(state, event)
      local c = event.data
      local function try(f, ...) state[#state + 1] = show(pcall(f, ...)) end
      for _, p in ipairs(c.patterns) do
        try(string.find, c.s, p, c.init)
        try(string.find, c.s, p, c.init, true)
        try(string.match, c.s, p, c.init)
        try(string.gsub, c.s, p, "<%0>", c.init > 0 and c.init or nil)
        try(string.gsub, c.s, p, "%1%%")
        try(string.gsub, c.s, p, { a = "x", b = false })
        try(string.gsub, c.s, p, function(a, b) return a and b and a .. b or nil end)
        try(function()
          local all = {}
          for a, b in string.gmatch(c.s, p, c.init) do all[#all + 1] = show(a, b) end
          return table.concat(all, ";")
        end)
      end
      local t = { 5, 3, 4, 1 }
      try(table.insert, t, c.init, 9)
      try(table.insert, t, 7)
      try(table.insert, t)
      try(table.remove, t, c.init)
      try(table.remove, t)
      try(table.remove, {}, c.init)
      try(table.move, t, 1, c.init, 2)
      try(table.concat, t, ",", c.init)
      try(table.concat, t, ",", 1, c.init)
      try(table.unpack, t, c.init)
      try(table.concat, t)
      try(tonumber, c.s, 16)
      try(xpcall, error, function(e) return e .. "!" end, c.s)
      try(xpcall, function(...) return ... end, error, 1, 2, c.s)
      try(string.rep, c.s, c.init, ",")
      try(utf8.len, c.s)
      try(table.concat, t, "-")
    end } }]]

  local PARTS = { "a", "b", ".", "%a", "%D", "[ab]", "[^a-b]", "[]]", "[%w_]", "(", ")", "()", "*", "+", "-", "?", "^",
    "$", "%1", "%2", "%b()", "%f[%w]", "%", "[", "%%", "[a-]", "\0", "%f", "%b", "(a*)", "(.-)", "%0", "[^]" }

  local function pick(random, list, n)
    local made = {}
    for i = 1, n do made[i] = list[random(#list)] end
    return table.concat(made)
  end

  it("answer and fail as Lua's do", function()
    math.randomseed(tonumber(os.getenv "SEED") or 7)
    local events = {}
    for i = 1, 300 do
      local patterns = {}
      for k = 1, 6 do patterns[k] = pick(math.random, PARTS, math.random(0, 5)) end
      events[i] = { type = "Case", data = { patterns = patterns, init = math.random(-3, 7),
        s = pick(math.random, { "a", "b", "(", ")", " ", "\0", "1", "ab" }, math.random(0, 8)) } }
    end
    assert(store:append("cases", events))
    files["case.lua"] = DIFFERENT
    local here, there = assert(store:fold "case.lua"), assert(store:fold("case.lua", { isolated = true }))
    assert.equal(#here, #there)
    for i = 1, #here do
      if here[i] ~= there[i] then error(("%d: %q here, %q there"):format(i, here[i], there[i])) end
    end
  end)
end)

describe("an isolate without memory", function()
  it("fails cleanly whichever allocation is the last", function()
    local n, passed, refused = 0, false, 0
    repeat
      local iso, _, code = isolate.new(store, { fail_after = n })
      if iso then
        local ok, state, why = iso:run("rille.reducer", "fold", store, "sum.lua")
        passed, code = ok == true and state ~= nil, why
        if passed then assert.equal(6, state.n) end
        iso:close()
      end
      if not passed then
        assert(code == "budget" or code == "script", tostring(code))
        refused = refused + 1
      end
      n = n + math.max(1, n // 100)
    until passed
    assert(refused > 100, "allocations were not refused: " .. refused)
  end)
end)
