-- postgres.lua: a PostgreSQL server of the tests' own: in a temporary folder, reached by a
-- socket in it, ended by its process id, also when the tests die: a shell waits for the end
-- of its input, which is the end of this process.
--
-- PostgreSQL doesn't run as root: then it runs as the user postgres, or nobody.
local process = require "spec.support.process"
local rille = require "rille"
local stores = require "spec.support.stores"

local postgres = {}

local PLACES = { "/usr/lib/postgresql", "/usr/local/pgsql", "/opt/homebrew/opt/postgresql*",
  "/usr/local/opt/postgresql*" }

local function line(command)
  local output, status = process.run(command)
  return status == 0 and output:match "^[^\n]+" or nil
end

---The folder of initdb, pg_ctl and postgres, of the newest version; nil: not installed.
local function find_programs()
  for _, place in ipairs(PLACES) do
    local found = line(("ls -d %s/bin/initdb %s/*/bin/initdb 2>/dev/null | sort -V | tail -1"):format(place, place))
    if found then return found:match "^(.*)/" end
  end
  local found = line "command -v initdb"
  return found and found:match "^(.*)/"
end

local programs = find_programs()
local is_root = line "id -u" == "0"
local user = is_root and (line "id -un postgres" and "postgres" or "nobody")

---Why there can be no server here; nil: there can.
function postgres.lacks()
  if not programs then return "PostgreSQL's server is not installed" end
  local built = package.searchpath("rille.postgres", package.cpath)
  if not built then return "rille.postgres was not built: libpq is not installed" end
  return nil
end

---A test that needs a server: skipped where there can be none.
function postgres.case(name, f)
  local busted, missing = require "busted", postgres.lacks()
  if missing then return busted.pending(("%s: %s"):format(name, missing)) end
  busted.it(name, f)
end

---Repeats until it is true, for what the server does in its own time.
function postgres.eventually(f)
  for _ = 1, 3000 do
    local result = f()
    if result then return result end
    process.run "sleep 0.02"
  end
  error("it did not come about", 2)
end

local function as_server(command)
  if not is_root then return command end
  return ("cd / && runuser -u %s -- sh -c '%s'"):format(user, command:gsub("'", "'\\''"))
end

---Runs a program as the server's user; its failure is an error.
local function run(command, ...)
  local output, status = process.run(as_server(command:format(...)))
  if status ~= 0 then error(("status %d: %s\n%s"):format(status, command:format(...), output), 2) end
  return output
end

local Server = {}
Server.__index = Server

-- The server's end is waited for, because it writes into its folder until then. Who ends the
-- tests by a signal to all of their processes does not mean the keeper.
local KEEPER = [[unset LD_PRELOAD; trap '' TERM INT HUP; cat >/dev/null
  pid=$(head -1 '%s/data/postmaster.pid' 2>/dev/null)
  if [ -n "$pid" ]; then
    kill -QUIT "$pid" 2>/dev/null
    for i in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.05; done
  fi
  rm -rf '%s']]

---A new server, running, with settings such as "max_prepared_transactions=20".
function postgres.new(...)
  local folder = assert(line "mktemp -d /tmp/rille-pg-XXXXXX")
  local self = setmetatable({ folder = folder, data = folder .. "/data" }, Server)
  self.keeper = assert(io.popen(KEEPER:format(folder, folder), "w"))
  if is_root then process.run(("chown %s '%s'"):format(user, folder)) end
  run("%s/initdb -N -A trust -U rille -D %s --no-locale -E UTF8", programs, self.data)
  self:start(...)
  return self
end

function Server:start(...)
  local settings = { "listen_addresses=''", "unix_socket_directories=" .. self.folder, "max_connections=30",
    "shared_buffers=2MB", "autovacuum=off", "max_prepared_transactions=20" }
  for _, setting in ipairs { ... } do settings[#settings + 1] = setting end
  local words = {}
  for i, setting in ipairs(settings) do words[i] = "-c " .. setting end
  run([[%s/pg_ctl start -w -t 60 -D %s -l %s/log -o "%s" >/dev/null || { tail -20 %s/log; exit 1; }]], programs,
    self.data, self.folder, table.concat(words, " "), self.folder)
  self.pid = assert(line(("head -1 %s/postmaster.pid"):format(self.data)))
end

---Stops it in order.
function Server:stop() run("%s/pg_ctl stop -w -m fast -D %s", programs, self.data) end

function Server:restart(...)
  self:stop()
  self:start(...)
end

-- It is stopped first, so that none is forked while they are counted: one that was left would go on writing
-- beside the next start. One that nobody has collected yet is a zombie, whose number the next start would take
-- for a living server's.
local KILL = [[kill -STOP %s; all="%s $(pgrep -P %s | tr '\n' ' ')"; kill -9 $all
  alive() { for p in $all; do case "$(ps -o stat= -p $p)" in ""|Z*) ;; *) return 0 ;; esac; done; return 1; }
  for i in $(seq 200); do alive || { rm -f '%s/postmaster.pid' '%s'/.s.PGSQL.*; exit 0; }; sleep 0.02; done; exit 1]]

