/* acts.h: what is done while calls to the system fail: one act is one thing that people do with
** stores, from a state made for it. Each call says that it did it, or why not; `said` keeps
** count of that, and the ledgers of what was told. */
#ifndef RILLE_ACTS_H
#define RILLE_ACTS_H

#include "failing.h"

#include "ledger.h"
#include "processes.h"

#define EVENTS 40u /* appends, of a store that there is before */

/* ---- What an act works on ---- */

static char world[300], here_path[320], there_path[320], copy_path[320];
static rille_store *here, *there; /* open at the act's end: the judge closes them */
static struct ledger here_told, there_told;

static struct {
  unsigned complaints; /* calls that failed and said so */
  bool must_close;     /* one said that the store must be closed */
  char last[480];
} said;

struct act {
  const char *name;
  void (*fixture)(void); /* what there is before; made once */
  void (*prepare)(void); /* before each run, with a sound system */
  void (*run)(void);
  void (*settle)(void);  /* after it, before it is judged; NULL: nothing */
  bool tries_again;      /* what fails is done in another way, and need not be told */
};

static bool is_expected(int code) {
  bool scarce = failing.plan.class == FAILING_MEMORY || failing.plan.number == ENOMEM;
  return code == RILLE_IO || code == RILLE_FULL || code == RILLE_UNKNOWN ||
         (code == RILLE_MEMORY && scarce);
}

/* True where a call did what it should; else it must have said what, and what of it. */
static bool fine(int result, const rille_error *e, const char *what) {
  if (result >= 0) return true;
  said.complaints++;
  if (strstr(e->message, "close")) said.must_close = true;
  snprintf(said.last, sizeof said.last, "%s: %s: %.400s", what, rille_code_name(result),
           e->message);
  bool told = CHECK(e->code == result && e->message[0] != '\0');
  if (!CHECK(is_expected(result)) || !told) printf("       %s\n", said.last);
  return false;
}

static rille_options options_small(int sync, bool background) {
  rille_options o = options_of(sync, background);
  o.segment_bytes = RILLE_SEGMENT_BYTES_LEAST;
  return o;
}

static bool open_as(const char *path, const rille_options *o, rille_store **store) {
  rille_error e = {0};
  bool done = fine(rille_store_open(path, o, store, &e), &e, "open");
  CHECK(done == (*store != NULL));
  return done;
}

static bool append(rille_store *s, const char *stream, uint32_t count, size_t bytes) {
  rille_error e = {0};
  return fine(ledger_append(s == there ? &there_told : &here_told, s, stream, count, bytes, &e), &e,
              "append");
}

static void close_here(void) {
  rille_error e = {.code = rille_store_close(here), .message = "closing tells a code alone"};
  here = NULL;
  (void)fine(e.code, &e, "close");
}

/* ---- Fixtures ---- */

static void make_nothing(void) { here_told.count = 0; }

static void append_here(int sync) {
  rille_options o = options_small(sync, false);
  here = open_with(here_path, &o);
  for (uint32_t i = 0; i < EVENTS; i++) append(here, i % 3 ? "a" : "b", 1 + i % 4, 400 + 60 * i);
}

static void fill_here(int sync) {
  append_here(sync);
  CHECK(rille_store_truncate(here, rille_text_of("b"), 3, NULL) == 0);
}

static void make_store(void) {
  fill_here(RILLE_SYNC_NEVER);
  CHECK(rille_store_close(here) == 0);
  here = NULL;
}

/* Of which nothing is hidden: who takes that away takes nothing that the ledger has. */
static void make_whole_store(void) {
  append_here(RILLE_SYNC_NEVER);
  CHECK(rille_store_close(here) == 0);
  here = NULL;
}

static int die_appending(void *context) {
  struct ledger *told = context;
  fill_here(RILLE_SYNC_NEVER);
  *told = here_told;
  _exit(test_failures ? 99 : 0);
}

