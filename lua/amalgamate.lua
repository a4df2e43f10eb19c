-- amalgamate.lua: the whole library as one C file, for hosts that take sources in.
--
--   lua5.4 lua/amalgamate.lua build/amalgamation core/*.c lua/*.c
--
-- writes rille.c, rille.h and rille_lua.h there. Nothing is listed by hand: each source brings
-- the headers that it includes, each once, in the order in which they are needed; what is shared
-- among the sources (INTERNAL) becomes static, so that the object file shows only what rille.h
-- and rille_lua.h declare. The sources of lua/ stand between #ifndef RILLE_NO_LUA and #endif.
--
-- In one file all names of file scope meet. Where a source's own name is also another's, or a
-- header's, it is written with its file's name before it: `enter` of table.c becomes
-- table_enter, or table__enter where that is taken. A source's own macros end with it. What
-- can't be solved so is an error: a name that two headers define.

local PUBLIC = { ["rille.h"] = true, ["rille_transaction.h"] = true, ["rille_lua.h"] = true }
local FOLDERS = { "core/", "lua/" }

local out = table.remove(arg, 1)
local sources = arg
table.sort(sources)
assert(#sources > 0, "usage: amalgamate.lua FOLDER FILE.c ...")

local function read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "a"
  file:close()
  return text
end

local function fail(...) error((...):format(select(2, ...)), 0) end

-- Tokens --------------------------------------------------------------------------

---A source as a list of { kind, text }; put together they are the source again. Kinds: "name",
---"punct" (one character), "blank" (comments too), "text" (strings, numbers), and "line" for the
---beginning of a line of the preprocessor, up to its word: "#define".
local function tokens(text)
  local list, at, fresh = {}, 1, true -- fresh: nothing but blanks since the line began
  local function take(kind, pattern)
    local _, last = text:find("^" .. pattern, at)
    if not last then return false end
    list[#list + 1] = { kind = kind, text = text:sub(at, last) }
    at = last + 1
    return true
  end
  local function string_or_character()
    local quote, last = text:sub(at, at), at + 1
    if quote ~= '"' and quote ~= "'" then return false end
    while text:sub(last, last) ~= quote do last = last + (text:sub(last, last) == "\\" and 2 or 1) end
    list[#list + 1] = { kind = "text", text = text:sub(at, last) }
    at = last + 1
    return true
  end
  while at <= #text do
    if take("blank", "\n[ \n]*") then fresh = true
    elseif take("blank", "[ ]+") or take("blank", "/%*.-%*/") or take("blank", "//[^\n]*") then goto continue
    elseif fresh and take("line", "# *%a+") then fresh = false
    else
      fresh = false
      if not (take("name", "[%a_][%w_]*") or take("text", "%.?%d[%w_.]*") or string_or_character()
        or take("punct", "%->") or take("punct", ".")) then
        fail "a character that is no C"
      end
    end
    ::continue::
  end
  return list
end

-- Names of file scope -------------------------------------------------------------

---The next token after `i` that is no blank; nil at the end.
local function after(list, i)
  repeat i = i + 1 until not list[i] or list[i].kind ~= "blank"
  return list[i] and i
end

local function before(list, i)
  repeat i = i - 1 until not list[i] or list[i].kind ~= "blank"
  return list[i]
end

