/* store.c: handles of stores, and the calls of rille.h that go straight through to the
** log. */
#include "store.h"

#include <errno.h>
#include <stdio.h>

#include "creation.h"
#include "error.h"
#include "home.h"
#include "input.h"
#include "reader.h"

#define INTERVAL_MS_MOST 86400000 /* a day */

int store_usable(const rille_store *h, rille_error *e) {
  return h->shared->forked ? segments_refuse_fork(e) : 0;
}

rille_text rille_text_of(const char *text) { return (rille_text){text, text ? strlen(text) : 0}; }

/* ---- Opening ---- */

static int64_t system_clock(void *context) {
  (void)context;
  return system_clock_us();
}

/* The caller's options, as far as its size says it knows them, with defaults. */
static int complete_options(const rille_options *given, rille_options *o, rille_error *e) {
  *o = (rille_options){0};
  if (given) {
    size_t n = given->size;
    if (n == 0) return error_set(e, RILLE_INVALID, "options.size is 0: set it to sizeof options");
    memcpy(o, given, n < sizeof *o ? n : sizeof *o);
  }
  if (o->sync < RILLE_SYNC_ALWAYS || o->sync > RILLE_SYNC_INTERVAL)
    return error_set(e, RILLE_INVALID, "sync is none of always, never, interval");
  if (o->sync_interval_ms == 0) o->sync_interval_ms = RILLE_SYNC_INTERVAL_MS;
  if (o->sync_interval_ms < 1 || o->sync_interval_ms > INTERVAL_MS_MOST)
    return error_set(e, RILLE_INVALID, "sync_interval_ms must be from 1 to 86400000");
  if (o->readonly && o->rebuild)
    return error_set(e, RILLE_INVALID, "rebuild writes, so it can't go with readonly");
  if (o->segment_bytes == 0) o->segment_bytes = RILLE_SEGMENT_BYTES;
  if (o->segment_bytes < RILLE_SEGMENT_BYTES_LEAST)
    return error_set(e, RILLE_INVALID, "segment_bytes is less than 65536");
  if (o->segment_bytes > RILLE_SEGMENT_BYTES_MOST)
    return error_set(e, RILLE_INVALID, "segment_bytes is more than 17179869184 (16 GiB)");
  if (o->peer_count > RILLE_PEERS)
    return error_set(e, RILLE_INVALID, "peers has %zu paths: at most %d are allowed", o->peer_count,
                     RILLE_PEERS);
  if (!o->clock) o->clock = system_clock;
  return 0;
}

/* The path without slashes at its end, because a name beside it is made of it. */
static int trim_path(const char *path, char room[SYSTEM_PATH_BYTES], rille_error *e) {
  size_t n = path ? strlen(path) : 0;
  if (n == 0) return error_set(e, RILLE_INVALID, "the path is empty");
  while (n > 1 && path[n - 1] == '/') n--;
  if (n >= SYSTEM_PATH_BYTES)
    return error_set(e, RILLE_INVALID, "the path %.200s is too long", path);
  memcpy(room, path, n);
  room[n] = '\0';
  return 0;
}

int store_open(const char *given_path, const rille_options *given, rille_store **store,
               rille_error *e) {
  rille_options o;
  char path[SYSTEM_PATH_BYTES];
  *store = NULL;
  int failed = complete_options(given, &o, e);
  if (!failed) failed = trim_path(given_path, path, e);
  if (!failed) failed = creation_find_or_make(path, &o, e);
  if (failed) return failed;
  if (!o.readonly && system_is_network(path)) return creation_refuse_network(path, e);
  struct memory memory = table_memory(&o);
  rille_store *h = memory_get_zeroed(&memory, sizeof *h);
  if (!h) return error_memory(e);
  h->memory = memory;
  h->sync = o.sync;
  h->sync_interval_us = o.sync_interval_ms * 1000;
  int result = table_open(path, &o, &h->shared, e);
  if (result < 0) memory_free(&memory, h, sizeof *h);
  else *store = h;
  return result;
}

