-- faults.lua: faults to be planted in a process of the bank, by wrapping the functions that
-- drive a transaction: each must be found by crash_spec.lua. Each is planted in every table of
-- these functions (points.lua).
local faults = {}

---How each is found: which raid, with which plot. What needs chance is tried several times.
faults.found_by = {
  ["the decision is not flushed"] = { "cut", "after answer 1:kill", 0 },
  ["promises are not flushed"] = { "cut", "before commit 1:kill", 0 },
  ["commits before the decision"] = { "kill", "after commit 1:kill" },
  ["settles without looking at home"] = { "visit", "before decide 1:settle" },
  ["settles to commit"] = { "kill", "before prepare 2:settle;after prepare 2:kill" },
  ["the end is noted before all commits are durable"] = { "cut", "after ended 1:forget;before close 1:kill", 0,
                                                          forget = 1 },
  ["decides blindly"] = { "visit", "before decide 1:late", timeout = 0.3 },
}

local function is_home(core, store) return core.store_place(store):find "home%.rille$" ~= nil end

---The decision is believed before it is durable.
faults["the decision is not flushed"] = function(means, core)
  local flush = means.flush
  means.flush = function(store, ...)
    if is_home(core, store) then return true end
    return flush(store, ...)
  end
end

---A yes that a power cut takes back.
faults["promises are not flushed"] = function(means, core)
  local flush = means.flush
  means.flush = function(store, ...)
    if not is_home(core, store) then return true end
    return flush(store, ...)
  end
end

---The decision may be forgotten while a member may still have to ask for it.
faults["the end is noted before all commits are durable"] = function(means, core)
  local flush = means.flush
  local decided
  local decide = means.decide
  means.is_flushed = function() return true end
  means.decide = function(...)
    decided = true
    return decide(...)
  end
  means.flush = function(store, ...)
    if decided and not is_home(core, store) then return true end
    return flush(store, ...)
  end
end

---The participants are told before home has decided.
faults["commits before the decision"] = function(means)
  local prepare, decide, prepared = means.prepare, means.decide, {}
  means.prepare = function(store, ...)
    prepared[#prepared + 1] = store
    return prepare(store, ...)
  end
  means.decide = function(home, work, fields)
    for _, store in ipairs(prepared) do means.commit(store, fields.id) end
    prepared = {}
    return decide(home, work, fields)
  end
end

---Who is in doubt aborts by himself.
faults["settles without looking at home"] = function(means)
  means.settle = function(store)
    for _, doubt in ipairs(means.indoubt(store)) do means.abort(store, doubt.id) end
    return { committed = 0, aborted = 0, undecided = 0, unreachable = 0 }
  end
end

---And takes it for granted that what he does not know is committed.
faults["settles to commit"] = function(means)
  means.settle = function(store)
    for _, doubt in ipairs(means.indoubt(store)) do means.commit(store, doubt.id) end
    return { committed = 0, aborted = 0, undecided = 0, unreachable = 0 }
  end
end

---The coordinator does not heed that somebody has settled before.
local instance

faults["decides blindly"] = function(means)
  local decide = means.decide
  local open = means.instance
  means.instance = function(...)
    instance = open(...)
    return instance
  end
  means.decide = function(home, work, fields)
    local decided, message, code, detail = decide(home, work, fields)
    if not decided or decided.outcome == "committed" then return decided, message, code, detail end
    fields.id, fields.home_end = instance:begin() -- under an id that nobody has aborted
    return decide(home, work, fields)
  end
end

return faults
