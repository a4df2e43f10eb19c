-- attacks.lua: scripts that try to hang, fill, crash or leave the state they run in.
--
-- { name, verdict, body }: the body of a handler of an isolated reducer, or with
-- text = true the script itself. The verdict is the code of the failure, or "clean"
-- where the script comes to its end; two with a "|" between: either will do.
local attacks = {}

local function add(name, verdict, body)
  attacks[#attacks + 1] = { name = name, verdict = verdict, body = body }
end
local function script(name, verdict, text)
  attacks[#attacks + 1] = { name = name, verdict = verdict, body = text, text = true }
end

-- Endless, and not to be caught
add("a loop", "budget", [[while true do end]])
add("pcall within pcall", "budget", [[local function f() return pcall(f) end while true do f() end]])
add("a loop that catches", "budget", [[while true do pcall(function() while true do end end) end]])
add("a handler that loops", "budget", [[xpcall(function() while true do end end, function() while true do end end)]])
add("a handler that is pcall", "budget", [[while true do xpcall(function() while true do end end, pcall) end]])
add("closing after the kill", "budget",
  [[local function f() local c <close> = setmetatable({}, {__close=function() f() end}) while true do end end f()]])
add("closing that loops", "budget", [[local c <close> = setmetatable({}, {__close = function() while true do end end})
  while true do end]])
add("closing in pcall in closing", "budget", [[local function shut() pcall(shut_again) while true do end end
  local c <close> = setmetatable({}, { __close = function() while true do pcall(error) end end }) error "x"]])
add("errors in the error handler", "budget",
  [[local function h(e) error(e) end while true do (xpcall or pcall)(error, h) end]])
add("a metamethod that loops", "budget", [[return setmetatable({}, { __index = function() while true do end end }).x]])
add("an iterator without end", "budget", [[for _ in function() return 1 end do end]])
add("ipairs without end", "budget", [[for _ in ipairs(setmetatable({}, { __index = function() return 1 end })) do end]])
add("goto", "budget", [[::again:: goto again]])
add("__tostring of the error", "budget",
  [[error(setmetatable({}, { __tostring = function() while true do end end }))]])
add("gsub whose function loops", "budget",
  [[return (string.gsub(("x"):rep(1e6|0), "x", function() while true do end end))]])
add("gsub that catches", "budget",
  [[return (string.gsub(("x"):rep(1e6|0), "x", function() pcall(function() while true do end end) end))]])
add("sort whose order loops", "budget", [[table.sort({ 3, 2, 1 }, function() while true do end end)]])

-- Finalizers and weak tables
add("a finalizer that loops", "script",
  [[setmetatable({}, {__gc=function() while true do end end}) for i=1,1e5 do local t={} end return 'gc survived']])
add("a finalizer that resurrects", "script",
  [[local function m() setmetatable({}, {__gc=function() m() end}) end m() for i=1,1e5 do local t={} end return 'ok']])
add("a weak metatable", "script", [[local mt=setmetatable({__newindex={}}, {__mode='v'}) local t=setmetatable({}, mt)
  for i=1,1e6 do t[i]=1 local s=string.rep('x',i%1000) end return 'ok']])
add("a finalizer set later", "clean",
  [[local mt = {} setmetatable({}, mt) mt.__gc = function() while true do end end
  for i = 1, 1e5 do local t = {} end]])

-- Memory
add("a big string", "budget", [[return #string.rep("x", 1e9|0)]])
add("a string that doubles", "budget", [[local s='x' while true do s=s..s end]])
add("a string that doubles, caught", "budget",
  [[while true do pcall(function() local s='x' while true do s=s..s end end) end]])
add("tables", "budget", [[local t={} for i=1,1e9 do t[i]={} end]])
add("closures", "budget", [[local t=nil while true do local p=t t=function() return p end end]])
add("an array with one far key", "budget|clean", [[local t = {} for i = 0, 60 do t[1 << i] = i end
  for i = 1, 1e9 do t[i] = i end]])
add("state without end", "budget", [[for i = 1, 1e9 do state[i] = ("x"):rep(1000) .. i end]])
add("upper of upper", "budget",
  [[local s = ("x"):rep(1e6|0) while true do s = (s:upper() .. "y"):lower():reverse() end]])
add("format", "budget", [[local s = ("x"):rep(1e6|0) while true do s = ("%s%s"):format(s, s) end]])
add("char and byte", "budget", [[local s = ("x"):rep(1e5|0) while true do local t = { s:byte(1, -1) } end]])
add("pack", "budget", [[return string.pack("c1000000000", "x")]])
add("varargs", "budget", [[local t = table.move({}, 1, 1, 1) for i = 1, 2e5 do t[i] = i end
  local function f(...) return f(1, ...) end return f(table.unpack(t))]])

-- Work in C
add("rep of nothing", "budget", [[return ("").rep("", 1e15|0)]])
add("insert with a false length", "budget",
  [[table.insert(setmetatable({}, {__len=function() return 1e15|0 end}), 1, 0)]])
add("remove with a false length", "budget",
  [[table.remove(setmetatable({}, {__len=function() return 1e15|0 end}), 1)]])
add("move", "budget", [[table.move({}, 1, 1e15|0, 2)]])
add("sort with a false length", "script",
  [[table.sort(setmetatable({}, {__len=function() return 2^30|0 end}), rawequal)]])
add("sort with a length that fits", "budget",
  [[table.sort(setmetatable({}, {__len=function() return 3e7|0 end}), rawequal)]])
add("concat of nothing", "budget",
  [[return #table.concat(setmetatable({}, {__index=function() return "" end}), "", 1, 1e15|0)]])
add("unpack", "budget", [[return select('#', table.unpack({}, 1, 1e8|0))]])
add("unpack to the end of numbers", "budget|script", [[return table.unpack({}, math.mininteger, math.maxinteger)]])
add("inserting at the front", "budget", [[local t = {} for i = 1, 1e7 do table.insert(t, 1, i) end]])
add("pairs over many", "budget", [[local t = {} for i = 1, 3e5 do t[i] = i end while true do pairs(t) end]])
add("next over many", "budget", [[local t = {} for i = 1, 1e5 do t["k" .. i] = i end while true do next(t) end]])
add("keys that are long and alike", "budget", [[local t, s = {}, ("x"):rep(2e5|0)
  for i = 1, 200 do t[s .. i] = i end while true do pairs(t) end]])
add("sorting long equals", "budget", [[local t, s = {}, ("x"):rep(2e6|0)
  for i = 1, 1000 do t[i] = s end while true do table.sort(t) end]])
add("comparing long strings", "budget", [[local a, b = ("x"):rep(2e7|0) .. "a", ("x"):rep(2e7|0) .. "b"
  while true do local _ = a == b, a < b end]])
add("numbers with many digits", "budget", [[local s = ("1"):rep(5e6|0) while true do local _ = tonumber(s) end]])
add("utf8", "budget", [[local s = ("x"):rep(5e6|0) while true do local _ = utf8.len(s) end]])

-- Patterns
add("optional items", "budget", [[return string.find(("a"):rep(30), ("a?"):rep(30)..("a"):rep(31))]])
add("captures that go back", "budget", [[return string.find(("a"):rep(3000), "(.*)(.*)(.*)%1%2%3b")]])
add("stars", "budget", [[return ("a"):rep(30000):match(".*.*.*.*b")]])
add("the least", "budget", [[return ("a"):rep(30000):match(".-.-.-.-b")]])
add("a long set", "budget", [[return ("a"):rep(1e6|0):find("[" .. ("b"):rep(1e6|0) .. "]")]])
add("balance", "budget", [[return ("("):rep(1e6|0):find("%b()")]])
add("a plain search", "budget", [[return (("a"):rep(2e6|0)):find(("a"):rep(1e6|0) .. "b", 1, true)]])
add("gmatch", "budget", [[for _ in ("a"):rep(1e6|0):gmatch(".-b") do end]])
add("gsub of empty matches", "budget", [[while true do ("a"):rep(1e5|0):gsub("", "") end]])
add("a pattern that is too deep", "script", [[return ("a"):rep(1000):find(("a?"):rep(1000))]])

-- Depth
add("recursion", "script|budget", [[local function f(n) return 1+f(n+1) end return f(1)]])
add("recursion through gsub", "script", [[local function f(s) return (s:gsub(".", f)) end return f("x")]])
add("recursion through sort", "script", [[local function f() table.sort({3,2,1}, function() f() end) end f()]])
add("recursion through concat", "script",
  [[local t t=setmetatable({}, {__concat=function(a,b) return a..b end}) return t..1]])
add("recursion through tostring", "script",
  [[local t t = setmetatable({}, { __tostring = function() return tostring(t) end }) return tostring(t)]])
add("an index that indexes itself", "script|clean", [[local a, b = {}, {} setmetatable(a, { __index = b })
  setmetatable(b, { __index = a }) return a.x]])
add("a state that is deep", "script", [[local t = state for i = 1, 1e4 do t.t = {} t = t.t end]])
add("a state that contains itself", "script", [[state.state = state]])

-- Ways out
add("an address", "script", [[return string.format("%p", {})]])
add("the strings' metatable", "script",
  [[getmetatable("").__index.upper=function() return "pwned" end return ("a"):upper()]])
add("bytecode", "script", [[return load("\27Lua")]])
add("debug", "script", [[return debug.getregistry()]])
add("io", "script", [[return io.open("/etc/passwd")]])
add("package", "script", [[return package.loadlib("libc.so.6","system")]])
add("collectgarbage", "script", [[return collectgarbage("count")]])
add("a coroutine that loops", "script", [[local co=coroutine.wrap(function() while true do end end) co()]])
add("a coroutine out of the hook", "script",
  [[coroutine.wrap(function() pcall(function() while true do end end) while true do end end)()]])
add("a global _ENV", "script", [[a={_ENV={}} return a._ENV.x+1]])
add("a library changed", "script", [[string.rep = nil]])
add("a library changed by rawset", "script", [[rawset(string, "rep", nil)]])
add("the event kept", "script", [[state.event = event]])
add("many arguments", "clean", [[string.format(("%s"):rep(500), table.unpack({}, 1, 500))]])
add("aligned packing", "clean", [[local _ = #string.pack(("!16Xi16"):rep(2000).."b",1)]])

-- The parser
script("parentheses", "script", "return " .. ("("):rep(1e6))
script("a long concatenation", "script", "local x = " .. ("a .. "):rep(1e6) .. "a")
script("a long condition", "budget", "local a local x = " .. ("a and "):rep(6e5) .. "a return {}")
script("blocks", "script", ("do "):rep(1e5))
script("functions", "script", ("return function() "):rep(1e5))
script("a text without end", "budget", "--" .. ("x"):rep(2e7))
script("a loop while loading", "budget", "while true do end")
do
  local labels = {}
  for i = 1, 2e5 do labels[i] = ("::a%d:: f()"):format(i) end
  script("labels", "budget|script", "local f " .. table.concat(labels, " "))
  local jumps = {}
  for i = 1, 2e5 do jumps[i] = ("if f then goto a%d end"):format(i) end
  script("jumps", "budget|script", "local f " .. table.concat(jumps, " "))
end
script("an initial that loops", "budget",
  "return { initial = function() while true do end end, on = { T = function() end } }")
script("a table whose pairs loop", "budget",
  "local function f() while true do end end return setmetatable({}, { __pairs = f, __index = f })")
script("a key that loops", "budget",
  "return { initial = 0, key = function() while true do end end, on = { T = tostring } }")

local translated = require "spec.support.luajit".translated
if translated then
  for _, attack in ipairs(attacks) do attack.body = translated(attack.body) end
end

return attacks
