-- meta_spec.lua: what editors are told (lua/meta/rille.lua) is what the module has: each function,
-- each method, each option, and nothing else.
local rille = require "rille"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local read = scratch.read

local LUA = os.getenv "RILLE_LUA" or "lua5.4"
local META = "lua/meta/rille.lua"

---The annotations: { functions = { ["Store:append"] = { "stream", ... } }, fields = { class = { name = true } } }.
local function parse(text)
  local meta, class, parameters = { functions = {}, fields = {}, documented = {} }, nil, {}
  for line in text:gmatch "[^\n]*" do
    local name, parent = line:match "^%-%-%-@class ([%w.]+):? ?([%w.]*)"
    local field = line:match "^%-%-%-@field ([%w_]+)"
    local parameter = line:match "^%-%-%-@param ([%w.]+)"
    local called, arguments = line:match "^function ([%w.:]+)%((.-)%) end$"
    if name then
      class, meta.fields[name] = name, {}
      for inherited in pairs(meta.fields[parent] or {}) do meta.fields[name][inherited] = true end
    elseif field then
      meta.fields[class][field] = true
    elseif parameter then
      parameters[#parameters + 1] = parameter
    elseif called then
      meta.functions[called], meta.documented[called] = arguments, table.concat(parameters, ", ")
      parameters = {}
    end
  end
  return meta
end

local meta = parse(read(META))

local function sorted(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return list
end

---The functions of a prefix, "Store:", without it.
local function functions_of(prefix)
  local set = {}
  for name in pairs(meta.functions) do
    if name:sub(1, #prefix) == prefix then set[name:sub(#prefix + 1)] = true end
  end
  return sorted(set)
end

---The methods of a handle that are for users; the others are for rille's own files.
local function methods(handle, own)
  local set = {}
  for name, value in pairs(debug.getmetatable(handle).__index) do
    if type(value) == "function" and not name:find "^__" then set[name] = true end
  end
  for _, name in ipairs(own or {}) do
    assert(set[name], name .. " is no method any more")
    set[name] = nil
  end
  return sorted(set)
end

-- Options, as the sources list them -------------------------------------------------------

---The names in `static const char *const NAME[] = { "a", "b", NULL }`.
local function names_in_c(path, name)
  local list = assert(read(path):match("%*const " .. name .. "%[%] = {(.-)NULL}"), path .. ": " .. name)
  local set = {}
  for word in list:gmatch '"([%w_]+)"' do set[word] = true end
  return sorted(set)
end

---The names in `local NAME = { a = true, b = true }`.
local function names_in_lua(path, name)
  local list = assert(read(path):match("local " .. name .. " = {(.-)}"), path .. ": " .. name)
  local set = {}
  for word in list:gmatch "([%w_]+) = true" do set[word] = true end
  return sorted(set)
end

local function fields(class) return sorted(meta.fields["rille." .. class]) end

describe("lua/meta/rille.lua", function()
  local store

  before_each(function() store = assert(rille.open(scratch.path())) end)
  after_each(function() store:close() end)

  it("has the functions of the module", function()
    local set = {}
    for name, value in pairs(rille) do
      if type(value) == "function" then set[name] = true else assert(meta.fields.rille[name], name) end
    end
    assert.same(sorted(set), functions_of "rille.")
    for name in pairs(meta.fields.rille) do assert(rille[name] ~= nil, name) end
    assert.same(sorted(rille.json), functions_of "json.")
  end)

  it("has the methods of each handle", function()
    local reducer = scratch.file("r.lua", "return { initial = 0, on = { A = function(s) return s + 1 end } }")
    local reactor = scratch.file("w.lua", "return { on = { A = function() end } }")
    local coordinator = assert(rille.coordinator(store, { name = "spec" }))
    local tx = assert(coordinator:begin {})
    assert.same(methods(store), functions_of "Store:")
    assert.same(methods(assert(store:projection("p", reducer)), { "past", "run", "together" }),
      functions_of "Projection:")
    assert.same(methods(assert(store:processor("w", reactor)), { "provide" }), functions_of "Processor:")
    assert.same(methods(coordinator, { "advance", "run", "watch" }), functions_of "Coordinator:")
    assert.same(methods(tx, { "is_late", "named" }), functions_of "Transaction:")
    tx:close()
    coordinator:close()
  end)

  it("has each option, and no other", function()
    local several = names_in_c("lua/lappend.c", "several_fields")
    assert.same(names_in_c("lua/lstore.c", "open_options"), fields "OpenOptions")
    assert.same(names_in_c("lua/lappend.c", "append_options"), fields "AppendOptions")
    assert.same(names_in_c("lua/lappend.c", "part_fields"), fields "Part")
    assert.same(names_in_c("lua/lappend.c", "event_fields"), fields "NewEvent")
    assert.same(several, fields "Several")
    assert.same(names_in_c("lua/lquery.c", "item_fields"), fields "Item")
    assert.same(names_in_c("lua/lquery.c", "all_fields"), fields "Query")
    assert.same(names_in_c("lua/lquery.c", "read_fields"), fields "ReadOptions")
    assert.same(names_in_lua("lua/rille/reducer.lua", "OPTIONS"), fields "FoldOptions")
    assert.same(names_in_lua("lua/rille/projection.lua", "OPTIONS"), fields "ProjectionOptions")
    assert.same(names_in_lua("lua/rille/processor.lua", "OPTIONS"), fields "ProcessorOptions")
    assert.same(names_in_lua("lua/rille/decider.lua", "OPTIONS"), fields "DecideOptions")
    assert.same(names_in_lua("lua/rille/coordinator.lua", "OPTIONS"), fields "CoordinatorOptions")
  end)

  it("tells the parameters of each function, in their order", function()
    for name, arguments in pairs(meta.functions) do assert.equal(arguments, meta.documented[name], name) end
  end)

  it("makes the pages of the API, with core/rille.h", function()
    for page, path in pairs { lua = "docs/api-lua.md", c = "docs/api-c.md" } do
      local text, status = process.run(("'%s' docs/pages.lua %s"):format(LUA, page))
      assert.equal(0, status, text)
      assert(text == read(path), path .. " is not what the source says: make docs")
    end
  end)

  it("is Lua, and does nothing when it is run", function()
    local chunk = assert(load(read(META), "@" .. META, "t", {}))
    assert.equal("table", type(chunk()))
  end)
end)
