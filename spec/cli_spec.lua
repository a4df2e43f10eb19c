-- cli_spec.lua: the command `rille`, run as users run it: what it prints, on which
-- stream, and with which exit status.
local rille = require "rille"
local place = require "spec.support.place"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local values = require "spec.support.values"
local contains = stores.contains

values.seed("cli_spec")

local DONE, FAILED, USAGE = 0, 1, 2
local BROKEN_PIPE = 128 + 13

-- Running it --------------------------------------------------------------------------

local function quoted(word) return "'" .. tostring(word):gsub("'", "'\\''") .. "'" end

local function command_line(words)
  local list = { quoted(place.build .. "/bin/rille") }
  for _, word in ipairs(words) do list[#list + 1] = quoted(word) end
  return table.concat(list, " ")
end

---Runs shell text; gives its status, output and messages. Above 128: a signal.
local function shell(text)
  local out, err = scratch.path "out", scratch.path "err"
  local _, how, status = os.execute(("{ %s\n} >'%s' 2>'%s'"):format(text, out, err))
  return how == "signal" and 128 + status or status, scratch.read(out), scratch.read(err)
end

---Runs the command with a list of words; its field `input` is standard input.
local function run(words)
  local input = words.input and scratch.file("input", words.input) or "/dev/null"
  return shell(command_line(words) .. " <" .. quoted(input))
end

---The output of a run that must succeed and say nothing.
local function output(words)
  local status, out, err = run(words)
  assert.equal("", err)
  assert.equal(DONE, status)
  return out
end

---The message of a run that must fail with the status and print nothing.
local function failure(expected, words)
  local status, out, err = run(words)
  assert.equal("", out)
  assert.equal(expected, status)
  assert(err:find "^rille: [^\n]+\n", err)
  assert(not err:find("traceback", 1, true), err)
  return err
end

local function decode(text) return assert(rille.json.decode(text)) end

local function decode_lines(text)
  local list = {}
  for line in text:gmatch "([^\n]*)\n" do list[#list + 1] = decode(line) end
  return list
end

---Runs `use` with the store at `path` open for reading.
local function with_store(path, use)
  local store <close> = assert(rille.open(path, { readonly = true }))
  return use(store)
end

local function events_of(path)
  return with_store(path, function(store) return stores.list(store:all {}) end)
end

---A closed store with n events in stream "counted".
local function counted(n)
  local store, path = stores.new()
  stores.fill(store, "counted", n)
  assert(store:close())
  return path
end

local function exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

local function counted_line(i)
  return ('{"stream":"counted","type":"Counted","data":{"n":%d}}'):format(i)
end

local function lines_of(n, make)
  local list = {}
  for i = 1, n do list[i] = (make or counted_line)(i) end
  return table.concat(list, "\n") .. "\n"
end

local function numbers_of(path)
  local list = {}
  for i, event in ipairs(events_of(path)) do list[i] = event.data.n end
  return list
end

---The store's events carry the numbers 1 .. n, in order.
local function assert_counted(n, path)
  local list = numbers_of(path)
  for i, number in ipairs(list) do
    if number ~= i then error(("event %d has number %s"):format(i, number), 2) end
  end
  assert.equal(n, #list)
end

-- A reducer that counts, by a parameter, and removes its state on Forgotten.
local COUNTER = [[
local params = ...
return {
  initial = { n = 0 },
  key = "stream",
  on = {
    Counted = function(state) state.n = state.n + (params.by or 1) end,
    Forgotten = function() return (require "rille").null end,
  },
}]]

-- The words -----------------------------------------------------------------------------

local COMMANDS = {
  append = { "--type", "--data", "--id", "--tag", "--meta", "--expect" },
  import = { "--batch", "--from" },
  export = { "--after", "--stream", "--type" },
  cat = { "--after", "--limit", "--reverse" },
  fold = { "--stream", "--version", "--key", "--at", "--param" },
  tail = { "-f", "-n", "--type" },
  stat = {},
  tx = { "--reason" },
  verify = {},
  rebuild = {},
  backup = {},
}

describe("help", function()
  for name, options in pairs(COMMANDS) do
    it("of " .. name .. " mentions its options", function()
      local help = output { name, "--help" }
      for _, option in ipairs(options) do assert(help:find("%f[%S]" .. option:gsub("%-", "%%-") .. "[ ,]"), option) end
      contains(help, "--json")
      contains(help, "STORE")
      assert.equal(help, output { "help", name })
      assert.equal(help, output { name, "-h" })
    end)
  end

  it("lists the commands", function()
    local help = output { "--help" }
    for name in pairs(COMMANDS) do contains(help, "\n   " .. name .. " ") end
    assert.equal(help, output { "help" })
    assert.equal(help, output { "-h" })
  end)

  it("is no wider than a terminal of 90 columns", function()
    for name in pairs(COMMANDS) do
      for line in output({ "help", name }):gmatch "[^\n]+" do assert(#line <= 90, line) end
    end
  end)

  it("tells the version", function()
    assert.equal(rille._VERSION .. "\n", output { "--version" })
  end)
end)

describe("a command line that can't be understood", function()
  it("has no command: what a newcomer needs is shown, and where the rest is", function()
    local message = failure(USAGE, {})
    contains(message, "a command is needed")
    for _, name in ipairs { "append", "import", "cat", "tail", "fold", "stat", "--help" } do
      contains(message, "rille " .. name .. " ")
    end
    assert(not message:find("settle", 1, true), message)
    for line in message:gmatch "[^\n]+" do assert(#line <= 120, line) end
  end)

  it("has the store before the command, or the stream before the store", function()
    local path = counted(1)
    contains(failure(USAGE, { path, "cat" }), "the command comes first, then the store: rille cat " .. path)
    contains(failure(USAGE, { path }), "rille COMMAND " .. path)
    local new = scratch.path()
    contains(failure(USAGE, { "append", new, path, "--type", "T" }), "the store comes first")
    assert(not exists(new))
    assert.equal(1, #events_of(path))
  end)

  it("has an unknown command or option", function()
    contains(failure(USAGE, { "imprt", "x" }), "unknown command 'imprt' (did you mean 'import'?)")
    contains(failure(USAGE, { "help", "fodl" }), "unknown command 'fodl' (did you mean 'fold'?)")
    contains(failure(USAGE, { "cat", "x", "--limt", "3" }), "(did you mean '--limit'?)")
    contains(failure(USAGE, { "zzzzz" }), "unknown command 'zzzzz'\n")
  end)

  it("shows how the command is used", function()
    contains(failure(USAGE, { "append" }), "Usage: rille append STORE STREAM --type T [--data JSON]")
    contains(failure(USAGE, { "append", "s", "a", "Paid", "--type", "T" }), "it takes STORE STREAM;")
  end)

  local wrong = {
    { "append", "s" }, { "append", "s", "a" }, { "append", "s", "a", "b", "--type", "T" },
    { "append", "s", "a", "--type" }, { "append", "s", "a", "--type", "T", "--data", "{bad" },
    { "append", "s", "a", "--type", "T", "--data", "" },
    { "append", "s", "a", "--type", "T", "--meta", "nope" },
    { "append", "s", "a", "--type", "T", "--expect", "never" },
    { "append", "s", "a", "--type", "T", "--expect", "-1" },
    { "append", "s", "a", "--type", "T", "--expect", "99999999999999999999" },
    { "import" }, { "import", "s", "f", "g" }, { "import", "s", "--batch", "0" },
    { "import", "s", "--from", "0" }, { "import", "s", "--from", "1.5" },
    { "export" }, { "export", "s", "t" }, { "export", "s", "--after", "-1" },
    { "cat", "s", "--limit", "0" }, { "cat", "s", "--limit", "many" },
    { "cat", "s", "--after", "" },
    { "fold", "s" }, { "fold", "s", "r", "--stream", "a", "--key", "b" },
    { "fold", "s", "r", "--version", "1" }, { "fold", "s", "r", "--at", "x" },
    { "fold", "s", "r", "--param", "name" }, { "fold", "s", "r", "--param", "name=x" },
    { "tail" }, { "tail", "s", "t" }, { "tail", "s", "-n", "-1" }, { "tail", "s", "-n", "x" },
    { "rebuild" }, { "backup", "s" }, { "backup", "s", "d", "e" },
    { "stat" }, { "stat", "s", "t" }, { "verify" }, { "verify", "s", "--json=1" },
  }
  for _, words in ipairs(wrong) do
    it(table.concat(words, " "), function() failure(USAGE, words) end)
  end

  it("names the option", function()
    contains(failure(USAGE, { "cat", "s", "--limit", "many" }), "--limit must be a whole number")
    contains(failure(USAGE, { "append", "s", "a", "--type", "T", "--data", "{bad" }),
      "--data is no JSON: column 2")
    contains(failure(USAGE, { "fold", "s", "r", "--param", "who=Ann" }), [[who='"text"']])
  end)
end)

describe("--json", function()
  -- The fields that each command must print in every line, and its words behind the store's.
  local PRINTED = {
    append = { "first last version duplicate", "counted", "--type", "Counted", "--data", '{"n":4}' },
    import = { "events duplicates line seconds", "-" },
    export = { "position stream version type time id", "--stream", "counted" },
    cat = { "position stream version type time id", "counted" },
    tail = { "position stream version type time id", "-n", "2", "--type", "Counted" },
    fold = { "state position version", "counter.lua", "--stream", "counted" },
    project = { "name mark", "counts", "counter.lua" },
    process = { "name mark", "copies", "copy.lua" },
    state = { "key state position", "counts" },
    diff = { "key changes", "counts", "0", "3" },
    why = { "position time stream version type changes", "counts", "counted" },
    marks = { "kind name mark lag" },
    tx = { "", "list" },
    stat = { "head streams log_bytes durable uuid" },
    verify = { "ok events bytes problems readable" },
    rebuild = { "events seconds" },
    backup = { "events log_bytes", "copy.rille" },
    report = { "" },
  }
  -- In this order: project keeps what state and diff show.
  local NAMES = { "append", "import", "export", "cat", "tail", "fold", "project", "process", "state", "diff", "why",
    "marks", "tx", "stat", "verify", "rebuild", "backup", "report" }

  it("has each command print one object a line, with the fields that there are", function()
    local folder = scratch.path "folder"
    scratch.shell("mkdir '%s' && cp -r '%s' '%s/s'", folder, counted(3), folder)
    scratch.shell("cp '%s' '%s'", scratch.file("counter.lua", COUNTER), folder)
    scratch.shell("cp '%s' '%s'", scratch.file("copy.lua", [[return { from = { types = { "None" } },
      on = { None = function() end } }]]), folder)
    for _, name in ipairs(NAMES) do
      local fields, words = PRINTED[name][1], { name, "s", table.unpack(PRINTED[name], 2) }
      words[#words + 1] = "--json"
      local status, out, err = shell(("cd '%s' && echo '{\"stream\":\"a\",\"type\":\"T\"}' | %s"):format(folder,
        command_line(words)))
      assert.equal(DONE, status, name .. ": " .. err)
      local list = decode_lines(out)
      assert(#list > 0 or fields == "", name .. " printed nothing")
      for _, object in ipairs(list) do
        for field in fields:gmatch "%S+" do assert(object[field] ~= nil, name .. " has no " .. field .. ": " .. out) end
      end
    end
  end)

  it("tells each rest of what follows the store", function()
    local path, script, out = counted(3), scratch.file("counter.lua", COUNTER), scratch.file("followed", "")
    scratch.shell("{ %s >'%s' & echo $! >'%s.pid'; }", command_line { "project", path, "counts", script, "--follow",
      "--json" }, out, out)
    local function wait_for(text)
      local limit = os.time() + 60
      while not scratch.read(out):find(text, 1, true) and os.time() < limit do os.execute "sleep 0.02" end
      contains(scratch.read(out), text)
    end
    local ok, problem = pcall(function()
      wait_for '{"mark":3,"name":"counts"}\n'
      output { "append", path, "counted", "--type", "Counted", "--data", '{"n":4}' }
      wait_for '{"mark":4,"name":"counts"}\n'
    end)
    scratch.shell("kill -TERM $(cat '%s.pid')", out)
    if not ok then error(problem, 0) end
  end)
end)

describe("a command without argparse", function()
  it("says what to install", function()
    local status, out, err = shell("LUA_PATH=/nowhere/?.lua LUA_PATH_5_4=/nowhere/?.lua "
      .. command_line { "stat", "x" })
    assert.equal(FAILED, status)
    assert.equal("", out)
    contains(err, "apt-get install lua-argparse")
  end)
end)

-- Stores that can't be opened --------------------------------------------------------------

local READERS = { export = {}, cat = {}, tail = {}, fold = { "reducer.lua" }, stat = {}, verify = {},
  backup = { "copy.rille" } }

local function reader_words(name, path)
  return { name, path, table.unpack(READERS[name]) }
end

describe("a store", function()
  for name in pairs(READERS) do
    it("that is absent is not made by " .. name, function()
      local path = scratch.path()
      contains(failure(FAILED, reader_words(name, path)), "there is no store at " .. path)
      assert(not exists(path))
    end)
  end

  it("that is absent has a near name in its folder", function()
    local folder = scratch.path "folder"
    scratch.shell("mkdir '%s'", folder)
    output { "append", folder .. "/bank.rille", "a", "--type", "T" }
    for _, name in ipairs { "/bnak.rille", "/bank", "/bank.rile/" } do
      contains(failure(FAILED, { "stat", folder .. name }), ("(did you mean '%s/bank.rille'?)"):format(folder))
    end
    local inside = ("cd '%s' && exec %s"):format(folder, command_line({ "cat", "bnk.rille" }))
    contains(select(3, shell(inside)), "there is no store at bnk.rille (did you mean 'bank.rille'?)")
    local message = failure(FAILED, { "stat", folder .. "/something" })
    assert(not message:find "did you mean", message)
  end)

  it("that was damaged and is not all there gives what it can, and a status that says so", function()
    local path, copy = scratch.path(), scratch.path()
    for _, text in ipairs { '"sound"', '"damaged"', '"needle"' } do
      output { "append", path, "a", "--type", "T", "--data", text }
    end
    scratch.remove(path .. "/index") -- whoever opens it now looks at the whole log
    scratch.shell("cd '%s/log' && for f in *; do sed -i 's/damaged/damageD/' \"$f\"; done", path)
    for _, words in ipairs { { "export" }, { "cat" }, { "cat", "a" }, { "tail" } } do
      local status, out, err = run { words[1], path, words[2] }
      assert.equal(FAILED, status)
      contains(out, '"sound"')
      assert(not out:find("needle", 1, true))
      contains(err, "NOT all there was: nothing behind position 1 can be read")
      contains(err, "backup")
    end
    local status, _, err = run { "backup", path, copy }
    assert.equal(FAILED, status)
    contains(err, "NOT all there was")
    assert.equal(1, #decode_lines(output { "export", copy }))
    local opened, message, code, detail = rille.open(path, { readonly = true })
    local _ <close> = assert(opened, message)
    assert.same({ "remark", "corrupt", 1 }, { code, detail.code, detail.position })
    assert(detail.address > 0)
  end)

  it("must be a store", function()
    local folder, file = scratch.path "folder", scratch.file("file", "text")
    scratch.shell("mkdir '%s' && touch '%s/x'", folder, folder)
    contains(failure(FAILED, { "stat", folder }), "is no rille store")
    contains(failure(FAILED, { "stat", file }), "is a file")
  end)

  it("that another process has open may be read and written", function()
    local opened, path = stores.new { sync = "always" }
    local store <close> = opened
    stores.fill(store, "counted", 3)
    local reducer = scratch.file("counter.lua", COUNTER)
    for _, words in ipairs { { "export", path }, { "cat", path }, { "tail", path },
      { "fold", path, reducer, "--stream", "counted" }, { "stat", path }, { "verify", path } } do
      assert(#output(words) > 0, words[1])
    end
    assert.equal("version 4, position 4\n", output { "append", path, "counted", "--type", "Counted",
      "--data", '{"n":4}' })
    assert.equal(DONE, (run { "import", path, input = counted_line(5) }))
    assert.equal(5, store:head())
    assert.equal(6, assert(store:append("counted", { type = "Counted", data = { n = 6 } })).last)
    assert_counted(6, path)
  end)

  it("is opened with a remark where its index had to be made anew", function()
    local path = counted(3)
    local file = assert(io.open(path .. "/index/data.mdb", "wb"))
    assert(file:write(("no index"):rep(2000)))
    file:close()
    local status, out, err = run { "append", path, "counted", "--type", "Counted" }
    assert.equal(DONE, status)
    assert.equal("version 4, position 4\n", out)
    local _, remarks = err:gsub("rille: the index was[^\n]*made anew\n", "")
    assert.equal(1, remarks)
    assert.equal("version 5, position 5\n", output { "append", path, "counted", "--type", "C" })
  end)
end)

-- append ------------------------------------------------------------------------------------

describe("append", function()
  it("makes the store, and prints version and position", function()
    local path = scratch.path()
    assert.equal("version 1, position 1\n", output { "append", path, "a", "--type", "T" })
    assert.equal("version 1, position 2\n", output { "append", path, "b", "--type", "T" })
    assert.same({ first = 3, last = 3, version = 2, duplicate = false },
      decode(output { "append", path, "b", "--type", "T", "--json" }))
  end)

  it("writes everything that is given", function()
    local path = scratch.path()
    output { "append", path, "a", "--type", "T", "--data", '{"x":[1,2.0,null]}', "--meta", '"m"',
             "--id", "id-1", "--tag", "t1", "--tag", "t 2" }
    local event = events_of(path)[1]
    assert.equal("a", event.stream)
    assert.equal("T", event.type)
    assert.equal("id-1", event.id)
    assert.equal("m", event.meta)
    assert.same({ "t1", "t 2" }, event.tags)
    assert(values.same({ x = { 1, 2.0, rille.null } }, event.data))
  end)

  it("takes any JSON as data", function()
    local path = scratch.path()
    local given = { { "-5", -5 }, { "false", false }, { "null", rille.null }, { '""', "" },
      { "[]", rille.array {} }, { "{}", {} }, { "-0.0", -0.0 }, { '{"$float":"nan"}', 0 / 0 } }
    for _, case in ipairs(given) do
      output { "append", path, "a", "--type", "T", "--data", case[1] }
    end
    output { "append", path, "a", "--type", "T" }
    local events = events_of(path)
    for i, case in ipairs(given) do assert(values.same(case[2], events[i].data), case[1]) end
    assert.equal(nil, events[#given + 1].data)
  end)

  it("reads data from standard input and from files", function()
    local path = scratch.path()
    output { "append", path, "a", "--type", "T", "--data", "-", input = '{"n":1}\n' }
    output { "append", path, "a", "--type", "T", "--data=-", input = '{"n":2}' }
    output { "append", path, "a", "--type", "T",
             "--data", "@" .. scratch.file("three.json", ' {"n":3} ') }
    assert_counted(3, path)
  end)

  it("names what is wrong in what it read, and makes no store", function()
    local path = scratch.path()
    local bad = "@" .. scratch.file("bad.json", "{")
    local words = { "append", path, "a", "--type", "T", "--data" }
    local function with(data, input)
      return { input = input, table.unpack(table.move({ data }, 1, 1, #words + 1,
        table.move(words, 1, #words, 1, {}))) }
    end
    contains(failure(FAILED, with("-", "nope")), "--data: standard input: column 1")
    contains(failure(FAILED, with "-"), "--data: standard input: column 1")
    contains(failure(FAILED, with(bad)), bad:sub(2) .. ": column 2")
    contains(failure(FAILED, with "@/nowhere/x"), "can't read /nowhere/x: No such file")
    contains(failure(FAILED, with "@/"), "can't read /: Is a directory")
    assert(not exists(path))
  end)

  local refused = {
    { "stream is empty", { "", "--type", "T" } },
    { "stream begins with", { "$a", "--type", "T" } },
    { "stream has 256 bytes", { ("s"):rep(256), "--type", "T" } },
    { "type is empty", { "a", "--type", "" } },
    { "type begins with", { "a", "--type", "$T" } },
    { "id has 256 bytes", { "a", "--type", "T", "--id", ("i"):rep(256) } },
    { "id is empty", { "a", "--type", "T", "--id", "" } },
    { "tags[2] is empty", { "a", "--type", "T", "--tag", "t", "--tag", "" } },
  }
  for _, case in ipairs(refused) do
    it("refuses: " .. case[1], function()
      local path = scratch.path()
      contains(failure(FAILED, { "append", path, table.unpack(case[2]) }), case[1])
      assert(not exists(path))
    end)
  end

  it("takes 64 tags and no more", function()
    local path = scratch.path()
    local words = { "append", path, "a", "--type", "T" }
    for i = 1, 64 do words[#words + 1] = "--tag=" .. i end
    output(words)
    words[#words + 1] = "--tag=65"
    contains(failure(FAILED, words), "tags has 65 entries")
  end)

  it("writes only where the expectation holds", function()
    local path = scratch.path()
    local function with(expect)
      return { "append", path, "a", "--type", "T", "--expect", expect }
    end
    failure(FAILED, with "exists")
    output(with "none")
    contains(failure(FAILED, with "none"), 'stream "a" is at version 1')
    output(with "exists")
    contains(failure(FAILED, with "1"), "expected version 1")
    output(with "2")
    output(with "any")
    assert.equal(4, #events_of(path))
  end)
end)

-- import ------------------------------------------------------------------------------------

local GOOD = '{"stream":"a","type":"T"}\n'

describe("import", function()
  it("reads every field", function()
    local path = scratch.path()
    local status, out, err = run { "import", path, input =
      '{"stream":"a","type":"T","data":{"x":1},"meta":[2],"id":"i","tags":["t"],"time":1.5,'
      .. '"position":77,"version":88}\n' }
    assert.equal(DONE, status)
    assert.equal("", out)
    assert(err:find "^rille: imported 1 event in %d+%.%d s %(%d+ events/s%)\n$", err)
    assert.same({ { stream = "a", type = "T", data = { x = 1 }, meta = { 2 }, id = "i",
                    tags = { "t" }, time = 1.5, position = 1, version = 1 } }, events_of(path))
  end)

  it("gives a summary as JSON", function()
    local path = scratch.path()
    local status, out = run { "import", path, "--json", input = GOOD .. "\n" .. GOOD .. "\n" }
    assert.equal(DONE, status)
    local summary = decode(out)
    assert.equal(2, summary.events)
    assert.equal(4, summary.line)
    assert.equal("float", math.type(summary.seconds))
    assert.equal("float", math.type(summary.events_per_second))
    assert.equal(nil, summary.error)
  end)

  it("reads files, blank lines, carriage returns and an unended last line", function()
    local path = scratch.path()
    local file = scratch.file("lines",
      "\n \t\r\n" .. GOOD:gsub("\n", "\r\n") .. "\n" .. GOOD:sub(1, -2))
    assert.equal(DONE, (run { "import", path, file }))
    assert.equal(DONE, (run { "import", path, "-", input = GOOD }))
    assert.equal(DONE, (run { "import", path, "-", input = "" }))
    assert.equal(3, #events_of(path))
  end)

  it("keeps the order of events over streams and batches", function()
    for _, batch in ipairs { 1, 2, 7, 100 } do
      local path = scratch.path()
      local lines = lines_of(40, function(i)
        return ('{"stream":"s%d","type":"T","data":{"n":%d}}'):format(i // 3 % 4, i)
      end)
      assert.equal(DONE, (run { "import", path, "--batch", batch, input = lines }))
      assert_counted(40, path)
    end
  end)

  it("joins lines that are longer than what is read at once", function()
    local path = scratch.path()
    local lines = lines_of(5, function(i)
      return ('{"stream":"s","type":"T","data":{"n":%d,"long":"%s"}}')
        :format(i, ("x"):rep(i * 50000))
    end)
    assert.equal(DONE, (run { "import", path, input = lines }))
    for i, event in ipairs(events_of(path)) do
      assert.equal(i, event.data.n)
      assert.equal(i * 50000, #event.data.long)
    end
  end)

  it("writes a batch early that is more than an append can hold", function()
    local path, input = scratch.path(), scratch.path "input"
    local file = assert(io.open(input, "wb"))
    local line = '{"stream":"s","type":"T","data":"' .. ("x"):rep(1 << 20) .. '"}\n'
    for _ = 1, 70 do file:write(line) end
    file:close()
    local status, _, err = run { "import", path, input }
    assert.equal(DONE, status)
    contains(err, "imported 70 events")
    scratch.remove(path)
    scratch.remove(input)
  end)

  local long = ("n"):rep(256)
  local tags = '["' .. ("t"):rep(65, '","') .. '"]'
  local bad_lines = {
    { "nonsense", ", column 1: " }, { '{"stream":"a","type":"T"', ", column 25: " },
    { "\xef\xbb\xbf" .. GOOD:sub(1, -2), ", column 1: " }, { '{"stream":"a\xff"}', ", column " },
    { "5", ": an event must be a JSON object" }, { "null", ": an event must be" },
    { "[]", ": stream is missing" }, { "{}", ": stream is missing" },
    { '[{"stream":"a","type":"T"}]', ": unknown field 1" },
    { '{"type":"T"}', ": stream is missing" }, { '{"stream":"a"}', ": type is missing" },
    { '{"stream":5,"type":"T"}', ": stream must be a string" },
    { '{"stream":"a","type":null}', ": type must be a string" },
    { '{"stream":"","type":"T"}', ": stream is empty" },
    { '{"stream":"a","type":""}', ": type is empty" },
    { '{"stream":"' .. long .. '","type":"T"}', ": stream has 256 bytes" },
    { '{"stream":"a","type":"' .. long .. '"}', ": type has 256 bytes" },
    { '{"stream":"$a","type":"T"}', ': stream begins with "$"' },
    { '{"stream":"a","type":"$T"}', ': type begins with "$"' },
    { '{"stream":"a","type":"T","id":""}', ": id is empty" },
    { '{"stream":"a","type":"T","id":7}', ": id must be a string" },
    { '{"stream":"a","type":"T","id":"' .. long .. '"}', ": id has 256 bytes" },
    { '{"stream":"a","type":"T","tags":"t"}', ": tags must be a list of strings" },
    { '{"stream":"a","type":"T","tags":{"t":1}}', ": tags must be a list of strings" },
    { '{"stream":"a","type":"T","tags":["t",1]}', ": tags[2] must be a string" },
    { '{"stream":"a","type":"T","tags":["' .. long .. '"]}', ": tags[1] has 256 bytes" },
    { '{"stream":"a","type":"T","tags":' .. tags .. "}", ": tags has 65 entries" },
    { '{"stream":"a","type":"T","time":"now"}', ": time must be a number of seconds" },
    { '{"stream":"a","type":"T","time":0}', ": time is no time" },
    { '{"stream":"a","type":"T","time":{"$float":"nan"}}', ": time is no time" },
    { '{"stream":"a","type":"T","time":1e13}', ": time is no time" },
    { '{"stream":"a","type":"T","colour":"red"}', ': unknown field "colour"' },
    { '{"stream":"a","type":"T","data":1e999}', ", column " },
    { '{"stream":"a","type":"T","data":' .. ("["):rep(129) .. ("]"):rep(129) .. "}", ", column " },
  }
  for _, case in ipairs(bad_lines) do
    it(("refuses a line: %s"):format(case[2]), function()
      local path = scratch.path()
      local status, out, err = run { "import", path, input = GOOD .. case[1] .. "\n" .. GOOD }
      assert.equal(FAILED, status)
      assert.equal("", out)
      contains(err, "rille: line 2" .. case[2])
      contains(err, "rille: nothing was imported\n")
      assert.equal(0, #events_of(path))
    end)
  end

  it("takes what is just not too much", function()
    local name = ("n"):rep(255)
    local path = scratch.path()
    local line = ('{"stream":"%s","type":"%s","id":"%s","tags":["%s%s"],"time":1e-6,"data":%s}\n')
      :format(name, name, name, ('t","'):rep(63), name, ("["):rep(127) .. ("]"):rep(127))
    assert.equal(DONE, (run { "import", path, input = line }))
    assert.equal(255, #events_of(path)[1].id)
  end)

  it("stops before a bad line's batch, and goes on from there", function()
    local path = scratch.path()
    local broken = lines_of(100):gsub('"n":58}', '"n":58')
    local status, out, err = run { "import", path, "--batch", "10", "--json", input = broken }
    assert.equal(FAILED, status)
    assert.equal(50, decode(out).events)
    assert.equal(50, decode(out).line)
    contains(decode(out).error, "line 58, column")
    contains(err, "rille: line 58, column")
    contains(err, "rille: imported 50 events, up to line 50: go on with --from 51\n")
    assert_counted(50, path)
    assert.equal(DONE, (run { "import", path, "--from", "51", input = lines_of(100) }))
    assert_counted(100, path)
  end)

  it("may be repeated where events have ids", function()
    local path = scratch.path()
    local lines = lines_of(250, function(i)
      return ('{"stream":"counted","type":"Counted","id":"i%d","data":{"n":%d}}'):format(i, i)
    end)
    local half = lines:match("^" .. ("[^\n]*\n"):rep(100))
    assert.equal(DONE, (run { "import", path, "--batch", "50", input = half }))
    local status, out, err = run { "import", path, "--batch", "50", "--json", input = lines }
    assert.equal(DONE, status)
    assert(err:find "^rille: imported 150 events in [^\n]*, 100 were there already\n$", err)
    assert.same({ 150, 100, 250 }, { decode(out).events, decode(out).duplicates, decode(out).line })
    assert_counted(250, path)
    status, out = run { "import", path, "--batch", "50", "--json", input = lines }
    assert.equal(DONE, status)
    assert.same({ 0, 250 }, { decode(out).events, decode(out).duplicates })
    assert_counted(250, path)
  end)

  it("refuses a batch that is known in part", function()
    local path = scratch.path()
    local line = '{"stream":"a","type":"T","id":"%s"}\n'
    assert.equal(DONE, (run { "import", path, input = line:format "1" }))
    local status, _, err = run { "import", path, input = line:format "1" .. line:format "2" }
    assert.equal(FAILED, status)
    contains(err, "rille: lines 1 to 2: ")
    contains(err, '"a"')
    assert.equal(1, #events_of(path))
  end)

  it("names lines as the file has them, whatever --from says", function()
    local path = scratch.path()
    local _, _, err = run { "import", path, "--from", "3", input = GOOD .. "x\n" .. GOOD .. "y\n" }
    contains(err, "rille: line 4, column 1: ")
    _, _, err = run { "import", path, "--from", "9", input = GOOD }
    contains(err, "imported 0 events")
  end)

  it("makes no store where there is nothing to read", function()
    local path = scratch.path()
    contains(failure(FAILED, { "import", path, "/nowhere/x" }), "can't read /nowhere/x: No such")
    assert(not exists(path))
    local status, _, err = run { "import", path, "/" }
    assert.equal(FAILED, status)
    contains(err, "can't read /: Is a directory")
  end)
end)

describe("an import that is ended from outside", function()
  local ALL, GIVEN, BATCH = 20000, 15000, 100

  ---Starts an import, gives it the first lines, and sends it a signal when it must have
  ---read most of them: a pipe and a read buffer hold no more than 128 KiB.
  local function interrupted(path, signal)
    local pid, err, status = scratch.path "pid", scratch.path "err", scratch.path "status"
    local inner = ("echo $$ >'%s'; exec %s 2>'%s'"):format(pid,
      command_line { "import", path, "--batch", BATCH }, err)
    local pipe = assert(io.popen(("sh -c %s; echo $? >'%s'; cat >/dev/null"):format(
      quoted(inner), status), "w"))
    assert(pipe:write(lines_of(GIVEN)))
    assert(pipe:flush())
    scratch.shell("kill -%s $(cat '%s')", signal, pid)
    pipe:close()
    return tonumber(scratch.read(status)), scratch.read(err)
  end

  local function finish(path, from)
    local status = run { "import", path, "--from", from, input = lines_of(ALL) }
    assert.equal(DONE, status)
    assert_counted(ALL, path)
    assert.equal(DONE, (run { "verify", path }))
  end

  it("by kill -9 leaves whole batches, and can go on", function()
    local path = scratch.path()
    assert.equal(128 + 9, (interrupted(path, "KILL")))
    local _, out = run { "stat", path, "--json" }
    local head = decode(out).head
    assert(head > 0 and head <= GIVEN, head)
    assert.equal(0, head % BATCH)
    assert_counted(head, path)
    finish(path, head + 1)
  end)

  it("by ^C says how far it came", function()
    local path = scratch.path()
    local status, err = interrupted(path, "INT")
    assert.equal(FAILED, status)
    contains(err, "rille: interrupted\n")
    local from = math.tointeger(tonumber(err:match "go on with %-%-from (%d+)\n$"))
    assert.equal(#events_of(path), from - 1)
    finish(path, from)
  end)
end)

-- export ------------------------------------------------------------------------------------

local NASTY = {
  0, -1, math.maxinteger, math.mininteger, 1.0, -0.0, 0.0, 1 / 0, -1 / 0, 0 / 0, 0.1, 5e-324,
  2.0 ^ 53, 1e300, true, false, rille.null, "", "a\0b", "\xff\xfe", "\u{10ffff}", "\27[31m", "\n",
  "$bytes", {}, rille.array {}, { {} }, { rille.array {} }, { [1] = 1, [3] = 3 }, { [-1] = 0 },
  { [math.mininteger] = 1 }, { ["\xff"] = 1 }, { ["$bytes"] = "QQ==" }, { ["$float"] = 1 },
  { ["$pairs"] = {} }, { [""] = "" }, { 1, 2.0, "3", { four = { 5 } } }, values.nested(127, "k"),
  values.nested(127, 1), ("x"):rep(100000),
}

local function write_nasty(path)
  local store <close> = assert(rille.open(path, { sync = "never" }))
  for i, value in ipairs(NASTY) do
    assert(store:append("s-" .. i % 3, { type = "T", data = value, meta = value, time = i + 1e-6 }))
  end
  for i = 1, 200 do
    local event = { type = "R" .. i % 5, data = values.random(4), tags = { "t" .. i } }
    assert(store:append("random", event))
  end
  for _, name in ipairs { "\0", "\xff", "\27", "ü", (" "):rep(255), "{}" } do
    assert(store:append(name, { type = name, id = name, tags = { name, "other" }, data = name }))
  end
  assert(store:append("a", { type = "Nothing" }))
end

---What an event is, exactly: its values as bytes.
local function exact(event)
  event.data = event.data ~= nil and rille.encode(event.data) or nil
  event.meta = event.meta ~= nil and rille.encode(event.meta) or nil
  return event
end

describe("export", function()
  it("and import give the same events", function()
    local from, to = scratch.path(), scratch.path()
    write_nasty(from)
    local status = shell(("set -e; %s >'%s.jsonl'; %s <'%s.jsonl'"):format(
      command_line { "export", from }, to, command_line { "import", to, "--batch", "17" }, to))
    assert.equal(DONE, status)
    local expected, got = events_of(from), events_of(to)
    assert.equal(#expected, #got)
    for i, event in ipairs(expected) do assert.same(exact(event), exact(got[i])) end
    assert.equal(output { "export", from }, output { "export", to })
  end)

  it("prints what is there and nothing else", function()
    local path = scratch.path()
    output { "append", path, "a", "--type", "T", "--id", "i" }
    local event = decode(output { "export", path })
    assert(event.time > 1e9)
    event.time = nil
    assert.same({ stream = "a", type = "T", id = "i", position = 1, version = 1 }, event)
  end)

  it("selects by position, stream and type", function()
    local path = scratch.path()
    local lines = lines_of(12, function(i)
      return ('{"stream":"s%d","type":"T%d"}'):format(i % 2, i % 3)
    end)
    assert.equal(DONE, (run { "import", path, input = lines }))
    local function positions(...)
      local list = {}
      for i, event in ipairs(decode_lines(output { "export", path, ... })) do
        list[i] = event.position
      end
      return list
    end
    assert.same(stores.range(1, 12), positions())
    assert.same({ 11, 12 }, positions("--after", "10"))
    assert.same({}, positions("--after", "12"))
    assert.same({ 2, 4, 6, 8, 10, 12 }, positions("--stream", "s0"))
    assert.same({ 3, 6, 9, 12 }, positions("--type", "T0"))
    assert.same({ 1, 3, 4, 6, 7, 9, 10, 12 }, positions("--type", "T0", "--type", "T1"))
    assert.same({ 6, 12 }, positions("--type", "T0", "--stream", "s0"))
    assert.same({}, positions("--stream", "none"))
    contains(failure(FAILED, { "export", path, "--after", "13" }), "after = 13 is beyond the end")
    contains(failure(FAILED, { "export", path, "--stream", "" }), "stream is empty")
    contains(failure(FAILED, { "export", path, "--type", "" }), "type is empty")
  end)

  it("fails where a body is damaged, after what is sound", function()
    local path = scratch.path()
    output { "append", path, "a", "--type", "T", "--data", '"sound"' }
    output { "append", path, "a", "--type", "T", "--data", '"needle"' }
    output { "append", path, "a", "--type", "T", "--data", '"behind it"' }
    scratch.shell("cd '%s/log' && for f in *; do sed -i 's/needle/noodle/' \"$f\"; done", path)
    local status, out, err = run { "export", path }
    assert.equal(FAILED, status)
    contains(out, '"sound"')
    assert(not out:find("noodle", 1, true))
    assert(err:find "^rille: ", err)
  end)
end)

-- cat ---------------------------------------------------------------------------------------

---Whether `script` runs a command on a terminal of its own here.
local HAS_SCRIPT = shell "script -qec true /dev/null </dev/null" == 0

---What the command shows on a terminal of 80 columns.
local function on_terminal(words, environment)
  local inner = ("stty cols 80; %s %s"):format(environment or "TERM=xterm", command_line(words))
  local status, out = shell(("TZ=UTC script -qec %s /dev/null </dev/null"):format(quoted(inner)))
  assert.equal(DONE, status)
  return (out:gsub("\r\n", "\n"))
end

local function terminal_it(name, test)
  it(name, function()
    if not HAS_SCRIPT then return pending "util-linux's script is not here" end
    test()
  end)
end

describe("cat", function()
  local function numbers(...)
    local list = {}
    for i, event in ipairs(decode_lines(output { "cat", ... })) do list[i] = event.data.n end
    return list
  end

  it("prints JSON lines where there is no terminal", function()
    local path = counted(5)
    assert.equal(output { "export", path }, output { "cat", path })
    assert.equal(output { "export", path }, output { "cat", path, "--json" })
  end)

  it("selects", function()
    local path = counted(5)
    output { "append", path, "other", "--type", "T", "--data", '{"n":6}' }
    output { "append", path, "counted", "--type", "T", "--data", '{"n":7}' }
    assert.same({ 4, 5, 6, 7 }, numbers(path, "--after", "3"))
    assert.same({ 1, 2 }, numbers(path, "--limit", "2"))
    assert.same({ 7, 6 }, numbers(path, "--limit", "2", "--reverse"))
    assert.same({ 6 }, numbers(path, "other"))
    assert.same({ 7, 5 }, numbers(path, "counted", "--limit", "2", "--reverse"))
    assert.same({ 7 }, numbers(path, "counted", "--after", "5"))
    assert.same({}, numbers(path, "none"))
    contains(failure(FAILED, { "cat", path, "" }), "stream is empty")
  end)

  terminal_it("shows a table on a terminal", function()
    local path = scratch.path()
    local data = '{"text":"' .. ("long "):rep(50) .. '"}'
    assert.equal(DONE, (run { "import", path, input =
      '{"stream":"a","type":"T","time":86400,"data":' .. data .. '}\n'
      .. '{"stream":"日本","type":"ev\\u001b[31mil","time":86401.5}\n' }))
    local lines = {}
    for line in on_terminal({ "cat", path }, "NO_COLOR=1"):gmatch "([^\n]*)\n" do
      lines[#lines + 1] = line
    end
    assert.equal("position  time                 stream  version  type          data", lines[1])
    assert.equal("       1  1970-01-02 00:00:00  a             1  T             "
      .. '{"text":"long lon…', lines[2])
    assert.equal("       2  1970-01-02 00:00:01  日本          1  ev\\x1b[31mil", lines[3])
    assert.equal(3, #lines)
  end)

  terminal_it("uses colour on a terminal unless told not to", function()
    local path = counted(1)
    contains(on_terminal { "cat", path }, "\27[")
    for _, environment in ipairs { "NO_COLOR=1", "TERM=dumb" } do
      assert(not on_terminal({ "cat", path }, environment):find("\27", 1, true))
    end
    assert.equal(output { "cat", path }, on_terminal { "cat", path, "--json" })
  end)

  terminal_it("shows tables of any length", function()
    local shown = on_terminal({ "cat", counted(1000) }, "NO_COLOR=1")
    local _, lines = shown:gsub("\n", "")
    assert.equal(1001, lines)
    contains(shown, '{"n":1000}\n')
  end)
end)

-- tail --------------------------------------------------------------------------------------

describe("rille process", function()
  local SCRIPT = [[return { from = { types = { "Counted" } }, on = { Counted = function(event, ctx)
    ctx:emit("copies", { type = "Copied", data = event.data }, { to = "there" })
  end } }]]

  it("emits to the stores that it is told, alone or together", function()
    for _, how in ipairs { {}, { "--together" } } do
      local here, there, script = counted(3), counted(0), scratch.file("copy.lua", SCRIPT)
      local words = { "process", here, "copy", script, "--to", "there=" .. there, table.unpack(how) }
      contains(output(words), "copy: at position")
      output(words)
      local lines = output { "export", there, "--type", "Copied" }
      assert.equal(3, select(2, lines:gsub("\n", "")), lines)
    end
  end)

  it("says what is wrong with them", function()
    local here, script = counted(1), scratch.file("copy.lua", SCRIPT)
    contains(failure(USAGE, { "process", here, "copy", script, "--to", "there" }), "--to needs NAME=STORE")
    local absent = "there=" .. here .. "-not"
    contains(failure(FAILED, { "process", here, "copy", script, "--to", absent }), "there is no store")
    contains(failure(FAILED, { "process", here, "copy", script }), "unknown store 'there'")
    contains(failure(USAGE, { "process", here, "copy", script, "--together" }), "--together")
  end)
end)

describe("tail", function()
  local function numbers(...)
    local list = {}
    for i, event in ipairs(decode_lines(output { "tail", ... })) do list[i] = event.data.n end
    return list
  end

  it("shows the last events, the oldest first", function()
    local path = counted(25)
    output { "append", path, "other", "--type", "T", "--data", '{"n":26}' }
    assert.same(stores.range(17, 26), numbers(path))
    assert.same({ 25, 26 }, numbers(path, "-n", "2"))
    assert.same({ 26 }, numbers(path, "-n1"))
    assert.same({}, numbers(path, "-n", "0"))
    assert.same(stores.range(1, 26), numbers(path, "-n", "99", "--json"))
    assert.same({ 24, 25 }, numbers(path, "--type", "Counted", "-n", "2"))
    assert.same({ 25, 26 }, numbers(path, "--type", "Counted", "--type", "T", "-n", "2"))
    assert.same({}, numbers(path, "--type", "None"))
    contains(failure(FAILED, { "tail", path, "--type", "" }), "type is empty")
    local status, out = run { "tail", scratch.file("x", "y") }
    assert.equal(FAILED, status)
    assert.equal("", out)
  end)

  terminal_it("shows a table on a terminal", function()
    local shown = on_terminal({ "tail", counted(12) }, "NO_COLOR=1")
    assert(shown:find "^position  time +stream +version  type +data\n +3  ", shown)
    local _, lines = shown:gsub("\n", "")
    assert.equal(11, lines)
  end)

  ---A `tail -f` that runs: line(), signal(name), finish() -> output, status.
  local function following(...)
    local words = command_line { "tail", "-f", ... }
    local pipe = assert(io.popen("echo $$; exec " .. words .. " 2>&1"))
    local pid = pipe:read "l"
    return {
      line = function() return pipe:read "l" end,
      number = function() return decode(pipe:read "l").data.n end,
      signal = function(name) scratch.shell("kill -%s %s", name, pid) end,
      finish = function()
        local rest = pipe:read "a"
        local _, how, status = pipe:close()
        return rest, how == "signal" and 128 + status or status
      end,
    }
  end

  it("-f shows what other processes write, as soon as it is there", function()
    for _, sync in ipairs { "always", "never" } do
      local opened, path = stores.new { sync = sync }
      local store <close> = opened
      stores.fill(store, "counted", 3)
      local tail = following(path, "-n", "1", "--type", "Counted")
      assert.equal(3, tail.number())
      for n = 4, 20 do
        assert(store:append("noise", { type = "Noise" }))
        assert(store:append("counted", { type = "Counted", data = { n = n } }))
        assert.equal(n, tail.number())
      end
      assert.equal("version 21, position 38\n", output { "append", path, "counted", "--type", "Counted",
        "--data", '{"n":21}' })
      assert.equal(21, tail.number())
      tail.signal "INT"
      assert.same({ "", DONE }, { tail.finish() })
    end
  end)

  it("-f shows what is written by those who come and go", function()
    local path = counted(1)
    local tail = following(path)
    assert.equal(1, tail.number())
    for n = 2, 5 do
      output { "append", path, "counted", "--type", "Counted", "--data", ('{"n":%d}'):format(n) }
      assert.equal(n, tail.number())
    end
    tail.signal "INT"
    assert.same({ "", DONE }, { tail.finish() })
  end)

  it("-f of an empty store waits for the first event", function()
    local opened, path = stores.new { sync = "always" }
    local store <close> = opened
    local tail = following(path)
    stores.fill(store, "counted", 1)
    assert.equal(1, tail.number())
    tail.signal "TERM"
    assert.same({ "", DONE }, { tail.finish() })
  end)

  for _, name in ipairs { "INT", "TERM" } do
    it("-f leaves quietly on SIG" .. name, function()
      local tail = following(counted(1))
      assert.equal(1, tail.number())
      tail.signal(name)
      assert.same({ "", DONE }, { tail.finish() })
    end)
  end

  it("-f leaves quietly when nobody reads any more", function()
    local opened, path = stores.new { sync = "always" }
    local store <close> = opened
    stores.fill(store, "counted", 1)
    local status, err = scratch.path "status", scratch.path "err"
    local pipe = assert(io.popen(("{ %s 2>'%s'; echo $? >'%s.new'; mv '%s.new' '%s'; } | head -n 1"):format(
      command_line { "tail", "-f", path }, err, status, status, status)))
    assert.equal(1, decode(pipe:read "l").data.n) -- and head ends
    local give_up = os.time() + 60
    while not exists(status) and os.time() < give_up do
      assert(store:append("counted", { type = "Counted", data = ("x"):rep(1000) }))
    end
    pipe:close()
    assert.equal("0\n", scratch.read(status))
    assert.equal("", scratch.read(err))
  end)
end)

-- fold --------------------------------------------------------------------------------------

describe("fold", function()
  it("prints the state", function()
    local path, script = counted(9), scratch.file("counter.lua", COUNTER)
    assert.equal('{"n":9}\n', output { "fold", path, script, "--stream", "counted" })
    assert.equal('{"n":9}\n', output { "fold", path, script, "--key", "counted" })
    assert.equal('{"n":4}\n',
      output { "fold", path, script, "--stream", "counted", "--version", "4" })
    assert.equal('{"n":3}\n', output { "fold", path, script, "--key", "counted", "--at", "3" })
    assert.equal('{"n":0}\n', output { "fold", path, script, "--key", "none" })
    assert.equal('{"n":18.0}\n', output { "fold", path, script, "--key", "counted",
      "--param", "by=2.0", "--param", 'other="x=y"' })
  end)

  it("prints position, version and key with --json", function()
    local path, script = counted(9), scratch.file("counter.lua", COUNTER)
    assert.same({ state = { n = 4 }, position = 9, version = 4 },
      decode(output { "fold", path, script, "--stream", "counted", "--version", "4", "--json" }))
    local keyed = decode(output { "fold", path, script, "--key", "counted", "--json" })
    assert.equal("counted", keyed.key)
    assert.same({ n = 9 }, keyed.state)
    assert.equal(9, keyed.position)
    output { "append", path, "counted", "--type", "Forgotten" }
    assert.equal("null\n", output { "fold", path, script, "--key", "counted" })
    assert.equal(rille.null,
      decode(output { "fold", path, script, "--key", "counted", "--json" }).state)
  end)

  terminal_it("prints it over several lines on a terminal", function()
    local path, script = counted(9), scratch.file("counter.lua", COUNTER)
    assert.equal('{\n  "n": 9\n}\n', on_terminal { "fold", path, script, "--key", "counted" })
  end)

  terminal_it("gives no controls to a terminal, whatever a script says", function()
    local path = counted(1)
    local evil = scratch.file("evil.lua", [[
return { initial = {}, on = { Counted = function() error "\27[31mred" end } }]])
    local status, out = shell(("script -qec %s /dev/null </dev/null")
      :format(quoted(command_line { "fold", path, evil })))
    assert.equal(FAILED, status)
    contains(out, "evil.lua:1: \\x1b[31mred")
    assert(not out:find("\27", 1, true))
  end)

  it("says what is wrong with a script", function()
    local path, script = counted(9), scratch.file("counter.lua", COUNTER)
    local failing = scratch.file("failing.lua", [[
return { initial = {}, on = { Counted = function(state, event)
  if event.data.n == 3 then error "three" end
end } }]])
    local message = failure(FAILED, { "fold", path, failing })
    contains(message, "failing.lua:2: three")
    contains(message, "position 3")
    contains(failure(FAILED, { "fold", path, "/nowhere/x.lua" }), "/nowhere/x.lua")
    contains(failure(FAILED, { "fold", path, scratch.file("bad.lua", "return {") }), "bad.lua:1:")
    contains(failure(FAILED, { "fold", path, script }), "give --stream S")
    contains(failure(FAILED, { "fold", path, script, "--key", "a", "--at", "10" }),
      "beyond the head")
    contains(failure(FAILED, { "fold", path, script, "--stream", "" }), "stream is empty")
    contains(failure(FAILED, { "fold", path, script, "--stream", "counted", "--version", "10" }),
      "version = 10 is beyond")
  end)
end)

-- stat, verify ------------------------------------------------------------------------------

describe("stat", function()
  it("prints names and values", function()
    local path = counted(7)
    local text = output { "stat", path }
    contains(text, "head\t7\n")
    contains(text, "streams\t1\n")
    assert(text:find "^uuid\t%x+%-[%x-]+\n", text)
    local stats = decode(output { "stat", path, "--json" })
    assert.equal(7, stats.head)
    assert.equal(7, stats.durable)
    local shown = 0
    for name, value in text:gmatch "(%S+)\t(%S+)\n" do
      shown = shown + 1
      assert.equal(tostring(stats[name]), value, name)
    end
    for _ in pairs(stats) do shown = shown - 1 end
    assert.equal(0, shown)
  end)

  terminal_it("prints a table on a terminal", function()
    local text = on_terminal({ "stat", counted(1234) }, "NO_COLOR=1")
    assert(text:find "\nhead +1,234\n", text)
    assert(text:find "\nlog_bytes +[%d.]+ KiB\n", text)
    assert(text:find "\nfailed +no\n", text)
    assert(text:find "\ncreated +%d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d\n", text)
    assert(text:find("\n\n", 1, true), "no groups")
  end)
end)

describe("verify", function()
  it("finds nothing in a sound store", function()
    local path = counted(7)
    assert(output({ "verify", path }):find "^7 events, %d+ bytes: no problems\n$")
    local result = decode(output { "verify", path, "--json" })
    assert.equal(7, result.events)
    assert.equal(7, result.readable)
    assert.equal(true, result.ok)
    assert.equal("rille.array", getmetatable(result.problems))
  end)

  it("names what is damaged", function()
    local path = scratch.path()
    output { "append", path, "a", "--type", "T", "--data", '"sound"' }
    output { "append", path, "a", "--type", "T", "--data", '"needle"' }
    output { "append", path, "a", "--type", "T", "--data", '"behind it"' }
    scratch.shell("cd '%s/log' && for f in *; do sed -i 's/needle/noodle/' \"$f\"; done", path)
    local status, out = run { "verify", path, "--json" }
    assert.equal(FAILED, status)
    local result = decode(out)
    assert.equal(false, result.ok)
    assert.equal(1, result.readable)
    local problem = result.problems[1]
    assert.equal("L7", problem.invariant)
    assert.equal(2, problem.position)
    assert(problem.address > 0)
    status, out = run { "verify", path }
    assert.equal(FAILED, status)
    contains(out, ("L7 at byte %d, position 2: %s\n"):format(problem.address, problem.message))
    contains(out, "readable up to position 1\n")
  end)

  it("reports a store that is too damaged to be opened", function()
    local path = counted(3)
    local file = assert(io.open(path .. "/store", "r+b"))
    file:seek("set", 20)
    assert(file:write "XXXX")
    file:close()
    local status, out, err = run { "verify", path }
    assert.equal(FAILED, status)
    assert.equal("", err)
    contains(out, "open at byte ")
    contains(out, "1 problem;")
    status, out = run { "verify", path, "--json" }
    assert.equal(FAILED, status)
    assert.equal(false, decode(out).ok)
    assert.equal(1, #decode(out).problems)
    contains(failure(FAILED, { "stat", path }), path)
  end)
end)

-- rebuild, backup ---------------------------------------------------------------------------

describe("rebuild", function()
  it("makes the index anew", function()
    local path = counted(7)
    assert(output({ "rebuild", path }):find "^made the index of 7 events anew in %d+%.%d s\n$")
    local result = decode(output { "rebuild", path, "--json" })
    assert.equal(7, result.events)
    assert.equal("float", math.type(result.seconds))
    assert(output({ "verify", path }):find "no problems")
    assert_counted(7, path)
  end)

  it("mends an index that is gone or is none", function()
    local path = counted(7)
    scratch.remove(path .. "/index")
    output { "rebuild", path }
    local file = assert(io.open(path .. "/index/data.mdb", "wb"))
    assert(file:write(("no index"):rep(2000)))
    file:close()
    output { "rebuild", path }
    assert_counted(7, path)
  end)

  it("needs the store alone, and a store", function()
    local opened, path = stores.new()
    local store <close> = opened
    stores.fill(store, "counted", 1)
    local message = failure(FAILED, { "rebuild", path })
    contains(message, "close it in all of them")
    local absent = scratch.path()
    contains(failure(FAILED, { "rebuild", absent }), "there is no store at " .. absent)
    assert(not exists(absent))
  end)
end)

describe("backup", function()
  it("copies a store, also one that is in use", function()
    local opened, path = stores.new { sync = "always", segment_bytes = 65536 }
    local store <close> = opened
    stores.fill(store, "counted", 3000, 100)
    local copy = scratch.path()
    assert(output({ "backup", path, copy }):find("^copied 3000 events, [%d.]+ %S+ to "))
    stores.fill(store, "behind", 5)
    assert_counted(3000, copy)
    assert(output({ "verify", copy }):find "no problems")
    local again = scratch.path()
    local result = decode(output { "backup", path, again, "--json" })
    assert.equal(3005, result.events)
    assert.equal(store:stats().log_bytes, result.log_bytes)
    assert.equal("version 3001, position 3001\n", output { "append", copy, "counted", "--type", "T" })
    assert.equal(3005, store:head())
  end)

  it("copies into a folder that is not there yet", function()
    local path, copy = counted(3), scratch.path()
    output { "backup", path, copy }
    contains(failure(FAILED, { "backup", path, copy }), copy)
    contains(failure(FAILED, { "backup", path, path }), path)
    contains(failure(FAILED, { "backup", path, "/nowhere/x" }), "/nowhere/x")
    contains(failure(FAILED, { "backup", path, "" }), "empty")
    assert_counted(3, copy)
  end)
end)

-- Output that can't be written --------------------------------------------------------------

describe("standard output", function()
  local path = counted(20000)

  ---The status of a command in a pipe of which one line is read.
  local function status_before_head(words, prefix)
    local file = scratch.path "status"
    local _, out, err = shell(("%s { %s; echo $? >'%s'; } | head -n 1"):format(prefix or "",
      command_line(words), file))
    assert.equal("", err)
    local _, lines = out:gsub("\n", "")
    assert.equal(1, lines)
    return tonumber(scratch.read(file))
  end

  it("that nobody reads any more ends the command quietly", function()
    assert.equal(BROKEN_PIPE, status_before_head { "export", path })
    assert.equal(BROKEN_PIPE, status_before_head { "cat", path })
  end)

  it("may be closed also where the signal of broken pipes is ignored", function()
    assert.equal(BROKEN_PIPE, status_before_head({ "export", path }, "trap '' PIPE;"))
  end)

  it("that is full is a failure", function()
    if not exists "/dev/full" then return pending "/dev/full is not here" end
    local all = { { "export", path }, { "stat", path }, { "--help" }, { "--version" } }
    for _, words in ipairs(all) do
      local status, _, err = shell(command_line(words) .. " >/dev/full")
      assert.equal(FAILED, status)
      contains(err, "rille: can't write the output: No space left on device\n")
    end
  end)

  it("that is closed never becomes a file of the store", function()
    local bad = scratch.file("bad", GOOD .. "bad\n")
    for _, closed in ipairs { ">&-", "2>&-", "<&-", ">&- 2>&-", "<&- 2>&-", "<&- >&- 2>&-" } do
      local store = counted(1)
      local words = { "import", store, bad, "--batch", "1", "--json" }
      assert.equal(FAILED, (shell(command_line(words) .. " " .. closed)))
      assert.equal(DONE, (run { "verify", store }))
      assert.equal(2, #events_of(store))
    end
    local status, _, err = shell(command_line { "stat", path } .. " >&-")
    assert.equal(FAILED, status)
    contains(err, "rille: can't write the output: Bad file descriptor\n")
  end)
end)

describe("progress", function()
  terminal_it("is shown on a terminal when work takes longer than a second", function()
    local path, lines = scratch.path(), scratch.file("lines", lines_of(2000))
    local inner = ("(cat '%s'; sleep 1.2; cat '%s') | %s"):format(lines, lines,
      command_line { "import", path, "--batch", "10" })
    local status, out = shell(("script -qec %s /dev/null </dev/null"):format(quoted(inner)))
    assert.equal(DONE, status)
    assert(out:find "\27%[K[%d,]+ events  [%d,]+ events/s\r?", out)
    contains(out, "\27[Krille: imported 4000 events in ")
  end)

  terminal_it("is not shown where it is short", function()
    local lines = scratch.file("lines", lines_of(20))
    local out
    for _ = 1, 10 do
      out = on_terminal { "import", scratch.path(), lines, "--batch", "1" }
      if tonumber(out:match "rille: imported 20 events in ([%d.]+) s" or 0) < 0.9 then break end -- else a slow disk
    end
    contains(out, "rille: imported 20 events in ")
    assert(not out:find("events/s\r", 1, true) and not out:find("\27", 1, true), out)
  end)
end)
