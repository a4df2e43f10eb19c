-- cli.lua: the command `rille`: words.lua becomes a parser, and `main` runs a command.
--
-- Nothing below main ends the process: what goes wrong is raised as { message, status },
-- which main turns into a line on standard error and an exit status: 0 done, 1 failed
-- or a problem was found, 2 the command line can't be understood.

local core = ...
local rille = require "rille"
local commands = require "rille.commands"
local completion = require "rille.completion"
local near = require "rille.near"
local scope = require "rille.scope"
local screen = require "rille.screen"
local words = require "rille.words"

---@class rille.cli
local cli = {}

local DONE, FAILED, USAGE = 0, 1, 2
local USAGE_COLUMNS = 78
local HELP_COLUMNS, HELP_LEAST, HELP_MARGIN = 90, 60, 30

-- The parser ------------------------------------------------------------------------------

local MISSING = "the command needs the Lua library argparse: apt-get install lua-argparse, or "
  .. "luarocks --lua-version 5.4 install argparse"

---Shows a text and ends, from within argparse.
local function ending(text) error({ output = text, status = DONE }, 0) end

local function add_help(parser)
  return parser:add_help { description = "show this help",
    action = function() ending(parser:get_help()) end }
end

---How a command is typed, in lines that fit.
local function usage(word)
  local begin = "Usage: rille " .. word.name
  local lines, line = {}, begin
  for _, piece in ipairs(words.usage_of(word)) do
    if #line + 1 + #piece > USAGE_COLUMNS then
      lines[#lines + 1], line = line, (" "):rep(#begin)
    end
    line = line .. " " .. piece
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end

local function add_word(parser, word)
  local command = add_help(parser:command { name = word.name, summary = word.summary,
    description = word.description, epilog = word.epilog, usage = usage(word) })
  for _, argument in ipairs(words.arguments_of(word)) do command:argument(argument) end
  local options = {}
  for _, option in ipairs(words.options_of(word)) do
    if option.name ~= words.HELP then options[option.name] = command:option(option) end
  end
  if word.mutex then command:mutex(options[word.mutex[1]], options[word.mutex[2]]) end
end

---The word that completions ask, and no help mentions.
local function add_names(parser)
  local command = parser:command { name = "names", hidden = true }
  command:argument(words.store)
  command:argument { name = "KIND", target = "kind",
    choices = { "stream", "type", "projection", "processor", "key", "transaction" } }
  command:argument { name = "OF", target = "of", args = "?" }
end

local function too_many(name)
  local word, list = words.find(name), {}
  if not word then return "too many arguments" end
  for i, argument in ipairs(words.arguments_of(word)) do list[i] = argument.argname end
  return ("too many arguments: it takes %s%s"):format(table.concat(list, " "),
    word.too_many and "; " .. word.too_many or "")
end

local function make_parser()
  local found, argparse = pcall(require, "argparse")
  if not found then screen.fail(MISSING) end
  local parser = argparse { name = "rille", description = "An event store in a folder.",
    usage = "Usage: rille COMMAND STORE ...\n       rille help COMMAND",
    command_target = "command", require_command = false,
    help_max_width = math.max(HELP_LEAST, math.min(HELP_COLUMNS, screen.columns() or HELP_COLUMNS)),
    help_description_margin = HELP_MARGIN }
  add_help(parser)
  parser:option { name = "--version", args = 0, description = "show the version",
    action = function() ending(rille._VERSION) end }
  parser:option { name = "--completion", choices = { "bash", "zsh", "fish" },
    description = "print a script that completes commands in this shell",
    action = function(_, _, shell) ending((completion.shells[shell]():gsub("\n$", ""))) end }
  for _, word in ipairs(words.list) do add_word(parser, word) end
  add_names(parser)
  add_help(parser:command { name = "help", summary = "show the help of a command",
    description = "Shows the help of a command, or all commands." })
    :argument(words.topic)
  parser.error = function(at, message)
    if message == "too many arguments" then message = too_many(at._name) end
    error({ message = message:gsub("\nDid you mean (.*)%?$", " (did you mean %1?)"),
            usage = at:get_usage(), status = USAGE }, 0)
  end
  return parser
end

---Long options that take a value.
local function valued_options()
  local names = {}
  for _, word in ipairs(words.list) do
    for _, option in ipairs(word.options or {}) do
      if option.args ~= 0 and option.name:find "^%-%-" then names[option.name] = true end
    end
  end
  return names
end

---`--data -5` as `--data=-5`, or argparse would take the number for an option.
local function joined(arguments)
  local valued, list, i = valued_options(), {}, 1
  while i <= #arguments do
    local word, value = arguments[i], arguments[i + 1]
    if word == "--" then
      return table.move(arguments, i, #arguments, #list + 1, list)
    end
    if valued[word] and value and value:find "^%-." then
      word, i = word .. "=" .. value, i + 1
    end
    list[#list + 1], i = word, i + 1
  end
  return list
end

---What somebody needs who has typed `rille` and nothing else.
local function welcome()
  local lines = {}
  for _, word in ipairs(words.list) do
    if word.first then
      lines[#lines + 1] = screen.styled("dim", "  # " .. word.summary) .. "\n  " .. word.first
    end
  end
  return ("Usage: rille COMMAND STORE ...\n\nA store is a folder; the first append makes it. To begin with:\n\n%s\n\n"
    .. "rille --help lists all commands, rille COMMAND --help tells what each takes."):format(table.concat(lines, "\n"))
end

---Raises where the words stand in the wrong order, as who is new to it puts them.
local function check_order(arguments)
  local first, second = arguments[1], arguments[2]
  if not first or words.find(first) or not near.is_store(first) then return end
  error({ message = ("the command comes first, then the store: rille %s %s ..."):format(
    words.find(second) and second or "COMMAND", first), status = USAGE }, 0)
end

local function parse(arguments)
  local parser = make_parser()
  check_order(arguments)
  local options = parser:parse(joined(arguments))
  if not options.command then
    error({ message = "a command is needed", usage = welcome(), status = USAGE }, 0)
  end
  if options.command == "help" then
    parser:parse { options.topic or "--help", "--help" }
  end
  if options.command == "fold" and options.version and not options.stream then
    error({ message = "--version is of a stream: give --stream", status = USAGE }, 0)
  end
  return options
end

-- Running ---------------------------------------------------------------------------------

local function run(arguments)
  screen.prepare()
  local options = parse(arguments)
  core.terminal.end_on_interrupt()
  local status = scope.run(commands[options.command], options)
  screen.flush()
  return screen.found_problem() and FAILED or status or DONE
end

---Shows what was raised and gives the exit status for it.
local function settle(problem)
  if type(problem) == "table" and problem.output then
    local ok, failure = pcall(function()
      screen.write(problem.output, "\n")
      screen.flush()
    end)
    if ok then return problem.status end
    problem = failure
  end
  io.stdout:flush() -- what had been found before, as far as it can still be shown
  screen.say(screen.message_of(problem))
  if type(problem) ~= "table" then return FAILED end
  if problem.usage then io.stderr:write(problem.usage, "\n") end
  return problem.status or FAILED
end

---@param arguments string[]
---@return integer status
function cli.main(arguments)
  local ok, result = pcall(run, arguments)
  return ok and result or settle(result)
end

return cli
