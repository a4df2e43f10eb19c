-- demo.lua: what rille is for, on real input: the history of a git repository.
--
--   make demo [REPO=path]
--   RILLE_BUILD=build lua5.4 examples/demo.lua [REPO] [--into FOLDER]
--
-- Every number printed is measured in this run, and every "ok" is a check; if one of
-- them fails, so does the demo (status 1). Without git, a repository, or 20 commits
-- in it, a recorded history stands in.
--
-- The demo calls itself with --child to have somebody to kill.

local HERE = arg[0]:match "^(.*)/[^/]*$" or "."
local BUILD = os.getenv "RILLE_BUILD" or "build"
package.path = HERE .. "/?.lua;" .. package.path
package.cpath = BUILD .. "/?.so;" .. package.cpath

local rille = require "rille"
local answers = require "answers"
local crash = require "crash"
local commit = require "history.commit"
local git = require "history.git"
local import = require "history.import"
local recorded = require "history.recorded"
local show = require "show"
local stopwatch = require "stopwatch"

local LEAST_COMMITS = 20    -- of a repository that is worth looking at
local IMPORT_SECONDS = 15   -- a longer import is stopped, and the rest left out
local TOP = 5               -- rows of a table
local HALF_LIFE_DAYS = 90   -- of what somebody knows about a file
local KILL_AFTER_MOST = 200 -- acknowledgements before the child is killed
local KILL_TRIES = 30       -- an import may end before the signal comes

local function reducer(name) return ("%s/reducers/%s.lua"):format(HERE, name) end

-- What all parts share: the folder, the clock, the checks.
local demo = { failures = 0, folded_events = 0, folded_seconds = 0 }

local function check(ok, format, ...)
  local text = format:format(...)
  if ok then
    show.line("   %s %s", show.styled("green", "ok"), text)
  else
    demo.failures = demo.failures + 1
    show.line("   %s %s", show.styled("red", "FAILED"), text)
  end
end

---How many events the handlers of a reducer get, where `counts` has all by type.
local function handled(name, counts)
  local on, sum = dofile(reducer(name)).on, 0
  for type, count in pairs(counts) do
    if on[type] or on["*"] then sum = sum + count end
  end
  return sum
end

---Folds without a note of it.
local function quiet_fold(store, name, options)
  local state, position, version = store:fold(reducer(name), options)
  if state == nil then error(position, 0) end
  return state, position, version
end

---Folds everything up to a position, and measures: events that reached Lua, seconds.
local function fold(store, name, options)
  local begun = demo.now()
  local state, position = quiet_fold(store, name, options)
  demo.folded_seconds = demo.folded_seconds + demo.now() - begun
  demo.folded_events = demo.folded_events
    + handled(name, quiet_fold(store, "counts", { at = position }))
  return state
end

-- The source ------------------------------------------------------------------

---The repository's history, or the recorded one and why.
local function choose_source(repository)
  local source, message = git.open(repository)
  if source and source.count >= LEAST_COMMITS then return source end
  local why = source and ("%s has %s, fewer than %d"):format(repository,
    show.count(source.count, "commit"), LEAST_COMMITS) or message:match "[^\n]*"
  return assert(recorded.open(HERE .. "/history/recorded.jsonl")), why
end

local function introduce(source, why)
  show.line("%s: a git history as events, states and a crash", show.styled("bold", "rille demo"))
  if why then
    show.note("%s", why)
    show.note "so this is the recorded history of rille's own repository"
  end
  show.note("history  %s, %s up to %s", show.text(source.name, 70),
    show.count(source.count, "commit"), (source.tip or "none"):sub(1, 12))
  show.note("store    %s", demo.path)
end

-- 1: import -------------------------------------------------------------------

---An append that is measured.
local function timed_append(store, spent)
  return function(parts)
    local begun = demo.now()
    local written, message = store:append(parts)
    spent.seconds = spent.seconds + demo.now() - begun
    return written, message
  end
end

