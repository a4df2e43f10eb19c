-- resources_spec.lua: what a program in Lua takes of the system it gives back, whatever it does
-- and whatever fails on the way (crash/days.lua): descriptors, mappings, threads, memory, pages of
-- the index, files beside the log. For the core alone: c/resources_test.c.
local process = require "spec.support.process"
local rounds = require "spec.support.rounds"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local values = require "spec.support.values"

values.seed "resources_spec"

local DAYS = tonumber(os.getenv "DAYS") or rounds.all and 400 or 48
local FAULT_DAYS = 20
local LUA_KB = 40         -- in all days: less than a table a day
local RSS_KB = 4096       -- where the allocator gives back what it does not use
local INDEX_KB = 128      -- spare pages ...
local INDEX_DAY_KB = 2    -- ... and ids of transactions, which are remembered, and timers
local NAMES = { "files", "maps", "threads", "lua", "rss", "index", "names" }

local SANITIZED = (os.getenv "LD_PRELOAD" or ""):find "asan" -- which keeps what is freed

---trim.c as a library; nil where the C library is another.
local function build_trim()
  local path = scratch.folder .. "/trim.so"
  local flags = "$(pkg-config --cflags lua5.4 2>/dev/null || pkg-config --cflags lua-5.4 2>/dev/null)"
  local _, status = process.run(("${CC:-cc} -O1 -shared -fPIC %s -o '%s' spec/crash/trim.c"):format(flags, path))
  return status == 0 and not SANITIZED and path or nil
end

local TRIM = build_trim()

---What the program told: when -> name -> number.
local function live(days, fault)
  local folder = scratch.path "days"
  scratch.shell("mkdir '%s'", folder)
  local output, status = process.lua("assert(loadfile 'spec/crash/days.lua')(...)", folder, days, math.random(1 << 30),
    fault or "", TRIM)
  scratch.remove(folder)
  assert(status == 0, output)
  local told = {}
  for when, numbers in output:gmatch "(%a+)\t([%d ]+)\n" do
    local i, what = 0, {}
    for n in numbers:gmatch "%d+" do
      i = i + 1
      what[NAMES[i]] = math.tointeger(tonumber(n))
    end
    told[when] = what
  end
  assert(told.first and told.early and told.late and told.last, output)
  return told
end

---What there is more of than there was: a list of texts.
local function more(before, after, allowed)
  local list = {}
  for _, name in ipairs(NAMES) do
    local most = before[name] + (allowed[name] or 0)
    if after[name] > most then list[#list + 1] = ("%s: %d, then %d"):format(name, before[name], after[name]) end
  end
  return list
end

local function taken(told, days)
  local rss = TRIM and RSS_KB or math.huge
  local index = INDEX_KB + days * INDEX_DAY_KB
  return more(told.first, told.last, { lua = LUA_KB, rss = rss }),
    more(told.early, told.late, { lua = LUA_KB, rss = rss, index = index })
end

describe("a program that does everything, over and over,", function()
  if not io.open "/proc/self/maps" then return pending "/proc is looked into on Linux" end

  it("takes nothing more, and in the end has given back what it took", function()
    local told = live(DAYS)
    local kept, grown = taken(told, DAYS)
    assert.same({}, kept)
    assert.same({}, grown)
  end)

  it("would be found keeping a file, a store and a text each day", function()
    local kept, grown = taken(live(FAULT_DAYS, "greed"), FAULT_DAYS)
    for _, list in ipairs { kept, grown } do
      local text = table.concat(list, "; ")
      for _, name in ipairs { "files", "maps", "threads", "lua", "names" } do stores.contains(text, name) end
    end
  end)
end)
