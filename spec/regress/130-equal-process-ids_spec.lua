-- Two containers have processes of the same id, often 1, and LMDB knows its readers by that. The
-- second to open the store was told "io: Resource temporarily unavailable", of which nobody
-- could guess the reason.
local process = require "spec.support.process"
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local UNSHARE = "unshare --pid --fork --mount-proc "

-- Opens the store, says so, and goes on when it is told.
local CHILD = [[
  local rille = require "rille"
  local store, message, code, detail = rille.open(arg[1], { readonly = arg[2] == "readonly" })
  if not store then
    print(code, detail and detail.pid, message)
    os.exit(true, true)
  end
  if arg[2] ~= "readonly" then assert(store:append("a", { type = "Opened" })) end
  print("open", store:version "a")
  io.stdout:flush()
  io.read "l"
  for _ in store:read "a" do end
  assert(store:verify().ok and store:close())
  print "closed"
]]

local function can_unshare()
  local _, status = process.run(UNSHARE .. "true")
  return status == 0
end

describe("processes of the same id, in two containers,", function()
  if not can_unshare() then return pending "containers are made with unshare, by root" end
  local path, script

  ---Starts it in a container of its own, where its id is 1.
  local function start(...)
    local words = { UNSHARE, os.getenv "RILLE_LUA" or "lua5.4", script, path, ... }
    local fifo = scratch.path "fifo"
    scratch.shell("mkfifo '%s'", fifo)
    local pipe = assert(io.popen(table.concat(words, " ") .. " <" .. fifo .. " 2>&1"))
    return { pipe = pipe, input = assert(io.open(fifo, "w")) }
  end

  local function finish(child)
    child.input:write "\n"
    child.input:close()
    local rest = child.pipe:read "a"
    assert(child.pipe:close())
    return rest
  end

  before_each(function()
    path, script = scratch.path(), scratch.file("container.lua", CHILD)
  end)

  it("the second is told so, and the first does not notice", function()
    local first = start()
    assert.equal("open\t1", first.pipe:read "l")
    local told = finish(start())
    stores.contains(told, "busy\t1\t")
    stores.contains(told, "same process id")
    assert.equal("closed\n", finish(first))
    local third = start()
    assert.equal("open\t2", third.pipe:read "l")
    assert.equal("closed\n", finish(third))
  end)

  it("who only reads has an index of its own", function()
    local first = start()
    assert.equal("open\t1", first.pipe:read "l")
    local reader = start "readonly"
    assert.equal("open\t1", reader.pipe:read "l")
    assert.equal("closed\n", finish(reader))
    assert.equal("closed\n", finish(first))
  end)

  it("of other ids share it as ever", function()
    local store = assert(rille.open(path))
    local first = start()
    assert.equal("open\t1", first.pipe:read "l")
    assert(store:append("a", { type = "Opened" }))
    assert.equal("closed\n", finish(first))
    assert.equal(2, store:version "a")
    assert(store:verify().ok and store:close())
  end)
end)
