-- worker.lua: how a processor works: event by event, and timer by timer.
--
-- A reaction that fails has written nothing. What went before it is written first; then
-- on_error of the script says what becomes of it:
--
--      handle -> react ---> take -> ... -> write      its effect, with the mark
--                  | fails
--                  +-> fail -> park       an entry, with the mark; the next events of the key, too
--                           -> skip       nothing, with the mark
--                           -> back_off   the same event again, when it is due
--                           -> stop       the same event again, at the next call

local core = ...
local effects = require "rille.effects"
local elsewhere = require "rille.elsewhere"
local reaction = require "rille.reaction"
local pruning = require "rille.pruning"
local replay = require "rille.replay"

---@class rille.worker
local worker = {}

local GROUP_EVENTS = 256     -- reactions in one append
local GROUP_EMITS = 512      -- events in one append, and those of one reaction
local GROUP_BYTES = 1024 * 1024 -- of them, likewise
local IDLE_POSITIONS = 4096  -- passed without a reaction before a bounded run moves the mark
local FRESH_DELAY_S = 1      -- a delay that ends a chain: time has passed
local TEXT_BYTES = 64 * 1024 -- of a message or a traceback in the entry of a parked event
local RETRY_FIRST_S, RETRY_MOST_S = 1, 300

local raise, check, fail_at = effects.raise, effects.check, effects.fail_at
local begin_anew, commit, flush, take = effects.begin_anew, effects.commit, effects.flush, effects.take

-- Reacting ----------------------------------------------------------------------------------

---A failure that no on_error helps against: every later event would meet it.
local function fatal(message, code, detail)
  if code ~= "script" then raise(message, code, detail) end
  return nil, { message = message, fatal = true, detail = detail }
end

---The state of the event's key with the event in it, or nil, failure. The states go forward
---only.
local function state_at(self, event, key)
  local states = self.states
  if not states or states.mark > event.position then
    states = replay.open(self.store, self.definition.state)
  end
  self.states = nil -- what fails in the midst of a change is not to be used again
  local state
  local done, message, code, detail = states:advance { to = event.position }
  if done == nil then return fatal(message, code, detail) end
  state, message, code = states:get(key or "")
  if state == nil and code then return fatal(effects.located(message, event), code, effects.place(event)) end
  self.states = states
  return state
end

---One part of an append for an emitted event, the `number`th of its reaction. The event says
---what caused it.
local function part_of(self, emit, cause, key, number)
  local event, delay = emit.event, emit.delay or 0
  event.meta = event.meta or {}
  local depth = delay >= FRESH_DELAY_S and 0 or cause.depth + 1
  event.meta["$cause"] = { processor = self.name, position = cause.position, depth = depth,
                           store = emit.to and self.elsewhere.uuid or nil }
  if delay > 0 then return self.delays:delayed(emit, core.now(self.store) + delay, key) end
  local part = { stream = emit.stream, events = event, expect = emit.expect }
  return emit.to and elsewhere.part(self, part, emit.to, cause.position, number) or part
end

---The parts of a reaction, or nil, failure: with the `bytes` they take, `alone` where they
---depend on what is there, `delayed` where there are timers among them.
local function parts_of(self, emits, event, key)
  local parts, cause = { bytes = emits.bytes }, { depth = emits.depth, position = event.position }
  if #emits > 0 and cause.depth >= self.depth then
    local message = ("%s: processors feed each other without end: this is event %d of a chain in which "
      .. "each caused the next (the option depth = %d is the limit)")
      :format(self.definition.name, cause.depth, self.depth)
    return fatal(effects.located(message, event), "script", effects.place(event))
  end
  for i, emit in ipairs(emits) do
    parts[i] = part_of(self, emit, cause, key, i)
    parts.alone = parts.alone or emit.expect ~= nil or emit.event.id ~= nil and not emit.to
    parts.delayed = parts.delayed or (emit.delay or 0) > 0
  end
  return parts
end

---What an event is to the script, with its place; nil, failure.
function worker.view(self, event)
  local place = effects.place(event)
  local view, message, traceback = reaction.view(self.definition, event)
  if not view then return nil, { message = message, traceback = traceback } end
  view.place = place
  return view
end

---The same of the event as it was written: a handler may have changed the one that it got. What was
---redacted meanwhile, or scavenged, the script does not see: it has no effect.
function worker.fetch(self, place)
  local position = place.position
  local following, _, _, iterator = core.all(self.store, {
    types = { place.type }, after = position - 1, before = position + 1, consistency = "eventual",
  })
  local ok, event = pcall(following)
  iterator:close()
  if not ok then error(event, 0) end
  if not event or event.redacted and not self.definition.redacted then return { place = place } end
  return worker.view(self, event)
end

