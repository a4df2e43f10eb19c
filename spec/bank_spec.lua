-- bank_spec.lua: the bank of examples/: it moves money, or it doesn't; and it keeps its sum while
-- its processes are killed.
local postgres = require "spec.support.postgres"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"

local BUILD = os.getenv "RILLE_BUILD" or "build"
local LUA = os.getenv "RILLE_LUA" or "lua5.4"
local is_sanitized = (os.getenv "LD_PRELOAD" or ""):find "asan" -- which psql, started by the example, is not made for
local missing = is_sanitized and "psql does not run under a sanitizer" or postgres.lacks()
local server = not missing and postgres.new "max_prepared_transactions=20"

local function run(program, arguments, place)
  return process.run_ours(("LEDGER='%s' RILLE_BUILD='%s' '%s' examples/bank/%s %s"):format(place or "", BUILD, LUA,
    program, arguments or ""))
end

local function quoted(path) return "'" .. path .. "'" end

---What examples/bank/README.md shows.
local function shown()
  local file = assert(io.open "examples/bank/README.md")
  local text = file:read "a":match "\n```text\n([^`]*)```"
  file:close()
  return assert(text, "examples/bank/README.md shows no output")
end

local function claims(text, ...)
  for _, pattern in ipairs { ... } do assert(text:find(pattern), pattern .. "\n" .. text) end
end

---A copy of examples/ in which some text of a file is another.
local function changed_copy(name, pattern, replacement)
  local copy = scratch.path "examples"
  scratch.shell("cp -r examples '%s'", copy)
  local file = assert(io.open(copy .. "/" .. name))
  local text, n = file:read "a":gsub(pattern, replacement)
  file:close()
  assert(n > 0, pattern)
  file = assert(io.open(copy .. "/" .. name, "w"))
  file:write(text)
  file:close()
  return copy
end

describe("examples/bank/transfer.lua", function()
  it("prints what its README shows", function()
    local text, status = run("transfer.lua", quoted(scratch.path "bank"))
    assert.equal(0, status, text)
    assert.equal(shown(), text)
  end)

  it("has a row in the ledger for each transfer that was committed", function()
    if missing then return pending(missing) end
    local text, status = run("transfer.lua", quoted(scratch.path "bank"), server:conninfo())
    assert.equal(0, status, text)
    claims(text, "2 rows in the ledger", "sum 2150 of 2150")
    assert.equal("transfer-1\ntransfer-5", server:psql "select id from moves order by id")
  end)
end)

describe("examples/bank/chaos.lua", function()
  it("finds all money, wherever its workers were killed", function()
    local text, status = run("chaos.lua", "3 " .. quoted(scratch.path "chaos"))
    assert.equal(0, status, text)
    claims(text, "SEED=%d+", "kills +%d+", "told committed +%d+", "money +1200 of 1200")
  end)

  it("finds it in PostgreSQL, too", function()
    if missing then return pending(missing) end
    local text, status = run("chaos.lua", "4 " .. quoted(scratch.path "chaos"), server:conninfo())
    assert.equal(0, status, text)
    claims(text, "PostgreSQL ledger +as the stores", "money +1200 of 1200")
    assert.equal("0", server:psql "select count(*) from pg_prepared_xacts")
  end)

  it("finds a transfer that is not whole", function()
    local copy = changed_copy("bank/bank.lua", "assert%(tx:append%(self.stores%[move.to_branch%], ",
      "assert(self.stores[move.to_branch]:append(")
    local text, status = process.run_ours(("RILLE_BUILD='%s' '%s' '%s/bank/chaos.lua' 5 '%s'"):format(BUILD, LUA, copy,
      scratch.path "chaos"))
    assert.equal(1, status, text)
    assert(text:find "was deposited, and not withdrawn" or text:find "is there twice", text)
  end)
end)
