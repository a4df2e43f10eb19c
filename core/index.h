/* index.h: what has been folded: the only file that knows LMDB.
**
** The index is a fold of the log and may be deleted. It holds, each in a table
** of its own: the heads of chains by name (one table a kind), the words (ids, marks,
** truncations: overlay.h), places (position -> address, one for every 64 KiB of log),
** and what it is a fold of: the store's uuid and A, the folded address, with the
** checksum of the frame that ends there. Each value ends with a checksum of its key
** and itself, because LMDB has none: a wrong bit in a head would be written on into the
** log. Beside them stand the bytes that are kept for scripts (kept.c), which are made
** again by who kept them.
**
** Several processes may have it open. One at a time folds (control.h); A then moves
** under the others, who see that when they look.
**
** Invariants:
** L5  everything here can be made again from the log.
** L9  nothing here depends on an address at or above `durable`: whoever folds
**     has flushed the log up to A before.
** Heads only go up. So a fold is committed in chunks, in the order of keys, and
** A with the last of them: after a crash between chunks some heads are ahead of
** A, which a reader of the log from A notices by a record's number. */
#ifndef RILLE_INDEX_H
#define RILLE_INDEX_H

#include "frame.h"
#include "overlay.h"

#define INDEX_FORMAT 5
#define INDEX_CHUNK_HEADS 8192u           /* heads a commit, at most */
#ifndef INDEX_MAP_BYTES                   /* a test has smaller ones */
#define INDEX_MAP_BYTES ((size_t)1 << 30) /* of addresses at first; doubled when full */
#define INDEX_READERS_MOST 1000u          /* processes at a time */
#endif
#define INDEX_KEY_BYTES_MOST 511u              /* LMDB's limit */
#define INDEX_PLACE_BYTES ((uint64_t)64 << 10) /* of log for one place */

struct index;

enum index_state {
  INDEX_USABLE,
  INDEX_ABSENT,
  INDEX_UNUSABLE, /* damaged, or of another format */
  INDEX_FOREIGN,  /* another store's */
  INDEX_REFUSED   /* LMDB's lock needs the right to write, which this process has not */
};

/* Whose index it is, and how it is opened. */
struct index_use {
  const char *folder;
  const uint8_t *uuid; /* 16 bytes */
  bool readonly;
  bool alone; /* no other process has it open */
};

/* Opens the index and changes nothing in it. Where there is none that can be used,
** *index is NULL and *state says why; that is no error. */
INTERNAL int index_open(struct index **index, const struct index_use *use,
                        const struct memory *memory, enum index_state *state, rille_error *error);
/* Makes an empty one in the place of whatever is there. */
INTERNAL int index_make(struct index **index, const struct index_use *use,
                        const struct memory *memory, rille_error *error);
/* `alone`: nobody else has it open, so that a checksum of the file can be left. */
INTERNAL void index_close(struct index *index, bool alone);
/* Where somebody has put another index into its place, that is used from now on, and *followed.
** Nobody of this process may be between begin and end. Where it fails the old one is used. */
INTERNAL int index_follow(struct index *index, bool *followed, rille_error *error);

/* Looks what it is a fold of by now; index_folded tells it. */
INTERNAL int index_look(struct index *index, rille_error *error);
/* To the disk, its last commit too. */
INTERNAL int index_flush(struct index *index, rille_error *error);
INTERNAL struct log_end index_folded(const struct index *index);

/* Everything between begin and end is read from one state of the index. Not
** from two threads at once; beside one that folds. */
INTERNAL int index_begin(struct index *index, rille_error *error);
INTERNAL void index_end(struct index *index);
/* A head or a word; count 0 where there is none. `kind` is an enum chain_kind or
** word_kind. */
INTERNAL int index_head(struct index *index, unsigned kind, rille_text name,
                        struct chain_head *head, rille_error *error);
