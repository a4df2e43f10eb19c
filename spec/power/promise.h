/* promise.h: what the marks of a record say that must hold from then on.
**
** An append that was told durably is there; one that was only told is there or not, but where it
** was told; one that was refused, or that was not seen after a cut, never comes back. */
#ifndef RILLE_POWER_PROMISE_H
#define RILLE_POWER_PROMISE_H

#include "work.h"

#define EVENTS_MOST 4096u

struct told {
  uint64_t first; /* 0: it was not */
  bool durable, refused;
};

enum redaction_told { REDACTION_NONE, REDACTION_BEGUN, REDACTION_DONE };

struct of_store {
  struct told told[SERIALS_MOST];
  uint64_t durable;
  bool made;
  uint64_t cut_begun[STREAMS], cut[STREAMS];
  uint64_t scavenge_begun[STREAMS], scavenged[STREAMS]; /* versions below may be, or are, gone */
  uint8_t redaction[EVENTS_MOST + 1];                   /* by position: enum redaction_told */
};

struct promises {
  struct of_store stores[STORES_MOST];
  int outcomes[SERIALS_MOST]; /* enum rille_outcome */
};

/* Numbers of the names of an event. */
struct shape_names {
  uint32_t stream, type;
  uint16_t tags;
};

enum gone { GONE_NOT, GONE_REDACTED, GONE_TAKEN };

/* What a store has, event by event. */
struct seen {
  uint64_t head;
  struct label labels[EVENTS_MOST + 1]; /* by position */
  uint64_t count[STREAMS];
  uint64_t positions[STREAMS][EVENTS_MOST + 1]; /* by version */
  uint8_t type[EVENTS_MOST + 1];                /* number */
  uint16_t tags[EVENTS_MOST + 1];               /* set of numbers */
  uint8_t gone[EVENTS_MOST + 1];                /* enum gone; then the rest is from what was told */
};

void promises_hear(struct promises *p, const struct entry *mark);
/* NULL, or what does not hold. */
const char *promises_check(const struct of_store *p, const struct seen *seen);
/* Stores after transactions: what is in one is in all, what was told is so. */
const char *promises_check_outcomes(const struct promises *p, const struct seen *seen,
                                    uint32_t stores);
/* Notes what was seen, as a mark; of the appends below `serial` all others are gone. */
void promises_note_seen(uint32_t store, const struct seen *seen, uint32_t serial);

/* Always the same room. */
const char *wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
