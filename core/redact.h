/* redact.h: what is to be taken out of the log, as bytes of a redact frame and as a struct; pure.
**
**    FACT_REDACTION, named by the address of its frame:
**       u32 format  text reason  u32 what  u64 count  u64 position ...  (ascending)
**       u32 count of names, then for each u32 kind, text      <- zeros, once they are taken, too
**    FACT_REDACTED, of the same name: nothing of it is left in the files
**
** Names are taken out of all events that stand before the frame: the frame ends their chains.
** So no chain has members that are not its own any more, and what is appended later under such
** a name begins a new one, which has no link into the old.
**
** Invariant R1: from the first fact on, in whichever process, what it names is shown to nobody. */
#ifndef RILLE_REDACT_H
#define RILLE_REDACT_H

#include "frame.h"
#include "overlay.h"
#include "pack.h"

#define REDACT_NAME_BYTES 16u
#define REDACT_POSITIONS_MOST ((size_t)1 << 20)
#define REDACT_NAMES_MOST 1024u
#define REDACT_REASON_BYTES 1024u

/* What is taken out of the events at the positions. */
#define REDACT_DATA 1u
#define REDACT_ID 2u
#define REDACT_NAMES 4u /* there are names; where none stand any more, they are taken */

struct redaction {
  rille_text reason;
  unsigned what;
  const uint8_t *positions; /* u64 each */
  uint64_t count;
  size_t names_at;     /* in the payload: from here on it is to be taken */
  struct unpack names; /* to be read by redact_next_name */
  uint32_t name_count;
};

INTERNAL void redact_name_of(uint64_t frame, char room[REDACT_NAME_BYTES]);
INTERNAL void redact_pack(const rille_redact *redact, const uint64_t *positions, size_t count,
                          struct pack *pack);
/* False where the payload can't be read. Texts lie in it. */
INTERNAL bool redact_unpack(struct redaction *redaction, rille_text payload);
/* The next name; false: there is none left. */
INTERNAL bool redact_next_name(struct redaction *redaction, enum chain_kind *kind,
                               rille_text *name);
/* Whether the position is one of them. */
INTERNAL bool redact_has(const struct redaction *redaction, uint64_t position);
/* What it takes out of a record that stands before it. */
INTERNAL struct record_taking redact_taking(const struct redaction *redaction,
                                            const struct record *record);
/* The names' chains, and truncations of such streams, end in the overlay. False: no memory.
** Where the names are gone nobody can tell which: the overlay is `late`. */
INTERNAL bool redact_forget(struct overlay *overlay, rille_text payload, uint64_t frame);

#endif
