-- embed_spec.lua: rille in other programs: installed under a prefix and found there by
-- pkg-config and by CMake, taken in as one C file, and the two hosts of examples/, which are
-- built and run in each of these ways.
local place = require "spec.support.place"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local read = scratch.read

local LUA = os.getenv "RILLE_LUA" or "lua5.4"
local BUILD = os.getenv "RILLE_BUILD" or "build"
local build, root = place.build, place.root
local AMALGAMATED = build .. "/amalgamation"
local FLAGS = "-O0" -- what is built once more is asked whether it works, not how fast it is
-- A part of the specs, each of another part of the module; `make soak` runs all that load it.
local SPECS = { "own", "truncate", "transact", "projection" }

---What a command prints; its failure is the test's.
local function run(command, ...)
  local output, status = process.run(command:format(...))
  if status ~= 0 then error(("status %d: %s\n%s"):format(status, command:format(...), output), 2) end
  return output
end

local function has(tool) return process.run("command -v " .. tool .. " >/dev/null && echo yes") == "yes\n" end

---The make that runs this may have options of its own.
local function make(words)
  return run("env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s LUA='%s' B='%s' %s", LUA, BUILD, words)
end

local VERSION = read "core/rille.h":match '#define RILLE_VERSION "([^"]+)"'
local ABI = VERSION:match "^0%.%d+" or VERSION:match "^%d+"

