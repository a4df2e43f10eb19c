-- show.lua: words and numbers for a terminal, or for a file when there is none.

local show = {}

local function is_terminal()
  local no_color = os.getenv "NO_COLOR"
  return (no_color == nil or no_color == "") and os.execute "test -t 1" == true
end

local STYLES = { bold = "1", dim = "2", red = "31", green = "32", blue = "34" }
local coloured = is_terminal()

---@param style "bold"|"dim"|"red"|"green"|"blue"
function show.styled(style, text)
  return coloured and ("\27[%sm%s\27[0m"):format(STYLES[style], text) or text
end

function show.line(format, ...) print(select("#", ...) > 0 and format:format(...) or format) end

function show.heading(number, title)
  print("\n" .. show.styled("bold", ("%d  %s"):format(number, title)))
end

function show.note(format, ...) print("   " .. show.styled("dim", format:format(...))) end

---123456 as "123 456".
function show.number(n)
  local digits = ("%.0f"):format(n):reverse():gsub("(%d%d%d)", "%1 ")
  return (digits:reverse():gsub("^ ", ""))
end

---"1 file", "2 files"
function show.count(n, one, many)
  return show.number(n) .. " " .. (n == 1 and one or many or one .. "s")
end

function show.bytes(n)
  if n < 1024 then return ("%d bytes"):format(n) end
  local unit = n < 1 << 20 and { "KiB", 1 << 10 } or { "MiB", 1 << 20 }
  return ("%.1f %s"):format(n / unit[2], unit[1])
end

function show.seconds(s)
  return s < 1 and ("%.1f ms"):format(s * 1000) or ("%.2f s"):format(s)
end

function show.date(time) return os.date("!%Y-%m-%d", time // 1 | 0) end

---Text from a repository, in at most `width` characters (default 60): what would move
---the cursor becomes "?", and of what is too long the end is kept or, with
---keep = "start", the beginning.
function show.text(text, width, keep)
  text, width = text:gsub("%c", "?"), width or 60
  local length = utf8.len(text)
  if not length then
    text = text:gsub("[\x80-\xff]", "?")
    length = #text
  end
  if length <= width then return text end
  if keep == "start" then return text:sub(1, utf8.offset(text, width) - 1) .. "…" end
  return "…" .. text:sub(utf8.offset(text, length - width + 2))
end

local function cell_text(cell)
  return type(cell) == "number" and show.number(cell) or cell
end

---Rows of cells as columns; numbers stand right. `header` is a row, or nil.
function show.table(header, rows)
  local all, widths = { header }, {}
  table.move(rows, 1, #rows, #all + 1, all)
  for _, row in ipairs(all) do
    for i, cell in ipairs(row) do
      widths[i] = math.max(widths[i] or 0, utf8.len(cell_text(cell)))
    end
  end
  for r, row in ipairs(all) do
    local cells = {}
    for i, cell in ipairs(row) do
      local text = cell_text(cell)
      local space = (" "):rep(widths[i] - utf8.len(text))
      cells[i] = type(rows[1][i]) == "number" and space .. text or text .. space
    end
    local line = table.concat(cells, "  "):gsub("%s+$", "")
    print("   " .. (header and r == 1 and show.styled("dim", line) or line))
  end
end

---A word for the shell.
function show.word(text)
  if text:find("^[%w/._=:@+-]+$") then return text end
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

return show
