-- projection.lua: store:projection, a reducer whose states the store keeps.
--
-- The reader chooses, call by call, how fresh a state has to be:
--
--    strong    every append acknowledged before the call is in it
--    session   every event up to `after` is; default: this handle's last append
--    eventual  what the store holds now
--    weak      what this handle last saw, without looking
--
-- The states themselves, how they are kept and carried on, are in states.lua.

local core = ...
local handle = require "rille.handle"
local past = require "rille.past"
local poll = require "rille.poll"
local reducer = require "rille.reducer"
local registry = require "rille.registry"
local script = require "rille.script"
local states = require "rille.states"

---@class rille.projection
local Projection = {}
Projection.__index = Projection
Projection.__name = "rille.projection"

local projection = {}

local NAME_BYTES, KEY_BYTES = 255, 255
local SHARES = 65536
local OPTIONS = { params = true, cache = true, share = true, isolated = true, memory_bytes = true, instructions = true }
local GET = { consistency = true, after = true, max_lag = true, at = true }
local EACH = { consistency = true, after = true, max_lag = true, limit = true }
local UPDATE = { ms = true }
local CONSISTENCY = { strong = true, session = true, eventual = true, weak = true }

local options_of = require "rille.options"
local check_options = options_of.check

local function check_integer(options, name)
  local value = options[name]
  if value ~= nil and math.type(value) ~= "integer" then
    error(name .. " must be an integer that is not negative", 4)
  end
end

---What is wrong with the values of a reading call's options, or nil.
local function wrong_value(options, known)
  local consistency = options.consistency
  if consistency ~= nil and not CONSISTENCY[consistency] then
    return ("consistency must be \"strong\", \"session\", \"eventual\" or \"weak\", not %q"):format(consistency)
  end
  for _, name in ipairs(known == GET and { "max_lag", "at", "after" } or { "max_lag", "limit" }) do
    if options[name] and options[name] < 0 then return name .. " must be an integer that is not negative" end
  end
end

---The options of a reading call; or nil, message, code where a value can't be. Raises where a type can't.
local function reading(options, known)
  options = options or {}
  check_options(options, known, 3)
  local consistency = options.consistency
  if consistency ~= nil and type(consistency) ~= "string" then
    error("consistency must be \"strong\", \"session\", \"eventual\" or \"weak\", not " .. type(consistency), 3)
  end
  check_integer(options, "max_lag")
  check_integer(options, "limit")
  if known == GET then
    check_integer(options, "at")
    check_integer(options, "after")
  end
  local wrong = wrong_value(options, known)
  if wrong then return nil, wrong, "invalid" end
  return options
end

local function check_update(options)
  check_options(options, UPDATE, 3)
  if options.ms ~= nil and type(options.ms) ~= "number" then error("ms must be a number", 3) end
end

local function invalid(message, ...) return nil, message:format(...), "invalid" end

