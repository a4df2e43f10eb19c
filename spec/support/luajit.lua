-- luajit.lua: lets LuaJIT run what is written for Lua 5.4: busted's helper for the specs, and
-- the first line of the programs that they start. Under 5.4 it does nothing.
--
-- Library: what 5.4 has besides, into the globals, from where rille's own scripts have it.
-- Grammar: a text that is loaded has each token that LuaJIT can't read in other words:
--
--   local x <close> = e      local x = __closing / e      closed when the test ends
--   a // b                   a / __floor / b
--   16 << 10                 16384                         literals alone
--   e | 0                    e
local luajit = {}

if not rawget(_G, "jit") then return luajit end
package.loaded["spec.support.luajit"] = luajit -- busted loads its helper by itself

-- Grammar --------------------------------------------------------------------------------------

local handles = {} -- to be closed, in the order in which they came

local function close(handle)
  if io.type(handle) == "closed file" then return end
  local metatable = debug.getmetatable(handle)
  local closing = metatable and rawget(metatable, "__close") or handle.close
  closing(handle)
end

function luajit.close_all()
  for i = #handles, 1, -1 do
    close(handles[i])
    handles[i] = nil
  end
end

_G.__closing = setmetatable({}, { __div = function(_, handle)
  if handle then handles[#handles + 1] = handle end
  return handle
end })

local Divided = { __div = function(self, by) return math.floor(self.number / by) end }
_G.__floor = setmetatable({}, { __div = function(number) return setmetatable({ number = number }, Divided) end })

local function shifted(a, b) return ("%d"):format(tonumber(a) * 2 ^ tonumber(b)) end

---Code, without strings and comments in it.
local function translated_code(code)
  return (code:gsub("(local%s+[%a_][%w_]*)%s*<close>%s*=", "%1 = __closing /"):gsub("<const>", "")
    :gsub("//", "/ __floor /"):gsub("(%d+)%s*<<%s*(%d+)", shifted):gsub("|%s*0([^%w])", "%1"))
end

---Where the string or the comment ends that begins at i, or nil where there is none.
local function end_of_text(text, i)
  local level = text:match("^%-%-%[(=*)%[", i) or text:match("^%[(=*)%[", i)
  if level then
    local _, last = text:find("]" .. level .. "]", i, true)
    return last
  end
  if text:find("^%-%-", i) then return (text:find("\n", i, true) or #text + 1) - 1 end
  local quote = text:match("^[\"']", i)
  if not quote then return nil end
  local at = i + 1
  while text:sub(at, at) ~= quote do at = at + (text:sub(at, at) == "\\" and 2 or 1) end
  return at
end

function luajit.translated(text)
  local pieces, from, i = {}, 1, 1
  while i <= #text do
    local last = end_of_text(text, i)
    if last then
      pieces[#pieces + 1] = translated_code(text:sub(from, i - 1))
      pieces[#pieces + 1] = text:sub(i, last)
      from, i = last + 1, last + 1
    else
      i = i + 1
    end
  end
  pieces[#pieces + 1] = translated_code(text:sub(from))
  return table.concat(pieces)
end

local loadfile_of_lua = loadfile

function _G.loadfile(path, mode, ...)
  if not tostring(path):find "spec/" then return loadfile_of_lua(path, mode, ...) end
  local file, message = io.open(path, "rb")
  if not file then return nil, message end
  local text = file:read "a"
  file:close()
  text = luajit.translated(text)
  if path:find "_spec%.lua$" then text = "local it = __it(it, pending) " .. text end
  return load(text, "@" .. path, mode or "t", ... or _G)
end

table.insert(package.loaders, 2, function(name)
  if not name:find "^spec%." then return nil end
  return loadfile(name:gsub("%.", "/") .. ".lua")
end)

-- Library --------------------------------------------------------------------------------------

package.cpath = (os.getenv "LUA_CPATH" or ""):gsub(";;", ";" .. package.cpath)
require "rille"
local scripts = getfenv(require "rille.reducer".load)
for _, name in ipairs { "math", "string", "table" } do
  for key, value in pairs(scripts[name]) do _G[name][key] = value end
end
_G.utf8, _G.rawlen, _G.setmetatable = scripts.utf8, scripts.rawlen, scripts.setmetatable
package.searchers = package.loaders
io.stdout:setvbuf "line" -- 5.4's print flushes
math.mininteger = scripts.string.unpack("<i8", ("\0"):rep(7) .. "\128") -- as int64_t, which scripts have not
math.maxinteger = -(math.mininteger + 1)

local collect = collectgarbage

---The modes are all that LuaJIT's lacks.
function _G.collectgarbage(option, pause, step, ...)
  if option ~= "incremental" and option ~= "generational" then return collect(option, pause, step, ...) end
  if option == "incremental" and pause then collect("setpause", pause) end
  if option == "incremental" and step then collect("setstepmul", step) end
  return "incremental"
end

---What it holds is left to the collector.
function coroutine.close(_) return true end -- luacheck: ignore

local execute, popen = os.execute, io.popen

---As 5.4 tells how a program ended, of the status that the system gives.
local function ending(status)
  local code = status >= 256 and math.floor(status / 256) or status
  return code == 0 or nil, "exit", code
end

function os.execute(command)
  if not command then return execute() == 1 end
  return ending(execute(command))
end

local function quoted(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

local Pipe = {}
Pipe.__index = Pipe
Pipe.__close = function(self) self:close() end

function Pipe:read(...) return self.file:read(...) end
function Pipe:write(...)
  local ok, message, code = self.file:write(...)
  return ok and self, message, code
end
function Pipe:lines(...) return self.file:lines(...) end
function Pipe:flush() return self.file:flush() end
function Pipe:setvbuf(...) return self.file:setvbuf(...) end

function Pipe:close()
  if io.type(self.file) == "closed file" then return nil, "closed" end
  self.file:close()
  local file = assert(io.open(self.status, "r"))
  local code = file:read "n"
  file:close()
  os.remove(self.status)
  return code == 0 or nil, "exit", code
end

---The shell of the command has the process id that it would have, and leaves its status in a file.
function io.popen(command, mode)
  local status = os.tmpname()
  local file, message = popen(("sh -c %s; echo $? >%s"):format(quoted(command), quoted(status)), mode)
  if not file then return nil, message end
  return setmetatable({ file = file, status = status }, Pipe)
end

-- Specs --------------------------------------------------------------------------------------

local LACKS = dofile "spec/support/luajit_lacks.lua"

---The reason why a test of this name can't be run here, or nil.
local function lack_of(name, test)
  local spec = debug.getinfo(test, "S").short_src:match "spec/(%S+)_spec%.lua$"
  for part, reason in pairs(LACKS[spec] or {}) do
    if name:find(part, 1, true) then return reason end
  end
end

---busted's `it`, in the place of which a spec has what this gives.
function _G.__it(it, pending)
  return function(name, test)
    local reason = lack_of(name, test)
    if reason then return pending(("%s: %s"):format(name, reason), test) end
    return it(name, test)
  end
end

if package.loaded["busted.runner"] then
  require "busted".subscribe({ "test", "end" }, function()
    luajit.close_all()
    return nil, true
  end)
end

return luajit
