-- orders.lua: a shop whose orders are paid in time, or cancelled: a processor with timers, an
-- address that its script stumbles over, and what is done about that.
--
--   RILLE_BUILD=build lua5.4 examples/orders.lua [FOLDER]
--
-- The clock is the program's own, so that a quarter of an hour takes no time.

local HERE = arg[0]:match "^(.*)/[^/]*$" or "."
local BUILD = os.getenv "RILLE_BUILD" or "build"
package.cpath = BUILD .. "/?.so;" .. package.cpath

local rille = require "rille"

local MINUTE = 60
local folder = arg[1] or BUILD .. "/orders"
assert(os.execute(("rm -rf '%s' && mkdir -p '%s'"):format(folder, folder)))

local now = os.time()
local store <close> = assert(rille.open(folder .. "/shop.rille", { clock = function() return now end }))

local known = { ["Main Street 1"] = true }

---What the world does for us; after a crash it may be asked twice.
local function ship(order, address)
  if not known[address] then error("nobody delivers to " .. tostring(address), 0) end
  print(("  %s is on its way to %s"):format(order, address))
end

local orders = assert(store:processor("orders", HERE .. "/processors/order.lua", {
  params = { patience = 15 * MINUTE }, provide = { ship = ship },
}))

local function happens(order, type_name, data) assert(store:append(order, { type = type_name, data = data })) end

local function minutes_later(n)
  now = now + n * MINUTE
  assert(store:poll())
end

print "three orders are placed, one is paid, one is paid from an odd address"
for i = 1, 3 do happens("order-" .. i, "Placed") end
minutes_later(5)
happens("order-1", "Paid", { amount = 20, address = "Main Street 1" })
happens("order-2", "Paid", { amount = 30, address = "Elm Street 2" })
minutes_later(1)

for _, entry in ipairs(orders:parked()) do
  print(("  put aside: %s at position %d: %s"):format(entry.key, entry.position, entry.message))
end

print "the address is looked up, and the order tried again"
known["Elm Street 2"] = true
for _, entry in ipairs(orders:parked()) do assert(orders:retry(entry.position)) end

print "a quarter of an hour is over"
minutes_later(15)
happens("order-3", "Paid", { amount = 40, address = "Main Street 1" })
minutes_later(1)

for i = 1, 3 do
  local types = {}
  for event in store:read("order-" .. i) do types[#types + 1] = event.type end
  print(("  order-%d: %s"):format(i, table.concat(types, ", ")))
end
