-- policy_spec.lua: whether a transaction may commit: every rule over every combination of
-- votes, and scripts, good and bad.
local rille = require "rille"
local policy = require "rille.policy"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local contains, failure, raised = stores.contains, stores.failure, stores.raised

local IDENTITY_BYTES = 32
local SETTLED_SECONDS = 0.05 -- a file that has rested so long is read

local files, store

before_each(function()
  files = {}
  store = stores.new { load = function(name)
    if files[name] then return files[name] end
    return nil, "there is no such file"
  end }
end)
after_each(function() store:close() end)

---A participant by three letters: its name; "r"equired, "o"ptional, "v"oter; its vote.
local VOTES = { y = "yes", r = "read", n = "no", ["-"] = "none" }
local function participant(text, weight)
  local name, kind, vote = text:match "^(%a)(%a)(.)$"
  return { name = name, vote = VOTES[vote], required = kind == "r", voter = kind == "v", weight = weight,
           reason = vote == "n" and "locked" or nil }
end

---tx "ary bon": a has said yes and is required, b is optional and said no.
local function tx(text, elapsed, weights)
  local list = {}
  for word in text:gmatch "%S+" do list[#list + 1] = participant(word, weights and weights[#list + 1]) end
  return { elapsed = elapsed or 0, timeout = 5, participants = list }
end

local function ask(name, params, ...)
  return assert(policy.open(store, name, { params = params })):ask(tx(...))
end

describe("a rule", function()
  -- What a rule comes to when all is said; it knows nothing of silence.
  local FINAL = {
    unanimous = function(yes, all) return yes == all end,
    required = function() return true end,
    majority = function(yes, all) return yes > all - yes or all == 0 end,
    quorum = function(yes, _, params) return yes >= params.need end,
    weighted = function(yes, all, params, n)
      if params.need then return yes >= params.need end
      return yes > all - yes or n == 0
    end,
  }

  local CASES = {
    { "unanimous" }, { "required" }, { "majority" }, { "quorum", { need = 1 } }, { "quorum", { need = 2 } },
    { "quorum", { need = 5 } }, { "weighted", {} }, { "weighted", { need = 5 } }, { "weighted", { need = 1.5 } },
  }
  local WEIGHTS = { 1, 0, 3.5, 2 }

  ---"abort", or "commit" and who would be a member and has something to do.
  local function final(name, params, list)
    local yes, all, members = 0, 0, {}
    for i, p in ipairs(list) do
      local weight = name == "weighted" and WEIGHTS[i] or 1
      local agrees = p.vote == "yes" or p.vote == "read"
      if p.required and not agrees then return "abort" end
      yes, all = yes + (agrees and weight or 0), all + weight
      if agrees and not p.voter then members[#members + 1] = p.name end
    end
    if not FINAL[name](yes, all, params, #list) then return "abort" end
    return "commit " .. table.concat(members, " ")
  end

  ---Collects what can still come of it, each silent one saying yes or no.
  local function futures(name, params, list, i, found)
    while list[i] and list[i].vote ~= "none" do i = i + 1 end
    if not list[i] then
      found[final(name, params, list)] = true
      return found
    end
    for _, vote in ipairs { "yes", "no" } do
      list[i].vote = vote
      futures(name, params, list, i + 1, found)
    end
    list[i].vote = "none"
    return found
  end

  ---The oracle: the one future that there is, or "wait".
  local function expected(name, params, list, late)
    if late then
      local said = {}
      for i, p in ipairs(list) do
        said[i] = { name = p.name, required = p.required, voter = p.voter, vote = p.vote == "none" and "no" or p.vote }
      end
      return (final(name, params, said):match "^%a+")
    end
    local found = futures(name, params, list, 1, {})
    local only = next(found)
    return next(found, only) and "wait" or only:match "^%a+"
  end

  ---Calls f with each list of n participants, of all kinds with all these votes.
  local function each(n, votes, list, f)
    if #list == n then return f(list) end
    for kind in ("rov"):gmatch "." do
      for vote in votes:gmatch "." do
        list[#list + 1] = participant(("abcd"):sub(#list + 1, #list + 1) .. kind .. vote, WEIGHTS[#list + 1])
        each(n, votes, list, f)
        list[#list] = nil
      end
    end
  end

  local function show(name, params, list, late)
    local words = { name, tostring(params and params.need), late and "late" or "early" }
    for _, p in ipairs(list) do
      words[#words + 1] = ("%s:%s:%s"):format(p.name, p.required and "r" or p.voter and "v" or "o", p.vote)
    end
    return table.concat(words, " ")
  end

  for _, case in ipairs(CASES) do
    local name, params = case[1], case[2]
    it(("'%s'%s over every combination of votes"):format(name, params and params.need and " " .. params.need or ""),
      function()
        local p = assert(policy.open(store, name, { params = params }))
        local asked, words = 0, { wait = 0, abort = 0, commit = 0 }
        local function check(list)
          for _, late in ipairs { false, true } do
            local word, reason = p:ask { elapsed = late and 5 or 4.9, timeout = 5, participants = list }
            local oracle = expected(name, params or {}, list, late)
            if word ~= oracle then error(("%s: %s, not %s"):format(show(name, params, list, late), word, oracle)) end
            if (word == "abort") ~= (type(reason) == "string") then error(show(name, params, list, late)) end
            asked, words[word] = asked + 1, words[word] + 1
          end
        end
        for n = 0, 3 do each(n, "yrn-", {}, check) end
        each(4, "yn-", {}, check)
        assert.equal(2 * (1 + 12 + 144 + 1728 + 6561), asked)
        local possible = name ~= "quorum" or params.need <= 4
        assert.same({ possible, possible }, { words.commit > 0, words.wait > 0 })
        assert(words.abort > 0)
      end)
  end

  it("says who said no, and why", function()
    local word, reason, _ = ask("majority", nil, "ary brn cr-")
    assert.equal("abort", word)
    assert.equal("'b' said no: locked (it is required)", reason)
    word, reason = ask("majority", nil, "avy bvn cvn dvy")
    assert.equal("abort", word)
    assert.equal("it needs more than half of 4, and has 2: 'b' said no: locked; 'c' said no: locked",
      reason)
    word, reason = ask("quorum", { need = 3 }, "avy bv- cvn", 5)
    assert.equal("abort", word)
    assert.equal("it needs 3 of 3, and has 1: 'c' said no: locked; 'b' has not answered", reason)
    _, reason = ask("unanimous", nil, "avn bvn cvn dvn evn")
    contains(reason, "'c' said no: locked; and 2 more")
    _, reason = ask("weighted", nil, "avn bvy", 0, { 2, 1 })
    contains(reason, "more than half of the weight, 3, and has 1: 'a' said no")
    _, reason = ask("weighted", { need = 9 }, "avy", 0, { 2 })
    assert.equal("it needs a weight of 9 of 2, and has 2", reason)
    local long = tx "arn"
    long.participants[1].reason = ("x"):rep(1e6)
    _, reason = assert(policy.open(store, "required")):ask(long)
    assert(#reason < 1000)
  end)

  it("waits at the timeout for nobody", function()
    assert.equal("wait", (ask("required", nil, "ary bo-")))
    assert.equal("commit", (ask("required", nil, "ary bo-", 5)))
    assert.equal("commit", (ask("required", nil, "ary bv-")))
    local word, reason = ask("required", nil, "ar-", 5)
    assert.same({ "abort", "'a' has not answered (it is required)" }, { word, reason })
  end)

  it("takes no weight that is none", function()
    for _, weight in ipairs { -1, 0 / 0, math.huge, "much" } do
      local word, reason = ask("weighted", nil, "avy bvy", 0, { 1, weight })
      assert.equal("abort", word)
      contains(reason, "'b' has a weight that can't be counted")
    end
    assert.equal("commit", (ask("weighted", nil, "avy bvy bvn")))
  end)

  it("is checked with its parameters", function()
    local function opening(name, params)
      return raised(policy.open, store, name, { params = params })
    end
    contains(opening "quorum", "policy 'quorum' needs params = { need = n }")
    for _, need in ipairs { 0, -1, 1.5, "2", 0 / 0 } do contains(opening("quorum", { need = need }), "an integer") end
    for _, need in ipairs { 0, -1, math.huge, "2", 0 / 0 } do
      contains(opening("weighted", { need = need }), "a number above 0")
    end
    contains(opening("quorum", { need = 1, ned = 1 }), "did you mean 'need'?")
    for _, name in ipairs { "unanimous", "required", "majority" } do
      contains(opening(name, { need = 1 }), "unknown parameter 'need'")
    end
    contains(opening("majority", 5), "params must be a table")
    contains(raised(policy.open, store, "majority", { prams = {} }), "did you mean 'params'?")
    contains(raised(policy.open, store, "majority", { memory_bytes = "2" }), "must be an integer")
    contains(raised(policy.open, store, 5), "a policy is a name or the path of a script")
  end)

  it("has its name for an identity", function()
    local p = assert(policy.open(store, "majority"))
    assert.same({ "majority", "majority" }, { p.name, p.identity })
  end)
end)

---Opens a script of this text.
local function open(text, options)
  files["p.lua"] = text
  return policy.open(store, "p.lua", options)
end

---What a decide with this body says of a transaction in which a (required) has voted yes,
---b no, c read, and d not at all.
local function decide(body, options)
  local p = assert(open(("return { decide = function(tx)\n%s\nend }"):format(body), options))
  return p:ask(tx "ary bon cor do-")
end

local function aborts(part, ...)
  local word, reason = ...
  if word ~= "abort" then error(("%s, not abort"):format(tostring(word)), 2) end
  contains(reason, part)
  return reason
end

describe("a script", function()
  it("answers in three words", function()
    assert.equal("wait", (decide 'return "wait"'))
    assert.same({ "abort", "no luck" }, { decide 'return "abort", "no luck"' })
    assert.same({ "abort", "7" }, { decide 'return "abort", 7' })
    assert.same({ "commit" }, { decide 'return "commit"' })
    assert.same({ "commit", { "a", "c" } }, { decide 'return "commit", { "a", "c" }' })
    assert.same({ "commit", { "c", "a" } }, { decide 'return "commit", { "c", "a", "c" }, "more"' })
    aborts("for no reason that it gave", decide 'return "abort"')
  end)

  it("sees the transaction as plain data, and changes a copy", function()
    local seen = tx("ary bon", 1.5, { 2 })
    seen.participants[1].handle = store
    local p = assert(open [[return { decide = function(tx)
      local a, b = tx.participants[1], tx.participants[2]
      local fields = 0
      for _ in pairs(a) do fields = fields + 1 end
      local said = ("%s %s %s %s %s %s %s %s %s %s %d"):format(tx.elapsed, tx.timeout, a.name, a.vote, a.required,
        a.voter, a.weight, b.vote, b.reason, b.weight, fields)
      a.vote, tx.participants[2] = "no", nil
      return "abort", said
    end }]])
    assert.same({ "abort", "1.5 5 a yes true false 2 no locked 1 5" }, { p:ask(seen) })
    assert.same({ "abort", "1.5 5 a yes true false 2 no locked 1 5" }, { p:ask(seen) })
    assert.equal("yes", seen.participants[1].vote)
    assert.equal(2, #seen.participants)
  end)

  it("has parameters, neighbours, null", function()
    files["helper.lua"] = 'return { word = "abort" }'
    local p = assert(open([[local params, helper, rille = ..., require "helper", require "rille"
      return { decide = function() return helper.word, params.why .. tostring(params.none == rille.null) end }]],
      { params = { why = "since ", none = rille.null } }))
    assert.same({ "abort", "since true" }, { p:ask(tx "ary") })
    local _, code = failure(open("return { decide = function() end }", { params = { print } }))
    assert.equal("invalid", code)
  end)

  it("is asked the same twice, and says the same twice", function()
    local text = 'return { decide = function() return "abort", math.random(1000000) end }'
    local _, first = assert(open(text)):ask(tx "ary")
    local p = assert(open(text))
    for _ = 1, 3 do assert.same({ "abort", first }, { p:ask(tx "ary") }) end
  end)

  it("has an identity, that of its text as it is now", function()
    local p = assert(open 'return { decide = function() return "wait" end }')
    local first = p.identity
    assert.equal(IDENTITY_BYTES, #first)
    assert.equal("p.lua", p.name)
    assert.equal("wait", (p:ask(tx "ary")))
    files["p.lua"] = 'return { decide = function() return "commit" end }'
    assert.equal("commit", (p:ask(tx "ary")))
    assert.not_equal(first, p.identity)
    files["p.lua"] = 'return { decide = function() return "wait" --[[ again ]] end }'
    assert.equal("wait", (p:ask(tx "ary")))
    assert.equal(first, p.identity)
  end)

  it("that was edited and does not load is no policy, until it is mended", function()
    local good = 'return { decide = function() return "commit" end }'
    local p = assert(open(good))
    files["p.lua"] = "return {\n"
    aborts("p.lua:2: unexpected symbol", p:ask(tx "ary"))
    aborts("p.lua:2: unexpected symbol", p:ask(tx "ary"))
    files["p.lua"] = "return {}"
    aborts("p.lua: a policy needs decide = function(tx), not nil", p:ask(tx "ary"))
    files["p.lua"] = nil
    aborts("p.lua: there is no such file", p:ask(tx "ary"))
    files["p.lua"] = good
    assert.equal("commit", (p:ask(tx "ary")))
  end)

  it("is a file, where the store has no option load", function()
    local other <close> = stores.new()
    local path = scratch.file("own.lua", 'return { decide = function() return "wait" end }')
    local p = assert(policy.open(other, path))
    assert.equal("wait", (p:ask(tx "ary")))
    scratch.shell("sleep %s", SETTLED_SECONDS)
    scratch.file("own.lua", 'return { decide = function() return "commit" end }')
    scratch.shell("sleep %s", SETTLED_SECONDS)
    assert.equal("commit", (p:ask(tx "ary")))
  end)

  it("can be many with many parameters", function()
    local first
    for i = 1, 100 do
      local p = assert(open('local n = ... return { decide = function() return "abort", n end }', { params = i }))
      first = first or p
      assert.same({ "abort", tostring(i) }, { p:ask(tx "ary") })
    end
    assert.same({ "abort", "1" }, { first:ask(tx "ary") })
  end)

  it("has no part in what isolated reducers use up", function()
    files["r.lua"] = "return { initial = {}, on = { T = function() while true do end end } }"
    assert(store:append("a", { type = "T" }))
    local p = assert(open 'return { decide = function() return "commit" end }')
    local _, code = failure(store:fold("r.lua", { isolated = true }))
    assert.equal("budget", code)
    assert.equal("commit", (p:ask(tx "ary")))
  end)

  it("may be loaded by a function that asks a policy itself", function()
    local other, inner
    other = stores.new { load = function()
      inner = inner or { policy.open(other, "majority"):ask(tx "avy") }
      inner.nested = inner.nested or { pcall(policy.open, other, "q.lua") }
      return 'return { decide = function() return "commit" end }'
    end }
    assert.equal("commit", (assert(policy.open(other, "p.lua")):ask(tx "ary")))
    assert.equal("commit", inner[1])
    contains(tostring(inner.nested[2]), "running")
    other:close()
  end)
end)

describe("a script that can't be opened:", function()
  local BAD = {
    { "no text", "return { ", "p.lua:1: unexpected symbol", "script" },
    { "no table", "return 5", "p.lua: a script must return a table", "script" },
    { "no decide", "return {}", "p.lua: a policy needs decide = function(tx), not nil", "script" },
    { "a decide that is none", "return { decide = 5 }", "needs decide = function(tx), not number", "script" },
    { "one of Lua's own functions", "return { decide = string.rep }", "a function of the script's own", "script" },
    { "a wrong name", "return { decied = print }", "did you mean", "script" },
    { "an error", "local a\na.b = 1", "p.lua:2: attempt to index", "script" },
    { "a loop", "while true do end", "p.lua:1: the script was stopped", "budget" },
    { "a yield", "coroutine.yield()", "scripts have no coroutines", "script" },
    { "memory", "local t = {} while true do t[#t + 1] = {} end", "the script was stopped", "budget" },
    { "compiled Lua", "\27Lua", "compiled Lua is refused", "script" },
  }
  for _, case in ipairs(BAD) do
    local name, text, part, code = table.unpack(case)
    it(name, function()
      local p, message, said = open(case[1] == "a wrong name" and "return { decid = function() end }" or text)
      assert.equal(nil, p)
      contains(message, part)
      assert.equal(code, said)
    end)
  end

  it("one that is not there, or a name that is none", function()
    local message, code = failure(policy.open(store, "majorty"))
    contains(message, "unknown policy 'majorty' (did you mean 'majority'?)")
    assert.equal("script", code)
    message = failure(policy.open(store, "policies/mine.lua"))
    assert.equal("policies/mine.lua: there is no such file", message)
  end)
end)

describe("a script aborts with its line that", function()
  local BAD = {
    { "returns nothing", "return", 'p.lua:1: decide returned nil, not "wait", "abort" or "commit"' },
    { "returns a word that is none", "return 'komit'", "p.lua:1: decide returned 'komit', not" },
    { "returns a boolean", "return true", "p.lua:1: decide returned a boolean, not" },
    { "returns a table", "return { 'commit' }", "p.lua:1: decide returned a table, not" },
    { "returns a word of a million letters", "return ('x'):rep(1000000)", "p.lua:1: decide returned 'xxx" },
    { "aborts for a table", "return 'abort', {}", "p.lua:1: decide returned \"abort\", but its reason is a table" },
    { "commits a text", "return 'commit', 'a'", "p.lua:1: decide returned \"commit\", but its members are 'a'" },
    { "commits numbers", "return 'commit', { 'a', 3 }", "p.lua:1: decide returned \"commit\", but member 2 is 3" },
    { "commits a map", "return 'commit', { a = true }", "its members are no list: there is a field 'a'" },
    { "commits by a key that is a table", "return 'commit', { [{}] = 'a' }", "there is a field a table" },
    { "commits with a hole", "return 'commit', { [1] = 'a', [3] = 'c' }", "there is no [2]" },
    { "commits too many", "local t = {} for i = 1, 1e5 do t[i] = 'a' end return 'commit', t",
      "more members than the 4" },
    { "commits a stranger", "return 'commit', { 'a', 'z' }", "p.lua:1: decide says commit, but there is no" },
    { "commits a no", "return 'commit', { 'a', 'b' }", "p.lua:1: decide says commit, but 'b' said no: locked" },
    { "commits silence", "return 'commit', { 'a', 'd' }", "p.lua:1: decide says commit, but 'd' has not answered" },
    { "commits without a required one", "return 'commit', { 'c' }", "leaves out 'a', which is required" },
    { "commits nobody", "return 'commit', {}", "leaves out 'a', which is required" },
    { "lies about its names", "return 'commit', setmetatable({}, { __index = function() return 'a' end, "
      .. "__len = function() return 1 end, __pairs = function() return nil end })", "leaves out 'a'" },
    { "lies about votes", "tx.participants[2].vote = 'yes' return 'commit', { 'a', 'b' }", "'b' said no" },
    { "renames", "tx.participants[2].name = 'z' return 'commit', { 'a', 'z' }", "there is no participant 'z'" },
    { "fails", "error 'bad luck'", "p.lua:2: bad luck" },
    { "fails without a place", "error('bad luck', 0)", "p.lua:2: bad luck" },
    { "fails with a table", "error { 'bad luck' }", "p.lua:2: " },
    { "fails with nil", "error()", "p.lua:" },
    { "fails at great length", "error(('x'):rep(1000000))", "p.lua:2: xxx" },
    { "loops", "while true do end", "p.lua:2: the script was stopped" },
    { "loops in pcall", "while true do pcall(function() while true do end end) end",
      "p.lua:2: the script was stopped" },
    { "recurses", "local function f() return f() + 1 end f()", "the script was stopped" },
    { "eats memory", "local t = {} for i = 1, 1e9 do t[i] = i end", "the script was stopped" },
    { "doubles a string", "local s = 'x' while true do s = s .. s end", "the script was stopped" },
    { "searches for ever", "return ('a'):rep(1e5):find(('a-'):rep(50) .. 'b')", "p.lua:2: the script was stopped" },
    { "returns a million things", "return table.unpack({}, 1, 1000000)", "p.lua:2: " },
    { "yields", "coroutine.yield('commit')", "p.lua:2: undefined global 'coroutine'" },
    { "sets a global", "votes = 1", "p.lua:2: global 'votes' can't be set" },
  }
  for _, case in ipairs(BAD) do
    it(case[1], function()
      local reason = aborts(case[3], decide(case[2]))
      contains(reason, "p.lua:")
      assert(#reason < 3000, #reason)
      assert.equal("commit", (decide 'return "commit"'))
    end)
  end

  it("takes longer than it may", function()
    aborts("it took more than 1000 instructions", decide("for i = 1, 1e4 do end", { instructions = 1000 }))
    aborts("the script was stopped", decide("local s = ('x'):rep(3000000)", { memory_bytes = 2 << 20 }))
    assert.equal("commit", (decide("for i = 1, 100 do end return 'commit'", { instructions = 1000 })))
  end)

  it("says commit while a required participant is silent", function()
    local p = assert(open 'return { decide = function() return "commit" end }')
    aborts("p.lua:1: decide says commit, but 'a' has not answered, and is required", p:ask(tx "ar- boy"))
    aborts("p.lua:1: decide says commit, but 'a' said no: locked, and is required", p:ask(tx "arn boy"))
    assert.same({ "commit" }, { p:ask(tx "arr bo-") })
  end)
end)

describe("the policies in examples/", function()
  local own

  before_each(function() own = stores.new() end)
  after_each(function() own:close() end)

  local function example(name, params)
    local p = assert(policy.open(own, "examples/policies/" .. name .. ".lua", { params = params }))
    return function(...) return p:ask(tx(...)) end
  end

  it("voters.lua: a majority of voters, over all that is held", function()
    local said = example "voters"
    assert.equal("commit", (said ""))
    assert.equal("commit", (said "ary"))
    assert.equal("wait", (said "ar- bvy"))
    assert.equal("wait", (said "ary bvy cv- dv-"))
    assert.equal("commit", (said "ary bvy cvy dv-"))
    assert.equal("commit", (said "ary bvy cvn dvy"))
    assert.same({ "abort", "only 1 of 3 voters said yes" }, { said "ary bvy cvn dvn" })
    assert.same({ "abort", "a can't: locked" }, { said "arn bvy" })
    assert.equal("wait", (said "ary bo- cvy"))
    assert.equal("commit", (said "ary bon cvy"))
  end)

  it("patience.lua: all for a while, then enough", function()
    local said = example("patience", { need = 1, patience = 0.5 })
    assert.equal("wait", (said("ary boy co-", 1)))
    assert.same({ "commit", { "a", "b" } }, { said("ary boy co-", 2.5) })
    assert.same({ "commit", { "a", "b", "c" } }, { said("ary boy cor", 0) })
    assert.equal("wait", (said("ary bo- co-", 2.5)))
    assert.equal("wait", (said("ar- boy", 5)))
    assert.same({ "abort", "only 0 of 1 optional ones" }, { said "ary bon" })
    assert.same({ "abort", "a said no" }, { said "arn boy" })
    assert.same({ "commit", { "a" } }, { example "patience"("ary bo-", 3) })
  end)

  it("named.lua: the first that is able", function()
    local said = example("named", { order = { "c", "b" } })
    assert.equal("wait", (said "ary boy co-"))
    assert.same({ "commit", { "a", "c" } }, { said "ary boy coy" })
    assert.same({ "commit", { "a", "b" } }, { said "ary boy con" })
    assert.same({ "abort", "none of c, b is able" }, { said "ary bon con" })
    assert.equal("wait", (said "ar- boy coy"))
    contains(failure(policy.open(own, "examples/policies/named.lua")), "named.lua:")
  end)
end)
