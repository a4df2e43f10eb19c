-- A statement that was given more or fewer parameters than it needs was answered "io", as if the server had been lost,
-- in words of its protocol. More than the protocol can count lost the connection, too.
local postgres = require "spec.support.postgres"
local rille = require "rille"
local stores = require "spec.support.stores"

describe("a statement with another count of parameters", function()
  local missing, server, store, shop, c = postgres.lacks(), nil, nil, nil, nil

  setup(function()
    if missing then return end
    server, store = postgres.new(), stores.new()
    shop = assert(rille.postgres(server:conninfo()))
    c = assert(rille.coordinator(store, { participants = { shop = shop } }))
  end)
  teardown(function()
    if missing then return end
    for _, one in ipairs { c, shop, store, server } do one:close() end
  end)

  -- Text, what it is given, what is said.
  local BYTES = "\0\255"
  local CASES = {
    { "select $1::int + $2::int", { 1 }, "the statement needs 2, and is given 1" },
    { "select $1::int + $2::int", {}, "the statement needs 2, and is given 0" },
    { "select 1", { 1 }, "the statement needs 0, and is given 1" },
    { "select $1::bytea", { BYTES, BYTES, BYTES }, "the statement needs 1, and is given 3" },
    { "select $1::bytea, $2::bytea", { BYTES }, "the statement needs 2, and is given 1" },
  }

  for _, case in ipairs(CASES) do
    it(("is invalid: %s, given %d"):format(case[1], #case[2]), function()
      if missing then return pending(missing) end
      local tx = assert(c:begin())
      local branch = assert(tx:enlist "shop")
      local message, code, detail = stores.failure(branch:exec(case[1], table.unpack(case[2])))
      stores.contains(message, case[3])
      assert.equal("invalid", code)
      assert.equal("08P01", detail.sqlstate)
      local why, again = stores.failure(tx:commit()) -- a statement has failed: nothing is committed
      assert.equal("aborted", again)
      stores.contains(why, case[3])
    end)
  end

  it("that no protocol can count is not sent", function()
    if missing then return pending(missing) end
    assert(c:transact({}, function(tx)
      local branch, many = assert(tx:enlist "shop"), {}
      for i = 1, 65536 do many[i] = 1 end
      local message, code = stores.failure(branch:exec("select 1", table.unpack(many)))
      stores.contains(message, "the statement is given 65536 parameters, at most 65535 are possible")
      assert.equal("invalid", code)
      assert.equal(1, assert(branch:exec "select 1 as one")[1].one)
      return true
    end))
  end)
end)
