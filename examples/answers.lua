-- answers.lua: what the states of the reducers say: who is first, what differs. Plain
-- functions of plain tables; a list's rows have a name, and equal rows stand by name.

local answers = {}

---The first `most` of a list of rows, by a number in each, then by name.
function answers.top(rows, most, number)
  table.sort(rows, function(a, b)
    if a[number] ~= b[number] then return a[number] > b[number] end
    return a.name < b.name
  end)
  return table.move(rows, 1, math.min(most, #rows), 1, {})
end

function answers.sorted_keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

function answers.size(map)
  local n = 0
  for _ in pairs(map) do n = n + 1 end
  return n
end

---{ name, changes, added, removed } of each file, the most changed first.
function answers.hottest(files, most)
  local rows = {}
  for path, file in pairs(files) do
    rows[#rows + 1] = { name = path, changes = file.changes, added = file.added,
                        removed = file.removed }
  end
  return answers.top(rows, most, "changes")
end

---Who knows a file: { name, share } with shares of 1 in all, the best first. Points
---are compared as they would be at the file's last change.
function answers.knowers(people, half_life_days, most)
  local latest, sum, rows = 0, 0, {}
  for _, known in pairs(people) do latest = math.max(latest, known.time) end
  for author, known in pairs(people) do
    local points = known.points * 0.5 ^ ((latest - known.time) / (half_life_days * 86400))
    sum = sum + points
    rows[#rows + 1] = { name = author, share = points }
  end
  for _, row in ipairs(rows) do row.share = row.share / sum end
  return answers.top(rows, most, "share")
end

---The names of `a` that are not in `b`, sorted.
function answers.missing(a, b)
  local names = {}
  for _, name in ipairs(answers.sorted_keys(a)) do
    if b[name] == nil then names[#names + 1] = name end
  end
  return names
end

---The files whose best knower is another one than before: { name, was, is, changes }.
function answers.changed_hands(before, now, files, half_life_days)
  local rows = {}
  for path, people in pairs(now) do
    local earlier = before[path]
    local was = earlier and answers.knowers(earlier, half_life_days, 1)[1].name
    local is = answers.knowers(people, half_life_days, 1)[1].name
    if was and was ~= is then
      rows[#rows + 1] = { name = path, was = was, is = is, changes = files[path].changes }
    end
  end
  return answers.top(rows, 3, "changes"), #rows
end

---An author to ask about: the one with most commits.
function answers.busiest(team)
  local rows = {}
  for name, commits in pairs(team.authors) do
    rows[#rows + 1] = { name = name, commits = commits }
  end
  return answers.top(rows, 1, "commits")[1].name
end

return answers
