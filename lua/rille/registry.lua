-- registry.lua: which projections and processors a store has, and where their scripts are,
-- for who has only the store: the command line.
--
-- It is kept in the index, and entered again by whoever opens a projection or a processor.

local core = ...
local rille = require "rille"

---@class rille.registry
local registry = {}

local PREFIX = "R"
local NAME_BYTES = 255

local function key_of(kind, name) return PREFIX .. string.pack("s1s1", kind, name) end

---@param kind string "projection" or "processor"
---@param script string its file's name, as the program gave it
function registry.enter(store, kind, name, script, params)
  if core.is_readonly(store) then return true end
  local entry = { script = script, path = core.absolute(script), params = params }
  local bytes, message = rille.encode(entry)
  if not bytes then return nil, message, "invalid" end
  local key = key_of(kind, name)
  local before, why, code = core.kept_get(store, key)
  if before == nil and code then return nil, why, code end
  if before == bytes then return true end
  return core.kept_write(store, { { key, bytes } })
end

---@return { script: string, path: string?, params: table? }? entry, string message, string code
function registry.find(store, kind, name)
  local bytes, message, code
  if #name <= NAME_BYTES then bytes, message, code = core.kept_get(store, key_of(kind, name)) end
  if bytes then return rille.decode(bytes) end
  if code then return nil, message, code end
  return nil, ("the store has no %s that is called %q"):format(kind, name), "notfound"
end

---@return fun(): string?, string?, table?  kind, name, entry; in the order of both
function registry.each(store)
  local key = PREFIX
  return function()
    local bytes, code
    key, bytes, code = core.kept_next(store, key, PREFIX)
    if not key then
      if code then error(bytes, 2) end
      return nil
    end
    local kind, name = string.unpack("s1s1", key, #PREFIX + 1)
    return kind, name, (rille.decode(bytes))
  end
end

return registry
