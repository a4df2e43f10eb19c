-- proof_spec.lua: the failure matrix of docs/transactions-proof.md names tests that there are.
--
-- A row's last cell says `file: "name", ...`, or names a file alone where all of it is meant. The
-- names of the model's runs are their options.
local process = require "spec.support.process"

local FILES = { -- as the matrix calls them
  spin = "spec/model/runs.txt",
  locks = "spec/locks_spec.lua",
  held = "spec/held_spec.lua",
  simulator = "spec/c/simulator_test.c",
  crash = "spec/crash_spec.lua",
  transaction = "spec/transaction_spec.lua",
  policy_fuzz = "spec/policy_fuzz_spec.lua",
  postgres = "spec/postgres_spec.lua",
  database = "spec/postgres_recovery_spec.lua",
  settings = "spec/postgres_settings_spec.lua",
  stall = "spec/postgres_stall_spec.lua",
  beyond = "spec/regress/361-beyond-its-transaction_spec.lua",
  home = "spec/lost_home_spec.lua",
  steps_of_core = "spec/c/transaction_test.c",
}

local function read(path)
  local file = io.open(path, "rb")
  if not file then return end
  local text = file:read "a"
  file:close()
  return text
end

-- Rows as { failure, cell }.
local function rows()
  local list = {}
  local matrix = read "docs/transactions-proof.md":match "\n## The failure matrix.*"
  for line in matrix:gmatch "[^\n]+" do
    local failure, cell = line:match "^| (.-) |.*| ([^|]+) |$"
    if failure and failure ~= "failure" then list[#list + 1] = { failure = failure, cell = cell } end
  end
  return list
end

-- What a cell names: { file, name or nil }.
local function tests_of(cell)
  local list = {}
  for part in (cell .. "; "):gmatch "(.-); " do
    local file, names = part:match "^([%l_]+): (.+)$"
    if not file then
      list[#list + 1] = { file = part }
    else
      for _, name in names:gmatch "([\"`])(.-)%1" do list[#list + 1] = { file = file, name = name } end
    end
  end
  return list
end

---Whether a spec has a test of that name; of the runs, one with those options.
local function has(file, text, name)
  if file == "spin" then return (text .. "\n"):find("  " .. name .. "\n", 1, true) end
  if file == "locks" then return text:find('"' .. name .. '"', 1, true) end
  return text:find(name, 1, true)
end

describe("the failure matrix", function()
  local list = rows()
  local absent = {}

  it("has its rows", function() assert(#list > 40, #list .. " rows") end)

  for number, row in ipairs(list) do
    it(("names tests for row %d, %s"):format(number, row.failure), function()
      local tests = tests_of(row.cell)
      assert(#tests > 0, "it names none: " .. row.cell)
      for _, test in ipairs(tests) do
        local path = assert(FILES[test.file], test.file .. " is no file of tests")
        local text = read(path)
        if not text then
          absent[path] = true
        else
          assert(not test.name or has(test.file, text, test.name), ("%s has no test %q"):format(path, test.name or ""))
        end
      end
    end)
  end

  it("names files that are there", function()
    local paths = {}
    for path in pairs(absent) do paths[#paths + 1] = path end
    table.sort(paths)
    assert(#paths == 0, "not there: " .. table.concat(paths, ", "))
  end)

  it("has each mutant of the model", function()
    local text = read "docs/transactions-proof.md"
    for line in io.lines(FILES.spin) do
      local mutant = line:match "^%w+ +I%d+ .*%-D(M_[%u_]+)"
      if mutant then assert(text:find("-D" .. mutant .. "`", 1, true), mutant .. " is in no row") end
    end
  end)

  it("links to pages that are there", function()
    for path in read "docs/transactions-proof.md":gmatch "%]%(([^)#]+)%)" do
      assert(select(2, process.run("test -e 'docs/" .. path .. "'")) == 0, path .. " is not there")
    end
  end)
end)
