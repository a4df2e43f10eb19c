/* kept_test.c: bytes that are kept in the index: conditions hold against other processes and
** threads, killed writers cost nobody anything, and the map grows. core/index.c is compiled
** into this program with a map that is full soon. */
#define INDEX_MAP_BYTES ((size_t)512 << 10)
#define INDEX_READERS_MOST 1000u
#define INDEX_LOCK_BYTES (68u << 10)
#include "index.c"

#include "processes.h"

static char path[300];
static struct shared {
  _Atomic int step;
  _Atomic uint64_t done; /* what a child has written and been told of */
} * shared;

static rille_store *begin_test(const char *name) {
  strcpy(path, path_of(name));
  if (!shared) shared = share(sizeof *shared);
  memset((void *)shared, 0, sizeof *shared);
  return open_store(path, RILLE_SYNC_ALWAYS);
}

/* ---- In one line ---- */

#define ROOM_BYTES 4096u
static char room[ROOM_BYTES];

static rille_text text(const char *s) { return rille_text_of(s); }

static int keep(rille_store *store, const char *key, const char *value) {
  rille_kept_put p = {.key = text(key), .value = text(value ? value : ""), .remove = !value};
  rille_kept_write w = {.size = sizeof w, .puts = &p, .put_count = 1};
  return rille_store_kept_write(store, &w, NULL);
}

/* `from` NULL: absent. */
static int swap(rille_store *store, const char *key, const char *from, const char *to) {
  rille_kept_put p = {.key = text(key), .value = text(to)};
  rille_kept_write w = {.size = sizeof w,
                        .puts = &p,
                        .put_count = 1,
                        .expect_key = text(key),
                        .expect_value = text(from ? from : ""),
                        .expect_absent = !from};
  return rille_store_kept_write(store, &w, NULL);
}

static int get(rille_store *store, const char *key, rille_kept *kept) {
  *kept = (rille_kept){.room = room, .room_bytes = sizeof room};
  return rille_store_kept_get(store, text(key), kept, NULL);
}

static bool holds(rille_store *store, const char *key, const char *value) {
  rille_kept kept;
  int result = get(store, key, &kept);
  if (!value) return result == RILLE_NOTFOUND;
  return result == 0 && kept.length == strlen(value) && memcmp(room, value, kept.length) == 0;
}

/* ---- What it does ---- */

static void a_value_is_what_was_put(void) {
  rille_store *store = begin_test("plain");
  CHECK(holds(store, "a", NULL));
  CHECK(keep(store, "a", "one") == 0 && holds(store, "a", "one"));
  CHECK(keep(store, "a", "longer than one") == 0 && holds(store, "a", "longer than one"));
  CHECK(keep(store, "b", "") == 0 && holds(store, "b", ""));
  CHECK(keep(store, "a", NULL) == 0 && holds(store, "a", NULL));
  CHECK(keep(store, "a", NULL) == 0); /* it was not there */
  check_reopened(store, path, 0);
  store = open_store(path, RILLE_SYNC_ALWAYS);
  CHECK(holds(store, "b", "") && holds(store, "a", NULL));
  CHECK(rille_store_close(store) == 0);
}

static void limits_hold_on_both_sides(void) {
  rille_store *store = begin_test("limits");
  char key[RILLE_KEPT_KEY_BYTES + 2];
  rille_kept kept = {.room = room, .room_bytes = 3};
  memset(key, 'k', sizeof key);
  key[RILLE_KEPT_KEY_BYTES] = '\0';
  CHECK(keep(store, key, "long") == 0 && holds(store, key, "long"));
  CHECK(rille_store_kept_get(store, text(key), &kept, NULL) == RILLE_REMARK && kept.length == 4);
  kept.room_bytes = 4;
  CHECK(rille_store_kept_get(store, text(key), &kept, NULL) == 0);
  key[RILLE_KEPT_KEY_BYTES] = 'k';
  key[RILLE_KEPT_KEY_BYTES + 1] = '\0';
  CHECK(keep(store, key, "too long") == RILLE_INVALID);
  CHECK(get(store, key, &kept) == RILLE_INVALID && get(store, "", &kept) == RILLE_INVALID);
  CHECK(keep(store, "", "") == RILLE_INVALID);
  /* Refused before a byte of it is read. */
  rille_kept_put p = {.key = text("k"), .value = {room, RILLE_KEPT_WRITE_BYTES}};
  rille_kept_write w = {.size = sizeof w, .puts = &p, .put_count = 1};
  CHECK(rille_store_kept_write(store, &w, NULL) == RILLE_INVALID);
  p.value.length = 1;
  w.position = 1;
  CHECK(rille_store_kept_write(store, &w, NULL) == RILLE_INVALID); /* there is no event */
  CHECK(put_one(store, "s") == 0);
  CHECK(rille_store_kept_write(store, &w, NULL) == 0);
  CHECK(rille_store_close(store) == 0);
}

