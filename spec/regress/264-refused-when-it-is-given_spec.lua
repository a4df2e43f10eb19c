-- tx:append took names and sizes that can't be: only commit refused them, as a participant's vote, far from the line
-- that was wrong. It must say at once what store:append says.
local rille = require "rille"
local stores = require "spec.support.stores"

local LONG = ("x"):rep(256)
local TAGS = {}
for i = 1, 65 do TAGS[i] = "t" .. i end

local CASES = {
  ["an empty stream"] = { "", { type = "T" } },
  ["a long stream"] = { LONG, { type = "T" } },
  ["a stream of rille's own"] = { "$rille", { type = "T" } },
  ["a stream that is only checked"] = { LONG, {}, { expect = 0 } },
  ["an empty type"] = { "s", { type = "" } },
  ["a long type"] = { "s", { { type = "T" }, { type = LONG } } },
  ["a type of rille's own"] = { "s", { type = "$T" } },
  ["an empty id"] = { "s", { type = "T", id = "" } },
  ["a long id"] = { "s", { type = "T", id = LONG } },
  ["a long tag"] = { "s", { type = "T", tags = { LONG } } },
  ["an empty tag"] = { "s", { type = "T", tags = { "" } } },
  ["many tags"] = { "s", { type = "T", tags = TAGS } },
  ["large data"] = { "s", { type = "T", data = ("x"):rep(1 << 24) } },
  ["a long mark"] = { "s", {}, { mark = { LONG, 0, 1 } } },
  ["a part of several"] = { { { stream = "s", events = { type = "T" } }, { stream = "$t", events = { type = "T" } } } },
  ["a time that is none"] = { "s", { type = "T", time = -1 } },
}

describe("a transaction refuses as store:append does, at once,", function()
  local home, there, c, tx

  before_each(function()
    home, there = stores.new(), stores.new()
    c = assert(rille.coordinator(home))
    tx = assert(c:begin())
  end)
  after_each(function()
    tx:close()
    for _, one in ipairs { c, home, there } do one:close() end
  end)

  for name, arguments in pairs(CASES) do
    it(name, function()
      local expected, code = stores.failure(there:append(table.unpack(arguments)))
      assert.equal("invalid", code)
      for _, store in ipairs { there, home } do
        local message
        message, code = stores.failure(tx:append(store, table.unpack(arguments)))
        assert.equal(expected, message)
        assert.equal("invalid", code)
      end
      assert(tx:append(there, "s", { type = "T" })) -- what was refused is no part of it
      assert(tx:commit())
      assert.equal(1, there:head())
    end)
  end

  it("what is no string, in the name of its caller", function()
    for _, stream in ipairs { 7, true, print } do
      local message = stores.raised(function()
        local _ = tx:append(there, stream, { type = "T" })
      end)
      stores.contains(message, "264-refused-when-it-is-given_spec.lua:")
    end
  end)
end)
