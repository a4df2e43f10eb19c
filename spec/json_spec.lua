-- json_spec.lua: JSON text as values and back: strict in what it reads, and without
-- loss for everything that can be stored.
local rille = require "rille"
local rounds = require "spec.support.rounds"
local values = require "spec.support.values"
local json, null, array = rille.json, rille.null, rille.array
local same = values.same

values.seed("json_spec")

local DEPTH = 128

local function decode(text)
  local value, message = json.decode(text)
  assert(value ~= nil, message)
  return value
end

local function encode(value, options) return assert(json.encode(value, options)) end

local function refusal(value)
  local text, message, code = json.encode(value)
  assert(text == nil)
  assert.equal("invalid", code)
  return message
end

local function refused_text(text)
  local value, message, code = json.decode(text)
  assert(value == nil)
  assert.equal("invalid", code)
  return message
end

local function assert_same(expected, got)
  assert(same(expected, got), "not the same value")
end

local BEYOND_64_BITS = "an integer of more than 64 bits (a float has a point or an exponent)"
local TOO_DEEP = "^column %d+: more than 128 tables deep$"

local function shown(text)
  local start = text:sub(1, 60):gsub("[%c\x80-\xff]", function(c)
    return ("\\x%02x"):format(c:byte())
  end)
  return #text > 60 and start .. " ... of " .. #text or start
end

