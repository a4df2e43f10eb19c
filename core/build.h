/* build.h: a frame in memory, link by link from the overlay, and written by one call.
**
** The overlay knows the new records while the frame is being built. If building or writing
** fails it is made again from the log.
**
** On the disk, if the process dies: before the write, nothing; during it, a part of a
** frame behind `written`, which the next to append zeroes, and the next first opener
** cuts; between the write and the setting of `written`, the same with a whole frame,
** which nobody was told of. */
#ifndef RILLE_BUILD_H
#define RILLE_BUILD_H

#include "log.h"
#include "note.h"

struct building {
  struct log *log;
  uint16_t kind;
  uint64_t address, position;
  int64_t time_us;
  uint32_t prefix, content;
  struct id_run run;
  bool checks_only; /* nobody minds if this frame is lost, as long as all that follows is too */
  bool owes;        /* its flush is left to others: who reads strongly makes it */
};

/* All within log_enter_append. A frame with nothing in it, at the end of the log. */
INTERNAL int build_begin(struct building *b, struct log *log, uint16_t kind, int64_t now_us,
                         rille_error *error);
/* All facts come before the first event. */
INTERNAL int build_fact(struct building *b, const struct fact *fact, rille_error *error);
/* The mark and the events of an append. */
INTERNAL int build_work(struct building *b, const rille_append *work, rille_error *error);
/* Writes the frame; or, where building it has `failed`, undoes what that has changed. */
INTERNAL int build_finish(struct log *log, const struct building *b, int failed,
                          rille_error *error);
/* The three for a frame that says one thing, beside no events. */
INTERNAL int build_note(struct log *log, const struct fact *fact, uint16_t kind,
                        rille_error *error);

#endif
