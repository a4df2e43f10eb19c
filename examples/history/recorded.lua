-- recorded.lua: a history that was written down, as events.
--
-- One JSON object a line, as record.lua writes it and `rille import` takes it:
-- stream, type, data, id, tags, time. A line of the stream "commits" begins a commit.

local rille = require "rille"
local commit = require "history.commit"

local recorded = {}

local source = {}
source.__index = source

---A function that gives each line's event, then nil; raises where a line is none.
local function events_of(file, path)
  local number = 0
  return function()
    local line = file:read "l"
    if not line then return nil end
    number = number + 1
    local event, message = rille.json.decode(line)
    if type(event) ~= "table" or not event.stream then
      error(("%s:%d: %s"):format(path, number, message or "this is no event"), 0)
    end
    return event
  end
end

local function commits_of(file, path)
  local next_event = events_of(file, path)
  local ahead = next_event()
  return function()
    if not ahead then return nil end
    local events = { ahead }
    ahead = next_event()
    while ahead and ahead.stream ~= commit.STREAM do
      events[#events + 1] = ahead
      ahead = next_event()
    end
    return events
  end
end

---@param after integer? how many commits are known already
---@return fun(): table[]? next the events of each commit, oldest first
function source:commits(after)
  local file = assert(io.open(self.place, "rb"))
  local step = commits_of(file, self.place)
  for _ = 1, after or 0 do step() end
  return step, nil, nil, file
end

---A source: { kind, place, name, tip, count, commits() }.
---@param path string
---@return table? source
---@return string? message
function recorded.open(path)
  local file <close>, message = io.open(path, "rb")
  if not file then return nil, message end
  local opened = setmetatable({ kind = "recorded", place = path, name = path, count = 0 }, source)
  for events in commits_of(file, path) do
    opened.count, opened.tip = opened.count + 1, events[1].id
  end
  return opened
end

return recorded
