-- judge.lua: whether what many processes were told can be true, by what the log holds. It
-- knows nothing of rille's queries, conditions and ids but what the manual says.
local judge = {}
judge.__index = judge

local function fail(...) error(string.format(...), 0) end

local function has(list, value)
  for _, entry in ipairs(list) do
    if entry == value then return true end
  end
  return false
end

-- `after`: of the query; an item may have its own.
local function matches(item, event, after)
  if item.types and not has(item.types, event.type) then return false end
  for _, tag in ipairs(item.tags or {}) do
    if not has(event.tags or {}, tag) then return false end
  end
  if item.stream and item.stream ~= event.stream then return false end
  if item.category and item.category ~= event.stream:match "^[^-]*" then return false end
  return event.position > (item.after or after)
end

local function forbids(unless, event)
  for _, item in ipairs(unless.items) do
    if matches(item, event, unless.after) then return true end
  end
  return false
end

local function least_after(unless)
  local least = math.huge
  for _, item in ipairs(unless.items) do least = math.min(least, item.after or unless.after) end
  return least
end

local function holds(expect, version)
  if expect == nil or expect == "any" then return true end
  if expect == "none" then return version == 0 end
  if expect == "exists" then return version > 0 end
  return version == expect
end

-- The log -------------------------------------------------------------------------

