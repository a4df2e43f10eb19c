-- hot_files.lua: how often each file has been changed, and by how many lines.
-- A renamed file takes its numbers along; a deleted one is forgotten.

local function count(state, event)
  local data = event.data
  local file = state[data.path] or { changes = 0, added = 0, removed = 0 }
  file.changes = file.changes + 1
  file.added = file.added + (data.added or 0)
  file.removed = file.removed + (data.removed or 0)
  state[data.path] = file
end

return {
  initial = {},
  on = {
    FileAdded = function(state, event)
      local path, from = event.data.path, event.data.from
      if from then state[path], state[from] = state[from], nil end
      count(state, event)
    end,
    FileChanged = count,
    FileDeleted = function(state, event) state[event.data.path] = nil end,
  },
}
