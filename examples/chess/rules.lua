-- rules.lua: the rules of chess, as functions of a position that change nothing.
--
-- A position is plain data, so it can be a state, or stand in an event:
--
--   { board = "RNBQKBNRPPPPPPPP...",               64 squares, a1 b1 ... h8; "." is an empty one
--     turn = "w", castling = "KQkq", passing = 0,    passing: the square behind a pawn that has
--     quiet = 0, number = 1 }                        just moved by two, or 0
--
-- A move is { from = 13, to = 29, promote = "q" | nil }, and as text "e2e4" or "e7e8q".
-- White pieces are capital letters. A script can require this file; nothing else is needed.

local rules = {}

local KNIGHT = { { 1, 2 }, { 2, 1 }, { 2, -1 }, { 1, -2 }, { -1, -2 }, { -2, -1 }, { -2, 1 }, { -1, 2 } }
local STRAIGHT = { { 1, 0 }, { -1, 0 }, { 0, 1 }, { 0, -1 } }
local DIAGONAL = { { 1, 1 }, { 1, -1 }, { -1, 1 }, { -1, -1 } }
local ALL = { { 1, 0 }, { -1, 0 }, { 0, 1 }, { 0, -1 }, { 1, 1 }, { 1, -1 }, { -1, 1 }, { -1, -1 } }
local STEPS = { N = KNIGHT, B = DIAGONAL, R = STRAIGHT, Q = ALL, K = ALL }
local LONG = { B = true, R = true, Q = true } -- these go on until something is in the way

local E1, E8 = 5, 61
---Which right to castle ends when something leaves or reaches a square.
local ENDS = { [1] = "Q", [E1] = "KQ", [8] = "K", [57] = "q", [E8] = "kq", [64] = "k" }

-- Squares ---------------------------------------------------------------------------

local function file_of(square) return (square - 1) % 8 + 1 end
local function rank_of(square) return math.floor((square - 1) / 8) + 1 end

---The square `files` and `ranks` away, or nil where the board ends.
local function beside(square, files, ranks)
  local file, rank = file_of(square) + files, rank_of(square) + ranks
  if file >= 1 and file <= 8 and rank >= 1 and rank <= 8 then return (rank - 1) * 8 + file end
end

function rules.name(square) return ("abcdefgh"):sub(file_of(square), file_of(square)) .. rank_of(square) end

local function at(board, square) return board:sub(square, square) end
local function colour(piece) return piece ~= "." and (piece == piece:upper() and "w" or "b") or nil end
local function other(turn) return turn == "w" and "b" or "w" end
local function piece_of(kind, turn) return turn == "w" and kind or kind:lower() end
local function put(board, square, piece) return board:sub(1, square - 1) .. piece .. board:sub(square + 1) end

