-- transaction.lua: one transaction: who takes part, what each is to do, and its end.
--
--   open --commit--> over          by drive.lua, or by a plain append where one store is all
--     |----abort, close, collection--> over
--
-- While it is open nothing is written and nothing is locked: appends are only collected
-- (work.lua). Only a database's branch is at work before commit.

local core = ...
local answer = require "rille.answer"
local database = require "rille.database"
local drive = require "rille.drive"
local options_of = require "rille.options"
local rille = require "rille"
local work = require "rille.work"

---@class rille.transaction
local Transaction = {}
Transaction.__index = Transaction
Transaction.__name = "rille.transaction"

local transaction = {}

local ENLIST = { name = true, optional = true, weight = true, work = true }
local MEMBERS = 1000
local NAME_BYTES = 255
local NAMES_BYTES = 60 * 1024 -- a prepare frame's detail has 64 KiB

local uuids = setmetatable({}, { __mode = "k" }) -- of handles of stores

---The identity of a store; nil, message, code where it is closed.
function transaction.uuid_of(store)
  if uuids[store] then return uuids[store] end
  local stats, message, code = store:stats()
  if not stats then return nil, message, code end
  uuids[store] = stats.uuid
  return stats.uuid
end

---An open handle of a store, if this program has one.
function transaction.handle_of(uuid, path)
  for store, known in pairs(uuids) do
    if known == uuid and core.store_place(store) == path and core.is_open(store) then return store end
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

---The name, or with a number behind it.
local function unique(self, name)
  local candidate, n = name, 1
  while self.by_name[candidate] do
    n = n + 1
    candidate = ("%s#%d"):format(name, n)
  end
  return candidate
end

