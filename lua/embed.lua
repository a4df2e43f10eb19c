-- embed.lua: prints scripts.h: the Lua half of rille as C strings.
--   lua5.4 lua/embed.lua lua/rille/*.lua lua/report/* > lua/scripts.h        named rille.NAME
--   lua5.4 lua/embed.lua lua/postgres/*.lua > lua/postgres/scripts.h   postgres.NAME
--
-- What is no Lua becomes a script that returns it: lua/report/page.css is rille.page_css.

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\t"] = "\\t" }
local FOLDER = { report = "rille" } -- whose files are modules of another name

local function quoted(line)
  return '"' .. line:gsub('["\\\n\t]', ESCAPES):gsub("%?%?", "?\\?") .. '"'
end

---The name of a module, and its text.
local function module_of(path, text)
  local folder, name, kind = path:match "([%w_]+)/([%w_]+)%.(%w+)$"
  folder = FOLDER[folder] or folder
  if kind == "lua" then return folder .. "." .. name, text end
  local level = "="
  while text:find("]" .. level .. "]", 1, true) do level = level .. "=" end
  return ("%s.%s_%s"):format(folder, name, kind), ("return [%s[\n%s]%s]\n"):format(level, text, level)
end

local names = {}
for i, path in ipairs(arg) do names[i] = path end
table.sort(names)
print(("/* scripts.h: made by embed.lua from %s; do not edit. */"):format(names[#names]:match "^(.*)/"))
print "static const struct {\n  const char *name, *text;\n  size_t length;\n} scripts[] = {"
for _, path in ipairs(names) do
  local file = assert(io.open(path, "rb"))
  local name, text = module_of(path, file:read "a")
  file:close()
  print(('    {"%s",'):format(name))
  for line in text:gmatch "[^\n]*\n?" do
    if line ~= "" then print("     " .. quoted(line)) end
  end
  print(("     , %d},"):format(#text))
end
print "};"
