-- tail.lua: `rille tail`: the last events, and with -f every one that comes.
--
-- It looks at what is written, durable or not, because that is what whoever follows a
-- program wants to see; and it holds nothing that others would have to wait for.

local core = ...
local listing = require "rille.listing"
local closing = require "rille.scope".closing
local screen = require "rille.screen"

---The last events up to a position, the oldest first.
local function last_events(store, options, head)
  local list = {}
  if options.n == 0 then return list end
  for e in store:all { types = options.type, before = head + 1, reverse = true, limit = options.n } do
    list[#list + 1] = e
  end
  for i = 1, math.floor(#list / 2) do list[i], list[#list + 1 - i] = list[#list + 1 - i], list[i] end
  return list
end

---Shows what comes behind a position, as soon as it is there.
local function follow(store, options, head, show)
  while true do
    local came, message = store:wait(head + 1)
    if not came then screen.fail(message) end
    local now = store:head()
    for e in store:all { types = options.type, after = head, before = now + 1 } do show(e) end
    show(nil)
    screen.flush()
    head = now
  end
end

---@param options { store: string, type: string[], n: integer, follow: boolean?, json: boolean? }
---@param open fun(path: string, options: table): rille.store
local function tail(options, open)
  local store = closing(open(options.store, { readonly = true, sync = "never" }))
  core.terminal.end_quietly()
  local show, head = listing(options), store:head()
  for _, e in ipairs(last_events(store, options, head)) do show(e) end
  show(nil)
  screen.flush()
  if options.follow then follow(store, options, head, show) end
end

return tail
