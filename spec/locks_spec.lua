-- locks_spec.lua: the rule of locks (docs/transactions-proof.md, K2), checked over every order of
-- two transactions, and of a transaction with an append or a strong read (model/locks.lua).
local locks = require "spec.model.locks"

-- Each rule: states in which all is over, and those that are not strictly serializable.
local FIGURES = {
  { "no locks", 1809, 768 },
  { "what T checks", 1465, 374 },
  { "and what T writes, from checks", 1228, 72 },
  { "K2", 1153, 0 },
}

describe("locks", function()
  for number, row in ipairs(FIGURES) do
    it(("of the rule %q leave %d of %d ends wrong"):format(row[1], row[3], row[2]), function()
      local rule = locks.rules[number]
      local found = locks.check(rule)
      assert.equal(row[1], rule.name)
      assert.same({ row[2], row[3] }, { found.ends, found.wrong }, found.example)
    end)
  end

  it("are all in the table", function() assert.equal(#FIGURES, #locks.rules) end)

  -- K2 without one of its parts, and with one too many.
  for left_out = 1, 3 do
    it("need each part of K2, the " .. left_out .. ". of them too", function()
      local rule = {}
      for i, pair in ipairs(locks.rules[#locks.rules]) do
        if i ~= left_out then rule[#rule + 1] = pair end
      end
      assert.equal(2, #rule)
      local found = locks.check(rule)
      assert(found.wrong > 0, "it is not needed: " .. found.ends .. " ends, none of them wrong")
    end)
  end

  it("between two that only check are not needed", function()
    local without = locks.check(locks.rules[#locks.rules])
    local rule = { { "checks", "checks" }, table.unpack(locks.rules[#locks.rules]) }
    local found = locks.check(rule)
    assert.equal(0, without.wrong + found.wrong)
    assert(found.ends < without.ends, "refusing more must allow less")
  end)
end)

describe("a strong read", function()
  it("that met a decided transaction and did not settle it would be wrong", function()
    local found = locks.check_read(false)
    assert.same({ 4, 1 }, { found.ends, found.wrong })
  end)

  it("that settles first is right", function()
    local found = locks.check_read(true)
    assert.same({ 3, 0 }, { found.ends, found.wrong }, found.example)
  end)
end)
