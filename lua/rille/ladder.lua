-- ladder.lua: states of the past that are kept, so that a fold to any position begins near
-- by: snapshots, in the order of their positions.
--
--      L identity scope position -> version, state       position: the last first
--
-- A rung is left every RUNG_EVENTS events that a fold has handled, fewer where the state is
-- large: rungs take at most RUNG_BYTES an event. So a replay is bounded, and so is what the
-- rungs take. They belong to one form of the script, like all kept states.
--
-- The last FORMS_KEPT forms of a script (edited ones, and those with other parameters) keep their
-- rungs; those of older ones are removed when a new form leaves its first:
--
--      F name -> identities     32 bytes each, the latest first
--
-- Invariant: a rung at position p is the state after all handled events up to p, whatever
-- was truncated since. Who reads a stream as it was truncated uses none. Where content was taken out of the
-- log since, a rung is of another form: what is left would be added to what is gone.

local core = ...
local rille = require "rille"

---@class rille.ladder
local ladder = {}

local RUNG_EVENTS = 1024
local RUNG_BYTES = 16       -- an event
local RUNGS_A_FOLD = 4096   -- left in one go, at most
local FORMS_KEPT = 16
local IDENTITY_BYTES = 32
local ERASE_KEYS = 8192     -- removed by one fold
local KEY_BYTES = 480       -- a longer scope has no ladder

---How far a position is from the largest there is: so the nearest rung below a position is
---the next one in the order of keys.
local function position_key(position) return string.pack(">I8", math.maxinteger - position) end

---The prefix of a ladder; nil where the names are too long for one.
function ladder.scope(identity, stream, key)
  local scope = "L" .. identity .. string.pack("s2s2", stream or "", key and "k" .. key or "")
  return #scope <= KEY_BYTES and scope or nil
end

---The last rung at or below a position, and at or below a version of the stream.
---@return any state, integer position, integer version  | nil
function ladder.nearest(store, scope, at, version)
  local key = scope .. position_key(at + 1)
  while true do
    local bytes, code
    key, bytes, code = core.kept_next(store, key, scope)
    if not key then
      if code then return nil, bytes, code end
      return nil
    end
    local position = math.maxinteger - string.unpack(">I8", key, #scope + 1)
    local of, offset = string.unpack("<i8", bytes)
    if not version or of <= version then
      return rille.decode(bytes:sub(offset)), position, of
    end
  end
end

---Rungs that a fold leaves on its way.
---@class rille.climb
local Climb = {}
Climb.__index = Climb

---@param name string of the script
function ladder.climb(store, scope, name)
  return setmetatable({ store = store, scope = scope, name = name, puts = {}, spacing = RUNG_EVENTS,
    log_generation = core.log_generation(store) }, Climb)
end

---Leaves a rung, if the state can be one.
function Climb:leave(position, version, state)
  if state == nil or #self.puts >= RUNGS_A_FOLD then return end
  local bytes = core.encode_state(state)
  if not bytes then return end
  self.puts[#self.puts + 1] = { self.scope .. position_key(position), string.pack("<i8", version or 0) .. bytes }
  self.spacing = math.max(RUNG_EVENTS, math.floor(#bytes / RUNG_BYTES))
end

---Removes what the older forms have left; nothing is lost but time, because each can be made
---again. False: there is more, which the next fold removes.
local function remove(store, identities)
  for i = 1, #identities, IDENTITY_BYTES do
    local removed = core.kept_erase(store, "L" .. identities:sub(i, i + IDENTITY_BYTES - 1), ERASE_KEYS)
    if not removed or removed == ERASE_KEYS then return false end
  end
  return true
end

---What is to be written so that this form is known, and what must be there before: nothing where
---it is known. Who dies before it is written leaves older forms in the list that have no rungs.
local function enlist(self)
  local key = "F" .. self.name
  local identity, before = self.scope:sub(2, 1 + IDENTITY_BYTES), core.kept_get(self.store, key) or ""
  if #key > KEY_BYTES or before:sub(1, IDENTITY_BYTES) == identity then return nil end
  local list = identity
  for i = 1, #before, IDENTITY_BYTES do
    local other = before:sub(i, i + IDENTITY_BYTES - 1)
    if other ~= identity then list = list .. other end
  end
  local kept = FORMS_KEPT * IDENTITY_BYTES
  if not remove(self.store, list:sub(kept + 1)) then return nil end
  return { key, list:sub(1, kept) }, before ~= "" and before
end

---What was left is kept, if it can be: a fold does not fail for want of rungs.
function Climb:save()
  if #self.puts == 0 or core.is_readonly(self.store) then return end
  local put, before = enlist(self)
  if put then
    self.puts[#self.puts + 1] = put
    if core.kept_write(self.store, self.puts, put[1], before, nil, self.log_generation) then return end
    table.remove(self.puts) -- another was first: the list is for the next; or content was redacted
  end
  core.kept_write(self.store, self.puts, nil, nil, nil, self.log_generation)
end

return ladder
