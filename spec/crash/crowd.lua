-- crowd.lua: what each process of a crowd does (chaos.lua), until it is killed: a program with
-- arguments ROLE FOLDER NUMBER SEED. There are two stores, here and there.
--
-- What it was told goes into its output, a line by one write, and is held against the logs when
-- all are dead:
--
--   told append WRITER SERIAL POSITION     told transfer ID committed|aborted
--   digest STORE POSITION NUMBER           of all events up to the position, as it saw them
--   begun redact POSITION; told redact POSITION
--   told untag TAG POSITION                no event up to there has it any more
--   told chaff STREAM VERSION              so many were appended; told cut STREAM VERSION: those
--                                          before it are hidden, and may be scavenged
--   wrong ...                              what may not be, whoever dies
local rille = assert(package.loadlib(os.getenv "RILLE_MODULE", "luaopen_rille"))()
local digests = require "spec.crash.digest"

local role, folder, number, seed = ...
math.randomseed(math.tointeger(tonumber(seed)))
io.stdout:setvbuf "no"

local EXPECTED = { locked = true, conflict = true, aborted = true } -- by others who have got there first
local TRANSFER_S = 1
local NAP_S = 0.05
local REDACT_S = 0.4 -- between two redactions, at most
local AGAIN = 8 -- so often nobody redacts between two calls

local function say(...) io.stdout:write(table.concat({ ... }, " "), "\n") end

local function path_of(name) return ("%s/%s.rille"):format(folder, name) end

local function open(name, options)
  local with = { create = false, segment_bytes = 65536 }
  for key, value in pairs(options or {}) do with[key] = value end
  return assert(rille.open(path_of(name), with))
end

---What may fail because others are there, and then is tried again: false.
local function check(result, message, code)
  if result == nil and not EXPECTED[code] then error(tostring(message), 2) end
  return result or false
end

local roles = {}

