/* errors_test.c: the 1st, 2nd, 3rd ... call of each class to the system fails, once or from
** then on, until an act passes untouched. Whatever fails: nothing crashes; each call did what
** it should or says so, with a code and a message; nothing is left open, mapped or allocated;
** and with a sound system again the store has what was acknowledged and nothing that was
** refused, can be written, or says that it must be closed, and then opens.
**
** An act has a process of its own. RILLE_SOAK=1: every errno for every call. */
#define _GNU_SOURCE
#include "processes.h"

#ifndef __linux__
int main(void) { return puts("0 passed, 0 failed, 1 skipped: calls are watched on Linux") < 0; }
#else

#include "acts.h"

#include "fixture.h"

#define RUNS_MOST 3000
#define HANG_SECONDS 60

/* Shared with the parent, which prints it when the process dies. */
static struct shared {
  const char *act;
  struct failing_plan plan;
  char where[FAILING_WHERE_BYTES];
  unsigned long runs, errors, untouched, silent;
} * shared;

/* ---- The judge ---- */

/* On the handle that has met the error. */
static void judge_use(struct ledger *told, rille_store *s) {
  rille_error e = {0};
  rille_stats stats;
  bool failed = rille_store_stats(s, &stats, &e) == 0 && stats.failed;
  int result = ledger_append(told, s, "after", 1, 20, &e);
  bool may_fail = failed || said.must_close || failing.by_lmdb;
  if (!CHECK(result == 0 || (may_fail && (result == RILLE_IO || result == RILLE_UNKNOWN))))
    printf("       append afterwards: %d: %s (%s)\n", result, e.message, said.last);
  if (failed) CHECK(result == RILLE_IO);
  if (result) CHECK(strstr(e.message, "close") != NULL);
  if (result == 0) ledger_check(told, s);
  int closed = rille_store_close(s);
  CHECK(result ? closed <= 0 : closed == 0);
}

static void judge_reopened(struct ledger *told, const char *path) {
  rille_store *s;
  rille_error e = {0};
  int result = rille_store_open(path, NULL, &s, &e);
  if (!CHECK(result >= 0)) printf("       open: %s (%s)\n", e.message, said.last);
  if (result < 0) return;
  ledger_check(told, s);
  if (!CHECK(ledger_append(told, s, "after", 1, 20, &e) == 0)) printf("       %s\n", e.message);
  uint64_t events = 0;
  for (uint32_t i = 0; i < told->count; i++) events += told->lines[i].seen + (i + 1 == told->count);
  CHECK(is_sound(s, ledger_has_more ? rille_store_head(s) : events));
  CHECK(rille_store_close(s) == 0);
}

/* What was begun and not done is removed, if that is possible. */
static void check_nothing_left(const char *in, const char *name) {
  enum failing_class c = failing.plan.class;
  struct dirent *entry;
  if (c == FAILING_REMOVE || c == FAILING_LIST || c == FAILING_STAT || c == FAILING_MEMORY) return;
  DIR *d = opendir(in);
  while (d && (entry = readdir(d)) != NULL) CHECK(strstr(entry->d_name, name) == NULL);
  if (d) closedir(d);
}

static void judge(const struct act *act) {
  check_nothing_left(world, ".new-");
  if (act->settle) act->settle();
  if (here) judge_use(&here_told, here);
  if (there) judge_use(&there_told, there);
  here = there = NULL;
  judge_reopened(&here_told, here_path);
  if (there_told.count) judge_reopened(&there_told, there_path);
  if (access(copy_path, F_OK) != 0) return;
  struct ledger copied = here_told;
  rille_store *s;
  if (CHECK(rille_store_open(copy_path, NULL, &s, NULL) >= 0)) CHECK(rille_store_close(s) == 0);
  (void)copied;
}

/* ---- Errors that need not be told ---- */

