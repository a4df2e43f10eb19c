/* share_test.c: one process, the server, appends; another, the owner, leaves its append to it;
** and one of them dies, or fails, at a chosen call. The owner's event must be there once, if
** it was told so, and not at all, if it died before it was told anything. */
#define _GNU_SOURCE
#include "processes.h"

#ifndef __linux__
int main(void) { return puts("0 passed, 0 failed, 1 skipped: calls are watched on Linux") < 0; }
#else

#include <fcntl.h>

#include "calls.h"
#include "offer.h"

#define TRIES 50
#define OFFER_US 500000 /* until who comes has offered something */

/* What becomes of the server at the write of the owner's frame. */
enum fate { LIVES, DIES_BEFORE, DIES_WITHIN, DIES_AFTER, DIES_FLUSHING, IS_FULL };

static struct shared {
  _Atomic int begun, go, owner_writes;
} *shared;

static char path[300];
static enum fate fate;
static unsigned server_writes;
static struct control_words *words;

static void begin(const char *name) {
  strcpy(path, path_of(name));
  if (!shared) shared = share(sizeof *shared);
  memset((void *)shared, 0, sizeof *shared);
  call_watch = NULL;
}

/* ---- The server ---- */

static int meet_fate(const struct call *c) {
  if (fate == DIES_BEFORE && !c->done) die();
  if (fate == DIES_WITHIN && !c->done) die_half_written(c);
  if (fate == DIES_AFTER && c->done) die();
  return fate == IS_FULL && !c->done ? ENOSPC : 0;
}

/* Its first write is its own frame: it waits there until it may go on. */
static int watch_server(const struct call *c) {
  if (!is_of_log(c)) return 0;
  if (c->kind == CALL_FLUSH && !c->done && fate == DIES_FLUSHING) die();
  if (c->kind != CALL_WRITE) return 0;
  if (!c->done) server_writes++;
  if (server_writes == 2) return meet_fate(c);
  if (server_writes == 1 && !c->done) {
    atomic_store(&shared->begun, 1);
    wait_until(&shared->go, 1);
  }
  return 0;
}

static int serve(void *context) {
  fate = (enum fate)(intptr_t)context;
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  call_watch = watch_server;
  CHECK(put_one(store, "server") == 0);
  CHECK(fate == LIVES ? server_writes == 2 : server_writes > 2); /* a full disk's zeros */
  call_watch = NULL;
  CHECK(rille_store_close(store) == 0);
  return 0;
}

/* Nothing is there for it to write. */
static int serve_nobody(void *context) {
  (void)context;
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  call_watch = watch_server;
  CHECK(put_one(store, "server") == 0);
  CHECK(server_writes == 1);
  CHECK(rille_store_close(store) == 0);
  return 0;
}

/* ---- The owner ---- */

static int count_writes(const struct call *c) {
  if (c->kind == CALL_WRITE && !c->done && is_of_log(c)) atomic_fetch_add(&shared->owner_writes, 1);
  return 0;
}

static int own(void *context) {
  int64_t expect = (intptr_t)context;
  rille_error e = {0};
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  call_watch = count_writes;
  int result = put(store, "owner", expect, "12345678", 8, &e);
  CHECK(result == (expect == RILLE_EXPECT_EXISTS ? RILLE_CONFLICT : 0));
  if (result) CHECK(e.condition == RILLE_CONDITION_VERSION && e.version == 0);
  if (result == 0) CHECK(rille_store_durable(store) >= rille_store_head(store));
  CHECK(rille_store_close(store) == 0);
  return 0;
}

/* ---- Both ---- */

