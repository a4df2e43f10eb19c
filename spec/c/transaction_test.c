/* transaction_test.c: the steps of two-phase commit on two stores, one call after another:
** what is locked, what is seen, what is left when a coordinator dies, what a copy says. */
#define _GNU_SOURCE
#include "processes.h"
#include "store.h"

#include <sys/resource.h>
#include <sys/stat.h>

/* ---- A disk whose flushes may fail; the bytes arrive nevertheless ---- */

static atomic_int failing;

int fdatasync(int fd) {
  if (!atomic_load(&failing)) return fsync(fd);
  errno = EIO;
  return -1;
}

static char here_path[300], there_path[300];
static rille_store *here, *there; /* home, and the other */

static rille_text text(const char *s) { return rille_text_of(s); }

static void begin_test(void) {
  strcpy(here_path, path_of("here"));
  strcpy(there_path, path_of("there"));
  remove_store(here_path);
  remove_store(there_path);
  here = open_store(here_path, RILLE_SYNC_ALWAYS);
  there = open_store(there_path, RILLE_SYNC_ALWAYS);
}

static void end_test(void) {
  CHECK(rille_store_close(here) == 0);
  CHECK(rille_store_close(there) == 0);
}

/* ---- Work in one line ---- */

static const rille_event_input moved = {.type = {"Moved", 5}, .data = {"\x01", 1}};

/* One event for one stream, at a version. */
struct work {
  rille_part part;
  rille_append append;
};
static const rille_append *work_of(struct work *w, const char *stream, int64_t expect) {
  w->part =
      (rille_part){.stream = text(stream), .expect = expect, .events = &moved, .event_count = 1};
  w->append = (rille_append){.size = sizeof w->append, .parts = &w->part, .part_count = 1};
  return &w->append;
}

static const rille_append *check_of(struct work *w, const char *stream, int64_t expect) {
  (void)work_of(w, stream, expect);
  w->part.event_count = 0;
  return &w->append;
}

static int prepare_work(const char *id, const rille_append *work, rille_prepared *done,
                        rille_error *e) {
  rille_prepare p = {.size = sizeof p,
                     .id = text(id),
                     .name = text("there"),
                     .home_kind = text("store"),
                     .home_path = text(here_path),
                     .coordinator = text("tester"),
                     .work = work};
  return rille_store_prepare(there, &p, done, e);
}

static int prepare(const char *id, const char *stream, int64_t expect, rille_error *e) {
  struct work w;
  rille_prepared done;
  int failed = prepare_work(id, work_of(&w, stream, expect), &done, e);
  return failed ? failed : rille_store_flush(there, done.flush, e);
}

static int decide(const char *id, const char *member, const char *stream, rille_decided *done,
                  rille_error *e) {
  struct work w;
  rille_text members[] = {text(member ? member : "")};
  rille_decide d = {.size = sizeof d,
                    .id = text(id),
                    .outcome = RILLE_OUTCOME_COMMITTED,
                    .members = members,
                    .member_count = member ? 1 : 0,
                    .work = stream ? work_of(&w, stream, RILLE_EXPECT_ANY) : NULL};
  int result = rille_store_decide(here, &d, done, e);
  return result ? result : rille_store_flush(here, done->end, e);
}

static int write_to(rille_store *store, const char *stream, rille_error *e) {
  struct work w;
  return rille_store_append(store, work_of(&w, stream, RILLE_EXPECT_ANY), NULL, e);
}

static uint64_t version(rille_store *store, const char *stream) {
  uint64_t v = 99;
  CHECK(rille_store_version(store, text(stream), &v, NULL) == 0);
  return v;
}

static size_t in_doubt(rille_store *store) {
  rille_doubts doubts;
  CHECK(rille_store_indoubt(store, &doubts, NULL) == 0);
  size_t n = doubts.count;
  rille_doubts_free(&doubts);
  return n;
}

static int outcome(const char *id) {
  rille_told told = {.room = NULL};
  rille_error e = {0};
  int result = rille_store_outcome(here, text(id), &told, &e);
  if (!CHECK(result >= 0)) printf("       %s\n", e.message);
  return told.outcome;
}

static rille_settled settle(void) {
  rille_settled s;
  rille_error e = {0};
  if (!CHECK(rille_store_settle(there, NULL, &s, &e) == 0)) printf("       %s\n", e.message);
  return s;
}

