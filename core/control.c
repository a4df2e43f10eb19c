/* control.c: byte locks on `store`, and the words in `control`. */
#include "control.h"

#include <assert.h>
#include <errno.h>

#include "error.h"

#define MAGIC "rillectl"

_Static_assert(sizeof(struct control_words) <= CONTROL_WORDS_BYTES, "the words fit their page");
_Static_assert(sizeof(struct offer) == OFFER_BYTES, "offers have no gaps");

/* ---- The words ---- */

/* The file has its bytes, all of them: a page that a full disk has no room for would
** end in a signal when it is touched. What it has may be in use, by an older version. */
static int fill_file(int fd) {
  static const uint8_t zeros[CONTROL_BYTES];
  uint64_t bytes;
  size_t put;
  int number = system_size(fd, &bytes);
  if (number || bytes >= CONTROL_BYTES) return number;
  return system_write(fd, bytes, zeros, CONTROL_BYTES - (size_t)bytes, NULL, 0, &put);
}

/* Who only reads needs, and has, no more than the words. */
static size_t mapped_bytes(const struct control *c) {
  return c->readonly ? CONTROL_WORDS_BYTES : CONTROL_BYTES;
}

static int open_words(const struct control *c, char *path, int *fd) {
  if (!system_join(path, SYSTEM_PATH_BYTES, c->folder, "control")) return ENAMETOOLONG;
  if (c->readonly) return system_open(path, SYSTEM_READ, fd);
  int number = system_open(path, SYSTEM_WRITE, fd);
  return number == ENOENT && c->alone ? system_open(path, SYSTEM_CREATE, fd) : number;
}

/* Others have other words mapped: to go on with these would be to ignore them. */
static int refuse_words(const struct control *c, rille_error *e) {
  return error_set(e, RILLE_CORRUPT,
                   "%s/control was exchanged while other processes have the store open: close it "
                   "in all of them, then it is made again",
                   c->folder);
}

static int map_words(struct control *c, rille_error *e) {
  char path[SYSTEM_PATH_BYTES] = "";
  void *page = NULL;
  uint64_t bytes = 0;
  int fd, number = open_words(c, path, &fd);
  if (number == ENOENT && !c->readonly) return refuse_words(c, e);
  if (number) return error_system(e, number, "can't open %s", path);
  number = c->readonly ? system_size(fd, &bytes) : fill_file(fd);
  if (!number && c->readonly && bytes < CONTROL_WORDS_BYTES) number = EINVAL;
  if (!number) number = system_map(fd, mapped_bytes(c), !c->readonly, &page);
  system_close(fd);
  c->words = page;
  if (page && !c->readonly) c->offers = (struct offer *)((uint8_t *)page + CONTROL_WORDS_BYTES);
  return number ? error_system(e, number, "can't map %s", path) : 0;
}

/* In place, because readers may have mapped the file. */
static void make_words_anew(struct control *c) {
  struct control_words *w = c->words;
  bool sound = memcmp(w->magic, MAGIC, sizeof w->magic) == 0;
  uint64_t generation = sound ? atomic_load(&w->generation) : 0;
  if (generation == 0) generation = (uint64_t)system_clock_us(); /* its number was lost */
  if (!sound) atomic_store(&w->log_generation, generation);
  atomic_store(&w->generation, 0);
  memcpy(w->magic, MAGIC, sizeof w->magic);
  w->pid = generation; /* kept here until control_ready */
  atomic_store(&w->error, 0);
  atomic_store(&w->writing, 0);
  atomic_store(&w->owed, 0);
  atomic_store(&w->weighty, 0);
  atomic_store(&w->prepared, 0);
  atomic_store(&w->flushing, 0);
  atomic_store(&w->listeners, 0);
  atomic_store(&w->appends, 0);
  atomic_store(&w->folds, 0);
  atomic_store(&w->flushes, 0);
  atomic_store(&w->appending, 0);
  atomic_store(&w->leading, 0);
  atomic_store(&w->back_us, 0);
  for (size_t i = 0; i < OFFERS_MOST; i++) atomic_store(&w->states[i], 0);
  memset(c->offers, 0, OFFERS_MOST * sizeof *c->offers); /* what the dead have offered */
  struct step_words *const steps[] = {&w->prepares, &w->decisions, &w->commits, &w->forces};
  for (size_t i = 0; i < 4; i++) {
    atomic_store(&steps[i]->count, 0);
    atomic_store(&steps[i]->time_us, 0);
  }
}

