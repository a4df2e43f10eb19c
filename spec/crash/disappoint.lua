-- disappoint.lua: what Lua programs do with stores while calls to the system fail: the 1st, 2nd,
-- 3rd ... of each class, once or from then on, until an act passes untouched.
--
--    LD_PRELOAD=LIBRARY RILLE_MODULE=build/rille.so lua5.4 spec/crash/disappoint.lua ACT LIBRARY FOLDER SEED all|some
--
-- Whatever fails: no call ends the process, each did what it should or says why not, nothing
-- stays open; and with a sound system again what had been acknowledged is there and computed
-- right. The last line tells how many runs there were, and how many calls failed.
local act_name, library, folder, seed, how = table.unpack(arg)
local rille = assert(package.loadlib(os.getenv "RILLE_MODULE", "luaopen_rille"))()
local calls = assert(package.loadlib(library, "luaopen_failing_calls"))()
local acts = require "spec.crash.acts" (rille)

math.randomseed(math.tointeger(tonumber(seed)))

local CALLS_MOST = how == "all" and 400 or 24 -- of one class that are tried, for one errno
local SHORT, EIO, EINTR, EMFILE, ENOMEM, ENOSPC, ENOLCK, EDQUOT, EAGAIN = -1, 5, 4, 24, 12, 28, 37, 122, 11

local FAILURES = {
  read = { EIO, EINTR, SHORT }, write = { EIO, ENOSPC, EDQUOT, EINTR, SHORT },
  flush = { EIO, ENOSPC }, open = { EMFILE, EIO, EINTR }, list = { EIO, EMFILE }, stat = { EIO },
  rename = { EIO }, remove = { EIO }, link = { EIO }, mkdir = { ENOSPC }, truncate = { EIO, EINTR },
  map = { ENOMEM }, lock = { ENOLCK, EINTR }, thread = { EAGAIN }, memory = { ENOMEM },
}

local CODES = { io = true, full = true, unknown = true, memory = true, aborted = true }

-- Where a failure loses nothing, so that nobody needs to know.
local QUIET = { stat = "", read = "a hint", lock = "store", memory = "memory", truncate = ".seg", map = ".seg" }

local function fail(...) error(string.format(...), 0) end

-- What was said in a run: how often, and last.
local said

local function complain(message, code)
  said.count = said.count + 1
  said.last = tostring(message)
  if type(message) ~= "string" or message == "" then fail("a failure without words: %s", tostring(message)) end
  if message:find "close" then said.must_close = true end
  if code and not CODES[code] then fail("a failure of the disk is told as %s: %s", code, message) end
end

---For what is told in another way than by nil.
function acts.note(text) complain(text) end

---What a call gave; nil with a message is written down.
function acts.try(result, message, code, ...)
  if result == nil and message ~= nil then complain(message, code) end
  return result, message, code, ...
end

local function run_armed(act, world, plan)
  calls.arm(plan.class, plan.at, plan.number, plan.on)
  local ok, message = pcall(act.run, world)
  local hits, where, by_lmdb, count = calls.disarm()
  if not ok then complain(message) end
  return hits, where, by_lmdb, count
end

local function may_be_quiet(act, plan, where)
  local ending = QUIET[plan.class] or act.quiet and act.quiet[plan.class]
  return ending and where:sub(#where + 1 - #ending) == ending
end

local function judge_what_was_said(act, plan, where, by_lmdb)
  local invisible = plan.number == SHORT or plan.number == EINTR
  if invisible and not by_lmdb and said.count > 0 then fail("told, though it need not be: %s", said.last) end
  if invisible or by_lmdb or said.count > 0 then return end
  if not may_be_quiet(act, plan, where) then fail "nobody was told" end
end

-- Handles that were left hold their store open.
local function collect()
  collectgarbage()
  collectgarbage()
end

local function perform(act, plan)
  collect()
  calls.put_back()
  said = { count = 0 }
  local world = { folder = folder }
  local descriptors, maps = calls.held()
  act.open(world)
  local hits, where, by_lmdb, count = run_armed(act, world, plan)
  local ok, message = pcall(function()
    if hits > 0 then judge_what_was_said(act, plan, where, by_lmdb) end
act.judge(world, said.must_close or by_lmdb or plan.class == "memory")
    world = nil -- luacheck: ignore (so that it is collected)
    collect()
    local descriptors_now, maps_now = calls.held()
    if descriptors_now ~= descriptors then fail("%d descriptors more", descriptors_now - descriptors) end
    if maps_now ~= maps then fail("%d maps more", maps_now - maps) end
  end)
  if ok then return hits, count end
  fail("%s number %d%s, errno %d, at %s: %s (said: %s)", plan.class, plan.at, plan.on and " and all that follow" or "",
    plan.number, where, message, said.last or "nothing")
end

local function play(act)
  local runs, errors = 0, 0
  act.make { folder = folder }
  collect()
  calls.take(folder)
  for _ = 1, 2 do perform(act, { class = "read", at = 1 << 40, number = EIO }) end
  for _, class in ipairs(calls.classes) do
    for i, number in ipairs(FAILURES[class]) do
      local _, count = perform(act, { class = class, at = 1 << 40, number = number })
      local step = math.max(1, count // CALLS_MOST)
      for at = math.random(step), count + 1, step do
        local on = number ~= EINTR and (i + at) % 2 == 0
        local hits = perform(act, { class = class, at = at, number = number, on = on })
        runs, errors = runs + 1, errors + hits
      end
    end
  end
  print(("%s: %d runs, %d errors"):format(act_name, runs, errors))
end

play(assert(acts[act_name], act_name))
