-- transaction.lua: one transaction: who takes part, what each is to do, and its end.
--
--   open --commit--> over          by drive.lua, or by a plain append where one store is all
--     |----abort, close, collection--> over
--
-- While it is open nothing is written and nothing is locked: appends are only collected
-- (lwork.c). Only a database's branch is at work before commit.

local core = ...
local answer = require "rille.answer"
local database = require "rille.database"
local drive = require "rille.drive"
local handle = require "rille.handle"
local options_of = require "rille.options"
local means = core.transaction

---@class rille.transaction
local Transaction = {}
Transaction.__index = Transaction
Transaction.__name = "rille.transaction"

---One that collection must end, because a branch is at work in it.
local Collected = { __index = Transaction, __name = "rille.transaction" }

local transaction = {}

local ENLIST = { name = true, optional = true, weight = true, work = true }
local MEMBERS = 1000
local NAME_BYTES = 255

local places = setmetatable({}, { __mode = "k" }) -- of handles of stores: { uuid, path, key, name }

---Where and which a store is; nil, message, code where it is closed.
local function place_of(store)
  if places[store] then return places[store] end
  local stats, message, code = store:stats()
  if not stats then return nil, message, code end
  local path = core.store_place(store)
  local place = { uuid = stats.uuid, path = path, key = stats.uuid .. path, name = transaction.name_of(path) }
  places[store] = place
  return place
end

---The identity of a store; nil, message, code where it is closed.
function transaction.uuid_of(store)
  local place, message, code = place_of(store)
  if not place then return nil, message, code end
  return place.uuid
end

---An open handle of a store, if this program has one.
function transaction.handle_of(uuid, path)
  for store, place in pairs(places) do
    if place.uuid == uuid and place.path == path and core.is_open(store) then return store end
  end
end

---A store's name for people: its folder's, without ".rille".
function transaction.name_of(path) return (path:gsub("/+$", ""):match "[^/]+$" or "store"):gsub("%.rille$", "") end

local function over(self)
  if self.state == "open" then return nil end
  return "the transaction is over"
end

function Transaction:is_late() return core.monotonic() >= self.deadline end

-- Who takes part --------------------------------------------------------------------------------

---Up to so many participants are looked through, more are found by a table.
local FEW = 8

---The participant of that name.
function Transaction:named(name)
  if self.by_name then return self.by_name[name] end
  for _, p in ipairs(self.list) do
    if p.name == name then return p end
  end
end

---The name, or with a number behind it. A store is never called as what is registered is: who is told
---is noted by names.
local function unique(self, name)
  local candidate, n = name, 1
  while self:named(candidate) or self.coordinator.participants[candidate] do
    n = n + 1
    candidate = ("%s#%d"):format(name, n)
  end
  return candidate
end

