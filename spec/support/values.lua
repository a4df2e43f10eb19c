-- values.lua: random plain values, and whether two values are the same. What one
-- spec calls "the same" must be stricter than ==: kind of number, sign of zero,
-- NaN, null, and whether an empty table is an array.
local rille = require "rille"

local values = {}

-- Seeds the generator, from SEED where it is set, and tells with what.
function values.seed(name)
  local seed = math.tointeger(tonumber(os.getenv("SEED") or os.time()))
  print(("%s: SEED=%d"):format(name, seed))
  math.randomseed(seed)
end

local function is_empty_array(t)
  return next(t) == nil and getmetatable(t) == "rille.array"
end

---Like rawget, also where the key is LuaJIT's int64_t, of which each is another key, or a number
---that comes back as one.
local function field(t, key)
  local value = rawget(t, key)
  if value ~= nil or type(key) == "string" then return value end
  for k, v in next, t do
    if k == key then return v end
  end
end

local function same_table(a, b)
  if is_empty_array(a) ~= is_empty_array(b) then return false end
  for k, v in next, a do
    if not values.same(v, field(b, k)) then return false end
  end
  for k in next, b do
    if field(a, k) == nil then return false end
  end
  return true
end

function values.same(a, b)
  if math.type(a) ~= math.type(b) then return false end
  if math.type(a) == "integer" then return a == b end -- LuaJIT's 2^60 comes back as an int64_t
  if type(a) ~= type(b) then return false end
  if type(a) == "table" then return same_table(a, b) end
  if math.type(a) == "float" then
    return (a ~= a and b ~= b) or string.pack("d", a) == string.pack("d", b)
  end
  return a == b
end

local function some_bytes(n)
  local t = {}
  for i = 1, n do t[i] = string.char(math.random(0, 255)) end
  return table.concat(t)
end

local function some_text(n)
  local t = {}
  for i = 1, n do
    local c = math.floor(math.random(0, 0x10ffff) / 2 ^ math.random(0, 14))
    t[i] = utf8.char((c >= 0xd800 and c <= 0xdfff) and 0xe4 or c)
  end
  return table.concat(t)
end

local odd_strings = { "", "$bytes", "$float", "$pairs", "$", "a\0b", "\xff", '"\\\n', "null" }
local odd_floats = { 0.0, -0.0, 1.0, 1 / 0, -1 / 0, 0 / 0, 0.1, 1e300, 5e-324, 2.0 ^ 53, 2.0 ^ 63 }

local function some_integer()
  local n = math.random(0, 8)
  return n == 0 and 0 or (string.unpack("<I" .. n, some_bytes(n)))
end

local leaves = {
  function() return some_integer() end,
  function() return -some_integer() end,
  function() return odd_floats[math.random(#odd_floats)] end,
  function() return (string.unpack("d", some_bytes(8))) end,
  function() return odd_strings[math.random(#odd_strings)] end,
  function() return some_bytes(math.random(0, 40)) end,
  function() return some_text(math.random(0, 40)) end,
  function() return ("x"):rep(math.random(0, 300)) end,
  function() return math.random(2) == 1 end,
  function() return rille.null end,
  function() return {} end,
  function() return rille.array {} end,
}

local function fill(depth, key)
  local t = {}
  for i = 1, math.random(0, 20) do
    t[key(i)] = values.random(depth - 1)
  end
  return t
end

local branches = {
  function(depth) return fill(depth, function(i) return i end) end,
  function(depth) return fill(depth, some_integer) end,
  function(depth) return fill(depth, function() return some_text(math.random(0, 9)) end) end,
  function(depth) return fill(depth, function() return some_bytes(math.random(0, 9)) end) end,
  function(depth)
    return { [odd_strings[math.random(#odd_strings)]] = values.random(depth - 1) }
  end,
}

-- A value with at most `depth` tables within each other.
function values.random(depth)
  local of = (depth > 0 and math.random(3) == 1) and branches or leaves
  return of[math.random(#of)](depth)
end

-- n tables within each other.
function values.nested(n, key)
  local t = {}
  for _ = 2, n do t = { [key] = t } end
  return t
end

function values.hex(bytes)
  return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

function values.unhex(digits)
  return (digits:gsub("%s", ""):gsub("%x%x", function(d) return string.char(tonumber(d, 16)) end))
end

return values
