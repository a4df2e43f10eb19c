-- A script of an isolate that took seconds within its last instruction was not stopped: the clock is looked at every
-- hundred, and nobody looked when the event was over. So each event could take as long as one instruction can: a table
-- that grows, with integers that all collide in what it grows to. And string.byte, utf8.len, utf8.codepoint and
-- string.unpack were charged for the whole text, however little of it they read: a loop over a text was stopped.
local stores = require "spec.support.stores"
local isolate = require "rille.isolate"

local files, store

before_each(function()
  files = {}
  store = stores.new { load = function(name) return files[name] end }
  assert(store:append("a", { type = "T" }))
end)
after_each(function() store:close() end)

-- When the 16385th key comes, the table grows, and all that are in it are put in again, each behind all others.
local COLLIDING = "local t = {} for i = 0, 16384 do t[i * 32767] = true end"

describe("a script that takes long in its last instruction is stopped:", function()
  local function stopped(kind, open)
    local iso = assert(isolate.new(store, { ms = 20 }))
    files["x.lua"] = kind
    local message, code, detail = stores.failure(open(iso))
    stores.contains(message, "longer than 20 ms")
    assert.equal("budget", code)
    assert.equal("time", detail.limit)
    assert(iso:is_dead())
  end

  it("a reducer", function()
    stopped(("return { initial = {}, on = { T = function() %s end } }"):format(COLLIDING), function(iso)
      return iso:run("rille.reducer", "fold", store, "x.lua")
    end)
  end)

  it("a projection's", function()
    stopped(("return { initial = {}, on = { T = function() %s end } }"):format(COLLIDING), function(iso)
      return iso:run("rille.apart", "serve", store, "projection", "p", "x.lua", {}, nil, "update")
    end)
  end)

  it("a processor, whose event has no effect", function()
    local body = ("return { on = { T = function(e, ctx) ctx:emit('out', { type = 'Out' }) %s end } }"):format(COLLIDING)
    stopped(body, function(iso)
      return iso:run("rille.apart", "serve", store, "processor", "w", "x.lua", {}, {}, "run")
    end)
    assert.equal(0, store:version "out")
    assert.equal(0, store:mark "w")
  end)
end)

describe("what looks at a part of a text is charged for the part:", function()
  local function fold(body)
    files["x.lua"] = ("return { initial = {}, on = { T = function(state) %s end } }"):format(body)
    return store:fold("x.lua", { isolated = true, instructions = 2000000 })
  end

  local LOOPS = {
    ["string.byte"] = "local n = 0 for i = 1, #s do n = n + s:byte(i) end",
    ["string.byte from its end"] = "for i = -1, -#s, -1 do local _ = s:byte(i, i) end",
    ["utf8.codepoint"] = "for i = 1, #s do local _ = utf8.codepoint(s, i) end",
    ["utf8.len"] = "for i = 1, #s do local _ = utf8.len(s, i, i) end",
    ["string.unpack"] = "for i = 1, #s do local _ = string.unpack('B', s, i) end",
  }
  for name, loop in pairs(LOOPS) do
    it(name, function() assert(fold("local s = ('x'):rep(100000) " .. loop)) end)
  end

  -- Each reads all of it, or all that is left.
  local WHOLE = {
    "s:byte(1, -200)", "s:byte(-200000, 190000)", "utf8.len(s)", "utf8.len(s, 2, -1)", "utf8.codepoint(s, 1, -1)",
    "('z'):unpack(s)", "('z'):unpack(s, 10)", "('B'):rep(200000):unpack(s)", "s:byte(('0'):rep(200000) .. 1)",
    "s:byte(1, ('0'):rep(200000) .. 1)", "utf8.len(s, ('0'):rep(200000) .. 1, 1)",
    "('B'):unpack(s, ('0'):rep(200000) .. 1)",
  }
  for _, call in ipairs(WHOLE) do
    it("and for all of it, where that is looked at: " .. call, function()
      local body = "local s = ('x'):rep(200000) .. '\\0' for _ = 1, 1000 do pcall(function() return %s end) end"
      local began = os.clock()
      local _, code, detail = stores.failure(fold(body:format(call)))
      assert.equal("budget", code)
      assert(detail.limit ~= "memory")
      assert(os.clock() - began < (os.getenv "RILLE_SLOW" and 20 or 2))
    end)
  end
end)
