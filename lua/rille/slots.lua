-- slots.lua: sets of kept states, as they lie in the index.
--
-- A slot is a name for a set of states. It is written again and again, with its mark, in
-- one transaction each time; a rebuild fills a slot of its own, beside the one that is
-- read, and takes its place in one transaction as well:
--
--      V name identity -> record    the finished states of one form of the script
--      B name identity -> record    those that are being built
--      C name          -> identity  the form whose states are the projection's
--      T slot                       a slot that nobody needs: what is left of it is removed
--      S slot : key    -> state
--
-- A record is { slot, mark }. What can't be read or written is raised, as a table: states.lua
-- makes results of it.

local core = ...

---@class rille.slots
local slots = {}

local ERASE_KEYS = 8192 -- removed in one transaction
local FORMS_KEPT = 3    -- forms of one script whose finished states are kept

function slots.name(letter, name) return letter .. string.pack("s1", name) end

function slots.state_key(slot, key) return "S" .. slot .. ":" .. key end

---slot, mark; nothing where there is no record.
function slots.unpack(record)
  if record then return string.unpack("<c8 i8", record) end
end

function slots.pack(slot, mark) return string.pack("<c8 i8", slot, mark) end

---A failure of the store's on its way to the outermost call.
function slots.raise(message, code, detail) error({ message = message, code = code, detail = detail }, 0) end

---The value, unless a failure is all there is.
function slots.check(value, message, code, detail)
  if value == nil and code then slots.raise(message, code, detail) end
  return value
end

---Removes slots that nobody needs any more. A crash in between leaves the rest to the next.
function slots.sweep(store)
  local check, key = slots.check, "T"
  while true do
    key = check(core.kept_next(store, key, "T"))
    if not key then return end
    local slot = key:sub(2)
    repeat
      local removed = check(core.kept_erase(store, "S" .. slot, ERASE_KEYS))
    until removed < ERASE_KEYS
    check(core.kept_write(store, { { key, false } }))
  end
end

---The finished forms of a script beyond those that are kept, and but for the one whose record
---is under `live_key`; the most outdated last.
function slots.outdated(store, name, live_key)
  local prefix = slots.name("V", name)
  local forms, key = {}, prefix
  while true do
    local bytes, code
    key, bytes, code = core.kept_next(store, key, prefix)
    if not slots.check(key, bytes, code) then break end
    local slot, mark = slots.unpack(bytes)
    if key ~= live_key then forms[#forms + 1] = { key = key, slot = slot, mark = mark } end
  end
  table.sort(forms, function(a, b) return a.mark > b.mark or a.mark == b.mark and a.key < b.key end)
  return table.move(forms, FORMS_KEPT, #forms, 1, {})
end

---The states of a projection as they are kept.
---@return { identity: string, mark: integer, stamp: string, each: fun(): string?, string? }?
---  stamp: another one once they are written again; each: key, bytes
function slots.recorded(store, name)
  local check = slots.check
  local identity = check(core.kept_get(store, slots.name("C", name)))
  local bytes = identity and check(core.kept_get(store, slots.name("V", name) .. identity))
  if not bytes then return nil end
  local slot, mark = slots.unpack(bytes)
  local prefix, key = slots.state_key(slot, ""), "S" .. slot
  return { identity = identity, mark = mark, stamp = identity .. bytes, each = function()
    local state, code
    key, state, code = core.kept_next(store, key, prefix)
    check(key, state, code)
    if key then return key:sub(#prefix + 1), state end
  end }
end

return slots
