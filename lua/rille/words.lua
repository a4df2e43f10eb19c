-- words.lua: the words of the command `rille` and their options, as argparse takes them,
-- and how the text of an option becomes a value.
--
-- Help, man page and completions are all made of these tables. What argparse does not look at:
-- `kind`, what a shell may offer for a value ("stream", "file" ...), `values`, the very words,
-- and of a command `first`, its line in what is shown to who has just begun.

local rille = require "rille"

---@class rille.words
local words = {}

local DEFAULT_BATCH = "1000"
local DEFAULT_TAIL = "10"

-- Arguments as values ---------------------------------------------------------------------

---A converter: a whole number that is at least `least`.
local function whole(option, least)
  return function(text)
    local n = text:find "^%d+$" and math.tointeger(tonumber(text))
    if n and n >= least then return n end
    return nil, ("%s must be a whole number from %d, not '%s'"):format(option, least, text)
  end
end

---A converter: JSON, or where to read it from.
local function json(option)
  return function(text)
    if text == "-" then return { file = "-" } end
    if text:sub(1, 1) == "@" then return { file = text:sub(2) } end
    local value, message = rille.json.decode(text)
    if value == nil then return nil, ("%s is no JSON: %s"):format(option, message) end
    return { value = value }
  end
end

local function param(text)
  local name, value_text = text:match "^([^=]+)=(.*)$"
  if not name then return nil, "--param needs NAME=JSON" end
  local value, message = rille.json.decode(value_text)
  if value ~= nil then return { name = name, value = value } end
  return nil, ("--param %s: '%s' is no JSON (a text needs its quotes: %s='\"text\"'): %s")
    :format(name, value_text, name, message)
end

local function other_store(text)
  local name, path = text:match "^([^=]+)=(.+)$"
  if not name then return nil, "--to needs NAME=STORE" end
  return { name = name, path = path }
end

local EXPECTED = { none = true, exists = true, any = true }

local function expect(text)
  if EXPECTED[text] then return text end
  local n = text:find "^%d+$" and math.tointeger(tonumber(text))
  return n, "--expect must be a version, none, exists or any"
end

-- The words -------------------------------------------------------------------------------

---What stands for the value of an argument, by what it is called.
local KIND_OF = { STORE = "store", STREAM = "stream", FILE = "file", DIR = "folder", REDUCER = "file",
  PROCESSOR = "file", KEY = "key", TOPIC = "command" }

---An argument that is called NAME and ends up in options.name.
local function argument(name, description, more)
  local a = more or {}
  a.kind = a.kind or KIND_OF[name]
  a.name, a.argname, a.target, a.description = name, name, name:lower(), description
  return a
end

words.store = argument("STORE", "the store's folder")
words.topic = argument("TOPIC", "the command", { args = "?" })

local AFTER = { name = "--after", argname = "P", convert = whole("--after", 0),
  description = "only events behind position P" }

local TYPE = { name = "--type", argname = "T", count = "*", kind = "type",
  description = "only this type; may be repeated" }

---A projection's name, and a processor's.
local function projection() return argument("NAME", "the projection", { kind = "projection" }) end

local OWN = "Events whose type begins with \"$\" are rille's own (such as events that wait, or are parked) and are "
  .. "left out: `rille backup` copies all there is."

local FOLLOW = { name = "--follow", args = 0, description = "go on with what is written" }
local PARAM = { name = "--param", argname = "NAME=JSON", count = "*", convert = param,
  description = "a parameter of the script; may be repeated" }

