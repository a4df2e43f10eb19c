-- counts.lua: how many events there are of each type.

return {
  initial = {},
  on = { ["*"] = function(state, event) state[event.type] = (state[event.type] or 0) + 1 end },
}
