-- states.lua: a reducer's states by key: kept in the index, carried on in memory.
--
--      kept    a record { slot, mark }, and the states of that slot, as of its mark (slots.lua)
--      memory  the states of the keys that were asked for or touched, as of `self.mark`
--
-- Memory holds two generations of states. When the younger has grown to its bound, what
-- was touched is saved, and the elder is dropped: so memory is bounded, and the keys in
-- use stay. Who has only so many milliseconds does not save itself: the background thread is
-- given what was touched when it is still little (`writing`), and has room made for what comes
-- meanwhile. Where that is full before the disk is done, the call is over, not its time.
--
-- Any number of handles and processes may keep the same states. Invariants:
-- M1  The kept mark is at most self.mark.
-- M2  The states of all keys touched by an event between the two are in memory, `dirty` or being
--     written.
-- M3  Any other state in memory is the kept one: no event since its mark has touched it.
-- So what another saves, up to a mark that is at most ours, changes nothing here; a later
-- one empties memory, which goes on from there.
-- M4  What was read of a slot counts only if the record, looked at after it, is one that
--     memory fits: of the same slot, with a mark that is at most ours.
-- M5  While memory may be ahead of its mark it is `unsure`, from before the first change. Whoever
--     finds it so forgets it: where memory ends, nobody may be left to clean up.
-- M6  Nothing of the elder is dropped that was dirty when it became the elder, before it is known
--     to be kept. Where the background thread could not write, memory goes on from what is kept.

local core = ...
local rille = require "rille"
local reducer = require "rille.reducer"
local slots = require "rille.slots"

---@class rille.states
local states = {}
local State = {}
State.__index = State

local GENERATION_KEYS = 16384     -- states in one of the two generations
local GENERATION_BYTES = 24 * 1024 * 1024 -- ... fewer where they are large: so many bytes, encoded
local WRITE_BYTES = 128 * 1024 * 1024     -- more than that is not written at once, if it can be helped
local AHEAD_KEYS = 512            -- touched so many, they are written in the background
local SLICE_MS = 2                -- between two looks how many it is
local TRIES = 100                 -- so often may another's save come between two looks
local PASSES_MOST = 64            -- of one way through the log, as in lproject.h

local check, raise, pack_name, state_key = slots.check, slots.raise, slots.name, slots.state_key
local unpack_record = slots.unpack

-- What is kept --------------------------------------------------------------------------

local function read(self, key) return check(core.kept_get(self.store, key)) or nil end

local function record(self) return slots.pack(self.slot, self.mark) end

---Nobody else makes the same, whatever the seed of math.random.
local function new_slot() return core.entropy() end

---Memory is emptied, and goes on from a mark. If there is no room for that, nothing changes.
local function restart(self, slot, mark)
  local young, elder, dirty = {}, {}, {}
  self.slot, self.mark = slot, mark
  self.young, self.elder, self.dirty = young, elder, dirty
  self.count, self.generation, self.elder_is_kept = 0, 0, true
  self.writing = nil -- it is as good as another process's
end

---Memory that may be ahead of its mark is of no use.
local function forget(self)
  restart(self, self.slot, self.kept_mark or 0)
  self.record_key, self.unsure = nil, false
end

---Looks how far the kept states are. M1: memory that is behind them goes on from there.
local function look(self)
  local generation = core.log_generation(self.store)
  if self.unsure then forget(self) end
  if generation ~= self.log_generation then -- memory may have seen what was redacted since
    forget(self)
    self.log_generation, self.fault, self.is_published = generation, nil, false
  end
  local key, bytes = self.live_key, nil
  if not self.rebuilding then bytes = read(self, key) end
  self.live = bytes ~= nil
  if not bytes then
    key = self.build_key
    bytes = read(self, key)
  end
  local slot, mark = unpack_record(bytes)
  local same = key == self.record_key and (slot or self.record == false and self.slot) == self.slot
  if not same or (mark or 0) > self.mark then restart(self, slot or new_slot(), mark or 0) end
  self.record_key, self.record, self.kept_mark = key, bytes or false, mark or 0
end

---What was kept beyond our mark, by another, came in between; or memory has too much.
local MOVED = {}

