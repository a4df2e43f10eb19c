-- voters.lua: everything that holds something must be able to do it, and more than half of
-- those who only have an opinion must like it.
--
-- Voters hold nothing, so that outvoting one tears nothing: this is what "most agree" can
-- honestly mean. Parameters: none.

local function is_yes(p) return p.vote == "yes" or p.vote == "read" end

return {
  decide = function(tx)
    local yes, open, voters, held_up = 0, 0, 0, false
    for _, p in ipairs(tx.participants) do
      if p.voter then
        voters = voters + 1
        if is_yes(p) then yes = yes + 1 elseif p.vote == "none" then open = open + 1 end
      elseif p.required and p.vote == "no" then
        return "abort", ("%s can't: %s"):format(p.name, p.reason or "it gave no reason")
      elseif p.vote == "none" then
        held_up = true
      end
    end
    if (yes + open) * 2 <= voters and voters > 0 then
      return "abort", ("only %d of %d voters said yes"):format(yes, voters)
    end
    if held_up or yes * 2 <= voters and voters > 0 then return "wait" end
    return "commit"
  end,
}
