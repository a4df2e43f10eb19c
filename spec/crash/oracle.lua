-- oracle.lua: what may be read from a store after a crash, and from a damaged one.
local rille = require "rille"
local image = require "spec.crash.image"
local work = require "spec.crash.work"

local oracle = {}

local function fail(level, ...) error(string.format(...), level + 1) end

-- After a crash ---------------------------------------------------------------------

---The appends in a store: number -> { first, last }. An append that is there in part
---is an error.
function oracle.appends(store)
  local found, list, open = {}, {}, nil
  for event in store:all() do
    local d = event.data
    if d.event == 1 then
      assert(not open, "an append is there in part")
      assert(not found[d.append], "an append is there twice")
      open = { first = event.position, append = d.append, count = 0 }
    end
    assert(open and open.append == d.append and d.event == open.count + 1, "parts are mixed up")
    assert(event.position == open.first + open.count, "a position is missing")
    assert(#d.pad >= d.append % 11, "data is cut")
    open.count = d.event
    if d.event == d.of then
      found[d.append] = { open.first, event.position }
      list[#list + 1] = d.append
      open = nil
    end
  end
  assert(not open, "the last append is there in part")
  return found, list
end

---Everything acknowledged is at the positions that were told, and at most one append
---more is there than was acknowledged.
---@param acknowledged table number -> { first, last }
---@return integer highest the number of the last append there
function oracle.check_appends(store, acknowledged)
  local found, list = oracle.appends(store)
  local highest, unknown = 0, 0
  for i, told in pairs(acknowledged) do
    local there = found[i]
    if not there then fail(2, "append %d, acknowledged at %d, is not there", i, told[1]) end
    if there[1] ~= told[1] or there[2] ~= told[2] then
      fail(2, "append %d was told position %d and stands at %d", i, told[1], there[1])
    end
  end
  for _, i in ipairs(list) do
    highest = math.max(highest, i)
    if not acknowledged[i] then unknown = unknown + 1 end
  end
  return highest, unknown
end

function oracle.check_verified(store)
  local verified = assert(store:verify())
  if not verified.ok then fail(2, "verify: %s", verified.problems[1].message) end
end

-- Damage ----------------------------------------------------------------------------

---What a sound store answers, to compare with what it answers when damaged.
function oracle.sound(store)
  local sound = { all = work.texts(rille, store.all, store), streams = {} }
  for event in store:all() do
    sound.streams[event.stream] = sound.streams[event.stream] or
      work.texts(rille, store.read, store, event.stream)
  end
  return sound
end

local function check_prefix(got, right, level)
  if #got > #right then fail(level + 1, "%d events instead of %d", #got, #right) end
  for i = 1, #got do
    if got[i] ~= right[i] then fail(level + 1, "event %d is not what was written", i) end
  end
end

-- The address that a message names as the first that is not sound.
local function address_in(message) return tonumber(message:match "byte (%d+)") end

-- The address in a message lies in the damaged frame, at or before the damage.
local function check_address(message, address, damage)
  if not address then fail(3, "no address in: %s", message) end
  if address < damage.start or address > damage.address then
    fail(3, "%s: the damage is at byte %d, in the frame at %d", message, damage.address,
      damage.start)
  end
end

-- The claims of a message: bytes behind, and the position up to which can be read.
local function check_claims(message, damage, log_bytes)
  local behind = message:match "(%d+) bytes behind it"
  if behind and (#behind > 15 or tonumber(behind) > log_bytes) then
    fail(3, "more bytes than there are: %s", message)
  end
  local readable = message:match "Readable up to position (%d+)" or
    message:match "behind position (%d+)"
  if readable and tonumber(readable) ~= damage.before then
    fail(3, "not the last sound position (%d): %s", damage.before, message)
  end
end

local function check_backward(store, sound, expected_to)
  local got = work.texts(rille, store.all, store, { reverse = true })
  for i = 1, #got do
    if got[i] ~= sound.all[expected_to + 1 - i] then fail(3, "backward: event %d is wrong", i) end
  end
end

local function check_streams(store, sound)
  for name, right in pairs(sound.streams) do
    check_prefix(work.texts(rille, store.read, store, name), right, 3)
  end
end

local function check_problem(store, damage)
  local verified = assert(store:verify())
  if verified.ok then fail(3, "verify finds nothing") end
  local named
  for _, p in ipairs(verified.problems) do
    if p.address >= damage.start and p.address <= damage.address and
        (p.invariant == "L7" or p.invariant == "L4") then
      named = true
    end
  end
  if not named then
    local p = verified.problems[1]
    fail(3, "verify names %s, byte %d: %s", p.invariant, p.address, p.message)
  end
  if verified.readable >= damage.upto or verified.readable < damage.before then
    fail(3, "verify: readable up to %d", verified.readable)
  end
end

---What a damaged store may answer once it is open.
---@return string outcome "whole" | "cut" | "raised"
function oracle.check_open(store, remark, sound, damage, log_bytes)
  local got, message = work.texts(rille, store.all, store)
  check_prefix(got, sound.all, 2)
  check_streams(store, sound)
  check_backward(store, sound, store:head())
  if remark then check_claims(remark, damage, log_bytes) end
  if message then
    check_address(message, address_in(message), damage)
    if #got < damage.before then fail(2, "only %d events before: %s", #got, message) end
    if #got >= damage.upto then fail(2, "%d events before: %s", #got, message) end
    check_problem(store, damage)
    return "raised"
  end
  if #got == #sound.all then
    if not damage.harmless then fail(2, "the damage is not seen") end
    return "whole"
  end
  if not remark then fail(2, "%d events of %d, and nothing is said", #got, #sound.all) end
  check_address(remark, address_in(remark), damage)
  if #got ~= damage.before then fail(2, "cut at event %d: %s", #got, remark) end
  return "cut"
end

---What a refused opening may say.
function oracle.check_refusal(message, code, detail, damage, log_bytes)
  if code ~= "corrupt" then fail(2, "%s: %s", code, message) end
  check_address(message, detail.address, damage)
  check_claims(message, damage, log_bytes)
  if detail.position ~= damage.before then fail(2, "readable up to %d?", detail.position) end
end

---Damage at an address, for the functions above:
---  start     of the frame in which it lies
---  before    the last position that must be readable
---  upto      the last position of that frame
---  last      whether it lies in the last flush group, or behind
---  harmless  whether the byte says nothing
function oracle.damage(frames, address)
  local frame, last = image.frame_at(frames, address), frames[#frames]
  if not frame then
    assert(address >= last.stop)
    return { address = address, start = last.stop, before = last.last, upto = last.last + 1,
             last = true, harmless = true }
  end
  return { address = address, start = frame.start, before = frame.first - 1, upto = frame.last,
           last = frame == last, harmless = frame.unused[address] }
end

return oracle
