/* follow.c: noticing that log files were replaced, or content redacted, by whomever.
**
** Whoever does that raises the shared word log_generation: once when a redaction is durable, and
** again when the files have been replaced. Each call that reads or appends, and each step of a
** reader, compares it with what it has seen, which costs one load. Where it is another:
**
**    log files       are opened anew when they are read
**    the index       is followed, where there is another in its place; then the overlays begin
**                    anew at its A, because they know chains that have ended, and the frame that
**                    ended them may have lost their names by now. Who can't is told: what is kept
**                    in the old one may be what was redacted
**    the log         is read to its end, so that what is redacted is known: log_hidden
**
** So who began a read before sees the new state from its next event on. */
#include "log.h"

#include "error.h"
#include "redact.h"

static uint64_t generation_of(const struct log *l) {
  bool follows = l->control->words && (!l->options.readonly || l->generation);
  return follows ? atomic_load(&l->control->words->log_generation) : 0;
}

/* For a reader: somebody may have begun to write, or another first opener may have
** repaired the log since; then what is known beyond A may not be true any more. */
static bool has_new_writers(const struct log *l) {
  if (!l->options.readonly || l->opening || !l->control->words) return false;
  uint64_t generation = control_generation(l->control);
  return generation != 0 && generation != l->generation;
}

static int notice_writers(struct log *l, rille_error *e) {
  uint64_t generation = control_generation(l->control);
  int failed = segments_refresh(&l->segments, e);
  if (failed) return failed;
  segments_reopen(&l->segments);
  bool followed; /* where it can't, the one it has is as true */
  (void)index_follow(l->index, &followed, NULL);
  log_restart(l);
  l->generation = generation;
  return 0;
}

bool log_is_behind(const struct log *l) {
  return has_new_writers(l) ||
         generation_of(l) != atomic_load_explicit(&l->followed, memory_order_relaxed);
}

int log_follow(struct log *l, rille_error *e) {
  int failed = has_new_writers(l) ? notice_writers(l, e) : 0;
  if (failed || !log_is_behind(l)) return failed;
  uint64_t generation = generation_of(l);
  failed = segments_refresh(&l->segments, e); /* which is the last one, by now */
  if (failed) return failed;
  segments_reopen(&l->segments);
  bool followed = false;
  if (!l->scratch && (failed = index_follow(l->index, &followed, e)) != 0) return failed;
  if (followed) log_restart(l);
  atomic_store(&l->followed, generation);
  struct log_end end = log_written(l);
  return l->opening ? 0 : log_catch_up(l, &end, e);
}

uint64_t log_shown(const struct log *l) { return generation_of(l); }

void log_raise(struct log *l) {
  atomic_fetch_add(&l->control->words->log_generation, 1);
  control_wake(l->control);
}

int log_find_hidden(struct log *l, const struct record *r, struct record_taking *hidden,
                    rille_error *e) {
  *hidden = (struct record_taking){0};
  if (atomic_load(&l->pending.redactions) == 0) return 0;
  int failed = log_know_pending(l, e);
  for (const struct pending_entry *p = l->pending.first; p && !failed; p = p->next) {
    struct redaction redaction;
    rille_text payload = {(const char *)p->redaction.bytes, p->redaction.length};
    if (p->kind != PENDING_REDACTION || r->address >= p->frame) continue;
    if (!redact_unpack(&redaction, payload)) continue; /* who finishes it tells */
    struct record_taking t = redact_taking(&redaction, r);
    hidden->flags |= t.flags;
    hidden->tags |= t.tags;
  }
  return failed;
}

int log_hidden(struct log *l, const struct record *r, struct record_taking *hidden,
               rille_error *e) {
  *hidden = (struct record_taking){0};
  if (atomic_load(&l->pending.redactions) == 0) return 0;
  pthread_mutex_lock(&l->lock);
  int failed = log_find_hidden(l, r, hidden, e);
  pthread_mutex_unlock(&l->lock);
  return failed;
}
