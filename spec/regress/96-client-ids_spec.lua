-- A client's id that looks like the id of a transaction was taken for one: its second transaction
-- was not the first again, and its outcome was "none". And to settle what had been settled before
-- did not stop what had been begun anew since.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local here, c

before_each(function()
  here = assert(rille.open(scratch.path "here"))
  c = assert(rille.coordinator(here))
end)

after_each(function()
  c:close()
  here:close()
end)

local EVENT = { type = "Moved" }

local function write(id)
  return c:transact({ id = id }, function(tx) return tx:append(here, "a", EVENT) end)
end

describe("an id", function()
  it("may look like a transaction's", function()
    local foreign = "3f0c8a52-96a5-4b58-9d4b-0c5e8ad81d7d.1.0123456789abcdef.1"
    assert(write(foreign))
    assert.is_true(assert(write(foreign)).duplicate)
    assert.equal("committed", (c:outcome(foreign)))
    assert.equal(1, here:version "a")
  end)

  it("may be a transaction's, and is not taken for it", function()
    local first = assert(write "order")
    local second = assert(write(first.transaction))
    assert.is_false(second.duplicate)
    assert.is_true(assert(write(first.transaction)).duplicate)
    assert.equal(2, here:version "a")
  end)

  it("that was settled is settled again, for what was begun since", function()
    assert.equal("aborted", (c:outcome("order", { settle = true })))
    local tx = assert(c:begin { id = "order" })
    assert(tx:append(here, "a", EVENT))
    assert.equal("aborted", (c:outcome("order", { settle = true })))
    local _, code = stores.failure(tx:commit())
    assert.equal("aborted", code)
    assert.equal(0, here:version "a")
    assert(write "order")
  end)

  it("has 1 to 255 bytes, of any kind, also to be settled", function()
    for _, id in ipairs { ("x"):rep(256), "" } do
      local _, code = stores.failure(c:outcome(id, { settle = true }))
      assert.equal("invalid", code)
    end
    local id = ("\0\255"):rep(127) .. "\n"
    assert(write(id))
    assert.equal("committed", (c:outcome(id)))
  end)
end)
