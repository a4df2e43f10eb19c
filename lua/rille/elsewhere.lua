-- elsewhere.lua: what reactions want to be written in other stores, exactly once.
--
--   by ids:            flush here   append there ... flush there   append here, with the mark
--                      the cause    under ids of the cause         now it is over
--   by a transaction:  all of it, there and here with the mark, or nothing
--
-- By ids, whoever dies in between repeats the reaction, and the other store knows the ids: they
-- are made of what caused the event (this store, its position, the processor), so that two
-- instances make the same. Each reaction is an append of its own there, since ids are found
-- again for whole appends only; one flush serves a group of them.
--
-- E1  Nothing is written there whose cause a power cut could still take from here.
-- E2  The mark moves only when all that is written there is durable.
-- E3  By ids nothing is written there after a transaction of another instance has decided the
--     same: that has written several reactions as one, of which not every id is found.

local core = ...
local options = require "rille.options"
local rille = require "rille"
local transaction = require "rille.transaction"

---@class rille.elsewhere
local elsewhere = {}

local NAME_BYTES = 190 -- of the processor, so that ids fit
local PATIENCE_S = 5   -- with locks, of one reaction
local PAUSE_FIRST_S, PAUSE_MOST_S = 0.005, 0.5

-- Which stores -------------------------------------------------------------------------------------

local function check_stores(store, stores)
  if type(stores) ~= "table" then error("stores must be a table of stores by name, not " .. type(stores), 4) end
  for name, other in pairs(stores) do
    if type(name) ~= "string" then error("stores must have names, not " .. type(name), 4) end
    if not core.is_store(other) then error(("stores.%s must be a store, not %s"):format(name, type(other)), 4) end
    if core.store_place(other) == core.store_place(store) then
      error(("stores.%s is the processor's own store: emit without `to`"):format(name), 4)
    end
  end
end

local function check_coordinator(store, c)
  if c == nil then return end
  if getmetatable(c) == nil or getmetatable(c).__name ~= "rille.coordinator" then
    error("coordinator must be one of rille.coordinator, not " .. type(c), 4)
  end
  if c.path ~= core.store_place(store) then
    error("the coordinator must be of the processor's own store, where the mark is", 4)
  end
end

---What a processor knows of other stores; false where it has none. nil, message, code.
---@param given { stores: table<string, rille.store>, coordinator: rille.coordinator }
function elsewhere.open(store, name, given)
  if given.stores == nil then
    if given.coordinator ~= nil then error("coordinator is for events to other stores: name them in stores", 3) end
    return false
  end
  check_stores(store, given.stores)
  check_coordinator(store, given.coordinator)
  if #name > NAME_BYTES then
    return nil, ("the name of a processor with other stores has at most %d bytes"):format(NAME_BYTES), "invalid"
  end
  local uuid, message, code = transaction.uuid_of(store)
  if not uuid then return nil, message, code end
  local stores = {}
  for to, other in pairs(given.stores) do stores[to] = other end
  return { stores = stores, coordinator = given.coordinator, uuid = uuid, name = name, own = {} }
end

function elsewhere.close(place)
  for _, handle in pairs(place.own) do handle:close() end
  place.own = {}
end

---A part of an append for another store: `number` of those that this cause has.
function elsewhere.part(self, part, to, cause, number)
  local place = self.elsewhere
  part.to, part.cause = to, cause
  if place then part.events.id = ("%s.%s.%d.%s"):format(place.uuid, cause, number, place.name) end
  return part
end

---The store as the program has opened it; nil, message, code.
local function given_store(self, to)
  local stores = self.elsewhere and self.elsewhere.stores or {}
  local store = stores[to]
  if not store then return nil, options.unknown("store", to, stores) .. ": an event waits for it", "notfound" end
  if not core.is_open(store) then return nil, ("the store %s is closed"):format(to), "closed" end
  return store
end

