-- coordinator.lua: rille.coordinator, which begins transactions on its home store, and looks after
-- those that are decided there until every member has its events.
--
-- Any number may be on one store, in any number of processes: home's log decides. What is left
-- to do after an answer is done whenever the coordinator is used again, or polled, and after a
-- crash by recovery.lua.

local core = ...
local answer = require "rille.answer"
local database = require "rille.database"
local drive = require "rille.drive"
local handle = require "rille.handle"
local handler = require "rille.handler"
local options_of = require "rille.options"
local policy = require "rille.policy"
local poll = require "rille.poll"
local recovery = require "rille.recovery"
local rille = require "rille"
local settling = require "rille.settling"
local transaction = require "rille.transaction"
local means = core.transaction

---@class rille.coordinator
local Coordinator = {}
Coordinator.__index = Coordinator
Coordinator.__name = "rille.coordinator"

local coordinator = {}

local OPTIONS = { name = true, participants = true, indoubt = true, indoubt_age = true }
local TRANSACT = { id = true, policy = true, params = true, timeout = true, attempts = true, home = true }
local BEGIN = { id = true, policy = true, params = true, timeout = true, home = true }
local OUTCOME = { settle = true }
local TIMEOUT_S = 5
local JITTER_FIRST_S, JITTER_MOST_S = 0.005, 0.5
local NAME_BYTES = 255

local function closed(self)
  if self.state == "open" then return nil end
  return "the coordinator is closed"
end

-- Beginning ---------------------------------------------------------------------------------------

local UNANIMOUS = policy.open(nil, "unanimous")

local function check_numbers(options)
  local timeout, attempts = options.timeout, options.attempts
  if timeout ~= nil and (type(timeout) ~= "number" or timeout ~= timeout or timeout <= 0) then
    error("timeout must be a number of seconds greater than 0", 4)
  end
  if attempts ~= nil and (math.type(attempts) ~= "integer" or attempts < 1) then
    error("attempts must be an integer of at least 1", 4)
  end
end

