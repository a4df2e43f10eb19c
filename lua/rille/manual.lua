-- manual.lua: the manual page rille(1), of the tables that the help is made of. `make man` puts
-- it into docs/rille.1.
--
-- troff takes a "." that begins a line and every "\" for its own, and makes other characters of
-- some: `plain` is the one way of text into the page.

local rille = require "rille"
local words = require "rille.words"

local SPECIAL = { ["\\"] = "\\e", ["-"] = "\\-", ['"'] = "\\(dq", ["'"] = "\\(aq", ["`"] = "\\(ga",
  ["^"] = "\\(ha", ["~"] = "\\(ti" }

local function plain(text) return (text:gsub("[-\\\"'`^~]", SPECIAL):gsub("^%.", "\\&."):gsub("\n%.", "\n\\&.")) end

local function bold(text) return "\\fB" .. plain(text) .. "\\fR" end

local function italic(text) return "\\fI" .. plain(text) .. "\\fR" end

---"--type T", "--data JSON": an option and what it takes.
local function option_text(option)
  local names = {}
  for _, name in ipairs(words.names_of(option)) do names[#names + 1] = bold(name) end
  local text = table.concat(names, ", ")
  return option.args == 0 and text or text .. " " .. italic(option.argname)
end

local out

local function add(...) for _, line in ipairs { ... } do out[#out + 1] = line end end

local function add_item(title, text) add(".TP", title, plain(text)) end

---An example's text is shown as it is typed.
local function add_example(text)
  local what, command = text:match "^(Example[^:]*): (.*)$"
  add(".PP", plain((what or "Example") .. ":"), ".PP", ".RS 4", ".nf", plain(command or text), ".fi", ".RE")
end

local function add_command(word)
  add(".SS " .. bold(word.name), ".nh", bold("rille " .. word.name),
    table.concat(words.usage_of(word, bold, italic), "\n"), ".hy", ".PP", plain(word.description))
  for _, argument in ipairs(word.arguments or {}) do add_item(italic(argument.argname), argument.description) end
  for _, option in ipairs(word.options or {}) do add_item(option_text(option), option.description) end
  if word.epilog then add_example(word.epilog) end
end

local function add_ends()
  add(".SH EXIT STATUS")
  add_item("0", "done")
  add_item("1", "failed, or a problem was found: also where a damaged store could not be read whole")
  add_item("2", "the command line can't be understood")
  add(".PP", plain("A command that writes into a pipe that nobody reads any more ends silently, by SIGPIPE. "
    .. "What follows a store (tail -f, project --follow, process --follow) ends with 0 when it is interrupted, "
    .. "told to end, or not read any more: that is how it ends."))
  add(".SH ENVIRONMENT")
  add_item("NO_COLOR", "where it is set and not empty, nothing is coloured")
  add_item("TERM", "dumb: neither colour nor progress")
  add_item("TZ", "the zone in which times are shown to people; JSON has seconds since 1970")
  add(".SH SEE ALSO", plain "docs/command.md and docs/reliability.md of the source, ",
    "and \\fBjq\\fR(1), which reads what \\fB\\-\\-json\\fR prints.")
end

---@return string the page, as troff's man macros take it
return function()
  out = {}
  add('.TH RILLE 1 "" "' .. plain(rille._VERSION) .. '" "User Commands"', ".SH NAME",
    "rille \\- an event store in a folder", ".SH SYNOPSIS", bold "rille", italic "COMMAND", italic "STORE",
    "[...]", ".br", bold "rille help", "[" .. italic "COMMAND" .. "]", ".br",
    bold "rille --completion" .. " bash|zsh|fish", ".br", bold "rille --version", ".SH DESCRIPTION",
    plain("A store is a folder with a log of events; append and import make it. Every command prints tables and "
      .. "colour on a terminal only, plain text or lines of JSON elsewhere; messages and progress go to standard "
      .. "error."), ".PP", "Each command takes", bold "--json" .. ",",
    "to print one JSON object a line on a terminal, too, and", bold "-h" .. ".", ".SH COMMANDS")
  for _, word in ipairs(words.list) do add_command(word) end
  add_ends()
  return table.concat(out, "\n") .. "\n"
end
