/* memory_test.c: the 1st, 2nd, 3rd ... allocation fails, until a whole life of a
** store passes untouched. A call that meets it says RILLE_MEMORY and has changed
** nothing; nothing crashes, nothing leaks, and the store is sound afterwards. */
#include "rille.h"
#include "test.h"

#include <unistd.h>

#define PATH_BYTES 512
#define RUNS_MOST 5000u
#define EVENTS 300u
#define LONG_BYTES ((size_t)300 << 10)

/* ---- The allocator ---- */

struct failing {
  unsigned count;   /* allocations so far */
  unsigned at;      /* this one fails; 0: none */
  bool from_now_on; /* ... and all that follow */
  bool reached;
  size_t live; /* bytes not given back */
};

static bool fails(struct failing *f) {
  unsigned n = ++f->count;
  if (!f->at || (n != f->at && !(f->from_now_on && n > f->at))) return false;
  f->reached = true;
  return true;
}

/* Sizes must be told as they were: a wrong one shows in `live`. */
static void *failing_alloc(void *context, void *block, size_t old_size, size_t new_size) {
  struct failing *f = context;
  if (!block) old_size = 0;
  if (new_size > old_size && fails(f)) return NULL;
  f->live += new_size - old_size;
  if (new_size == 0) {
    free(block);
    return NULL;
  }
  return realloc(block, new_size);
}

/* ---- One life of a store ---- */

static char path[PATH_BYTES], long_text[LONG_BYTES];
static int64_t now(void *context) {
  (void)context;
  return 1000000;
}

/* 0 or RILLE_MEMORY, which ends the life; anything else is a failed test. In a log
** that could not be put in order again every call says RILLE_IO. */
static bool fine(int result, const rille_error *e, const char *what) {
  if (result >= 0) return true;
  if (!CHECK(result == e->code))
    printf("       %s returned %d, the error is %d: %s\n", what, result, e->code, e->message);
  if (!CHECK(result == RILLE_MEMORY || result == RILLE_IO))
    printf("       %s: %s: %s\n", what, rille_code_name(result), e->message);
  return false;
}

static bool append(rille_store *s, const char *stream, unsigned count, rille_text data) {
  rille_text tags[] = {rille_text_of("branch:7"), rille_text_of(stream)};
  rille_event_input *events = calloc(count, sizeof *events);
  rille_error e;
  for (unsigned i = 0; i < count; i++)
    events[i] = (rille_event_input){
        .type = rille_text_of(i % 2 ? "Odd" : "Even"), .data = data, .tags = tags, .tag_count = 2};
  rille_part parts[10];
  for (unsigned i = 0; i < 10; i++)
    parts[i] = (rille_part){.stream = rille_text_of("only checked")};
  parts[0] = (rille_part){
      .stream = rille_text_of(stream), .events = events, .event_count = count};
  rille_append a = {.size = sizeof a, .parts = parts, .part_count = 10};
  uint64_t before = rille_store_head(s);
  int result = rille_store_append(s, &a, NULL, &e);
  free(events);
  CHECK(rille_store_head(s) == (result < 0 ? before : before + count));
  return fine(result, &e, "append");
}

static bool read_all(rille_store *s, const rille_query *q) {
  rille_reader *reader;
  rille_event event;
  rille_error e;
  int result = rille_store_read(s, q, &reader, &e);
  if (!fine(result, &e, "read")) return false;
  while ((result = rille_reader_next(reader, &event, &e)) == 1) (void)rille_event_tag(&event, 0);
  if (result < 0) CHECK(rille_reader_next(reader, &event, NULL) == result); /* and so it stays */
  rille_reader_end(reader);
  return fine(result, &e, "next");
}

static bool read_everything(rille_store *s) {
  rille_text type = rille_text_of("Odd"), tag = rille_text_of("branch:7");
  rille_text rare = rille_text_of("long");
  rille_item items[] = {{.types = &type, .type_count = 1}, {.tags = &tag, .tag_count = 1}};
  rille_item rarely[] = {{.tags = &rare, .tag_count = 1}, {.stream = rille_text_of("long")}};
  rille_query queries[] = {
      {.size = sizeof(rille_query)},
      {.size = sizeof(rille_query), .reverse = 1},
      {.size = sizeof(rille_query), .items = items, .item_count = 2},
      {.size = sizeof(rille_query), .items = items, .item_count = 2, .limit = 3, .reverse = 1},
      {.size = sizeof(rille_query), .items = rarely, .item_count = 2, .after = 1},
      {.size = sizeof(rille_query), .stream = rille_text_of("a")},
      {.size = sizeof(rille_query), .stream = rille_text_of("a"), .reverse = 1, .limit = 3},
      {.size = sizeof(rille_query), .stream = rille_text_of("long")},
  };
  for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
    if (!read_all(s, &queries[i])) return false;
  return true;
}

