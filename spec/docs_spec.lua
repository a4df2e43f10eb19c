-- docs_spec.lua: what docs/ shows runs, and prints what is shown.
--
-- In a page's ```lua blocks a first line `-- name.lua` names a file. Where a ```text block follows, the
-- block is a program, which is run, and prints that text; else it is a script that the next ones
-- use. ```sh blocks are typed. All of a page happens in one folder, from top to bottom, if the page has
-- such a program; the commands of other pages are words about stores that are not there.
local place = require "spec.support.place"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"

local LUA = os.getenv "RILLE_LUA" or "lua5.4"
local read = scratch.read

---The blocks of a page, in order: { kind = "lua", text =, name =, output = what is shown below it }.
local function blocks(page)
  local list, kind, lines, between = {}, nil, nil, false
  for line in page:gmatch "[^\n]*" do
    local fence = line:match "^```(%l*)$"
    if fence and not kind then
      kind, lines = fence, {}
    elseif fence then
      local text, last = table.concat(lines, "\n") .. "\n", list[#list]
      if kind == "text" and last and not between then
        last.output = text
      else
        list[#list + 1] = { kind = kind, text = text, name = text:match "^%-%- ([%w_]+%.lua)\n" }
      end
      kind, between = nil, false
    elseif kind then
      lines[#lines + 1] = line
    else
      between = between or line ~= ""
    end
  end
  return list
end

local function write(folder, name, text)
  local file = assert(io.open(folder .. "/" .. name, "w"))
  assert(file:write(text))
  file:close()
end

local function run_in(folder, command)
  return process.run_ours(("cd '%s' && LUA_CPATH='%s/?.so;;' PATH='%s/bin':\"$PATH\" && export LUA_CPATH PATH && %s")
    :format(folder, place.build, place.build, command))
end

local function play(list, exact)
  local folder, programs = scratch.path "docs", 0
  scratch.shell("mkdir '%s'", folder)
  for _, block in ipairs(list) do
    if block.kind == "lua" then write(folder, block.name or "program.lua", block.text) end
    if block.kind == "lua" and block.output then
      local printed, status = run_in(folder, ("exec '%s' %s"):format(LUA, block.name or "program.lua"))
      assert.same({ block.output, 0 }, { printed, status })
      programs = programs + 1
    elseif block.kind == "sh" then
      local printed, status = run_in(folder, "set -e\n" .. block.text:gsub("\n$", ""))
      assert.equal(0, status, block.text .. printed)
      if exact then assert.equal(block.output or printed, printed) end
      assert(#printed > 0, block.text)
    end
  end
  return programs
end

-- Pages that are one story, with the programs in each.
local STORIES = { ["docs/guide.md"] = 9, ["docs/operations.md"] = 0, ["docs/report.md"] = 1, ["docs/command.md"] = 0 }

-- Where ```text stands behind ```sh, it is what that prints.
local EXACT = { ["docs/command.md"] = true }

describe("a page that is one story", function()
  for path, programs in pairs(STORIES) do
    it("runs from top to bottom: " .. path, function()
      assert.equal(programs, play(blocks(read(path)), EXACT[path]))
    end)
  end
end)

describe("what is listed", function()
  local function set(text, pattern)
    local names = {}
    for name in text:gmatch(pattern) do names[name] = true end
    return names
  end

  it("each source file is in docs/design.md, in reading order", function()
    local design = read "docs/design.md"
    local named = set(design:match "\n## The source in reading order\n(.-)\n## ", "([%w_]+)%.[chl]")
    local list = process.run "ls core/*.[ch] lua/*.[ch] lua/rille/*.lua lua/postgres/*.c lua/postgres/*.lua"
    for path in list:gmatch "[^\n]+" do
      local name = path:match "([%w_]+)%.%w+$"
      local made = name == "scripts" or name == "checksum_table"
      assert(made or named[name], path .. " is in no row of docs/design.md, \"The source in reading order\"")
    end
  end)

  it("each code, and each option of rille.open, is in docs/lua.md", function()
    local page = read "docs/lua.md"
    local codes = set("· " .. page:match "\n## Codes\n\n(.+)$", "· (%l+)")
    for name in read "core/rille.h":gmatch 'X%(RILLE_%u+, %-%d+, "(%l+)"' do
      assert(codes[name] or name == "memory", name) -- which is raised
    end
    local options = {}
    for cell in page:match "\n## rille.open(.-)\n## ":gmatch "\n| ([%l_, ]+) |" do
      for name in cell:gmatch "[%l_]+" do options[name] = true end
    end
    local class = read "lua/meta/rille.lua":match "%-%-%-@class rille.OpenOptions\n(.-)\n\n"
    for name in class:gmatch "@field ([%l_]+)" do assert(options[name], name) end
  end)
end)

describe("the other pages", function()
  for path in process.run "ls docs/*.md":gmatch "[^\n]+" do
    local programs = {}
    for _, block in ipairs(STORIES[path] and {} or blocks(read(path))) do
      if block.kind == "lua" and block.output and block.text:find 'require "rille"' then
        programs[#programs + 1] = block
      end
    end
    if #programs > 0 then
      it("show programs that run: " .. path, function() assert.equal(#programs, play(programs)) end)
    end
  end

  it("link to what is there", function()
    for path in process.run "ls docs/*.md examples/*.md examples/*/*.md":gmatch "[^\n]+" do
      local folder = path:match "^(.*)/"
      for name in read(path):gmatch "%]%(([%w_./-]+)[%)#]" do
        assert(io.open(folder .. "/" .. name), path .. " links to " .. name .. ", which is not there"):close()
      end
    end
  end)
end)