/* The first name behind `after` (empty: the first of all). RILLE_NOTFOUND, without a message,
** where there is none. The text lies in the map: it lasts until index_end. */
INTERNAL int index_next_head(struct index *index, unsigned kind, rille_text after, rille_text *name,
                             rille_error *error);
/* The last place at or before a position; position 0 where there is none. */
INTERNAL int index_place(struct index *index, uint64_t position, struct place *place,
                         rille_error *error);
/* Tables that are walked: heads and words by their kind, and */
enum { INDEX_PLACES = HEAD_KINDS, INDEX_KEPT, INDEX_TABLES };
/* How many values are in one. */
INTERNAL int index_count(struct index *index, unsigned table, uint64_t *count, rille_error *error);

/* A walk over many values in slices, each within an index_begin and index_end of its own: no
** transaction lives long. Zero but for `most` before the first. What another puts in behind
** the walk meanwhile is not met. */
struct index_slice {
  size_t most; /* values */
  size_t key_length;
  uint8_t key[INDEX_KEY_BYTES_MOST]; /* of the last one; length 0: none yet */
};
/* What is called for each value, by the table that it is in; not 0 stops, and is returned.
** `kept` also for one that is damaged, which is not sound. */
struct index_each {
  int (*head)(void *context, unsigned kind, rille_text name, const struct chain_head *head);
  int (*place)(void *context, const struct place *place);
  int (*kept)(void *context, rille_text key, bool sound);
  void *context;
};
/* RILLE_REMARK: there are more. */
INTERNAL int index_walk(struct index *index, unsigned table, struct index_slice *slice,
                        const struct index_each *each, rille_error *error);
/* What is kept. RILLE_NOTFOUND, without a message, where there is none. Texts lie in the map:
** they last until index_end. */
INTERNAL int index_kept(struct index *index, rille_text key, rille_text *value, rille_error *error);
/* The first key behind `after` that begins with `prefix`. */
INTERNAL int index_kept_next(struct index *index, rille_text after, rille_text prefix,
                             rille_text *key, rille_text *value, rille_error *error);
INTERNAL uint64_t index_bytes(struct index *index);
/* How many processes have it open. */
INTERNAL uint64_t index_readers(struct index *index);
/* Frees what processes have left there that died. */
INTERNAL void index_clean(struct index *index);
/* A copy, in one state, to the folder `to`, which must be there and empty. Comes after
** index_look, which knows how large it is. */
INTERNAL int index_copy(struct index *index, const char *to, rille_error *error);

/* A head or a word to be stored. */
struct folded_head {
  unsigned kind;
  rille_text name;
  uint64_t count, touched;
  const uint64_t *tower; /* chain_levels(count) addresses */
};

/* Heads (in the order of kind and name), places, and then A, are stored chunk by
** chunk. On failure the index is still a correct index of what it was. */
struct fold {
  const struct folded_head *heads;
  size_t head_count;
  const struct place *places;
  size_t place_count;
  struct log_end end;
  size_t done; /* heads that are stored */
};
/* Stores one more chunk, of at most `most` heads, nor more than INDEX_CHUNK_HEADS.
** RILLE_REMARK: there is more to come; 0: that was the last, and A is fold->end. */
INTERNAL int index_fold(struct index *index, struct fold *fold, size_t most, rille_error *error);

/* The two that change what is kept. One transaction each, beside a fold: LMDB has one
** writer at a time, who is waited for, so the log's `lock` must not be held.
** RILLE_CONFLICT, without a message: the expectation is not met, and nothing has changed.
** A write of nothing waits until all are over that had begun, in any process. `generation`: the
** word that write->generation is compared with, within the transaction; NULL: it is not. */
INTERNAL int index_keep(struct index *index, const rille_kept_write *write,
                        const _Atomic uint64_t *generation, rille_error *error);
INTERNAL int index_kept_erase(struct index *index, rille_text prefix, uint64_t most,
                              uint64_t *erased, rille_error *error);

#endif
