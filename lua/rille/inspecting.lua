-- inspecting.lua: the words of the command `rille` for projections and processors: project,
-- process, state, diff, why, marks.

local core = ...
local rille = require "rille"
local changes = require "rille.changes"
local meter = require "rille.meter"
local near = require "rille.near"
local past = require "rille.past"
local reducer = require "rille.reducer"
local registry = require "rille.registry"
local closing = require "rille.scope".closing
local screen = require "rille.screen"
local script = require "rille.script"

local SLICE_MS = 100     -- of work between two looks at the terminal
local WAIT_S = 3600      -- for what comes; a signal ends it

---@param open fun(path: string, options: table?): rille.store
---@param params_of fun(list: table): table
return function(commands, open, params_of)
  local function succeed(value, message) return value ~= nil and value or screen.fail(message) end

  ---Runs to the head, slice by slice, and tells how far it is. The seconds until it has
  ---something to do by itself, or nil.
  local function run(worker)
    local progress, most = meter.new "event", nil
    repeat
      local left = succeed(worker:run { ms = SLICE_MS })
      most = math.max(most or left, left)
      progress.tell(most - left, most)
    until left == 0
    progress.clear()
    local left, due = worker:run {}
    succeed(left, due)
    return due
  end

  ---... and on, with whatever comes.
  local function follow(store, worker, options)
    core.terminal.end_quietly()
    while true do
      local head = store:head()
      local due = run(worker)
      if options.json then
        screen.json { name = options.name, mark = succeed(worker:mark()) }
        screen.flush()
      end
      local came, message = store:wait(head + 1, math.min(due or WAIT_S, WAIT_S))
      if came == nil then screen.fail(message) end
    end
  end

  local function work(store, worker, options)
    if options.follow then return follow(store, worker, options) end
    run(worker)
    local mark = succeed(worker:mark())
    if options.json then screen.json { name = options.name, mark = mark }
    else screen.write(("%s: at position %d\n"):format(screen.visible(options.name), mark))
    end
    succeed(worker:close())
  end

  function commands.project(options)
    local store = closing(open(options.store, { create = false }))
    work(store, succeed(store:projection(options.name, options.reducer,
      { params = params_of(options.param) })), options)
  end

  ---The other stores that a processor emits to, by name.
  local function open_others(list)
    local stores = {}
    for _, to in ipairs(list) do
      if stores[to.name] then screen.fail(("--to %s stands there twice"):format(to.name)) end
      stores[to.name] = closing(open(to.path, { create = false }))
    end
    return stores
  end

  function commands.process(options)
    if options.together and #options.to == 0 then screen.fail("--together needs --to NAME=STORE", 2) end
    local store = closing(open(options.store, { create = false }))
    local others = open_others(options.to)
    local c = closing(options.together and succeed(rille.coordinator(store)) or nil)
    work(store, succeed(store:processor(options.name, options.processor,
      { params = params_of(options.param), stores = next(others) and others, coordinator = c })), options)
  end

  ---The script and the parameters of a projection.
  local function entry_of(store, name)
    local entry, message, code = registry.find(store, "projection", name)
    if not entry then
      screen.fail(message .. (code == "notfound" and near.of(store, "projection", name) or ""))
    end
    return entry.path or entry.script, entry.params
  end

  local function definition_of(store, name)
    local path, params = entry_of(store, name)
    return succeed(script.open(store, path, { params = params, define = reducer.define })).definition
  end

  ---Fails where a key is given and the projection has none; or, where one is `needed`, is not given.
  local function check_key(definition, options, needed)
    if (options.key or "") ~= "" and not definition.key then
      screen.fail(("%s has no key: it keeps one state, so none can be asked for"):format(definition.name))
    end
    if needed and definition.key and not options.key then
      screen.fail(("%s keeps a state for each key: give one"):format(definition.name))
    end
  end

  local function show_states(p, options)
    if options.json or not screen.is_terminal() then
      for key, state in p:each { consistency = options.consistency } do
        screen.json { key = key, state = state, position = options.json and p:mark() or nil }
      end
      return
    end
    local add = screen.table { { "key", most = 40 }, { "state" } }
    for key, state in p:each { consistency = options.consistency } do add { key, assert(rille.json.encode(state)) } end
    add(nil)
  end

  function commands.state(options)
    local store = closing(open(options.store, { readonly = true }))
    local path, params = entry_of(store, options.name)
    local p = succeed(store:projection(options.name, path, { params = params }))
    if not options.key and definition_of(store, options.name).key then
      if options.at then screen.fail("--at is of one key: give it") end
      return show_states(p, options)
    end
    local state, position, code = p:get(options.key, { at = options.at, consistency = options.consistency })
    if state == nil and code then screen.fail(position) end
    if state == nil then
      local key = options.key or ""
      screen.fail(("no event has reached the key %q%s"):format(key,
        options.at and " at position " .. options.at or near.key(store, options.name, key)))
    end
    if options.json then
      screen.json { state = state, position = position, key = options.key }
    else
      screen.write(assert(rille.json.encode(state, { pretty = screen.is_terminal() })), "\n")
    end
  end

  local function json_changes(list)
    return rille.array(#list > 0 and list or {})
  end

  local function show_changes(list, indent)
    for _, change in ipairs(list) do
      screen.write(indent, screen.visible(changes.text(change)), "\n")
    end
  end

  function commands.diff(options)
    local store = closing(open(options.store, { readonly = true }))
    local head = store:head()
    for _, at in ipairs { options.from, options.to } do
      if at > head then screen.fail(("position %d is beyond the head, which is %d"):format(at, head)) end
    end
    if options.from > options.to then
      screen.fail(("position %d comes after position %d: give the earlier one first"):format(options.from, options.to))
    end
    local definition = definition_of(store, options.name)
    check_key(definition, options, false)
    for key, before, after in past.diff(store, definition, options.from, options.to, options.key) do
      local list = changes.between(before, after)
      if #list > 0 and options.json then
        screen.json { key = key, changes = json_changes(list) }
      elseif #list > 0 then
        if key ~= "" then screen.write(screen.styled("name", screen.visible(key)), "\n") end
        show_changes(list, key ~= "" and "  " or "")
      end
    end
  end

  function commands.why(options)
    local store = closing(open(options.store, { readonly = true }))
    local definition = definition_of(store, options.name)
    check_key(definition, options, true)
    for event, before, after in past.why(store, definition, options.key or "") do
      local list = changes.between(before, after)
      if options.json then
        screen.json { position = event.position, time = event.time, stream = event.stream, version = event.version,
                      type = event.type, changes = json_changes(list) }
      else
        screen.write(("%d %s %s %s\n"):format(event.position, os.date("%Y-%m-%d %H:%M:%S", math.floor(event.time)),
          screen.visible(event.stream), screen.visible(event.type)))
        show_changes(list, "  ")
      end
    end
  end

  ---Each mark that was ever set; `known` has the names of the processors.
  local function other_marks(store, known)
    local rows, name = {}, nil
    while true do
      local mark
      name, mark = core.mark_next(store, name)
      if not name then
        if mark then screen.fail(mark) end -- a message
        return rows
      end
      if not known[name] then rows[#rows + 1] = { kind = "mark", name = name, mark = mark } end
    end
  end

  local function all_marks(store)
    local rows, known = {}, {}
    for kind, name, entry in registry.each(store) do
      local mark
      if kind == "processor" then
        mark, known[name] = succeed(store:mark(name)), true
      else
        local p = store:projection(name, entry.path or entry.script, { params = entry.params })
        mark = p and p:mark()
      end
      rows[#rows + 1] = { kind = kind, name = name, mark = mark, script = entry.script }
    end
    local others = other_marks(store, known)
    return table.move(others, 1, #others, #rows + 1, rows)
  end

  function commands.marks(options)
    local store = closing(open(options.store, { readonly = true }))
    local head, rows = store:head(), all_marks(store)
    for _, row in ipairs(rows) do row.lag = row.mark and math.max(0, head - row.mark) end
    if options.json or not screen.is_terminal() then
      for _, row in ipairs(rows) do screen.json(row) end
      return
    end
    local add = screen.table { { "kind" }, { "name", most = 40 }, { "mark", right = true },
      { "lag", right = true }, { "script" } }
    for _, row in ipairs(rows) do
      add { row.kind, row.name, tostring(row.mark or "?"), tostring(row.lag or "?"), row.script or "" }
    end
    add(nil)
  end
end