static rille_instance *instance_of(rille_store *home, rille_begun *begun) {
  rille_instance *i;
  rille_error e = {0};
  if (!CHECK(rille_instance_open(home, text("tester"), &i, &e) == 0)) printf("  %s\n", e.message);
  CHECK(rille_instance_begin(i, begun, NULL) == 0);
  return i;
}

/* ---- Tests ---- */

static void what_is_prepared_is_seen_when_it_is_committed(void) {
  rille_begun t;
  rille_decided decided;
  rille_finished done;
  begin_test();
  rille_instance *i = instance_of(here, &t);
  CHECK(prepare(t.id, "b", RILLE_EXPECT_NONE, NULL) == 0);
  CHECK(version(there, "b") == 0 && rille_store_head(there) == 0);
  CHECK(in_doubt(there) == 1);
  CHECK(outcome(t.id) == RILLE_OUTCOME_UNDECIDED);
  CHECK(decide(t.id, "there", "a", &decided, NULL) == 0);
  CHECK(decided.first == 1 && decided.last == 1 && version(here, "a") == 1);
  CHECK(outcome(t.id) == RILLE_OUTCOME_COMMITTED);
  CHECK(rille_store_commit(there, text(t.id), &done, NULL) == 0);
  CHECK(done.first == 1 && done.last == 1);
  CHECK(in_doubt(there) == 0);
  CHECK(rille_store_strong(there, NULL, NULL) == 0);
  CHECK(version(there, "b") == 1 && rille_store_head(there) == 1);
  CHECK(rille_store_commit(there, text(t.id), &done, NULL) == RILLE_REMARK && done.first == 1);
  CHECK(rille_store_abort(there, text(t.id), &done, NULL) == RILLE_CONFLICT);
  CHECK(rille_store_end(here, text(t.id), NULL) == 0);
  rille_doubts pending;
  CHECK(rille_store_pending(here, &pending, NULL) == 0 && pending.count == 0);
  rille_doubts_free(&pending);
  CHECK(rille_instance_close(i, NULL) == 0);
  end_test();
}

static void a_lock_holds_until_the_end(void) {
  rille_begun t;
  rille_error e = {0};
  struct work w;
  rille_prepared prepared;
  begin_test();
  rille_instance *i = instance_of(here, &t);
  CHECK(prepare(t.id, "b", RILLE_EXPECT_ANY, NULL) == 0);
  CHECK(write_to(there, "b", &e) == RILLE_LOCKED && strcmp(e.transaction, t.id) == 0);
  CHECK(strcmp(e.coordinator, "tester") == 0);
  CHECK(write_to(there, "other", &e) == 0);
  CHECK(rille_store_truncate(there, text("b"), 1, &e) == RILLE_LOCKED);
  rille_begun second;
  CHECK(rille_instance_begin(i, &second, NULL) == 0);
  CHECK(prepare(second.id, "b", RILLE_EXPECT_ANY, &e) == RILLE_LOCKED);
  CHECK(prepare_work(second.id, check_of(&w, "b", RILLE_EXPECT_NONE), &prepared, &e) ==
        RILLE_LOCKED);
  CHECK(rille_store_abort(there, text(t.id), NULL, NULL) == 0);
  CHECK(write_to(there, "b", &e) == 0);
  CHECK(prepare(t.id, "b", RILLE_EXPECT_ANY, &e) == RILLE_ABORTED);
  CHECK(rille_instance_close(i, NULL) == 0);
  end_test();
}

static void checks_lock_writers_and_not_each_other(void) {
  rille_begun a, b;
  rille_error e = {0};
  rille_prepared prepared;
  struct work w;
  begin_test();
  rille_instance *i = instance_of(here, &a);
  CHECK(rille_instance_begin(i, &b, NULL) == 0);
  CHECK(write_to(there, "s", NULL) == 0);
  CHECK(prepare_work(a.id, check_of(&w, "s", 1), &prepared, &e) == 0);
  CHECK(prepared.checks_only && prepared.flush == 0);
  CHECK(prepare_work(b.id, check_of(&w, "s", 1), &prepared, &e) == 0 && prepared.flush == 0);
  CHECK(write_to(there, "s", &e) == RILLE_LOCKED);
  CHECK(rille_store_commit(there, text(a.id), NULL, NULL) == 0);
  CHECK(rille_store_abort(there, text(b.id), NULL, NULL) == 0);
  CHECK(write_to(there, "s", &e) == 0);
  CHECK(rille_instance_close(i, NULL) == 0);
  end_test();
}

