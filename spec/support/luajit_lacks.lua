-- luajit_lacks.lua: tests that are for Lua 5.4 alone: spec, a part of the test's name, and why.
local KINDS = "integers and floats are one type of number"
local GRAMMAR = "what LuaJIT can't read is tried"
local WORDS = "LuaJIT says it in other words"
local TRACE = "where the line that fills the stack is compiled, it is not told"
local BOXED = "a large integer is cdata"
local LENGTH = "# of a table asks no __len"
local WEAK = "weak keys that their values lead to are not collected"
local CLOSE = "nothing closes what a block, a loop or a coroutine leaves"
local RAW = "table.insert and table.move ask no __newindex"
local SOAK = not os.getenv "RILLE_SOAK" and "long: only with RILLE_SOAK" or nil

return {
  append = { ["a version"] = BOXED },
  cli = { ["fold prints the state"] = KINDS },
  decide = { ["has the same random numbers"] = GRAMMAR },
  fold = { ["owns the event's data"] = GRAMMAR },
  handles = { ["an error in the loop's body"] = CLOSE, ["can live in a coroutine"] = CLOSE,
    ["closes with its block"] = CLOSE },
  isolate = {
    ["is memory, of which there may be less"] = "of memory no position is told",
    ["is only what the script does"] = "its instructions are more",
    ["is copied: nil, null"] = KINDS,
    ["answer and fail as Lua's do"] = WORDS,
    ["closing after the kill"] = GRAMMAR, ["closing that loops"] = GRAMMAR, ["closing in pcall"] = GRAMMAR,
    ["an array with one far key"] = GRAMMAR, ["char and byte"] = WORDS, ["varargs"] = WORDS,
    ["ipairs without end"] = "ipairs ends with what is in the table itself",
    ["with a false length"] = LENGTH, ["sort with a length that fits"] = LENGTH,
    ["fails cleanly whichever allocation"] = SOAK,
  },
  json = { ["9007199254740993"] = BOXED, ["9223372036854775807"] = BOXED, ["9223372036854775808"] = BOXED,
    ["17: -"] = BOXED, ["{\"$pairs\":[[1.0,2]]}"] = KINDS, ["1.0"] = KINDS, ["0.0"] = KINDS, ["1e+15"] = KINDS,
    ["9007199254740992.0"] = KINDS },
  policy = { ["recurses"] = WORDS, ["searches for ever"] = WORDS, ["returns a million"] = WORDS },
  poll = { ["keeps nothing of a store that is gone"] = WEAK },
  report = { ["holds names and data as they are"] = "a zero byte ends a pattern" },
  sandbox = {
    ["whose place is lost in a tail call"] = WORDS, ["a runtime error"] = WORDS, ["a full stack"] = TRACE,
    ["the contents behind"] = WORDS, ["of a sub-table"] = WORDS, ["null itself"] = WORDS,
    ["bytecode"] = WORDS, ["500 arguments"] = WORDS, ["with a new metatable"] = WORDS,
    ["the whitelist works"] = "there is bit, too",
    ["compares integers and floats"] = BOXED, ["fill the stack to its last slot"] = LENGTH,
    ["work as in Lua"] = LENGTH, ["a huge sort"] = LENGTH, ["is otherwise Lua's"] = KINDS,
    ["by a published generator"] = GRAMMAR, ["while a script loads"] = GRAMMAR, ["inherited and closed"] = GRAMMAR,
    ["what can't be compared"] = GRAMMAR, ["forgotten with the script's own"] = WEAK,
    ["a library by table."] = RAW, ["write to anything that it can reach"] = RAW,
    ["a recursive gsub"] = "its C stack overflows, as without rille",
  },
  processor = { ["too large"] = GRAMMAR, ["cancels what is not paid"] = GRAMMAR },
  script = { ["is changed by every token"] = GRAMMAR, ["keeps the kind of numbers"] = KINDS },
  testkit = { ["is told where another state came out"] = WORDS, ["is large is shown"] = WORDS,
    ["names the place of the test, and needs no"] = WORDS, ["is removed when it is closed, collected"] = WEAK },
  transaction = { ["a failed flush of the decision"] = "spec/crash/ is for 5.4" },
  value = { ["case 25,"] = KINDS, ["case 27,"] = KINDS, ["case 31,"] = KINDS,
    ["81 cb3ff0000000000000"] = KINDS, ["d3ffffffffffffffff"] = "eight bytes for what fits into one are an int64_t" },
  wait = { ["is false when nothing comes"] = BOXED, ["refuses what is no position"] = BOXED },
}