words.list = {
  {
    name = "append", summary = "write one event", too_many = "the type of the event stands behind --type",
    first = "rille append bank.rille account-1 --type Deposited --data '{\"amount\":5}'",
    description = "Writes one event and prints its version and position. Makes the store if there "
      .. "is none.",
    arguments = { argument("STREAM", "the stream it belongs to") },
    options = {
      { name = "--type", argname = "T", count = 1, kind = "type",
        description = "what happened, such as Deposited" },
      { name = "--data", argname = "JSON", convert = json "--data",
        description = "the event's data; - reads standard input, @FILE a file" },
      { name = "--meta", argname = "JSON", convert = json "--meta",
        description = "what is kept beside the data; - and @FILE as above" },
      { name = "--id", argname = "ID", description = "its id (default: rille makes one)" },
      { name = "--tag", argname = "T", count = "*", description = "a tag; may be repeated" },
      { name = "--expect", argname = "N|none|exists|any", convert = expect,
        values = { "none", "exists", "any" },
        description = "write only if the stream is at version N, has no event, or has one" },
    },
    epilog = "Example: rille append bank.rille account-1 --type Paid --data '{\"amount\":5}'",
  },
  {
    name = "import", first = "rille import bank.rille events.jsonl", summary = "read events from lines of JSON",
    description = "Reads one JSON object a line, with the fields stream, type, data, meta, id, "
      .. "tags, time; position and version are ignored; names that begin with \"$\" are refused. Each batch is "
      .. "written whole or not at all. After a bad line it says how far it came. Events that have ids are not "
      .. "written again when the import is repeated with the same --batch. Makes the store if there is none.",
    arguments = { argument("FILE", "the lines; - or nothing: standard input",
      { args = "?" }) },
    options = {
      { name = "--batch", argname = "N", convert = whole("--batch", 1), default = DEFAULT_BATCH,
        show_default = false, description = ("events in one append (default: %s); fewer where they "
          .. "have more than 32 MiB"):format(DEFAULT_BATCH) },
      { name = "--from", argname = "LINE", convert = whole("--from", 1), default = "1",
        show_default = false, description = "skip the lines before LINE" },
    },
    epilog = "Example: rille export old.rille | rille import new.rille",
  },
  {
    name = "export", summary = "print events as lines of JSON",
    description = "Prints one JSON object an event, in the order of their positions. `rille "
      .. "import` reads them. " .. OWN .. " Exit status 1 where the store is damaged and not all could be printed.",
    options = {
      AFTER,
      { name = "--stream", argname = "S", kind = "stream", description = "only this stream" },
      TYPE,
    },
    epilog = "Example: rille export bank.rille --type Deposited >deposits.jsonl",
  },
  {
    name = "cat", first = "rille cat bank.rille account-1", summary = "show events",
    description = "Shows events: a table on a terminal, else lines of JSON. Those whose type begins with \"$\" are "
      .. "rille's own and only shown with their STREAM.",
    arguments = { argument("STREAM", "only this stream", { args = "?" }) },
    options = {
      AFTER,
      { name = "--limit", argname = "N", convert = whole("--limit", 1),
        description = "at most N events" },
      { name = "--reverse", args = 0, description = "the newest first" },
    },
    epilog = "Example, the newest ten: rille cat bank.rille --reverse --limit 10",
  },
  {
    name = "tail", first = "rille tail -f bank.rille", summary = "show the last events, and those that come",
    description = "Shows the last events, with -f also each one that is written from then on, by "
      .. "whatever process, until it is interrupted. Also shows what is not yet durable.",
    options = {
      { name = "-f --follow", args = 0, description = "go on with what is written" },
      { name = "-n", argname = "N", convert = whole("-n", 0), default = DEFAULT_TAIL,
        show_default = false, description = ("the last N events (default: %s)"):format(DEFAULT_TAIL) },
      TYPE,
    },
    epilog = "Example: rille tail bank.rille -f --type Deposited",
  },
  {
    name = "fold", first = "rille fold bank.rille account.lua --stream account-1",
    summary = "run events through a reducer",
    description = "Runs events through a reducer script and prints the state as JSON.",
    arguments = { argument("REDUCER", "the reducer's file") },
    options = {
      { name = "--stream", argname = "S", kind = "stream", description = "only events of this stream" },
      { name = "--version", argname = "N", convert = whole("--version", 0),
        description = "... up to its version N" },
      { name = "--key", argname = "K", description = "the state of this key" },
      { name = "--at", argname = "POSITION", convert = whole("--at", 0),
        description = "the state as it was at this position" },
      PARAM,
    },
    mutex = { "--stream", "--key" },
    epilog = "Example: rille fold bank.rille reducers/account.lua --stream account-1",
  },
  {
    name = "project", summary = "keep a reducer's states",
    description = "Brings the states of a projection up to the head, and keeps them in the store under "
      .. "NAME. With --follow it goes on with what is written, until it is interrupted.",
    arguments = { projection(), argument("REDUCER", "the reducer's file") },
    options = { FOLLOW, PARAM },
    epilog = "Example: rille project bank.rille balances reducers/account.lua",
  },
  {
    name = "process", summary = "let a processor react to events",
    description = "Runs a processor from its mark to the head; with --follow it goes on with what is "
      .. "written, until it is interrupted. Each event has its effect exactly once.",
    arguments = { argument("NAME", "the processor", { kind = "processor" }),
      argument("PROCESSOR", "the processor's file") },
    options = {
      { name = "--once", args = 0, description = "end at the head (the default)" }, FOLLOW, PARAM,
      { name = "--to", argname = "NAME=STORE", count = "*", convert = other_store, kind = "place",
        description = "a store that the script emits to under NAME; may be repeated" },
      { name = "--together", args = 0,
        description = "what goes to several stores is written by a transaction: all or nothing" },
    },
    mutex = { "--once", "--follow" },
    epilog = "Example: rille process shop.rille fraud processors/fraud.lua --follow",
  },
  {
    name = "state", summary = "show a state of a projection",
    description = "Prints the state of a key as JSON; without KEY all of them, one a line.",
    arguments = { projection(), argument("KEY", "the key", { args = "?" }) },
    options = {
      { name = "--at", argname = "P", convert = whole("--at", 0),
        description = "as it was at position P" },
      { name = "--consistency", argname = "C", choices = { "strong", "session", "eventual", "weak" },
        description = "strong (default), session, eventual or weak" },
    },
    epilog = "Example: rille state bank.rille balances account-1 --at 1200",
  },
  {
    name = "diff", summary = "compare states at two positions",
    description = "Shows what became of the states of a projection between two positions.",
    arguments = { projection(),
      { name = "P1", argname = "P1", target = "from", description = "a position", convert = whole("P1", 0) },
      { name = "P2", argname = "P2", target = "to", description = "a later one", convert = whole("P2", 0) },
      argument("KEY", "only this key", { args = "?" }) },
    epilog = "Example: rille diff bank.rille balances 1200 1300",
  },
  {
    name = "why", summary = "show which events made a state",
    description = "Shows the events that touched a key of a projection, each with the change it made.",
    arguments = { projection(), argument("KEY", "the key", { args = "?" }) },
    epilog = "Example: rille why bank.rille balances account-1",
  },
  { name = "marks", summary = "show how far projections and processors are",
    description = "Shows each projection and processor that was opened here, its mark, and how many "
      .. "positions it is behind the head." },
  {
    name = "tx", summary = "show and settle transactions that are not over",
    description = "list: what is in doubt here (prepared, the outcome not known) or pending (decided "
      .. "here, not acknowledged by all). show ID: what is known of one. retry ID: asks its home, or "
      .. "tells its members, now. resolve ID: does by hand, in this store alone, what its home would "
      .. "say, where that will never answer; it is logged, and compared should home answer after all.",
    arguments = { argument("ACTION", "list, show, retry or resolve",
        { choices = { "list", "show", "retry", "resolve" } }),
      argument("ID", "the transaction's id, or its caller's", { args = "?", kind = "transaction" }),
      argument("OUTCOME", "of resolve: commit or abort", { args = "?", choices = { "commit", "abort" } }) },
    options = { { name = "--reason", argname = "R", description = "of resolve: who decided this, and why" } },
    epilog = "Example: rille tx bank.rille list",
  },
  {
    name = "report", summary = "make a page to look at the store",
    description = "Makes one HTML page that needs no network: events over time by type, streams by size, "
      .. "projections, processors and transactions, and for the keys of projections that changed most a "
      .. "slider through their states, with the difference that each event made. Changes nothing in the "
      .. "store. With --json it prints the data of the page instead.",
    options = {
      { name = "-o --output", argname = "FILE", kind = "file",
        description = "the page's file (default: standard output)" },
      { name = "--projection", argname = "NAME", kind = "projection",
        description = "states of this projection (default: of all)" },
      { name = "--reducer", argname = "FILE", kind = "file",
        description = "states by this reducer, which need not be known here" },
      PARAM,
      { name = "--key", argname = "K", count = "*", description = "states of this key (default: of those that "
        .. "changed most); may be repeated" },
      { name = "--since", argname = "P", convert = whole("--since", 1),
        description = "only events from position P on" },
      { name = "--last", argname = "N", convert = whole("--last", 1), description = "only the last N events" },
      { name = "--title", argname = "T", description = "what stands above the page (default: the folder's name)" },
    },
    mutex = { "--since", "--last" },
    epilog = "Example: rille report bank.rille -o report.html",
  },
  { name = "stat", first = "rille stat bank.rille", summary = "show how much there is",
    description = "Shows how many events, streams and bytes there are, what is durable, and since "
      .. "when. appends, flushes, folds and the steps of transactions count from when the first process "
      .. "opened it; times of steps are seconds in all." },
  { name = "verify", summary = "check every byte",
    description = "Reads every byte of the log and the index and names each invariant that does "
      .. "not hold. Exit status 1 where one does not.",
    options = { { name = "--deep", args = 0, description = "also compute the states of all projections "
      .. "once more, and compare them" } } },
  { name = "rebuild", summary = "make the index anew",
    description = "Makes the index anew from the log. No other process may have the store open." },
  {
    name = "scavenge", summary = "give back the bytes of truncated streams",
    description = "Takes the data of events that were truncated or deleted out of the log's files, while "
      .. "others read and append. Those events are then found by nothing any more; all others keep their "
      .. "positions and versions.",
    options = { { name = "--dry-run", args = 0, description = "only tell what it would do" } },
    epilog = "Example: rille scavenge bank.rille --dry-run",
  },
  {
    name = "redact", summary = "take the content of events out of the store, for good",
    description = "Takes data and meta of the events at these positions out of every file of the store. "
      .. "They keep their places, and say that they were redacted. It can't be undone. Backups that were made "
      .. "before, other stores and events that were made from these are not looked for.",
    arguments = { { name = "POSITION", argname = "POSITION", target = "positions", args = "*",
      description = "an event's position", convert = whole("POSITION", 1) } },
    options = {
      { name = "--tag", argname = "T", count = "*",
        description = "a tag that is taken out of every event that has it; may be repeated" },
      { name = "--stream", argname = "S", count = "*",
        description = "a stream whose name is taken out of all its events; may be repeated" },
      { name = "--ids", args = 0, description = "the ids that callers gave these events go, too" },
      { name = "--keep-data", args = 0, description = "data and meta stay" },
      { name = "--reason", argname = "R", description = "is kept in the log; it must not tell the content" },
    },
    epilog = "Example: rille redact shop.rille 17 18 --tag email:ann@example.com --reason 'request 231'",
  },
  { name = "backup", summary = "copy the store",
    description = "Copies the store, as it is at this moment and while others append to it, into a "
      .. "folder that must not exist. Closed log files are linked where the file system can. Exit status 1 where the "
      .. "store is damaged: the copy then ends before the damage.",
    arguments = { argument("DIR", "the new folder") } },
}

