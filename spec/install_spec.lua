-- install_spec.lua: what a stranger types first: the set-up that make runs, and the rock.
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"

local FLAGS = "CFLAGS='-O0 -fPIC'" -- whether it is built is asked here, not how fast it is

local function dry_run(target)
  local output, status = process.run("make -n " .. target .. " 2>&1")
  assert.equal(0, status, output)
  return output
end

describe("make", function()
  for target, group in pairs { demo = "build", test = "test", bench = "bench", asan = "test" } do
    it(target .. " installs what is missing before it builds", function()
      local output = dry_run(target)
      local setup = assert(output:find("sh .ci/setup " .. group, 1, true), output)
      assert(setup < assert(output:find(" all", 1, true)), output)
    end)
  end

  it("alone installs nothing", function()
    assert.is_nil(dry_run("all"):find("setup", 1, true))
  end)

  -- Nothing of the system's is seen by -nostdinc.
  for variable, needed in pairs { LMDB_CFLAGS = "LMDB", LUA_CFLAGS = "Lua 5.4" } do
    it("says that it needs " .. needed .. " before it compiles anything", function()
      local target = variable == "LMDB_CFLAGS" and "core/anew.o" or "lua/lwork.o"
      local build = scratch.path "lacking"
      local output, status = process.run(("env -u MAKEFLAGS make --no-print-directory B='%s' %s=-nostdinc '%s/%s' 2>&1")
        :format(build, variable, build, target))
      assert.equal(2, status)
      assert.equal(("rille needs a C compiler and %s with its headers"):format(needed), output:match "^(.-) %(")
      assert.truthy(output:find("make " .. variable .. "=-I", 1, true), output)
      assert.is_nil(output:find("-std=c11", 1, true), output)
    end)
  end
end)

---The fields of a rockspec.
local function rockspec(path)
  local fields = {}
  assert(loadfile(path, "t", fields))()
  return fields
end

local SCM, POSTGRES = "rockspec/rille-scm-1.rockspec", "rockspec/postgres/rille-postgres-scm-1.rockspec"
local VERSION = assert(process.run "cat core/rille.h":match '#define RILLE_VERSION "([^"]+)"')

local function released(path) return (path:gsub("scm%-1", VERSION .. "-1")) end

local function files(pattern)
  local list = {}
  for path in process.run("LC_ALL=C ls " .. pattern):gmatch "[^\n]+" do list[#list + 1] = path end
  return list
end

describe("a rockspec", function()
  it("of the release is that of the source, with the version of rille.h", function()
    for _, path in ipairs { SCM, POSTGRES } do
      local expected, release = rockspec(path), rockspec(released(path))
      assert.equal("v" .. VERSION, release.source.tag)
      expected.version, expected.source = VERSION .. "-1", release.source
      assert.same(expected, release)
    end
    assert.same({ released(SCM), SCM }, files "rockspec/*.rockspec")
  end)
end)

-- The rocks -----------------------------------------------------------------------

-- A compiler for who builds the same sources again and again, with the same flags: each object is
-- made once.
local COMPILER = [[#!/bin/sh
for word; do
  case $word in *.c) source=$word ;; *.o) object=$word ;; -c) compiling=yes ;; esac
done
[ "$compiling" ] || exec gcc "$@"
kept="%s/${source##*/}.o"
[ -f "$kept" ] || gcc "$@" -o "$kept" || exit 1
cp "$kept" "$object"
]]

-- No network: whatever asks for it is refused at once.
local OFFLINE = "env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL http_proxy=http://127.0.0.1:1 https_proxy=http://127.0.0.1:1 "
local NO_LUAROCKS = process.run "command -v luarocks >/dev/null && echo yes" ~= "yes\n" and "luarocks is not installed"
local pq_folder, no_pq = process.run "pkg-config --variable=includedir libpq"
local NO_PQ = NO_LUAROCKS or no_pq ~= 0 and "libpq is not installed"

