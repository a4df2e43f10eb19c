-- clock.lua: programs whose clock on the wall jumps (clock.c, which is compiled here, for this
-- process), alone or with the processes that they start.
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"

local clock = {}

local function compile()
  local library = scratch.path "clock.so"
  local output, status = process.run(("[ \"$(uname -s)\" = Linux ] && ${CC:-cc} -O1 -Wall -shared -fPIC "
    .. "-o '%s' spec/crash/clock.c -ldl -lpthread"):format(library))
  return status == 0 and library or nil, output
end

local library

---Whether there can be such programs on this machine.
function clock.works()
  if library == nil then library = compile() or false end
  return library ~= false
end

-- jump(seconds) sets the clock, forward or back; jump_later does so while the program waits.
local PROLOGUE = [[
  local file, offset, count = os.getenv "CLOCK_FILE", 0, 0
  local function bytes(seconds)
    offset = offset + seconds
    return ("<i8"):pack(math.floor(offset * 1e6))
  end
  function jump(seconds)
    local f = assert(io.open(file, "r+b"))
    assert(f:write(bytes(seconds)))
    f:close()
  end
  function jump_later(seconds, after)
    count = count + 1
    local name = file .. count
    local f = assert(io.open(name, "wb"))
    assert(f:write(bytes(seconds)))
    f:close()
    os.execute(("(unset LD_PRELOAD; sleep %g; dd if='%s' of='%s' conv=notrunc status=none; rm '%s') &")
      :format(after, name, file, name))
  end
]]

---Runs a program under a clock that it sets itself. It is ended after `seconds`.
---@return string output, integer status  above 128: a signal
function clock.run(code, seconds, ...)
  assert(clock.works())
  local file = scratch.path "clock"
  local f = assert(io.open(file, "wb"))
  assert(f:write(("\0"):rep(8)))
  f:close()
  local words = { scratch.file(("clock-%s.lua"):format(file:match "[^/]+$"), PROLOGUE .. code), ... }
  for i, word in ipairs(words) do words[i] = "'" .. tostring(word) .. "'" end
  local with = ("LD_PRELOAD=\"$LD_PRELOAD\":'%s' CLOCK_FILE='%s'"):format(library, file)
  return process.run_ours(("%s exec timeout -k 1 %d '%s' %s"):format(with, seconds, os.getenv "RILLE_LUA" or "lua5.4",
    table.concat(words, " ")))
end

return clock
