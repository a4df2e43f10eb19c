/* log.h: the log and what has been folded of it, in step. Composes segments,
** control, index and overlay: appending under conditions, finding heads, folding,
** flushing.
**
**      0 ............... A ........... old | fresh .... seen ... written
**      |    in the index |   in two overlays            |  to be caught up with
**                                  ^ durable, anywhere from A on
**
** Any number of processes append (append.c), flush (flush.c) and fold (fold.c). Each
** has overlays of its own, complete from their start to `seen`, and catches up by
** reading the log. What the processes tell each other is in control.h.
**
** Invariants:
** L1  positions are 1, 2, 3 ... without gaps, in the order of addresses.
** L4  a frame counts wholly or not at all.
** L9  A <= durable: what is folded is on the disk.
** L10 durable <= written; nobody is told a position at or above `durable` by a
**     handle whose sync is "always".
**
** Protocol F, for finding a head: who is in an overlay is right there, because
** overlays are complete up to `seen`; any other is in the index, whose A is at or
** above the overlays' start when its transaction begins, because a fold is committed
** before its overlay is dropped. It may be newer than `seen`, when another process
** has folded; so readers walk back below their end.
**
** States of a log: open -> failed (a flush failed, in whichever process, or memory and
** disk may disagree: log_fail) -> closed. A failed log refuses all but closing.
**
** Locks, in the order in which they are taken: scavenging, SCAVENGER; appending, WRITER;
** folding, FOLDER;
** flushing, FLUSHER; lock. (WRITER ... are bytes: control.h.) */
#ifndef RILLE_LOG_H
#define RILLE_LOG_H

#include "control.h"
#include "index.h"
#include "overlay.h"
#include "pending.h"
#include "segment.h"

#define LOG_UNFOLDED_BYTES_MOST ((uint64_t)56 << 20) /* in both overlays; then appends wait */
#ifndef LOG_FRESH_BYTES_MOST /* a test has less, to fold more often */
#define LOG_FRESH_BYTES_MOST (LOG_UNFOLDED_BYTES_MOST / 2) /* then it is split off and folded */
#endif
#define LOG_WRITE_BACK_BYTES ((uint64_t)16 << 20)    /* unflushed; then write-back is started */
#define LOG_FRAME_KEEP_BYTES ((size_t)4 << 20)       /* memory kept from one append to the next */
#define LOG_PROGRESS_BYTES ((uint64_t)1 << 20) /* read while opening between two words about it */
#define LOG_SKIP_BYTES ((uint64_t)1 << 20) /* behind by more, it is worth looking for a newer A */

struct log_options {
  bool readonly;
  bool background;            /* a thread folds, and flushes for "interval" */
  bool rebuild;               /* the index is made anew */
  uint64_t segment_bytes;
  int64_t (*clock)(void *context);
  void *clock_context;
  rille_progress progress;    /* of opening */
  void *progress_context;
};

/* Something that whoever gave it wants the background thread to do. `run` may free it. */
struct log;
struct log_task {
  struct log_task *next;
  void (*run)(struct log *log, struct log_task *task);
};

/* What the background thread is wanted for. */
struct log_work {
  pthread_t thread;
  pthread_cond_t wanted, room; /* room: a fold has ended */
  bool started, stop;
  bool succeed;                /* the last segment is to have a successor */
  struct log_task *first, *last; /* in their order; NULL: none */
  bool task_was_last;          /* what it did last was one of those */
  int64_t flush_at_us;         /* of the monotonic clock; 0: no flush is due */
  int fold_failed;             /* the last fold did, and appends are to be told */
  rille_error fold_error;
};

struct log {
  struct memory memory;
  struct log_options options;
  struct identity identity;
  struct control *control;      /* the caller's */
  struct segments segments;
  struct index *index;
  char *scratch;                /* folder of an index of our own, when readonly; or NULL */
  struct source source;
  uint64_t generation;          /* of the words that are followed; 0: nobody else writes */
  struct log_end still;         /* where the log ends then */
  _Atomic uint64_t followed;    /* of the words' log_generation (follow.c) */
  uint64_t reached;             /* as opening found: below, all had reached the disk */

