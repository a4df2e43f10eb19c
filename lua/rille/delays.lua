-- delays.lua: events that are to come later: a fold of the stream "$delayed-NAME".
--
--      $delayed    { stream, event, due, key, to }    its version is the timer's number
--      $delivered  { number }                         with it, in one append, came the event
--
-- Whoever delivers expects the version of the stream that it has read: of two instances one
-- is refused, reads on, and finds the timer gone. In memory the timers that are left stand in
-- a heap, the one that is due first on top; of those due at one moment the elder is first.

---@class rille.delays
local Delays = {}
Delays.__index = Delays

local delays = { DELAYED = "$delayed", DELIVERED = "$delivered" }

local function is_before(a, b) return a.due < b.due or a.due == b.due and a.number < b.number end

local function push(heap, timer)
  local i = #heap + 1
  while i > 1 and is_before(timer, heap[i // 2]) do
    heap[i] = heap[i // 2]
    i = i // 2
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

---Reads on.
function Delays:catch_up()
  for e in self.store:read(self.stream, { after = self.version, consistency = "eventual" }) do
    self.version = e.version
    if e.redacted then -- a timer that was redacted is never due
      self.timers[e.version] = nil
    elseif e.type == delays.DELAYED then
      local timer = { number = e.version, due = e.data.due, stream = e.data.stream, event = e.data.event,
                      to = e.data.to }
      self.timers[timer.number] = timer
      push(self.heap, timer)
    elseif e.type == delays.DELIVERED then
      self.timers[e.data.number] = nil
    end
  end
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
           events = { type = delays.DELIVERED, data = { number = timer.number, fault = fault } } }
end

---The part of an append that sets a timer; `to`: the store for which the event is.
---@param emit { stream: string, event: table, to: string? }
function Delays:delayed(emit, due, key)
  return { stream = self.stream, events = { type = delays.DELAYED,
    data = { stream = emit.stream, event = emit.event, due = due, key = key, to = emit.to } } }
end

function delays.open(store, name)
  return setmetatable({ store = store, stream = "$delayed-" .. name, version = 0, timers = {}, heap = {} },
    Delays)
end

return delays
