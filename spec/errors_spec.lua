-- errors_spec.lua: the n-th call of each class to the system fails, for what Lua programs do with
-- stores (crash/acts.lua) and for the command's import and export. (For the core's calls:
-- c/errors_test.c.) RILLE_SOAK tries all calls, and not some of them.
local rille = require "rille"
local failing = require "spec.crash.failing"
local process = require "spec.support.process"
local rounds = require "spec.support.rounds"
local scratch = require "spec.support.scratch"
local values = require "spec.support.values"

values.seed "errors_spec"

local BUILD = os.getenv "RILLE_BUILD" or "build"
local LUA = os.getenv "RILLE_LUA" or "lua5.4"
local SOAK = rounds.all
local EVENTS, BATCH = 25, 5
local EIO, ENOSPC, EMFILE = 5, 28, 24

-- Where flushes cost nothing, if there is such a place.
local function folder()
  local path = process.run("mktemp -d /dev/shm/rille-XXXXXX 2>/dev/null"):match "^[^\n]+"
  return path or scratch.path "folder"
end

describe("calls that fail one after the other:", function()
  for _, act in ipairs { "projection", "reload", "processor", "transact" } do
    it(act, function()
      if not failing.library() then return pending(failing.missing) end
      local path = folder()
      scratch.shell("mkdir -p '%s'", path)
      local lines, status = failing.play(act, { folder = path, seed = math.random(1 << 30), all = SOAK })
      scratch.remove(path)
      if status ~= 0 then error(("status %d: %s"):format(status, table.concat(lines, "\n")), 0) end
      local runs, errors = lines[#lines]:match "(%d+) runs, (%d+) errors"
      assert(tonumber(runs) > 50 and tonumber(errors) > 50, lines[#lines])
      print("       " .. lines[#lines])
    end)
  end
end)

-- The command -----------------------------------------------------------------------

-- Runs it with the n-th call of a class failing.
local function command(words, class, n, errno)
  return process.run_ours(("export FAILING='%s %d %d 0' %s; exec '%s' '%s/bin/rille' %s"):format(class, n, errno,
    failing.preload(), LUA, BUILD, words))
end

local function check_answer(output, status)
  if status ~= 0 and status ~= 1 then error(("status %d: %s"):format(status, output), 0) end
  if status == 1 and output == "" then error("it failed without a word", 0) end
end

-- The store has the events up to a line that was told, and none behind it.
local function check_imported(path, output, status)
  local store = rille.open(path, { create = false })
  local there = 0
  if store then
    for e in store:read "s" do
      there = there + 1
      assert.equal(there, e.data.n)
    end
    assert.is_true(store:verify().ok)
    assert(store:close())
  end
  local told = status == 0 and EVENTS or tonumber(output:match "up to line (%d+)") or 0
  local unknown = output:find "may be there" -- the last batch
  assert(there == told or unknown and there == told + BATCH, ("%d events: %s"):format(there, output))
end

---Tries n = 1, 2, 3 ... until the call never comes; how many failures were told.
local function each_call(class, errno, words, judge)
  local refused, n = 0, 0
  repeat
    n = n + (SOAK and 1 or math.random(1, 3))
    local path = scratch.path()
    local output, status = command(words:gsub("STORE", path), class, n, errno)
    local ok, message = pcall(function()
      check_answer(output, status)
      judge(path, output, status)
    end)
    if not ok then error(("%s number %d, errno %d: %s"):format(class, n, errno, message), 0) end
    refused = refused + status
    scratch.remove(path)
  until status == 0 and n > 40
  return refused
end

describe("calls that fail one after the other, for the command:", function()
  local lines = {}
  for i = 1, EVENTS do lines[i] = ('{"stream":"s","type":"A","data":{"n":%d}}\n'):format(i) end
  local file = scratch.file("lines.json", table.concat(lines))

  it("import", function()
    if not failing.library() then return pending(failing.missing) end
    local words = ("import STORE '%s' --batch %d"):format(file, BATCH)
    local refused = each_call("write", ENOSPC, words, check_imported)
    refused = refused + each_call("flush", EIO, words, check_imported)
    refused = refused + each_call("open", EMFILE, words, check_imported)
    assert(refused > 10, refused)
  end)

  it("export", function()
    if not failing.library() then return pending(failing.missing) end
    local path = scratch.path()
    local store = assert(rille.open(path))
    for i = 1, EVENTS do assert(store:append("s", { type = "A", data = { n = i } })) end
    assert(store:close())
    local function events(output)
      local list = {}
      for line in output:gmatch "{[^\n]*}" do list[#list + 1] = line end
      return list
    end
    local whole = events(process.run_ours(("'%s' '%s/bin/rille' export '%s'"):format(LUA, BUILD, path)))
    assert.equal(EVENTS, #whole)
    local refused = each_call("read", EIO, ("export '%s'"):format(path), function(_, output, status)
      local got = events(output)
      assert(status == 1 or #got == EVENTS, output)
      for i, line in ipairs(got) do assert.equal(whole[i], line) end
    end)
    assert(refused > 0)
  end)
end)
