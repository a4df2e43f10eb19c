-- completion.lua: scripts by which bash, zsh and fish complete what is typed after `rille`.
--
-- They are made of words.lua, so they know what the help knows. What only a store can tell
-- (streams, types, projections, keys) they ask the command for while somebody types: the word
-- `names`, which no help mentions, prints it from the store that stands on the line.

local words = require "rille.words"

---@class rille.completion
local completion = {}

local DIRECTORY = { store = true, folder = true }

---What may stand there: "=a b" for these very words, "" for nothing that can be told.
local function kind_of(what)
  local values = what.values or what.choices
  if values then return "=" .. table.concat(values, " ") end
  return what.kind or ""
end

---A text in the quotes of all three shells.
local function quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

---Calls `make` for each option of each command; a list of what it gives.
local function each_option(make)
  local list = {}
  for _, word in ipairs(words.list) do
    for _, option in ipairs(words.options_of(word)) do
      list[#list + 1] = make(word, option, words.names_of(option))
    end
  end
  return list
end

---... for each argument, with its place: the store's is 0.
local function each_place(make)
  local list = {}
  for _, word in ipairs(words.list) do
    for i, argument in ipairs(words.arguments_of(word)) do list[#list + 1] = make(word, argument, i - 1) end
  end
  return list
end

local function command_names()
  local names = {}
  for _, word in ipairs(words.list) do names[#names + 1] = word.name end
  names[#names + 1] = "help"
  return names
end

---A text with @name@ replaced by a list's lines, or by a text.
local function filled(text, values)
  return (text:gsub("@(%l+)@", function(name)
    local value = assert(values[name], name)
    return type(value) == "table" and table.concat(value, "\n") or value
  end))
end

---The names of a command's option that takes a value, as alternatives of a `case`.
local function alternatives(word, names, gap)
  local list = {}
  for _, name in ipairs(names) do list[#list + 1] = quoted(word.name .. " " .. name) end
  return table.concat(list, gap)
end

-- bash ------------------------------------------------------------------------------------

local BASH = [=[
# bash completes `rille` by this. In ~/.bashrc:  eval "$(rille --completion bash)"

# Sets `kind` to what the option of a command takes; 1: it takes nothing.
_rille_value() {
  case "$1 $2" in
@values@
    *) return 1 ;;
  esac
}

# Sets `kind` to what an argument of a command is, by its place.
_rille_place() {
  case "$1 $2" in
@places@
    *) kind='' ;;
  esac
}

_rille_options() {
  case $1 in
@options@
    *) echo '--help --version --completion' ;;
  esac
}

# Offers those lines of the input that begin with what was typed. Readline replaces only what
# stands behind the last ":" or "=".
_rille_offer() {
  local line
  while IFS= read -r line; do
    [[ -n $line && $line == "$typed"* ]] || continue
    line=${line#"$before"}
    [[ -n $quote ]] || printf -v line '%q' "$line"
    COMPREPLY+=("$line")
  done
}

# Folders; a store is one that is not looked into.
_rille_folders() {
  local line
  if [[ $typed == '~'* || -n $quote ]]; then
    compopt -o filenames
    COMPREPLY=($(compgen -d -- "$typed"))
    return
  fi
  compopt -o nospace
  while IFS= read -r line; do
    if [[ -e $line/store ]]; then COMPREPLY+=("$(printf '%q' "${line#"$before"}") ")
    else COMPREPLY+=("$(printf '%q' "${line#"$before"}")/")
    fi
  done < <(compgen -d -- "$typed")
}

_rille_kind() {
  case $1 in
    '') ;;
    =*) _rille_offer < <(printf '%s\n' ${1#=}) ;;
    store | folder) _rille_folders ;;
    file) compopt -o filenames; COMPREPLY=($(compgen -f -- "$typed")) ;;
    command) _rille_offer < <(printf '%s\n' @commands@) ;;
    place) ;;
    *) _rille_offer < <("$program" names "${places[0]/#\~/$HOME}" "$1" "${places[1]}" 2>/dev/null) ;;
  esac
}

_rille() {
  local IFS=$' \t\n' program=${COMP_WORDS[0]/#\~/$HOME} list=() raw='' last='' i each
  local command='' places=() option='' kind='' typed='' before='' quote=''
  COMPREPLY=()
  # Readline cuts words at ":" and "=": here they are put together again.
  for ((i = 1; i <= COMP_CWORD; i++)); do
    each=${COMP_WORDS[i]}
    if [[ ${#list[@]} -gt 0 && ($each == [:=]* || $last == *[:=]) ]]; then
      list[${#list[@]} - 1]+=$each
    else list+=("$each")
    fi
    last=$each
  done
  typed=${list[${#list[@]} - 1]} raw=$last
  [[ $raw == [:=] ]] && raw=''
  for ((i = 0; i < ${#list[@]} - 1; i++)); do
    each=${list[i]}
    if [[ -n $option ]]; then option=''
    elif [[ $each == -* ]]; then
      if [[ $each != *=* ]] && _rille_value "$command" "$each"; then option=$each; fi
    elif [[ -z $command ]]; then command=$each
    else
      each=${each#[\"\']} each=${each%[\"\']}
      places+=("${each//\\/}")
    fi
  done
  if [[ -z $option && $typed == --*=* ]]; then
    option=${typed%%=*} typed=${typed#*=}
  fi
  if [[ $typed == [\"\']* ]]; then quote=${typed:0:1} typed=${typed:1} raw=${raw#[\"\']}; fi
  typed=${typed//\\/} raw=${raw//\\/}
  before=${typed%"$raw"}
  kind=''
  if [[ -n $option ]]; then
    _rille_value "$command" "$option" && _rille_kind "$kind"
  elif [[ $typed == -* ]]; then
    _rille_offer < <(printf '%s\n' $(_rille_options "$command"))
  elif [[ -z $command ]]; then
    _rille_kind command
  else
    _rille_place "$command" ${#places[@]}
    _rille_kind "$kind"
  fi
  return 0
}

complete -F _rille rille
]=]

local function bash_options()
  local list = {}
  for _, word in ipairs(words.list) do
    local names = {}
    for _, option in ipairs(words.options_of(word)) do
      for _, name in ipairs(words.names_of(option)) do names[#names + 1] = name end
    end
    list[#list + 1] = ("    %s) echo %s ;;"):format(word.name, quoted(table.concat(names, " ")))
  end
  return list
end

local function bash()
  local values = each_option(function(word, option, names)
    if option.args == 0 then return nil end
    return ("    %s) kind=%s ;;"):format(alternatives(word, names, " | "), quoted(kind_of(option)))
  end)
  values[#values + 1] = "    ' --completion') kind='=bash zsh fish' ;;"
  local places = each_place(function(word, argument, place)
    return ("    '%s %d') kind=%s ;;"):format(word.name, place, quoted(kind_of(argument)))
  end)
  places[#places + 1] = "    'help 0') kind=command ;;"
  return filled(BASH, { values = values, places = places, options = bash_options(),
                        commands = table.concat(command_names(), " ") })
end

-- zsh -------------------------------------------------------------------------------------

local ZSH = [=[
#compdef rille
# zsh completes `rille` by this. In ~/.zshrc, behind compinit:  eval "$(rille --completion zsh)"
# or as a file `_rille` in a folder of $fpath.

# What the store on the line holds, of a kind.
_rille_names() {
  local -a found
  local store=${(Q)line[1]} of=${(Q)line[2]}
  found=(${(f)"$(${_rille_program/#\~/$HOME} names ${store/#\~/$HOME} $1 $of 2>/dev/null)"})
  _wanted names expl $1 compadd -a - found
}

_rille_commands() {
  local -a list
  list=(
@commands@
  )
  _describe -t commands command list
}

_rille() {
  local curcontext=$curcontext state state_descr line expl _rille_program=$words[1]
  typeset -A opt_args
  _arguments -C '(- *)'{-h,--help}'[show help]' '(- *)--version[show the version]' \
    '(- *)--completion[print a script that completes commands]:shell:(bash zsh fish)' \
    '1:command:_rille_commands' '*::argument:->argument' && return
  case $words[1] in
@words@
    help) _arguments '1:command:_rille_commands' ;;
  esac
}

if [ "$funcstack[1]" = _rille ]; then _rille "$@"; else compdef _rille rille; fi
]=]

local function zsh_text(text) return (text:gsub("[%[%]:\\]", "\\%0")) end

local function zsh_action(what)
  local kind = kind_of(what)
  if kind:sub(1, 1) == "=" then return "(" .. kind:sub(2) .. ")" end
  if DIRECTORY[kind] then return "_files -/" end
  if kind == "file" then return "_files" end
  if kind == "" or kind == "place" then return " " end
  return " _rille_names " .. kind -- the space: without compadd's options before it
end

---An option as _arguments takes it, whichever of its names is used.
local function zsh_option(option)
  local names, value = words.names_of(option), ""
  local many = option.count == "*"
  if option.args ~= 0 then value = (":%s:%s"):format(zsh_text(option.argname), zsh_action(option)) end
  local list = {}
  for _, name in ipairs(names) do
    local long = option.args ~= 0 and (name:find "^%-%-" and "=" or "+") or ""
    local others = many and "*" or "(" .. table.concat(names, " ") .. ")"
    list[#list + 1] = "      " .. quoted(("%s%s%s[%s]%s"):format(others, name, long,
      zsh_text(option.description), value)) .. " \\"
  end
  return table.concat(list, "\n")
end

local function zsh()
  local commands, list = {}, {}
  for _, word in ipairs(words.list) do
    commands[#commands + 1] = "    " .. quoted(word.name .. ":" .. zsh_text(word.summary))
    list[#list + 1] = ("    %s) _arguments \\"):format(word.name)
    for _, option in ipairs(words.options_of(word)) do list[#list + 1] = zsh_option(option) end
    for i, argument in ipairs(words.arguments_of(word)) do
      list[#list + 1] = "      " .. quoted(("%d%s%s:%s"):format(i, argument.args == "?" and "::" or ":",
        zsh_text(argument.argname), zsh_action(argument))) .. " \\"
    end
    list[#list + 1] = "      ;;"
  end
  return filled(ZSH, { commands = commands, words = list })
end

-- fish ------------------------------------------------------------------------------------

local FISH = [=[
# fish completes `rille` by this. In ~/.config/fish/config.fish:  rille --completion fish | source

# What stands on the line: the command and its arguments, without options and their values.
function __rille_words
  set -l command ''
  set -l skip 0
  for each in (commandline -opc)[2..-1]
    if test $skip = 1
      set skip 0
    else if string match -q -- '-*' $each
      switch "$command $each"
        case @values@
          set skip 1
      end
    else
      test -n "$command"; or set command $each
      echo -- $each
    end
  end
end

function __rille_in -a command
  set -l line (__rille_words)
  test "$line[1]" = $command
end

function __rille_at -a command place
  set -l line (__rille_words)
  test "$line[1]" = $command -a (count $line) = (math $place + 1)
end

# What the store on the line holds.
function __rille_names -a kind
  set -l program (commandline -opc)[1]
  set -l line (__rille_words)
  $program names (string replace -r '^~' $HOME -- $line[2]) $kind $line[3] 2>/dev/null
end

complete -c rille -f
complete -c rille -n 'test (count (__rille_words)) = 0' -s h -l help -d 'show help'
complete -c rille -n 'test (count (__rille_words)) = 0' -l version -d 'show the version'
complete -c rille -n 'test (count (__rille_words)) = 0' -l completion -x -a 'bash zsh fish' \
  -d 'print a script that completes commands'
@commands@
complete -c rille -n '__rille_at help 0' -a '@names@'
@places@
@options@
]=]

---What follows in a line of `complete`: the values, or files.
local function fish_action(what)
  local kind = kind_of(what)
  if kind:sub(1, 1) == "=" then return " -a " .. quoted(kind:sub(2)) end
  if DIRECTORY[kind] then return " -a '(__fish_complete_directories (commandline -ct))'" end
  if kind == "file" then return " -F" end
  if kind == "" or kind == "place" then return "" end
  return (" -a '(__rille_names %s)'"):format(kind)
end

local function fish_option(word, option, names)
  local parts = { "complete -c rille -n " .. quoted("__rille_in " .. word.name) }
  for _, name in ipairs(names) do
    local long = name:match "^%-%-(.*)$"
    parts[#parts + 1] = long and "-l " .. long or "-s " .. name:sub(2)
  end
  if option.args ~= 0 then parts[#parts + 1] = (kind_of(option) == "file" and "-r" or "-x") .. fish_action(option) end
  parts[#parts + 1] = "-d " .. quoted(option.description)
  return table.concat(parts, " ")
end

local function fish()
  local commands = {}
  for i, word in ipairs(words.list) do
    commands[i] = ("complete -c rille -n 'test (count (__rille_words)) = 0' -a %s -d %s"):format(word.name,
      quoted(word.summary))
  end
  local values = each_option(function(word, option, names)
    return option.args ~= 0 and alternatives(word, names, " ") or nil
  end)
  local places = each_place(function(word, argument, place)
    local action = fish_action(argument)
    if action == "" then return nil end
    return ("complete -c rille -n '__rille_at %s %d'%s"):format(word.name, place, action)
  end)
  return filled(FISH, { commands = commands, values = table.concat(values, " "), places = places,
    options = each_option(fish_option), names = table.concat(command_names(), " ") })
end

---@type table<string, fun(): string>
completion.shells = { bash = bash, zsh = zsh, fish = fish }

return completion
