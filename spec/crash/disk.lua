-- disk.lua: a small disk of its own, so that it can be full, or not be written.
local scratch = require "spec.support.scratch"

local disk = {}

local PAGE = 4096

-- Unmounts it when this process is gone, should it crash.
local WATCH = "(while kill -0 $PPID; do sleep 0.5; done; umount -l '%s') >/dev/null 2>&1 &"

---Why there was none, for `pending`.
disk.missing = "mounting is not allowed here"

local MOUNT = {
  tmpfs = "mount -t tmpfs -o size=%dm tmpfs '%s' 2>/dev/null",
  ext4 = "truncate -s %dm '%s.image' && mkfs.ext4 -q -F -m 0 -O ^has_journal '%s.image' >/dev/null 2>&1 && " ..
    "mount -o loop '%s.image' '%s' 2>/dev/null && rmdir '%s/lost+found'",
}

---Calls use(folder) with a disk of so many megabytes mounted there; false where that is
---not allowed. It is unmounted whatever happens. `kind`: "tmpfs", or "ext4" on a loop device.
function disk.with(megabytes, use, kind)
  local folder = scratch.path "disk"
  scratch.shell("mkdir '%s'", folder)
  local mount = MOUNT[kind or "tmpfs"]
  if not os.execute(mount:format(megabytes, folder, folder, folder, folder, folder)) then return false end
  os.execute(WATCH:format(folder))
  local ok, message = pcall(use, folder)
  collectgarbage() -- a failed test leaves its store open
  collectgarbage()
  if not os.execute(("umount '%s' 2>/dev/null"):format(folder)) then
    scratch.shell("umount -l '%s'", folder)
  end
  if not ok then error(message, 0) end
  return true
end

---Makes it read-only.
function disk.protect(folder) scratch.shell("mount -o remount,ro '%s'", folder) end

---Takes all space that is left but some pages.
function disk.take_space(folder, pages_left)
  local file = assert(io.open(folder .. "/ballast", "ab"))
  file:setvbuf "no"
  while file:write(("x"):rep(16 * PAGE)) do end
  while file:write(("x"):rep(PAGE)) do end
  local bytes = file:seek "end"
  file:close()
  local keep = math.max(0, (bytes // PAGE - pages_left) * PAGE)
  scratch.shell("truncate -s %d '%s/ballast'", keep, folder)
end

function disk.give_space(folder) assert(os.remove(folder .. "/ballast")) end

return disk
