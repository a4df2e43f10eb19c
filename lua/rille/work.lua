-- work.lua: what a transaction is to do in one store: several appends made one.
--
-- A work is the table of store:append's second form: parts, one after the other, `unless` with
-- items that each have their own `after`, and at most one mark. It is frozen: copies of what the
-- caller gave, so that a table changed later, or used again, changes nothing of it.

local core = ...
local rille = require "rille"

---@class rille.work
local work = {}

---A plain copy. The binding has checked before that it is a tree of values.
local function copy(value)
  if type(value) ~= "table" then return value end
  local twin = {}
  for key, entry in next, value do twin[key] = copy(entry) end
  return getmetatable(value) == "rille.array" and rille.array(twin) or twin
end

---The items of a query, each with its own `after`.
local function items_of(query)
  local list, after = {}, rawget(query, "after") or 0
  for i = 1, rawlen(query) do
    list[i] = copy(rawget(query, i))
    list[i].after = math.max(list[i].after or 0, after)
  end
  if #list == 0 then list[1] = copy(query) end
  return list
end

---What holds for the whole append: nil, message, code where it can't be.
local function add_conditions(self, options)
  local unless, mark = rawget(options, "unless"), rawget(options, "mark")
  if (rawget(options, "wait") or 0) ~= 0 then
    return nil, "a transaction never waits for a lock, so there is no wait: use attempts", "invalid"
  end
  if mark and self.mark then
    return nil, ("a transaction moves one mark of a store, and that is %q already"):format(self.mark[1]), "invalid"
  end
  self.mark = self.mark or copy(mark)
  if unless then
    self.unless = self.unless or {}
    local items = items_of(unless)
    table.move(items, 1, #items, #self.unless + 1, self.unless)
  end
  return true
end

---Adds what store:append would be given, in either form.
---@param self table the work
---@return boolean? added, string message, string code
function work.add(self, store, stream, events, options)
  local checked, message, code = core.append_check(store, stream, events, options)
  if not checked then return nil, message, code end
  local several = type(stream) == "table"
  local added
  added, message, code = add_conditions(self, several and stream or options or {})
  if not added then return nil, message, code end
  if not several then
    self[#self + 1] = { stream = stream, events = copy(events), expect = options and rawget(options, "expect") }
    return true
  end
  for i = 1, rawlen(stream) do self[#self + 1] = copy(rawget(stream, i)) end
  return true
end

---Adds parts in the second form that rille's own scripts have made: names may begin with "$".
---@return boolean? added, string message, string code
function work.add_internal(self, parts)
  local added, message, code = add_conditions(self, parts)
  if not added then return nil, message, code end
  self.internal = true
  for _, part in ipairs(parts) do self[#self + 1] = copy(part) end
  return true
end

---Whether there is anything in it.
function work.is_empty(self) return next(self) == nil end

return work
