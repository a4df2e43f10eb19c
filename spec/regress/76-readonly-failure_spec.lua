-- Where a script failed, or made a state that can't be kept, in a store that is open for
-- reading only, a projection with more keys than its cache answered "readonly", not what was
-- wrong: it tried to save on its way back.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local TEXT = [[return { initial = "", key = "stream", on = {
  Counted = function() return "" end,
  Broken = function() return string.rep end,
  Failing = function() error "it fails" end } }]]

local function load() return TEXT end

describe("a projection of a store that is read only", function()
  local store, path
  before_each(function()
    store, path = stores.new { load = load }
    for i = 1, 200 do stores.fill(store, "s" .. i, 1) end
  end)
  after_each(function()
    store:close()
    scratch.remove(path)
  end)

  local function failure_of(event)
    assert(store:append("last", { type = event }))
    store:close()
    store = assert(rille.open(path, { readonly = true, load = load }))
    local p = assert(store:projection("p", "p.lua", { cache = 64 }))
    local message, code, detail = stores.failure(p:get "last")
    assert.equal("script", code)
    assert.same({ position = 201 }, detail)
    assert.equal("", (p:get("s1", { consistency = "eventual" })))
    return message
  end

  it("tells of a script that fails", function() stores.contains(failure_of "Failing", "it fails") end)

  it("tells of a state that can't be kept", function()
    stores.contains(failure_of "Broken", "state is a function")
  end)
end)
