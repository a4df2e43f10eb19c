-- decide_spec.lua: what a decider has read is the condition of what it appends.
local rille = require "rille"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local contains, failure, raised = stores.contains, stores.failure, stores.raised

local ACCOUNT = [[
return { initial = { balance = 0, open = false }, key = "stream", on = {
  Opened = function(state) state.open = true end,
  Deposited = function(state, event) state.balance = state.balance + event.data.amount end,
  Withdrawn = function(state, event) state.balance = state.balance - event.data.amount end } }]]

local BY_OWNER = [[
return { initial = 0, key = function(event) return event.data.owner end, on = {
  Opened = function(n) return n + 1 end } }]]

local COUNT = [[return { initial = 0, on = { ["*"] = function(n) return n + 1 end } }]]

local WITHDRAW = [[
return { decide = function(command, ctx)
  local account = ctx:state("account.lua", { stream = command.account })
  if account.balance < command.amount then
    return nil, ("only %d left"):format(account.balance), { balance = account.balance }
  end
  return { stream = command.account, events = { type = "Withdrawn", data = { amount = command.amount } } }
end }]]

local files, store, path, between, folds
local methods, fold

local function load_script(name)
  if files[name] then return files[name] end
  return nil, "there is no such file"
end

---`between[name]`, a list of functions, is run one at a time when a reducer of that name
---is to be folded: what others do in the midst of a decision.
local function fold_with_others(handle, name, options)
  folds[name] = (folds[name] or 0) + 1
  local meanwhile = between[name] and table.remove(between[name], 1)
  if meanwhile then meanwhile() end
  return fold(handle, name, options)
end

before_each(function()
  files = { ["account.lua"] = ACCOUNT, ["owner.lua"] = BY_OWNER, ["count.lua"] = COUNT,
            ["withdraw.lua"] = WITHDRAW }
  between, folds = {}, {}
  store, path = stores.new { load = load_script }
  methods = getmetatable(store).__index
  fold = methods.fold
  methods.fold = fold_with_others
end)
after_each(function()
  methods.fold = fold
  store:close()
  scratch.remove(path)
end)

local function append(stream, type, data, tags)
  return assert(store:append(stream, { type = type, data = data, tags = tags }))
end

---Decides by the body of a decide function.
local function decide(body, command, options)
  files["it.lua"] = ("return { decide = function(command, ctx) %s end }"):format(body)
  return store:decide("it.lua", command, options)
end

local PAUSE = "return { initial = 0, on = { Never = function() return 0 end } }"

---How often a decider of this body runs where `meanwhile` happens during its first run,
---behind all that it reads: it reads pause.lua last.
local function runs(body, meanwhile)
  files["pause.lua"], between["pause.lua"], folds = PAUSE, { meanwhile }, {}
  assert(decide(body .. " ctx:state 'pause.lua' return { stream = 'out', events = { type = 'Done' } }"))
  return folds["pause.lua"]
end

