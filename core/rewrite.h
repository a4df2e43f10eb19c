/* rewrite.h: one log file made again without what is to be taken out of it.
**
**    survey   what would go, nothing is changed
**    rewrite  NAME.seg.new is written and flushed, renamed over NAME.seg, the folder flushed:
**             if the power goes there is the old file or the new one, each whole
**
** Every frame and every record head keeps its place (L8). Heads out of which something was taken
** have new checksums, and so have their frames; all else is copied, byte for byte. Only files
** that have a successor are rewritten, so nobody writes to them. */
#ifndef RILLE_REWRITE_H
#define RILLE_REWRITE_H

#include "log.h"

/* What happens to a fact. */
enum rewrite_fact {
  REWRITE_KEEP,
  REWRITE_TAKE,       /* its payload goes */
  REWRITE_TAKE_NAMED, /* its name, too */
  REWRITE_TAKE_TAIL   /* its payload from `from` on, and it stays what it is */
};

struct rewriting {
  struct log *log;
  void *context;
  /* What is to be taken out of a record of the frame; nothing by default. */
  void (*record)(void *context, const struct frame *frame, const struct record *record,
                 struct record_taking *what);
  int (*fact)(void *context, const struct frame *frame, const struct fact *fact,
              enum rewrite_fact *what, size_t *from, rille_error *error);
};

struct rewritten {
  uint64_t records; /* out of which something goes */
  uint64_t facts;
  uint64_t bytes; /* of log that are given back */
};

/* Looks at the file that holds [first, end). */
INTERNAL int rewrite_survey(const struct rewriting *w, uint64_t first, uint64_t end,
                            struct rewritten *found, rille_error *error);
/* On failure the old file is there. The caller tells the others. */
INTERNAL int rewrite_file(const struct rewriting *w, uint64_t first, uint64_t end,
                          struct rewritten *done, rille_error *error);

#endif
