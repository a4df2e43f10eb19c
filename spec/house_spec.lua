-- house_spec.lua: the rules of this code that a machine can check.
local place = require "spec.support.place"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"

local BUILD = os.getenv "RILLE_BUILD" or "build"
local LUA = os.getenv "RILLE_LUA" or "lua5.4"
local FUNCTION_LINES = 70
local FILE_LINES = 700
local C_COLUMNS = 100
local LUA_COLUMNS = 120
local GENERATED = { ["lua/scripts.h"] = true, ["lua/postgres/scripts.h"] = true, ["core/checksum_table.h"] = true }

---What each file of the core may include, besides rille.h, base.h and its own header.
---A name stands for the header; order is from the ground up: everything named in a
---row stands above that row. checksum_table.h is a part of checksum.c.
local ORDER = {
  { "base" },
  { "system", uses = "" },
  { "error", uses = "system" }, -- the system's words for errno
  { "buffer", uses = "error" },
  { "checksum", uses = "checksum_table" },
  { "hash", uses = "" },
  { "sha256", uses = "" },
  { "chain", uses = "error buffer" },
  { "frame", uses = "error buffer checksum" },
  { "scan", uses = "error buffer checksum frame" },
  { "repair", uses = "error buffer scan" },
  { "packed", uses = "buffer checksum error system" },
  { "map", uses = "buffer system" },
  { "segment", uses = "error map packed repair system" }, -- repair: it is the disk that is mended
  { "tail", uses = "error repair segment system" }, -- of the log, as segment.h declares it
  { "identity", uses = "error checksum system" },
  { "control", uses = "error frame identity system" }, -- frame: struct log_end
  { "pack", uses = "buffer" },
  { "offer", uses = "buffer control pack" },
  { "promise", uses = "error frame pack" },
  { "decision", uses = "pack" },
  { "pending", uses = "error frame promise" },
  { "overlay", uses = "error buffer chain" },
  { "entry", uses = "checksum chain frame" },
  { "pages", uses = "buffer entry system" },
  { "sum", uses = "buffer checksum pages system" },
  { "lockfile", uses = "system" },
  { "index", uses = "entry error frame lockfile overlay sum system" }, -- overlay: enum word_kind
  { "redact", uses = "frame overlay pack" },
  { "note", uses = "decision error frame hash identity overlay pending redact" },
  { "query", uses = "error buffer frame" },
  { "locks", uses = "error pending query" },
  { "recall", uses = "error scan" },
  { "log", uses = "error note system control index overlay pending recall segment" },
  { "follow", uses = "error log redact" },
  { "rewrite", uses = "checksum error log packed" },
  { "anew", uses = "error log" },
  { "flush", uses = "error log offer" },
  { "fold", uses = "error log" },
  { "open", uses = "error checksum log system" },
  { "cursor", uses = "error log" },
  { "merge", uses = "error cursor" },
  { "plan", uses = "error merge query" },
  { "reader", uses = "error plan" },
  { "input", uses = "error frame" },
  { "condition", uses = "error locks log note overlay query reader" },
  { "build", uses = "checksum error log note" },
  { "scavenge", uses = "error note rewrite" },
  { "redaction", uses = "anew build error log offer redact scavenge" },
  { "append", uses = "error build condition input locks log offer" },
  { "share", uses = "error build condition log offer" },
  { "participant", uses = "error build condition input log recall" },
  { "home", uses = "error build condition decision input log recall" },
  { "steps", uses = "error buffer" },
  { "creation", uses = "error identity segment system" },
  { "table", uses = "creation error home log redaction" },
  { "store", uses = "creation error home input log reader system table" },
  { "instance", uses = "error home store table" },
  { "doubts", uses = "decision error note recall store" },
  { "settle", uses = "doubts error home input instance participant query recall" },
  { "transaction", uses = "error instance participant recall settle" },
  { "drive", uses = "buffer error system" },
  { "retention", uses = "error redaction scavenge store" },
  { "kept", uses = "error store system" },
  { "marks", uses = "error store" },
  { "verify", uses = "error note scan store" },
  { "audit", uses = "error scavenge verify" },
  { "backup", uses = "error scavenge store" },
}

