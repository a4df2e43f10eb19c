/* pause_test.c: processes that are stopped (SIGSTOP) at bad moments: with each of the locks
** in their hands, in LMDB's transactions, at any call of opening and closing. Others do what they
** can, and what has a deadline keeps it; what needs the lock waits, and goes on when the stopped
** one is continued, or killed as it stands; who is continued undoes nothing. */
#define _GNU_SOURCE
#define LOG_FRESH_BYTES_MOST ((uint64_t)32 << 10) /* so that each few appends fold */
#include "fold.c"

#include "processes.h"

#ifndef __linux__
int main(void) { return puts("0 passed, 0 failed, 1 skipped: calls are watched on Linux") < 0; }
#else

#include "calls.h"

#define LOOK_US 60000    /* who has not ended by then is taken for one who waits */
#define SOON_US 5000000  /* a machine may be busy */
#define FATES 2          /* continued; killed */
#define KEYS 40u
#define ROUNDS 150

static char path[300];
static char data[400];

static void begin(const char *name) {
  strcpy(path, path_of(name));
  random_fill(data, sizeof data);
  call_watch = NULL;
}

/* ---- Stopping ---- */

static void stop(void) { kill(getpid(), SIGSTOP); }

static bool is_of_index(const struct call *c) {
  char name[64], file[4096];
  snprintf(name, sizeof name, "/proc/self/fd/%d", c->fd);
  ssize_t n = c->fd < 0 ? 0 : readlink(name, file, sizeof file);
  return n > 8 && memcmp(file + n - 8, "data.mdb", 8) == 0;
}

static struct moment {
  enum call_kind kind;
  bool of_index, after;
} moment;

static int stop_at_moment(const struct call *c) {
  if (c->kind != moment.kind || c->done != moment.after) return 0;
  if (moment.of_index ? !is_of_index(c) : !is_of_log(c)) return 0;
  call_watch = NULL;
  stop();
  return 0;
}

/* Whether it stopped; else it has ended, with *status. */
static bool wait_stopped(pid_t pid, int *status) {
  int told = 0;
  while (waitpid(pid, &told, WUNTRACED) < 0 && errno == EINTR) continue;
  if (WIFSTOPPED(told)) return true;
  *status = status_of(told);
  return false;
}

static pid_t start_stopped(int (*job)(void *context), struct moment m) {
  int status;
  moment = m;
  pid_t pid = start(job, NULL);
  if (!CHECK(wait_stopped(pid, &status))) printf("       it ended with %d\n", status);
  return pid;
}

/* Its status, or -1: it goes on. */
static int ends_within(pid_t pid, int64_t us) {
  int status;
  for (int64_t end = now_us() + us; now_us() < end; usleep(500))
    if (waitpid(pid, &status, WNOHANG) == pid) return status_of(status);
  return -1;
}

static void let_go(pid_t pid, int fate) {
  kill(pid, fate == 0 ? SIGCONT : SIGKILL);
  CHECK(wait_for(pid) == (fate == 0 ? 0 : KILLED));
}

/* ---- What others do meanwhile ---- */

static int append_strictly(void *context) {
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  (void)context;
  call_watch = moment.kind < CALL_KINDS ? stop_at_moment : NULL;
  CHECK(put_one(store, "victim") == 0);
  call_watch = NULL;
  CHECK(rille_store_close(store) == 0);
  return 0;
}

static int append_beside(void *context) {
  moment.kind = CALL_KINDS; /* none */
  return append_strictly(context);
}

static int open_and_close(void *readonly) {
  rille_options o = options_of(RILLE_SYNC_NEVER, false);
  o.readonly = readonly != NULL;
  rille_store *store = open_with(path, &o);
  CHECK(rille_store_head(store) >= 1 && rille_store_close(store) == 0);
  return 0;
}

static int keep(rille_store *store) {
  rille_kept_put puts[KEYS];
  char keys[KEYS][16];
  for (unsigned i = 0; i < KEYS; i++) {
    sprintf(keys[i], "k-%u", i);
    puts[i] = (rille_kept_put){.key = rille_text_of(keys[i]), .value = {data, sizeof data}};
  }
  const rille_kept_write write = {.size = sizeof write, .puts = puts, .put_count = KEYS};
  return rille_store_kept_write(store, &write, NULL);
}

