-- file.lua: the life of one file, from the events of its own stream.

local function touch(state, event)
  local data = event.data
  state.path = data.path
  state.changes = state.changes + 1
  state.lines = state.lines + (data.added or 0) - (data.removed or 0)
  state.authors[data.author] = (state.authors[data.author] or 0) + 1
  state.last_commit = data.commit
end

return {
  initial = { changes = 0, lines = 0, authors = {} },
  key = "stream",
  on = {
    FileAdded = function(state, event)
      touch(state, event)
      state.came_from, state.deleted, state.moved_to = event.data.from, nil, nil
    end,
    FileChanged = touch,
    FileDeleted = function(state, event)
      touch(state, event)
      state.deleted = true
    end,
    FileRenamed = function(state, event) state.moved_to = event.data.to end,
  },
}
