-- points.lua: named points of a transaction, at which its process does something: mostly die.
--
-- All that a coordinator, a participant and one who settles do to a log goes through the
-- functions of core.transaction, of which each embedded script has a table of its own; all
-- are wrapped here. A point is "before decide 1", "after commit 2": the n-th call of that
-- name. Those that only look are no points.
require "rille"

local points = {}

-- The tables of functions -------------------------------------------------------------------

local function each_value(value, f)
  if type(value) == "table" then
    for _, inner in pairs(value) do f(inner) end
  elseif type(value) == "function" then
    for i = 1, math.maxinteger do
      local name, inner = debug.getupvalue(value, i)
      if not name then break end
      f(inner)
    end
  end
end

local function collect(value, seen, found)
  if value == nil or seen[value] or type(value) ~= "table" and type(value) ~= "function" then return end
  seen[value] = true
  if type(value) == "table" and rawget(value, "prepare") and rawget(value, "decide") and rawget(value, "settle") then
    found[#found + 1] = value
  end
  each_value(value, function(inner) collect(inner, seen, found) end)
end

local seen, all = { [package.loaded] = true, [_G] = true }, {}
for _, name in ipairs { "drive", "coordinator", "recovery", "settling", "answer" } do
  collect(require("rille." .. name), seen, all)
end
assert(#all >= 5, "the functions of core.transaction were not found")

---The tables of functions.
points.means = all

-- Points ------------------------------------------------------------------------------------

local NAMES = { "instance", "check", "prepare", "flush", "decide", "commit", "abort", "ended", "settle", "outcome",
                "resolve" }

local counts, list, plot = {}, {}, {}

---A point that is reached.
function points.reach(name)
  list[#list + 1] = name
  if plot[name] then plot[name](name) end
end

local function number(name)
  counts[name] = (counts[name] or 0) + 1
  return ("%s %d"):format(name, counts[name])
end

---The function with a point before it and one behind.
function points.wrapped(name, f)
  return function(...)
    local at = number(name)
    points.reach("before " .. at)
    local results = table.pack(f(...))
    points.reach("after " .. at)
    return table.unpack(results, 1, results.n)
  end
end

---An instance, whose methods have points too.
local function wrapped_instance(instance)
  local proxy = {}
  for _, name in ipairs { "begin", "close" } do
    proxy[name] = points.wrapped(name, function(_, ...) return instance[name](instance, ...) end)
  end
  return proxy
end

local function wrap(means)
  local open = means.instance
  means.instance = function(...)
    local instance, message, code, detail = open(...)
    if not instance then return nil, message, code, detail end
    return wrapped_instance(instance)
  end
  for _, name in ipairs(NAMES) do means[name] = points.wrapped(name, means[name]) end
end

---From now on the functions in `actions` are called at the points that are their keys. With
---`whole` transactions over stores stay one call, which has none of these points.
function points.install(actions, whole)
  plot = actions
  for _, means in ipairs(points.means) do
    if not whole then means.transact = nil end
    wrap(means)
  end
end

---Those that were reached so far, in order.
function points.reached() return list end

return points
