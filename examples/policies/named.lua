-- named.lua: one of some, by name: the first that is able becomes a member, the others are
-- left out. For work that any one of several may do.
--
-- Parameters: { order = { "fast", "cheap", "last" } }, names of optional participants, the
-- favourite first. Whoever is required is a member anyway.
local params = ...
if not params or not params.order then error "params = { order = { names } } is needed" end

local function is_yes(p) return p.vote == "yes" or p.vote == "read" end

---The first that is able, or "wait" where a better one has not voted yet; nil: none is.
local function chosen(by_name)
  for _, name in ipairs(params.order) do
    local p = by_name[name]
    if p and is_yes(p) then return name end
    if p and p.vote == "none" then return "wait" end
  end
end

return {
  decide = function(tx)
    local by_name, members = {}, {}
    for _, p in ipairs(tx.participants) do
      by_name[p.name] = p
      if p.required then
        if p.vote == "none" then return "wait" end
        if p.vote == "no" then return "abort", p.name .. " said no" end
        members[#members + 1] = p.name
      end
    end
    local name = chosen(by_name)
    if name == "wait" then return "wait" end
    if not name then return "abort", "none of " .. table.concat(params.order, ", ") .. " is able" end
    members[#members + 1] = name
    return "commit", members
  end,
}
