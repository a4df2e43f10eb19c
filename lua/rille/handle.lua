-- handle.lua: methods that look whether they are called on a handle of theirs.
--
-- Who writes store.poll() means store:poll(). Without a look the first line of rille's own that
-- touches `self` would fail, and be blamed. So a class that is complete is guarded: each method is
-- replaced by one that looks, and calls it in its own place. For a call in the place of another is
-- no level of its own: what a method raises at level 2 blames its caller, as before.
--
-- Methods that are C functions look for themselves.

local core = ...

---@class rille.handle
local handle = {}

local BAD = "bad self in a call of '%s' (%s expected, got %s): methods are called with a colon, %s:%s(...)"

---What a method that was called on something else says of it.
---@param kind string "rille.projection"
function handle.fault(name, kind, self)
  return BAD:format(name, kind, self == nil and "nothing" or type(self), kind:match "[^.]*$", name)
end

local function guarded(name, kind, is_one, method)
  return function(self, ...)
    if not is_one(self) then error(handle.fault(name, kind, self), 2) end
    return method(self, ...)
  end
end

---Guards methods of a class of tables, whose metatable it is, or another that shares them.
---@param names string[]
---@param other? table
function handle.guard(class, kind, names, other)
  local function is_one(self)
    local class_of = getmetatable(self)
    return class_of == class or class_of ~= nil and class_of == other
  end
  for _, name in ipairs(names) do class[name] = guarded(name, kind, is_one, assert(class[name], name)) end
end

---Adds a method to stores.
function handle.store_method(name, method)
  core.methods[name] = guarded(name, "rille.store", core.is_store, method)
end

return handle
