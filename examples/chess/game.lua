-- game.lua: a game of chess, as a fold of its moves.
--
-- A branch is a stream that begins with Branched: where it comes from, and the position there.
-- From then on it is a game like any other, and knows nothing of what the first became.
local rules = require "rules"

return {
  initial = function() return { position = rules.start(), moves = {} } end,
  on = {
    Branched = function(game, event)
      game.position, game.moves = event.data.position, event.data.moves
      game.from, game.version = event.data.from, event.data.version
    end,
    Moved = function(game, event)
      game.position = rules.play(game.position, event.data.move)
      game.moves[#game.moves + 1] = event.data.san
    end,
    Resigned = function(game, event) game.resigned = event.data.by end,
  },
}
