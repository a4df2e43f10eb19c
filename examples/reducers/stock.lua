-- stock.lua: how many pieces of an item are there. Each item is a stream.
return {
  initial = { pieces = 0 },
  key = "stream",
  on = {
    Stocked = function(state, event) state.pieces = state.pieces + event.data.pieces end,
    Sold = function(state, event) state.pieces = state.pieces - event.data.pieces end,
  },
}
