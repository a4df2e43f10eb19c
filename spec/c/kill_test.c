/* kill_test.c: writers and followers on one store, killed at random moments and at random
** calls, one by one and all at once, over and over; they are stopped and continued, too.
**
** Nobody may notice: no append fails, nobody waits long, no follower sees a gap or what is
** not there later. After each round everything acknowledged is in the log, once, at the
** positions told. A writer that is started again repeats, with the same ids, the append it
** died in: that must be there once, too.
**
** SECONDS= is how long to go on. */
#define _GNU_SOURCE
#define LOG_FRESH_BYTES_MOST ((uint64_t)256 << 10) /* folds are to be died in, too */
#include "fold.c"

#include "processes.h"

#ifndef __linux__
int main(void) { return puts("0 passed, 0 failed, 1 skipped: calls are watched on Linux") < 0; }
#else

#include "calls.h"

#define SECONDS 8
#define ROUND_US 1500000
#define WRITERS 8
#define SLOTS 12              /* the rest are followers, half of them readonly */
#define SHARED_STREAMS 3
#define APPENDS_MOST 60000u   /* of one writer, in a round */
#define EVENTS_MOST 400000u
#define STALL_US 5000000      /* a machine may be busy; nothing of ours waits that long */
#define SEGMENT_BYTES ((uint64_t)2 << 20)
#define LARGE_BYTES 150000u

/* What each event says of itself. */
struct label {
  uint32_t slot, serial, index, count;
};

struct told {
  uint64_t first, last, version; /* first 0: not acknowledged */
};

struct slot {
  _Atomic uint32_t begun, done;           /* appends */
  _Atomic int64_t since_us, longest_us;   /* since: of the call that is being made */
  struct told told[APPENDS_MOST];
};

static struct world {
  struct slot slots[SLOTS];
  _Atomic uint64_t seen[EVENTS_MOST];     /* what a follower saw at a position */
  _Atomic int stop, complained;
  _Atomic uint64_t folds;                 /* since the store was last opened by a first one */
  char complaint[1000];
} *world;

static char path[300];
static char data[LARGE_BYTES];

/* Of the parent. */
static pid_t pids[SLOTS];
static int64_t stopped_until[SLOTS];
static unsigned long kills, appends, events, stops, repairs, folds, rounds;
static int64_t longest_us;

static int complain(unsigned slot, const char *what, long long a, const char *more) {
  if (atomic_exchange(&world->complained, 1) == 0)
    snprintf(world->complaint, sizeof world->complaint, "%s %u: %s (%lld) %s",
             slot < WRITERS ? "writer" : "follower", slot, what, a, more);
  return 1;
}

/* ---- Dying at a call ---- */

static struct trap {
  enum call_kind kind;
  bool half, after;
} trap;
static atomic_uint calls_left; /* of any thread; 0: no trap is set */

static int watch(const struct call *c) {
  if (atomic_load(&calls_left) == 0 || c->kind != trap.kind || c->done != trap.after) return 0;
  if (atomic_load(&world->stop) || atomic_fetch_sub(&calls_left, 1) != 1) return 0;
  if (c->kind == CALL_WRITE && trap.half && !c->done) die_half_written(c);
  die();
  return 0;
}

static void set_trap(unsigned most) {
  trap = (struct trap){.kind = (enum call_kind)random_below(CALL_KINDS),
                       .half = one_in(2),
                       .after = one_in(2)};
  atomic_store(&calls_left, 1 + random_below(most));
  call_watch = watch;
}

/* ---- A writer ---- */

static void begin_call(struct slot *s) { atomic_store(&s->since_us, now_us()); }

static void end_call(struct slot *s) {
  int64_t us = now_us() - atomic_load(&s->since_us);
  atomic_store(&s->since_us, 0);
  if (us > atomic_load(&s->longest_us)) atomic_store(&s->longest_us, us);
}

/* Append `serial` of a writer is always the same, so that it can be repeated. */
struct shape {
  char own[16], shared[16], id[24];
  struct label labels[5];
  rille_event_input events[5];
  rille_part parts[2];
  size_t part_count;
};

