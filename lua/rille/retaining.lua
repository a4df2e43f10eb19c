-- retaining.lua: the words of the command `rille` for what is not kept: scavenge, redact.

local name_fault = require "rille.event".name_fault
local closing = require "rille.scope".closing
local screen = require "rille.screen"

---@param open fun(path: string, options: table?): rille.store
return function(commands, open)
  function commands.scavenge(options)
    local store = closing(open(options.store, { create = false }))
    local done, message = store:scavenge { dry_run = options.dry_run or false }
    if not done then screen.fail(message) end
    if options.json then return screen.json(done) end
    screen.write(("%s %s of %s, %s\n"):format(options.dry_run and "would give back" or "gave back",
      screen.bytes(done.bytes), screen.count(done.events, "event"),
      screen.count(done.segments, "log file")))
  end

  local function check_names(option, names)
    for _, name in ipairs(names) do
      local fault = name_fault(option, name)
      if fault then screen.fail(fault) end
    end
  end

  function commands.redact(options)
    if #options.positions + #options.tag + #options.stream == 0 then
      screen.fail("nothing is named: give a POSITION, --tag or --stream", 2)
    end
    check_names("--tag", options.tag)
    check_names("--stream", options.stream)
    local store = closing(open(options.store, { create = false }))
    local done, message = store:redact(options.positions, { tags = options.tag, streams = options.stream,
      ids = options.ids or false, data = not options.keep_data, reason = options.reason })
    if not done then screen.fail(message) end
    if options.json then return screen.json(done) end
    screen.write(("redacted %s, replaced %s; backups that were made before still have the content\n")
      :format(screen.count(done.events, "event"), screen.count(done.segments, "log file")))
  end
end
