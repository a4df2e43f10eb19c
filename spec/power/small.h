/* small.h: bounds of core/segment.c, fold.c and index.c, as they are compiled for power cuts: what
** is zeroed ahead, folded at a time and mapped is less, so that a state costs little and all of
** it happens soon. */
#ifndef RILLE_POWER_SMALL_H
#define RILLE_POWER_SMALL_H

#define SEGMENT_ZERO_AHEAD_BYTES ((size_t)4 << 10)
#define LOG_FRESH_BYTES_MOST ((uint64_t)24 << 10)
#define INDEX_MAP_BYTES ((size_t)256 << 10)
#define INDEX_READERS_MOST 10u
#define INDEX_LOCK_BYTES 1024u

#endif
