/* resources_test.c: an hour's work in seconds, with errors on the way: what a process takes
** of the system it gives back. Descriptors, mappings, threads and memory are where they were
** when the store is closed; while it is open they show no trend, and neither do the pages of
** the index or its table of readers.
**
** DAYS= is how many rounds of work there are; more with RILLE_SOAK. (core/fold.c is compiled in
** with another bound, so that each few of them fold.) */
#define _GNU_SOURCE
#define LOG_FRESH_BYTES_MOST ((uint64_t)64 << 10)
#include "fold.c"

#include "processes.h"

#ifndef __linux__
int main(void) { return puts("0 passed, 0 failed, 1 skipped: /proc is looked into on Linux") < 0; }
#else

#include <dirent.h>
#include <malloc.h>
#include <sys/stat.h>

#define DAYS 120
#define SOAK_DAYS 4000
#define WARM_DAYS 40         /* afterwards nothing new is taken */
#define EVENTS 24            /* a day */
#define KEYS 40u
#define COMINGS 40
#define DEATHS 40
#define SEGMENT_BYTES ((uint64_t)1 << 20) /* few: some of its files are kept open */
#define SLACK_BYTES 98304    /* of the heap, when all is closed: what malloc keeps at hand */
#define SWING_BYTES 409600   /* while it is open: the tables of the overlays double */
#define INDEX_SLACK_BYTES 65536u /* spare pages of LMDB's */
#define INDEX_DAY_BYTES 512u     /* ids of transactions, which are remembered, and places */

static char here[300], there[300];
static char data[400];

/* ---- What a process has ---- */

static _Atomic int64_t allocated; /* by the core, through the store's own allocator */

static void *count_alloc(void *context, void *block, size_t old_size, size_t new_size) {
  (void)context;
  if (new_size == 0) {
    atomic_fetch_sub(&allocated, (int64_t)(block ? old_size : 0));
    free(block);
    return NULL;
  }
  void *bytes = realloc(block, new_size);
  if (bytes) atomic_fetch_add(&allocated, (int64_t)new_size - (int64_t)(block ? old_size : 0));
  return bytes;
}

struct taken {
  int64_t files, segments, maps, threads, core, heap; /* files: others than the log's */
};

static int64_t count_names(const char *where) {
  int64_t n = -2; /* "." and ".." */
  DIR *names = opendir(where);
  while (names && readdir(names)) n++;
  if (names) closedir(names);
  return n;
}

static void count_files(struct taken *t) {
  char name[300], file[4096];
  DIR *names = opendir("/proc/self/fd");
  for (struct dirent *d; names && (d = readdir(names)) != NULL;) {
    snprintf(name, sizeof name, "/proc/self/fd/%s", d->d_name);
    ssize_t n = readlink(name, file, sizeof file);
    if (n > 4 && memcmp(file + n - 4, ".seg", 4) == 0) t->segments++;
    else if (n > 0) t->files++;
  }
  if (names) closedir(names);
}

/* Those of files of ours: threads and the C library come and go with theirs. */
static int64_t count_maps(void) {
  char line[4500];
  int64_t n = 0;
  FILE *maps = fopen("/proc/self/maps", "r");
  while (maps && fgets(line, sizeof line, maps)) n += strstr(line, folder) != NULL;
  if (maps) fclose(maps);
  return n;
}

static int64_t heap_bytes(void) {
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
  struct mallinfo2 m = mallinfo2();
  return (int64_t)(m.uordblks + m.hblkhd);
#else
  return 0;
#endif
}

static struct taken look_around(void) {
  struct taken t = {.core = atomic_load(&allocated), .heap = heap_bytes()};
  t.maps = count_maps();
  count_files(&t);
  t.threads = count_names("/proc/self/task");
  return t;
}

static void show(const char *when, const struct taken *t) {
  printf("       %s: %lld files, %lld maps, %lld threads, %lld bytes of ours, %lld of the heap\n",
         when, (long long)t->files, (long long)t->maps, (long long)t->threads, (long long)t->core,
         (long long)t->heap);
}