---Appends to a stream of its own, and to one of all's; repeats with the same ids.
function roles.writer()
  local store, stream = open "here", "written-" .. number
  local serial = store:version(stream)
  while true do
    local id = ("%s-%d"):format(number, serial + 1)
    local text = ("secret-%d-%d-"):format(number, serial + 1) .. ("x"):rep(math.random(0, 600))
    local data = { writer = number, serial = serial + 1, text = text }
    local tags = { ("who:%d-%d"):format(number, serial // 50) }
    local done = check(store:append { { stream = stream, expect = serial > 0 and serial or "none",
                                        events = { { type = "Written", data = data, id = id, tags = tags } } },
                                      { stream = "shared", events = { { type = "Shared" } } } })
    if done then
      serial = serial + 1
      say("told append", number, serial, done.first)
      if math.random(20) == 1 then -- once more: the same answer
        local again = check(store:append(stream, { type = "Written", data = data, id = id }, { expect = "none" }))
        if again and not (again.duplicate and again.first == done.first) then say "wrong: a repeat was written" end
      end
    end
  end
end

---Whether a transfer is among the last events of an account.
local function sees(store, account, id)
  for event in store:read(account, { reverse = true, limit = 200 }) do
    if event.data.transfer == id then return true end
  end
  return false
end

---Moves money from here to there, or back.
function roles.teller()
  local here, there = open "here", open "there"
  local c = assert(rille.coordinator(here, { name = "teller-" .. number }))
  for i = 1, math.maxinteger do
    local id = ("%s-%s-%d"):format(number, seed, i)
    local amount, from, to = math.random(-5, 5), "account-" .. math.random(3), "account-" .. math.random(3)
    local given = { id = id, timeout = TRANSFER_S * math.random(), attempts = 3 }
    local result, message, code = c:transact(given, function(tx)
      local expect = math.random(2) == 1 and here:version(from) or "any"
      assert(tx:append(here, from, { type = "Moved", data = { transfer = id, amount = -amount } }, { expect = expect }))
      assert(tx:append(there, to, { type = "Moved", data = { transfer = id, amount = amount } }))
      return true
    end)
    check(result, message, code)
    say("told transfer", id, result and "committed" or code)
    if result and not sees(there, to, id) then say("wrong: not seen by who was told:", id) end
  end
end

---Runs the processor, whose effects are here and there.
function roles.reactor()
  local here, there = open "here", open "there"
  local c = assert(rille.coordinator(here, { name = "reactor-" .. number }))
  local w = assert(here:processor("reactor", folder .. "/react.lua", { stores = { there = there }, coordinator = c }))
  while true do
    local left = check(w:run { ms = 5 })
    if left == 0 then here:wait(here:head() + 1, NAP_S) end
  end
end

local function same(state, expected) return (state and state.n or 0) == (expected and expected.n or 0) end

local MARK = folder .. "/redacting" -- a file that is there while a redaction is under way

local function redacting()
  local file = io.open(MARK)
  return file and file:close()
end

---Whether a state is what a fold gives; where something is redacted in between it is not.
local function is_right(store, p, script, key, how)
  local state, position, code = p:get(key, { consistency = how })
  if state == nil then return check(code == nil or nil, position, code) or true end
  local expected, message = store:fold(script, { stream = key, at = position })
  if expected == nil and type(message) ~= "number" then error(message) end
  return same(state, expected), position, (state and state.n or 0) .. " for " .. (expected and expected.n or 0)
end

local function check_state(store, p, script)
  local key, how = "written-" .. math.random(3), ({ "strong", "session", "eventual", "weak" })[math.random(4)]
  local right, position, numbers
  for _ = 1, AGAIN do
    if redacting() then return end -- the old states are there until it is over
    right, position, numbers = is_right(store, p, script, key, how)
    if right or redacting() then return end
  end
  say("wrong: a state of", key, "at", position, how, numbers)
end

---Carries the projection on, saves it, builds it anew, and reads it.
function roles.projector()
  local store, script = open("here", { sync = "never" }), folder .. "/count.lua"
  local p = assert(store:projection("counts", script, { cache = 2 }))
  while true do
    local dice = math.random(40)
    if dice == 1 then check(p:rebuild())
    elseif dice == 2 then check(store:poll())
    elseif dice <= 8 then check(p:update())
    else check_state(store, p, script) end
    store:wait(store:head() + 1, 0.002)
  end
end

---Follows a store, and tells what it has seen.
function roles.follower()
  local name, options = number % 2 == 0 and "here" or "there", { readonly = number % 3 == 0 }
  local store, digest = open(name, options), digests.new()
  while true do
    store:wait(digest.position + 1, NAP_S)
    local seen = digest.last
    for event in store:all { after = digest.position } do digests.add(digest, event) end
    if digest.last > seen then say("digest", name, digest.last, digest.number) end
  end
end

local function check_verified(name, store, deep)
  local verified = assert(store:verify { deep = deep })
  local p = verified.problems[1]
  if p then
    say("wrong:", name, p.invariant or "", p.address or "", p.position or "", p.message, "head", store:head(), "all",
      #verified.problems)
  end
end

---Copies and verifies; comes and goes.
function roles.keeper()
  for i = 1, math.maxinteger do
    local name = math.random(2) == 1 and "here" or "there"
    local store = open(name)
    local copy = ("%s/copy-%s-%d"):format(folder, seed, i)
    assert(store:backup(copy))
    local backup = assert(rille.open(copy, { readonly = true }))
    check_verified("a copy of " .. name, backup)
    local head = backup:head()
    assert(backup:close())
    if head > store:head() then say "wrong: a copy knows more than its store" end
    os.execute(("rm -rf '%s'"):format(copy))
    check_verified(name, store, i % 3 == 0)
    check(store:settle())
    assert(store:close())
  end
end

---Also finishes what one had begun who died.
local function redact(store, ...)
  assert(io.open(MARK, "w")):close()
  assert(store:redact(...))
  assert(os.remove(MARK))
end

---Whether the files of a store have a text; not `control`, where who appended it may be stopped.
local function has_text(name, text)
  local path = path_of(name)
  return os.execute(("grep -rqaF -e '%s' '%s/log' '%s/index' 2>/dev/null"):format(text, path, path)) == true
end

local function redact_one(store)
  local from = math.random(math.max(1, store:head() - 50))
  local event = store:all { after = from - 1, types = { "Written" } }()
  if not event or event.redacted then return end
  local text = event.data.text:match "^secret%-%d+%-%d+%-"
  say("begun redact", event.position)
  redact(store, event.position)
  say("told redact", event.position)
  local there = store:all { after = event.position - 1, before = event.position + 1 }()
  if not there or not there.redacted or there.data then say("wrong: shown after it was redacted:", event.position) end
  if has_text("here", text) then say("wrong: in a file after it was redacted:", event.position) end
end

local function redact_tag(store)
  local head, tag = store:head(), ("who:%d-%d"):format(math.random(3), math.random(0, 3))
  redact(store, {}, { tags = { tag } })
  say("told untag", tag, head)
end

---Takes content out, and tags.
function roles.redactor()
  while true do
    local store = open "here"
    if redacting() then redact(store, assert(store:append("nothing", { type = "Nothing" })).first) end
    for _ = 1, math.random(4) do
      store:wait(math.maxinteger, math.random() * REDACT_S)
      if math.random(4) == 1 then redact_tag(store) else redact_one(store) end
    end
    assert(store:close())
  end
end

---Writes what nobody needs, hides it, and has it taken away, here; there the work of transactions.
function roles.scavenger()
  local here, there, stream = open "here", open "there", "chaff-" .. number
  while true do
    for _ = 1, math.random(20) do
      local done = assert(here:append(stream, { type = "Chaff", data = { text = ("chaff "):rep(math.random(300)) } }))
      say("told chaff", stream, done.version)
    end
    local cut = here:version(stream) - math.random(0, 10)
    if cut > 0 then
      assert(here:truncate(stream, { before = cut }))
      say("told cut", stream, cut)
    end
    assert((math.random(3) == 1 and there or here):scavenge())
    here:wait(math.maxinteger, math.random() * NAP_S)
  end
end

number = math.tointeger(tonumber(number))
local ok, message = xpcall(roles[role], debug.traceback)
if not ok then say("wrong:", (tostring(message):gsub("\n", " | "))) end