/* What was hit, by the end of its name, and why nobody must know. */
static const struct quiet {
  enum failing_class class;
  const char *where;
  const char *why;
  const char *acts; /* NULL: in all of them */
} quiet[] = {
    {FAILING_LINK, ".seg", "it is copied instead", NULL},
    {FAILING_READ, "a hint", "it is read then", NULL},
    {FAILING_MAP, ".seg", "what can't be mapped is read by calls", NULL},
    {FAILING_MEMORY, "memory", "the same", "reading"},
    {FAILING_STAT, "", "it is looked for in another way, or made again", NULL},
    {FAILING_CUT, ".seg", "zeros behind the end of a file that has a successor do no harm", NULL},
    {FAILING_REMOVE, ".torn", "there was none", NULL},
    {FAILING_READ, "index/data.mdb", "the sum is not left then", "folding"},
    {FAILING_OPEN, "index/sum", "without its sum the index is looked at as after a crash", NULL},
    {FAILING_OPEN, "index/data.mdb", "the sum is not left then; a reader makes its own", NULL},
    {FAILING_WRITE, "index/sum", "the same", NULL},
    {FAILING_LOCK, "store", "who can't tell whether he is alone leaves the fold to others", NULL},
    {FAILING_WRITE, ".torn", "the copy of what is cut needs room, if there is any", "repairing"},
    {FAILING_FLUSH, ".torn", "the same", "repairing"},
    {FAILING_OPEN, ".torn", "the same", "repairing"},
    {FAILING_WRITE, ".seg", "a store opens on a full disk", "making opening repairing rebuilding"},
};

static bool may_be_quiet(const struct act *act) {
  size_t n = strlen(failing.where);
  for (size_t i = 0; i < sizeof quiet / sizeof *quiet; i++) {
    size_t m = strlen(quiet[i].where);
    if (quiet[i].class == failing.plan.class && n >= m &&
        strcmp(failing.where + n - m, quiet[i].where) == 0 &&
        (!quiet[i].acts || strstr(quiet[i].acts, act->name)))
      return true;
  }
  return act->tries_again;
}

/* Made again by who asked, and so not to be seen. LMDB does not always do so. */
static bool must_be_invisible(void) {
  int number = failing.plan.number;
  return (number == FAILING_SHORT || number == EINTR) && !failing.by_lmdb &&
         failing.plan.class != FAILING_FLUSH;
}

static void judge_what_was_said(const struct act *act) {
  if (must_be_invisible()) {
    if (!CHECK(said.complaints == 0)) printf("       %s\n", said.last);
  } else if (said.complaints == 0 && !failing.by_lmdb) {
    CHECK(may_be_quiet(act)); /* or an error was swallowed */
  }
}

/* ---- Runs ---- */

struct variant {
  int number;
  bool from_now_on;
};

#define VARIANTS_MOST 8
static const struct variant variants[FAILING_CLASS_COUNT][VARIANTS_MOST + 1] = {
    [FAILING_READ] =
        {{EIO, false}, {EIO, true}, {EINTR, false}, {FAILING_SHORT, false}, {FAILING_SHORT, true}},
    [FAILING_WRITE] = {{EIO, false},
                       {EIO, true},
                       {ENOSPC, false},
                       {ENOSPC, true},
                       {EDQUOT, true},
                       {EINTR, false},
                       {FAILING_SHORT, false},
                       {FAILING_SHORT, true}},
    [FAILING_FLUSH] = {{EIO, false}, {EIO, true}, {ENOSPC, false}, {EDQUOT, true}, {EINTR, false}},
    [FAILING_OPEN] = {{EMFILE, false},
                      {EMFILE, true},
                      {EIO, false},
                      {ENOSPC, true},
                      {EINTR, false},
                      {ENFILE, false}},
    [FAILING_LIST] = {{EIO, false}, {EMFILE, true}, {ENOMEM, false}},
    [FAILING_STAT] = {{EIO, false}, {ENOMEM, true}},
    [FAILING_RENAME] = {{EIO, false}, {ENOSPC, true}},
    [FAILING_REMOVE] = {{EIO, false}, {EIO, true}},
    [FAILING_LINK] = {{EMLINK, false}, {EIO, true}, {EDQUOT, false}},
    [FAILING_FOLDER] = {{EIO, false}, {ENOSPC, true}, {EDQUOT, false}},
    [FAILING_CUT] = {{EIO, false}, {EIO, true}, {EINTR, false}},
    [FAILING_MAP] = {{ENOMEM, false}, {ENOMEM, true}},
    [FAILING_LOCK] = {{ENOLCK, false}, {EIO, true}, {EINTR, false}},
    [FAILING_THREAD] = {{EAGAIN, false}},
    [FAILING_MEMORY] = {{ENOMEM, false}, {ENOMEM, true}},
};

