/* words_test.c: processes that die, or are overtaken, between any two stores to the words that all
** share (core/control.h). Between most of them there is no call of the system, so who is killed at
** calls never dies there, and by chance hardly anybody does. Here the victim may not write to
** its mapping of them: each store is a signal, then is let through by itself (the processor's
** trap flag), and the victim stops behind the nth. For every n
**
**    the words make sense: each end is the old one or a later one, durable <= written (L10)
**    who has the store open reads, and is told no less afterwards
**    either the victim is killed there, and others go on at once: nothing that was told or
**    seen is lost, nothing comes twice, and the store is opened again without a remark
**    or, where it has no lock, another one appends, and then it goes on: no end goes back */
#define _GNU_SOURCE
#include "processes.h"

#if !defined __linux__ || !defined __x86_64__
int main(void) {
  return puts("0 passed, 0 failed, 1 skipped: stores are watched on Linux, on an x86-64") < 0;
}
#else

#include <fcntl.h>
#include <ucontext.h>

#include "offer.h"
#include "rille_transaction.h"

#define STORES_LEAST 10u
#define STORES_MOST 1000u /* of one call; more are none that ends */
#define TRAP_FLAG 0x100
#define MAPPINGS_MOST 8
#define OFFER_US 500000  /* until who comes has offered something */
#define TRIES 50
#define LARGE_BYTES 700u /* of the victim's event: no other is as long */
#define SMALL_SEGMENT ((uint64_t)64 << 10)

enum fate { KILLED_THERE, OVERTAKEN, FATES };

/* What a victim does. */
struct job {
  const char *name;
  int sync;
  bool fills;   /* the log file is full: the victim begins the next */
  bool serves;  /* an append of another process's is offered to it */
  bool flushes; /* what others have written; it appends nothing */
  bool checked; /* others promise something that its frame is a condition of */
  bool prepares, decides; /* a transaction: the store is a participant, or home of it */
};

static const struct job *job;
static char path[300], second_path[300], data[LARGE_BYTES];
static rille_store *second; /* of a transaction: the parent's handle of the other store */
static struct control_words *words;
static struct offer *offers;

static struct shared {
  _Atomic int told, over; /* the victim knows that it has happened; it has nothing left to do */
} *shared;

/* ---- The words ---- */