describe("accepted texts", function()
  local accepted = {
    -- scalars
    { "null", null }, { "true", true }, { "false", false }, { '""', "" }, { '"x"', "x" },
    { " null", null }, { "null\n", null }, { "\t\r\n 1 \t\r\n", 1 },
    -- integers
    { "0", 0 }, { "-0", 0 }, { "1", 1 }, { "-1", -1 }, { "10", 10 }, { "1234567890", 1234567890 },
    { "9007199254740993", 9007199254740993 },
    { "9223372036854775807", math.maxinteger }, { "-9223372036854775808", math.mininteger },
    { "-9223372036854775807", -math.maxinteger },
    -- floats
    { "0.0", 0.0 }, { "-0.0", -0.0 }, { "1.0", 1.0 }, { "1e0", 1.0 }, { "1E2", 100.0 },
    { "1e+2", 100.0 }, { "1e-2", 0.01 }, { "0e1", 0.0 }, { "0e+1", 0.0 }, { "-0e-1", -0.0 },
    { "123.456e78", 123.456e78 }, { "0.1", 0.1 }, { "-1.5E-3", -0.0015 }, { "123e45", 123e45 },
    { "9223372036854775808.0", 2.0 ^ 63 }, { "1e19", 1e19 },
    { "1.7976931348623157e308", 0x1.fffffffffffffp1023 },
    { "5e-324", 5e-324 }, { "1e-400", 0.0 }, { "-1e-400", -0.0 },
    { "1e-99999999999999999999", 0.0 },
    { "0e99999999999999999999", 0.0 }, { "2.2250738585072011e-308", 2.2250738585072011e-308 },
    { "0." .. ("0"):rep(400) .. "1e401", 1.0 }, { "1" .. ("0"):rep(400) .. "e-400", 1.0 },
    { "0." .. ("3"):rep(5000), 1 / 3 }, { "1." .. ("0"):rep(5000), 1.0 },
    { "-0." .. ("0"):rep(78) .. "1", -1e-79 },
    { "0.1000000000000000055511151231257827021181583404541015625", 0.1 },
    -- strings
    { [["\"\\\/\b\f\n\r\t"]], "\"\\/\b\f\n\r\t" }, { [["\u0000"]], "\0" },
    { [["a\u0000b"]], "a\0b" },
    { [["\u0041\u00e4\u20AC\u20ac"]], "Aä€€" },
    { [["\u007f\u0080\u07ff\u0800\uffff"]], "\x7f\u{80}\u{7ff}\u{800}\u{ffff}" },
    { [["\ud800\udc00"]], "\u{10000}" }, { [["\uD83D\uDE00"]], "😀" },
    { [["\uDBFF\uDFFF"]], "\u{10ffff}" },
    { [["\ud7ff\ue000"]], "\u{d7ff}\u{e000}" }, { [["\\u0041"]], "\\u0041" },
    { [["\u005Cn"]], "\\n" },
    { '"ä€😀"', "ä€😀" }, { '"\x7f"', "\x7f" }, { '"\u{2028}\u{2029}"', "\u{2028}\u{2029}" },
    { '"\u{feff}"', "\u{feff}" }, { '"\u{fffe}\u{10ffff}"', "\u{fffe}\u{10ffff}" },
    { '"// /* no comment */"', "// /* no comment */" },
    { '"' .. ("é\\n"):rep(2000) .. '"', ("é\n"):rep(2000) },
    -- arrays
    { "[]", array {} }, { "[ \n]", array {} }, { "[null]", { null } }, { "[1,2]", { 1, 2 } },
    { "[ 1 , 2 ]", { 1, 2 } }, { "[[]]", { array {} } }, { "[[],{}]", { array {}, {} } },
    { "[1,null,null]", { 1, null, null } }, { "[false]", { false } }, { '[""]', { "" } },
    { "[1]\n", { 1 } },
    { '[1,"a",1.0,true,null,{},[]]', { 1, "a", 1.0, true, null, {}, array {} } },
    -- objects
    { "{}", {} }, { "{ }", {} }, { '{"a":1}', { a = 1 } }, { '{"":0}', { [""] = 0 } },
    { ' { "a" : [ ] , "b" : { } } ', { a = array {}, b = {} } },
    { '{"a\\u0000":1}', { ["a\0"] = 1 } },
    { '{"1":1}', { ["1"] = 1 } }, { '{"a":{"a":{"a":null}}}', { a = { a = { a = null } } } },
    { '{"title":"\\u041f\\u043e"}', { title = "По" } },
    { '{"a":"b","A":"c"}', { a = "b", A = "c" } },
    -- what JSON can't hold
    { '{"$bytes":""}', "" }, { '{"$bytes":"/w=="}', "\xff" }, { '{"$bytes":"//8="}', "\xff\xff" },
    { '{"$bytes":"////"}', "\xff\xff\xff" }, { '{"$bytes":"aGVsbG8="}', "hello" },
    { ' { "$bytes" : "AAECAwQ=" } ', "\0\1\2\3\4" }, { '{"$by\\u0074es":"\\u002fw=="}', "\xff" },
    { '{"$float":"inf"}', 1 / 0 }, { '{"$float":"-inf"}', -1 / 0 }, { '{"$float":"nan"}', 0 / 0 },
    { '[{"$float":"inf"}]', { 1 / 0 } },
    { '{"$pairs":[]}', {} }, { '{"$pairs":[[1,2]]}', { 2 } },
    { '{"$pairs":[[-1,[]],[5,{}]]}', { [-1] = array {}, [5] = {} } },
    { '{"$pairs":[["a",null]]}', { a = null } },
    { '{"$pairs":[[{"$bytes":"/w=="},1],["x",2]]}', { ["\xff"] = 1, x = 2 } },
    { '{"$pairs":[["$pairs",[[1,2]]]]}', { ["$pairs"] = { { 1, 2 } } } },
    { '{"$pairs":[[1,{"$pairs":[[1,{"$float":"nan"}]]}]]}', { { 0 / 0 } } },
    -- and what only looks like it
    { '{"$bytes":1,"a":2}', { ["$bytes"] = 1, a = 2 } },
    { '{"a":2,"$float":[]}', { ["$float"] = array {}, a = 2 } },
    { '{"$pairs":[[1,2]],"$bytes":"x"}', { ["$pairs"] = { { 1, 2 } }, ["$bytes"] = "x" } },
    { '{"$other":"x"}', { ["$other"] = "x" } }, { '{"$byte":"x"}', { ["$byte"] = "x" } },
  }
  for i, case in ipairs(accepted) do
    it(i .. ": " .. shown(case[1]), function() assert_same(case[2], decode(case[1])) end)
  end
end)

