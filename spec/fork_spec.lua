-- fork_spec.lua: a program in Lua forks (c/forked.c) with stores, iterators, projections,
-- processors, coordinators and a transaction open. The child is told that they are closed,
-- whatever it calls, may open the store for itself, and may end in any way, also with a whole
-- lua_close; the parent goes on as if nothing had been. (For C, and among threads:
-- c/fork_test.c.)
local forked = require "spec.support.forked"
local rille = require "rille"
local scratch = require "spec.support.scratch"
local values = require "spec.support.values"

values.seed "fork_spec"

local COUNT = [[return { initial = { n = 0 }, key = "stream", on = { A = function(s) s.n = s.n + 1 end } }]]
local REACT = [[return { on = { A = function(e, ctx)
  ctx:emit("effects", { type = "Effect", data = e.position })
end } }]]

describe("after a fork", function()
  if not forked then return pending "there is no C compiler here, or Lua gives no symbols to modules" end
  local store, path, there, there_path, count, react, p, w, c

  before_each(function()
    path, there_path = scratch.path "here", scratch.path "there"
    count, react = scratch.file("count.lua", COUNT), scratch.file("react.lua", REACT)
    store, there = assert(rille.open(path)), assert(rille.open(there_path))
    for i = 1, 5 do assert(store:append("a", { type = "A", data = i })) end
    p, w = assert(store:projection("p", count)), assert(store:processor("w", react))
    c = assert(rille.coordinator(store))
    assert(p:get "a")
    assert(w:run())
  end)

  after_each(function()
    c:close()
    store:close()
    there:close()
    scratch.remove(path)
    scratch.remove(there_path)
  end)

  local function move(tx)
    assert(tx:append(store, "moved", { type = "Moved" }))
    assert(tx:append(there, "moved", { type = "Moved" }))
    return true
  end

  ---Everything still works here.
  local function check_parent()
    assert(store:append("a", { type = "A", data = 6 }, { expect = 5 }))
    assert.equal(6, (p:get "a").n)
    assert(w:run())
    assert.equal(6, store:version "effects")
    assert(p:update())
    assert(c:transact({}, move))
    assert.equal(1, there:version "moved")
    for _, s in ipairs { store, there } do assert(s:verify { deep = true }.ok) end
  end

  ---What each of the calls says: code and whether it names the fork; or what it raises.
  local function tell(calls)
    local wrong = {}
    for name, f in pairs(calls) do
      local results = table.pack(pcall(f))
      local message, code = results[3], results[4]
      if not results[1] then message, code = results[2], "closed" end
      if code ~= "closed" and not (name == "commit" and code == "aborted") or not tostring(message):find "fork" then
        wrong[#wrong + 1] = ("%s: %s %s"):format(name, tostring(code), tostring(message))
      end
    end
    table.sort(wrong)
    return table.concat(wrong, "; ")
  end

  it("whatever was open says that it is closed, and why", function()
    local all, begun = store:all(), c:begin {}
    assert(begun:append(there, "moved", { type = "Moved" }))
    local said, ok = forked(function()
      return tell {
        append = function() return store:append("a", { type = "A" }) end,
        head = function() return store:head() end, durable = function() return store:durable() end,
        version = function() return store:version "a" end,
        read = function() return store:read "a" end, all = function() return store:all() end,
        fold = function() return store:fold(count, { stream = "a" }) end, sync = function() return store:sync() end,
        wait = function() return store:wait(1, 0) end, stats = function() return store:stats() end,
        verify = function() return store:verify() end, poll = function() return store:poll() end,
        backup = function() return store:backup(scratch.path "copy") end, mark = function() return store:mark "m" end,
        truncate = function() return store:truncate("a", { before = 2 }) end,
        delete = function() return store:delete "a" end, settle = function() return store:settle() end,
        indoubt = function() return store:indoubt() end,
        projection = function() return store:projection("q", count) end,
        get = function() return p:get "a" end, update = function() return p:update() end,
        rebuild = function() return p:rebuild() end, each = function() return p:each()() end,
        run = function() return w:run() end, parked = function() return w:parked() end,
        coordinator = function() return rille.coordinator(store) end,
        transact = function() return c:transact({}, move) end,
        begin = function() return c:begin {} end, commit = function() return begun:commit() end,
        outcome = function() return c:outcome "x" end, recover = function() return c:recover() end,
        pending = function() return c:pending() end,
      }
    end)
    assert.equal("", said)
    assert.is_true(ok)
    assert.equal(1, all().position)
    assert(begun:commit())
    assert(store:append("a", { type = "A" }))
    assert(there:verify().ok)
  end)

  it("the child opens the store for itself, and both go on", function()
    local said, ok = forked(function()
      local own = assert(rille.open(path))
      assert(own:append("child", { type = "B" }))
      assert(assert(own:projection("p", count)):get "a".n == 5)
      assert(own:close())
      return "done"
    end)
    assert.equal("done", said)
    assert.is_true(ok)
    assert.equal(1, store:version "child")
    check_parent()
  end)

  local ends = {
    ["closes all it inherited"] = function() for _, h in ipairs { p, w, c, there, store } do h:close() end end,
    ["closes it in another order"] = function() for _, h in ipairs { store, c, there, w, p } do h:close() end end,
    ["ends with its state"] = function()
      setmetatable(scratch.remover, {}) -- which is the parent's
      os.exit(true, true)
    end,
    ["just ends"] = function() os.exit(true) end,
    ["collects"] = function()
      store, there, p, w, c = nil, nil, nil, nil, nil
      collectgarbage()
    end,
  }

  for name, f in pairs(ends) do
    it("the parent goes on when the child " .. name, function()
      local iterator, begun = store:all(), c:begin {}
      assert(begun:append(there, "begun", { type = "Moved" }))
      local _, ok = forked(function()
        f()
        return ""
      end)
      assert.is_true(ok)
      assert.equal(1, iterator().position)
      assert(begun:commit())
      assert.equal(1, there:version "begun")
      check_parent()
    end)
  end

  it("a child that is killed in its own store hurts nobody", function()
    local own
    forked(function()
      own = assert(rille.open(path))
      assert(own:append("child", { type = "B" }))
      os.execute "kill -9 $PPID"
    end)
    assert.equal(1, store:version "child")
    check_parent()
  end)
end)
