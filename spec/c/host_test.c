/* host_test.c: hosts that are unlike the ones of other tests: compiled against an older rille.h,
** whose structs were shorter; with closed standard streams, or with few descriptors; with a NULL
** where a text was to be. */
#define _GNU_SOURCE
#include "processes.h"

#include <fcntl.h>
#include <sys/resource.h>

#define SMALL_SEGMENT ((uint64_t)64 << 10)
#define FEW_FILES 20
#define RUBBISH "what a host prints"

/* ---- Older hosts ---- */

/* The beginning of a struct whose size comes first, in a place of its own: who reads more of it
** than that reads what is not there, which sanitizers see, and so does who looks at what it says. */
static void *older(const void *whole, size_t n) {
  char *p = malloc(n + 64);
  if (!p) abort();
#if defined __SANITIZE_ADDRESS__
  free(p);
  if (!(p = malloc(n))) abort();
#else
  memset(p, 0x55, n + 64);
#endif
  memcpy(p, whole, n);
  memcpy(p, &n, sizeof n);
  return p;
}

/* A struct that ends before its field is that with zero in it. */
#define BEFORE(type, field) offsetof(type, field)

static void older_appends(void) {
  rille_store *s = open_store(path_of("appends"), RILLE_SYNC_NEVER);
  rille_event_input event = {.type = rille_text_of("T")};
  rille_part part = {.stream = rille_text_of("a"), .events = &event, .event_count = 1};
  rille_query any = {.size = sizeof any, .shares = 3};
  rille_query *unless = older(&any, BEFORE(rille_query, stream));
  rille_append whole = {.size = sizeof whole, .parts = &part, .part_count = 1};
  rille_append *a = older(&whole, BEFORE(rille_append, now_us));
  rille_append guarded = {.size = sizeof guarded, .parts = &part, .part_count = 1};
  guarded.unless = unless;
  CHECK(rille_store_check(s, a, NULL) == 0);
  CHECK(rille_store_append(s, a, NULL, NULL) == 0);
  CHECK(rille_store_check(s, &guarded, NULL) == RILLE_CONFLICT);
  CHECK(rille_store_append(s, &guarded, NULL, NULL) == RILLE_CONFLICT);
  CHECK(rille_store_head(s) == 1);
  free(a);
  free(unless);
  CHECK(rille_store_close(s) == 0);
}

static void older_transactions(void) {
  rille_store *home = open_store(path_of("home"), RILLE_SYNC_NEVER);
  rille_store *there = open_store(path_of("there"), RILLE_SYNC_NEVER);
  rille_instance *instance;
  rille_begun begun;
  rille_error e = {0};
  rille_event_input event = {.type = rille_text_of("T")};
  rille_part part = {.stream = rille_text_of("a"), .events = &event, .event_count = 1};
  rille_append whole = {.size = sizeof whole, .parts = &part, .part_count = 1};
  rille_append *work = older(&whole, BEFORE(rille_append, now_us));
  rille_text member = rille_text_of("there");
  CHECK(rille_instance_open(home, rille_text_of("c"), &instance, NULL) == 0);
  CHECK(rille_instance_begin(instance, &begun, NULL) == 0);
  rille_prepare prepare = {.size = sizeof prepare, .id = rille_text_of(begun.id), .name = member};
  prepare.home_kind = rille_text_of("store");
  prepare.home_path = rille_text_of(rille_store_path(home));
  prepare.home_end = begun.home_end;
  prepare.work = work;
  if (!CHECK(rille_store_prepare(there, &prepare, NULL, &e) == 0)) printf("       %s\n", e.message);
  rille_decide whole_decide = {.size = sizeof whole_decide, .id = rille_text_of(begun.id)};
  whole_decide.home_end = begun.home_end;
  whole_decide.outcome = RILLE_OUTCOME_COMMITTED;
  whole_decide.members = &member;
  whole_decide.member_count = 1;
  rille_decide *decide = older(&whole_decide, BEFORE(rille_decide, detail));
  if (!CHECK(rille_store_decide(home, decide, NULL, &e) == 0)) printf("       %s\n", e.message);
  whole_decide.work = work;
  CHECK(rille_store_decide(home, &whole_decide, NULL, &e) == RILLE_REMARK);
  CHECK(rille_store_commit(there, rille_text_of(begun.id), &(rille_finished){0}, NULL) == 0);
  CHECK(rille_store_head(there) == 1);
  CHECK(rille_store_end(home, rille_text_of(begun.id), NULL) == 0);
  CHECK(rille_instance_close(instance, NULL) == 0);
  free(work);
  free(decide);
  CHECK(rille_store_close(there) == 0);
  CHECK(rille_store_close(home) == 0);
}

