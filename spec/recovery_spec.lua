-- recovery_spec.lua: what is left after the process has ended in the midst of it: everything
-- acknowledged, at the positions told; the append that was under way, wholly or not at all; and
-- a store that goes on. And tails made by hand. (Power cuts: spec/c/power_test.c.)
--
-- RILLE_SOAK=n makes the loops n times as long.
local rille = require "rille"
local child = require "spec.crash.child"
local image = require "spec.crash.image"
local oracle = require "spec.crash.oracle"
local power = require "spec.crash.power"
local rounds = require "spec.support.rounds"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local trap = require "spec.crash.trap"
local values = require "spec.support.values"
local work = require "spec.crash.work"

values.seed("recovery_spec")

local KILLED = 128 + 9
local SMALLEST_SEGMENT = 65536


-- Killing -----------------------------------------------------------------------

local function note_done(line, acknowledged)
  local i, first, last = line:match "^done (%d+) (%d+) (%d+)$"
  if not i then error("the child says: " .. line) end
  acknowledged[tonumber(i)] = { tonumber(first), tonumber(last) }
  return tonumber(i)
end

-- Lets a child append from number `from`, and kills it about when it has told `most`.
local function append_and_kill(path, from, most, how, acknowledged)
  local c = child.start("append", { path, from, how.sync, how.segment_bytes or "", how.size })
  local opened = c:line() or "nothing"
  if not opened:find "^open" then error("the child says: " .. opened) end
  local told = 0
  for _ = 1, most do told = note_done(assert(c:line()), acknowledged) end
  c:kill()
  local lines, status = c:wait()
  assert.equal(KILLED, status)
  for _, line in ipairs(lines) do told = note_done(line, acknowledged) end
  return told
end

-- Opens after a kill: all is there, and another append succeeds. What is there now
-- counts as acknowledged from then on.
local function check_after_kill(path, how, acknowledged, told)
  local store, remark, code = assert(rille.open(path, { sync = how.sync }))
  assert(not remark or code == "remark", remark)
  local highest = oracle.check_appends(store, acknowledged)
  assert(highest == told or highest == told + 1, "append " .. highest .. " was never begun")
  oracle.check_verified(store)
  local stream, events = work.append(highest + 1, how.size)
  assert(store:append(stream, events))
  local there = oracle.appends(store)
  assert(store:close())
  return there, highest + 2
end

local function kill_loop(n, how)
  local path, acknowledged, from = scratch.path(), {}, 1
  for _ = 1, rounds(n) do
    local told = append_and_kill(path, from, math.random(how.most), how, acknowledged)
    for i = from, told do assert(acknowledged[i], i) end
    if math.random(3) > 1 then
      acknowledged, from = check_after_kill(path, how, acknowledged, told)
    else -- the next child recovers; number told + 1 may be there already
      from = told + 2
    end
  end
  scratch.remove(path)
end

describe("a process killed while it appends", function()
  it("has lost nothing acknowledged", function()
    kill_loop(12, { sync = "always", size = 20, most = 60 })
  end)

  it("has lost nothing that was written, without a flush either", function()
    kill_loop(12, { sync = "never", size = 20, most = 400 })
  end)

  it("has lost nothing over many segments", function()
    kill_loop(10, { sync = "always", size = 3000, most = 40, segment_bytes = SMALLEST_SEGMENT })
    kill_loop(6, { sync = "never", size = 3000, most = 120, segment_bytes = SMALLEST_SEGMENT })
  end)

  it("has lost nothing of large appends", function()
    kill_loop(5, { sync = "always", size = 1000000, most = 5 })
    kill_loop(4, { sync = "never", size = 2000000, most = 5 })
  end)
end)

