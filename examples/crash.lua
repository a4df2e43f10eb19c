-- crash.lua: an import in a process of its own, killed with SIGKILL in the middle.
--
--   parent                        shell                     child
--     |------ "kill -9" shell ----->|------ starts --------->|
--     |<------------------ acknowledgements (a named pipe) --|  append, acknowledge,
--     |  reads some of them         |                        |  append, acknowledge ...
--     |------ one line ------------>|------ SIGKILL -------->x
--     |  reads what is left in the pipe: all that the child had been told
--
-- The shell stands ready, so that the signal follows the line at once and meets
-- whatever the child is doing. The child acknowledges an append after rille did.

local show = require "show"

local crash = {}

local KILLED = 137 -- a shell's status for a child that SIGKILL ended

---Starts `arguments` (words) with its output in the named pipe at `path`, and a shell
---that kills it when it is sent a line. The child never outlives this process.
local function start(arguments, path)
  local words = {}
  for i, word in ipairs(arguments) do words[i] = show.word(word) end
  local pipe = show.word(path)
  assert(os.execute(("rm -f %s && mkfifo %s"):format(pipe, pipe)), "mkfifo failed: " .. path)
  return assert(io.popen(("%s > %s & read line; { kill -9 $!; wait $!; } 2>/dev/null"):format(
    table.concat(words, " "), pipe), "w"))
end

---The pair of numbers in an acknowledgement, or nil at the end.
local function read_acknowledgement(pipe)
  local position, commits = (pipe:read "l" or ""):match "^(%d+) (%d+)$"
  return math.tointeger(position), math.tointeger(commits)
end

---Runs a child and kills it after `after` acknowledgements.
---@param arguments string[] the command
---@param path string where the named pipe may be made
---@return { killed: boolean, position: integer, commits: integer } seen killed: false
---  where the child had ended before the signal; position, commits: the last acknowledged
function crash.run(arguments, path, after)
  local shell = start(arguments, path)
  local pipe = assert(io.open(path, "r"))
  local seen = { position = 0, commits = 0 }
  local function step()
    local position, commits = read_acknowledgement(pipe)
    if position then seen.position, seen.commits = position, commits end
    return position
  end
  for _ = 1, after do
    if not step() then break end
  end
  shell:write "now\n"
  shell:flush()
  while step() do end
  pipe:close()
  local _, how, status = shell:close()
  os.remove(path)
  seen.killed = status == KILLED
  if not seen.killed and status ~= 0 then
    error(("the importing child failed: %s %d"):format(how, status), 0)
  end
  return seen
end

return crash
