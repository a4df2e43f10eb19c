-- pages.lua: makes the pages of the API from the source, which is the manual.
--
--   lua5.4 docs/pages.lua lua > docs/api-lua.md       from lua/meta/rille.lua
--   lua5.4 docs/pages.lua c   > docs/api-c.md         from core/rille.h, rille_transaction.h
--
-- `make docs` does both; spec/meta_spec.lua compares.

local function lines_of(path)
  local lines = {}
  for line in io.lines(path) do lines[#lines + 1] = line end
  return lines
end

local out = {}
local function add(format, ...) out[#out + 1] = select("#", ...) > 0 and format:format(...) or format end

---In a cell of a table a bar would end it.
local function cell(text) return (text:gsub("|", "\\|")) end

-- Lua -------------------------------------------------------------------------------------

---A type at the beginning of a text, and what follows: types may have spaces within brackets, and around bars.
local function split_type(text)
  local depth, i = 0, 1
  while i <= #text do
    local c = text:sub(i, i)
    if c:find "[%(%{<]" then depth = depth + 1 elseif c:find "[%)%}>]" then depth = depth - 1 end
    if c == " " and depth == 0 and not text:sub(1, i - 1):find "[:,]$" then break end
    i = i + 1
  end
  return text:sub(1, i - 1), text:sub(i + 1)
end

local function short(type) return (type:gsub("rille%.(%u)", "%1")) end

---What stands between two declarations: { text = {}, fields = {}, params = {}, returns = {} }.
local function new_block() return { text = {}, fields = {}, params = {}, returns = {} } end

local function read_line(block, line)
  local tag, rest = line:match "^%-%-%-@(%w+) ?(.*)$"
  if tag == "class" or tag == "alias" then
    block[tag] = rest
  elseif tag == "field" or tag == "param" then
    local name, after = rest:match "^(%S+) (.*)$"
    local kind, text = split_type(after)
    local list = tag == "field" and block.fields or block.params
    list[#list + 1] = { name = name, type = kind, text = text }
  elseif tag == "return" then
    local kind, text = split_type(rest)
    block.returns[#block.returns + 1] = { type = kind, text = text }
  elseif line:find "^%-%-%-|" then
    local name, text = line:match '^%-%-%-| "(%w+)" ?(.*)$'
    block.fields[#block.fields + 1] = { name = name, type = "", text = text }
  elseif not tag then
    block.text[#block.text + 1] = line:match "^%-%-%-(.*)$"
  end
end

local function add_table(rows)
  if #rows == 0 then return end
  add "| | | |\n|---|---|---|"
  for _, row in ipairs(rows) do
    add("| `%s` | %s | %s |", row.name, row.type ~= "" and "`" .. cell(short(row.type)) .. "`" or "", cell(row.text))
  end
  add ""
end

local function add_text(block)
  if #block.text > 0 then add("%s\n", (table.concat(block.text, "\n"):gsub("\n\n+", "\n\n"))) end
end

local function add_class(block)
  local name, parent = block.class:match "^([%w.]+):? ?(.*)$"
  if #block.fields == 0 and #block.text == 0 then return end
  add("### %s\n", short(name))
  add_text(block)
  if parent:find "^rille" then add("All of %s, and:\n", short(parent)) end
  add_table(block.fields)
end

---"store:append(stream, events, options)"
local function call_of(name, arguments)
  local object, dot, method = name:match "^(%w+)([.:])(%w+)$"
  if object == "json" then object = "rille.json" end
  return object:sub(1, 1):lower() .. object:sub(2) .. dot .. method .. "(" .. arguments .. ")"
end

local function add_function(block, name, arguments)
  add("### %s\n", call_of(name, arguments))
  add_text(block)
  add_table(block.params)
  local returns = {}
  for i, value in ipairs(block.returns) do
    local what, text = value.text:match "^(%w*) ?(.*)$"
    returns[i] = ("`%s`%s%s"):format(
      short(value.type), what ~= "" and " " .. what or "", text ~= "" and ": " .. text or "")
  end
  if #returns > 0 then add("Returns %s.\n", table.concat(returns, ", ")) end
end

local function lua_page()
  add "# The API in Lua\n\n<!-- made by docs/pages.lua from lua/meta/rille.lua -->\n"
  add "What each function takes and gives, as editors show it. [lua.md](lua.md) tells what it means.\n"
  local block = new_block()
  for _, line in ipairs(lines_of "lua/meta/rille.lua") do
    local heading = line:match "^%-%- (.-) %-%-%-+$"
    local name, arguments = line:match "^function ([%w.:]+)%((.-)%) end$"
    if line:find "^%-%-%-" and not line:find "^%-%-%-@meta" then
      read_line(block, line)
    elseif heading then
      add("## %s\n", heading)
    elseif name then
      add_function(block, name, arguments)
      block = new_block()
    elseif block.class then
      add_class(block)
      block = new_block()
    elseif block.alias and #block.fields > 0 then
      add("### %s\n", short(block.alias))
      add_table(block.fields)
      block = new_block()
    elseif line == "" then
      block = new_block()
    end
  end
end

-- C -----------------------------------------------------------------------------------------

---The text of a comment, without its stars.
local function plain(comment)
  return (comment:gsub("^/%*%s?", ""):gsub("%s*%*/$", ""):gsub("\n%*%* ?", "\n"))
end

---A paragraph of a header: a comment, then declarations; or one of both.
local function add_paragraph(paragraph)
  local comment, code = paragraph:match "^(/%*.-%*/)\n?(.*)$"
  if not comment or comment:find "/%*.*%*/.*%*/" then comment, code = nil, paragraph end
  local heading = comment and comment:match "^/%* %-%-%-%- (.-) %-*"
  if heading then return add("## %s\n", heading) end
  local name = code:match "(rille_[%w_]+)%(" or code:match "^typedef struct (rille_[%w_]+)"
  if name then add("### %s\n", name) end
  if comment then add("%s\n", plain(comment)) end
  if code ~= "" then add("```c\n%s\n```\n", (code:gsub("RILLE_API ", ""))) end
end

local function c_header(path)
  local text = table.concat(lines_of(path), "\n")
  local story = plain(text:match "^(/%*.-%*/)")
  add("# %s\n", path)
  add("%s\n", (story:gsub("\n  (%S)", "\n%1"):gsub("\n(%u[%u ]+)\n", "\n**%1**\n\n")))
  local body = text:match "(\n/%* %-%-%-%- .*)" or ""
  body = body:gsub("\n#ifdef __cplusplus.-#endif", ""):gsub("\n#endif\n?$", "")
  for paragraph in (body .. "\n\n"):gmatch "\n*(.-)\n\n" do
    if paragraph ~= "" then add_paragraph(paragraph) end
  end
end

local function c_page()
  add "<!-- made by docs/pages.lua from the headers, which are the manual -->\n"
  c_header "core/rille.h"
  c_header "core/rille_transaction.h"
end

local pages = { lua = lua_page, c = c_page }
local page = pages[arg[1]]
if not page then
  io.stderr:write "usage: lua5.4 docs/pages.lua lua|c\n"
  os.exit(2)
end
page()
print((table.concat(out, "\n"):gsub("\n\n\n+", "\n\n")))
