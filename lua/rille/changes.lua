-- changes.lua: what has changed in a state: by place, before and after.
--
-- A place is written as in Lua: balance, items[3].name; "state" is the whole of it.

local rille = require "rille"

---@class rille.changes
local changes = {}

---Integers first, then strings, then whatever else there is.
local function before(a, b)
  local integer_a, integer_b = math.type(a) == "integer", math.type(b) == "integer"
  if integer_a ~= integer_b then return integer_a end
  if integer_a or type(a) == "string" and type(b) == "string" then return a < b end
  if type(a) ~= type(b) then return type(a) > type(b) end
  return tostring(a) < tostring(b)
end

---The keys of one table or two, in order.
function changes.keys(a, b)
  local keys = {}
  for key in next, a do keys[#keys + 1] = key end
  for key in next, b or {} do
    if rawget(a, key) == nil then keys[#keys + 1] = key end
  end
  table.sort(keys, before)
  return keys
end

---A text as Lua would have it written, on one line.
function changes.quoted(text) return (("%q"):format(text):gsub("\\\n", "\\n")) end

---The place of a key in what is at a place: items[3] and "name" give items[3].name.
function changes.place(place, key)
  local kind = type(key)
  if kind == "number" or kind == "boolean" then return ("%s[%s]"):format(place, tostring(key)) end
  if kind ~= "string" then return ("%s[a %s]"):format(place, kind) end
  if key:find "^[%a_][%w_]*$" then return place == "" and key or place .. "." .. key end
  return ("%s[%s]"):format(place, changes.quoted(key))
end

local function same(a, b)
  return a == b and math.type(a) == math.type(b) or a ~= a and b ~= b
end

local function collect(list, place, a, b)
  if type(a) == "table" and type(b) == "table" then
    for _, key in ipairs(changes.keys(a, b)) do
      collect(list, changes.place(place, key), rawget(a, key), rawget(b, key))
    end
  elseif not same(a, b) then
    list[#list + 1] = { place = place == "" and "state" or place, before = a, after = b }
  end
end

---@param what? string what all places begin with
---@return { place: string, before: any, after: any }[] in the order of places; nil: was not there
function changes.between(a, b, what)
  local list = {}
  collect(list, what or "", a, b)
  return list
end

local function text(value)
  if value == nil then return "nothing" end
  return assert(rille.json.encode(value))
end

---A change in one line: balance: 3 -> 5
function changes.text(change)
  return ("%s: %s -> %s"):format(change.place, text(change.before), text(change.after))
end

return changes
