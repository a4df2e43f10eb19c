-- rille.lua: what an editor knows about rille (LuaCATS, for lua-language-server and its kin).
--
-- It is read, never run. spec/meta_spec.lua compares it with the module: each function and each
-- option is here, and nothing that is not there; docs/api-lua.md is made of it.
---@meta rille

---An embedded event store: State is the event stream run through handlers.
---
---Wrong Lua types and unknown options raise, and name what is wrong. What a value or the world can
---do returns nil, message, code, detail. Iterators raise the message.
---@class rille
---@field _VERSION string "rille 0.1.0"
---@field null rille.Null a null inside data: true in a condition, unlike nil
---@field json rille.Json
local rille = {}

---@alias rille.Code
---| "conflict" a condition failed: read again
---| "locked" a transaction holds what it needs; the detail has it and its age
---| "busy" another holder
---| "duplicate" done before
---| "aborted" a transaction did not happen
---| "unknown" it may have happened: ask, or repeat it with the same ids
---| "refused" a decider said no
---| "invalid" a value
---| "notfound"
---| "script" a script failed; the message has file and line
---| "budget" a script took more than it may
---| "readonly"
---| "closed" the handle is
---| "full" the disk is
---| "corrupt" bytes on the disk are not what was written
---| "io" the system failed
---| "unsupported"

---@alias rille.Value any nil, boolean, number, string, rille.null, or a table of such: a list or a map
---@alias rille.Sync "always"|"interval"|"never"
---@alias rille.Script string the path of a script, or what the store's option `load` understands

---@class rille.Null

---@class rille.Json
local json = {}

---Events that are to be appended.
---@class rille.NewEvent
---@field type string 1 to 255 bytes; names that begin with "$" are rille's
---@field data? rille.Value at most 16 MiB of MessagePack
---@field tags? string[] at most 64
---@field meta? rille.Value about the event, not in it
---@field id? string makes a repeat of the append harmless
---@field time? number seconds since 1970; the store's clock without it
---@field position? integer of an event that was read; not looked at
---@field version? integer as position
---@field stream? string as position
---@field redacted? boolean true where an event that was read had lost its data and meta; not written

---An event that was read: a plain table, yours.
---@class rille.Event: rille.NewEvent
---@field position integer its place in the one order of the store, from 1
---@field version integer its number in its stream, from 1
---@field stream string
---@field id string
---@field time number

---What must match: types are ORed, everything else is ANDed.
---@class rille.Item
---@field types? string[]
---@field tags? string[]
---@field stream? string
---@field category? string a stream's name up to its first "-"
---@field prefix? string what a stream's name begins with
---@field after? integer a position; only later ones. Of a list an item may have its own, instead of the query's

---A query: one item, or a list of items, which are ORed. `after` and `before` are exclusive, in either direction.
---@class rille.Query: rille.Item
---@field [integer] rille.Item
---@field before? integer
---@field limit? integer
---@field reverse? boolean
---@field consistency? "strong"|"eventual" eventual: what is there, without asking what became of a transaction in doubt
---@field explain? boolean gives no iterator but how it would read

---Versions of the stream, exclusive in either direction.
---@class rille.ReadOptions
---@field types? string[]
---@field tags? string[]
---@field after? integer
---@field before? integer
---@field limit? integer
---@field reverse? boolean
---@field consistency? "strong"|"eventual"
---@field explain? boolean

---@class rille.OpenOptions
---@field readonly? boolean changes nothing, and never makes a store
---@field create? boolean false: code "notfound" where there is none
---@field sync? rille.Sync "always": an append returns when the disk has it
---@field sync_interval_ms? integer 100
---@field background? boolean false: no thread that flushes and indexes
---@field segment_bytes? integer size at which a log file is succeeded: 268435456
---@field rebuild? boolean makes the index anew
---@field progress? fun(done: integer, all: integer) bytes of the log, while an index is made of it; an error gives up
---@field load? fun(name: string): string?, string? where scripts come from; default: files
---@field clock? fun(): number seconds: event times, timers
---@field peers? string[] paths of stores where homes of transactions may be
---@field on_indoubt? fun(list: rille.InDoubt[]) called by poll for what is in doubt for long
---@field indoubt_age? number how long: 60 seconds