void control_ready(struct control *c) {
  if (c->alone) {
    uint64_t generation = c->words->pid + 1;
    c->words->pid = (uint64_t)system_pid();
    atomic_store(&c->words->generation, generation);
    control_wake(c);
    system_lock(c->fd, CONTROL_PRESENCE, SYSTEM_SHARED, false);
    c->alone = false;
  }
  system_lock(c->fd, CONTROL_OPENING, SYSTEM_FREE, false);
}

static uint64_t generation_of(const struct control_words *w) {
  return memcmp(w->magic, MAGIC, sizeof w->magic) == 0 ? atomic_load(&w->generation) : 0;
}

uint64_t control_generation(struct control *c) {
  if (!c->words && map_words(c, NULL) != 0) return 0;
  uint64_t generation = generation_of(c->words);
  return generation == c->before ? 0 : generation;
}

/* ---- Opening and closing ---- */

static int refuse_copy(const char *folder, rille_error *e) {
  int code =
      error_set(e, RILLE_BUSY,
                "%s is open in this process by another copy of the library: use one copy", folder);
  if (e) e->pid = system_pid();
  return code;
}

/* Media that know no locks have no writers. Words that are there and can't be read now might be
** believed later, though nobody writes. */
static int enter_to_read(struct control *c, rille_error *e) {
  (void)system_lock(c->fd, CONTROL_OPENING, SYSTEM_SHARED, true);
  rille_error why = {0};
  int failed = map_words(c, &why);
  if (!failed && !system_is_locked(c->fd, CONTROL_PRESENCE)) c->before = generation_of(c->words);
  bool absent = why.system == ENOENT || why.system == EINVAL || failed == RILLE_READONLY;
  if (!failed || absent) return 0;
  if (e) *e = why;
  return failed;
}

static int enter_to_write(struct control *c, rille_error *e) {
  int number = system_lock(c->fd, CONTROL_OPENING, SYSTEM_EXCLUSIVE, true);
  if (!number) number = system_lock(c->fd, CONTROL_PRESENCE, SYSTEM_EXCLUSIVE, false);
  c->alone = number == 0;
  if (number == EAGAIN) number = system_lock(c->fd, CONTROL_PRESENCE, SYSTEM_SHARED, false);
  if (number) return error_system(e, number, "can't lock %s/store", c->folder);
  int failed = map_words(c, e);
  if (!failed && c->alone) make_words_anew(c);
  return failed || generation_of(c->words) || c->alone ? failed : refuse_words(c, e);
}

const char *control_failure(const struct control *c, int *number) {
  uint32_t failure = atomic_load(&c->words->error);
  *number = (int)(failure & ~CONTROL_TORN);
  if (failure == 0) return NULL;
  return failure & CONTROL_TORN ? "a write to the log could not be taken back" : "a flush failed";
}

static int refuse_failed(const struct control *c, rille_error *e) {
  int number;
  const char *what = c->readonly || c->alone ? NULL : control_failure(c, &number);
  if (!what) return 0;
  (void)error_system(e, number,
                     "%s, and other processes still have %s open: close it "
                     "in all of them; who opens it next repairs it",
                     what, c->folder);
  if (e) e->code = RILLE_IO; /* whatever the errno */
  return RILLE_IO;
}

static int refuse_second_copy(const struct control *c, rille_error *e) {
  struct system_identity identity;
  char path[SYSTEM_PATH_BYTES];
  unsigned count = 0;
  if (!system_join(path, sizeof path, c->folder, "store")) return 0;
  int number = system_identity(path, &identity);
  if (!number) number = system_count_open(identity, &count);
  if (number) return error_system(e, number, "can't tell how often %s is open", path);
  return count > 1 ? refuse_copy(c->folder, e) : 0;
}

int control_open(struct control *c, const char *folder, bool readonly, struct identity *id,
                 rille_error *e) {
  *c = (struct control){.fd = -1, .readonly = readonly, .folder = folder, .offer = -1};
  int failed = identity_open(folder, readonly, &c->fd, id, e);
  if (failed) {
    c->fd = -1;
    return failed;
  }
  failed = refuse_second_copy(c, e);
  if (!failed) failed = readonly ? enter_to_read(c, e) : enter_to_write(c, e);
  if (!failed) failed = refuse_failed(c, e);
  if (failed) control_close(c);
  return failed;
}

void control_leave(struct control *c) {
  if (c->readonly) return;
  if (system_lock(c->fd, CONTROL_OPENING, SYSTEM_EXCLUSIVE, true) != 0) return;
  c->alone = system_lock(c->fd, CONTROL_PRESENCE, SYSTEM_EXCLUSIVE, false) == 0;
}

void control_close(struct control *c) {
  if (c->words) system_unmap(c->words, mapped_bytes(c));
  if (c->fd >= 0) system_close(c->fd);
  c->words = NULL;
  c->fd = -1;
}