/* By one who died; and the end of what he wrote did not reach the disk. */
static void make_torn(void) {
  struct ledger *told = share(sizeof *told);
  CHECK(wait_for(start(die_appending, told)) == 0);
  rille_options o = {.size = sizeof o, .readonly = 1};
  here = open_with(here_path, &o);
  char file[400];
  uint64_t bytes = stats_of(here).log_bytes, first = 0;
  CHECK(rille_store_close(here) == 0);
  here_told = *told;
  /* the cut, the last frame; it is no event */
  for (uint64_t at = 0; at < bytes; at += 8) {
    snprintf(file, sizeof file, "%s/log/%016llx.seg", here_path, (unsigned long long)at);
    if (access(file, F_OK) == 0) first = at;
  }
  snprintf(file, sizeof file, "%s/log/%016llx.seg", here_path, (unsigned long long)first);
  int fd = open(file, O_WRONLY);
  CHECK(pwrite(fd, "torn", 4, (off_t)(bytes - first - 8)) == 4);
  close(fd);
  here = NULL;
}

/* ---- Before each run ---- */

static void prepare_nothing(void) {}

static void open_here(void) {
  rille_options o = options_small(RILLE_SYNC_ALWAYS, false);
  here = open_with(here_path, &o);
}
static void open_here_lax(void) {
  rille_options o = options_small(RILLE_SYNC_NEVER, false);
  here = open_with(here_path, &o);
}
static void open_here_and_fill(void) {
  open_here_lax();
  for (unsigned i = 0; i < 4; i++) append(here, "more", 20, 30);
}

/* Events of a stream beside the ledger's: some are hidden, some are to be redacted. */
static void open_here_and_hide(void) {
  open_here();
  for (unsigned i = 0; i < 6; i++)
    CHECK(put(here, LEDGER_BESIDE, RILLE_EXPECT_ANY, "content that goes", 17, NULL) == 0);
  CHECK(rille_store_truncate(here, rille_text_of(LEDGER_BESIDE), 3, NULL) == 0);
}

/* ---- Acts ---- */

static void make_and_use(void) {
  rille_options o = options_small(RILLE_SYNC_ALWAYS, false);
  if (open_as(here_path, &o, &here)) append(here, "a", 2, 100);
}

static void open_and_use(void) { make_and_use(); }

static void rebuild(void) {
  rille_options o = options_small(RILLE_SYNC_ALWAYS, false);
  o.rebuild = 1;
  if (open_as(here_path, &o, &here)) append(here, "a", 2, 100);
}

static bool read_all(const rille_query *q) {
  rille_reader *reader;
  rille_event event;
  rille_error e = {0};
  int result = rille_store_read(here, q, &reader, &e);
  if (!fine(result, &e, "read")) return false;
  while ((result = rille_reader_next(reader, &event, &e)) == 1) continue;
  if (result < 0) CHECK(rille_reader_next(reader, &event, NULL) == result); /* and so it stays */
  rille_reader_end(reader);
  return fine(result, &e, "next");
}

static void read_in_all_ways(void) {
  rille_text type = rille_text_of("Odd"), tag = rille_text_of("b");
  rille_item items[] = {{.types = &type, .type_count = 1}, {.tags = &tag, .tag_count = 1}};
  rille_query queries[] = {
      {.size = sizeof(rille_query)},
      {.size = sizeof(rille_query), .reverse = 1, .limit = 30},
      {.size = sizeof(rille_query), .items = items, .item_count = 2},
      {.size = sizeof(rille_query), .items = items + 1, .item_count = 1, .limit = 3, .reverse = 1},
      {.size = sizeof(rille_query), .stream = rille_text_of("b")},
      {.size = sizeof(rille_query), .stream = rille_text_of("a"), .reverse = 1, .limit = 3},
  };
  for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
    if (!read_all(&queries[i])) return;
  rille_error e = {0};
  uint64_t version;
  (void)fine(rille_store_version(here, rille_text_of("a"), &version, &e), &e, "version");
}