local function add(self, p)
  local list = self.list
  if #list >= MEMBERS then
    return nil, ("a transaction has at most %d participants"):format(MEMBERS), "invalid"
  end
  list[#list + 1] = p
  if self.by_name then self.by_name[p.name] = p
  elseif #list > FEW then
    self.by_name = {}
    for _, other in ipairs(list) do self.by_name[other.name] = other end
  end
  if p.home then self.home = p end
  return p
end

---The participant that is a store, however often it is opened.
local function store_participant(self, store)
  local place, message, code = places[store]
  if not place then place, message, code = place_of(store) end
  if not place then return nil, message, code end
  local c, list, uuid, path, name = self.coordinator, self.list, place.uuid, place.path, place.name
  local is_taken = self.by_name ~= nil or c.participants[name] ~= nil
  for i = 1, #list do
    local other = list[i]
    if other.path == path and other.uuid == uuid then return other end
    is_taken = is_taken or other.name == name
  end
  local home = not self.home_wanted and place.key == c.key or nil
  return add(self, { kind = "store", store = home and c.store or store, uuid = uuid, path = path, home = home,
                     name = is_taken and unique(self, name) or name, work = means.work() })
end

---The same, of a store that may be closed.
local function open_participant(self, store)
  if not core.is_open(store) then return nil, "the store is closed", "closed" end
  return store_participant(self, store)
end

---What it is to do in a store, for the first append there by this handle, which is open or closed.
local function enter(self, store, is_open)
  local class = getmetatable(self)
  if class ~= Transaction and class ~= Collected then error(handle.fault("append", "rille.transaction", self), 3) end
  if self.state ~= "open" then return nil, over(self), "closed" end
  if not is_open then return nil, "the store is closed", "closed" end
  local p, message, code = store_participant(self, store)
  if not p then return nil, message, code end
  self[store] = p.work -- where the next append by this handle finds it (lwork.c)
  return p.work
end

---Adds events, conditions, a mark in a store: arguments as of store:append. Nothing is written
---before commit.
---@type fun(self: rille.transaction, store: rille.store, ...): boolean?, string?, string?
Transaction.append = means.appender(enter)

---The same for rille's own scripts, which have names of their own.
function transaction.append_internal(self, store, parts)
  local p, message, code = open_participant(self, store)
  if not p then return nil, message, code end
  return means.add_internal(p.store, parts, p.work)
end

local function check_options(options)
  options_of.check(options, ENLIST, 3)
  if options.optional ~= nil and type(options.optional) ~= "boolean" then error("optional must be a boolean", 3) end
  if options.name ~= nil and type(options.name) ~= "string" then error("name must be a string", 3) end
  local weight = options.weight
  if weight ~= nil and (type(weight) ~= "number" or weight ~= weight) then error("weight must be a number", 3) end
end

---Gives it the name that was asked for.
local function rename(self, p, name)
  if name == nil or name == p.name then return true end
  local taken = self:named(name) or self.coordinator.participants[name]
  if taken or #name == 0 or #name > NAME_BYTES then
    return nil, ("a participant can't be called %q: %s"):format(name:sub(1, NAME_BYTES),
      taken and "another is" or "a name has 1 to 255 bytes"), "invalid"
  end
  if self.by_name then self.by_name[p.name], self.by_name[name] = nil, p end
  p.name = name
  return true
end

---A participant that was registered with the coordinator.
local function registered(self, name, options)
  local p = self:named(name)
  if p and p.object and options.work ~= nil then
    return nil, name .. " takes part already: its work is given when it is enlisted first", "invalid"
  end
  if p and p.object then return p end
  local object = self.coordinator.participants[name]
  if not object then
    return nil, options_of.unknown("participant", name, self.coordinator.participants)
      .. ": participants are named when the coordinator is made", "notfound"
  end
  p = { kind = object.kind, object = object, name = name, voter = object.voter }
  local branch, message, code, detail = object:enlist { id = self.id, number = #self.list + (self.home and 0 or 1),
    deadline = self.deadline, work = options.work, name = name }
  if not branch then
    self.absent = self.absent or {}
    table.insert(self.absent, { name = name, vote = "no", reason = message, code = code, detail = detail })
    return nil, message, code, detail
  end
  p.branch = branch
  self.special = true
  setmetatable(self, Collected)
  return add(self, p)
end

---Sets options of a store in this transaction, or lets a registered participant take part.
---@param what rille.store|string
---@param options? { name: string, optional: boolean, weight: number, work: any }
---@return any? branch  what the participant offers, such as exec; or nil, message, code
function Transaction:enlist(what, options)
  options = options or {}
  check_options(options)
  if type(what) ~= "string" and not core.is_store(what) then
    error("enlist needs a store or the name of a participant, not " .. type(what), 2)
  end
  if over(self) then return nil, over(self), "closed" end
  local p, message, code, detail
  if type(what) == "string" then p, message, code, detail = registered(self, what, options)
  else p, message, code = open_participant(self, what)
  end
  if not p then return nil, message, code, detail end
  if p.home and options.optional then
    return nil, "home can't be optional: the decision is written there", "invalid"
  end
  local named
  named, message, code = rename(self, p, p.store and options.name)
  if not named then return nil, message, code end
  if options.optional ~= nil then
    p.optional = options.optional
    self.special = true
  end
  p.weight = options.weight or p.weight
  return p.branch or p.name
end

-- The end ---------------------------------------------------------------------------------------

---Lets go of branches that are at work already, and are not to commit.
local function drop(self, members_stay)
  self.state = "over"
  self.coordinator.live[self] = nil
  if self.special then drive.drop(self, members_stay) end
end

---One other store, no id that must be found again, and a rule that says what its one vote says:
---what it does is an append.
local function plain(self)
  local p = self.list[1]
  if #self.list ~= 1 or p.home or not p.store or self.client then return nil end
  return self.policy.identity == "unanimous" and p or nil
end

local function append_plainly(self, p)
  local done, message, code = means.append(p.store, p.work)
  if done then done, message, code = p.store:sync() and done, "its store could not make it durable", "unknown" end
  if not done and code == "unknown" then
    return nil, "it is not known whether the transaction happened: " .. message, "unknown", {}
  end
  if not done then
    p.vote, p.reason, p.code = "no", message, code
    return answer.aborted(self)
  end
  return { outcome = "committed", duplicate = false, members = { p.name }, excluded = {}, pending = {},
           versions = { [p.name] = done.versions },
           positions = done.first and { [p.name] = { first = done.first, last = done.last } } or {} }
end

---Commits one that is open: what the coordinator's transact returns.
function transaction.commit(self)
  self.state = "over"
  local p = plain(self)
  if p then return append_plainly(self, p) end -- it has no id that anybody could ask for
  local home, message, code = nil, nil, nil
  if self.special or self.home_wanted then home, message, code = database.home_of(self) end
  if home then message, code = select(2, database.take(self, home)) end
  if code then
    drop(self)
    return nil, message, code
  end
  local result, detail
  result, message, code, detail = drive.commit(self)
  if code ~= "unknown" then drop(self, result ~= nil) else self.coordinator.live[self] = nil end
  self.coordinator:watch(self)
  return result, message, code, detail
end

---Commits by hand. Where that is in the function that transact was given, transact returns the same.
function Transaction:commit()
  if over(self) then return nil, over(self), "closed" end
  self.answer = table.pack(transaction.commit(self))
  return table.unpack(self.answer, 1, self.answer.n)
end

---Gives it up: nothing has happened.
function Transaction:abort()
  if self.state == "open" then drop(self) end
  return true
end

Transaction.close = Transaction.abort
Transaction.__close = Transaction.abort

function Transaction:__tostring() return ("rille transaction %s (%s)"):format(self.client or self.id, self.state) end

Collected.__close, Collected.__tostring = Transaction.close, Transaction.__tostring
Collected.__gc = Transaction.abort

handle.guard(Transaction, "rille.transaction", { "enlist", "commit", "abort", "close" }, Collected)

---@param c rille.coordinator
---@param given { client: string?, home: string?, policy: rille.policy, timeout: number, deadline: number }
function transaction.new(c, given)
  if not core.is_open(c.store) then return nil, "the coordinator's store is closed", "closed" end
  local id, home_end, code, detail = c.instance:begin()
  if not id then return nil, home_end, code, detail end
  local begun = core.monotonic()
  local self = setmetatable({ coordinator = c, id = id, home_end = home_end, client = given.client,
    policy = given.policy, home_wanted = given.home, timeout = given.timeout, begun = begun, deadline = given.deadline,
    state = "open", list = { nil, nil } }, Transaction) -- with room for two
  if given.client then c.live[self] = true end
  return self
end

return transaction