static void make_shape(struct shape *s, uint32_t slot, uint32_t serial, int64_t version) {
  uint64_t before = test_random;
  test_random = (uint64_t)slot << 32 | serial;
  uint32_t own = 1 + random_below(3), other = one_in(3) ? 1 + random_below(2) : 0;
  size_t n = one_in(24) ? LARGE_BYTES - random_below(9000) : random_below(300);
  sprintf(s->own, "own-%u", slot);
  sprintf(s->shared, "shared-%u", random_below(SHARED_STREAMS));
  sprintf(s->id, "%u-%u", slot, serial);
  for (uint32_t i = 0; i < own + other; i++) {
    s->labels[i] = (struct label){slot, serial, i, own + other};
    s->events[i] = (rille_event_input){.type = rille_text_of("Happened"),
                                       .id = rille_text_of(s->id),
                                       .data = {(char *)&s->labels[i], sizeof s->labels[i]}};
    s->events[i].meta = (rille_text){data, i ? 0 : n};
    if (i && i != own) s->events[i].id = (rille_text){0};
  }
  s->parts[0] = (rille_part){rille_text_of(s->own), version ? version : RILLE_EXPECT_NONE,
                             s->events, own};
  s->parts[1] = (rille_part){rille_text_of(s->shared), RILLE_EXPECT_ANY, s->events + own, other};
  s->part_count = other ? 2 : 1;
  test_random = before;
}

static int append_next(rille_store *store, uint32_t slot, uint64_t *version) {
  struct slot *s = &world->slots[slot];
  uint32_t serial = atomic_load(&s->done);
  struct shape shape;
  rille_error e = {0};
  rille_appended done;
  uint64_t versions[2] = {0};
  make_shape(&shape, slot, serial, (int64_t)*version);
  rille_append a = {.size = sizeof a,
                    .parts = shape.parts,
                    .part_count = shape.part_count,
                    .versions = versions};
  atomic_store(&s->begun, serial + 1);
  begin_call(s);
  int result = rille_store_append(store, &a, &done, &e);
  end_call(s);
  if (result < 0) return complain(slot, "an append failed", result, e.message);
  if (!done.duplicate && versions[0] != *version + shape.parts[0].event_count)
    return complain(slot, "a version is wrong", (long long)versions[0], "");
  if (versions[0] > *version) *version = versions[0];
  s->told[serial] = (struct told){done.first, done.last, versions[0]};
  atomic_store(&s->done, serial + 1);
  return 0;
}

static rille_store *open_slot(uint32_t slot, bool readonly) {
  struct slot *s = &world->slots[slot];
  rille_options o = options_of(RILLE_SYNC_ALWAYS, one_in(2));
  rille_store *store = NULL;
  rille_error e = {0};
  o.readonly = readonly;
  o.segment_bytes = SEGMENT_BYTES;
  begin_call(s);
  int result = rille_store_open(path, &o, &store, &e);
  end_call(s);
  if (result < 0) complain(slot, "it can't be opened", result, e.message);
  return store;
}

static int close_slot(rille_store *store, uint32_t slot) {
  begin_call(&world->slots[slot]);
  int result = rille_store_close(store);
  end_call(&world->slots[slot]);
  return result ? complain(slot, "it can't be closed", result, "") : 0;
}

static int write_on(uint32_t slot) {
  struct slot *s = &world->slots[slot];
  char own[16];
  uint64_t version;
  rille_store *store = open_slot(slot, false);
  if (!store) return 1;
  sprintf(own, "own-%u", slot);
  if (rille_store_version(store, rille_text_of(own), &version, NULL) != 0)
    return complain(slot, "it has no version", 0, "");
  while (!atomic_load(&world->stop) && atomic_load(&s->done) < APPENDS_MOST)
    if (append_next(store, slot, &version)) return 1;
  atomic_store(&world->folds, stats_of(store).folds);
  return close_slot(store, slot);
}

/* ---- A follower ---- */

static uint64_t name_of(const rille_event *event) {
  struct label l = {0};
  if (event->data.length == sizeof l) memcpy(&l, event->data.bytes, sizeof l);
  return (uint64_t)(l.slot + 1) << 40 | (uint64_t)l.serial << 8 | l.index;
}

/* Everybody sees the same at a position, and nothing that goes away again. */
static int see(uint32_t slot, uint64_t position, const rille_event *event) {
  uint64_t before = 0, name = name_of(event);
  if (event->position != position)
    return complain(slot, "a gap before position", (long long)event->position, "");
  if (position >= EVENTS_MOST) return 0;
  if (atomic_compare_exchange_strong(&world->seen[position], &before, name)) return 0;
  if (before == name) return 0;
  return complain(slot, "two saw different events at", (long long)position, "");
}