static struct fixture fixture;
static struct ledger here_before, there_before;

static void check_held(const struct failing_held *before) {
  struct failing_held after = failing_held();
  CHECK(after.descriptors == before->descriptors);
  CHECK(after.maps == before->maps);
  if (!CHECK(after.blocks == before->blocks))
    printf("       %ld blocks\n", after.blocks - before->blocks);
}

static char scratch[320]; /* for what the library makes for itself */

/* Without a plan nothing fails. */
static void perform(const struct act *act, const struct failing_plan *plan) {
  alarm(HANG_SECONDS); /* of one run */
  ledger_has_more = false;
  memset(&said, 0, sizeof said);
  fixture_put_back(&fixture);
  here_told = here_before;
  there_told = there_before;
  struct failing_held before = failing_held();
  act->prepare();
  memset(&said, 0, sizeof said);
  shared->act = act->name;
  if (plan) {
    shared->plan = *plan;
    failing_arm(plan);
  }
  act->run();
  failing_disarm();
  memcpy(shared->where, failing.where, sizeof shared->where);
  if (plan && atomic_load(&failing.hits)) judge_what_was_said(act);
  judge(act);
  if (plan) check_held(&before);
  if (plan) check_nothing_left(scratch, "rille-"); /* a reader's own index */
}

static void explain(const struct act *act, const struct failing_plan *p) {
  printf("       in \"%s\": %s number %ld%s, errno %d, at %s%s; %s\n", act->name,
         failing_names[p->class], p->at, p->from_now_on ? " and all that follow" : "", p->number,
         failing.where, failing.by_lmdb ? " by LMDB" : "", said.last);
}

/* False: the n-th call never came. */
static bool perform_and_tell(const struct act *act, const struct failing_plan *plan) {
  unsigned before = test_failures;
  perform(act, plan);
  shared->runs++;
  if (!failing.hits) shared->untouched++;
  shared->errors += (unsigned long)atomic_load(&failing.hits);
  if (test_failures > before && before < TEST_SHOWN_MOST) explain(act, plan);
  return atomic_load(&failing.hits) > 0;
}

static size_t count_variants(enum failing_class class) {
  size_t n = 0;
  while (variants[class][n].number) n++;
  return n;
}

static void fail_each(const struct act *act, enum failing_class class, bool all) {
  size_t count = count_variants(class);
  bool on = true;
  uint32_t step = all || !act->tries_again ? 1 : 3; /* those make many calls more than once */
  if (!all) step *= 3 / test_part(3);                /* under the sanitizers a third, by chance */
  for (long n = 1; on && n < RUNS_MOST && test_failures < TEST_SHOWN_MOST;
       n += 1 + random_below(2 * step - 1)) {
    size_t chosen = random_below((uint32_t)count);
    for (size_t i = 0; i < count; i++) {
      const struct variant *v = &variants[class][i];
      struct failing_plan plan = {class, n, v->number, v->from_now_on};
      if (all || i == chosen) on = perform_and_tell(act, &plan);
    }
  }
}

static int play(void *context) {
  const struct act *act = context;
  const char *only = getenv("CLASS");
  bool all = test_tries_all() || getenv("ALL"); /* the latter for mutants: no chance */
  snprintf(here_path, sizeof here_path, "%s/here", world);
  snprintf(there_path, sizeof there_path, "%s/there", world);
  snprintf(copy_path, sizeof copy_path, "%s/copy", world);
  fixture_begin(&fixture, world);
  act->fixture();
  fixture_take(&fixture, world);
  here_before = here_told;
  there_before = there_told;
  for (int warm = 0; warm < 2; warm++) {
    perform(act, NULL);
    if (!CHECK(said.complaints == 0)) printf("       %s\n", said.last);
  }
  for (int class = 0; class < FAILING_CLASS_COUNT; class ++)
    if (!only || strcmp(only, failing_names[class]) == 0)
      fail_each(act, (enum failing_class) class, all);
  fixture_end(&fixture);
  return 0;
}

