-- failure.lua: how what the world refuses passes through our own code: raised as { message, code,
-- detail }, by core.read, core.all and effects.raise, and returned by the call that is the user's.
-- Whatever else is raised, misuse or a fault, is raised to the user as it is.

---@class rille.failure
local failure = {}

---What a call gives that was made by pcall: failure.returned(pcall(f, ...)).
---@return any ... | nil, message, code, detail
function failure.returned(ok, ...)
  if ok then return ... end
  local raised = ...
  if type(raised) ~= "table" then error(raised, 0) end
  return nil, raised.message, raised.code, raised.detail
end

return failure