/* A joined thread is in /proc until the kernel has put it away. */
static bool is_back(const struct taken *before) {
  struct taken now = look_around();
  int64_t end = now_us() + PATIENCE_US;
  while (now.threads != before->threads && now_us() < end) {
    usleep(1000);
    now = look_around();
  }
  int64_t core = before->core ? before->core + SLACK_BYTES : 0; /* 0: it was closed, and is */
  bool back = now.files == before->files && now.maps == before->maps &&
              now.threads == before->threads && now.core <= core &&
              now.heap <= before->heap + SLACK_BYTES;
  if (!back) {
    show("before", before);
    show("after", &now);
  }
  return back;
}

/* ---- A day's work ---- */

static rille_store *a, *b;
static rille_instance *coordinator;
static uint64_t serial;

static rille_store *open_counted(const char *path, bool background) {
  rille_options o = options_of(RILLE_SYNC_NEVER, background);
  o.segment_bytes = SEGMENT_BYTES;
  o.alloc = count_alloc;
  return open_with(path, &o);
}

static void append_some(void) {
  char stream[16];
  for (unsigned i = 0; i < EVENTS; i++) {
    sprintf(stream, "s-%u", random_below(KEYS));
    CHECK(put(a, stream, RILLE_EXPECT_ANY, data, 1 + random_below(sizeof data - 1), NULL) == 0);
  }
}

/* What is refused takes nothing, either. */
static void be_refused(void) {
  rille_query beyond = {.size = sizeof beyond, .after = UINT64_MAX / 2};
  rille_reader *reader;
  char name[300];
  memset(name, 'n', sizeof name - 1);
  name[sizeof name - 1] = '\0';
  CHECK(put_one(a, "s-0") == 0);
  CHECK(put(a, "s-0", RILLE_EXPECT_NONE, data, 8, NULL) == RILLE_CONFLICT);
  CHECK(put(a, name, RILLE_EXPECT_ANY, data, 8, NULL) == RILLE_INVALID);
  CHECK(rille_store_read(a, &beyond, &reader, NULL) == RILLE_INVALID);
  CHECK(rille_store_backup(a, here, NULL) == RILLE_INVALID);
  CHECK(rille_store_truncate(a, rille_text_of("never"), 1, NULL) == RILLE_NOTFOUND);
  CHECK(rille_store_wait(a, rille_store_head(a) + 1, 0, NULL) == RILLE_REMARK);
}

static void read_some(uint64_t limit, bool to_its_end) {
  rille_text tag = rille_text_of("none"), type = rille_text_of("Happened");
  rille_item items[2] = {{.types = &type, .type_count = 1}, {.tags = &tag, .tag_count = 1}};
  rille_query q = {.size = sizeof q, .items = items, .item_count = 2, .limit = limit};
  rille_reader *reader;
  rille_event event;
  if (!CHECK(rille_store_read(a, &q, &reader, NULL) == 0)) return;
  CHECK(rille_reader_next(reader, &event, NULL) == 1);
  while (to_its_end && rille_reader_next(reader, &event, NULL) == 1) continue;
  rille_reader_end(reader);
}

static void keep_some(void) {
  rille_kept_put puts[KEYS];
  char keys[KEYS][16];
  uint64_t erased;
  for (unsigned i = 0; i < KEYS; i++) {
    sprintf(keys[i], "k-%u", i);
    puts[i] = (rille_kept_put){.key = rille_text_of(keys[i]), .value = {data, sizeof data}};
  }
  rille_kept_write write = {.size = sizeof write, .puts = puts, .put_count = KEYS};
  CHECK(rille_store_kept_write(a, &write, NULL) == 0);
  write.expect_key = rille_text_of("k-1");
  write.expect_value = rille_text_of("something else");
  CHECK(rille_store_kept_write(a, &write, NULL) == RILLE_CONFLICT);
  CHECK(rille_store_kept_erase(a, rille_text_of("k-2"), 1, &erased, NULL) == 0 && erased == 1);
}

