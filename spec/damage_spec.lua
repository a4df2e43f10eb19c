-- damage_spec.lua: bytes on the disk that are not what was written. Whatever has
-- happened to them, nobody is given an event that was not written; opening, reading or
-- verify names the place; and what stands before it can be read.
--
-- RILLE_SOAK=n tries n times as many places.
local rille = require "rille"
local image = require "spec.crash.image"
local oracle = require "spec.crash.oracle"
local process = require "spec.support.process"
local rounds = require "spec.support.rounds"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local values = require "spec.support.values"
local work = require "spec.crash.work"

values.seed("damage_spec")

local SMALLEST_SEGMENT = 65536

-- Making ------------------------------------------------------------------------

-- All kinds of events: with and without data, meta, tags, an id; of odd lengths.
local function small_appends(store)
  assert(store:append("a-1", { type = "Empty" }))
  assert(store:append("a-1", { { type = "Opened", data = { n = 1, text = "some text" } },
    { type = "Tagged", tags = { "red", "blue" }, data = 7 } }))
  local given = { type = "Opened", id = "given", data = "x" }
  local meta = { type = "Opened", meta = { by = "me" }, data = { 1, 2, 3 } }
  assert(store:append { { stream = "a-1", events = { given } },
    { stream = "b-2", events = { meta } } })
  assert(store:append("b-2", { type = "Tagged", tags = { "red" }, data = ("long"):rep(30) }))
  assert(store:append("a-1", { { type = "Last" }, { type = "Last", data = { n = 2 } } }))
end

-- A store that was closed, as { files, frames, sound, path }; or with `unfolded` one
-- whose process has ended, so that its index knows of nothing.
local function make(append, options, unfolded)
  local with = { sync = "always" }
  for name, value in pairs(options or {}) do with[name] = value end
  local store, path = stores.new(with)
  append(store)
  local sound, files = oracle.sound(store), unfolded and image.take(path)
  store:close()
  files = files or image.take(path)
  return { files = files, path = path, sound = sound, frames = image.frames(files) }
end

local function log_bytes(files)
  local n = 0
  for _, name in ipairs(image.segments(files)) do n = n + #files[name] end
  return n
end

-- Trying ------------------------------------------------------------------------

-- Opens the store as it lies there, only to read.
local function look(made, damage)
  local store, remark, code = rille.open(made.path, { readonly = true })
  if not store then error(("not readable: %s (%s)"):format(remark, code), 0) end
  local outcome = oracle.check_open(store, remark, made.sound, damage, log_bytes(made.files))
  store:close()
  return outcome
end

-- What is appended behind damage, or behind what was cut, stands there.
local function go_on(store)
  local n = store:head()
  assert.equal(n + 1, assert(store:append("after", { type = "After" })).first)
  local last
  for event in store:all { after = n } do last = event end
  assert.equal("After", last.type)
end

-- Opens a store of these files to write.
local function open_to_write(made, files, damage)
  local path = image.put(files, scratch.path())
  local store, remark, code, detail = rille.open(path)
  local outcome
  if not store then
    oracle.check_refusal(remark, code, detail, damage, log_bytes(files))
    local now = image.take(path)
    for name, bytes in pairs(files) do
      if name:find "^log/" then assert(now[name] == bytes, name .. " was changed") end
    end
    outcome = "refused"
  else
    outcome = oracle.check_open(store, remark, made.sound, damage, log_bytes(files))
    if outcome == "cut" then assert(damage.last, "cut before the last flush group: " .. remark) end
    go_on(store)
    if outcome ~= "raised" then oracle.check_verified(store) end
    store:close()
  end
  scratch.remove(path)
  return outcome
end

-- Calls `try` with the context of one flipped bit; errors tell which.
local function flipping(address, bit, try, ...)
  local ok, result = pcall(try, ...)
  if ok then return result end
  error(("bit %d of byte %d: %s"):format(bit, address, tostring(result)), 0)
end

local function segment_of(files, address)
  local names, firsts = image.segments(files)
  local i = #names
  while firsts[i] > address do i = i - 1 end
  return names[i], firsts[i]
end

-- Flips one bit of the byte at an address, for reading only, and puts it back.
local function flip_and_look(made, address, bit)
  local name, first = segment_of(made.files, address)
  local path = made.path .. "/" .. name
  local file = assert(io.open(path, "r+b"))
  local function set(byte)
    assert(file:seek("set", address - first))
    assert(file:write(string.char(byte)))
    assert(file:flush())
  end
  local old = made.files[name]:byte(address - first + 1)
  set(old ~ (1 << bit))
  local outcome = flipping(address, bit, look, made, oracle.damage(made.frames, address))
  set(old)
  file:close()
  return outcome
