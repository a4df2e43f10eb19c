-- reorder.lua: orders an item when few pieces of it are left.
return {
  key = "stream",
  state = {
    initial = { pieces = 0 },
    on = {
      Stocked = function(state, event) state.pieces = state.pieces + event.data.pieces end,
      Sold = function(state, event) state.pieces = state.pieces - event.data.pieces end,
    },
  },
  on = {
    Sold = function(event, ctx)
      if ctx.state.pieces < 5 then ctx:emit("purchases", { type = "Ordered", data = { item = event.stream } }) end
    end,
  },
}
