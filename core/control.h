/* control.h: what the processes that have a store open share: who may do what, by
** byte locks, and how far the log has come, in words of memory.
**
** The locks are bytes behind the end of the file `store`. The kernel frees them
** with their holder, after a crash or a reboot alike, so that no lock outlives who
** took it. Threads of one process share a lock: each stands behind a mutex there.
**
**    OPENING    exclusive while somebody opens, repairs or closes the store;
**               shared while somebody opens it to read
**    PRESENCE   shared by all who may write, as long as they have it open: who gets
**               it exclusively, while OPENING, is alone: the first, or the last
**    WRITER     exclusive for one append
**    FLUSHER    exclusive for one flush
**    FOLDER     exclusive for one fold
**    SCAVENGER  exclusive while somebody takes content out of log files (scavenge.h)
**
** The words are in the file `control`, mapped by everybody and made anew, in place,
** by a first opener. They are worth nothing without the locks.
**
**    generation  how many first openers there were; 0 while one is at work
**    written     end of the log: all below it is whole. Set under WRITER
**    writing     where the frame ends that is being written, or where a file begins
**                that is being made; 0: neither. Who takes WRITER and finds it set zeroes
**                what its dead predecessor left, or takes the file over
**    durable     end of what a flush has reached. Set under FLUSHER
**    flushing    1 from before a flush until its success is known. Who takes FLUSHER
**                and finds it set can't tell what the kernel has told the dead, and
**                writes [durable, written) again before it flushes (R4)
**    owed        for transactions: end of the last commit frame not yet flushed. Set before
**                `written`, which who reads it goes no further than: one may have died in between
**    prepared    transactions that are prepared here. Set under WRITER
**    weighty     end of the last frame whose loss anybody would mind: not of one that only
**                takes or frees a lock on what was read. Set as `owed` is
**    error       errno of a flush that failed: final. Set before FLUSHER is freed. With
**                CONTROL_TORN of a write that left what could not be taken back; before WRITER is
**    segment     first address of the last log file. Set under WRITER
**    log_generation  goes up when log files were replaced, or what may be shown of them has
**                changed: who reads or appends looks at it first. Never set back
**    sequence    goes up, and wakes who sleeps on it, when an end has moved
**    appending   somebody has WRITER; leading: somebody has FLUSHER. Both only advise, because
**                they outlive who set them: an append may be offered to that one (offer.h)
**    back_us     until then, by the monotonic clock, offers wait for who has led last, because
**                it appends again and again, and has read what it has written for all
**
** Invariant L10: durable <= written, also for who reads both without a lock and
** durable first. */
#ifndef RILLE_CONTROL_H
#define RILLE_CONTROL_H

#include "frame.h"
#include "identity.h"
#include "system.h"

#define CONTROL_TORN 0x80000000u  /* see `error` */
#define CONTROL_WORDS_BYTES 4096u /* the words; the offers are behind them */
#define OFFERS_MOST 31u           /* processes that have one: bits of a sleeper's mask */
#define OFFER_BYTES 2048u
#define CONTROL_BYTES (CONTROL_WORDS_BYTES + OFFERS_MOST * OFFER_BYTES)

enum control_byte {
  CONTROL_SCAVENGER = (1 << 20) - (int)OFFERS_MOST - 1, /* exclusive for one scavenge.h */
  CONTROL_OFFERS = (1 << 20) - (int)OFFERS_MOST,        /* one for each process that has an offer */
  CONTROL_OPENING = 1 << 20,
  CONTROL_PRESENCE,
  CONTROL_WRITER,
  CONTROL_FLUSHER,
  CONTROL_FOLDER,
  CONTROL_EPOCHS /* this and all that follow: one for each coordinator that lives (home.h) */
};

/* An end of the log that is set by one and read by all. There is no lock for who
** reads it, and a setter may die in between: so there are two, and `turn` tells
** which is right. */
#define SHARED_END_WORDS 5
struct shared_end {
  _Atomic uint64_t turn;
  _Atomic uint64_t words[2][SHARED_END_WORDS];
};

/* An append that its owner leaves to another process; offer.h tells its life. */
struct offer {
  _Atomic uint64_t end;          /* of its frame; 0: nobody has begun to write it */
  uint64_t first, last, version; /* what its owner is told, right as soon as `end` is set */
  uint64_t length;
  uint8_t bytes[OFFER_BYTES - 40];
};

