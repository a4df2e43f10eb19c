-- reporting.lua: the word `report` of the command `rille`: what report.lua collects, as a page or as
-- JSON.

local meter = require "rille.meter"
local page = require "rille.page"
local report = require "rille.report"
local closing = require "rille.scope".closing
local rille = require "rille"
local screen = require "rille.screen"

local function write_file(path, text)
  local file, message = io.open(path, "wb")
  if not file then screen.fail("can't write " .. message) end
  local done
  done, message = file:write(text)
  local closed, why = file:close()
  if not done or not closed then screen.fail(("can't write %s: %s"):format(path, message or why)) end
end

---What a store's folder is called.
local function name_of(path) return path:match "([^/]+)/*$" or path end

---@param open fun(path: string, options: table?): rille.store, string?, string?, table?
---@param params_of fun(list: table): table
return function(commands, open, params_of)
  function commands.report(options)
    if #options.param > 0 and not options.reducer then screen.fail("--param is for --reducer: give it", 2) end
    local store, remark, _, damage = closing(open(options.store, { readonly = true })) -- which says these, too
    local progress = meter.new "event"
    local data = report.collect(store, { title = options.title or name_of(options.store), since = options.since,
      last = options.last, projection = options.projection, reducer = options.reducer,
      params = params_of(options.param), keys = options.key, remark = remark, damaged = damage ~= nil,
      progress = progress.tell })
    progress.clear()
    local text = options.json and assert(rille.json.encode(data)) .. "\n" or page.html(data)
    if options.output then
      write_file(options.output, text)
      screen.write(("wrote %s, %s\n"):format(screen.visible(options.output), screen.bytes(#text)))
    else
      screen.write(text)
    end
    for i, problem in ipairs(data.problems) do
      if i > 1 or not damage then screen.say(problem.part .. ": " .. problem.message) end
    end
    return #data.problems > 0 and 1 or 0
  end
end
