-- After "set local role" in a branch its transaction was prepared as that role, and only that role can end it: it was
-- committed and stayed prepared, with its locks, for ever. Where the database decides, that role wrote the decision.
local postgres = require "spec.support.postgres"
local rille = require "rille"
local stores = require "spec.support.stores"

local SETTING = "create role app; create role web login; grant app to web; create table moves (id text, who text); "
  .. "grant insert on moves to app; grant all on schema public to web"

describe("a branch that has set a role", function()
  local missing, server, here, there, shop, c = postgres.lacks(), nil, nil, nil, nil, nil

  setup(function()
    if missing then return end
    server, here, there = postgres.new(), stores.new(), stores.new()
    server:psql(SETTING)
    shop = assert(rille.postgres((server:conninfo():gsub("user=rille", "user=web"))))
    c = assert(rille.coordinator(here, { participants = { shop = shop } }))
  end)

  teardown(function()
    if missing then return end
    c:close()
    for _, one in ipairs { shop, here, there, server } do one:close() end
  end)

  local function move(id, role, home)
    return c:transact({ id = id, home = home }, function(tx)
      assert(tx:append(there, "moves", { type = "Moved" }))
      local branch = assert(tx:enlist "shop")
      assert(branch:exec(role))
      return branch:exec("insert into moves values ($1, current_user)", id)
    end)
  end

  for _, role in ipairs { "set local role app", "set role app" } do
    for _, home in ipairs { false, "shop" } do
      it(("by %q is ended%s"):format(role, home and " by its decision" or ""), function()
        if missing then return pending(missing) end
        local id = role .. (home or "")
        local result = assert(move(id, role, home or nil))
        assert.same({}, result.pending)
        assert.equal("0", server:psql "select count(*) from pg_prepared_xacts")
        assert.equal("app", server:psql(("select who from moves where id = '%s'"):format(id)))
      end)
    end
  end

  it("has what it deferred checked as that role, before", function()
    if missing then return pending(missing) end
    server:psql [[create function check_move() returns trigger language plpgsql as $$ begin
      if current_user <> 'app' then raise exception 'checked as %', current_user; end if; return null; end $$;
      create constraint trigger check_move after insert on moves deferrable initially deferred
      for each row execute function check_move()]]
    assert(move("deferred", "set local role app"))
    assert.equal("app", server:psql "select who from moves where id = 'deferred'")
    assert.equal("0", server:psql "select count(*) from pg_prepared_xacts")
    local message = stores.failure(c:transact(function(tx)
      assert(tx:append(there, "moves", { type = "Moved" }))
      local branch = assert(tx:enlist "shop")
      assert(branch:exec "set local role app")
      assert(branch:exec "insert into moves values ('late', 'app')")
      return branch:exec "set local role none" -- and PostgreSQL checks at PREPARE
    end))
    stores.contains(message, "checked as web")
  end)
end)
