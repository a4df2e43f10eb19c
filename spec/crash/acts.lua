-- acts.lua: what is done by Lua programs in disappoint.lua. Of each:
--   make(world)         what there is before, made once in world.folder
--   open(world)         before each run, with a sound system
--   run(world)          while calls fail; what may fail goes through acts.try
--   judge(world, must)  with a sound system again; must: the handles may be of no use any more
--   quiet               class = end of a path: what may fail there without a word
return function(rille)
  local acts = {}
  local APART = { background = false, segment_bytes = 65536 }

  local SUM = [[return { initial = { n = 0 }, key = "stream",
    on = { Added = function(s, e) s.n = s.n + %d * e.data.n end } }]]
  local EFFECTS = [[return { key = "stream", state = { initial = 0, on = { Asked = function(n) return n + 1 end } },
    on = { Asked = function(event, ctx)
      ctx:emit("effects-" .. event.stream, { type = "Effect", data = { n = event.data.n, count = ctx.state } })
    end } }]]
  local POLICY = [[return { decide = function(tx)
    for _, p in ipairs(tx.participants) do if p.vote ~= "yes" then return "wait" end end
    return "commit" end }]]

  local function open(world, name, text)
    local options = { load = function() return world.text or text end }
    for key, value in pairs(APART) do options[key] = value end
    return assert(rille.open(world.folder .. "/" .. name, options))
  end

  local function fill(store, type, n)
    for i = 1, n do assert(store:append("s-" .. i % 3, { type = type, data = { n = i } })) end
  end

  -- A handle that was disappointed may be of no use, but must say so.
  local function check_handle(must_close, f)
    local ok, message = pcall(f)
    if not ok and not (must_close and tostring(message):find "close") then error(message, 0) end
  end

  local function close(world)
    for _, name in ipairs { "coordinator", "store", "other" } do
      if world[name] then world[name]:close() end
      world[name] = nil
    end
  end

  local function check_verified(store)
    local verified = assert(store:verify())
    if not verified.ok then error(verified.problems[1].message, 0) end
  end

  -- Projections ---------------------------------------------------------------------

  local function sums(store, factor)
    local expected = {}
    for e in store:all { types = { "Added" } } do
      expected[e.stream] = (expected[e.stream] or 0) + factor * e.data.n
    end
    return expected
  end

  local function check_sums(store, p, factor)
    for key, n in pairs(sums(store, factor)) do
      local state, message = p:get(key)
      if not state then error(tostring(message), 0) end
      if state.n ~= n then error(("%s is %d and not %d"):format(key, state.n, n), 0) end
    end
  end

  local function judge_sums(factor)
    return function(world, must_close)
      if world.p then check_handle(must_close, function() check_sums(world.store, world.p, factor) end) end
      world.p = nil
      close(world)
      local store <close> = open(world, "a.rille", SUM:format(factor))
      check_sums(store, assert(store:projection("sums", "sum.lua")), factor)
      check_verified(store)
      assert(store:append("s-1", { type = "Added", data = { n = 1 } }))
      check_sums(store, assert(store:projection("sums", "sum.lua")), factor)
    end
  end

  local function make_sums(world)
    local store <close> = open(world, "a.rille", SUM:format(1))
    fill(store, "Added", 20)
    assert(assert(store:projection("sums", "sum.lua")):update())
    fill(store, "Added", 10)
  end

  local function open_sums(world)
    world.store = open(world, "a.rille", SUM:format(1))
    world.p = assert(world.store:projection("sums", "sum.lua"))
  end

  acts.projection = {
    make = make_sums, open = open_sums,
    run = function(world)
      acts.try(world.p:update())
      acts.try(world.store:append("s-1", { type = "Added", data = { n = 100 } }))
      acts.try(world.p:get "s-1")
      for _ in world.p:each() do end
      acts.try(world.p:update())
      acts.try(world.p:rebuild())
    end,
    judge = judge_sums(1),
  }

  acts.reload = {
    make = make_sums, open = function(world)
      world.text, world.edited = false, SUM:format(2) -- a field that is there needs no memory to be set
      open_sums(world)
      assert(world.p:get "s-1")
    end,
    run = function(world)
      world.text = world.edited
      acts.try(world.store:poll())
      acts.try(world.p:get "s-1")
    end,
    judge = judge_sums(2),
  }

  -- Processors ----------------------------------------------------------------------

  local ASKED = 6

  local function check_effects(store)
    local seen = {}
    for e in store:all { types = { "Effect" } } do
      if seen[e.data.n] then error("an effect came twice", 0) end
      seen[e.data.n] = true
    end
    if #seen ~= ASKED then error(("%d effects"):format(#seen), 0) end
  end

  acts.processor = {
    make = function(world)
      local store <close> = open(world, "a.rille", EFFECTS)
      fill(store, "Asked", ASKED)
    end,
    open = function(world)
      world.store = open(world, "a.rille", EFFECTS)
      world.w = assert(world.store:processor("p", "effects.lua"))
    end,
    run = function(world)
      acts.try(world.w:run())
      acts.try(world.w:run())
    end,
    judge = function(world, must_close)
      check_handle(must_close, function()
        local left, message = world.w:run()
        if not left then error(message, 0) end
        check_effects(world.store)
      end)
      world.w = nil
      close(world)
      local store <close> = open(world, "a.rille", EFFECTS)
      assert(assert(store:processor("p", "effects.lua")):run())
      check_effects(store)
      check_verified(store)
    end,
  }

  -- Transactions --------------------------------------------------------------------

  local function transact(world, n, options)
    local result, message, code = acts.try(world.coordinator:transact(options, function(tx)
      assert(tx:append(world.store, "a", { type = "Moved", data = { n = n } }))
      assert(tx:append(world.other, "b", { type = "Moved", data = { n = n } }))
      return true
    end))
    if result and next(result.pending) then acts.note "it is committed, and not everywhere yet" end
    world.told[n] = result and "committed" or code or message
  end

  local function moved(store)
    local found = {}
    for e in store:all { types = { "Moved" } } do
      if found[e.data.n] then error("it was done twice", 0) end
      found[e.data.n] = true
    end
    return found
  end

  local function open_both(world)
    world.store, world.other = open(world, "a.rille", POLICY), open(world, "b.rille", POLICY)
  end

  acts.transact = {
    quiet = { write = ".seg" }, -- that a transaction has ended is noted now or later
    make = function(world)
      open_both(world)
      fill(world.store, "Before", 3)
      fill(world.other, "Before", 3)
      close(world)
    end,
    open = function(world)
      world.told = {}
      open_both(world)
      world.coordinator = assert(rille.coordinator(world.store, { name = "tester" }))
    end,
    run = function(world)
      transact(world, 1, { id = "one" })
      transact(world, 2, { policy = "policy.lua", timeout = 2 })
      transact(world, 3, { id = "three", attempts = 2 })
    end,
    judge = function(world)
      close(world)
      open_both(world)
      world.coordinator = assert(rille.coordinator(world.store, { name = "judge" }))
      assert(world.coordinator:recover())
      assert(world.other:settle())
      if #assert(world.other:indoubt()) > 0 then error("something is in doubt", 0) end
      local here, there = moved(world.store), moved(world.other)
      for n = 1, 3 do
        local told = world.told[n]
        if here[n] ~= there[n] then error(("half of %d happened"):format(n), 0) end
        if told == "committed" and not here[n] then error(("%d was committed and is not there"):format(n), 0) end
        if told == "aborted" and here[n] then error(("%d was aborted and is there"):format(n), 0) end
      end
      transact(world, 4, {})
      if world.told[4] ~= "committed" then error(("afterwards: %s"):format(world.told[4]), 0) end
      check_verified(world.store)
      check_verified(world.other)
      close(world)
    end,
  }

  return acts
end