local function import_all(store, source)
  show.heading(1, "Import: a commit changes many streams at once; what is acknowledged is on disk")
  local begun, spent = demo.now(), { seconds = 0 }
  local done = assert(import.run(store, source, {
    append = timed_append(store, spent),
    enough = function() return demo.now() - begun > IMPORT_SECONDS end,
  }))
  demo.imported = { commits = done.commits, events = done.events, appends = done.appends,
                    seconds = demo.now() - begun, append_seconds = spent.seconds }
  local counts = fold(store, "counts")
  local rows = {}
  for _, type in ipairs(answers.sorted_keys(counts)) do rows[#rows + 1] = { type, counts[type] } end
  show.table(nil, rows)
  if done.commits < source.count then
    show.note("stopped after %d s, at commit %s of %s: the rest of this run is about these",
      IMPORT_SECONDS, show.number(done.commits), show.number(source.count))
  end
  local stats = assert(store:stats())
  show.line("   %s in %s: %s, %s", show.count(done.events, "event"),
    show.count(stats.streams, "stream"), show.count(stats.appends, "durable append"),
    show.count(stats.flushes, "flush", "flushes"))
  check(store:version "commits" == done.commits and counts.Committed == done.commits,
    "all %s are there", show.count(done.commits, "commit"))
  check(store:durable() == store:head(), "and no power cut can take them: durable up to %s of %s",
    show.number(store:durable()), show.number(store:head()))
end

-- 2: the state now ------------------------------------------------------------

local function knowers_text(people)
  local texts = {}
  for _, row in ipairs(answers.knowers(people, HALF_LIFE_DAYS, 3)) do
    texts[#texts + 1] = ("%s %.0f %%"):format(show.text(row.name, 24, "start"), row.share * 100)
  end
  return table.concat(texts, ", ")
end

---The states of the three reducers at a position (default: now).
local function states(store, at)
  return {
    files = fold(store, "hot_files", { at = at }),
    people = fold(store, "who_knows", { at = at, params = { half_life_days = HALF_LIFE_DAYS } }),
    team = fold(store, "team", { at = at }),
  }
end

local function show_files(now)
  local rows = {}
  for i, file in ipairs(answers.hottest(now.files, TOP)) do
    rows[i] = { show.text(file.name, 44), file.changes, file.added, file.removed,
                knowers_text(now.people[file.name]) }
  end
  if #rows == 0 then return show.note "no file is left" end
  show.table({ "hot files", "changes", "lines +", "lines -", "who knows them" }, rows)
end

local function show_months(team)
  local months, most, rows = answers.sorted_keys(team.months), 1, {}
  for _, month in pairs(team.months) do most = math.max(most, month.commits) end
  for i = math.max(1, #months - TOP), #months do
    local month = team.months[months[i]]
    rows[#rows + 1] = { months[i], month.commits, month.newcomers,
                        ("▪"):rep(math.max(1, month.commits * 30 // most)) }
  end
  print ""
  show.table({ "month", "commits", "newcomers", "" }, rows)
end

local function show_now(store)
  show.heading(2, "State is the events run through a reducer (examples/reducers/)")
  local now = states(store)
  show_files(now)
  show_months(now.team)
  show.note("%s so far; files that the events leave: %s",
    show.count(answers.size(now.team.authors), "author"), show.number(answers.size(now.files)))
  return now
end

-- 3: time travel --------------------------------------------------------------

---The last position of the commit `number`, and its event.
local function end_of_commit(store, number)
  local commits = {}
  for event in store:read("commits", { after = number - 1, limit = 2 }) do
    commits[#commits + 1] = event
  end
  return commits[2] and commits[2].position - 1 or store:head(), commits[1]
end

local function some_of(names)
  if #names == 0 then return "" end
  local texts = {}
  for i = 1, math.min(3, #names) do texts[i] = show.text(names[i], 30) end
  return ": " .. table.concat(texts, ", ") .. (#names > 3 and ", …" or "")
end

local function show_changes(before, now)
  local ranks, rows = {}, {}
  for i, file in ipairs(answers.hottest(before.files, math.huge)) do ranks[file.name] = i end
  for i, file in ipairs(answers.hottest(now.files, TOP)) do
    local earlier = before.files[file.name]
    local changes = earlier and earlier.changes or 0
    rows[i] = { show.text(file.name, 44), changes, file.changes, file.changes - changes,
                earlier and ranks[file.name] ~= i and ("was number %d"):format(ranks[file.name])
                or earlier and "as before" or "not there by this name" }
  end
  if #rows > 0 then show.table({ "hot files", "then", "now", "since", "place" }, rows) end
  local came = answers.missing(now.files, before.files)
  local went = answers.missing(before.files, now.files)
  local joined = answers.missing(now.team.authors, before.team.authors)
  show.line("   since then %s came%s", show.count(#came, "file"), some_of(came))
  show.line("              %s went or were renamed%s", show.count(#went, "file"), some_of(went))
  show.line("              %s joined%s", show.count(#joined, "author"), some_of(joined))
  local hands, all = answers.changed_hands(before.people, now.people, now.files, HALF_LIFE_DAYS)
  if all > 0 then
    show.line("   %s now best known by somebody else:",
      all == 1 and "1 file is" or show.number(all) .. " files are")
  end
  for _, row in ipairs(hands) do
    show.line("     %s: %s, then %s", show.text(row.name, 44), show.text(row.was, 24, "start"),
      show.text(row.is, 24, "start"))
  end
end

local function travel(store, now)
  local number = math.max(1, demo.imported.commits // 2)
  local at, event = end_of_commit(store, number)
  demo.earlier = at
  show.heading(3, ("Time travel: the same reducers, at = %s"):format(show.number(at)))
  show.note("the moment after commit %s of %s, %s: %s", show.number(number),
    show.number(demo.imported.commits), show.date(event.time),
    show.text(event.data.subject, 50, "start"))
  local before = states(store, at)
  local commits = 0
  for _, n in pairs(before.team.authors) do commits = commits + n end
  show_changes(before, now)
  check(commits == number, "the state of that moment knows of %s, not one more",
    show.count(commits, "commit"))
end

-- 4: one stream ---------------------------------------------------------------

local function life_row(state, version)
  local authors = {}
  for name, changes in pairs(state.authors) do
    authors[#authors + 1] = { name = name, changes = changes }
  end
  local names = {}
  for i, row in ipairs(answers.top(authors, 3, "changes")) do
    names[i] = show.text(row.name, 24, "start")
  end
  return { ("version %d"):format(version), state.changes, state.lines,
           table.concat(names, ", ") .. (#authors > 3 and ", …" or "") }
end

---Of the hot files the one with most events under its present name: stream, path.
local function hottest_stream(store, now)
  local rows = {}
  for i, file in ipairs(answers.hottest(now.files, TOP)) do
    local stream = commit.file_stream(file.name)
    rows[i] = { name = file.name, stream = stream, version = store:version(stream) }
  end
  local first = answers.top(rows, 1, "version")[1]
  if first then return first.stream, first.name end
end

local function one_file(store, now)
  local stream, name = hottest_stream(store, now)
  if not stream then return end
  demo.hottest = stream
  show.heading(4, "One stream: the life of " .. show.text(name))
  local state, _, version = quiet_fold(store, "file", { stream = stream })
  local half = math.max(1, version // 2)
  local earlier = quiet_fold(store, "file", { stream = stream, version = half })
  local rows = { life_row(state, version) }
  if half < version then table.insert(rows, 1, life_row(earlier, half)) end
  show.table({ "", "changes", "net lines", "by" }, rows)
  if state.came_from then show.note("it was %s before", show.text(state.came_from)) end
  check(version == store:version(stream),
    "the state comes with its version, %d: `expect` it, and nobody changes the file in between",
    version)
  local refused, _, code = store:append(stream, { type = "FileChanged" }, { expect = version - 1 })
  check(not refused and code == "conflict", "an append that expects version %d is refused: %s",
    version - 1, code)
end

-- 5: the crash ----------------------------------------------------------------

local function child_arguments(path, source)
  return { arg[-1], arg[0], "--child", path,
           source.kind, source.place, source.tip, tostring(demo.imported.commits) }
end

---What the child does: import, each commit an append, and tell what was acknowledged.
local function child(path, kind, place, tip, limit)
  local source = assert((kind == "git" and git or recorded).open(place, tip))
  local store <close> = assert(rille.open(path))
  io.stdout:setvbuf "no"
  assert(import.run(store, source, {
    batch = 1, limit = math.tointeger(limit),
    acknowledged = function(position, commits)
      assert(io.write(("%d %d\n"):format(position, commits)))
    end,
  }))
end

local function remove(path) assert(os.execute("rm -rf " .. show.word(path))) end

---Imports and kills until the middle was hit: sooner, each time that it was too late.
local function kill_in_the_middle(path, source)
  local after = math.random(1, math.max(1, math.min(KILL_AFTER_MOST, demo.imported.commits // 2)))
  for try = 1, KILL_TRIES do
    remove(path)
    local seen = crash.run(child_arguments(path, source), demo.folder .. "/acknowledged", after)
    seen.after, seen.try = after, try
    if seen.killed and seen.commits > 0 and seen.commits < demo.imported.commits then
      return seen
    end
    after = math.max(1, after // 2)
  end
  error(("the import was never killed in the middle, in %d tries"):format(KILL_TRIES), 0)
end

---One text for all that an event says.
local function event_text(event)
  return event and assert(rille.encode {
    event.position, event.version, event.stream, event.type, event.id, event.time,
    event.tags, event.data,
  })
end

---How many events, from the first on, two stores have in common.
local function same_events(a, b)
  local next_of_b, state, control <close> = b:all()
  local same = 0
  for event in a:all() do
    if event_text(event) ~= event_text(next_of_b(state, control)) then break end
    same = same + 1
  end
  return same
end

local function check_survivors(whole, store, seen)
  local commits, head = store:version "commits", store:head()
  local unfinished = commits - seen.commits
  check(head >= seen.position and commits >= seen.commits,
    "everything acknowledged is there: %s, positions 1 to %s", show.count(seen.commits, "commit"),
    show.number(seen.position))
  check((unfinished == 0 or unfinished == 1) and head == end_of_commit(whole, commits),
    "the append in flight is %s", unfinished == 0 and "not there at all, no part of it"
    or "wholly there, though its acknowledgement never came")
  check(same_events(store, whole) == head, "each of its %s is, field by field, the one of part 1",
    show.count(head, "event"))
  local mine, past = fold(store, "hot_files"), fold(whole, "hot_files", { at = head })
  check(rille.encode(mine) == rille.encode(past),
    "its state is, byte for byte, the whole store's at = %s", show.number(head))
end

local function crash_and_continue(whole, source)
  show.heading(5, "Crash: another process imports, a durable append a commit, and meets kill -9")
  local path = demo.folder .. "/killed.rille"
  local seen = kill_in_the_middle(path, source)
  show.line("   killed after acknowledgement %s%s; it had acknowledged %s of %s by then",
    show.number(seen.after), seen.try > 1 and (", at the %d. try"):format(seen.try) or "",
    show.number(seen.commits), show.count(demo.imported.commits, "commit"))
  local begun = demo.now()
  local store <close>, remark = assert(rille.open(path))
  show.line("   opened again in %s%s", show.seconds(demo.now() - begun),
    remark and ": " .. remark or "")
  check_survivors(whole, store, seen)
  local done = assert(import.run(store, source, { limit = demo.imported.commits }))
  show.line("   continued where it stopped: %s more", show.count(done.commits, "commit"))
  local head = whole:head()
  check(same_events(whole, store) == head and store:head() == head,
    "both stores now have the same %s, in the same order", show.count(head, "event"))
  local verified = assert(store:verify())
  check(verified.ok, "verify: %s read, every checksum and chain of %s right",
    show.bytes(verified.bytes), show.count(verified.events, "event"))
end

-- 6 and 7: numbers, and what to type -------------------------------------------

local function per_second(n, seconds)
  return show.number(n / math.max(seconds, 1e-6)) .. " events/s"
end

local function show_numbers(store)
  local stats, done = assert(store:stats()), demo.imported
  show.heading(6, "Numbers of this run")
  show.table(nil, {
    { "in", per_second(done.events, done.append_seconds),
      ("%s in %s of appends: %s, %s, all durable"):format(show.count(done.events, "event"),
        show.seconds(done.append_seconds), show.number(done.appends),
        show.count(stats.flushes, "flush", "flushes")) },
    { "", per_second(done.events, done.seconds),
      ("%s with reading the history"):format(show.seconds(done.seconds)) },
    { "out", per_second(demo.folded_events, demo.folded_seconds),
      ("%s in %s through handlers in Lua"):format(show.count(demo.folded_events, "event"),
        show.seconds(demo.folded_seconds)) },
    { "size", show.bytes(stats.log_bytes), ("of log, %.0f bytes an event; %s of index"):format(
      stats.log_bytes / done.events, show.bytes(stats.index_bytes)) },
  })
end

local function show_commands(now)
  show.heading(7, "Play on")
  local path = show.word(demo.path)
  local function command(name, ...)
    local words = { show.word(BUILD .. "/bin/rille"), name, path }
    for _, word in ipairs { ... } do words[#words + 1] = show.word(word) end
    show.line("   %s", table.concat(words, " "))
  end
  command "stat"
  command("cat", "commits", "--reverse", "--limit", "3")
  if demo.hottest then
    command("cat", demo.hottest, "--limit", "3")
    command("fold", reducer "file", "--stream", demo.hottest)
  end
  command("fold", reducer "hot_files", "--at", tostring(demo.earlier))
  command("fold", reducer "author", "--key", answers.busiest(now.team))
end

-- The whole -------------------------------------------------------------------

local function prepare(folder)
  demo.folder, demo.path = folder, folder .. "/history.rille"
  assert(os.execute("mkdir -p " .. show.word(folder)))
  for _, name in ipairs { "history.rille", "killed.rille", "clock.rille" } do
    remove(folder .. "/" .. name)
  end
  demo.now = stopwatch(folder .. "/clock.rille")
end

local function run(repository, folder)
  prepare(folder)
  local begun = demo.now()
  local source, why = choose_source(repository)
  introduce(source, why)
  local store <close> = assert(rille.open(demo.path))
  import_all(store, source)
  local now = show_now(store)
  travel(store, now)
  one_file(store, now)
  crash_and_continue(store, source)
  show_numbers(store)
  show_commands(now)
  local result = demo.failures == 0 and show.styled("green", "all checks passed")
    or show.styled("red", show.count(demo.failures, "check") .. " FAILED")
  show.line("\n%s in %s", result, show.seconds(demo.now() - begun))
  return demo.failures == 0
end

local function usage()
  io.stderr:write "usage: demo.lua [REPO] [--into FOLDER]\n"
  os.exit(2)
end

local function main()
  if arg[1] == "--child" then
    child(table.unpack(arg, 2))
    return true
  end
  local repository, folder = nil, BUILD .. "/demo"
  local i = 1
  while arg[i] do
    if arg[i] == "--into" and arg[i + 1] then
      i, folder = i + 1, arg[i + 1]
    elseif arg[i]:sub(1, 2) == "--" or repository then
      usage()
    else
      repository = arg[i]
    end
    i = i + 1
  end
  return run(repository or ".", folder)
end

local ok, passed = xpcall(main, function(message)
  io.stderr:write("demo: ", type(message) == "string" and message or tostring(message), "\n")
end)
os.exit(ok and passed, true)
