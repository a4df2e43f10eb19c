-- near.lua: what may have been meant by a name that is not there, for the command `rille`.
--
-- Each function gives text for the end of a message, "" where nothing is near: a search that
-- fails, or finds too much to look at, only leaves the hint out.

local core = ...
local options = require "rille.options"
local registry = require "rille.registry"

---@class rille.near
local near = {}

local EVENTS_MOST = 10000 -- the last ones: so many are looked at for names
local KEYS_MOST = 10000

local function hint(name) return name and (" (did you mean '%s'?)"):format(name) or "" end

---Whether a store lies in a folder.
function near.is_store(path)
  local file = io.open(path .. "/store", "rb")
  if file then file:close() end
  return file ~= nil
end

---@return string
function near.store(path)
  local trimmed = path:gsub("(.)/+$", "%1")
  local folder, name = trimmed:match "^(.*/)([^/]+)$"
  local known = {}
  for _, other in ipairs(core.terminal.names(folder or ".")) do
    if near.is_store((folder or "") .. other) then known[other] = true end
  end
  local best = options.nearest(name or trimmed, known)
  if not best and known[(name or trimmed) .. ".rille"] then best = (name or trimmed) .. ".rille" end
  return hint(best and (folder or "") .. best)
end

---The streams, or what else a field of events has, of the last events, and how often.
---@param field "stream"|"type"
---@return table<string, integer>
function near.names(store, field)
  local known = {}
  local ok = pcall(function()
    for e in store:all { reverse = true, limit = EVENTS_MOST } do
      known[e[field]] = (known[e[field]] or 0) + 1
    end
  end)
  return ok and known or {}
end

---@return string
function near.stream(store, name) return hint(options.nearest(name, near.names(store, "stream"))) end

---@return string
function near.type(store, name) return hint(options.nearest(name, near.names(store, "type"))) end

---The keys of a projection, as far as its mark goes.
---@return table<string, true>
function near.keys(store, name)
  local known = {}
  pcall(function()
    local entry = assert(registry.find(store, "projection", name))
    local projection = assert(store:projection(name, entry.path or entry.script, { params = entry.params }))
    for key in projection:each { limit = KEYS_MOST, consistency = "eventual" } do known[key] = true end
  end)
  return known
end

---@return string
function near.key(store, name, key) return hint(options.nearest(key, near.keys(store, name))) end

---The names of projections or processors.
---@return table<string, true>
function near.registered(store, kind)
  local known = {}
  pcall(function()
    for each_kind, name in registry.each(store) do
      if each_kind == kind then known[name] = true end
    end
  end)
  return known
end

---@return string
function near.of(store, kind, name)
  local known = near.registered(store, kind)
  local best = options.nearest(name, known)
  if best or next(known) == nil then return hint(best) end
  local list = {}
  for each in pairs(known) do list[#list + 1] = each end
  table.sort(list)
  if #list > 8 then return "" end
  return (": there %s %s"):format(#list == 1 and "is" or "are", table.concat(list, ", "))
end

return near
