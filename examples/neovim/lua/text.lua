-- text.lua: the lines of a file, folded from what was changed each time it was written.
return {
  initial = {},
  on = {
    Changed = function(lines, event)
      local change, new = event.data, {}
      for i = 1, change.first - 1 do new[i] = lines[i] end
      for _, line in ipairs(change.lines or {}) do new[#new + 1] = line end
      for i = change.last + 1, #lines do new[#new + 1] = lines[i] end
      return new
    end,
  },
}
