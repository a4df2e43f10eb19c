-- place.lua: where things are, for who works in another folder than the specs begin in.
local process = require "spec.support.process"

local place = {}

local BUILD = os.getenv "RILLE_BUILD" or "build"

---The repository.
place.root = process.run "pwd":match "[^\n]+"

---What was built of it.
place.build = BUILD:find "^/" and BUILD or place.root .. "/" .. BUILD

return place