rille_store *store_of_uuid(rille_text uuid, size_t number) {
  struct shared *s = table_find(uuid, number);
  rille_store *h = s ? memory_get_zeroed(&s->memory, sizeof *h) : NULL;
  if (h) *h = (rille_store){.shared = s, .memory = s->memory, .sync = RILLE_SYNC_ALWAYS};
  else if (s) (void)shared_drop(s, NULL);
  return h;
}

int rille_store_share(rille_store *h, rille_store **again, rille_error *e) {
  *again = NULL;
  int failed = store_usable(h, e);
  if (failed) return failed;
  rille_store *copy = memory_get(&h->memory, sizeof *copy);
  if (!copy) return error_memory(e);
  *copy = *h;
  shared_hold(copy->shared);
  *again = copy;
  return 0;
}

const char *rille_store_path(const rille_store *h) { return h->shared->folder; }

int rille_store_is_readonly(const rille_store *h) { return h->shared->log.options.readonly; }

int rille_store_close(rille_store *h) {
  if (!h) return 0;
  struct memory memory = h->memory;
  struct shared *s = h->shared;
  int failed = h->sync == RILLE_SYNC_ALWAYS || s->forked ? 0 : rille_store_sync(h, NULL);
  memory_free(&memory, h, sizeof *h);
  int dropped = shared_drop(s, NULL);
  return failed ? failed : dropped;
}

/* ---- Appending ---- */

/* What is written up to `end` is made as safe as the handle promises, and told to who
** waits for it. */
static int secure(rille_store *h, uint64_t end, rille_error *e) {
  struct log *l = &h->shared->log;
  if (h->sync == RILLE_SYNC_ALWAYS) return log_flush(l, end, e);
  control_wake(&h->shared->control);
  if (h->sync == RILLE_SYNC_NEVER) return 0;
  log_want_flush(l, h->sync_interval_us);
  int failed = log_poll(l, e);
  return failed == RILLE_UNKNOWN ? failed : 0; /* a fold that fails is told by log_make_room */
}

/* `failed` is what an append or a truncation has said. A refusal is secured like a
** success: who reads again must see its cause. What was written, and could not be made as
** safe as it should, is there: no other code than RILLE_UNKNOWN tells that it may be. */
static int answer(rille_store *h, int failed, uint64_t end, rille_error *e) {
  rille_error why = {0};
  if (failed && failed != RILLE_CONFLICT && failed != RILLE_DUPLICATE) return failed;
  int unsure = secure(h, end, &why);
  if (!unsure) return failed;
  if (!failed) unsure = why.code = RILLE_UNKNOWN;
  if (e) *e = why;
  return unsure;
}

int store_know_append(const rille_append *given, struct known_append *known, rille_error *e) {
  *known = (struct known_append){0};
  if (given->size == 0)
    return error_set(e, RILLE_INVALID, "append.size is 0: set it to sizeof append");
  memcpy(&known->append, given, min_u64(given->size, sizeof known->append));
  const rille_query *unless = known->append.unless;
  if (!unless) return 0;
  if (unless->size == 0)
    return error_set(e, RILLE_INVALID, "unless.size is 0: set it to sizeof query");
  memcpy(&known->unless, unless, min_u64(unless->size, sizeof known->unless));
  known->append.unless = &known->unless;
  return 0;
}

int rille_append_check(const rille_append *append, rille_error *e) {
  struct known_append known = {0};
  int failed = store_know_append(append, &known, e);
  return failed ? failed : input_check(&known.append, e);
}

int store_append_once(rille_store *h, const rille_append *append, rille_appended *done,
                      rille_error *e) {
  rille_appended ignored;
  uint64_t end;
  struct known_append known = {0};
  int failed = store_know_append(append, &known, e);
  if (!failed) failed = store_usable(h, e);
  if (failed) return failed;
  failed = log_append(&h->shared->log, &known.append, (enum rille_sync)h->sync,
                      done ? done : &ignored, &end, e);
  return answer(h, failed, end, e);
}