---Opens a store; makes it where there is none.
---@param path string
---@param options? rille.OpenOptions
---@return rille.Store? store
---@return string? message where it is no store: why; else a remark, about what repair did
---@return rille.Code|"remark"|nil code
---@return table? detail of a remark: { code = "corrupt", address=, position= } where only the beginning can be read
function rille.open(path, options) end

---@param list table
---@return table list an array also when it is empty
function rille.array(list) end

---MessagePack, as it stands in the log.
---@param value rille.Value
---@return string? bytes
---@return string? message
---@return rille.Code? code
function rille.encode(value) end

---@param bytes string
---@return rille.Value value
---@return string? message
---@return rille.Code? code
function rille.decode(bytes) end

---JSON, exactly: what it can't hold is { "$bytes": base64 }, { "$float": "inf" }, { "$pairs": [[k, v]] }.
---@param value rille.Value
---@param options? { pretty?: boolean }
---@return string? text
---@return string? message
---@return rille.Code? code
function json.encode(value, options) end

---@param text string
---@return rille.Value value
---@return string? message
---@return rille.Code? code
function json.decode(text) end

-- The store ---------------------------------------------------------------------------

---@class rille.Store
local Store = {}

---@class rille.AppendOptions
---@field expect? integer|"none"|"exists"|"any" what the stream's version must be
---@field unless? rille.Query refused where anything matches
---@field mark? { [1]: string, [2]: integer, [3]: integer } name, from, to: moves a mark with the events, or not at all
---@field wait? number seconds to wait for a transaction's lock: 0

---@class rille.Part
---@field stream string
---@field events? rille.NewEvent|rille.NewEvent[] none: only checked
---@field expect? integer|"none"|"exists"|"any"

---@class rille.Several: { [integer]: rille.Part }
---@field unless? rille.Query
---@field mark? { [1]: string, [2]: integer, [3]: integer }
---@field wait? number

---@class rille.Appended
---@field first? integer position of the first event; none where nothing was written
---@field last? integer
---@field version? integer the stream's, afterwards
---@field versions? table<string, integer> of each stream, where there are several
---@field duplicate boolean whether it had been written before

---Appends events to a stream, or to several; all or nothing.
---@param stream string
---@param events rille.NewEvent|rille.NewEvent[]
---@param options? rille.AppendOptions
---@return rille.Appended? result
---@return string? message
---@return rille.Code? code
---@return table? detail
---@overload fun(self: rille.Store, several: rille.Several): rille.Appended?, string?, rille.Code?, table?
function Store:append(stream, events, options) end

---The events of a stream, up to the head of the moment of the call.
---@param stream string
---@param options? rille.ReadOptions
---@return fun(): rille.Event?
function Store:read(stream, options) end

---All events that match, in the order of the store.
---@param query? rille.Query
---@return fun(): rille.Event?
function Store:all(query) end

---@param stream string
---@return integer version number of the last event ever written to it; 0: none
function Store:version(stream) end

---@return integer position of the last event that this handle sees
function Store:head() end

---@return integer position of the last event that no power cut can take
function Store:durable() end

---Sleeps until an event is there, as safe as the handle's sync makes it.
---@param position? integer head() + 1
---@param seconds? number for ever
---@return boolean? came false: not in time
---@return string? message
---@return rille.Code? code
function Store:wait(position, seconds) end

---Makes everything written durable.
---@return true? done
---@return string? message
---@return rille.Code? code
function Store:sync() end

---@return table<string, any> numbers see docs/operations.md
function Store:stats() end

---@class rille.VerifyOptions
---@field deep? boolean states of projections are computed once more, too
---@field progress? fun(done: integer, all: integer)

---@class rille.Verified
---@field ok boolean
---@field events integer
---@field bytes integer
---@field readable integer position up to which all can be read
---@field problems { invariant: string, address: integer?, position: integer?, message: string }[]

---Walks everything, and names each invariant that does not hold.
---@param options? rille.VerifyOptions
---@return rille.Verified? report
---@return string? message
---@return rille.Code? code
function Store:verify(options) end

---Copies the store as it is now, while others append.
---@param folder string must not exist
---@param options? { progress?: fun(done: integer, all: integer) } bytes of the log; an error gives up
---@return true? done
---@return string? message
---@return rille.Code? code
function Store:backup(folder, options) end

---Gives back the bytes of events that were truncated or deleted: no reading finds them from then on.
---@param options? { dry_run?: boolean } only tell what it would do
---@return { events: integer, segments: integer, bytes: integer }? done segments: log files that were replaced
---@return string? message
---@return rille.Code? code
function Store:scavenge(options) end

