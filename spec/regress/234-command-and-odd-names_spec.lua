-- The command told a line of rille's own source where a name was empty or too long, or `why` had no key;
-- and of a key that was there later, but not at the position, it asked whether that same key was meant.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local COUNT = 'return { initial = { n = 0 }, key = "stream", on = { A = function(s) s.n = s.n + 1 end } }'
local LONG = ("x"):rep(300)

local function quoted(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

local function run(...)
  local words = { quoted((os.getenv "RILLE_BUILD" or "build") .. "/bin/rille") }
  for i, word in ipairs { ... } do words[i + 1] = quoted(word) end
  local pipe = assert(io.popen(table.concat(words, " ") .. " 2>&1 </dev/null"))
  local text = pipe:read "a"
  local ok, _, status = pipe:close()
  return ok and 0 or status, text
end

it("names that can't be are told as such, without a place in rille", function()
  local path, script = scratch.path "command", scratch.file("count.lua", COUNT)
  local store = assert(rille.open(path))
  assert(store:append("s", { { type = "A" }, { type = "A" } }))
  assert(assert(store:projection("p", script)):update())
  store:close()

  local function fails(message, ...)
    local status, text = run(...)
    assert.equal(1, status)
    stores.contains(text, message)
    assert.is_nil(text:find "%.%a+:%d")
  end

  fails("keeps a state for each key: give one", "why", path, "p")
  fails('no event has reached the key "s" at position 0\n', "state", path, "p", "s", "--at", "0")
  fails("--tag is empty: it needs 1 to 255 bytes", "redact", path, "--tag", "")
  fails("--stream has 300 bytes: at most 255 are allowed", "redact", path, "--stream", LONG)
  for _, word in ipairs { "state", "why" } do
    fails("the store has no projection that is called", word, path, LONG, "s")
  end
  for _, key in ipairs { "", LONG } do assert.same({ 0, "" }, { run("why", path, "p", key) }) end
  scratch.remove(path)
end)
