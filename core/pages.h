/* pages.h: whether LMDB can walk its file without falling: the pages of a closed index,
** looked at before anything in them is believed.
**
** LMDB follows numbers of pages and offsets in them wherever they lead. A sum (sum.h) tells
** whether a file is what it was when it was closed; after a crash there is none. Then this walks
** all trees once, by reading and not through a map:
**
**    meta page --> free pages: txnid -> list of pages      every page is reached at most once,
**              \-> tables: name -> tree -> key, value       and lies in the file; nodes tile their
**                                         \-> overflow      page; keys ascend, within their
**                                             pages         parent's bounds; counts are right
**
** What passes ends no process and hides no key: the order and the counts say that every key
** is found, and the seals of the values (entry.h), which are of the key, too, that it is the one
** that was. (Values with pages of their own, large kept ones, are not read for that.)
**
** It knows LMDB's data format 1 on machines of 64 bits and little-endian order; what is
** another one's is UNKNOWN, and so is a file larger than those that have sums. */
#ifndef RILLE_PAGES_H
#define RILLE_PAGES_H

#include "buffer.h"

enum pages_result { PAGES_SOUND, PAGES_DAMAGED, PAGES_UNKNOWN };

/* Walks the file, which nobody may be changing; larger than `most` bytes: UNKNOWN. 0 with
** *result, or an errno. */
INTERNAL int pages_check(const char *path, uint64_t most, const struct memory *memory,
                         enum pages_result *result);

#endif
