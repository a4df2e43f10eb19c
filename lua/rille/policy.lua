-- policy.lua: who decides whether a transaction may commit: a rule with a name (rules.lua),
-- or a script, always in an isolate.
--
--   decide(tx) -> "wait" | "abort" [, reason] | "commit" [, names of members]
--
-- A policy is advice. What it says is checked here, for a reason that names the script's
-- line, and once more by the machine that drives the transaction, which trusts nobody.
--
-- Invariants. `ask` answers one of three words, whatever a script does: one that fails,
-- loops, can't be loaded or talks nonsense says "abort". A "commit" names participants that
-- have voted yes, with all that are required among them. An edited script that does not
-- load is no policy any more: the one before does not speak for it.
--
-- An isolate of a store's policies serves nothing else, so that no other script's memory or
-- work can make a policy fail.

local core = ...
local isolate = require "rille.isolate"
local options_of = require "rille.options"
local rille = require "rille"
local rules = require "rille.rules"
local sandbox = require "rille.sandbox"
local script = require "rille.script"

---@class rille.policy
---@field name string
---@field identity string 32 bytes of a script, as it was when asked last; of a rule its name
local Policy = {}
Policy.__index = Policy

local policy = {}

local SCRIPTS = 32        -- loaded in one isolate, at most
local REASON_BYTES = 500  -- of a script's reason, or of what else it says
local ERROR_BYTES = 2000  -- of its error
local OPTIONS = { params = true, memory_bytes = true, instructions = true }
local FIELDS = { decide = true }

-- In the isolate: the script ----------------------------------------------------------

local loaded, count = {}, 0

---The function that a script's value offers, and where it is written; or nil, message.
local function define(value, name)
  for field in next, value do
    if not FIELDS[field] then
      return nil, ("%s: %s"):format(name, options_of.unknown("field of a policy", field, FIELDS))
    end
  end
  local decide = rawget(value, "decide")
  if type(decide) ~= "function" then
    return nil, ("%s: a policy needs decide = function(tx), not %s"):format(name, type(decide))
  end
  local place = core.place(decide)
  if place then return { decide = decide, place = place } end
  return nil, name .. ": decide must be a function of the script's own"
end

---The watcher of a script, as its file is now; or nil, message, code.
local function watch(store, name, params)
  local id = string.pack("s4s4", name, params or "")
  local watcher = loaded[id]
  if watcher then
    watcher:refresh()
    if watcher.fault then return nil, watcher.fault, "script" end
    return watcher
  end
  local message, code
  watcher, message, code = script.open(store, name, { params = params and rille.decode(params), define = define })
  if not watcher then return nil, message, code end
  if count == SCRIPTS then loaded, count = {}, 0 end
  loaded[id], count = watcher, count + 1
  return watcher
end

---A text of bounded length, which ends where a character does.
local function bounded(text, most)
  if #text <= most then return text end
  return text:sub(1, most):gsub("[\xC0-\xFF]?[\x80-\xBF]*$", "") .. "..."
end

---What a value is, for a message: no code of the script's is asked.
local function described(value)
  if type(value) == "string" then return ("'%s'"):format(bounded(value, REASON_BYTES)) end
  if type(value) == "number" or value == nil then return tostring(value) end
  return "a " .. type(value)
end

---A reason as a text, or nil and what is wrong with it.
local function reason_of(value)
  if value == nil then return "for no reason that it gave" end
  if type(value) == "number" then return tostring(value) end
  if type(value) ~= "string" then return nil, ("its reason is %s, not a text"):format(described(value)) end
  return bounded(value, REASON_BYTES)
end

