-- bench.lua: what a Lua program gets: appends of tables, and folds through
-- reducers. `make bench` runs it behind bench.c; it takes the same --quick,
-- --rounds, --json and --dir.
--
-- The peer of the append row is SQLite FULL through its C API, in the row `batch`
-- of bench.c, which is run between our rounds: it is spared the making of tables
-- and their encoding, rille is not. Medians of the rounds.

local build = os.getenv "RILLE_BUILD" or "build"
package.cpath = build .. "/?.so;" .. package.cpath
local rille = require "rille"

local options = { rounds = 5, dir = "bench-scratch" }
do
  local i = 1
  while arg[i] do
    if arg[i] == "--quick" then options.quick, options.rounds = true, 3
    elseif arg[i] == "--all" then options.all = true -- heavy rows of bench.c
    elseif arg[i] == "--json" then options.json = true
    elseif arg[i] == "--rounds" then i, options.rounds = i + 1, assert(math.tointeger(tonumber(arg[i + 1])))
    elseif arg[i] == "--dir" then i, options.dir = i + 1, assert(arg[i + 1])
    elseif arg[i] == "--only" then os.exit(0) -- rows of bench.c
    else io.stderr:write("bench.lua: unknown option " .. arg[i] .. "\n") os.exit(2) end
    i = i + 1
  end
end

local BATCH, STREAMS = 1000, 10000
local EVENTS = options.quick and 200000 or 1000000
local APPENDS = 20
local PAST_FOLDS = 300
local REACTED = EVENTS // 20            -- events that the processor reacts to
local KEYS = options.quick and 100000 or 1000000 -- of the projection whose memory is measured
local MEMORY_ROUNDS = 1                 -- it makes a projection of all these keys, and hardly varies
local dir = options.dir .. "/lua"

local REDUCERS = {
  field = [[return { initial = { balance = 0 }, on = {
    Deposited = function(state, event) state.balance = state.balance + event.data.amount end,
    Withdrawn = function(state, event) state.balance = state.balance - event.data.amount end } }]],
  balance = [[return { initial = { balance = 0 }, key = "stream", on = {
    Deposited = function(state, event) state.balance = state.balance + event.data.amount end,
    Withdrawn = function(state, event) state.balance = state.balance - event.data.amount end } }]],
  processor = [[return { on = { Asked = function(event, ctx)
    ctx:emit("answers", { type = "Answered", data = event.data }) end } }]],
  rare = [[return { initial = { n = 0 }, on = { Closed = function(state) state.n = state.n + 1 end } }]],
}

-- Wall-clock seconds of a resolution that Lua itself does not have: rille's events
-- are stamped in microseconds.
local clock_store
local function now()
  local done = assert(clock_store:append("clock", { type = "Tick" }))
  return clock_store:all { after = done.first - 1 }().time
end

local function run(command)
  if not os.execute(command) then error("failed: " .. command) end
end

local random = 12345
local function next_random(n)
  random = (random * 6364136223846793005 + 1442695040888963407) & 0x7fffffffffffffff
  return (random >> 20) % n
end

-- 60 bytes of MessagePack, as in bench.c.
local MEMO = ("m"):rep(28)
local function make_parts()
  local parts = {}
  for i = 1, BATCH do
    parts[i] = { stream = ("account-%08d"):format((next_random(STREAMS))), events = {
      type = i == BATCH and "Closed" or i % 2 == 0 and "Deposited" or "Withdrawn",
      data = { amount = i, currency = "EUR", memo = MEMO } } }
  end
  return parts
end

local function fill(store)
  for _ = 1, EVENTS, BATCH do assert(store:append(make_parts())) end
end