---Ends each of its processes as a crash would, and waits until none is left.
function Server:kill()
  local output, status = process.run("(" .. KILL:format(self.pid, self.pid, self.pid, self.data, self.folder) .. ")")
  assert(status == 0, "the server's processes would not end: " .. output)
end

---The next start recovers, and ends on a new timeline.
function Server:fork_timeline()
  self:stop()
  run("touch %s/recovery.signal", self.data)
  self:start "restore_command=false"
  postgres.eventually(function() return self:psql "select pg_is_in_recovery()" == "f" end)
end

---How to connect; options such as "dbname=other".
function Server:conninfo(...)
  return table.concat({ "host=" .. self.folder, "user=rille", "dbname=postgres", ... }, " ")
end

---Runs a program of the server's on its folder.
function Server:program(name, words) run("%s/%s %s -D %s", programs, name, words, self.data) end

local PSQL = "%s/psql -X -q -A -t -v ON_ERROR_STOP=1 -h %s -U rille -d %s "

---A file with the statements, and the command that has psql run it.
local function script_of(self, sql, database)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(sql)
  file:close()
  return path, PSQL:format(programs, self.folder, database or "postgres") .. "<" .. path
end

---Has psql run it meanwhile; what is returned waits for the end, and gives what it prints.
function Server:meanwhile(sql)
  local path, command = script_of(self, sql)
  local pipe = assert(io.popen("unset LD_PRELOAD; " .. command .. " 2>&1"))
  return function()
    local output = pipe:read "a"
    local ended = pipe:close()
    os.remove(path)
    if not ended then error(output, 2) end
    return output
  end
end

---What psql prints, unaligned and without heads.
function Server:psql(sql, database)
  local path, command = script_of(self, sql, database)
  local output, status = process.run(command)
  os.remove(path)
  if status ~= 0 then error(output, 2) end
  return (output:gsub("\n$", ""))
end

---Changes a setting without a restart.
function Server:set(name, value)
  self:psql(("alter system set %s = '%s'"):format(name, value))
  self:psql "select pg_reload_conf()"
end

---From now on every commit and prepare waits for a standby that there is not; or no more.
function Server:lose_standby(is_lost)
  self:set("synchronous_standby_names", is_lost and "nobody" or "")
  postgres.eventually(function() return (self:psql "show synchronous_standby_names" ~= "") == is_lost end)
  self.is_alone = is_lost
end

---Nobody waits for the standby any more.
function Server:is_settled()
  return self:psql "select count(*) from pg_stat_activity where wait_event = 'SyncRep'" == "0"
end

---Killed while one waits for the standby, and started again without.
function Server:crash_while_waiting()
  postgres.eventually(function() return not self:is_settled() end)
  self:psql "alter system reset synchronous_standby_names"
  self:kill()
  self:start()
  self.is_alone = false
end

---Takes back what tests have left: a standby that is waited for, and what is prepared in the first database.
function Server:tidy()
  if self.is_alone then self:lose_standby(false) end
  for gid in self:psql "select gid from pg_prepared_xacts where database = 'postgres'":gmatch "[^\n]+" do
    self:psql(("rollback prepared '%s'"):format(gid))
  end
end

---Ended, and its folder is gone.
function Server:close()
  if self.keeper then self.keeper:close() end
  self.keeper = nil
end
Server.__gc = Server.close

local Scene = {}
Scene.__index = Scene

---A server, with those settings, with a table "moves", the participant `shop` there, which waits so long for it,
---and a store, `here`, to coordinate from.
function postgres.scene(timeout, ...)
  local scene = setmetatable({ server = postgres.new(...), here = stores.new(), coordinators = {} }, Scene)
  scene.server:psql "create table moves (id text primary key)"
  scene.shop = assert(rille.postgres(scene.server:conninfo(), { timeout = timeout }))
  return scene
end

function Scene:coordinator()
  local c = assert(rille.coordinator(self.here, { participants = { shop = self.shop } }))
  table.insert(self.coordinators, c)
  return c
end

---Moves the id in one transaction, of the same id.
function Scene.move(_, c, id)
  return c:transact({ id = id, timeout = 10 }, function(tx)
    return assert(tx:enlist "shop"):exec("insert into moves values ($1)", id)
  end)
end

---The ids that were moved, each behind a space.
function Scene:moved() return (self.server:psql("select string_agg(' ' || id, '' order by id) from moves")) end

function Scene:close()
  for _, c in ipairs(self.coordinators) do c:close() end
  self.shop:close()
  self.here:close()
  self.server:close()
end

return postgres
