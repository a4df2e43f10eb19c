-- elsewhere_spec.lua: reactions whose events go to other stores: each exactly once, by ids or by
-- a transaction.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local contains, failure, raised = stores.contains, stores.failure, stores.raised

local START = 1700000000

local files, shop, warehouse, paths, now

local function load(name)
  if files[name] then return files[name] end
  return nil, "there is no such file"
end

local function clock() return now end

local function open_shop(options)
  options = options or {}
  options.load, options.clock = load, clock
  return assert(rille.open(paths.shop, options))
end

before_each(function()
  files, now = {}, START
  paths = { shop = scratch.path "shop.rille", warehouse = scratch.path "warehouse.rille" }
  shop, warehouse = open_shop(), assert(rille.open(paths.warehouse))
end)

after_each(function()
  shop:close()
  warehouse:close()
  scratch.remove(paths.shop)
  scratch.remove(paths.warehouse)
end)

---A processor of this text, which may write to the warehouse.
local function open(text, options)
  files["p.lua"] = text
  local given = { stores = { warehouse = warehouse } }
  for name, value in pairs(options or {}) do given[name] = value end
  return assert(shop:processor("ship", "p.lua", given))
end

---A processor that answers each Sold.
local function handler(body, fields)
  return ("return { %s on = { Sold = function(event, ctx) %s end } }"):format(fields or "", body)
end

local SHIP = handler [[
  ctx:emit("picks-" .. event.data, { type = "Picked", data = event.data }, { to = "warehouse" })
  ctx:emit("sent", { type = "Told", data = event.data })]]

local function sell(n) return assert(shop:append("sales", { type = "Sold", data = n })).last end

local function picked() return stores.fields("data", warehouse:all { types = { "Picked" } }) end
local function told() return stores.fields("data", shop:all { types = { "Told" } }) end

---What the shop was at the moment, to be taken back: as a power cut takes what is not flushed.
local function remember()
  shop:close()
  scratch.shell("cp -r '%s' '%s.before'", paths.shop, paths.shop)
  shop = open_shop()
end

local function go_back()
  shop:close()
  scratch.shell("rm -rf '%s' && mv '%s.before' '%s'", paths.shop, paths.shop, paths.shop)
  shop = open_shop()
end

---The message with which the reaction to one event fails.
local function refused(body, options)
  sell(1)
  local message, code = failure(open(handler(body), options):run())
  assert.equal("script", code)
  assert.same({}, picked())
  return message
end