describe("a decision", function()
  it("appends what the script returned", function()
    append("account-1", "Deposited", { amount = 10 })
    local result = assert(store:decide("withdraw.lua", { account = "account-1", amount = 4 }))
    assert.same({ first = 2, last = 2, duplicate = false, versions = { ["account-1"] = 2 } }, result)
    assert.equal(6, store:fold("account.lua", { stream = "account-1" }).balance)
  end)

  it("is refused with the reason", function()
    append("account-1", "Deposited", { amount = 10 })
    local message, code, detail = failure(store:decide("withdraw.lua", { account = "account-1", amount = 11 }))
    assert.same({ "only 10 left", "refused", { balance = 10 } }, { message, code, detail })
    assert.equal(1, store:head())
  end)

  it("may be refused with a table", function()
    local message, code, detail = failure(decide "return nil, { message = 'no', why = { 1, 2 } }")
    assert.same({ "no", "refused", { message = "no", why = { 1, 2 } } }, { message, code, detail })
    message, code, detail = failure(decide "return false, { why = 1 }")
    assert.same({ "it.lua refused", "refused", { why = 1 } }, { message, code, detail })
  end)

  it("writes to several streams", function()
    local result = assert(decide [[return {
      { stream = "a", events = { { type = "A" }, { type = "B", data = 1, tags = { "t" } } } },
      { stream = "b", events = { type = "C" } } }]])
    assert.same({ first = 1, last = 3, duplicate = false, versions = { a = 2, b = 1 } }, result)
    assert.same({ "A", "B", "C" }, stores.fields("type", store:all()))
  end)

  it("may be to append nothing", function()
    assert.same({ duplicate = false, versions = {} }, assert(decide "return {}"))
    assert.same({ duplicate = false, versions = { a = 0 } },
      assert(decide "ctx:state('account.lua', { stream = 'a' }) return {}"))
    assert.equal(0, store:head())
  end)

  it("may expect a version of its own", function()
    append("a", "Opened")
    local body = "return { stream = 'a', events = { type = 'X' }, expect = %s }"
    assert.equal("conflict", select(2, failure(decide(body:format "'none'"))))
    assert(decide(body:format "1"))
  end)

  it("knows a repeated command by the ids of its events", function()
    local body = "return { stream = 'a', events = { type = 'X', id = command.id } }"
    assert.is_false(assert(decide(body, { id = "c1" })).duplicate)
    body = "ctx:state('account.lua', { stream = 'a' }) " .. body
    local again = assert(decide(body, { id = "c1" }))
    assert.same({ true, 1 }, { again.duplicate, again.first })
    assert.equal(1, store:head())
  end)

  it("gets a command of its own, parameters and the store's time", function()
    store:close()
    store = assert(rille.open(path, { load = load_script, sync = "never", clock = function() return 1234.5 end }))
    local command = { list = { 1, 2.5, "x" }, null = rille.null }
    files["it.lua"] = [[
      local params = ...
      return { decide = function(command, ctx)
        local data = { command = command, limit = params.limit, time = ctx.time }
        command.list[1] = 9
        return { stream = "s", events = { type = "T", data = data } }
      end }]]
    assert(store:decide("it.lua", command, { params = { limit = 7 } }))
    assert.same({ list = { 1, 2.5, "x" }, null = rille.null }, command)
    local event = store:all()()
    assert.same({ command = { list = { 9, 2.5, "x" }, null = rille.null }, limit = 7, time = 1234.5 }, event.data)
  end)

  it("has the same random numbers where the store is the same", function()
    local body = "ctx:state 'count.lua' return nil, tostring(math.random(1, 1 << 60))"
    local first, second = failure(decide(body)), failure(decide(body))
    assert.equal(first, second)
    append("a", "Opened")
    assert.not_equal(first, (failure(decide(body))))
  end)
end)