/* Over both stores: committed, or refused by the member. */
static void transact(bool refused) {
  rille_begun begun;
  rille_transacted done;
  rille_event_input event = {.type = rille_text_of("Moved"), .data = {data, 30}};
  rille_part part = {.stream = rille_text_of("moved"), .events = &event, .event_count = 1};
  rille_part there_part = part;
  if (refused) there_part.expect = RILLE_EXPECT_NONE;
  const rille_append work = {.size = sizeof work, .parts = &part, .part_count = 1},
                     other = {.size = sizeof other, .parts = &there_part, .part_count = 1};
  rille_member member = {.store = b, .name = rille_text_of("there"), .work = &other};
  CHECK(rille_instance_begin(coordinator, &begun, NULL) == 0);
  const rille_transact t = {.size = sizeof t,
                            .home = a,
                            .id = rille_text_of(begun.id),
                            .home_end = begun.home_end,
                            .home_path = rille_text_of(here),
                            .work = &work,
                            .members = &member,
                            .member_count = 1,
                            .timeout_us = PATIENCE_US};
  CHECK(rille_store_transact(&t, &done, NULL) == (refused ? RILLE_ABORTED : 0));
  if (refused) return;
  CHECK(rille_store_flush(b, member.finished.end, NULL) == 0);
  CHECK(rille_store_end(a, rille_text_of(begun.id), NULL) == 0);
}

static void look_for_doubts(void) {
  rille_doubts doubts;
  rille_settled settled;
  const rille_settle all = {.size = sizeof all};
  CHECK(rille_store_indoubt(b, &doubts, NULL) == 0 && doubts.count == 0);
  rille_doubts_free(&doubts);
  CHECK(rille_store_pending(a, &doubts, NULL) == 0);
  rille_doubts_free(&doubts);
  CHECK(rille_store_settle(b, &all, &settled, NULL) == 0);
}

static void copy_and_verify(void) {
  const char *copy = path_of("copy");
  rille_verify options = {.size = sizeof options, .problem = show_problem};
  rille_verified verified;
  CHECK(rille_store_verify(a, &options, &verified, NULL) == 0);
  CHECK(rille_store_backup(a, copy, NULL) == 0);
  rille_store *store = open_counted(copy, false);
  CHECK(rille_store_head(store) == rille_store_head(a) && rille_store_close(store) == 0);
  remove_store(copy);
}

static void spend_day(unsigned day) {
  append_some();
  be_refused();
  read_some(50, false);
  read_some(200, true);
  keep_some();
  if (!coordinator) CHECK(rille_instance_open(a, rille_text_of("c"), &coordinator, NULL) == 0);
  transact(false);
  transact(true);
  look_for_doubts();
  CHECK(rille_store_truncate(a, rille_text_of("moved"), 1 + serial++, NULL) == 0);
  CHECK(rille_store_sync(a, NULL) == 0 && rille_store_poll(a, NULL) == 0);
  if (day % 16 == 0) copy_and_verify();
  if (day % 8 != 0) return;
  CHECK(rille_instance_close(coordinator, NULL) == 0);
  coordinator = NULL;
}

static void end_days(void) {
  CHECK(rille_instance_close(coordinator, NULL) == 0);
  coordinator = NULL;
  CHECK(rille_store_close(b) == 0 && rille_store_close(a) == 0);
}

static void begin_days(bool background) {
  random_fill(data, sizeof data);
  strcpy(here, path_of("here"));
  strcpy(there, path_of("there"));
  serial = 0;
  a = open_counted(here, background);
  b = open_counted(there, background);
}

/* The most there was of each, in a part of the days. */
static void note_most(struct taken *most, uint64_t *index_bytes) {
  struct taken now = look_around();
  rille_stats stats = stats_of(a);
  if (now.files > most->files) most->files = now.files;
  if (now.segments > most->segments) most->segments = now.segments;
  if (now.maps > most->maps) most->maps = now.maps;
  if (now.threads > most->threads) most->threads = now.threads;
  if (now.core > most->core) most->core = now.core;
  if (now.heap > most->heap) most->heap = now.heap;
  if (stats.index_bytes > *index_bytes) *index_bytes = stats.index_bytes;
  CHECK(stats.index_readers == 1);
}

static bool has_no_trend(const struct taken *early, const struct taken *late) {
  bool none = late->files <= early->files && late->maps <= early->maps &&
              late->segments <= 2 * SEGMENT_OPEN_FILES_MOST &&
              late->threads <= early->threads && late->core <= early->core + SWING_BYTES &&
              late->heap <= early->heap + SWING_BYTES;
  show("early", early);
  show("late ", late);
  return none;
}

