/* disk.h: files on a disk that loses what it may, as a kernel and a drive do.
**
**    write, truncate --> cache --flush--> disk        sectors of 512 bytes
**                          |                ^
**                          +-- power cut ---+  of each sector any version since
**                                              the last flush, of the size too
**
** - A flush brings what was written before it began; what is written while it
**   runs may get there.
** - A flush that fails brings some sectors, and forgets that the others are
**   dirty: the cache has the new bytes, the disk the old, and the next flush
**   succeeds and changes nothing. What was cut off is no data but the file
**   system's own, and stays owed.
** - A write makes its whole block dirty again, whatever the kernel thought.
** - An eviction drops clean sectors, to be read again from the disk.
** - A fuse ends the process at the n-th operation, in the midst of it. */
#ifndef RILLE_DISK_H
#define RILLE_DISK_H

#include "base.h"
#include "test.h"

#define SECTOR 512u
#define FILE_BYTES ((size_t)40 << 10)
#define FILE_SECTORS (FILE_BYTES / SECTOR)
#define FILES_MOST 6u
#define VERSIONS_MOST 8u
#define NO_CUT UINT64_MAX

struct file {
  uint64_t first; /* address of its first byte */
  uint64_t size, disk_size;
  uint64_t sizes[VERSIONS_MOST];
  uint64_t cut_at; /* the least size since the last flush */
  unsigned resized, resized_begun;
  uint8_t dirty[FILE_SECTORS]; /* versions since the last flush */
  uint8_t begun[FILE_SECTORS]; /* ... when the current flush began */
  uint8_t cache[FILE_BYTES], disk[FILE_BYTES];
  uint8_t versions[FILE_SECTORS][VERSIONS_MOST][SECTOR];
};

struct disk {
  struct file files[FILES_MOST];
  unsigned count, fuse; /* 0: the process has ended */
  uint64_t block;       /* bytes of a block of the file system */
  unsigned failing;     /* one in so many flushes fails; 0: none */
};

static inline struct file *disk_last(struct disk *d) { return &d->files[d->count - 1]; }

static inline void disk_add_file(struct disk *d, uint64_t first) {
  struct file *f = &d->files[d->count++];
  memset(f, 0, offsetof(struct file, versions));
  f->first = first;
  f->cut_at = NO_CUT;
}

static inline bool disk_dead(struct disk *d) { return d->fuse == 0 || --d->fuse == 0; }

/* ---- What changes the cache ---- */

static inline void file_dirty(struct file *f, uint64_t from, uint64_t to, uint64_t block) {
  uint64_t end = min_u64((to + block - 1) / block * block, FILE_BYTES) / SECTOR;
  for (uint64_t s = from / block * block / SECTOR; s < end; s++) {
    unsigned v = f->dirty[s] < VERSIONS_MOST ? f->dirty[s]++ : VERSIONS_MOST - 1;
    memcpy(f->versions[s][v], f->cache + s * SECTOR, SECTOR);
  }
}

static inline void file_resize(struct file *f, uint64_t size) {
  f->size = size;
  f->sizes[f->resized < VERSIONS_MOST ? f->resized++ : VERSIONS_MOST - 1] = size;
}

/* False when the process ended in it; some of it may have been written. */
static inline bool disk_write(struct disk *d, uint64_t address, const void *bytes, size_t n) {
  struct file *f = disk_last(d);
  uint64_t at = address - f->first;
  if (!CHECK(address >= f->first && at + n <= FILE_BYTES)) return false;
  bool dead = disk_dead(d);
  if (dead) n = random_below((uint32_t)n + 1);
  if (n) {
    memcpy(f->cache + at, bytes, n);
    file_dirty(f, at, at + n, d->block);
    if (at + n > f->size) file_resize(f, at + n);
  }
  return !dead;
}

static inline bool disk_truncate(struct disk *d, uint64_t address) {
  struct file *f = disk_last(d);
  uint64_t old = f->size, size = address - f->first;
  if (disk_dead(d) && one_in(2)) return false;
  if (size < old) {
    memset(f->cache + size, 0, old - size);
    file_dirty(f, size, old, d->block);
    file_resize(f, size);
    f->cut_at = min_u64(f->cut_at, size);
  }
  return d->fuse > 0;
}

/* ---- What reaches the disk ---- */

static inline void disk_flush_begin(struct disk *d) {
  struct file *f = disk_last(d);
  memcpy(f->begun, f->dirty, sizeof f->begun);
  f->resized_begun = f->resized;
}

/* One of the versions first .. last has come to stay; those behind it have not. */
static inline unsigned version_between(unsigned first, unsigned last) {
  return first + random_below(last - first + 1);
}