---Parts for here, and the others as a list of appends { to, parts }: one for each cause and store.
local function split(parts)
  local here, others, last = { mark = parts.mark }, {}, {}
  for _, part in ipairs(parts) do
    if not part.to then here[#here + 1] = part
    else
      local other = last[part.to]
      if not other or other.cause ~= part.cause then
        other = { to = part.to, cause = part.cause, parts = {} }
        last[part.to], others[#others + 1] = other, other
      end
      table.insert(other.parts, { stream = part.stream, events = part.events, expect = part.expect })
    end
  end
  return here, others
end

-- By ids ----------------------------------------------------------------------------------------------

---A handle that does not flush each append; with the program's clock.
local function own_handle(self, to)
  local given, message, code = given_store(self, to)
  if not given then return nil, message, code end
  local own = self.elsewhere.own
  if own[to] and core.is_open(own[to]) then return own[to] end
  own[to], message, code = rille.open(core.store_place(given), { create = false, sync = "never",
    clock = function() return core.now(given) end })
  return own[to], message, code
end

---What is refused as a duplicate is there in another form, by a script as it was before: a
---reaction has its effect once.
local function append_there(self, other)
  local handle, message, code = own_handle(self, other.to)
  if not handle then return nil, message, code end
  local done
  done, message, code = handle:append(other.parts)
  if done or code == "duplicate" then return handle end
  return nil, ("in the store %s: %s"):format(other.to, message), code, { store = other.to }
end

local function by_ids(self, here, others)
  local durable, message, code = self.store:durable()
  if not durable then return nil, message, code end
  if durable < self.store:head() then -- E1
    local done
    done, message, code = self.store:sync()
    if not done then return nil, message, code end
  end
  local touched = {}
  for _, other in ipairs(others) do
    local handle, detail
    handle, message, code, detail = append_there(self, other)
    if not handle then return nil, message, code, detail end
    touched[handle] = other.to
  end
  for handle, to in pairs(touched) do -- E2
    local done
    done, message, code = handle:sync()
    if not done then return nil, ("in the store %s: %s"):format(to, message), code end
  end
  return core.append_internal(self.store, here)
end

-- By a transaction ----------------------------------------------------------------------------------------

---All of it into a transaction; nil, message, code.
local function add_all(self, tx, here, others)
  local added, message, code = transaction.append_internal(tx, self.store, here)
  for _, other in ipairs(others) do
    if not added then break end
    local store
    store, message, code = given_store(self, other.to)
    if not store then return nil, message, code end
    added, message, code = tx:append(store, other.parts)
  end
  return added, message, code
end

---Why it was aborted, as an append would say it. The store of the no: nil where it is this one.
local function refusal(self, message, votes)
  local home = transaction.name_of(self.elsewhere.coordinator.path)
  local own = votes[home]
  if own and own.vote == "no" then return own.message, own.code, own.detail or {} end
  for name, vote in pairs(votes) do
    if vote.vote == "no" then return ("in the store %s: %s"):format(name, vote.message), vote.code, { store = name } end
  end
  return message, "aborted", {}
end

---Whether nobody else has been here first, with all of it: then what is written here can't be
---any more. (Marks and versions only go up.) true; false; nil, message, code.
local function is_ours(store, here)
  if here.mark then
    local position, message, code = store:mark(here.mark[1])
    if position ~= here.mark[2] then return position and false, message, code end
  end
  for _, part in ipairs(here) do
    if math.type(part.expect) == "integer" then
      local version, message, code = store:version(part.stream)
      if version ~= part.expect then return version and false, message, code end
    end
  end
  return true
end

---The other store has an id: it was begun by ids, before, and goes on so (E3); or another has
---done it all, whose decision came here before its events came there.
local function after_duplicate(self, here, others)
  local ours, message, code = is_ours(self.store, here)
  if ours == nil then return nil, message, code end
  if ours then return by_ids(self, here, others) end
  return core.append_internal(self.store, here) -- which says so
end

local PASSES = { locked = true, busy = true }

---Whether nothing but what passes by itself was in the way. A version that is not the expected
---one does not: whoever expects must read again.
local function passes(votes)
  local some = false
  for _, vote in pairs(votes) do
    if vote.vote == "no" and not PASSES[vote.code] then return false end
    some = some or vote.vote == "no"
  end
  return some
end

---One transaction; of an abort also whether the same is worth another.
local function try_together(self, here, others)
  local fault
  local result, message, code, detail = self.elsewhere.coordinator:transact({}, function(tx)
    fault = { add_all(self, tx, here, others) }
    return fault[1]
  end)
  if result then return { duplicate = false } end
  if not fault or fault[1] == nil then return nil, fault and fault[2] or message, fault and fault[3] or code end
  if code ~= "aborted" then return nil, message, code, detail end
  local again = passes(detail.votes)
  message, code, detail = refusal(self, message, detail.votes)
  if code == "duplicate" and detail.store then return after_duplicate(self, here, others) end
  return nil, message, code, detail, again
end

local function together(self, here, others)
  local stop, pause = core.monotonic() + PATIENCE_S, PAUSE_FIRST_S
  while true do
    local done, message, code, detail, again = try_together(self, here, others)
    if done or not again or core.monotonic() + pause > stop then return done, message, code, detail end
    core.pause(pause * (0.5 + math.random() / 2))
    pause = math.min(2 * pause, PAUSE_MOST_S)
  end
end

-- Both ----------------------------------------------------------------------------------------------------

---Writes the parts, each in its store; as an append to this one, it answers.
---@param parts table those of elsewhere.part are for other stores
function elsewhere.append(self, parts)
  local here, others = split(parts)
  if #others == 0 then return core.append_internal(self.store, parts) end
  local c = self.elsewhere and self.elsewhere.coordinator
  return (c and together or by_ids)(self, here, others)
end

return elsewhere