static void stage(const struct act *act) {
  if (!shared) shared = share(sizeof *shared);
  memset(shared, 0, sizeof *shared);
  if (access("/dev/shm", W_OK) == 0 && !*folder) setenv("TMPDIR", "/dev/shm", 1);
  strcpy(world, path_of("world"));
  strcpy(scratch, path_of("scratch"));
  (void)mkdir(scratch, 0777);
  setenv("TMPDIR", scratch, 1);
  remove_store(world);
  int status = wait_for(start(play, (void *)(uintptr_t)act));
  if (!CHECK(status == 0) && status != 99)
    printf("       status %d in \"%s\": %s number %ld, errno %d\n", status, act->name,
           failing_names[shared->plan.class], shared->plan.at, shared->plan.number);
  CHECK(shared->errors > 0);
  printf("       %lu runs, %lu errors\n", shared->runs, shared->errors);
  test_tally("injected errors", shared->errors);
  remove_store(world);
  remove_store(scratch);
}

#define ACT(function, name, fixture, prepare, run, settle, again)               \
  static void function(void) {                                                  \
    static const struct act act = {name, fixture, prepare, run, settle, again}; \
    stage(&act);                                                                \
  }

ACT(making, "making", make_nothing, prepare_nothing, make_and_use, NULL, false)
ACT(opening, "opening", make_store, prepare_nothing, open_and_use, NULL, false)
ACT(repairing, "repairing", make_torn, prepare_nothing, open_and_use, NULL, false)
ACT(rebuilding, "rebuilding", make_store, prepare_nothing, rebuild, NULL, false)
ACT(only_reading, "readonly", make_torn, prepare_nothing, open_readonly_and_read, NULL, true)
ACT(reading, "reading", make_store, open_here, read_in_all_ways, NULL, false)
ACT(appending, "appending", make_store, open_here, append_in_all_ways, NULL, false)
ACT(appending_lax, "appending, never", make_store, open_here_lax, append_and_sync, NULL, false)
ACT(appending_later, "background", make_store, prepare_nothing, append_in_background, NULL, false)
ACT(succeeding, "succeeding", make_store, prepare_nothing, succeed_in_background, NULL, true)
ACT(truncating, "truncating", make_store, open_here, truncate_and_delete, NULL, false)
ACT(folding, "folding", make_store, open_here_and_fill, close_it, NULL, false)
ACT(backing_up, "backup", make_store, open_here, back_up, NULL, false)
ACT(scavenging, "scavenging", make_whole_store, open_here_and_hide, scavenge, NULL, false)
ACT(redacting, "redacting", make_whole_store, open_here_and_hide, redact, NULL, false)
ACT(verifying, "verifying", make_store, open_here, look_after, NULL, false)
ACT(keeping, "keeping", make_store, open_here, keep, NULL, false)
ACT(transacting, "transacting", make_both, open_both, transact_twice_and_end, settle_all, false)
ACT(settling, "settling", make_doubts, open_there_without_home, settle_there, settle_all, true)
ACT(opening_doubts, "doubts", make_doubts, prepare_nothing, open_there, settle_all, true)

static const struct test tests[] = {
    {"making a store", making},
    {"opening a store", opening},
    {"repairing a store", repairing},
    {"making the index anew", rebuilding},
    {"opening for reading", only_reading},
    {"reading", reading},
    {"appending", appending},
    {"appending, and flushing later", appending_lax},
    {"appending, and flushing in the background", appending_later},
    {"beginning files in the background", succeeding},
    {"truncating", truncating},
    {"folding and closing", folding},
    {"a backup", backing_up},
    {"verifying", verifying},
    {"giving bytes back", scavenging},
    {"taking content out", redacting},
    {"keeping bytes", keeping},
    {"a transaction over two stores", transacting},
    {"settling", settling},
    {"opening a store in doubt", opening_doubts},
};
TEST_MAIN(tests)

#endif