local function lines_of(path)
  local list = {}
  for line in io.lines(path) do list[#list + 1] = line end
  return list
end

local function text_of(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

local function paths(command)
  local list = {}
  for path in process.run(command):gmatch "[^\n]+" do list[#list + 1] = path end
  return list
end

local C_FILES = paths("ls core/*.c core/*.h lua/*.c lua/*.h lua/postgres/*.c lua/postgres/*.h spec/c/*.c spec/c/*.h " ..
  "spec/power/*.c spec/power/*.h spec/fuzz/*.c spec/fuzz/*.h bench/*.c bench/*.h")
local LUA_FILES = paths "find lua spec examples bench -name '*.lua' | LC_ALL=C sort"
local TEXT_FILES = paths([[find . \( -path ./.git -o -path ./build -o -path ./bench-scratch \) -prune -o -type f ]] ..
  [[\( -name '*.[ch]' -o -name '*.lua' -o -name '*.md' -o -name Makefile -o -name '*.yml' -o -name '*.rockspec' ]] ..
  [[-o -path './.ci/*' -o -name .luacheckrc \) -print | LC_ALL=C sort]])

---Runs a check on each file; all complaints make one failure.
local function none(files, check)
  local found = {}
  for _, path in ipairs(files) do
    check(path, function(...) found[#found + 1] = (...):format(select(2, ...)) end)
  end
  if #found > 0 then error(#found .. " places:\n" .. table.concat(found, "\n"), 2) end
end

describe("includes", function()
  it("of lmdb.h are in core/index.c alone, but for a test that holds LMDB's locks", function()
    local found, outside = {}, { ["spec/c/pause_test.c"] = true }
    for _, path in ipairs(C_FILES) do
      local free = path:find "^bench/" or outside[path]
      if not free and text_of(path):find "#include%s*[<\"]lmdb%.h" then found[#found + 1] = path end
    end
    assert.same({ "core/index.c" }, found)
  end)

  it("of libpq are under lua/postgres/ alone, but for a peer of the bench", function()
    none(C_FILES, function(path, complain)
      if path:find "^lua/postgres/" or path == "bench/peer_databases.c" then return end
      if text_of(path):find "#include%s*[<\"]libpq" then complain("%s includes libpq", path) end
    end)
  end)

  it("of Lua are under lua/ alone, but for the helpers of specs", function()
    local helpers = { ["spec/c/failing_alloc.c"] = true, ["spec/c/failing_calls.c"] = true,
                      ["spec/c/forked.c"] = true }
    none(C_FILES, function(path, complain)
      if path:find "^lua/" or path:find "^spec/fuzz/" or helpers[path] then return end
      if text_of(path):find "#include%s*[<\"]l[ua][ua][^\n]*%.h" then complain("%s includes Lua", path) end
    end)
  end)

  it("of the core point down, and not at peers", function()
    local may, seen = {}, {}
    for _, row in ipairs(ORDER) do
      local allowed = { rille = true, base = true, [row[1]] = true }
      for name in (row.uses or ""):gmatch "%S+" do
        assert(seen[name] or name == "checksum_table", row[1] .. " uses " .. name .. ", which is not below it")
        allowed[name] = true
      end
      seen[row[1]], may[row[1]] = true, allowed
    end
    none(C_FILES, function(path, complain)
      local name = path:match "^core/([%w_]+)%.[ch]$"
      if not name or name:find "^rille" or name == "checksum_table" then return end
      if not may[name] then return complain("%s has no place in the order of this spec", path) end
      for included in text_of(path):gmatch '#include "([%w_/.]+)%.h"' do
        if not may[name][included] then complain("%s includes %s.h", path, included) end
      end
    end)
  end)

  it("in lua/ reach the core by its pure parts and its door to the world alone", function()
    none(C_FILES, function(path, complain)
      if not path:find "^lua/" then return end
      for included in text_of(path):gmatch '#include "%.%./core/([%w_]+)%.h"' do
        if not ({ rille = 1, base = 1, buffer = 1, error = 1, sha256 = 1, system = 1 })[included] then
          complain("%s includes core/%s.h", path, included)
        end
      end
    end)
  end)
end)

describe("sizes", function()
  it(("of functions are at most %d lines"):format(FUNCTION_LINES), function()
    local functions = 0
    none(C_FILES, function(path, complain)
      if path:find "^bench/" or GENERATED[path] then return end
      local start
      for number, line in ipairs(lines_of(path)) do
        if line:find "^[%a].*{$" and not line:find "^struct [%w_]+ {" and not line:find "^typedef"
          and not line:find "^enum" and not line:find "^extern" and not line:find "= {$" then
          start, functions = number, functions + 1
        elseif line == "}" and start then
          if number - start + 1 > FUNCTION_LINES then
            complain("%s:%d: %d lines", path, start, number - start + 1)
          end
          start = nil
        end
      end
    end)
    assert(functions > 300, "the functions were not found: " .. functions)
  end)

  it(("of files in core/ and lua/ are at most %d lines"):format(FILE_LINES), function()
    local files = { table.unpack(C_FILES) }
    for _, path in ipairs(LUA_FILES) do files[#files + 1] = path end
    none(files, function(path, complain)
      if not (path:find "^core/" or path:find "^lua/") or GENERATED[path] then return end
      local n = #lines_of(path)
      if n > FILE_LINES then complain("%s: %d lines", path, n) end
    end)
  end)

  it(("of lines are at most %d columns in C, %d in Lua"):format(C_COLUMNS, LUA_COLUMNS), function()
    local function check(most)
      return function(path, complain)
        if GENERATED[path] then return end
        for number, line in ipairs(lines_of(path)) do
          local n = utf8.len(line) or #line
          if n > most then complain("%s:%d: %d columns", path, number, n) end
        end
      end
    end
    none(C_FILES, check(C_COLUMNS))
    none(LUA_FILES, check(LUA_COLUMNS))
  end)
end)

describe("each file", function()
  it("opens with a comment that names it", function()
    none(C_FILES, function(path, complain)
      local name = path:match "[^/]+$"
      local first = text_of(path):match "^/%* ([%w_.]+):"
      if first ~= name and not GENERATED[path] then complain("%s does not begin with /* %s:", path, name) end
    end)
    none(LUA_FILES, function(path, complain)
      local name = path:match "[^/]+$"
      if not path:find "^lua/" and not path:find "^spec/[^/]+%.lua$" and not path:find "^spec/support/" then
        return
      end
      local text = text_of(path):gsub("^#![^\n]*\n", "")
      if not text:find("^%-%- " .. name:gsub("%p", "%%%0") .. ":") then
        complain("%s does not begin with -- %s:", path, name)
      end
    end)
    none(LUA_FILES, function(path, complain)
      if not text_of(path):find "^%-%-" then complain("%s does not begin with a comment", path) end
    end)
  end)

  it("has names of rille's own types in lua/rille/own.lua alone", function()
    local others = { ["$transactions"] = "a stream", ["$cause"] = "in an event's meta" }
    local known = {}
    require "rille"
    for _, name in ipairs(require "rille.own".types()) do known[name] = true end
    none(LUA_FILES, function(path, complain)
      local shells = path == "lua/rille/completion.lua" -- which have names of their own
      if shells or not path:find "^lua/rille/" and not path:find "^lua/postgres/" then return end
      for literal in text_of(path):gsub("%-%-[^\n]*", ""):gmatch "[\"'](%$%l[%w_]*)[\"']" do
        if path ~= "lua/rille/own.lua" and not others[literal] then complain("%s: %s", path, literal) end
        if path == "lua/rille/own.lua" then known[literal] = nil end
      end
    end)
    assert.is_nil(next(known))
  end)

  it("has no tabs, but in the Makefile and in output shown, and no spaces at a line's end", function()
    none(TEXT_FILES, function(path, complain)
      if GENERATED[path:sub(3)] then return end
      for number, line in ipairs(lines_of(path)) do
        local may = path == "./Makefile" or path:find "%.md$"
        if line:find "\t" and not may then complain("%s:%d: a tab", path, number) end
        if line:find "%s$" then complain("%s:%d: a space at the end", path, number) end
      end
    end)
  end)

  it("is finished, and speaks of no machine", function()
    -- Each is put together, so that this file does not hold it.
    local words = { "TO" .. "DO", "FIX" .. "ME", "XX" .. "X:", "HA" .. "CK", "/wo" .. "rk/", "/ro" .. "ot/",
      "/ho" .. "me/" }
    none(TEXT_FILES, function(path, complain)
      for number, line in ipairs(lines_of(path)) do
        for _, word in ipairs(words) do
          if line:find(word, 1, true) then complain("%s:%d: %s", path, number, word) end
        end
      end
    end)
  end)
end)

describe("what is made of other files", function()
  ---Whether a folder's scripts.h is what embed.lua makes of these files.
  local function check(header, files, prefix)
    local made, status = process.run(("'%s' lua/embed.lua $(LC_ALL=C ls %s)"):format(LUA, files))
    assert.equal(0, status)
    -- A text that fits is enough: make's order of files may differ.
    local function sorted(text)
      local parts = {}
      for part in text:gmatch('    {"' .. prefix .. '%.[%w_]+",\n.-\n     , %d+},') do parts[#parts + 1] = part end
      table.sort(parts)
      assert(#parts > 1, "no scripts found")
      return table.concat(parts, "\n")
    end
    assert(sorted(made) == sorted(text_of(header)), header .. " is old: run make")
  end

  it("is up to date: lua/scripts.h", function() check("lua/scripts.h", "lua/rille/*.lua lua/report/*", "rille") end)
  it("is up to date: lua/postgres/scripts.h", function()
    check("lua/postgres/scripts.h", "lua/postgres/*.lua", "postgres")
  end)
end)

describe("rille.h", function()
  local manual = text_of "core/rille.h" .. text_of "core/rille_transaction.h"

  it("declares what is defined, and nothing else", function()
    local sources = {}
    for _, path in ipairs(C_FILES) do
      if path:find "^core/.*%.c$" then sources[#sources + 1] = text_of(path) end
    end
    local all, count = "\n" .. table.concat(sources, "\n"), 0
    for name in manual:gmatch "\nRILLE_API [^\n;(]-([%w_]+)%(" do
      count = count + 1
      assert(all:find("\n[%a][%w_ ]-[ %*]" .. name .. "%([^;]-%)%s*{"), name .. " is not defined")
    end
    assert(count > 15, "the functions were not found: " .. count)
    for line in all:gmatch "\n([%a][^\n]- %*?rille_[%w_]+%([^\n]*)" do
      local name = line:match "[ %*](rille_[%w_]+)%("
      if not line:find "^static" and line:find "[%a_] %*?rille_" then
        assert(manual:find(name .. "(", 1, true), name .. " is public, but not in rille.h")
      end
    end
  end)

  it("can be included alone, in C11 and in C++", function()
    local compiler = process.run "command -v cc >/dev/null && echo yes"
    if compiler ~= "yes\n" then return pending "there is no C compiler here" end
    local c = scratch.file("alone.c", '#include "rille.h"\nint main(void) { return RILLE_OK; }\n')
    local output, status = process.run("cc -std=c11 -pedantic -Wall -Wextra -Werror -Icore -fsyntax-only " .. c)
    assert(status == 0, output)
    if process.run "command -v c++ >/dev/null && echo yes" ~= "yes\n" then return end
    output, status = process.run("c++ -x c++ -std=c++11 -Wall -Wextra -Werror -Icore -fsyntax-only " .. c)
    assert(status == 0, output)
  end)

  it("is what the library gives, and nothing else", function()
    local symbols, status = process.run("nm -D --defined-only '" .. BUILD .. "/rille.so'")
    if status ~= 0 then return pending "there is no nm that takes -D here" end
    local header = manual .. text_of "lua/rille_lua.h"
    local found = 0
    for name in symbols:gmatch " [TDBRVW] ([%w_]+)" do
      if name:find "^luaopen_rille" or header:find(name .. "(", 1, true) then found = found + 1
      elseif not name:find "^_" and not name:find "asan" and not name:find "odr" then
        error(name .. " is visible, but not public")
      end
    end
    assert(found > 15, symbols)
  end)
end)

describe("luacheck", function()
  it("finds nothing", function()
    if process.run "command -v luacheck >/dev/null && echo yes" ~= "yes\n" then
      return pending "luacheck is not installed"
    end
    local output, status = process.run "luacheck --no-color --codes -q lua spec examples bench"
    if status ~= 0 then error(output) end
  end)
end)

describe("README.md", function()
  local text = text_of "README.md"
  local root, build = place.root, place.build

  ---Runs commands as they are typed; process.run would take LD_PRELOAD from them.
  local function shell(folder, commands)
    local pipe = assert(io.popen(("cd '%s' && (set -e\n%s) 2>&1"):format(folder, commands)))
    local output = pipe:read "a"
    return output, pipe:close()
  end

  ---Runs a program in a folder in which examples/ is to be found.
  local function run(program)
    local folder = scratch.path "readme"
    scratch.shell("mkdir '%s' && ln -s '%s/examples' '%s/examples' && ln -s '%s' '%s/build'",
      folder, root, folder, build, folder)
    local file = assert(io.open(folder .. "/program.lua", "w"))
    file:write(program)
    file:close()
    local pipe = assert(io.popen(("cd '%s' && LUA_CPATH='%s/?.so;;' exec '%s' program.lua 2>&1")
      :format(folder, build, LUA)))
    local output = pipe:read "a"
    local ok = pipe:close()
    return output, ok, folder
  end

  it("shows programs that run, and what they print", function()
    local shown = 0
    for program, output in text:gmatch "\n```lua\n([^`]*)```\n+```text\n([^`]*)```" do
      shown = shown + 1
      local printed, ok = run(program)
      assert.same({ output, true }, { printed, ok })
    end
    assert(shown > 0, "README.md has no ```lua block followed by a ```text block")
  end)

  it("says how its first program is run", function()
    local folder = scratch.path "first"
    scratch.shell("mkdir '%s' && ln -s '%s/examples' '%s/examples' && ln -s '%s' '%s/build'",
      folder, root, folder, build, folder)
    local program, output = text:match "\n```lua\n([^`]*)```\n+```text\n([^`]*)```"
    local file = assert(io.open(folder .. "/twenty.lua", "w"))
    file:write(program)
    file:close()
    assert.equal(output, (shell(folder, assert(text:match "`(LUA_CPATH=[^`]*twenty%.lua)`"))))
  end)

  it("shows commands that run on the store of its program", function()
    local _, _, folder = run(assert(text:match "\n```lua\n([^`]*)```\n+```text"))
    local commands = assert(text:match "\n## The same from the shell\n+```sh\n([^`]*)```")
    local said, ok = shell(folder, commands)
    assert(ok, said)
    local balance = shell(folder, "build/bin/rille fold bank.rille "
      .. "examples/reducers/account.lua --stream account-1 --json")
    assert.truthy(balance:find('"balance":75', 1, true), balance)
  end)

  it("shows scripts as they are", function()
    for name, script in text:gmatch "%]%(([%w_/]+%.lua)%):\n+```lua\n([^`]*)```" do
      assert(text_of(name):find(script, 1, true), name .. " is not what README.md shows")
    end
  end)

  it("links to what is there", function()
    for name in text:gmatch "%]%(([%w_./-]+)%)" do
      assert(process.run("test -e '" .. name .. "' && echo yes") == "yes\n", name .. " is not there")
    end
  end)
end)
