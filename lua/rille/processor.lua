-- processor.lua: store:processor, a script that reacts to events by emitting others.
--
-- Each event has its effect exactly once: what a reaction emits is written in one append with
-- the move of the processor's mark (effects.lua). How it works through the log is in worker.lua,
-- what a script looks like in reaction.lua, events that come later in delays.lua, those whose
-- reaction failed in parking.lua. This file is the handle.

local core = ...
local options_of = require "rille.options"
local delays = require "rille.delays"
local elsewhere = require "rille.elsewhere"
local handle = require "rille.handle"
local parking = require "rille.parking"
local poll = require "rille.poll"
local reaction = require "rille.reaction"
local registry = require "rille.registry"
local retrying = require "rille.retrying"
local script = require "rille.script"
local worker = require "rille.worker"

---@class rille.processor
local Processor = {}
Processor.__index = Processor
Processor.__name = "rille.processor"

local processor = {}

local OPTIONS = { params = true, provide = true, depth = true, isolated = true, memory_bytes = true,
                  instructions = true, stores = true, coordinator = true }
local RUN = { ms = true }
local NAME_BYTES = 240 -- so that the names of its streams fit
local DEPTH = 100      -- of events that cause each other

local function invalid(message, ...) return nil, message:format(...), "invalid" end

-- Calls ---------------------------------------------------------------------------------------

local function outcome(self, ok, ...)
  self.running = false
  if ok then return ... end
  local failure = ...
  if type(failure) == "table" then return nil, failure.message, failure.code, failure.detail end
  local head, message, code = self.store:head()
  if not head then return nil, message, code end -- a handler has closed the store: iterators raise that
  error(failure, 0)
end

---Calls a body that may append; failures become results.
local function guarded(self, body, ...)
  if self.closed then return nil, "the processor is closed", "closed" end
  if self.running then return nil, "the processor runs already: its own handler called it", "busy" end
  local head, message, code = self.store:head()
  if not head then return nil, message, code end
  self.running = true
  return outcome(self, pcall(body, self, ...))
end

local function check_run(options)
  options_of.check(options, RUN, 3)
  if options.ms ~= nil and type(options.ms) ~= "number" then
    error("ms must be a number, not " .. type(options.ms), 3)
  end
end

local function check_position(position)
  if math.type(position) ~= "integer" then
    error("retry needs the position of a parked event, not a " .. type(position), 3)
  end
end

---What is wrong with the arguments of a method is raised by these: for handles that pass calls on.
processor.checks = { run = function(options) check_run(options or {}) end, retry = function(p) check_position(p) end }

---Reacts to what there is: without `ms` until nothing is left, with it to whole events until
---the time is up.
---@param options? { ms: number }
---@return integer? left how many positions are left that it can look at now
---@return number|string|nil due seconds until a timer or a retry is due; or a message
---@return string? fault why a changed script is not taken up; or a code
function Processor:run(options)
  options = options or {}
  check_run(options)
  local fault = options_of.time_fault(options.ms, "ms")
  if fault then return nil, fault, "invalid" end
  return guarded(self, worker.run, options.ms and core.monotonic() + options.ms / 1000)
end

---The position up to which events have had their effect.
function Processor:mark()
  if self.closed then return nil, "the processor is closed", "closed" end
  return self.store:mark(self.name)
end

---@return { position: integer, type: string, key: string?, message: string, traceback: string?, script: string }[]
function Processor:parked()
  return guarded(self, function()
    self.parking:catch_up()
    return self.parking:list()
  end)
end

---Reacts to a parked event again, and then to those that wait behind it.
---@param position integer
---@return integer? done how many have had their effect
---@return integer|string left how many of the key are parked still; or a message
function Processor:retry(position)
  check_position(position)
  return guarded(self, retrying.retry, position)
end

-- The handle ---------------------------------------------------------------------------------------

---For who passes functions anew with each call: an isolate.
function Processor:provide(functions) self.host = reaction.host(functions or {}) end

function Processor:close()
  self.closed = true
  if self.elsewhere then elsewhere.close(self.elsewhere) end
  poll.forget(self.store, self)
  return true
end

Processor.__close = Processor.close
Processor.__gc = Processor.close

function Processor:__tostring()
  if self.closed then return "rille processor (closed)" end
  return ("rille processor %s (mark %d)"):format(self.name, self.marked)
end

handle.guard(Processor, "rille.processor", { "run", "mark", "parked", "retry", "close" })

local function check_arguments(name, file, options)
  if type(name) ~= "string" then error("processor needs a name", 3) end
  if type(file) ~= "string" then error("processor needs the name of a script", 3) end
  options_of.check(options, OPTIONS, 3)
  options_of.check_limits(options, 3)
  if options.provide ~= nil and type(options.provide) ~= "table" then
    error("provide must be a table of functions, not " .. type(options.provide), 3)
  end
  if options.depth ~= nil and (math.type(options.depth) ~= "integer" or options.depth < 1) then
    error("depth must be an integer of at least 1", 3)
  end
end

---What the script's `from` asks for must be a query: it is tried on no event.
local function definer(store)
  return function(value, name, files)
    local definition, message = reaction.define(value, name, files)
    if not definition then return nil, message end
    local trial = { before = 1, consistency = "eventual", table.unpack(definition.query or {}) }
    local ok, fault = pcall(store.all, store, trial)
    if not ok then return nil, ("%s: from: %s"):format(name, fault) end
    return definition
  end
end

---@param store rille.store
---@param name string
---@param file string the script
---@param options? { params: table, provide: table, depth: integer, stores: table, coordinator: rille.coordinator }
---@return rille.processor? processor, string message, string code
function processor.open(store, name, file, options)
  options = options or {}
  check_arguments(name, file, options)
  if #name == 0 or #name > NAME_BYTES then
    return invalid("the processor's name has %d bytes, 1 to %d are possible", #name, NAME_BYTES)
  end
  local place, message, code = elsewhere.open(store, name, options)
  if place == nil then return nil, message, code end
  if place and options.isolated then
    return nil, "a script in an isolate can't emit to other stores: what is given to it are copies", "unsupported"
  end
  if options.isolated then return require "rille.apart".open(store, "processor", name, file, options) end
  local mark, detail
  mark, message, code, detail = store:mark(name)
  if not mark then return nil, message, code, detail end
  local host = reaction.host(options.provide or {})
  local watcher
  watcher, message, code = script.open(store, file, { params = options.params, define = definer(store) })
  if not watcher then return nil, message, code end
  local entered
  entered, message, code = registry.enter(store, "processor", name, file, options.params)
  if not entered then return nil, message, code end
  local self = setmetatable({
    store = store, name = name, watcher = watcher, definition = watcher.definition, host = host,
    elsewhere = place, depth = options.depth or DEPTH, marked = mark, seen = mark,
    parking = parking.open(store, name), delays = delays.open(store, name),
  }, Processor)
  poll.register(store, self)
  return self
end

handle.store_method("processor", processor.open)

return processor
