/* promise.c: what the marks of a record say that must hold from then on. */
#include "promise.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *wrong(const char *format, ...) {
  static char message[1200];
  va_list list;
  va_start(list, format);
  vsnprintf(message, sizeof message, format, list);
  va_end(list);
  return message;
}

/* ---- Hearing ---- */

static void rise(uint64_t *value, uint64_t to) {
  if (to > *value) *value = to;
}

/* What was seen stays, and what was not is gone for good. */
static void hear_seen(struct of_store *s, const uint32_t *serials, const struct mark *m) {
  for (uint32_t i = 1; i < m->serial; i++) s->told[i] = (struct told){.refused = true};
  for (uint64_t p = m->first; p > 0; p--)
    s->told[serials[p - 1]] = (struct told){.first = p, .durable = true};
  s->durable = m->first;
  s->made = true;
}

/* Of what the store has that is copied. */
static void hear_backup(struct of_store *copy, const struct of_store *s, uint64_t head) {
  for (uint32_t i = 1; i < SERIALS_MOST; i++) {
    copy->told[i] = s->told[i];
    copy->told[i].durable = s->told[i].first && s->told[i].first <= head;
  }
  memcpy(copy->cut, s->cut, sizeof s->cut);
  memcpy(copy->cut_begun, s->cut_begun, sizeof s->cut_begun);
  copy->durable = head;
}

static void hear_told(struct of_store *s, const struct mark *m) {
  struct told *t = &s->told[m->serial];
  if (t->first && t->first != m->first) abort(); /* the same append, at two places */
  *t = (struct told){.first = m->first, .durable = m->durable || t->durable};
}

void promises_hear(struct promises *p, const struct entry *e) {
  struct mark m;
  memcpy(&m, entry_bytes(e), sizeof m);
  struct of_store *s = &p->stores[m.store];
  switch ((enum mark_kind)m.kind) {
    case MARK_MADE: s->made = true; break;
    case MARK_TOLD: hear_told(s, &m); break;
    case MARK_DURABLE: rise(&s->durable, m.first); break;
    case MARK_SEEN: hear_seen(s, (const void *)(entry_bytes(e) + sizeof m), &m); break;
    case MARK_REFUSED: s->told[m.serial].refused = true; break;
    case MARK_RETRIED: s->told[m.serial].refused = false; break;
    case MARK_CUT_BEGUN: rise(&s->cut_begun[m.serial], m.first); break;
    case MARK_CUT: rise(&s->cut[m.serial], m.first); break;
    case MARK_BACKUP_BEGUN: hear_backup(&p->stores[m.serial], s, m.first); break;
    case MARK_BACKUP: p->stores[m.serial].made = true; break;
    case MARK_SCAVENGE_BEGUN: memcpy(s->scavenge_begun, s->cut, sizeof s->cut); break;
    case MARK_SCAVENGED: memcpy(s->scavenged, s->scavenge_begun, sizeof s->cut); break;
    case MARK_REDACT_BEGUN:
      if (s->redaction[m.first] == REDACTION_NONE) s->redaction[m.first] = REDACTION_BEGUN;
      break;
    case MARK_REDACTED: s->redaction[m.first] = REDACTION_DONE; break;
    case MARK_OUTCOME: p->outcomes[m.serial] = (int)m.first; break;
  }
}

void promises_note_seen(uint32_t store, const struct seen *seen, uint32_t serial) {
  static struct {
    struct mark mark;
    uint32_t serials[EVENTS_MOST];
  } note;
  note.mark =
      (struct mark){.kind = MARK_SEEN, .store = store, .serial = serial, .first = seen->head};
  for (uint64_t p = 1; p <= seen->head; p++) note.serials[p - 1] = seen->labels[p].serial;
  record_mark(&note, (uint32_t)(sizeof note.mark + seen->head * sizeof *note.serials));
}

/* ---- Holding ---- */

/* L4, and that nothing comes back, or comes elsewhere. */
static const char *check_present(const struct of_store *p, const struct seen *seen) {
  uint8_t was_there[SERIALS_MOST] = {0};
  for (uint64_t at = 1; at <= seen->head; at++) {
    const struct label *l = &seen->labels[at];
    const struct told *t = &p->told[l->serial];
    uint64_t first = at - l->index;
    if (l->index >= at || seen->labels[first].serial != l->serial)
      return wrong("L4: append %u begins with its event %u", l->serial, l->index);
    if (l->index + 1u < l->count && (at == seen->head || seen->labels[at + 1].serial != l->serial ||
                                     seen->labels[at + 1].index != l->index + 1))
      return wrong("L4: append %u ends with its event %u of %u", l->serial, l->index, l->count);
    if (t->refused) return wrong("append %u, which did not happen, came back", l->serial);
    if (t->first && t->first != first)
      return wrong("L3: append %u is at %llu, and was told to be at %llu", l->serial,
                   (unsigned long long)first, (unsigned long long)t->first);
    if (l->index == 0 && was_there[l->serial]++)
      return wrong("append %u is there twice", l->serial);
  }
  return NULL;
}

static const char *check_durable(const struct of_store *p, const struct seen *seen) {
  if (p->durable > seen->head)
    return wrong("L3: all up to %llu was durable, but the last is %llu",
                 (unsigned long long)p->durable, (unsigned long long)seen->head);
  for (uint32_t i = 1; i < SERIALS_MOST; i++) {
    const struct told *t = &p->told[i];
    bool must = t->durable || (t->first && t->first <= p->durable);
    if (must && (t->first > seen->head || seen->labels[t->first].serial != i))
      return wrong("L3: append %u, told to be at %llu, is not there", i,
                   (unsigned long long)t->first);
  }
  return NULL;
}

const char *promises_check(const struct of_store *p, const struct seen *seen) {
  const char *bad = check_present(p, seen);
  return bad ? bad : check_durable(p, seen);
}

/* ---- Transactions ---- */

static void list_serials(const struct seen *seen, bool is_there[SERIALS_MOST]) {
  memset(is_there, 0, SERIALS_MOST * sizeof *is_there);
  for (uint64_t at = 1; at <= seen->head; at++) is_there[seen->labels[at].serial] = true;
}

const char *promises_check_outcomes(const struct promises *p, const struct seen *seen,
                                    uint32_t stores) {
  static bool home[SERIALS_MOST], other[SERIALS_MOST];
  list_serials(seen, home);
  for (uint32_t s = 1; s < stores; s++) {
    list_serials(&seen[s], other);
    for (uint32_t i = 1; i < SERIAL_EMITTED; i++)
      if (home[i] != other[i])
        return wrong("D1: transaction %u is %s home, but %s store %u", i, home[i] ? "at" : "not at",
                     other[i] ? "in" : "not in", s);
  }
  for (uint32_t i = 1; i < SERIAL_EMITTED; i++) {
    if (p->outcomes[i] == RILLE_OUTCOME_COMMITTED && !home[i])
      return wrong("D6: transaction %u was told to be committed, and is gone", i);
    if (p->outcomes[i] == RILLE_OUTCOME_ABORTED && home[i])
      return wrong("D6: transaction %u was told to be aborted, and is there", i);
  }
  return NULL;
}