void control_forget(struct control *c) {
  if (c->fd >= 0) system_close(c->fd);
  c->fd = -1;
}

/* ---- Taking turns ---- */

bool control_take(struct control *c, enum control_byte byte, bool wait, int *failed,
                  rille_error *e) {
  int number = system_lock(c->fd, byte, SYSTEM_EXCLUSIVE, wait);
  *failed = 0;
  if (number && number != EAGAIN)
    *failed = error_system(e, number, "can't lock %s/store", c->folder);
  return number == 0;
}

void control_free(struct control *c, enum control_byte byte) {
  system_lock(c->fd, byte, SYSTEM_FREE, false);
}

int control_hold_opening(struct control *c, rille_error *e) {
  int number = system_lock(c->fd, CONTROL_OPENING, SYSTEM_EXCLUSIVE, true);
  return number ? error_system(e, number, "can't lock %s/store", c->folder) : 0;
}

void control_free_opening(struct control *c) {
  system_lock(c->fd, CONTROL_OPENING, SYSTEM_FREE, false);
}

/* ---- Ends ---- */

bool control_claim_epoch(struct control *c, uint64_t epoch, int *fd) {
  char path[SYSTEM_PATH_BYTES];
  if (!system_join(path, sizeof path, c->folder, "store")) return false;
  if (system_open(path, SYSTEM_WRITE, fd) != 0) return false;
  if (system_lock(*fd, CONTROL_EPOCHS + epoch, SYSTEM_EXCLUSIVE, false) == 0) return true;
  system_close(*fd);
  *fd = -1;
  return false;
}

bool control_epoch_lives(struct control *c, uint64_t epoch) {
  return system_is_locked(c->fd, CONTROL_EPOCHS + epoch);
}

void shared_end_set(struct shared_end *s, const struct log_end *end) {
  uint64_t turn = atomic_load_explicit(&s->turn, memory_order_relaxed) + 1;
  _Atomic uint64_t *w = s->words[turn & 1];
  atomic_thread_fence(memory_order_release); /* who sees a new word sees the last turn, too */
  atomic_store_explicit(&w[0], end->address, memory_order_relaxed);
  atomic_store_explicit(&w[1], end->next_position, memory_order_relaxed);
  atomic_store_explicit(&w[2], (uint64_t)end->time_us, memory_order_relaxed);
  atomic_store_explicit(&w[3], end->last_frame, memory_order_relaxed);
  atomic_store_explicit(&w[4], end->last_checksum, memory_order_relaxed);
  atomic_store_explicit(&s->turn, turn, memory_order_release);
}

/* The words that turn t names are overwritten for turn t + 2, after t + 1 was set. */
struct log_end shared_end_get(const struct shared_end *s) {
  for (;;) {
    uint64_t turn = atomic_load_explicit(&s->turn, memory_order_acquire);
    const _Atomic uint64_t *w = s->words[turn & 1];
    struct log_end end = {
        .address = atomic_load_explicit(&w[0], memory_order_relaxed),
        .next_position = atomic_load_explicit(&w[1], memory_order_relaxed),
        .time_us = (int64_t)atomic_load_explicit(&w[2], memory_order_relaxed),
        .last_frame = atomic_load_explicit(&w[3], memory_order_relaxed),
        .last_checksum = (uint32_t)atomic_load_explicit(&w[4], memory_order_relaxed)};
    atomic_thread_fence(memory_order_acquire);
    if (atomic_load_explicit(&s->turn, memory_order_relaxed) == turn) return end;
  }
}

/* ---- Waking ---- */

void control_wake_some(struct control *c, uint32_t mask) {
  atomic_fetch_add(&c->words->sequence, 1);
  system_wake(&c->words->sequence, mask);
}

void control_wake(struct control *c) { control_wake_some(c, SYSTEM_ANYBODY); }

/* Who listens has said so before he looked; this looks after it has written. */
void control_tell(struct control *c) {
  atomic_thread_fence(memory_order_seq_cst);
  if (atomic_load(&c->words->listeners)) control_wake(c);
}

bool control_listen(struct control *c) {
  if (c->readonly || !c->words) return false;
  atomic_fetch_add(&c->words->listeners, 1);
  return true;
}

void control_listen_end(struct control *c) { atomic_fetch_sub(&c->words->listeners, 1); }

bool control_sleep_as(struct control *c, uint32_t sequence, uint32_t mask, int64_t timeout_us) {
  return system_sleep_on(&c->words->sequence, sequence, mask, timeout_us);
}

bool control_sleep(struct control *c, uint32_t sequence, int64_t timeout_us) {
  return control_sleep_as(c, sequence, SYSTEM_ANYBODY, timeout_us);
}
