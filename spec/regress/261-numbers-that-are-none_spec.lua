-- Options that are numbers: some took NaN, or what is less than 0, for a time; an endless time was converted to an
-- integer, so that a projection with all the time of the world stopped behind one event; the limits of isolates were
-- not looked at where no isolate was asked for, and too small ones blamed a line of rille's own. Each must be refused
-- in the name of its caller, or do what it says.
local postgres = require "spec.support.postgres"
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local NAN, INF = 0 / 0, math.huge

local SCRIPTS = {
  reducer = "return { initial = 0, on = { A = function(s) return s + 1 end } }",
  keyed = "return { initial = 0, key = 'stream', on = { A = function(s) return s + 1 end } }",
  processor = "return { on = { A = function() end } }",
  emitter = [[return { on = { A = function(e, ctx) ctx:emit('x', { type = 'B' }, ctx.host.options()) end },
    on_error = 'stop' }]],
  decider = "return { decide = function() return { stream = 'd', events = { type = 'D' } } end }",
}

-- What none of them may take: it raises, or the answer is nil, message, "invalid", or "script" where a script gave it.
local NEVER = { nan = NAN, ninf = -INF, least = math.mininteger, negative = -1, string = "2", table = {},
                boolean = true }
-- What must be refused where an integer is meant, and taken where a time is.
local LARGE = { half = 1.5, inf = INF, ["2^63"] = 2.0 ^ 63, huge = 1e300 }
local TIMES = { zero = 0, negative_zero = -0.0, integer = 3, float = 3.0, largest = math.maxinteger }

local INTEGERS = {
  "rille.open(path(), { sync = 'never', segment_bytes = v })", "rille.open(path(), { sync_interval_ms = v })",
  "store:append('b', {}, { expect = v })", "store:append { { stream = 'b', events = {}, expect = v } }",
  "store:append('b', {}, { mark = { 'm', v, 1 } })", "store:append('b', {}, { mark = { fresh(), 0, v } })",
  "store:append('b', {}, { unless = { types = { 'Q' }, after = v } })",
  "store:append('b', {}, { unless = { { types = { 'Q' }, after = v } } })",
  "count(store:read('a', { after = v }))", "count(store:read('a', { before = v }))",
  "count(store:read('a', { limit = v }))", "count(store:all { after = v })", "count(store:all { before = v })",
  "count(store:all { limit = v })", "store:wait(v, 0)", "store:truncate('a', { before = v })",
  "store:redact(v, { reason = 'spec' })", "store:redact({ v }, { reason = 'spec' })",
  "store:fold('reducer', { at = v })", "store:fold('reducer', { stream = 'a', version = v })",
  "store:fold('reducer', { isolated = true, memory_bytes = v })",
  "store:fold('reducer', { isolated = true, instructions = v })",
  "store:projection(fresh(), 'keyed', { cache = v })", "store:projection(fresh(), 'keyed', { share = { v, 4 } })",
  "store:projection(fresh(), 'keyed', { share = { 1, v } })",
  "store:projection(fresh(), 'keyed', { isolated = true, memory_bytes = v })",
  "store:processor(fresh(), 'processor', { isolated = true, instructions = v })",
  "p:get('a', { consistency = 'session', after = v })", "p:get('a', { consistency = 'weak', max_lag = v })",
  "p:get('a', { at = v })", "count(p:each { limit = v })", "count(p:each { max_lag = v })",
  "apart:get('a', { at = v })", "count(apart:each { limit = v })",
  "store:processor(fresh(), 'processor', { depth = v })", "emit { expect = v }",
  "store:decide('decider', nil, { attempts = v })", "c:transact({ attempts = v }, work)",
}

local SECONDS = { -- and milliseconds
  "rille.open(path(), { sync = 'never', indoubt_age = v })", "store:append('b', {}, { wait = v })",
  "store:append { { stream = 'b' }, wait = v }", "store:decide('decider', nil, { wait = v })", "store:poll(v)",
  "p:update { ms = v }", "apart:update { ms = v }", "w:run { ms = v }", "store:wait(1, v)",
  "rille.coordinator(store, { indoubt = print, indoubt_age = v })", "c:poll(v)",
}

local MORE_THAN_NONE = { -- seconds that must not be 0
  "c:transact({ timeout = v }, work)", "c:begin { timeout = v }", not postgres.lacks() and
  "rille.postgres('postgresql:///x', { timeout = v })" or nil,
}

