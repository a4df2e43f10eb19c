/* doubts.c: what is not over, copied out of the log's table. */
#include "doubts.h"

#include "decision.h"
#include "error.h"
#include "note.h"
#include "recall.h"

/* A list that is being made: texts are offsets until all are there. */
struct listing {
  struct memory memory;
  struct pack texts;
  rille_doubt *list;
  size_t count, capacity;
};

/* What a list owns. */
struct doubts_own {
  struct memory memory;
  struct buffer texts;
  size_t capacity;
};

static void put(struct listing *g, rille_text *to, rille_text text) {
  *to = (rille_text){(const char *)(uintptr_t)g->texts.bytes.length, text.length};
  pack_text(&g->texts, text);
}

static void settle_texts(struct listing *g, rille_text *text) {
  size_t offset = (size_t)(uintptr_t)text->bytes + 4; /* behind its length */
  text->bytes = (const char *)g->texts.bytes.bytes + offset;
}

static rille_doubt *add(struct listing *g, const struct pending_entry *p, int64_t now) {
  rille_doubt *d = &g->list[g->count++];
  const struct promise *promise = &p->promise;
  *d = (rille_doubt){.age_us = now > p->time_us ? now - p->time_us : 0,
                     .deadline_us = promise->deadline_us,
                     .contradicted = p->kind == PENDING_CONTRADICTED,
                     .by_hand = p->kind == PENDING_BY_HAND || p->kind == PENDING_CONTRADICTED,
                     .home_end = promise->home_end};
  put(g, &d->id, pending_name(p));
  put(g, &d->name, promise->name);
  put(g, &d->coordinator, promise->coordinator);
  put(g, &d->client, promise->client);
  put(g, &d->home_kind, promise->home_kind);
  put(g, &d->home_path, promise->home_path);
  put(g, &d->home_relative, promise->home_relative);
  put(g, &d->detail, promise->detail);
  return d;
}

static int finish(struct listing *g, rille_doubts *doubts, rille_error *e) {
  struct doubts_own *own = memory_get(&g->memory, sizeof *own);
  if (!own || g->texts.no_memory) {
    memory_free(&g->memory, own, sizeof *own);
    return error_memory(e);
  }
  for (size_t i = 0; i < g->count; i++) {
    rille_doubt *d = &g->list[i];
    rille_text *const texts[] = {&d->id,        &d->name,      &d->coordinator,   &d->client,
                                 &d->home_kind, &d->home_path, &d->home_relative, &d->detail};
    for (size_t j = 0; j < sizeof texts / sizeof *texts; j++) settle_texts(g, texts[j]);
  }
  *own = (struct doubts_own){g->memory, g->texts.bytes, g->capacity};
  *doubts = (rille_doubts){g->list, g->count, own};
  return 0;
}

static int begin(struct listing *g, rille_store *h, rille_error *e) {
  struct log *l = &h->shared->log;
  *g = (struct listing){.memory = h->memory};
  pack_init(&g->texts, &h->memory);
  struct log_end end = log_written(l);
  int failed = log_refuse_failed(l, e);
  if (!failed) failed = log_catch_up(l, &end, e);
  if (!failed) failed = log_know_pending(l, e);
  for (const struct pending_entry *p = l->pending.first; p; p = p->next) g->capacity++;
  g->list = memory_get(&g->memory, (g->capacity + 1) * sizeof *g->list);
  return !failed && !g->list ? error_memory(e) : failed;
}

static int end(struct listing *g, int failed, rille_doubts *doubts, rille_error *e) {
  if (!failed) failed = finish(g, doubts, e);
  if (!failed) return 0;
  pack_release(&g->texts);
  memory_free(&g->memory, g->list, (g->capacity + 1) * sizeof *g->list);
  return failed;
}

/* A store that was restored from a copy never settles what the original had promised. */
static int restored_at(struct log *l, uint64_t *frame, rille_error *e) {
  struct chain_head head;
  int failed = log_find_head(l, WORD_EPOCH, rille_text_of(EPOCH_RESTORED), &head, e);
  *frame = !failed && head.count ? head.tower[0] : 0; /* a word: 1 more, or 0 */
  return failed;
}

int doubts_prepared(rille_store *h, bool by_hand, rille_doubts *doubts, rille_error *e) {
  struct log *l = &h->shared->log;
  struct listing g;
  uint64_t restored;
  *doubts = (rille_doubts){0};
  int failed = store_usable(h, e);
  if (failed) return failed;
  pthread_mutex_lock(&l->lock);
  failed = begin(&g, h, e);
  if (!failed) failed = restored_at(l, &restored, e);
  for (const struct pending_entry *p = l->pending.first; p && !failed; p = p->next)
    if (p->kind == PENDING_PREPARED || p->kind == PENDING_CONTRADICTED ||
        (by_hand && p->kind == PENDING_BY_HAND))
      add(&g, p, log_now(l))->restored = p->frame < restored;
  pthread_mutex_unlock(&l->lock);
  return end(&g, failed, doubts, e);
}

int rille_store_indoubt(rille_store *h, rille_doubts *doubts, rille_error *e) {
  return doubts_prepared(h, false, doubts, e);
}

/* Of a decision its frame tells the rest. */
static int add_decided(struct listing *g, struct log *l, const struct pending_entry *p,
                       rille_error *e) {
  struct recalled r;
  struct fact fact;
  struct decision decision;
  int failed = recall_frame(&r, &l->source, &l->memory, p->frame, e);
  if (failed) return failed;
  rille_doubt *d = add(g, p, log_now(l));
  d->end = frame_end(&r.frame);
  if (recall_fact(&r, FACT_DECIDED, pending_name(p), &fact) &&
      decision_unpack(&decision, fact.payload)) {
    put(g, &d->client, decision.client);
    put(g, &d->detail, decision.detail);
  }
  recall_release(&r);
  return 0;
}

int rille_store_pending(rille_store *h, rille_doubts *doubts, rille_error *e) {
  struct log *l = &h->shared->log;
  struct listing g;
  *doubts = (rille_doubts){0};
  int failed = store_usable(h, e);
  if (failed) return failed;
  pthread_mutex_lock(&l->lock);
  failed = begin(&g, h, e);
  for (const struct pending_entry *p = l->pending.first; p && !failed; p = p->next)
    if (p->kind == PENDING_DECIDED) failed = add_decided(&g, l, p, e);
  pthread_mutex_unlock(&l->lock);
  return end(&g, failed, doubts, e);
}

void rille_doubts_free(rille_doubts *doubts) {
  struct doubts_own *own = doubts->own;
  if (!own) return;
  struct memory memory = own->memory;
  buffer_release(&own->texts);
  memory_free(&memory, doubts->list, (own->capacity + 1) * sizeof *doubts->list);
  memory_free(&memory, own, sizeof *own);
  *doubts = (rille_doubts){0};
}
