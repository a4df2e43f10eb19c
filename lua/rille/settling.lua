-- settling.lua: what is prepared in a store and not decided as far as it knows: seen, settled by
-- asking home, and resolved by hand where home will never answer.
--
-- store:poll settles what it can, ever less often, and tells the host of what stays in doubt:
-- rille.open's option on_indoubt gets each transaction once that is in doubt for longer than
-- indoubt_age seconds.

local core = ...
local answer = require "rille.answer"
local handle = require "rille.handle"
local options_of = require "rille.options"
local rille = require "rille"
local means = core.transaction

---@class rille.settling
local settling = {}

local PAUSE_FIRST_S, PAUSE_MOST_S = 0.25, 30
local AGE_S = 60

local tries = setmetatable({}, { __mode = "k" }) -- store -> { at, pause, told }

local function state_of(store)
  tries[store] = tries[store] or { at = 0, pause = PAUSE_FIRST_S / 2, told = {} }
  return tries[store]
end

---What is prepared here, its outcome not known.
---@return { id: string, coordinator: string, place: string, age: number, participants: string[] }[]?
function settling.indoubt(store)
  local list, message, code, detail = means.indoubt(store)
  if not list then return nil, message, code, detail end
  for i, doubt in ipairs(list) do
    local kept = rille.decode(doubt.detail or "")
    list[i] = { id = doubt.id, client = doubt.client, coordinator = doubt.coordinator or "",
                place = doubt.place or "", kind = doubt.kind, name = doubt.name,
                age = doubt.age, deadline = doubt.deadline,
                participants = type(kept) == "table" and kept.participants or {},
                home = type(kept) == "table" and kept.home or nil,
                contradicted = doubt.contradicted or nil, restored = doubt.restored or nil,
                by_hand = doubt.by_hand or nil }
  end
  return list
end

---What is not over in a store: in doubt here, or decided here and not acknowledged by all.
---@return { id: string, state: string, client: string?, age: number, coordinator: string, place: string,
---  participants: string[] }[]?
function settling.unfinished(store)
  local list, message, code, detail = settling.indoubt(store)
  if not list then return nil, message, code, detail end
  for _, entry in ipairs(list) do entry.state = entry.contradicted and "contradicted" or "in doubt" end
  local pending
  pending, message, code, detail = means.pending(store)
  if not pending then return nil, message, code, detail end
  for _, doubt in ipairs(pending) do
    local kept, names = answer.detail(doubt.detail) or {}, {}
    for _, p in ipairs(kept.participants or {}) do
      if p.member and not p.home then names[#names + 1] = p.name end
    end
    list[#list + 1] = { id = doubt.id, state = "pending", client = kept.client or doubt.client, age = doubt.age,
                        coordinator = kept.coordinator or "", place = core.store_place(store),
                        participants = names }
  end
  return list
end

local NOTHING = { committed = 0, aborted = 0, undecided = 0, unreachable = 0 }

local function counts_of(given)
  local counts = {}
  for name, zero in pairs(NOTHING) do counts[name] = given and given[name] or zero end
  counts.message = given and given.message
  return counts
end

---Coordinators that can ask homes that are no stores -> function(coordinator, doubt): outcome.
settling.askers = setmetatable({}, { __mode = "k" })

---Asks for what is decided elsewhere than in a store: the core can't.
local function outcome_elsewhere(doubt)
  for c, ask in pairs(settling.askers) do
    local outcome = doubt.id:sub(1, #c.uuid) == c.uuid and ask(c, doubt)
    if outcome then return outcome end
  end
end

local function settle_elsewhere(store, list, counts)
  for _, doubt in ipairs(list) do
    local outcome = doubt.kind ~= "store" and outcome_elsewhere(doubt)
    if outcome and means[outcome](store, doubt.id) then
      local name = outcome == "commit" and "committed" or "aborted"
      counts[name], counts.unreachable = counts[name] + 1, counts.unreachable - 1
    end
  end
  return counts
end

---Settles what is in doubt, if it is time to try.
---@return { committed: integer, aborted: integer, undecided: integer, unreachable: integer }?
function settling.run(store, force)
  if core.is_readonly(store) then return counts_of() end
  local try, now = state_of(store), core.monotonic()
  if not force and now < try.at then return counts_of() end
  local list, message, code, detail = settling.indoubt(store)
  if not list then return nil, message, code, detail end
  if #list == 0 then
    try.pause = PAUSE_FIRST_S / 2
    return counts_of()
  end
  local settled
  settled, message, code, detail = means.settle(store)
  if not settled and code ~= "notfound" then return nil, message, code, detail end
  try.pause = math.min(PAUSE_MOST_S, try.pause * 2)
  try.at = now + try.pause
  return settle_elsewhere(store, list, counts_of(settled))
end

---Tells of each that is older than `age`, once.
---@param told table<string, boolean> those that have been told
function settling.tell(list, hook, age, told)
  local old = {}
  for _, entry in ipairs(list) do
    if entry.age >= (age or AGE_S) and not told[entry.id] then
      told[entry.id] = true
      old[#old + 1] = entry
    end
  end
  if #old > 0 then hook(old) end
end

---For store:poll.
function settling.poll(store)
  local settled, message, code, detail = settling.run(store, false)
  if not settled then return nil, message, code, detail end
  local _, hook, age = core.store_place(store)
  if hook then settling.tell(settling.indoubt(store) or {}, hook, age, state_of(store).told) end
  return true
end

-- Methods of a store -------------------------------------------------------------------------------

handle.store_method("indoubt", settling.indoubt)

---Asks the homes of what is in doubt here, at once.
---@param options? { home: string } where home is, for those that are not found otherwise
---@return { committed: integer, aborted: integer, undecided: integer, unreachable: integer, message: string? }?
local function settle(store, options)
  options = options or {}
  options_of.check(options, { home = true, id = true }, 2)
  for name, value in pairs(options) do
    if type(value) ~= "string" then error(name .. " must be a string, not " .. type(value), 2) end
  end
  local list, message, code, detail = settling.indoubt(store)
  if not list then return nil, message, code, detail end
  local settled
  settled, message, code, detail = means.settle(store, options.id, options.home)
  if not settled and (options.id or code ~= "notfound") then return nil, message, code, detail end
  return settle_elsewhere(store, list, counts_of(settled))
end

local OUTCOMES = { commit = "committed", abort = "aborted" }

---By hand, where home will never answer. It is logged.
---@param outcome "commit"|"abort"
---@param options { reason: string }
local function resolve(store, id, outcome, options)
  if type(id) ~= "string" then error("resolve needs the id of a transaction, not " .. type(id), 2) end
  if type(outcome) ~= "string" then error("resolve needs \"commit\" or \"abort\", not " .. type(outcome), 2) end
  options_of.check(options or {}, { reason = true }, 2)
  local reason = options and options.reason
  if type(reason) ~= "string" then error("resolve needs { reason = }: who decided this, and why", 2) end
  if not OUTCOMES[outcome] then
    return nil, ("outcome is %q: it must be \"commit\" or \"abort\""):format(outcome), "invalid"
  end
  if reason == "" then return nil, "reason is empty: say who decided this, and why", "invalid" end
  local done, message, code, detail = means.resolve(store, id, OUTCOMES[outcome], reason)
  if not done then return nil, message, code, detail end
  return true
end

handle.store_method("settle", settle)
handle.store_method("resolve", resolve)

return settling
