/* stage.h: a state of a disk as real files, in memory where there is a file system for that.
**
** What the files are now is known, because all that is done to them is noted: so only what is
** different is written. A file that is put there is the one that it was when it was recorded, by
** a name from the pool. */
#ifndef RILLE_POWER_STAGE_H
#define RILLE_POWER_STAGE_H

#include "disk.h"

/* Makes the folders `base`, which is returned, and that of the pool. */
const char *stage_begin(void);
void stage_end(void);
/* Nothing is there any more, and nothing is in the pool. */
void stage_clear(void);
uint64_t stage_root(void);

/* What an empty stage, or the state that was put, has become by what was recorded. Files that are
** made there belong to `level`. */
void stage_follow(const struct record *r, int level);
/* Puts the state that is chosen; files of this and higher levels are forgotten. */
void stage_put(const struct disk *d, int level);
/* A disk that has, durably, all that is there. */
void stage_copy(struct disk *d);

#endif