static void nothing_is_written_where_the_expectation_fails(void) {
  rille_store *store = begin_test("expect");
  rille_kept_put p[] = {{.key = text("x"), .value = text("1")},
                        {.key = text("m"), .value = text("2")}};
  rille_kept_write w = {.size = sizeof w,
                        .puts = p,
                        .put_count = 2,
                        .expect_key = text("m"),
                        .expect_value = text("1")};
  rille_error e;
  CHECK(rille_store_kept_write(store, &w, &e) == RILLE_CONFLICT && e.code == RILLE_CONFLICT);
  CHECK(holds(store, "x", NULL) && holds(store, "m", NULL));
  CHECK(swap(store, "m", NULL, "1") == 0);
  CHECK(swap(store, "m", NULL, "3") == RILLE_CONFLICT && holds(store, "m", "1"));
  CHECK(rille_store_kept_write(store, &w, NULL) == 0);
  CHECK(holds(store, "x", "1") && holds(store, "m", "2"));
  CHECK(rille_store_kept_write(store, &w, NULL) == RILLE_CONFLICT);
  CHECK(rille_store_close(store) == 0);
}

/* The same store, with a background thread. */
static rille_store *reopen_with_thread(rille_store *store) {
  rille_options o = options_of(RILLE_SYNC_ALWAYS, true);
  CHECK(rille_store_close(store) == 0);
  return open_with(path, &o);
}

/* Begins to put `to`, if `from` is kept. */
static rille_keeping *begin_swap(rille_store *store, const char *key, const char *from,
                                 const char *to) {
  rille_kept_put p[] = {{.key = text("z"), .value = text("last")},
                        {.key = text(key), .value = text("not yet")},
                        {.key = text(key), .value = text(to)},
                        {.key = text("gone"), .remove = 1}};
  rille_kept_write w = {.size = sizeof w,
                        .puts = p,
                        .put_count = 4,
                        .expect_key = text(key),
                        .expect_value = text(from ? from : ""),
                        .expect_absent = !from};
  rille_keeping *keeping = NULL;
  CHECK(rille_store_kept_begin(store, &w, &keeping, NULL) == 0);
  memset(p, 0, sizeof p); /* it has a copy */
  return keeping;
}

static void the_background_thread_writes_in_order(void) {
  rille_store *store = reopen_with_thread(begin_test("background"));
  rille_error e;
  CHECK(keep(store, "gone", "here") == 0);
  rille_keeping *first = begin_swap(store, "a", NULL, "1");
  rille_keeping *second = begin_swap(store, "a", "1", "2");
  rille_keeping *third = begin_swap(store, "a", "1", "3");
  CHECK(rille_store_kept_result(store, third, 1, &e) == RILLE_CONFLICT && e.code == RILLE_CONFLICT);
  CHECK(rille_store_kept_result(store, second, 0, &e) == 0);
  CHECK(rille_store_kept_result(store, first, 0, &e) == 0);
  CHECK(rille_store_kept_result(store, first, 1, &e) == 0); /* and again */
  CHECK(holds(store, "a", "2") && holds(store, "z", "last") && holds(store, "gone", NULL));
  rille_keeping_free(first);
  rille_keeping_free(second);
  rille_keeping_free(begin_swap(store, "a", "2", "4")); /* nobody waits for it */
  rille_keeping *last = begin_swap(store, "a", "4", "5");
  CHECK(rille_store_close(store) == 0);
  rille_keeping_free(third);
  rille_keeping_free(last);
  rille_keeping_free(NULL);
  store = open_store(path, RILLE_SYNC_ALWAYS);
  CHECK(holds(store, "a", "5"));
  CHECK(rille_store_close(store) == 0);
}

