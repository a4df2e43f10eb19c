-- parking.lua: events whose reaction failed and which were put aside: a fold of the stream
-- "$parked-NAME".
--
--      $parked    { position, type, key, message, traceback, script, attempts, behind }
--      $unparked  { position }    with it, in one append, came what the reaction emitted
--
-- Parked again, an event takes its old place: its entry is the newer one. Events of a key
-- that has a parked one are parked behind it, unseen by the script: so the effects of a key
-- keep their order. Where a processor has no key, its events don't wait for each other.
--
-- In memory an entry has the version of its event, too, and each version its entry.

local own = require "rille.own"
local pruning = require "rille.pruning"

---@class rille.parking
local Parking = {}
Parking.__index = Parking

local parking = {}

local function remove(self, position)
  local entry = self.entries[position]
  if not entry then return end
  self.entries[position] = nil
  self.versions[entry.version] = nil
  self.open = self.open - 1
  if entry.key == nil then return end
  local of_key = self.keys[entry.key]
  of_key[position] = nil
  if next(of_key) == nil then self.keys[entry.key] = nil end
end

local function add(self, entry)
  remove(self, entry.position)
  self.entries[entry.position] = entry
  self.versions[entry.version] = entry
  self.open = self.open + 1
  if entry.key == nil then return end
  local of_key = self.keys[entry.key] or {}
  self.keys[entry.key] = of_key
  of_key[entry.position] = entry
end

local function without_version(entry)
  local copy = {}
  for name, value in pairs(entry) do copy[name] = value end
  copy.version = nil
  return copy
end

function Parking:forget(version)
  local entry = self.versions[version]
  if entry then remove(self, entry.position) end
end

function Parking:is_open(version) return self.versions[version] ~= nil end

function Parking:take(e)
  if e.type == own.PARKED then
    local entry = e.data
    entry.version = e.version
    add(self, entry)
  elseif e.type == own.UNPARKED then
    remove(self, e.data.position)
  end
end

---The event that writes an entry again.
function Parking:again(version)
  return { { type = own.PARKED, data = without_version(self.versions[version]) } }
end

---Reads on.
function Parking:catch_up() pruning.catch_up(self) end

---Whether events of the key have to wait.
function Parking:holds(key) return key ~= nil and self.keys[key] ~= nil end

function Parking:find(position) return self.entries[position] end

---The first entry of a key, for which all others of it wait; and how many there are.
function Parking:first(key)
  local first, n = nil, 0
  for position in pairs(key ~= nil and self.keys[key] or {}) do
    n = n + 1
    if not first or position < first then first = position end
  end
  return first and self.entries[first], n
end

---Copies of all entries, in the order of their positions.
function Parking:list()
  local list = {}
  for _, entry in pairs(self.entries) do list[#list + 1] = without_version(entry) end
  table.sort(list, function(a, b) return a.position < b.position end)
  return list
end

---The part of an append that parks an event.
function Parking:parked(entry)
  return { stream = self.stream, expect = self.version, events = { type = own.PARKED, data = entry } }
end

function Parking:unparked(position)
  return { stream = self.stream, expect = self.version,
           events = { type = own.UNPARKED, data = { position = position } } }
end

function parking.open(store, name)
  local self = setmetatable({ store = store, stream = "$parked-" .. name, entries = {}, versions = {}, keys = {} },
    Parking)
  pruning.init(self)
  return self
end

return parking
