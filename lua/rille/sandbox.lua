-- sandbox.lua: the environment of scripts, and how a script is loaded into it.
--
-- A script is Lua source that returns a table. It sees a whitelist of Lua's
-- library, made deterministic by lsandbox.c, and nothing of the host: a script
-- run twice over the same events leaves the same bytes. Each load has an
-- environment of its own, in which neither globals nor libraries can be written:
-- what a script keeps, it keeps in the state that it is given.
--
-- Everything that depends on a collation or on the letters of a language (<, on
-- strings; upper, lower, %a) depends on the C locale of the thread, which is "C"
-- wherever the host runs scripts through `call` or sandbox_switch.
--
-- Invariant: a script holds no reference to a table that the host or another
-- load can see, other than read-only views. `contents` never leaves this file.

local c = ...

local base, string, table = c.base, c.string, c.table
local error, ipairs, load, pairs, pcall, setmetatable, tostring, type =
  base.error, base.ipairs, base.load, base.pairs, base.pcall, base.setmetatable,
  base.tostring, base.type

---@class rille.sandbox
local sandbox = { call = c.run, within = c.within, traced = c.traced, host = c.host, seed = c.seed, at = c.at,
  hold = c.hold, random = c.math.random }

---What scripts have of each library; `base` are globals. getmetatable, tostring,
---pairs, next, rawset, sort, format, random are those of lsandbox.c.
local WHITELIST = {
  base = "assert error getmetatable ipairs next pairs pcall rawequal rawget rawlen rawset select "
    .. "tonumber tostring type xpcall _VERSION",
  string = "byte char find format gmatch gsub len lower match pack packsize rep reverse sub unpack upper",
  table = "concat insert move pack remove sort unpack",
  math = "abs acos asin atan ceil cos deg exp floor fmod huge log max maxinteger min mininteger modf "
    .. "pi rad random sin sqrt tan tointeger type ult",
  utf8 = "char charpattern codepoint codes len offset",
  bit = c.bit and "arshift band bnot bor bswap bxor lshift rol ror rshift tobit tohex" or nil, -- LuaJIT's
}

---Why a script lacks a global that Lua has.
local HINTS = {
  os = "scripts have no os (time is event.time)",
  io = "scripts have no files (what a script needs comes in its params)",
  print = "scripts have nowhere to print to",
  warn = "scripts have nowhere to print to",
  debug = "scripts have no debug library",
  package = "scripts have no package library (require loads a file beside the script)",
  coroutine = "scripts have no coroutines (a handler can't yield)",
  collectgarbage = "when memory is collected is no business of a script",
  unpack = "it is table.unpack",
}
for _, name in ipairs { "load", "loadstring", "loadfile", "dofile" } do
  HINTS[name] = "scripts can't make code (require loads a file beside the script)"
end

local function words(list) return string.gmatch(list, "%S+") end

---Removes what is not listed, in place: c.string also serves ("x"):method().
local function keep(library, names)
  local listed = {}
  for name in words(names) do listed[name] = true end
  for name in pairs(library) do
    if not listed[name] then library[name] = nil end
  end
end

for name, names in pairs(WHITELIST) do
  if name ~= "base" then keep(c[name], names) end
end

function c.math.randomseed() error("math.randomseed: rille seeds math.random, from the event", 2) end

---A view of `contents` that refuses writes in the name of `name`.
local function readonly(contents, name)
  return c.view(contents, function(_, key) error(name .. "." .. tostring(key) .. " is read-only", 2) end)
end

local function refuse_global(_, name)
  error("global '" .. tostring(name) .. "' can't be set: use local, and keep in the state what must last "
    .. "(anything outside it is lost when events are replayed)", 2)
end

local function undefined_global(_, name)
  local hint = HINTS[name]
  error("undefined global '" .. tostring(name) .. "'" .. (hint and ": " .. hint or ""), 2)
end

---The environment of one load, and the function that ends its loading.
local function environment(require)
  local contents = {}
  for name in words(WHITELIST.base) do contents[name] = base[name] end
  for name in pairs(WHITELIST) do
    if name ~= "base" then contents[name] = readonly(c[name], name) end
  end
  local settle
  contents.setmetatable, settle = c.metatables()
  contents.require = require
  local env = c.view(setmetatable(contents, { __index = undefined_global }), refuse_global)
  contents._G = env
  return env, settle
end

-- Parameters ------------------------------------------------------------------

local function refuse_param(path, what) error(path .. " " .. what, 0) end

---The path of a field; only strings and integers are keys of plain data.
local function field_path(path, key)
  if c.math.type(key) == "integer" then return path .. "[" .. key .. "]" end
  if type(key) == "string" then return path .. "." .. key end
  refuse_param(path, "has a " .. type(key) .. " as a key")
end