static void nothing_is_begun_that_can_be_refused_before(void) {
  rille_store *store = reopen_with_thread(begin_test("refused"));
  rille_keeping *keeping = NULL;
  rille_kept_put p = {.key = text(""), .value = text("v")};
  rille_kept_write w = {.size = sizeof w, .puts = &p, .put_count = 1};
  CHECK(rille_store_kept_begin(store, &w, &keeping, NULL) == RILLE_INVALID && !keeping);
  p.key = text("k");
  w.position = 1; /* there is no event: the thread looks */
  CHECK(rille_store_kept_begin(store, &w, &keeping, NULL) == 0);
  CHECK(rille_store_kept_result(store, keeping, 1, NULL) == RILLE_INVALID);
  rille_keeping_free(keeping);
  CHECK(rille_store_close(store) == 0);
  store = open_store(path, RILLE_SYNC_ALWAYS);
  w.position = 0;
  CHECK(rille_store_kept_begin(store, &w, &keeping, NULL) == RILLE_REMARK);
  CHECK(rille_store_kept_write(store, &w, NULL) == 0 && holds(store, "k", "v"));
  CHECK(rille_store_close(store) == 0);
}

/* Walks keys that begin with a prefix and gives them in one text. */
static const char *walk_keys(rille_store *store, const char *prefix) {
  static char all[ROOM_BYTES];
  rille_kept kept = {.room = room, .room_bytes = sizeof room};
  rille_text after = {NULL, 0};
  char last[RILLE_KEPT_KEY_BYTES];
  int result;
  *all = '\0';
  while ((result = rille_store_kept_next(store, after, text(prefix), &kept, NULL)) == 0) {
    memcpy(last, kept.key, kept.key_length);
    after = (rille_text){last, kept.key_length};
    strncat(all, last, kept.key_length);
    strcat(all, " ");
  }
  CHECK(result == RILLE_NOTFOUND);
  return all;
}

static void keys_are_walked_in_order(void) {
  rille_store *store = begin_test("walk");
  static const char *const keys[] = {"b2", "a", "b", "b1", "c", "b10"};
  CHECK(strcmp(walk_keys(store, ""), "") == 0);
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) CHECK(keep(store, keys[i], "v") == 0);
  CHECK(strcmp(walk_keys(store, ""), "a b b1 b10 b2 c ") == 0);
  CHECK(strcmp(walk_keys(store, "b"), "b b1 b10 b2 ") == 0);
  CHECK(strcmp(walk_keys(store, "b1"), "b1 b10 ") == 0);
  CHECK(strcmp(walk_keys(store, "bb"), "") == 0 && strcmp(walk_keys(store, "d"), "") == 0);
  uint64_t erased;
  CHECK(rille_store_kept_erase(store, text("b"), 3, &erased, NULL) == 0 && erased == 3);
  CHECK(strcmp(walk_keys(store, ""), "a b2 c ") == 0);
  CHECK(rille_store_kept_erase(store, text("b"), 3, &erased, NULL) == 0 && erased == 1);
  CHECK(rille_store_kept_erase(store, text("b"), 3, &erased, NULL) == 0 && erased == 0);
  CHECK(rille_store_kept_erase(store, text(""), 0, &erased, NULL) == 0 && erased == 0);
  CHECK(rille_store_kept_erase(store, text(""), 9, &erased, NULL) == 0 && erased == 2);
  CHECK(strcmp(walk_keys(store, ""), "") == 0);
  CHECK(rille_store_close(store) == 0);
}

static void what_it_follows_from_is_durable(void) {
  strcpy(path, path_of("durable"));
  rille_store *store = open_store(path, RILLE_SYNC_NEVER);
  CHECK(put_one(store, "s") == 0 && put_one(store, "s") == 0);
  CHECK(rille_store_durable(store) == 0);
  CHECK(keep(store, "k", "v") == 0);
  CHECK(rille_store_durable(store) == 2);
  CHECK(put_one(store, "s") == 0);
  rille_kept_put p = {.key = text("k"), .value = text("w")};
  rille_kept_write w = {.size = sizeof w, .puts = &p, .put_count = 1, .position = 2};
  CHECK(rille_store_kept_write(store, &w, NULL) == 0 && rille_store_durable(store) == 2);
  w.position = 3;
  CHECK(rille_store_kept_write(store, &w, NULL) == 0 && rille_store_durable(store) == 3);
  CHECK(rille_store_close(store) == 0);
}

