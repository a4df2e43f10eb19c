/* map.h: a log file as memory. Who goes along a chain reads a few hundred bytes here and there:
** from a map they are copied in a fifth of the time that a call takes.
**
** But who touches a map where the system can't bring the page is ended by a signal, and a library
** must not do that to its host. So bytes are copied from here only where
**
**    the file has them        its length is asked once for each visit, a few microseconds of reads
**    they are in memory       the system has said so, of that page, within MAP_TRUST_MS
**    all have been written    they lie below the end that the visit was begun with, and nobody
**                             of ours cuts a file below that
**
** and everything else is left to calls, which return errors. What is left: a file that something
** else makes shorter in the midst of a visit, and a disk that fails on a page which the system has
** let go of within the second. Of the index, which LMDB maps, that much was always true.
**
** The first touch of a page costs as much as some calls. So it begins with those, and goes on
** here where it comes again and again: what is read once costs what it did.
**
**    stretches[i]   of pages 16 i .. 16 i + 15:
**                   |40: when the system was asked, ms|8: calls before that|16: which are in|
*/
#ifndef RILLE_MAP_H
#define RILLE_MAP_H

#include <stdatomic.h>

#include "buffer.h"

#define MAP_TRUST_MS 1000u /* so long a page is taken to be in memory still */
#define MAP_STRETCH_PAGES 16u
#define MAP_CALLS 8u /* to a stretch, before it is worth its first touch */

struct map {
  struct memory memory;
  int fd; /* the file's, whose owner closes the map before */
  const uint8_t *bytes;
  size_t length;             /* of the map: the file may have less, or more by now */
  _Atomic uint64_t measured; /* |40: the visit that asked for it|24: pages that the file had */
  _Atomic uint64_t *stretches;
  size_t count, page_bytes;
};

/* A number of short reads, soon over. */
struct map_visit {
  uint64_t number; /* of this store's visits; not 0 */
  uint64_t time_ms;
};

/* Maps `length` bytes, which the file need not have yet. NULL: it can't be done here, for want of
** memory, because the system does not tell what it has in memory, or because addresses are scarce
** (of 32 bits, or limited): what maps take of those, the host's allocator would lack. */
INTERNAL struct map *map_open(int fd, uint64_t length, const struct memory *memory);
INTERNAL void map_close(struct map *map); /* NULL is nothing */
/* In a forked child, which would keep the bytes of a file on the disk that was replaced. Nothing is
** freed. */
INTERNAL void map_forget(struct map *map);

/* Copies what there is of n bytes, and tells how much; 0: it has to be asked for by a call. */
INTERNAL size_t map_copy(struct map *map, const struct map_visit *visit, uint64_t offset,
                         void *bytes, size_t n);
#endif
