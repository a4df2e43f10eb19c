-- What the words of the command for projections said where something failed: `diff` and `why` ended with
-- status 0 when the script failed at an event; lines of rille's own files stood in messages; `why` without
-- the key that it needs spoke of a stream; a key was told to be meant instead of itself.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local BUILD = os.getenv "RILLE_BUILD" or "build"

local function run(...)
  local words = { BUILD .. "/bin/rille", ... }
  for i, word in ipairs(words) do words[i] = "'" .. word:gsub("'", "'\\''") .. "'" end
  local pipe = assert(io.popen(table.concat(words, " ") .. " 2>&1 >/dev/null </dev/null"))
  local message = pipe:read "a"
  local _, _, status = pipe:close()
  return status, message
end

local TEXT = [[return { initial = 0, key = %s, on = { Counted = function(n, e)
  if e.data.n == %d then error "no" end
  return n + 1 end } }]]

describe("the command", function()
  local path, script
  before_each(function()
    local store
    store, path = stores.new()
    stores.fill(store, "s", 4)
    script = scratch.file("p.lua", TEXT:format("'stream'", 0))
    assert(assert(store:projection("p", script)):update())
    assert(assert(store:projection("one", scratch.file("one.lua", TEXT:format("nil", 0)))):update())
    store:close()
  end)
  after_each(function() scratch.remove(path) end)

  it("fails with a script that fails at an event", function()
    scratch.file("p.lua", TEXT:format("'stream'", 3))
    for _, words in ipairs { { "diff", path, "p", "1", "4" }, { "why", path, "p", "s" }, { "state", path, "p" },
      { "state", path, "p", "s" }, { "state", path, "p", "s", "--at", "3" }, { "project", path, "p", script } } do
      local status, message = run(table.unpack(words))
      assert.equal(1, status)
      stores.contains(message, "p.lua:2: no (at position 3: Counted in stream s)")
      assert.equal(1, (message:find("rille: " .. script, 1, true)))
    end
  end)

  it("names the key that is needed, or one too many", function()
    for name, key in pairs { p = false, one = "k" } do
      local said = key and "has no key" or "give one"
      for _, words in ipairs { { "why", path, name }, { "diff", path, name, "1", "2" } } do
        if key then words[#words + 1] = key end
        local status, message = run(table.unpack(words))
        if key or words[1] == "why" then
          assert.equal(1, status)
          stores.contains(message, said)
        else
          assert.same({ 0, "" }, { status, message })
        end
      end
    end
  end)

  it("does not propose what was asked for", function()
    local status, message = run("state", path, "p", "s", "--at", "0")
    assert.same({ 1, 'rille: no event has reached the key "s" at position 0\n' }, { status, message })
    status, message = run("state", path, "p", "t")
    assert.equal(1, status)
    stores.contains(message, 'no event has reached the key "t"')
  end)

  it("says what is wrong with other stores, and not where it was found", function()
    local status, message = run("process", path, "w", scratch.file("w.lua", "return { on = {} }"), "--to", "x=" .. path)
    assert.same({ 1, "rille: stores.x is the processor's own store: emit without `to`\n" }, { status, message })
  end)
end)
