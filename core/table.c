/* table.c: the stores that this process has open, each once: the library's only global state.
**
** An entry is there from before its opening begins until its closing is over, and says so
** meanwhile: who wants that store waits on the entry; who wants another one does not.
**
** A fork copies the table to the child, with locks that belong to the parent's files. So
** the child lets go of them at once and starts with an empty table; its handles of the
** parent's stores answer RILLE_CLOSED, and what they hold is not freed, because threads
** that do not exist there may have been using it. The child must know every file that holds a
** lock: a fork waits until no other thread is about to take or to give back one (table_enter,
** table_leave); and every file of the log, of which none is opened or closed meanwhile. */
#include "table.h"

#include "creation.h"
#include "error.h"
#include "home.h"
#include "redaction.h"

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t table_changed = PTHREAD_COND_INITIALIZER;
static struct shared *table; /* of open stores */
static size_t table_entered; /* threads that a fork waits for */

/* ---- Forking ---- */

static void before_fork(void) {
  pthread_mutex_lock(&table_lock);
  while (table_entered > 0) pthread_cond_wait(&table_changed, &table_lock);
  for (struct shared *s = table; s; s = s->next) log_keep_still(&s->log);
}

static void after_fork(void) {
  for (struct shared *s = table; s; s = s->next) log_go_on(&s->log);
  pthread_mutex_unlock(&table_lock);
}

static void in_child(void) {
  for (struct shared *s = table; s; s = s->next) {
    s->forked = true;
    control_forget(&s->control);
    log_forget(&s->log);
    for (struct claim *claim = s->claims; claim; claim = claim->next) system_close(claim->fd);
    s->claims = NULL;
  }
  table = NULL;
  pthread_mutex_unlock(&table_lock);
  table_changed = (pthread_cond_t)PTHREAD_COND_INITIALIZER; /* who waited is not here */
}

static void watch_forks(void) { (void)system_at_fork(before_fork, after_fork, in_child); }

/* With the lock held. */
static void enter(void) { table_entered++; }

static void leave(void) {
  table_entered--;
  pthread_cond_broadcast(&table_changed);
}

void table_enter(void) {
  pthread_mutex_lock(&table_lock);
  enter();
  pthread_mutex_unlock(&table_lock);
}

void table_leave(void) {
  pthread_mutex_lock(&table_lock);
  leave();
  pthread_mutex_unlock(&table_lock);
}

/* ---- Opening ---- */

struct memory table_memory(const rille_options *o) {
  return o->alloc ? (struct memory){o->alloc, o->alloc_context} : memory_default();
}

/* Who made the store, and renamed it into its place, may have died before that was durable;
** or is about to flush the parent, but not before others have appended. */
static int make_durable(struct shared *s, rille_error *e) {
  if (s->log.options.readonly || log_written(&s->log).address > 0) return 0;
  int failed = creation_flush_parent(s->folder, e);
  if (failed == RILLE_READONLY) return 0; /* it is not ours to read, as little as to make */
  if (failed) (void)log_close(&s->log, NULL);
  return failed;
}

/* D5: the first to write to a copy of a store notes that it is one, before anything else. It
** says so at most twice, if the power goes in between. */
static int know_copy(struct shared *s, rille_error *e) {
  struct log *l = &s->log;
  if (!s->control.alone || !l->identity.copied || l->options.readonly) return 0;
  int failed = log_mark_restored(l, e);
  if (!failed) failed = log_flush(l, log_written(l).address, e);
  if (!failed) failed = identity_claim(s->control.fd, &l->identity, e);
  if (failed) (void)log_close(l, NULL);
  return failed;
}

/* A redaction that somebody has noted, and died. It is shown to nobody also where it can't be
** finished now: that keeps nobody from the rest. */
static int finish_redactions(struct shared *s, rille_error *e) {
  if (!s->control.alone || s->log.options.readonly) return 0;
  int failed = redaction_resume(&s->log, s->folder, e);
  if (failed == RILLE_FULL || failed == RILLE_CORRUPT) {
    failed = failed == RILLE_FULL ? RILLE_REMARK : RILLE_REMARK_CORRUPT;
    if (e) e->code = failed;
    return failed;
  }
  if (failed) (void)log_close(&s->log, NULL);
  return failed;
}

static int open_log(struct shared *s, const rille_options *o, rille_error *e) {
  struct identity identity;
  struct log_options options = {.readonly = o->readonly != 0,
                                .background = !o->no_background,
                                .rebuild = o->rebuild != 0,
                                .segment_bytes = o->segment_bytes,
                                .clock = o->clock,
                                .clock_context = o->clock_context,
                                .progress = o->progress,
                                .progress_context = o->progress_context};
  int result = control_open(&s->control, s->folder, options.readonly, &identity, e);
  if (result == 0) {
    result = log_open(&s->log, s->folder, &identity, &s->control, &options, &s->memory, e);
    int failed = result < 0 ? result : make_durable(s, e);
    if (!failed) failed = know_copy(s, e);
    if (!failed) failed = finish_redactions(s, e);
    if (failed) result = failed;
    if (result < 0) control_close(&s->control);
    else control_ready(&s->control);
  }
  return result;
}

static void free_peers(struct shared *s) {
  for (size_t i = 0; i < s->peers.count; i++) memory_free_text(&s->memory, s->peers.paths[i]);
  memory_free(&s->memory, s->peers.paths, s->peers.count * sizeof *s->peers.paths);
  s->peers = (struct peers){0};
}

