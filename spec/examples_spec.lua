-- examples_spec.lua: what stands in examples/ does what it says: a git history becomes
-- events, the reducers fold them, and the demo ends well, or says that it does not.
package.path = "examples/?.lua;" .. package.path

local rille = require "rille"
local commit = require "history.commit"
local git = require "history.git"
local import = require "history.import"
local recorded = require "history.recorded"
local show = require "show"
local scratch = require "spec.support.scratch"

local BUILD = os.getenv "RILLE_BUILD" or "build"
local LUA = os.getenv "RILLE_LUA" or "lua5.4"
local RECORDED = "examples/history/recorded.jsonl"
local DAY = 24 * 60 * 60
local START = 1700000000 -- 2023-11-14

local function quoted(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

---What a command prints, its messages too, and its status.
local function run(command, ...)
  local pipe = assert(io.popen("{ " .. command:format(...) .. "\n} 2>&1"))
  local text = pipe:read "a"
  local _, _, status = pipe:close()
  return text, status
end

-- Making repositories -----------------------------------------------------------

local GIT = "env -u GIT_DIR -u GIT_WORK_TREE -u GIT_INDEX_FILE git -C %s "

local function in_git(repository, command, ...)
  local text, status = run(GIT:format(quoted(repository)) .. command, ...)
  assert.equal(0, status, text)
  return (text:gsub("\n$", ""))
end

---A path as fast-import reads it.
local function c_quoted(path) return '"' .. path:gsub('[\\"]', "\\%0"):gsub("\n", "\\n") .. '"' end

local function data(text) return ("data %d\n%s\n"):format(#text, text) end

---One change: { "put", path, text [, mode] }, { "drop", path }, { "move", old, new }.
local function change_text(change)
  local what, path, third, mode = table.unpack(change, 1, 4)
  if what == "drop" then return "D " .. c_quoted(path) .. "\n" end
  if what == "move" then return ("R %s %s\n"):format(c_quoted(path), c_quoted(third)) end
  if mode == "160000" then return ("M 160000 %s %s\n"):format(third, c_quoted(path)) end
  return ("M %s inline %s\n%s"):format(mode or "100644", c_quoted(path), data(third))
end

---A commit: { changes ..., author =, time =, subject =, from = number, merge = number }.
local function commit_text(number, made)
  local parts = {
    ("commit refs/heads/main\nmark :%d\n"):format(number),
    ("author %s <someone@example.org> %d +0100\n"):format(made.author or "Ann",
      made.time or START + number),
    ("committer Committer <someone@example.org> %d +0000\n"):format(made.time or START + number),
    data(made.subject or "commit " .. number),
    number > 1 and ("from :%d\n"):format(made.from or number - 1) or "",
    made.merge and ("merge :%d\n"):format(made.merge) or "",
  }
  for _, change in ipairs(made) do parts[#parts + 1] = change_text(change) end
  return table.concat(parts) .. "\n"
end

local function empty_repository()
  local path = scratch.path "a repository"
  scratch.shell("git init -q --bare %s", quoted(path))
  in_git(path, "symbolic-ref HEAD refs/heads/main")
  return path
end

---A repository with these commits; each follows the one before unless it says `from`.
local function repository(commits)
  local path, texts = empty_repository(), {}
  for i, made in ipairs(commits) do texts[i] = commit_text(i, made) end
  local file = scratch.file("fast-import", table.concat(texts))
  in_git(path, "-c fastimport.unpackLimit=10000 fast-import --quiet < %s", quoted(file))
  return path
end

---All commits of a source: a list of lists of events.
local function read_all(source, after)
  local all = {}
  for events in source:commits(after) do all[#all + 1] = events end
  return all
end

local function history(commits) return read_all(assert(git.open(repository(commits)))) end

---An event as "Type stream fields", without what all events of a commit share.
local function brief(event)
  local fields = {}
  for key, value in pairs(event.data) do
    if key ~= "author" and key ~= "commit" and key ~= "path" then
      fields[#fields + 1] = key .. "=" .. tostring(value)
    end
  end
  table.sort(fields)
  return table.concat({ event.type, event.stream, table.unpack(fields) }, " ")
end

---What a commit did to files, in brief, sorted by git.
local function briefs(events)
  local list = {}
  for i = 2, #events do list[i - 1] = brief(events[i]) end
  return list
end

local LINES = "one\ntwo\nthree\nfour\nfive\nsix\n"

-- git.lua -------------------------------------------------------------------------

describe("git.lua", function()
  it("gives each commit, and what it did to files, whole", function()
    local path = repository {
      { { "put", "a.txt", "one\ntwo\n" }, author = "Zoë", time = START,
        subject = "the first\n\nbody" },
    }
    local hash = in_git(path, "rev-parse HEAD")
    assert.same({ {
      { stream = "commits", type = "Committed", id = hash, time = START, tags = { "author:Zoë" },
        data = { hash = hash, author = "Zoë", subject = "the first", parents = 0, files = 1 } },
      { stream = "file-a.txt", type = "FileAdded", id = hash .. ":a.txt", time = START,
        tags = { "author:Zoë" },
        data = { path = "a.txt", author = "Zoë", commit = hash, added = 2, removed = 0 } },
    } }, read_all(assert(git.open(path))))
  end)

  it("tells added, changed, deleted and renamed files apart", function()
    local all = history {
      { { "put", "a", "1\n2\n" }, { "put", "b", LINES }, { "put", "c", "x\n" } },
      { { "put", "a", "1\n3\n4\n" } },
      { { "move", "b", "dir/b2" } },
      { { "move", "dir/b2", "b3" }, { "put", "b3", LINES .. "seven\n" } },
      { { "drop", "c" } },
      {},
    }
    assert.equal(6, #all)
    assert.same({ "FileAdded file-a added=2 removed=0", "FileAdded file-b added=6 removed=0",
      "FileAdded file-c added=1 removed=0" }, briefs(all[1]))
    assert.same({ "FileChanged file-a added=2 removed=1" }, briefs(all[2]))
    assert.same({ "FileRenamed file-b to=dir/b2",
      "FileAdded file-dir/b2 added=0 from=b removed=0" }, briefs(all[3]))
    assert.same({ "FileRenamed file-dir/b2 to=b3",
      "FileAdded file-b3 added=1 from=dir/b2 removed=0" }, briefs(all[4]))
    assert.same({ "FileDeleted file-c added=0 removed=1" }, briefs(all[5]))
    assert.same({}, briefs(all[6]))
    assert.equal(0, all[6][1].data.files)
  end)

  it("takes any name that git takes", function()
    local names = { "with space", " at both ends ", "new\nline", "quote\"s'", "tab\there", "\\",
      "$HOME `id`", "ünïcödé 中文 🌒", "no\xffutf8", ":100644 100644 a b M", "1\t2\tx",
      "\1begins", "--option", "commits", "-", "R100", "\n" }
    local puts, expected = {}, {}
    for i, name in ipairs(names) do puts[i] = { "put", name, "text " .. i .. "\n" } end
    for _, name in ipairs(names) do expected["file-" .. name] = "FileAdded " .. name end
    local all = history { puts, { { "move", "new\nline", "other\n\"line" } } }
    local seen = {}
    for i = 2, #all[1] do
      local event = all[1][i]
      assert.equal(1, event.data.added)
      seen[event.stream] = event.type .. " " .. event.data.path
    end
    assert.same(expected, seen)
    assert.same({ "FileRenamed file-new\nline to=other\n\"line",
      "FileAdded file-other\n\"line added=0 from=new\nline removed=0" }, briefs(all[2]))
  end)

  it("knows binary and empty files, links, modes and modules", function()
    local all = history {
      { { "put", "binary", "a\0b" }, { "put", "empty", "" }, { "put", "link", "empty", "120000" },
        { "put", "module", ("1"):rep(40), "160000" } },
      { { "put", "binary", "a\0c" }, { "put", "empty", "", "100755" } },
      { { "move", "binary", "moved" } },
      { { "drop", "moved" }, { "put", "link", "now a file\n" } },
    }
    assert.same({ "FileAdded file-binary binary=true", "FileAdded file-empty added=0 removed=0",
      "FileAdded file-link added=1 removed=0", "FileAdded file-module added=1 removed=0" },
      briefs(all[1]))
    assert.same({ "FileChanged file-binary binary=true",
      "FileChanged file-empty added=0 removed=0" }, briefs(all[2]))
    assert.same({ "FileRenamed file-binary to=moved",
      "FileAdded file-moved binary=true from=binary" }, briefs(all[3]))
    assert.same({ "FileChanged file-link added=1 removed=1", "FileDeleted file-moved binary=true" },
      briefs(all[4]))
  end)

  it("gives a merge what was changed in it, and its parents before it", function()
    local both = "main\n" .. LINES .. "side\n"
    local all = history {
      { { "put", "a", LINES }, { "put", "gone", "x\n" } },
      { { "put", "a", LINES .. "side\n" }, { "put", "s", "s\n" }, subject = "side" },
      { { "put", "a", "main\n" .. LINES }, from = 1, subject = "main" },
      { { "put", "a", (both:gsub("three", "merge")) }, { "put", "s", "s\n" },
        { "put", "own", "o\n" }, { "drop", "gone" }, from = 3, merge = 2, subject = "merge" },
      { { "put", "a", both }, subject = "after" },
    }
    local subjects = {}
    for i, events in ipairs(all) do subjects[i] = events[1].data.subject end
    assert.same({ "commit 1", "side", "main", "merge", "after" }, subjects)
    assert.equal(2, all[4][1].data.parents)
    assert.same({ "FileChanged file-a", "FileDeleted file-gone", "FileAdded file-own" },
      briefs(all[4]))
    assert.equal(1, all[5][2].data.added)
  end)

  it("survives dates that no event can have", function()
    local path = empty_repository()
    local parent, head = "", nil
    local tree = in_git(path, "hash-object -t tree -w /dev/null")
    local dates = { "0 +0000", "-5 +0000", "not a date", "99999999999999999999 +0000", "" }
    for i, date in ipairs(dates) do
      local text = ("tree %s\n%sauthor A <a@b> %s\ncommitter C <c@d> %s\n\nold\n"):format(
        tree, parent, date, i == 1 and START .. " +0000" or date)
      local file = scratch.file("commit", text)
      head = in_git(path, "hash-object --literally -t commit -w %s", quoted(file))
      parent = "parent " .. head .. "\n"
    end
    in_git(path, "update-ref refs/heads/main %s", head)
    local store <close> = assert(rille.open(scratch.path()))
    assert.equal(5, assert(import.run(store, assert(git.open(path)))).commits)
    local seen = {}
    for event in store:all() do
      seen[event.time] = (seen[event.time] or 0) + (event.data.undated and 1 or 0)
    end
    assert.same({ [START] = 0, [1] = 4 }, seen)
  end)

  it("opens empty repositories, and nothing that is none", function()
    local source = assert(git.open(empty_repository()))
    assert.equal(0, source.count)
    assert.is_nil(source.tip)
    assert.same({}, read_all(source))
    local store <close> = assert(rille.open(scratch.path()))
    assert.same({ commits = 0, events = 0, appends = 0 }, import.run(store, source))
    local none, message = git.open "/nonexistent"
    assert.is_nil(none)
    assert(message:find "/nonexistent", message)
    none, message = git.open(scratch.folder)
    assert.is_nil(none)
    assert(message:find "not a git repository", message)
    none, message = git.open(repository { {} }, "nosuch")
    assert.is_nil(none)
    assert(message:find "nosuch", message)
  end)

  it("reads the same whatever the user has set", function()
    local path = repository { { { "put", "ä", LINES } }, { { "move", "ä", "b" } } }
    local all = read_all(assert(git.open(path)))
    for _, setting in ipairs { "diff.renames false", "color.ui always", "core.quotePath true",
      "log.showSignature true", "diff.noprefix true", "diff.external /bin/false" } do
      in_git(path, "config %s", setting)
    end
    assert.same(all, read_all(assert(git.open(path))))
    assert.equal("FileRenamed", all[2][2].type)
  end)

  it("begins behind what is known, and may be left early", function()
    local source = assert(git.open(repository { {}, {}, { { "put", "a", "" } }, {} }))
    local all = read_all(source)
    assert.same({ all[3], all[4] }, read_all(source, 2))
    assert.same({}, read_all(source, 4))
    local next_commit, _, _, pipe = source:commits()
    assert.same(all[1], next_commit())
    getmetatable(pipe).__close(pipe) -- as `break` does
  end)

  it("raises where git fails in the middle", function()
    local path = repository { { { "put", "a", "1\n" } }, { { "put", "a", "2\n" } }, {} }
    local blob = in_git(path, "rev-parse HEAD:a")
    local object = ("%s/objects/%s/%s"):format(path, blob:sub(1, 2), blob:sub(3))
    assert(os.remove(object))
    assert.has_error(function() read_all(assert(git.open(path))) end)
  end)
end)

-- commit.lua ----------------------------------------------------------------------

describe("a long name", function()
  it("is itself up to 255 bytes", function()
    local most = ("x"):rep(255)
    assert.equal(most, commit.name(most))
    assert.equal(255, #commit.name(most .. "y"))
  end)

  it("ends with its FNV-1a hash beyond that", function()
    -- The hash of nothing is the offset basis; each byte is one step.
    local hash = 0xcbf29ce484222325
    for _ = 1, 300 do hash = (hash ~ 0x78) * 0x100000001b3 end
    assert.equal(("x"):rep(238) .. ("~%016x"):format(hash), commit.name(("x"):rep(300)))
  end)

  it("is not cut within a character", function()
    for bytes = 230, 245 do
      local name = commit.name(("x"):rep(bytes) .. ("é"):rep(40))
      assert(#name <= 255)
      assert(utf8.len(name), "cut at " .. bytes)
    end
  end)

  it("keeps files apart, and the path stays in the data", function()
    local folder = ("deep/"):rep(60)
    local all = history { { { "put", folder .. "a", "a\n" }, { "put", folder .. "b", "b\n" },
      author = ("N"):rep(300) } }
    assert.equal(folder .. "a", all[1][2].data.path)
    assert.equal(folder .. "b", all[1][3].data.path)
    assert.not_equal(all[1][2].stream, all[1][3].stream)
    assert.not_equal(all[1][2].id, all[1][3].id)
    local store <close> = assert(rille.open(scratch.path()))
    assert(store:append { { stream = all[1][1].stream, events = all[1] } })
    assert.equal(255, #all[1][1].tags[1])
    assert.equal(commit.file_stream(folder .. "a"), all[1][2].stream)
  end)
end)

-- import.lua ----------------------------------------------------------------------

---Each event of a store as one text.
local function contents(store)
  local list = {}
  for event in store:all() do list[#list + 1] = assert(rille.json.encode(event)) end
  return list
end

---A repository of n commits, two files in each.
local function many(n)
  local commits = {}
  for i = 1, n do
    commits[i] = { { "put", "always", LINES .. i .. "\n" }, { "put", "file " .. i % 7, i .. "\n" },
      author = i % 3 == 0 and "Bob" or "Ann", time = START + i * DAY }
  end
  return repository(commits)
end

describe("import.lua", function()
  it("writes a commit with one append, and several where they fit", function()
    local source = assert(git.open(many(10)))
    local one <close> = assert(rille.open(scratch.path()))
    local several <close> = assert(rille.open(scratch.path()))
    local seen = {}
    assert.same({ commits = 10, events = 30, appends = 10 }, import.run(one, source, { batch = 1,
      acknowledged = function(position, commits) seen[#seen + 1] = { position, commits } end }))
    assert.same({ { 3, 1 }, { 6, 2 }, { 9, 3 } }, { seen[1], seen[2], seen[3] })
    assert.same({ 30, 10 }, seen[10])
    assert.same({ commits = 10, events = 30, appends = 4 },
      import.run(several, source, { batch = 7 }))
    assert.equal(10, one:stats().appends)
    assert.same(contents(one), contents(several))
    assert.equal(30, one:durable())
  end)

  it("goes on where it stopped", function()
    local source = assert(git.open(many(9)))
    local whole <close> = assert(rille.open(scratch.path()))
    local pieces <close> = assert(rille.open(scratch.path()))
    assert(import.run(whole, source))
    assert.equal(4, import.run(pieces, source, { limit = 4 }).commits)
    assert.equal(0, import.run(pieces, source, { limit = 4 }).commits)
    local first = { batch = 1, enough = function() return true end }
    assert.equal(1, import.run(pieces, source, first).commits)
    assert.equal(4, import.run(pieces, source).commits)
    assert.same(contents(whole), contents(pieces))
    assert.same({ commits = 0, events = 0, appends = 0 }, import.run(pieces, source))
  end)

  it("refuses to go on with another history", function()
    local store <close> = assert(rille.open(scratch.path()))
    assert(import.run(store, assert(git.open(many(5)))))
    local done, message = import.run(store, assert(git.open(repository { {}, {}, {}, {}, {}, {} })))
    assert.is_nil(done)
    assert(message:find "commit 5 is %x+ in the store and %x+ in the history", message)
    done, message = import.run(store, assert(git.open(repository { {} })))
    assert.is_nil(done)
    assert(message:find "the store has 5 commits, the history only 1", message)
  end)

  it("does nothing twice when a second import comes in between", function()
    local store <close> = assert(rille.open(scratch.path()))
    local source = assert(git.open(many(5)))
    local count = 0
    local done = assert(import.run(store, source, { batch = 1, append = function(parts)
      count = count + 1
      if count == 3 then
        assert.same({ commits = 3, events = 9, appends = 3 }, import.run(store, source, { batch = 1 }))
      end
      return store:append(parts)
    end }))
    assert.same({ commits = 2, events = 6, appends = 2 }, done)
    assert.equal(5, store:version "commits")
    assert.equal(15, store:head())
  end)
end)

describe("a recorded history", function()
  it("is the one that was read", function()
    local path = many(6)
    local file = scratch.path "recorded.jsonl"
    local text, status = run("RILLE_BUILD=%s %s examples/history/record.lua %s > %s", quoted(BUILD),
      quoted(LUA), quoted(path), quoted(file))
    assert.equal(0, status, text)
    local source, original = assert(recorded.open(file)), assert(git.open(path))
    assert.equal(6, source.count)
    assert.equal(original.tip, source.tip)
    assert.same(read_all(original), read_all(source))
    assert.same(read_all(original, 4), read_all(source, 4))
  end)

  it("is named where it is broken", function()
    local file = scratch.file("broken.jsonl", '{"stream":"commits","id":"x"}\n{"stream":\n')
    assert.has_error(function() recorded.open(file) end)
    local ok, message = pcall(recorded.open, file)
    assert(not ok and message:find(file .. ":2: ", 1, true), message)
    assert.is_nil((recorded.open "/nonexistent"))
  end)

  it("fails as record.lua where there is no repository", function()
    local text, status = run("RILLE_BUILD=%s %s examples/history/record.lua /nonexistent",
      quoted(BUILD), quoted(LUA))
    assert.equal(1, status)
    assert(text:find "^record: .*nonexistent", text)
  end)

  it("comes with rille, small, and as `rille import` takes it", function()
    local source = assert(recorded.open(RECORDED))
    assert(source.count > 0)
    local file = assert(io.open(RECORDED))
    assert(file:seek "end" < 300 * 1024)
    file:close()
    local mine, theirs = scratch.path(), scratch.path()
    local text, status = run("%s/bin/rille import %s %s", quoted(BUILD), quoted(theirs), RECORDED)
    assert.equal(0, status, text)
    local a <close> = assert(rille.open(mine))
    local b <close> = assert(rille.open(theirs))
    assert(import.run(a, source))
    assert.same(contents(a), contents(b))
  end)
end)

-- The reducers ----------------------------------------------------------------------

describe("the reducers", function()
  local store

  before_each(function()
    store = assert(rille.open(scratch.path()))
    assert(import.run(store, assert(git.open(repository {
      { { "put", "a", LINES }, { "put", "b", "1\n2\n" }, author = "Ann", time = START },
      { { "put", "a", LINES .. "seven\n" }, author = "Bob", time = START + 90 * DAY },
      { { "put", "a", LINES .. "8\n" }, { "put", "b", "1\n" }, author = "Ann",
        time = START + 180 * DAY },
      { { "move", "a", "z" }, author = "Cy", time = START + 180 * DAY },
      { { "drop", "b" }, { "put", "bin", "\0" }, author = "Bob", time = START + 200 * DAY },
    }))))
  end)

  after_each(function() store:close() end)

  local function fold(name, options)
    return assert(store:fold("examples/reducers/" .. name .. ".lua", options))
  end

  it("counts: the events of each type", function()
    assert.same({ Committed = 5, FileAdded = 4, FileChanged = 3, FileDeleted = 1, FileRenamed = 1 },
      fold "counts")
  end)

  it("hot_files: changes and lines, also under a new name", function()
    assert.same({ z = { changes = 4, added = 8, removed = 1 },
      bin = { changes = 1, added = 0, removed = 0 } }, fold "hot_files")
    assert.same({ a = { changes = 3, added = 8, removed = 1 },
      b = { changes = 2, added = 2, removed = 1 } }, fold("hot_files", { at = 8 }))
  end)

  it("who_knows: points that halve with time", function()
    local params = { half_life_days = 90 }
    local last = START + 180 * DAY + 0.0
    assert.same({
      z = { Ann = { points = 1.25, time = last },
            Bob = { points = 1.0, time = START + 90 * DAY + 0.0 },
            Cy = { points = 1.0, time = last } },
      bin = { Bob = { points = 1.0, time = START + 200 * DAY + 0.0 } },
    }, fold("who_knows", { params = params }))
    assert.same({ Ann = { points = 1.0, time = START + 0.0 } },
      fold("who_knows", { at = 3, params = params }).b)
    assert.same({ Ann = { points = 1.5, time = last } }, fold("who_knows", { at = 8 }).b)
  end)

  it("team: commits and newcomers of each month", function()
    assert.same({
      authors = { Ann = 2, Bob = 2, Cy = 1 },
      months = {
        ["2023-11"] = { commits = 1, newcomers = 1 }, ["2024-02"] = { commits = 1, newcomers = 1 },
        ["2024-05"] = { commits = 2, newcomers = 1 }, ["2024-06"] = { commits = 1, newcomers = 0 },
      },
    }, fold "team")
  end)

  it("team: knows the calendar", function()
    local calendar <close> = assert(rille.open(scratch.path()))
    local expected = {}
    local events = {}
    -- To the year 2128, by way of a 2100 without a leap day.
    for time = 1, 5000000000, 5 * DAY + 12345 do
      events[#events + 1] = { type = "Committed", time = time, data = { author = "A" } }
      local month = os.date("!%Y-%m", time)
      expected[month] = (expected[month] or 0) + 1
    end
    assert(calendar:append("commits", events))
    local seen = {}
    for name, month in pairs(assert(calendar:fold "examples/reducers/team.lua").months) do
      seen[name] = month.commits
    end
    assert.same(expected, seen)
  end)

  it("file: the life of one file", function()
    local state, _, version = store:fold("examples/reducers/file.lua", { stream = "file-a" })
    assert.equal(4, version)
    assert.same({ path = "a", changes = 3, lines = 7, authors = { Ann = 2, Bob = 1 },
      moved_to = "z", last_commit = state.last_commit }, state)
    assert.equal(6, fold("file", { stream = "file-a", version = 1 }).lines)
    state = fold("file", { stream = "file-b" })
    assert.is_true(state.deleted)
    assert.equal(0, state.lines)
    state = fold("file", { stream = "file-z" })
    assert.equal("a", state.came_from)
    assert.same({ Cy = 1 }, state.authors)
  end)

  it("author: what somebody did", function()
    assert.same({ commits = 2, lines_added = 9, lines_removed = 2, files = { a = 2, b = 2 },
      first = START + 0.0, last = START + 180 * DAY + 0.0 }, fold("author", { key = "Ann" }))
    assert.same({ commits = 0, lines_added = 0, lines_removed = 0, files = {} },
      fold("author", { key = "Nobody" }))
  end)
end)

-- The demo --------------------------------------------------------------------------

---Runs the demo of `examples`, or of a copy.
local function demo(arguments, folder, examples)
  return run("RILLE_BUILD=%s %s %s/demo.lua %s --into %s", quoted(BUILD), quoted(LUA),
    quoted(examples or "examples"), arguments, quoted(folder))
end

local function rewrite(path, change)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  file = assert(io.open(path, "w"))
  assert(file:write(change(text)))
  file:close()
end

---A copy of examples/ in which some texts are others: a list of { file, pattern,
---replacement }.
local function changed_copy(changes)
  local examples = scratch.path "examples"
  scratch.shell("cp -r examples %s", quoted(examples))
  for _, change in ipairs(changes) do
    rewrite(examples .. "/" .. change[1], function(text)
      local changed, count = text:gsub(change[2], change[3])
      assert(count > 0, change[2])
      return changed
    end)
  end
  return examples
end

local function claims(text, ...)
  for _, pattern in ipairs { ... } do assert(text:find(pattern), pattern .. "\n" .. text) end
end

local function assert_demo(text, status, commits, events)
  assert.equal(0, status, text)
  assert(not text:find "FAILED", text)
  assert(not text:find "\27", "colours where there is no terminal")
  local n, e = show.count(commits, "commit"), show.count(events, "event")
  claims(text, "ok all " .. n .. " are there", "durable up to (%d+) of %1", "hot files",
    "Time travel: the same reducers, at = %d", "killed after acknowledgement %d",
    "ok everything acknowledged is there", "ok the append in flight is ",
    "byte for byte, the whole store's at = %d", "ok both stores now have the same " .. e,
    "ok verify", "%d+ events/s", e .. " in [%d.]+ m?s of appends",
    "all checks passed in [%d.]+ m?s\n$")
end

---Runs each command that the demo ends with.
local function assert_commands(text)
  local count = 0
  for command in text:match "Play on\n(.-)\n\n":gmatch "[^\n]+" do
    local output, status = run("%s", command)
    assert.equal(0, status, command .. "\n" .. output)
    assert(#output > 0, command)
    count = count + 1
  end
  assert.equal(6, count)
end

describe("the demo", function()
  it("does all it says with a repository", function()
    local folder = scratch.path "demo here"
    local text, status = demo(quoted(many(60)), folder)
    assert_demo(text, status, 60, 180)
    assert(not text:find "recorded history", text)
    assert(text:find "ok the state comes with its version, 60", text)
    assert_commands(text)
    local store <close> = assert(rille.open(folder .. "/history.rille"))
    assert.equal(180, store:head())
  end)

  it("can be run again in the same place", function()
    local folder, path = scratch.path "demo", quoted(many(20))
    assert_demo(({ demo(path, folder) })[1], 0, 20, 60)
    local text, status = demo(path, folder)
    assert_demo(text, status, 20, 60)
  end)

  it("takes the recorded history where there is no other, and says why", function()
    local source = assert(recorded.open(RECORDED))
    local events = 0
    for each in source:commits() do events = events + #each end
    for argument, why in pairs {
      [quoted(empty_repository())] = "has 0 commits, fewer than 20",
      [quoted(many(19))] = "has 19 commits, fewer than 20",
      ["/nonexistent"] = "cannot change to '/nonexistent'",
    } do
      local text, status = demo(argument, scratch.path "demo")
      assert_demo(text, status, source.count, events)
      claims(text, why, "recorded history")
    end
  end)

  it("works without git", function()
    local bin = scratch.path "bin"
    scratch.shell("mkdir %s", quoted(bin))
    for _, tool in ipairs { "sh", "env", "rm", "mkdir", "mkfifo" } do
      scratch.shell("ln -s \"$(command -v %s)\" %s/", tool, quoted(bin))
    end
    scratch.shell("ln -s \"$(command -v %s)\" %s/lua", quoted(LUA), quoted(bin))
    local text, status = run("PATH=%s RILLE_BUILD=%s lua examples/demo.lua . --into %s",
      quoted(bin), quoted(BUILD), quoted(scratch.path "demo"))
    assert.equal(0, status, text)
    claims(text, "env: [^\n]*git[^\n]*\n", "recorded history", "all checks passed")
  end)

  it("fails when what it shows is not so", function()
    local told = "format%(position, commits%)"
    local cases = {
      ["the state of that moment knows of"] = {
        { "reducers/team.lua", "or 0%) %+ 1", "or 0) + 2" } },
      ["everything acknowledged is there"] = {
        { "demo.lua", told, "format(position + 1000, commits)" } },
      ["the append in flight is"] = { -- more were made than one
        { "demo.lua", told, "format(1, 1)" }, { "demo.lua", "math.random%(1,", "math.max(20," } },
    }
    for claim, changes in pairs(cases) do
      local text, status = demo(quoted(many(60)), scratch.path "demo", changed_copy(changes))
      assert.equal(1, status, text)
      claims(text, "FAILED " .. claim, "1 check FAILED in")
    end
  end)

  it("leaves out what would take too long, and says so", function()
    local copy = changed_copy { { "demo.lua", "IMPORT_SECONDS = %d+", "IMPORT_SECONDS = -1" } }
    local text, status = demo(quoted(many(200)), scratch.path "demo", copy)
    assert_demo(text, status, 171, 513) -- the first append has 512 events, and the commit's rest
    claims(text, "stopped after .* at commit 171 of 200")
  end)

  it("fails when git fails in the middle", function()
    local path = many(30)
    local blob = in_git(path, "rev-parse 'HEAD~5:always'")
    local object = ("%s/objects/%s/%s"):format(path, blob:sub(1, 2), blob:sub(3))
    assert(os.remove(object))
    local text, status = demo(quoted(path), scratch.path "demo")
    assert.equal(1, status, text)
    claims(text, "demo: git gave %d+ of 30 commits")
  end)

  it("fails when it can't write, and tells how it is used", function()
    local text, status = demo("/nonexistent", "/dev/null/demo")
    assert.equal(1, status)
    claims(text, "demo: ")
    text, status = demo("--nonsense", scratch.path "demo")
    assert.equal(2, status)
    claims(text, "usage: ")
  end)
end)

describe("the game", function()
  it("plays on from what it has saved", function()
    local folder = scratch.path "game here"
    local function play()
      local text, status = run("RILLE_BUILD=%s %s examples/game.lua 0.5 %s", quoted(BUILD), quoted(LUA), quoted(folder))
      assert.equal(0, status, text)
      claims(text, "frame +30: head +%d+, durable +%d+, +%d+ behind", "worst frame: [%d.]+ ms in rille",
        "saved: %d+ events are on the disk")
      return text:match "welcome back: x = (%-?%d+)", text:match "on the way: x = (%-?%d+)"
    end
    local begun, first = play()
    assert.equal("0", begun)
    assert.equal(first, (play()))
    local store <close> = assert(rille.open(folder .. "/save.rille", { readonly = true }))
    assert.equal(store:head(), store:durable())
    assert.equal(store:head(), store:version "player-1")
  end)
end)
