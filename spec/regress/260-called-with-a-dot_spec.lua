-- store.poll() for store:poll(): some methods failed in a line of rille's own, which was blamed, others took what they
-- were given for a handle, and answered. Each must name itself and blame the line of its caller.
local postgres = require "spec.support.postgres"
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

-- What stands in place of the handle, and behind it.
local ARGUMENTS = { "", "nil", "'x'", "{}", "7", "io.stdout", "setmetatable({}, {})", "rille.null", "other",
  "{}, other", "{}, 'a', 'b'", "nil, {}, {}" }

local SCRIPTS = {
  reducer = "return { initial = 0, on = { A = function(s) return s + 1 end } }",
  processor = "return { on = { A = function() end } }",
  decider = "return { initial = 0, on = {}, decide = function() end }",
}

---The methods that editors are told of.
local function methods_of(class)
  local list = {}
  for name in scratch.read "lua/meta/rille.lua":gmatch("\nfunction " .. class .. ":([%w_]+)%(") do
    list[#list + 1] = name
  end
  assert(#list > 0, "no methods of " .. class)
  return list
end

---Calls each with each, in a line that is known.
local function check(handle, other, names)
  for _, name in ipairs(names) do
    for _, arguments in ipairs(ARGUMENTS) do
      local call = ("local handle, other, rille = ... local _ = handle.%s(%s)"):format(name, arguments)
      local ok, message = pcall(load(call, "=caller"), handle, other, rille)
      if ok or not message:find "^caller:1: " or not message:find(name, 1, true) then
        error(("%s(%s): %s, %s"):format(name, arguments, ok, message))
      end
    end
  end
end

describe("a method that is called with a dot, or on something else, names itself and its caller:", function()
  local store, coordinator, tx

  before_each(function()
    store = stores.new { load = function(name) return SCRIPTS[name] end }
    coordinator = assert(rille.coordinator(store))
    tx = assert(coordinator:begin { id = "dot" })
  end)
  after_each(function()
    tx:close()
    coordinator:close()
    store:close()
  end)

  it("a store's", function() check(store, coordinator, methods_of "Store") end)

  for _, isolated in ipairs { false, true } do
    local with, how = { isolated = isolated or nil }, isolated and ", in an isolate" or ""
    it("a projection's" .. how, function()
      check(assert(store:projection("p", "reducer", with)), store, methods_of "Projection")
    end)
    it("a processor's" .. how, function()
      check(assert(store:processor("w", "processor", with)), store, methods_of "Processor")
    end)
  end

  it("a coordinator's", function() check(coordinator, store, methods_of "Coordinator") end)
  it("a transaction's", function() check(tx, coordinator, methods_of "Transaction") end)

  it("a case's of the test kit", function()
    local kit = require "rille.testkit"
    check(kit.reducer(SCRIPTS.reducer), store, { "given", "expect_state", "expect_error" })
    check(kit.decider(SCRIPTS.decider), store, { "given", "when", "expect_events", "expect_refused", "expect_error" })
    check(kit.processor(SCRIPTS.processor), store, { "given", "when", "advance", "expect_events", "expect_error" })
  end)

  it("a branch's", function()
    local missing = postgres.lacks()
    if missing then return pending(missing) end
    local server = postgres.new()
    local shop = assert(rille.postgres(server:conninfo()))
    local c = assert(rille.coordinator(store, { participants = { shop = shop } }))
    local with = assert(c:begin())
    check(assert(with:enlist "shop"), store, methods_of "Enlisted")
    check(with, c, methods_of "Transaction") -- one that is collected in another way
    with:abort()
    c:close()
    shop:close()
    server:close()
  end)

  it("and one that is called as it should be blames its caller, too", function()
    for _, call in ipairs { "handle:poll 'x'", "handle:fold(1)", "handle:settle { x = 1 }", "handle:decide()" } do
      local ok, message = pcall(load("local handle = ... local _ = " .. call, "=caller"), store)
      assert.is_false(ok)
      stores.contains(message, "caller:1: ")
    end
  end)
end)
