-- played_spec.lua: the examples that are played: chess, the shop, the save file.
local rille = require "rille"
local process = require "spec.support.process"
local rounds = require "spec.support.rounds"
local scratch = require "spec.support.scratch"

package.path = "examples/chess/?.lua;" .. package.path
local rules = require "rules"

local BUILD = os.getenv "RILLE_BUILD" or "build"
local LUA = os.getenv "RILLE_LUA" or "lua5.4"
local SEED = tonumber(os.getenv "SEED") or os.time()
print("played_spec: SEED=" .. SEED)

---What an example prints, with these lines on its standard input.
local function run(example, arguments, lines)
  local input = scratch.file("input", table.concat(lines or {}, "\n") .. "\n")
  local text, status = process.run_ours(("RILLE_BUILD='%s' '%s' examples/%s %s <'%s'"):format(BUILD, LUA, example,
    arguments, input))
  assert.equal(0, status, text)
  return text
end

local function contains(text, ...)
  for _, part in ipairs { ... } do assert(text:find(part, 1, true), part .. "\n---\n" .. text) end
end

-- Chess -----------------------------------------------------------------------------

---The positions that `depth` moves lead to, counted as chess programs compare them.
local function count(position, depth)
  local moves, n = rules.moves(position), 0
  if depth == 1 then return #moves end
  for _, move in ipairs(moves) do n = n + count(rules.play(position, move), depth - 1) end
  return n
end

---A position from the first three fields of its FEN.
local function position(board, turn, castling)
  local ranks = {}
  for rank in board:gmatch "[^/]+" do
    table.insert(ranks, 1, (rank:gsub("%d", function(n) return ("."):rep(tonumber(n)) end)))
  end
  return { board = table.concat(ranks), turn = turn, castling = castling, passing = 0, quiet = 0, number = 1 }
end

