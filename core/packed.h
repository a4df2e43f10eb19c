/* packed.h: a log file out of which bytes were taken. It has the name of the file that it
** replaces, and the same addresses: what was taken reads as zeros, and takes no room.
**
**    plain    |frame|record|body|record|body|record|body| ...       as it was appended
**                           gone               gone
**    packed   |header|frame|record|record|body|record| ... |table|
**
**    0 magic   8 format   12 count of extents   16 first address   24 bytes of log
**   32 bytes that are kept   40 checksum of the table   44 zero   60 checksum of bytes 0 to 59
**   64 the kept bytes, extent by extent; then the table: for each extent where it begins in the
**      log and where among the kept bytes, in units of 8 bytes (u32 each), and last of all where
**      both end
**
** Checksums are seeded with the salt and the file's first address. A plain file begins with the
** checksum of a frame's header; one that is taken for packed by chance has no sound header here,
** and is read as it is. Whatever is packed is as checked as it
** was: a record's checksums are its own.
**
** Invariant L8: whoever reads by addresses can't tell a packed file from a plain one, but for the
** bytes that were taken. */
#ifndef RILLE_PACKED_H
#define RILLE_PACKED_H

#include "buffer.h"

#define PACKED_HEADER_BYTES 64u
#define PACKED_FORMAT 1u
#define PACKED_LOG_BYTES_MOST ((uint64_t)32 << 30) /* a longer file stays as it is */

/* A file's table in memory. */
struct packed {
  struct memory memory;
  uint64_t bytes; /* of log */
  uint32_t count; /* of extents */
  uint8_t *table; /* count + 1 pairs */
  size_t table_bytes;
};

/* Looks whether the file is packed; *packed is NULL where it is plain. RILLE_CORRUPT. */
INTERNAL int packed_open(struct packed **packed, int fd, uint64_t first, uint64_t salt,
                         const struct memory *memory, rille_error *error);
INTERNAL void packed_close(struct packed *packed); /* NULL is nothing */
/* Bytes of the log that are kept: fewer each time something is taken. */
INTERNAL uint64_t packed_kept(const struct packed *packed);
/* Reads as system_read does from a plain file. */
INTERNAL int packed_read(const struct packed *packed, int fd, uint64_t offset, void *bytes,
                         size_t n, size_t *got);

/* Writing one: the bytes of the log in their order, kept or skipped, multiples of 8 each. */
struct packing {
  int fd;
  uint64_t salt, first;
  uint64_t at;         /* in the log, behind `first` */
  uint64_t kept;       /* of them kept */
  uint64_t flushed;    /* of these written */
  bool open, failed;   /* open: an extent goes on here; failed: no memory */
  struct buffer bytes; /* not written yet */
  struct buffer table;
};
INTERNAL void packing_begin(struct packing *p, int fd, uint64_t first, uint64_t salt,
                            const struct memory *memory);
/* The place of what was kept is valid until the next call of packing_write. */
INTERNAL void packing_keep(struct packing *p, const void *bytes, size_t n);
INTERNAL void packing_skip(struct packing *p, uint64_t n);
/* Writes what is kept so far if it is much, or `all`. 0 or an errno. */
INTERNAL int packing_write(struct packing *p, bool all);
/* Writes the table and the header, and flushes. */
INTERNAL int packing_finish(struct packing *p);
INTERNAL void packing_release(struct packing *p);

#endif
