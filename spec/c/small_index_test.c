/* small_index_test.c: several processes with an index whose bounds are met soon: its map
** has to grow in one while others use it, and its readers' table is full of the dead.
** core/index.c is compiled into this program with other bounds. */
#define INDEX_MAP_BYTES ((size_t)512 << 10)
#define INDEX_READERS_MOST 10u
#include "index.c"

#include <sys/stat.h>

#include "processes.h"

static struct shared {
  _Atomic int step, done;
} *shared;

static char path[300];

static void begin(const char *name) {
  strcpy(path, path_of(name));
  if (!shared) shared = share(sizeof *shared);
  memset((void *)shared, 0, sizeof *shared);
}

/* ---- Growing ---- */

#define STREAMS_MOST 1000u /* a step */
#define STEPS 8

/* A name so long that heads fill pages soon. */
static const char *name_of(int step, unsigned i) {
  static char name[250];
  memset(name, 'n', sizeof name - 1);
  name[sprintf(name, "%d-%u", step, i)] = '-';
  return name;
}

static void fill(rille_store *store, int step) {
  for (unsigned i = 0; i < STREAMS_MOST; i++) CHECK(put_one(store, name_of(step, i)) == 0);
}

/* Folds all there is into the index, in a process that comes and goes alone. */
static int fold(void *context) {
  rille_store *store = open_store(path, RILLE_SYNC_NEVER);
  (void)context;
  return store && rille_store_close(store) == 0 ? 0 : 1;
}

static size_t map_bytes(void) {
  char name[320];
  struct stat s;
  snprintf(name, sizeof name, "%s/index/data.mdb", path);
  return stat(name, &s) == 0 ? (size_t)s.st_size : 0;
}

/* A reader that has the index open, with the map of the beginning, while it grows. */
static int look_on(void *context) {
  rille_options o = options_of(RILLE_SYNC_ALWAYS, false);
  o.readonly = 1;
  rille_store *store = open_with(path, &o);
  (void)context;
  atomic_store(&shared->done, 1);
  for (int step = 1; step <= STEPS; step++) {
    wait_until(&shared->step, step);
    uint64_t version;
    rille_text name = rille_text_of(name_of(step, 0));
    CHECK(rille_store_version(store, name, &version, NULL) == 0 && version == 1);
    CHECK(stats_of(store).streams == (uint64_t)step * STREAMS_MOST);
    atomic_store(&shared->done, 1 + step);
  }
  CHECK(rille_store_close(store) == 0);
  return 0;
}

static void a_map_grows_under_others(void) {
  begin("growing");
  CHECK(fold(NULL) == 0); /* there must be an index to look at */
  pid_t pid = start(look_on, NULL);
  wait_until(&shared->done, 1);
  for (int step = 1; step <= STEPS; step++) {
    rille_store *store = open_store(path, RILLE_SYNC_NEVER);
    fill(store, step);
    CHECK(rille_store_close(store) == 0);
    atomic_store(&shared->step, step);
    wait_until(&shared->done, 1 + step);
  }
  CHECK(wait_for(pid) == 0);
  CHECK(map_bytes() > 2 * INDEX_MAP_BYTES);
  check_reopened(open_store(path, RILLE_SYNC_NEVER), path, STEPS * STREAMS_MOST);
}

/* ---- The dead ---- */

static int open_and_die(void *context) {
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  (void)context;
  CHECK(rille_store_head(store) == 1);
  CHECK(stats_of(store).streams == 1);
  kill(getpid(), SIGKILL);
  return 0;
}

static void the_dead_take_no_room(void) {
  begin("dead");
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  CHECK(put_one(store, "s") == 0);
  for (unsigned i = 0; i < 5 * INDEX_READERS_MOST; i++)
    CHECK(wait_for(start(open_and_die, NULL)) == KILLED);
  CHECK(put_one(store, "s") == 0);
  check_reopened(store, path, 2);
}

static const struct test tests[] = {
    {"a map grows under others", a_map_grows_under_others},
    {"the dead take no room", the_dead_take_no_room},
};
TEST_MAIN(tests)
