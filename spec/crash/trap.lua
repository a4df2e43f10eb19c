-- trap.lua: children that are stopped, or disappointed, at their n-th call that
-- changes a file: see trap.c, which is compiled here, for this process.
local child = require "spec.crash.child"
local scratch = require "spec.support.scratch"

local trap = {}

local function compile()
  local library = scratch.path "trap.so"
  local done = os.execute(("unset LD_PRELOAD; [ \"$(uname -s)\" = Linux ] && ${CC:-cc} -O1 -shared "
    .. "-fPIC -o '%s' spec/crash/trap.c"):format(library))
  return done and library or nil
end

local library

---Whether there can be traps on this machine.
function trap.works()
  if library == nil then library = compile() or false end
  return library ~= false
end

---Starts a child in the trap. `settings` are TRAP_UNDER ... as under, kill, stop, fail,
---errno, mark, record. `with`: more assignments for its environment.
function trap.start(settings, job, arguments, with)
  assert(trap.works())
  local words = { with or "", ("LD_PRELOAD=\"$LD_PRELOAD\":'%s'"):format(library) }
  for name, value in pairs(settings) do
    words[#words + 1] = ("TRAP_%s='%s'"):format(name:upper(), value)
  end
  return child.start(job, arguments, nil, table.concat(words, " "))
end

---Runs it to its end.
---@return table lines, integer status
function trap.run(...) return trap.start(...):wait() end

---How many calls a job makes; it is run for that, and what it records is returned too.
function trap.count(settings, job, arguments)
  local with = { record = scratch.path "record" }
  for name, value in pairs(settings) do with[name] = value end
  local lines, status = trap.run(with, job, arguments)
  assert(status == 0, table.concat(lines, "\n"))
  return with.record
end

return trap
