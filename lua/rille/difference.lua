-- difference.lua: where two values differ, in words; the same words for the same values.
--
-- An integer and a float of the same number differ, as they do in a store. An empty
-- array and an empty map do not: in Lua both are {}.

local rille = require "rille"
local changes = require "rille.changes"

---@class rille.difference
local difference = {}

local LINE_COLUMNS = 100 -- what is longer is shown on several lines
local MOST = 20          -- differences that are listed

---Enough digits that different floats look different.
local function show_float(value)
  local text = tostring(value)
  if value ~= value or tonumber(text) == value or text:find "inf" then return text end
  text = ("%.17g"):format(value)
  return text:find "[.e]" and text or text .. ".0"
end

local function show_atom(value)
  if value == nil then return "nothing" end
  if value == rille.null then return "null" end
  if type(value) == "string" then return changes.quoted(value) end
  if math.type(value) == "float" then return show_float(value) end
  if type(value) == "number" or type(value) == "boolean" then return tostring(value) end
  return "a " .. type(value)
end

local function show_key(key)
  if type(key) == "string" and key:find "^[%a_][%w_]*$" then return key end
  return "[" .. show_atom(key) .. "]"
end

---A value as Lua would have it written, on one line where it fits.
---@return string
function difference.show(value, indent)
  if type(value) ~= "table" then return show_atom(value) end
  indent = indent or ""
  local parts, expected = {}, 1
  for _, key in ipairs(changes.keys(value)) do
    local text = difference.show(rawget(value, key), indent .. "  ")
    if key == expected then expected = expected + 1 else text = show_key(key) .. " = " .. text end
    parts[#parts + 1] = text
  end
  if #parts == 0 then return "{}" end
  local line = "{ " .. table.concat(parts, ", ") .. " }"
  if #line + #indent <= LINE_COLUMNS and not line:find "\n" then return line end
  return "{\n" .. indent .. "  " .. table.concat(parts, ",\n" .. indent .. "  ") .. ",\n" .. indent .. "}"
end

---@param what string what the values are, such as "state"
---@return string? text nil where they are the same
function difference.between(expected, got, what)
  local lines = {}
  for i, change in ipairs(changes.between(expected, got, what)) do
    lines[i] = ("  %s: expected %s, got %s"):format(change.place, difference.show(change.before, "  "),
      difference.show(change.after, "  "))
  end
  if #lines == 0 then return nil end
  local more = #lines - MOST
  if more > 0 then
    lines = table.move(lines, 1, MOST, 1, {})
    lines[#lines + 1] = ("  and %d more"):format(more)
  end
  return ("%s\nexpected %s\ngot      %s"):format(table.concat(lines, "\n"), difference.show(expected),
    difference.show(got))
end

return difference