describe("a process killed while it makes a store", function()
  local function check_made(path, status, lines)
    if status == 0 then return end
    assert.equal(KILLED, status)
    local there = io.open(path .. "/store")
    if there then there:close() end
    local store = assert(rille.open(path, { create = not there }))
    assert(store:head() <= 1)
    if lines[#lines] == "closed" then assert.equal(1, store:head()) end
    assert(store:append("s", { type = "After" }))
    oracle.check_verified(store)
    assert(store:close())
  end

  it("leaves none, or a good one, whenever it ends", function()
    for _ = 1, rounds(20) do
      local path = scratch.path()
      local c = child.start("create", { path }, "(sleep " .. math.random() * 0.02 ..
        "; exec kill -9 $$) >/dev/null 2>&1 &")
      local lines, status = c:wait()
      check_made(path, status, lines)
      scratch.shell("rm -rf '%s'*", path)
    end
  end)

  it("leaves none, or a good one, at each call that changes a file", function()
    if not trap.works() then return pending "calls are counted on Linux, with a C compiler" end
    local n, status = 0, KILLED
    while status == KILLED do
      local path = scratch.path()
      local lines
      n = n + 1
      lines, status = trap.run({ under = path, kill = n }, "create", { path })
      check_made(path, status, lines)
      scratch.shell("rm -rf '%s'*", path)
    end
    assert.equal(0, status)
    assert(n > 25, n)
  end)
end)

describe("a process killed while it folds", function()
  local STREAMS = 20000 -- more than two of the chunks in which heads are committed
  local STEP_MOST = rounds.long(1) < 1 and 5 or 1 -- from a call to the next; each, but under the sanitizers

  local function answers(path)
    local store = assert(rille.open(path))
    local digest = work.digest(work.answers(store))
    assert(store:close())
    return digest
  end

  -- A store of which nothing is folded, and what it answers.
  local function unfolded_store()
    local store, path = stores.new()
    work.fill(store, STREAMS)
    local files = image.take(path)
    local expected = work.digest(work.answers(store))
    store:close()
    scratch.remove(path)
    return image.put(files, scratch.path()), expected
  end

  it("leaves an index that fits its log, at each call of the fold", function()
    if not trap.works() then return pending "calls are counted on Linux, with a C compiler" end
    local original, expected = unfolded_store()
    local n, status, lines = 0, KILLED, nil
    while status == KILLED do
      local path, mark = scratch.path(), scratch.path "mark"
      scratch.shell("cp -r '%s' '%s'", original, path)
      n = n + math.random(STEP_MOST)
      lines, status = trap.run({ under = path, kill = n, mark = mark }, "fold", { path, mark })
      assert.equal("closing", lines[1])
      local store = assert(rille.open(path))
      assert.equal(STREAMS + STREAMS // 1000, store:head())
      oracle.check_verified(store)
      assert(store:close())
      if n % 4 == 2 then assert.equal(expected, answers(path)) end
      scratch.remove(path)
    end
    assert.equal("closed", lines[2])
    assert(n > 8, n)
  end)
end)

-- Tails made by hand -------------------------------------------------------------

-- A store of six appends as it is when its process ends at once: nothing folded. `keep`: it
-- stays where it is.
local function unfolded(sync, keep)
  local store, path = stores.new { sync = sync or "always" }
  for i = 1, 6 do
    local stream, events = work.append(i, 10 + i)
    assert(store:append(stream, events))
  end
  local files, sound = image.take(path), oracle.sound(store)
  store:close()
  if not keep then scratch.remove(path) end
  local frames = image.frames(files)
  assert.equal(6, #frames)
  return files, sound, frames, path
end

-- Opens a store whose log is these bytes; n events must be there, and it must go on.
local function check_tail(files, log, sound, n)
  local path = image.put(image.with(files, { [image.first_segment] = log }), scratch.path())
  local store, remark, code = assert(rille.open(path))
  assert(not remark or code == "remark")
  local got = work.texts(rille, store.all, store)
  assert.equal(n, #got)
  for i = 1, n do assert(got[i] == sound.all[i]) end
  assert.equal(n + 1, assert(store:append("after", { type = "After" })).first)
  oracle.check_verified(store)
  store:close()
  store = assert(rille.open(path))
  assert.equal(n + 1, store:head())
  oracle.check_verified(store)
  store:close()
  local torn = image.take(path)
  scratch.remove(path)
  return remark, torn
end

-- The same, for reading only.
local function look_at_tail(path, log, sound, n)
  image.write(path .. "/" .. image.first_segment, log)
  local store, remark, code = assert(rille.open(path, { readonly = true }))
  assert(not remark or code == "remark")
  local got = work.texts(rille, store.all, store)
  assert.equal(n, #got)
  for i = 1, n do assert(got[i] == sound.all[i]) end
  store:close()
  return remark
end

local function try_tail(path, files, log, sound, n, mend)
  if mend then return (check_tail(files, log, sound, n)) end
  return look_at_tail(path, log, sound, n)
end

local function cut_at(frame)
  return ("at byte %d, behind position %d"):format(frame.start, frame.first - 1)
end

describe("a torn tail", function()
  -- Reading is tried at each byte, mending at some.
  local function each_byte(last, from, to, check)
    for n = from, to do
      check(n, false)
      if n == from or n == to or math.random(last.length) <= rounds(8) then check(n, true) end
    end
  end

  it("is cut, wherever the file ends inside of the last frame", function()
    local files, sound, frames = unfolded()
    local log, last = files[image.first_segment], frames[6]
    local path = image.put(files, scratch.path())
    each_byte(last, last.start, last.stop, function(size, mend)
      local whole, bytes = size == last.stop, log:sub(1, size)
      local n = whole and last.last or last.first - 1
      local remark = try_tail(path, files, bytes, sound, n, mend)
      if size == last.start or whole then assert.is_nil(remark)
      else stores.contains(remark, cut_at(last)) end
    end)
  end)

  it("is cut, however many of its last bytes are zeros", function()
    local files, sound, frames = unfolded()
    local log, last = files[image.first_segment], frames[6]
    local path = image.put(files, scratch.path())
    each_byte(last, 1, last.length, function(n, mend)
      local zeroed = image.zero(log, last.stop - n, n)
      local there = zeroed == log and last.last or last.first - 1
      local remark = try_tail(path, files, zeroed, sound, there, mend)
      if zeroed == log or n == last.length then assert.is_nil(remark)
      else stores.contains(remark, cut_at(last)) end
    end)
  end)

  it("is cut where garbage stands behind the end", function()
    local files, sound, frames = unfolded()
    local log, last = files[image.first_segment], frames[6]
    for _ = 1, rounds(12) do
      local n = math.random(600)
      local garbage = {}
      for i = 1, n do garbage[i] = string.char(math.random(1, 255)) end
      local bytes = table.concat(garbage)
      local in_zeros = image.patch(log, last.stop, n, bytes)
      local remark = check_tail(files, in_zeros, sound, last.last)
      stores.contains(remark, ("cut at byte %d, behind position %d"):format(last.stop, last.last))
      check_tail(files, log:sub(1, last.stop) .. bytes, sound, last.last)
    end
  end)

  it("is cut where an old frame stands behind the end, and at any place", function()
    local files, sound, frames = unfolded()
    local log, last = files[image.first_segment], frames[6]
    for _, frame in ipairs(frames) do
      local old = log:sub(frame.start + 1, frame.stop)
      local remark = check_tail(files, image.patch(log, last.stop, #old, old), sound, last.last)
      stores.contains(remark, "cut at byte " .. last.stop)
      local at = last.stop + 8 * math.random(50)
      check_tail(files, image.patch(log, at, #old, old), sound, last.last)
    end
  end)

  it("is cut at a hole before whole frames that were never flushed; they are kept", function()
    local files, sound, frames = unfolded "never"
    local hole, last = frames[4], frames[6]
    local log = image.zero(files[image.first_segment], hole.start, hole.length)
    local remark, left = check_tail(files, log, sound, hole.first - 1)
    stores.contains(remark, cut_at(hole))
    stores.contains(remark, "kept beside it")
    local kept = left[image.segment_name(hole.start):gsub("seg$", "torn")]
    assert(kept, "no copy of what was cut")
    assert.equal(log:sub(hole.start + 1, last.stop), kept:sub(1, last.stop - hole.start))
  end)

  it("is damage where what stands behind the hole knows of a flush", function()
    local files, sound, frames = unfolded()
    local hole = frames[4]
    local log = image.zero(files[image.first_segment], hole.start, hole.length)
    local damaged = image.with(files, { [image.first_segment] = log })
    local path = image.put(damaged, scratch.path())
    local message, code, detail = stores.failure(rille.open(path))
    oracle.check_refusal(message, code, detail, oracle.damage(frames, hole.start), #log)
    local after = image.take(path)
    for name, bytes in pairs(damaged) do
      if name:find "^log/" then assert(after[name] == bytes, name .. " was changed") end
    end
    local store, remark = assert(rille.open(path, { readonly = true }))
    local got = work.texts(rille, store.all, store)
    assert.equal(hole.first - 1, #got)
    assert(got[#got] == sound.all[#got])
    stores.contains(remark, "Readable up to position " .. hole.first - 1)
    store:close()
  end)

  it("that survived does not come back behind new appends", function()
    local files, _, frames, path = unfolded("never", true)
    local hole, last = frames[5], frames[6]
    local log = image.zero(files[image.first_segment], hole.start, hole.length)
    power.put(image.with(files, { [image.first_segment] = log }), {}, path) -- in its place: no copy
    local store = assert(rille.open(path, { sync = "never" }))
    local stream, events = work.append(5, 15) -- as long as what stood in the hole
    assert.equal(hole.first, assert(store:append(stream, events)).first)
    local now = image.take(path)
    assert.equal(hole.stop, image.frames(now)[5].stop)
    store:close()
    store = assert(rille.open(path))
    assert.equal(last.first - 1, store:head())
    oracle.check_verified(store)
    store:close()
  end)
end)
