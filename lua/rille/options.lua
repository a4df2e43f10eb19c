-- options.lua: tables of options, checked: an unknown one is misuse, and raises.

---@class rille.options
local options = {}

local WORD_BYTES = 100 -- of one that may have been meant for another

---How many letters must be changed, added or left out to make one word of the other.
local function distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local change = diagonal + (a:byte(i) == b:byte(j) and 0 or 1)
      diagonal = row[j]
      row[j] = math.min(change, row[j] + 1, row[j - 1] + 1)
    end
  end
  return row[#b]
end

---The one of the names that a word may have been meant for, or nil.
---@param known table<string, any>
---@return string?
function options.nearest(word, known)
  if #word > WORD_BYTES then return nil end
  local best, least = nil, 1 + math.floor(#word / 3)
  for name in pairs(known) do
    local d = distance(word, name)
    if d < least or d == least and best and name < best or d == least and not best then best, least = name, d end
  end
  return best
end

---The message for a name that nobody knows.
---@param what string "option"
---@param known table<string, any>
function options.unknown(what, word, known)
  local kind = type(word)
  word = (kind == "string" or kind == "number" or kind == "boolean") and tostring(word) or kind
  local best = options.nearest(word, known)
  local hint = best and (" (did you mean '%s'?)"):format(best) or ""
  return ("unknown %s '%s'%s"):format(what, word, hint)
end

---Raises at `level` unless it is a table of options that are known.
function options.check(given, known, level)
  if type(given) ~= "table" then error("options must be a table", level + 1) end
  for name in pairs(given) do
    if not known[name] then error(options.unknown("option", name, known), level + 1) end
  end
end

---Raises at `level` unless each of the options that are named is a boolean, where it is given.
function options.check_booleans(given, names, level)
  for _, name in ipairs(names) do
    local kind = type(given[name])
    if kind ~= "nil" and kind ~= "boolean" then
      error(("%s must be a boolean, not %s"):format(name, kind), level + 1)
    end
  end
end

options.LIMITS = { "memory_bytes", "instructions" } -- of an isolate

---Raises at `level` where `isolated` or a limit of an isolate is of a wrong type, also where none is asked for.
function options.check_limits(given, level)
  options.check_booleans(given, { "isolated" }, level + 1)
  for _, name in ipairs(options.LIMITS) do
    local value = given[name]
    if value ~= nil and math.type(value) ~= "integer" then
      error(("%s must be an integer, not %s"):format(name, type(value)), level + 1)
    end
  end
end

---What is wrong with a time to be waited or worked for, where one is given; nil: nothing. It is one of
---those values that a caller is told of, and that raise nothing.
---@param value number?
---@return string? message
function options.time_fault(value, name)
  if value == nil or value >= 0 then return nil end -- NaN is not, either
  return name .. " must not be negative"
end

---Raises at `level` where a table has anything but the entries 1, 2, 3 ...: that would be passed over.
function options.check_list(list, name, level)
  local count = 0
  for _ in pairs(list) do count = count + 1 end
  if count ~= #list then error(name .. " must be a list, numbered 1, 2, 3 ... without a hole", level + 1) end
end

return options
