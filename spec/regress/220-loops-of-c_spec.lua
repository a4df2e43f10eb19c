-- What a script of an isolate could make C do without end, or nearly: no hook is called there, and
-- no look was taken at the clock. Loops of table.unpack, concat, move, insert, remove, sort and
-- string.gsub called metamethods that were C functions or went through two thousand tables; a
-- range of all integers was charged as none; __call that is a table was followed within one
-- instruction; a value that holds one table in many places was written once for each of them; and
-- a call of the host's began the script's time anew.
local stores = require "spec.support.stores"

local SLOW = os.getenv "RILLE_SLOW" or os.getenv "RILLE_PRELOAD"
local SECONDS = SLOW and 10 or 1 -- of the processor's time

local CHAIN = "local last = %s for _ = 1, 1900 do last = setmetatable({}, { __index = last }) end "
local EMPTIED = "local t = {} for i = 1, 2e5 do t[i] = true end for i = 1, 2e5 do t[i] = nil end "
local WIDE = "setmetatable({}, { __index = last, __len = function() return 9000000 end })"

local function chain(body, last) return CHAIN:format(last or "{}") .. body:gsub("WIDE", WIDE) end

local store

before_each(function() store = stores.new() end)
after_each(function() store:close() end)

local function open(load)
  store:close()
  store = stores.new { load = load }
  assert(store:append("a", { type = "T", data = { n = 1 } }))
end

---What comes of a handler in an isolate, within the time.
local function fold(body)
  open(function() return ("return { initial = {}, on = { T = function(state, event) %s end } }"):format(body) end)
  local began = os.clock()
  local state, message, code = store:fold("x.lua", { isolated = true })
  if os.clock() - began > SECONDS then error(("it took %.2f s"):format(os.clock() - began)) end
  return state, message, code
end

---The same of a processor's.
local function react(body, provide)
  open(function() return ("return { on = { T = function(event, ctx) %s end } }"):format(body) end)
  local w = assert(store:processor("w", "x.lua", { isolated = true, provide = provide }))
  local began = os.clock()
  local left, message, code, detail = w:run()
  if os.clock() - began > SECONDS then error(("it took %.2f s"):format(os.clock() - began)) end
  return left, message, code, detail
end

local function stopped(_, message, code)
  assert.equal("budget", code)
  stores.contains(message, "the script was stopped")
end

describe("a loop of C's whose metamethods", function()
  local loops = {
    ["unpack"] = chain "table.unpack(last, 1, 500000)",
    ["move from"] = chain "table.move(last, 1, 9000000, 1, {})",
    ["concat"] = chain("table.concat(last, '', 1, 3000000)", "setmetatable({}, { __index = tostring, __name = '' })"),
    ["insert"] = chain "table.insert(WIDE, 1, 1)",
    ["remove"] = chain "table.remove(WIDE, 1)",
    ["gsub"] = chain "(('x'):rep(1000000)):gsub('x', last)",
    ["move to"] = "local last = setmetatable({}, { __newindex = type }) for _ = 1, 1900 do "
      .. "last = setmetatable({}, { __newindex = last }) end table.move({}, 1, 9000000, 1, last)",
    ["sort"] = chain "table.sort(setmetatable({}, { __index = last, __len = function() return 400000 end }), rawequal)",
  }
  for name, body in pairs(loops) do
    it(("go through many tables is stopped: %s"):format(name), function() stopped(fold(body)) end)
  end

  it("is a C function is stopped", function()
    stopped(fold(EMPTIED .. "setmetatable(t, { __index = pairs }) table.unpack(t, 1, 500000)"))
  end)
end)

describe("a range of all integers", function()
  it("is charged as such", function()
    stopped(fold [[table.concat(setmetatable({}, { __index = tostring, __name = "" }), "",
      math.mininteger, math.maxinteger)]])
  end)
end)

