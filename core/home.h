/* home.h: the log in which transactions are decided.
**
**   undecided --log_decide(commit)--> COMMITTED --log_end_transaction--> ended
**       |-------log_decide(abort), log_fence, an epoch that is closed--> ABORTED
**
** D1  A decision is a conditional append, in one critical section of the writer lock: nothing
**     is decided about T, its epoch is open, no other transaction of its client id is
**     committed, home's conditions hold, no lock is in the way. The FIRST decision in the order
**     of the log wins, and no second is ever written.
** D3  An instance is one epoch frame, durable before its first id leaves, and one lock; ids
**     carry the epoch's nonce and are never used twice. One frame closes an epoch whose lock
**     is free, and aborts what it had not decided.
** D5  Where the log lacks the nonce, or closed it before T began, or is a copy of the log that
**     T was begun in, the answer is "unknown", never "aborted".
** D6  Nobody is told of a decision that is not durable; the caller flushes. */
#ifndef RILLE_HOME_H
#define RILLE_HOME_H

#include "decision.h"
#include "log.h"

/* HOME-UUID.EPOCH.NONCE.NUMBER, taken apart. */
struct transaction_id {
  rille_text uuid, nonce;
  uint64_t epoch, number;
};
INTERNAL bool transaction_parse(rille_text id, struct transaction_id *parsed);
/* Whether the id was given by this store, or by one of the same uuid. */
INTERNAL bool log_is_home(const struct log *log, rille_text id, struct transaction_id *parsed);

INTERNAL int log_decide(struct log *log, const rille_decide *decide, rille_decided *decided,
                        rille_error *error);
/* The conditions of a work, now. */
INTERNAL int log_check(struct log *log, const rille_append *work, rille_error *error);

/* What is known. `home_end`: how far home was durable when it began, 0: not known. `end` of
** what was found is to be flushed before it is believed. */
struct outcome {
  int outcome; /* enum rille_outcome */
  bool ended;
  uint64_t decision; /* its frame; 0: none */
  uint64_t end;      /* of what is known: the log's, where there is no decision */
  uint64_t epoch;    /* number, where the epoch is open */
};
INTERNAL int log_outcome(struct log *log, rille_text id, uint64_t home_end, struct outcome *outcome,
                         rille_error *error);
/* The id of the transaction that a client's id was last decided with, and the frame, if any. */
INTERNAL int log_client(struct log *log, rille_text client, char id[RILLE_TRANSACTION_BYTES],
                        int *outcome, uint64_t *frame, rille_error *error);
/* Decides that it is aborted, if nothing else is decided. */
INTERNAL int log_fence(struct log *log, rille_text id, rille_text client, uint64_t home_end,
                       struct outcome *outcome, rille_error *error);
INTERNAL int log_end_transaction(struct log *log, rille_text id, rille_error *error);

/* Whether the instance of an epoch lives; by its number. */
typedef bool (*epoch_lives)(void *context, uint64_t epoch);
/* Begins an epoch, closing those that do not live. *number is taken before `claim` is called,
** which takes its lock, and before anything is written. */
struct epoch {
  char nonce[17];
  uint64_t number;
};
INTERNAL int log_begin_epoch(struct log *log, const char *nonce, epoch_lives lives,
                             bool (*claim)(void *context, uint64_t epoch), void *context,
                             struct epoch *epoch, rille_error *error);
/* Closes those that do not live; or, with a nonce, that one. */
INTERNAL int log_close_epochs(struct log *log, const char *nonce, epoch_lives lives, void *context,
                              rille_error *error);
/* The store is a copy: what was not decided before is the original's to decide. */
INTERNAL int log_mark_restored(struct log *log, rille_error *error);
/* Moves the watermark to the first decision that is not ended, or not older than `before_us`. */
INTERNAL int log_watermark(struct log *log, int64_t before_us, rille_error *error);

#endif
