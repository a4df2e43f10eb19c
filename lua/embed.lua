-- embed.lua: prints scripts.h: the Lua half of rille as C strings.
--   lua5.4 lua/embed.lua lua/rille/*.lua > lua/scripts.h        named rille.NAME
--   lua5.4 lua/embed.lua lua/postgres/*.lua > lua/postgres/scripts.h   postgres.NAME

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\t"] = "\\t" }

local function quoted(line)
  return '"' .. line:gsub('["\\\n\t]', ESCAPES):gsub("%?%?", "?\\?") .. '"'
end

local names = {}
for i, path in ipairs(arg) do names[i] = path end
table.sort(names)
print(("/* scripts.h: made by embed.lua from %s; do not edit. */"):format(names[1]:match "^(.*)/"))
print "static const struct {\n  const char *name, *text;\n  size_t length;\n} scripts[] = {"
for _, path in ipairs(names) do
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  print(('    {"%s.%s",'):format(path:match "([%w_]+)/([%w_]+)%.lua$"))
  for line in text:gmatch "[^\n]*\n?" do
    if line ~= "" then print("     " .. quoted(line)) end
  end
  print(("     , %d},"):format(#text))
end
print "};"
