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
end)

describe("the rock", function()
  it("is built from every source", function()
    local rockspec = {}
    assert(loadfile("rockspec/rille-scm-1.rockspec", "t", rockspec))()
    local listed = rockspec.build.modules.rille.sources
    local there = {}
    for path in process.run("LC_ALL=C ls core/*.c lua/*.c"):gmatch "[^\n]+" do
      there[#there + 1] = path
    end
    table.sort(listed)
    table.sort(there)
    assert.same(there, listed)
  end)

  it("installs without network, loads, and brings the command", function()
    if process.run "command -v luarocks >/dev/null && echo yes" ~= "yes\n" then
      pending "luarocks is not installed"
    end
    local tree, clone = scratch.path "tree", scratch.path "clone"
    process.run(("mkdir '%s' && cp -r core lua docs examples rockspec '%s'"):format(clone, clone))
    local output, status = process.run(
      ("cd '%s' && luarocks --lua-version 5.4 make --deps-mode none %s --tree '%s' 2>&1"):format(clone, FLAGS, tree))
    assert.equal(0, status, output)
    local command = ("cd / && LUA_CPATH='%s/lib/lua/5.4/?.so;;' '%s/bin/rille' --version 2>&1")
    output = process.run(command:format(tree, tree))
    assert.truthy(output:find("^rille %d"), output)
  end)
end)

describe("the rock of PostgreSQL", function()
  it("is built from every source of its folder", function()
    local rockspec = {}
    assert(loadfile("rockspec/postgres/rille-postgres-scm-1.rockspec", "t", rockspec))()
    local there = {}
    for path in process.run("LC_ALL=C ls lua/postgres/*.c"):gmatch "[^\n]+" do there[#there + 1] = path end
    assert.same(there, rockspec.build.modules["rille.postgres"].sources)
  end)

  it("installs beside the other, and is found by it", function()
    if process.run "command -v luarocks >/dev/null && echo yes" ~= "yes\n" then
      return pending "luarocks is not installed"
    end
    local folder, status = process.run "pkg-config --variable=includedir libpq"
    if status ~= 0 then return pending "libpq is not installed" end
    local tree, clone = scratch.path "tree", scratch.path "clone"
    process.run(("mkdir '%s' && cp -r core lua docs examples rockspec '%s'"):format(clone, clone))
    local output
    output, status = process.run(([[cd '%s' && luarocks --lua-version 5.4 make --deps-mode none %s --tree '%s' \
      rockspec/postgres/rille-postgres-scm-1.rockspec PQ_INCDIR=%s 2>&1]]):format(clone, FLAGS, tree, folder))
    assert.equal(0, status, output)
    local program = scratch.file("found.lua", [[
      package.cpath = arg[1] .. "/lib/lua/5.4/?.so;" .. package.cpath
      print(require "rille".postgres "dbname=shop")]])
    output = process.lua(('return assert(loadfile "%s")(...)'):format(program), tree)
    assert.equal("rille.postgres (postgres shop)\n", output)
  end)
end)
