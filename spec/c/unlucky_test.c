/* unlucky_test.c: transactions whose disk fails, or is full, in the middle: nobody is told what
** may turn out to be wrong, and what was promised stays promised. */
#define _GNU_SOURCE
#include "processes.h"

#ifndef __linux__
int main(void) { return puts("0 passed, 0 failed, 1 skipped: calls are watched on Linux") < 0; }
#else

#include "calls.h"
#include "control.h"

#define BIG ((size_t)12 << 20)

static char here_path[300], there_path[300];
static rille_store *here, *there; /* home, and the other */
static rille_instance *instance;
static rille_begun begun;

static rille_text text(const char *s) { return rille_text_of(s); }

static rille_store *open_there(void) {
  rille_options o = options_of(RILLE_SYNC_NEVER, true);
  return open_with(there_path, &o);
}

static void begin_test(void) {
  strcpy(here_path, path_of("here"));
  strcpy(there_path, path_of("there"));
  remove_store(here_path);
  remove_store(there_path);
  here = open_store(here_path, RILLE_SYNC_ALWAYS);
  there = open_there();
  CHECK(rille_instance_open(here, text("tester"), &instance, NULL) == 0);
  CHECK(rille_instance_begin(instance, &begun, NULL) == 0);
}

static void end_test(void) {
  CHECK(rille_instance_close(instance, NULL) == 0);
  CHECK(rille_store_close(here) == 0);
  CHECK(rille_store_close(there) == 0);
}

/* ---- Work in one line ---- */

static const rille_event_input moved = {.type = {"Moved", 5}, .data = {"\x01", 1}};

static int prepare(const char *stream, rille_error *e) {
  const rille_part part = {.stream = text(stream), .events = &moved, .event_count = 1};
  const rille_append work = {.size = sizeof work, .parts = &part, .part_count = 1};
  rille_prepare p = {.size = sizeof p,
                     .id = text(begun.id),
                     .name = text("there"),
                     .home_kind = text("store"),
                     .home_path = text(here_path),
                     .work = &work};
  return rille_store_prepare(there, &p, NULL, e);
}

static int decide(rille_error *e) {
  const rille_text member = text("there");
  const rille_part part = {.stream = text("a"), .events = &moved, .event_count = 1};
  const rille_append work = {.size = sizeof work, .parts = &part, .part_count = 1};
  rille_decide d = {.size = sizeof d,
                    .id = text(begun.id),
                    .outcome = RILLE_OUTCOME_COMMITTED,
                    .members = &member,
                    .member_count = 1,
                    .work = &work};
  rille_decided done;
  return rille_store_decide(here, &d, &done, e);
}

static int fill(rille_store *store, const char *stream) {
  static char data[BIG];
  const rille_event_input event = {.type = text("Big"), .data = {data, sizeof data}};
  const rille_part part = {.stream = text(stream), .events = &event, .event_count = 1};
  const rille_append work = {.size = sizeof work, .parts = &part, .part_count = 1};
  return rille_store_append(store, &work, NULL, NULL);
}

/* ---- Writes that fail ---- */

static int failing_number;

static int fail_writes(const struct call *c) {
  bool hit = !c->done && (c->kind == CALL_WRITE || c->kind == CALL_CUT) && is_of_log(c);
  return hit ? failing_number : 0;
}

static void fail_with(int number) {
  failing_number = number;
  call_watch = number ? fail_writes : NULL;
}

static int outcome(void) {
  rille_told told = {.room = NULL};
  CHECK(rille_store_outcome(here, text(begun.id), &told, NULL) >= 0);
  return told.outcome;
}

static void a_decision_that_may_be_there_is_unknown(void) {
  rille_error e = {0};
  begin_test();
  CHECK(prepare("b", &e) == 0);
  fail_with(EIO);
  CHECK(decide(&e) == RILLE_UNKNOWN && e.code == RILLE_UNKNOWN);
  fail_with(0);
  CHECK(outcome() == RILLE_OUTCOME_UNDECIDED); /* it is not, as it turns out */
  CHECK(decide(&e) == 0);
  end_test();
}

static void a_full_disk_is_a_no_of_homes(void) {
  rille_error e = {0};
  begin_test();
  fail_with(ENOSPC);
  CHECK(decide(&e) == RILLE_FULL);
  fail_with(0);
  CHECK(outcome() == RILLE_OUTCOME_UNDECIDED);
  end_test();
}

/* ---- What is promised, while it is being folded ---- */

static int keep_from_folding(void) {
  char file[320];
  snprintf(file, sizeof file, "%s/store", there_path);
  int fd = open(file, O_RDWR);
  struct flock lock = {
      .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = CONTROL_FOLDER, .l_len = 1};
  CHECK(fcntl(fd, F_OFD_SETLK, &lock) == 0);
  return fd;
}

static void a_failed_append_forgets_no_promise(void) {
  rille_error e = {0};
  rille_finished done;
  begin_test();
  CHECK(prepare("b", &e) == 0);
  int fd = keep_from_folding();
  for (int n = 0; n < 3; n++) CHECK(fill(there, "other") == 0); /* it is split off to be folded */
  fail_with(ENOSPC);
  CHECK(fill(there, "other") == RILLE_FULL);
  fail_with(0);
  rille_doubts doubts;
  CHECK(rille_store_indoubt(there, &doubts, NULL) == 0 && doubts.count == 1);
  rille_doubts_free(&doubts);
  CHECK(rille_store_commit(there, text(begun.id), &done, &e) == 0 && done.first == 4);
  close(fd);
  end_test();
}

static void a_failed_append_brings_no_promise_back(void) {
  rille_error e = {0};
  rille_doubts doubts;
  begin_test();
  CHECK(prepare("b", &e) == 0);
  CHECK(rille_store_close(there) == 0); /* the index has it */
  there = open_there();
  CHECK(rille_store_commit(there, text(begun.id), NULL, &e) == 0);
  int fd = keep_from_folding();
  for (int n = 0; n < 3; n++) CHECK(fill(there, "other") == 0);
  fail_with(ENOSPC);
  CHECK(fill(there, "other") == RILLE_FULL);
  fail_with(0);
  CHECK(rille_store_indoubt(there, &doubts, NULL) == 0 && doubts.count == 0);
  rille_doubts_free(&doubts);
  CHECK(rille_store_commit(there, text(begun.id), NULL, &e) == RILLE_REMARK);
  close(fd);
  end_test();
}

static const struct test tests[] = {
    {"a decision that may be there is unknown", a_decision_that_may_be_there_is_unknown},
    {"a full disk is a no of home's", a_full_disk_is_a_no_of_homes},
    {"a failed append forgets no promise", a_failed_append_forgets_no_promise},
    {"a failed append brings no promise back", a_failed_append_brings_no_promise_back},
};
TEST_MAIN(tests)
#endif