static int keep_beside(void *context) {
  rille_store *store = open_store(path, RILLE_SYNC_NEVER);
  (void)context;
  CHECK(keep(store) == 0 && rille_store_close(store) == 0);
  return 0;
}

/* Reading, waiting with a deadline, coming and going. `flushes`: so does who closes. */
static void check_not_kept(rille_store *store, uint64_t events, bool flushes) {
  uint64_t version;
  int64_t since = now_us();
  CHECK(rille_store_head(store) == events && count_read(store) == events);
  CHECK(rille_store_version(store, rille_text_of("s"), &version, NULL) == 0);
  CHECK(rille_store_wait(store, events + 1, 20, NULL) == RILLE_REMARK);
  CHECK(now_us() - since < SOON_US);
  for (intptr_t readonly = !flushes; readonly < 2; readonly++)
    CHECK(ends_within(start(open_and_close, (void *)readonly), SOON_US) == 0);
}

/* ---- WRITER ---- */

/* D7: steps of a transaction until the decision wait for the log no longer than to its deadline. */
static void check_deadline(rille_store *store) {
  rille_event_input event = {.type = rille_text_of("Happened")};
  rille_part part = {
      .stream = rille_text_of("t"), .expect = RILLE_EXPECT_ANY, .events = &event, .event_count = 1};
  const rille_append work = {.size = sizeof work, .parts = &part, .part_count = 1};
  const char *id = "6ba7b810-9dad-41d1-80b4-00c04fd430c8.1.0123456789abcdef.1";
  struct timespec now;
  int64_t since = now_us(); /* before the deadline is: this process may be made to wait here */
  clock_gettime(CLOCK_REALTIME, &now);
  int64_t deadline_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 + LOOK_US;
  const rille_prepare prepare = {.size = sizeof prepare,
                                 .id = rille_text_of(id),
                                 .name = rille_text_of("here"),
                                 .home_kind = rille_text_of("elsewhere"),
                                 .home_path = rille_text_of("/nowhere"),
                                 .deadline_us = deadline_us,
                                 .work = &work};
  const rille_decide decide = {.size = sizeof decide,
                               .id = rille_text_of(id),
                               .outcome = RILLE_OUTCOME_ABORTED,
                               .deadline_us = deadline_us};
  rille_error e = {0};
  rille_decided decided;
  CHECK(rille_store_prepare(store, &prepare, NULL, &e) == RILLE_BUSY);
  CHECK(strstr(e.message, "deadline") != NULL);
  CHECK(rille_store_decide(store, &decide, &decided, NULL) == RILLE_BUSY);
  CHECK(now_us() - since >= LOOK_US / 2 && now_us() - since < SOON_US);
}

static void try_writer(bool after, int fate) {
  begin("writer");
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  CHECK(put_one(store, "s") == 0);
  pid_t victim = start_stopped(append_strictly, (struct moment){CALL_WRITE, false, after});
  check_not_kept(store, 1, true);
  check_deadline(store);
  CHECK(keep(store) == 0);
  pid_t other = start(append_beside, NULL);
  CHECK(ends_within(other, LOOK_US) == -1);
  let_go(victim, fate);
  CHECK(wait_for(other) == 0);
  CHECK(put_one(store, "s") == 0);
  check_reopened(store, path, fate == 0 ? 4 : 3); /* unpublished is not written */
  remove_store(path);
}

static void who_is_stopped_appending_keeps_only_appends(void) {
  for (int fate = 0; fate < FATES; fate++) {
    try_writer(false, fate);
    try_writer(true, fate);
  }
}

/* ---- FLUSHER ---- */

