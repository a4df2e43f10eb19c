-- process.lua: other processes. Those that run Lua keep the LD_PRELOAD of this one
-- (AddressSanitizer must come first where the module was built with it); all others
-- are started without.
local luajit = require "spec.support.luajit"
local scratch = require "spec.support.scratch"

local process = {}

local LUA = os.getenv "RILLE_LUA" or "lua5.4"
local count = 0

local function quoted(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

---Runs a shell command in which Lua loads our module, such as the command rille.
---@return string output, integer status  above 128: a signal
function process.run_ours(command)
  local pipe = assert(io.popen("{ " .. command .. "; } 2>&1"))
  local output = pipe:read "a"
  local _, how, status = pipe:close()
  return output, how == "signal" and 128 + status or status
end

---Runs a shell command that is no Lua of ours.
---@return string output, integer status  above 128: a signal
function process.run(command) return process.run_ours("unset LD_PRELOAD; " .. command) end

local function script(code)
  count = count + 1
  if rawget(_G, "jit") then code = 'require "spec.support.luajit" ' .. luajit.translated(code) end
  return scratch.file(("process-%d.lua"):format(count), code)
end

---Runs a program in a Lua of its own.
---@return string output, integer status  above 128: a signal
function process.lua(code, ...)
  local words = { "exec", quoted(LUA), quoted(script(code)) }
  for _, word in ipairs { ... } do words[#words + 1] = quoted(tostring(word)) end
  local pipe = assert(io.popen(table.concat(words, " ") .. " 2>&1"))
  local output = pipe:read "a"
  local _, how, status = pipe:close()
  return output, how == "signal" and 128 + status or status
end

local Running = {}
Running.__index = Running

---Starts a program in a Lua of its own. It prints lines, and ends when its
---standard input does.
---@return table process with pid, line(), finish()
function process.start(code, ...)
  local fifo = scratch.path "fifo"
  scratch.shell("mkfifo '%s'", fifo)
  local words = { quoted(script(code)) }
  for _, word in ipairs { ... } do words[#words + 1] = quoted(tostring(word)) end
  local pipe = assert(io.popen(("echo $$; exec %s %s <'%s' 2>&1"):format(quoted(LUA),
    table.concat(words, " "), fifo)))
  local pid = math.tointeger(tonumber(pipe:read "l"))
  return setmetatable({ pid = pid, pipe = pipe, input = assert(io.open(fifo, "w")) }, Running)
end

function Running:line() return self.pipe:read "l" end

---Lets it end, and returns the rest of its output and its status.
function Running:finish()
  self.input:close()
  local output = self.pipe:read "a"
  local _, how, status = self.pipe:close()
  return output, how == "signal" and 128 + status or status
end

return process
