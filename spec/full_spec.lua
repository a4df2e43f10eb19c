-- full_spec.lua: full disks, file size limits, folders that can't be written, and calls
-- to the system that fail, each in turn. An append answers what happened; what had been
-- acknowledged stays; and with space again the store goes on.
local rille = require "rille"
local child = require "spec.crash.child"
local disk = require "spec.crash.disk"
local oracle = require "spec.crash.oracle"
local rounds = require "spec.support.rounds"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local trap = require "spec.crash.trap"
local values = require "spec.support.values"
local work = require "spec.crash.work"

values.seed("full_spec")

local SMALLEST_SEGMENT = 65536

-- Whether a line, or a code, tells that there is no space. LMDB calls a write that was
-- cut short an input/output error.
local function is_full(line)
  return line:find "full" or line:find "%f[%a]io%f[%A]"
end

-- Appends until there is no space: how many there were.
local function fill(store, size)
  for i = 1, math.maxinteger do
    local stream, events = work.append(i, size)
    local done, message, code = store:append(stream, events)
    if not done then
      assert.equal("full", code)
      stores.contains(message, "No space left")
      return i - 1
    end
  end
end

local function check_full(store, n)
  local head = store:head()
  local found, list = oracle.appends(store)
  assert.equal(n, #list)
  assert.equal(head, found[n][2])
  oracle.check_verified(store)
  local stream, events = work.append(n + 1, 60000)
  local _, code = stores.failure(store:append(stream, events))
  assert.equal("full", code)
  assert.equal(head, store:head())
  assert.equal(head, store:durable())
end

describe("a full disk", function()
  for _, try in ipairs { { 10 }, { 3000 }, { 40000 }, { 3000, "ext4" }, { 40000, "ext4" } } do
    local size, kind = table.unpack(try)
    it(("refuses appends of %d bytes whole, and takes them when there is space: %s"):format(size, kind or "tmpfs"),
      function()
        local done = disk.with(3, function(folder)
          local path = folder .. "/a.rille"
          local store = assert(rille.open(path))
          local first = assert(store:append(work.append(1, 10)))
          disk.take_space(folder, 60)
          local n = 0
          repeat -- until there is not even room for the smallest
            local stream, events = work.append(n + 2, size)
            local ok, message, code = store:append(stream, events)
            n = ok and n + 1 or n
            if not ok then
              assert.equal("full", code)
              stores.contains(message, "No space left")
            end
          until not ok
          check_full(store, first.first + n)
          disk.give_space(folder)
          for i = n + 2, n + 5 do assert(store:append(work.append(i, size))) end
          assert.equal(n + 5, #select(2, oracle.appends(store)))
          oracle.check_verified(store)
          assert(store:close())
          store = assert(rille.open(path))
          assert.equal(n + 5, #select(2, oracle.appends(store)))
          store:close()
        end, kind)
        if not done then pending(disk.missing) end
      end)
  end

  it("refuses to begin a segment, and begins it when there is space", function()
    local done = disk.with(3, function(folder)
      local path = folder .. "/a.rille"
      local store = assert(rille.open(path, { segment_bytes = SMALLEST_SEGMENT }))
      disk.take_space(folder, 100)
      local n = fill(store, 3000)
      assert(store:stats().segments > 1)
      check_full(store, n)
      disk.give_space(folder)
      for i = n + 1, n + 40 do assert(store:append(work.append(i, 3000))) end
      oracle.check_verified(store)
      assert(store:close())
      store = assert(rille.open(path))
      assert.equal(n + 40, #select(2, oracle.appends(store)))
      store:close()
    end)
    if not done then pending(disk.missing) end
  end)

  it("while closing loses nothing, whatever the room for the fold", function()
    local done = disk.with(6, function(folder)
      for _, left in ipairs { 0, 1, 2, 5, 20, 60, 200 } do
        local path = folder .. "/a.rille"
        local store = assert(rille.open(path, { sync = "never" }))
        work.fill(store, 9000) -- more than a chunk of heads
        local head = store:head()
        disk.take_space(folder, left)
        local closed, message, code = store:close()
        assert(closed or is_full(code), message)
        store = assert(rille.open(path, { readonly = true }))
        assert.equal(head, store:head())
        oracle.check_verified(store)
        store:close()
        disk.give_space(folder)
        store = assert(rille.open(path))
        assert.equal(head, store:head())
        oracle.check_verified(store)
        assert(store:close())
        scratch.remove(path)
      end
    end)
    if not done then pending(disk.missing) end
  end)

  it("while making a store leaves none, or a good one, and ends no process", function()
    local done = disk.with(2, function(folder)
      local refused, path = 0, folder .. "/a.rille"
      for left = 0, 40, rounds.all and 1 or 3 do
        disk.take_space(folder, left)
        local lines, status = child.run("create", { path })
        if status ~= 0 then
          refused = refused + 1
          assert.equal(3, status) -- an answer, no signal
          assert(is_full(lines[#lines]), lines[#lines])
        end
        disk.give_space(folder)
        for name in io.popen(("ls '%s'"):format(folder)):lines() do
          assert.equal("a.rille", name)
        end
        local store = assert(rille.open(path))
        assert(store:append("s", { type = "Made" }))
        oracle.check_verified(store)
        assert(store:close())
        scratch.remove(path)
      end
      assert(refused > 0)
    end)
    if not done then pending(disk.missing) end
  end)

  it("can be read, and opened again when there is space", function()
    local done = disk.with(2, function(folder)
      local path = folder .. "/a.rille"
      disk.take_space(folder, 150) -- so that the store is not all there is
      local store = assert(rille.open(path))
      local n = fill(store, 500)
      store:close()
      disk.take_space(folder, 0)
      store = assert(rille.open(path, { readonly = true }))
      assert.equal(n, #select(2, oracle.appends(store)))
      store:close()
      local message, code
      store, message, code = rille.open(path)
      assert(store or code == "full", message)
      if store then store:close() end
      disk.give_space(folder)
      store = assert(rille.open(path))
      assert.equal(n, #select(2, oracle.appends(store)))
      oracle.check_verified(store)
      assert(store:close())
    end)
    if not done then pending(disk.missing) end
  end)
end)

describe("a limit of the size of files", function()
  local LIMIT = "%s ulimit -f %d;" -- in blocks of 512 or 1024 bytes

  for _, size in ipairs { 10, 5000, 100000 } do
    it(("refuses appends of %d bytes whole, and the store goes on without it"):format(size),
      function()
        local path = scratch.path()
        -- also a host that does nothing about the signal must not be ended by it
        local host = size == 5000 and "trap '' XFSZ;" or ""
        local lines, status = child.run("fill", { path, size }, LIMIT:format(host, 600))
        assert(status == 0, lines[#lines])
        local n, code = lines[1]:match "^stopped (%d+) (%a+)"
        assert.equal("full", code)
        assert(tonumber(n) > 0)
        local ok, events, head, durable = lines[2]:match "^verified (%a+) (%d+) (%d+) (%d+)"
        assert.equal("true", ok)
        assert(events == head and head == durable)
        local store = assert(rille.open(path))
        assert.equal(tonumber(n), #select(2, oracle.appends(store)))
        assert.equal(tonumber(head), store:head())
        assert(store:append(work.append(n + 1, size)))
        oracle.check_verified(store)
        assert(store:close())
        scratch.remove(path)
      end)
  end
end)

describe("a folder that can't be written", function()
  it("is named by the error, with the code readonly", function()
    local done = disk.with(2, function(folder)
      disk.protect(folder)
      local path = folder .. "/a.rille"
      local message, code = stores.failure(rille.open(path))
      assert.equal("readonly", code)
      stores.contains(message, path)
      message, code = stores.failure(rille.open(path, { readonly = true }))
      assert.equal("notfound", code)
      stores.contains(message, path)
    end)
    if not done then pending(disk.missing) end
  end)

  it("that is missing, or a file, is named by the error", function()
    local path = scratch.path "nowhere" .. "/a.rille"
    local message, code = stores.failure(rille.open(path))
    assert.equal("io", code)
    stores.contains(message, path)
    local file = scratch.file("a-file", "x")
    message, code = stores.failure(rille.open(file))
    assert.equal("invalid", code)
    stores.contains(message, file)
    stores.contains((stores.failure(rille.open(file .. "/a.rille"))), file)
  end)
end)

describe("a call to the system that fails", function()
  local APPENDS = 9
  local IO, NO_SPACE = 5, 28

  -- What was told is there, and the store is as good as new.
  local function check_after(path, lines)
    local acknowledged, gone = {}, nil
    for _, line in ipairs(lines) do
      local i, first, last = line:match "^done (%d+) (%d+) (%d+)"
      if i then
        if gone then error("acknowledged after a failed flush: " .. line) end
        acknowledged[tonumber(i)] = { tonumber(first), tonumber(last) }
      end
      gone = gone or line:match "^failed %d+ unknown"
    end
    local store, remark = assert(rille.open(path))
    oracle.check_appends(store, acknowledged)
    oracle.check_verified(store)
    assert(store:append("after", { type = "After" }))
    oracle.check_verified(store)
    assert(store:close())
    return remark
  end

  local function codes_of(lines, codes)
    for _, line in ipairs(lines) do
      local code = line:match "^refused (%a+)" or line:match "^failed %d+ (%a+)" or
        line:match "^closed (%a+)"
      if code then codes[code] = (codes[code] or 0) + 1 end
    end
  end

  local function each_call(errno)
    local step = rounds.all and 1 or 3
    local record = trap.count({ under = scratch.folder }, "stumble",
      { scratch.path(), APPENDS, SMALLEST_SEGMENT })
    local calls = 0
    for line in io.lines(record, "L") do
      if line:find "[CDRUTSW] %d+[^\n]*\n$" then calls = calls + 1 end
    end
    local codes = {}
    for n = math.random(step), calls + 12, step do
      local path = scratch.path()
      local lines, status = trap.run({ under = path, fail = n, errno = errno }, "stumble",
        { path, APPENDS, SMALLEST_SEGMENT })
      if status ~= 0 then error(("call %d: status %d: %s"):format(n, status, lines[#lines])) end
      local ok, message = pcall(check_after, path, lines)
      if not ok then
        error(("call %d: %s, after: %s"):format(n, message, table.concat(lines, "; ")), 0)
      end
      codes_of(lines, codes)
      scratch.shell("rm -rf '%s'*", path)
    end
    return codes
  end

  it("for want of space is answered, and nothing acknowledged is lost", function()
    if not trap.works() then return pending "calls are counted on Linux, with a C compiler" end
    local codes = each_call(NO_SPACE)
    assert((codes.full or 0) > 0 and codes.ok > 0)
  end)

  it("with an error of the disk is answered, and nothing acknowledged is lost", function()
    if not trap.works() then return pending "calls are counted on Linux, with a C compiler" end
    local codes = each_call(IO)
    assert(codes.io > 0 and codes.ok > 0)
  end)
end)