static void try_flusher(bool after, int fate) {
  begin("flusher");
  rille_store *relaxed = open_store(path, RILLE_SYNC_NEVER);
  rille_store *strict = open_store(path, RILLE_SYNC_ALWAYS);
  CHECK(put_one(strict, "s") == 0);
  pid_t victim = start_stopped(append_strictly, (struct moment){CALL_FLUSH, false, after});
  CHECK(put_one(relaxed, "s") == 0);
  CHECK(rille_store_head(relaxed) == 3 && count_read(relaxed) == 3);
  check_not_kept(strict, 1, false); /* the end that no power cut takes */
  pid_t other = start(append_beside, NULL);
  CHECK(ends_within(other, LOOK_US) == -1);
  CHECK(rille_store_durable(strict) == 1);
  let_go(victim, fate);
  CHECK(wait_for(other) == 0);
  CHECK(rille_store_durable(strict) == 4 && rille_store_close(strict) == 0);
  check_reopened(relaxed, path, 4);
  remove_store(path);
}

static void who_is_stopped_flushing_keeps_only_the_strict(void) {
  for (int fate = 0; fate < FATES; fate++) {
    try_flusher(false, fate);
    try_flusher(true, fate);
  }
}

/* ---- FOLDER, and LMDB's writer ---- */

static int append_until_stopped(void *context) {
  rille_store *store = open_store(path, RILLE_SYNC_NEVER);
  char name[16];
  (void)context;
  call_watch = stop_at_moment;
  for (int i = 0; i < 1000 && call_watch; i++) {
    sprintf(name, "v-%d", i % 100);
    CHECK(put(store, name, RILLE_EXPECT_ANY, data, sizeof data, NULL) == 0);
    CHECK(rille_store_poll(store, NULL) == 0);
  }
  CHECK(rille_store_close(store) == 0);
  return 0;
}

static void try_folder(enum call_kind kind, int fate) {
  rille_kept kept = {.room_bytes = 0};
  begin("folder");
  rille_store *store = open_store(path, RILLE_SYNC_NEVER);
  CHECK(put_one(store, "s") == 0 && keep(store) == 0);
  pid_t victim = start_stopped(append_until_stopped, (struct moment){kind, true, false});
  uint64_t events = rille_store_head(store);
  for (int i = 0; i < 20; i++) CHECK(put_one(store, "s") == 0);
  check_not_kept(store, events + 20, true);
  CHECK(rille_store_kept_get(store, rille_text_of("k-1"), &kept, NULL) == RILLE_REMARK);
  pid_t other = start(keep_beside, NULL);
  CHECK(ends_within(other, LOOK_US) == -1); /* LMDB has one writer */
  let_go(victim, fate);
  CHECK(wait_for(other) == 0 && keep(store) == 0);
  for (int i = 0; i < 200; i++) CHECK(put_one(store, "s") == 0);
  check_reopened(store, path, events + 220);
  remove_store(path);
}

static void who_is_stopped_folding_keeps_only_who_writes_to_the_index(void) {
  for (int fate = 0; fate < FATES; fate++) {
    try_folder(CALL_WRITE, fate);
    try_folder(CALL_FLUSH, fate);
  }
}

/* ---- A reader of LMDB's ---- */

/* Of the index, of which LMDB reads one state then: two pages while it keeps writers out, and
** behind them all others. */
static int writes_of_copy;

#pragma GCC visibility push(default)
ssize_t write(int fd, const void *bytes, size_t n) {
  struct call c = {.kind = CALL_WRITE, .fd = fd};
  if (writes_of_copy > 0 && is_of_index(&c) && --writes_of_copy == 0) stop();
  return syscall(SYS_write, fd, bytes, n);
}
#pragma GCC visibility pop

static int copy_and_stop(void *context) {
  rille_store *store = open_store(path, RILLE_SYNC_NEVER);
  (void)context;
  writes_of_copy = 2;
  CHECK(rille_store_backup(store, path_of("copy"), NULL) == 0);
  CHECK(rille_store_close(store) == 0 && writes_of_copy == 0);
  rille_store *copy = open_store(path_of("copy"), RILLE_SYNC_NEVER);
  rille_kept kept = {.room_bytes = 0};
  CHECK(is_sound(copy, 1)); /* as it was when it began */
  CHECK(rille_store_kept_get(copy, rille_text_of("k-1"), &kept, NULL) == RILLE_REMARK);
  CHECK(rille_store_close(copy) == 0);
  return 0;
}

static uint64_t write_to_index(rille_store *store) {
  for (int i = 0; i < ROUNDS; i++) {
    random_fill(data, sizeof data);
    CHECK(keep(store) == 0);
  }
  return stats_of(store).index_bytes;
}

