-- stores.lua: stores to try things on, and what is in them.
local rille = require "rille"
local scratch = require "spec.support.scratch"

local stores = {}

---A new store, not synced unless the options say so, and its path.
function stores.new(options)
  local path = scratch.path()
  local with = { sync = "never" }
  for name, value in pairs(options or {}) do with[name] = value end
  return assert(rille.open(path, with)), path
end

---The events of an iterator, as a list.
function stores.list(...)
  local events = {}
  for event in ... do events[#events + 1] = event end
  return events
end

---One field of each of an iterator's events.
function stores.fields(name, ...)
  local list = {}
  for event in ... do list[#list + 1] = event[name] end
  return list
end

function stores.versions(...) return stores.fields("version", ...) end
function stores.positions(...) return stores.fields("position", ...) end

---The integers from a to b.
function stores.range(a, b)
  local list = {}
  for i = a, b, a <= b and 1 or -1 do list[#list + 1] = i end
  return list
end

---Appends events 1 .. n to a stream, `each` an append.
function stores.fill(store, stream, n, each, make)
  local from = 1
  while from <= n do
    local events = {}
    for i = from, math.min(n, from + (each or n) - 1) do
      events[#events + 1] = make and make(i) or { type = "Counted", data = { n = i } }
    end
    assert(store:append(stream, events))
    from = from + #events
  end
end

---A store with two events of stream "s" that loads, of whatever name, the text of `script`, and how it is removed.
function stores.scripted()
  local script = {}
  local store, path = stores.new { load = function() return script.text end }
  stores.fill(store, "s", 2)
  return store, script, function()
    store:close()
    scratch.remove(path)
  end
end

---The answer of a call that must fail without raising: message, code, detail.
function stores.failure(result, message, code, detail)
  if result ~= nil then error("expected a failure, got " .. tostring(result), 2) end
  assert(type(message) == "string" and #message > 0, "a failure needs a message")
  return message, code, detail
end

---The message with which a call raises.
function stores.raised(f, ...)
  local ok, message = pcall(f, ...)
  if ok then error("expected an error, got none", 2) end
  if type(message) ~= "string" then error("the error is a " .. type(message), 2) end
  return message
end

---True, or an error that shows the text.
function stores.contains(text, part)
  if not text:find(part, 1, true) then error(("%q is not in %q"):format(part, text), 2) end
  return true
end

---What a transaction is to do in a store, as the functions of core.transaction take it.
function stores.work(store, parts)
  local means = require("spec.support.core").transaction
  local work = means.work()
  assert(means.add_internal(store, parts, work))
  return work
end

return stores