static void open_readonly_and_read(void) {
  rille_options o = {.size = sizeof o, .readonly = 1};
  if (!open_as(here_path, &o, &here)) return;
  read_in_all_ways();
  rille_store_close(here);
  here = NULL;
}

static void append_in_all_ways(void) {
  rille_error e = {0};
  static struct ledger_work w;
  append(here, "a", 1, 50);
  append(here, "a", 3, 5000); /* a new file */
  uint32_t number = ledger_begin(&here_told, 2);
  ledger_work(&w, number, 2, "b", 20);
  rille_text tag = rille_text_of("nobody's");
  rille_item item = {.tags = &tag, .tag_count = 1};
  rille_query unless = {.size = sizeof unless, .items = &item, .item_count = 1};
  w.append.unless = &unless;
  w.append.mark = (rille_mark_move){rille_text_of("mark"), 0, 1};
  w.events[0].id = rille_text_of("an id");
  int result = rille_store_append(here, &w.append, NULL, &e);
  here_told.lines[number].told = told_of(result);
  (void)fine(result, &e, "append with conditions");
  append(here, "c", 8, 7000);
  append(here, "c", 8, 7000);
}

static void append_and_sync(void) {
  rille_error e = {0};
  append_in_all_ways();
  (void)fine(rille_store_sync(here, &e), &e, "sync");
  append(here, "a", 1, 50);
}

static void append_beside_thread(uint64_t segment_bytes) {
  rille_options o = options_of(RILLE_SYNC_INTERVAL, true);
  o.segment_bytes = segment_bytes;
  o.sync_interval_ms = 1;
  if (!open_as(here_path, &o, &here)) return;
  for (unsigned i = 0; i < 3; i++) append(here, "a", 8, 7000);
  rille_error e = {0};
  (void)fine(rille_store_wait(here, rille_store_head(here), 20, &e), &e, "wait");
  append(here, "a", 1, 50);
}
static void append_in_background(void) { append_beside_thread(RILLE_SEGMENT_BYTES); }
static void succeed_in_background(void) { append_beside_thread(RILLE_SEGMENT_BYTES_LEAST); }

static void truncate_and_delete(void) {
  rille_error e = {0};
  bool cut = fine(rille_store_truncate(here, rille_text_of("a"), 9, &e), &e, "truncate");
  (void)fine(rille_store_delete(here, rille_text_of("b"), &e), &e, "delete");
  uint64_t version = 0;
  if (cut && fine(rille_store_version(here, rille_text_of("a"), &version, &e), &e, "version"))
    CHECK(version > 9);
}

static void close_it(void) { close_here(); }

static void back_up(void) {
  rille_error e = {0};
  bool done = fine(rille_store_backup(here, copy_path, &e), &e, "backup");
  bool there_now = access(copy_path, F_OK) == 0;
  CHECK(done ? there_now : !there_now || strstr(e.message, "put the backup") != NULL);
}

static void scavenge(void) {
  rille_error e = {0};
  rille_scavenge dry = {.size = sizeof dry, .dry_run = 1};
  (void)fine(rille_store_scavenge(here, &dry, NULL, &e), &e, "scavenge");
  (void)fine(rille_store_scavenge(here, NULL, NULL, &e), &e, "scavenge");
}

static void redact(void) {
  rille_error e = {0};
  uint64_t head = rille_store_head(here), positions[] = {head, head - 1};
  rille_redact r = {.size = sizeof r, .positions = positions, .position_count = 2};
  (void)fine(rille_store_redact(here, &r, NULL, &e), &e, "redact");
}

static void look_after(void) {
  rille_error e = {0};
  rille_stats stats;
  rille_verify how = {.size = sizeof how};
  rille_verified found = {0};
  int result = rille_store_verify(here, &how, &found, &e);
  if (result == RILLE_REMARK) said.complaints++; /* of bytes that could not be read */
  else (void)fine(result, &e, "verify");
  (void)fine(rille_store_stats(here, &stats, &e), &e, "stats");
}