static void map_words(void) {
  char name[400];
  snprintf(name, sizeof name, "%s/control", path);
  int fd = open(name, O_RDWR);
  uint8_t *p = mmap(NULL, CONTROL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (fd < 0 || p == MAP_FAILED) abort();
  close(fd);
  words = (void *)p;
  offers = (void *)(p + CONTROL_WORDS_BYTES);
}

static void unmap_words(void) { munmap(words, CONTROL_BYTES); }

/* An end is wholly the one before or wholly a later one. */
static void check_end(const struct log_end *before, const struct log_end *now) {
  bool same = now->address == before->address;
  CHECK(now->address >= before->address);
  CHECK(same == (now->last_frame == before->last_frame));
  CHECK(same == (now->last_checksum == before->last_checksum));
  CHECK(now->next_position >= before->next_position && now->last_frame <= now->address);
  CHECK(!same || now->next_position == before->next_position);
}

struct ends {
  struct log_end durable, written;
};

static struct ends ends_now(void) {
  struct log_end durable = shared_end_get(&words->durable);
  return (struct ends){durable, shared_end_get(&words->written)};
}

static struct ends check_ends(const struct ends *before) {
  struct ends now = ends_now();
  check_end(&before->durable, &now.durable);
  check_end(&before->written, &now.written);
  CHECK(now.durable.address <= now.written.address);
  return now;
}

/* ---- The victim, store by store ---- */

/* Of the victim: its own mapping, and how many stores it still may do. */
static void *mapping;
static unsigned stores_left;

static void on_store(int number, siginfo_t *info, void *context) {
  uint8_t *at = info->si_addr, *from = mapping;
  ucontext_t *c = context;
  (void)number;
  if (at < from || at >= from + CONTROL_BYTES) abort();
  mprotect(mapping, CONTROL_BYTES, PROT_READ | PROT_WRITE);
  c->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static void on_stored(int number, siginfo_t *info, void *context) {
  ucontext_t *c = context;
  (void)number, (void)info;
  c->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
  if (--stores_left == 0) raise(SIGSTOP);
  else mprotect(mapping, CONTROL_BYTES, PROT_READ); /* who goes on does so freely */
}

/* The mappings of the words that this process has, its parent's among them. */
struct mappings {
  unsigned long from[MAPPINGS_MOST];
  size_t count;
};

static struct mappings list_mappings(void) {
  struct mappings list = {.count = 0};
  char line[600];
  FILE *maps = fopen("/proc/self/maps", "r");
  while (maps && list.count < MAPPINGS_MOST && fgets(line, sizeof line, maps))
    if (strstr(line, "/control\n") && sscanf(line, "%lx", &list.from[list.count]) == 1)
      list.count++;
  if (!maps) abort();
  fclose(maps);
  return list;
}

/* The one that is new since. */
static void *find_mapping(const struct mappings *before) {
  struct mappings now = list_mappings();
  size_t i = 0;
  while (i < before->count && now.from[i] == before->from[i]) i++;
  if (now.count != before->count + 1) abort();
  return (void *)now.from[i];
}

/* Stops behind the nth store from now. */
static void watch_stores(unsigned n, void *words_of_its_own) {
  struct sigaction store = {.sa_sigaction = on_store, .sa_flags = SA_SIGINFO};
  struct sigaction stored = {.sa_sigaction = on_stored, .sa_flags = SA_SIGINFO};
  mapping = words_of_its_own;
  stores_left = n;
  sigaction(SIGSEGV, &store, NULL);
  sigaction(SIGTRAP, &stored, NULL);
  mprotect(mapping, CONTROL_BYTES, PROT_READ);
}

static int append_as(rille_store *store, const char *stream, size_t n, rille_appended *done) {
  rille_event_input event = {.type = rille_text_of("Happened"), .data = {data, n}};
  rille_part part = {.stream = rille_text_of(stream),
                     .expect = RILLE_EXPECT_ANY,
                     .events = &event,
                     .event_count = 1};
  rille_append a = {.size = sizeof a, .parts = &part, .part_count = 1};
  return rille_store_append(store, &a, done, NULL);
}

static rille_options options(int sync) {
  rille_options o = options_of(sync, false);
  o.segment_bytes = SMALL_SEGMENT;
  return o;
}

static bool transacts(void) { return job->prepares || job->decides; }

/* All of two-phase commit, told once it is decided. */
static int transact(rille_instance *i, rille_store *home, rille_store *there) {
  rille_begun begun;
  rille_prepared prepared;
  rille_decided decided;
  rille_finished done;
  rille_event_input event = {.type = rille_text_of("Happened"), .data = {data, LARGE_BYTES}};
  rille_part part = {.stream = rille_text_of("victim"),
                     .expect = RILLE_EXPECT_ANY,
                     .events = &event,
                     .event_count = 1};
  rille_append work = {.size = sizeof work, .parts = &part, .part_count = 1};
  rille_text there_name = rille_text_of("there");
  CHECK(rille_instance_begin(i, &begun, NULL) == 0);
  rille_text id = rille_text_of(begun.id);
  rille_prepare p = {.size = sizeof p, .id = id, .name = there_name, .work = &work};
  p.home_kind = rille_text_of("store");
  p.home_path = rille_text_of(job->decides ? path : second_path);
  p.home_end = begun.home_end;
  p.coordinator = rille_text_of("tester");
  rille_decide d = {.size = sizeof d, .id = id, .members = &there_name, .member_count = 1};
  d.outcome = RILLE_OUTCOME_COMMITTED;
  d.home_end = begun.home_end;
  d.work = &work;
  if (!CHECK(rille_store_prepare(there, &p, &prepared, NULL) == 0)) return -1;
  CHECK(rille_store_flush(there, prepared.flush, NULL) == 0);
  if (!CHECK(rille_store_decide(home, &d, &decided, NULL) == 0)) return -1;
  CHECK(rille_store_flush(home, decided.end, NULL) == 0);
  atomic_store(&shared->told, 1);
  CHECK(rille_store_commit(there, id, &done, NULL) == 0);
  CHECK(rille_store_flush(there, done.end, NULL) == 0);
  return rille_store_end(home, id, NULL);
}

static int coordinate(void *context) {
  rille_instance *i;
  rille_store *other = open_store(second_path, job->sync);
  struct mappings before = list_mappings();
  rille_store *store = open_store(path, job->sync);
  rille_store *home = job->decides ? store : other, *there = job->decides ? other : store;
  CHECK(rille_instance_open(home, rille_text_of("tester"), &i, NULL) == 0);
  watch_stores((unsigned)(uintptr_t)context, find_mapping(&before));
  raise(SIGSTOP);
  CHECK(transact(i, home, there) == 0);
  atomic_store(&shared->over, 1);
  raise(SIGSTOP);
  return 0;
}

/* It waits to be told to begin, and stops when it is done. */
static int be_the_victim(void *context) {
  if (transacts()) return coordinate(context);
  rille_options o = options(job->sync);
  struct mappings before = list_mappings();
  rille_store *store = open_with(path, &o);
  watch_stores((unsigned)(uintptr_t)context, find_mapping(&before));
  raise(SIGSTOP);
  int result = job->flushes ? rille_store_sync(store, NULL)
                            : append_as(store, "victim", LARGE_BYTES, NULL);
  atomic_store(&shared->told, 1);
  atomic_store(&shared->over, 1);
  raise(SIGSTOP);
  return CHECK(result == 0) && CHECK(rille_store_close(store) == 0) ? 0 : 1;
}

/* Waits until it has stopped by itself. */
static void wait_stopped(pid_t pid) {
  int status;
  if (waitpid(pid, &status, WUNTRACED) != pid || !CHECK(WIFSTOPPED(status))) abort();
}

static void go_on(pid_t pid) {
  kill(pid, SIGCONT);
  wait_stopped(pid);
}

static pid_t start_victim(unsigned n) {
  atomic_store(&shared->told, 0);
  atomic_store(&shared->over, 0);
  pid_t pid = start(be_the_victim, (void *)(uintptr_t)n);
  wait_stopped(pid);
  return pid;
}

/* ---- Who leaves its append to the victim ---- */

static int own(void *context) {
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  rille_appended done = {0};
  uint64_t version;
  (void)context;
  CHECK(append_as(store, "owner", 8, &done) == 0);
  CHECK(rille_store_version(store, rille_text_of("owner"), &version, NULL) == 0);
  CHECK(version == done.version && done.first == done.last);
  CHECK(rille_store_head(store) >= done.last);
  CHECK(rille_store_close(store) == 0);
  return 0;
}

static bool is_offered(void) {
  for (unsigned i = 0; i < OFFERS_MOST; i++)
    if (atomic_load(&words->states[i]) == OFFER_MADE) return true;
  return false;
}

/* Where those frames ended whose owners had the offers before. */
static void leave_ends(void) {
  uint64_t end = ends_now().written.address;
  for (unsigned i = 0; i < OFFERS_MOST; i++) atomic_store(&offers[i].end, end);
}

/* Stopped with its offer made; whoever is too slow, and appends by itself, is counted. */
static pid_t start_owner(unsigned *appended) {
  for (int i = 0; i < TRIES; i++) {
    leave_ends();
    atomic_store(&words->appending, 1); /* it advises only */
    pid_t owner = start(own, NULL);
    int64_t end = now_us() + OFFER_US;
    while (!is_offered() && now_us() < end) usleep(20);
    kill(owner, SIGSTOP);
    waitpid(owner, NULL, WUNTRACED);
    atomic_store(&words->appending, 0);
    if (is_offered()) return owner;
    kill(owner, SIGCONT);
    CHECK(wait_for(owner) == 0);
    ++*appended;
  }
  CHECK(!"this machine is too slow");
  return 0;
}

/* ---- Who has the store open all the while ---- */

static uint64_t version_of(rille_store *store, const char *stream) {
  uint64_t version = 0;
  CHECK(rille_store_version(store, rille_text_of(stream), &version, NULL) == 0);
  return version;
}

/* The bytes of locks are behind the end of `store`. */
static bool is_locked(enum control_byte byte) {
  char name[400];
  snprintf(name, sizeof name, "%s/store", path);
  int fd = open(name, O_RDWR);
  bool locked = fd < 0 || system_is_locked(fd, (uint64_t)byte);
  close(fd);
  return locked;
}

/* A promise of nothing but a condition: once its flush is made, whatever it was checked against
** is durable. */
static void check_promise(rille_store *store) {
  static unsigned serial;
  char id[40];
  rille_prepared prepared;
  rille_part part = {.stream = rille_text_of("victim"),
                     .expect = (int64_t)version_of(store, "victim")};
  rille_append work = {.size = sizeof work, .parts = &part, .part_count = 1};
  rille_prepare p = {.size = sizeof p, .id = {id, (size_t)sprintf(id, "t-%u", ++serial)}};
  p.name = p.coordinator = rille_text_of("checked");
  p.home_kind = rille_text_of("store");
  p.home_path = rille_text_of("/nowhere");
  p.work = &work;
  uint64_t end = ends_now().written.address;
  if (!CHECK(rille_store_prepare(store, &p, &prepared, NULL) == 0 && prepared.checks_only)) return;
  if (prepared.flush) CHECK(rille_store_flush(store, prepared.flush, NULL) == 0);
  CHECK(ends_now().durable.address >= end);
  CHECK(rille_store_abort(store, p.id, NULL, NULL) == 0);
}

/* What must be true however it ended: versions before, and how many have been appended since. */
struct before {
  uint64_t victim, owner, others, events, second; /* second: as victim, in the other store */
};

/* The coordinator is dead: who reads strongly reads what home has decided, whatever words its
** death has left; and once another append has set them right, nothing is in doubt. */
static void settle(rille_store *store, const struct before *b) {
  rille_store *there = job->decides ? second : store, *home = job->decides ? store : second;
  uint64_t home_before = job->decides ? b->victim : b->second;
  uint64_t there_before = job->decides ? b->second : b->victim;
  rille_doubts doubts;
  CHECK(rille_store_strong(home, NULL, NULL) == 0 && rille_store_strong(there, NULL, NULL) == 0);
  CHECK(version_of(home, "victim") - home_before == version_of(there, "victim") - there_before);
  CHECK(append_as(second, "other", 8, NULL) == 0 && append_as(store, "other", 8, NULL) == 0);
  CHECK(rille_store_strong(there, NULL, NULL) == 0);
  CHECK(rille_store_indoubt(there, &doubts, NULL) == 0 && doubts.count == 0);
  rille_doubts_free(&doubts);
}

static struct before look_before(rille_store *store) {
  return (struct before){version_of(store, "victim"), version_of(store, "owner"),
                         version_of(store, "other"), count_read(store),
                         transacts() ? version_of(second, "victim") : 0};
}

static void check_after(rille_store *store, const struct before *b, uint64_t others,
                        uint64_t owners, bool there) {
  uint64_t victims = version_of(store, "victim") - b->victim;
  CHECK(victims <= (job->flushes ? 0 : 1));
  CHECK(!there || job->flushes || victims == 1);
  if (transacts()) CHECK(version_of(second, "victim") - b->second == victims);
  CHECK(version_of(store, "owner") == b->owner + owners);
  CHECK(version_of(store, "other") == b->others + others);
  CHECK(count_read(store) == b->events + others + owners + victims);
}

static int observers_sync(void) {
  return job->flushes || job->checked ? RILLE_SYNC_NEVER : RILLE_SYNC_ALWAYS;
}

/* Nobody is there: it opens without a remark, and all is sound. */
static rille_store *open_again(rille_store *store) {
  rille_options o = options(observers_sync());
  rille_error e = {0};
  uint64_t events = count_read(store);
  unmap_words();
  CHECK(rille_store_close(store) == 0);
  if (!CHECK(rille_store_open(path, &o, &store, &e) == 0)) printf("       %s\n", e.message);
  CHECK(is_sound(store, events));
  map_words();
  return store;
}

/* ---- One death, or one who is overtaken ---- */

static void fill_file(rille_store *store) {
  static char filler[SMALL_SEGMENT];
  memset(filler, 'f', sizeof filler);
  uint64_t first = atomic_load(&words->segment);
  while (ends_now().written.address < first + SMALL_SEGMENT)
    CHECK(put(store, "filler", RILLE_EXPECT_ANY, filler, sizeof filler, NULL) == 0);
}

/* Where the victim has no lock another one appends; then it goes on. */
static uint64_t overtake(rille_store *store, pid_t victim) {
  bool can = !is_locked(CONTROL_WRITER) && !is_locked(CONTROL_FLUSHER);
  if (can) CHECK(append_as(store, "other", 8, NULL) == 0 && rille_store_sync(store, NULL) == 0);
  struct ends told = ends_now();
  go_on(victim);
  (void)check_ends(&told);
  return can;
}

/* False: it stores less often than that. */
static bool try_store(rille_store *store, unsigned n, enum fate fate) {
  unsigned late = 0;
  uint64_t others = 0;
  if (job->fills) fill_file(store);
  if (job->flushes) CHECK(put_one(store, "other") == 0);
  struct before before = look_before(store);
  pid_t victim = start_victim(n), owner = job->serves ? start_owner(&late) : 0;
  struct ends ends = ends_now();
  go_on(victim);
  (void)check_ends(&ends);
  bool stopped = !atomic_load(&shared->over);
  bool seen = !job->serves && count_read(store) > before.events;
  if (stopped && fate == OVERTAKEN) others = overtake(store, victim);
  bool told = atomic_load(&shared->told);
  kill(victim, SIGKILL);
  CHECK(wait_for(victim) == KILLED);
  if (job->checked) check_promise(store);
  if (transacts()) settle(store, &before);
  else CHECK(append_as(store, "other", 8, NULL) == 0);
  if (owner) {
    kill(owner, SIGCONT);
    CHECK(wait_for(owner) == 0);
  }
  check_after(store, &before, others + 1, owner ? late + 1 : 0, seen || told);
  return stopped;
}

/* Until there is no nth store. */
static void try_all(const struct job *j) {
  unsigned step = 5 / test_part(5), n = 1 + random_below(step); /* under the sanitizers a fifth */
  unsigned long tried = 0;
  job = j;
  strcpy(path, path_of(j->name));
  strcpy(second_path, path_of("second"));
  if (transacts()) second = open_store(second_path, RILLE_SYNC_ALWAYS);
  rille_options o = options(observers_sync());
  rille_store *store = open_with(path, &o);
  map_words();
  CHECK(put_one(store, "first") == 0);
  for (bool more = true; more && n < STORES_MOST; n += step) {
    for (int fate = 0; fate < FATES; fate++, tried++) {
      more = try_store(store, n, (enum fate)fate);
      store = open_again(store);
    }
    if (test_failures && printf("       %s: behind store %u\n", j->name, n)) break;
  }
  test_tally("processes that died or were overtaken between two stores", tried);
  CHECK(n > STORES_LEAST && n < STORES_MOST);
  unmap_words();
  CHECK(rille_store_close(store) == 0);
  if (transacts()) CHECK(rille_store_close(second) == 0);
  remove_store(second_path);
}

static void appending(void) {
  try_all(&(struct job){.name = "always", .sync = RILLE_SYNC_ALWAYS});
  try_all(&(struct job){.name = "never", .sync = RILLE_SYNC_NEVER});
}

static void being_a_condition(void) {
  try_all(&(struct job){.name = "checked", .sync = RILLE_SYNC_NEVER, .checked = true});
}

static void beginning_a_file(void) {
  try_all(&(struct job){.name = "file", .sync = RILLE_SYNC_ALWAYS, .fills = true});
}

static void serving(void) {
  try_all(&(struct job){.name = "serving", .sync = RILLE_SYNC_ALWAYS, .serves = true});
}

static void flushing(void) {
  try_all(&(struct job){.name = "flushing", .sync = RILLE_SYNC_ALWAYS, .flushes = true});
}

static void preparing(void) {
  try_all(&(struct job){.name = "there", .sync = RILLE_SYNC_ALWAYS, .prepares = true});
}

static void deciding(void) {
  try_all(&(struct job){.name = "home", .sync = RILLE_SYNC_ALWAYS, .decides = true});
}

/* ---- Words of another day ---- */

static void fill_words(bool sound) {
  char magic[sizeof words->magic];
  map_words();
  memcpy(magic, words->magic, sizeof magic);
  memset((void *)words, 0x5a, CONTROL_BYTES);
  if (sound) memcpy(words->magic, magic, sizeof magic);
  unmap_words();
}

static void check_blank(void) {
  static const uint8_t zeros[OFFERS_MOST * OFFER_BYTES];
  const struct control_words *w = words;
  CHECK(w->error == 0 && w->writing == 0 && w->owed == 0 && w->prepared == 0);
  CHECK(w->weighty == 0 && w->flushing == 0 && w->listeners == 0);
  CHECK(w->appending == 0 && w->leading == 0 && w->back_us == 0);
  for (unsigned i = 0; i < OFFERS_MOST; i++) CHECK(w->states[i] == OFFER_NONE);
  CHECK(memcmp(offers, zeros, sizeof zeros) == 0);
}

/* A power cut leaves any bytes there: nothing that was not set anew is believed. */
static void a_first_opener_makes_them_anew(void) {
  for (int sound = 0; sound < 2; sound++) {
    strcpy(path, path_of(sound ? "sound" : "garbage"));
    rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
    CHECK(rille_store_close(store) == 0);
    fill_words(sound);
    store = open_store(path, RILLE_SYNC_ALWAYS);
    map_words();
    check_blank();
    unmap_words();
    CHECK(put_one(store, "s") == 0);
    check_reopened(store, path, 1);
  }
}

int main(int argc, char **argv) {
  static const struct test tests[] = {{"appending", appending},
                                      {"beginning a file", beginning_a_file},
                                      {"serving another", serving},
                                      {"flushing for all", flushing},
                                      {"being a condition of a promise", being_a_condition},
                                      {"taking part in a transaction", preparing},
                                      {"deciding one", deciding},
                                      {"a first opener makes them anew",
                                       a_first_opener_makes_them_anew}};
  shared = share(sizeof *shared);
  memset(data, 'v', sizeof data);
  return test_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
#endif