---Whether the record is one that memory fits, still; if not, what was read of the slot since
---`look` may be of a later moment (M4).
local function fits(self)
  local bytes = read(self, self.record_key) or false
  if bytes == self.record then return true end
  local slot, mark = unpack_record(bytes or nil)
  if slot ~= self.slot or mark > self.mark then return false end
  self.record, self.kept_mark = bytes, mark
  return true
end

---A finalizer, whom Lua calls in the midst of everything, must not go on from memory that
---is ahead of its mark.
local function refuse_while_running(self)
  if not self.running then return end
  raise(("%s: its states are being carried on: a finalizer can't use them meanwhile"):format(self.name), "busy")
end

local function on_memory_that_fits(self, body, ...)
  look(self)
  if self.unwritten then
    local why = self.unwritten
    self.unwritten = nil
    raise(table.unpack(why, 1, 3))
  end
  self.moved, self.unsure = false, true
  return body(self, ...)
end

---Takes what the body did: when this is over, memory is whole, or unsure (M5).
local function at_rest(self, ok, ...)
  local failure = ...
  self.running = false
  if ok and not self.moved or not ok and failure == self.told then self.unsure = false end
  return ok, ...
end

---Calls body(self) on memory that fits what is kept. It is called again where another was
---ahead: from that one's mark, so the way gets shorter with each call.
local function steadily(self, body, ...)
  refuse_while_running(self)
  for _ = 1, TRIES do
    self.running = true
    local results = table.pack(at_rest(self, pcall(on_memory_that_fits, self, body, ...)))
    local ok, failure = results[1], results[2]
    if ok and not self.moved then return table.unpack(results, 2, results.n) end
    if not ok and failure == self.told then error(failure, 0) end
    forget(self)
    if not ok and failure ~= MOVED then error(failure, 0) end
  end
  raise(("%s: other processes change its states all the time"):format(self.name), "busy")
end

-- Memory ----------------------------------------------------------------------------------

---The state of a key that the young generation has not.
local function find(self, key)
  local state = self.elder[key]
  self.count = self.count + 1
  if state ~= nil then
    self.elder[key] = nil
    return state
  end
  local bytes = read(self, state_key(self.slot, key))
  if not fits(self) then error(MOVED, 0) end
  if bytes == nil then return nil end
  local value, message = rille.decode(bytes)
  if value == nil then raise(("%s: the kept state of key %q: %s"):format(self.name, key, message), "corrupt") end
  return value
end

---The bytes of a key's state; false: it has none.
local function encode(self, key)
  local state = self.young[key]
  if state == nil then state = self.elder[key] end
  if state == nil or state == rille.null then return false end
  return core.encode_state(state)
end

