-- names.lua: `rille names STORE KIND`: what completion.lua's scripts offer, a line each. It says
-- nothing where nothing can be told: somebody is typing.

local core = ...
local near = require "rille.near"
local settling = require "rille.settling"

local function transactions(store)
  local known = {}
  for _, entry in ipairs(settling.indoubt(store) or {}) do known[entry.id] = true end
  for _, doubt in ipairs(core.transaction.pending(store) or {}) do known[doubt.id] = true end
  return known
end

local KINDS = {
  stream = function(store) return near.names(store, "stream") end,
  type = function(store) return near.names(store, "type") end,
  projection = function(store) return near.registered(store, "projection") end,
  processor = function(store) return near.registered(store, "processor") end,
  transaction = transactions,
  key = function(store, name) return near.keys(store, name) end,
}

---@param options { kind: string, of: string? }
---@return string[] names in byte order, those without control characters
return function(store, options)
  local list = {}
  for name in pairs(KINDS[options.kind](store, options.of)) do
    if type(name) == "string" and name ~= "" and not name:find "%c" then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end
