/* lockfile.h: the file lock.mdb of an index. */
#ifndef RILLE_LOCKFILE_H
#define RILLE_LOCKFILE_H

#include "base.h"

#define LOCKFILE_BYTES (68u << 10) /* more than LMDB needs for INDEX_READERS_MOST */

/* Makes it where it is not there; `alone`, where nobody else opens or has the index, also where it
** is too short to have been used. Returns 0 or an errno. */
INTERNAL int lockfile_make(const char *folder, bool alone);

#endif
