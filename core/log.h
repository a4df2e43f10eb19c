/* log.h: the log as a whole: opened and repaired, appended to, flushed, folded.
** It composes segments (bytes), the index (what has been folded), the overlay
** (what has not) and keeps them in step.
**
**      0 ............... A ................ durable ..... written
**      |    in the index |   in the overlay    |  in the overlay |
**
** Invariants:
** L1  positions are 1, 2, 3 ... without gaps, in the order of addresses.
** L4  a frame counts wholly or not at all.
** L9  A <= durable: what is folded is on the disk.
** L10 durable <= written; nobody is told a position at or above `durable` by a
**     handle whose sync is "always".
** States of a log: open -> failed (a flush failed, or memory and disk may
** disagree: log_fail) -> closed. A failed log refuses all but closing. */
#ifndef RILLE_LOG_H
#define RILLE_LOG_H

#include "control.h"
#include "index.h"
#include "overlay.h"
#include "segment.h"

#define LOG_UNFOLDED_BYTES_MOST ((uint64_t)56 << 20) /* behind A; then it is folded */
#define LOG_WRITE_BACK_BYTES ((uint64_t)16 << 20)    /* unflushed; then write-back is started */
#define LOG_FRAME_KEEP_BYTES ((size_t)4 << 20)       /* memory kept from one append to the next */

struct log_options {
  bool readonly;
  uint64_t segment_bytes;
  int64_t (*clock)(void *context);
  void *clock_context;
};

struct log {
  struct memory memory;
  struct log_options options;
  struct identity identity;
  struct segments segments;
  struct index *index;
  char *scratch;                /* folder of an index of our own, when readonly; or NULL */
  struct source source;

  pthread_mutex_t flushing;     /* who waits here may find it done; taken before `lock` */
  pthread_mutex_t lock;         /* all that follows */
  bool live;                    /* the mutexes are made */
  struct overlay overlay;
  struct log_end written, durable;
  uint64_t place_cell;          /* the last 64 KiB of log that have a place */
  uint64_t started;             /* up to here write-back has been started */
  struct buffer frame;          /* the append being built */
  int failed;                   /* 0, or why nothing works any more */
  char why[256];
  uint64_t appends, flushes, folds;
};

/* open.c: opens the log of the store in `folder`, repairing its tail. A remark (> 0) tells
** what was cut or made anew. */
INTERNAL int log_open(struct log *log, const char *folder, const struct identity *identity,
                      const struct log_options *options, const struct memory *memory,
                      rille_error *error);
/* Flushes, folds to the end, closes. Everything is released whatever it returns. */
INTERNAL int log_close(struct log *log, rille_error *error);

/* Releases all memory and files, without a word to the disk. */
INTERNAL void log_release(struct log *log);

/* Makes the log durable up to `address`. RILLE_UNKNOWN: the disk failed. */
INTERNAL int log_flush(struct log *log, uint64_t address, rille_error *error);
/* The end of what a reader may see. */
INTERNAL struct log_end log_visible(struct log *log, bool durable_only);

/* A chain's head at this moment; count 0 where there is none. */
INTERNAL int log_head(struct log *log, enum chain_kind kind, rille_text name,
                      struct chain_head *head, rille_error *error);
/* The last known place at or before a position; position 0: none. */
INTERNAL int log_place(struct log *log, uint64_t position, struct place *place,
                       rille_error *error);

/* The following want `lock` to be held. */

/* The chain's entry in the overlay, brought from the index if need be. */
INTERNAL int log_entry(struct log *log, enum chain_kind kind, rille_text name,
                       struct overlay_entry **entry, rille_error *error);
/* The first record in each 64 KiB of log gets a place. */
INTERNAL int log_note_place(struct log *log, struct place place, rille_error *error);
/* 0, or the failure that the log is in. */
INTERNAL int log_refuse_failed(const struct log *log, rille_error *error);
/* Flushes all that is written; nobody can append meanwhile. */
INTERNAL int log_flush_all(struct log *log, rille_error *error);
/* Folds when the overlay or the unfolded log has grown to its bound. */
INTERNAL int log_fold_if_due(struct log *log, rille_error *error);
INTERNAL int log_fold(struct log *log, rille_error *error);
/* Reads the log from A to `end` into the overlay. Folds on the way as is due, so
** that memory is bounded however long the log is. */
INTERNAL int log_catch_up(struct log *log, const struct log_end *end, rille_error *error);
/* Builds the overlay anew, after an append failed half-way through changing it. */
INTERNAL int log_reload(struct log *log, rille_error *error);
INTERNAL int log_fail(struct log *log, int code, const char *why);

/* append.c: writes the events of all parts as one frame, not flushed; the log's
** new end is in *end. */
INTERNAL int log_append(struct log *log, const rille_append *append, rille_appended *done,
                        uint64_t *end, rille_error *error);

#endif