static void unless_locks_what_it_asks_for(void) {
  rille_begun t;
  rille_error e = {0};
  rille_prepared prepared;
  rille_text types[] = {text("Moved")};
  rille_item item = {.types = types, .type_count = 1, .category = text("b")};
  rille_query unless = {.size = sizeof unless, .items = &item, .item_count = 1};
  rille_append work = {.size = sizeof work, .unless = &unless};
  begin_test();
  rille_instance *i = instance_of(here, &t);
  CHECK(prepare_work(t.id, &work, &prepared, &e) == 0 && prepared.checks_only);
  CHECK(write_to(there, "b-1", &e) == RILLE_LOCKED);
  CHECK(write_to(there, "c-1", &e) == 0);
  CHECK(rille_store_commit(there, text(t.id), NULL, NULL) == 0);
  CHECK(write_to(there, "b-1", &e) == 0);
  rille_begun u;
  CHECK(rille_instance_begin(i, &u, NULL) == 0);
  CHECK(prepare(u.id, "b-2", RILLE_EXPECT_ANY, &e) == 0);
  work.parts = NULL;
  CHECK(rille_store_append(there, &work, NULL, &e) == RILLE_LOCKED); /* its event would match */
  CHECK(rille_store_abort(there, text(u.id), NULL, NULL) == 0);
  CHECK(rille_store_append(there, &work, NULL, &e) == RILLE_CONFLICT);
  CHECK(rille_instance_close(i, NULL) == 0);
  end_test();
}

static void locks_outlive_closing(void) {
  rille_begun t;
  rille_error e = {0};
  begin_test();
  rille_instance *i = instance_of(here, &t);
  CHECK(prepare(t.id, "b", RILLE_EXPECT_ANY, NULL) == 0);
  for (int round = 0; round < 3; round++) {
    CHECK(rille_store_close(there) == 0);
    if (round == 1) {
      char command[400];
      sprintf(command, "rm -rf '%s/index'", there_path);
      CHECK(system(command) == 0);
    }
    there = open_store(there_path, RILLE_SYNC_ALWAYS);
    CHECK(in_doubt(there) == 1);
    CHECK(write_to(there, "b", &e) == RILLE_LOCKED);
  }
  rille_decided decided;
  CHECK(decide(t.id, "there", "a", &decided, NULL) == 0);
  CHECK(rille_store_close(there) == 0);
  there = open_store(there_path, RILLE_SYNC_ALWAYS); /* settles: home is open here */
  CHECK(in_doubt(there) == 0 && rille_store_strong(there, NULL, NULL) == 0);
  CHECK(version(there, "b") == 1 && write_to(there, "b", &e) == 0);
  CHECK(rille_instance_close(i, NULL) == 0);
  end_test();
}

static void who_meets_a_lock_of_the_dead_settles_it(void) {
  rille_begun t;
  rille_error e = {0};
  begin_test();
  rille_instance *i = instance_of(here, &t);
  CHECK(prepare(t.id, "b", RILLE_EXPECT_ANY, NULL) == 0);
  CHECK(rille_instance_close(i, NULL) == 0); /* it ends without deciding */
  CHECK(write_to(there, "b", &e) == 0);
  CHECK(version(there, "b") == 1 && in_doubt(there) == 0);
  CHECK(outcome(t.id) == RILLE_OUTCOME_ABORTED);
  rille_decided decided;
  CHECK(decide(t.id, "there", "a", &decided, NULL) == RILLE_REMARK);
  CHECK(decided.outcome == RILLE_OUTCOME_ABORTED && version(here, "a") == 0);
  end_test();
}

static void a_yes_that_was_not_counted_aborts(void) {
  rille_begun t;
  rille_decided decided;
  begin_test();
  rille_instance *i = instance_of(here, &t);
  CHECK(prepare(t.id, "b", RILLE_EXPECT_ANY, NULL) == 0);
  CHECK(decide(t.id, NULL, "a", &decided, NULL) == 0);
  rille_settled s = settle();
  CHECK(s.aborted == 1 && s.committed == 0);
  CHECK(version(there, "b") == 0 && version(here, "a") == 1);
  CHECK(rille_instance_close(i, NULL) == 0);
  end_test();
}