---The squares that a step leads to, up to and with the first piece.
local function ray(board, square, step, long)
  local squares, next_square = {}, square
  repeat
    next_square = beside(next_square, step[1], step[2])
    squares[#squares + 1] = next_square
  until not (long and next_square) or at(board, next_square) ~= "."
  return squares
end

---Whether a piece of `turn` could take what stands on the square.
function rules.attacked(board, square, turn)
  local back = turn == "w" and -1 or 1
  for _, files in ipairs { -1, 1 } do
    local pawn = beside(square, files, back)
    if pawn and at(board, pawn) == piece_of("P", turn) then return true end
  end
  for kind, steps in pairs(STEPS) do
    for _, step in ipairs(steps) do
      local squares = ray(board, square, step, LONG[kind])
      local last = squares[#squares]
      if last and at(board, last) == piece_of(kind, turn) then return true end
    end
  end
  return false
end

function rules.in_check(position)
  local king = position.board:find(piece_of("K", position.turn), 1, true)
  return rules.attacked(position.board, king, other(position.turn))
end

-- Moves -----------------------------------------------------------------------------

local function add(moves, from, to, promote) moves[#moves + 1] = { from = from, to = to, promote = promote } end

local function add_pawn(moves, from, to)
  if rank_of(to) > 1 and rank_of(to) < 8 then return add(moves, from, to) end
  for promote in ("qrbn"):gmatch "." do add(moves, from, to, promote) end
end

local function add_pawn_moves(moves, position, from)
  local board, ahead = position.board, position.turn == "w" and 1 or -1
  local one = beside(from, 0, ahead)
  if at(board, one) == "." then
    add_pawn(moves, from, one)
    local two = rank_of(from) == (position.turn == "w" and 2 or 7) and beside(from, 0, 2 * ahead)
    if two and at(board, two) == "." then add(moves, from, two) end
  end
  for _, files in ipairs { -1, 1 } do
    local to = beside(from, files, ahead)
    if to and (colour(at(board, to)) == other(position.turn) or to == position.passing) then
      add_pawn(moves, from, to)
    end
  end
end

local function add_piece_moves(moves, position, from, kind)
  for _, step in ipairs(STEPS[kind]) do
    for _, to in ipairs(ray(position.board, from, step, LONG[kind])) do
      if colour(at(position.board, to)) ~= position.turn then add(moves, from, to) end
    end
  end
end

---King and rook have not moved, nothing is between them, and the king meets no check on his way.
local function add_castling(moves, position)
  local king, foe = position.turn == "w" and E1 or E8, other(position.turn)
  local function free(first, last)
    return position.board:sub(king + first, king + last):find "^%.+$"
  end
  local function safe(files) return not rules.attacked(position.board, king + files, foe) end
  local function may(side) return position.castling:find(piece_of(side, position.turn), 1, true) end
  if may "K" and free(1, 2) and safe(0) and safe(1) then add(moves, king, king + 2) end
  if may "Q" and free(-3, -1) and safe(0) and safe(-1) then add(moves, king, king - 2) end
end

---The position after a move, which must be one of rules.moves(position).
function rules.play(position, move)
  local board, turn = position.board, position.turn
  local piece = at(board, move.from)
  local pawn = piece:upper() == "P"
  local quiet = not pawn and at(board, move.to) == "."
  local castles = piece:upper() == "K" and math.abs(move.to - move.from) == 2
  board = put(put(board, move.from, "."), move.to, move.promote and piece_of(move.promote:upper(), turn) or piece)
  if pawn and move.to == position.passing then
    board = put(board, beside(move.to, 0, turn == "w" and -1 or 1), ".")
  elseif castles then
    local rook, to = move.from + 3, move.from + 1
    if move.to < move.from then rook, to = move.from - 4, move.from - 1 end
    board = put(put(board, rook, "."), to, piece_of("R", turn))
  end
  local ended = (ENDS[move.from] or "") .. (ENDS[move.to] or "")
  return {
    board = board, turn = other(turn),
    castling = ended == "" and position.castling or (position.castling:gsub("[" .. ended .. "]", "")),
    passing = pawn and math.abs(move.to - move.from) == 16 and move.from + (turn == "w" and 8 or -8) or 0,
    quiet = quiet and position.quiet + 1 or 0,
    number = position.number + (turn == "b" and 1 or 0),
  }
end

---All moves that the rules allow.
function rules.moves(position)
  local moves, legal = {}, {}
  for from = 1, 64 do
    local piece = at(position.board, from)
    if colour(piece) == position.turn then
      local kind = piece:upper()
      if kind == "P" then add_pawn_moves(moves, position, from) else add_piece_moves(moves, position, from, kind) end
    end
  end
  add_castling(moves, position)
  for _, move in ipairs(moves) do
    local after = rules.play(position, move)
    after.turn = position.turn
    if not rules.in_check(after) then legal[#legal + 1] = move end
  end
  return legal
end

---@return "checkmate"|"stalemate"|"fifty moves"|nil why the game is over
function rules.over(position)
  if #rules.moves(position) == 0 then return rules.in_check(position) and "checkmate" or "stalemate" end
  if position.quiet >= 100 then return "fifty moves" end
end

function rules.start()
  local board = "RNBQKBNR" .. ("P"):rep(8) .. ("."):rep(32) .. ("p"):rep(8) .. "rnbqkbnr"
  return { board = board, turn = "w", castling = "KQkq", passing = 0, quiet = 0, number = 1 }
end

-- Moves as text ---------------------------------------------------------------------

function rules.text(move) return rules.name(move.from) .. rules.name(move.to) .. (move.promote or "") end

---What is written between the piece and where it goes, when another of its kind could go there, too.
local function which(position, moves, move)
  local piece, same_file, same_rank, found = at(position.board, move.from), false, false, false
  for _, rival in ipairs(moves) do
    if rival.to == move.to and rival.from ~= move.from and at(position.board, rival.from) == piece then
      found = true
      same_file = same_file or file_of(rival.from) == file_of(move.from)
      same_rank = same_rank or rank_of(rival.from) == rank_of(move.from)
    end
  end
  local name = rules.name(move.from)
  if not found then return "" end
  return not same_file and name:sub(1, 1) or not same_rank and name:sub(2) or name
end

---A move as chess players write it: Nf3, exd5, O-O, e8=Q+, without the "+" or "#".
local function bare_san(position, moves, move)
  local kind = at(position.board, move.from):upper()
  if kind == "K" and math.abs(move.to - move.from) == 2 then return move.to > move.from and "O-O" or "O-O-O" end
  local takes = at(position.board, move.to) ~= "." or kind == "P" and move.to == position.passing
  local to = (takes and "x" or "") .. rules.name(move.to)
  if kind ~= "P" then return kind .. which(position, moves, move) .. to end
  return (takes and rules.name(move.from):sub(1, 1) or "") .. to .. (move.promote and "=" .. move.promote:upper() or "")
end

function rules.san(position, move)
  local after = rules.play(position, move)
  local sign = not rules.in_check(after) and "" or #rules.moves(after) == 0 and "#" or "+"
  return bare_san(position, rules.moves(position), move) .. sign
end

---The legal move that a player has written, as "e2e4" or as "Nf3", or nil.
function rules.find(position, text)
  local wanted, moves = text:gsub("[+#!?]+$", ""):gsub("0", "O"), rules.moves(position)
  for _, move in ipairs(moves) do
    if rules.text(move) == wanted or bare_san(position, moves, move) == wanted then return move end
  end
end

return rules
