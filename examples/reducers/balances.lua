-- balances.lua: the balance of each account, to be kept as a projection:
--   rille project bank.rille balances examples/reducers/balances.lua
return {
  initial = { balance = 0 },
  key = "stream",
  on = {
    Deposited = function(state, event) state.balance = state.balance + event.data.amount end,
    Withdrawn = function(state, event) state.balance = state.balance - event.data.amount end,
  },
}