static void the_living_are_waited_for_until_the_deadline(void) {
  rille_begun t;
  rille_prepared done;
  rille_decided decided;
  struct work w;
  begin_test();
  rille_instance *i = instance_of(here, &t);
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  int64_t wall = (int64_t)now.tv_sec * 1000000;
  rille_prepare p = {.size = sizeof p,
                     .id = text(t.id),
                     .name = text("there"),
                     .home_kind = text("store"),
                     .home_path = text(here_path),
                     .deadline_us = wall + 3600 * INT64_C(1000000),
                     .work = work_of(&w, "b", RILLE_EXPECT_ANY)};
  CHECK(rille_store_prepare(there, &p, &done, NULL) == 0);
  CHECK(settle().undecided == 1);
  rille_begun u;
  CHECK(rille_instance_begin(i, &u, NULL) == 0);
  p.id = text(u.id);
  p.work = work_of(&w, "c", RILLE_EXPECT_ANY);
  p.deadline_us = wall - 1000000;
  CHECK(rille_store_prepare(there, &p, &done, NULL) == 0);
  rille_settled s = settle();
  CHECK(s.undecided == 1 && s.aborted == 1);
  CHECK(decide(u.id, "there", "a", &decided, NULL) == RILLE_REMARK);
  CHECK(decided.outcome == RILLE_OUTCOME_ABORTED);
  CHECK(decide(t.id, "there", "a", &decided, NULL) == 0);
  CHECK(settle().committed == 1);
  CHECK(rille_instance_close(i, NULL) == 0);
  end_test();
}

static int decide_for(const rille_begun *t, const char *client, int *won) {
  rille_decided d;
  rille_decide by = {.size = sizeof by,
                     .id = text(t->id),
                     .client = text(client),
                     .home_end = t->home_end,
                     .outcome = RILLE_OUTCOME_COMMITTED};
  int result = rille_store_decide(here, &by, &d, NULL);
  *won = d.outcome;
  return result;
}

static void a_clients_id_commits_once(void) {
  rille_begun a, b, c;
  int won;
  rille_told told = {.room = NULL};
  begin_test();
  rille_instance *i = instance_of(here, &a);
  CHECK(rille_instance_begin(i, &b, NULL) == 0 && rille_instance_begin(i, &c, NULL) == 0);
  CHECK(outcome("order-1") == RILLE_OUTCOME_NONE);
  CHECK(decide_for(&a, "order-1", &won) == 0 && won == RILLE_OUTCOME_COMMITTED);
  CHECK(decide_for(&b, "order-1", &won) == RILLE_DUPLICATE);
  CHECK(rille_store_outcome(here, text("order-1"), &told, NULL) == 0);
  CHECK(told.outcome == RILLE_OUTCOME_COMMITTED && strcmp(told.id, a.id) == 0);
  CHECK(rille_store_outcome_settle(here, text("order-2"), 1, &told, NULL) == 0);
  CHECK(told.outcome == RILLE_OUTCOME_ABORTED);
  CHECK(decide_for(&c, "order-2", &won) == RILLE_REMARK && won == RILLE_OUTCOME_ABORTED);
  rille_begun d; /* begun after that, it may try anew */
  CHECK(rille_instance_begin(i, &d, NULL) == 0);
  CHECK(decide_for(&d, "order-2", &won) == 0);
  CHECK(outcome("order-2") == RILLE_OUTCOME_COMMITTED);
  CHECK(rille_instance_close(i, NULL) == 0);
  end_test();
}

static void a_copy_of_home_knows_nothing_for_good(void) {
  char command[1000], copy[300];
  rille_begun t;
  rille_told told = {.room = NULL};
  begin_test();
  rille_instance *i = instance_of(here, &t);
  CHECK(prepare(t.id, "b", RILLE_EXPECT_ANY, NULL) == 0);
  strcpy(copy, path_of("copy"));
  sprintf(command, "rm -rf '%s'; cp -r '%s' '%s'", copy, here_path, copy);
  CHECK(system(command) == 0);
  rille_store *other = open_store(copy, RILLE_SYNC_ALWAYS);
  CHECK(rille_store_outcome_settle(other, text(t.id), 1, &told, NULL) == 0);
  CHECK(told.outcome == RILLE_OUTCOME_UNKNOWN);
  CHECK(settle().undecided == 1); /* the original answers, though the copy has the same uuid */
  rille_decided decided;
  CHECK(decide(t.id, "there", "a", &decided, NULL) == 0);
  CHECK(settle().committed == 1);
  CHECK(rille_store_close(other) == 0);
  CHECK(rille_instance_close(i, NULL) == 0);
  end_test();
}

