-- team.lua: how the team and its work grew, month by month.
--
-- State: { authors = { [name] = commits }, months = { ["2026-05"] = { commits, newcomers } } }.

---The month of a time, as "2026-05". (Days since 1970 to a date, after Howard Hinnant:
---years begin in March, so that the leap day is the last one.)
local function month_of(time)
  local days = time // 86400 + 719468
  local era = days // 146097
  local day = days - era * 146097
  local year = (day - day // 1460 + day // 36524 - day // 146096) // 365
  local month = (5 * (day - (365 * year + year // 4 - year // 100)) + 2) // 153
  year = year + era * 400 + (month >= 10 and 1 or 0)
  return ("%04.0f-%02.0f"):format(year, month < 10 and month + 3 or month - 9)
end

return {
  initial = { authors = {}, months = {} },
  on = {
    Committed = function(state, event)
      local author, name = event.data.author, month_of(event.time)
      local month = state.months[name] or { commits = 0, newcomers = 0 }
      month.commits = month.commits + 1
      if not state.authors[author] then month.newcomers = month.newcomers + 1 end
      state.authors[author] = (state.authors[author] or 0) + 1
      state.months[name] = month
    end,
  },
}