describe("a number that is none, or can't be meant, is refused:", function()
  local known, handles

  local function keep(handle, ...)
    if type(handle) == "userdata" or type(handle) == "table" and handle.close then handles[#handles + 1] = handle end
    return handle, ...
  end

  setup(function()
    handles = {}
    local store, other = stores.new { load = function(name) return SCRIPTS[name] end }, stores.new()
    for _ = 1, 3 do assert(store:append("a", { type = "A" })) end
    local n = 0
    known = { rille = rille, store = store, other = other, path = scratch.path, print = print }
    known.c = keep(assert(rille.coordinator(store)))
    known.p = keep(assert(store:projection("p", "keyed")))
    known.apart = keep(assert(store:projection("apart", "keyed", { isolated = true })))
    known.w = keep(assert(store:processor("w", "processor")))
    function known.fresh()
      n = n + 1
      return "fresh" .. n
    end
    function known.count(f, s, v) return #stores.list(f, s, v) end
    function known.work(tx) return tx:append(store, "t", { type = "T" }) and tx:append(other, "t", { type = "T" }) end
    function known.emit(options)
      local with = { provide = { options = function() return options end } }
      local p <close> = assert(store:processor(known.fresh(), "emitter", with))
      return p:run()
    end
  end)
  teardown(function()
    for i = #handles, 1, -1 do handles[i]:close() end
    known.store:close()
    known.other:close()
  end)

  ---Whether it is done; else why not: what it raised, as its caller's, or answered. An iterator raises what is
  ---beyond the end without a place, as it does what the world can do to it.
  local function try(call, value)
    known.v = value
    local program = load(("local r, m, c = %s return r, m, c"):format(call), "=caller", "t", known)
    local ok, result, message, code = pcall(program)
    if not ok then
      if not result:find "is beyond the end" then stores.contains(result, "caller:1: ") end
      return false, result
    end
    if result == nil and type(message) == "string" then
      if code ~= "invalid" and code ~= "script" and code ~= "conflict" and code ~= "budget" then
        error(("%s, v = %s: %s, %s"):format(call, value, message, code))
      end
      return false, message
    end
    keep(result)
    return true
  end

  local function refuses(call, value, name)
    local done, why = try(call, value)
    if done then error(("%s, v = %s (%s): it was taken"):format(call, value, name)) end
    return why
  end

  for _, list in ipairs { INTEGERS, SECONDS, MORE_THAN_NONE } do
    for _, call in ipairs(list) do
      it(call, function()
        for name, value in pairs(NEVER) do refuses(call, value, name) end
        if list == INTEGERS then
          for name, value in pairs(LARGE) do refuses(call, value, name) end
          for _, value in pairs(TIMES) do try(call, value) end -- or an error that is not the caller's
          return
        end
        for _, values in ipairs { TIMES, LARGE } do
          for name, value in pairs(values) do
            if list == MORE_THAN_NONE and value == 0 then
              refuses(call, value, name)
            else
              local done, why = try(call, value)
              if not done then error(("%s, v = %s: %s"):format(call, value, why)) end
            end
          end
        end
      end)
    end
  end

  it("a limit of an isolate where none is asked for", function()
    for _, call in ipairs { "store:fold('reducer', { %s = v })", "store:projection(fresh(), 'keyed', { %s = v })",
      "store:processor(fresh(), 'processor', { %s = v })" } do
      for _, name in ipairs { "memory_bytes", "instructions" } do
        for _, value in pairs { NAN, INF, 1.5, "2", {}, true } do
          stores.contains(refuses(call:format(name), value, name), name .. " must be an integer")
        end
      end
      stores.contains(refuses(call:format "isolated", 1, "isolated"), "isolated must be a boolean")
    end
  end)

  it("a weight that is NaN", function()
    known.tx = assert(known.c:begin())
    stores.contains(refuses("tx:enlist(other, { weight = v })", NAN, "NaN"), "weight must be a number")
    known.tx:close()
  end)

  it("and all the time of the world is no time but all", function()
    local p = assert(known.store:projection("all", "reducer"))
    for _, ms in ipairs { INF, 1e300, math.maxinteger, 2.0 ^ 63 } do
      assert(known.store:append("more", { { type = "A" }, { type = "A" }, { type = "A" } }))
      assert.equal(0, p:update { ms = ms })
    end
    p:close()
  end)
end)

describe("decisions that are older than time", function()
  it("are none: nothing is forgotten", function()
    local store, other = stores.new(), stores.new()
    local c = assert(rille.coordinator(store))
    assert(c:transact({ id = "kept" }, function(tx)
      return tx:append(store, "t", { type = "T" }) and tx:append(other, "t", { type = "T" })
    end))
    for _, seconds in ipairs { INF, 1e300, math.maxinteger, 1e12 } do assert.is_true(c:forget(seconds)) end
    assert.equal("committed", (c:outcome "kept"))
    for _, one in ipairs { c, other, store } do one:close() end
  end)
end)
