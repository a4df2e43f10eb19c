-- player-1.lua: player.lua as it was in version 1 of the game. It is kept to show the difference.
return {
  initial = { x = 10, y = 6, stars = 0 },
  key = "stream",
  on = {
    Walked = function(player, event)
      player.x, player.y = player.x + event.data.dx, player.y + event.data.dy
    end,
    Took = function(player, event) player.stars = player.stars + event.data.n end,
    Cheated = function(player) player.stars = player.stars + 100 end,
  },
}
