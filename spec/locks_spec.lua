-- locks_spec.lua: the rule of locks (docs/transactions-proof.md, K2), checked over every order of
-- two transactions, and of a transaction with an append or a strong read (model/locks.lua).
local locks = require "spec.model.locks"

-- Each rule: states in which all is over, and those that are not strictly serializable; of one
-- stream a store, and of a query that two streams match.
local FIGURES = {
  { "no locks", streams = { 1809, 768 }, queries = { 13625, 5882 } },
  { "what T checks", streams = { 1465, 374 }, queries = { 10769, 2542 } },
  { "and what T writes, from checks", streams = { 1228, 72 }, queries = { 9025, 390 } },
  { "K2", streams = { 1153, 0 }, queries = { 8609, 0 } },
}
local K2 = locks.rules[#locks.rules]

describe("locks", function()
  for number, row in ipairs(FIGURES) do
    for _, of in ipairs { "streams", "queries" } do
      it(("of the rule %q leave %d of %d ends wrong, of %s"):format(row[1], row[of][2], row[of][1], of), function()
        local rule = locks.rules[number]
        local found = locks.check(rule, locks[of])
        assert.equal(row[1], rule.name)
        assert.same(row[of], { found.ends, found.wrong }, found.example)
      end)
    end
  end

  it("are all in the table", function() assert.equal(#FIGURES, #locks.rules) end)

  -- K2 without one of its parts, and with too many.
  for left_out = 1, #K2 do
    it("need each part of K2: " .. table.concat(K2[left_out], " and "), function()
      local rule = {}
      for i, pair in ipairs(K2) do
        if i ~= left_out then rule[#rule + 1] = pair end
      end
      assert.equal(2, #rule)
      local found = locks.check(rule, locks.streams)
      assert(found.wrong > 0, "it is not needed: " .. found.ends .. " ends, none of them wrong")
    end)
  end

  local function check_needless(rule, modes)
    local found, enough = locks.check(rule, modes), locks.check(K2, modes)
    assert.equal(0, found.wrong)
    assert(found.ends < enough.ends, "who refuses more must allow less")
  end

  it("between two that only check are not needed", function()
    check_needless({ { "checks", "checks" }, table.unpack(K2) }, locks.streams)
  end)

  it("between two that share a tag, and no stream or condition, are not needed", function()
    check_needless({ whatever_stream = true, table.unpack(K2) }, locks.queries)
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
