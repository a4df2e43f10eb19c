-- work.lua: what is written by those who are killed, so that others know what must be
-- there; and all that can be asked of a store.
local work = {}

local STREAMS = 7
local EVENTS_MOST = 4
local FILL_EVENTS = 1000 -- of one append

---Append number i: which stream, and its events; `size` bytes of data in each.
function work.append(i, size)
  local events, n = {}, i % EVENTS_MOST + 1
  for k = 1, n do
    events[k] = { type = "Step" .. k, tags = { "append:" .. i % 50 },
                  data = { append = i, event = k, of = n, pad = (" "):rep(size + i % 11) } }
  end
  return "stream-" .. i % STREAMS, events
end

---A number of streams with an event each, and a few others in between.
function work.fill(store, streams)
  local parts = {}
  for i = 1, streams do
    parts[#parts + 1] = { stream = "many-" .. i,
                          events = { { type = "Filled", data = { n = i } } } }
    if i % FILL_EVENTS == 0 or i == streams then
      parts[#parts + 1] = { stream = "few", events = { { type = "Part", tags = { "t" .. i } } } }
      assert(store:append(parts))
      parts = {}
    end
  end
end

---The events that a method of a store gives, as bytes, and the message with which it
---ended if it did not come to its end.
function work.texts(rille, method, ...)
  local list = {}
  local ok, message = pcall(function(...)
    for event in method(...) do list[#list + 1] = rille.encode(event) end
  end, ...)
  return list, not ok and message or nil
end

---Everything a store can be asked, as a list of strings.
function work.answers(store)
  local list, streams, names = {}, {}, {}
  local function add(...) list[#list + 1] = table.concat({ ... }, "\t") end
  local function add_event(e)
    add(e.position, e.stream, e.version, e.type, e.id, ("%.6f"):format(e.time),
      table.concat(e.tags or {}, ","), e.data and (e.data.n or e.data.append) or "-")
  end
  for e in store:all() do
    add_event(e)
    if not streams[e.stream] then names[#names + 1] = e.stream end
    streams[e.stream] = e.version
  end
  for e in store:all { reverse = true, limit = 100 } do add_event(e) end
  for i, name in ipairs(names) do
    assert(store:version(name) == streams[name], name)
    if i % (#names // 50 + 1) == 0 or streams[name] > 1 then
      for e in store:read(name) do add_event(e) end
      for e in store:read(name, { reverse = true, limit = 3 }) do add_event(e) end
    end
  end
  for after = 0, store:head(), store:head() // 20 + 1 do
    for e in store:all { after = after, limit = 2 } do add_event(e) end
  end
  local stats = store:stats()
  add(stats.head, stats.streams, stats.types, stats.tags, stats.uuid) -- not log_bytes: a copy notes that it is one
  return list
end

---A number that is another one for other answers (FNV-1a).
function work.digest(list)
  local h = 0xcbf29ce484222325
  for _, text in ipairs(list) do
    for i = 1, #text, 7 do
      h = (h ~ string.unpack("<I7", text:sub(i, i + 6) .. ("\0"):rep(7))) * 0x100000001b3
      h = h ~ (h >> 29)
    end
    h = (h ~ #text) * 0x100000001b3
  end
  return ("%016x"):format(h)
end

return work
