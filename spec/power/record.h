/* record.h: what is done to files, written down in the order in which it is done, by all
** processes that were forked from one.
**
** A record is entries, one behind the other, in memory that the processes share. Who writes
** one holds the record's lock while it makes the call itself, so that the order of entries is
** the order of calls. A flush is two entries: only what was noted before its first one is sure
** to be on the disk once there is the second.
**
** Files are named by their inodes. Each that is made gets a second name in a pool, so that it
** can be put back later as what it is: a store knows its file by its inode. */
#ifndef RILLE_POWER_RECORD_H
#define RILLE_POWER_RECORD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum entry_kind {
  ENTRY_FILE,        /* `child` was made in folder `node`; its name */
  ENTRY_FOLDER,      /* the same of a folder */
  ENTRY_NAME,        /* file `child` has another name in folder `node` */
  ENTRY_RENAME,      /* in folder `node`: two names, each with its NUL; `child` is what moved */
  ENTRY_REMOVE,      /* a name left folder `node` */
  ENTRY_WRITE,       /* bytes, to file `node` at `at` */
  ENTRY_SIZE,        /* file `node` was cut or drawn to `at` */
  ENTRY_MAPPED,      /* file `node` is written to through memory from now on */
  ENTRY_FLUSH_BEGUN, /* of file or folder `node` */
  ENTRY_FLUSHED,     /* ... which began with entry number `at` */
  ENTRY_FLUSH_FAILED,
  ENTRY_MARK /* what the workload says of itself */
};

struct entry {
  uint32_t kind, bytes; /* bytes: of what follows */
  uint64_t node, child, at;
};

static inline const uint8_t *entry_bytes(const struct entry *e) { return (const uint8_t *)(e + 1); }
static inline const char *entry_name(const struct entry *e) { return (const char *)(e + 1); }

struct record {
  _Atomic uint32_t lock;
  uint32_t count;
  uint64_t used, room;
  _Atomic int flushes_until_failure; /* of files of the log; 0: none fails */
  int entries_until_death;           /* whoever notes the last one dies; 0: nobody does */
  uint32_t deadly;                   /* a bit for each kind of entry that counts for that */
  bool slow;                         /* a flush takes its time, so that others write meanwhile */
  _Alignas(16) uint8_t bytes[];
};

struct record *record_new(uint64_t room);
void record_empty(struct record *r);
/* Entry by entry, from *at = 0. NULL: there is none. */
const struct entry *record_next(const struct record *r, uint64_t *at);

/* Files and folders under `base` count, and their pool is `pool`; both absolute, at the start. */
void record_under(const char *base, const char *pool);
/* From now on; NULL: nobody writes anything down. */
void record_into(struct record *r);
/* No flush fails from now on. */
void record_fail_no_more(void);
void record_mark(const void *bytes, uint32_t n);
/* The bytes that /dev/urandom has from now on, n at most. */
void record_seed(uint64_t seed, size_t n);

#endif
