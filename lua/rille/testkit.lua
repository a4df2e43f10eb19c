-- testkit.lua: require "rille.testkit": scripts, tested by what they make of events.
--
--   kit.reducer(script):given { events }:expect_state(state)
--   kit.decider(script):given { events }:when(command):expect_events { events }
--   kit.processor(script):given { events }:when(event):expect_events { events }
--
-- What is not as expected raises an error that shows where it differs: busted reports
-- it, and so does plain Lua. Each case has a temporary store of its own; each method
-- returns the case.

local rille = require "rille"
local sandbox = require "rille.sandbox"
local difference = require "rille.difference"
local handle = require "rille.handle"
local options_of = require "rille.options"
local rehearsal = require "rille.rehearsal"
local temporary = require "rille.temporary"

---@class rille.testkit
local testkit = { store = temporary.open, clock = temporary.clock }

local STREAM = "test-1" -- of an event that names none
local SCRIPT = "script.lua" -- the name of a script that is given as text

local SCRIPT_FIELDS = { text = true, name = true, files = true }

-- Cases ---------------------------------------------------------------------------------

---A script is a file's path, or { text =, name =, files = { [name] = text } }.
---@return string name, function load
local function script_of(script, level)
  if type(script) == "string" then return script, sandbox.read_file end
  if type(script) ~= "table" or type(script.text) ~= "string" then
    error("a script is a file's path, or { text = \"...\" }", level + 1)
  end
  for field in pairs(script) do
    if not SCRIPT_FIELDS[field] then
      error(options_of.unknown("field of a script", field, SCRIPT_FIELDS), level + 1)
    end
  end
  local texts, name = {}, script.name or SCRIPT
  for file, text in pairs(script.files or {}) do texts[file] = text end
  texts[name] = script.text
  return name, function(file)
    if texts[file] then return texts[file] end
    return sandbox.read_file(file)
  end
end

---A case of a kind.
local function new_case(class, script, options, known)
  options = options or {}
  options_of.check(options, known, 3)
  local name, load = script_of(script, 3)
  return setmetatable({ script = name, options = options, streams = {},
                        store = temporary.open { load = load } }, class)
end

---One event or a list of them, as a list.
local function list_of(events, what, level)
  if type(events) ~= "table" then error(what .. " must be an event or a list of events", level + 1) end
  if events.type ~= nil then return { events } end
  return events
end

