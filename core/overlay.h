/* overlay.h: what has not been folded yet: the heads of the chains, and the other
** words, that the log touches in a stretch [start, ...) up to its end, in memory,
** and that stretch's places.
**
** Entries in an arena, in the order in which they came, and a hash table of where they are;
** nothing is ever removed singly. A log has two of them (log.h): one that grows, and an older
** one that is being folded, which nobody changes any more.
**
**    parts ->  [slot slot ... ]  [slot ... ]  ...    OVERLAY_PARTS, by the hash's upper bits
**                    |hash|at|
**                          |
**    blocks -> [entry tower entry tower ...]  [...]  ...
**
** Each part is a small table of its own, and is made twice as large for itself: no append ever
** pays for all of them. A slot has the entry's hash: who looks for a name, and who makes a part
** larger, does not touch the entries of others. All processes keep tables of the same log, so
** that what one touches there is seldom in the processor's cache.
**
** Invariant: an overlay is complete for its stretch: the head of a chain that has a
** record there is here. Any other is in the overlay before it, or in an index whose A
** is at or above that one's start. */
#ifndef RILLE_OVERLAY_H
#define RILLE_OVERLAY_H

#include "buffer.h"
#include "chain.h"

#define OVERLAY_BYTES_MOST ((size_t)32 << 20)   /* then it is to be folded */
#define OVERLAY_BLOCK_BYTES ((size_t)256 << 10) /* the arena grows by this */
#define OVERLAY_PARTS 256u

/* Beside the chains (enum chain_kind) there are names that stand for one number. They
** are kept like chains of one record whose address is that number. */
enum word_kind {
  WORD_ID = CHAIN_KINDS, /* hash of a stream and an event's id -> address of the event */
  WORD_MARK,             /* a mark -> its position */
  WORD_CUT,              /* a stream -> its first version that is not truncated */
  WORD_PENDING,          /* what is not over (pending.h) -> its frame (frame_word); 0: over */
  WORD_OUTCOME,          /* a transaction -> the frame with its outcome, and which (outcome_word) */
  WORD_CLIENT,           /* a client's id -> the same, of the last decision about it */
  WORD_EPOCH,            /* a nonce; "closed NONCE", "last", "restored", "watermark" */
  HEAD_KINDS
};

struct overlay_entry {
  struct overlay_entry *next; /* the one that came after it */
  uint64_t count, touched;
  uint64_t *tower;
  uint8_t kind, name_length, capacity; /* capacity: levels that the tower has room for */
  char name[];
};

struct overlay_part {
  uint64_t *slots; /* |32: hash|32: where the entry is|; 0: empty */
  uint32_t room, count; /* of slots; room is a power of two, or 0 */
};

struct overlay {
  struct memory memory;
  uint64_t start, seed;
  struct overlay_part *parts; /* NULL: there is no table yet */
  size_t count;               /* entries */
  struct overlay_entry *first, *last;
  uint64_t **blocks;
  size_t block_count, block_capacity;
  size_t used;  /* words of the last block */
  size_t bytes; /* of the arena and the table */
  struct place *places;
  size_t place_count, place_capacity;
  bool late; /* chains have ended of which nobody can tell the names any more (redact.h) */
};

/* `seed` makes the hashes unpredictable to who chooses the names. */
INTERNAL void overlay_init(struct overlay *o, const struct memory *memory, uint64_t seed);
INTERNAL void overlay_release(struct overlay *o);
/* Empties it; it is complete from `start`. */
INTERNAL void overlay_restart(struct overlay *o, uint64_t start);
/* `older` gets everything, and `o` starts empty at `start`: with the table of `spare`, an empty
** one, which has none then; NULL: there is no spare one. */
INTERNAL void overlay_split(struct overlay *o, struct overlay *older, struct overlay *spare,
                            uint64_t start);
/* Empties it, but for its table, to become a spare one. */
INTERNAL void overlay_clear(struct overlay *o);

/* The head's entry, or NULL. `kind` is an enum chain_kind or word_kind. */
INTERNAL struct overlay_entry *overlay_find(const struct overlay *o, unsigned kind,
                                            rille_text name);
/* Adds a head that is not there. NULL: no memory. */
INTERNAL struct overlay_entry *overlay_add(struct overlay *o, unsigned kind, rille_text name,
                                           const struct chain_head *head);
/* Record `number` of the chain is at `address` in the frame at `frame`. False:
** no memory, nothing has changed. */
INTERNAL bool overlay_advance(struct overlay *o, struct overlay_entry *entry, uint64_t number,
                              uint64_t address, uint64_t frame);
/* The frame at `frame` sets a word. False: no memory. */
INTERNAL bool overlay_set_word(struct overlay *o, enum word_kind kind, rille_text name,
                               uint64_t value, uint64_t frame);
/* The frame at `frame` ends a chain, or a word is unset: the next record of that name begins a
** new one. False: no memory. */
INTERNAL bool overlay_forget(struct overlay *o, unsigned kind, rille_text name, uint64_t frame);
INTERNAL void overlay_get(const struct overlay_entry *entry, struct chain_head *head);
INTERNAL bool overlay_add_place(struct overlay *o, struct place place);
/* The entry that came after this one; NULL: the first one. NULL behind the last one. */
static inline struct overlay_entry *overlay_next(const struct overlay *o,
                                                 const struct overlay_entry *entry) {
  return entry ? entry->next : o->first;
}
/* The last place at or before the position, or NULL. */
INTERNAL const struct place *overlay_find_place(const struct overlay *o, uint64_t position);
/* All entries in the order of kind and name, for a fold: an array of o->count
** pointers to be freed by the caller. NULL: no memory. */
INTERNAL struct overlay_entry **overlay_sorted(const struct overlay *o);

#endif
