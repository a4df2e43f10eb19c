-- record.lua: writes down a repository's history, for recorded.lua.
--
--   lua5.4 examples/history/record.lua REPO > examples/history/recorded.jsonl

local here = arg[0]:match("^(.*)/history/[^/]*$") or ".."
package.path = here .. "/?.lua;" .. package.path
package.cpath = (os.getenv "RILLE_BUILD" or "build") .. "/?.so;" .. package.cpath

local rille = require "rille"
local git = require "history.git"

local function fail(message)
  io.stderr:write("record: ", message, "\n")
  os.exit(1)
end

if #arg ~= 1 then fail "say which repository: record.lua REPO" end
local source, message = git.open(arg[1])
if not source then fail(message) end
local ok, failure = pcall(function()
  for events in source:commits() do
    for _, event in ipairs(events) do
      assert(io.write(assert(rille.json.encode(event)), "\n"))
    end
  end
end)
if not ok then fail(failure) end
