-- upcasting.lua: old events as a processor's script would have them.
--
--    event of a type in `upcast` --function--> nil           nobody gets it
--                                              the event     goes on, its data as it is by then
--                                              { type =, data = }, or a list of such
--
-- What comes of it is upcast again where it has another type that is in `upcast`. It is the
-- rule of reducers (lupcast.c), for events that are plain tables. Type and data are the
-- script's, all else is the event's own; the data of each is a copy. What it gave is read without
-- its metamethods: none runs out here.

local rille = require "rille"
local sandbox = require "rille.sandbox"

---@class rille.upcasting
local upcasting = {}

local STEPS = 16 -- an event may become another, and that one another, so often
local NAME_BYTES = 255

local function refuse(message, ...) error({ message = message:format(...) }, 0) end

local function copy_of(event)
  local copy = {}
  for name, value in next, event do copy[name] = value end
  return copy
end

---The event that a table of the script's says, with all else of `event`.
local function made(result, event)
  local name, type_name, data = event.type, rawget(result, "type"), rawget(result, "data")
  if type(type_name) ~= "string" then
    refuse("upcast.%s gave an event whose type is a %s: it must be a string", name, type(type_name))
  end
  if #type_name == 0 or #type_name > NAME_BYTES then
    refuse("upcast.%s gave an event whose type has %d bytes: it needs 1 to 255", name, #type_name)
  end
  for field in next, result do
    if field ~= "type" and field ~= "data" then
      refuse("upcast.%s gave an event with the field '%s': it may have type and data", name,
        type(field) == "string" and field or "(a " .. type(field) .. ")")
    end
  end
  local copy = copy_of(event)
  copy.type, copy.data = type_name, nil
  if data == nil then return copy end
  local bytes, message = rille.encode(data)
  if not bytes then refuse("upcast.%s gave an event that can't be: %s", name, message:gsub("^value", "data")) end
  copy.data = rille.decode(bytes)
  return copy
end

---What the script says to an event: a list of what it gave, and the table it was asked about.
local function ask(upcast, event)
  local asked = copy_of(event)
  sandbox.at(event.position)
  local ok, result, traceback = sandbox.traced(upcast[event.type], asked)
  if not ok then error({ message = result, traceback = traceback }, 0) end
  if result == nil then return {}, asked end
  if type(result) ~= "table" then
    refuse("upcast.%s returned a %s: it gives an event, a list of them, or nil", event.type, type(result))
  end
  if rawequal(result, asked) or rawget(result, "type") ~= nil then return { result }, asked end
  if rawlen(result) == 0 and next(result) ~= nil then refuse("upcast.%s gave an event without type", event.type) end
  return result, asked
end

local function expand(list, upcast, event, step)
  if not upcast[event.type] then
    list[#list + 1] = event
    return
  end
  if step >= STEPS then
    refuse("upcast.%s: the event became another %d times, which is all it may", event.type, STEPS)
  end
  local results, asked = ask(upcast, event)
  for i = 1, rawlen(results) do
    local result = rawget(results, i)
    if type(result) ~= "table" then
      refuse("upcast.%s gave a list with a %s in it: it has events, { type =, data = }", event.type, type(result))
    end
    if rawequal(result, asked) then result = { type = event.type, data = rawget(asked, "data") } end
    local new = made(result, event)
    if new.type == event.type then list[#list + 1] = new
    else expand(list, upcast, new, step + 1)
    end
  end
end

---@param upcast table<string, function>?
---@return table[]? events, string message, string traceback
function upcasting.events(upcast, event)
  if not upcast or not upcast[event.type] then return { event } end
  local list = {}
  sandbox.seed(event.position)
  sandbox.hold(true)
  local ok, failure = pcall(expand, list, upcast, event, 0)
  sandbox.hold(false)
  if ok then return list end
  if type(failure) ~= "table" then error(failure, 0) end
  return nil, failure.message, failure.traceback
end

return upcasting
