/* pending.c: the table of what is not over. */
#include "pending.h"

#include "error.h"

void pending_init(struct pending *p, const struct memory *memory) {
  memset(p, 0, sizeof *p);
  p->memory = *memory;
}

struct pending_entry *pending_find(const struct pending *p, rille_text name) {
  struct pending_entry *entry = p->first;
  while (entry && !text_equal(pending_name(entry), name)) entry = entry->next;
  return entry;
}

/* ---- Going ---- */

static void count(struct pending *p, const struct pending_entry *entry, int by) {
  if (entry->kind == PENDING_PREPARED) {
    uint64_t bytes = promise_commit_bytes(&entry->promise);
    p->prepared += (size_t)by;
    p->reserved += by > 0 ? bytes : -bytes;
  }
  if (entry->kind == PENDING_DECIDED) p->decided += (size_t)by;
}

static void free_entry(struct pending *p, struct pending_entry *entry) {
  promise_release(&entry->promise);
  buffer_release(&entry->redaction);
  memory_free(&p->memory, entry, sizeof *entry);
}

static size_t count_redactions(const struct pending *p) {
  size_t n = 0;
  for (const struct pending_entry *entry = p->first; entry; entry = entry->next)
    n += entry->kind == PENDING_REDACTION;
  return n;
}

static void drop(struct pending *p, rille_text name) {
  struct pending_entry **at = &p->first;
  while (*at && !text_equal(pending_name(*at), name)) at = &(*at)->next;
  if (!*at) return;
  struct pending_entry *entry = *at;
  *at = entry->next;
  count(p, entry, -1);
  if (entry->kind == PENDING_REDACTION) p->redactions = count_redactions(p);
  entry->next = p->gone;
  p->gone = entry;
  if (!p->keep) pending_keep_end(p);
}

void pending_forget(struct pending *p, rille_text name) { drop(p, name); }

static void free_list(struct pending *p, struct pending_entry *entry) {
  for (struct pending_entry *next; entry; entry = next) {
    next = entry->next;
    free_entry(p, entry);
  }
}

void pending_keep(struct pending *p) { p->keep = true; }

void pending_keep_end(struct pending *p) {
  free_list(p, p->gone);
  p->gone = NULL;
  p->keep = false;
}

void pending_clear(struct pending *p) {
  if (p->keep) { /* somebody is using one of them: all of them go with `gone` */
    struct pending_entry **at = &p->gone;
    while (*at) at = &(*at)->next;
    *at = p->first;
  } else {
    free_list(p, p->first);
  }
  p->first = NULL;
  p->prepared = p->decided = 0;
  p->reserved = 0;
}

/* ---- Coming ---- */

static enum pending_kind kind_of(const struct fact *fact) {
  switch (fact->kind) {
    case FACT_PROMISED: return PENDING_PREPARED;
    case FACT_DECIDED: return PENDING_DECIDED;
    case FACT_EPOCH: return PENDING_EPOCH;
    case FACT_BY_HAND: return PENDING_BY_HAND;
    case FACT_REDACTION: return PENDING_REDACTION;
    default: return PENDING_CONTRADICTED;
  }
}

int pending_effect(const struct fact *fact) {
  switch (fact->kind) {
    case FACT_DECIDED: return fact->value == RILLE_OUTCOME_COMMITTED ? 1 : 0;
    case FACT_PROMISED:
    case FACT_EPOCH:
    case FACT_BY_HAND:
    case FACT_CONTRADICTED:
    case FACT_REDACTION: return 1;
    case FACT_COMMITTED:
    case FACT_ABORTED:
    case FACT_ENDED:
    case FACT_CLOSED:
    case FACT_REDACTED: return -1;
    default: return 0;
  }
}

static bool has_promise(enum pending_kind kind) {
  return kind == PENDING_PREPARED || kind == PENDING_BY_HAND || kind == PENDING_CONTRADICTED;
}

static int add(struct pending *p, const struct fact *fact, uint64_t frame, int64_t time_us,
               rille_error *e) {
  struct pending_entry *entry = memory_get_zeroed(&p->memory, sizeof *entry);
  if (!entry) return error_memory(e);
  entry->kind = kind_of(fact);
  entry->frame = frame;
  entry->time_us = time_us;
  entry->value = fact->value;
  entry->length = fact->name.length;
  entry->promise.memory = p->memory;
  memcpy(entry->name, fact->name.bytes, fact->name.length);
  buffer_init(&entry->redaction, &p->memory);
  int failed = has_promise(entry->kind)
                   ? promise_open(&entry->promise, fact->name, fact->payload, &p->memory, e)
                   : 0;
  if (entry->kind == PENDING_REDACTION &&
      !buffer_add(&entry->redaction, fact->payload.bytes, fact->payload.length))
    failed = error_memory(e);
  if (failed) {
    free_entry(p, entry);
    return failed;
  }
  struct pending_entry **at = &p->first;
  while (*at) at = &(*at)->next;
  *at = entry;
  count(p, entry, 1);
  if (entry->kind == PENDING_REDACTION) p->redactions++;
  return 0;
}

int pending_note(struct pending *p, const struct fact *fact, uint64_t frame, int64_t time_us,
                 rille_error *e) {
  int effect = pending_effect(fact);
  if (effect != 0) drop(p, fact->name);
  return effect > 0 ? add(p, fact, frame, time_us, e) : 0;
}
