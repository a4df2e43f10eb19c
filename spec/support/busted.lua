-- busted.lua: busted under the Lua that runs this file, whatever `busted` and `lua`
-- mean on this machine.
require "busted.runner" { standalone = false }
