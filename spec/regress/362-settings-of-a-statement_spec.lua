-- What a statement had set for its session outlived the vote: a statement_timeout cut the wait of COMMIT PREPARED for
-- its standby short, which was told as committed there, and with synchronous_commit off nothing waited at all.
local branches = require "spec.support.branches"
local postgres = require "spec.support.postgres"
local stores = require "spec.support.stores"

describe("a branch that has changed its session's settings", function()
  local server, on, p

  setup(function()
    server, on = branches.new()
    if server then server:psql "alter role rille set statement_timeout = '300ms'" end
  end)

  before_each(function()
    if not server then return end
    on.renew()
    p = on.open(server:conninfo(), { timeout = 1.5 })
  end)

  after_each(function()
    if not server then return end
    on.close()
    server:tidy()
  end)

  teardown(function()
    if server then server:close() end
  end)

  local function prepare(...)
    local branch = on.work(p)
    for _, sql in ipairs { ... } do assert(branch:exec(sql)) end
    assert.equal("yes", branch:prepare())
    return branch
  end

  for _, sql in ipairs { "set statement_timeout = '300ms'", "set session statement_timeout = 300", "reset all",
                         "set synchronous_commit = off" } do
    postgres.case(("by %q waits for its standby when it is committed"):format(sql), function()
      local branch = prepare(sql)
      server:lose_standby(true)
      local _, code = stores.failure(branch:commit())
      assert.equal("unknown", code)
      server:lose_standby(false)
      postgres.eventually(function() return server:is_settled() end)
      assert.is_true(branch:commit())
      assert.is_true(on.has(branch.id))
    end)
  end

  postgres.case("waits for it when it is prepared, too", function()
    local branch = on.work(p, 1.5)
    assert(branch:exec "set local synchronous_commit = off")
    server:lose_standby(true)
    local _, code = stores.failure(branch:prepare())
    assert.equal("unknown", code)
  end)

  postgres.case("has its own as long as it works", function()
    local branch = on.work(p)
    assert(branch:exec "set statement_timeout = '50ms'")
    local _, code, detail = stores.failure(branch:exec "select pg_sleep(9)")
    assert.same({ "io", "57014" }, { code, detail.sqlstate })
    assert(branch:abort())
  end)
end)
