-- ledger.lua: a participant that is no store: a handler that keeps its promises as files in a
-- folder beside the bank's, and what must be in it at last.
--
--   promised-ID   voted yes          done-ID   committed; in it is the transfer
local ledger = {}

local function folder_of(base) return (base:gsub("[^/]+$", "ledger-%0")) end

-- Whole or not at all.
local function write(path, text)
  local file = assert(io.open(path .. ".new", "w"))
  assert(file:write(text))
  assert(file:close())
  assert(os.rename(path .. ".new", path))
end

local function exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

local function names(folder, what)
  local list = {}
  local pipe = assert(io.popen(("ls '%s' 2>/dev/null"):format(folder)))
  for line in pipe:lines() do list[#list + 1] = line:match("^" .. what .. "%-(.*%d)$") end
  pipe:close()
  return list
end

function ledger.make(base) assert(os.execute(("mkdir -p '%s'"):format(folder_of(base)))) end
function ledger.remove(base) assert(os.execute(("rm -rf '%s'"):format(folder_of(base)))) end

---The functions of the handler.
function ledger.functions(base)
  local folder = folder_of(base)
  local function promised(id) return ("%s/promised-%s"):format(folder, id) end
  local function done(id) return ("%s/done-%s"):format(folder, id) end
  return {
    prepare = function(id, work)
      write(promised(id), work.transfer)
      return true
    end,
    commit = function(id, work)
      if not exists(done(id)) then write(done(id), work.transfer) end
      os.remove(promised(id))
      return true
    end,
    abort = function(id)
      os.remove(promised(id))
      return true
    end,
    recover = function() return names(folder, "promised") end,
  }
end

---What is wrong, if these transfers are there, and no others; nil: nothing.
function ledger.fault(base, all)
  local folder, seen = folder_of(base), {}
  local held = names(folder, "promised")[1]
  if held then return "the ledger still holds " .. held end
  for _, id in ipairs(names(folder, "done")) do
    local transfer = io.open(folder .. "/done-" .. id):read "a"
    if seen[transfer] then return "the ledger has twice " .. transfer end
    seen[transfer] = true
    if not all[transfer] then return ("the ledger has %s, the accounts have not"):format(transfer) end
  end
  for transfer in pairs(all) do
    if not seen[transfer] then return ("the accounts have %s, the ledger has not"):format(transfer) end
  end
end

return ledger