-- Of an event: where it belongs, and whether its place is right.
function judge:take(event)
  local d, n = event.data, #self.events + 1
  local places = self.streams[event.stream] or {}
  self.streams[event.stream] = places
  if event.position ~= n then fail("position %d comes after %d", event.position, n - 1) end
  if event.version ~= #places + 1 then
    fail("position %d: version %d of %s comes after %d", n, event.version, event.stream, #places)
  end
  self.events[n], places[#places + 1] = event, n
  local key = d.w .. "." .. d.n
  local append = self.appends[key] or { first = n, of = d.of, conditions = d.conditions, count = 0 }
  self.appends[key] = append
  append.count = append.count + 1
  if append.count ~= d.number or n ~= append.first + d.number - 1 then
    fail("position %d: event %d of append %s is not at its place", n, d.number, key)
  end
  self:take_id(event)
end

function judge:take_id(event)
  if not event.id:find "^race%-" and not event.id:find "^%d+%-%d+%-%d+%-%d+$" then return end
  local key = event.stream .. "\0" .. event.id
  if self.ids[key] then
    fail("positions %d and %d have id %s in %s", self.ids[key], event.position, event.id, event.stream)
  end
  self.ids[key] = event.position
end

-- The version of a stream at the moment when `position` was the last event.
function judge:version_at(stream, position)
  local places = self.streams[stream] or {}
  local low, high = 0, #places
  while low < high do
    local middle = (low + high + 1) // 2
    if places[middle] <= position then low = middle else high = middle - 1 end
  end
  return low
end

-- Why an append with these conditions could not have happened at that moment, or nil.
function judge:violation(conditions, position)
  for _, expect in ipairs(conditions.expects) do
    local version = self:version_at(expect[1], position)
    if not holds(expect[2], version) then
      return ("%s is at version %d, not %s"):format(expect[1], version, expect[2])
    end
  end
  local unless = conditions.unless
  if not unless then return nil end
  for p = least_after(unless) + 1, position do
    if forbids(unless, self.events[p]) then return "position " .. p .. " matches its unless" end
  end
end

-- All events of all appends that are in the log, in order.
local function read_log(self, store)
  for event in store:all() do self:take(event) end
  for key, append in pairs(self.appends) do
    if append.count ~= append.of then fail("append %s is there in part", key) end
    local why = self:violation(append.conditions, append.first - 1)
    if why then fail("append %s at position %d: %s", key, append.first, why) end
  end
  self:check_marks()
end

-- Each mark goes from where the last append that moved it has left it.
function judge:check_marks()
  for position = 1, #self.events do
    local d = self.events[position].data
    local mark = d.number == 1 and d.conditions.mark
    if mark then
      local history = self.marks[mark[1]] or { { 0, 0 } }
      self.marks[mark[1]] = history
      if history[#history][2] ~= mark[2] then
        fail("position %d: mark %s was at %d, not %d", position, mark[1], history[#history][2], mark[2])
      end
      history[#history + 1] = { position, mark[3] }
    end
  end
end

-- What was told -------------------------------------------------------------------

local function count_events(attempt)
  local n = 0
  for _, part in ipairs(attempt.parts) do n = n + #part.events end
  return n
end

local function conditions_of(attempt)
  local expects = {}
  for i, part in ipairs(attempt.parts) do expects[i] = { part.stream, part.expect } end
  return { expects = expects, unless = attempt.unless }
end

-- Whether there was a moment in [from, to] at which the stream had that version.
function judge:had_version(stream, version, from, to)
  local places = self.streams[stream] or {}
  local since, till = version == 0 and 0 or places[version], places[version + 1]
  return since and since <= to and (not till or till > from)
end

-- Positions of an append that is there, or was there before.
function judge:check_places(attempt, first, last)
  local position = first
  for _, part in ipairs(attempt.parts) do
    for _, wanted in ipairs(part.events) do
      local event = self.events[position]
      if not event or event.stream ~= part.stream or (wanted.id and event.id ~= wanted.id) then
        fail("position %d is not the event that was written", position)
      end
      position = position + 1
    end
    local version = #part.events > 0 and self.events[position - 1].version
    local told = attempt.result.versions[part.stream]
    if version and told ~= version then fail("%s is told version %d, not %d", part.stream, told, version) end
    if not version and not self:had_version(part.stream, told, 0, attempt.upto) then
      fail("%s never had version %d", part.stream, told)
    end
  end
  if position ~= last + 1 then fail("%d events were told, %d written", last - first + 1, position - first) end
end

function judge:check_nothing_written(attempt)
  local conditions, why = conditions_of(attempt), nil
  for position = attempt.before, attempt.upto do
    why = self:violation(conditions, position)
    if not why then return end
  end
  fail("its conditions held at no moment from %d to %d: %s", attempt.before, attempt.upto, why)
end

local verdicts = {}

function verdicts.ok(self, attempt, there)
  local result = attempt.result
  if result.duplicate then
    if there then fail "a repeated append was written again" end
    self.counts.repeated = self.counts.repeated + 1
    return self:check_places(attempt, result.first, result.last)
  end
  if count_events(attempt) == 0 then
    self.counts.checked = self.counts.checked + 1
    return self:check_nothing_written(attempt)
  end
  if not there then fail("it was told positions %d to %d, and is not there", result.first, result.last) end
  if there.first ~= result.first then fail("it was told position %d", result.first) end
  if there.first <= attempt.before then fail("position %d was there before", there.first) end
  if result.last > attempt.upto then fail("the end was %d when it was told", attempt.upto) end
  self.counts.written = self.counts.written + 1
  self:check_places(attempt, result.first, result.last)
end

local function check_version_conflict(self, attempt, detail)
  local breaks = false
  for _, part in ipairs(attempt.parts) do
    breaks = breaks or (part.stream == detail.stream and not holds(part.expect, detail.version))
  end
  if not breaks then fail("%s may be at version %d", detail.stream, detail.version) end
  if not self:had_version(detail.stream, detail.version, attempt.before, attempt.upto) then
    fail("%s was not at version %d", detail.stream, detail.version)
  end
end

local function check_mark_conflict(self, attempt, detail)
  if detail.position == attempt.mark[2] then fail "the mark is where it was expected" end
  local was = detail.position == 0
  for _, entry in ipairs(self.marks[attempt.mark[1]] or {}) do was = was or entry[2] == detail.position end
  if not was then fail("the mark was never at %d", detail.position) end
end

function verdicts.conflict(self, attempt, there)
  local detail = attempt.detail
  if there then fail "it was refused, and is there" end
  self.counts.refused = self.counts.refused + 1
  if detail.stream then return check_version_conflict(self, attempt, detail) end
  if attempt.message:find "mark" then return check_mark_conflict(self, attempt, detail) end
  local event = self.events[detail.position]
  if detail.position > attempt.upto then fail("position %d was not there yet", detail.position) end
  if not attempt.unless or not event or not forbids(attempt.unless, event) then
    fail("position %d does not match its unless", detail.position)
  end
end

-- The first id of a part is known, and what follows is something else.
function verdicts.duplicate(self, attempt, there)
  if there then fail "it was refused, and is there" end
  self.counts.refused = self.counts.refused + 1
  for _, part in ipairs(attempt.parts) do
    local id = part.events[1] and part.events[1].id
    local position = id and self.ids[part.stream .. "\0" .. id]
    if position and position <= attempt.upto then return end
  end
  fail "none of its ids is known"
end

---Judges one attempt; an error says what can't be.
function judge:hear(attempt)
  local key = attempt.w .. "." .. attempt.n
  local verdict = verdicts[attempt.code]
  local ok, why = pcall(verdict or fail, self, attempt, self.appends[key])
  if not verdict then why = tostring(attempt.code) .. ": " .. tostring(attempt.message) end
  if not ok or not verdict then fail("append %s: %s", key, why) end
  self.heard[key] = true
end

---Nothing is there that nobody has told of.
function judge:check_all_heard()
  for key in pairs(self.appends) do
    if not self.heard[key] then fail("append %s is there, and nobody was told", key) end
  end
end

---@param store table whose log all others are measured by
function judge.new(store)
  local self = setmetatable({ events = {}, streams = {}, appends = {}, ids = {}, marks = {}, heard = {},
    counts = { written = 0, repeated = 0, refused = 0, checked = 0 } }, judge)
  read_log(self, store)
  return self
end

return judge
