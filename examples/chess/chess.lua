-- chess.lua: a game of chess at the terminal, with time travel and branches.
--
--   RILLE_BUILD=build lua5.4 examples/chess/chess.lua [STORE]
--
-- A move is Nf3, exd5, O-O or e2e4. `back` and `on` show the game as it was: any state of the past
-- is a fold up to a version. A move that is played from there begins a branch: a stream of its own.

local HERE = arg[0]:match "^(.*)/[^/]*$" or "."
local BUILD = os.getenv "RILLE_BUILD" or "build"
package.path = HERE .. "/?.lua;" .. package.path
package.cpath = BUILD .. "/?.so;" .. package.cpath

local rille = require "rille"
local rules = require "rules"

local GAME, MOVE = HERE .. "/game.lua", HERE .. "/move.lua"
local PIECES = { K = "♔", Q = "♕", R = "♖", B = "♗", N = "♘", P = "♙",
                 k = "♚", q = "♛", r = "♜", b = "♝", n = "♞", p = "♟", ["."] = "·" }
local HELP = [[
  Nf3, e2e4, O-O   a move                  resign      gives up
  back [N], on [N] N moves into the past   now         the present again
  branch [NAME]    another game from here  games, game NAME
  moves            what was played         help, quit]]

local store = assert(rille.open(arg[1] or BUILD .. "/chess.rille"))
local player = { game = "game-1", version = nil } -- version: what is looked at; nil: the present

-- The board -------------------------------------------------------------------------

local function state() return assert(store:fold(GAME, { stream = player.game, version = player.version })) end

local function show_board(position)
  for rank = 8, 1, -1 do
    local row = {}
    for piece in position.board:sub(rank * 8 - 7, rank * 8):gmatch "." do row[#row + 1] = PIECES[piece] end
    print(("  %d  %s"):format(rank, table.concat(row, " ")))
  end
  print "     a b c d e f g h"
end

local function status(game)
  if game.resigned then return game.resigned .. " has resigned" end
  local turn = game.position.turn == "w" and "white" or "black"
  return rules.over(game.position) or turn .. (rules.in_check(game.position) and " is in check" or " to move")
end

local function show()
  local game = state()
  show_board(game.position)
  local past = player.version and (", as it was at version %d of %d"):format(player.version, store:version(player.game))
  print(("%s%s: %s%s"):format(player.game, past or "", game.moves[#game.moves] or "the beginning",
    ", " .. status(game)))
end

-- Commands --------------------------------------------------------------------------

---Looks at another version; the last one is the present.
local function look(version)
  local last = store:version(player.game)
  version = math.max(state().from and 1 or 0, math.min(last, version))
  player.version = version < last and version or nil
  show()
end

local function here() return player.version or store:version(player.game) end

---A game of its own that begins with what is looked at.
local function branch(name)
  local game, from, version = state(), player.game, here()
  name = "game-" .. (name or from:match "^game%-(.*)$" .. "." .. version)
  local done, message = store:append(name, { type = "Branched", data = {
    from = from, version = version, position = game.position, moves = game.moves } }, { expect = "none" })
  if not done then return print(message) end
  player.game, player.version = name, nil
  print(("%s begins where %s was at version %d"):format(name, from, version))
  return true
end

---From the past a move begins a branch, if it is one.
local function decide(command)
  if player.version then
    if command.move and not rules.find(state().position, command.move) then
      return print("nobody can play " .. command.move .. " here")
    end
    if not branch() then return end
  end
  command.game = player.game
  local done, message = store:decide(MOVE, command)
  if not done then return print(message) end
  show()
end

local function games()
  local names = {}
  for event in store:all { category = "game" } do
    if event.version == 1 then names[#names + 1] = event.stream end
  end
  for _, name in ipairs(names) do
    local game = assert(store:fold(GAME, { stream = name }))
    print(("  %-16s %3d moves%s"):format(name, #game.moves,
      game.from and (", from %s at version %d"):format(game.from, game.version) or ""))
  end
end

local function moves()
  local row, list = {}, state().moves
  for i = 1, #list, 2 do
    row[#row + 1] = ("%d. %s %s"):format((i + 1) / 2, list[i], list[i + 1] or "")
  end
  print(#row > 0 and table.concat(row, "  ") or "none yet")
end

local commands = {
  back = function(n) look(here() - (tonumber(n) or 1)) end,
  on = function(n) look(here() + (tonumber(n) or 1)) end,
  now = function() look(math.huge) end,
  branch = function(name) if branch(name) then show() end end,
  games = games,
  game = function(name)
    player.game, player.version = "game-" .. (name or "1"):gsub("^game%-", ""), nil
    show()
  end,
  moves = moves,
  resign = function() decide { resign = true } end,
  help = function() print(HELP) end,
}

local function next_line()
  io.write "> "
  io.flush()
  return io.read()
end

print(HELP)
show()
for line in next_line do
  local word, argument = line:match "^%s*(%S+)%s*(%S*)"
  if word == "quit" then break end
  if word then
    local command = commands[word] or function() decide { move = word } end
    command(argument ~= "" and argument or nil)
  end
end
assert(store:close())