static int read_from(rille_store *store, uint32_t slot, uint64_t *position) {
  rille_query q = {.size = sizeof q, .after = *position};
  rille_reader *reader;
  rille_event event;
  rille_error e = {0};
  int result = rille_store_read(store, &q, &reader, &e);
  if (result < 0) return complain(slot, "it can't begin to read", result, e.message);
  while ((result = rille_reader_next(reader, &event, &e)) == 1)
    if (see(slot, ++*position, &event)) return 1;
  rille_reader_end(reader);
  if (result < 0) return complain(slot, "it can't read", (long long)*position, e.message);
  if (rille_store_durable(store) < *position)
    return complain(slot, "it saw what was not durable", (long long)*position, "");
  return 0;
}

static int follow(uint32_t slot) {
  struct slot *s = &world->slots[slot];
  rille_store *store = open_slot(slot, slot % 2 != 0);
  uint64_t position = store && one_in(2) ? rille_store_head(store) : 0;
  while (store && !atomic_load(&world->stop)) {
    begin_call(s);
    int failed = rille_store_wait(store, position + 1, 50, NULL) < 0;
    if (failed) return complain(slot, "it can't wait", (long long)position, "");
    if (read_from(store, slot, &position)) return 1;
    end_call(s);
  }
  return store ? close_slot(store, slot) : 1;
}

/* ---- The parent ---- */

static int live(void *context) {
  uint32_t slot = (uint32_t)(uintptr_t)context;
  test_random ^= (uint64_t)getpid() << 20;
  if (one_in(3)) set_trap(one_in(3) ? 300 : 12);
  return slot < WRITERS ? write_on(slot) : follow(slot);
}

/* Opens alone, and folds in closing: to die while it repairs, makes or closes the store. */
static int open_alone(void *context) {
  (void)context;
  test_random ^= (uint64_t)getpid() << 20;
  set_trap(8);
  rille_store *store = open_slot(0, false);
  return store ? close_slot(store, 0) : 1;
}

static void start_slot(uint32_t slot) {
  struct slot *s = &world->slots[slot];
  atomic_store(&s->since_us, 0);
  stopped_until[slot] = 0;
  test_random++;
  pids[slot] = start(live, (void *)(uintptr_t)slot);
}

static void ended(uint32_t slot, int status) {
  pids[slot] = 0;
  kills += status == KILLED;
  if (status == KILLED || (status == 0 && atomic_load(&world->stop))) return;
  if (status == 0 && atomic_load(&world->slots[slot].done) >= APPENDS_MOST) return;
  complain(slot, "it ended with status", status, "");
}

static void reap(bool again) {
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
    for (uint32_t i = 0; i < SLOTS; i++)
      if (pids[i] == pid) {
        ended(i, status_of(status));
        if (again) start_slot(i);
      }
}

static unsigned living(void) {
  unsigned n = 0;
  for (uint32_t i = 0; i < SLOTS; i++) n += pids[i] != 0;
  return n;
}

static void kill_all(void) {
  for (uint32_t i = 0; i < SLOTS; i++)
    if (pids[i]) kill(pids[i], SIGKILL);
  while (living()) {
    reap(false);
    usleep(100);
  }
}

static void begin_anew(void) {
  kill_all();
  for (unsigned n = random_below(3); n > 0; n--) {
    int status = wait_for(start(open_alone, NULL));
    kills += status == KILLED;
    repairs += status == KILLED;
    if (status != KILLED && status != 0) complain(0, "opened alone, it ended with", status, "");
  }
  for (uint32_t i = 0; i < SLOTS; i++) start_slot(i);
}

/* Also a writer, with whatever lock it holds: then others wait for as long. */
static void stop_one(void) {
  uint32_t i = random_below(SLOTS);
  if (!pids[i] || stopped_until[i]) return;
  kill(pids[i], SIGSTOP);
  stopped_until[i] = now_us() + random_below(i < WRITERS ? 30000 : 200000);
  stops++;
}

static void look_after(uint32_t i, int64_t now) {
  int64_t since = atomic_load(&world->slots[i].since_us);
  if (stopped_until[i] && now >= stopped_until[i]) {
    atomic_store(&world->slots[i].since_us, now);
    kill(pids[i], SIGCONT);
    stopped_until[i] = 0;
  } else if (pids[i] && !stopped_until[i] && since && now - since > STALL_US) {
    complain(i, "it waits since, in us", now - since, "");
  }
}

static void disturb(void) {
  uint32_t chance = random_below(100), victim = random_below(SLOTS);
  if (chance < 60 && pids[victim]) kill(pids[victim], SIGKILL);
  else if (chance < 75) stop_one();
  else if (chance < 77) begin_anew();
}

