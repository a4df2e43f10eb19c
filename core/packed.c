/* packed.c: the files of the log out of which bytes were taken. */
#include "packed.h"

#include <errno.h>

#include "checksum.h"
#include "error.h"
#include "system.h"

#define UNIT 8u
#define PAIR_BYTES 8u
#define WRITE_BYTES ((size_t)1 << 20)
#define TABLE_BYTES_MOST ((uint64_t)PAIR_BYTES * (PACKED_LOG_BYTES_MOST / UNIT / 2 + 1))

static const char MAGIC[8] = {'r', 'i', 'l', 'l', 'e', 'p', 'a', 'k'};

enum {
  P_FORMAT = 8,
  P_COUNT = 12,
  P_FIRST = 16,
  P_BYTES = 24,
  P_KEPT = 32,
  P_TABLE = 40,
  P_ZERO = 44,
  P_CHECKSUM = 60
};

static uint32_t seed_of(uint64_t first, uint64_t salt) { return checksum_seed(salt, ~first); }

static uint64_t start_of(const struct packed *p, uint32_t i) {
  return (uint64_t)get32(p->table + (size_t)PAIR_BYTES * i) * UNIT;
}

static uint64_t place_of(const struct packed *p, uint32_t i) {
  return (uint64_t)get32(p->table + (size_t)PAIR_BYTES * i + 4) * UNIT;
}

uint64_t packed_kept(const struct packed *p) { return place_of(p, p->count); }

/* ---- Opening ---- */

static int damaged(uint64_t first, rille_error *e) {
  return error_corrupt(e, first, "%016llx.seg is damaged: where its parts stand can't be read",
                       (unsigned long long)first);
}

/* What the checksum has passed is so by construction; this keeps a forged table from leading
** elsewhere. */
static bool is_in_order(const struct packed *p, uint64_t kept) {
  if (start_of(p, p->count) > p->bytes || place_of(p, p->count) != kept) return false;
  for (uint32_t i = 0; i < p->count; i++) {
    if (place_of(p, i + 1) < place_of(p, i) || start_of(p, i + 1) < start_of(p, i)) return false;
    if (place_of(p, i + 1) - place_of(p, i) > start_of(p, i + 1) - start_of(p, i)) return false;
  }
  return p->count == 0 || place_of(p, 0) == 0;
}

static int read_table(struct packed *p, int fd, const uint8_t *header, uint64_t first,
                      uint64_t salt, rille_error *e) {
  uint64_t kept = get64(header + P_KEPT);
  size_t got;
  p->bytes = get64(header + P_BYTES);
  p->count = get32(header + P_COUNT);
  uint64_t n = ((uint64_t)p->count + 1) * PAIR_BYTES;
  if (get64(header + P_FIRST) != first || n > TABLE_BYTES_MOST || p->bytes > PACKED_LOG_BYTES_MOST)
    return damaged(first, e);
  p->table_bytes = (size_t)n;
  p->table = memory_get(&p->memory, p->table_bytes);
  if (!p->table) return error_memory(e);
  int number = system_read(fd, PACKED_HEADER_BYTES + kept, p->table, p->table_bytes, &got);
  if (number) return error_system(e, number, "can't read %016llx.seg", (unsigned long long)first);
  bool sound = got == p->table_bytes &&
               checksum(seed_of(first, salt), p->table, p->table_bytes) == get32(header + P_TABLE);
  return sound && is_in_order(p, kept) ? 0 : damaged(first, e);
}

int packed_open(struct packed **packed, int fd, uint64_t first, uint64_t salt,
                const struct memory *memory, rille_error *e) {
  uint8_t header[PACKED_HEADER_BYTES];
  size_t got;
  *packed = NULL;
  int number = system_read(fd, 0, header, sizeof header, &got);
  if (number) return error_system(e, number, "can't read %016llx.seg", (unsigned long long)first);
  if (got < sizeof header || memcmp(header, MAGIC, sizeof MAGIC) != 0) return 0;
  if (checksum(seed_of(first, salt), header, P_CHECKSUM) != get32(header + P_CHECKSUM)) return 0;
  if (get32(header + P_FORMAT) != PACKED_FORMAT)
    return error_set(e, RILLE_UNSUPPORTED,
                     "%016llx.seg is of a newer rille: open the store with that version",
                     (unsigned long long)first);
  struct packed *p = memory_get_zeroed(memory, sizeof *p);
  if (!p) return error_memory(e);
  p->memory = *memory;
  int failed = read_table(p, fd, header, first, salt, e);
  if (failed) packed_close(p);
  else *packed = p;
  return failed;
}

void packed_close(struct packed *p) {
  if (!p) return;
  struct memory memory = p->memory;
  memory_free(&memory, p->table, p->table_bytes);
  memory_free(&memory, p, sizeof *p);
}

/* ---- Reading ---- */

