-- order.lua: an order is paid in time, or it is cancelled.
--
-- A timer is an event that comes later: when it comes, the state says whether it still matters.
local params = ...
local PATIENCE_SECONDS = params and params.patience or 900

return {
  key = "stream",
  state = {
    initial = { paid = false, cancelled = false },
    on = {
      Paid = function(order) order.paid = true end,
      Cancelled = function(order) order.cancelled = true end,
    },
  },
  on = {
    Placed = function(event, ctx)
      ctx:emit(event.stream, { type = "TimedOut" }, { delay = PATIENCE_SECONDS })
    end,
    Paid = function(event, ctx)
      if ctx.state.cancelled then
        ctx:emit(event.stream, { type = "Refunded", data = { amount = event.data.amount } })
      else
        ctx.host.ship(event.stream, event.data.address)
        ctx:emit(event.stream, { type = "Shipped" })
      end
    end,
    TimedOut = function(event, ctx)
      if not ctx.state.paid then ctx:emit(event.stream, { type = "Cancelled", data = { reason = "not paid" } }) end
    end,
  },
  on_error = "park",
}