---Takes content out of the log for good. The events keep their places. tags and streams are names that are taken
---out of every event that has them; with data = false the content of the events at the positions stays.
---@param positions integer|integer[]|nil events whose data and meta go
---@param options? { data?: boolean, ids?: boolean, tags?: string[], streams?: string[], reason?: string }
---@return { events: integer, segments: integer }? done
---@return string? message
---@return rille.Code? code
function Store:redact(positions, options) end

---@param name string
---@return integer position 0: never set
function Store:mark(name) end

---Hides the events of smaller versions from read and fold { stream = }.
---@param stream string
---@param options { before: integer } a version
---@return true? done
---@return string? message
---@return rille.Code? code
function Store:truncate(stream, options) end

---Hides all events of a stream. Versions go on where they were.
---@param stream string
---@return true? done
---@return string? message
---@return rille.Code? code
function Store:delete(stream) end

---@class rille.FoldOptions
---@field stream? string only its events
---@field key? string|integer for a reducer with keys
---@field at? integer as it was at that position
---@field version? integer as it was at that version of the stream
---@field params? rille.Value for the script
---@field isolated? boolean in a Lua state of its own, with limits
---@field memory_bytes? integer
---@field instructions? integer

---A state: events run through a reducer.
---@param script rille.Script
---@param options? rille.FoldOptions
---@return rille.Value state
---@return integer|string position
---@return integer|rille.Code|nil version of the stream; to be passed to `expect`
---@return table? detail
function Store:fold(script, options) end

---@class rille.ProjectionOptions
---@field params? rille.Value
---@field cache? integer states that one of the two generations in memory has
---@field share? { [1]: integer, [2]: integer } which of how many shares of the keys
---@field isolated? boolean
---@field memory_bytes? integer
---@field instructions? integer

---A reducer whose states the store keeps.
---@param name string
---@param script rille.Script
---@param options? rille.ProjectionOptions
---@return rille.Projection? projection
---@return string? message
---@return rille.Code? code
function Store:projection(name, script, options) end

---@class rille.ProcessorOptions
---@field params? rille.Value
---@field provide? table<string, function> what ctx.host has
---@field depth? integer how many events may have caused each other in a row: 100
---@field stores? table<string, rille.Store> other stores to emit to
---@field coordinator? rille.Coordinator emits to them by a transaction
---@field isolated? boolean
---@field memory_bytes? integer
---@field instructions? integer

---A script that reacts to events by emitting others, each once.
---@param name string
---@param script rille.Script
---@param options? rille.ProcessorOptions
---@return rille.Processor? processor
---@return string? message
---@return rille.Code? code
function Store:processor(name, script, options) end

---@class rille.DecideOptions
---@field params? rille.Value
---@field attempts? integer 10
---@field wait? number

---Runs a decider: what it has read is the condition of what it appends.
---@param script rille.Script
---@param command? rille.Value
---@param options? rille.DecideOptions
---@return rille.Appended? result
---@return string? message
---@return rille.Code? code
---@return table? detail
function Store:decide(script, command, options) end

---Runs all that was opened through this handle; what is due is delivered.
---@param ms? number without it: to rest
---@return integer? left events
---@return number|string|nil due seconds until something is
---@return string? fault why a changed script is not taken up
function Store:poll(ms) end

---@class rille.Settled  what became of what was in doubt in a store
---@field committed integer
---@field aborted integer
---@field undecided integer their coordinators live
---@field unreachable integer their homes could not be asked
---@field message? string why, of the last
---@field pending? integer of a coordinator: decided, and not acknowledged by all
---@field problems? { participant: string, message: string, id?: string, gid?: string }[] in the way

---@class rille.InDoubt
---@field id string
---@field client? string
---@field coordinator string
---@field place string of home
---@field age number seconds
---@field participants string[]

---@return rille.InDoubt[] list prepared here, outcome not known
function Store:indoubt() end

---Settles what is in doubt here.
---@param options? { home?: string }
---@return rille.Settled? counts
---@return string? message
---@return rille.Code? code
function Store:settle(options) end

---Decides by hand what became of a transaction here. It is logged.
---@param id string
---@param outcome "commit"|"abort"
---@param options? { reason?: string }
---@return true? done
---@return string? message
---@return rille.Code? code
function Store:resolve(id, outcome, options) end

