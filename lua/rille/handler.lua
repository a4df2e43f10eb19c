-- handler.lua: participants that are Lua functions of the host.
--
--   { prepare = function(id, work) return true | "read" | nil, reason end,
--     commit = function(id, work) ... end, abort = function(id) ... end,   repeated until true
--     recover = function() return { ids } end }                            what it holds, after a crash
--
-- One with `prepare` alone is a voter: it holds nothing, and is asked and forgotten. Their work
-- travels as bytes, in the frame of the decision, so that commit gets it after a crash, too. An
-- error in prepare is a no; in commit or abort it is a "not yet".

local rille = require "rille"
local options = require "rille.options"

---@class rille.handler
local Handler = { kind = "handler" }
Handler.__index = Handler

---@class rille.handler.branch
local Branch = {}
Branch.__index = Branch

local handler = {}

local FUNCTIONS = { prepare = true, commit = true, abort = true, recover = true }

---Calls a function of the host's. Nil, message where it failed or said nothing good.
local function call(self, what, ...)
  local ok, value, reason = pcall(self.functions[what], ...)
  if not ok then return nil, ("%s: %s failed: %s"):format(self.name, what, tostring(value)) end
  if value then return value end
  return nil, reason ~= nil and tostring(reason) or ("%s: %s did not return true"):format(self.name, what)
end

---Its work, as a value of its own; "" is none.
local function value_of(bytes)
  if bytes == "" then return nil end
  return (rille.decode(bytes))
end

-- One transaction -------------------------------------------------------------------------------

---@return "yes"|"read"|nil vote, string? message, string? code
function Branch:prepare()
  local value, message = call(self.handler, "prepare", self.id, self:value())
  if value == nil then return nil, message, "refused" end
  return value == "read" and "read" or "yes"
end

function Branch:note() return self.work end

---The work, as a value of the caller's own.
function Branch:value() return value_of(self.work) end

function Branch:commit() return self.handler:finish(self.id, self.work, "commit") end
function Branch:abort() return self.handler:finish(self.id, self.work, "abort") end

-- A handler -------------------------------------------------------------------------------------

---@param what { id: string, work: any }
function Handler:enlist(what)
  local bytes = ""
  if what.work ~= nil then
    local message
    bytes, message = rille.encode(what.work)
    if not bytes then return nil, ("%s: work: %s"):format(self.name, message), "invalid" end
  end
  return setmetatable({ handler = self, id = what.id, work = bytes }, Branch)
end

---Tells it the outcome, any number of times.
---@param outcome "commit"|"abort"
---@return boolean? done true only when it is final; or nil, message, code
function Handler:finish(id, note, outcome)
  if not self.functions[outcome] then return true end
  local done, message
  if outcome == "commit" then
    done, message = call(self, "commit", id, value_of(note))
  else
    done, message = call(self, "abort", id)
  end
  if done == true then return true end
  return nil, message or ("%s: %s returned no true"):format(self.name, outcome), "unknown"
end

---Tells the outcomes of what it says that it holds.
---@param outcome_of fun(id: string): "commit"|"abort"|nil, string?  and the work
---@return integer? finished, integer|string remaining
function Handler:sweep(_, _, outcome_of)
  if not self.functions.recover then return 0, 0 end
  local ids, message = call(self, "recover")
  if type(ids) ~= "table" then return nil, message or self.name .. ": recover gave no list", "refused" end
  local finished, remaining = 0, 0
  for _, id in ipairs(ids) do
    local outcome, note = outcome_of(id)
    if outcome and self:finish(id, note or "", outcome) then finished = finished + 1
    else remaining = remaining + 1
    end
  end
  return finished, remaining
end

---@param name string
---@param functions table
---@param level integer at which misuse is raised
function handler.new(name, functions, level)
  for key, value in pairs(functions) do
    if not FUNCTIONS[key] then
      error(("participant %s: %s"):format(name, options.unknown("function", key, FUNCTIONS)), level + 1)
    end
    if type(value) ~= "function" then
      error(("participant %s: %s must be a function, not %s"):format(name, key, type(value)), level + 1)
    end
  end
  if not functions.prepare then error(("participant %s needs prepare = function(id, work)"):format(name), level + 1) end
  return setmetatable({ name = name, functions = functions, voter = not (functions.commit or functions.abort) },
    Handler)
end

return handler
