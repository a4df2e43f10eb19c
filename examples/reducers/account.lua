-- account.lua: the balance of an account. Each account is a stream:
--   rille fold bank.rille examples/reducers/account.lua --stream account-1
return {
  initial = { balance = 0 },
  on = {
    Deposited = function(state, event) state.balance = state.balance + event.data.amount end,
    Withdrawn = function(state, event) state.balance = state.balance - event.data.amount end,
  },
}
