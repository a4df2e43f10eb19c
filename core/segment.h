/* segment.h: the files of the log. A segment is named by its first address, in
** sixteen hexadecimal digits, and ends where its successor's name begins; only
** the last one grows.
**
**    log/0000000000000000.seg   [0, 0x10000420)
**    log/0000000010000420.seg   [0x10000420, ...   <- appended to
**                                       ^end   ^frontier: zeros are written up to here
**
** Space is zero-filled 256 KiB ahead of small frames, in the write that carries
** the frame: the flush then has no new length of the file to record.
**
** A file that has a successor never changes, but may be replaced as a whole by one of the same
** name and the same addresses, out of which bytes were taken (packed.h). Who has the old one open
** may go on reading it, until segments_reopen.
**
** Several processes may have the files open. Who appends holds the lock for that
** (control.h) and has looked, by segments_refresh or segments_measure, how far others
** have come; who reads looks when an address lies beyond what it knows.
**
** Invariant (R1): before a successor's name exists, the file is cut at its end
** and flushed. */
#ifndef RILLE_SEGMENT_H
#define RILLE_SEGMENT_H

#include "map.h"
#include "packed.h"
#include "repair.h"
#include "system.h"

#ifndef SEGMENT_ZERO_AHEAD_BYTES /* a test has less, to make many states */
#define SEGMENT_ZERO_AHEAD_BYTES ((size_t)256 << 10)
#endif
#define SEGMENT_SMALL_FRAME_BYTES ((size_t)16 << 10) /* larger ones are written without zeros */
#define SEGMENT_OPEN_FILES_MOST 64u /* or a quarter of what a process may; the rest when read */
#define SEGMENT_OPEN_FILES_LEAST 4u
#define SEGMENT_MAP_BYTES ((uint64_t)1 << 20)        /* the first map of a file that grows */

struct segment {
  uint64_t first;
  int fd;                /* -1: not open */
  uint64_t used;         /* when it was last opened, for closing the oldest */
  struct packed *packed; /* where its bytes stand; NULL: plain, or not open */
  struct map *map;       /* NULL: not needed yet, or it can't be had: unmapped */
  bool unmapped;
  bool looked;   /* it was opened, since the last segments_reopen: */
  uint64_t kept; /* of the log's bytes, where it is packed; 0: it is plain */
};

struct segments {
  struct memory memory;
  char *folder;
  struct system_identity place; /* the folder's, when it was opened */
  uint64_t salt;        /* the store's */
  bool readonly, saved; /* saved: what repair cut is in a file */
  struct segment *list; /* in the order of addresses, at least one */
  size_t count, capacity, open, open_most;
  _Atomic uint64_t frontier; /* where the last file ends: who appends moves it, whoever looks */
  uint64_t limit;       /* the size of a file that this process may make, as of its last growth */
  uint64_t clock;
  _Atomic uint64_t visits; /* how many were begun */
  uint8_t *zeros;       /* SEGMENT_ZERO_AHEAD_BYTES of them */
  pthread_rwlock_t lock; /* read: a file is being used; write: the list changes */
  uint64_t form;        /* of segments_form, if form_known */
  _Atomic bool form_known;
  bool live;            /* lock and all are made */
  bool forgotten;       /* this is a forked child */
  int torn;             /* errno: what a failed write has left could not be taken back either */
};

/* Makes the first, empty segment in an existing folder, and flushes both. */
INTERNAL int segments_create(const char *folder, rille_error *error);

struct segments_use {
  const char *folder;
  uint64_t salt;
  bool readonly;
};
INTERNAL int segments_open(struct segments *s, const struct segments_use *use,
                           const struct memory *memory, rille_error *error);
INTERNAL void segments_close(struct segments *s);
/* Whether the folder's path still leads to it: else somebody has moved the store while it was
** open, and what is made there would be put into another, or nowhere. */
INTERNAL int segments_check_place(const struct segments *s, rille_error *error);
/* In a forked child: closes the files, which are the parent's; from then on all is
** refused. */
INTERNAL void segments_forget(struct segments *s);
INTERNAL int segments_refuse_fork(rille_error *error);
/* Looks in the folder for files that another process has begun, and where the last one
** ends. */
INTERNAL int segments_refresh(struct segments *s, rille_error *error);
/* Only where the last one ends, for who knows that none has been begun. */
INTERNAL int segments_measure(struct segments *s, rille_error *error);
/* Files that have a successor are opened anew when they are read: they may have been replaced. */
INTERNAL void segments_reopen(struct segments *s);
/* Makes the names of all files durable. */
INTERNAL int segments_flush_folder(struct segments *s, rille_error *error);

