-- withdraw.lua: no account is overdrawn, and nobody takes more than a limit in a day.
--
-- command: { account = "account-1", amount = 75 }; parameters: { daily = 500 }.
-- What it reads is the condition of what it appends: it names no versions.
local params = ...
local DAY = 24 * 3600

---What was taken since `time`.
local function taken_since(ctx, account, time)
  local sum = 0
  for event in ctx:all { stream = account, types = { "Withdrawn" } } do
    if event.time > time then sum = sum + event.data.amount end
  end
  return sum
end

return {
  decide = function(command, ctx)
    local balance = ctx:state("../reducers/account.lua", { stream = command.account }).balance
    if command.amount > balance then
      return nil, ("only %d left"):format(balance), { balance = balance }
    end
    if taken_since(ctx, command.account, ctx.time - DAY) + command.amount > params.daily then
      return nil, ("more than %d in a day"):format(params.daily)
    end
    return { stream = command.account, events = { type = "Withdrawn", data = { amount = command.amount } } }
  end,
}