describe("table functions on tables with metamethods", function()
  it("answer and fail as Lua's do", function()
    local body = [[
      local function t(n)
        return setmetatable({}, { __len = function() return n end,
          __index = function(_, i) return i > 3 and nil or "v" .. i end, __newindex = function(s, i, v)
            state[#state + 1] = tostring(i) .. "=" .. tostring(v) rawset(s, i, v) end })
      end
      local function try(f, ...)
        local results = table.pack(pcall(f, ...))
        for i = 1, results.n do results[i] = type(results[i]) == "table" and "table" or tostring(results[i]) end
        state[#state + 1] = rawget(table, "concat")(results, " ")
      end
      for _, i in ipairs { 1, 0, 3, 4, -1, math.maxinteger, math.mininteger } do
        for _, j in ipairs { 1, 3, 5, -1, math.maxinteger } do
          local small = j < i or j - i >= 0 and j - i < 20
          if small then
            try(table.concat, t(3), ",", i, j)
            try(table.unpack, t(3), i, j)
            try(table.move, t(3), i, j, 2)
            try(table.move, t(3), i, j, 2, {})
            try(table.move, { 1, 2, 3 }, i, j, 1, t(0))
          end
          try(table.move, t(3), i, small and j or i, math.maxinteger)
        end
        try(table.remove, t(3), i > 4 and 9 or i)
        if i < 5 then try(table.insert, t(3), i, "new") end
      end
      try(table.concat, t(3)) try(table.concat, t(4)) try(table.concat, t(3), 5) try(table.concat, t(3), {})
      try(table.unpack, t(3)) try(table.unpack, "abc") try(table.unpack)
      try(table.move, t(3), 1, 3) try(table.move, "abc", 1, 2, 3) try(table.move, t(3), 1, 1, 1, "x")]]
    body = body:gsub('rawget%(table, "concat"%)', "table.concat")
    local text = ("return { initial = {}, on = { T = function(state, event) %s end } }"):format(body)
    open(function() return text end)
    local here, there = assert(store:fold "x.lua"), assert(store:fold("x.lua", { isolated = true }))
    assert.is_true(#here > 100)
    for i = 1, #here do
      local expected = here[i]:gsub("bad argument #%d to '[^']*'", "bad argument")
      assert.equal(expected, (there[i]:gsub("bad argument #%d to '[^']*'", "bad argument")))
    end
  end)
end)

describe("__call that is a table", function()
  it("is refused, in either tier", function()
    local body = "local t = {} setmetatable(t, { __call = t }) t()"
    for _, isolated in ipairs { true, false } do
      open(function() return ("return { initial = {}, on = { T = function() %s end } }"):format(body) end)
      local _, message, code = store:fold("x.lua", { isolated = isolated or nil })
      assert.equal("script", code)
      stores.contains(message, "__call is a table is refused")
    end
  end)

  it("is no less refused when it comes later", function()
    open(function()
      return "local m = {} local t = setmetatable({}, m) m.__call = t return { initial = {}, on = {}, key = t }"
    end)
    local _, message, code = store:fold("x.lua", { isolated = true })
    assert.equal("script", code)
    stores.contains(message, "__call is a table is refused")
  end)
end)

describe("a value that holds one table in many places", function()
  local MANY = "local t = { 1 } for _ = 1, 60 do t = { t, t } end "

  it("costs what writing it costs: emitted", function()
    stopped(react(MANY .. "ctx:emit('x', { type = 'A', data = t })"))
    assert.equal(1, store:head())
  end)

  it("costs what writing it costs: given to the host", function()
    stopped(react(MANY .. "ctx.host.take(t)", { take = function() end }))
  end)

  it("costs what writing it costs: made of an old event", function()
    open(function()
      return "return { initial = {}, on = { N = function() end }, upcast = { T = function() "
        .. MANY .. "return { type = 'N', data = t } end } }"
    end)
    local _, message, code = store:fold("x.lua", { isolated = true })
    assert.equal("budget", code)
    stores.contains(message, "x.lua: the script was stopped")
  end)
end)

describe("a call of the host's", function()
  it("does not begin the script's time anew", function()
    local calls = 0
    stopped(react(chain "while true do for _ = 1, 500 do local _ = last.x end ctx.host.take() end",
      { take = function() calls = calls + 1 end }))
    assert.is_true(calls > 0)
  end)

  it("costs steps", function()
    local calls = 0
    stopped(react("while true do pcall(ctx.host.take) end", { take = function() calls = calls + 1 end }))
    assert.is_true(calls <= 50000)
  end)

  it("takes no more of the host's memory than the script may have", function()
    local taken = false
    stopped(react("local s = ('x'):rep(10000000) ctx.host.take(s, s, s, s, s, s, s, s, s, s)",
      { take = function() taken = true end }))
    assert.is_false(taken)
  end)

  it("gets what is within that", function()
    local taken
    assert.equal(0, react("local s = ('x'):rep(1000000) ctx.host.take(s, s, s)",
      { take = function(...) taken = select("#", ...) end }))
    assert.equal(3, taken)
  end)
end)

describe("a metamethod that rille's own code calls", function()
  local SEARCH = "(('a'):rep(30)):find(('a?'):rep(30) .. ('a'):rep(31))"
  local METHODS = "found = rawequal(('x').rep, string.rep) and not ('x').dump"

  local function script(text)
    open(function() return (text:gsub("SEARCH", SEARCH)) end)
    local began = os.clock()
    local _, message, code = store:fold("x.lua", { isolated = true })
    if os.clock() - began > SECONDS then error(("it took %.2f s"):format(os.clock() - began)) end
    return message, code
  end

  it("has no functions of strings that nobody watches: in what is emitted", function()
    for _, event in ipairs {
      "setmetatable({ type = 'A' }, { __index = function() SEARCH end })",
      "setmetatable({ type = 'A' }, { __pairs = function() SEARCH end })",
      "{ type = 'A', tags = setmetatable({}, { __index = function() SEARCH end }) }",
      "{ type = 'A' }, setmetatable({}, { __index = function() SEARCH end })",
    } do
      stopped(react(("ctx:emit('x', %s)"):format(event:gsub("SEARCH", SEARCH))))
    end
  end)

  it("has no functions of strings that nobody watches: in what a script returns", function()
    for _, text in ipairs {
      "return setmetatable({ initial = {}, on = {} }, { __pairs = function() SEARCH return next, {} end })",
      "return setmetatable({ initial = {} }, { __index = function() SEARCH end })",
      "return { initial = {}, on = setmetatable({}, { __pairs = function(t) SEARCH return next, t end }) }",
    } do
      local message, code = script(text)
      assert.is_true(code == "budget" or code == "script", message)
    end
  end)

  it("finds what scripts find, in either tier", function()
    for _, isolated in ipairs { true, false } do
      local text = ([[local found
        local function look() METHODS end
        local function watched(t)
          local plain = {}
          for key, value in pairs(t) do plain[key] = value end
          return setmetatable(t, { __index = look, __pairs = function() look() return pairs(plain) end })
        end
        return watched { on = watched { T = function(_, ctx)
          if not found then error "methods of the host's" end
          found = nil
          ctx:emit("x", watched { type = "A" })
          if not found then error "methods of the host's" end
        end } }]]):gsub("METHODS", METHODS)
      open(function() return text end)
      local w = assert(store:processor("w", "x.lua", { isolated = isolated or nil }))
      assert.equal(0, w:run())
      assert.equal(2, store:head())
      w:close()
    end
  end)

  it("still gives what a table inherits", function()
    open(function()
      return [[local Base = { on = { T = function(_, ctx)
          ctx:emit("x", setmetatable({}, { __index = { type = "A", data = 5, tags = { "t" } } }))
        end } }
        return setmetatable({}, { __index = Base })]]
    end)
    local w = assert(store:processor("w", "x.lua"))
    assert.equal(0, w:run())
    local e = store:read "x" ()
    assert.same({ "A", 5, { "t" } }, { e.type, e.data, e.tags })
  end)

  it("that raises is a fault of the script's", function()
    open(function() return "return setmetatable({}, { __pairs = function() error { } end })" end)
    for _, isolated in ipairs { true, false } do
      local _, message, code = store:fold("x.lua", { isolated = isolated or nil })
      assert.equal("script", code)
      stores.contains(message, "x.lua:1: the error is a table value")
    end
  end)
end)

describe("an old event for a processor", function()
  local LIST = "local list = {} for i = 1, %d do list[i] = { type = 'N' } end return list"
  local SLOW_ONE = "for _ = 1, %d do end"

  local function upcasting(upcast, body, key)
    open(function()
      return ("return { key = %s, on = { N = function(event, ctx) %s end }, upcast = { %s } }")
        :format(key or "'stream'", body, upcast)
    end)
    return store:processor("w", "x.lua", { isolated = true })
  end

  local function run(...)
    local w = assert(upcasting(...))
    local began = os.clock()
    local left, message, code = w:run()
    if os.clock() - began > SECONDS then error(("it took %.2f s"):format(os.clock() - began)) end
    return left, message, code
  end

  it("has one budget for all that it becomes", function()
    local one = "T = function() " .. LIST:format(50) .. " end"
    stopped(run(one, SLOW_ONE:format(2000000)))
    stopped(run(one, "", "function() " .. SLOW_ONE:format(2000000) .. " end"))
    assert.equal(0, run(one, SLOW_ONE:format(2000)))
  end)

  it("has one budget for becoming it", function()
    local steps = {}
    for i = 1, 9 do
      steps[i] = ("%s = function() local list = {} for i = 1, 100 do list[i] = { type = '%s' } end return list end")
        :format(i == 1 and "T" or "E" .. i, i == 9 and "N" or "E" .. i + 1)
    end
    stopped(run(table.concat(steps, ", "), ""))
  end)

  it("is read without metamethods", function()
    local body = "error 'a metamethod ran'"
    open(function()
      return ([[local m = { __index = function() BODY end, __len = function() BODY end, __pairs = function() BODY end }
        return { on = { N = function(_, ctx) ctx:emit("x", { type = "A" }) end },
          upcast = { T = function() return setmetatable({ setmetatable({ type = "N" }, m) }, m) end } }]])
        :gsub("BODY", body)
    end)
    local w = assert(store:processor("w", "x.lua", { isolated = true }))
    assert.equal(0, w:run())
    assert.equal(2, store:head())
  end)
end)
