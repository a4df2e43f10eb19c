-- patience.lua: waits for everybody for a while, and then for no more than must be.
--
-- Optional participants hold data that may be missing: a receipt, a cache, a search index.
-- In the first part of the time all of them are waited for; later `need` of them are enough.
-- It is asked after each vote and at the timeout, so the wait ends with the next of these.
--
-- Parameters: need (default 0), patience: the part of the timeout, 0 to 1 (default 0.5).
local params = ...
local need = params and params.need or 0
local patience = params and params.patience or 0.5

local function is_yes(p) return p.vote == "yes" or p.vote == "read" end

return {
  decide = function(tx)
    local members, silent, optional = {}, 0, 0
    for _, p in ipairs(tx.participants) do
      if is_yes(p) then
        members[#members + 1] = p.name
        if not p.required then optional = optional + 1 end
      elseif p.required and p.vote == "no" then
        return "abort", p.name .. " said no"
      elseif p.required then
        return "wait" -- at the timeout this aborts
      elseif p.vote == "none" then
        silent = silent + 1
      end
    end
    if optional + silent < need then return "abort", ("only %d of %d optional ones"):format(optional, need) end
    if optional < need or silent > 0 and tx.elapsed < tx.timeout * patience then return "wait" end
    return "commit", members
  end,
}