---Closing twice is harmless.
---@return true? done
---@return string? message
---@return rille.Code? code
function Store:close() end

-- Projections and processors ------------------------------------------------------------

---@class rille.Projection
local Projection = {}

---@class rille.GetOptions
---@field consistency? "strong"|"session"|"eventual"|"weak"
---@field after? integer for "session"; this handle's last append
---@field max_lag? integer further behind: catch up first
---@field at? integer as it was at that position

---@param key? string|integer none for a reducer without keys
---@param options? rille.GetOptions
---@return rille.Value state
---@return integer|string|nil position nil alone: no event has reached this key
---@return rille.Code? code
---@return table? detail
function Projection:get(key, options) end

---@param options? { after?: string|integer, limit?: integer, consistency?: string, max_lag?: integer }
---@return fun(): string?, rille.Value key and state, in byte order of the keys
function Projection:each(options) end

---@return integer position that the states have reached
function Projection:mark() end

---@return integer positions behind the head
function Projection:lag() end

---Reads on to the head, or for that long.
---@param options? { ms?: number }
---@return integer? left
---@return string? message
---@return rille.Code? code
function Projection:update(options) end

---Computes all states anew, beside those that are there.
---@return true? done
---@return string? message
---@return rille.Code? code
function Projection:rebuild() end

function Projection:close() end

---@class rille.Processor
local Processor = {}

---To rest, or whole events until the time is up.
---@param options? { ms?: number }
---@return integer? left
---@return number|string|nil due
---@return string? fault
function Processor:run(options) end

---@return integer position up to which events have had their effect
function Processor:mark() end

---@class rille.Parked
---@field position integer
---@field type string
---@field key? string
---@field message string
---@field traceback string
---@field script string identity of the script that failed, in hex
---@field attempts integer
---@field behind boolean it only waits behind another

---@return rille.Parked[]
function Processor:parked() end

---Reacts again to what was parked, with the script as it is now.
---@param position integer
---@return integer? done
---@return integer|string left
---@return rille.Code? code
function Processor:retry(position) end

function Processor:close() end

-- Transactions ----------------------------------------------------------------------------

---A participant that is a set of Lua functions; each is repeated until it says true.
---@class rille.Handler
---@field prepare fun(id: string, work: rille.Value): true|"read"|nil, string?
---@field commit? fun(id: string, work: rille.Value): boolean?
---@field abort? fun(id: string): boolean?
---@field recover? fun(): string[]

---@class rille.CoordinatorOptions
---@field name? string a label for operators
---@field participants? table<string, rille.Handler|rille.Postgres|rille.Store> what must be found again after a crash
---@field indoubt? fun(list: table[]) called for what is pending or in doubt for long
---@field indoubt_age? number 60

---@param store rille.Store home
---@param options? rille.CoordinatorOptions
---@return rille.Coordinator? coordinator
---@return string? message
---@return rille.Code? code
function rille.coordinator(store, options) end

---A PostgreSQL database as a participant; needs the rock rille-postgres.
---@param place string as libpq takes it: "postgresql:///shop"
---@param options? { schema?: string, timeout?: number }
---@return rille.Postgres
function rille.postgres(place, options) end

---@class rille.Postgres

---@class rille.Coordinator
local Coordinator = {}

---@class rille.TransactionOptions
---@field id? string names the work: committed before, it is not done again
---@field policy? string "unanimous", "required", "majority", "quorum", "weighted", or a script
---@field params? rille.Value for the policy
---@field timeout? number seconds: 5
---@field attempts? integer transact tries again after a lock or a conflict
---@field home? string a PostgreSQL participant in which it is decided

---@class rille.Committed
---@field outcome "committed"
---@field id string
---@field transaction string rille's own id
---@field duplicate boolean
---@field members string[]
---@field excluded table<string, string> optional ones, and why
---@field pending string[] members that could not be told yet
---@field versions table<string, table<string, integer>>
---@field positions table<string, { [1]: integer, [2]: integer }>

---Runs work as one transaction: committed everywhere, or nowhere.
---@param options rille.TransactionOptions
---@param work fun(tx: rille.Transaction): any anything but true aborts; an error aborts and is raised again
---@return rille.Committed? result
---@return string? message
---@return rille.Code? code
---@return table? detail
function Coordinator:transact(options, work) end

