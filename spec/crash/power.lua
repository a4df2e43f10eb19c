-- power.lua: power cuts. What trap.c wrote down is done again in memory, up to some
-- call; then the disk keeps what was flushed, and of the rest what chance wants:
-- of each sector and each length any version since the last flush, of the names in a
-- folder any number of the first changes since its last flush.
--
-- A flush keeps what was done before it began; each version has the number of the call
-- that made it.
--
-- The model of a disk is harsher than most: sectors of one write arrive in any order,
-- but each wholly.
local image = require "spec.crash.image"
local scratch = require "spec.support.scratch"

local power = {}

local SECTOR = 512

-- Reading a record ------------------------------------------------------------------

local parsers = {
  C = function(line) return line:match "^C (%d+) (%S+) (%d+)" end,
  R = function(line) return line:match "^R (%d+) (%S+) (%d+) (%S+)" end,
  U = function(line) return line:match "^U (%d+) (%S+)" end,
  W = function(line) return line:match "^W (%d+) (%d+) (%d+)" end,
  T = function(line) return line:match "^T (%d+) (%d+)" end,
  B = function(line) return line:match "^B (%d+) (%d+)" end,
  S = function(line) return line:match "^S (%d+) (%d+)" end,
  A = function(line) return line:match "^A (.*)" end,
}

