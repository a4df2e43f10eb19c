-- terminal.lua: terminals for the command: `run` shows what one gets on a terminal of its own
-- (util-linux's script), `open` is a screen that somebody types at (tmux).
local place = require "spec.support.place"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"

local terminal = {}

local WAIT_SECONDS = 60

---The folder in which the command is, for PATH.
terminal.bin = place.build .. "/bin"

local function quoted(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

terminal.has_script = select(2, process.run "script -qec true /dev/null </dev/null >/dev/null 2>&1") == 0
terminal.has_tmux = select(2, process.run "command -v tmux >/dev/null") == 0

---Runs shell text on a terminal; `rille` is on PATH.
---@param options? { columns: integer?, environment: string?, folder: string? }
---@return string shown, integer status
function terminal.run(text, options)
  local o = options or {}
  local inner = ("cd '%s'; export PATH='%s':\"$PATH\" TZ=UTC TERM=xterm %s; stty cols %d; %s"):format(
    o.folder or scratch.folder, terminal.bin, o.environment or "", o.columns or 80, text)
  local shown, status = process.run_ours(("script -qec %s /dev/null </dev/null"):format(quoted(inner)))
  return (shown:gsub("\r\n", "\n")), status
end

-- A screen ----------------------------------------------------------------------

local Screen = {}
Screen.__index = Screen

local count = 0

local function tmux(self, format, ...)
  return process.run_ours(("tmux -S '%s' -f /dev/null "):format(self.socket) .. format:format(...))
end

---A shell on a screen of its own, with `rille` on PATH, in a folder.
function terminal.open(folder, columns, lines)
  count = count + 1
  local self = setmetatable({ folder = folder, socket = ("%s/tmux-%d"):format(scratch.folder, count) }, Screen)
  local shell = ("env -u BASH_ENV -u ENV PS1='> ' PATH='%s':\"$PATH\" TZ=UTC LC_ALL=C.UTF-8 sh -i"):format(terminal.bin)
  local said, status = tmux(self, "-u new-session -d -x %d -y %d -c '%s' %s", columns, lines or 40, folder,
    quoted(shell))
  assert(status == 0, said)
  self:wait "^>$"
  return self
end

---What it shows, without what is empty at its end: of the prompt ">" is left.
function Screen:text() return (tmux(self, "capture-pane -p"):gsub("%s*$", "")) end

---Waits until it shows what the pattern wants; returns all that it shows.
function Screen:wait(pattern)
  local limit, text = os.time() + WAIT_SECONDS, self:text()
  while not text:find(pattern) and os.time() < limit do
    process.run "sleep 0.02"
    text = self:text()
  end
  if text:find(pattern) then return text end
  error(("the screen never showed %q:\n%s"):format(pattern, text), 2)
end

---Types a line.
function Screen:type(text)
  tmux(self, "send-keys -l %s", quoted(text))
  self:key "Enter"
end

---Presses a key, such as "C-c".
function Screen:key(name) tmux(self, "send-keys %s", name) end

---Types a line on an empty screen, and waits until it has been run: what it showed, and its status.
function Screen:run(text)
  self.runs = (self.runs or 0) + 1 -- what stood there before is not taken for the answer
  self:type(("clear; %s; echo \"<%d:$?>\""):format(text, self.runs))
  local shown = self:wait(("<%d:%%d+>\n>$"):format(self.runs))
  local output, status = shown:match "^(.-)\n?<%d+:(%d+)>\n>$"
  return output, tonumber(status)
end

function Screen:close() tmux(self, "kill-server") end

return terminal