---Cuts lines of the preprocessor out: calls define(name) for each macro; returns the rest.
local function without_lines(list, define)
  local rest, i = {}, 1
  while i <= #list do
    if list[i].kind == "line" then
      if list[i].text:find "define" then define(list[after(list, i)].text) end
      repeat -- to the end of the line, of which a backslash is none
        i = i + 1
        local ends = list[i] and list[i].kind == "blank" and list[i].text:find "^\n"
        local continued = ends and list[i - 1].text == "\\"
      until not list[i] or (ends and not continued)
    else
      if list[i].kind ~= "blank" then rest[#rest + 1] = list[i] end
      i = i + 1
    end
  end
  return rest
end

local OPEN = { ["{"] = "}", ["("] = ")", ["["] = "]" }
local AGGREGATE = { struct = true, union = true, enum = true }

---Index of what closes the bracket at i.
local function closing(list, i)
  local depth, open, close = 0, list[i].text, OPEN[list[i].text]
  for k = i, #list do
    if list[k].text == open then depth = depth + 1
    elseif list[k].text == close then depth = depth - 1 end
    if depth == 0 then return k end
  end
  fail("a %s is not closed", open)
end

---The names that the declaration from first to last introduces, as found(name, static).
local function declared(list, first, last, found)
  local static, i = false, first
  while i <= last do
    local text, next_text = list[i].text, list[i + 1] and list[i + 1].text
    if text == "static" then static = true end
    if AGGREGATE[text] then
      local body = i + (list[i + 1].kind == "name" and 2 or 1)
      if list[body] and list[body].text == "{" then
        if body == i + 2 then found(next_text, true, "tag") end
        if text == "enum" then
          for k = body, closing(list, body) do
            if (list[k].text == "{" or list[k].text == ",") and list[k + 1].kind == "name" then
              found(list[k + 1].text, true, "constant")
            end
          end
        end
        i = closing(list, body)
      else
        i = i + 1 -- its tag is no declarator
      end
    elseif list[i].kind == "name" and (next_text == "(" or next_text == "[" or next_text == "=" or next_text == ";"
      or next_text == ",") and text ~= "__attribute__" and text ~= "_Alignas" then
      if next_text == "(" and list[i + 2].text == "*" then text = list[i + 3].text end -- int (*name)(...)
      found(text, static, "object")
      if next_text == "(" then return end
    elseif text == "=" then -- an initializer is no declaration
      repeat i = OPEN[list[i].text] and closing(list, i) + 1 or i + 1
      until i > last or list[i].text == "," or list[i].text == ";"
    elseif OPEN[text] then i = closing(list, i) end
    i = i + 1
  end
end

---Calls found(name, static, kind) for each name of file scope, macros too.
local function file_scope(list, found)
  local rest = without_lines(list, function(name) found(name, true, "macro") end)
  local first, i = 1, 1
  while i <= #rest do
    local text = rest[i].text
    if text == "extern" and rest[i + 1].kind == "text" then i, first = i + 3, i + 3 -- extern "C" {
    elseif text == "}" then i, first = i + 1, i + 1                                 -- its end
    elseif text == ";" then
      declared(rest, first, i, found)
      i, first = i + 1, i + 1
    elseif text == "{" and rest[i - 1].text == ")" then -- a function
      declared(rest, first, i - 1, found)
      i = closing(rest, i) + 1
      first = i
    elseif OPEN[text] then i = closing(rest, i) + 1
    else i = i + 1 end
  end
end

-- Renaming ------------------------------------------------------------------------

---For each place whether it is within the braces of a struct or union: what is declared there
---are members.
local function member_places(list)
  local inside, i = {}, 1
  while i <= #list do
    if list[i].text == "struct" or list[i].text == "union" then
      local body = after(list, i)
      if body and list[body].kind == "name" then body = after(list, body) end
      if body and list[body].text == "{" then
        for k = body, closing(list, body) do inside[k] = true end
      end
    end
    i = i + 1
  end
  return inside
end

---Changes names as `names` says, where tags are "struct NAME". Members keep theirs, which begin
---with "." or "->".
local function rename(list, names)
  local inside = member_places(list)
  for i, token in ipairs(list) do
    local previous = token.kind == "name" and (before(list, i) or token)
    if previous and AGGREGATE[previous.text] then
      token.text = names["struct " .. token.text] or token.text
    elseif previous and previous.text ~= "." and previous.text ~= "->"
      and (not inside[i] or token.text:find "^%u") then
      token.text = names[token.text] or token.text
    end
  end
end

-- The sources and their headers ---------------------------------------------------

local headers, header_names, everything = {}, {}, {}

---The path of what is included as `name` from `path`.
local function find_header(path, name)
  local folder = path:match "^(.*/)"
  local beside = (folder .. name):gsub("[%w_]+/%.%./", "")
  if read(beside) then return beside end
  for _, other in ipairs(FOLDERS) do
    if read(other .. name) then return other .. name end
  end
  fail("%s includes %s, which is not there", path, name)
end

---Each include of ours in a text: calls each(path of the header).
local function includes(path, text, each)
  for name in text:gmatch '\n#include "([^"]+)"' do each(find_header(path, name)) end
end

---Tags have a name space of their own.
local function place_of(name, kind) return kind == "tag" and "struct " .. name or name end

local function know_header(path)
  if headers[path] then return end
  local text = read(path)
  headers[path] = text
  file_scope(tokens(text), function(name, _, kind)
    local place = place_of(name, kind)
    local other = header_names[place]
    if other and other ~= path and name ~= "_GNU_SOURCE" then
      fail("%s and %s both define %s", other, path, name)
    end
    header_names[place] = path
  end)
  includes(path, text, know_header)
end

local units, owners = {}, {}

local function know_source(path)
  local text = "\n" .. read(path)
  local unit = { path = path, list = tokens(text), own = {}, macros = {} }
  includes(path, text, know_header)
  for _, token in ipairs(unit.list) do
    if token.kind == "name" then everything[token.text] = true end
  end
  file_scope(unit.list, function(name, static, kind)
    if kind == "macro" and not name:find "^_" then unit.macros[#unit.macros + 1] = name end
    unit.own[place_of(name, kind)] = { name = name, kind = static and kind or "public" }
  end)
  for place in pairs(unit.own) do owners[place] = (owners[place] or 0) + 1 end
  units[#units + 1] = unit
end

local function new_name(unit, name)
  local stem = unit.path:match "([%w_]+)%.c$"
  for _, between in ipairs { "_", "__", "___" } do
    local new = (name:find "^%u" and stem:upper() or stem) .. between .. name
    if not everything[new] and not header_names[new] then
      everything[new] = true
      return new
    end
  end
  fail("there is no name left for %s of %s", name, unit.path)
end

local function solve(unit)
  local names = {}
  for place, own in pairs(unit.own) do
    local shared = own.kind ~= "macro" and owners[place] > 1
    if own.kind ~= "public" and (shared or header_names[place]) then names[place] = new_name(unit, own.name) end
  end
  rename(unit.list, names)
  for i, name in ipairs(unit.macros) do unit.macros[i] = names[name] or name end
end

-- Writing -------------------------------------------------------------------------

local written, lines = {}, {}
local function write(...) lines[#lines + 1] = (...):format(select(2, ...)) end

local put

---A text, with each include of ours replaced by the header, the first time that it is needed.
---Within an #if a header may be left out, so that it is not taken for written; its own guard
---keeps it from being there twice.
local function put_text(path, text)
  local depth = path:find "%.h$" and -1 or 0 -- a header's guard is no condition
  for line in text:gmatch "([^\n]*)\n" do
    local name = line:match '^#include "([^"]+)"'
    if line:find "^# *if" then depth = depth + 1 elseif line:find "^# *endif" then depth = depth - 1 end
    if not name then lines[#lines + 1] = line
    elseif PUBLIC[name:match "[^/]+$"] then
      if name:find "rille_lua" then lines[#lines + 1] = '#include "rille_lua.h"' end
    else
      put(find_header(path, name), depth > 0)
    end
  end
end

function put(path, conditional)
  if written[path] then return end
  if not conditional then written[path] = true end
  local text = assert(headers[path], path)
  if not text:find "\n#ifndef RILLE_[%w_]+_H\n" and written["." .. path] then
    fail("%s has no guard, and is included twice", path)
  end
  written["." .. path] = true
  write("\n/* ==== %s ==== */\n", path)
  put_text(path, text)
end

local function put_unit(unit)
  local parts = {}
  for i, token in ipairs(unit.list) do parts[i] = token.text end
  write("\n/* ==== %s ==== */", unit.path)
  put_text(unit.path, table.concat(parts))
  for _, name in ipairs(unit.macros) do write("#undef %s", name) end
end

local function save(name, text)
  local file = assert(io.open(out .. "/" .. name, "wb"))
  assert(file:write(text))
  assert(file:close())
end

local HEAD = [[
/* rille.c: rille %s as one file, made of its sources by `make amalgamation`; do not edit.
**
**   cc -O2 -c rille.c                    with Lua's headers and LMDB's at hand
**   cc -O2 -DRILLE_NO_LUA -c rille.c     the C side alone, without Lua
**
** Link with -llmdb -lpthread, and with Lua where it is in. rille.h is the manual.
**
%s*/
#ifndef INTERNAL
#define INTERNAL static
#endif
#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wunused-function" /* what only tests call */
#if !defined(__clang__) /* what a call that fails leaves unset, and then nobody reads */
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "rille.h"
]]

---The licence, as lines of a comment.
local function licence()
  return (read "LICENSE":gsub("\n$", ""):gsub("[^\n]*", "** %0"):gsub(" +\n", "\n") .. "\n"):gsub("%*%* \n", "**\n")
end

---rille.h with rille_transaction.h in its place.
local function whole_header()
  local part = read "core/rille_transaction.h":gsub('#include "rille.h"\n', "")
  local text, count = read "core/rille.h":gsub('#include "rille_transaction.h"\n', function() return part end)
  assert(count == 1, "rille.h does not include rille_transaction.h")
  return text
end

for _, path in ipairs(sources) do know_source(path) end
for _, unit in ipairs(units) do solve(unit) end
write(HEAD, read "core/rille.h":match '#define RILLE_VERSION "([^"]+)"', licence())
for _, unit in ipairs(units) do
  if unit.path:find "^core/" then put_unit(unit) end
end
write "\n#ifndef RILLE_NO_LUA"
for _, unit in ipairs(units) do
  if not unit.path:find "^core/" then put_unit(unit) end
end
write "#endif\n"
save("rille.c", table.concat(lines, "\n"))
save("rille.h", whole_header())
save("rille_lua.h", read "lua/rille_lua.h")