/* The first half of the days, and the second. */
static void live(bool background) {
  unsigned days = (unsigned)test_setting("DAYS", test_tries_all() ? SOAK_DAYS : DAYS);
  struct taken most[2] = {{0}, {0}};
  uint64_t index_bytes[2] = {0, 0};
  begin_days(background);
  for (unsigned day = 0; day < WARM_DAYS; day++) spend_day(day);
  for (unsigned day = 0; day < days; day++) {
    spend_day(day);
    note_most(&most[day >= days / 2], &index_bytes[day >= days / 2]);
  }
  CHECK(has_no_trend(&most[0], &most[1]));
  printf("       index: %llu bytes early, %llu late; %llu folds\n",
         (unsigned long long)index_bytes[0], (unsigned long long)index_bytes[1],
         (unsigned long long)stats_of(a).folds);
  CHECK(stats_of(a).folds > days / 40);
  CHECK(index_bytes[1] <= index_bytes[0] + INDEX_SLACK_BYTES + days / 2 * INDEX_DAY_BYTES);
  end_days();
  remove_store(here);
  remove_store(there);
}

static void days_take_nothing_more(void) {
  struct taken before;
  for (int background = 0; background < 2; background++) {
    if (background == 0) { /* what the C library takes once */
      begin_days(false);
      for (unsigned day = 0; day < 17; day++) spend_day(day);
      end_days();
      remove_store(here);
      remove_store(there);
    }
    before = look_around();
    CHECK(before.segments == 0 && before.core == 0);
    live(background);
    CHECK(is_back(&before) && look_around().segments == 0);
  }
}

/* ---- Coming and going ---- */

static void come_and_go(const char *path, unsigned i) {
  rille_options o = options_of(RILLE_SYNC_ALWAYS, i % 2);
  rille_store *store = NULL, *again;
  rille_reader *reader;
  o.alloc = count_alloc;
  o.readonly = i % 3 == 0;
  o.rebuild = i % 5 == 1 && !o.readonly;
  CHECK(rille_store_open(path, &o, &store, NULL) >= 0);
  again = open_counted(path, false);
  CHECK(again != NULL && rille_store_close(again) == 0);
  CHECK(rille_store_read(store, NULL, &reader, NULL) == 0);
  CHECK(rille_store_close(store) == 0); /* which the reader holds open */
  rille_reader_end(reader);
}

static void be_refused_opening(const char *path) {
  rille_options o = options_of(RILLE_SYNC_ALWAYS, false);
  rille_store *store;
  char name[340];
  o.alloc = count_alloc;
  o.no_create = 1;
  snprintf(name, sizeof name, "%s/log", path);
  CHECK(rille_store_open(name, &o, &store, NULL) < 0); /* no store */
  snprintf(name, sizeof name, "%s-absent", path);
  CHECK(rille_store_open(name, &o, &store, NULL) == RILLE_NOTFOUND);
}

static void damage(const char *path, bool back) {
  char from[340], to[340];
  snprintf(from, sizeof from, "%s/log%s", path, back ? ".away" : "");
  snprintf(to, sizeof to, "%s/log%s", path, back ? "" : ".away");
  CHECK(rename(from, to) == 0);
}

/* Opening fails half-way: the log is not there. */
static void fail_opening(const char *path) {
  rille_options o = options_of(RILLE_SYNC_ALWAYS, true);
  rille_store *store;
  o.alloc = count_alloc;
  damage(path, false);
  CHECK(rille_store_open(path, &o, &store, NULL) < 0);
  o.readonly = 1;
  CHECK(rille_store_open(path, &o, &store, NULL) < 0);
  damage(path, true);
}

static void coming_and_going_leaves_nothing(void) {
  char path[300];
  struct taken before = {0};
  strcpy(path, path_of("visited"));
  rille_store *store = open_counted(path, false);
  for (int i = 0; i < 50; i++) CHECK(put_one(store, "s") == 0);
  CHECK(rille_store_close(store) == 0);
  for (unsigned i = 0; i < COMINGS; i++) {
    come_and_go(path, i);
    be_refused_opening(path);
    fail_opening(path);
    if (i == COMINGS / 4) before = look_around();
  }
  CHECK(atomic_load(&allocated) == 0);
  CHECK(is_back(&before));
  check_reopened(open_store(path, RILLE_SYNC_NEVER), path, 50);
}