static void a_restored_participant_follows_and_never_decides(void) {
  char copy[300];
  rille_begun t;
  begin_test();
  rille_instance *i = instance_of(here, &t);
  CHECK(prepare(t.id, "b", RILLE_EXPECT_ANY, NULL) == 0);
  strcpy(copy, path_of("restored"));
  remove_store(copy);
  CHECK(rille_store_backup(there, copy, NULL) == 0);
  rille_store *original = there;
  there = open_store(copy, RILLE_SYNC_ALWAYS);
  CHECK(in_doubt(there) == 1 && settle().undecided == 1);
  CHECK(rille_instance_close(i, NULL) == 0);
  rille_settled s = settle();
  CHECK(s.aborted == 1); /* its epoch is closed, which is a decision that is there */
  CHECK(rille_store_close(there) == 0);
  there = original;
  CHECK(settle().aborted == 1);
  end_test();
}

static void by_hand_is_compared_with_home(void) {
  rille_begun t, u;
  rille_decided decided;
  rille_doubts doubts;
  begin_test();
  rille_instance *i = instance_of(here, &t);
  CHECK(rille_instance_begin(i, &u, NULL) == 0);
  CHECK(prepare(t.id, "b", RILLE_EXPECT_ANY, NULL) == 0);
  CHECK(prepare(u.id, "c", RILLE_EXPECT_ANY, NULL) == 0);
  CHECK(rille_store_resolve(there, text(t.id), RILLE_OUTCOME_COMMITTED, text("said so"), NULL) ==
        0);
  CHECK(rille_store_resolve(there, text(u.id), RILLE_OUTCOME_ABORTED, text("said so"), NULL) == 0);
  CHECK(rille_store_resolve(there, text(u.id), RILLE_OUTCOME_ABORTED, text(""), NULL) ==
        RILLE_NOTFOUND);
  CHECK(version(there, "b") == 1 && version(there, "c") == 0 && in_doubt(there) == 0);
  CHECK(decide(t.id, "there", "a", &decided, NULL) == 0);
  CHECK(decide(u.id, "there", "a", &decided, NULL) == 0);
  rille_error e = {0};
  CHECK(rille_store_commit(there, text(t.id), NULL, &e) == RILLE_REMARK);
  CHECK(rille_store_commit(there, text(u.id), NULL, &e) == RILLE_ABORTED);
  CHECK(rille_store_close(there) == 0);
  there = open_store(there_path, RILLE_SYNC_ALWAYS);
  CHECK(rille_store_indoubt(there, &doubts, NULL) == 0 && doubts.count == 1);
  CHECK(doubts.count && doubts.list[0].contradicted && doubts.list[0].by_hand);
  rille_doubts_free(&doubts);
  CHECK(write_to(there, "c", &e) == 0); /* it holds no lock */
  CHECK(rille_instance_close(i, NULL) == 0);
  end_test();
}

static void home_out_of_reach_is_told_and_keeps_nobody_from_opening(void) {
  char command[900];
  rille_begun t;
  rille_error e = {0};
  begin_test();
  rille_instance *i = instance_of(here, &t);
  CHECK(prepare(t.id, "b", RILLE_EXPECT_ANY, NULL) == 0);
  CHECK(rille_instance_close(i, NULL) == 0);
  CHECK(rille_store_close(here) == 0 && rille_store_close(there) == 0);
  sprintf(command, "mv '%s' '%s.away'", here_path, here_path);
  CHECK(system(command) == 0);
  there = open_store(there_path, RILLE_SYNC_ALWAYS);
  CHECK(in_doubt(there) == 1);
  rille_query q = {.size = sizeof q, .stream = text("b")};
  CHECK(rille_store_strong(there, &q, &e) == RILLE_LOCKED);
  q.stream = text("c");
  CHECK(rille_store_strong(there, &q, &e) == 0);
  rille_settled s;
  CHECK(rille_store_settle(there, NULL, &s, &e) == 0 && s.unreachable == 1);
  char away[320];
  sprintf(away, "%s.away", here_path);
  rille_settle by = {.size = sizeof by, .home = text(away)};
  CHECK(rille_store_settle(there, &by, &s, &e) == 0 && s.aborted == 1);
  sprintf(command, "mv '%s.away' '%s'", here_path, here_path);
  CHECK(system(command) == 0);
  here = open_store(here_path, RILLE_SYNC_ALWAYS);
  end_test();
}