---The same for both ways of being written exactly once.
local function both_ways(options_of)
  it("is there, and says what caused it", function()
    local position = sell(1)
    assert.equal(0, (open(SHIP, options_of()):run()))
    local event = stores.list(warehouse:read "picks-1")[1]
    assert.same({ processor = "ship", position = position, depth = 1, store = shop:stats().uuid },
      event.meta["$cause"])
    assert.same({ 1 }, told())
    assert.equal(shop:head(), shop:mark "ship")
  end)

  it("is there once for each of many, in their order", function()
    for i = 1, 600 do sell(i) end
    open(SHIP, options_of()):run()
    assert.same(stores.range(1, 600), picked())
    assert.same(stores.range(1, 600), told())
  end)

  it("is there once where two instances react to the same event", function()
    local first, second
    local options = options_of()
    options.provide = { meanwhile = function()
      local w = second
      second = nil
      if w then assert(w:run()) end
    end }
    for i = 1, 3 do sell(i) end
    first = open(handler [[
      if event.data == 2 then ctx.host.meanwhile() end
      ctx:emit("picks", { type = "Picked", data = event.data }, { to = "warehouse" })
      ctx:emit("sent", { type = "Told", data = event.data })]], options)
    second = open(files["p.lua"], options)
    assert(first:run())
    assert.same({ 1, 2, 3 }, picked())
    assert.same({ 1, 2, 3 }, told())
  end)

  it("comes later, where it has a delay", function()
    sell(1)
    local w = open(handler [[
      ctx:emit("picks", { type = "Picked", data = event.data }, { to = "warehouse", delay = 60 })]], options_of())
    local _, due = w:run()
    assert.equal(60, due)
    assert.same({}, picked())
    now = now + 61
    w:run()
    w:run()
    assert.same({ 1 }, picked())
  end)

  it("is not there where the reaction fails, and once when it is tried again", function()
    sell(1)
    local w = open(handler([[
      ctx:emit("picks", { type = "Picked", data = event.data }, { to = "warehouse" })
      if params.fails then error "not yet" end]], [[on_error = "park",]]):gsub("^", "local params = ... "),
      (function()
        local options = options_of()
        options.params = { fails = true }
        return options
      end)())
    w:run()
    assert.same({}, picked())
    assert.equal(1, #w:parked())
    w:close()
    files["p.lua"] = nil
    local mended = open(handler [[ctx:emit("picks", { type = "Picked", data = event.data }, { to = "warehouse" })]],
      options_of())
    assert.equal(1, (mended:retry(1)))
    assert.same({ 1 }, picked())
    assert.same({}, mended:parked())
  end)

  it("is an error of the script where it can't be written there", function()
    sell(1)
    local w = open(handler([[
      local tags = {}
      for i = 1, 100 do tags[i] = "t" .. i end
      ctx:emit("sent", { type = "Told", data = event.data })
      ctx:emit("picks", { type = "Picked", tags = tags }, { to = "warehouse" })]], [[on_error = "park",]]),
      options_of())
    w:run()
    contains(w:parked()[1].message, "tags")
    assert.same({}, told())
    assert.equal(0, warehouse:head())
  end)

  it("waits for a store that is closed", function()
    sell(1)
    local w = open(SHIP, options_of())
    warehouse:close()
    local message, code = failure(w:run())
    assert.equal("closed", code)
    contains(message, "warehouse")
    assert.equal(0, shop:mark "ship")
    w:close()
    warehouse = assert(rille.open(paths.warehouse))
    assert(open(SHIP, options_of()):run())
    assert.same({ 1 }, picked())
    assert.same({ 1 }, told())
  end)
end

describe("an event for another store, by ids", function()
  both_ways(function() return {} end)

  it("is there once though the mark was lost", function()
    for i = 1, 5 do sell(i) end
    remember()
    open(SHIP):run()
    assert.same({ 1, 2, 3, 4, 5 }, picked())
    go_back()
    assert.same({}, told())
    sell(6)
    open(SHIP):run()
    assert.same({ 1, 2, 3, 4, 5, 6 }, picked())
    assert.same({ 1, 2, 3, 4, 5, 6 }, told())
  end)

  it("is there once, too, where the reaction to a timer was lost", function()
    sell(1)
    local later = handler [[ctx:emit("picks", { type = "Picked", data = 1 }, { to = "warehouse", delay = 60 })]]
    open(later):run()
    remember()
    now = now + 61
    open(later):run()
    go_back()
    open(later):run()
    assert.same({ 1 }, picked())
  end)

  it("is the first one, where the script was edited in between", function()
    sell(1)
    remember()
    open(handler [[ctx:emit("picks", { type = "Picked", data = "old" }, { to = "warehouse" })]]):run()
    go_back()
    open(handler [[
      ctx:emit("picks", { type = "Picked", data = "new" }, { to = "warehouse" })
      ctx:emit("picks", { type = "Picked", data = "more" }, { to = "warehouse" })]]):run()
    assert.same({ "old" }, picked())
  end)

  it("is not written before its cause is durable", function()
    shop:close()
    shop = open_shop { sync = "never" }
    local position = sell(1)
    assert(shop:durable() < position)
    open(SHIP):run()
    assert(shop:durable() >= position)
  end)

  it("is durable there before the mark is here", function()
    warehouse:close()
    warehouse = assert(rille.open(paths.warehouse, { sync = "never" }))
    sell(1)
    open(SHIP):run()
    assert.equal(warehouse:head(), warehouse:durable())
  end)

  it("is one append for each store, however they alternate", function()
    local path = scratch.path "office.rille"
    local office <close> = assert(rille.open(path))
    sell(1)
    local body = [[
      for i = 1, 3 do
        ctx:emit("a" .. i % 2, { type = "Picked", data = i }, { to = "warehouse" })
        ctx:emit("b", { type = "Filed", data = i }, { to = "office" })
      end]]
    local both = { stores = { warehouse = warehouse, office = office } }
    remember()
    open(handler(body), both):run()
    go_back()
    open(handler(body), both):run()
    assert.same({ 1, 2, 3 }, picked())
    assert.equal(1, warehouse:stats().appends)
    assert.same({ 1, 2, 3 }, stores.fields("data", office:all()))
    assert.equal(1, office:stats().appends)
  end)

  it("costs one flush there for many", function()
    for i = 1, 100 do sell(i) end
    local before = warehouse:stats().flushes
    open(SHIP):run()
    assert.equal(1, warehouse:stats().flushes - before)
  end)

  it("has no condition, and no id of its own", function()
    contains(refused [[ctx:emit("a", { type = "Picked" }, { to = "warehouse", expect = 0 })]], "coordinator")
    contains(refused [[ctx:emit("a", { type = "Picked" }, { expect = 0 })
      ctx:emit("a", { type = "Picked" }, { to = "warehouse" })]], "coordinator")
    contains(refused [[ctx:emit("a", { type = "Picked", id = "x" }, { to = "warehouse" })]], "id from rille")
  end)

  it("needs a store that is named", function()
    contains(refused [[ctx:emit("a", { type = "Picked" }, { to = "warehose" })]], "did you mean 'warehouse'?")
    contains(refused [[ctx:emit("a", { type = "Picked" }, { to = 7 })]], "to must be the name of a store")
    contains(refused([[ctx:emit("a", { type = "Picked" }, { to = "warehouse" })]], { stores = {} }), "unknown store")
  end)
end)

describe("an event for another store, by a transaction", function()
  local c

  before_each(function() c = assert(rille.coordinator(shop, { name = "ship" })) end)
  after_each(function() c:close() end)

  local function by_transaction() return { coordinator = c } end

  both_ways(by_transaction)

  it("is not there where the mark is not", function()
    sell(1)
    local w = open(handler([[
      ctx:emit("sent", { type = "Told", data = event.data }, { expect = "exists" })
      ctx:emit("picks", { type = "Picked", data = event.data }, { to = "warehouse" })]], [[on_error = "park",]]),
      by_transaction())
    w:run()
    assert.equal(1, #w:parked())
    assert.equal(5, w:parked()[1].attempts)
    assert.equal(0, warehouse:head())
  end)

  it("may expect a version there: the handler runs again where it is another", function()
    local first = sell(1)
    local options = by_transaction()
    options.provide = { version = function() return warehouse:version "picks" - (warehouse:head() > 0 and 0 or -3) end,
                        other = function() warehouse:append("picks", { type = "Other" }) end }
    local w = open(handler [[
      local version = ctx.host.version()
      ctx.host.other()
      if version == 3 then ctx:emit("picks", { type = "Picked", data = 0 }, { to = "warehouse", expect = version })
      else ctx:emit("picks", { type = "Picked", data = version }, { to = "warehouse", expect = version + 1 })
      end]], options)
    assert(w:run())
    assert.same({ 1 }, picked())
    assert(shop:mark "ship" >= first)
  end)

  it("takes up what was begun by ids", function()
    for i = 1, 5 do sell(i) end
    c:close()
    remember()
    open(SHIP):run()
    go_back()
    sell(6)
    c = assert(rille.coordinator(shop))
    open(SHIP, by_transaction()):run()
    assert.same({ 1, 2, 3, 4, 5, 6 }, picked())
    assert.same({ 1, 2, 3, 4, 5, 6 }, told())
  end)
end)

describe("the options of a processor with other stores", function()
  local function raises(options, part)
    files["p.lua"] = SHIP
    contains(raised(shop.processor, shop, "ship", "p.lua", options), part)
  end

  it("are checked", function()
    raises({ stores = 7 }, "stores must be a table")
    raises({ stores = { warehouse } }, "stores must have names")
    raises({ stores = { warehouse = 7 } }, "stores.warehouse must be a store")
    raises({ stores = { shop = shop } }, "own store")
    raises({ coordinator = 7 }, "name them in stores")
    raises({ stores = { warehouse = warehouse }, coordinator = 7 }, "must be one of rille.coordinator")
    local c <close> = assert(rille.coordinator(warehouse))
    raises({ stores = { warehouse = warehouse }, coordinator = c }, "the processor's own store")
  end)

  it("are not for isolates, nor for the longest names", function()
    files["p.lua"] = SHIP
    local given = { stores = { warehouse = warehouse }, isolated = true }
    assert.equal("unsupported", select(2, failure(shop:processor("ship", "p.lua", given))))
    given.isolated = nil
    assert.equal("invalid", select(2, failure(shop:processor(("n"):rep(191), "p.lua", given))))
    assert(shop:processor(("n"):rep(190), "p.lua", given))
  end)
end)
