-- steps_spec.lua: the exhaustive test of the step machine (c/steps_test.c) finds the faults it is for: each
-- is planted in a copy of core/steps.c, with which the test is compiled anew; it must fail then.
-- And who drives the machine in the simulator never tells it what it has not asked for.
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local read = scratch.read

local BUILD = os.getenv "RILLE_BUILD" or "build"
local COMPILE = "${CC:-cc} -std=c11 -O1 -fvisibility=hidden -w $(pkg-config --cflags lmdb 2>/dev/null) "

-- { what is wrong, text of core/steps.c (there once), what stands there instead }
local FAULTS = {
  { "nothing", "static void advance(", "static void advance(", sound = true },
  { "commits are sent before home is durable (S1)", "s->state = FORCING;",
    "know(s, RILLE_OUTCOME_COMMITTED, COMMITTING);" },
  { "a failed flush of the decision is a commit (S1)",
    "else know(s, RILLE_OUTCOME_UNKNOWN, ANSWERING);\n  advance(s);",
    "else know(s, RILLE_OUTCOME_COMMITTED, COMMITTING);\n  advance(s);" },
  { "a failed flush of the decision is an abort (S1)",
    "else know(s, RILLE_OUTCOME_UNKNOWN, ANSWERING);\n  advance(s);", "else give_up(s);\n  advance(s);" },
  { "a required participant may be left out (S2)", "return !is_any(s, is_left_out);", "return true;" },
  { "who has not agreed may be a member (S2)", "|| !has_agreed(&s->list[members[i]])) return false;",
    ") return false;" },
  { "a vote counts after the verdict", "return open ? &s->list[participant] : NULL;",
    "return (void)open, s->state < COMMITTING ? &s->list[participant] : NULL;" },
  { "the client is answered before all are told (S3)", "s->state == ABORTING) && !is_any(s, is_untold))",
    "s->state == ABORTING))" },
  { "the end is noted without a member (S4)", "? OVER : ENDING;", "? ENDING : ENDING;" },
  { "the deadline aborts what may be decided (S6)", "if (s->state != PREPARING && s->state != VOTING) return; /* S6 */",
    "if (s->state > DECIDING) return;" },
  { "who was asked when the time was over is forgotten", "if (asked < s->count) s->list[asked].held =",
    "if (asked > s->count) s->list[asked].held =" },
  { "a promise whose flush failed is forgotten", "p->assumed = 0;",
    "p->assumed = 0; p->held &= vote != RILLE_VOTE_NO;" },
  { "a vote can be taken back", "if (!p || (p->answered && !p->written && !p->assumed)) return;", "if (!p) return;" },
  { "a voter is told", "p->held = !p->voter;\n", "p->held = 1;\n" },
  { "a commit out of reach is not pending", "p->acknowledged = p->reached &&", "p->acknowledged =" },
}

local function is_sanitized() return (os.getenv "LD_PRELOAD" or ""):find "asan" end

---The program `name` of spec/c, compiled with what is in a folder first; what it says and its status.
local function run(name, options)
  local path = scratch.path(name)
  local said, status = process.run(COMPILE .. options .. (" -Icore spec/c/%s.c -o '%s' %s/librille.a -llmdb -lpthread")
    :format(name, path, BUILD))
  assert(status == 0, said)
  return process.run(("timeout 100 '%s' 1 2>&1"):format(path))
end

local function replaced(text, what, with)
  local from, to = text:find(what, 1, true)
  assert(from, "it is not in the file: " .. what)
  assert(not text:find(what, to, true), "it is in the file twice: " .. what)
  return text:sub(1, from - 1) .. with .. text:sub(to + 1)
end

describe("the exhaustive test of the step machine finds:", function()
  for _, fault in ipairs(FAULTS) do
    it(fault[1], function()
      if is_sanitized() then return pending "it is compiled without the sanitizer" end
      local path = scratch.file("steps.c", replaced(read "core/steps.c", fault[2], fault[3]))
      local said, status = run("steps_test", ("-I'%s'"):format(path:match "^(.*)/"))
      if fault.sound then return assert(status == 0, said) end
      assert(status ~= 0 and status ~= 124, "it was not found")
    end)
  end
end)

describe("a library built with -DRILLE_DEBUG", function()
  it("stops where the machine is told what it has not asked for", function()
    if is_sanitized() then return pending "it is compiled without the sanitizer" end
    local said, status = run("steps_test", "-DRILLE_DEBUG")
    assert(status ~= 0 and said:find "had not asked for", said)
  end)

  it("never stops the simulator", function()
    if is_sanitized() then return pending "it is compiled without the sanitizer" end
    local said, status = run("simulator_test", "-DRILLE_DEBUG core/steps.c")
    assert(status == 0, said)
  end)
end)
