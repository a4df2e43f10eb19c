-- value_spec.lua: plain values as MessagePack: which bytes, which refusals, and that
-- no bytes whatever do harm.
local rille = require "rille"
local rounds = require "spec.support.rounds"
local values = require "spec.support.values"
local hex, unhex, same = values.hex, values.unhex, values.same

values.seed("value_spec")

local DEPTH = 128
local VALUE_BYTES = 64 << 20

local function encode(value) return assert(rille.encode(value)) end

local function refusal(value)
  local bytes, message = rille.encode(value)
  assert(bytes == nil)
  return message
end

local function refused_bytes(bytes)
  local value, message = rille.decode(bytes)
  assert(value == nil)
  return message
end

local function assert_same(expected, got)
  assert(same(expected, got), "not the same value")
end

describe("null and array", function()
  it("null is a value of its own", function()
    assert.equal("userdata", type(rille.null))
    assert.equal("null", tostring(rille.null))
    assert(rille.null)
    assert.equal("rille.null", getmetatable(rille.null))
    assert.has_error(function() return rille.null.x end)
    assert.equal(rille.null, rille.decode(encode(rille.null)))
  end)

  it("array marks the table it is given", function()
    local t = { 1, 2 }
    assert.equal(t, rille.array(t))
    assert.equal(t, rille.array(t))
    assert.equal("930102c3", hex(encode { 1, 2, true }))
    assert.equal("920102", hex(encode(t)))
    assert.equal("90", hex(encode(rille.array {})))
    assert.equal("80", hex(encode {}))
  end)

  it("array keeps the metatables of others, and its own", function()
    assert.error_matches(function() rille.array(setmetatable({}, {})) end, "metatable of its own")
    assert.error_matches(function() rille.array("x") end, "table expected")
    assert.error_matches(function() rille.array() end, "table expected")
    assert.error_matches(function() setmetatable(rille.array {}, nil) end, "protected")
  end)

  it("an empty array comes back marked, others plain", function()
    assert.equal("rille.array", getmetatable(rille.decode("\x90")))
    assert.equal("rille.array", getmetatable(rille.decode("\xdc\0\0")))
    assert.is_nil(getmetatable(rille.decode("\x80")))
    assert.is_nil(getmetatable(rille.decode(encode(rille.array { 1 }))))
  end)
end)

