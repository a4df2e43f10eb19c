-- commands.lua: what each word of the command `rille` does. A command gets its parsed
-- options and returns an exit status, or nothing for 0; what it can't do it raises.

local core = ...
local rille = require "rille"
local event = require "rille.event"
local import = require "rille.import"
local listing = require "rille.listing"
local meter = require "rille.meter"
local names = require "rille.names"
local near = require "rille.near"
local closing = require "rille.scope".closing
local screen = require "rille.screen"
local tail = require "rille.tail"

---@class rille.commands
local commands = {}

local PROGRESS_EVENTS = 4096  -- so often does a loop look at the clock

-- What they share ---------------------------------------------------------------------

---Says what opening a store had to remark. Where bytes of the log are damaged, whoever reads it
---gets less than there was, and must not take that for all.
local function tell(path, message, code, detail)
  if code ~= "remark" then return end
  if not detail then return screen.say(message) end
  screen.problem((message:gsub("%. Readable up to .*", "")))
  screen.say(("this is NOT all there was: nothing behind position %d can be read. Keep %s as it is; a backup may have "
    .. "the rest, and `rille verify` tells what is damaged"):format(detail.position, path))
end

---@return rille.store store, string? remark, string? code, table? detail
local function open(path, options)
  local store, message, code, detail = rille.open(path, options)
  if store then
    tell(path, message, code, detail)
    return store, message, code, detail
  end
  if code == "notfound" then message = message .. near.store(path) end
  screen.fail(message)
end

local function open_to_read(path) return open(path, { readonly = true }) end

local function close(store)
  local closed, message = store:close()
  if not closed then screen.fail(message) end
end

---Raises where a name that was given can't be one.
local function check_name(field, name)
  local fault = name and event.name_fault(field, name)
  if fault then screen.fail(fault) end
end

local function read_all(path)
  local file = closing(screen.input(path))
  local text, message = file:read "a"
  if not text then screen.fail(("can't read %s: %s"):format(path, message)) end
  return text
end

---The value of an option that is JSON: { value = } or { file = name }.
local function value_of(option, given)
  if not given then return nil end
  if not given.file then return given.value end
  local value, message = rille.json.decode(read_all(given.file))
  if value == nil then
    screen.fail(("%s: %s: %s"):format(option, given.file == "-" and "standard input" or given.file,
      message))
  end
  return value
end

-- append --------------------------------------------------------------------------------

function commands.append(options)
  local e = { type = options.type, id = options.id, tags = options.tag,
              data = value_of("--data", options.data), meta = value_of("--meta", options.meta) }
  e.stream = options.stream
  local bytes, fault = event.check(e)
  if not bytes then screen.fail(fault) end
  e.stream = nil
  if near.is_store(options.stream) and not near.is_store(options.store) then
    screen.fail(("%s is a store, %s is none: the store comes first, then the stream"):format(options.stream,
      options.store), 2)
  end
  local store = closing(open(options.store))
  local done, message = store:append(options.stream, e, { expect = options.expect })
  if not done then screen.fail(message) end
  close(store)
  if options.json then screen.json(done)
  else screen.write(("version %d, position %d\n"):format(done.version, done.last))
  end
end

---Tells somebody who has asked for events and gets none why that may be.
local function advise_nothing(store, options)
  local stream = options.stream
  if stream and store:version(stream) == 0 then
    return screen.advise(("no stream is called %q%s"):format(stream, near.stream(store, stream)))
  end
  local kind = options.type and #options.type == 1 and options.type[1]
  screen.advise("no events" .. (kind and (" of the type %q%s"):format(kind, near.type(store, kind)) or ""))
end

-- import, export --------------------------------------------------------------------------

function commands.import(options)
  options.file = options.file or "-"
  return import(options, open, close)
end

function commands.export(options)
  check_name("stream", options.stream)
  for _, name in ipairs(options.type) do check_name("type", name) end
  local store = closing(open_to_read(options.store))
  local progress = meter.new "event"
  local head, after, count = store:head(), options.after or 0, 0
  for e in store:all { after = options.after, stream = options.stream, types = options.type } do
    count = count + 1
    if count % PROGRESS_EVENTS == 0 and not screen.is_terminal() then
      progress.tell(e.position - after, head - after, count)
    end
    screen.json(event.exported(e))
  end
  progress.clear()
  if count == 0 and head > 0 then advise_nothing(store, options) end
end

-- cat, tail -------------------------------------------------------------------------------

---The position behind which events are shown: of a stream, what was truncated or deleted is not.
local function shown_after(store, options)
  if not options.stream then return options.after end
  local first = store:read(options.stream, { limit = 1 })()
  return math.max(options.after or 0, first and first.position - 1 or store:head())
end

function commands.cat(options)
  check_name("stream", options.stream)
  local store = closing(open_to_read(options.store))
  local show, count = listing(options), 0
  for e in store:all { stream = options.stream, after = shown_after(store, options), limit = options.limit,
                       reverse = options.reverse } do
    count = count + 1
    show(e)
  end
  show(nil)
  if count == 0 then advise_nothing(store, options) end
end

function commands.tail(options)
  for _, name in ipairs(options.type) do check_name("type", name) end
  return tail(options, open)
end

-- fold ------------------------------------------------------------------------------------

local function params_of(list)
  local params = {}
  for _, param in ipairs(list) do params[param.name] = param.value end
  return params
end

function commands.fold(options)
  check_name("stream", options.stream)
  local store = closing(open_to_read(options.store))
  local state, position, version = store:fold(options.reducer, {
    stream = options.stream, key = options.key, at = options.at, version = options.version,
    params = params_of(options.param) })
  if state == nil and type(position) == "string" then -- a message
    screen.fail((position:gsub("give stream$", "give --stream S, or --key K for one of its keys")))
  end
  if state == nil then state = rille.null end
  if options.json then
    screen.json { state = state, position = position, version = version, key = options.key }
    return
  end
  screen.write(assert(rille.json.encode(state, { pretty = screen.is_terminal() })), "\n")
