-- doubting.lua: the word `tx` of the command `rille`: transactions that are not over in a store,
-- and what an operator can do about them.
--
-- A store that is opened to be written settles by itself what it can. So each action looks first,
-- without changing anything, and tells afterwards what has become of it.

local core = ...
local answer = require "rille.answer"
local rille = require "rille"
local scope = require "rille.scope"
local screen = require "rille.screen"
local settling = require "rille.settling"
local means = core.transaction
local closing = scope.closing

local NAME = "rille tx"

local function succeed(value, message)
  if value == nil then screen.fail(message) end
  return value
end

local function find(store, id)
  for _, entry in ipairs(succeed(settling.unfinished(store))) do
    if entry.id == id or entry.client == id then return entry end
  end
end

local function shown(entry)
  return { id = entry.id, state = entry.state, client = entry.client, coordinator = entry.coordinator,
           place = entry.place, age = entry.age, participants = rille.array(entry.participants),
           name = entry.name, by_hand = entry.by_hand, restored = entry.restored }
end

local function seconds(age)
  if age < 120 then return ("%.1f s"):format(age) end
  if age < 7200 then return ("%.0f min"):format(age / 60) end
  return ("%.0f h"):format(age / 3600)
end

local function show_list(list, json)
  if json or not screen.is_terminal() then
    for _, entry in ipairs(list) do screen.json(shown(entry)) end
    return
  end
  if #list == 0 then return screen.say "no transaction is in doubt or pending here" end
  local add = screen.table { { "id", most = 70 }, { "state" }, { "age", right = true }, { "coordinator", most = 20 },
    { "place" } }
  for _, e in ipairs(list) do add { e.id, e.state, seconds(e.age), e.coordinator, e.place } end
  add(nil)
end

---What home's log knows of one that is over, or that is not its.
local function known(store, id)
  local told = succeed(means.outcome(store, id))
  if told.outcome == "none" or told.outcome == "unknown" then
    screen.fail(("nothing is known here of a transaction %q: ask its home, whose identity it begins with"):format(id))
  end
  local detail = answer.detail(told.detail) or {}
  local participants = {}
  for i, p in ipairs(detail.participants or {}) do
    participants[i] = { name = p.name, kind = p.kind, path = p.path, member = p.member or false, vote = p.vote,
                        reason = p.reason }
  end
  return { id = told.id, state = told.outcome, ended = told.ended, client = detail.client,
           coordinator = detail.coordinator, policy = detail.policy, time = told.time > 0 and told.time or nil,
           participants = rille.array(participants) }
end

local function show_one(entry, json)
  if json or not screen.is_terminal() then return screen.json(entry) end
  local list = {}
  for _, name in ipairs { "id", "state", "ended", "client", "coordinator", "place", "name", "policy", "by_hand" } do
    if entry[name] ~= nil then list[#list + 1] = { name, screen.visible(tostring(entry[name])) } end
  end
  if entry.age then list[#list + 1] = { "age", seconds(entry.age) } end
  for _, p in ipairs(entry.participants) do
    local text = type(p) == "table" and ("%s %s%s"):format(p.name, p.vote or "none", p.member and ", member" or "") or p
    list[#list + 1] = { "participant", screen.visible(text) }
  end
  screen.pairs(list)
end

local function say_done(id, text, json)
  if json then screen.json { id = id, done = text } else screen.write(("%s: %s\n"):format(screen.visible(id), text)) end
end

return function(commands, open)
  ---The transaction, as it is before anything is changed.
  local function look(options)
    local entry = scope.run(function()
      return find(closing(open(options.store, { readonly = true })), options.id)
    end)
    if not entry then
      screen.fail(("no transaction %q is in doubt or pending in %s"):format(options.id, options.store))
    end
    return entry
  end

  local actions = {}

  function actions.list(options)
    local store = closing(open(options.store, { readonly = true }))
    show_list(succeed(settling.unfinished(store)), options.json)
  end

  function actions.show(options)
    local store = closing(open(options.store, { readonly = true }))
    local entry = find(store, options.id)
    show_one(entry and shown(entry) or known(store, options.id), options.json)
  end

  function actions.retry(options)
    local before, why = look(options), nil
    local store = closing(open(options.store, { create = false }))
    if before.state == "pending" then
      local c = closing(succeed(rille.coordinator(store, { name = NAME })))
      for _, problem in ipairs(succeed(c:recover()).problems or {}) do
        if problem.id == before.id then why = why or ("%s: %s"):format(problem.participant, problem.message) end
      end
      why = why or "a participant was not reached"
    elseif find(store, before.id) then
      local settled = succeed(store:settle { id = before.id })
      why = settled.message or settled.undecided > 0 and "its coordinator is at work on it"
    end
    local after = find(store, before.id)
    if after then screen.fail(("%s is still %s: %s"):format(before.id, after.state, why or "home did not answer")) end
    say_done(before.id, "over", options.json)
  end

  function actions.resolve(options)
    if not options.outcome or not options.reason then
      error({ message = "resolve needs ID, commit or abort, and --reason", status = 2 }, 0)
    end
    local before = look(options)
    local store = closing(open(options.store, { create = false }))
    if not find(store, before.id) then
      screen.fail(("%s was settled when the store was opened: home has answered, nothing is left to resolve")
        :format(before.id))
    end
    succeed(store:resolve(before.id, options.outcome, { reason = options.reason }))
    say_done(before.id, "resolved: " .. options.outcome, options.json)
  end

  function commands.tx(options)
    if options.action ~= "list" and not options.id then
      error({ message = ("tx %s needs the ID of a transaction"):format(options.action), status = 2 }, 0)
    end
    return actions[options.action](options)
  end
end