---A copy of a list of names, which may be anything; or nil and what is wrong with it.
local function names_of(value, most)
  if value == nil then return nil end
  if type(value) ~= "table" then return nil, ("its members are %s, not a list of names"):format(described(value)) end
  local names, seen, keys = {}, {}, 0
  for key, name in next, value do
    keys = keys + 1
    if math.type(key) ~= "integer" then return nil, "its members are no list: there is a field " .. described(key) end
    if type(name) ~= "string" then return nil, ("member %d is %s, not a name"):format(key, described(name)) end
    if keys > most then return nil, ("it names more members than the %d that there are"):format(most) end
  end
  for i = 1, keys do
    local name = rawget(value, i)
    if name == nil then return nil, ("its members are no list: there is no [%d]"):format(i) end
    if not seen[name] then seen[name], names[#names + 1] = true, name end
  end
  return names
end

---Makes plain data of what decide returned: word, reason or names; or nil and the fault.
local function answer_of(tx, word, value)
  if word == "wait" then return word end
  local fault
  if word == "abort" then value, fault = reason_of(value)
  elseif word == "commit" then value, fault = names_of(value, #tx.participants)
  else return nil, ('decide returned %s, not "wait", "abort" or "commit"'):format(described(word)) end
  if fault then return nil, ('decide returned "%s", but %s'):format(word, fault) end
  return word, value
end

---Loads the script, and asks it if there is something to ask.
---@return { identity: string, word: string?, value: any, place: string }? | nil, message, code
function policy.serve(store, name, params, tx)
  local watcher, message, code = watch(store, name, params)
  if not watcher then return nil, message, code end
  local made = watcher.definition
  local answer = { identity = watcher.identity, place = made.place }
  if not tx then return answer end
  sandbox.seed(0)
  local ok, word, value = sandbox.call(made.decide, tx)
  if ok then answer.word, answer.value = answer_of(tx, word, value)
  else answer.error = bounded(word, ERROR_BYTES) end
  return answer
end

-- In the host: what is made of it -------------------------------------------------------

---policy.serve there.
local function serve(self, tx)
  return isolate.call(self.store, self.limits, "rille.policy", "serve", self.store, self.name, self.params, tx)
end

---What a policy is shown: plain data of known names, however much the driver has.
local function shown(tx)
  local list = {}
  for i, participant in ipairs(tx.participants) do
    list[i] = {
      name = participant.name, vote = participant.vote or "none",
      reason = participant.reason and tostring(participant.reason),
      required = participant.required and true or false, voter = participant.voter and true or false,
      weight = participant.weight or 1,
    }
  end
  return { elapsed = tx.elapsed, timeout = tx.timeout, participants = list }
end

---Why these can't be the members, or nil. `names` is nil: all who voted yes.
local function member_fault(tx, names)
  local named, known = {}, {}
  for _, name in ipairs(names or {}) do named[name] = true end
  for _, participant in ipairs(tx.participants) do
    local name, yes = participant.name, participant.vote == "yes" or participant.vote == "read"
    known[name] = true
    if named[name] and not yes then return "but " .. rules.said(participant) end
    if participant.required and not yes then return ("but %s, and is required"):format(rules.said(participant)) end
    if participant.required and names and not named[name] then
      return ("but leaves out '%s', which is required"):format(name)
    end
  end
  for _, name in ipairs(names or {}) do
    if not known[name] then return ("but there is no participant '%s'"):format(name) end
  end
end

---A message with a place in front, where it names none.
local function placed(message, place)
  return message:find "^[^\n]*:%d+: " and message or place .. message
end

---What the answer of a script comes to.
local function believe(tx, answer)
  local word, value = answer.word, answer.value
  if answer.error then return "abort", placed(answer.error, answer.place) end
  if not word then return "abort", answer.place .. value end
  if word == "wait" then return word end
  if word == "abort" then return word, value end
  local fault = member_fault(tx, value)
  if fault then return "abort", ("%sdecide says commit, %s"):format(answer.place, fault) end
  return "commit", value
end

---Asks a script; what it can't answer for is an "abort".
local function ask_script(self, tx)
  local ok, answer, message, code = pcall(serve, self, tx)
  if not ok then
    if answer == "not enough memory" then error(answer, 0) end
    answer, message = nil, answer
  end
  if not answer then return "abort", code == "budget" and placed(message, self.place) or message end
  self.identity, self.place = answer.identity, answer.place
  return believe(tx, answer)
end

---What the policy says of a transaction as it stands. Never raises for what a script does.
---@param tx { elapsed: number, timeout: number, participants: table[] }
---@return "wait"|"abort"|"commit" word
---@return string|string[]|nil what the reason of an abort; the members of a commit, nil: all who voted yes
function Policy:ask(tx)
  local seen = shown(tx)
  if self.rule then return self.rule(seen) end
  return ask_script(self, seen)
end

local function open_script(store, name, params, limits)
  local bytes, message, code
  if params ~= nil then
    bytes, message = rille.encode(params)
    if not bytes then return nil, ("%s: params: %s"):format(name, message), "invalid" end
  end
  local self = setmetatable({ store = store, name = name, params = bytes, limits = limits }, Policy)
  local answer
  answer, message, code = serve(self)
  if answer then
    self.identity, self.place = answer.identity, answer.place
    return self
  end
  if code == "script" and not name:find "[./\\]" then message = ("%s; %s"):format(rules.unknown(name), message) end
  return nil, message, code
end

---Opens the policy of that name, or the script at that path.
---@param store rille.store whose option load gives scripts
---@param name string
---@param options? { params?: any, memory_bytes?: integer, instructions?: integer }
---@param level? integer whose fault misuse is: 1, the default, is who calls this
---@return rille.policy? policy
---@return string? message
---@return string? code "script"; "invalid": params are no plain data; "busy", "budget", "io"
function policy.open(store, name, options, level)
  options, level = options or {}, (level or 1) + 1
  if type(name) ~= "string" then error("a policy is a name or the path of a script, not " .. type(name), level) end
  options_of.check(options, OPTIONS, level)
  options_of.check_limits(options, level)
  local limits = isolate.split(options)
  if not rules.has(name) then return open_script(store, name, options.params, limits) end
  local rule = rules.open(name, options.params, level)
  local is_unanimous = name == "unanimous" or name == "required" -- the same where all are required
  return setmetatable({ name = name, identity = name, rule = rule, is_unanimous = is_unanimous }, Policy)
end

return policy