local function add(self, p)
  if #self.list >= MEMBERS then
    return nil, ("a transaction has at most %d participants"):format(MEMBERS), "invalid"
  end
  self.by_name[p.name] = p
  self.list[#self.list + 1] = p
  if p.home then self.home, self.home_name = p, p.name
  else self.others[#self.others + 1] = p
  end
  return p
end

---The participant that is a store, however often it is opened.
local function store_participant(self, store)
  local uuid, message, code = transaction.uuid_of(store)
  if not uuid then return nil, message, code end
  if not core.is_open(store) then return nil, "the store is closed", "closed" end
  local path = core.store_place(store)
  local key = uuid .. path
  local p = self.by_store[key]
  if p then return p end
  local c = self.coordinator
  p = { kind = "store", store = store, uuid = uuid, path = path, work = {},
        home = not self.home_wanted and uuid == c.uuid and path == c.path or nil }
  if p.home then p.store = c.store end
  p.name = unique(self, transaction.name_of(path))
  p, message, code = add(self, p)
  if not p then return nil, message, code end
  self.by_store[key] = p
  return p
end

---Adds events, conditions, a mark in a store: arguments as of store:append. Nothing is written
---before commit.
---@return boolean? added, string message, string code
function Transaction:append(store, ...)
  if not core.is_store(store) then error("append needs a store, not " .. type(store), 2) end
  if over(self) then return nil, over(self), "closed" end
  local p, message, code = store_participant(self, store)
  if not p then return nil, message, code end
  return work.add(p.work, p.store, ...)
end

---The same for rille's own scripts, which have names of their own.
function transaction.append_internal(self, store, parts)
  local p, message, code = store_participant(self, store)
  if not p then return nil, message, code end
  return work.add_internal(p.work, parts)
end

local function check_options(options)
  options_of.check(options, ENLIST, 3)
  if options.optional ~= nil and type(options.optional) ~= "boolean" then error("optional must be a boolean", 3) end
  if options.name ~= nil and type(options.name) ~= "string" then error("name must be a string", 3) end
  if options.weight ~= nil and type(options.weight) ~= "number" then error("weight must be a number", 3) end
end

---Gives it the name that was asked for.
local function rename(self, p, name)
  if name == nil or name == p.name then return true end
  if self.by_name[name] or #name == 0 or #name > NAME_BYTES then
    return nil, ("a participant can't be called %q: %s"):format(name:sub(1, NAME_BYTES),
      self.by_name[name] and "another is" or "a name has 1 to 255 bytes"), "invalid"
  end
  self.by_name[p.name], self.by_name[name] = nil, p
  p.name = name
  if p.home then self.home_name = name end
  return true
end

---A participant that was registered with the coordinator.
local function registered(self, name, options)
  local p = self.by_name[name]
  if p and p.object then return p end
  local object = self.coordinator.participants[name]
  if not object then
    return nil, options_of.unknown("participant", name, self.coordinator.participants)
      .. ": participants are named when the coordinator is made", "notfound"
  end
  p = { kind = object.kind, object = object, name = name, voter = object.voter }
  local branch, message, code, detail = object:enlist { id = self.id, number = #self.others + 1,
    deadline = self.deadline, work = options.work, name = name }
  if not branch then return nil, message, code, detail end
  p.branch = branch
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
  else p, message, code = store_participant(self, what)
  end
  if not p then return nil, message, code, detail end
  if p.home and options.optional then
    return nil, "home can't be optional: the decision is written there", "invalid"
  end
  local named
  named, message, code = rename(self, p, p.store and options.name)
  if not named then return nil, message, code end
  if options.optional ~= nil then p.optional = options.optional end
  p.weight = options.weight or p.weight
  return p.branch or p.name
end

-- The end ---------------------------------------------------------------------------------------

---Lets go of branches that are at work already, and are not to commit.
local function drop(self, members_stay)
  self.state = "over"
  drive.drop(self, members_stay)
end

---One other store, no id that must be found again, and a rule that says what its one vote says:
---what it does is an append.
local function plain(self)
  local p = self.others[1]
  if #self.list ~= 1 or not p or not p.store or self.client then return nil end
  return self.policy.identity == "unanimous" and p or nil
end

local function append_plainly(self, p)
  local done, message, code = p.store:append(p.work)
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

---Who takes part, for operators: as many names as there is room for. And of a database that
---decides, which server it is, so that a restored one is not asked in its place.
local function names_of(self)
  local names, bytes = {}, 0
  for i, p in ipairs(self.list) do
    bytes = bytes + #p.name + 5
    if bytes > NAMES_BYTES then break end
    names[i] = p.name
  end
  local decider = self.decider and self.decider.branch
  return rille.encode { participants = names, home = decider and decider:note() }
end

local function commit(self)
  local p = plain(self)
  if p then return append_plainly(self, p) end
  local home, message, code = database.home_of(self)
  local taken = home == nil and not code
  if home then taken, message, code = database.take(self, home) end
  if not taken then
    drop(self)
    return nil, message, code
  end
  self.names = names_of(self)
  local result, detail
  result, message, code, detail = drive.commit(self)
  if code ~= "unknown" then drop(self, result ~= nil) end
  self.coordinator:watch(self)
  return result, message, code, detail
end

---Commits: what the coordinator's transact returns.
function Transaction:commit()
  if over(self) then return nil, over(self), "closed" end
  self.state = "over"
  self.answer = table.pack(commit(self))
  return table.unpack(self.answer, 1, self.answer.n)
end

---Gives it up: nothing has happened.
function Transaction:abort()
  if self.state == "open" then drop(self) end
  return true
end

Transaction.close = Transaction.abort
Transaction.__close = Transaction.abort
Transaction.__gc = Transaction.abort

function Transaction:__tostring() return ("rille transaction %s (%s)"):format(self.client or self.id, self.state) end

---@param c rille.coordinator
---@param given { client: string?, home: string?, policy: rille.policy, timeout: number, deadline: number }
function transaction.new(c, given)
  local id, home_end, code, detail = c.instance:begin()
  if not id then return nil, home_end, code, detail end
  local begun = core.monotonic()
  return setmetatable({ coordinator = c, id = id, home_end = home_end, client = given.client,
    policy = given.policy, home_wanted = given.home,
    timeout = given.timeout, begun = begun, deadline = given.deadline,
    wall_deadline = core.wall() + math.max(0, given.deadline - begun), home_kind = "store", home_path = c.path,
    state = "open", list = {}, others = {}, by_name = {}, by_store = {} }, Transaction)
end

return transaction