/* ---- Growing ---- */

#define MANY 10000u

static int keep_many(rille_store *store, unsigned n, const char *value) {
  static rille_kept_put puts[MANY];
  static char keys[MANY][12];
  for (unsigned i = 0; i < n; i++) {
    snprintf(keys[i], sizeof keys[i], "%05u", i);
    puts[i] = (rille_kept_put){.key = text(keys[i]), .value = text(value)};
  }
  rille_kept_write w = {.size = sizeof w, .puts = puts, .put_count = n};
  return rille_store_kept_write(store, &w, NULL);
}

static void the_map_grows_in_one_transaction(void) {
  rille_store *store = begin_test("grow");
  char value[300];
  memset(value, 'v', sizeof value - 1);
  value[sizeof value - 1] = '\0';
  CHECK(keep_many(store, MANY, value) == 0); /* 3 MB, into half a MiB */
  CHECK(stats_of(store).index_bytes > 4 * INDEX_MAP_BYTES);
  CHECK(holds(store, "00000", value) && holds(store, "09999", value) &&
        holds(store, "10000", NULL));
  static char large[2u << 20];
  memset(large, 'l', sizeof large - 1);
  CHECK(keep(store, "large", large) == 0); /* of many pages */
  rille_kept kept;
  CHECK(get(store, "large", &kept) == RILLE_REMARK && kept.length == sizeof large - 1);
  uint64_t erased = 0;
  CHECK(rille_store_kept_erase(store, text("0"), MANY + 1, &erased, NULL) == 0 && erased == MANY);
  CHECK(holds(store, "00000", NULL));
  check_reopened(store, path, 0);
}

/* ---- Beside others ---- */

#define SWAPS 300

/* Counts up under a condition, against others who do the same. */
static int count_up(void *context) {
  rille_store *store = context ? context : open_store(path, RILLE_SYNC_NEVER);
  char from[16], to[16];
  rille_kept kept;
  for (int won = 0; won < SWAPS;) {
    if (!CHECK(get(store, "n", &kept) == 0)) break;
    snprintf(from, sizeof from, "%.*s", (int)kept.length, room);
    snprintf(to, sizeof to, "%d", atoi(from) + 1);
    int result = swap(store, "n", from, to);
    won += result == 0;
    if (!CHECK(result == 0 || result == RILLE_CONFLICT)) break;
    if (won % 50 == 0) CHECK(put_one(store, "s") == 0);
  }
  if (!context) CHECK(rille_store_close(store) == 0);
  return 0;
}

static void each_of_two_processes_counts(void) {
  rille_store *store = begin_test("count");
  CHECK(keep(store, "n", "0") == 0);
  CHECK(rille_store_close(store) == 0);
  pid_t a = start(count_up, NULL), b = start(count_up, NULL);
  CHECK(wait_for(a) == 0 && wait_for(b) == 0);
  store = open_store(path, RILLE_SYNC_ALWAYS);
  char expected[16];
  snprintf(expected, sizeof expected, "%d", 2 * SWAPS);
  CHECK(holds(store, "n", expected));
  CHECK(rille_store_close(store) == 0);
}

static void *append_on(void *context) {
  while (atomic_load(&shared->step) == 0)
    CHECK(put_one(context, "s") == 0 && stats_of(context).index_bytes > 0);
  return NULL;
}

/* A thread appends and another folds, while this one keeps bytes and the map grows. */
static void threads_append_and_fold_beside_it(void) {
  CHECK(rille_store_close(begin_test("threads")) == 0);
  rille_options o = options_of(RILLE_SYNC_NEVER, true);
  rille_store *store = open_with(path, &o);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, append_on, store) == 0);
  char value[600];
  for (int i = 0; i < 40; i++) {
    snprintf(value, sizeof value, "%0*d", 100 + 10 * i, i);
    CHECK(keep_many(store, 500, value) == 0 && holds(store, "00499", value));
  }
  atomic_store(&shared->step, 1);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(holds(store, "00000", value));
  uint64_t n = rille_store_head(store);
  check_reopened(store, path, n);
}