/* The first extent that ends behind an offset of the log; count: there is none. */
static uint32_t find(const struct packed *p, uint64_t offset) {
  uint32_t low = 0, high = p->count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    uint64_t end = start_of(p, middle) + place_of(p, middle + 1) - place_of(p, middle);
    if (end > offset) high = middle;
    else low = middle + 1;
  }
  return low;
}

/* The place among the kept bytes of an offset of the log, or of what is kept first behind it. */
static uint64_t place_at(const struct packed *p, uint32_t i, uint64_t offset) {
  if (i == p->count) return place_of(p, i);
  return place_of(p, i) + (offset > start_of(p, i) ? offset - start_of(p, i) : 0);
}

/* Kept bytes that stand at the end of the room go to their places, with zeros between them. What
** is still to be moved never lies before where the next goes. */
static void spread(const struct packed *p, uint32_t i, uint64_t offset, uint8_t *bytes, size_t n,
                   size_t kept) {
  const uint8_t *from = bytes + n - kept;
  size_t at = 0;
  while (kept > 0) {
    uint64_t start = max_u64(start_of(p, i), offset);
    uint64_t end = start_of(p, i) + place_of(p, i + 1) - place_of(p, i);
    size_t gap = (size_t)(start - offset) - at;
    size_t length = (size_t)min_u64(end - start, kept);
    memset(bytes + at, 0, gap);
    memmove(bytes + at + gap, from, length);
    at += gap + length;
    from += length;
    kept -= length;
    i++;
  }
  memset(bytes + at, 0, n - at);
}

int packed_read(const struct packed *p, int fd, uint64_t offset, void *bytes, size_t n,
                size_t *got) {
  *got = 0;
  if (offset >= p->bytes) return 0;
  n = (size_t)min_u64(n, p->bytes - offset);
  uint32_t i = find(p, offset), j = find(p, offset + n);
  uint64_t from = place_at(p, i, offset), to = place_at(p, j, offset + n);
  size_t kept = (size_t)(to - from), read = 0;
  int number = 0;
  if (kept)
    number = system_read(fd, PACKED_HEADER_BYTES + from, (uint8_t *)bytes + n - kept, kept, &read);
  if (number) return number;
  if (read < kept) return EIO; /* it is shorter than its table says */
  spread(p, i, offset, bytes, n, kept);
  *got = n;
  return 0;
}

/* ---- Writing ---- */

void packing_begin(struct packing *p, int fd, uint64_t first, uint64_t salt,
                   const struct memory *memory) {
  *p = (struct packing){.fd = fd, .first = first, .salt = salt};
  buffer_init(&p->bytes, memory);
  buffer_init(&p->table, memory);
}

void packing_release(struct packing *p) {
  buffer_release(&p->bytes);
  buffer_release(&p->table);
}

static void add_pair(struct packing *p) {
  uint8_t pair[PAIR_BYTES];
  put32(pair, (uint32_t)(p->at / UNIT));
  put32(pair + 4, (uint32_t)(p->kept / UNIT));
  if (!buffer_add(&p->table, pair, sizeof pair)) p->failed = true;
}

void packing_keep(struct packing *p, const void *bytes, size_t n) {
  if (n == 0) return;
  if (!p->open) add_pair(p);
  p->open = true;
  if (!buffer_add(&p->bytes, bytes, n)) p->failed = true;
  p->at += n;
  p->kept += n;
}

void packing_skip(struct packing *p, uint64_t n) {
  if (n == 0) return;
  p->open = false;
  p->at += n;
}

int packing_write(struct packing *p, bool all) {
  size_t put;
  if (p->failed) return ENOMEM;
  if (p->bytes.length == 0 || (!all && p->bytes.length < WRITE_BYTES)) return 0;
  int number = system_write(p->fd, PACKED_HEADER_BYTES + p->flushed, p->bytes.bytes,
                            p->bytes.length, NULL, 0, &put);
  p->flushed += p->bytes.length;
  buffer_clear(&p->bytes, 2 * WRITE_BYTES);
  return number;
}

int packing_finish(struct packing *p) {
  uint8_t h[PACKED_HEADER_BYTES] = {0};
  uint32_t seed = seed_of(p->first, p->salt);
  size_t put;
  add_pair(p);
  int number = packing_write(p, true);
  if (number) return number;
  memcpy(h, MAGIC, sizeof MAGIC);
  put32(h + P_FORMAT, PACKED_FORMAT);
  put32(h + P_COUNT, (uint32_t)(p->table.length / PAIR_BYTES) - 1);
  put64(h + P_FIRST, p->first);
  put64(h + P_BYTES, p->at);
  put64(h + P_KEPT, p->kept);
  put32(h + P_TABLE, checksum(seed, p->table.bytes, p->table.length));
  put32(h + P_CHECKSUM, checksum(seed, h, P_CHECKSUM));
  number = system_write(p->fd, PACKED_HEADER_BYTES + p->kept, p->table.bytes, p->table.length, NULL,
                        0, &put);
  if (!number) number = system_write(p->fd, 0, h, sizeof h, NULL, 0, &put);
  return number ? number : system_flush(p->fd);
}