describe("refused texts", function()
  local refused = {
    -- nothing, or more than one
    { "", "column 1: the text ends early, expected a value" },
    { " ", "column 2: the text ends early, expected a value" },
    { "1 2", "column 3: text after the value" }, { "null,", "column 5: text after the value" },
    { "[]]", "column 3: text after the value" }, { "{}}" }, { "[][]" }, { '""x' }, { "[1]x" },
    { '{"a":1}#' },
    { "nulll" }, { "truefalse" }, { "1\0", "column 2: text after the value" }, { "\0" },
    { "[1\0]" },
    -- literals
    { "nul", "column 1: expected a value" }, { "nu" }, { "n" }, { "True" }, { "NULL" }, { "fals" },
    { "nil" },
    { "undefined" }, { "NaN" }, { "-NaN" }, { "Infinity" }, { "-Infinity" }, { "inf" }, { "nan" },
    { "[nul]" },
    -- byte order marks and other encodings
    { "\xef\xbb\xbf{}", "column 1: a byte order mark" }, { "\xef\xbb{}" }, { "\xff\xfe1\0" },
    { "\xfe\xff\0001" },
    -- white space
    { "\u{a0}1" }, { "[\f]" }, { "[\v1]" }, { "\u{2060}[]" }, { "1\u{feff}" },
    -- comments
    { "// x\n1" }, { "/**/1" }, { "[1/**/]" }, { "[1] // x" }, { "#x\n1" },
    -- numbers
    { "01", "column 1: a number with a leading zero" },
    { "-01", "column 1: a number with a leading zero" }, { "00" },
    { "[012]", "column 2: a number with a leading zero" }, { "+1", "column 1: expected a value" },
    { "++1" }, { "-" },
    { "--1", "column 2: expected a digit" }, { "- 1" },
    { "1.", "column 3: the text ends early, expected a digit" },
    { ".5" }, { "-.5" }, { "1.e1" }, { "1e" }, { "1e+" }, { "1e-" }, { "1E" }, { "0e" }, { "0e+" },
    { "1.5e" }, { "1ee2" },
    { "1e1.5" }, { "1.2.3" }, { "1e5e5" }, { "0x1" }, { "0x1p4" }, { "1a" }, { "-x" }, { "1_000" },
    { "1,000" }, { "1eE2" },
    { "１" }, { "-1.0." }, { "2.e3" }, { "2.e-3" }, { "0.e1" }, { "[-]" }, { "[1.]" }, { "[.1]" },
    { "[1 000.0]" }, { "1f" },
    { "9223372036854775808", "column 1: " .. BEYOND_64_BITS },
    { "[-9223372036854775809]", "column 2: " .. BEYOND_64_BITS },
    { "18446744073709551616" }, { ("9"):rep(1000) },
    { "1e400", "column 1: a number too large for a float" },
    { "[-1e400]", "column 2: a number too large for a float" },
    { "1e99999999999999999999" }, { ("9"):rep(400) .. ".0" }, { "1.8e308" },
    -- strings
    { '"', "column 1: a string that does not end" },
    { '"a', "column 1: a string that does not end" }, { '"\\' }, { '"\\"' },
    { "'a'" }, { "a" }, { "`a`" }, { '["a]' }, { '"a"b"' },
    { '"\0"', "column 2: a control character in a string" },
    { '"a\nb"', "column 3: a control character in a string" },
    { '"\t"' }, { '"\r"' }, { '"\x1f"' }, { '"\\\n"' },
    { [["\x41"]], "column 2: an unknown escape" }, { [["\a"]] }, { [["\'"]] }, { [["\0"]] },
    { [["a\ b"]], "column 3: an unknown escape" },
    { '"\\\0"' }, { [["\U0041"]] }, { '"\\ä"' }, { [["\🌀"]] },
    { [["\u"]], "column 2: \\u without four hexadecimal digits" }, { [["\u1"]] }, { [["\u12"]] },
    { [["\u123"]] }, { [["\u123g"]] },
    { [["\u 123"]] }, { [["\u+123"]] }, { [["\u-123"]] }, { [["\u0x1"]] }, { '"\\u00\x41' },
    { [["\u00A"]] }, { '"\\u006\xc3\xa4"' },
    { [["\ud800"]], "column 2: half of a surrogate pair" },
    { [["\udc00"]], "column 2: half of a surrogate pair" },
    { [["\ud800x"]] }, { [["\ud800\n"]] }, { [["\ud800\u0041"]] }, { [["\ud800\ud800"]] },
    { [["\udc00\ud800"]] },
    { [["\ud800\ud800\udc00"]] }, { [["\uDBFF\uE000"]] }, { [["\ud800\u"]] }, { [["\ud800\udc0"]] },
    { [["\ud800\"]] }, { [["\ud83d\\ude00"]] },
    -- UTF-8
    { '"\x80"', "column 2: not UTF-8" }, { '"a\xff"', "column 3: not UTF-8" }, { '"\xc3"' },
    { '"\xc3x"' }, { '"\xe2\x82"' },
    { '"\xe2\x82x"' }, { '"\xf0\x9f\x98"' }, { '"\xc0\x80"' }, { '"\xc1\xbf"' },
    { '"\xe0\x80\x80"' }, { '"\xe0\x9f\xbf"' },
    { '"\xf0\x80\x80\x80"' }, { '"\xf0\x8f\xbf\xbf"' }, { '"\xed\xa0\x80"' }, { '"\xed\xbf\xbf"' },
    { '"\xf4\x90\x80\x80"' },
    { '"\xf5\x80\x80\x80"' }, { '"\xf8\x88\x80\x80\x80"' }, { '"\xfe"' }, { "[\xff]" }, { "\xe4" },
    { '{"\xff":1}' }, { '"\\n\xff"', "column 4: not UTF-8" },
    -- arrays
    { "[", "column 2: the text ends early, expected a value" }, { "]" },
    { "[1", "column 3: the text ends early, expected ',' or ']'" },
    { "[1,", "column 4: the text ends early, expected a value" },
    { "[1,]", "column 4: expected a value" }, { "[,1]" }, { "[,]" },
    { "[1,,2]" }, { "[1 2]", "column 4: expected ',' or ']'" }, { "[1:2]" }, { "[1;2]" }, { "[1}" },
    { "[[1]" }, { "[1]]" }, { '["a" "b"]' },
    { "[*]" }, { "[<null>]" }, { "[\n" }, { '["x"' }, { "[1,\n1\n,1" },
    -- objects
    { "{", "column 2: the text ends early, expected a key in quotes" }, { "}" },
    { "{1:2}", "column 2: expected a key in quotes" },
    { "{a:1}" }, { "{'a':1}" }, { '{"a"}', "column 5: expected ':'" }, { '{"a" 1}' }, { '{"a",1}' },
    { '{"a":}', "column 6: expected a value" },
    { '{"a":1', "column 7: the text ends early, expected ',' or '}'" },
    { '{"a":1,}', "column 8: expected a key in quotes" }, { '{,"a":1}' }, { "{,}" },
    { '{"a":1,,"b":2}' }, { '{"a":1 "b":2}', "column 8: expected ',' or '}'" }, { '{"a"::1}' },
    { '{"a":1]' }, { '{"a":1;"b":2}' }, { "{null:1}" },
    { "{[]:1}" }, { '{"a":1}}' }, { '{"a":"b"}/**/' }, { '{"a' }, { '{"a":' }, { '{"a' .. '":1,' },
    { '{"a":(1)}' }, { '{"a":a}' }, { '{9999E9999:1}' },
    -- keys that come twice
    { '{"a":1,"a":2}', 'column 8: the key "a" comes twice' },
    { '{"a":1,"a":1}', 'column 8: the key "a" comes twice' },
    { '{"a":null,"b":1,"\\u0061":2}', 'column 17: the key "a" comes twice' },
    { '{"":1,"":1}', 'column 7: the key "" comes twice' },
    { '{"a\\n":1,"a\\n":1}', 'column 10: the key "a?" comes twice' },
    { '[{"x":{"y":1,"y":1}}]', 'column 14: the key "y" comes twice' },
    { '{"' .. ("ä"):rep(30) .. '":1,"' .. ("ä"):rep(30) .. '":1}',
      'column 67: the key "' .. ("ä"):rep(20) .. '..." comes twice' },
    { '{"$float":"inf","$float":"inf"}', 'column 17: the key "$float" comes twice' },
    -- malformed $bytes
    { '{"$bytes":1}', "column 1: $bytes is not base64" }, { '{"$bytes":null}' },
    { '{"$bytes":[]}' }, { '{"$bytes":"a"}' }, { '{"$bytes":"aa"}' },
    { '{"$bytes":"aaa"}' }, { '{"$bytes":"====" }' }, { '{"$bytes":"a==="}' },
    { '{"$bytes":"/x=="}' }, { '{"$bytes":"//9="}' },
    { '{"$bytes":"/w==/w=="}' }, { '{"$bytes":"/w=a"}' }, { '{"$bytes":"=aaa"}' },
    { '{"$bytes":" /w="}' }, { '{"$bytes":"_w=="}' }, { '{"$bytes":"aa\\n="}' },
    { '{"$bytes":"aa\\u0000="}' }, { '{"$bytes":{"$bytes":"YWFhYQ=="}}' }, { '{"$bytes":"aaaä"}' },
    { '{"$bytes":"' .. ("aaaa"):rep(2000) .. 'aaa?"}' },
    -- malformed $float
    { '{"$float":1}', 'column 1: $float is none of "inf", "-inf", "nan"' }, { '{"$float":1.5}' },
    { '{"$float":"Inf"}' }, { '{"$float":"+inf"}' },
    { '{"$float":""}' }, { '{"$float":"1.5"}' }, { '{"$float":"inf\\u0000"}' },
    { '{"$float":null}' }, { '{"$float":["inf"]}' }, { '{"$float":{"$bytes":"aW5m"}}' },
    -- malformed $pairs
    { '{"$pairs":1}', "column 1: $pairs is no array of arrays of two" }, { '{"$pairs":"x"}' },
    { '{"$pairs":{}}' }, { '{"$pairs":null}' },
    { '{"$pairs":[1]}' }, { '{"$pairs":[1,2]}' }, { '{"$pairs":[[]]}' }, { '{"$pairs":[[1]]}' },
    { '{"$pairs":[[1,2,3]]}' }, { '{"$pairs":[[1,2],3]}' },
    { '{"$pairs":[[1,2],["a"]]}' }, { '{"$pairs":[{}]}' },
    { '{"$pairs":[{"$pairs":[[1,"a"],[2,"b"]]}]}' }, { '{"$pairs":{"$pairs":[[1,[1,2]]]}}' },
    { '{"$pairs":[[1.5,2]]}', "column 1: $pairs has a key that is neither string nor integer" },
    { '{"$pairs":[[null,2]]}' }, { '{"$pairs":[[true,2]]}' },
    { '{"$pairs":[[[],2]]}' }, { '{"$pairs":[[{"$float":"nan"},2]]}' }, { '{"$pairs":[[1.0,2]]}' },
    { '{"$pairs":[[1,2],["a",2]]}', "column 1: $pairs has both string and integer keys" },
    { '[{"$pairs":[[1,2],[1,2]]}]', "column 2: $pairs has a key twice" },
    { '{"$pairs":[["a",2],[{"$bytes":"YQ=="},2]]}', "column 1: $pairs has a key twice" },
  }
  for i, case in ipairs(refused) do
    it(i .. ": " .. shown(case[1]), function()
      local message = refused_text(case[1])
      assert.matches("^column %d+: .", message)
      if case[2] then assert.equal(case[2], message) end
    end)
  end

  it("are only texts: a number is a mistake of the caller", function()
    assert.error_matches(function() json.decode(1) end, "string expected")
    assert.error_matches(function() json.decode() end, "string expected")
  end)
end)

describe("written texts", function()
  local written = {
    { null, "null" }, { true, "true" }, { false, "false" },
    { 0, "0" }, { -1, "-1" }, { math.maxinteger, "9223372036854775807" },
    { math.mininteger, "-9223372036854775808" },
    { 1.0, "1.0" }, { -0.0, "-0.0" }, { 0.0, "0.0" }, { 0.1, "0.1" }, { 100.0, "100.0" },
    { 1e15, "1e+15" }, { 1e100, "1e+100" },
    { 1 / 3, "0.3333333333333333" }, { 0.1 + 0.2, "0.30000000000000004" },
    { 2.0 ^ 53, "9007199254740992.0" },
    { -1.5e-7, "-1.5e-07" }, { 123456.789, "123456.789" },
    { 1 / 0, '{"$float":"inf"}' }, { -1 / 0, '{"$float":"-inf"}' }, { 0 / 0, '{"$float":"nan"}' },
    { -(0 / 0), '{"$float":"nan"}' },
    { "", '""' }, { "a\"\\/\b\f\n\r\t\0\x1f\x7f", [["a\"\\/\b\f\n\r\t\u0000\u001f]] .. '\x7f"' },
    { "ä€😀", '"ä€😀"' },
    { "\xff", '{"$bytes":"/w=="}' }, { "a\xffb", '{"$bytes":"Yf9i"}' },
    { "\xed\xa0\x80", '{"$bytes":"7aCA"}' }, { "\xc3", '{"$bytes":"ww=="}' },
    { "\xff\0\1\2\3", '{"$bytes":"/wABAgM="}' },
    { {}, "{}" }, { array {}, "[]" }, { { 1, 2, 3 }, "[1,2,3]" }, { { array {}, {} }, "[[],{}]" },
    { array { 1 }, "[1]" },
    { { b = 1, a = 2, A = 3, [""] = 4, ["\u{e4}"] = 5 }, '{"":4,"A":3,"a":2,"b":1,"ä":5}' },
    { { ["1"] = 1 }, '{"1":1}' }, { { [0] = "a" }, '{"$pairs":[[0,"a"]]}' },
    { { [10] = 1, [9] = 2, [-1] = {} }, '{"$pairs":[[-1,{}],[9,2],[10,1]]}' },
    { { x = 1, ["\xff"] = 2 }, '{"$pairs":[["x",1],[{"$bytes":"/w=="},2]]}' },
    { { ["$bytes"] = 1 }, '{"$pairs":[["$bytes",1]]}' },
    { { ["$float"] = "inf" }, '{"$pairs":[["$float","inf"]]}' },
    { { ["$pairs"] = { { 1, 2 } } }, '{"$pairs":[["$pairs",[[1,2]]]]}' },
    { { ["$pairs"] = 1, a = 2 }, '{"$pairs":1,"a":2}' }, { { ["$x"] = 1 }, '{"$x":1}' },
    { { { [5] = { ["$bytes"] = "\xff" } } },
      '[{"$pairs":[[5,{"$pairs":[["$bytes",{"$bytes":"/w=="}]]}]]}]' },
  }
  for i, case in ipairs(written) do
    it(i .. ": " .. shown(case[2]), function()
      assert.equal(case[2], encode(case[1]))
      assert_same(case[1], decode(case[2]))
    end)
  end

  it("are indented where that is wanted", function()
    local value = { a = 1, b = { 1, { c = "x" } }, d = {}, e = array {}, f = 1 / 0,
                    g = "\xff", h = { [7] = {} } }
    local text = table.concat({
      '{', '  "a": 1,', '  "b": [', '    1,', '    {', '      "c": "x"', '    }', '  ],',
      '  "d": {},', '  "e": [],',
      '  "f": {"$float": "inf"},', '  "g": {"$bytes": "/w=="},',
      '  "h": {', '    "$pairs": [', '      [', '        7,', '        {}', '      ]',
      '    ]', '  }', '}' }, "\n")
    assert.equal(text, encode(value, { pretty = true }))
    assert_same(value, decode(text))
    assert.equal("1", encode(1, { pretty = true }))
    assert.equal("[1]", encode({ 1 }, { pretty = false }))
    assert.equal("[1]", encode({ 1 }, {}))
  end)

  it("take no option but pretty", function()
    for _, case in ipairs {
      { { prety = true }, "unknown option 'prety', did you mean 'pretty'%?" },
      { { true }, "unknown option 'number'" },
      { { pretty = 1 }, "'pretty' must be a boolean" },
      { true, "table expected" },
    } do
      assert.error_matches(function() json.encode(1, case[1]) end, case[2])
    end
    assert.error_matches(function() json.encode() end, "value expected")
  end)

  it("refuse what can't be stored, by name", function()
    local own = {}
    own.a = { b = own }
    for _, case in ipairs {
      { { items = { 1, 2, print } }, "value.items[3] is a function" },
      { own, "value.a.b is a cycle" },
      { { 1, x = 2 }, "value has both string and integer keys" },
      { { a = { [1.5] = 1 } }, "value.a has a float as key" },
      { { [true] = 1 }, "value has a boolean as key" },
      { coroutine.create(print), "value is a thread" },
      { { x = io.stdout }, "value.x is a userdata" },
      { array { x = 1 }, "value is marked as an array, but its keys are not 1..n" },
    } do
      assert.equal(case[2], refusal(case[1]))
    end
    assert.equal("value is nil", refusal(nil))
  end)

  it("are refused beyond 256 MiB", function()
    local t = { ("\0"):rep(1 << 20) }
    for _ = 1, 5 do t = { t, t } end
    assert.equal(32 * (6 * (1 << 20) + 2) + 31 + 2 * 63, #encode(t))
    for _ = 1, 11 do table.insert(t, ("\0"):rep(1 << 20)) end
    assert.equal("value is more than 268435456 bytes of JSON", refusal(t))
  end)
end)

describe("depth", function()
  local function brackets(n) return ("["):rep(n) .. ("]"):rep(n) end

  it("of texts may be 128, not 129", function()
    assert(decode(brackets(DEPTH)))
    assert(decode(('{"a":'):rep(DEPTH) .. "1" .. ("}"):rep(DEPTH)))
    for _, n in ipairs { DEPTH + 1, 3 * DEPTH, 3 * DEPTH + 1, 100000 } do
      assert.matches(TOO_DEEP, refused_text(brackets(n)))
      assert.matches(TOO_DEEP, refused_text(('{"a":'):rep(n) .. "1" .. ("}"):rep(n)))
    end
    assert.matches(TOO_DEEP, refused_text(("["):rep(100000)))
    assert.matches(TOO_DEEP, refused_text(('[{"":'):rep(50000)))
    assert.matches(TOO_DEEP, refused_text('{"$pairs":[[1,' .. brackets(DEPTH) .. "]]}"))
    assert.matches(TOO_DEEP, refused_text('{"a":1,"$pairs":[[1,' .. brackets(DEPTH - 2) .. "]]}"))
    assert(decode('{"$pairs":[[1,' .. brackets(DEPTH - 1) .. "]]}"))
    assert(decode('{"a":1,"$pairs":[[1,' .. brackets(DEPTH - 3) .. "]]}"))
  end)

  it("of values may be 128 however much JSON that takes", function()
    for _, key in ipairs { 1, 7, "k", "\xff", "$pairs" } do
      local value = values.nested(DEPTH, key)
      assert_same(value, decode(encode(value)))
      assert_same(value, decode(encode(value, { pretty = true })))
      assert.matches(" is more than 128 tables deep$", refusal(values.nested(DEPTH + 1, key)))
    end
  end)
end)

describe("numbers", function()
  it("are floats again when they were floats", function()
    for _ = 1, rounds(5000) do
      local bits = string.pack("i8", math.random(0))
      local number = string.unpack("d", bits)
      assert_same(number, decode(encode(number)))
    end
    for e = -1074, 1023 do assert_same(2.0 ^ e, decode(encode(2.0 ^ e))) end
    for e = -323, 308 do
      local number = tonumber("1e" .. e)
      assert_same(number, decode(encode(number)))
    end
  end)

  it("are rounded as by Lua", function()
    for _ = 1, rounds(5000) do
      local whole, fraction = math.random(0, 9999), math.random(0, 1 << 53)
      local text = ("%d.%de%d"):format(whole, fraction, math.random(-330, 300))
      assert_same(tonumber(text), decode(text))
    end
  end)

  it("need no locale", function()
    local before, met = os.setlocale(nil, "numeric"), false
    for _, name in ipairs { "de_DE.UTF-8", "de_DE", "fr_FR.UTF-8", "fr_FR", "ps_AF.UTF-8" } do
      if os.setlocale(name, "numeric") then
        local spelled, text = ("%.1f"):format(1.5), encode { 1.5, 1e300, 0.1 + 0.2, -0.0 }
        local value = decode("[1.5,-2.25e-3]")
        os.setlocale(before, "numeric")
        met = met or spelled ~= "1.5"
        assert.equal("[1.5,1e+300,0.30000000000000004,-0.0]", text)
        assert_same({ 1.5, -0.00225 }, value)
      end
    end
    if not met then pending("no locale with another decimal point is installed") end
  end)
end)

describe("random", function()
  it("values come back the same, and with the same text", function()
    for i = 1, rounds(3000) do
      local value = values.random(5)
      local text = encode(value, { pretty = i % 2 == 0 })
      assert(utf8.len(text))
      local again = decode(text)
      assert_same(value, again)
      assert.equal(rille.encode(value), rille.encode(again))
    end
  end)

  it("texts are refused when any part of their end is missing", function()
    local prefixes, enough = 0, rounds(20000)
    while prefixes < enough do
      local text = encode { values.random(4) }
      for n = 0, math.min(#text - 1, 2000) do
        local value, message = json.decode(text:sub(1, n))
        assert(value == nil and message:find("^column %d+: "))
        prefixes = prefixes + 1
      end
    end
  end)

  -- What is read at all is a value: it can be written, and then stays what it is.
  local function check_any(text)
    local value, message = json.decode(text)
    if value == nil then
      assert(message:find("^column %d+: "), message)
      return 0
    end
    assert_same(value, decode(encode(value)))
    return 1
  end

  it("texts with changed bytes are read or refused, never worse", function()
    local spare = [[{}[]",:\u0123456789abcdefE+-.tn $]] .. "\0\n\xff\xc3\xa4"
    local read = 0
    for _ = 1, rounds(20000) do
      local text = encode(values.random(3))
      if #text < 4000 then
        for _ = 1, math.random(3) do
          local at, with = math.random(#text), math.random(#spare)
          text = text:sub(1, at - math.random(0, 1)) .. spare:sub(with, with) .. text:sub(at + 1)
        end
        read = read + check_any(text)
      end
    end
    assert(read > 100)
  end)

  it("words of JSON in any order are read or refused", function()
    local words = {
      "{", "}", "[", "]", ",", ":", '"', '"a"', '"$pairs"', '"$bytes"', '"$float"', '"inf"',
      '"/w=="', "1", "-", "0", ".5", "e9", "null", "true", " ", "\\u00", "\\", "{}", "[]",
      '{"$pairs":[[', "]]}",
    }
    for _ = 1, rounds(30000) do
      local t = {}
      for i = 1, math.random(0, 12) do t[i] = words[math.random(#words)] end
      check_any(table.concat(t))
    end
  end)
end)
