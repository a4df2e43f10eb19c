-- import.lua: brings a history into a store, and goes on where an import stopped.
--
-- A commit is never split: an append holds one commit or several whole ones, so that
-- whatever happens, the store ends with a commit. How far an earlier import came is
-- the version of the stream "commits", and each append expects that version. Two
-- imports at once can't mix: what the other has written is known by its ids, or the
-- expectation fails.
-- One commit of more than 64 MiB of events (some 200 000 files) is refused, as every
-- append of that size.

local commit = require "history.commit"

local import = {}

import.BATCH_EVENTS = 512 -- an append is sent when it has so many

---Whether the source's last known commit is the store's; or nil and why not.
local function agrees(store, source, known)
  if known == 0 then return true end
  if known > source.count then
    return nil, ("the store has %d commits, the history only %d"):format(known, source.count)
  end
  local mine
  for event in store:read(commit.STREAM, { after = known - 1 }) do mine = event.id end
  local next_commit, _, _, _ <close> = source:commits(known - 1)
  local theirs = next_commit()[1].id
  if theirs == mine then return true end
  return nil, ("commit %d is %s in the store and %s in the history"):format(known, mine, theirs)
end

---The commits as the parts of an append.
local function parts_of(batch, known)
  local parts = {}
  for _, events in ipairs(batch) do
    for _, event in ipairs(events) do
      parts[#parts + 1] = { stream = event.stream, events = event }
    end
  end
  parts[1].expect = known
  return parts
end

---Imports what the store lacks. Options: `batch`, events an append (1: each commit its
---own); `limit`, how many commits there may be; `enough`, a function asked after each
---append whether to stop; `acknowledged(position, commits)`, called when an append
---has been acknowledged; `append(parts)`, called in place of the store's.
---@return { commits: integer, events: integer, appends: integer }? done in this call
---@return string? message
function import.run(store, source, options)
  options = options or {}
  local known = store:version(commit.STREAM)
  local ok, message = agrees(store, source, known)
  if not ok then return nil, message end
  local append = options.append or function(parts) return store:append(parts) end
  local limit = math.min(options.limit or source.count, source.count)
  local done = { commits = 0, events = 0, appends = 0 }
  local batch, size = {}, 0

  local function send()
    local written, failure = append(parts_of(batch, known))
    if not written then return nil, failure end
    known = known + #batch
    if not written.duplicate then
      done.commits, done.events, done.appends = done.commits + #batch, done.events + size,
        done.appends + 1
    end
    batch, size = {}, 0
    if options.acknowledged then options.acknowledged(written.last, known) end
    return true
  end

  if known >= limit then return done end
  for events in source:commits(known) do
    batch[#batch + 1] = events
    size = size + #events
    local last = known + #batch == limit
    if last or size >= (options.batch or import.BATCH_EVENTS) then
      local sent, failure = send()
      if not sent then return nil, failure end
      if last or options.enough and options.enough() then break end
    end
  end
  return done
end

return import
