-- changes.lua: what has changed in a state: by place, before and after.
--
-- A place is written as in Lua: balance, items[3].name; "state" is the whole of it.

local rille = require "rille"

---@class rille.changes
local changes = {}

local function is_branch(value) return type(value) == "table" end

local function sorted_keys(a, b)
  local keys = {}
  for key in pairs(a) do keys[#keys + 1] = key end
  for key in pairs(b) do
    if a[key] == nil then keys[#keys + 1] = key end
  end
  table.sort(keys, function(x, y)
    if type(x) == type(y) then return x < y end
    return type(x) == "number"
  end)
  return keys
end

local function place_of(place, key)
  if math.type(key) == "integer" then return ("%s[%d]"):format(place, key) end
  if key:find "^[%a_][%w_]*$" then return place == "" and key or place .. "." .. key end
  return ("%s[%q]"):format(place, key)
end

local function same(a, b)
  return a == b and math.type(a) == math.type(b) or a ~= a and b ~= b
end

local function collect(list, place, a, b)
  if is_branch(a) and is_branch(b) then
    for _, key in ipairs(sorted_keys(a, b)) do collect(list, place_of(place, key), a[key], b[key]) end
  elseif not same(a, b) then
    list[#list + 1] = { place = place == "" and "state" or place, before = a, after = b }
  end
end

---@return { place: string, before: any, after: any }[] in the order of places; nil: was not there
function changes.between(a, b)
  local list = {}
  collect(list, "", a, b)
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