static void keep(void) {
  static char value[20000];
  rille_error e = {0};
  rille_kept got = {.room = value, .room_bytes = sizeof value};
  rille_kept_put puts[] = {{rille_text_of("k1"), {value, sizeof value}, 0},
                           {rille_text_of("k2"), {value, 10}, 0}};
  rille_kept_write w = {.size = sizeof w, .puts = puts, .put_count = 2};
  bool kept = fine(rille_store_kept_write(here, &w, &e), &e, "kept_write");
  int result = rille_store_kept_get(here, rille_text_of("k1"), &got, &e);
  if (!kept && result == RILLE_NOTFOUND) return;
  if (fine(result, &e, "kept_get")) CHECK(got.length == sizeof value);
  uint64_t erased = 0;
  if (fine(rille_store_kept_erase(here, rille_text_of("k"), 9, &erased, &e), &e, "kept_erase"))
    CHECK(erased == (kept ? 2 : erased));
}

/* ---- Transactions ---- */

static rille_instance *instance;

static void open_both(void) {
  rille_options o = options_small(RILLE_SYNC_ALWAYS, false);
  here = open_with(here_path, &o);
  there = open_with(there_path, &o);
}

static void make_both(void) {
  open_both();
  append(here, "a", 1, 50);
  append(there, "a", 1, 50);
  CHECK(rille_store_close(here) == 0 && rille_store_close(there) == 0);
  here = there = NULL;
}

static void note_both(uint32_t mine, uint32_t theirs, int outcome) {
  enum told told = outcome == RILLE_OUTCOME_COMMITTED ? TOLD_DONE
                   : outcome == RILLE_OUTCOME_UNKNOWN ? TOLD_UNKNOWN
                                                      : TOLD_REFUSED;
  here_told.lines[mine].told = there_told.lines[theirs].told = told;
}

static void transact(void) {
  static struct ledger_work ours, other;
  rille_error e = {0};
  rille_begun begun;
  rille_transacted done = {0};
  if (!instance && !fine(rille_instance_open(here, rille_text_of("tester"), &instance, &e), &e,
                         "instance_open")) {
    instance = NULL;
    return;
  }
  if (!fine(rille_instance_begin(instance, &begun, &e), &e, "begin")) return;
  uint32_t mine = ledger_begin(&here_told, 2), theirs = ledger_begin(&there_told, 3);
  ledger_work(&ours, mine, 2, "a", 100);
  ledger_work(&other, theirs, 3, "b", 100);
  rille_member member = {.store = there, .name = rille_text_of("there"), .work = &other.append};
  const rille_transact t = {.size = sizeof t,
                            .home = here,
                            .id = rille_text_of(begun.id),
                            .home_end = begun.home_end,
                            .home_path = rille_text_of(here_path),
                            .coordinator = rille_text_of("tester"),
                            .work = &ours.append,
                            .members = &member,
                            .member_count = 1,
                            .timeout_us = 20000000};
  int result = rille_store_transact(&t, &done, &e);
  note_both(mine, theirs, done.outcome);
  CHECK((result == 0) == (done.outcome == RILLE_OUTCOME_COMMITTED));
  if (result < 0) {
    said.complaints++;
    if (strstr(e.message, "close")) said.must_close = true;
    if (!CHECK(result == RILLE_ABORTED || result == RILLE_UNKNOWN || result == RILLE_MEMORY) ||
        !CHECK(e.message[0] != '\0' && e.code == result))
      printf("       transact: %d, %d: %s\n", result, e.code, e.message);
    return;
  }
  if (!member.reached) { /* it is told why, and settled later */
    said.complaints++;
    CHECK(member.error.code < 0 && member.error.message[0]);
    return;
  }
  if (!fine(rille_store_flush(there, member.finished.end, &e), &e, "flush")) return;
  (void)fine(rille_store_end(here, rille_text_of(begun.id), &e), &e, "end");
}

