-- digest.lua: one number for all events up to a position, in their order: who saw others, or saw
-- them elsewhere, has another one (FNV-1a). Of an event counts what a redaction leaves; those that
-- are only there to be scavenged (streams chaff-N) don't count, because they may be gone.
local digest = {}

local function mix(h, text)
  for i = 1, #text do h = (h ~ text:byte(i)) * 0x100000001b3 end
  return h
end

---position: of the last event that was added; last: of the last that counts.
function digest.new() return { position = 0, last = 0, number = 0xcbf29ce484222325 } end

---Adds an event.
function digest.add(d, event)
  d.position = event.position
  if event.stream:find "^chaff%-" then return end
  d.last = event.position
  d.number = mix(d.number, ("%d %s %d %s %s"):format(event.position, event.stream, event.version, event.type, event.id))
end

return digest
