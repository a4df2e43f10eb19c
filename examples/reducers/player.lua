-- player.lua: where a player is and what they have, for examples/game.lua:
--   rille fold save.rille examples/reducers/player.lua --stream player-1
return {
  initial = { x = 0, coins = 0, seconds = 0 },
  on = {
    Moved = function(state, event) state.x = event.data.x end,
    CoinTaken = function(state) state.coins = state.coins + 1 end,
    SecondPlayed = function(state) state.seconds = state.seconds + 1 end,
  },
}
