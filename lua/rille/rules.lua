-- rules.lua: the policies that have a name: what each makes of the votes.
--
-- A rule is a weight for each participant and a question: are these yeses, of all there
-- are, enough? What is common to all rules, `answer` adds:
--
--   required    each must say yes, whatever the rule counts
--   silence     counts as no, at the end: an answer is given when no vote can change it
--   optional    one that may be left out, but has something to do, is waited for until the
--               timeout: its vote can't change whether, but who is a member
--
-- Invariant: more yeses never make an answer worse, so "wait" means that there are votes
-- with which it would be "commit".

local options_of = require "rille.options"

---@class rille.rules
local rules = {}

local NAMED = 3           -- participants that a reason names, at most
local REASON_BYTES = 200  -- of what one of them says

local function one() return 1 end
local function nothing() return 0 end
local function weight_of(participant) return participant.weight or 1 end

---A rule is { weight = function(participant), enough = function(yes, all, need), params =,
---needs = what it says it needs }.
local RULES = {
  unanimous = {
    weight = one, params = {}, needs = function(all) return ("all %d"):format(all) end,
    enough = function(yes, all) return yes == all end,
  },
  required = {
    weight = nothing, params = {}, needs = function() return "all that are required" end,
    enough = function() return true end,
  },
  majority = {
    weight = one, params = {}, needs = function(all) return ("more than half of %d"):format(all) end,
    enough = function(yes, all) return all == 0 or yes * 2 > all end,
  },
  quorum = {
    weight = one, params = { need = "required" },
    needs = function(all, need) return ("%d of %d"):format(need, all) end,
    enough = function(yes, _, need) return yes >= need end,
  },
  weighted = {
    weight = weight_of, params = { need = "optional" },
    needs = function(all, need)
      return need and ("a weight of %s of %s"):format(need, all) or ("more than half of the weight, %s"):format(all)
    end,
    enough = function(yes, all, need, count)
      if need then return yes >= need end
      return count == 0 or yes * 2 > all
    end,
  },
}

-- Parameters --------------------------------------------------------------------------

local function is_need(rule, value)
  if rule.weight == one then return math.type(value) == "integer" and value >= 1 end
  return type(value) == "number" and value > 0 and value < math.huge
end

local function check_params(name, params, level)
  if params ~= nil and type(params) ~= "table" then error("params must be a table, not " .. type(params), level + 1) end
  local rule, need = RULES[name], nil
  for field, value in pairs(params or {}) do
    if not rule.params[field] then
      error(("policy '%s': %s"):format(name, options_of.unknown("parameter", field, rule.params)), level + 1)
    end
    need = value
  end
  if need == nil and rule.params.need ~= "required" or need ~= nil and is_need(rule, need) then return need end
  error(("policy '%s' needs params = { need = n }, n %s, not %s"):format(name,
    rule.weight == one and "an integer, at least 1" or "a number above 0", tostring(need)), level + 1)
end

---Whether there is such a rule.
function rules.has(name) return RULES[name] ~= nil end

---What is wrong with a name that is none, and what may have been meant.
function rules.unknown(name) return options_of.unknown("policy", name, RULES) end

-- Votes ---------------------------------------------------------------------------------

local function is_yes(participant) return participant.vote == "yes" or participant.vote == "read" end
local function is_silent(participant) return participant.vote == "none" end

---What one who has not said yes says, for a reason.
function rules.said(participant)
  if is_silent(participant) then return ("'%s' has not answered"):format(participant.name) end
  local why = participant.reason
  if why and #why > REASON_BYTES then why = why:sub(1, REASON_BYTES) .. "..." end
  return ("'%s' said no%s"):format(participant.name, why and ": " .. why or "")
end

---The participants that have not said yes, for a reason: those that said no come first.
local function against(tx)
  local said, silent = {}, {}
  for _, participant in ipairs(tx.participants) do
    if is_silent(participant) then silent[#silent + 1] = rules.said(participant)
    elseif not is_yes(participant) then said[#said + 1] = rules.said(participant) end
  end
  table.move(silent, 1, #silent, #said + 1, said)
  local more = #said - NAMED
  local text = table.concat(said, "; ", 1, math.min(#said, NAMED))
  return more > 0 and ("%s; and %d more"):format(text, more) or text
end

---The sums of weights: that of yeses, of those that are silent yet, of all.
local function count(rule, tx)
  local yes, silent, all = 0, 0, 0
  for _, participant in ipairs(tx.participants) do
    local weight = rule.weight(participant)
    all = all + weight
    if is_yes(participant) then yes = yes + weight
    elseif is_silent(participant) then silent = silent + weight end
  end
  return yes, silent, all
end

---A participant whose weight is none: its sum would mean nothing.
local function unweighable(rule, tx)
  for _, participant in ipairs(tx.participants) do
    local weight = rule.weight(participant)
    if type(weight) ~= "number" or not (weight >= 0 and weight < math.huge) then
      return ("'%s' has a weight that can't be counted: %s"):format(participant.name, tostring(weight))
    end
  end
end

-- Answers -------------------------------------------------------------------------------

local function is_late(tx) return tx.timeout ~= nil and (tx.elapsed or 0) >= tx.timeout end

---Looks at those who are not to be left out.
---@return string? reason that a commit is impossible
---@return boolean? silent one that is required is silent
---@return boolean? wanted one that is optional, and more than a voter, is
local function look(tx, late)
  local silent, wanted = false, false
  for _, participant in ipairs(tx.participants) do
    local open = is_silent(participant) and not late
    if participant.required and not is_yes(participant) and not open then
      return rules.said(participant) .. " (it is required)"
    end
    silent = silent or open and participant.required
    wanted = wanted or open and not participant.voter
  end
  return nil, silent, wanted
end

local function refusal(name, need, tx, yes, all)
  local who = against(tx)
  return ("it needs %s, and has %s%s"):format(RULES[name].needs(all, need), yes, who == "" and "" or ": " .. who)
end

---@return string word "wait", "commit", "abort"
---@return string? reason
local function answer(name, need, tx)
  local rule, late, people = RULES[name], is_late(tx), #tx.participants
  local fault, silent, wanted = look(tx, late)
  fault = fault or unweighable(rule, tx)
  if fault then return "abort", fault end
  local yes, open, all = count(rule, tx)
  local most = late and yes or yes + open
  if not rule.enough(most, all, need, people) then return "abort", refusal(name, need, tx, yes, all) end
  if silent or wanted or not rule.enough(yes, all, need, people) then return "wait" end
  return "commit"
end

---The rule of that name as a function of a transaction; raises where the parameters are
---not those that it takes.
---@return fun(tx: table): string, string?
function rules.open(name, params, level)
  local need = check_params(name, params, level + 1)
  return function(tx) return answer(name, need, tx) end
end

return rules
