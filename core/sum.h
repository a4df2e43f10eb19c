/* sum.h: whether a file is still what it was when it was closed.
**
** LMDB's pages have no checksums: a damaged one hides names, or ends the process.
** So who closes the index leaves the checksum of its file beside it, and who opens
** it compares. While it is open to be written, and after a crash, there is none,
** and the file is believed. Losing a sum loses nothing. It takes reading the whole file,
** so a large one, whose opening that would delay, has none.
**
**    0 length of the file    8 its CRC32C    12 checksum of bytes 0 to 11 */
#ifndef RILLE_SUM_H
#define RILLE_SUM_H

#include "buffer.h"

#define SUM_BYTES_MOST ((uint64_t)64 << 20) /* larger files have none: about 10 ms */

enum sum_result { SUM_RIGHT, SUM_ABSENT, SUM_WRONG };

/* Compares data.mdb in the folder with its sum; where there is none, looks whether LMDB can
** walk it (pages.h). `forget`: the file is about to change, so the sum goes, for good. 0 with
** *result, or an errno. */
INTERNAL int sum_check(const char *folder, const struct memory *memory, bool forget,
                       enum sum_result *result);
/* Leaves the sum of the file, which nobody may be changing. */
INTERNAL void sum_leave(const char *folder);

#endif