/* What is set together lies in one line of the processor's cache. */
struct control_words {
  char magic[8];
  _Atomic uint64_t generation;
  uint64_t pid;                    /* of the first opener, for people */
  _Atomic uint32_t error;
  _Alignas(64) struct shared_end written;
  _Atomic uint64_t writing, segment, owed;
  _Atomic uint64_t weighty;        /* end of the last frame that is more than a lock */
  _Atomic uint64_t prepared;       /* transactions that hold locks */
  _Atomic uint64_t appends, folds; /* how many there were */
  _Atomic uint64_t log_generation;
  _Alignas(64) struct shared_end durable;
  _Atomic uint64_t flushing, flushes;
  _Alignas(64) _Atomic uint32_t sequence;
  _Atomic uint32_t listeners;      /* who waits for frames that nobody flushes; at least: the dead
                                   ** are counted on */
  struct step_words {
    _Atomic uint64_t count, time_us;
  } prepares, decisions, commits, forces; /* see rille_stats */
  _Alignas(64) _Atomic uint32_t appending;
  _Atomic uint32_t leading, offered;                 /* offered: how many offers were made */
  _Atomic int64_t back_us;                           /* the leader will be back by then */
  _Alignas(64) _Atomic uint32_t states[OFFERS_MOST]; /* enum offer_state */
};

struct control {
  int fd;                      /* of `store`, with the locks; -1: closed */
  bool readonly;
  bool alone;                  /* PRESENCE is ours exclusively, and so is OPENING */
  const char *folder;          /* the caller's */
  struct control_words *words; /* NULL: readonly, and nobody has made them yet */
  uint64_t before;             /* a reader's: their generation when nobody was there to write */
  struct offer *offers;        /* OFFERS_MOST of them; NULL: readonly */
  _Atomic int offer;           /* which of them is ours, for life; -1: none yet */
  _Atomic bool offering;       /* a thread uses it */
};

/* Opens the store's identity and takes OPENING, waiting for it, then PRESENCE.
** `alone` tells whether the caller is the first: then the words are blank, and it
** repairs the log and sets them. RILLE_BUSY: another copy of this library has it open
** in this process. */
INTERNAL int control_open(struct control *control, const char *folder, bool readonly,
                          struct identity *identity, rille_error *error);
/* What has failed for all who have the store open, and its errno; NULL: nothing. */
INTERNAL const char *control_failure(const struct control *control, int *number);
/* The store is open: others may come. */
INTERNAL void control_ready(struct control *control);
/* Begins closing: takes OPENING; `alone` tells whether this is the last one. */
INTERNAL void control_leave(struct control *control);
INTERNAL void control_close(struct control *control);
/* In a forked child: lets go of the locks, which are the parent's. */
INTERNAL void control_forget(struct control *control);

/* For a reader: the number of the first opener whose words can be followed, or 0
** where nobody has had the store open to write since this was opened. */
INTERNAL uint64_t control_generation(struct control *control);

/* Takes one of WRITER, FLUSHER, FOLDER, or waits for it. False: another has it; or where
** *failed is not 0, nobody can take it. */
INTERNAL bool control_take(struct control *control, enum control_byte byte, bool wait, int *failed,
                           rille_error *e);
INTERNAL void control_free(struct control *control, enum control_byte byte);
/* Keeps others from opening and closing the store meanwhile. Comes before any other lock but
** SCAVENGER, because who closes has it and waits for them. */
INTERNAL int control_hold_opening(struct control *control, rille_error *error);
INTERNAL void control_free_opening(struct control *control);
/* The lock of a coordinator, which goes with *fd; it is held by that alone, so that also who
** shares this process can look whether it lives. */
INTERNAL bool control_claim_epoch(struct control *control, uint64_t epoch, int *fd);
INTERNAL bool control_epoch_lives(struct control *control, uint64_t epoch);

INTERNAL void shared_end_set(struct shared_end *shared, const struct log_end *end);
INTERNAL struct log_end shared_end_get(const struct shared_end *shared);

/* Tells everybody that an end has moved. */
INTERNAL void control_wake(struct control *control);
/* The same where a frame was written that nobody flushes: only if somebody listens. */
INTERNAL void control_tell(struct control *control);
/* Who sleeps until such a frame comes listens, from before he looks; false: he can't. */
INTERNAL bool control_listen(struct control *control);
INTERNAL void control_listen_end(struct control *control);
/* The same for those only whose offers are in the mask, and those who sleep for whatever comes. */
INTERNAL void control_wake_some(struct control *control, uint32_t mask);
/* Sleeps while `sequence` is what it was; false: a signal came. */
INTERNAL bool control_sleep(struct control *control, uint32_t sequence, int64_t timeout_us);
/* The same, woken for one's own offer. */
INTERNAL bool control_sleep_as(struct control *control, uint32_t sequence, uint32_t mask,
                               int64_t timeout_us);

#endif