describe("LuaRocks", function()
  local clone, variables, made_tree
  local root = process.run "pwd":match "[^\n]+"
  local build = os.getenv "RILLE_BUILD" or "build"
  build = build:find "^/" and build or root .. "/" .. build

  ---A command in the clone; its failure is the test's.
  local function run(command, ...)
    command = ("cd '%s' && %s"):format(clone, command:format(...))
    local output, status = process.run(command .. " 2>&1")
    if status ~= 0 then error(("status %d: %s\n%s"):format(status, command, output), 2) end
    return output
  end

  local function luarocks(words, ...)
    return run("%sluarocks --lua-version 5.4 %s %s", OFFLINE, words:format(...), variables)
  end

  local function tree() return scratch.path "tree" end

  ---The command that a tree has loads the module that it has.
  local function says_version(place)
    local said = run("cd / && env -u LUA_CPATH -u LUA_PATH '%s/bin/rille' --version", place)
    assert.equal(("rille %s\n"):format(VERSION), said)
  end

  ---The tree into which the clone was made.
  local function made()
    if not made_tree then
      made_tree = tree()
      luarocks("make --deps-mode none --tree '%s'", made_tree)
    end
    return made_tree
  end

  local function names(place) return run("cd '%s' && find . -type f | LC_ALL=C sort", place) end

  setup(function()
    if NO_LUAROCKS then return end
    clone = scratch.path "rille"
    local compiler, kept = scratch.path "cc", scratch.path "kept"
    scratch.shell("mkdir '%s' '%s' && cp -Rp core lua docs examples rockspec spec .ci Makefile LICENSE README.md '%s'",
      clone, kept, clone)
    local file = assert(io.open(compiler, "w"))
    assert(file:write((COMPILER:format(kept))))
    file:close()
    scratch.shell("chmod +x '%s'", compiler)
    variables = ("%s CC='%s' PQ_INCDIR='%s'"):format(FLAGS, compiler, pq_folder:match "[^\n]*")
    -- What is left of other builds, and files of somebody's own: nothing of it may be in a rock.
    for _, stray in ipairs { "core/append.o", "lua/lstore.o", "lua/stray.o", "rille.so", "lua/rille/stray.lua",
      "stray.lua", "stray.so" } do
      scratch.shell("echo 'not C, Lua or an object' >'%s/%s'", clone, stray)
    end
  end)

  it("finds nothing wrong with a rockspec", function()
    if NO_LUAROCKS then return pending(NO_LUAROCKS) end
    for _, path in ipairs { SCM, POSTGRES, released(SCM), released(POSTGRES) } do luarocks("lint %s", path) end
  end)

  it("makes the module and the command, and nothing of what lies about", function()
    if NO_LUAROCKS then return pending(NO_LUAROCKS) end
    local place = made()
    says_version(place)
    local there = names(place)
    assert.is_nil(there:find("stray", 1, true), there)
    assert.is_nil(there:find("%.o\n"), there)
    assert.is_nil(there:find("./share/lua/", 1, true), there) -- all of the module is in one file
    for _, name in ipairs { "./lib/lua/5.4/rille.so", "/conf/rille.lua", "/docs/lua.md", "/examples/host.c" } do
      assert.truthy(there:find(name, 1, true), there)
    end
    local loaded = run([[cd / && LUA_CPATH='%s/lib/lua/5.4/?.so' LUA_PATH='' lua5.4 -e 'require "rille"
      print(package.preload["rille.cli"] ~= nil, package.preload["rille.stray"])']], place)
    assert.equal("true\tnil\n", loaded)
  end)

  it("makes it for one user", function()
    if NO_LUAROCKS then return pending(NO_LUAROCKS) end
    local home = scratch.path "home"
    local says = "export HOME='" .. home .. "' && mkdir -p \"$HOME\" && "
    run("%s%sluarocks --lua-version 5.4 make --local --deps-mode none %s", says, OFFLINE, variables)
    local said = run([[%seval "$(luarocks --lua-version 5.4 path)" && cd / && rille --version &&
      lua5.4 -e 'print(require "rille"._VERSION)']], says)
    assert.equal(("rille %s\n"):format(VERSION):rep(2), said)
    says_version(home .. "/.luarocks")
  end)

  it("packs what is installed, and installs that elsewhere without a compiler", function()
    if NO_LUAROCKS then return pending(NO_LUAROCKS) end
    local first, second = made(), tree()
    luarocks("pack rille --tree '%s'", first)
    local rock = run "ls rille-scm-1.*.rock":match "[^\n]+"
    luarocks("install --deps-mode none --tree '%s' '%s' CC=false", second, rock)
    says_version(second)
    assert.equal(names(first), names(second))
  end)

  it("packs without installing", function()
    if NO_LUAROCKS then return pending(NO_LUAROCKS) end
    local place = tree()
    run "rm -f *.rock"
    luarocks "make --deps-mode none --pack-binary-rock"
    local rock = run "ls *.rock":match "^[^\n]+\n$"
    assert.is_nil(rock:find("all.rock", 1, true), rock) -- for this machine, since there is a module in it
    luarocks("install --deps-mode none --tree '%s' '%s' CC=false", place, rock:sub(1, -2))
    says_version(place)
    assert.equal(names(made()), names(place))
  end)

  it("installs source rocks, of rille and of its PostgreSQL", function()
    if NO_PQ then return pending(NO_PQ) end
    if process.run "command -v git >/dev/null && echo yes" ~= "yes\n" then return pending "git is not installed" end
    local place = tree()
    run "git init -q . && git add core lua docs examples rockspec Makefile LICENSE README.md"
    run "git -c user.name=Ann -c user.email=ann@example.org commit -qm all"
    run("%smake -s rock B=made 2>&1", OFFLINE)
    local archive = run("tar tzf made/rock/rille-%s.tar.gz", VERSION)
    assert.truthy(archive:find(("rille-%s/core/rille.h\n"):format(VERSION), 1, true), archive)
    for _, name in ipairs { "rille", "rille-postgres" } do
      luarocks("install --deps-mode none --tree '%s' made/rock/%s-%s-1.src.rock", place, name, VERSION)
    end
    says_version(place)
    local said = run([[cd / && LUA_CPATH='%s/lib/lua/5.4/?.so' LUA_PATH='' lua5.4 -e '
      print(require "rille".postgres "dbname=shop")']], place)
    assert.equal("rille.postgres (postgres shop)\n", said)
    assert.truthy(luarocks("list --porcelain --tree '%s'", place):find("rille-postgres\t" .. VERSION, 1, true))
  end)

  it("makes the rock of PostgreSQL beside the other, from a clone", function()
    if NO_PQ then return pending(NO_PQ) end
    local place = tree()
    luarocks("make --deps-mode none --tree '%s' %s", place, POSTGRES)
    assert.truthy(names(place):find("./lib/lua/5.4/rille/postgres.so", 1, true))
  end)

  it("runs the tests", function()
    if NO_LUAROCKS then return pending(NO_LUAROCKS) end
    run "rm lua/rille/stray.lua" -- make embeds what is there, and this is no Lua
    -- Not with the compiler above: what the tests build is for more than one Lua.
    local said = run("%sluarocks --lua-version 5.4 test -- TESTS=spec/own_spec.lua B='%s'", OFFLINE, build)
    assert.truthy(said:find "\n[%d]+ passed, 0 failed", said)
  end)
end)
