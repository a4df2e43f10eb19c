-- scope.lua: handles that are closed when a piece of work ends, however it ends: what
-- `local x <close>` does, for every Lua.

---@class rille.scope
local scope = {}

local innermost -- handles of the work that runs now, in the order in which they came

---Closes them, the last one first; the first error, or nil.
local function close_all(handles)
  local problem
  for i = #handles, 1, -1 do
    local ok, raised = pcall(handles[i].close, handles[i])
    if not ok then problem = problem or raised end
  end
  return problem
end

---Calls f and closes what it gave to `closing`; raises what f raised, or else what closing did.
---@return any ... what f returned
function scope.run(f, ...)
  local outer, handles = innermost, {}
  innermost = handles
  local results = table.pack(pcall(f, ...))
  innermost = outer
  local problem = close_all(handles)
  if not results[1] then problem = results[2] end
  if problem ~= nil then error(problem, 0) end
  return table.unpack(results, 2, results.n)
end

---Has the handle, where there is one, closed at the end of the innermost `run`.
---@return any ... everything that it was given
function scope.closing(handle, ...)
  if handle then table.insert(innermost, handle) end
  return handle, ...
end

return scope