---The same by hand.
---@param options? rille.TransactionOptions
---@return rille.Transaction? tx
---@return string? message
---@return rille.Code? code
---@return rille.Committed? result where the code is "duplicate"
function Coordinator:begin(options) end

---@param id string yours, or rille's
---@param options? { settle?: boolean } true: what is undecided or unknown becomes aborted, for good
---@return "committed"|"aborted"|"undecided"|"none"|"unknown"|nil outcome
---@return rille.Committed|string|nil result
---@return rille.Code? code
function Coordinator:outcome(id, options) end

---@return table[] list decided here, not acknowledged by all
function Coordinator:pending() end

---Does at once what poll does: tells who has not been told.
---@return rille.Settled? counts
---@return string? message
---@return rille.Code? code
function Coordinator:recover() end

---@param id string
---@param options { participant: string, outcome: "commit"|"abort", reason?: string }
---@return true? done
---@return string? message
---@return rille.Code? code
function Coordinator:resolve(id, options) end

---Lets home forget decisions that are older and have ended: their outcome is "unknown" then.
---@param seconds number a day at least
---@return true? done
---@return string? message
---@return rille.Code? code
function Coordinator:forget(seconds) end

---@return integer? left
---@return string? message
---@return rille.Code? code
function Coordinator:poll() end

function Coordinator:close() end

---@class rille.Transaction
local Transaction = {}

---@param store rille.Store
---@param stream string
---@param events rille.NewEvent|rille.NewEvent[]
---@param options? rille.AppendOptions
---@return true? done
---@return string? message
---@return rille.Code? code
---@overload fun(self: rille.Transaction, store: rille.Store, several: rille.Several): true?, string?, rille.Code?
function Transaction:append(store, stream, events, options) end

---@class rille.EnlistOptions
---@field work? rille.Value what the handler gets
---@field optional? boolean independent data: may be left out
---@field voter? boolean only votes, holds nothing
---@field weight? number

---@param participant string|rille.Store
---@param options? rille.EnlistOptions
---@return rille.Enlisted
function Transaction:enlist(participant, options) end

---@class rille.Enlisted
local Enlisted = {}

---For PostgreSQL: parameters are always sent beside the text.
---@param sql string
---@param ... string|number|boolean|nil
---@return table[]? rows
---@return integer|string count
---@return rille.Code? code
---@return { sqlstate: string }? detail
function Enlisted:exec(sql, ...) end

---@return rille.Committed? result
---@return string? message
---@return rille.Code? code
---@return table? detail
function Transaction:commit() end

---@return true? done
function Transaction:abort() end

function Transaction:close() end

-- Scripts ---------------------------------------------------------------------------------

---What a reducer's script returns.
---@class rille.Reducer
---@field initial? rille.Value|fun(key: string?): rille.Value
---@field key? "stream"|fun(event: rille.Event): string|integer|string[]|nil
---@field on table<string, fun(state: any, event: rille.Event, key: string?): any>
---@field upcast? table<string, fun(event: rille.Event): table?>
---@field redacted? boolean handlers also get events whose data was taken out of the log

---What a processor's script returns.
---@class rille.ProcessorScript
---@field from? rille.Item|rille.Item[]
---@field key? "stream"|fun(event: rille.Event): string|integer|nil
---@field state? rille.Reducer
---@field on table<string, fun(event: rille.Event, ctx: rille.Context)>
---@field redacted? boolean as of a reducer
---@field upcast? table<string, fun(event: rille.Event): table?>
---@field on_error? "retry"|"skip"|"park"|"stop"
---@field attempts? integer 5

---@class rille.EmitOptions
---@field expect? integer|"none"|"exists"|"any" fails: the handler runs again
---@field delay? number seconds on the store's clock
---@field to? string the name of another store

---@class rille.Context
---@field state any a copy, this event folded in
---@field key string?
---@field time number the event's
---@field random fun(m?: integer, n?: integer): number
---@field host table<string, function> what `provide` gave; at least once
---@field emit fun(self: rille.Context, stream: string, event: rille.NewEvent, options?: rille.EmitOptions)

---What a policy's script returns.
---@class rille.Policy
---@field decide fun(tx: table): "wait"|"abort"|"commit", any

---What a decider's script returns.
---@class rille.Decider
---@field decide fun(command: any, ctx: table): any, string?

return rille