static void space_for_the_commit_is_there(void) {
  static char big[3 << 20];
  rille_begun t;
  rille_error e = {0};
  rille_prepared prepared;
  rille_event_input event = {.type = text("Big"), .data = {big, sizeof big}};
  rille_part part = {.stream = text("b"), .events = &event, .event_count = 1};
  rille_append work = {.size = sizeof work, .parts = &part, .part_count = 1};
  begin_test();
  rille_instance *i = instance_of(here, &t);
  CHECK(prepare_work(t.id, &work, &prepared, &e) == 0);
  for (int n = 0; n < 50; n++) CHECK(write_to(there, "other", &e) == 0);
  rille_finished done;
  CHECK(rille_store_commit(there, text(t.id), &done, &e) == 0 && done.first == 51);
  rille_verified verified;
  rille_verify how = {.size = sizeof how};
  CHECK(rille_store_verify(there, &how, &verified, &e) == 0 && verified.problems == 0);
  CHECK(rille_instance_close(i, NULL) == 0);
  end_test();
}

static uint64_t size_of_log(const char *path) {
  char name[400];
  struct stat s;
  sprintf(name, "%s/log/%016x.seg", path, 0);
  return CHECK(stat(name, &s) == 0) ? (uint64_t)s.st_size : 0;
}

/* A file that can't grow is a full disk; what is reserved needs no more. */
static void a_full_disk_at_commit_is_none(void) {
  static char big[1 << 20];
  rille_begun t;
  rille_error e = {0};
  rille_prepared prepared;
  rille_finished done;
  rille_event_input event = {.type = text("Big"), .data = {big, sizeof big}};
  rille_part part = {.stream = text("b"), .events = &event, .event_count = 1};
  rille_append work = {.size = sizeof work, .parts = &part, .part_count = 1};
  begin_test();
  rille_instance *i = instance_of(here, &t);
  CHECK(prepare_work(t.id, &work, &prepared, &e) == 0);
  struct rlimit before, now;
  CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0);
  signal(SIGXFSZ, SIG_IGN);
  now = before;
  now.rlim_cur = size_of_log(there_path);
  CHECK(setrlimit(RLIMIT_FSIZE, &now) == 0);
  part.stream = text("other");
  CHECK(rille_store_append(there, &work, NULL, &e) == RILLE_FULL);
  CHECK(rille_store_commit(there, text(t.id), &done, &e) == 0 && done.first == 1);
  CHECK(rille_store_flush(there, done.end, &e) == 0);
  CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
  CHECK(version(there, "b") == 1 && in_doubt(there) == 0);
  CHECK(rille_store_append(there, &work, NULL, &e) == 0);
  CHECK(rille_instance_close(i, NULL) == 0);
  end_test();
}

static void a_failed_flush_of_the_decision_is_unknown(void) {
  rille_begun t;
  rille_decided decided;
  rille_error e = {0};
  begin_test();
  rille_instance *i = instance_of(here, &t);
  CHECK(prepare(t.id, "b", RILLE_EXPECT_ANY, NULL) == 0);
  atomic_store(&failing, 1);
  CHECK(decide(t.id, "there", "a", &decided, &e) == RILLE_UNKNOWN);
  atomic_store(&failing, 0);
  rille_settled s;
  CHECK(rille_store_settle(there, NULL, &s, &e) == 0); /* home refuses everything now */
  CHECK(s.unreachable == 1 && in_doubt(there) == 1);
  (void)rille_instance_close(i, NULL);
  (void)rille_store_close(here);
  here = open_store(here_path, RILLE_SYNC_ALWAYS); /* repaired: the frame is there */
  CHECK(outcome(t.id) == RILLE_OUTCOME_COMMITTED);
  CHECK(settle().committed == 1);
  CHECK(rille_store_strong(there, NULL, NULL) == 0);
  CHECK(version(there, "b") == 1 && version(here, "a") == 1);
  end_test();
}

/* ---- A coordinator that is killed ---- */

static struct told {
  char id[RILLE_TRANSACTION_BYTES];
  _Atomic int ready;
} * told_id;

static int coordinate(void *context) {
  rille_begun t;
  (void)context;
  here = open_store(here_path, RILLE_SYNC_ALWAYS);
  there = open_store(there_path, RILLE_SYNC_ALWAYS);
  (void)instance_of(here, &t);
  CHECK(prepare(t.id, "b", RILLE_EXPECT_ANY, NULL) == 0);
  strcpy(told_id->id, t.id);
  atomic_store(&told_id->ready, 1);
  pause();
  return 0;
}

