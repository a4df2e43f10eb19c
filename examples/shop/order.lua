-- order.lua: sees an order through: the process manager of the shop.
--
--   Placed --Paid--> Packing (a parcel's) --Packed--> Shipped
--      | 10 minutes: Reminded      | Paid after it was cancelled: Refunded
--      | 15 minutes: Cancelled
--
-- A timer is an event that comes later: when it comes, the state says whether it still matters. Events
-- of two kinds of streams belong to one order, so the key is a function: order-7 and parcel-7 are "7".
local params = ...
local label = require "label"

local REMIND_SECONDS = params and params.remind or 600
local CANCEL_SECONDS = params and params.cancel or 900

local function is_waiting(order) return not order.paid and not order.cancelled end

return {
  key = function(event) return event.stream:match "%-(.*)$" end,
  state = {
    initial = { paid = false, cancelled = false },
    on = {
      Placed = function(order, event) order.address = event.data.address end,
      Paid = function(order, event) order.paid = event.data.amount end,
      Cancelled = function(order) order.cancelled = true end,
    },
  },
  on = {
    Placed = function(event, ctx)
      ctx:emit(event.stream, { type = "ReminderDue" }, { delay = REMIND_SECONDS })
      ctx:emit(event.stream, { type = "PaymentDue" }, { delay = CANCEL_SECONDS })
    end,
    ReminderDue = function(event, ctx)
      if not is_waiting(ctx.state) then return end
      ctx.host.mail(event.stream, "is not paid yet")
      ctx:emit(event.stream, { type = "Reminded" })
    end,
    PaymentDue = function(event, ctx)
      if is_waiting(ctx.state) then ctx:emit(event.stream, { type = "Cancelled", data = { reason = "not paid" } }) end
    end,
    Paid = function(event, ctx)
      if ctx.state.cancelled then
        ctx:emit(event.stream, { type = "Refunded", data = { amount = event.data.amount } })
      else
        ctx:emit("parcel-" .. ctx.key, { type = "Packing", data = { to = label(ctx.state.address) } })
      end
    end,
    Packed = function(_, ctx) ctx:emit("order-" .. ctx.key, { type = "Shipped" }) end,
  },
  on_error = "park",
}