/* ---- Kills ---- */

/* Two keys that always have one value. */
static int write_pairs(void *context) {
  rille_store *store = open_store(path, RILLE_SYNC_NEVER);
  (void)context;
  for (uint64_t i = atomic_load(&shared->done) + 1;; i++) {
    char value[200];
    snprintf(value, sizeof value, "%0150llu", (unsigned long long)i);
    rille_kept_put p[] = {{.key = text("first"), .value = text(value)},
                          {.key = text("second"), .value = text(value)}};
    rille_kept_write w = {.size = sizeof w, .puts = p, .put_count = 2};
    if (put_one(store, "s") < 0 || rille_store_kept_write(store, &w, NULL) < 0) return 1;
    atomic_store(&shared->done, i);
  }
}

/* Nobody is there when the next one comes. An event whose writer died before it had told anybody
** is there or not; nobody has appended since, who would have taken it away. */
static rille_store *reopen_behind_the_dead(rille_store *store) {
  uint64_t n = rille_store_head(store);
  CHECK(rille_store_close(store) == 0);
  store = open_store(path, RILLE_SYNC_ALWAYS);
  uint64_t is = rille_store_head(store);
  CHECK(is == n || is == n + 1);
  check_reopened(store, path, is);
  return open_store(path, RILLE_SYNC_ALWAYS);
}

static void a_killed_writer_leaves_all_or_nothing(void) {
  rille_store *beside = begin_test("kill");
  for (int round = 0; round < 12; round++) {
    uint64_t before = atomic_load(&shared->done);
    pid_t pid = start(write_pairs, NULL);
    int64_t patience = now_us() + PATIENCE_US;
    while (atomic_load(&shared->done) == before && now_us() < patience) usleep(100);
    usleep(random_below(4000));
    kill(pid, SIGKILL);
    CHECK(wait_for(pid) == KILLED);
    char first[200] = "", second[200] = "";
    rille_kept a = {.room = first, .room_bytes = sizeof first - 1};
    rille_kept b = {.room = second, .room_bytes = sizeof second - 1};
    CHECK(rille_store_kept_get(beside, text("first"), &a, NULL) == 0);
    CHECK(rille_store_kept_get(beside, text("second"), &b, NULL) == 0);
    CHECK(strcmp(first, second) == 0);
    uint64_t is = strtoull(first, NULL, 10), told = atomic_load(&shared->done);
    CHECK(told > before && (is == told || is == told + 1));
    atomic_store(&shared->done, is);
    CHECK(keep(beside, "mine", "v") == 0); /* the dead hold nobody up */
    if (round % 4 == 3) beside = reopen_behind_the_dead(beside);
  }
  CHECK(rille_store_close(beside) == 0);
}

/* ---- With the index ---- */

static void it_goes_with_the_index(void) {
  rille_store *store = begin_test("gone");
  char command[400];
  CHECK(put_one(store, "s") == 0 && keep(store, "k", "v") == 0);
  CHECK(rille_store_close(store) == 0);
  snprintf(command, sizeof command, "rm -r '%s/index'", path);
  CHECK(system(command) == 0);
  store = open_store(path, RILLE_SYNC_ALWAYS);
  CHECK(holds(store, "k", NULL) && rille_store_head(store) == 1);
  CHECK(keep(store, "k", "v") == 0 && rille_store_close(store) == 0);
  rille_options o = options_of(RILLE_SYNC_ALWAYS, false);
  o.rebuild = 1;
  store = open_with(path, &o);
  CHECK(holds(store, "k", NULL) && rille_store_head(store) == 1);
  CHECK(rille_store_close(store) == 0);
}

static void a_backup_has_it(void) {
  rille_store *store = begin_test("original"), *copy;
  char to[300];
  CHECK(put_one(store, "s") == 0 && keep(store, "k", "v") == 0);
  strcpy(to, path_of("copy"));
  CHECK(rille_store_backup(store, to, NULL) == 0);
  CHECK(rille_store_close(store) == 0);
  copy = open_store(to, RILLE_SYNC_ALWAYS);
  CHECK(holds(copy, "k", "v"));
  check_reopened(copy, to, 1);
}

