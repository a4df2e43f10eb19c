-- move.lua: decides whether a move may be made.
--
-- command: { game = "game-1", move = "Nf3" }; or { game = "game-1", resign = true }. What it has
-- read is the condition of what it appends: of two players at two keyboards, who both move for
-- white, one is told that it is black's turn.
local rules = require "rules"

local SIDE = { w = "white", b = "black" }

local function resigned(command, side)
  return { stream = command.game, events = { type = "Resigned", data = { by = side } } }
end

return {
  decide = function(command, ctx)
    local game = ctx:state("game.lua", { stream = command.game })
    local position, side = game.position, SIDE[game.position.turn]
    if game.resigned then return nil, game.resigned .. " has resigned" end
    local over = rules.over(position)
    if over then return nil, "the game is over: " .. over end
    if command.resign then return resigned(command, side) end
    local move = rules.find(position, command.move)
    if not move then return nil, ("%s can't play %s"):format(side, command.move) end
    return { stream = command.game, events = { type = "Moved",
      data = { move = move, san = rules.san(position, move) } } }
  end,
}
