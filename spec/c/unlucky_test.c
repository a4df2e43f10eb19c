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
static const char *failing_path; /* of the store; NULL: of all */
static int failing_times;        /* how often; negative: always */

static bool is_in(const struct call *c, const char *path) {
  char name[64], real[4096] = "";
  snprintf(name, sizeof name, "/proc/self/fd/%d", c->fd);
  ssize_t n = readlink(name, real, sizeof real - 1);
  return n > 0 && strstr(real, path) != NULL;
}

static int fail_writes(const struct call *c) {
  bool hit = !c->done && (c->kind == CALL_WRITE || c->kind == CALL_CUT) && is_of_log(c);
  hit = hit && failing_times && (!failing_path || is_in(c, failing_path));
  if (hit && failing_times > 0) failing_times--;
  return hit ? failing_number : 0;
}

static void fail_with(int number) {
  failing_number = number;
  failing_path = NULL;
  failing_times = -1;
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
  CHECK(decide(&e) == RILLE_IO && strstr(e.message, "mend")); /* nobody writes behind it */
  CHECK(rille_instance_close(instance, NULL) < 0 && rille_store_close(here) < 0);
  here = open_store(here_path, RILLE_SYNC_ALWAYS);
  CHECK(outcome() == RILLE_OUTCOME_UNDECIDED); /* it is not, as it turns out */
  CHECK(decide(&e) == 0);
  CHECK(rille_instance_open(here, text("tester"), &instance, NULL) == 0);
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

/* ---- The whole in one call ---- */

/* Home and one member, whose part is in `member`; the disk of the store at `failing` fails: once
** with EIO, or while it is full. */
static int transact(rille_member *member, const char *failing, int number, rille_error *e) {
  const rille_part part = {.stream = text("a"), .events = &moved, .event_count = 1};
  const rille_append work = {.size = sizeof work, .parts = &part, .part_count = 1};
  rille_transacted done;
  *member = (rille_member){.store = there, .name = text("there"), .work = &work};
  const rille_transact t = {.size = sizeof t,
                            .home = here,
                            .id = text(begun.id),
                            .home_path = text(here_path),
                            .work = &work,
                            .members = member,
                            .member_count = 1,
                            .timeout_us = 20000000};
  fail_with(number);
  failing_path = failing;
  failing_times = number == EIO ? 1 : -1;
  int result = rille_store_transact(&t, &done, e);
  fail_with(0);
  return result;
}

static size_t doubts_there(void) {
  rille_doubts doubts;
  CHECK(rille_store_indoubt(there, &doubts, NULL) == 0);
  size_t count = doubts.count;
  rille_doubts_free(&doubts);
  return count;
}

static void a_promise_that_may_be_there_is_told_to_abort(void) {
  rille_error e = {0};
  rille_member member;
  begin_test();
  CHECK(transact(&member, strrchr(there_path, '/'), EIO, &e) == RILLE_ABORTED);
  CHECK(e.code == RILLE_ABORTED && member.vote == RILLE_VOTE_NONE);
  CHECK(member.error.code == RILLE_IO);
  CHECK(member.reached && doubts_there() == 0);
  end_test();
}

static void a_full_disk_is_a_no_of_members(void) {
  rille_error e = {0};
  rille_member member;
  begin_test();
  CHECK(transact(&member, strrchr(there_path, '/'), ENOSPC, &e) == RILLE_ABORTED);
  CHECK(member.vote == RILLE_VOTE_NO && member.error.code == RILLE_FULL);
  CHECK(doubts_there() == 0);
  end_test();
}

static void nobody_is_told_of_what_is_unknown(void) {
  rille_error e = {0};
  rille_member member;
  begin_test();
  CHECK(transact(&member, strrchr(here_path, '/'), EIO, &e) == RILLE_UNKNOWN);
  CHECK(e.code == RILLE_UNKNOWN && member.vote == RILLE_VOTE_YES && !member.reached);
  CHECK(doubts_there() == 1);
  end_test();
}

static void what_takes_too_long_is_aborted(void) {
  rille_error e = {0};
  rille_transacted done;
  rille_member member = {.name = text("there")};
  const rille_append work = {.size = sizeof work};
  begin_test();
  member.store = there;
  member.work = &work;
  const rille_transact t = {.size = sizeof t,
                            .home = here,
                            .id = text(begun.id),
                            .home_path = text(here_path),
                            .members = &member,
                            .member_count = 1,
                            .timeout_us = 2500000,
                            .elapsed_us = 2500000};
  CHECK(rille_store_transact(&t, &done, &e) == RILLE_ABORTED);
  CHECK(strcmp(e.message, "not decided within 2.5 s") == 0);
  CHECK(member.vote == RILLE_VOTE_NONE && doubts_there() == 0);
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
    {"a promise that may be there is told to abort", a_promise_that_may_be_there_is_told_to_abort},
    {"a full disk is a no of a member's", a_full_disk_is_a_no_of_members},
    {"nobody is told of what is unknown", nobody_is_told_of_what_is_unknown},
    {"what takes too long is aborted", what_takes_too_long_is_aborted},
    {"a failed append forgets no promise", a_failed_append_forgets_no_promise},
    {"a failed append brings no promise back", a_failed_append_brings_no_promise_back},
};
TEST_MAIN(tests)
#endif
