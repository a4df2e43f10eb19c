-- spin_spec.lua: the model of the two-phase commit (spec/model/twophase.pml) and its runs, each
-- with what must come out; and whether the model still speaks of this code: the functions that
-- its README names are there, and so are its transitions.
--
-- A selection in some 8 s of a processor; all runs, some 1.5 minutes, with RILLE_SOAK or RILLE_MODEL=all.
local process = require "spec.support.process"
local rounds = require "spec.support.rounds"
local read = require "spec.support.scratch".read

local ALL = rounds.all or os.getenv "RILLE_MODEL" == "all"
local STATES_OF = "6.5.2" -- Spin's version that counted them: another may merge steps otherwise

local function runs()
  local list = {}
  for line in io.lines "spec/model/runs.txt" do
    if not line:find "^#" then
      local when, shows, states, pan, options = line:match "^(%S+)%s+(%S+)%s+(%S+)%s+(%S+)%s+(.+)$"
      assert(options and (when == "quick" or when == "all"), "can't be read: " .. line)
      list[#list + 1] = { when = when, shows = shows, states = states, options = options,
        pan = pan == "-" and "" or pan:gsub(",", " ") }
    end
  end
  return list
end

local spin = process.run "command -v spin >/dev/null && command -v cc >/dev/null && spin -V":match "Spin Version (%S+)"

local function check(run)
  local output = process.run(("sh spec/model/run.sh '%s' '%s'"):format(run.options, run.pan))
  local got, states = output:match "^(ok) (%d+)\n$"
  if not got then got, states = output:match "^fails (%S+) (%d+)\n$" end
  assert(got, output)
  assert.equal(run.shows, got)
  if got == "ok" and spin == STATES_OF then assert.equal(run.states, states) end
end

describe("the model", function()
  local list = runs()

  it("has its 51 runs", function() assert.equal(51, #list) end)

  for _, run in ipairs(list) do
    if ALL or run.when == "quick" then
      it((run.shows == "ok" and "holds: " or "must fail, by " .. run.shows .. ": ") .. run.options, function()
        if (os.getenv "LD_PRELOAD" or ""):find "asan" then return pending "nothing of rille's runs here" end
        if not spin then return pending "Spin (Debian: spin) is not installed, or no C compiler" end
        check(run)
      end)
    end
  end

  it("has no mutant and no option that nothing runs", function()
    local tried = {}
    for _, run in ipairs(list) do
      for name in run.options:gmatch "%-D([%w_]+)" do tried[name] = true end
    end
    for line in read "spec/model/twophase.pml":gmatch "[^\n]+" do
      if line:find "^#ifn?def" or line:find "^#if " then
        for name in line:gmatch "%f[%w_][%u][%u%d_]*%f[^%w_]" do assert(tried[name], name .. " is in no run") end
      end
    end
  end)
end)

describe("the model speaks of this code:", function()
  local readme = read "spec/model/README.md"
  local model = read "spec/model/twophase.pml"
  local headers = process.run "cat core/*.h"

  -- Rows of the README's table: | `transition` ... | `function`, ... | ...
  local rows = {}
  for transitions, functions in readme:gmatch "\n| (`[%l_]+`[^|]*)|([^|]+)|" do
    rows[#rows + 1] = { transitions = transitions, functions = functions }
  end

  it("functions that its table names are declared", function()
    local count = 0
    for _, row in ipairs(rows) do
      for name in row.functions:gmatch "`(rille_[%w_]+)`" do
        count = count + 1
        assert(headers:find("%f[%w_]" .. name .. "%("), name .. " is not declared in core/")
      end
      for name in row.functions:gmatch "`(RILLE_[%w_]+)`" do
        assert(headers:find("%f[%w_]" .. name .. "%f[^%w_]"), name .. " is not in core/")
      end
    end
    for name in readme:gmatch "`(log_[%l_]+)`" do
      count = count + 1
      assert(headers:find("%f[%w_]" .. name .. "%("), name .. " is not declared in core/")
    end
    assert(count > 30, "the functions were not found: " .. count)
  end)

  it("functions that its comments name are declared", function()
    local count = 0
    for name in model:gmatch "%f[%w_]rille_[%w_]+" do
      count = count + 1
      assert(headers:find("%f[%w_]" .. name .. "%("), name .. " is not declared in core/")
    end
    assert(count > 20, "the functions were not found: " .. count)
  end)

  it("transitions that its table names are there, and no other", function()
    local named = {}
    for _, row in ipairs(rows) do
      for name in row.transitions:gmatch "`([%l_]+)`" do
        named[name] = true
        assert(model:find("\ninline " .. name .. "%("), name .. " is no transition of the model")
      end
    end
    local count = 0
    for name in model:gmatch "\n  :: ([%l_]+)%(" do
      count = count + 1
      assert(named[name], name .. " is not in the table")
    end
    assert(count > 25, "the transitions were not found: " .. count)
  end)

  it("what must hold has a row in the README, each with its number", function()
    for number in model:gmatch "INVARIANT%((%d+)," do
      if number ~= "99" then assert(readme:find("\n| I" .. number .. " |"), "I" .. number .. " has no row") end
    end
  end)
end)
