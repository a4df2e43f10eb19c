-- timeline.lua: a plugin for Neovim: the history of your files, kept in a store of rille.
--
-- Each time a file is written, its lines that have changed are appended to the stream of its
-- path; the reducer text.lua puts them together again. So every text that was ever written is
-- there, across sessions, also where undo files are off or were lost:
--
--   :Timeline            the versions of this file, with their times
--   :TimelineAt 3        the text of version 3, in a new window, to look at or to take from
--
-- require "timeline".setup { path = , module = }     where the store is; where rille.so is
local timeline = {}

local store, reducer

---The first and last line that differ, as an event's data: lines first .. last of the old text
---become `lines`.
local function change(old, new)
  local first, cut = 1, 0
  while first <= #old and first <= #new and old[first] == new[first] do first = first + 1 end
  while cut < #old - first + 1 and cut < #new - first + 1 and old[#old - cut] == new[#new - cut] do cut = cut + 1 end
  return { first = first, last = #old - cut, lines = { unpack(new, first, #new - cut) } }
end

local function stream_of(buffer) return "file-" .. vim.fn.sha256(vim.api.nvim_buf_get_name(buffer)):sub(1, 32) end

local function text_at(stream, version)
  local state, message = store:fold(reducer, { stream = stream, version = version })
  if state == nil and type(message) == "string" then error(message, 0) end
  return state or {}
end

---Appends what a written buffer has changed.
function timeline.record(buffer)
  local stream = stream_of(buffer)
  local lines = vim.api.nvim_buf_get_lines(buffer, 0, -1, false)
  local version = store:version(stream)
  local data = change(version > 0 and text_at(stream) or {}, lines)
  if #data.lines == 0 and data.last < data.first then return end
  if #data.lines == 0 then data.lines = nil end
  assert(store:append(stream, { type = "Changed", data = data, meta = { path = vim.api.nvim_buf_get_name(buffer) } },
    { expect = version }))
end

---{ { version =, time =, lines = how many came } }, the newest first
function timeline.versions(buffer)
  local list = {}
  for event in store:read(stream_of(buffer), { reverse = true }) do
    list[#list + 1] = { version = event.version, time = event.time, lines = #(event.data.lines or {}) }
  end
  return list
end

function timeline.text(buffer, version) return text_at(stream_of(buffer), version) end

local function show_versions()
  for _, v in ipairs(timeline.versions(0)) do
    print(("%4d  %s  %d lines"):format(v.version, os.date("%Y-%m-%d %H:%M:%S", v.time), v.lines))
  end
end

local function show_text(command)
  local lines = timeline.text(0, tonumber(command.args))
  vim.cmd "new"
  vim.bo.buftype, vim.bo.bufhidden = "nofile", "wipe"
  vim.api.nvim_buf_set_lines(0, 0, -1, false, lines)
end

---@param options { path: string?, module: string? }
function timeline.setup(options)
  if options.module then package.cpath = options.module .. ";" .. package.cpath end
  local here = debug.getinfo(1, "S").source:match "^@(.*)lua/timeline%.lua$"
  reducer = here .. "lua/text.lua"
  vim.fn.mkdir(vim.fn.stdpath "data", "p")
  store = assert(require "rille".open(options.path or vim.fn.stdpath "data" .. "/timeline.rille"))
  local group = vim.api.nvim_create_augroup("timeline", {})
  vim.api.nvim_create_autocmd("BufWritePost", { group = group, callback = function(e) timeline.record(e.buf) end })
  vim.api.nvim_create_autocmd("VimLeave", { group = group, callback = function() store:close() end })
  vim.api.nvim_create_user_command("Timeline", show_versions, {})
  vim.api.nvim_create_user_command("TimelineAt", show_text, { nargs = 1 })
end

return timeline
