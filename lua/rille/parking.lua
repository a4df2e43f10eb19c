-- parking.lua: events whose reaction failed and which were put aside: a fold of the stream
-- "$parked-NAME".
--
--      $parked    { position, type, key, message, traceback, script, attempts, behind }
--      $unparked  { position }    with it, in one append, came what the reaction emitted
--
-- Parked again, an event takes its old place: its entry is the newer one. Events of a key
-- that has a parked one are parked behind it, unseen by the script: so the effects of a key
-- keep their order. Where a processor has no key, its events don't wait for each other.

---@class rille.parking
local Parking = {}
Parking.__index = Parking

local parking = { PARKED = "$parked", UNPARKED = "$unparked" }

local function remove(self, position)
  local entry = self.entries[position]
  if not entry then return end
  self.entries[position] = nil
  if entry.key == nil then return end
  local of_key = self.keys[entry.key]
  of_key[position] = nil
  if next(of_key) == nil then self.keys[entry.key] = nil end
end

local function add(self, entry)
  remove(self, entry.position)
  self.entries[entry.position] = entry
  if entry.key == nil then return end
  local of_key = self.keys[entry.key] or {}
  self.keys[entry.key] = of_key
  of_key[entry.position] = entry
end

---Reads on.
function Parking:catch_up()
  for e in self.store:read(self.stream, { after = self.version, consistency = "eventual" }) do
    self.version = e.version
    if e.type == parking.PARKED and not e.redacted then add(self, e.data)
    elseif e.type == parking.UNPARKED and not e.redacted then remove(self, e.data.position)
    end
  end
end

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
  for _, entry in pairs(self.entries) do
    local copy = {}
    for name, value in pairs(entry) do copy[name] = value end
    list[#list + 1] = copy
  end
  table.sort(list, function(a, b) return a.position < b.position end)
  return list
end

---The part of an append that parks an event.
function Parking:parked(entry)
  return { stream = self.stream, expect = self.version, events = { type = parking.PARKED, data = entry } }
end

function Parking:unparked(position)
  return { stream = self.stream, expect = self.version,
           events = { type = parking.UNPARKED, data = { position = position } } }
end

function parking.open(store, name)
  return setmetatable({ store = store, stream = "$parked-" .. name, version = 0, entries = {}, keys = {} },
    Parking)
end

return parking
