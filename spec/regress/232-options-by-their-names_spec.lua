-- Options that were not of their type: some messages named an argument that nobody gave ("#-1", "#6")
-- or a line of rille's own, and `dry_run`, and `data` and `ids` of a redaction, took any value for a
-- yes or a no, so that `data = 0` took the content for good.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local raised, contains = stores.raised, stores.contains

local HERE = "232-options-by-their-names_spec.lua:"

local function refused(message, ...)
  local told = raised(...)
  contains(told, HERE)
  contains(told, message)
end

it("an option that is wrong is named, at the caller's line", function()
  local store, path = stores.new()
  assert(store:append("a", { type = "A", data = 1, id = "one" }))
  for _, value in ipairs { 0, "false", {} } do
    local kind = type(value)
    refused("dry_run must be a boolean, not " .. kind, function() local _ = store:scavenge { dry_run = value } end)
    for _, name in ipairs { "data", "ids" } do
      refused(name .. " must be a boolean, not " .. kind, function() local _ = store:redact(1, { [name] = value }) end)
    end
    if kind ~= "table" then
      refused("item 1 of the query must be a table, not " .. kind, function() local _ = store:all { value } end)
      refused("item 2 of the query must be a table, not " .. kind,
        function() local _ = store:append("a", {}, { unless = { { types = { "B" } }, value } }) end)
    end
    for _, name in ipairs { "load", "clock", "on_indoubt" } do
      refused(name .. " must be a function, not " .. kind,
        function() local _ = rille.open(path, { [name] = value }) end)
    end
  end
  refused("options must be a table", function() local _ = store:verify(true) end)
  refused("unknown option 'depe' (did you mean 'deep'?)", function() local _ = store:verify { depe = true } end)
  local event = store:all()()
  assert.same({ 1, "one" }, { event.data, event.id })
  store:close()
  scratch.remove(path)
end)
