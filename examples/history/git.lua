-- git.lua: a git repository's history, read through pipes, as events.
--
-- Three plumbing commands in a row (no user's setting changes what they print):
--
--   git rev-list | tail | git diff-tree
--
-- list the commits, parents first and else by date, drop those that are known, and
-- print each commit and what it did to files, separated by NUL, so that a name may
-- have any other byte. It is read block by block and one commit is kept at a time.
-- Merges have only what was changed in the merge itself: their parents' work stands
-- in the parents. Branches are told in one line, so a file that two of them add is added
-- twice, and one that a merge settles by taking one side whole is not mentioned there:
-- the streams tell what people did, `git ls-tree` what is left.
--
--   \1HASH author time committed parents subject ""          a commit, then for its files:
--   :modes hashes STATUS  path                      once a file; "::" and so on in a merge
--   :modes hashes R087  old  new                    a rename
--   added TAB removed TAB path                      lines, "-" for a binary file
--   added TAB removed TAB  old  new                 ... of a renamed one

local commit = require "history.commit"

local git = {}

local BLOCK_BYTES = 1 << 16
local RENAMES_MOST = 1000 -- of one commit: more are not compared with each other
local UNKNOWN = "git printed what no version is known to print: "
local FORMAT = "%x01%H%x00%aN%x00%at%x00%ct%x00%P%x00%s%x00"

local function quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

---The command, wherever it is called from (git tells hooks their repository so).
local function command(repository, arguments)
  return ("env -u GIT_DIR -u GIT_WORK_TREE -u GIT_INDEX_FILE "
    .. "git -C %s -c i18n.logOutputEncoding=UTF-8 %s"):format(quoted(repository), arguments)
end

---What a short command prints, without the last newline; or nil and what it complained.
local function ask(repository, arguments)
  local pipe <close> = assert(io.popen(command(repository, arguments) .. " 2>&1"))
  local answer = pipe:read("a"):gsub("\n$", "")
  if pipe:close() then return answer end
  return nil, answer ~= "" and answer or "git failed: " .. arguments
end

-- Reading ---------------------------------------------------------------------

---A function that gives what stands before each NUL, then nil.
local function separated(pipe)
  local block, from = "", 1
  return function()
    local stop = block:find("\0", from, true)
    while not stop do
      local more = pipe:read(BLOCK_BYTES)
      if not more then return nil end
      local seen = #block - from + 1
      block, from = block:sub(from) .. more, 1
      stop = block:find("\0", seen + 1, true)
    end
    local text = block:sub(from, stop - 1)
    from = stop + 1
    return text
  end
end

local function count_words(text) return select(2, text:gsub("%S+", "")) end

local function read_head(first, next_text)
  local author, time, committed, parents = next_text(), next_text(), next_text(), next_text()
  local subject = next_text()
  if not subject then return nil end
  return { hash = first:sub(2), author = author, time = tonumber(time),
           committed = tonumber(committed), parents = count_words(parents), subject = subject,
           changes = {}, by_path = {} }
end

local function add_change(made, type, path, fields)
  fields.path = path
  made.changes[#made.changes + 1] = { type = type, data = fields }
  return fields
end

---The status, and whether the file is there after the commit: as many modes as there
---are colons, and one more; the last is zero where the file is gone.
local function read_status(line)
  local parents = #line:match("^:+")
  local modes = line:sub(parents + 1, parents + 7 * (parents + 1) - 1)
  local letters = line:match(" (%a+)%d*$")
  assert(letters and modes:find("^[%d ]+$"), UNKNOWN .. line)
  return letters, modes:sub(-6) ~= "000000"
end

---One file: the line that begins with ":" and the paths behind it.
local function read_change(made, line, next_text)
  local letters, remains = read_status(line)
  local path = next_text()
  if letters == "R" then
    local new = next_text()
    add_change(made, "FileRenamed", path, { to = new })
    made.by_path[new] = add_change(made, "FileAdded", new, { from = path })
  elseif not remains then
    made.by_path[path] = add_change(made, "FileDeleted", path, {})
  else
    local type = letters:find("^A+$") and "FileAdded" or "FileChanged"
    made.by_path[path] = add_change(made, type, path, {})
  end
end

---One file's lines, which may be told before the file. In a merge they are those of
---all branches but the first, and are left out.
local function read_lines(made, line, next_text)
  local added, removed, path = line:match("^([%d-]+)\t([%d-]+)\t(.*)$")
  assert(added, UNKNOWN .. line)
  if path == "" then
    next_text()
    path = next_text()
  end
  local data = made.by_path[path]
  if made.parents > 1 or not data then return end
  if added == "-" then
    data.binary = true
  else
    data.added, data.removed = math.tointeger(added), math.tointeger(removed)
  end
end

---A function that gives each commit's events, then nil.
local function commits_of(pipe)
  local next_text = separated(pipe)
  local ahead = next_text()
  return function()
    local made = ahead and read_head(ahead, next_text)
    if not made then return nil end
    ahead = next_text()
    while ahead and ahead:byte() ~= 1 do
      local line = ahead:gsub("^\n", "")
      if line:byte() == 58 then read_change(made, line, next_text)
      elseif line ~= "" then read_lines(made, line, next_text) end
      ahead = next_text()
    end
    return commit.events(made)
  end
end

-- The source ------------------------------------------------------------------

local source = {}
source.__index = source

---@param after integer? how many commits are known already
---@return fun(): table[]? next the events of each commit, oldest first; raises where git fails
function source:commits(after)
  after = after or 0
  if after >= self.count then return function() end end
  local pipe = assert(io.popen(table.concat({
    command(self.place, "rev-list --reverse --date-order " .. self.tip),
    ("tail -n +%d"):format(after + 1),
    command(self.place, ("diff-tree --stdin --root --always -r -c -M -l%d --raw --numstat -z "
      .. "--no-ext-diff --no-color --format=%s"):format(RENAMES_MOST, quoted(FORMAT))),
  }, " | ")))
  local step, given = commits_of(pipe), after
  local function next_commit()
    local events = step()
    if events then
      given = given + 1
      return events
    end
    if not pipe:close() or given ~= self.count then
      error(("git gave %d of %d commits"):format(given, self.count), 0)
    end
  end
  local stop = setmetatable({}, { __close = function()
    if io.type(pipe) == "file" then pipe:close() end
  end })
  return next_commit, nil, nil, stop
end

---A source: { kind, place, name, tip, count, commits() }. A repository without commits has
---count 0 and no tip.
---@param repository string a folder in it
---@param tip string? the last commit that counts; default: where HEAD is
---@return table? source
---@return string? message
function git.open(repository, tip)
  local folder, message = ask(repository, "rev-parse --absolute-git-dir")
  if not folder then return nil, message end
  local opened = setmetatable({ kind = "git", place = repository, count = 0,
    name = folder:gsub("/%.git$", "") }, source)
  opened.tip = ask(repository,
    "rev-parse --verify --quiet " .. quoted((tip or "HEAD") .. "^{commit}"))
  if not opened.tip then
    if tip then return nil, "there is no commit " .. tip end
    return opened
  end
  local count
  count, message = ask(repository, "rev-list --count " .. opened.tip)
  if not count then return nil, message end
  opened.count = math.tointeger(count)
  return opened
end

return git
