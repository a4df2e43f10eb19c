-- digest.lua: one number for all events up to a position, in their order: who saw others, or saw
-- them elsewhere, has another one (FNV-1a).
local digest = {}

local function mix(h, text)
  for i = 1, #text do h = (h ~ text:byte(i)) * 0x100000001b3 end
  return h
end

function digest.new() return { position = 0, number = 0xcbf29ce484222325 } end

---Adds an event.
function digest.add(d, event)
  d.number = mix(d.number, ("%d %s %d %s %s"):format(event.position, event.stream, event.version, event.type, event.id))
  d.position = event.position
end

return digest
