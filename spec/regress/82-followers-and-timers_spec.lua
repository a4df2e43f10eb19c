-- `rille process --follow` waited for the next event only: a timer of its processor was not
-- delivered before somebody wrote something, or an hour had passed; and then the command ended,
-- with an error that had no message.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local BUILD = os.getenv "RILLE_BUILD" or "build"

describe("rille process --follow", function()
  it("delivers what is due", function()
    local store, path = stores.new { sync = "always" }
    local script = scratch.file("remind.lua", [[return { on = {
      Asked = function(event, ctx) ctx:emit("answers", { type = "Reminded" }, { delay = 0.5 }) end } }]])
    local pipe = assert(io.popen(("echo $$; exec '%s/bin/rille' process '%s' remind '%s' --follow 2>&1")
      :format(BUILD, path, script)))
    local pid = pipe:read "l"
    assert(store:append("asked", { type = "Asked" })) -- 1, and the timer is 2
    local delivered = store:wait(3, 20)
    scratch.shell("kill -TERM %s", pid)
    local rest = pipe:read "a"
    pipe:close()
    assert.equal("", rest)
    assert.is_true(delivered)
    assert.equal("Reminded", store:read "answers"().type)
    store:close()
    scratch.remove(path)
  end)
end)

describe("rille diff", function()
  it("refuses a later position as the first", function()
    local store, path = stores.new { sync = "always" }
    local script = scratch.file("count.lua",
      [[return { initial = 0, on = { Counted = function(n) return n + 1 end } }]])
    stores.fill(store, "s", 3)
    assert(store:projection("count", script)):close()
    store:close()
    local err = scratch.path "err"
    local _, _, status = os.execute(("'%s/bin/rille' diff '%s' count 3 1 2>'%s'"):format(BUILD, path, err))
    assert.equal(1, status)
    stores.contains(assert(io.open(err)):read "a", "position 3 comes after position 1")
    scratch.remove(path)
  end)
end)