/* A copy on a medium that has no index: it is made elsewhere, and goes with its reader. */
static void an_index_made_elsewhere_goes(void) {
  char path[300], command[1000], place[300];
  strcpy(path, path_of("bare"));
  strcpy(place, path_of("scratch"));
  rille_store *store = open_counted(path, false);
  for (int i = 0; i < 50; i++) CHECK(put_one(store, "s") == 0);
  CHECK(rille_store_close(store) == 0);
  snprintf(command, sizeof command, "rm -rf '%s/index' '%s' && mkdir '%s'", path, place, place);
  CHECK(system(command) == 0);
  const char *base = getenv("TMPDIR");
  char kept[300];
  snprintf(kept, sizeof kept, "%s", base ? base : "");
  setenv("TMPDIR", place, 1);
  rille_options o = options_of(RILLE_SYNC_ALWAYS, false);
  o.readonly = 1;
  store = open_with(path, &o);
  CHECK(count_names(place) == 1 && rille_store_head(store) == 50);
  CHECK(rille_store_close(store) == 0);
  CHECK(count_names(place) == 0);
  if (*kept) setenv("TMPDIR", kept, 1);
  else unsetenv("TMPDIR");
}

/* ---- The dead ---- */

/* It writes to the index all the time, and dies in the midst of it. */
static int work_and_die(void *context) {
  _Atomic int *opened = context;
  test_random += (uint64_t)getpid();
  a = open_counted(here, false);
  atomic_fetch_add(opened, 1);
  while (a) {
    append_some();
    keep_some();
    read_some(20, true);
  }
  return 1;
}

/* Without writing: who dies writing has LMDB look for the dead by itself. */
static int look_and_die(void *context) {
  (void)context;
  a = open_counted(here, false);
  read_some(20, true);
  kill(getpid(), SIGKILL);
  return 1;
}

/* Folding frees the slots of the dead. */
static void fold_some(void) {
  uint64_t folds = stats_of(a).folds;
  for (int i = 0; i < 100 && stats_of(a).folds == folds; i++) append_some();
  CHECK(stats_of(a).folds > folds);
}

/* Their slots are free again, and no page waits for a reader that is no more. */
static void the_dead_keep_nothing(void) {
  uint64_t most[2] = {0, 0};
  struct taken before;
  _Atomic int *opened = share(sizeof *opened);
  begin_days(false);
  for (unsigned i = 0; i < DEATHS; i++) {
    pid_t pid = start(work_and_die, opened);
    wait_until(opened, (int)i + 1);
    usleep(random_below(12000));
    kill(pid, SIGKILL);
    CHECK(wait_for(pid) == KILLED);
    append_some();
    keep_some();
    if (i == DEATHS / 2) {
      fold_some();
      before = look_around();
    }
    uint64_t bytes = stats_of(a).index_bytes;
    if (bytes > most[i >= DEATHS / 2]) most[i >= DEATHS / 2] = bytes;
  }
  CHECK(wait_for(start(look_and_die, NULL)) == KILLED);
  CHECK(stats_of(a).index_readers > 1);
  fold_some();
  CHECK(is_back(&before));
  CHECK(stats_of(a).index_readers == 1);
  printf("       index: %llu bytes early, %llu late\n", (unsigned long long)most[0],
         (unsigned long long)most[1]);
  CHECK(most[1] <= most[0] + INDEX_SLACK_BYTES);
  CHECK(rille_store_close(b) == 0 && rille_store_close(a) == 0);
}

static const struct test tests[] = {
    {"days take nothing more", days_take_nothing_more},
    {"coming and going leaves nothing", coming_and_going_leaves_nothing},
    {"an index made elsewhere goes", an_index_made_elsewhere_goes},
    {"the dead keep nothing", the_dead_keep_nothing},
};
TEST_MAIN(tests)

#endif
