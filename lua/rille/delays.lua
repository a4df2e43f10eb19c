-- delays.lua: events that are to come later: a fold of the stream "$delayed-NAME".
--
--      $delayed    { stream, event, due, key, to, first }   its version is the timer's number
--      $delivered  { number }                               with it, in one append, came the event,
--                                                           or the same timer under a new number
--
-- `first` is the number that the timer had first, where it was written again (pruning.lua): by
-- that an event that goes to another store is known there.
--
-- Whoever delivers expects the version of the stream that it has read: of two instances one
-- is refused, reads on, and finds the timer gone. In memory the timers that are left stand in
-- a heap, the one that is due first on top; of those due at one moment the elder is first.
-- One that is done stays there until it comes to the top, or most are such.

local own = require "rille.own"
local pruning = require "rille.pruning"

---@class rille.delays
local Delays = {}
Delays.__index = Delays

local delays = {}

local function is_before(a, b) return a.due < b.due or a.due == b.due and a.first < b.first end

local function half(i) return math.floor(i / 2) end

local function push(heap, timer)
  local i = #heap + 1
  while i > 1 and is_before(timer, heap[half(i)]) do
    heap[i] = heap[half(i)]
    i = half(i)
  end
  heap[i] = timer
end

local function pop(heap)
  local last = table.remove(heap)
  local n, i = #heap, 1
  if n == 0 then return end
  while 2 * i <= n do
    local child = 2 * i
    if child < n and is_before(heap[child + 1], heap[child]) then child = child + 1 end
    if not is_before(heap[child], last) then break end
    heap[i] = heap[child]
    i = child
  end
  heap[i] = last
end

local function take_delayed(self, e)
  local data = e.data
  local timer = { number = e.version, first = data.first or e.version, due = data.due, key = data.key,
                  stream = data.stream, event = data.event, to = data.to }
  self.timers[timer.number] = timer
  self.open = self.open + 1
  push(self.heap, timer)
end

---The timer is done.
function Delays:forget(number)
  if not self.timers[number] then return end
  self.timers[number] = nil
  self.open = self.open - 1
end

function Delays:is_open(number) return self.timers[number] ~= nil end

function Delays:take(e)
  if e.type == own.DELAYED then take_delayed(self, e)
  elseif e.type == own.DELIVERED then self:forget(e.data.number)
  end
end

---The events that write a timer again.
function Delays:again(number)
  local t = self.timers[number]
  return {
    { type = own.DELIVERED, data = { number = number } },
    { type = own.DELAYED, data = { stream = t.stream, event = t.event, due = t.due, key = t.key, to = t.to,
                                  first = t.first } },
  }
end

---Only what is left, where most of the heap is not.
local function clean_heap(self)
  if #self.heap <= 2 * self.open + 64 then return end
  self.heap = {}
  for _, timer in pairs(self.timers) do push(self.heap, timer) end
end

---Reads on.
function Delays:catch_up()
  pruning.catch_up(self)
  clean_heap(self)
end

---The timer that is due first, or nil.
function Delays:first()
  local heap = self.heap
  while heap[1] and not self.timers[heap[1].number] do pop(heap) end
  return heap[1]
end

---The part of an append that says that a timer is delivered; `fault`: why its event is not.
function Delays:delivered(timer, fault)
  return { stream = self.stream, expect = self.version,
           events = { type = own.DELIVERED, data = { number = timer.number, fault = fault } } }
end

---The part of an append that sets a timer; `to`: the store for which the event is.
---@param emit { stream: string, event: table, to: string? }
function Delays:delayed(emit, due, key)
  return { stream = self.stream, events = { type = own.DELAYED,
    data = { stream = emit.stream, event = emit.event, due = due, key = key, to = emit.to } } }
end

function delays.open(store, name)
  local self = setmetatable({ store = store, stream = "$delayed-" .. name, timers = {}, heap = {} }, Delays)
  pruning.init(self)
  return self
end

return delays
