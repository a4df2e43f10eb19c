/* recall.h: one frame of the log read again, with what it says beside its records. */
#ifndef RILLE_RECALL_H
#define RILLE_RECALL_H

#include "scan.h"

struct recalled {
  struct frame frame;
  struct buffer prefix;  /* its facts, checked */
  uint64_t first, last;  /* positions of its records; 0, 0: it has none */
};

/* The frame at `address`, whose every byte is checked but for the events' data. */
INTERNAL int recall_frame(struct recalled *recalled, const struct source *source,
                          const struct memory *memory, uint64_t address, rille_error *error);
INTERNAL void recall_release(struct recalled *recalled);
/* The frame's fact of this kind about this name; false: it has none. */
INTERNAL bool recall_fact(const struct recalled *recalled, enum fact_kind kind, rille_text name,
                          struct fact *fact);

#endif