---A deep copy of plain data, so that no table of the host's reaches the script.
---`above` holds the tables on the way down.
local function copy_param(value, path, rille, above)
  local kind = type(value)
  if kind == "nil" or kind == "boolean" or kind == "number" or kind == "string" then return value end
  if rille and value == rille.null then return value end
  if kind ~= "table" then refuse_param(path, "is a " .. kind) end
  if above[value] then refuse_param(path, "contains itself") end
  local metatable = c.metatable(value)
  local is_array = rille and metatable and metatable == c.metatable(rille.array {})
  if metatable and not is_array then refuse_param(path, "has a metatable") end
  above[value] = true
  local copy = {}
  for key, field in c.raw_next, value do
    copy[key] = copy_param(field, field_path(path, key), rille, above)
  end
  above[value] = nil
  return is_array and rille.array(copy) or copy
end

-- Loading ---------------------------------------------------------------------

---The text of a file, or nil and why.
function sandbox.read_file(name)
  local file, message = io.open(name, "rb")
  if not file then return nil, message end
  local text
  text, message = file:read "a"
  file:close()
  return text, message
end

---The message with the file's name in front, where it isn't yet.
local function named(file, message)
  message = tostring(message)
  if string.find(message, file, 1, true) == 1 then return message end
  return file .. ": " .. message
end

---The text of a file, or nil and why. `run` is one load in progress:
---{ read, files, env, loaded, open }.
local function read_text(run, file)
  local ok, text, message = pcall(c.host, run.read, file)
  if not ok then text, message = nil, text end
  if type(text) ~= "string" then
    return nil, named(file, message or "text was expected, got " .. type(text))
  end
  table.insert(run.files, { name = file, text = text })
  if string.byte(text) == 27 then
    return nil, named(file, "compiled Lua is refused: a script is source text")
  end
  return text
end

---The text as a function, or nil and why. As lua does with files, it passes over
---a byte order mark, and over a first line that is for the system.
local function compile(run, file, text)
  local source = string.gsub(string.gsub(text, "^\239\187\191", ""), "^#", "--#")
  return load(source, "@" .. file, "t", run.env)
end

---Loads a neighbour, which stands in `run.open` meanwhile: the files that are
---being loaded, the first on the outside. Raises where the neighbour went wrong;
---nil and a message where it can't be had.
local function load_neighbour(run, file)
  for i, open in ipairs(run.open) do
    if open == file then
      return nil, "a cycle: " .. table.concat(run.open, " -> ", i) .. " -> " .. file
    end
  end
  local text, message = read_text(run, file)
  if not text then return nil, message end
  local chunk, fault = compile(run, file, text)
  if not chunk then error(named(file, fault), 0) end
  table.insert(run.open, file)
  local ok, value = c.run(chunk)
  table.remove(run.open)
  if not ok then error(value, 0) end
  if value == nil then return nil, file .. " returned nothing" end
  return { value = value }
end

---The `require` of one load.
local function requirer(run, name, rille)
  local folder = string.match(name, "^.*[/\\]") or ""
  local rille_view = rille and readonly({ null = rille.null, array = rille.array }, "rille")
  return function(neighbour)
    if neighbour == "rille" and rille_view then return rille_view end
    if type(neighbour) ~= "string" or not string.find(neighbour, "^[%w_%-]+$") then
      error("require: a plain name of a neighbour was expected, such as \"helper\", got "
        .. string.format(type(neighbour) == "string" and "%q" or "%s", neighbour), 2)
    end
    local file = folder .. neighbour .. ".lua"
    local loaded, message = run.loaded[file]
    if not loaded and #run.open == 0 then
      message = "only while the script is being loaded"
    elseif not loaded then
      loaded, message = load_neighbour(run, file)
      run.loaded[file] = loaded
    end
    if not loaded then error("require '" .. neighbour .. "': " .. message, 2) end
    return loaded.value
  end
end

local function run_script(run, name, params, settle)
  local text, message = read_text(run, name)
  if not text then return nil, message end
  local chunk, fault = compile(run, name, text)
  if not chunk then return nil, named(name, fault) end
  run.open = { name }
  local ok, value = c.run(chunk, params)
  run.open = {}
  if not ok then return nil, string.find(value, "^[^\n]*:%d+:") and value or named(name, value) end
  ok, message = pcall(settle)
  if not ok then return nil, named(name, message) end
  if type(value) == "table" then return value end
  return nil, named(name, "a script must return a table, got " .. type(value))
end

---What a script's value means: define(value, name, files), or nil and a message. The value may
---have metamethods: what they find is what scripts find.
function sandbox.define(define, value, name, files)
  local ok, definition, message = c.within(define, value, name, files)
  if ok then return definition, message end
  return nil, named(name, definition)
end

---Loads the script `name`.
---@param name string
---@param options? { read?: fun(name: string): (string?, string?), params?: any, rille?: table }
---@return table? value what the script returned
---@return string? message file:line and what went wrong
---@return { name: string, text: string }[] files those that were read, the script first; also on failure
function sandbox.load(name, options)
  options = options or {}
  local run = { read = options.read or sandbox.read_file, files = {}, loaded = {}, open = {} }
  local ok, params = pcall(copy_param, options.params, "params", options.rille, {})
  if not ok then return nil, named(name, params), run.files end
  local settle
  run.env, settle = environment(requirer(run, name, options.rille))
  c.seed(0)
  local value, message = run_script(run, name, params, settle)
  return value, message, run.files
end

return sandbox