---Lets the script react to the view of an event of this key.
---@return table? parts, table? failure { message, traceback, fatal, detail }
function worker.react(self, view, key)
  if not view[1] then return {} end
  local place = view.place
  local state, failure
  if self.definition.state then
    state, failure = state_at(self, place, key)
    if failure then return nil, failure end
  end
  local emits, message, traceback = reaction.react(self.definition, view, key, state, self)
  if self.closed then raise("the processor is closed", "closed") end
  if not emits then return nil, { message = message, traceback = traceback } end
  return parts_of(self, emits, place, key)
end

---Whether the script wants what is in the view, and for which key; nil, failure.
function worker.key(self, view)
  local wanted, key, traceback = reaction.key(self.definition, view)
  if wanted == nil then return nil, { message = key, traceback = traceback } end
  return wanted, key
end

-- Failures ------------------------------------------------------------------------------------

local function hex(bytes) return (bytes:gsub(".", function(b) return ("%02x"):format(b:byte()) end)) end

---The script decides how long its errors are; an entry has to have room for them.
local function cut(text)
  if not text or #text <= TEXT_BYTES then return text end
  return ("%s... (%d bytes)"):format(text:sub(1, TEXT_BYTES), #text)
end

function worker.entry_of(self, event, key, failure)
  return { position = event.position, type = event.type, key = key, message = cut(failure.message),
           traceback = cut(failure.traceback), attempts = failure.attempts, behind = failure.behind,
           script = hex(self.watcher.identity) }
end

---Puts an event aside, and goes on behind it.
local function park(self, event, key, failure)
  if not flush(self) then return false end
  local parts = { self.parking:parked(worker.entry_of(self, event, key, failure)) }
  local done, message, code, detail = commit(self, parts, event.position)
  if done == nil and code ~= "conflict" then raise(message, code, detail) end
  if done == nil then effects.look_again(self, self.parking) -- another has parked, or retried
  else self.parking:catch_up()
  end
  return done or false
end

---Waits, longer each time, and gives up after `attempts`.
local function back_off(self, event, failure)
  local retry = self.retrying
  if not retry or retry.position ~= event.position then retry = { position = event.position, tries = 0 } end
  self.retrying = retry
  retry.tries = retry.tries + 1
  if retry.tries >= self.definition.attempts then
    retry.due = nil
    fail_at(failure.message, event)
  end
  retry.since = core.now(self.store)
  retry.due = retry.since + math.min(RETRY_MOST_S, RETRY_FIRST_S * 2 ^ (retry.tries - 1))
  return "wait"
end

local ON_ERROR = {
  park = park,
  stop = function(_, event, _, failure) fail_at(failure.message, event) end,
  retry = function(self, event, _, failure) return back_off(self, event, failure) end,
  skip = function(self, event)
    take(self, event)
    return true
  end,
}

local function fail(self, event, key, failure)
  if not flush(self) then return false end
  if failure.fatal then raise(failure.message, "script", failure.detail) end
  failure.attempts = failure.attempts or 1
  return ON_ERROR[self.definition.on_error](self, event, key, failure)
end

-- One event -------------------------------------------------------------------------------------

---Writes the reaction to one event by itself. False: begin anew; nil, message, code.
local function write_alone(self, event, parts)
  local before = self.seen
  take(self, event, parts)
  local done, message, code = effects.write(self)
  if done ~= nil then return done end
  self.seen = before
  effects.new_group(self)
  return nil, message, code
end

---Reacts to an event whose effect is written at once; again where a version it expects is
---not there.
local function handle_alone(self, place, key, parts)
  local attempts, view, failure = 0
  if not flush(self) then return false end
  repeat
    attempts = attempts + 1
    local done, message, code = write_alone(self, place, parts)
    if done ~= nil then return done end
    failure = { message = ("%s: %s"):format(self.definition.name, message) }
    if code ~= "conflict" or attempts >= self.definition.attempts then break end
    view, failure = worker.fetch(self, place)
    if not view then break end
    if #view > 1 then worker.key(self, view) end -- takes out what is to be skipped
    parts, failure = worker.react(self, view, key)
  until not parts
  failure.attempts = attempts
  return fail(self, place, key, failure)
end

---Whether an event that failed before is not to be tried again yet. Not where the clock was set
---back: nobody knows then how long it has waited.
local function is_waiting(self, position)
  local retry = self.retrying
  if not retry or retry.position ~= position or not retry.due then return false end
  local now = core.now(self.store)
  return now >= retry.since and now < retry.due
end

---The entry of an event that waits behind a parked one.
local function behind(self, key)
  return { behind = true, attempts = 0,
           message = ("waits behind the parked event at position %d"):format(self.parking:first(key).position) }
end

---Whether it is to be written: where a script is isolated, it is in the script's memory.
local function is_full(group)
  return group.count >= GROUP_EVENTS or #group.parts >= GROUP_EMITS or group.bytes >= GROUP_BYTES or core.has_grown()
end

---@return boolean|string on  true: go on; false: begin anew from `seen`; "wait": not now
local function handle(self, event)
  local place = effects.place(event)
  if event.redacted and not self.definition.redacted then
    take(self, place)
    return true
  end
  if is_waiting(self, place.position) then return "wait" end
  local view, fault = worker.view(self, event)
  if not view then return fail(self, place, nil, fault) end
  local wanted, key = worker.key(self, view)
  if wanted == nil then return fail(self, place, nil, key) end
  if not wanted then
    take(self, place)
    return true
  end
  if self.parking:holds(key) then return park(self, place, key, behind(self, key)) end
  local parts, failure = worker.react(self, view, key)
  if not parts then return fail(self, place, key, failure) end
  if parts.alone or place.position <= (self.alone_until or 0) then
    return handle_alone(self, place, key, parts)
  end
  take(self, place, parts)
  if is_full(self.group) then return flush(self) end
  return true
end

-- Timers ------------------------------------------------------------------------------------------

local function next_timer(self)
  local timer = self.delays:first()
  if timer and timer.due <= core.now(self.store) then return timer end
end

---Writes an event whose time has come. One that can't be written is given up, and why is kept.
local function deliver(self, timer)
  local part = { stream = timer.stream, events = timer.event }
  if timer.to then part = elsewhere.part(self, part, timer.to, "timer" .. timer.first, 1) end
  local parts = { part, self.delays:delivered(timer) }
  local done, message, code, detail = elsewhere.append(self, parts)
  if not done and (code == "invalid" or code == "duplicate") then
    parts = { self.delays:delivered(timer, message) }
    done, message, code, detail = core.append_internal(self.store, parts)
  end
  if not done and code ~= "conflict" then raise(message, code, detail) end
  effects.look_again(self, self.delays)
end

local function is_up(till) return till and core.monotonic() >= till end

---Delivers what is due.
local function deliver_due(self, till)
  local timer = next_timer(self)
  while timer do
    deliver(self, timer)
    if is_up(till) then return end
    timer = next_timer(self)
  end
end

-- Running -----------------------------------------------------------------------------------------

---Takes up a changed script, whose reactions go on where the mark is. Where time is short
---nobody waits for a file that is still being written.
function worker.refresh(self, till)
  local _, message = self.watcher:refresh(till and 0)
  self.fault = message or self.watcher.fault
  if self.definition == self.watcher.definition then return end
  self.definition, self.states, self.retrying = self.watcher.definition, nil, nil
end

---Looks where the mark is, and what timers and parked events there are.
local function look(self)
  local generation = core.log_generation(self.store) -- memory may have seen what was redacted since
  local is_known = self.clean and generation == self.log_generation
  if not is_known or check(self.store:mark(self.name)) ~= self.marked then begin_anew(self) end
  self.log_generation = generation
  self.parking:catch_up()
  self.delays:catch_up()
end

local function query(self, head)
  local bounded = { after = self.seen, before = head + 1, consistency = "eventual" }
  for i, item in ipairs(self.definition.query) do bounded[i] = item end
  return bounded
end

---Reacts to events up to `head`. False: it must begin anew, or stop for a timer or the time.
local function read_on(self, head, till)
  if self.seen >= head then return true end
  if self.definition.query then
    for event in core.all(self.store, query(self, head)) do
      local on = handle(self, event)
      if on ~= true then return on end
      if is_up(till) or self.delays.heap[1] and next_timer(self) then return false end
    end
  end
  self.seen = head
  return true
end

---Writes what is left of the group. A bounded run leaves a mark that nothing depends on.
local function finish(self, till)
  local group = self.group
  if till and group.count == 0 and self.seen - self.marked < IDLE_POSITIONS then return end
  flush(self)
end

local function left(self, waiting)
  local head, due = check(self.store:head()), nil
  local timer, retry = self.delays:first(), waiting and self.retrying
  if timer then due = timer.due end
  if retry and retry.due and (not due or retry.due < due) then due = retry.due end
  return waiting and 0 or math.max(0, head - self.seen), due and math.max(0, due - core.now(self.store)), self.fault
end

---The streams of what waits stay as short as what waits.
function worker.prune(self, till)
  pruning.prune(self.parking, till)
  pruning.prune(self.delays, till)
end

function worker.run(self, till)
  local waiting, at_rest
  worker.refresh(self, till)
  look(self)
  self.clean = false
  repeat
    deliver_due(self, till)
    local head = check(self.store:head())
    local on = read_on(self, head, till)
    if on == true and not is_up(till) then finish(self, till) end
    waiting = on == "wait"
    at_rest = waiting or on == true and not next_timer(self) and self.seen >= check(self.store:head())
  until at_rest or is_up(till)
  finish(self, till)
  worker.prune(self, till)
  self.clean = true
  return left(self, waiting)
end

return worker
