-- index_spec.lua: the index is a fold of the log and no truth of its own: deleted, cut,
-- overwritten, exchanged, of another day, it never changes an answer. Opening makes it
-- anew, or says what is wrong; nothing ends the process.
--
-- RILLE_SOAK=n tries n times as many places.
local rille = require "rille"
local child = require "spec.crash.child"
local disk = require "spec.crash.disk"
local image = require "spec.crash.image"
local oracle = require "spec.crash.oracle"
local rounds = require "spec.support.rounds"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local values = require "spec.support.values"
local work = require "spec.crash.work"

values.seed("index_spec")

local DATA = "index/data.mdb"
local PAGE = 4096

local function append_some(store, from, to)
  for i = from, to do
    local stream, events = work.append(i, 5)
    assert(store:append { { stream = stream, events = events },
      { stream = "own-" .. i, events = { { type = "Own", tags = { "tag-" .. i } } } } })
  end
end

-- A closed store, the same before its last third, and what each answers.
local function make()
  local store, path = stores.new()
  append_some(store, 1, 400)
  store:close()
  local early = image.take(path)
  store = assert(rille.open(path, { sync = "never" }))
  append_some(store, 401, 600)
  local answers = work.digest(work.answers(store))
  store:close()
  return { path = path, early = early, files = image.take(path), answers = answers }
end

local made = make()

local function index_of(files)
  local index = {}
  for name, bytes in pairs(files) do
    if name:find "^index/" then index[name] = bytes end
  end
  return index
end

-- The sound log with this index.
local function with_index(index)
  local files = image.without_index(made.files)
  for name, bytes in pairs(index) do files[name] = bytes end
  return files
end

-- Opens, and expects the answers of the log.
local function expect_answers(path, options)
  local store, remark, code = assert(rille.open(path, options))
  assert(not remark or code == "remark")
  assert.equal(made.answers, work.digest(work.answers(store)))
  oracle.check_verified(store)
  assert(store:close())
  return remark
end

-- For writing, again, and for reading only.
local function expect_same(files)
  local path = image.put(files, scratch.path())
  local readonly = expect_answers(path, { readonly = true })
  local remark = expect_answers(path)
  assert.is_nil(expect_answers(path), "it was not mended")
  scratch.remove(path)
  return remark, readonly
end

