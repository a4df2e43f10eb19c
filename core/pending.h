/* pending.h: what has begun in a store and is not over, in memory: promises, decisions,
** epochs. A fold of the log like the overlays, and in step with them.
**
**   PREPARED      a transaction has promised something here, and locks it
**   DECIDED       home: decided to commit; not every member has acknowledged
**   EPOCH         home: an instance that is not known to have ended
**   BY_HAND       an operator has decided here; home may say something else
**   CONTRADICTED  ... and has
**
** Entries come and go by facts (frame.h); the words of kind WORD_PENDING hold the addresses
** of their frames, so that who opens a store finds them without reading the log. Loading
** from an index that is ahead of the overlays does no harm, because whoever uses the table
** has caught up with the log's end: each name's last fact decides. */
#ifndef RILLE_PENDING_H
#define RILLE_PENDING_H

#include "frame.h"
#include "promise.h"

enum pending_kind {
  PENDING_PREPARED,
  PENDING_DECIDED,
  PENDING_EPOCH,
  PENDING_BY_HAND,
  PENDING_CONTRADICTED,
  PENDING_REDACTION
};

struct pending_entry {
  struct pending_entry *next;
  enum pending_kind kind;
  uint64_t frame;          /* its address */
  int64_t time_us;         /* of the frame */
  uint64_t value;          /* EPOCH: number; BY_HAND: outcome here; CONTRADICTED: home's */
  struct promise promise;  /* PREPARED whole; BY_HAND and CONTRADICTED without its work */
  struct buffer redaction; /* REDACTION: the payload, for redact.h */
  size_t length;
  char name[RILLE_NAME_BYTES]; /* a transaction, or an epoch's nonce */
};

struct pending {
  struct memory memory;
  struct pending_entry *first; /* the oldest */
  size_t prepared, decided;
  _Atomic size_t redactions;   /* not finished, or not known to be: never too few */
  uint64_t reserved;           /* bytes of log that the promises need to be kept */
  bool keep;                   /* what goes is kept in `gone`, because it is being used */
  struct pending_entry *gone;
};

INTERNAL void pending_init(struct pending *p, const struct memory *memory);
INTERNAL void pending_clear(struct pending *p);
/* Its end was found elsewhere than in a fact. */
INTERNAL void pending_forget(struct pending *p, rille_text name);
/* From here to the end an entry that goes stays readable, for who writes what it promised. */
INTERNAL void pending_keep(struct pending *p);
INTERNAL void pending_keep_end(struct pending *p);
INTERNAL struct pending_entry *pending_find(const struct pending *p, rille_text name);
static inline rille_text pending_name(const struct pending_entry *entry) {
  return (rille_text){entry->name, entry->length};
}
/* Whether such a fact makes an entry (1), ends one (-1), or is about nothing here (0). */
INTERNAL int pending_effect(const struct fact *fact);
/* Takes a fact of the frame at `frame`. RILLE_CORRUPT, RILLE_MEMORY. */
INTERNAL int pending_note(struct pending *p, const struct fact *fact, uint64_t frame,
                          int64_t time_us, rille_error *error);

#endif