static void a_killed_coordinator_is_dead_at_once(void) {
  rille_error e = {0};
  int status;
  begin_test();
  if (!told_id) told_id = share(sizeof *told_id);
  told_id->ready = 0;
  end_test();
  pid_t child = start(coordinate, NULL);
  while (!atomic_load(&told_id->ready)) usleep(1000);
  there = open_store(there_path, RILLE_SYNC_ALWAYS);
  CHECK(in_doubt(there) == 1 && settle().undecided == 1);
  CHECK(write_to(there, "b", &e) == RILLE_LOCKED);
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  CHECK(write_to(there, "b", &e) == 0);
  CHECK(version(there, "b") == 1 && in_doubt(there) == 0);
  here = open_store(here_path, RILLE_SYNC_ALWAYS);
  CHECK(outcome(told_id->id) == RILLE_OUTCOME_ABORTED);
  end_test();
}

static void old_decisions_are_forgotten_at_will(void) {
  rille_begun t, u;
  rille_decided decided;
  begin_test();
  rille_instance *i = instance_of(here, &t);
  CHECK(rille_instance_begin(i, &u, NULL) == 0);
  CHECK(decide(t.id, NULL, "a", &decided, NULL) == 0);
  CHECK(rille_store_end(here, text(t.id), NULL) == 0);
  for (int n = 0; n < 3000; n++) CHECK(write_to(here, "fill", NULL) == 0);
  CHECK(decide(u.id, NULL, "a", &decided, NULL) == 0);
  CHECK(rille_store_forget(here, INT64_MAX, NULL) == 0);
  CHECK(outcome(t.id) == RILLE_OUTCOME_UNKNOWN);
  CHECK(outcome(u.id) == RILLE_OUTCOME_COMMITTED); /* it has not ended */
  CHECK(rille_instance_close(i, NULL) == 0);
  end_test();
}

/* The overlay begins behind the frame of the epoch, which is open. */
static void what_is_folded_stays_decided(void) {
  rille_begun t, u, v;
  rille_decided decided;
  begin_test();
  rille_instance *i = instance_of(here, &t);
  CHECK(rille_instance_begin(i, &u, NULL) == 0 && rille_instance_begin(i, &v, NULL) == 0);
  CHECK(decide(t.id, NULL, "a", &decided, NULL) == 0);
  CHECK(log_fold(&here->shared->log, NULL) == 0);
  CHECK(decide(u.id, NULL, "a", &decided, NULL) == 0);
  CHECK(outcome(t.id) == RILLE_OUTCOME_COMMITTED && outcome(u.id) == RILLE_OUTCOME_COMMITTED);
  CHECK(outcome(v.id) == RILLE_OUTCOME_UNDECIDED);
  CHECK(decide(t.id, NULL, "a", &decided, NULL) == RILLE_REMARK);
  CHECK(decided.outcome == RILLE_OUTCOME_COMMITTED && version(here, "a") == 2);
  CHECK(decide(u.id, NULL, "a", &decided, NULL) == RILLE_REMARK && version(here, "a") == 2);
  CHECK(decide(v.id, NULL, "a", &decided, NULL) == 0 && version(here, "a") == 3);
  CHECK(rille_instance_close(i, NULL) == 0);
  end_test();
}

/* ---- Who waits for a turn ---- */

/* Keeps all others from writing, when it is told to, until it is killed. */
static int keep_turn(void *context) {
  int failed;
  (void)context;
  rille_store *store = open_store(there_path, RILLE_SYNC_ALWAYS);
  atomic_store(&told_id->ready, 1);
  wait_until(&told_id->ready, 2);
  CHECK(control_take(&store->shared->control, CONTROL_WRITER, true, &failed, NULL));
  atomic_store(&told_id->ready, 3);
  pause();
  return 0;
}

static int prepare_until(const char *id, int64_t deadline_us) {
  struct work w;
  rille_prepared done;
  rille_prepare p = {.size = sizeof p,
                     .id = text(id),
                     .name = text("there"),
                     .home_kind = text("store"),
                     .home_path = text(here_path),
                     .coordinator = text("tester"),
                     .deadline_us = deadline_us,
                     .work = work_of(&w, "b", RILLE_EXPECT_ANY)};
  int failed = rille_store_prepare(there, &p, &done, NULL);
  return failed ? failed : rille_store_flush(there, done.flush, NULL);
}

