-- who_knows.lua: who knows which file. Each change of a file by somebody is worth one
-- point, and points halve with time: one who wrote it all years ago knows less than
-- one who changed it twice this month.
--
-- params: half_life_days (default 180). State: { [path] = { [author] = { points, time } } },
-- points as they were at that time.

local params = ... or {}
local HALF_LIFE_SECONDS = (params.half_life_days or 180) * 24 * 60 * 60

local function learn(state, event)
  local path, author = event.data.path, event.data.author
  local people = state[path] or {}
  local known = people[author] or { points = 0.0, time = event.time }
  local age = math.max(0, event.time - known.time)
  known.points = known.points * 0.5 ^ (age / HALF_LIFE_SECONDS) + 1
  known.time = math.max(known.time, event.time)
  people[author] = known
  state[path] = people
end

return {
  initial = {},
  on = {
    FileAdded = function(state, event)
      local path, from = event.data.path, event.data.from
      if from then state[path], state[from] = state[from], nil end
      learn(state, event)
    end,
    FileChanged = learn,
    FileDeleted = function(state, event) state[event.data.path] = nil end,
  },
}
