-- max_lag was held against the mark that memory had before the call: not against that of the states that
-- were shown, which are the old ones while a changed script's are being built, and which begin anew once
-- content was redacted.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local SLOW = [[return { initial = 0, key = "stream", on = { Counted = function(n)
  for _ = 1, 300000 do end
  return n + %d end } }]]

describe("max_lag", function()
  local store, path, text, p
  before_each(function()
    text = SLOW:format(1)
    store, path = stores.new { load = function() return text end }
    stores.fill(store, "s", 3)
    p = assert(store:projection("p", "p.lua"))
    assert.equal(3, (p:get "s"))
    assert.equal(0, (p:update()))
  end)
  after_each(function()
    store:close()
    scratch.remove(path)
  end)

  local function keys_and_states(options)
    local list = {}
    for key, state in p:each(options) do list[#list + 1] = key .. "=" .. state end
    return table.concat(list, " ")
  end

  for _, how in ipairs { "eventual", "weak" } do
    local function build_most()
      stores.fill(store, "s", 7)
      text = SLOW:format(10)
      repeat
        local left = assert(p:update { ms = 0.5 })
        assert.is_true(left > 0)
      until left <= 4
    end

    it("is of the old states, which are shown while others are built: " .. how, function()
      build_most()
      assert.same({ 3, 3 }, { p:get("s", { consistency = how, max_lag = 7 }) })
      assert.same({ 100, 10 }, { p:get("s", { consistency = how, max_lag = 6 }) })
    end)

    it("is so of all of them, too: " .. how, function()
      build_most()
      assert.equal("s=3", keys_and_states { consistency = how, max_lag = 7 })
      assert.equal("s=100", keys_and_states { consistency = how, max_lag = 6 })
    end)

    it("is of what is left after a redaction: " .. how, function()
      assert(store:redact(1))
      assert.equal(2, (p:get("s", { consistency = how, max_lag = 1 })))
    end)

    it("is so of all that is left: " .. how, function()
      assert(store:redact(1))
      assert.equal("s=2", keys_and_states { consistency = how, max_lag = 1 })
    end)
  end
end)
