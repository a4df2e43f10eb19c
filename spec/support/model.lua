-- model.lua: what a store is, in memory: a list of events, and rules so plain that
-- they can be seen to be right. model_spec.lua compares the real one with it.
local model = {}
model.__index = model

function model.new()
  return setmetatable({ events = {}, versions = {} }, model)
end

function model:head() return #self.events end
function model:version(stream) return self.versions[stream] or 0 end

local function holds(expect, version)
  if expect == nil or expect == "any" then return true end
  if expect == "none" then return version == 0 end
  if expect == "exists" then return version > 0 end
  return version == expect
end

local function distinct(tags)
  local list, seen = {}, {}
  for _, tag in ipairs(tags or {}) do
    if not seen[tag] then
      seen[tag] = true
      list[#list + 1] = tag
    end
  end
  return list
end

---Parts as store:append takes them, each with a list of events.
---@return table? result, string? stream, integer? version  of the first conflict
function model:append(parts)
  for _, part in ipairs(parts) do
    local version = self:version(part.stream)
    if not holds(part.expect, version) then return nil, part.stream, version end
  end
  local before, versions = self:head(), {}
  for _, part in ipairs(parts) do
    for _, event in ipairs(part.events or {}) do
      local version = self:version(part.stream) + 1
      self.versions[part.stream] = version
      table.insert(self.events, { stream = part.stream, type = event.type, data = event.data,
        meta = event.meta, id = event.id, time = event.time, tags = distinct(event.tags),
        version = version, position = #self.events + 1 })
    end
  end
  for _, part in ipairs(parts) do versions[part.stream] = self:version(part.stream) end
  local wrote = self:head() > before
  return { first = wrote and before + 1 or nil, last = wrote and self:head() or nil,
    versions = versions }
end

local function has(list, value)
  for _, entry in ipairs(list or {}) do
    if entry == value then return true end
  end
  return false
end

---Types that begin with "$" are rille's own: an item must name types or the stream.
local function is_hidden(item, event)
  return event.type:sub(1, 1) == "$" and not (item.types and #item.types > 0) and not item.stream
end

---`after`: of the query; an item may have its own.
local function matches(item, event, after)
  if is_hidden(item, event) then return false end
  if item.types and #item.types > 0 and not has(item.types, event.type) then return false end
  for _, tag in ipairs(item.tags or {}) do
    if not has(event.tags, tag) then return false end
  end
  if item.stream and item.stream ~= event.stream then return false end
  if item.category and item.category ~= event.stream:match "^[^-]*" then return false end
  if item.prefix and event.stream:sub(1, #item.prefix) ~= item.prefix then return false end
  return event.position > (item.after or after or 0)
end

local function matches_any(items, event, after)
  for _, item in ipairs(items) do
    if matches(item, event, after) then return true end
  end
  return #items == 0 and event.position > (after or 0)
end

---The events that `wanted` takes, between bounds on their field `number`.
function model:select(number, options, wanted)
  local list = {}
  local first, last, step = 1, #self.events, 1
  if options.reverse then first, last, step = last, first, -1 end
  for i = first, last, step do
    local event = self.events[i]
    local inside = event[number] > (options.after or 0)
      and (not options.before or event[number] < options.before)
    if inside and wanted(event) then
      list[#list + 1] = event
      if #list == options.limit then break end
    end
  end
  return list
end

function model:read(stream, options)
  local item = { types = options.types, tags = options.tags, stream = stream }
  return self:select("version", options, function(event)
    return matches(item, event)
  end)
end

---A list of items, or one item, with bounds.
function model:all(query)
  local items = #query > 0 and query or
    { { types = query.types, tags = query.tags, stream = query.stream, category = query.category,
        prefix = query.prefix } }
  local bounds = { before = query.before, limit = query.limit, reverse = query.reverse }
  return self:select("position", bounds, function(event) return matches_any(items, event, query.after) end)
end

return model