/* Absolute, because the host may change its working directory. */
static int copy_peers(struct shared *s, const rille_options *o, rille_error *e) {
  char absolute[SYSTEM_PATH_BYTES];
  if (o->peer_count == 0) return 0;
  s->peers.paths = memory_get_zeroed(&s->memory, o->peer_count * sizeof *s->peers.paths);
  if (!s->peers.paths) return error_memory(e);
  s->peers.count = o->peer_count;
  for (size_t i = 0; i < o->peer_count; i++) {
    bool found = system_absolute(o->peers[i], absolute) == 0; /* it may not be there yet */
    s->peers.paths[i] = memory_copy_text(&s->memory, found ? absolute : o->peers[i]);
    if (!s->peers.paths[i]) return error_memory(e);
  }
  return 0;
}

static void free_shared(struct shared *s) {
  struct memory memory = s->memory;
  free_peers(s);
  memory_free_text(&memory, s->folder);
  memory_free(&memory, s, sizeof *s);
}

static int fill_shared(struct shared *s, const char *path, const rille_options *o, rille_error *e) {
  char absolute[SYSTEM_PATH_BYTES]; /* the host may change its working directory */
  int number = system_absolute(path, absolute);
  if (number) return error_system(e, number, "can't find out where %s is", path);
  s->folder = memory_copy_text(&s->memory, absolute);
  return s->folder ? copy_peers(s, o, e) : error_memory(e);
}

static int make_shared(const char *path, const rille_options *o, struct shared **shared,
                       rille_error *e) {
  struct memory memory = table_memory(o);
  struct shared *s = memory_get_zeroed(&memory, sizeof *s);
  if (!s) return error_memory(e);
  s->memory = memory;
  int failed = fill_shared(s, path, o, e);
  if (failed) free_shared(s);
  else *shared = s;
  return failed;
}

/* ---- The table ---- */

static void take_out(struct shared *s) {
  struct shared **at = &table;
  while (*at != s) at = &(*at)->next;
  *at = s->next;
}

/* With the lock held: the open store whose file `store` this is; NULL: there is none. What is
** being opened or closed is waited for, and then the file looked at again: the path may lead to
** another by now. */
static struct shared *find(const char *file, struct system_identity *identity) {
  for (;;) {
    *identity = (struct system_identity){0};
    if (system_identity(file, identity) != 0) return NULL;
    struct shared *s = table;
    while (s && (s->file.device != identity->device || s->file.inode != identity->inode))
      s = s->next;
    if (!s || !s->between) return s;
    pthread_cond_wait(&table_changed, &table_lock);
  }
}

static int join(struct shared *s, const rille_options *o, rille_error *e) {
  if (o->rebuild)
    return error_set(e, RILLE_BUSY, "the store is open in this process: close it first");
  int failed = log_refuse_unflushed(&s->log, e); /* until all have closed it */
  if (!failed) s->holders++;
  return failed;
}

/* With the lock held, but not while it opens. */
static int open_entry(struct shared *s, const rille_options *o, rille_error *e) {
  s->holders = 1;
  s->between = true;
  s->next = table;
  table = s;
  enter();
  pthread_mutex_unlock(&table_lock);
  int result = open_log(s, o, e);
  pthread_mutex_lock(&table_lock);
  s->between = false;
  if (result < 0) take_out(s);
  leave();
  return result;
}

int table_open(const char *path, const rille_options *o, struct shared **shared, rille_error *e) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  char file[SYSTEM_PATH_BYTES];
  struct shared *fresh = NULL;
  if (!system_join(file, sizeof file, path, "store"))
    return error_set(e, RILLE_INVALID, "the path %.200s is too long", path);
  int result = make_shared(path, o, &fresh, e);
  if (result < 0) return result;
  pthread_once(&once, watch_forks);
  pthread_mutex_lock(&table_lock);
  struct shared *known = find(file, &fresh->file);
  result = known ? join(known, o, e) : open_entry(fresh, o, e);
  pthread_mutex_unlock(&table_lock);
  if (known || result < 0) free_shared(fresh);
  *shared = known ? known : fresh;
  return result;
}

struct shared *table_find(rille_text uuid, size_t number) {
  char text[37];
  struct shared *found = NULL;
  pthread_mutex_lock(&table_lock);
  for (struct shared *s = table; s && !found; s = s->next) {
    if (s->between) continue;
    identity_text(s->log.identity.uuid, text);
    if (text_equal(uuid, (rille_text){text, strlen(text)}) && number-- == 0) found = s;
  }
  if (found) found->holders++;
  pthread_mutex_unlock(&table_lock);
  return found;
}

void shared_add_claim(struct shared *s, struct claim *claim) {
  pthread_mutex_lock(&table_lock);
  claim->next = s->claims;
  s->claims = claim;
  pthread_mutex_unlock(&table_lock);
}

void shared_remove_claim(struct shared *s, struct claim *claim) {
  pthread_mutex_lock(&table_lock);
  struct claim **at = &s->claims;
  while (*at && *at != claim) at = &(*at)->next;
  if (*at) *at = claim->next;
  pthread_mutex_unlock(&table_lock);
}

void shared_hold(struct shared *s) {
  pthread_mutex_lock(&table_lock);
  s->holders++;
  pthread_mutex_unlock(&table_lock);
}

static int close_log(struct shared *s, rille_error *e) {
  control_leave(&s->control);
  int failed = log_close(&s->log, e);
  control_close(&s->control);
  return failed;
}

int shared_drop(struct shared *s, rille_error *e) {
  if (s->forked) return 0;
  pthread_mutex_lock(&table_lock);
  bool last = --s->holders == 0;
  s->between = last;
  if (last) enter();
  pthread_mutex_unlock(&table_lock);
  if (!last) return 0;
  int failed = close_log(s, e);
  pthread_mutex_lock(&table_lock);
  take_out(s);
  leave();
  pthread_mutex_unlock(&table_lock);
  free_shared(s);
  return failed;
}
