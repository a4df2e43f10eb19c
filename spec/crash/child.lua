-- child.lua: processes that are killed: each runs worker.lua in a Lua of its own, with
-- the module that this process uses.
local child = {}
child.__index = child

local LUA = os.getenv "RILLE_LUA" or "lua5.4"
local MODULE = assert(package.searchpath("rille", package.cpath))

local function quoted(word) return "'" .. tostring(word):gsub("'", "'\\''") .. "'" end

-- `before` is a shell command to come first, `with` assignments for the environment.
local function start(file, arguments, before, with)
  local words = {}
  for i, word in ipairs(arguments) do words[i] = quoted(word) end
  local command = ("%s echo $$; exec env RILLE_MODULE=%s %s %s %s %s 2>&1")
    :format(before or "", quoted(MODULE), with or "", quoted(LUA), file, table.concat(words, " "))
  local pipe = assert(io.popen(command))
  return setmetatable({ pipe = pipe, pid = math.tointeger(tonumber(pipe:read "l")) }, child)
end

---Starts the worker's job with these arguments.
function child.start(job, arguments, before, with)
  return start("spec/crash/worker.lua", { job, table.unpack(arguments) }, before, with)
end

function child:line() return self.pipe:read "l" end

function child:kill() os.execute("kill -9 " .. self.pid .. " 2>/dev/null") end

---The rest of its lines, and its status; above 128: a signal.
function child:wait()
  local lines = {}
  for line in self.pipe:lines() do lines[#lines + 1] = line end
  local _, how, status = self.pipe:close()
  return lines, how == "signal" and 128 + status or status
end

---Runs another program of Lua to its end.
function child.run_file(file, arguments, with) return start(file, arguments, nil, with):wait() end

---Runs it to its end.
function child.run(...) return child.start(...):wait() end

return child