---Options, checked; and the policy. nil, message, code.
local function read_options(self, options, known)
  if type(options) == "table" and next(options) == nil then
    return { policy = UNANIMOUS, timeout = TIMEOUT_S, attempts = 1, deadline = core.monotonic() + TIMEOUT_S }
  end
  options_of.check(options, known, 3)
  check_numbers(options)
  local id = options.id
  if id ~= nil and type(id) ~= "string" then error("id must be a string, not " .. type(id), 3) end
  if id and (#id == 0 or #id > NAME_BYTES) then
    return nil, ("id has %d bytes, 1 to %d are possible"):format(#id, NAME_BYTES), "invalid"
  end
  local p, message, code = UNANIMOUS, nil, nil
  if options.policy ~= nil or options.params ~= nil then
    p, message, code = policy.open(self.store, options.policy or "unanimous", { params = options.params }, 3)
  end
  if not p then return nil, message, code end
  local home = options.home and self.participants[options.home]
  if options.home ~= nil and type(options.home) ~= "string" then error("home must be a name", 3) end
  if options.home and (not home or home.kind ~= "postgres") then
    return nil, ("home is %q: it must be the name of a database that takes part"):format(options.home), "invalid"
  end
  local timeout = options.timeout or TIMEOUT_S
  return { client = id, home = options.home, policy = p, timeout = timeout, attempts = options.attempts or 1,
           deadline = core.monotonic() + timeout }
end

---What has been decided for this id already: a result, or nil; nil, message, code.
local function before(self, client)
  if not client then return nil end
  local result, message, code = answer.duplicate(self.store, client)
  if result or code then return result, message, code end
  local said
  said, message, code = database.ask(self, client)
  if said then return answer.bare(client, true) end
  return nil, message, code
end

---Begins a transaction that is committed or aborted by hand.
---@param options? { id: string, policy: string, params: table, timeout: number }
---@return rille.transaction? tx, string message, string code, table result of then, where it is a duplicate
function Coordinator:begin(options)
  local given, message, code = read_options(self, options or {}, BEGIN)
  if not given then return nil, message, code end
  if closed(self) then return nil, closed(self), "closed" end
  self:advance()
  local result
  result, message, code = before(self, given.client)
  if result then return nil, ("%q is committed already"):format(given.client), "duplicate", result end
  if code then return nil, message, code end
  return transaction.new(self, given)
end

-- transact ----------------------------------------------------------------------------------------

---Where the function gave up, what has failed in databases is their vote, and so is that one could not even
---begin, unless it did later: another try may succeed.
local function note_failures(tx)
  for _, p in ipairs(tx.absent or {}) do
    if not tx:named(p.name) then table.insert(tx.list, p) end
  end
  for _, p in ipairs(tx.list) do
    local failed = p.branch and p.branch.failure
    if failed then p.vote, p.reason, p.code, p.detail = "no", failed[1], failed[2], failed[3] end
  end
end

---One try: what the function collected is committed. An error of the function's is raised again.
local function try(self, given, body)
  local tx, message, code, detail = transaction.new(self, given)
  if not tx then return nil, message, code, detail end
  local ok, wanted, why = pcall(body, tx)
  if ok and wanted and tx.state == "open" then return transaction.commit(tx) end
  if ok and tx.answer then return table.unpack(tx.answer, 1, tx.answer.n) end -- it did so by hand
  local state = tx.state
  tx:abort()
  if not ok then error(wanted, 0) end
  note_failures(tx)
  tx.reason = why ~= nil and tostring(why) or state ~= "open" and "it was ended by hand"
    or ("the function returned %s, not true"):format(tostring(wanted))
  return answer.aborted(tx)
end

---A pause before another try, of a random length that grows; false where time does not suffice.
local function pause(given, attempt)
  local most = math.min(JITTER_MOST_S, JITTER_FIRST_S * 2 ^ attempt)
  local seconds = most * (0.5 + math.random() / 2)
  if core.monotonic() + seconds >= given.deadline then return false end
  core.pause(seconds)
  return true
end

---Runs the function, and commits what it wants to be done in several places, or nothing of it.
---@param options { id: string, policy: string, params: table, timeout: number, attempts: integer }
---@param body fun(tx: rille.transaction): boolean
---@return table? result, string message, string code, table detail
function Coordinator:transact(options, body)
  if type(options) == "function" and body == nil then options, body = {}, options end
  if type(body) ~= "function" then error("transact needs a function, not " .. type(body), 2) end
  local given, message, code = read_options(self, options or {}, TRANSACT)
  local detail
  if not given then return nil, message, code end
  local attempt = 0
  repeat
    attempt = attempt + 1
    if closed(self) then return nil, closed(self), "closed" end
    self:advance()
    local result
    result, message, code = before(self, given.client)
    if result then return result end
    if code then return nil, message, code end
    result, message, code, detail = try(self, given, body)
    if result then return result end
    local again = code == "aborted" and detail.again and attempt < given.attempts
  until not again or not pause(given, attempt)
  return nil, message, code, detail
end

-- What became of it -----------------------------------------------------------------------------------

---Whether a transaction with this id of its caller's is under way in this program: before its
---decision home's log has nothing of it, so in other programs it is "none".
local function is_under_way(self, client)
  for c in pairs(settling.askers) do
    for tx in pairs(c.key == self.key and c.live or {}) do
      if tx.client == client then return true end
    end
  end
  return false
end

---@param id string the caller's, or a transaction's
---@param options? { settle: boolean }
---@return string? word "committed"|"aborted"|"undecided"|"none"|"unknown"; or nil, message, code, detail
---@return table? result, where it is committed
function Coordinator:outcome(id, options)
  if type(id) ~= "string" then error("outcome needs an id, not a " .. type(id), 2) end
  options = options or {}
  options_of.check(options, OUTCOME, 2)
  if closed(self) then return nil, closed(self), "closed" end
  self:advance()
  local settles_first = options.settle and not database.is_own_id(self, id) -- who decides there looks here last
  local told, message, code, detail = means.outcome(self.store, id, settles_first)
  if not told then return nil, message, code, detail end
  if told.outcome ~= "committed" and (options.settle or told.outcome ~= "undecided") then
    local said, why, reason = database.ask(self, id, options.settle and "wait" or "look", told.outcome)
    if said == "commit" then return "committed", answer.bare(id, false) end
    if reason then return "unknown", why end
    if options.settle and not settles_first then told, message, code, detail = means.outcome(self.store, id, true) end
    if not told then return nil, message, code, detail end
  end
  if told.outcome == "none" and is_under_way(self, id) then return "undecided" end
  if told.outcome ~= "committed" then return told.outcome end
  local result
  result, message, code, detail = recovery.result(self, told)
  if not result then return nil, message, code, detail end
  return "committed", result
end

---What is decided here to commit, and not acknowledged by all.
---@return { id: string, coordinator: string, place: string, age: number, participants: string[] }[]
function Coordinator:pending()
  if closed(self) then return nil, closed(self), "closed" end
  self:advance()
  return recovery.pending(self)
end

---Does at once what poll does: brings what is decided to its end, asks for what is in doubt.
---@return table? counts, string message, string code
function Coordinator:recover()
  if closed(self) then return nil, closed(self), "closed" end
  self:advance(true)
  return recovery.run(self, true)
end

---For one participant that will never answer: counts as told, and is logged at home.
---@param id string
---@param what { participant: string, outcome: string, reason: string }
function Coordinator:resolve(id, what)
  if type(id) ~= "string" then error("resolve needs an id, not a " .. type(id), 2) end
  options_of.check(what, { participant = true, outcome = true, reason = true }, 2)
  for _, field in ipairs { "participant", "outcome", "reason" } do
    if type(what[field]) ~= "string" then error(("resolve needs %s, a string"):format(field), 2) end
  end
  if what.outcome ~= "commit" and what.outcome ~= "abort" then
    return nil, ("outcome is %q: it must be \"commit\" or \"abort\""):format(what.outcome), "invalid"
  end
  if closed(self) then return nil, closed(self), "closed" end
  return recovery.resolve(self, id, what)
end

-- Going on --------------------------------------------------------------------------------------------

---How many of those that are answered are looked at when another is: what the last flush has made
---durable is one or two, but where a member is out of reach they pile up.
local LOOKED_AT = 8

---Goes on with transactions that are answered, the oldest first; `force` waits for the disks.
function Coordinator:advance(force, most)
  local list, kept = self.watching, 0
  for i, tx in ipairs(list) do
    if most and i > most or not drive.finish(tx, force) then
      kept = kept + 1
      list[kept] = tx
    end
  end
  for i = #list, kept + 1, -1 do list[i] = nil end
end

---Keeps a transaction that is answered until its members' commits are durable.
function Coordinator:watch(tx)
  self:advance(false, LOOKED_AT)
  if tx.ends or tx.steps and not drive.finish(tx) then table.insert(self.watching, tx) end
end

---@param ms? number unused: it never waits
---@return integer? left how many transactions are not over, string message, string code
function Coordinator:poll(ms)
  if ms ~= nil and type(ms) ~= "number" then error("ms must be a number", 2) end
  if closed(self) then return nil, closed(self), "closed" end
  local fault = options_of.time_fault(ms, "ms")
  if fault then return nil, fault, "invalid" end
  self:advance()
  local counts, message, code, detail = recovery.run(self, false)
  if not counts then return nil, message, code, detail end
  return counts.pending
end

---For store:poll: there is nothing to be repeated at once.
function Coordinator:run()
  local left, message, code, detail = self:poll()
  if left == nil then return nil, message, code, detail end
  return 0
end

---Decisions that are older and have ended need not be remembered: their outcome is "unknown" from
---then on, except as rough as the index's places are. What could still be asked for is younger.
local FORGET_LEAST_S = 86400

---@param seconds number how old, a day at least
---@return true? done, string message, string code
function Coordinator:forget(seconds)
  if type(seconds) ~= "number" then error("seconds must be a number, not a " .. type(seconds), 2) end
  if closed(self) then return nil, closed(self), "closed" end
  if seconds ~= seconds or seconds < FORGET_LEAST_S then
    return nil, ("seconds = %s: at least %d, as one may still ask"):format(seconds, FORGET_LEAST_S), "invalid"
  end
  return means.forget(self.store, core.wall() - seconds)
end

-- The handle --------------------------------------------------------------------------------------------

local function shut(self, force)
  if closed(self) then return true end
  if force then self:advance(true) end
  self.state = "closed"
  poll.forget(self.store, self)
  settling.askers[self] = nil
  return self.instance:close()
end

function Coordinator:close() return shut(self, true) end

Coordinator.__close = Coordinator.close
function Coordinator:__gc() if self.state then shut(self, false) end end

function Coordinator:__tostring()
  if closed(self) then return "rille coordinator (closed)" end
  return ("rille coordinator %s (%d not over)"):format(self.name, #self.watching)
end

handle.guard(Coordinator, "rille.coordinator",
  { "begin", "transact", "outcome", "pending", "recover", "resolve", "forget", "poll", "close" })

local function is_participant(value)
  local ok, kind = pcall(function() return value.kind end)
  return ok and kind == "postgres"
end

---Objects for what the caller named.
local function read_participants(given)
  local list = {}
  for name, value in pairs(given or {}) do
    if type(name) ~= "string" then error("participants have names", 4) end
    if is_participant(value) then list[name] = value
    elseif type(value) == "table" then list[name] = handler.new(name, value, 4)
    else error(("participant %s must be a table of functions or a database, not %s"):format(name, type(value)), 4)
    end
  end
  return list
end

local function check_arguments(store, options)
  if not core.is_store(store) then error("coordinator needs a store, not " .. type(store), 3) end
  options_of.check(options, OPTIONS, 3)
  if options.name ~= nil and type(options.name) ~= "string" then error("name must be a string", 3) end
  if options.participants ~= nil and type(options.participants) ~= "table" then
    error("participants must be a table", 3)
  end
  if options.indoubt ~= nil and type(options.indoubt) ~= "function" then error("indoubt must be a function", 3) end
  if options.indoubt_age ~= nil and type(options.indoubt_age) ~= "number" then
    error("indoubt_age must be a number of seconds", 3)
  end
end

---@param store rille.store home: decisions are written there
---@param options? { name: string, participants: table, indoubt: fun(list: table), indoubt_age: number }
---@return rille.coordinator? c, string message, string code
function coordinator.open(store, options)
  options = options or {}
  check_arguments(store, options)
  local fault = options_of.time_fault(options.indoubt_age, "indoubt_age")
  if fault then return nil, fault, "invalid" end
  local participants = read_participants(options.participants)
  local uuid, message, code, detail = transaction.uuid_of(store)
  if not uuid then return nil, message, code, detail end
  local name = options.name or "coordinator"
  if #name > NAME_BYTES then return nil, ("name has %d bytes: at most 255 are possible"):format(#name), "invalid" end
  local instance
  instance, message, code, detail = means.instance(store, name)
  if not instance then return nil, message, code, detail end
  local path = core.store_place(store)
  local self = setmetatable({ store = store, name = name, uuid = uuid, path = path, key = uuid .. path,
    participants = participants, instance = instance, watching = {}, state = "open",
    live = setmetatable({}, { __mode = "k" }), -- those with an id that are not answered
    hook = options.indoubt, hook_age = options.indoubt_age }, Coordinator)
  poll.register(store, self)
  settling.askers[self] = database.outcome_for
  recovery.open(self)
  return self
end

rille.coordinator = coordinator.open

return coordinator
