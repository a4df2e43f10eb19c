-- modules.lua: what is a module of its own, because not everybody has what it needs.
--
-- rille.postgres is the function that `require "rille.postgres"` gives, loaded when it is
-- called for the first time; where it can't be, the answer says what to install.

local rille = require "rille"

local MISSING = "PostgreSQL needs the module rille.postgres, which %s: luarocks install rille-postgres, or, in "
  .. "rille's folder, make, with libpq and its headers (Debian: apt-get install libpq-dev; macOS: brew install libpq)"

---Why it can't be loaded, in one line.
local function reason(message)
  if message:find("module 'rille.postgres' not found", 1, true) then return "is not installed" end
  return "can't be loaded (" .. message:match "^[^\n]*" .. ")"
end

function rille.postgres(conninfo, options)
  local found, open = pcall(require, "rille.postgres")
  if not found then return nil, MISSING:format(reason(tostring(open))), "unsupported" end
  return open(conninfo, options)
end

return rille.postgres
