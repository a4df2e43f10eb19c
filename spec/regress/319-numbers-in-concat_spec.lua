-- table.concat of a million numbers, each of which becomes digits, was charged like that of texts,
-- and looked at no clock: an isolated script held its host for two seconds. And where it was memory
-- that a script was stopped for, or a text that it made, nothing told its line.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

describe("an isolated script", function()
  local store, path, body
  before_each(function()
    store, path = stores.new { load = function()
      return "return { initial = {}, on = { Counted = function(state, event)\n" .. body .. "\nend } }"
    end }
    stores.fill(store, "a", 1)
  end)
  after_each(function()
    store:close()
    scratch.remove(path)
  end)

  local function stopped(text, memory)
    body = text
    local before = os.clock()
    local message, code, detail = stores.failure(store:fold("r.lua", { isolated = true, memory_bytes = memory }))
    assert.equal("budget", code)
    stores.contains(message, "r.lua:2: the script was stopped: ")
    stores.contains(message, "(at position 1)")
    return detail.limit, os.clock() - before
  end

  it("is stopped within a concat of numbers", function()
    local _, seconds = stopped "local t = {} for i = 1, 1e6 do t[i] = 1e300 / 3 end table.concat(t)"
    assert(seconds < 1.5, seconds)
  end)

  it("is told its line where memory is what it lacks", function()
    assert.equal("memory", (stopped("local t = {} for i = 1, 1e9 do t[i] = { i } end", 4 << 20)))
    assert.equal("memory", (stopped("local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(4000) .. i end", 4 << 20)))
    stopped "local s = ('x'):rep(3e7 // 1 | 0) while true do local t = s .. 'a' end"
    stopped "local s = ('x'):rep(2e7 // 1 | 0) while true do s:sub(2) end"
  end)
end)
