-- Where memory ended while a projection was carried on, and none was left to say so with, its
-- states stayed as the events had made them, and its mark where it had been: the next call applied
-- the events again.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local short = require "spec.support.short"
local values = require "spec.support.values"

local ALLOCATIONS_MOST = 3000

values.seed "110-memory-ended-in-a-projection"

local SETUP = [[
  package.cpath = %q
  local rille = require "rille"
  local text =
    "return { initial = { n = 0 }, key = 'stream', on = { A = function(s, e) s.n = s.n + e.data.n end } }"
  local text2 =
    "return { initial = { n = 0 }, key = 'stream', on = { A = function(s, e) s.n = s.n + 2 * e.data.n end } }"
  store = assert(rille.open(%q, { sync = "never", background = false,
    load = function(name) return name == "x.lua" and text or text2 end }))
  p, q = assert(store:projection("p", "x.lua")), assert(store:projection("q", "y.lua"))
  assert(p:get "s-1" and q:get "s-1")
  for i = 1, 6 do assert(store:append("s-" .. i %% 2, { type = "A", data = { n = i } })) end
]]

-- 1 + 2 + ... of the first ten, and of the later six.
local CHECK = [[
  local a, b = assert(p:get "s-1"), assert(q:get "s-1")
  assert(a.n == 25 + 9, a.n)
  assert(b.n == 2 * (25 + 9), b.n)
  p, q = nil, nil
  assert(store:close())
]]

describe("a projection for which memory ends", function()
  for name, task in pairs { read = [[ p:get "s-1" ]], polled = [[ store:poll() ]], weak = [[
      pcall(p.get, p, "s-1")
      p:get("s-1", { consistency = "weak" }) ]] } do
    it(("counts no event twice: %s"):format(name), function()
      if not short.run then return pending("(the helper can't be built: " .. short.why .. ")") end
      local n = 0
      repeat
        n = n + math.random(3)
        local path = scratch.path()
        local store = assert(rille.open(path, { sync = "never" }))
        for i = 1, 10 do assert(store:append("s-" .. i % 2, { type = "A", data = { n = i } })) end
        assert(store:close())
        local reached, _, message, leaked = short.run(n, SETUP:format(package.cpath, path), task, CHECK)
        assert(not message or message:find "not enough memory", message)
        assert.equal(0, leaked)
        scratch.remove(path)
      until not reached or n >= ALLOCATIONS_MOST
      assert(n > 20 and n < ALLOCATIONS_MOST)
    end)
  end
end)
