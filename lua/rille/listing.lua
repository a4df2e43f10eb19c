-- listing.lua: events as lines, for `rille cat` and `rille tail`: a table on a
-- terminal, one JSON object an event elsewhere.

local rille = require "rille"
local event = require "rille.event"
local screen = require "rille.screen"

local COLUMNS = { { "position", right = true }, { "time", drop = 1 }, { "stream", most = 30 },
  { "version", right = true, drop = 2 }, { "type", most = 24 }, { "data" } }

local function row(e)
  local data = e.data == nil and "" or rille.json.encode(e.data)
  return { tostring(e.position), os.date("%Y-%m-%d %H:%M:%S", math.floor(e.time)), e.stream,
           tostring(e.version), e.type, data }
end

---@param options { json: boolean? }
---@return fun(e: table?) show  takes events one by one; without one, shows what it still holds
local function listing(options)
  if options.json or not screen.is_terminal() then
    return function(e)
      if e then screen.json(event.exported(e)) end
    end
  end
  local add = screen.table(COLUMNS)
  return function(e) add(e and row(e)) end
end

return listing
