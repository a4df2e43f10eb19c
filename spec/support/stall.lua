-- stall.lua: a road to a PostgreSQL server that can be blocked behind any byte: see stall.c, which is compiled when it
-- is needed.
local postgres = require "spec.support.postgres"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"

local stall = {}

local COMPILE = "${CC:-cc} -std=c11 -D_DEFAULT_SOURCE -O1 -Wall -Wextra -Werror -o '%s' spec/support/stall.c"
local PORT = 1

local Road = {}
Road.__index = Road

---nil, message: there is no C compiler here.
function stall.road(server)
  local program = scratch.folder .. "/stall"
  local output, status = process.run(COMPILE:format(program))
  if status ~= 0 then return nil, "there is no C compiler here: " .. output end
  local socket = ("%s/.s.PGSQL.%d"):format(server.folder, PORT)
  local pipe = assert(io.popen(("unset LD_PRELOAD; exec '%s' '%s' '%s/.s.PGSQL.5432'"):format(program, socket,
    server.folder), "w"))
  local self = setmetatable({ server = server, pipe = pipe }, Road)
  postgres.eventually(function() return select(2, process.run(("test -S '%s'"):format(socket))) == 0 end)
  return self
end

---How to connect by this road.
function Road:conninfo() return self.server:conninfo("port=" .. PORT) end

function Road:tell(...)
  assert(self.pipe:write(table.concat({ ... }, " "), "\n"))
  assert(self.pipe:flush())
end

---Blocked behind the n-th byte from now on of that side.
---@param side "client"|"server"
---@param kind "hold"|"lose"|"cut"
function Road:block(side, n, kind) self:tell(side, n, kind) end

function Road:open() self:tell "open" end

---How many bytes have passed since the last order.
---@return integer client, integer server
function Road:count()
  local path = scratch.path "count"
  self:tell("count", path)
  return postgres.eventually(function()
    local file = io.open(path)
    local text = file and file:read "a" or ""
    if file then file:close() end
    local counts = table.pack(text:match "^(%d+) (%d+)\n")
    return counts[1] and { math.tointeger(counts[1]), math.tointeger(counts[2]) }
  end)
end

function Road:close() self.pipe:close() end

return stall