static bool look_after(rille_store *s) {
  rille_error e;
  rille_stats stats;
  uint64_t version;
  rille_verify verify = {.size = sizeof verify};
  rille_verified verified;
  return fine(rille_store_stats(s, &stats, &e), &e, "stats") &&
         fine(rille_store_version(s, rille_text_of("a"), &version, &e), &e, "version") &&
         fine(rille_store_sync(s, &e), &e, "sync") &&
         fine(rille_store_verify(s, &verify, &verified, &e), &e, "verify");
}

static void live(struct failing *f, bool readonly) {
  rille_options o = {.size = sizeof o, .alloc = failing_alloc, .alloc_context = f, .clock = now,
                     .sync = RILLE_SYNC_NEVER, .segment_bytes = (uint64_t)1 << 20,
                     .readonly = readonly};
  rille_store *s, *again;
  rille_error e;
  if (!fine(rille_store_open(path, &o, &s, &e), &e, "open")) {
    CHECK(s == NULL);
    return;
  }
  if (fine(rille_store_open(path, &o, &again, &e), &e, "open again")) rille_store_close(again);
  bool on = true;
  if (!readonly)
    on = append(s, "a", EVENTS, rille_text_of("data")) &&
         append(s, "long", 1, (rille_text){long_text, sizeof long_text});
  if (on && read_everything(s)) look_after(s);
  rille_store_close(s); /* gone whatever the result */
}

/* ---- What must hold between two lives ---- */

static void judge(void) {
  rille_store *s;
  rille_error e;
  rille_verify verify = {.size = sizeof verify};
  rille_verified found = {0};
  if (!CHECK(rille_store_open(path, NULL, &s, &e) >= 0)) {
    printf("       %s\n", e.message);
    return;
  }
  CHECK(rille_store_verify(s, &verify, &found, &e) == 0);
  CHECK(found.events == rille_store_head(s));
  CHECK(rille_store_close(s) == 0);
}

static void remove_store(void) {
  char command[PATH_BYTES + 16];
  snprintf(command, sizeof command, "rm -rf '%s'", path);
  CHECK(system(command) == 0);
}

static void fail_each(bool from_now_on, bool readonly) {
  unsigned n = 0;
  struct failing f;
  do {
    if (!readonly && n % 20 == 0) remove_store();
    f = (struct failing){.at = ++n, .from_now_on = from_now_on};
    live(&f, readonly);
    if (!CHECK(f.live == 0)) printf("       %zu bytes leaked, allocation %u\n", f.live, n);
    if (f.reached && (n < 40 || n % 10 == 0)) judge();
  } while (f.reached && n < RUNS_MOST && test_failures < TEST_SHOWN_MOST);
  CHECK(n > 20);
  printf("       %u allocations\n", n - 1);
  judge();
}

static void begin(void) {
  const char *folder = getenv("TMPDIR");
  snprintf(path, sizeof path, "%s/rille-memory-%ld", folder && *folder ? folder : "/tmp",
           (long)getpid());
  memset(long_text, 'x', sizeof long_text);
  remove_store();
}

static void each_fails_once(void) {
  begin();
  fail_each(false, false);
  remove_store();
}

static void none_succeeds_from_each(void) {
  begin();
  fail_each(true, false);
  remove_store();
}

static void readonly_without_an_index(void) {
  char command[PATH_BYTES + 32];
  struct failing f = {0};
  begin();
  live(&f, false);
  snprintf(command, sizeof command, "rm -rf '%s/index'", path);
  CHECK(system(command) == 0);
  unsigned n = 0;
  do {
    n++;
    f = (struct failing){.at = n, .from_now_on = n % 2 == 0};
    live(&f, true);
    CHECK(f.live == 0);
  } while (f.reached && n < RUNS_MOST && test_failures < TEST_SHOWN_MOST);
  CHECK(n > 20);
  judge();
  remove_store();
}

static const struct test tests[] = {
    {"each allocation fails once", each_fails_once},
    {"from each on, none succeeds", none_succeeds_from_each},
    {"for reading, without an index", readonly_without_an_index},
};
TEST_MAIN(tests)