static void look_at_words(void) {
  char name[400];
  snprintf(name, sizeof name, "%s/control", path);
  int fd = open(name, O_RDWR);
  void *page = mmap(NULL, CONTROL_WORDS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(fd >= 0 && page != MAP_FAILED);
  close(fd);
  words = page;
}

static bool is_offered(void) {
  for (unsigned i = 0; i < OFFERS_MOST; i++)
    if (atomic_load(&words->states[i]) == OFFER_MADE) return true;
  return false;
}

/* Whoever has waited for so long that it goes on by itself waits for its turn then, and offers
** nothing any more: another one comes. */
static pid_t start_offering(int (*job)(void *context), void *context) {
  for (int i = 0; i < TRIES; i++) {
    pid_t owner = start(job, context);
    int64_t end = now_us() + OFFER_US;
    while (!is_offered() && now_us() < end) usleep(20);
    if (now_us() < end) return owner;
    kill(owner, SIGKILL);
    CHECK(wait_for(owner) == KILLED);
  }
  CHECK(!"this machine is too slow");
  return start(job, context);
}

static pid_t let_offer(int64_t expect) {
  wait_until(&shared->begun, 1);
  return start_offering(own, (void *)(intptr_t)expect);
}

/* So that it does not look before it is to; false: it had slept long enough to go on by itself. */
static bool stop_in_time(pid_t owner) {
  kill(owner, SIGSTOP);
  waitpid(owner, NULL, WUNTRACED);
  return is_offered();
}

static void end_both(pid_t server, pid_t owner) {
  kill(owner, SIGKILL);
  kill(server, SIGKILL);
  wait_for(owner);
  wait_for(server);
}

/* The server is within its own write, and the owner, who has offered, is stopped. */
static rille_store *prepare(const char *name, enum fate what, pid_t *server, pid_t *owner) {
  for (int i = 0; i < TRIES; i++) {
    begin(name);
    rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
    look_at_words();
    *server = start(serve, (void *)(intptr_t)what);
    *owner = let_offer(RILLE_EXPECT_NONE);
    if (stop_in_time(*owner)) return store;
    end_both(*server, *owner);
    munmap(words, CONTROL_WORDS_BYTES);
    CHECK(rille_store_close(store) == 0);
    remove_store(path);
  }
  CHECK(!"this machine is too slow");
  return NULL;
}

/* One server and one owner; `others` are appended by this process in between. */
static void meet(const char *name, enum fate what, int others, uint64_t events) {
  pid_t server, owner;
  rille_store *store = prepare(name, what, &server, &owner);
  if (!store) return;
  atomic_store(&shared->go, 1);
  CHECK(wait_for(server) == (what == LIVES || what == IS_FULL ? 0 : KILLED));
  for (int i = 0; i < others; i++) CHECK(put_one(store, "other") == 0);
  kill(owner, SIGCONT);
  CHECK(wait_for(owner) == 0);
  CHECK(what != LIVES || atomic_load(&shared->owner_writes) == 0);
  munmap(words, CONTROL_WORDS_BYTES);
  check_reopened(store, path, events);
}

static void who_is_served_need_not_write(void) { meet("lives", LIVES, 0, 2); }

static void who_was_not_served_writes(void) {
  meet("before", DIES_BEFORE, 0, 2);
  meet("within", DIES_WITHIN, 0, 2);
  meet("after", DIES_AFTER, 0, 2);
}

/* The log goes on beyond where the frame would have ended that was not published. */
static void others_frames_are_not_ones_own(void) {
  meet("others-before", DIES_BEFORE, 4, 6);
  meet("others-after", DIES_AFTER, 4, 6);
}

static void who_is_served_flushes_for_the_dead(void) {
  meet("flushing", DIES_FLUSHING, 0, 2);
}

static void a_servers_full_disk_is_its_own(void) { meet("full", IS_FULL, 0, 2); }

/* Who is refused finds out by itself, and is told all. */
static void a_conflict_is_the_owners(void) {
  begin("conflict");
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  look_at_words();
  pid_t server = start(serve_nobody, NULL);
  pid_t owner = let_offer(RILLE_EXPECT_EXISTS);
  atomic_store(&shared->go, 1);
  CHECK(wait_for(server) == 0);
  CHECK(wait_for(owner) == 0);
  CHECK(atomic_load(&shared->owner_writes) == 0);
  munmap(words, CONTROL_WORDS_BYTES);
  check_reopened(store, path, 1);
}

static void what_the_dead_offered_is_not_written(void) {
  begin("dead");
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  look_at_words();
  pid_t server = start(serve_nobody, NULL);
  pid_t owner = let_offer(RILLE_EXPECT_NONE);
  kill(owner, SIGKILL);
  CHECK(wait_for(owner) == KILLED);
  atomic_store(&shared->go, 1);
  CHECK(wait_for(server) == 0);
  munmap(words, CONTROL_WORDS_BYTES);
  check_reopened(store, path, 1);
}

/* ---- More processes than offers ---- */

static int offer_and_die(void *context) {
  (void)context;
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  while (put_one(store, "owner") == 0) continue; /* it is to die in that call */
  return 1;
}

static void come_and_die(void) {
  pid_t owner = start_offering(offer_and_die, NULL);
  kill(owner, SIGKILL);
  CHECK(wait_for(owner) == KILLED);
}

static int wait_in_flush(const struct call *c) {
  if (c->kind != CALL_FLUSH || c->done || !is_of_log(c)) return 0;
  atomic_store(&shared->begun, 1);
  wait_until(&shared->go, 1);
  return 0;
}

static int serve_late(void *context) {
  (void)context;
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  call_watch = wait_in_flush;
  CHECK(put_one(store, "server") == 0);
  CHECK(rille_store_close(store) == 0);
  return 0;
}

/* In whatever state it was left; also if who took it has died, too. */
static void the_offers_of_the_dead_are_used_again(void) {
  begin("again");
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  look_at_words();
  pid_t server = start(serve_late, NULL);
  wait_until(&shared->begun, 1);
  for (unsigned i = 0; i < OFFERS_MOST + 5; i++) {
    come_and_die();
    atomic_store(&words->states[0], i % 2 ? OFFER_DONE : OFFER_DECLINED);
  }
  for (unsigned i = 0; i < OFFERS_MOST; i++) atomic_store(&words->states[i], OFFER_TAKEN);
  come_and_die();
  atomic_store(&shared->go, 1);
  CHECK(wait_for(server) == 0);
  munmap(words, CONTROL_WORDS_BYTES);
  CHECK(rille_store_sync(store, NULL) == 0); /* on a slow machine some were written */
  check_reopened(store, path, stats_of(store).head);
}

/* ---- Turns that can't be had, or that last ---- */

static bool refuses_turns, lingers;

/* It has WRITER, and says so. */
static void linger(void) {
  lingers = false;
  atomic_store(&words->appending, 1);
  atomic_store(&shared->begun, 1);
  wait_until(&shared->go, 1);
}

/* Who waits for WRITER. */
static int lock(int fd, int command, void *argument) {
  const struct flock *f = argument;
  bool waits = command == F_OFD_SETLKW && f->l_start == CONTROL_WRITER;
  if (waits && refuses_turns) {
    errno = ENOLCK;
    return -1;
  }
  int result = (int)syscall(SYS_fcntl, fd, command, argument);
  if (waits && lingers && result == 0) linger();
  return result;
}

#pragma GCC visibility push(default)

int fcntl(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void *argument = va_arg(arguments, void *);
  va_end(arguments);
  return lock(fd, command, argument);
}

int fcntl64(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void *argument = va_arg(arguments, void *);
  va_end(arguments);
  return lock(fd, command, argument);
}

#pragma GCC visibility pop

/* Where its offer was withdrawn in time, its own turn is refused. */
static int own_unsure(void *context) {
  int result, tries = 0;
  (void)context;
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  refuses_turns = true;
  do result = put(store, "unsure", RILLE_EXPECT_ANY, "12345678", 8, NULL);
  while (result == RILLE_IO && ++tries < TRIES);
  CHECK(result == RILLE_UNKNOWN);
  CHECK(put(store, "unsure", RILLE_EXPECT_ANY, "12345678", 8, NULL) == RILLE_IO);
  refuses_turns = false;
  atomic_store(&shared->owner_writes, 1);
  CHECK(put_one(store, "owner") == 0);
  CHECK(put_one(store, "owner") == 0);
  CHECK(rille_store_close(store) == 0);
  return 0;
}

static void take_all(pid_t owner) {
  int64_t end = now_us() + PATIENCE_US;
  while (!atomic_load(&shared->owner_writes) && now_us() < end) {
    uint32_t made = OFFER_MADE;
    (void)atomic_compare_exchange_strong(&words->states[0], &made, OFFER_TAKEN);
    usleep(20);
  }
  if (!CHECK(now_us() < end)) kill(owner, SIGKILL);
}

/* What was taken stays so until somebody has WRITER: the offer is not used meanwhile. */
static void an_offer_that_was_not_settled_waits(void) {
  begin("unsure");
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  look_at_words();
  pid_t server = start(serve_late, NULL);
  wait_until(&shared->begun, 1);
  pid_t owner = start(own_unsure, NULL);
  take_all(owner);
  atomic_store(&shared->go, 1);
  CHECK(wait_for(server) == 0);
  CHECK(wait_for(owner) == 0);
  CHECK(atomic_load(&words->states[0]) == OFFER_NONE);
  munmap(words, CONTROL_WORDS_BYTES);
  check_reopened(store, path, 3);
}

static int count_own_writes(const struct call *c) {
  server_writes += c->kind == CALL_WRITE && !c->done && is_of_log(c);
  return 0;
}

static int serve_in_vain(void *context) {
  (void)context;
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  call_watch = count_own_writes;
  lingers = true;
  CHECK(put_one(store, "server") == RILLE_LOCKED && server_writes == 0);
  CHECK(rille_store_close(store) == 0);
  return 0;
}

/* It would not flush either, and whom it had served would sleep in vain. */
static void who_is_refused_serves_nobody(void) {
  rille_event_input event = {.type = {"Happened", 8}};
  rille_part part = {.stream = {"server", 6}, .events = &event, .event_count = 1};
  rille_append work = {.size = sizeof work, .parts = &part, .part_count = 1};
  rille_prepared prepared;
  rille_prepare p = {.size = sizeof p,
                     .id = rille_text_of("t"),
                     .name = rille_text_of("here"),
                     .home_kind = rille_text_of("store"),
                     .home_path = rille_text_of("/nowhere"),
                     .coordinator = rille_text_of("c"),
                     .work = &work};
  begin("locked");
  part.expect = RILLE_EXPECT_ANY;
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  look_at_words();
  CHECK(rille_store_prepare(store, &p, &prepared, NULL) == 0);
  CHECK(rille_store_flush(store, prepared.flush, NULL) == 0);
  pid_t server = start(serve_in_vain, NULL);
  pid_t owner = let_offer(RILLE_EXPECT_NONE);
  atomic_store(&shared->go, 1);
  CHECK(wait_for(server) == 0);
  CHECK(wait_for(owner) == 0);
  CHECK(rille_store_abort(store, p.id, NULL, NULL) == 0);
  munmap(words, CONTROL_WORDS_BYTES);
  check_reopened(store, path, 1);
}

static const struct test tests[] = {
    {"who is served need not write", who_is_served_need_not_write},
    {"who was not served writes", who_was_not_served_writes},
    {"others' frames are not one's own", others_frames_are_not_ones_own},
    {"who is served flushes for the dead", who_is_served_flushes_for_the_dead},
    {"a server's full disk is its own", a_servers_full_disk_is_its_own},
    {"a conflict is the owner's", a_conflict_is_the_owners},
    {"what the dead offered is not written", what_the_dead_offered_is_not_written},
    {"the offers of the dead are used again", the_offers_of_the_dead_are_used_again},
    {"an offer that was not settled waits", an_offer_that_was_not_settled_waits},
    {"who is refused serves nobody", who_is_refused_serves_nobody},
};
TEST_MAIN(tests)

#endif