static void transact_twice_and_end(void) {
  rille_error e = {0};
  transact();
  transact();
  if (instance) (void)fine(rille_instance_close(instance, &e), &e, "instance_close");
  instance = NULL;
}

static int die_in_doubt(void *context) {
  struct ledger *told = context;
  static struct ledger_work ours, other;
  rille_begun t[2];
  rille_decided done;
  open_both();
  CHECK(rille_instance_open(here, rille_text_of("dead"), &instance, NULL) == 0);
  for (uint32_t i = 0; i < 2; i++) {
    CHECK(rille_instance_begin(instance, &t[i], NULL) == 0);
    uint32_t mine = ledger_begin(&here_told, 2), theirs = ledger_begin(&there_told, 3);
    ledger_work(&ours, mine, 2, "a", 100);
    ledger_work(&other, theirs, 3, i ? "b" : "c", 100);
    rille_prepare p = {.size = sizeof p,
                       .id = rille_text_of(t[i].id),
                       .name = rille_text_of("there"),
                       .home_kind = rille_text_of("store"),
                       .home_path = rille_text_of(here_path),
                       .home_end = t[i].home_end,
                       .work = &other.append};
    rille_prepared prepared;
    CHECK(rille_store_prepare(there, &p, &prepared, NULL) == 0);
    CHECK(rille_store_flush(there, prepared.flush, NULL) == 0);
    note_both(mine, theirs, RILLE_OUTCOME_ABORTED);
    rille_text member = rille_text_of("there");
    rille_decide d = {.size = sizeof d,
                      .id = rille_text_of(t[i].id),
                      .home_end = t[i].home_end,
                      .outcome = RILLE_OUTCOME_COMMITTED,
                      .members = &member,
                      .member_count = 1,
                      .work = &ours.append};
    if (i == 0) continue; /* nobody decides the first */
    CHECK(rille_store_decide(here, &d, &done, NULL) == 0);
    note_both(mine, theirs, RILLE_OUTCOME_COMMITTED);
  }
  told[0] = here_told;
  told[1] = there_told;
  _exit(test_failures ? 99 : 0);
}

static void make_doubts(void) {
  struct ledger *told = share(2 * sizeof *told);
  make_both();
  CHECK(wait_for(start(die_in_doubt, told)) == 0);
  here_told = told[0];
  there_told = told[1];
}

/* Opening does what it can, and says nothing of what it can't. */
static void open_there(void) {
  rille_options o = options_small(RILLE_SYNC_ALWAYS, false);
  (void)open_as(there_path, &o, &there);
}

static void open_there_without_home(void) {
  CHECK(rename(here_path, copy_path) == 0);
  open_there();
  CHECK(rename(copy_path, here_path) == 0);
}

static void settle_there(void) {
  rille_settled settled = {0};
  rille_error e = {0};
  if (!fine(rille_store_settle(there, NULL, &settled, &e), &e, "settle")) return;
  if (settled.unreachable) said.complaints++;
  CHECK(settled.committed + settled.aborted + settled.unreachable == 2);
}

/* With a sound system: nothing stays in doubt, whoever failed. */
static void settle_all(void) {
  rille_error e = {0};
  rille_settled settled;
  rille_doubts doubts = {0};
  rille_options o = options_small(RILLE_SYNC_ALWAYS, false);
  (void)rille_instance_close(instance, NULL); /* NULL is none */
  instance = NULL;
  (void)rille_store_close(here), (void)rille_store_close(there);
  here = open_with(here_path, &o);
  there = open_with(there_path, &o);
  if (!CHECK(rille_store_settle(there, NULL, &settled, &e) == 0)) printf("    %s\n", e.message);
  CHECK(rille_store_indoubt(there, &doubts, &e) == 0 && doubts.count == 0);
  rille_doubts_free(&doubts);
  said.must_close = false;
}

#endif
