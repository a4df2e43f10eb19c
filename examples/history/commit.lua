-- commit.lua: a commit as events.
--
-- Each commit is an event in the stream "commits"; each file is a stream of its
-- own, "file-PATH", in which the events of its life stand. All events of a commit
-- are made together, and import.lua writes them in one append:
--
--   commits        Committed    { hash, author, subject, parents, files }
--   file-PATH      FileAdded    { path, author, commit, added, removed [, from] }
--   file-PATH      FileChanged  { path, author, commit, added, removed }
--   file-PATH      FileDeleted  { path, author, commit, removed }
--   file-OLDPATH   FileRenamed  { path, author, commit, to }
--
-- A rename is two events: the old stream ends with FileRenamed { to = NEW }, the new
-- one begins with FileAdded { from = OLD }. files counts the events that follow; added
-- and removed count lines; a binary file has binary = true instead, and what was changed
-- by a merge itself has neither.
--
-- Every event is tagged "author:NAME", happens when the author says, and has the id
-- HASH (Committed) or HASH:PATH, so that a repeat shows. A date that no event can
-- have (before 1970, or unreadable) becomes the committer's; if that is none either,
-- the first second of 1970, and Committed has undated = true.

local commit = {}

commit.STREAM = "commits"
commit.FILE_PREFIX = "file-"

local NAME_BYTES = 255              -- the most that a stream, a tag or an id may have
local LATEST_SECOND = 9000000000000 -- event times are below it

---FNV-1a, 64 bits: the same name for the same path, on every machine.
local function hash_of(text)
  local hash = 0xcbf29ce484222325
  for i = 1, #text do hash = (hash ~ text:byte(i)) * 0x100000001b3 end
  return hash
end

---Names of up to 255 bytes are themselves. A longer one is its beginning, cut before
---a whole UTF-8 character, then "~" and 16 hexadecimal digits of its FNV-1a hash.
---@param text string
---@return string name 1 to 255 bytes where text has at least one
function commit.name(text)
  if #text <= NAME_BYTES then return text end
  local last = NAME_BYTES - 17
  while last > 1 and text:byte(last + 1) & 0xc0 == 0x80 do last = last - 1 end
  return ("%s~%016x"):format(text:sub(1, last), hash_of(text))
end

---@param path string
---@return string stream the file's
function commit.file_stream(path) return commit.name(commit.FILE_PREFIX .. path) end

local function valid_time(time) return time and time > 0 and time < LATEST_SECOND and time end

---@param made { hash: string, author: string, subject: string, parents: integer,
---  time: integer?, committed: integer?, changes: { type: string, data: table }[] }
---@return table[] events { stream, type, data, id, tags, time }, Committed first
function commit.events(made)
  local time = valid_time(made.time) or valid_time(made.committed)
  local tags = { commit.name("author:" .. made.author) }
  local events = { {
    stream = commit.STREAM, type = "Committed", id = made.hash, tags = tags, time = time or 1,
    data = { hash = made.hash, author = made.author, subject = made.subject,
             parents = made.parents, files = #made.changes, undated = not time or nil },
  } }
  for i, change in ipairs(made.changes) do
    local data = change.data
    data.author, data.commit = made.author, made.hash
    events[i + 1] = {
      stream = commit.file_stream(data.path), type = change.type, data = data,
      id = commit.name(made.hash .. ":" .. data.path), tags = tags, time = time or 1,
    }
  end
  return events
end

return commit