/* D7. What is decided is told to whoever can be told; the others learn it later. */
static void a_commit_waits_for_no_turn_beyond_the_deadline(void) {
  rille_finished finished;
  rille_begun t;
  if (!told_id) told_id = share(sizeof *told_id);
  atomic_store(&told_id->ready, 0);
  begin_test();
  end_test();
  pid_t child = start(keep_turn, NULL);
  wait_until(&told_id->ready, 1); /* who opens it later would settle what is late */
  here = open_store(here_path, RILLE_SYNC_ALWAYS);
  there = open_store(there_path, RILLE_SYNC_ALWAYS);
  rille_instance *i = instance_of(here, &t);
  CHECK(prepare_until(t.id, system_clock_us() + 10000) == 0);
  atomic_store(&told_id->ready, 2);
  wait_until(&told_id->ready, 3);
  CHECK(rille_store_commit(there, text(t.id), &finished, NULL) == RILLE_BUSY);
  CHECK(rille_store_abort(there, text(t.id), &finished, NULL) == RILLE_BUSY);
  CHECK(in_doubt(there) == 1);
  kill(child, SIGKILL);
  CHECK(wait_for(child) == KILLED);
  CHECK(rille_store_commit(there, text(t.id), &finished, NULL) == 0);
  CHECK(rille_store_flush(there, finished.end, NULL) == 0 && version(there, "b") == 1);
  CHECK(rille_instance_close(i, NULL) == 0);
  end_test();
}

static int transact(rille_instance *i, int64_t timeout_us, int64_t elapsed_us) {
  struct work w;
  rille_begun t;
  rille_transacted done;
  CHECK(rille_instance_begin(i, &t, NULL) == 0);
  rille_member m = {
      .store = there, .name = text("there"), .work = work_of(&w, "b", RILLE_EXPECT_ANY)};
  const rille_transact transact = {.size = sizeof transact,
                                   .home = here,
                                   .id = text(t.id),
                                   .home_end = t.home_end,
                                   .home_path = text(here_path),
                                   .coordinator = text("tester"),
                                   .members = &m,
                                   .member_count = 1,
                                   .timeout_us = timeout_us,
                                   .elapsed_us = elapsed_us};
  return rille_store_transact(&transact, &done, NULL);
}

/* Sums of times don't overflow. */
static void a_timeout_may_be_any_number(void) {
  rille_begun t;
  begin_test();
  rille_instance *i = instance_of(here, &t);
  CHECK(transact(i, INT64_MAX, 0) == 0 && transact(i, INT64_MAX, -INT64_MAX) == 0);
  CHECK(transact(i, INT64_MIN, 0) == RILLE_ABORTED);
  CHECK(transact(i, INT64_MIN, INT64_MAX) == RILLE_ABORTED);
  CHECK(rille_store_sync(there, NULL) == 0 && version(there, "b") == 2);
  CHECK(prepare_until(t.id, INT64_MAX) == 0);
  CHECK(rille_store_abort(there, text(t.id), NULL, NULL) == 0);
  CHECK(rille_instance_close(i, NULL) == 0);
  end_test();
}

static const struct test tests[] = {
    {"what is prepared is seen when it is committed",
     what_is_prepared_is_seen_when_it_is_committed},
    {"a lock holds until the end", a_lock_holds_until_the_end},
    {"checks lock writers and not each other", checks_lock_writers_and_not_each_other},
    {"unless locks what it asks for", unless_locks_what_it_asks_for},
    {"locks outlive closing", locks_outlive_closing},
    {"who meets a lock of the dead settles it", who_meets_a_lock_of_the_dead_settles_it},
    {"a yes that was not counted aborts", a_yes_that_was_not_counted_aborts},
    {"the living are waited for until the deadline", the_living_are_waited_for_until_the_deadline},
    {"a client's id commits once", a_clients_id_commits_once},
    {"a copy of home knows nothing for good", a_copy_of_home_knows_nothing_for_good},
    {"a restored participant follows and never decides",
     a_restored_participant_follows_and_never_decides},
    {"by hand is compared with home", by_hand_is_compared_with_home},
    {"home out of reach is told and keeps nobody from opening",
     home_out_of_reach_is_told_and_keeps_nobody_from_opening},
    {"space for the commit is there", space_for_the_commit_is_there},
    {"a full disk at commit is none", a_full_disk_at_commit_is_none},
    {"a failed flush of the decision is unknown", a_failed_flush_of_the_decision_is_unknown},
    {"a killed coordinator is dead at once", a_killed_coordinator_is_dead_at_once},
    {"a commit waits for no turn beyond the deadline",
     a_commit_waits_for_no_turn_beyond_the_deadline},
    {"a timeout may be any number", a_timeout_may_be_any_number},
    {"old decisions are forgotten at will", old_decisions_are_forgotten_at_will},
    {"what is folded stays decided", what_is_folded_stays_decided},
};
TEST_MAIN(tests)