  pthread_mutex_t scavenging, appending, folding, flushing; /* each before its byte lock */
  pthread_t scavenger;          /* who has `scavenging`, if scavenges */
  unsigned holds;               /* how often that one holds it for a verify */
  _Atomic bool scavenges;
  pthread_mutex_t lock;         /* all that follows */
  bool live;                    /* the mutexes are made */
  bool opening;                 /* nobody else is there: folds happen at once */
  bool late;                    /* an overlay was */
  uint64_t opening_end, told;   /* what is read then, and how far progress has been told */
  struct overlay fresh, old;
  struct overlay spare;         /* empty: the next fresh one's table, so that it need not grow */
  bool has_old;                 /* it is to be folded, and changed by nobody */
  struct log_end seen, old_end; /* where the overlays end */
  uint64_t measured;            /* where the log ended when the last file was looked at */
  uint64_t place_cell;          /* the last 64 KiB of log that have a place */
  uint64_t started;             /* up to here write-back has been started */
  uint64_t appended;            /* how many appends there were when we wrote last */
  bool undisturbed;             /* nobody else wrote between our last two */
  struct buffer frame;          /* the append being built */
  struct pending pending;       /* what is not over, as of `seen` or later */
  bool pending_loaded;          /* what the index knows of it is there */
  _Atomic int64_t back_us;      /* what we have set the words' back_us to */
  _Atomic int64_t answered_us;  /* when the last append was, that another process took part in */
  _Atomic bool hurries;         /* an append came right after it */
  _Atomic int failed;           /* 0, or why nothing works any more; set once */
  char why[256];
  struct log_work work;
};

/* open.c: opens the log of the store in `folder`, repairing its tail where the process
** is alone. A remark (> 0) tells what was cut or made anew. */
INTERNAL int log_open(struct log *log, const char *folder, const struct identity *identity,
                      struct control *control, const struct log_options *options,
                      const struct memory *memory, rille_error *error);
/* Ends the thread and, where the process is alone, folds to the end. Everything is
** released whatever it returns. */
INTERNAL int log_close(struct log *log, rille_error *error);
/* Releases all memory and files, without a word to the disk. */
INTERNAL void log_release(struct log *log);
/* In a forked child: lets go of the parent's files; the memory is left alone, because
** a lock in it may be held by a thread that does not exist here. */
INTERNAL void log_forget(struct log *log);
/* Around a fork: what is to be let go of does not change. */
INTERNAL void log_keep_still(struct log *log);
INTERNAL void log_go_on(struct log *log);

/* The time, by the store's clock. */
static inline int64_t log_now(const struct log *l) {
  return l->options.clock(l->options.clock_context);
}

/* ---- Ends ---- */

INTERNAL struct log_end log_written(struct log *log);
INTERNAL struct log_end log_durable(struct log *log);
/* The end of what a reader may see; makes sure that its files are known. */
INTERNAL int log_look(struct log *log, bool durable_only, struct log_end *end,
                      rille_error *error);
/* flush.c: makes the log durable up to `address`, sharing the flush with everybody who
** wants one. RILLE_UNKNOWN: the disk failed. */
INTERNAL int log_flush(struct log *log, uint64_t address, rille_error *error);
/* The same for the last commit of a transaction, whose writer has left its flush to others. */
INTERNAL int log_flush_owed(struct log *log, rille_error *error);
/* flush.c: waits until the end's position is beyond `position`; 0, or RILLE_REMARK when
** it took too long or a signal came. */
INTERNAL int log_wait(struct log *log, uint64_t position, bool durable_only, int64_t timeout_ms,
                      rille_error *error);
/* 0, or the failure that the log is in. */
INTERNAL int log_refuse_failed(struct log *log, rille_error *error);
/* The same, but only for a flush that failed, here or elsewhere. Any thread, without a lock. */
INTERNAL int log_refuse_unflushed(struct log *log, rille_error *error);
INTERNAL int log_fail(struct log *log, int code, const char *why);

/* ---- follow.c ---- */

/* Whether log files were replaced, or content redacted, since this was last followed. */
INTERNAL bool log_is_behind(const struct log *log);
/* With `lock`: follows it. */
INTERNAL int log_follow(struct log *log, rille_error *error);
/* The generation of now; 0: nobody writes. */
INTERNAL uint64_t log_shown(const struct log *log);
/* Tells everybody that there is something to be followed. */
INTERNAL void log_raise(struct log *log);
/* What may not be shown of a record, though it still is in the file: with `lock`, and without. */
INTERNAL int log_find_hidden(struct log *log, const struct record *record,
                             struct record_taking *hidden, rille_error *error);
INTERNAL int log_hidden(struct log *log, const struct record *record, struct record_taking *hidden,
                        rille_error *error);

/* ---- Heads ---- */

/* A head or a word, as of the written end or later; count 0 where there is none. */
INTERNAL int log_head(struct log *log, unsigned kind, rille_text name, struct chain_head *head,
                      rille_error *error);
/* The last known place at or before a position; position 0: none. */
INTERNAL int log_place(struct log *log, uint64_t position, struct place *place,
                       rille_error *error);

/* The following want `lock` to be held. */

/* Reads the log from `seen` to `end` into the overlay. */
INTERNAL int log_catch_up(struct log *log, const struct log_end *end, rille_error *error);
/* Makes sure that `pending` has everything: catching up leaves a reader without it where the
** log is damaged there. */
INTERNAL int log_know_pending(struct log *log, rille_error *error);
/* log_head and log_place as of `seen`. */
INTERNAL int log_find_head(struct log *log, unsigned kind, rille_text name,
                           struct chain_head *head, rille_error *error);
