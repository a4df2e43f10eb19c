-- shop.lua: a morning in a shop: orders that are paid, forgotten, or paid too late; a warehouse that
-- packs; and a script that stumbles, is mended, and goes on where it stopped.
--
--   RILLE_BUILD=build lua5.4 examples/shop/shop.lua [FOLDER]
--
-- The clock is the program's own, so that a quarter of an hour takes no time.

local HERE = arg[0]:match "^(.*)/[^/]*$" or "."
local BUILD = os.getenv "RILLE_BUILD" or "build"
package.cpath = BUILD .. "/?.so;" .. package.cpath

local rille = require "rille"

local folder = arg[1] or BUILD .. "/shop"
assert(os.execute(("rm -rf '%s' && mkdir -p '%s'"):format(folder, folder)))

-- The store -------------------------------------------------------------------------

local now, mended = os.time(), false

---Scripts come from wherever the program says; here, one of them from another file at first.
local function load_script(name)
  local before = name:gsub("label%.lua$", "label-before.lua")
  local file, message = io.open(HERE .. "/" .. (mended and name or before))
  if not file then return nil, message end
  local text = file:read "*a"
  file:close()
  return text
end

local store = assert(rille.open(folder .. "/shop.rille", {
  clock = function() return now end, load = load_script,
}))
local orders = assert(store:processor("orders", "order.lua", {
  provide = { mail = function(order, text) print(("     a letter: %s %s"):format(order, text)) end },
}))

local function happens(stream, type, data) assert(store:append(stream, { type = type, data = data })) end

local function time(minutes, what)
  now = now + 60 * minutes
  print(("%2d minutes later: %s"):format(minutes, what))
end

---The warehouse packs what is to be packed. (It could be another processor, or somebody with a scanner.)
local function pack(number)
  for event in store:read("parcel-" .. number) do
    if event.type == "Packing" then print(("     parcel %d goes to %s"):format(number, event.data.to)) end
  end
  happens("parcel-" .. number, "Packed")
end

-- The morning -----------------------------------------------------------------------

time(0, "four orders are placed")
happens("order-1", "Placed", { address = { name = "Ann", street = "Main Street 1" } })
happens("order-2", "Placed", { address = { name = "Bob" } })
happens("order-3", "Placed", { address = { name = "Cid", street = "Elm Street 3" } })
happens("order-4", "Placed", { address = { name = "Dot", street = "Oak Street 4" } })
assert(store:poll())

time(5, "Ann and Bob pay")
happens("order-1", "Paid", { amount = 20 })
happens("order-2", "Paid", { amount = 30 })
assert(store:poll())
pack(1)
for _, entry in ipairs(orders:parked()) do
  print(("     put aside: order %s, position %d: %s"):format(entry.key, entry.position, entry.message))
end

time(6, "who has not paid is reminded; Cid pays")
assert(store:poll())
happens("order-3", "Paid", { amount = 40 })
assert(store:poll())
pack(3)

time(1, "the script is mended, and what was put aside is tried again")
mended = true
for _, entry in ipairs(orders:parked()) do
  if not entry.behind then assert(orders:retry(entry.position)) end
end
pack(2)

time(9, "Dot pays too late")
assert(store:poll())
happens("order-4", "Paid", { amount = 50 })
assert(store:poll())

print ""
for number = 1, 4 do
  local types = {}
  for event in store:read("order-" .. number) do types[#types + 1] = event.type end
  print(("order-%d: %s"):format(number, table.concat(types, ", ")))
end
assert(store:close())
