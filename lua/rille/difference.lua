-- difference.lua: where two values differ, in words; the same words for the same values.
--
-- An integer and a float of the same number differ, as they do in a store. An empty
-- array and an empty map do not: in Lua both are {}.

local rille = require "rille"

---@class rille.difference
local difference = {}

local LINE_COLUMNS = 100 -- what is longer is shown on several lines
local MOST = 20          -- differences that are listed

---Integers first, then strings, then whatever else there is.
local function before(a, b)
  local integer_a, integer_b = math.type(a) == "integer", math.type(b) == "integer"
  if integer_a ~= integer_b then return integer_a end
  if integer_a or type(a) == "string" and type(b) == "string" then return a < b end
  if type(a) ~= type(b) then return type(a) > type(b) end
  return tostring(a) < tostring(b)
end

---The keys of one table or two, in order.
local function keys_of(a, b)
  local keys = {}
  for key in next, a do keys[#keys + 1] = key end
  for key in next, b or {} do
    if rawget(a, key) == nil then keys[#keys + 1] = key end
  end
  table.sort(keys, before)
  return keys
end

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
  if type(value) == "string" then return (("%q"):format(value):gsub("\\\n", "\\n")) end
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
  for _, key in ipairs(keys_of(value)) do
    local text = difference.show(rawget(value, key), indent .. "  ")
    if key == expected then expected = expected + 1 else text = show_key(key) .. " = " .. text end
    parts[#parts + 1] = text
  end
  if #parts == 0 then return "{}" end
  local line = "{ " .. table.concat(parts, ", ") .. " }"
  if #line + #indent <= LINE_COLUMNS and not line:find "\n" then return line end
  return "{\n" .. indent .. "  " .. table.concat(parts, ",\n" .. indent .. "  ") .. ",\n" .. indent .. "}"
end

local function same_atom(a, b)
  return a == b and math.type(a) == math.type(b) or a ~= a and b ~= b
end

local function collect(lines, expected, got, path)
  if type(expected) == "table" and type(got) == "table" then
    for _, key in ipairs(keys_of(expected, got)) do
      local below = type(key) == "string" and key:find "^[%a_][%w_]*$" and path .. "." .. key
        or path .. "[" .. show_atom(key) .. "]"
      collect(lines, rawget(expected, key), rawget(got, key), below)
    end
  elseif not same_atom(expected, got) then
    lines[#lines + 1] = ("  %s: expected %s, got %s"):format(path, difference.show(expected, "  "),
      difference.show(got, "  "))
  end
end

---@param what string what the values are, such as "state"
---@return string? text nil where they are the same
function difference.between(expected, got, what)
  local lines = {}
  collect(lines, expected, got, what)
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
