-- script.lua: a script that is watched: its value is made anew when a file of it has changed.
--
-- What it was stays until the changed files load, so that a file that is being edited, or is
-- half written, takes nothing away from who runs it.

local core = ...
local rille = require "rille"
local sandbox = require "rille.sandbox"

---@class rille.script
local script = {}
local Watcher = {}
Watcher.__index = Watcher

local function read_file(name)
  local file, message = io.open(name, "rb")
  if not file then return nil, message end
  local text = file:read "a"
  file:close()
  return text
end

---Four sums of 64 bits over the texts, as 32 bytes.
local function identity_of(files, params)
  local parts = { _VERSION, assert(rille.encode(params or false)) }
  for i, file in ipairs(files) do
    parts[#parts + 1] = (i == 1 and "" or file.name:match "[^/\\]*$") .. "\0" .. file.text
  end
  local bytes, sums = table.concat(parts, "\0"), {}
  for seed = 1, 4 do
    local sum = 0xcbf29ce484222325 ~ seed
    for i = 1, #bytes do sum = (sum ~ bytes:byte(i)) * 0x100000001b3 end
    sums[seed] = string.pack("<i8", sum)
  end
  return table.concat(sums)
end

local function load(self)
  local value, message, files = sandbox.load(self.name, {
    read = self.read, params = self.params, rille = { null = rille.null, array = rille.array },
  })
  self.files = files
  if not value then return nil, message end
  local definition
  definition, message = self.define(value, self.name)
  if not definition then return nil, message end
  self.definition, self.identity = definition, identity_of(files, self.params)
  return true
end

local function is_same(self)
  for _, file in ipairs(self.files) do
    local ok, text = pcall(self.read, file.name)
    if not ok or text ~= file.text then return false end
  end
  return #self.files > 0
end

---Looks whether a file has changed.
---@return boolean changed, string? message  why the changed one is not taken
function Watcher:refresh()
  if is_same(self) then return false end
  local before = self.identity
  local loaded, message = load(self)
  self.fault = message
  return loaded and before ~= self.identity or false, message
end

---@param options { params: table?, define: fun(value: table, name: string): table?, string? }
---@return table? watcher { definition, identity }, string message, string code
function script.open(store, name, options)
  local self = setmetatable({ name = name, params = options.params, define = options.define,
    read = core.loader(store) or read_file, files = {} }, Watcher)
  local loaded, message = load(self)
  if not loaded then return nil, message, "script" end
  return self
end

return script