describe("what was read", function()
  it("of a stream is its version", function()
    local read = "local n = ctx:state('account.lua', { stream = 'a' })"
    assert.equal(2, (runs(read, function() append("a", "Irrelevant") end)))
    assert.equal(1, (runs(read, function() append("b", "Deposited", { amount = 1 }) end)))
    read = "local n = ctx:state('account.lua', { key = 'a' })"
    assert.equal(2, (runs(read, function() append("a", "Irrelevant") end)))
    assert.equal(1, (runs(read, function() append("b", "Deposited", { amount = 1 }) end)))
  end)

  it("by a key is every type that the reducer handles", function()
    local read = "local n = ctx:state('owner.lua', { key = 'ann' })"
    assert.equal(2, (runs(read, function() append("a", "Opened", { owner = "ann" }) end)))
    assert.equal(1, (runs(read, function() append("a", "Deposited", { amount = 1 }) end)))
  end)

  it("by a reducer of all types is everything", function()
    assert.equal(2, (runs("ctx:state 'count.lua'", function() append("a", "Whatever") end)))
    assert.equal(1, (runs("ctx:state 'count.lua'", function() end)))
  end)

  it("by a query is what it would have found", function()
    local read = "for e in ctx:all { types = { 'Taken' }, tags = { 'row:7' } } do end"
    assert.equal(2, (runs(read, function() append("x", "Taken", nil, { "row:7" }) end)))
    assert.equal(1, (runs(read, function() append("x", "Taken", nil, { "row:8" }) end)))
    read = "ctx:all { { types = { 'Closed' } }, { stream = 'limits', after = 0 } }"
    assert.equal(2, (runs(read, function() append("limits", "L") end)))
    assert.equal(2, (runs(read, function() append("x", "Closed") end)))
    assert.equal(1, (runs(read, function() append("x", "Opened") end)))
    assert.equal(2, (runs("ctx:all {}", function() append("x", "Opened") end)))
    assert.equal(1, (runs("ctx:all { before = 1 }", function() append("x", "Opened") end)))
  end)

  it("shows one moment", function()
    append("a", "Deposited", { amount = 1 })
    between["account.lua"] = { function() append("b", "Opened", { owner = "ann" }) end }
    -- Appended behind the head: neither read sees it, until the script is run again. What it
    -- sees names what it reads then.
    for _, name in ipairs { "saw-0-1.lua", "saw-1-2.lua", "saw-1-1.lua", "saw-0-2.lua" } do files[name] = PAUSE end
    local message = failure(decide [[
      ctx:state("account.lua", { stream = "a" })
      local saw = ("saw-%d-%d.lua"):format(#ctx:all { types = { "Opened" } }, ctx:state "count.lua")
      ctx:state(saw)
      return nil, saw]])
    assert.equal("saw-1-2.lua", message)
    assert.same({ 2, 2 }, { folds["account.lua"], folds["count.lua"] })
    assert.same({ 1, 1 }, { folds["saw-0-1.lua"], folds["saw-1-2.lua"] })
  end)

  it("is checked before a refusal is believed", function()
    append("a", "Deposited", { amount = 1 })
    -- Both accounts change between two reads: a sum that never was.
    between["account.lua"] = { function() end, function()
      append("a", "Withdrawn", { amount = 1 })
      append("b", "Deposited", { amount = 1 })
    end }
    local message, code = failure(decide [[
      local a, b = ctx:state("account.lua", { stream = "a" }), ctx:state("account.lua", { stream = "b" })
      if a.balance + b.balance ~= 1 then error "money was made" end
      return nil, ("%d %d"):format(a.balance, b.balance)]])
    assert.same({ "0 1", "refused" }, { message, code })
  end)

  it("is a list, and goes with for", function()
    for i = 1, 5 do append("s", "T", i) end
    local message = failure(decide [[
      local list, sum, times = ctx:all { types = { "T" }, after = 1 }, 0, 0
      for event in list do sum = sum + event.data times = times + 1 end
      for _, event in ipairs(list) do sum = sum + event.data end
      for event in ctx:all { limit = 2, reverse = true } do sum = sum + 100 * event.data end
      for event in ctx:all { types = { "None" } } do error "none" end
      return nil, ("%d %d %d"):format(#list, times, sum)]])
    assert.equal("4 4 928", message)
  end)
end)

describe("a conflict", function()
  it("makes it run again, a bounded number of times, and is told then", function()
    local times = 0
    local function interfere()
      times = times + 1
      append("a", "Deposited", { amount = 1 })
    end
    local function meddle(n)
      between["pause.lua"] = {}
      for i = 1, n do between["pause.lua"][i] = interfere end
    end
    files["pause.lua"] = PAUSE
    local body = "ctx:state('account.lua', { stream = 'a' }) ctx:state 'pause.lua' "
      .. "return { stream = 'a', events = { type = 'X' } }"
    meddle(9)
    assert.equal(10, assert(decide(body)).first)
    assert.equal(9, times)
    meddle(100)
    times = 0
    local message, code, detail = failure(decide(body, nil, { attempts = 3 }))
    assert.same({ 3, "conflict", "a" }, { times, code, detail.stream })
    contains(message, "version")
    times = 0
    assert.equal("conflict", select(2, failure(decide(body))))
    assert.equal(10, times)
  end)

  it("of two handles on one store ends with both decisions in order", function()
    local other = assert(rille.open(path, { load = load_script, sync = "never" }))
    append("account-1", "Deposited", { amount = 10 })
    between["account.lua"] = { function()
      assert(other:decide("withdraw.lua", { account = "account-1", amount = 7 }))
    end }
    local message, code = failure(store:decide("withdraw.lua", { account = "account-1", amount = 6 }))
    -- The other one decided within the read: what came of it was seen.
    assert.same({ "only 3 left", "refused" }, { message, code })
    other:close()
  end)
end)

describe("several processes", function()
  -- Each decides until it is refused: there are so many seats, and no more.
  local BOOK = [[
    local rille = require "rille"
    local path, script, sync = ...
    local store = assert(rille.open(path, { sync = sync }))
    io.read "l"
    local taken, conflicts = 0, 0
    while true do
      local done, message, code = store:decide(script, { seats = 60 })
      if done then taken = taken + 1
      elseif code == "conflict" then conflicts = conflicts + 1
      else
        print(code, message, taken, conflicts)
        break
      end
    end
    store:close()
  ]]

  local function book(sync)
    scratch.shell("mkdir -p '%s/seats'", scratch.folder)
    local script = scratch.file("seats/book.lua", [[return { decide = function(command, ctx)
      local taken = ctx:state "taken.lua"
      if taken >= command.seats then return nil, "full" end
      return { stream = "seat-" .. taken + 1, events = { type = "Taken" } } end }]])
    scratch.file("seats/taken.lua", "return { initial = 0, on = { Taken = function(n) return n + 1 end } }")
    local others, taken = {}, 0
    for i = 1, 3 do others[i] = process.start(BOOK, path, script, sync) end
    for _, other in ipairs(others) do other.input:write "go\n" other.input:flush() end
    for _, other in ipairs(others) do
      local output, status = other:finish()
      local mine = output:match "^refused\tfull\t(%d+)\t%d+\n$"
      assert(status == 0 and mine, output)
      taken = taken + mine
    end
    assert.equal(60, taken)
    assert(store:sync())
    local streams = {}
    for event in store:all { types = { "Taken" } } do streams[#streams + 1] = event.stream end
    assert.equal(60, #streams)
    for i, stream in ipairs(streams) do assert.equal("seat-" .. i, stream) end
  end

  it("never take more than there is, with nothing flushed", function() book "never" end)
  it("never take more than there is, with every append flushed", function() book "always" end)
end)

describe("a script's neighbour", function()
  it("is found beside it, and else as fold finds it", function()
    files["deciders/it.lua"] = "return { decide = function(name, ctx) return nil, tostring(ctx:state(name)) end }"
    files["deciders/near.lua"] = "return { initial = 'near', on = {} }"
    files["near.lua"] = "return { initial = 'far', on = {} }"
    files["deciders/sub/deep.lua"] = "return { initial = 'deep', on = {} }"
    files["reducers/other.lua"] = "return { initial = 'other', on = {} }"
    files["/absolute.lua"] = "return { initial = 'absolute', on = {} }"
    local function says(name) return (failure(store:decide("deciders/it.lua", name))) end
    assert.equal("near", says "near.lua")
    assert.equal("deep", says "sub/deep.lua")
    assert.equal("other", says "reducers/other.lua")
    assert.equal("absolute", says "/absolute.lua")
    local message, code = failure(store:decide("deciders/it.lua", "nowhere.lua"))
    assert.equal("script", code)
    contains(message, "nowhere.lua")
  end)

  it("is found in files, too", function()
    local plain = assert(rille.open(path, { sync = "never" }))
    scratch.shell("mkdir -p '%s/deciders'", scratch.folder)
    scratch.file("deciders/account.lua", ACCOUNT)
    local name = scratch.file("deciders/withdraw.lua", WITHDRAW)
    append("account-1", "Deposited", { amount = 10 })
    assert(plain:decide(name, { account = "account-1", amount = 10 }))
    contains((failure(plain:decide(scratch.folder .. "/none.lua", {}))), "none.lua")
    plain:close()
  end)
end)

describe("a bad decider", function()
  local function script_error(body, text, command)
    local message, code = failure(decide(body, command))
    assert.equal("script", code)
    contains(message, text)
  end

  it("is named, with its line", function()
    script_error("\n error 'oh'", "it.lua:2: oh")
    script_error("local x = nil .. 'a'", "it.lua:1: attempt to concatenate")
    script_error("return nil", "it.lua: decide returned nothing")
    script_error("return true", "it.lua: decide must return the parts of an append")
    script_error("return { type = 'X' }", "has the field type")
    script_error("return { { type = 'X' } }", "unknown field of an append's part 'type'")
    script_error("return { stream = 's', events = { { typ = 'X' } } }", "unknown field of an event 'typ'")
    script_error("return { stream = 's', events = {}, unless = {} }", "unless")
    script_error("return { { stream = 's', events = {} }, unless = {} }", "what it has read is the condition")
    script_error("return nil, { f = function() end }", "the reason can't be given")
    assert.equal(0, store:head())
  end)

  it("can't use ctx wrongly", function()
    script_error("local state = ctx.state('account.lua')", "it.lua:1: it is ctx:state(...), with a colon")
    script_error("ctx:state()", "it.lua:1: ctx:state needs the name")
    script_error("ctx:state('account.lua', { steam = 'x' })",
      "unknown option of ctx:state 'steam' (did you mean 'stream'?)")
    script_error("ctx:state('account.lua', 'x')", "options must be a table")
    script_error("ctx:all { typs = { 'x' } }", "did you mean 'types'?")
    script_error("ctx:all { explain = true }", "ctx:all has no option 'explain'")
    script_error("ctx:all 'x'", "it.lua:1: ctx:all needs a query")
    files["it.lua"] = [[local kept
      return { decide = function(_, ctx) if kept then kept:state "count.lua" end kept = ctx
        if ctx then return { stream = "a", events = { type = "A" }, expect = 5 } end end }]]
    contains((failure(store:decide "it.lua")), "ctx is valid only during the call")
  end)

  it("can't hide that a read failed", function()
    files["broken.lua"] = "return { initial = 0, on = { A = function() error 'broken' end } }"
    append("a", "A")
    local message, code, detail = failure(decide [[
      pcall(ctx.state, ctx, "broken.lua")
      return { stream = "a", events = { type = "B" } }]])
    contains(message, "broken.lua:1: broken")
    assert.same({ "script", 1 }, { code, detail.position })
    assert.equal("invalid", select(2, failure(decide "ctx:state('account.lua')")))
    assert.equal(1, store:head())
  end)

  it("is refused for what it is", function()
    files["it.lua"] = "return { decide = 1 }"
    contains((failure(store:decide "it.lua")), "it.lua: a decider needs decide = function(command, ctx), not number")
    files["it.lua"] = "return { decid = function() end }"
    contains((failure(store:decide "it.lua")), "unknown field of a decider 'decid' (did you mean 'decide'?)")
    files["it.lua"] = "return 7"
    contains((failure(store:decide "it.lua")), "must return a table")
    files["it.lua"] = "return {"
    contains((failure(store:decide "it.lua")), "it.lua:1:")
  end)

  it("can't have an event that is too long for a name", function()
    local message, code = failure(decide "return { stream = ('s'):rep(256), events = { type = 'X' } }")
    assert.equal("invalid", code)
    contains(message, "255")
  end)
end)

describe("decide", function()
  it("raises where it is called wrongly", function()
    contains(raised(store.decide, store), "needs the name of a decider")
    contains(raised(store.decide, store, "withdraw.lua", {}, { atempts = 1 }),
      "unknown option 'atempts' (did you mean 'attempts'?)")
    contains(raised(store.decide, store, "withdraw.lua", {}, { attempts = 0 }), "attempts must be")
    contains(raised(store.decide, store, "withdraw.lua", {}, { wait = "x" }), "wait must be")
    contains(raised(store.decide, store, "withdraw.lua", {}, 5), "options must be a table")
  end)

  it("tells what can't be a command", function()
    local message, code = failure(store:decide("withdraw.lua", { f = print }))
    assert.equal("invalid", code)
    contains(message, "command.f")
  end)

  it("tells that the store is closed, or only read", function()
    append("account-1", "Deposited", { amount = 10 })
    store:close()
    assert.equal("closed", select(2, failure(store:decide("withdraw.lua", {}))))
    store = assert(rille.open(path, { readonly = true, load = load_script }))
    local command = { account = "account-1", amount = 4 }
    assert.equal("readonly", select(2, failure(store:decide("withdraw.lua", command))))
    command.amount = 11
    assert.equal("refused", select(2, failure(store:decide("withdraw.lua", command))))
  end)
end)
