/* scan.h: walking the log in address order, frame by frame, record by record,
** through a window of memory. Each byte is checked as it passes: a header
** before its length is believed, a head before its names are, a frame's content
** at its end. A scan is pure over a callback that reads bytes. */
#ifndef RILLE_SCAN_H
#define RILLE_SCAN_H

#include "buffer.h"
#include "frame.h"

#define SCAN_WINDOW_BYTES ((size_t)256 << 10) /* read at a time; a larger record enlarges it */
#define SCAN_WINDOW_SMALL ((size_t)4 << 10)   /* the first read: most walks are short */

/* Where bytes come from. Reads up to n bytes at an address; fewer only where a
** segment ends; 0 where the log does. */
struct source {
  int (*read)(void *context, uint64_t address, void *bytes, size_t n, size_t *got,
              rille_error *error);
  void *context;
  uint64_t salt;
};

/* Bytes of the log in memory: [start, start + bytes.length). */
struct window {
  struct source source;
  struct buffer bytes;
  uint64_t start;
  size_t ahead, ahead_most; /* what the next read takes, doubled from one to the next */
};

INTERNAL void window_init(struct window *w, const struct source *source,
                          const struct memory *memory, size_t ahead_most);
INTERNAL void window_release(struct window *w);
/* n bytes will be wanted, one behind the other: the first read takes them all, within bounds. */
INTERNAL void window_expect(struct window *w, uint64_t n);
/* What was read is read again: it may have changed since. */
INTERNAL void window_forget(struct window *w);
/* At least n bytes at an address, in *bytes; *got tells how many there are, less
** than n only where a segment ends. They live until the next call. */
INTERNAL int window_get(struct window *w, uint64_t address, size_t n, const uint8_t **bytes,
                        size_t *got, rille_error *error);
/* A record's head, checked, at an address; its body is in the window too. */
INTERNAL int window_record(struct window *w, uint64_t address, struct record *record,
                           rille_error *error);
/* Checks a record's body, which window_record has brought. */
INTERNAL int window_check_body(const struct window *w, const struct record *record,
                               rille_error *error);

struct scan {
  struct window window;
  uint64_t address;       /* of what comes next */
  uint64_t end;           /* where to stop: an address at which a frame ends */
  struct frame frame;     /* the current one */
  uint32_t left;          /* its records still to come */
  uint32_t content;       /* its content checksum so far */
  bool inside;            /* the frame's end has not been reached */
  bool partial;           /* entered in the middle: the content can't be checked */
  uint64_t next_position; /* 0: whatever comes */
  int64_t time_us;
};

/* Starts at `address`, where a frame must start, and which must hold position
** next_position (0: not known). */
INTERNAL void scan_init(struct scan *s, const struct source *source, const struct memory *memory,
                        uint64_t address, uint64_t next_position, uint64_t end);
INTERNAL void scan_release(struct scan *s);

/* Goes on at a record inside the frame at `frame_address`. */
INTERNAL int scan_enter(struct scan *s, uint64_t frame_address, uint64_t record_address,
                        uint64_t position, rille_error *error);

/* 1: s->frame is the next frame; 0: the end; < 0: an error. Comes after
** scan_record has returned 0. */
INTERNAL int scan_frame(struct scan *s, rille_error *error);
/* The current frame's prefix; its bytes live until the next call. Comes before the
** first scan_record. */
INTERNAL int scan_prefix(struct scan *s, const uint8_t **bytes, rille_error *error);
/* 1: the current frame's next record; 0: there is none left, and the frame was
** sound; < 0: an error. */
INTERNAL int scan_record(struct scan *s, struct record *record, rille_error *error);
/* The next record, whichever frame it is in; as scan_record. */
INTERNAL int scan_next(struct scan *s, struct record *record, rille_error *error);

#endif