static void older_transact(void) {
  rille_store *home = open_store(path_of("one"), RILLE_SYNC_NEVER);
  rille_instance *instance;
  rille_begun begun;
  rille_transacted done;
  rille_error e = {0};
  rille_event_input event = {.type = rille_text_of("T")};
  rille_part part = {.stream = rille_text_of("a"), .events = &event, .event_count = 1};
  rille_append work = {.size = sizeof work, .parts = &part, .part_count = 1};
  CHECK(rille_instance_open(home, rille_text_of("c"), &instance, NULL) == 0);
  CHECK(rille_instance_begin(instance, &begun, NULL) == 0);
  rille_transact whole = {.size = sizeof whole, .home = home, .id = rille_text_of(begun.id)};
  whole.home_end = begun.home_end;
  whole.home_path = rille_text_of(rille_store_path(home));
  whole.work = &work;
  whole.timeout_us = RILLE_TIMEOUT_US;
  rille_transact *transact = older(&whole, BEFORE(rille_transact, describe));
  if (!CHECK(rille_store_transact(transact, &done, &e) == 0)) printf("       %s\n", e.message);
  CHECK(rille_store_head(home) == 1);
  free(transact);
  CHECK(rille_instance_close(instance, NULL) == 0);
  CHECK(rille_store_close(home) == 0);
}

static void no_sizes(void) {
  rille_store *s = open_store(path_of("sizes"), RILLE_SYNC_NEVER);
  rille_error e = {0};
  const rille_append nothing = {0};
  const rille_prepare prepare = {.size = sizeof prepare, .id = {"x", 1}, .work = &nothing};
  const rille_decide decide = {.size = sizeof decide, .id = {"x", 1}, .work = &nothing};
  CHECK(rille_store_check(s, &nothing, &e) == RILLE_INVALID && strstr(e.message, "append.size"));
  CHECK(rille_store_prepare(s, &prepare, NULL, &e) == RILLE_INVALID);
  CHECK(strstr(e.message, "append.size") != NULL);
  CHECK(rille_store_decide(s, &decide, NULL, &e) == RILLE_INVALID);
  CHECK(strstr(e.message, "append.size") != NULL);
  CHECK(rille_store_verify(s, &(rille_verify){0}, NULL, &e) == RILLE_INVALID);
  CHECK(strstr(e.message, "options.size") != NULL);
  CHECK(rille_store_close(s) == 0);
}

/* ---- What is lacking ---- */

static void no_text(void) {
  rille_store *s = (rille_store *)&s;
  rille_error e = {0};
  CHECK(rille_text_of(NULL).length == 0);
  CHECK(rille_store_open(NULL, NULL, &s, &e) == RILLE_INVALID && s == NULL);
  CHECK(strstr(e.message, "path") != NULL);
}

/* Whatever it prints without having a place for it, none of the store's files gets it. */
static int print_rubbish(void *context) {
  (void)context;
  for (int fd = 0; fd < 3; fd++) close(fd);
  rille_store *s = open_store(path_of("streams"), RILLE_SYNC_NEVER);
  for (int i = 0; i < 50; i++) CHECK(put_one(s, "a") == 0);
  for (int fd = 0; fd < 3; fd++) CHECK(write(fd, RUBBISH, sizeof RUBBISH) < 0 && errno == EBADF);
  CHECK(is_sound(s, 50));
  return rille_store_close(s);
}

static void closed_streams(void) { CHECK(wait_for(start(print_rubbish, NULL)) == 0); }

/* More log files than it may have open. */
static int use_few_files(void *context) {
  static char data[2000];
  (void)context;
  struct rlimit limit = {FEW_FILES, FEW_FILES};
  rille_options o = options_of(RILLE_SYNC_NEVER, false);
  rille_query q = {.size = sizeof q, .stream = rille_text_of("a")};
  rille_reader *reader;
  rille_event event;
  unsigned n = 0;
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  o.segment_bytes = SMALL_SEGMENT;
  rille_store *s = open_with(path_of("few"), &o);
  for (unsigned i = 0; i < 1000; i++)
    CHECK(put(s, "a", RILLE_EXPECT_ANY, data, sizeof data, NULL) == 0);
  CHECK(stats_of(s).segments > FEW_FILES);
  CHECK(rille_store_read(s, &q, &reader, NULL) == 0);
  while (rille_reader_next(reader, &event, NULL) == 1) n++;
  CHECK(n == 1000);
  rille_reader_end(reader);
  return rille_store_close(s);
}

static void few_files(void) { CHECK(wait_for(start(use_few_files, NULL)) == 0); }

static const struct test tests[] = {
    {"an append is read as far as its size", older_appends},
    {"promises and decisions, too", older_transactions},
    {"and a whole transaction", older_transact},
    {"a size that is not given is asked for", no_sizes},
    {"NULL is an empty text", no_text},
    {"what a host without standard streams prints goes into no file", closed_streams},
    {"a log may have more files than the process", few_files},
};
TEST_MAIN(tests)
