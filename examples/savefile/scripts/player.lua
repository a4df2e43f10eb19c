-- player.lua: what became of the player; version 2 of the game.
--
-- The save holds what happened, not what it amounted to. So version 2 can tell how far somebody
-- walked years ago, which version 1 never counted; and what version 1 wrote is read as what
-- version 2 means by it:
--
--   Walked { dx, dy }         is Moved { by = { dx, dy } }
--   Took { what = "stars", n = 2 }  is StarTaken, twice
--   Cheated                   is nothing any more
return {
  initial = { x = 10, y = 6, stars = 0, steps = 0 },
  key = "stream",
  upcast = {
    Walked = function(event) return { type = "Moved", data = { by = { event.data.dx, event.data.dy } } } end,
    Took = function(event)
      local taken = {}
      for i = 1, event.data.n do taken[i] = { type = "StarTaken" } end
      return taken
    end,
    Cheated = function() return nil end,
  },
  on = {
    Moved = function(player, event)
      player.x, player.y = player.x + event.data.by[1], player.y + event.data.by[2]
      player.steps = player.steps + 1
    end,
    StarTaken = function(player) player.stars = player.stars + 1 end,
  },
}