static void who_only_reads_reads_it(void) {
  rille_store *store = begin_test("readonly");
  CHECK(put_one(store, "s") == 0 && keep(store, "k", "v") == 0 && rille_store_close(store) == 0);
  rille_options o = options_of(RILLE_SYNC_ALWAYS, false);
  o.readonly = 1;
  rille_error e;
  rille_kept_put p = {.key = text("k"), .value = text("w")};
  rille_kept_write w = {.size = sizeof w, .puts = &p, .put_count = 1};
  for (int i = 0; i < 2; i++) { /* the second time with an index of its own */
    store = open_with(path, &o);
    CHECK(holds(store, "k", i ? NULL : "v"));
    CHECK(rille_store_kept_write(store, &w, &e) == RILLE_READONLY && e.code == RILLE_READONLY);
    CHECK(rille_store_kept_erase(store, text(""), 1, NULL, NULL) == RILLE_READONLY);
    CHECK(rille_store_close(store) == 0);
    char command[400];
    snprintf(command, sizeof command, "rm -rf '%s/index'", path);
    CHECK(system(command) == 0);
  }
}

/* ---- Damage ---- */

static int count_problems(void *context, const rille_problem *p) {
  CHECK(strcmp(p->invariant, "L5") == 0 && strstr(p->message, "needle") != NULL);
  ++*(unsigned *)context;
  return 0;
}

/* A wrong bit in the file, with the sum gone that would tell of it at once. The value is so large
** that it has pages of its own: others are looked at when the index is opened. */
static void damage_is_found(void) {
  rille_store *store = begin_test("damage");
  char command[700], haystack[4000] = "haystackhaystack";
  memset(haystack + 16, 'x', sizeof haystack - 17);
  CHECK(keep(store, "needle", haystack) == 0 && rille_store_close(store) == 0);
  snprintf(command, sizeof command,
           "rm '%s/index/sum' && sed -i 's/haystackhaystack/haystackhaystuck/' '%s/index/data.mdb'",
           path, path);
  CHECK(system(command) == 0);
  store = open_store(path, RILLE_SYNC_ALWAYS);
  rille_error e = {0};
  rille_kept kept = {.room = room, .room_bytes = sizeof room};
  CHECK(rille_store_kept_get(store, text("needle"), &kept, &e) == RILLE_CORRUPT);
  CHECK(strstr(e.message, "deleting the folder index/ is safe") != NULL);
  CHECK(swap(store, "needle", haystack, "x") == RILLE_CORRUPT);
  unsigned problems = 0;
  rille_verify options = {.size = sizeof options, .problem = count_problems, .context = &problems};
  CHECK(rille_store_verify(store, &options, NULL, NULL) == RILLE_REMARK && problems == 1);
  CHECK(keep(store, "needle", "whole") == 0 && holds(store, "needle", "whole"));
  CHECK(rille_store_verify(store, &options, NULL, NULL) == 0);
  CHECK(rille_store_close(store) == 0);
}

static const struct test tests[] = {
    {"a value is what was put", a_value_is_what_was_put},
    {"limits hold on both sides", limits_hold_on_both_sides},
    {"nothing is written where the expectation fails",
     nothing_is_written_where_the_expectation_fails},
    {"the background thread writes in order", the_background_thread_writes_in_order},
    {"nothing is begun that can be refused before",
     nothing_is_begun_that_can_be_refused_before},
    {"keys are walked in order", keys_are_walked_in_order},
    {"what it follows from is durable", what_it_follows_from_is_durable},
    {"the map grows in one transaction", the_map_grows_in_one_transaction},
    {"each of two processes counts", each_of_two_processes_counts},
    {"threads append and fold beside it", threads_append_and_fold_beside_it},
    {"a killed writer leaves all or nothing", a_killed_writer_leaves_all_or_nothing},
    {"it goes with the index", it_goes_with_the_index},
    {"a backup has it", a_backup_has_it},
    {"who only reads reads it", who_only_reads_reads_it},
    {"damage is found", damage_is_found},
};
TEST_MAIN(tests)
