-- effects.lua: what reactions want to be written, and the mark that moves with it.
--
--      the log   ... P ........ Q ........ head
--                    marked     seen
--
-- `marked` is the mark as it stands in the store; `seen` is how far reactions have come, whose
-- events wait in `group`. One append writes them and moves the mark from one to the other: so
-- each event has its effect once, whenever the process dies, and of two instances that react
-- to the same event one is refused, reads the mark again and goes on from there. What goes to
-- other stores is written by elsewhere.lua.
--
-- P1  What a group holds are the reactions to the events behind `marked` up to `seen`.
-- P2  Nothing is written but together with the move of the mark, or (timers, parked events)
--     with an expected version of the stream that says what is still to be done.

local core = ...
local elsewhere = require "rille.elsewhere"

---@class rille.effects
local effects = {}

local TRIES = 100     -- appends in vain, while the mark stays where it was
local NEVER = 4503599627370496 -- 2^52: a version that no stream has

---What a rejected append says of what was emitted, not of the world.
effects.CAUSED = { conflict = true, duplicate = true, invalid = true }

---A failure on its way to the outermost call.
function effects.raise(message, code, detail) error({ message = message, code = code, detail = detail }, 0) end

function effects.check(value, message, code, detail)
  if value == nil and code then effects.raise(message, code, detail) end
  return value
end

---Which event it is: what remains when a handler has changed the event that it got.
function effects.place(event)
  return { position = event.position, type = event.type, stream = event.stream }
end

---The message, with the event it belongs to.
function effects.located(message, event)
  return ("%s (at position %d: %s in stream %s)"):format(message, event.position, event.type, event.stream)
end

---A failure of the script that stops the processor at an event.
function effects.fail_at(message, event)
  effects.raise(effects.located(message, event), "script", effects.place(event))
end

function effects.new_group(self) self.group = { parts = {}, count = 0, bytes = 0, delayed = false } end

---Forgets what is not written, and goes on from the mark in the store.
function effects.begin_anew(self)
  self.marked = effects.check(self.store:mark(self.name))
  self.seen = self.marked
  effects.new_group(self)
end

---Reads on in a fold that an append has found to be old. What another has written but not
---flushed may be out of sight: then it is flushed here.
function effects.look_again(self, fold)
  local before = fold.version
  fold:catch_up()
  if fold.version > before then return end
  effects.check(self.store:sync())
  fold:catch_up()
end

---Another was first.
local function yield_to_other(self, position)
  local before = self.marked
  effects.begin_anew(self)
  if self.marked == before then -- out of sight, as above
    effects.check(self.store:sync())
    effects.begin_anew(self)
  end
  self.parking:catch_up()
  self.delays:catch_up()
  self.stuck = self.marked == before and (self.stuck or 0) + 1 or 0
  if self.stuck < TRIES then return end
  effects.raise(("the mark %q is moved all the time by others, but is still at %d, not %d")
    :format(self.name, before, position), "busy")
end

---Whether the event of a part is in its stream already, by its id. It is asked by an append
---that can't be: that it is known is said before that the version is another.
local function is_known(self, part)
  if not part.events.id then return false end
  local done, message, code, detail = core.append_internal(self.store,
    { { stream = part.stream, events = part.events, expect = NEVER } })
  if not done and code ~= "conflict" then effects.raise(message, code, detail) end
  return done ~= nil
end

---Appends parts together with `rest`, without those events that their streams have already.
function effects.append(self, parts, rest)
  while true do
    local all = table.move(parts, 1, #parts, 1, { mark = rest.mark })
    table.move(rest, 1, #rest, #all + 1, all)
    local done, message, code, detail = elsewhere.append(self, all)
    if not (done and done.duplicate) and code ~= "duplicate" then return done, message, code, detail end
    local new = {}
    for _, part in ipairs(done and {} or parts) do
      if not is_known(self, part) then new[#new + 1] = part end
    end
    if #new == #parts then return nil, message, code, detail end
    parts = new
  end
end

---Writes the parts and moves the mark to a position. False: another was first, and all
---begins anew; nil, message, code: the parts are refused, and nothing has changed.
function effects.commit(self, parts, position)
  local done, message, code, detail = effects.append(self, parts, { mark = { self.name, self.marked, position } })
  if done then
    self.marked, self.seen = position, position
    effects.new_group(self)
    return true
  end
  if code == "conflict" and detail.mark then
    yield_to_other(self, position)
    return false
  end
  if effects.CAUSED[code] then return nil, message, code, detail end
  effects.raise(message, code, detail)
end

---Writes the group.
function effects.write(self)
  if self.seen == self.marked then return true end
  local delayed = self.group.delayed
  local done, message, code = effects.commit(self, self.group.parts, self.seen)
  if done and delayed then self.delays:catch_up() end
  return done, message, code
end

---The same. Where what was emitted is refused, nobody knows by which event: then each is
---reacted to again, alone.
function effects.flush(self)
  local done = effects.write(self)
  if done ~= nil then return done end
  self.alone_until = self.seen
  effects.begin_anew(self)
  return false
end

---Takes notice of an event; `parts` are those that its reaction wants to be written.
function effects.take(self, event, parts)
  local group = self.group
  for _, part in ipairs(parts or {}) do group.parts[#group.parts + 1] = part end
  group.count = group.count + 1
  group.bytes = group.bytes + (parts and parts.bytes or 0)
  group.delayed = group.delayed or parts ~= nil and parts.delayed
  self.seen = event.position
end

return effects
