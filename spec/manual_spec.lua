-- manual_spec.lua: the manual page is made of the tables of today, and man shows it.
local process = require "spec.support.process"
require "rille"
local manual = require "rille.manual"
local words = require "rille.words"

local PAGE = "docs/rille.1"

local function has(tool) return process.run("command -v " .. tool .. " >/dev/null && echo yes") == "yes\n" end

---What man shows, its messages too; blanks made one, for it fills lines with them.
local function shown(columns)
  local text = process.run(("MANWIDTH=%d LC_ALL=C.UTF-8 man --warnings=w -l %s | col -bx")
    :format(columns, PAGE))
  return (text:gsub(" +", " "))
end

describe("the manual page", function()
  it("is up to date", function()
    local file = assert(io.open(PAGE, "rb"))
    local text = file:read "a"
    file:close()
    assert(text == manual(), PAGE .. " is old: run make man")
  end)

  it("is shown by man without a warning, at any width", function()
    if not (has "man" and has "col") then return pending "man or col is not here" end
    local text = shown(80)
    assert(not text:find "warning" and not text:find "<standard input>", text)
    for _, word in ipairs(words.list) do
      local head = ("\n %s\n rille %s "):format(word.name, word.name)
      assert(text:find(head, 1, true), word.name .. "\n" .. text)
      for _, option in ipairs(word.options or {}) do
        for _, name in ipairs(words.names_of(option)) do assert(text:find(name, 1, true), name) end
      end
    end
    assert(text:find([[--type Paid --data '{"amount":5}']], 1, true), text)
    assert(text:find("`rille import`", 1, true), text)
    assert(not shown(40):find "warning")
  end)
end)
