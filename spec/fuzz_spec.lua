-- fuzz_spec.lua: the targets of the fuzzer (spec/fuzz) with their corpus and mutations of it, so
-- that they do not rot between the runs of `make fuzz`; and what becomes of any SQLSTATE.
--
-- RILLE_SOAK=n tries n times as many mutations.
local process = require "spec.support.process"
local rounds = require "spec.support.rounds"
local values = require "spec.support.values"

values.seed("fuzz_spec")

local BUILD = os.getenv "RILLE_BUILD" or "build"
local SOAK = rounds.all and tonumber(os.getenv "RILLE_SOAK") or 1
local FOLDER = "[ -w /dev/shm ] && export TMPDIR=/dev/shm; " -- nothing need reach a disk
local ROUNDS = { -- in about 0.2 s each; those with a store on the disk cost milliseconds a round
  control = 60, entry = 8000, fact = 8000, index = 60, json = 8000, log = 4000, messagepack = 8000,
  pattern = 4000, record = 8000, segment = 60,
}

describe("inputs:", function()
  local targets = process.run "ls spec/fuzz/*.c"
  for target in targets:gmatch "([%w_]+)%.c" do
    if target ~= "replay" then
      it(target, function()
        local times = assert(ROUNDS[target], "how many times?") * SOAK
        local output, status = process.run((FOLDER .. "'%s/fuzz/%s' spec/fuzz/corpus/%s %d %d"):format(
          BUILD, target, target, math.floor(times), math.random(1 << 30)))
        assert(status == 0 and output:find "\n%d+ inputs\n$", output)
      end)
    end
  end
end)

describe("a SQLSTATE", function()
  local failure = dofile "lua/postgres/failure.lua"
  local KNOWN = { conflict = 1, locked = 1, busy = 1, full = 1, readonly = 1, aborted = 1, refused = 1, corrupt = 1,
    unsupported = 1, invalid = 1, io = 1 }

  local function some_state()
    local letters = "0123456789ABCPXYZ"
    local t = {}
    for i = 1, math.random(12) == 1 and math.random(0, 300) or 5 do
      local at = math.random(#letters)
      t[i] = math.random(40) == 1 and string.char(math.random(0, 255)) or letters:sub(at, at)
    end
    return table.concat(t)
  end

  it("is always called by a name that rille has, and so is one that is missing", function()
    assert.equal("io", failure.code(nil))
    for _ = 1, 20000 * SOAK do
      local state = some_state()
      local code = failure.code(state)
      if not KNOWN[code] then error(("%q is %q"):format(state, tostring(code))) end
      local result, message, same, detail = failure.of({ sqlstate = state, message = "m" }, "where")
      assert(result == nil and message == "where: m" and same == code and detail.sqlstate == state)
      assert(detail.again == nil or code == "conflict" or code == "locked")
    end
  end)

  it("is judged by all five characters before its class", function()
    assert.equal("conflict", failure.code "40001")
    assert.equal("aborted", failure.code "40002")
    assert.equal("refused", failure.code "42501")
    assert.equal("invalid", failure.code "42601")
    assert.equal("io", failure.code "08006")
  end)
end)