describe("exact bytes", function()
  local x = function(n) return ("x"):rep(n) end
  local x_hex = function(n) return ("78"):rep(n) end
  local known = {
    { rille.null, "c0" }, { false, "c2" }, { true, "c3" },
    { 0, "00" }, { 1, "01" }, { 127, "7f" }, { 128, "cc80" }, { 255, "ccff" },
    { 256, "cd0100" }, { 65535, "cdffff" }, { 65536, "ce00010000" },
    { 4294967295, "ceffffffff" }, { 4294967296, "cf0000000100000000" },
    { math.maxinteger, "cf7fffffffffffffff" },
    { -1, "ff" }, { -32, "e0" }, { -33, "d0df" }, { -128, "d080" }, { -129, "d1ff7f" },
    { -32768, "d18000" }, { -32769, "d2ffff7fff" }, { -2147483648, "d280000000" },
    { -2147483649, "d3ffffffff7fffffff" }, { math.mininteger, "d38000000000000000" },
    { 0.0, "cb0000000000000000" }, { -0.0, "cb8000000000000000" },
    { 1.0, "cb3ff0000000000000" }, { -1.5, "cbbff8000000000000" },
    { 0.1, "cb3fb999999999999a" }, { 5e-324, "cb0000000000000001" },
    { 2.0 ^ 53, "cb4340000000000000" },
    { 1 / 0, "cb7ff0000000000000" }, { -1 / 0, "cbfff0000000000000" },
    { 0 / 0, "cb7ff8000000000000" }, { -(0 / 0), "cb7ff8000000000000" },
    { "", "a0" }, { "a", "a161" }, { "a\0\xff", "a36100ff" },
    { x(31), "bf" .. x_hex(31) }, { x(32), "d920" .. x_hex(32) },
    { x(255), "d9ff" .. x_hex(255) }, { x(256), "da0100" .. x_hex(256) },
    { x(65535), "daffff" .. x_hex(65535) }, { x(65536), "db00010000" .. x_hex(65536) },
    { {}, "80" }, { rille.array {}, "90" }, { { 1 }, "9101" }, { { "a", {} }, "92a16180" },
    { { a = 1 }, "81a16101" }, { { [0] = 1 }, "810001" }, { { [2] = 1 }, "810201" },
    { { [1] = 1, [3] = 3 }, "8201010303" },
    { { compact = true, schema = 0 }, "82a7636f6d70616374c3a6736368656d6100" },
    { { name = "Ann", amount = 100, ok = true, ratio = 0.5 },
      "84a6616d6f756e7464a46e616d65a3416e6ea26f6bc3a5726174696fcb3fe0000000000000" },
  }

  for i, case in ipairs(known) do
    it(("of case %d, %s"):format(i, case[2]:sub(1, 24)), function()
      assert.equal(case[2], hex(encode(case[1])))
      assert_same(case[1], (rille.decode(unhex(case[2]))))
    end)
  end

  it("of long arrays", function()
    for _, case in ipairs { { 15, "9f" }, { 16, "dc0010" }, { 65535, "dcffff" },
                            { 65536, "dd00010000" } } do
      local t = {}
      for i = 1, case[1] do t[i] = i % 128 end
      local bytes = encode(t)
      assert.equal(case[2], hex(bytes:sub(1, #case[2] // 2)))
      assert_same(t, (rille.decode(bytes)))
    end
  end)

  it("of large maps", function()
    for _, case in ipairs { { 15, "8f" }, { 16, "de0010" }, { 17, "de0011" }, { 65535, "deffff" },
                            { 65536, "df00010000" } } do
      local t = {}
      for i = 1, case[1] do t[("%05x"):format(i)] = i end
      local bytes = encode(t)
      assert.equal(case[2], hex(bytes:sub(1, #case[2] // 2)))
      assert_same(t, (rille.decode(bytes)))
    end
  end)
end)

describe("other writers' bytes", function()
  local foreign = {
    { "cc01", 1 }, { "cd0001", 1 }, { "ce00000001", 1 }, { "cf0000000000000001", 1 },
    { "d001", 1 }, { "d0ff", -1 }, { "d1ffff", -1 }, { "d2ffffffff", -1 },
    { "d3ffffffffffffffff", -1 },
    { "cfffffffffffffffff", 18446744073709551615.0 }, { "cf8000000000000000", 2.0 ^ 63 },
    { "ca3fc00000", 1.5 }, { "ca80000000", -0.0 }, { "ca7f800000", 1 / 0 }, { "ca7fc00001", 0 / 0 },
    { "cb7ff8000000000001", 0 / 0 },
    { "c400", "" }, { "c403 ff0061", "\xff\0a" }, { "c50001 61", "a" }, { "c600000001 61", "a" },
    { "d901 61", "a" }, { "da0001 61", "a" }, { "db00000001 61", "a" },
    { "dc0001 c0", { rille.null } }, { "dd00000001 02", { 2 } },
    { "de0001 a161 02", { a = 2 } }, { "df00000001 01 02", { 2 } }, { "de0000", {} },
    { "82 a161 01 a161 02", { a = 2 } },
    { "82 a161 01 c40161 02", { a = 2 } },
  }
  for _, case in ipairs(foreign) do
    it("are read: " .. case[1], function()
      local value, message = rille.decode(unhex(case[1]))
      assert(value ~= nil, message)
      assert_same(case[2], value)
    end)
  end
end)

describe("the order of keys", function()
  it("is bytewise, shorter first", function()
    local keys = { "", "\0", "A", "a", "a\0", "aa", "b", "\x7f", "\x80", "\xc3\xa4", "\xff" }
    local t, expected = {}, { "\x8b" }
    for i, k in ipairs(keys) do
      t[k] = i
      expected[#expected + 1] = string.char(0xa0 + #k) .. k .. string.char(i)
    end
    assert.equal(hex(table.concat(expected)), hex(encode(t)))
  end)

  it("is by number", function()
    local t = { [300] = 1, [-1] = 1, [0] = 1, [math.mininteger] = 1, [math.maxinteger] = 1,
                [-200] = 1 }
    assert.equal("86d3800000000000000001d1ff3801ff0100" .. "01cd012c01cf7fffffffffffffff01",
      hex(encode(t)))
  end)

  it("does not depend on how a table came about", function()
    for _, n in ipairs { 3, 16, 17, 400 } do
      local expected
      for _ = 1, 5 do
        local keys, t = {}, {}
        for i = 1, n do keys[i] = "k" .. i end
        for i = n, 2, -1 do
          local j = math.random(i)
          keys[i], keys[j] = keys[j], keys[i]
        end
        for i = 1, math.random(0, 50) do t["gone" .. i] = true end
        for k in pairs(t) do t[k] = nil end
        for _, k in ipairs(keys) do t[k] = #k end
        expected = expected or encode(t)
        assert.equal(expected, encode(t))
      end
    end
  end)

  it("does not depend on where Lua keeps an array", function()
    local backwards = {}
    for i = 40, 1, -1 do backwards[i] = i end
    local forwards = {}
    for i = 1, 40 do forwards[i] = i end
    assert.equal(encode(forwards), encode(backwards))
    local shrunk = { 1, 2, 3, nil, 5 }
    shrunk[5] = nil
    assert.equal("93010203", hex(encode(shrunk)))
  end)
end)

describe("refused values", function()
  local coroutine_of_mine = coroutine.create(print)
  local own = {}
  own.a = { b = own }
  local function cases()
    return {
      { print, "value is a function" },
      { coroutine_of_mine, "value is a thread" },
      { io.stdout, "value is a userdata" },
      { { a = { b = print } }, "value.a.b is a function" },
      { { items = { 1, 2, print } }, "value.items[3] is a function" },
      { { [-5] = { io.stdout } }, "value[-5][1] is a userdata" },
      { { ["a b"] = { [""] = coroutine_of_mine } }, 'value["a b"][""] is a thread' },
      { { ['"\\\n\0'] = print }, [[value["\034\092\010\000"] is a function]] },
      { { ["1st"] = { _x1 = print } }, 'value["1st"]._x1 is a function' },
      { { ["größe"] = print }, 'value["größe"] is a function' },
      { { [("k"):rep(41)] = print }, 'value["' .. ("k"):rep(40) .. '..."] is a function' },
      { { [("ä"):rep(19) .. "x€€"] = print },
        'value["' .. ("ä"):rep(19) .. 'x..."] is a function' },
      { { 1, 2, x = 3 }, "value has both string and integer keys" },
      { { a = { [3] = 1, x = 1 } }, "value.a has both string and integer keys" },
      { { [true] = 1 }, "value has a boolean as key" },
      { { a = { [1.5] = 1 } }, "value.a has a float as key" },
      { { [2.0 ^ 63] = 1 }, "value has a float as key" },
      { { [{}] = 1 }, "value has a table as key" },
      { { [print] = 1 }, "value has a function as key" },
      { { [rille.null] = 1 }, "value has a userdata as key" },
      { own, "value.a.b is a cycle" },
      { { own }, "value[1].a.b is a cycle" },
      { rille.array { 1, nil, 3 }, "value is marked as an array, but its keys are not 1..n" },
      { { a = rille.array { x = 1 } }, "value.a is marked as an array, but its keys are not 1..n" },
      { rille.array { [0] = 1 }, "value is marked as an array, but its keys are not 1..n" },
    }
  end
  for _, case in ipairs(cases()) do
    it("are named: " .. case[2], function() assert.equal(case[2], refusal(case[1])) end)
  end

  it("are named: nil", function() assert.equal("value is nil", refusal(nil)) end)

  it("in tables of more keys than fit on the C stack", function()
    for _, n in ipairs { 15, 16, 17, 100 } do
      local t = {}
      for i = 1, n do t["k" .. i] = i end
      t.k7 = { print }
      assert.equal("value.k7[1] is a function", refusal(t))
      t.k7 = t
      assert.equal("value.k7 is a cycle", refusal(t))
      t.k7, t[1] = nil, 1
      assert.equal("value has both string and integer keys", refusal(t))
      t[1], t[false] = nil, 1
      assert.equal("value has a boolean as key", refusal(t))
    end
  end)

  it("a NaN key can't be made, so none is met", function()
    assert.error_matches(function() return { [0 / 0] = 1 } end, "NaN")
  end)

  it("a long way is shown from both ends", function()
    local t = { print }
    for _ = 1, 30 do t = { k = t } end
    local shown = "value" .. (".k"):rep(8) .. " ... " .. (".k"):rep(7) .. "[1] is a function"
    assert.equal(shown, refusal(t))
    local long = print
    for i = 1, 16 do long = { [("long key "):rep(4) .. i] = long } end
    local message = refusal(long)
    assert(#message < 512)
    assert.matches(" is a function$", message)
  end)

  it("leave nothing behind", function()
    assert.equal("92a0c3", hex(encode { "", true }))
    for _ = 1, 3000 do refusal { { { 1, 2, { a = print } } } } end
    assert.equal("92a0c3", hex(encode { "", true }))
  end)
end)

describe("tables", function()
  it("may occur twice, but not in themselves", function()
    local shared = { 1 }
    assert.equal("9291019101", hex(encode { shared, shared }))
    assert.equal("82a16191" .. "01a1629101", hex(encode { a = shared, b = shared }))
    local t = { { {} } }
    t[1][1][1] = t[1]
    assert.equal("value[1][1][1] is a cycle", refusal(t))
  end)

  it("are read without metamethods", function()
    local function never() error("a metamethod ran") end
    local hostile = { __index = never, __len = never, __pairs = never, __eq = never, __gc = never,
                      __newindex = never, __name = "x", __tostring = never, __metatable = "no" }
    hostile.__gc = nil
    assert.equal("920102", hex(encode(setmetatable({ 1, 2 }, hostile))))
    assert.equal("81a16101", hex(encode(setmetatable({ a = 1 }, hostile))))
  end)

  it("may be nested 128 deep, not 129", function()
    for _, key in ipairs { 1, 7, "k" } do
      local bytes = encode(values.nested(DEPTH, key))
      assert_same(values.nested(DEPTH, key), (rille.decode(bytes)))
      assert.matches(" is more than 128 tables deep$", refusal(values.nested(DEPTH + 1, key)))
      assert.matches(" is more than 128 tables deep$", refusal(values.nested(100000, key)))
    end
    assert(rille.decode(("\x91"):rep(DEPTH - 1) .. "\x90"))
    assert(rille.decode(("\x91"):rep(DEPTH) .. "\x01"))
    local refused = "byte 130: more than 128 tables deep"
    assert.equal(refused, refused_bytes(("\x91"):rep(DEPTH) .. "\x90"))
    assert.equal(refused, refused_bytes(("\x91"):rep(1000000)))
    assert.matches("more than 128 tables deep", refused_bytes(("\x81\x01"):rep(1000)))
  end)

  it("with a cycle longer than the depth are refused too", function()
    local t = {}
    local last = t
    for _ = 1, 200 do
      last.n = {}
      last = last.n
    end
    last.n = t
    assert.matches("more than 128 tables deep", refusal(t))
  end)

  it("that a finalizer changes meanwhile do no harm", function()
    local encoding, met = false, 0
    local function halve(t)
      for k in pairs(t) do
        if math.random(2) == 1 then t[k] = nil end
      end
    end
    collectgarbage("incremental", 100, 1000)
    for round = 1, 300 do
      if met > 20 then break end
      local t, list = {}, {}
      for i = 1, 40 do
        list["l" .. i .. "/" .. round] = i
        t["k" .. i .. "/" .. round] = i % 5 == 0 and { ["a" .. i] = i, list = list } or "v" .. i
      end
      local function finalizer()
        if encoding then
          met = met + 1
          halve(t)
          halve(list)
        end
      end
      for _ = 1, 5 do setmetatable({}, { __gc = finalizer }) end
      encoding = true
      for _ = 1, 20 do
        local bytes, message = rille.encode(t)
        if bytes then assert(rille.decode(bytes)) else assert.matches("^value", message) end
      end
      encoding = false
    end
    collectgarbage("incremental", 200, 100)
    assert(met > 0)
  end)
end)

describe("one value", function()
  it("may have 64 MiB, not a byte more", function()
    local fits = ("x"):rep(VALUE_BYTES - 5)
    assert.equal(VALUE_BYTES, #encode(fits))
    assert.equal("value is more than 67108864 bytes", refusal(fits .. "x"))
    assert.equal("value is more than 67108864 bytes", refusal { a = { fits } })
  end)

  it("that would explode is refused before memory ends", function()
    local t = { "some text that takes a few bytes" }
    for _ = 1, 100 do t = { t, t } end
    assert.equal("value is more than 67108864 bytes", refusal(t))
  end)
end)

describe("bad bytes", function()
  local bad = {
    { "", "byte 1: the value is cut short" },
    { "c1", "byte 1: 0xc1 is no MessagePack" },
    { "92 01 c1", "byte 3: 0xc1 is no MessagePack" },
    { "01 01", "byte 2: bytes after the end of the value" },
    { "c0 c0", "byte 2: bytes after the end of the value" },
    { "80 00", "byte 2: bytes after the end of the value" },
    { "d4 01 00", "byte 1: an extension type" },
    { "d5 01 00 00", "byte 1: an extension type" },
    { "d6 ff 00000000", "byte 1: an extension type" },
    { "d7 ff 0000000000000000", "byte 1: an extension type" },
    { "d8 01 00000000000000000000000000000000", "byte 1: an extension type" },
    { "c7 00 01", "byte 1: an extension type" }, { "c8 0000 01", "byte 1: an extension type" },
    { "c9 00000000 01", "byte 1: an extension type" },
    { "91 c7 00 01", "byte 2: an extension type" },
    { "a2 61", "byte 3: the value is cut short" }, { "d9", "byte 2: the value is cut short" },
    { "da 00", "byte 3: the value is cut short" },
    { "cb 00", "byte 3: the value is cut short" },
    { "91", "byte 2: the value is cut short" }, { "81 a161", "byte 4: the value is cut short" },
    { "92 92 01 01", "byte 5: the value is cut short" },
    { "81 c0 01", "byte 2: a map key that is neither string nor 64-bit integer" },
    { "81 c3 01", "byte 2: a map key that is neither string nor 64-bit integer" },
    { "81 90 01", "byte 2: a map key that is neither string nor 64-bit integer" },
    { "81 80 01", "byte 2: a map key that is neither string nor 64-bit integer" },
    { "81 ca00000000 01", "byte 2: a map key that is neither string nor 64-bit integer" },
    { "81 cb3ff0000000000000 01", "byte 2: a map key that is neither string nor 64-bit integer" },
    { "81 cfffffffffffffffff 01", "byte 2: a map key that is neither string nor 64-bit integer" },
    { "82 a161 01 01 01", "byte 5: a map with both string and integer keys" },
    { "82 01 01 a161 01", "byte 4: a map with both string and integer keys" },
    { "db ffffffff", "byte 6: the value is cut short" },
    { "c6 ffffffff 61", "byte 7: the value is cut short" },
    { "dd ffffffff", "byte 6: the value is cut short" },
    { "df ffffffff", "byte 6: the value is cut short" },
    { "df 80000000 01 01", "byte 8: the value is cut short" },
  }
  for _, case in ipairs(bad) do
    it("are named: " .. case[1], function()
      assert.equal(case[2], refused_bytes(unhex(case[1])))
    end)
  end

  it("take no memory for what they only claim", function()
    local zeros = ("\0"):rep(100000)
    local claims = { "\xdc\xff\xff", "\xde\x7f\xff\xa1a", "\xdd\0\1\x86\xa0" }
    for _, claim in ipairs(claims) do
      local bytes = claim:rep(120) .. zeros
      collectgarbage()
      collectgarbage("stop")
      local before = collectgarbage("count")
      assert.matches("the value is cut short", refused_bytes(bytes))
      local taken = (collectgarbage("count") - before) * 1024
      collectgarbage("restart")
      assert(taken < 32 * #bytes, taken)
    end
  end)
end)

describe("random values", function()
  it("come back the same, and with the same bytes", function()
    for _ = 1, rounds(3000) do
      local value = values.random(5)
      local bytes = encode(value)
      local again = rille.decode(bytes)
      assert_same(value, again)
      assert.equal(bytes, encode(again))
    end
  end)

  it("are refused when any part of their end is missing", function()
    local prefixes, enough = 0, rounds(30000)
    while prefixes < enough do
      local bytes = encode { values.random(4), { values.random(3) } }
      for n = 0, math.min(#bytes - 1, 2000) do
        local value, message = rille.decode(bytes:sub(1, n))
        assert.is_nil(value)
        assert(message:find("^byte %d+: the value is cut short$"), message)
        prefixes = prefixes + 1
      end
      assert.matches("after the end", refused_bytes(bytes .. "\0"))
    end
  end)

  -- What is read at all is a value: it can be written, and then stays what it is.
  local function check_any(bytes)
    local value, message = rille.decode(bytes)
    if value == nil then
      assert(message:find("^byte %d+: "), message)
      return 0
    end
    assert_same(value, (rille.decode(encode(value))))
    return 1
  end

  it("with changed bytes are read or refused, never worse", function()
    local read = 0
    for _ = 1, rounds(20000) do
      local bytes = encode(values.random(3))
      if #bytes < 4000 then
        for _ = 1, math.random(3) do
          local at = math.random(#bytes)
          bytes = bytes:sub(1, at - 1) .. string.char(math.random(0, 255)) .. bytes:sub(at + 1)
        end
        read = read + check_any(bytes)
      end
    end
    assert(read > 100)
  end)

  it("made of nothing but random bytes are read or refused", function()
    local heads = { 0x81, 0x82, 0x91, 0x92, 0xde, 0xdf, 0xdc, 0xdd, 0xa1, 0xd9, 0xcf, 0xc0, 0xcb }
    for _ = 1, rounds(20000) do
      local t = {}
      for i = 1, math.random(0, 30) do
        local from_heads = math.random(2) == 1
        t[i] = string.char(from_heads and heads[math.random(#heads)] or math.random(0, 255))
      end
      check_any(table.concat(t))
    end
  end)
end)
