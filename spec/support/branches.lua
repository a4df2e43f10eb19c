-- branches.lua: branches of transactions that nobody coordinates, in a database of the tests' own: begun, given
-- something to do, and looked after. The participants that were opened for a test are closed behind it.
local postgres = require "spec.support.postgres"
local rille = require "rille"

local branches = { HOME = "0b1c2d3e-0000-4000-8000-000000000001", NONCE = "abcdef0123456789" }

---Functions for a server that has a table "moves (id text primary key, n int)", which is made here.
---@param options table? of the participant that is given where none is named
function branches.of(server, options)
  local on, opened, number, shop = {}, {}, 0, nil
  server:psql "create table moves (id text primary key, n int)"
  on.now = assert(rille.postgres(server:conninfo())).now

  function on.open(...)
    local p = assert(rille.postgres(...))
    opened[#opened + 1] = p
    return p
  end

  ---Before a test: the participant that its branches are of.
  function on.renew()
    shop = on.open(server:conninfo(), options)
    return shop
  end

  ---Behind a test.
  function on.close()
    for _, p in ipairs(opened) do p:close() end
    opened = {}
  end

  function on.new_id(nonce, home)
    number = number + 1
    return ("%s.1.%s.%d"):format(home or branches.HOME, nonce or branches.NONCE, number)
  end

  ---A branch of a new transaction, with this long to live.
  function on.enlist(p, seconds, id)
    return assert((p or shop):enlist { id = id or on.new_id(), number = 2, deadline = on.now() + (seconds or 10),
      name = "shop" })
  end

  ---A branch that has written something: its id.
  function on.work(p, seconds, id)
    local branch = on.enlist(p, seconds, id)
    assert(branch:exec("insert into moves values ($1, 1)", branch.id))
    return branch
  end

  ---A branch that is prepared.
  function on.prepare(p, seconds, id)
    local branch = on.work(p, seconds, id)
    local vote, message = branch:prepare()
    assert(vote == "yes", message)
    return branch
  end

  function on.has(id, database)
    return server:psql(("select count(*) from moves where id = '%s'"):format(id), database) == "1"
  end

  function on.prepared_count() return tonumber(server:psql "select count(*) from pg_prepared_xacts") end

  ---How long f takes, and what it returns.
  function on.timed(f)
    local from = on.now()
    local results = table.pack(f())
    return on.now() - from, table.unpack(results, 1, results.n)
  end

  return on
end

---The same for a new server; nil, nil where there can be none.
function branches.new(options)
  if postgres.lacks() then return nil, {} end
  local server = postgres.new()
  return server, branches.of(server, options)
end

---Around each test: a participant, and what is closed and taken back behind it; and in the end the server's end.
---@param renewed fun(p: rille.postgres.participant)
function branches.hooks(server, on, renewed)
  if not server then return end
  local busted = require "busted"
  busted.before_each(function() renewed(on.renew()) end)
  busted.after_each(function()
    on.close()
    server:tidy()
  end)
  busted.teardown(function() server:close() end)
end

return branches
