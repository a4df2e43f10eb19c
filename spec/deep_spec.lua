-- deep_spec.lua: verify computes kept states once more, and names what does not fit.
local core = require "spec.support.core"
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local contains = stores.contains

local SUM = [[return { initial = { n = 0 }, key = "stream",
  on = { Counted = function(s, e) s.n = s.n + e.data.n end } }]]

local files, store, path

before_each(function()
  files = { ["sum.lua"] = SUM }
  store, path = stores.new { load = function(name) return files[name], "there is no such file" end }
  for i = 1, 3 do stores.fill(store, "s-" .. i, 10) end
end)
after_each(function()
  store:close()
  scratch.remove(path)
end)

local function project(name, file)
  local p = assert(store:projection(name, file))
  assert(p:update())
  assert(p:close())
end

describe("verify with deep", function()
  it("finds nothing where the states are what the log makes of them", function()
    project("sums", "sum.lua")
    local result = assert(store:verify { deep = true })
    assert.is_true(result.ok)
    assert.same({}, result.problems)
  end)

  it("names a kept state that is another", function()
    project("sums", "sum.lua")
    local key = "S"
    repeat key = core.kept_next(store, key, "S") until key:find "s%-2$"
    assert.is_true(core.kept_write(store, { { key, rille.encode { n = 56 } } }))
    local result = assert(store:verify { deep = true })
    assert.is_false(result.ok)
    assert.equal(1, #result.problems)
    contains(result.problems[1].message, '"s-2"')
    contains(result.problems[1].message, "rebuild")
    assert.is_true(assert(store:verify {}).ok)
  end)

  it("names the event at which a script depends on more than its state", function()
    files["sum.lua"] = SUM:gsub("return {", "local seen = 0 return {", 1)
      :gsub("s.n = s.n", "seen = seen + 1; if e.version == 11 then s.seen = seen end s.n = s.n")
    project("sums", "sum.lua")
    stores.fill(store, "s-1", 1)
    project("sums", "sum.lua") -- in a new load, which has seen nothing
    local result = assert(store:verify { deep = true })
    assert.is_false(result.ok)
    contains(result.problems[1].message, "outside it")
    assert.equal(31, result.problems[1].position)
  end)

  it("says so where a script can't be had any more", function()
    project("sums", "sum.lua")
    files["sum.lua"] = nil
    local result = assert(store:verify { deep = true })
    assert.is_false(result.ok)
    contains(result.problems[1].message, "sum.lua")
  end)
end)
