-- scratch.lua: files: reading any, and making them in a temporary folder of this process, which is
-- removed when it ends.
local scratch = {}

local function read_line(command)
  local pipe = assert(io.popen(command))
  local line = pipe:read "l"
  pipe:close()
  return assert(line, command)
end

scratch.folder = read_line 'mktemp -d "${TMPDIR:-/tmp}/rille-XXXXXX"'

-- The state's end collects this.
scratch.remover = setmetatable({}, {
  __gc = function() os.execute("rm -rf '" .. scratch.folder .. "'") end,
})

local count = 0

---A path at which there is nothing yet.
function scratch.path(name)
  count = count + 1
  return ("%s/%d-%s"):format(scratch.folder, count, name or "store.rille")
end

---Writes a file there, and returns its path.
function scratch.file(name, text)
  local path = scratch.folder .. "/" .. name
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  file:close()
  return path
end

---The bytes of any file.
function scratch.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

---Runs a shell command, whose failure is an error.
function scratch.shell(command, ...)
  command = command:format(...)
  local ok, how, status = os.execute(command)
  if not ok then error(("%s %d: %s"):format(how, status, command), 2) end
end

function scratch.remove(path) scratch.shell("rm -rf '%s'", path) end

return scratch