---What an object shows to others.
local function shown(what)
  local names = {}
  for name in run("nm %s --defined-only", what):gmatch " [TDBRVW] ([%w_]+)" do names[#names + 1] = name end
  assert(#names > 15, what)
  return names
end

local function says_game(text)
  assert.truthy(text:find("120 frames at 60 Hz: median [%d.]+ ms, p99 [%d.]+ ms, worst [%d.]+ ms"), text)
  assert.truthy(text:find("the edited reducer was up to date after %d+ frames"), text)
  assert.truthy(text:find("closed; 0 bytes are left of the pool", 1, true), text)
end

local function says_transfer(text) assert.equal("moved 30: ann has 70, ben has 130\n", text) end

describe("make install", function()
  local prefix, folder
  setup(function()
    prefix, folder = scratch.path "prefix", scratch.path "a project"
    make(("install PREFIX='%s'"):format(prefix))
    scratch.shell("mkdir '%s'", folder)
  end)

  ---In a folder without anything of ours, with the prefix in the environment.
  local function there(command, ...)
    return run(([[cd '%s' && export PKG_CONFIG_PATH='%s/lib/pkgconfig' && %s]]):format(folder, prefix, command), ...)
  end

  local function linked(words, source, output)
    there("cc -std=c11 -Wall -Werror '%s/examples/%s' -o %s %s", root, source, output, words)
  end

  it("shows in the shared library what rille.h declares, and no more", function()
    local header = read "core/rille.h" .. read "core/rille_transaction.h"
    for _, name in ipairs(shown(("-D '%s/lib/librille.so'"):format(prefix))) do
      assert(name:find "^_" or header:find(name .. "(", 1, true), name .. " is not in rille.h")
    end
    for name in header:gmatch "\nRILLE_API [^\n;(]-([%w_]+)%(" do
      assert(read(prefix .. "/lib/librille.so"):find("\0" .. name .. "\0", 1, true), name .. " is not in the library")
    end
  end)

  it("names the shared library by its ABI", function()
    if not has "readelf" then return pending "there is no readelf here" end
    assert.truthy(run("readelf -d '%s/lib/librille.so'", prefix):find("soname: %[librille%.so%." .. ABI .. "%]"))
    assert.equal(("librille.so.%s\n"):format(ABI), run("readlink '%s/lib/librille.so'", prefix))
    assert.equal(("librille.so.%s\n"):format(VERSION), run("readlink '%s/lib/librille.so.%s'", prefix, ABI))
  end)

  it("serves a program that links the shared library", function()
    assert.equal(VERSION .. "\n", there "pkg-config --modversion rille")
    linked("$(pkg-config --cflags --libs rille)", "transfer.c", "shared")
    says_transfer(there("LD_LIBRARY_PATH='%s/lib' ./shared bank-1", prefix))
  end)

  it("serves a program that links the static one", function()
    linked("$(pkg-config --cflags rille) -Wl,-Bstatic -lrille -Wl,-Bdynamic $(pkg-config --static --libs rille)"
      .. (" -L'%s/lib'"):format(prefix), "transfer.c", "static")
    says_transfer(there "./static bank-2")
    assert.equal("ann: the account is there\nben: the account is there\nmoved 30: ann has 40, ben has 160\n",
      there "./static bank-2")
  end)

  it("serves a host with a lua_State of its own", function()
    linked("$(pkg-config --cflags --libs rille-lua lua5.4) -lm", "host.c", "host")
    says_game(there "./host --seconds 2 game.rille")
  end)

  it("has a command that finds its module", function()
    local said = there("env -u LUA_CPATH -u LUA_CPATH_5_4 '%s/bin/rille' --version", prefix)
    assert.equal("rille " .. VERSION .. "\n", said)
  end)

  it("serves CMake: find_package(rille)", function()
    if not has "cmake" then return pending "cmake is not installed" end
    scratch.shell([[mkdir '%s/cmake' && cat >'%s/cmake/CMakeLists.txt' <<'END'
cmake_minimum_required(VERSION 3.13)
project(bank C)
find_package(rille %s REQUIRED)
foreach(kind rille shared static)
  add_executable(with_${kind} %s/examples/transfer.c)
  target_link_libraries(with_${kind} PRIVATE rille::${kind})
endforeach()
find_package(Rille 99 QUIET)
if(Rille_FOUND)
  message(FATAL_ERROR "99 was found")
endif()
END]], folder, folder, ABI, root)
    there("cmake -S cmake -B made -DCMAKE_PREFIX_PATH='%s' && cmake --build made 2>&1", prefix)
    for _, kind in ipairs { "rille", "shared", "static" } do
      says_transfer(there("made/with_%s bank-cmake-%s", kind, kind))
    end
  end)

  it("can be staged, and taken away", function()
    local stage = scratch.path "stage"
    make(("install PREFIX=/usr DESTDIR='%s'"):format(stage))
    local files = run("cd '%s' && find . ! -type d | LC_ALL=C sort", stage)
    assert.equal(files, run("cd '%s' && find . ! -type d | LC_ALL=C sort | sed 's|^[.]/|./usr/|'", prefix))
    assert.truthy(read(stage .. "/usr/lib/pkgconfig/rille.pc"):find("prefix=/usr\n", 1, true))
    assert.is_nil(read(stage .. "/usr/lib/pkgconfig/rille.pc"):find("@", 1, true))
    make(("uninstall PREFIX=/usr DESTDIR='%s'"):format(stage))
    assert.equal("", run("find '%s' ! -type d", stage))
  end)
end)

describe("the amalgamation", function()
  local folder
  setup(function()
    folder = scratch.path "one file"
    make(("amalgamation-module AMALGAMATION_FLAGS='%s -Werror'"):format(FLAGS))
    scratch.shell("mkdir '%s' && cp '%s'/rille.c '%s'/rille.h '%s'/rille_lua.h '%s'", folder,
      AMALGAMATED, AMALGAMATED, AMALGAMATED, folder)
  end)

  it("shows what its two headers declare, and no more", function()
    local header = read(folder .. "/rille.h") .. read(folder .. "/rille_lua.h")
    for _, name in ipairs(shown(("-g '%s/rille.o'"):format(AMALGAMATED))) do
      assert(header:find(name .. "(", 1, true), name .. " is in neither header")
    end
  end)

  it("has rille.h whole, in C and in C++", function()
    scratch.shell([[printf '#include "rille.h"\nint main(void) { return RILLE_OUTCOME_NONE; }\n' >'%s/alone.c']],
      folder)
    run("cd '%s' && cc -std=c11 -pedantic -Wall -Wextra -Werror -fsyntax-only alone.c", folder)
    if has "c++" then run("cd '%s' && c++ -x c++ -std=c++11 -Wall -Wextra -Werror -fsyntax-only alone.c", folder) end
  end)

  it("needs no Lua where RILLE_NO_LUA says so", function()
    local needs = run("cd '%s' && cc -DRILLE_NO_LUA -M rille.c", folder)
    assert.truthy(needs:find("lmdb.h", 1, true))
    assert.is_nil(needs:find("lua", 1, true))
  end)

  it("can be compiled as the compiler comes, in C23, too", function()
    run("cd '%s' && cc -std=gnu2x -DRILLE_NO_LUA -Wall -Wextra -Werror -fsyntax-only rille.c", folder)
  end)

  it("can be compiled for LuaJIT", function()
    local flags, status = process.run "pkg-config --cflags luajit 2>&1"
    if status ~= 0 then return pending "LuaJIT's headers are not installed" end
    run("cd '%s' && cc -Wall -Wextra -Werror -fsyntax-only %s rille.c", folder, flags:match "[^\n]+")
  end)

  it("passes the specs", function()
    local specs = {}
    for i, name in ipairs(SPECS) do specs[i] = ("spec/%s_spec.lua"):format(name) end
    local said = run("TMPDIR=/tmp RILLE_BUILD='%s' '%s' spec/run.lua %s", AMALGAMATED, LUA, table.concat(specs, " "))
    assert.truthy(said:find "%d%d passed, 0 failed", said)
  end)
end)

describe("rille_push", function()
  it("gives scripts the host's store, whoever closes first", function()
    make(("%s/librille_lua.a"):format(BUILD))
    local program = scratch.path "push"
    run("cc -std=c11 -Wall -Wextra -Werror -Icore -Ilua $(pkg-config --cflags lua5.4) -o '%s' spec/support/push.c "
      .. "'%s/librille_lua.a' $(pkg-config --libs lua5.4) -llmdb -lpthread -lm", program, build)
    assert.equal("all is as it should be\n", run("'%s' '%s'", program, scratch.path()))
  end)
end)

describe("the hosts of examples/", function()
  setup(function() make "examples" end)

  it("play, fold and rebuild, and tell how long frames took", function()
    local store = scratch.path "host.rille"
    says_game(process.run(("'%s/examples/host' --seconds 2 --events 20000 '%s'"):format(build, store)))
    -- Twice, so that what was kept is read.
    says_game(process.run(("'%s/examples/host' --seconds 2 '%s'"):format(build, store)))
  end)

  it("say how they are called", function()
    for _, words in ipairs { "host --fast", "host --seconds", "host --players 3", "transfer" } do
      local said, status = process.run(("'%s'/examples/%s"):format(build, words))
      assert.equal(2, status)
      assert.truthy(said:find("^usage: "), said)
    end
  end)

  it("say what is wrong with a store", function()
    local said, status = process.run(("'%s/examples/host' '%s'"):format(build, scratch.file("no store", "text")))
    assert.equal(1, status)
    assert.truthy(said:find "^host: ", said)
    said, status = process.run(("'%s/examples/transfer' /nonexistent/x"):format(build))
    assert.equal(1, status)
    assert.truthy(said:find "^transfer: ", said)
  end)
end)

describe("docs/embedding.md", function()
  ---Blocks in order: { kind, text }.
  local function blocks()
    local list = {}
    for kind, text in read "docs/embedding.md":gmatch "\n```(%l+)\n(.-\n)```" do
      list[#list + 1] = { kind = kind, text = text }
    end
    return list
  end

  it("shows what compiles, and commands that run", function()
    if not has "cmake" then return pending "cmake is not installed" end
    local folder, prefix, ran = scratch.path "page", scratch.path "prefix", 0
    scratch.shell("mkdir -p '%s/project' '%s/game' && ln -s '%s' '%s/build' && ln -s '%s/examples' '%s/examples'",
      folder, folder, build, folder, root, folder)
    for _, block in ipairs(blocks()) do
      local name = block.text:match "^/%* ([%w_.]+):" or block.text:match "^# ([%w_./]+)\n"
      if name then
        local file = assert(io.open(folder .. "/" .. name, "w"))
        assert(file:write(block.text))
        file:close()
      else
        assert.equal("sh", block.kind, block.text)
        for line in block.text:gsub("/usr/local", prefix):gsub("%-O2", FLAGS):gmatch "[^\n]+" do
          ran = ran + 1
          if line:find "^make " then make(line:sub(6))
          else
            local said = run(([[cd '%s' && export PKG_CONFIG_PATH='%s/lib/pkgconfig' LD_LIBRARY_PATH='%s/lib' &&
              export CFLAGS=%s && %s]]):format(folder, prefix, prefix, FLAGS, line:gsub("%%", "%%%%")))
            if line:find "/bank$" then assert.truthy(said:find "^1 Opened\n", said) end
            if line:find "host %-%-" then
              assert.truthy(said:find("closed; 0 bytes are left", 1, true), said)
            end
          end
        end
      end
    end
    assert(ran > 12, "the commands were not found")
  end)

  it("links to what is there", function()
    for name in read "docs/embedding.md":gmatch "%]%(([%w_./-]+)%)" do
      assert(process.run("test -e 'docs/" .. name .. "' && echo yes") == "yes\n", name .. " is not there")
    end
  end)
end)
