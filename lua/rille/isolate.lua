-- isolate.lua: isolates of a store, made when they are needed and kept for the next call.
--
-- What runs in one is a function of these scripts, by name: see lisolate.c. One isolate
-- serves all calls of one module with the same limits on a handle, so that no processor's
-- memory or work makes a policy fail; each load of a script has an environment of its own. One
-- that was stopped is dead: the next call makes another.
--
-- Invariant: `kept` has a store's isolates only as long as somebody else has the store.

local core = ...

---@class rille.isolate.module
local isolate = { new = core.isolate }

local LIMITS = require "rille.options".LIMITS

local kept = setmetatable({}, { __mode = "k" })

---Splits what limits an isolate from the other options, which are checked (options.check_limits).
---@return table limits, table rest
function isolate.split(options)
  local limits, rest = {}, {}
  for name, value in pairs(options) do rest[name] = value end
  rest.isolated = nil
  for _, name in ipairs(LIMITS) do limits[name], rest[name] = options[name], nil end
  return limits, rest
end

---The isolate of a module with these limits, or nil, message, code.
local function isolate_of(store, limits, module)
  local mine = kept[store] or {}
  kept[store] = mine
  local key = ("%s %s %s"):format(module, limits.memory_bytes, limits.instructions)
  if mine[key] and not mine[key]:is_dead() then return mine[key] end
  local made, message, code = core.isolate(store, limits)
  mine[key] = made
  return made, message, code
end

local function results(ok, ...)
  if ok then return ... end
  return nil, ...
end

---What a call gave, where a message that names no place names the script: it may have been stopped
---when no function of it was running, while what it had made was looked at.
function isolate.named(script, ...)
  local result, message = ...
  if result == nil and type(message) == "string" and message:find "^the script was stopped" then
    return result, script .. ": " .. message, select(3, ...)
  end
  return ...
end

---Calls a function of a module there: its results, or nil, message, code, detail.
function isolate.call(store, limits, module, name, ...)
  local found, message, code = isolate_of(store, limits, module)
  if not found then return nil, message, code end
  return results(found:run(module, name, ...))
end

return isolate