local function median(list)
  table.sort(list)
  local n = #list
  return n % 2 == 1 and list[n // 2 + 1] or (list[n // 2] + list[n // 2 + 1]) / 2
end

local function append_turn(store)
  local batches = {}
  for i = 1, APPENDS do batches[i] = make_parts() end
  local start = now()
  for i = 1, APPENDS do assert(store:append(batches[i])) end
  return APPENDS * BATCH / (now() - start)
end

-- Parameters that nobody had before: so there is no rung of the ladder to begin at.
local turns = 0
local function new_params()
  turns = turns + 1
  return { turn = turns }
end

local function fold_turn(store, name, isolated)
  local start = now()
  assert(store:fold(dir .. "/" .. name .. ".lua", { params = new_params(), isolated = isolated }))
  return store:head() / (now() - start)
end

-- One fold to the end leaves the rungs; then positions at random. The median of their times, as
-- a rate.
local function past_turn(store)
  local params, times = new_params(), {}
  local file = dir .. "/field.lua"
  assert(store:fold(file, { params = params }))
  for i = 1, PAST_FOLDS do
    local at = 1 + next_random(EVENTS)
    local start = os.clock()
    assert(store:fold(file, { params = params, at = at }))
    times[i] = os.clock() - start
  end
  return 1 / median(times)
end

local function worker(store, turn, which, of)
  return ("RILLE_BUILD='%s' lua5.4 bench/worker.lua '%s/%s.rille' '%s/balance.lua' %d %d %d &")
    :format(build, dir, store, dir, turn, which, of)
end

local function run_at_once(commands)
  local start = now()
  run(table.concat(commands, " ") .. " wait")
  return now() - start
end

-- Programs that rebuild a projection, each its share of the keys, at the same time.
local function rebuild_turn(workers)
  local params, commands = new_params(), {}
  for i = 1, workers do commands[i] = worker("filled", params.turn, i, workers) end
  return EVENTS / run_at_once(commands)
end

-- Two that share nothing but the machine: what that has for two at once.
local function apart_turn()
  local turn = new_params().turn
  return 2 * EVENTS / run_at_once { worker("filled", turn, 1, 1), worker("twin", turn, 1, 1) }
end

-- What a fold is measured against: the same handlers in a bare loop, which makes the same
-- tables out of nothing, and no sandbox, store or file.
local function bare_turn()
  local handlers, state = assert(load(REDUCERS.field))().on, { balance = 0 }
  local start = now()
  for i = 1, EVENTS do
    local event = { type = i % 2 == 0 and "Deposited" or "Withdrawn", stream = "account-1", position = i,
      version = i, data = { amount = i, currency = "EUR", memo = MEMO } }
    handlers[event.type](state, event)
  end
  return EVENTS / (now() - start)
end

-- A processor of its own name each turn, from the beginning: it reads what is asked, and
-- writes as many answers, with the mark, in groups.
local function processor_turn(asked)
  turns = turns + 1
  local w = assert(asked:processor("bench " .. turns, dir .. "/processor.lua"))
  local start = now()
  assert(w:run())
  local took = now() - start
  assert(w:close())
  return REACTED / took
end

local function fill_asked(asked)
  for first = 1, REACTED, BATCH do
    local list = {}
    for i = 1, math.min(BATCH, REACTED - first + 1) do
      list[i] = { type = "Asked", data = { amount = i, currency = "EUR", memo = MEMO } }
    end
    assert(asked:append("asked", list))
  end
end

-- One event a key.
local function fill_keys(store)
  for first = 1, KEYS, BATCH do
    local parts = {}
    for i = 1, math.min(BATCH, KEYS - first + 1) do
      parts[i] = { stream = ("account-%08d"):format(first + i),
                   events = { type = "Deposited", data = { amount = i, currency = "EUR", memo = MEMO } } }
    end
    assert(store:append(parts))
  end
end

-- KiB; nil where the system does not tell.
local function memory_turn()
  local params = new_params()
  local pipe = assert(io.popen(("RILLE_BUILD='%s' lua5.4 bench/memory.lua '%s/keys.rille' '%s/balance.lua' %d")
    :format(build, dir, dir, params.turn)))
  local figure = pipe:read "n"
  assert(pipe:close(), "bench/memory.lua failed")
  return figure
end

local function iterate_turn(store)
  local start, n = now(), 0
  for event in store:all() do n = n + event.data.amount // event.data.amount end
  assert(n == store:head())
  return n / (now() - start)
end

-- SQLite's figure for the same append, from one round of bench.c.
local function sqlite_turn()
  local pipe = assert(io.popen(("%s/bench --only batch --rounds 1 --json --dir %s/peer%s"):format(
    build, options.dir, options.quick and " --quick" or "")))
  local figure
  for line in pipe:lines() do
    local row = assert(rille.json.decode(line))
    if row.metric == "events" and row.contender == "SQLite FULL" and row.built then figure = row.median end
  end
  assert(pipe:close(), "bench.c failed")
  return figure
end

local function report(name, unit, figures, target, peers, peer)
  local ratio
  if peers and #peers == #figures then
    local ratios = {}
    for i, figure in ipairs(figures) do ratios[i] = figure / peers[i] end
    ratio = median(ratios)
  end
  local reached = ratio or median(figures)
  local row = { row = name, unit = unit, contender = "rille from Lua", rounds = figures,
                median = median(figures), ratio = ratio, target = target }
  if target then row.met = reached >= target end
  if options.json then print((rille.json.encode(row))) return end
  local verdict = ""
  if target then
    verdict = ("   target %s: %s"):format(
      ratio and ("%g x"):format(target) or target < 1e6 and ("%g k/s"):format(target / 1e3)
        or ("%.1f M/s"):format(target / 1e6),
      row.met and "met" or ("short by %.0f %%"):format(100 * (1 - reached / target)))
  end
  print(("%-44s %9.0f k/s%s%s"):format(name, row.median / 1e3,
    ratio and (" = %5.2f x %s"):format(ratio, peer) or "", verdict))
end

-- A figure that is better when it is less, in MiB.
local function report_memory(name, figures, target)
  if #figures == 0 then return end
  for i, kib in ipairs(figures) do figures[i] = kib / 1024 end
  local row = { row = name, unit = "MiB", contender = "rille from Lua", rounds = figures, median = median(figures),
                target = target }
  row.met = row.median <= target
  if options.json then print((rille.json.encode(row))) return end
  print(("%-44s %9.1f MiB   target at most %g MiB: %s"):format(name, row.median, target,
    row.met and "met" or ("over by %.0f %%"):format(100 * (row.median / target - 1))))
end

run(("rm -rf '%s' && mkdir -p '%s/peer'"):format(dir, options.dir))
run(("mkdir -p '%s'"):format(dir))
for name, text in pairs(REDUCERS) do
  local file = assert(io.open(dir .. "/" .. name .. ".lua", "w"))
  assert(file:write(text))
  assert(file:close())
end
clock_store = assert(rille.open(dir .. "/clock.rille", { sync = "never" }))
local filled = assert(rille.open(dir .. "/filled.rille", { sync = "never" }))
fill(filled)
assert(filled:backup(dir .. "/twin.rille"))
assert(filled:close())
local store = assert(rille.open(dir .. "/filled.rille"))
local asked = assert(rille.open(dir .. "/asked.rille", { sync = "never" }))
fill_asked(asked)
local keys = assert(rille.open(dir .. "/keys.rille", { sync = "never" }))
fill_keys(keys)
assert(keys:close())

local appends, peers, field, bare, rare, iterate = {}, {}, {}, {}, {}, {}
local isolated, past, one, two, apart, reacted, memory = {}, {}, {}, {}, {}, {}, {}
for round = 1, options.rounds do
  appends[round] = append_turn(store)
  peers[#peers + 1] = sqlite_turn()
  field[round] = fold_turn(store, "field")
  bare[round] = bare_turn()
  rare[round] = fold_turn(store, "rare")
  iterate[round] = iterate_turn(store)
  isolated[round] = fold_turn(store, "field", true)
  past[round] = past_turn(store)
  one[round] = rebuild_turn(1)
  two[round] = rebuild_turn(2)
  apart[round] = apart_turn()
  reacted[round] = processor_turn(asked)
  if round <= MEMORY_ROUNDS then memory[#memory + 1] = memory_turn() end
end
if not options.json then
  print(("\nFrom Lua: medians of %d rounds, 60 bytes of data an event, a store of %d events"):format(
    options.rounds, EVENTS))
end
report("append of 1000 tables, durable", "events/s", appends, 4, peers, "SQLite FULL from C")
report("fold, a reducer that touches one field", "events/s", field, 1, bare, "a bare Lua loop")
report("fold, a type of one event in 1000: passed by", "events/s", rare, 10e6)
report("iterate, a plain table an event", "events/s", iterate)
report("fold in an isolate", "events/s", isolated, 0.3, field, "the same, trusted")
report("a state at a random position, of the median", "folds/s", past, 1e3)
report("a projection rebuilt by one program", "events/s", one)
report("... by two, each with half of the keys", "events/s", two, 1.7, one, "one")
report("... two projections by two, a store each", "events/s", apart, nil, one, "one: what the machine gives")
report("a processor that emits an event for each", "events/s", reacted)
report_memory(("memory of a projection over %d k keys"):format(KEYS // 1000), memory, 100)
assert(asked:close())
assert(store:close())
assert(clock_store:close())
run(("rm -rf '%s' '%s/peer'"):format(dir, options.dir))
os.remove(options.dir)
