-- leaves_out.lua: a policy that waits for all votes, and commits without those that are optional,
-- though they voted yes.
return {
  decide = function(tx)
    local names = {}
    for _, p in ipairs(tx.participants) do
      if p.vote == "none" then return "wait" end
      if p.required and p.vote == "no" then return "abort", p.reason end
      if p.required then names[#names + 1] = p.name end
    end
    return "commit", names
  end,
}