---Appends events one by one.
local function append(case, events, what, level)
  for i, event in ipairs(list_of(events, what, level + 1)) do
    local stream = type(event) == "table" and event.stream or STREAM
    local ok, result, message = pcall(case.store.append, case.store, stream, event)
    if not ok or not result then
      local fault = tostring(ok and message or result):gsub("^event %d+: ", "") -- it is one of one
      error(("%s: event %d: %s"):format(what, i, fault), level + 1)
    end
    case.streams[#case.streams + 1] = stream
  end
end

local function matches(message, pattern)
  if message:find(pattern, 1, true) then return true end
  local ok, found = pcall(string.find, message, pattern)
  return ok and found ~= nil
end

---Raises unless there is a message that matches.
local function expect_message(message, pattern, what, instead, level)
  if type(pattern) ~= "string" then error("a pattern or a part of the message was expected", level + 1) end
  if not message then error(("expected %s like %q, but %s"):format(what, pattern, instead), level + 1) end
  if not matches(message, pattern) then
    error(("expected %s like %q, got\n  %s"):format(what, pattern, message), level + 1)
  end
end

-- Events that were appended --------------------------------------------------------------

---What has been appended to a store since the mark, rille's own aside.
local function appended(store, mark)
  local events = {}
  for event in store:all { after = mark } do
    if event.type:sub(1, 1) ~= "$" and event.stream:sub(1, 1) ~= "$" then events[#events + 1] = event end
  end
  return events
end

---Of an event what is compared: type and data, and what the expected one names.
local function comparable(event, expected)
  local part = { type = event.type, data = event.data }
  for field in pairs(expected or {}) do part[field] = event[field] end
  return part
end

---Compares what was appended to a store since the mark with those that were expected.
local function compare(store, mark, expected, what, level)
  local want, got = {}, {}
  for i, event in ipairs(expected) do want[i] = comparable(event, event) end
  for i, event in ipairs(appended(store, mark)) do got[i] = comparable(event, want[i]) end
  local text = difference.between(want, got, what)
  if text then error("other events than expected:\n" .. text, level + 1) end
end

local function expect_events(case, expected, level)
  compare(case.store, case.mark, list_of(expected, "what is expected", level + 1), "events", level + 1)
end

-- Reducers ------------------------------------------------------------------------------

---@class rille.testkit.reducer
local Reducer = {}
Reducer.__index = Reducer

---@param script string|table
---@param options? { params: table }
function testkit.reducer(script, options) return new_case(Reducer, script, options, { params = true }) end

function Reducer:given(events)
  append(self, events, "given", 2)
  return self
end

---The key that is meant where none is named: the stream, if there is only one.
local function key_or_stream(case, key)
  if key ~= nil or not rehearsal.by_stream(case.store, case.script, case.options.params) then return key end
  for _, stream in ipairs(case.streams) do
    if stream ~= case.streams[1] then return nil end
  end
  return case.streams[1] or STREAM
end

---Folds, and folds again with care.
---@return boolean ok, any state or a message
local function fold(case, key)
  local params = case.options.params
  key = key_or_stream(case, key)
  local state, position = case.store:fold(case.script, { key = key, params = params })
  if state == nil and type(position) == "string" then return false, position end
  local fault = rehearsal.compare(case.store, case.script, key, params)
  if fault then return false, fault end
  return true, state
end

---@param expected any the state; nil: that the key was removed
---@param key? string|integer
function Reducer:expect_state(expected, key)
  local ok, state = fold(self, key)
  if not ok then error("expected a state, got an error:\n  " .. state, 2) end
  local text = difference.between(expected, state, "state")
  if text then error("another state than expected:\n" .. text, 2) end
  return self
end

---@param pattern string a Lua pattern, or a part of the message as it is
---@param key? string|integer
function Reducer:expect_error(pattern, key)
  local ok, result = fold(self, key)
  expect_message(not ok and result, pattern, "an error",
    "there is none; the state is " .. difference.show(result), 2)
  return self
end

-- Deciders ------------------------------------------------------------------------------

---@class rille.testkit.decider
local Decider = {}
Decider.__index = Decider

function testkit.decider(script, options) return new_case(Decider, script, options, { params = true }) end

Decider.given = Reducer.given

---Lets the script decide about a command.
function Decider:when(command)
  self.mark = self.store:head()
  local result, message, code, detail = self.store:decide(self.script, command, { params = self.options.params })
  self.outcome = { result = result, message = message, code = code, detail = detail }
  return self
end

local function outcome_of(case, level)
  return case.outcome or error("nothing was decided yet: call when(command) first", level + 1)
end

---@param expected table events; {}: that nothing is appended
function Decider:expect_events(expected)
  local outcome = outcome_of(self, 2)
  if not outcome.result then
    error(("expected events, got %s:\n  %s"):format(outcome.code, outcome.message), 2)
  end
  expect_events(self, expected, 2)
  return self
end

---An outcome in words, and whether it has this code.
local function failed_with(outcome, wanted)
  if outcome.result then return nil, "it was decided" end
  if (outcome.code == "refused") == wanted then return outcome.message end
  return nil, ("it ended with %s:\n  %s"):format(outcome.code, outcome.message)
end

function Decider:expect_refused(pattern)
  local message, instead = failed_with(outcome_of(self, 2), true)
  expect_message(message, pattern or "", "a refusal", instead, 2)
  return self
end

function Decider:expect_error(pattern)
  local message, instead = failed_with(outcome_of(self, 2), false)
  expect_message(message, pattern, "an error", instead, 2)
  return self
end

-- Processors ----------------------------------------------------------------------------

---@class rille.testkit.processor
local Processor = {}
Processor.__index = Processor

local PROCESSOR_OPTIONS = { params = true, provide = true, name = true, stores = true }

---The other stores of a case, by name.
local function open_others(names, level)
  local others = {}
  if type(names) ~= "table" then error("stores must be a list of names", level + 1) end
  for _, name in ipairs(names) do
    if type(name) ~= "string" then error("stores must be a list of names", level + 1) end
    others[name] = temporary.open()
  end
  return others
end

---@param options? { params: table, provide: table, name: string, stores: string[] }
function testkit.processor(script, options)
  local case = new_case(Processor, script, options, PROCESSOR_OPTIONS)
  case.stores, case.marks = open_others(case.options.stores or {}, 2), {}
  return case
end

---The processor, opened when it is first needed: a script that does not load is an
---error that may be expected.
local function processor_of(case)
  if case.processor then return case.processor end
  local message
  case.processor, message = case.store:processor(case.options.name or "test", case.script,
    { params = case.options.params, provide = case.options.provide, stores = next(case.stores) and case.stores })
  return case.processor, message
end

---What has gone wrong by now, or nil: a processor that stopped, or events that it parked.
local function fault_of(case)
  local processor, message = processor_of(case)
  if not processor then return message end
  local left
  left, message = case.store:poll()
  if left then left, message = processor:run() end
  if not left then return message end
  local parked = {}
  for _, entry in ipairs(processor:parked()) do parked[#parked + 1] = tostring(entry.message) end
  return parked[1] and table.concat(parked, "\n")
end

---What is appended from here on is what came of it.
local function mark(case)
  case.mark = case.store:head()
  for name, store in pairs(case.stores) do case.marks[name] = store:head() end
end

---Events that have been there before, with all that came of them.
function Processor:given(events)
  append(self, events, "given", 2)
  self.fault = fault_of(self)
  mark(self)
  return self
end

---An event, or a list of them, and all that comes of it.
function Processor:when(events)
  append(self, events, "when", 2)
  mark(self)
  self.fault = fault_of(self)
  return self
end

---Time goes on, and what was due comes.
function Processor:advance(seconds)
  mark(self)
  temporary.clock:advance(seconds)
  self.fault = fault_of(self)
  return self
end

---@param expected table what was emitted to the case's store, or to the one of the name `to`
function Processor:expect_events(expected, to)
  if self.fault then error("expected events, got an error:\n  " .. self.fault, 2) end
  if not self.mark then error("nothing has happened yet: call when(event) first", 2) end
  if to == nil then
    expect_events(self, expected, 2)
    return self
  end
  local store = self.stores[to]
  if not store then error(options_of.unknown("store", to, self.stores), 2) end
  compare(store, self.marks[to], list_of(expected, "what is expected", 2), to .. ": events", 2)
  return self
end

function Processor:expect_error(pattern)
  expect_message(self.fault, pattern, "an error", "there is none", 2)
  return self
end

-- All of them ---------------------------------------------------------------------------

---Removes the case's store at once; else its collection does.
local function close_case(case)
  for _, other in pairs(case.stores or {}) do other:close() end
  return case.store:close()
end

for _, class in ipairs { Reducer, Decider, Processor } do
  class.close, class.__close = close_case, close_case
end

testkit.null, testkit.array = rille.null, rille.array

handle.guard(Reducer, "testkit.reducer", { "given", "expect_state", "expect_error" })
handle.guard(Decider, "testkit.decider", { "given", "when", "expect_events", "expect_refused", "expect_error" })
handle.guard(Processor, "testkit.processor", { "given", "when", "advance", "expect_events", "expect_error" })

return testkit