describe("an index that is", function()
  it("deleted is made anew", function()
    expect_same(with_index {})
    expect_same(with_index { [DATA] = made.files[DATA] })
  end)

  it("an empty folder is made anew", function()
    local path = image.put(image.without_index(made.files), scratch.path())
    scratch.shell("mkdir '%s/index'", path)
    expect_answers(path)
    assert.is_nil(expect_answers(path))
  end)

  it("cut short is made anew", function()
    local bytes = made.files[DATA]
    for _, size in ipairs { 1, 100, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE, 3 * PAGE + 7, #bytes // 2,
      #bytes - PAGE, #bytes - 1 } do
      local remark = expect_same(with_index { [DATA] = bytes:sub(1, size) })
      stores.contains(remark, "index")
    end
    expect_same(with_index { [DATA] = "" })
  end)

  it("garbage is made anew", function()
    for _ = 1, 3 do
      local t = {}
      for i = 1, math.random(9000) do t[i] = string.char(math.random(0, 255)) end
      stores.contains(expect_same(with_index { [DATA] = table.concat(t) }), "made anew")
    end
    stores.contains(expect_same(with_index { [DATA] = ("\0"):rep(20000) }), "made anew")
  end)

  it("another store's is made anew", function()
    local other = make()
    stores.contains(expect_same(with_index(index_of(other.files))), "made anew")
  end)

  it("of an older day is caught up", function()
    assert.is_nil((expect_same(with_index(index_of(made.early)))))
  end)

  it("of another life of the same log is made anew", function()
    local path = image.put(made.early, scratch.path())
    local store = assert(rille.open(path))
    append_some(store, 1000, 1300)
    local answers = work.digest(work.answers(store))
    store:close()
    local files = image.take(path)
    local mixed = image.with(image.without_index(files), index_of(made.files))
    image.put(mixed, path)
    local remark
    store, remark = assert(rille.open(path))
    stores.contains(remark, "made anew")
    assert.equal(answers, work.digest(work.answers(store)))
    oracle.check_verified(store)
    store:close()
  end)

  it("newer than the log shows that the log has lost its end", function()
    local files = image.with(image.without_index(made.early), index_of(made.files))
    local path = image.put(files, scratch.path())
    local frames = image.frames(image.with(made.early))
    local last = frames[#frames]
    local message, code, detail = stores.failure(rille.open(path))
    assert.equal("corrupt", code)
    assert.equal(last.last, detail.position)
    assert.equal(last.stop, detail.address)
    stores.contains(message, "readonly")
    local store, remark = assert(rille.open(path, { readonly = true }))
    assert.equal(last.last, store:head())
    stores.contains(remark, "Readable up to position " .. last.last)
    store:close()
    scratch.shell("rm -r '%s/index'", path) -- the way out
    store = assert(rille.open(path))
    assert.equal(last.last, store:head())
    oracle.check_verified(store)
    store:close()
  end)

  it("half of a fold is caught up", function()
    local path = scratch.path()
    local store = assert(rille.open(path, { sync = "never" }))
    append_some(store, 1, 400)
    local files = image.take(path)
    store:close()
    local folded = image.take(path)
    -- heads of the whole, A of the beginning: what a crash between two chunks leaves,
    -- made by folding a log and giving the index a longer one
    image.put(image.with(files, index_of(folded)), path)
    store = assert(rille.open(path))
    assert.equal(stores.positions(store:all { reverse = true, limit = 1 })[1], store:head())
    oracle.check_verified(store)
    store:close()
  end)
end)

-- Damage inside of LMDB's file ----------------------------------------------------
-- Its pages have no checksums, so not every damage can be met by whoever asks; but it
-- ends no process, and verify, which folds the log once more, finds it.

-- What a process answers that opens a store whose index is damaged: "same", "refused",
-- "found" (by verify), or what is not allowed.
local function outcome_of(path, readonly)
  local lines, status = child.run("answer", { path, readonly and "readonly" or "write" })
  local said = {}
  for _, line in ipairs(lines) do said[line:match "^%a+"] = line end
  if status ~= 0 then return ("ended with status %d (%s)"):format(status, lines[#lines]) end
  if said.refused then return said.refused:find "index" and "refused" or said.refused end
  if said.answers == "answers " .. made.answers then return "same" end
  return said.verified:find "^verified true" and "wrong, and verify finds nothing" or "found"
end

describe("an index in which", function()
  -- Each place once for reading and once for writing; all answers are counted.
  local function try(places, damage)
    local wrong, n = {}, 0
    for _, place in ipairs(places) do
      local bytes = damage(made.files[DATA], place)
      local path = image.put(with_index { [DATA] = bytes }, scratch.path())
      for _, readonly in ipairs { true, false } do
        local outcome = outcome_of(path, readonly)
        n = n + 1
        if not (outcome == "same" or outcome == "refused" or outcome == "found") then
          wrong[#wrong + 1] = ("byte %d%s: %s"):format(place, readonly and ", readonly" or "",
            outcome)
        end
      end
      scratch.remove(path)
    end
    if #wrong > 0 then
      local first = table.concat(wrong, "\n", 1, math.min(#wrong, 12))
      error(("%d of %d: %s"):format(#wrong, n, first), 0)
    end
  end

  local function pages()
    local list = {}
    for at = 0, #made.files[DATA] - PAGE, PAGE do list[#list + 1] = at end
    return list
  end

  local function some(n, step)
    local list = {}
    for i = 1, n do list[i] = math.random(0, #made.files[DATA] // step - 1) * step end
    return list
  end

  it("a page is all zeros ends no process, and is found by verify", function()
    local all, list = pages(), {}
    for i = 1, #all do
      if i <= 8 or math.random(#all) <= rounds(12) then list[#list + 1] = all[i] end
    end
    try(list, function(bytes, at) return image.zero(bytes, at, PAGE) end)
  end)

  it("a sector is all zeros ends no process, and is found by verify", function()
    try(some(rounds(20), 512), function(bytes, at) return image.zero(bytes, at, 512) end)
  end)
end)

-- Reading only ----------------------------------------------------------------------

describe("a store on a medium that can't be written", function()
  local function temporary_folders(path)
    local n = 0
    for _ in io.popen(("ls '%s'"):format(path)):lines() do n = n + 1 end
    return n
  end

  -- Answers from a process whose temporary folder is one of our own.
  local function answer_from(path, temporary, as)
    scratch.shell("mkdir -p '%s' && chmod 777 '%s'", temporary, temporary)
    local lines, status = child.run("answer", { path, "readonly" }, nil,
      ("TMPDIR='%s' %s"):format(temporary, as or ""))
    assert(status == 0, lines[#lines])
    assert.equal("answers " .. made.answers, lines[2])
    assert.equal("closed ok", lines[#lines])
    assert.equal(0, temporary_folders(temporary))
  end

  it("is read through an index of its own, which is gone afterwards", function()
    local done = disk.with(8, function(folder)
      local path = image.put(image.without_index(made.files), folder .. "/a.rille")
      disk.protect(folder)
      answer_from(path, scratch.path "tmp")
      local why, code = stores.failure(rille.open(path))
      assert.equal("readonly", code)
      stores.contains(why, path)
      assert.is_nil(io.open(path .. "/index"))
    end)
    if not done then pending(disk.missing) end
  end)

  it("is read by a user who may not write", function()
    if not os.execute("[ \"$(id -u)\" = 0 ] && command -v setpriv >/dev/null") then
      return pending "only root can become nobody, with setpriv"
    end
    local path = image.put(image.without_index(made.files), scratch.path())
    local before = image.take(path)
    scratch.shell("chmod 755 '%s' && chmod -R a+rX,go-w '%s'", scratch.folder, path)
    local up = scratch.folder:match "^(.*)/[^/]*$"
    local as = "setpriv --reuid=65534 --regid=65534 --clear-groups"
    local may = ("%s test -x '%s' && %s test -r spec/crash/work.lua"):format(as, up, as)
    if not os.execute(may) then
      return pending "nobody can't enter the temporary folder, or this one"
    end
    answer_from(path, scratch.path "tmp", as)
    for name, bytes in pairs(image.take(path)) do assert(before[name] == bytes, name) end
  end)
end)
