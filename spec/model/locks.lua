-- locks.lua: is the rule of locks (K2) enough, and is each part of it needed? Every order in
-- which everything can happen is tried, for all pairs of transactions over two stores.
--
-- There are two stores, A and B. A transaction checks or writes something (or both) at each: one
-- store is its home, at the other it prepares. Against it stands a second transaction, a plain
-- append, or a strong read. What has been done must be as if one had come after the other (an
-- order that no store's log contradicts), and who began after another was told "done" must come
-- after it: strict serializability.
--
-- What is checked and written is one stream; or, in `queries`, one of two streams is written and
-- what is checked is a query that events of both match, because they share a tag.
--
-- Steps, each in one critical section of one store's writer lock, as in the code:
--   rille_store_prepare  at the other store: what it checks is checked here, and locks from here on
--   rille_store_decide   at home: checks and events in one step; refused where it meets a lock
--   rille_store_commit   at the other store: its events are written, its locks end
--
-- `lua5.4 spec/model/locks.lua` prints the table that spec/locks_spec.lua checks.
local locks = {}

---A rule: who comes and does the first to that to which somebody prepared does the second is
---refused. K2 is the last; no pair is left but { "checks", "checks" }. (`whatever_stream`: as if all
---writes were of one stream; to show that this is not needed.)
locks.rules = {
  { name = "no locks" },
  { name = "what T checks", { "writes", "checks" } },
  { name = "and what T writes, from checks", { "writes", "checks" }, { "checks", "writes" } },
  { name = "K2", { "writes", "checks" }, { "checks", "writes" }, { "writes", "writes" } },
}

-- What one does at a store: checks everything, writes a stream.
locks.streams = { { checks = true }, { writes = "s" }, { checks = true, writes = "s" } }
locks.queries = { { checks = true }, { writes = "s" }, { writes = "t" }, { checks = true, writes = "s" },
  { checks = true, writes = "t" } }

local STORES = { "A", "B" }

---Whether the first's doing `a` and the second's doing `b` is about the same thing: a check is about
---all streams, two writes are where they are of one stream.
local function meets(first, a, second, b)
  local one, other = first[a], second[b]
  return one and other and (one == true or other == true or one == other)
end

local function conflicts(rule, new, held)
  for _, pair in ipairs(rule) do
    local met = rule.whatever_stream and new[pair[1]] and held[pair[2]]
    if met or meets(new, pair[1], held, pair[2]) then return true end
  end
  return false
end

-- A state of the world ------------------------------------------------------------

-- phase: name -> "new" | "prepared" | "decided" | "done" | "aborted"; log: store -> entries, each
-- { name, checks, writes }; held: store -> the names of those prepared there; told: who was
-- answered "done"; after: "X<Y": X had been told when Y began.

local function sorted_keys(set)
  local keys = {}
  for key in pairs(set) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

local function copy(state)
  local new = { phase = {}, log = {}, held = {}, told = {}, after = {} }
  for _, part in ipairs { "phase", "told", "after" } do
    for key, value in pairs(state[part]) do new[part][key] = value end
  end
  for _, store in ipairs(STORES) do
    new.log[store] = table.move(state.log[store], 1, #state.log[store], 1, {})
    new.held[store] = {}
    for name in pairs(state.held[store]) do new.held[store][name] = true end
  end
  return new
end

local function shown(entry)
  return entry.name .. (entry.checks and "c" or "") .. (entry.writes or "")
end

---One text for one state.
local function text_of(state)
  local words = {}
  for _, name in ipairs(sorted_keys(state.phase)) do words[#words + 1] = name .. "=" .. state.phase[name] end
  for _, store in ipairs(STORES) do
    words[#words + 1] = store .. ":"
    for _, entry in ipairs(state.log[store]) do words[#words + 1] = shown(entry) end
    words[#words + 1] = "held " .. table.concat(sorted_keys(state.held[store]), ",")
  end
  words[#words + 1] = "told " .. table.concat(sorted_keys(state.told), ",")
  words[#words + 1] = "after " .. table.concat(sorted_keys(state.after), ",")
  return table.concat(words, " ")
end

-- Steps ------------------------------------------------------------------------------

local function write(state, store, name, uses)
  table.insert(state.log[store], { name = name, checks = uses.checks, writes = uses.writes })
end

---What a transaction's commit frame holds: its events. Its checks stand where it prepared.
local function apply(state, name, work)
  local store = work.other
  state.held[store][name] = nil
  write(state, store, name, { writes = work.uses[store].writes })
  state.phase[name] = "done"
end

local function withdraw(state, name, work)
  local log, left = state.log[work.other], {}
  for _, entry in ipairs(log) do
    if entry.name ~= name then left[#left + 1] = entry end
  end
  state.log[work.other] = left
  state.held[work.other][name] = nil
  state.phase[name] = "aborted"
end

local steps = {}

---A plain append: checks and writes at once, or is refused.
function steps.append(world, state, name, work)
  if world.is_locked(state, work.store, name) then
    state.phase[name] = "aborted"
    return
  end
  write(state, work.store, name, work.uses[work.store])
  state.phase[name], state.told[name] = "done", true
end

---A strong read. Where it settles (K5), what it meets and is decided is applied first.
function steps.read(world, state, name, work)
  for _, met in ipairs(world.settles and sorted_keys(state.held[work.store]) or {}) do
    if state.phase[met] == "decided" then apply(state, met, world.works[met]) end
  end
  write(state, work.store, name, work.uses[work.store])
  state.phase[name], state.told[name] = "done", true
end

function steps.prepare(world, state, name, work)
  local store = work.other
  if world.is_locked(state, store, name) then
    state.phase[name] = "aborted"
    return
  end
  state.held[store][name] = true
  write(state, store, name, { checks = work.uses[store].checks })
  state.phase[name] = "prepared"
end

function steps.decide(world, state, name, work)
  if world.is_locked(state, work.home, name) then return withdraw(state, name, work) end
  write(state, work.home, name, work.uses[work.home])
  state.phase[name], state.told[name] = "decided", true
end

function steps.commit(_, state, name, work) apply(state, name, work) end

local function next_step(work, phase)
  if phase == "new" then return work.home and "prepare" or work.read and "read" or "append" end
  return ({ prepared = "decide", decided = "commit" })[phase]
end

-- Judging the end ----------------------------------------------------------------------

---Whether nobody in `names` comes, over others, before himself.
local function has_order(names, before)
  local left = {}
  for _, name in ipairs(names) do left[name] = true end
  while next(left) do
    local free
    for name in pairs(left) do
      local first = true
      for other in pairs(left) do
        if before[other .. "<" .. name] then first = false end
      end
      if first then free = name end
    end
    if not free then return false end
    left[free] = nil
  end
  return true
end

local function is_strict(state)
  local done, before = {}, {}
  for name, phase in pairs(state.phase) do
    if phase == "done" then done[#done + 1] = name end
  end
  for _, store in ipairs(STORES) do
    for i, a in ipairs(state.log[store]) do
      for j = i + 1, #state.log[store] do
        local b = state.log[store][j]
        if a.name ~= b.name and (meets(a, "writes", b, "checks") or meets(a, "checks", b, "writes")
          or meets(a, "writes", b, "writes")) then
          before[a.name .. "<" .. b.name] = true
        end
      end
    end
  end
  for edge in pairs(state.after) do before[edge] = true end
  return has_order(done, before)
end

-- Every order --------------------------------------------------------------------------

---Tries every order in which `works` can happen, and adds to `found`.
local function try_all(rule, works, settles, found)
  local world = { works = works, settles = settles }
  function world.is_locked(state, store, name)
    for holder in pairs(state.held[store]) do
      if conflicts(rule, works[name].uses[store], works[holder].uses[store]) then return true end
    end
    return false
  end
  local seen = {}
  local function visit(state)
    local text = text_of(state)
    if seen[text] then return end
    seen[text] = true
    local moved = false
    for name, work in pairs(works) do
      local step = next_step(work, state.phase[name])
      if step then
        moved = true
        local after = copy(state)
        if state.phase[name] == "new" then
          for told in pairs(state.told) do after.after[told .. "<" .. name] = true end
        end
        steps[step](world, after, name, work)
        visit(after)
      end
    end
    if moved then return end
    found.ends = found.ends + 1
    if not is_strict(state) then
      found.wrong = found.wrong + 1
      found.example = found.example or text
    end
  end
  local start = { phase = {}, log = { A = {}, B = {} }, held = { A = {}, B = {} }, told = {}, after = {} }
  for name in pairs(works) do start.phase[name] = "new" end
  visit(start)
  return found
end

local function transaction(home, at_home, at_other)
  local other = home == "A" and "B" or "A"
  return { home = home, other = other, uses = { [home] = at_home, [other] = at_other } }
end

---All pairs under a rule, of those that do what `modes` has: locks.streams, locks.queries.
---@return table { ends = states in which all is over, wrong = those of them that are not strictly
---serializable, example = one of these, as text }
function locks.check(rule, modes)
  local found = { ends = 0, wrong = 0 }
  for _, at_home in ipairs(modes) do
    for _, at_other in ipairs(modes) do
      local first = transaction("A", at_home, at_other)
      for _, home in ipairs(STORES) do
        for _, its_home in ipairs(modes) do
          for _, its_other in ipairs(modes) do
            try_all(rule, { T1 = first, T2 = transaction(home, its_home, its_other) }, true, found)
          end
        end
      end
      for _, mode in ipairs(modes) do
        try_all(rule, { T1 = first, X = { store = "B", uses = { B = mode } } }, true, found)
      end
    end
  end
  return found
end

---A strong read (K5) that meets a transaction, under K2.
function locks.check_read(settles)
  local writes = { writes = "s" }
  local works = { T1 = transaction("A", writes, writes),
    G = { store = "B", read = true, uses = { B = { checks = true } } } }
  return try_all(locks.rules[#locks.rules], works, settles, { ends = 0, wrong = 0 })
end

local function print_line(name, found)
  print(("%-32s %5d %26d  %s"):format(name, found.ends, found.wrong, found.example or ""))
end

if arg and arg[0] and arg[0]:find "locks%.lua$" then
  print(("%-32s %5s %26s  %s"):format("locks", "ends", "not strictly serializable", "for example"))
  for _, rule in ipairs(locks.rules) do print_line(rule.name, locks.check(rule, locks.streams)) end
  for _, rule in ipairs(locks.rules) do print_line("queries: " .. rule.name, locks.check(rule, locks.queries)) end
  print_line("strong read, as it finds it", locks.check_read(false))
  print_line("strong read that settles", locks.check_read(true))
end

return locks
