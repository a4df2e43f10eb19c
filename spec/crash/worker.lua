-- worker.lua: what a process does that will be killed, or whose disk is full.
--
--    RILLE_MODULE=build/rille.so lua5.4 spec/crash/worker.lua JOB PATH ...
--
-- It tells each step in a line of its own, unbuffered, after the step.
local rille = assert(package.loadlib(os.getenv "RILLE_MODULE", "luaopen_rille"))()
local contest = require "spec.crash.contest"
local work = require "spec.crash.work"

io.stdout:setvbuf "no"

local function say(...)
  io.stdout:write(table.concat({ ... }, " ") .. "\n")
end

-- What failed, so that the reader can tell it from a crash.
local function check(result, message, code)
  if result then return result, message, code end
  say("failed", code or "?", message)
  os.exit(3)
end

local jobs = {}

---Appends number `from`, `from` + 1, ... and tells each when it has been acknowledged.
function jobs.append(path, from, sync, segment_bytes, size)
  local options = { sync = sync, segment_bytes = tonumber(segment_bytes) }
  local store, remark = check(rille.open(path, options))
  say("open", remark or "")
  for i = tonumber(from), math.maxinteger do
    local stream, events = work.append(i, tonumber(size))
    local done = check(store:append(stream, events))
    say("done", i, done.first, done.last)
  end
end

---Makes a store, or opens it, and puts one event into it.
function jobs.create(path)
  say "go"
  local store = check(rille.open(path))
  say "made"
  check(store:append("s", { type = "Made" }))
  check(store:close())
  say "closed"
end

---A store of one event, and a copy of it.
function jobs.backup(path, to)
  local store = check(rille.open(path))
  check(store:append("s", { type = "Made" }))
  check(store:backup(to))
  check(store:close())
end

---Transactions of one event in each of two stores. Each answer is told to trap.c.
function jobs.transact(home_path, other_path, transactions)
  local options = { background = false }
  local home, other = check(rille.open(home_path, options)), check(rille.open(other_path, options))
  local coordinator = check(rille.coordinator(home, { name = "worker" }))
  for i = 1, tonumber(transactions) do
    check(coordinator:transact({}, function(tx)
      assert(tx:append(home, "account-1", { type = "Withdrawn", data = { amount = i } }))
      assert(tx:append(other, "account-2", { type = "Deposited", data = { amount = i } }))
      return true
    end))
    os.rename("ack:" .. i, "")
  end
  check(coordinator:close())
  check(other:close())
  check(home:close())
end

---Folds a store by closing it. The mark is made when that begins.
function jobs.fold(path, mark)
  local store = check(rille.open(path, { sync = "never" }))
  io.open(mark, "w"):close()
  say "closing"
  check(store:close())
  say "closed"
end

---Appends until that fails, then tells what is left of the store.
function jobs.fill(path, size)
  local store = check(rille.open(path))
  local n = 0
  while true do
    local stream, events = work.append(n + 1, tonumber(size))
    local done, message, code = store:append(stream, events)
    if not done then
      say("stopped", n, code, message)
      break
    end
    n = n + 1
  end
  local verified = check(store:verify())
  say("verified", tostring(verified.ok), verified.events, store:head(), store:durable())
  say("closed", select(3, store:close()) or "ok")
end

---Opens, appends and closes, and goes on after each failure: some call to the system
---is going to fail.
function jobs.stumble(path, appends, segment_bytes)
  local store, message, code = rille.open(path, { segment_bytes = tonumber(segment_bytes) })
  if not store then return say("refused", code, message) end
  for i = 1, tonumber(appends) do
    local stream, events = work.append(i, 6000)
    local done
    done, message, code = store:append(stream, events)
    if done then say("done", i, done.first, done.last) else say("failed", i, code, message) end
  end
  local closed
  closed, message, code = store:close()
  say("closed", closed and "ok" or code, message or "")
end

---Redacts an event, and a tag; makes the file `mark` before.
function jobs.redact(path, mark)
  local store = check(rille.open(path, { background = false }))
  assert(io.open(mark, "w")):close()
  check(store:redact(2, { tags = { "ann" } }))
  os.exit(true, false)
end

---Moves something from one store to another; makes the file `mark` just before it is decided.
---Tells what it was answered, and what is told to who asks.
function jobs.decide(home, other, mark)
  local here, there = check(rille.open(home, { background = false })), check(rille.open(other))
  local function prepare()
    io.open(mark, "w"):close()
    return true
  end
  local c = check(rille.coordinator(here, { participants = { voter = { prepare = prepare } } }))
  local result, message, code, detail = c:transact({ id = "order" }, function(tx)
    check(tx:append(here, "a", { type = "Moved" }))
    check(tx:append(there, "a", { type = "Moved" }))
    return check(tx:enlist "voter")
  end)
  say("answer", result and result.outcome or code, detail and detail.id or message)
  say("outcome", (c:outcome "order"))
end

---Answers all questions; what the answers are, as one number; and whether verify finds
---everything in order. Where it may, it also appends, and folds that.
function jobs.answer(path, readonly)
  local store, message, code = rille.open(path, { readonly = readonly == "readonly" })
  if not store then return say("refused", code, message) end
  say("open", message or "")
  local ok, answers = pcall(work.answers, store)
  if ok then say("answers", work.digest(answers)) else say("raised", answers) end
  local verified, why = store:verify()
  say("verified", tostring(verified and verified.ok), verified and #verified.problems or why)
  if readonly ~= "readonly" then
    local done, failed = pcall(work.fill, store, 300)
    say("appended", done and "" or failed)
  end
  say("closed", select(3, store:close()) or "ok")
end

---A program that has some milliseconds a frame for what it follows, and does nothing else.
---Tells how often that failed, and whether all was read; trap.c is told when it begins and ends.
function jobs.frames(path, script, ms, background, cache, mark)
  local store = check(rille.open(path, { sync = "never", background = background == "background" }))
  check(store:projection("p", script, { cache = tonumber(cache) }))
  check(store:projection("q", script, { cache = 2 * tonumber(cache) }))
  if mark then assert(io.open(mark, "w")):close() end
  os.rename("ack:frames", "")
  local frames, failures = 0, 0
  local left, message, code
  repeat
    left, message, code = store:poll(tonumber(ms))
    frames = frames + 1
    if left == nil then failures = failures + 1 end
  until left == 0 or failures == 5
  os.rename("ack:over", "")
  say("frames", frames, "failures", failures, left and "all" or code .. ": " .. message)
end

---Appends beside others (contest.lua); how often, at the end.
function jobs.compete(path, w) say(contest.compete(rille, path, tonumber(w))) end
function jobs.follow(path, w) say(contest.follow(rille, path, tonumber(w))) end

local job = table.remove(arg, 1)
if not jobs[job] then -- transactions
  package.loaded.rille = rille
  jobs = require "spec.crash.teller".jobs
end
jobs[job](table.unpack(arg))
