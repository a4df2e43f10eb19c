-- game.lua: the state of the game: where the player stands, and what it has collected. A
-- reducer: the whole save is the list of what happened.
local function take(state)
  for i, coin in ipairs(state.coins) do
    if coin.x == state.x and coin.y == state.y then
      table.remove(state.coins, i)
      state.score = state.score + 1
      return
    end
  end
end

return {
  initial = { x = 1, y = 1, score = 0, steps = 0, coins = {} },
  on = {
    Began = function(state, event) state.coins = event.data.coins end,
    Moved = function(state, event)
      state.x, state.y = event.data.x, event.data.y
      state.steps = state.steps + 1
      take(state)
    end,
  },
}