-- Paul Morphy against the Duke of Brunswick and Count Isouard, Paris 1858.
local OPERA = [[e4 e5 Nf3 d6 d4 Bg4 dxe5 Bxf3 Qxf3 dxe5 Bc4 Nf6 Qb3 Qe7 Nc3 c6 Bg5 b5 Nxb5 cxb5 Bxb5+ Nbd7
  O-O-O Rd8 Rxd7 Rxd7 Rd1 Qe6 Bxd7+ Nxd7 Qb8+ Nxb8 Rd8#]]

---The words of OPERA, up to the n-th.
local function opera(n)
  local words = {}
  for word in OPERA:gmatch "%S+" do words[#words + 1] = #words < n and word or nil end
  return words
end

describe("examples/chess", function()
  -- What programs that play chess agree upon (chessprogramming.org, "Perft Results").
  it("knows the rules", function()
    assert.same({ 20, 400, 8902 },
      { count(rules.start(), 1), count(rules.start(), 2), count(rules.start(), 3) })
    local kiwipete = position("r3k2r/p1ppqpb1/bn2pnp1/3PN3/1p2P3/2N2Q1p/PPPBBPPP/R3K2R", "w", "KQkq")
    assert.same({ 48, 2039 }, { count(kiwipete, 1), count(kiwipete, 2) })
    assert.equal(2812, count(position("8/2p5/3p4/KP5r/1R3p1k/8/4P1P1/8", "w", ""), 3))
    assert.equal(264, count(position("r3k2r/Pppp1ppp/1b3nbN/nP6/BBP1P3/q4N2/Pp1P2PP/R2Q1RK1", "w", "kq"), 2))
  end)

  it("plays a famous game to its end, and nothing after it", function()
    local path = scratch.path "chess.rille"
    local lines = opera(33)
    lines[34], lines[35] = "moves", "Kf1"
    contains(run("chess/chess.lua", path, lines), "game-1: Rd8#, checkmate",
      "9. Bg5 b5  10. Nxb5 cxb5  11. Bxb5+ Nbd7  12. O-O-O Rd8", "17. Rd8#", "the game is over: checkmate")
    local store = assert(rille.open(path, { readonly = true }))
    local game, _, version = store:fold("examples/chess/game.lua", { stream = "game-1" })
    assert.equal(33, version)
    assert.equal("checkmate", rules.over(game.position))
    assert.same(rules.start(), store:fold("examples/chess/game.lua", { stream = "game-1", version = 0 }).position)
    store:close()
  end)

  it("refuses what is no move, and tells whose turn it is", function()
    local text = run("chess/chess.lua", scratch.path "chess.rille", { "e4", "e4", "Ke2", "O-O", "e5", "resign", "d4" })
    contains(text, "black can't play e4", "black can't play Ke2", "black can't play O-O", "game-1: e5, white to move",
      "white has resigned")
  end)

  it("goes back, and branches where something else is played", function()
    local path = scratch.path "chess.rille"
    local lines = opera(5)
    for _, line in ipairs { "back 2", "Qh5", "f5", "moves", "games", "back 9", "game 1", "back 3", "on", "now",
      "branch duke", "moves", "games" } do
      lines[#lines + 1] = line
    end
    contains(run("chess/chess.lua", path, lines),
      "game-1, as it was at version 3 of 5: Nf3, black to move",
      "nobody can play Qh5 here", "game-1.3 begins where game-1 was at version 3", "1. e4 e5  2. Nf3 f5",
      "game-1.3           4 moves, from game-1 at version 3",
      "game-1.3, as it was at version 1 of 2: Nf3, black to move",
      "game-1, as it was at version 2 of 5", "game-1, as it was at version 3 of 5", "game-1: d4, black to move",
      "game-duke begins where game-1 was at version 5", "1. e4 e5  2. Nf3 d6  3. d4",
      "game-duke          5 moves, from game-1 at version 5")
    contains(run("chess/chess.lua", path, { "games", "game duke" }), "game-1             5 moves",
      "game-duke: d4, black to move") -- and all of it is there the next time
  end)
end)

-- The shop --------------------------------------------------------------------------

describe("examples/shop", function()
  it("reminds, cancels, ships, and mends what was put aside", function()
    local text = run("shop/shop.lua", scratch.path "shop")
    contains(text, "put aside: order 2, position 14: label.lua:2: attempt to index a nil value (field 'street')",
      "a letter: order-3 is not paid yet\n     a letter: order-4 is not paid yet\n",
      "parcel 1 goes to Ann, MAIN STREET 1\n", "parcel 2 goes to Bob, fetches it\n",
      "order-1: Placed, Paid, ReminderDue, Shipped, PaymentDue\n",
      "order-2: Placed, Paid, ReminderDue, PaymentDue, Shipped\n",
      "order-3: Placed, ReminderDue, Reminded, Paid, PaymentDue, Shipped\n",
      "order-4: Placed, ReminderDue, Reminded, PaymentDue, Cancelled, Paid, Refunded\n")
    assert.equal(2, select(2, text:gsub("a letter:", "")))
  end)
end)

-- The save file ---------------------------------------------------------------------

local PLAYER = "examples/savefile/scripts/player.lua"

local function player_of(path, script)
  local store = assert(rille.open(path))
  local player, _, version = store:fold(script or PLAYER, { stream = "player-1" })
  assert(store:verify().ok)
  store:close()
  return player, version
end

describe("examples/savefile", function()
  local path
  before_each(function() path = scratch.path "walk.rille" end)

  local function play(frames, seed) return run("savefile/headless.lua", ("'%s' %d %d"):format(path, frames, seed)) end

  it("goes on from where it was", function()
    local stars, steps = play(200, SEED):match "saved: (%d+) stars, (%d+) steps"
    contains(play(1, 1), ("welcome back: %s stars, %s steps"):format(stars, steps))
    assert(tonumber(steps) > 50)
  end)

  it("reads with version 2 what version 1 has written", function()
    local text, status = process.run_ours(("'%s/bin/rille' import '%s' examples/savefile/version-1.jsonl")
      :format(BUILD, path))
    assert.equal(0, status, text)
    assert.same({ x = 8, y = 5, stars = 103 }, (player_of(path, "examples/savefile/scripts/player-1.lua")))
    assert.same({ x = 8, y = 5, stars = 3, steps = 15 }, (player_of(path)))
    contains(play(10, 1), "welcome back: 3 stars, 15 steps")
  end)

  it("has after kill -9 all that was said to be safe", function()
    for round = 1, rounds(3) do
      local pipe = assert(io.popen(("echo $$; RILLE_BUILD='%s' exec '%s' %s '%s' 1000000 %d 2>&1")
        :format(BUILD, LUA, "examples/savefile/headless.lua", path, SEED + round)))
      local pid, safe = pipe:read "l", 0
      local lines = 3 + (SEED + round) % 7
      for line in pipe:lines() do
        safe = tonumber(line:match "^safe\t(%d+)") or safe
        lines = lines - 1
        if lines == 0 then os.execute("kill -9 " .. pid) end
      end
      pipe:close()
      assert(safe > 0, "it never told that anything was safe")
      local _, version = player_of(path)
      assert(version >= safe, ("%d events of %d that were safe, SEED=%d"):format(version, safe, SEED))
    end
  end)
end)
