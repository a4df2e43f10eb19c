-- author.lua: what one author did; the key is the author's name.

local function touch(state, event)
  state.files[event.data.path] = (state.files[event.data.path] or 0) + 1
  state.lines_added = state.lines_added + (event.data.added or 0)
  state.lines_removed = state.lines_removed + (event.data.removed or 0)
end

return {
  initial = { commits = 0, lines_added = 0, lines_removed = 0, files = {} },
  key = function(event) return event.data.author end,
  on = {
    Committed = function(state, event)
      state.commits = state.commits + 1
      state.first = math.min(state.first or event.time, event.time)
      state.last = math.max(state.last or event.time, event.time)
    end,
    FileAdded = touch,
    FileChanged = touch,
    FileDeleted = touch,
  },
}