end

-- names ---------------------------------------------------------------------------------

function commands.names(options)
  local store = closing(rille.open(options.store, { readonly = true }))
  if not store then return 1 end
  for _, name in ipairs(names(store, options)) do screen.write(name, "\n") end
end

-- stat ------------------------------------------------------------------------------------

local STAT_GROUPS = {
  { "uuid", "created" },
  { "head", "written", "durable", "last_time", "failed" },
  { "streams", "types", "tags", "ids", "marks", "kept" },
  { "log_bytes", "segments", "unfolded_bytes", "index_bytes", "index_readers" },
  { "appends", "flushes", "folds" },
  { "indoubt", "pending", "oldest" },
  { "prepares", "prepare_time", "decisions", "decision_time", "commits", "commit_time", "forces", "force_time" },
}

local function date(time) return os.date("%Y-%m-%d %H:%M:%S", math.floor(time)) end

local function duration(time) return ("%.6g s"):format(time) end

---How a value is shown to people, where not as it is.
local STAT_TEXT = {
  created = date, last_time = date, log_bytes = screen.bytes, unfolded_bytes = screen.bytes,
  index_bytes = screen.bytes, oldest = duration, prepare_time = duration, decision_time = duration,
  commit_time = duration, force_time = duration,
  failed = function(failed)
    return failed and screen.styled("bad", "yes: a flush has failed, close it everywhere") or "no"
  end,
}

local function stat_text(name, value)
  if not screen.is_terminal() then return tostring(value) end
  if STAT_TEXT[name] then return STAT_TEXT[name](value) end
  return type(value) == "number" and screen.number(value) or value
end

function commands.stat(options)
  local store = closing(open_to_read(options.store))
  local stats, message = store:stats()
  if not stats then screen.fail(message) end
  if options.json then return screen.json(stats) end
  local list = {}
  for i, group in ipairs(STAT_GROUPS) do
    if i > 1 then list[#list + 1] = {} end
    for _, name in ipairs(group) do
      local value = stats[name]
      if value ~= nil then list[#list + 1] = { name, stat_text(name, value) } end
    end
  end
  screen.pairs(list)
end

-- verify, rebuild, backup -------------------------------------------------------------------

---What verify would say of a store that is too damaged to be opened.
local function unopened(message, detail)
  return { events = 0, bytes = 0, readable = detail.position, ok = false, problems = {
    { invariant = "open", address = detail.address, position = detail.position,
      message = message } } }
end

local function verified(path, deep)
  local store, message, code, detail = closing(rille.open(path, { readonly = true }))
  if not store and code == "corrupt" then return unopened(message, detail) end
  if not store then screen.fail(message) end
  if code == "remark" then screen.say(message) end
  local progress = meter.new "byte"
  local result
  result, message = store:verify { deep = deep or nil, progress = progress.tell }
  progress.clear()
  if not result then screen.fail(message) end
  return result
end

local function verified_text(result)
  for _, p in ipairs(result.problems) do
    screen.write(screen.styled("bad", p.invariant), (" at byte %d, position %d: %s\n"):format(
      p.address, p.position, screen.visible(p.message)))
  end
  screen.write(("%s, %s: "):format(screen.count(result.events, "event"),
    screen.count(result.bytes, "byte")))
  if result.ok then screen.write(screen.styled("good", "no problems"), "\n")
  else screen.write(("%s; readable up to position %d\n")
    :format(screen.count(#result.problems, "problem"), result.readable))
  end
end

function commands.verify(options)
  local result = verified(options.store, options.deep)
  if #result.problems == 0 then rille.array(result.problems) end
  if options.json then screen.json(result) else verified_text(result) end
  return result.ok and 0 or 1
end

function commands.rebuild(options)
  local begun = core.terminal.seconds()
  local progress = meter.new "byte"
  local store, message = closing(rille.open(options.store, { create = false, rebuild = true,
    progress = progress.tell }))
  progress.clear()
  if not store then screen.fail(message) end
  local events = store:head()
  close(store)
  local seconds = core.terminal.seconds() - begun
  if options.json then return screen.json { events = events, seconds = seconds } end
  screen.write(("made the index of %s anew in %.1f s\n"):format(
    screen.count(events, "event"), seconds))
end

---What a store holds: what a copy of it is to be checked by.
local function contents(path)
  local store = closing(open_to_read(path))
  local stats, message = store:stats()
  if not stats then screen.fail(message) end
  return { events = stats.head, log_bytes = stats.log_bytes }
end

function commands.backup(options)
  local store = closing(open_to_read(options.store))
  local progress = meter.new "byte"
  core.terminal.hold_interrupt() -- what was copied is removed before this ends
  local ok, done, message = pcall(store.backup, store, options.dir, { progress = function(copied, all)
    if core.terminal.interrupted() then screen.fail "interrupted: there is no copy" end
    progress.tell(copied, all)
  end })
  core.terminal.end_on_interrupt()
  progress.clear()
  if not ok then error(done, 0) end
  if not done then screen.fail(message) end
  local copied = contents(options.dir)
  if options.json then return screen.json(copied) end
  screen.write(("copied %s, %s to %s\n"):format(screen.count(copied.events, "event"),
    screen.bytes(copied.log_bytes), screen.visible(options.dir)))
end

require "rille.inspecting"(commands, open, params_of)
require "rille.doubting"(commands, open)
require "rille.retaining"(commands, open)
require "rille.reporting"(commands, open, params_of)

return commands