local JSON = { name = "--json", args = 0, description = "print one JSON object a line" }
words.HELP = "-h --help"

local HELP = { name = words.HELP, args = 0, description = "show this help" }

---All arguments of a command, the store first.
---@return table[]
function words.arguments_of(word)
  local list = { words.store }
  for _, each in ipairs(word.arguments or {}) do list[#list + 1] = each end
  return list
end

---All options of a command, with those that each has.
---@return table[]
function words.options_of(word)
  local list = {}
  for _, option in ipairs(word.options or {}) do list[#list + 1] = option end
  list[#list + 1] = JSON
  list[#list + 1] = HELP
  return list
end

---The names of an option: { "-f", "--follow" }.
---@return string[]
function words.names_of(option)
  local list = {}
  for name in option.name:gmatch "%S+" do list[#list + 1] = name end
  return list
end

---How a command is typed, as pieces that stay on a line: { "STORE" }, { "--type", "T" } in
---brackets where it may be left out, dots where it may be repeated.
---@param name? fun(text: string): string makes an option's name
---@param value? fun(text: string): string makes a value's or an argument's
---@return string[]
function words.usage_of(word, name, value)
  local function same(text) return text end
  name, value = name or same, value or same
  local parts = {}
  for _, each in ipairs(words.arguments_of(word)) do
    local text = value(each.argname)
    parts[#parts + 1] = each.args == "?" and "[" .. text .. "]" or text
  end
  for _, option in ipairs(word.options or {}) do
    local text = name(words.names_of(option)[1]) .. (option.args == 0 and "" or " " .. value(option.argname))
    if option.count ~= 1 then text = "[" .. text .. "]" end
    parts[#parts + 1] = option.count == "*" and text .. "..." or text
  end
  return parts
end

---@return table? word
function words.find(name)
  for _, word in ipairs(words.list) do
    if word.name == name then return word end
  end
end

return words
