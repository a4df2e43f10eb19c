-- testing.lua: the scripts of a bank, tested.
--
--   RILLE_BUILD=build lua5.4 examples/testing.lua
--
-- What is not as expected raises an error that shows where it differs; under busted each
-- of these lines could stand in an it().

local HERE = arg[0]:match "^(.*)/[^/]*$" or "."
local BUILD = os.getenv "RILLE_BUILD" or "build"
package.cpath = BUILD .. "/?.so;" .. package.cpath

local kit = require "rille.testkit"

local function deposited(amount) return { type = "Deposited", data = { amount = amount }, stream = "account-1" } end
local function withdrawn(amount) return { type = "Withdrawn", data = { amount = amount }, stream = "account-1" } end
local function withdraw(amount) return { account = "account-1", amount = amount } end

-- A reducer: given events, expect a state.
kit.reducer(HERE .. "/reducers/account.lua")
  :expect_state { balance = 0 }
  :given { deposited(100), withdrawn(30) }
  :expect_state { balance = 70 }
  :given { { type = "Withdrawn", stream = "account-1" } }
  :expect_error "attempt to index"

-- A decider: given events, when there is a command, expect events or a refusal.
kit.decider(HERE .. "/deciders/withdraw.lua", { params = { daily = 80 } })
  :given { deposited(100) }
  :when(withdraw(75)):expect_events { withdrawn(75) }
  :when(withdraw(30)):expect_refused "only 25 left"
  :when(withdraw(10)):expect_refused "more than 80 in a day"

-- The clock of all that the kit opens stands until it is told to go.
local another_day = kit.decider(HERE .. "/deciders/withdraw.lua", { params = { daily = 80 } })
  :given { deposited(100), withdrawn(75) }
kit.clock:advance(24 * 3600)
another_day:when(withdraw(10)):expect_events { withdrawn(10) }

-- A store for whatever else is to be tested: nothing is flushed, and it goes when it is closed.
local store = kit.store()
assert(store:append("account-1", deposited(5)))
assert(store:fold(HERE .. "/reducers/account.lua", { stream = "account-1" }).balance == 5)
assert(store:close())

print "all is as expected"