end

local function flip_and_write(made, address, bit)
  local name, first = segment_of(made.files, address)
  local bytes = image.flip(made.files[name], address - first, bit)
  local files = image.with(made.files, { [name] = bytes })
  return flipping(address, bit, open_to_write, made, files, oracle.damage(made.frames, address))
end

local function count(outcomes, outcome) outcomes[outcome] = (outcomes[outcome] or 0) + 1 end

-- A bit of every byte from 0 to the end of the last frame, and of some zeros behind.
local function flip_all(made, write_most)
  local read, written = {}, {}
  local stop = made.frames[#made.frames].stop
  image.put(made.files, made.path)
  for address = 0, stop + 64 do
    local bit = math.random(0, 7)
    count(read, flip_and_look(made, address, bit))
    if math.random(stop) <= write_most then count(written, flip_and_write(made, address, bit)) end
  end
  return read, written
end

-- Flipped bits ------------------------------------------------------------------

describe("a flipped bit", function()
  it("in any byte of a closed store is met by whoever reads it", function()
    local read, written = flip_all(make(small_appends), rounds(60))
    assert(read.raised > 0 and read.cut > 0 and read.whole > 0)
    assert(written.raised > 0)
  end)

  it("in any byte after a crash is damage before the last flush, and a torn tail behind it",
    function()
      local read, written = flip_all(make(small_appends, nil, true), rounds(60))
      assert(read.cut > 0 and read.whole > 0)
      assert(written.refused > 0)
      assert(written.cut or rounds(60) < 60) -- one in six
    end)

  it("in any of many segments is met by whoever reads it", function()
    for _, unfolded in ipairs { false, true } do
      local made = make(function(store)
        for i = 1, 60 do assert(store:append(work.append(i, 3000))) end
      end, { segment_bytes = SMALLEST_SEGMENT }, unfolded)
      local frames, outcomes = made.frames, {}
      assert(#image.segments(made.files) > 4)
      for _ = 1, rounds(100) do
        local frame = frames[math.random(#frames)]
        local inside = math.random(0, math.random(2) == 1 and 300 or frame.length - 1)
        count(outcomes, flip_and_look(made, frame.start + inside, math.random(0, 7)))
      end
      for _ = 1, rounds(8) do
        local frame = frames[math.random(#frames)]
        count(outcomes, flip_and_write(made, frame.start + math.random(0, 300), math.random(0, 7)))
      end
      assert(outcomes.raised or outcomes.refused)
    end
  end)

  it("is refused with a right account where nothing was flushed but whole segments", function()
    local made = make(function(store)
      for i = 1, 40 do assert(store:append(work.append(i, 3000))) end
    end, { segment_bytes = SMALLEST_SEGMENT, sync = "never" })
    local frame = made.frames[4]
    local name = frame.segment
    for _, offset in ipairs { 4, 20, 60, frame.length // 2 } do
      local bytes = image.flip(made.files[name], frame.offset + offset, 3)
      local files = image.without_index(image.with(made.files, { [name] = bytes }))
      local damage = oracle.damage(made.frames, frame.start + offset)
      assert.equal("refused", open_to_write(made, files, damage))
    end
  end)
end)

-- Whole files -------------------------------------------------------------------

describe("a segment that", function()
  local function many(unfolded)
    return make(function(store)
      for i = 1, 50 do assert(store:append(work.append(i, 3000))) end
    end, { segment_bytes = SMALLEST_SEGMENT }, unfolded)
  end

  -- Both ways of opening, with and without an index, must meet the damage in a frame.
  local function check(made, files, damage, outcomes)
    for _, with in ipairs { files, image.without_index(files) } do
      image.put(with, made.path)
      local outcome = look(made, damage)
      if not outcomes[outcome] then error("for reading: " .. outcome, 2) end
      outcome = open_to_write(made, with, damage)
      if not outcomes[outcome] then error("for writing: " .. outcome, 2) end
    end
  end

  local DAMAGED = { raised = true, refused = true, cut = true }

  -- What is hurt where a segment is, from an offset on, not what was written.
  local function damage_in(made, name, offset)
    for _, frame in ipairs(made.frames) do
      if frame.segment == name and frame.offset + frame.length > offset then
        return oracle.damage(made.frames, frame.start + offset - frame.offset)
      end
    end
  end

  it("ends too early is damage at its end", function()
    local made = many()
    local names = image.segments(made.files)
    for _, name in ipairs { names[1], names[2], names[#names - 1] } do
      for _, size in ipairs { 0, 8, 40, 44, 48, 1000, #made.files[name] // 2 // 8 * 8 + 4,
        #made.files[name] - 1, #made.files[name] - 8, #made.files[name] - 44 } do
        local files = image.with(made.files, { [name] = made.files[name]:sub(1, size) })
        local ok, message = pcall(check, made, files, damage_in(made, name, size), DAMAGED)
        if not ok then error(("%s, %d bytes: %s"):format(name, size, message), 0) end
      end
    end
  end)

  it("is the last one and ends too early is damage, as the index tells", function()
    local made = many()
    local names = image.segments(made.files)
    local last, frame = names[#names], made.frames[#made.frames - 1]
    local files = image.with(made.files, { [last] = made.files[last]:sub(1, frame.offset + 100) })
    local damage = oracle.damage(made.frames, frame.start + 100)
    assert.equal("refused", open_to_write(made, files, damage))
    image.put(files, made.path)
    assert.equal("cut", look(made, damage))
  end)

  it("is all zeros is damage at its start", function()
    local made = many()
    local names = image.segments(made.files)
    for i = 1, #names - 1 do
      local files = image.with(made.files, { [names[i]] = ("\0"):rep(#made.files[names[i]]) })
      check(made, files, damage_in(made, names[i], 0), DAMAGED)
    end
    local last = names[#names]
    local files = image.with(made.files, { [last] = ("\0"):rep(#made.files[last]) })
    assert.equal("refused", open_to_write(made, files, damage_in(made, last, 0)))
  end)

  it("has changed places with another is damage at the first", function()
    local made = many()
    local names = image.segments(made.files)
    for i = 1, #names - 2 do
      local a, b = names[i], names[i + 1]
      local files = image.with(made.files, { [a] = made.files[b], [b] = made.files[a] })
      check(made, files, damage_in(made, a, 0), DAMAGED)
    end
  end)

  it("is missing in the middle is damage where it began", function()
    local made = many()
    local names = image.segments(made.files)
    for _, i in ipairs { 2, #names - 1 } do
      local files = image.with(made.files, { [names[i]] = false })
      check(made, files, damage_in(made, names[i], 0), DAMAGED)
    end
  end)

  it("is the last one and missing is damage, as the index tells", function()
    local made = many()
    local names = image.segments(made.files)
    local last = names[#names]
    local files = image.with(made.files, { [last] = false })
    local damage = damage_in(made, last, 0)
    assert.equal("refused", open_to_write(made, files, damage))
    image.put(files, made.path)
    assert.equal("cut", look(made, damage))
  end)

  it("is the first one and missing is named", function()
    local made = many()
    for _, readonly in ipairs { false, true } do
      local files = image.with(made.files, { [image.first_segment] = false })
      local path = image.put(files, scratch.path())
      local message, code, detail = stores.failure(rille.open(path, { readonly = readonly }))
      assert.equal("corrupt", code)
      assert.equal(0, detail.position)
      stores.contains(message, "0000000000000000.seg")
    end
  end)

  it("belongs to another store is damage at its start", function()
    local made, other = many(), many()
    local names, others = image.segments(made.files), image.segments(other.files)
    for _, i in ipairs { 1, 2, #names - 1 } do
      local files = image.with(made.files, { [names[i]] = other.files[others[i]] })
      check(made, files, damage_in(made, names[i], 0), DAMAGED)
    end
  end)

  it("was left behind the end by another store is refused", function()
    local made, other = many(true), many()
    local last = made.frames[#made.frames]
    for _, address in ipairs { last.stop, last.stop + (512 << 10) } do
      local files = image.with(made.files,
        { [image.segment_name(address)] = other.files[image.first_segment] })
      for _, with in ipairs { files, image.without_index(files) } do
        local path = image.put(with, scratch.path())
        local store, message, code, detail = rille.open(path)
        if store then -- a stranger's frames right behind the end: a torn tail
          stores.contains(message, "cut at byte " .. last.stop)
          assert.equal(last.last, store:head())
          go_on(store)
          oracle.check_verified(store)
          store:close()
        else
          assert.equal("corrupt", code)
          assert.equal(last.last, detail.position)
          assert.equal(last.stop, detail.address)
          assert.is_nil(message:match "%d%d%d%d%d%d%d%d%d%d bytes behind")
        end
        scratch.remove(path)
      end
    end
  end)
end)

-- The file `store` --------------------------------------------------------------

describe("the file `store`", function()
  local FORMAT, CHECKSUM = 8, 60 -- see core/control.h

  -- CRC32C, of which the file's last four bytes are one of the 60 before.
  local function crc32c(bytes)
    local crc = 0xffffffff
    for i = 1, #bytes do
      crc = crc ~ bytes:byte(i)
      for _ = 1, 8 do crc = (crc >> 1) ~ (0x82f63b78 & -(crc & 1)) end
    end
    return crc ~ 0xffffffff
  end

  local function open_with(made, bytes, readonly)
    local path = image.put(image.with(made.files, { store = bytes }), scratch.path())
    return stores.failure(rille.open(path, { readonly = readonly }))
  end

  it("is refused with any bit flipped", function()
    local made = make(small_appends)
    for offset = 0, 63 do
      local message, code = open_with(made, image.flip(made.files.store, offset, math.random(0, 7)),
        offset % 2 == 0)
      stores.contains(message, "/store")
      assert(code == "corrupt" or (offset < 8 and code == "invalid") or
        (offset < 12 and code == "unsupported"), offset .. " " .. code)
    end
  end)

  it("is refused when cut short, empty or of something else", function()
    local made = make(small_appends)
    local short = made.files.store:sub(1, 63)
    for _, bytes in ipairs { "", "x", short, ("\0"):rep(64), ("x"):rep(64) } do
      local _, code = open_with(made, bytes)
      assert(code == "invalid" or code == "corrupt", code)
    end
    local path = image.put(image.with(made.files, { store = false }), scratch.path())
    local message, code = stores.failure(rille.open(path))
    assert.equal("invalid", code)
    stores.contains(message, "no file 'store'")
  end)

  it("of a newer format is unsupported, and the message tells which", function()
    local made = make(small_appends)
    local body = made.files.store:sub(1, CHECKSUM)
    assert.equal(string.unpack("<I4", made.files.store, CHECKSUM + 1), crc32c(body))
    local newer = image.patch(body, FORMAT, 4, string.pack("<I4", 9))
    for _, readonly in ipairs { false, true } do
      local message, code = open_with(made, newer .. string.pack("<I4", crc32c(newer)), readonly)
      assert.equal("unsupported", code)
      stores.contains(message, "format 9")
      stores.contains(message, "newer rille")
    end
  end)
end)

describe("damage that verify is asked about", function()
  it("is reported in every place at once", function()
    local made = make(small_appends)
    local bytes = made.files[image.first_segment]
    local hurt = { made.frames[2], made.frames[4] }
    for _, frame in ipairs(hurt) do bytes = image.flip(bytes, frame.offset + 60, 1) end
    local files = image.with(made.files, { [image.first_segment] = bytes })
    local store = assert(rille.open(image.put(files, scratch.path())))
    local verified = assert(store:verify())
    assert.is_false(verified.ok)
    assert.equal(hurt[1].first - 1, verified.readable)
    local places = {}
    for _, p in ipairs(verified.problems) do
      assert.equal("L7", p.invariant)
      assert(#p.message > 0)
      places[#places + 1] = image.frame_at(made.frames, p.address)
    end
    assert.same(hurt, places)
    store:close()
  end)
end)

describe("the command rille", function()
  local BUILD = os.getenv "RILLE_BUILD" or "build"

  local function run(command, path)
    return process.run_ours(("LUA_CPATH='%s/?.so;;' '%s/bin/rille' %s '%s'"):format(BUILD, BUILD, command, path))
  end

  it("names the file of the damage, and exports what stands before it", function()
    for _, unfolded in ipairs { false, true } do
      local made = make(function(store)
        for i = 1, 40 do assert(store:append(work.append(i, 3000))) end
      end, { segment_bytes = SMALLEST_SEGMENT }, unfolded)
      local names = image.segments(made.files)
      local frame
      for _, f in ipairs(made.frames) do
        if f.segment == names[2] then frame = f end
      end
      local bytes = image.flip(made.files[names[2]], frame.offset + 200, 2)
      local path = image.put(image.with(made.files, { [names[2]] = bytes }), scratch.path())
      local said, status = run("verify", path)
      assert.equal(1, status)
      local file, offset = said:match "%((%x+%.seg), byte (%d+)%)"
      assert.equal(names[2], "log/" .. tostring(file))
      offset = math.tointeger(tonumber(offset))
      assert(offset >= frame.offset and offset < frame.offset + frame.length)
      said, status = run("export", path)
      local _, lines = said:gsub('"stream"', "")
      assert(status ~= 0 or said:find("Readable up to position " .. lines, 1, true), said:sub(-300))
      assert(lines >= frame.first - 1 and lines <= frame.last, lines)
    end
  end)
end)
