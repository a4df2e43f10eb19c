-- policy_fuzz_spec.lua: policies made at random, which err, loop, lie and talk nonsense,
-- against the one rule: whatever a policy returns, the members are yes voters and contain
-- every required participant, or the transaction aborts with a reason.
--
-- SEED=n repeats a run; RILLE_SOAK=n makes it n times as long.
local rille = require "rille"
local policy = require "rille.policy"
local rounds = require "spec.support.rounds"
local stores = require "spec.support.stores"

local POLICIES = math.max(100, rounds(300)) -- so many, or a few more, show each outcome
local LIMITS = { memory_bytes = 2 << 20, instructions = 50000 }
local REASON_BYTES = 4096
local RULES = { "unanimous", "required", "majority", "quorum", "weighted" }
local PARAMS = { quorum = { need = 2 }, weighted = { need = 2.5 } }

local random = math.random

local function pick(list) return list[random(#list)] end
local function chance(one_in) return random(one_in) == 1 end

-- Making policies -------------------------------------------------------------------------

local expression, statement

local function name_literal() return ("%q"):format(pick { "a", "b", "c", "d", "e", "z", "" }) end

local NAMES = {
  function() return "nil" end,
  function()
    local list = {}
    for i = 1, random(0, 5) do list[i] = name_literal() end
    return "{ " .. table.concat(list, ", ") .. " }"
  end,
  function() return "yes(tx)" end,
  function() return "required(tx)" end,
  function() return "all(tx)" end,
  function() return "without(yes(tx))" end,
  function() return "with(yes(tx), 'z')" end,
  function() return "with(yes(tx), tx.participants[1].name)" end,
  function() return "tx.participants" end,
  function() return "tx" end,
  function() return "{ [2] = " .. name_literal() .. " }" end,
  function() return "{ a = 1 }" end,
  function() return "{ 1, 2.5, true, {} }" end,
  function() return "big()" end,
  function() return "cycle()" end,
  function() return "liar()" end,
  function() return "function() end" end,
  function() return "5" end,
  function() return "'a'" end,
}

local WORDS = { '"wait"', '"abort"', '"commit"', '"commit"', '"commit"', '"commit"', '"wait"', '"Commit"', '"commit "',
  "nil", "true", "{}", "42", '("x"):rep(100000)', 'setmetatable({}, { __tostring = function() return "commit" end })',
  "function() return 'commit' end" }

function expression()
  return pick {
    function() return ("tx.participants[%d].vote == %q"):format(random(6), pick { "yes", "no", "none", "read" }) end,
    function() return ("#tx.participants > %d"):format(random(0, 5)) end,
    function() return ("count(tx, %q) >= %d"):format(pick { "yes", "no", "none" }, random(0, 4)) end,
    function() return ("tx.elapsed >= tx.timeout * %g"):format(random()) end,
    function() return "math.random() < 0.5" end,
    function() return "tx.participants.x.y" end,
    function() return "not (" .. expression() .. ")" end,
  }()
end

local function answer() return ("do return %s, %s end"):format(pick(WORDS), pick(NAMES)()) end

local STATEMENTS = {
  answer, answer, answer,
  function() return ('do return "commit", %s end'):format(pick(NAMES)()) end,
  function(depth) return ("if %s then\n%s\nend"):format(expression(), statement(depth + 1)) end,
  function(depth) return ("pcall(function()\n%s\nend)"):format(statement(depth + 1)) end,
  function(depth) return ("for _ = 1, %d do\n%s\nend"):format(random(5), statement(depth + 1)) end,
  function() return ("tx.participants[%d].vote = 'yes'"):format(random(6)) end,
  function() return ("tx.participants[%d].required = false"):format(random(6)) end,
  function() return ("tx.participants[%d].name = %s"):format(random(6), name_literal()) end,
  function() return "tx.participants = {}" end,
  function() return "table.remove(tx.participants)" end,
  function() return "while true do end" end,
  function() return "while true do pcall(error) end" end,
  function() return "local t = {} for i = 1, 1e7 do t[i] = {} end" end,
  function() return "local s = 'x' for _ = 1, 40 do s = s .. s end" end,
  function() return "local function f() return 1 + f() end f()" end,
  function() return "error('no luck')" end,
  function() return "error { 'no luck' }" end,
  function() return "error()" end,
  function() return "global = 1" end,
  function() return "coroutine.yield('commit')" end,
  function() return ("require %s"):format(name_literal()) end,
  function() return "string.format = nil" end,
}

function statement(depth)
  if depth > 3 then return answer() end
  return pick(STATEMENTS)(depth)
end

local HELPERS = [[
local function some(tx, wanted)
  local list = {}
  for _, p in ipairs(tx.participants) do if wanted(p) then list[#list + 1] = p.name end end
  return list
end
local function yes(tx) return some(tx, function(p) return p.vote == "yes" or p.vote == "read" end) end
local function required(tx) return some(tx, function(p) return p.required end) end
local function all(tx) return some(tx, function() return true end) end
local function count(tx, vote) return #some(tx, function(p) return p.vote == vote end) end
local function with(list, name) table.insert(list, name) return list end
local function without(list) table.remove(list, math.random(#list)) return list end
local function big() local t = {} for i = 1, 2000 do t[i] = "a" end return t end
local function cycle() local t = {} t[1] = t return t end
local function liar()
  return setmetatable({}, { __index = function() return "a" end, __len = function() return 3 end })
end
local kept = 0
]]

local function script()
  local body = {}
  for i = 1, random(3) do body[i] = statement(0) end
  local text = HELPERS .. ("return { decide = function(tx)\nkept = kept + 1\n%s\n%s\nend }")
    :format(table.concat(body, "\n"), chance(3) and answer() or "return 'commit', yes(tx)")
  if not chance(6) then return text end
  local at = random(#text) -- a text that somebody is in the middle of
  return text:sub(1, at - 1) .. pick { "", "\0", "end", "(", string.char(random(0, 255)) }
    .. text:sub(at + random(0, 3))
end

-- Transactions ----------------------------------------------------------------------------

local function participants()
  local list = {}
  for i = 1, random(0, 5) do
    local kind = pick { "required", "required", "optional", "voter" }
    list[i] = { name = ("abcde"):sub(i, i), vote = "none", required = kind == "required", voter = kind == "voter",
                weight = chance(3) and random(0, 3) or nil }
  end
  return list
end

---One more votes; some only say so after a while, some never.
local function vote(list)
  local silent = {}
  for _, p in ipairs(list) do
    if p.vote == "none" then silent[#silent + 1] = p end
  end
  if #silent == 0 then return end
  local p = pick(silent)
  p.vote = pick { "yes", "yes", "yes", "yes", "yes", "yes", "read", "no" }
  p.reason = p.vote == "no" and "locked" or nil
end

local function check(holds, what, ...)
  if not holds then error(what:format(...), 0) end
end

---The rule, in words of its own.
local function check_commit(list, names)
  local members, by_name = {}, {}
  for _, p in ipairs(list) do by_name[p.name] = p end
  if names then
    check(type(names) == "table", "members are a %s", type(names))
    for _, name in ipairs(names) do
      check(not members[name], "'%s' is a member twice", tostring(name))
      members[name] = true
    end
    for key in pairs(names) do check(math.type(key) == "integer" and names[#names] and key <= #names, "a hole") end
  else
    for _, p in ipairs(list) do members[p.name] = p.vote == "yes" or p.vote == "read" or nil end
  end
  for name in pairs(members) do
    local p = by_name[name]
    check(p, "'%s' is a member, and no participant", name)
    check(p.vote == "yes" or p.vote == "read", "'%s' is a member, and voted %s", name, p.vote)
  end
  for _, p in ipairs(list) do check(not p.required or members[p.name], "'%s' is required, and no member", p.name) end
end

local function check_answer(list, word, more, extra)
  check(extra == nil, "a third result")
  if word == "commit" then return check_commit(list, more) end
  if word == "abort" then
    check(type(more) == "string" and #more > 0 and #more < REASON_BYTES, "the reason is %s", type(more))
  else check(word == "wait" and more == nil, "the word is %s", tostring(word)) end
end

---Asks twice; where `again` opens the policy anew, for the same answer from that. What is
---asked about stays what it was.
local function ask(p, again, elapsed, list)
  local tx = { elapsed = elapsed, timeout = 5, participants = list }
  local before = rille.encode(tx)
  local word, more = p:ask(tx)
  check_answer(list, p:ask(tx))
  check(rille.encode(tx) == before, "the policy has changed the votes")
  if again then
    local second = assert(again())
    local word2, more2 = second:ask(tx)
    -- Where a script is stopped, and whether just there, is not exact.
    local stopped = tostring(more):find "was stopped" or tostring(more2):find "was stopped"
    check(stopped or word == word2 and rille.encode(more) == rille.encode(more2), "%s (%s), then %s (%s)", word, more,
      word2, more2)
  end
  check_answer(list, word, more)
  return word
end

---A transaction as its coordinator asks: once all were told to prepare, after each vote, and
---at the timeout.
local function drive(p, again)
  local list = participants()
  for _ = 1, random(0, #list) do vote(list) end
  local word = ask(p, again, 0, list)
  for i = 1, chance(2) and #list or random(0, #list) do
    if word ~= "wait" then return word end
    vote(list)
    word = ask(p, nil, i * 0.5, list)
  end
  if word == "wait" then word = ask(p, again, 5, list) end
  return word
end

-- The runs --------------------------------------------------------------------------------

local SEED = math.tointeger(tonumber(os.getenv "SEED") or os.time())

describe(("policies made at random, SEED=%d:"):format(SEED), function()
  ---Runs `round` for seeds from SEED on; says which one failed. Goes on, for a while, until of what
  ---is counted in `seen` enough has come.
  local function for_seeds(count, round, seen)
    local function is_enough()
      for _, n in pairs(seen or {}) do
        if n <= POLICIES / 100 then return false end
      end
      return true
    end
    for seed = SEED, SEED + 8 * count - 1 do
      if seed >= SEED + count and is_enough() then break end
      math.randomseed(seed)
      local state = {}
      local ok, message = pcall(round, state)
      if not ok then error(("SEED=%d: %s\n%s"):format(seed, tostring(message), state.text or ""), 0) end
    end
  end

  it("members are yes voters with every required one, or it aborts", function()
    local text
    local store <close> = stores.new { load = function(name)
      if name == "p.lua" then return text end
      return nil, "there is no such file"
    end }
    local seen = { wait = 0, commit = 0, abort = 0, unopened = 0 }
    for_seeds(POLICIES, function(state)
      text = script()
      state.text = text
      local function open() return policy.open(store, "p.lua", LIMITS) end
      local p, message, code = open()
      if not p then
        check(type(message) == "string" and (code == "script" or code == "budget"), "code %s: %s", code, message)
        seen.unopened = seen.unopened + 1
        return
      end
      for _ = 1, 3 do
        local word = drive(p)
        seen[word] = seen[word] + 1
      end
    end, seen)
    for what, n in pairs(seen) do assert(n > POLICIES / 100, ("only %d: %s"):format(n, what)) end
    assert.equal(0, store:head())
  end)

  it("a new script answers as another new one of the same text", function()
    local text
    local store <close> = stores.new { load = function() return text end }
    local compared = 0
    for_seeds(POLICIES // 4, function(state)
      text = script():gsub("kept = kept %+ 1", "")
      state.text = text
      local function open() return policy.open(store, "p.lua", LIMITS) end
      local p = open()
      if not p then return end
      drive(p, open)
      compared = compared + 1
    end)
    assert(compared > POLICIES / 8, compared)
  end)

  it("rules keep to it too", function()
    local store <close> = stores.new()
    local seen = { commit = 0, abort = 0 } -- at the timeout no rule waits
    for_seeds(POLICIES * 5, function(state)
      local name = pick(RULES)
      state.text = name
      local function open() return policy.open(store, name, { params = PARAMS[name] }) end
      local word = drive(assert(open()), open)
      seen[word] = seen[word] + 1
    end)
    for what, n in pairs(seen) do assert(n > POLICIES / 100, ("only %d: %s"):format(n, what)) end
  end)

  -- a and b are stores that are required, home among them, c is optional, d votes as it likes.
  it("whole transactions keep to it, and the stores have what the answer says", function()
    local text, vote_of_d
    local a <close> = stores.new { load = function() return text end, sync = "never" }
    local b <close> = stores.new { sync = "never" }
    local c <close> = stores.new { sync = "never" }
    local coordinator <close> = assert(rille.coordinator(a, { participants = {
      d = { prepare = function() return table.unpack(vote_of_d) end } } }))
    local event, seen = { type = "Moved" }, { committed = 0, aborted = 0, excluded = 0 }
    for_seeds(math.max(75, POLICIES // 4), function(state)
      local wanted = pick { "yes(tx)", "required(tx)", "without(yes(tx))" }
      local sane = ("return { decide = function(tx)\nif count(tx, 'none') > 0 then return 'wait' end\n%s\nend }")
        :format("return 'commit', " .. wanted)
      text, vote_of_d = chance(2) and HELPERS .. sane or script(), pick { { true }, { "read" }, { nil, "no" } }
      state.text = text
      local before = { a = a:version "s", b = b:version "s", c = c:version "s" }
      local result, message, code = coordinator:transact({ policy = "p.lua", timeout = 0.5 }, function(tx)
        for name, store in pairs { a = a, b = b, c = c } do
          assert(tx:enlist(store, { name = name, optional = name == "c" }))
          local expect = chance(8) and 10 ^ 6 // 1 | 0 or nil -- its no
          assert(tx:append(store, "s", event, { expect = expect }))
        end
        assert(tx:enlist "d")
        return true
      end)
      local members = {}
      for _, name in ipairs(result and result.members or {}) do members[name] = true end
      check(result or code == "aborted" and type(message) == "string" or code == "script" or code == "budget",
        "code %s: %s", code, message)
      check(not result or members.a and members.b, "committed without one that is required")
      for name, store in pairs { a = a, b = b, c = c } do
        check(store:version "s" == before[name] + (members[name] and 1 or 0), "%s has not what was told", name)
      end
      seen[result and "committed" or "aborted"] = seen[result and "committed" or "aborted"] + 1
      if result and not members.c then seen.excluded = seen.excluded + 1 end
      assert.same({}, b:indoubt())
    end)
    for what, n in pairs(seen) do assert(n > 0, "none " .. what) end
  end)
end)