/* Its pages are kept for it: the file grows meanwhile, and no more when it is gone. */
static void who_is_stopped_copying_the_index_keeps_its_pages(void) {
  for (int fate = 0; fate < FATES; fate++) {
    int status;
    begin("reader");
    rille_store *store = open_store(path, RILLE_SYNC_NEVER);
    CHECK(put_one(store, "s") == 0 && keep(store) == 0);
    uint64_t before = write_to_index(store);
    pid_t victim = start(copy_and_stop, NULL);
    CHECK(wait_stopped(victim, &status));
    uint64_t grown = write_to_index(store);
    CHECK(grown > before + ROUNDS * sizeof data);
    let_go(victim, fate);
    for (int i = 0; i < 400; i++) /* who folds sees that it is dead */
      CHECK(put(store, "s", RILLE_EXPECT_ANY, data, sizeof data, NULL) == 0);
    uint64_t after = write_to_index(store), last = write_to_index(store);
    printf("       index: %llu bytes, %llu beside the stopped, then %llu, %llu\n",
           (unsigned long long)before, (unsigned long long)grown, (unsigned long long)after,
           (unsigned long long)last);
    CHECK(last <= grown + 16 * 4096);
    check_reopened(store, path, 401);
    remove_store(path);
    remove_store(path_of("copy"));
  }
}

/* ---- OPENING ---- */

static int calls_left;

static int stop_at_call(const struct call *c) {
  if (c->done || --calls_left != 0) return 0;
  call_watch = NULL;
  stop();
  return 0;
}

/* What it appends is folded when it closes, as the last one. */
static int live_and_stop(void *context) {
  (void)context;
  call_watch = stop_at_call;
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  CHECK(put_one(store, "victim") == 0 && rille_store_close(store) == 0);
  call_watch = NULL;
  return 0;
}

/* The last append is torn, and the index is behind. */
static void leave_torn(void) {
  pid_t victim = start_stopped(append_strictly, (struct moment){CALL_WRITE, false, true});
  let_go(victim, 1);
}

/* False: that many calls it does not make. */
static bool try_opening(int call, int fate, bool made) {
  int status = 0;
  uint64_t events = 0;
  if (made) {
    CHECK(ends_within(start(append_beside, NULL), SOON_US) == 0);
    leave_torn();
    events = 1;
  }
  calls_left = call;
  pid_t victim = start(live_and_stop, NULL);
  bool stopped = wait_stopped(victim, &status);
  pid_t other = start(append_beside, NULL);
  if (stopped) {
    if (ends_within(other, 5000) == 0) other = 0;
    let_go(victim, fate);
  } else {
    CHECK(status == 0);
  }
  if (other) CHECK(wait_for(other) == 0);
  CHECK(wait_for(start(open_and_close, (void *)1)) == 0);
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  uint64_t head = rille_store_head(store);
  if (!CHECK(head >= events + 1 && head <= events + 3)) printf("       call %d\n", call);
  if (!stopped || fate == 0) CHECK(head >= events + 2);
  check_reopened(store, path, head);
  remove_store(path);
  return stopped;
}

static void who_is_stopped_opening_or_closing_is_waited_for(void) {
  for (int made = 0; made < 2; made++) {
    int call = 1;
    begin("opening");
    while (try_opening(call, call % FATES, made)) call++;
    printf("       stopped at %d calls\n", call - 1);
    CHECK(call > 15);
  }
}

static const struct test tests[] = {
    {"who is stopped appending keeps only appends waiting",
     who_is_stopped_appending_keeps_only_appends},
    {"who is stopped flushing keeps only the strict waiting",
     who_is_stopped_flushing_keeps_only_the_strict},
    {"who is stopped folding keeps only who writes to the index",
     who_is_stopped_folding_keeps_only_who_writes_to_the_index},
    {"who is stopped copying the index keeps its pages",
     who_is_stopped_copying_the_index_keeps_its_pages},
    {"who is stopped opening or closing is waited for",
     who_is_stopped_opening_or_closing_is_waited_for},
};
TEST_MAIN(tests)

#endif
