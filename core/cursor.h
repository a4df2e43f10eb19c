/* cursor.h: the members of one chain, one after another, in either direction.
**
** A cursor stands on a chain's head and a range of its numbers. It takes them in
** blocks, each found in waves (chain.h): who is in memory is read into a slot by
** one call, the others are asked of the disk together.
**
**    numbers   1 ..... low ........................ high ..... count
**                       |  taken | block | to come  |
**                                  ^ at              (forward; else from the right)
**
** Invariant: what it gives has been checked: a sound head, of this chain, with
** this number; so a chain never leads to another's records unnoticed. A record that has lost its
** name is of no chain: who comes to one has begun before the name was redacted, and then the chain
** has ended, because all of its members lose it. */
#ifndef RILLE_CURSOR_H
#define RILLE_CURSOR_H

#include "log.h"

#define CURSOR_SLOT_BYTES 512u  /* read at once of a record; most fit */
#define CURSOR_FIRST_BYTES 256u /* of the first ones, until a longer one has come */

struct cursor_slot {
  struct record record;
  size_t got; /* how much of it is in bytes; 0: its head is too long, or not there yet */
  uint8_t bytes[CURSOR_SLOT_BYTES];
};

struct cursor {
  struct log *log;
  struct window *window; /* for records that no slot can hold; shared with others */
  enum chain_kind kind;
  rille_text name;       /* the caller's, who keeps it */
  struct chain_head head;
  struct chain_mark near; /* a member behind the range, to start walks from; or number 0 */
  uint64_t low, high;    /* numbers still to come, inclusive; none: high == low - 1 */

  bool ended; /* its name was redacted while it was walked */
  bool backward;
  uint64_t slot_bytes;      /* what is read of a record: as much as the longest so far has */
  size_t block, block_most; /* numbers that the next block takes, doubled up to the most */
  uint64_t block_low;       /* slots[i] is number block_low + i */
  size_t block_count, block_at, slot_count;
  uint64_t before;          /* the address of number block_low - 1; NO_ADDRESS: not known */
  uint64_t address;         /* of the member it stands on */
  struct cursor_slot *slots;
};

/* Takes the chain's head; all its numbers are to come. Nothing has to be released
** before cursor_begin. */
INTERNAL int cursor_init(struct cursor *c, struct log *log, struct window *window,
                         enum chain_kind kind, rille_text name, rille_error *error);
/* Leaves out members below address `from` and at or above `to`, from <= to. But where as
** many as `enough` are left for certain, it may stop counting, and the cursor is of no use
** but to tell so. */
INTERNAL int cursor_bound(struct cursor *c, uint64_t from, uint64_t to, uint64_t enough,
                          rille_error *error);
/* Where the chain's record of this number stands; the record has been checked. */
INTERNAL int cursor_find(const struct cursor *c, uint64_t number, uint64_t *address,
                         uint64_t *position, rille_error *error);
static inline uint64_t cursor_count(const struct cursor *c) { return c->high + 1 - c->low; }

/* The first block takes `block` numbers, later ones more, up to block_most, which is at
** most CHAIN_BLOCK. */
INTERNAL void cursor_begin(struct cursor *c, bool backward, size_t block, size_t block_most);
/* 1: it stands on the next member, at c->address; 0: there is none; < 0: an error. */
INTERNAL int cursor_next(struct cursor *c, rille_error *error);
/* The head of the member it stands on; valid until the next step, or the next use of the
** window. */
INTERNAL int cursor_record(struct cursor *c, struct record *record, rille_error *error);
/* Brings the body behind the record's head, and checks it. */
INTERNAL int cursor_body(struct cursor *c, struct record *record, rille_error *error);
/* Log files were replaced: what it has read of the members to come is read again. */
INTERNAL void cursor_forget(struct cursor *c);
INTERNAL void cursor_release(struct cursor *c);

#endif