static inline void sector_settle(struct file *f, size_t s) {
  unsigned v = version_between(f->begun[s] - 1u, f->dirty[s] - 1u);
  memcpy(f->disk + s * SECTOR, f->versions[s][v], SECTOR);
  f->dirty[s] = (uint8_t)(f->dirty[s] - (v + 1));
  if (f->dirty[s]) memmove(f->versions[s][0], f->versions[s][v + 1], f->dirty[s] * SECTOR);
}

static inline void disk_flush_end(struct disk *d) {
  struct file *f = disk_last(d);
  for (size_t s = 0; s < FILE_SECTORS; s++)
    if (f->begun[s]) sector_settle(f, s);
  if (f->resized_begun) {
    unsigned v = version_between(f->resized_begun - 1, f->resized - 1);
    f->disk_size = f->sizes[v];
    f->resized -= v + 1;
    memmove(f->sizes, f->sizes + v + 1, f->resized * sizeof *f->sizes);
  }
  f->cut_at = NO_CUT;
  for (unsigned v = 0; v < f->resized; v++) f->cut_at = min_u64(f->cut_at, f->sizes[v]);
}

static inline void disk_flush_fail(struct disk *d) {
  struct file *f = disk_last(d);
  uint64_t spared = FILE_BYTES;
  if (f->cut_at != NO_CUT) spared = (f->cut_at + d->block - 1) / d->block * d->block;
  for (size_t s = 0; s < FILE_SECTORS && s * SECTOR < spared; s++) {
    if (f->dirty[s] && one_in(3)) memcpy(f->disk + s * SECTOR, f->cache + s * SECTOR, SECTOR);
    f->dirty[s] = 0;
  }
}

/* One whole flush. False: the process ended, or the flush failed (*lost). */
static inline bool disk_flush(struct disk *d, bool *lost) {
  *lost = false;
  if (disk_dead(d)) return false;
  if (d->failing && one_in(d->failing)) {
    *lost = true;
    disk_flush_fail(d);
    return false;
  }
  disk_flush_begin(d);
  disk_flush_end(d);
  return true;
}

/* ---- What happens between two processes ---- */

static inline unsigned style_version(unsigned style, unsigned versions) {
  switch (style) {
    case 0: return random_below(versions + 1);
    case 1: return one_in(2) ? versions : 0;
    case 2: return one_in(8) ? 0 : versions;
    default: return one_in(8) ? versions : 0;
  }
}

static inline void file_power_cut(struct file *f, unsigned style) {
  for (size_t s = 0; s < FILE_SECTORS; s++) {
    unsigned v = f->dirty[s] ? style_version(style, f->dirty[s]) : 0;
    if (v) memcpy(f->disk + s * SECTOR, f->versions[s][v - 1], SECTOR);
  }
  unsigned v = f->resized ? style_version(style, f->resized) : 0;
  if (v) f->disk_size = f->sizes[v - 1];
  if (v < f->resized && one_in(8) && f->sizes[v] > f->disk_size) /* in the midst of growing */
    f->disk_size += random_below((uint32_t)(f->sizes[v] - f->disk_size));
  memset(f->disk + f->disk_size, 0, FILE_BYTES - f->disk_size);
  memcpy(f->cache, f->disk, FILE_BYTES);
  memset(f->dirty, 0, sizeof f->dirty);
  f->size = f->disk_size;
  f->resized = 0;
  f->cut_at = NO_CUT;
}

static inline void disk_power_cut(struct disk *d) {
  unsigned style = random_below(4);
  for (unsigned i = 0; i < d->count; i++) file_power_cut(&d->files[i], style);
}

static inline void disk_evict(struct disk *d) {
  struct file *f = disk_last(d);
  for (size_t s = 0; s < FILE_SECTORS; s++)
    if (f->dirty[s] == 0 && one_in(2)) memcpy(f->cache + s * SECTOR, f->disk + s * SECTOR, SECTOR);
  memset(f->cache + f->size, 0, FILE_BYTES - f->size);
}

static inline size_t disk_read(const struct disk *d, uint64_t address, void *bytes, size_t n) {
  unsigned i = d->count - 1;
  while (i > 0 && d->files[i].first > address) i--;
  const struct file *f = &d->files[i];
  uint64_t at = address - f->first;
  uint64_t end = i + 1 < d->count ? min_u64(f->size, d->files[i + 1].first - f->first) : f->size;
  size_t got = at >= end ? 0 : (size_t)min_u64(n, end - at);
  if (got) memcpy(bytes, f->cache + at, got);
  return got;
}

#endif
