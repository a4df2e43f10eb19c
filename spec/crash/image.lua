-- image.lua: a store's files as a table of name -> bytes: taken from a folder, changed
-- in memory, put into another folder. What a disk can do to a store is done here.
--
--    image = { store = "rille\r\n...", ["log/0000000000000000.seg"] = "...", ... }
local scratch = require "spec.support.scratch"

local image = {}

local FIRST_SEGMENT = "log/0000000000000000.seg"
local HEADER_BYTES, RECORD_BYTES = 48, 64 -- see core/frame.h

function image.read(path)
  local file = assert(io.open(path, "rb"))
  local bytes = assert(file:read "a")
  file:close()
  return bytes
end

function image.write(path, bytes)
  local file = assert(io.open(path, "wb"))
  assert(file:write(bytes))
  assert(file:close())
end

---The files in a folder and in its folders, by name.
function image.take(path)
  local files = {}
  local pipe = assert(io.popen(("cd '%s' && find . -type f"):format(path)))
  for line in pipe:lines() do
    local name = line:sub(3)
    files[name] = image.read(path .. "/" .. name)
  end
  pipe:close()
  return files
end

---Makes a folder hold these files and no others.
function image.put(files, path)
  scratch.shell("rm -rf '%s' && mkdir -p '%s/log'", path, path)
  for name in pairs(files) do
    if name:find "^index/" then
      scratch.shell("mkdir '%s/index'", path)
      break
    end
  end
  for name, bytes in pairs(files) do image.write(path .. "/" .. name, bytes) end
  return path
end

---A copy; changes, given as name -> bytes, or false for "not there".
function image.with(files, changes)
  local copy = {}
  for name, bytes in pairs(files) do copy[name] = bytes end
  for name, bytes in pairs(changes or {}) do copy[name] = bytes or nil end
  return copy
end

function image.without_index(files)
  local copy = {}
  for name, bytes in pairs(files) do
    if not name:find "^index/" then copy[name] = bytes end
  end
  return copy
end

---The names of the segments in the order of addresses, and the first addresses.
function image.segments(files)
  local names, firsts = {}, {}
  for name in pairs(files) do
    if name:find "%.seg$" then names[#names + 1] = name end
  end
  table.sort(names)
  for i, name in ipairs(names) do firsts[i] = tonumber(name:match "(%x+)%.seg$", 16) end
  return names, firsts
end

function image.segment_name(address) return ("log/%016x.seg"):format(address) end

image.first_segment = FIRST_SEGMENT

---The bytes with n of them, at an offset, exchanged for new ones.
function image.patch(bytes, offset, n, new)
  assert(#new == n and offset + n <= #bytes)
  return bytes:sub(1, offset) .. new .. bytes:sub(offset + n + 1)
end

---The bytes with one bit turned.
function image.flip(bytes, offset, bit)
  return image.patch(bytes, offset, 1, string.char(bytes:byte(offset + 1) ~ (1 << bit)))
end

---The bytes with n zeros at an offset.
function image.zero(bytes, offset, n) return image.patch(bytes, offset, n, ("\0"):rep(n)) end

-- Frames ------------------------------------------------------------------------

-- Where the bytes begin, and end, that only fill up a record.
local function padding_of(bytes, at)
  local head = string.unpack("<I4", bytes, at + 5)
  local data, meta = string.unpack("<I4I4", bytes, at + 41)
  return at + head + data + meta, at + head + ((data + meta + 7) & ~7)
end

local function parse_frame(bytes, offset, first)
  local length, kind, _, _, count = string.unpack("<I4I2BBI4", bytes, offset + 5)
  if length == 0 then return nil end
  local _, position, durable = string.unpack("<I8I8I8", bytes, offset + 17)
  local frame = { start = first + offset, length = length, kind = kind, count = count,
                  first = position, last = position + count - 1, durable = durable,
                  stop = first + offset + length, unused = {} }
  local prefix = string.unpack("<I4", bytes, offset + 41)
  local at = offset + HEADER_BYTES + prefix
  for _ = 1, count do
    local from, to = padding_of(bytes, at)
    for address = first + from, first + to - 1 do frame.unused[address] = true end
    at = to
  end
  assert(at == offset + length and (count == 0 or at - offset >= RECORD_BYTES))
  return frame
end

---The frames of a sound log: start, stop (addresses), first, last (positions), durable,
---and `unused`: the set of addresses of bytes that only fill up.
function image.frames(files)
  local list = {}
  local names, firsts = image.segments(files)
  for i, name in ipairs(names) do
    local offset, bytes = 0, files[name]
    while offset + HEADER_BYTES <= #bytes do
      local frame = parse_frame(bytes, offset, firsts[i])
      if not frame then break end
      frame.segment, frame.offset = name, offset
      list[#list + 1] = frame
      offset = offset + frame.length
    end
  end
  return list
end

---The frame that has this address, or nil.
function image.frame_at(frames, address)
  for _, frame in ipairs(frames) do
    if frame.start <= address and address < frame.stop then return frame end
  end
end

return image
