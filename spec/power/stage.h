/* stage.h: where what is recorded happens, and a state of a disk as files.
**
** A workload runs on real files, in memory where there is a file system for that. Its states are
** put where the library's calls are answered without the system (memory.h): what the files are
** is known there, so only what is different is written. A file that is put is the one that it
** was when it was recorded: a store knows its file by its inode and its birth. */
#ifndef RILLE_POWER_STAGE_H
#define RILLE_POWER_STAGE_H

#include "disk.h"

/* Makes the folders `base`, which is returned, and that of the pool. */
const char *stage_begin(void);
void stage_end(void);
/* Nothing is there any more, and nothing is in the pool. */
void stage_clear(void);
uint64_t stage_root(void);

/* What an empty stage has become by what was recorded. */
void stage_follow(const struct record *r);
/* Puts the state that is chosen; files of this and higher levels are forgotten. */
void stage_put(const struct disk *d, int level);
/* A disk that has, durably, all that is there. */
void stage_copy(struct disk *d);

#endif