int store_cut_once(rille_store *h, rille_text stream, uint64_t before, rille_error *e) {
  uint64_t end;
  int failed = store_usable(h, e);
  if (failed) return failed;
  failed = log_cut(&h->shared->log, stream, before, &end, e);
  return answer(h, failed, end, e);
}

int rille_store_sync(rille_store *h, rille_error *e) {
  int failed = store_usable(h, e);
  return failed ? failed : log_flush(&h->shared->log, log_written(&h->shared->log).address, e);
}

int rille_store_poll(rille_store *h, rille_error *e) {
  int failed = store_usable(h, e);
  return failed ? failed : log_poll(&h->shared->log, e);
}

/* ---- Reading ---- */

static int visible(rille_store *h, struct log_end *end, rille_error *e) {
  int failed = store_usable(h, e);
  return failed ? failed : log_look(&h->shared->log, store_sees_durable(h), end, e);
}

int rille_store_wait(rille_store *h, uint64_t position, int64_t timeout_ms, rille_error *e) {
  int failed = store_usable(h, e);
  return failed ? failed
                : log_wait(&h->shared->log, position, h->sync != RILLE_SYNC_NEVER, timeout_ms, e);
}

int rille_store_read(rille_store *h, const rille_query *query, rille_reader **reader,
                     rille_error *e) {
  rille_query q = {0};
  struct log_end end;
  *reader = NULL;
  if (query && query->size == 0)
    return error_set(e, RILLE_INVALID, "query.size is 0: set it to sizeof query");
  if (query) memcpy(&q, query, query->size < sizeof q ? query->size : sizeof q);
  if (q.shares && (q.share == 0 || q.share > q.shares))
    return error_set(e, RILLE_INVALID, "share %u of %u: it is 1 to %u", (unsigned)q.share,
                     (unsigned)q.shares, (unsigned)q.shares);
  int failed = visible(h, &end, e);
  if (!failed) failed = reader_open(reader, &h->shared->log, &q, &end, e);
  if (failed) return failed;
  (*reader)->owner = h->shared;
  shared_hold(h->shared);
  return 0;
}

void rille_reader_end(rille_reader *reader) {
  if (!reader) return;
  struct shared *s = reader->owner;
  reader_close(reader);
  shared_drop(s, NULL);
}

uint64_t rille_store_head(rille_store *h) {
  struct log_end end;
  return visible(h, &end, NULL) == 0 ? end.next_position - 1 : 0;
}

uint64_t rille_store_durable(rille_store *h) {
  struct log_end end;
  int failed = store_usable(h, NULL);
  if (!failed) failed = log_look(&h->shared->log, true, &end, NULL);
  return failed ? 0 : end.next_position - 1;
}

int rille_store_version(rille_store *h, rille_text stream, uint64_t *version, rille_error *e) {
  struct log_end end;
  *version = 0;
  if (stream.length == 0 || stream.length > RILLE_NAME_BYTES)
    return error_set(e, RILLE_INVALID, "stream has %zu bytes: it needs 1 to 255", stream.length);
  int failed = visible(h, &end, e);
  return failed ? failed : reader_version(&h->shared->log, stream, &end, version, e);
}

/* ---- Looking after it ---- */

/* Those of an overlay that neither the index nor the one before it has. */
static int count_new(struct log *l, const struct overlay *o, const struct overlay *before,
                     unsigned kind, uint64_t *count, rille_error *e) {
  int failed = 0;
  const struct overlay_entry *entry = NULL;
  while (!failed && (entry = overlay_next(o, entry)) != NULL) {
    struct chain_head head = {.count = 0};
    if (entry->kind != (uint8_t)kind || entry->count == 0) continue;
    rille_text name = {entry->name, entry->name_length};
    const struct overlay_entry *known = before ? overlay_find(before, kind, name) : NULL;
    if (!known || known->count == 0) failed = index_head(l->index, kind, name, &head, e);
    if (!failed && head.count == 0 && !(known && known->count)) ++*count;
  }
  return failed;
}

