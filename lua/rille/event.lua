-- event.lua: what can be an event, for the command `rille`: the checks that append
-- makes, made beforehand, so that a refusal can name the line it is about and a bad
-- first event leaves no store behind. And events as JSON.

local rille = require "rille"

---@class rille.event_checks
local event = {}

local NAME_BYTES = 255
local TAGS = 64
local EVENT_BYTES = 16 * 1024 * 1024 -- data and meta
local TIME_END = 9e12          -- seconds
-- What an event's record takes besides its texts, rounded up.
local RECORD_BYTES, TAG_BYTES = 256, 24

local READ = { "stream", "type", "data", "meta", "id", "tags", "time" }
local FIELDS = { position = true, version = true, redacted = true } -- accepted, for they are exported
for _, name in ipairs(READ) do FIELDS[name] = true end

---What is wrong with a name, or nil.
function event.name_fault(field, name)
  if type(name) ~= "string" then return ("%s must be a string"):format(field) end
  if #name == 0 then return field .. " is empty: it needs 1 to 255 bytes" end
  if #name > NAME_BYTES then
    return ("%s has %d bytes: at most %d are allowed"):format(field, #name, NAME_BYTES)
  end
end

local function own_name_fault(field, name)
  if name == nil then return field .. " is missing" end
  local fault = event.name_fault(field, name)
  if fault then return fault end
  if name:sub(1, 1) == "$" then
    return field .. ' begins with "$": such names are rille\'s own'
  end
end

local function tags_fault(tags)
  if type(tags) ~= "table" then return "tags must be a list of strings" end
  local count = 0
  for _ in pairs(tags) do count = count + 1 end
  if count ~= #tags then return "tags must be a list of strings" end
  if count > TAGS then
    return ("tags has %d entries: at most %d are allowed"):format(count, TAGS)
  end
  for i, tag in ipairs(tags) do
    local fault = event.name_fault(("tags[%d]"):format(i), tag)
    if fault then return fault end
  end
end

local function time_fault(time)
  if type(time) ~= "number" then return "time must be a number of seconds" end
  if not (time > 0 and time < TIME_END) then
    return "time is no time: it is in seconds since 1970"
  end
end

local function field_fault(e)
  for field in pairs(e) do
    if not FIELDS[field] then
      return ("unknown field %s (known are %s)"):format(
        rille.json.encode(field), table.concat(READ, ", "))
    end
  end
end

---The bytes that a value takes; nil, message where it can't be stored.
local function measure(field, value)
  if value == nil then return 0 end
  local bytes, message = rille.encode(value)
  if not bytes then return nil, (message:gsub("^value", field)) end
  return #bytes
end

---Checks an event with its stream in it.
---@return integer? bytes at least what it counts for in an append
---@return string? fault
function event.check(e)
  local fault = field_fault(e)
    or own_name_fault("stream", e.stream) or own_name_fault("type", e.type)
    or (e.id ~= nil and event.name_fault("id", e.id)) or (e.tags ~= nil and tags_fault(e.tags))
    or (e.time ~= nil and time_fault(e.time))
  if fault then return nil, fault end
  local data, meta, message
  data, message = measure("data", e.data)
  if not data then return nil, message end
  meta, message = measure("meta", e.meta)
  if not meta then return nil, message end
  if data + meta > EVENT_BYTES then return nil, "data and meta have more than 16 MiB" end
  local bytes = RECORD_BYTES + #e.stream + #e.type + #(e.id or "") + data + meta
  for _, tag in ipairs(e.tags or {}) do bytes = bytes + TAG_BYTES + #tag end
  return bytes
end

---An event as it is exported: without tags where there are none.
function event.exported(e)
  if #e.tags == 0 then e.tags = nil end
  return e
end

return event