---The calls in a file that trap.c wrote, in order: { kind, ... }; the bytes of a write
---are last.
function power.read(path)
  local file = assert(io.open(path, "rb"))
  local calls = {}
  for line in file:lines() do
    local kind = line:sub(1, 1)
    local folder = kind == "D"
    if folder then line = "C" .. line:sub(2) end
    local call = { kind, parsers[folder and "C" or kind](line) }
    assert(#call > 1, line)
    if kind == "W" then call[5] = file:read(math.tointeger(tonumber(call[4]))) or "" end
    calls[#calls + 1] = call
  end
  file:close()
  return calls
end

-- Files and folders in memory -------------------------------------------------------

-- A file: what is in the kernel's memory, what is on the disk, and the versions that
-- sectors and the length have had since the last flush.
local function new_file(bytes)
  return { kind = "file", cache = bytes or "", disk = bytes or "", sectors = {}, sizes = {}, begun = {}, flushed = 0 }
end

-- A folder: names that are on the disk, and changes since.
local function new_folder() return { kind = "folder", names = {}, changes = {}, begun = {}, flushed = 0 } end

local function node(world, inode)
  local n = world.nodes[inode]
  if not n then -- the folder in which all happens was there before
    n = new_folder()
    world.nodes[inode] = n
    world.root = world.root or n
  end
  return n
end

local function splice(bytes, at, new)
  if #bytes < at then bytes = bytes .. ("\0"):rep(at - #bytes) end
  return bytes:sub(1, at) .. new .. bytes:sub(at + #new + 1)
end

local function note_sectors(world, file, from, to)
  for s = from // SECTOR, (to - 1) // SECTOR do
    local versions = file.sectors[s] or {}
    file.sectors[s] = versions
    versions[#versions + 1] = { at = world.at, bytes = file.cache:sub(s * SECTOR + 1, (s + 1) * SECTOR) }
  end
end

local function note_size(world, file) file.sizes[#file.sizes + 1] = { at = world.at, bytes = #file.cache } end

local function change(world, folder, ...)
  folder.changes[#folder.changes + 1] = { at = world.at, ... }
end

---Those that are younger than call number `at`.
local function younger(list, at)
  local left = {}
  for _, version in ipairs(list) do
    if version.at > at then left[#left + 1] = version end
  end
  return left
end

local function flush_file(file, began)
  local sectors = {}
  for s, versions in pairs(file.sectors) do
    local left = younger(versions, began.at)
    if #left > 0 then sectors[s] = left end
  end
  file.disk, file.sectors, file.sizes = began.cache, sectors, younger(file.sizes, began.at)
end

local function apply(names, c)
  names[c[1]] = c[2] or nil
  if c[3] then names[c[3]] = c[4] end
end

local function flush_folder(folder, began)
  for _, c in ipairs(folder.changes) do
    if c.at <= began.at then apply(folder.names, c) end
  end
  folder.changes = younger(folder.changes, began.at)
end

local function find(folder, name)
  for i = #folder.changes, 1, -1 do
    if folder.changes[i][1] == name then return folder.changes[i][2] end
  end
  return folder.names[name]
end

local steps = {
  C = function(world, folder, name, inode)
    local into = node(world, folder)
    world.nodes[inode] = new_file()
    change(world, into, name, inode)
  end,
  D = function(world, folder, name, inode)
    local into = node(world, folder)
    world.nodes[inode] = new_folder()
    change(world, into, name, inode)
  end,
  R = function(world, from, old, to, new)
    assert(from == to, "a rename into another folder is not modelled")
    local folder = node(world, from)
    local inode = assert(find(folder, old))
    change(world, folder, old, false, new, inode) -- both or none
  end,
  U = function(world, folder, name) change(world, node(world, folder), name, false) end,
  W = function(world, inode, at, _, bytes)
    local file = world.nodes[inode]
    at = math.tointeger(tonumber(at))
    local size = #file.cache
    file.cache = splice(file.cache, at, bytes)
    if #file.cache > size then note_size(world, file) end
    note_sectors(world, file, math.min(at, size), at + #bytes)
  end,
  T = function(world, inode, size)
    local file = world.nodes[inode]
    size = math.tointeger(tonumber(size))
    local old = #file.cache
    file.cache = size < old and file.cache:sub(1, size) or splice(file.cache, size, "")
    note_size(world, file)
    if size ~= old then note_sectors(world, file, math.min(size, old), math.max(size, old)) end
  end,
  B = function(world, inode, thread)
    local it = node(world, inode)
    it.begun[thread] = { at = world.at, cache = it.cache }
  end,
  S = function(world, inode, thread)
    local it = node(world, inode)
    local began = it.begun[thread]
    if began.at < it.flushed then return end
    it.flushed = began.at;
    (it.kind == "file" and flush_file or flush_folder)(it, began)
  end,
  A = function(world, text) world.notes[#world.notes + 1] = text end,
}

---A world in which nothing has happened yet.
function power.world() return { nodes = {}, notes = {}, at = 0 } end

---A world in which the files of a folder are on the disk, wholly.
function power.world_of(path)
  local world, by_path = power.world(), {}
  local pipe = assert(io.popen(("find '%s' -printf '%%i %%y %%P\\n'"):format(path)))
  for line in pipe:lines() do
    local inode, kind, name = line:match "^(%d+) (%a) (.*)$"
    local it = kind == "d" and new_folder() or new_file(image.read(path .. "/" .. name))
    world.nodes[inode], by_path[name] = it, it
    local folder = by_path[name:match "^(.*)/[^/]*$" or ""]
    if name == "" then world.root = it else folder.names[name:match "[^/]*$"] = inode end
  end
  pipe:close()
  return world
end

---Does the calls up to number `to`.
function power.play(world, calls, to)
  for i = world.at + 1, to do
    local call = calls[i]
    world.at = i
    steps[call[1]](world, table.unpack(call, 2))
  end
end

-- What is left after a cut ----------------------------------------------------------

-- How many of n unflushed versions arrived: all kinds of disk, from none to all.
local function chosen(style, n)
  if style == 0 then return 0 end
  if style == 1 then return math.random(0, n) end
  if style == 2 then return math.random(2) == 1 and n or 0 end
  if style == 3 then return math.random(8) == 1 and 0 or n end
  return math.random(8) == 1 and n or 0
end

local function file_after(file, style)
  local parts, size = {}, #file.disk
  local k = chosen(style, #file.sizes)
  if k > 0 then size = file.sizes[k].bytes end
  local bytes = file.disk
  local order = {}
  for s in pairs(file.sectors) do order[#order + 1] = s end
  table.sort(order)
  local at = 0
  for _, s in ipairs(order) do
    local versions = file.sectors[s]
    local v = chosen(style, #versions)
    if v > 0 then
      local start = s * SECTOR
      local between = bytes:sub(at + 1, start)
      parts[#parts + 1] = between .. ("\0"):rep(start - at - #between)
      local sector = versions[v].bytes
      parts[#parts + 1] = sector .. ("\0"):rep(SECTOR - #sector)
      at = start + SECTOR
    end
  end
  parts[#parts + 1] = bytes:sub(at + 1)
  local all = table.concat(parts)
  return all:sub(1, size) .. ("\0"):rep(size - #all)
end

local function names_after(folder, style)
  local names = {}
  for name, inode in pairs(folder.names) do names[name] = inode end
  for i = 1, chosen(style, #folder.changes) do apply(names, folder.changes[i]) end
  return names
end

local function collect(world, folder, prefix, style, files, folders)
  local names = names_after(folder, style)
  local sorted = {}
  for name in pairs(names) do sorted[#sorted + 1] = name end
  table.sort(sorted)
  for _, name in ipairs(sorted) do
    local it = world.nodes[names[name]]
    if it.kind == "file" then
      files[prefix .. name] = file_after(it, style)
    else
      folders[#folders + 1] = prefix .. name
      collect(world, it, prefix .. name .. "/", style, files, folders)
    end
  end
end

---What the disk holds after a power cut at this moment: files by path, and folders,
---outer ones first. The world goes on as if nothing had been. With style 0 nothing
---arrived that was not flushed; else chance wants it so.
function power.cut(world, style)
  local files, folders = {}, {}
  if world.root then collect(world, world.root, "", style or math.random(4), files, folders) end
  return files, folders
end

---Files that are memory, whatever is in them: who opens a store first makes them anew.
local function is_memory(name) return name:find "/control$" or name:find "/lock%.mdb$" end

---Makes a folder hold what the disk holds, in the same files where they are there: a store
---knows whether it is a copy.
function power.put(files, folders, path)
  for _, name in ipairs(folders) do scratch.shell("mkdir -p '%s/%s'", path, name) end
  for name in pairs(image.take(path)) do
    if not files[name] and not is_memory(name) then assert(os.remove(path .. "/" .. name)) end
  end
  for name, bytes in pairs(files) do
    if not is_memory(name) then image.write(path .. "/" .. name, bytes) end
  end
end

return power