---Everything dirty as what core.kept_write takes, and its bytes; nil and the key of a state
---that can't be written.
local function encode_dirty(self)
  local puts, bytes = {}, 0
  for key in pairs(self.dirty) do
    local state = encode(self, key)
    if state == nil then return nil, key end
    puts[#puts + 1] = { state_key(self.slot, key), state }
    bytes = bytes + #key + (state and #state or 0)
  end
  self.mean_bytes = #puts > 0 and bytes / #puts or self.mean_bytes
  return puts, bytes
end

local function generation_keys(self)
  local most = math.max(64, self.cache_keys)
  return math.max(1, math.min(most, math.floor(GENERATION_BYTES / math.max(1, math.ceil(self.mean_bytes)))))
end

---Takes the result of the write in the background. False: it is not over, and `wait` is false.
---Why it failed is told by the next call that can: here nobody may be listening.
local function collect(self, wait)
  local w = self.writing
  if not w then return true end
  local written, message, code, detail = core.kept_result(self.store, w.begun, wait)
  if written == "under way" then return false end
  self.writing = nil
  if written then
    if w.mark >= self.kept_mark then self.record, self.kept_mark = w.record, w.mark end
    if w.generation == self.generation then self.elder_is_kept = true end
    return true
  end
  if written == nil then self.unwritten = { message, code, detail } end
  error(MOVED, 0)
end

---What is to be written, with the mark; false and the key of a state that can't be. Too much
---for one write is made again, with less in memory.
local function to_write(self)
  core.budget_suspend() -- what follows is about plain data, and runs no code of a script's
  local room = generation_keys(self)
  local puts, of_it = encode_dirty(self) -- its bytes, or the bad key
  if not puts then return false, of_it end
  if of_it > WRITE_BYTES and generation_keys(self) < room then error(MOVED, 0) end
  local bytes = record(self)
  puts[#puts + 1] = { self.record_key, bytes }
  return puts, bytes
end

---Has the background thread write what is dirty. False: there is none; or nil and the key of a
---state that can't be kept.
local function begin_write(self)
  local puts, bytes = to_write(self)
  if not puts then return nil, bytes end
  local begun = check(core.kept_begin(self.store, puts, self.record_key, self.record, self.mark, self.log_generation))
  if not begun then return false end
  self.writing = { begun = begun, record = bytes, mark = self.mark, generation = self.generation }
  self.dirty = {}
  return true
end

---Writes what is dirty, with the mark, and `more`. False: a state can't be kept, or another
---was first; then self.moved. Whether something was redacted since is looked at by the core, once
---nobody can come in between.
local function write(self, more)
  collect(self, true)
  local puts, bytes = to_write(self)
  if not puts then return false, bytes end
  table.sort(puts, function(a, b) return a[1] < b[1] end) -- neighbours share a page of the index
  for _, put in ipairs(more or {}) do puts[#puts + 1] = put end
  while not check(core.kept_write(self.store, puts, self.record_key, self.record, self.mark,
    self.log_generation)) do
    if core.log_generation(self.store) ~= self.log_generation or not fits(self) then
      self.moved = true
      return false
    end
  end
  self.record, self.kept_mark, self.dirty = bytes, self.mark, {}
  return true
end

---The young generation becomes the elder.
local function drop_elder(self)
  self.elder, self.young, self.count, self.crowded = self.young, {}, 0, false
  self.generation = self.generation + 1
  self.elder_is_kept = not self.writing and next(self.dirty) == nil
  return true
end

---Makes room. False as of `write`.
local function turn_over(self)
  collect(self, true)
  if next(self.dirty) then
    local written, bad = write(self)
    if not written then return false, bad end
  end
  return drop_elder(self)
end

---Whether so many keys are dirty.
local function are_dirty(self, most)
  local n = 0
  for _ in pairs(self.dirty) do
    n = n + 1
    if n >= most then return true end
  end
  return false
end

-- Rebuilt beside the old ones -------------------------------------------------------------

---The states have come to the log's end: from now on they are the projection's. Returns
---the key of a state that can't be kept.
local function publish(self)
  local is_current = read(self, self.current_key) == self.identity
  if self.live and is_current then return nil end
  local more = { { self.current_key, self.identity } }
  if not self.live then
    local before = read(self, self.live_key)
    more[#more + 1] = { self.build_key, false }
    more[#more + 1] = { self.live_key, record(self) }
    if before then more[#more + 1] = { "T" .. unpack_record(before), "" } end
  end
  for _, form in ipairs(slots.outdated(self.store, self.name, self.live_key)) do
    more[#more + 1] = { form.key, false }
    more[#more + 1] = { "T" .. form.slot, "" }
  end
  local written, bad = write(self, more)
  if not written then return bad end
  self.rebuilding, self.record_key, self.live = false, self.live_key, true
  slots.sweep(self.store)
end

-- Carrying on ------------------------------------------------------------------------------

---Whether room is to be made; who can't save keeps all in memory.
local function is_full(self) return not self.readonly and (self.crowded or self.count >= generation_keys(self)) end

local function ahead_keys(self) return math.max(1, math.min(AHEAD_KEYS, math.floor(generation_keys(self) / 2))) end

---Makes room without waiting for the disk. False as of `write`; nil: the disk must be done first.
local function make_room_ahead(self)
  local is_over = collect(self, false)
  local full = is_full(self)
  if is_over and (are_dirty(self, ahead_keys(self)) or full and not self.elder_is_kept) then
    local begun, bad = begin_write(self)
    if bad then return false, bad end
    self.in_background = begun
    if not begun then return not full or turn_over(self) end
  end
  if full then return self.elder_is_kept and drop_elder(self) or nil end
  if self.writing and are_dirty(self, 2 * ahead_keys(self)) then return nil end
  return true
end

---Makes room where there is none, with `ms` if possible without waiting for the disk.
local function make_room(self, ms)
  if ms and self.in_background and not self.readonly then return make_room_ahead(self) end
  return not is_full(self) or turn_over(self)
end

---How many states a run may fetch.
local function room_of(self, ms)
  if self.readonly then return nil end
  local room = math.max(1, generation_keys(self) - self.count)
  return ms and self.in_background and math.min(room, ahead_keys(self)) or room
end

---A run through the log of all of `list`, from the mark of each; C does it.
local function pass_of(self, ms, checked)
  return { definition = self.definition, after = self.mark, states = self.young, dirty = self.dirty,
           find = function(key) return find(self, key) end, fresh = self.fresh,
           most = room_of(self, ms), check = checked or nil, share = self.share, shares = self.shares }
end

local function run(self, to, ms, checked)
  local pass = pass_of(self, ms, checked)
  local done = check(core.project_run(self.store, { passes = { pass }, before = to + 1, ms = ms }))
  if not pass.failure then self.mark, self.crowded = done and to or pass.after, pass.crowded end
  return done, pass.failure
end

---After a failure memory may hold half a change: it is made again, up to the event before.
local function stop_before(self, failure)
  collect(self, true)
  self.fault = failure
  local last = failure.detail and failure.detail.position
  restart(self, self.slot, self.kept_mark)
  while last and self.mark < last - 1 do
    local _, again = run(self, last - 1)
    if again then raise(again.message, again.code, again.detail) end
    if is_full(self) and not turn_over(self) then return end
  end
end

---A state can't be kept, and nobody knows since when: each is looked at, event by event.
local function name_culprit(self, key, to)
  restart(self, self.slot, self.kept_mark)
  repeat
    local done, failure = run(self, to, nil, true)
    if failure then return stop_before(self, failure) end
    if not done and is_full(self) and not turn_over(self) then return end
  until done
  raise(("%s: the state of key %q can't be kept"):format(self.name, key), "script")
end

---Reads the log on to a position. False: the time is up.
local function carry_on(self, to, ms)
  local till = ms and core.monotonic() + ms / 1000
  while not self.fault and not self.moved do
    local room, bad = make_room(self, ms)
    if bad then name_culprit(self, bad, to) end
    if room == nil or self.fault or self.moved or self.mark >= to then return self.mark >= to end
    local left = till and math.min(SLICE_MS, math.max(0, (till - core.monotonic()) * 1000))
    local _, failure = run(self, to, left)
    if failure then stop_before(self, failure) end
    if till and core.monotonic() >= till then return self.mark >= to end
  end
  return self.mark >= to
end

---Saves, and publishes where the log's end is reached.
local function save(self, at_end)
  if self.readonly or self.fault or self.moved then return end
  local done, bad = true, nil
  if next(self.dirty) or self.mark > self.kept_mark then done, bad = write(self) end
  if done and at_end then bad = publish(self) end
  if bad then name_culprit(self, bad, self.mark) end
end

-- What a projection does --------------------------------------------------------------------

local function outcome(ok, ...)
  if ok then return ... end
  local failure = ...
  if type(failure) ~= "table" then error(failure, 0) end
  return nil, failure.message, failure.code, failure.detail
end

---Runs a body; failures of the store's, and the script's, become results.
local function guarded(self, body, ...)
  return outcome(pcall(steadily, self, body, ...))
end

---Memory is whole: it is at the event before.
local function raise_fault(self)
  if not self.fault then return end
  self.told = { message = self.fault.message, code = self.fault.code, detail = self.fault.detail }
  error(self.told, 0)
end

---Takes up a changed script. Its states begin elsewhere, with their own mark.
local function refresh(self, ms)
  local watcher = self.watcher
  if not watcher or self.running then return end
  watcher:refresh(ms)
  if watcher.identity == self.identity then
    self.definition = watcher.definition
    return
  end
  self:use(watcher.definition, watcher.identity)
end

function State:refresh() refresh(self) end -- before `get` and `changed`; the others do that themselves

local function advance(self, to, ms)
  local done = carry_on(self, to, ms)
  if ms == nil and not self.moved then
    local unsaved = self.mark - self.kept_mark
    local at_end = done and not self.is_published and self.mark >= self.store:head()
    if at_end or unsaved >= self.save_events then
      save(self, at_end)
      self.is_published = self.is_published or at_end and not self.fault and not self.moved
    end
  end
  raise_fault(self)
  return done
end

---Applies the events up to a position (default: the head). Without `ms` all of them.
---@return boolean? done, string message, string code, table detail
function State:advance(options)
  refresh(self, options and options.ms)
  local to = options and options.to or self.store:head()
  return guarded(self, advance, to, options and options.ms)
end

---Takes what a shared run has made of one of its passes. False: it is no use, or there is
---no room for more; then its own `advance` sees to it.
local function settle(self, pass, done, to, ms)
  if pass.failure then return false end -- and memory is unsure
  self.mark, self.crowded = done and to or pass.after, pass.crowded
  local has_room = make_room(self, ms)
  self.unsure = false
  return has_room
end

---Those that came that far. Memory of the others is unsure.
local function run_together(list, to, ms)
  local passes = {}
  for i, self in ipairs(list) do
    self.moved, self.unsure = false, true
    passes[i] = pass_of(self, ms)
  end
  local ok, done = pcall(core.project_run, list[1].store, { passes = passes, before = to + 1, ms = ms })
  if not ok or done == nil then return true, {} end
  local going_on = {}
  for i, self in ipairs(list) do
    local settled, has_room = pcall(settle, self, passes[i], done, to, ms)
    if settled and has_room then going_on[#going_on + 1] = self end
  end
  return done, going_on
end

local function set_running(list, running)
  for _, self in ipairs(list) do self.running = running end
end

local function carry_together(list, to, ms)
  local all, done = list, nil
  set_running(all, true)
  while #list > 1 and not done do
    local ok
    ok, done, list = pcall(run_together, list, to, ms)
    if not ok or ms then break end
  end
  set_running(all, false)
end

---Carries several on by one way through the log, up to a position, as far as that goes
---smoothly. Whatever is left, failures too, is left to the `advance` of each.
function states.together(list, to, ms)
  local till, behind = ms and core.monotonic() + ms / 1000, {}
  for _, self in ipairs(list) do
    refresh(self, ms)
    refuse_while_running(self)
    look(self)
    if not self.fault and self.mark < to then behind[#behind + 1] = self end
  end
  for first = 1, #behind, PASSES_MOST do
    local some = table.move(behind, first, math.min(first + PASSES_MOST - 1, #behind), 1, {})
    carry_together(some, to, till and math.max(0, (till - core.monotonic()) * 1000))
  end
end

---Writes what is in memory only.
function State:save()
  return guarded(self, function()
    save(self, self.mark >= self.store:head())
    return true
  end)
end

---Raises which event made a key's state one that can't be kept.
local function refuse_state(self, key)
  name_culprit(self, key, self.mark)
  raise_fault(self)
end

---An own copy, or nil.
local function copy_of(self, key)
  core.budget_suspend()
  local bytes = encode(self, key)
  if bytes == nil then refuse_state(self, key) end
  if bytes then return (rille.decode(bytes)) end
end

local function bring(self, key)
  if self.young[key] ~= nil then return end
  local state = find(self, key)
  self.young[key] = state == nil and rille.null or state
  local is_crowded = core.has_grown() or self.count > 2 * generation_keys(self)
  if is_crowded and not self.readonly and not self.fault then turn_over(self) end
end

local function answer(self, key)
  bring(self, key)
  return copy_of(self, key), self.mark
end

---What readers see while these states are not the projection's yet: those that are.
local function answer_current(self, key)
  local identity = read(self, self.current_key)
  if self.live or not identity or identity == self.identity then return answer(self, key) end
  local record_key = pack_name("V", self.name) .. identity
  local bytes = read(self, record_key)
  local slot, mark = unpack_record(bytes)
  if not slot then return answer(self, key) end
  local state = read(self, state_key(slot, key))
  if read(self, record_key) ~= bytes then error(MOVED, 0) end
  return state and rille.decode(state), mark
end

---@param how { to: integer?, current: boolean?, memory: boolean? }
---@return any state, integer? position
function State:get(key, how)
  local is_whole = self.live and not self.running and not self.unsure
    and core.log_generation(self.store) == self.log_generation
  if how.memory and is_whole and self.young[key] ~= nil then
    return outcome(pcall(answer, self, key))
  end
  return guarded(self, function()
    if how.to and self.mark < how.to then advance(self, how.to) end
    if how.current then return answer_current(self, key) end
    return answer(self, key)
  end)
end

---The slot whose states are the projection's while this one's are being built, and its mark.
local function current_slot(self)
  local identity = read(self, self.current_key)
  if self.live or not identity or identity == self.identity then return nil end
  return unpack_record(read(self, pack_name("V", self.name) .. identity))
end

---The mark of the states that readers see who do not want those that are being built.
function State:shown()
  return guarded(self, function() return select(2, current_slot(self)) or self.mark end)
end

---The first key behind `after` that has a state, with it, by the kept states and those of
---memory that are newer.
function State:following(after, changed)
  return guarded(self, function()
    local slot = changed.slot or self.slot
    local prefix = state_key(slot, "")
    local key = after and prefix .. after or "S" .. slot -- behind which the empty key is
    while true do
      local bytes, code
      key, bytes, code = core.kept_next(self.store, key, prefix)
      check(key, bytes, code)
      if not changed.slot and not fits(self) then error(MOVED, 0) end
      local name = key and key:sub(#prefix + 1)
      local first = changed:first(after)
      if first and (not name or first <= name) then
        after = first
        if changed.states[first] then return first, (rille.decode(changed.states[first])) end
        key = prefix .. first
      elseif name then
        return name, (rille.decode(bytes))
      else
        return nil
      end
    end
  end)
end

---What memory has and the kept states have not, in the order of keys.
local Changed = {}
Changed.__index = Changed

function Changed:first(after)
  while self.keys[self.at] and after and self.keys[self.at] <= after do self.at = self.at + 1 end
  return self.keys[self.at]
end

---@param current boolean whether finished states are wanted, though others are being built
function State:changed(current)
  return guarded(self, function()
    local slot = current and current_slot(self) or nil
    local changed = setmetatable({ keys = {}, states = {}, at = 1, slot = slot }, Changed)
    if slot then return changed end
    collect(self, true)
    for key in pairs(self.dirty) do
      local bytes = encode(self, key)
      if bytes == nil then refuse_state(self, key) end
      changed.keys[#changed.keys + 1], changed.states[key] = key, bytes
    end
    table.sort(changed.keys)
    return changed
  end)
end

---Begins anew beside the states that are there, which are read until all is done.
function State:rebuild()
  refresh(self)
  local dropped, message, code, detail = guarded(self, function()
    collect(self, true)
    self.rebuilding, self.fault, self.is_published, self.record_key = true, nil, false, nil
    look(self)
    if not self.record then return true end
    return check(core.kept_write(self.store,
      { { self.build_key, false }, { "T" .. self.slot, "" } }, self.build_key, self.record))
  end)
  if dropped == nil then return nil, message, code, detail end
  return self:advance {}
end

---The mark, by what is kept as well.
function State:look()
  refresh(self)
  return guarded(self, function() return self.mark end)
end

-- Opening -------------------------------------------------------------------------------------

---Works for this form of the script.
function State:use(definition, identity)
  local live_key, build_key = pack_name("V", self.name) .. identity, pack_name("B", self.name) .. identity
  local fresh = states.first_state(definition)
  restart(self, new_slot(), 0)
  -- from here on nothing needs memory: it is another form as a whole, or not at all
  self.definition, self.identity, self.live_key, self.build_key = definition, identity, live_key, build_key
  self.fault, self.rebuilding, self.is_published, self.record_key = nil, false, false, nil
  self.live, self.fresh, self.unsure = false, fresh, false
end

states.first_state = reducer.fresh
states.recorded = slots.recorded

---@param name string of the projection
---@param watcher table of rille.script, or { definition =, identity = } that never changes
---@param options? { cache: integer?, save_events: integer?, share: integer?, shares: integer? }
function states.open(store, name, watcher, options)
  options = options or {}
  local self = setmetatable({
    store = store, name = name, watcher = watcher.refresh and watcher or nil,
    current_key = pack_name("C", name), cache_keys = options.cache or GENERATION_KEYS,
    share = options.share, shares = options.shares,
    save_events = options.save_events or 10000, mean_bytes = 64, readonly = core.is_readonly(store),
    in_background = true, -- as far as is known
  }, State)
  self:use(watcher.definition, watcher.identity)
  return self
end

return states