/* All end by themselves. */
static void finish_all(void) {
  int64_t end = now_us() + PATIENCE_US;
  atomic_store(&world->stop, 1);
  for (uint32_t i = 0; i < SLOTS; i++)
    if (pids[i]) kill(pids[i], SIGCONT);
  while (living() && now_us() < end) {
    reap(false);
    usleep(500);
  }
  if (living()) complain(0, "some do not end", living(), "");
  kill_all();
}

/* ---- Judgement ---- */

struct judge {
  uint64_t position;
  struct label open; /* of the append whose events are coming; count 0: of none */
  uint8_t there[SLOTS][APPENDS_MOST];
};

static bool judge_event(struct judge *j, const rille_event *event) {
  struct label l;
  if (event->position != ++j->position || event->data.length != sizeof l) return false;
  memcpy(&l, event->data.bytes, sizeof l);
  if (l.slot >= WRITERS || l.serial >= APPENDS_MOST) return false;
  const struct slot *s = &world->slots[l.slot];
  const struct told *told = &s->told[l.serial];
  uint64_t first = event->position - l.index, seen = 0;
  bool goes_on = j->open.count && memcmp(&l, &j->open, sizeof l) == 0;
  bool begins = !j->open.count && l.index == 0 && j->there[l.slot][l.serial]++ == 0;
  if (!goes_on && !begins) return false;
  j->open = l;
  if (++j->open.index == l.count) j->open.count = 0;
  if (event->position < EVENTS_MOST) seen = atomic_load(&world->seen[event->position]);
  if (seen && seen != name_of(event)) return false;
  if (told->first && (told->first != first || told->last != first + l.count - 1)) return false;
  return l.serial < atomic_load(&s->begun);
}

static void judge_log(rille_store *store, struct judge *j) {
  rille_reader *reader;
  rille_event event;
  int result;
  CHECK(rille_store_read(store, NULL, &reader, NULL) == 0);
  while ((result = rille_reader_next(reader, &event, NULL)) == 1)
    if (!CHECK(judge_event(j, &event)))
      printf("       position %llu\n", (unsigned long long)j->position);
  rille_reader_end(reader);
  CHECK(result == 0 && j->open.count == 0);
}

static void judge_told(const struct judge *j) {
  for (uint32_t i = 0; i < WRITERS; i++) {
    const struct slot *s = &world->slots[i];
    for (uint32_t serial = 0; serial < s->done; serial++)
      CHECK(s->told[serial].first && j->there[i][serial]);
    appends += s->done;
  }
  for (uint32_t i = 0; i < SLOTS; i++)
    if (world->slots[i].longest_us > longest_us) longest_us = world->slots[i].longest_us;
}

static void judge_round(void) {
  rille_store *store = NULL;
  rille_error e = {0};
  struct judge *j = calloc(1, sizeof *j);
  int result = rille_store_open(path, NULL, &store, &e);
  if (!CHECK(j && result == 0)) printf("       %s\n", e.message); /* all ended well: no remark */
  if (!j || result < 0) return;
  judge_log(store, j);
  judge_told(j);
  events += j->position;
  check_reopened(store, path, j->position);
  free(j);
}

static void run_round(void) {
  int64_t end = now_us() + ROUND_US;
  strcpy(path, path_of("killed"));
  world = share(sizeof *world);
  CHECK(rille_store_close(open_store(path, RILLE_SYNC_ALWAYS)) == 0);
  begin_anew();
  while (now_us() < end && !atomic_load(&world->complained)) {
    usleep(300 + random_below(3000));
    reap(true);
    for (uint32_t i = 0; i < SLOTS; i++) look_after(i, now_us());
    disturb();
  }
  finish_all();
  if (!CHECK(!world->complained)) printf("       %s\n", world->complaint);
  judge_round();
  folds += atomic_load(&world->folds);
  munmap(world, sizeof *world);
  remove_store(path);
  rounds++;
}

static void nobody_notices(void) {
  int64_t end = now_us() + (int64_t)test_setting("SECONDS", SECONDS) * 1000000;
  while (now_us() < end && !test_failures) run_round();
  printf("       %lu kills, %lu of them opening alone; %lu stops; %lu appends, %lu events in %lu "
         "stores; more than %lu folds; the longest call took %lld ms\n",
         kills, repairs, stops, appends, events, rounds, folds, (long long)longest_us / 1000);
  test_tally("kills", kills);
  test_tally("appends by many processes", appends);
  CHECK(kills > 20);
}

static const struct test tests[] = {
    {"nobody notices who is killed", nobody_notices},
};
TEST_MAIN(tests)

#endif