/* A source's read (scan.h); the context is the struct segments. */
INTERNAL int segments_read(void *context, uint64_t address, void *bytes, size_t n, size_t *got,
                           rille_error *error);

/* Short reads below `end`, where the log had come when they were begun. */
struct segments_visit {
  struct map_visit map;
  uint64_t end;
};
INTERNAL void segments_begin_visit(struct segments *s, uint64_t end, struct segments_visit *visit);
/* Reads like segments_read what is in memory already, and tells how much; else 0,
** and the disk begins to fetch it. */
INTERNAL size_t segments_want(struct segments *s, const struct segments_visit *visit,
                              uint64_t address, void *bytes, size_t n);

/* Whether the file that holds `address` is packed; *stored: its bytes on the disk. */
INTERNAL int segments_look(struct segments *s, uint64_t address, bool *packed, uint64_t *stored,
                           rille_error *error);
/* With the log's `lock`: a number that is another one once more was taken out of the files, as far
** as anything was read of them here; 0: nothing was. */
INTERNAL int segments_form(struct segments *s, uint64_t *form, rille_error *error);
/* "0000000000000000.seg.new", for what is to replace a file; segments_replace puts it in its
** place, and makes that durable. */
INTERNAL bool segments_new_path(char path[SYSTEM_PATH_BYTES], const char *folder, uint64_t first);
INTERNAL int segments_replace(struct segments *s, uint64_t first, rille_error *error);
/* Removes what is left of replacements that were not finished, and with `torn` also what repair
** has kept of torn tails. */
INTERNAL int segments_sweep(struct segments *s, bool torn, rille_error *error);

/* The first address of the last segment, and where its file ends. */
INTERNAL uint64_t segments_last_first(struct segments *s);
/* The segment that holds `address`, as repair looks at it. */
INTERNAL struct repair_segment segments_describe(struct segments *s, uint64_t address);
/* Calls `each` for every file, in order; not 0 stops and is returned. */
typedef int (*segments_each)(void *context, uint64_t first, uint64_t end, bool last);
INTERNAL int segments_walk(struct segments *s, segments_each each, void *context);
/* "0000000000000000.seg" in a folder, to `path`; false where it is too long. */
INTERNAL bool segments_path(char path[SYSTEM_PATH_BYTES], const char *folder, uint64_t first);

/* Writes a frame at `end`, the end of the log, and makes sure of `reserve` bytes behind it,
** which hold zeros. On failure what was written of it is taken back, and the file is as
** before; RILLE_FULL where there is no space. Within what was reserved, there is.
** RILLE_UNKNOWN, and `torn`: it could not be taken back. */
INTERNAL int segments_append(struct segments *s, uint64_t end, const void *frame, size_t n,
                             uint64_t reserve, rille_error *error);
/* Zeroes [from, to) of the last segment as far as the file goes: what one has left who
** died while it wrote there. */
INTERNAL int segments_zero(struct segments *s, uint64_t from, uint64_t to, rille_error *error);
/* Ends the last segment at `end`, up to which it has been flushed (R1), and begins
** its successor there. On failure a file of that name may be left, and others may know it
** by now: it has to be taken over, by segments_refresh and segments_flush_folder, before
** anything is appended. */
INTERNAL int segments_succeed(struct segments *s, uint64_t end, rille_error *error);
/* The system may begin to write these bytes, without being waited for. */
INTERNAL void segments_start_writing(struct segments *s, uint64_t from, uint64_t to);
/* Flushes the last segment: one call of the system's, never repeated. */
INTERNAL int segments_flush(struct segments *s, rille_error *error);

/* The last file, which is never closed; and it ends at `end` again: 0 or an errno. */
struct segments_last {
  int fd;
  uint64_t first;
};
INTERNAL struct segments_last segments_last_file(struct segments *s);
INTERNAL int segments_cut(struct segments *s, uint64_t end);
/* "X.torn", for what repair cuts off at an address. */
INTERNAL bool segments_torn_path(char path[SYSTEM_PATH_BYTES], const char *folder, uint64_t first);

/* tail.c: The last segment as a disk for repair_mend. Its cut keeps what it takes away in a
** file beside it, named by the address: X.torn. */
INTERNAL struct repair_disk segments_disk(struct segments *s);

#endif
