/* retention.c: what rille.h calls retention: giving bytes back, and taking content out. */
#include "error.h"
#include "redaction.h"
#include "scavenge.h"
#include "store.h"

int rille_store_scavenge(rille_store *h, const rille_scavenge *options, rille_scavenged *done,
                         rille_error *e) {
  rille_scavenged ignored;
  rille_scavenge o = {0};
  if (options && options->size == 0)
    return error_set(e, RILLE_INVALID, "options.size is 0: set it to sizeof options");
  if (options) memcpy(&o, options, options->size < sizeof o ? options->size : sizeof o);
  if (!done) done = &ignored;
  *done = (rille_scavenged){0};
  int failed = store_usable(h, e);
  return failed ? failed : scavenge_run(&h->shared->log, o.dry_run != 0, done, e);
}

int rille_store_redact(rille_store *h, const rille_redact *redact, rille_redacted *done,
                       rille_error *e) {
  rille_redacted ignored;
  rille_redact r = {0};
  if (redact->size == 0)
    return error_set(e, RILLE_INVALID, "redact.size is 0: set it to sizeof redact");
  memcpy(&r, redact, redact->size < sizeof r ? redact->size : sizeof r);
  if (!done) done = &ignored;
  *done = (rille_redacted){0};
  int failed = store_usable(h, e);
  return failed ? failed : redaction_make(&h->shared->log, h->shared->folder, &r, done, e);
}

int rille_store_log_form(rille_store *h, uint64_t *form, rille_error *e) {
  struct log *l = &h->shared->log;
  int failed = store_usable(h, e);
  *form = 0;
  if (failed) return failed;
  pthread_mutex_lock(&l->lock);
  failed = log_follow(l, e);
  if (!failed) failed = segments_form(&l->segments, form, e);
  pthread_mutex_unlock(&l->lock);
  return failed;
}

int rille_store_redacting(rille_store *h, int *redacting, rille_error *e) {
  struct log *l = &h->shared->log;
  struct log_end end;
  int failed = store_usable(h, e);
  *redacting = 0;
  if (!failed) failed = log_look(l, false, &end, e);
  if (failed) return failed;
  pthread_mutex_lock(&l->lock);
  failed = log_catch_up(l, &end, e);
  *redacting = !failed && atomic_load(&l->pending.redactions) > 0;
  pthread_mutex_unlock(&l->lock);
  return failed;
}

uint64_t rille_store_log_generation(rille_store *h) {
  return store_usable(h, NULL) ? 0 : log_shown(&h->shared->log);
}
