-- own.lua: the types of the events that rille's own scripts write. They are not among "all events":
-- who looks for whatever may hold content has to name them, so here they all stand, and nowhere else.

---@class rille.own
local own = {
  PARKED = "$parked", UNPARKED = "$unparked",     -- parking.lua
  DELAYED = "$delayed", DELIVERED = "$delivered", -- delays.lua
  RESOLVED = "$resolved",                         -- recovery.lua
}

---All of them, in order.
function own.types()
  local list = {}
  for _, name in pairs(own) do
    if type(name) == "string" then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

return own