static int count_heads(struct log *l, unsigned kind, uint64_t *count, rille_error *e) {
  int failed = index_count(l->index, kind, count, e);
  if (!failed && l->has_old) failed = count_new(l, &l->old, NULL, kind, count, e);
  if (!failed) failed = count_new(l, &l->fresh, l->has_old ? &l->old : NULL, kind, count, e);
  return failed;
}

static int count_all(struct log *l, rille_stats *s, rille_error *e) {
  uint64_t *const counts[HEAD_KINDS] = {[CHAIN_STREAM] = &s->streams,
                                        [CHAIN_TYPE] = &s->types,
                                        [CHAIN_TAG] = &s->tags,
                                        [WORD_ID] = &s->ids,
                                        [WORD_MARK] = &s->marks};
  int failed = index_begin(l->index, e);
  for (unsigned kind = 0; kind < HEAD_KINDS && !failed; kind++)
    if (counts[kind]) failed = count_heads(l, kind, counts[kind], e);
  if (!failed) failed = index_count(l->index, INDEX_KEPT, &s->kept, e);
  index_end(l->index);
  return failed;
}

static void fill_step(struct rille_step_stats *step, const struct step_words *words) {
  step->count = atomic_load(&words->count);
  step->time_us = (int64_t)atomic_load(&words->time_us);
}

/* What is not over. */
static void fill_pending(struct log *l, rille_stats *s) {
  int64_t now = log_now(l);
  for (const struct pending_entry *p = l->pending.first; p; p = p->next) {
    bool doubt = p->kind == PENDING_PREPARED || p->kind == PENDING_CONTRADICTED;
    s->indoubt += doubt;
    s->pending += p->kind == PENDING_DECIDED;
    if ((doubt || p->kind == PENDING_DECIDED) && now - p->time_us > s->oldest_us)
      s->oldest_us = now - p->time_us;
  }
}

static void fill_numbers(struct log *l, const struct log_end *end, rille_stats *s) {
  const struct control_words *w = l->control->words;
  s->log_bytes = end->address;
  s->written = end->next_position - 1;
  s->last_us = end->time_us;
  s->unfolded_bytes = end->address - min_u64(end->address, index_folded(l->index).address);
  s->index_bytes = index_bytes(l->index);
  s->index_readers = index_readers(l->index);
  s->segments = l->segments.count;
  s->created_us = l->identity.created_us;
  identity_text(l->identity.uuid, s->uuid);
  if (!w || (l->options.readonly && !l->generation)) return; /* it follows nobody */
  s->appends = atomic_load(&w->appends);
  s->flushes = atomic_load(&w->flushes);
  s->folds = atomic_load(&w->folds);
  s->failed = atomic_load(&w->error) != 0;
  fill_step(&s->prepares, &w->prepares);
  fill_step(&s->decisions, &w->decisions);
  fill_step(&s->commits, &w->commits);
  fill_step(&s->forces, &w->forces);
}

int rille_store_stats(rille_store *h, rille_stats *stats, rille_error *e) {
  struct log *l = &h->shared->log;
  struct log_end end;
  *stats = (rille_stats){0};
  int failed = store_usable(h, e);
  if (!failed) failed = log_look(l, false, &end, e);
  if (failed) return failed;
  stats->head = rille_store_head(h);
  stats->durable = rille_store_durable(h);
  pthread_mutex_lock(&l->lock);
  failed = log_catch_up(l, &end, e);
  if (!failed) failed = index_look(l->index, e);
  if (!failed) failed = count_all(l, stats, e);
  if (!failed) failed = log_know_pending(l, e);
  fill_pending(l, stats);
  fill_numbers(l, &end, stats);
  pthread_mutex_unlock(&l->lock);
  return failed;
}
