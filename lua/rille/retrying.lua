-- retrying.lua: parked events, after the script was mended.
--
-- A parked event has its effect together with the entry that says that it is parked no more;
-- both expect the version of the stream of parked events that was read. So it happens once,
-- whoever tries it, and those behind it follow in their order.

local core = ...
local effects = require "rille.effects"
local worker = require "rille.worker"

---@class rille.retrying
local retrying = {}

local TRIES = 100 -- so often may another be first

local raise = effects.raise

---Writes the reaction to a parked event, and that it is parked no more. nil, failure: it stays.
local function write_retried(self, entry, parts)
  local done, message, code, detail = effects.append(self, parts, { self.parking:unparked(entry.position) })
  if done then return true end
  if code == "conflict" and detail.stream == self.parking.stream then return false end
  if effects.CAUSED[code] then return nil, message, code end
  raise(message, code, detail)
end

---Parks an event that failed again in its old place.
local function park_again(self, entry, failure)
  local again = worker.entry_of(self, entry, entry.key, failure)
  again.attempts = (entry.attempts or 0) + 1
  local done, message, code, detail = core.append_internal(self.store, { self.parking:parked(again) })
  if not done and code ~= "conflict" then raise(message, code, detail) end
  effects.look_again(self, self.parking)
end

---The parts of the reaction to a parked event, or nil, failure. Its key may be unknown: then
---it was the script's key function or upcast that failed.
local function react(self, entry)
  local view, failure = worker.fetch(self, entry)
  if not view then return nil, failure end
  local key = entry.key
  if key == nil or #view > 1 then
    local wanted, found = worker.key(self, view)
    if wanted == nil then return nil, found end
    if not wanted then return {} end
    key = key or found
  end
  return worker.react(self, view, key)
end

---One attempt. True; false: another was here; nil, failure: it stays parked.
local function retry_one(self, entry)
  local parts, failure, done, message, code
  for _ = 1, self.definition.attempts do
    parts, failure = react(self, entry)
    if not parts then break end
    done, message, code = write_retried(self, entry, parts)
    failure = { message = message }
    if done ~= nil or code ~= "conflict" then break end
  end
  if done ~= nil then
    effects.look_again(self, self.parking)
    self.delays:catch_up()
    return done
  end
  if not failure.fatal then park_again(self, entry, failure) end
  return nil, failure
end

local function find_parked(self, position)
  local entry = self.parking:find(position)
  if not entry then raise(("no event is parked at position %d"):format(position), "notfound") end
  local first = entry.key == nil and entry or self.parking:first(entry.key)
  if first == entry then return entry end
  raise(("the event at position %d waits behind the one at %d: retry that first"):format(position, first.position),
    "invalid", { position = first.position })
end

function retrying.retry(self, position)
  worker.refresh(self)
  self.parking:catch_up()
  self.delays:catch_up()
  local entry, done, tries = find_parked(self, position), 0, 0
  repeat
    local was, failure = retry_one(self, entry)
    if was == nil and done == 0 then raise(failure.message, "script", failure.detail or { position = position }) end
    if was == nil then break end
    tries = was and 0 or tries + 1
    if tries > TRIES then raise("others retry the same events all the time", "busy") end
    done = done + (was and 1 or 0)
    if was or done > 0 then entry = self.parking:first(entry.key)
    else entry = find_parked(self, position)
    end
  until not entry
  worker.prune(self)
  return done, entry and select(2, self.parking:first(entry.key)) or 0
end

return retrying
