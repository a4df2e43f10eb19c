-- stopwatch.lua: the time of day in microseconds. Lua's own clock tells whole seconds;
-- an event that is appended without a time gets the store's clock.

local rille = require "rille"

---@param path string where a store for this purpose may be made
---@return fun(): number seconds since 1970
return function(path)
  local store = assert(rille.open(path, { sync = "never" }))
  return function()
    local ticked = assert(store:append("ticks", { type = "Tick" }))
    local time
    for event in store:read("ticks", { after = ticked.version - 1 }) do time = event.time end
    return time
  end
end