INTERNAL int log_find_place(struct log *log, uint64_t position, struct place *place,
                            rille_error *error);
/* The chain's entry in the fresh overlay, brought there if need be. */
INTERNAL int log_entry(struct log *log, enum chain_kind kind, rille_text name,
                       struct overlay_entry **entry, rille_error *error);
/* Keeps a head that was found in the fresh overlay, where log_entry finds it again at once;
** unless that is full, because who only asks must not make it grow without end. */
INTERNAL int log_keep(struct log *log, unsigned kind, rille_text name,
                      const struct chain_head *head, rille_error *error);
/* What a frame says beside its records goes into the fresh overlay and the table of what
** is not over. */
INTERNAL int log_note_facts(struct log *log, const uint8_t *prefix, size_t n, uint64_t frame,
                            int64_t time_us, rille_error *error);
/* The first record in each 64 KiB of log gets a place. */
INTERNAL int log_note_place(struct log *log, struct place place, rille_error *error);
/* The overlays begin anew at the index's A, empty. */
INTERNAL void log_restart(struct log *log);
/* Builds the overlays anew, after an append failed half-way through changing them. */
INTERNAL int log_reload(struct log *log, rille_error *error);

/* ---- fold.c ---- */

INTERNAL int log_start_work(struct log *log, rille_error *error);
INTERNAL void log_stop_work(struct log *log);
/* With `lock`: whether the fresh overlay has grown to its bound. */
INTERNAL bool log_is_due(const struct log *log);
/* Before an append: waits, or folds, until the overlay has room. */
INTERNAL int log_make_room(struct log *log, rille_error *error);
/* Folds to what has been seen, now. */
INTERNAL int log_fold(struct log *log, rille_error *error);
/* With `lock`, for who has read on until the fresh overlay has grown to its bound: drops
** what the others have folded, or leaves it to the thread. */
INTERNAL int log_shed(struct log *log, rille_error *error);
/* Leaves the task to the thread, which does it even if it is to end. False: there is none. */
INTERNAL bool log_give_task(struct log *log, struct log_task *task);
/* The thread flushes in `interval_us` at the latest; or who asks next, without one. */
INTERNAL void log_want_flush(struct log *log, int64_t interval_us);
/* Does what is due, where there is no thread. */
INTERNAL int log_poll(struct log *log, rille_error *error);
/* Of this only the flush. */
INTERNAL int log_poll_flush(struct log *log, rille_error *error);

/* ---- append.c ---- */

/* Takes everything that is needed to append, with the overlays caught up; log_leave_append
** gives it back. */
INTERNAL int log_enter_append(struct log *log, rille_error *error);
/* The same, but RILLE_BUSY where it is not to be had until a time of the wall's clock; 0: never. */
INTERNAL int log_enter_append_until(struct log *log, int64_t deadline_us, rille_error *error);
/* The same, but only if nobody has it; false: somebody has, or it failed. */
INTERNAL bool log_try_append(struct log *log);
INTERNAL void log_leave_append(struct log *log);
/* Writes the events of all parts as one frame, not flushed. *end is how far the log
** must be durable before any answer is given, also a failure. With `sync` "always" others'
** appends may be written by the way, or this one by another process (share.c). */
INTERNAL int log_append(struct log *log, const rille_append *append, enum rille_sync sync,
                        rille_appended *done, uint64_t *end, rille_error *error);
/* Truncates a stream: UINT64_MAX: all of it. */
INTERNAL int log_cut(struct log *log, rille_text stream, uint64_t before, uint64_t *end,
                     rille_error *error);
/* Within log_enter_append, for who has written what he will soon flush: the disk begins at once,
** while he goes on. Not where others write, too: what they add to the page would be written
** again. */
INTERNAL void log_start_flush(struct log *log);
/* Within log_enter_append: begins a new segment if the last is full (R1). */
INTERNAL int log_succeed(struct log *log, rille_error *error);
/* Begins a new one whatever it has; the log is not empty. */
INTERNAL int log_begin_segment(struct log *log, rille_error *error);
/* Whether it is, by so much. */
INTERNAL bool log_is_full(struct log *log, uint64_t beyond);

/* ---- share.c ---- */

/* Leaves an append to another process, if one is writing or flushing, and sleeps until it is
** durable. False: it was not written, and nobody is going to; else *result is what there is to
** say, *done and *end are as of log_append. */
INTERNAL bool log_share(struct log *log, const rille_append *append, rille_appended *done,
                        uint64_t *end, int *result, rille_error *error);
/* At the end of a flush, before others lead: whether they are to wait for us, or go on. */
INTERNAL void log_end_lead(struct log *log);
/* Within log_enter_append: writes what others have offered. */
INTERNAL void log_serve(struct log *log);
/* The same for who flushes, and so has FLUSHER, unless somebody appends. */
INTERNAL void log_serve_late(struct log *log);

#endif