---The key as the states have it.
local function key_of(self, key)
  if not self.states.definition.key then
    if key == nil then return "" end
    return invalid("%s has no key: it keeps one state, so none can be asked for", self.script)
  end
  if key == nil then return invalid("%s keeps a state for each key: give one", self.script) end
  local text = tostring(key)
  if self.share and core.share_of(text, self.shares) ~= self.share then
    return invalid("the key %q is of another share, %d", text, core.share_of(text, self.shares))
  end
  if #text <= KEY_BYTES then return text end
  return invalid("the key has %d bytes, at most %d are possible", #text, KEY_BYTES)
end

local function check_key(key)
  if key ~= nil and type(key) ~= "string" and math.type(key) ~= "integer" then
    error("a key is a string or an integer, not a " .. type(key), 3)
  end
end

---What is wrong with the arguments of a method is raised by these: for handles that pass calls on.
projection.checks = {
  get = function(key, options)
    check_key(key)
    reading(options, GET)
  end,
  each = function(options)
    local asked, wrong = reading(options, EACH)
    if not asked then error(wrong, 0) end
    check_key(asked.after)
  end,
  update = function(options) check_update(options or {}) end,
}

---What states.get wants for these options, or nil, message, code.
local function how(self, options)
  local consistency = options.consistency or "strong"
  if consistency == "strong" or consistency == "session" then
    local query = past.query_of(self.states.definition)
    local strong, why, reason = true, nil, nil
    if #query > 0 then strong, why, reason = core.transaction.strong(self.store, query) end
    if not strong then return nil, why, reason end
  end
  local head, message, code = core.seen_head(self.store) -- K5: who wants more has settled above
  if not head then return nil, message, code end
  if consistency == "strong" then return { to = head } end
  if options.max_lag then
    local shown, why, reason = self.states:shown()
    if not shown then return nil, why, reason end
    if head - shown > options.max_lag then return { to = head } end
  end
  if consistency == "session" then
    local after = options.after or core.last_append(self.store)
    if after <= head then return { to = after } end
    return invalid("after = %d is beyond the head, which is %d", after, head)
  end
  return { current = true, memory = consistency == "weak" }
end

local function closed(self)
  if self.states and self.store then return nil end
  return "the projection is closed"
end

---@param key string|integer|nil
---@param options? { consistency: string, after: integer, max_lag: integer, at: integer }
---@return any state, integer? position  nil alone: no event has reached the key
function Projection:get(key, options)
  check_key(key)
  local why, reason
  options, why, reason = reading(options, GET)
  if not options then return nil, why, reason end
  if closed(self) then return nil, closed(self), "closed" end
  self.states:refresh()
  local name, message, code = key_of(self, key)
  if not name then return nil, message, code end
  if options.at then return self:past(key ~= nil and name or nil, options.at) end
  local means
  means, message, code = how(self, options)
  if not means then return nil, message, code end
  local state, position, detail
  state, position, code, detail = self.states:get(name, means)
  if state == nil and code then return nil, position, code, detail end
  if state == nil then return nil end
  return state, position
end

---The state at a position that is past, by the script that is in use.
function Projection:past(key, at)
  local definition, identity = self.states.definition, self.states.identity
  local by_stream = definition.key == "stream"
  local state, position, code, detail = reducer.fold_by(self.store, definition, function() return identity end,
    { stream = by_stream and key or nil, key = not by_stream and key or nil, at = at }, true)
  if state == nil and type(position) == "string" then return nil, position, code, detail end
  if state == nil then return nil end
  return state, position
end

---key, state in byte order of the keys.
function Projection:each(options)
  local wrong
  options, wrong = reading(options, EACH)
  if not options then error(wrong, 2) end
  check_key(options.after)
  if closed(self) then error(closed(self), 2) end
  self.states:refresh()
  local means, message = how(self, { consistency = options.consistency, max_lag = options.max_lag })
  if not means then error(message, 2) end
  if means.to then
    local done, why = self.states:advance { to = means.to }
    if done == nil then error(why, 2) end
  end
  if closed(self) then error(closed(self), 2) end -- by a finalizer, meanwhile
  local changed, why = self.states:changed(means.current)
  if not changed then error(why, 2) end
  local key = options.after and tostring(options.after)
  local left = options.limit or math.maxinteger
  return function()
    if left <= 0 then return nil end
    if closed(self) then error(closed(self), 2) end
    local state, code
    key, state, code = self.states:following(key, changed)
    if key == nil and code then error(state, 2) end
    left = left - 1
    return key, state
  end
end

---The position that its states have reached.
function Projection:mark()
  if closed(self) then return nil, closed(self), "closed" end
  return self.states:look()
end

---How many positions it is behind the head.
function Projection:lag()
  if closed(self) then return nil, closed(self), "closed" end
  local head, message, code = self.store:head()
  if not head then return nil, message, code end
  local mark
  mark, message, code = self.states:look()
  if not mark then return nil, message, code end
  return math.max(0, head - mark)
end

---Reads on: to the head, and then saves; with `ms` whole events until the time is up.
---@return integer? left how many positions are left
function Projection:update(options)
  options = options or {}
  check_update(options)
  if closed(self) then return nil, closed(self), "closed" end
  local fault = options_of.time_fault(options.ms, "ms")
  if fault then return nil, fault, "invalid" end
  local head, message, code = self.store:head()
  if not head then return nil, message, code end
  local kept = self.states
  local done, detail
  done, message, code, detail = kept:advance { to = head, ms = options.ms }
  if done and not options.ms then done, message, code, detail = kept:save() end
  if done == nil then return nil, message, code, detail end
  return math.max(0, head - kept.mark)
end

---For store:poll, which wants to know why a changed script is not taken up, too.
function Projection:run(options)
  local kept = self.states
  local left, message, code, detail = self:update(options)
  if left == nil then return nil, message, code, detail end
  return left, nil, kept.watcher and kept.watcher.fault
end

---For store:poll: several of one store read the log together. What goes wrong is met again
---by the `run` of each.
function Projection.together(list, ms)
  local head = list[1].store:head()
  local kept = {}
  for i, self in ipairs(list) do kept[i] = self.states end
  if head then pcall(states.together, kept, head, ms) end
end

---Computes all states anew, beside those that are there.
function Projection:rebuild()
  if closed(self) then return nil, closed(self), "closed" end
  local done, message, code, detail = self.states:rebuild()
  if done == nil then return nil, message, code, detail end
  return true
end

---Saves what only memory has; may be called twice.
function Projection:close()
  local kept = self.states
  if not kept then return true end
  self.states = nil
  poll.forget(self.store, self)
  local _, _, reason = self.store:head()
  if reason == "closed" then return true end
  local saved, message, code, detail = kept:save()
  if saved == nil then return nil, message, code, detail end
  return true
end

Projection.__close = Projection.close

function Projection:__tostring()
  if not self.states then return "rille projection (closed)" end
  return ("rille projection %s (mark %d)"):format(self.name, self.states.mark)
end

handle.guard(Projection, "rille.projection", { "get", "each", "mark", "lag", "update", "rebuild", "close" })

---A share of the keys, { which, of how many }: its states are kept by a name of their own.
local function read_share(name, share)
  if share == nil then return name end
  local which, many
  if type(share) == "table" then which, many = share[1], share[2] end
  if math.type(which) ~= "integer" or math.type(many) ~= "integer" or which < 1 or which > many then
    error("share must be { which, of how many }, such as { 1, 2 }", 3)
  end
  if many > SHARES then error(("share: there are %d shares, %d at most"):format(many, SHARES), 3) end
  return ("%s %d/%d"):format(name, which, many), which, many
end

local function check_cache(cache)
  if cache == nil or math.type(cache) == "integer" and cache > 0 then return end
  error("cache must be an integer of at least 1: a number of states", 3)
end

---@param store rille.store
---@param name string
---@param file string the reducer
---@param options? { params: table, cache: integer, share: integer[] }
---@return rille.projection? projection, string message, string code
function projection.open(store, name, file, options)
  options = options or {}
  if type(name) ~= "string" then error("projection needs a name", 2) end
  if type(file) ~= "string" then error("projection needs the name of a reducer script", 2) end
  check_options(options, OPTIONS, 2)
  options_of.check_limits(options, 2)
  check_cache(options.cache)
  local kept_as, share, shares = read_share(name, options.share)
  if #name == 0 or #kept_as > NAME_BYTES then
    return invalid("the projection's name has %d bytes, 1 to %d are possible", #kept_as, NAME_BYTES)
  end
  if options.isolated then return require "rille.apart".open(store, "projection", name, file, options) end
  local head, message, code = store:head()
  if not head then return nil, message, code end
  local watcher
  watcher, message, code = script.open(store, file, { params = options.params, define = reducer.define })
  if not watcher then return nil, message, code end
  if share and watcher.definition.key == nil then
    return invalid("%s has no key: it keeps one state, which can't be shared out", file)
  end
  local entered = share ~= nil -- a share is known to who opened it only
  if not entered then entered, message, code = registry.enter(store, "projection", name, file, options.params) end
  if not entered then return nil, message, code end
  local self = setmetatable({ store = store, name = kept_as, script = file,
    share = share, shares = shares, states = states.open(store, kept_as, watcher,
      { cache = options.cache, share = share, shares = shares }) }, Projection)
  poll.register(store, self)
  return self
end

handle.store_method("projection", projection.open)

return projection
