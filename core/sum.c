/* sum.c: the checksum of a closed file, in a file beside it. */
#include "sum.h"

#include <errno.h>

#include "checksum.h"
#include "pages.h"
#include "system.h"

#define SUM_BYTES 16u
#define READ_BYTES ((size_t)64 << 10)

enum { SUM_LENGTH = 0, SUM_CONTENT = 8, SUM_SELF = 12 };

static int sum_of(const char *path, uint8_t sum[SUM_BYTES]) {
  uint8_t bytes[READ_BYTES];
  uint64_t at = 0;
  uint32_t c = 0;
  size_t got = 0;
  int fd, number = system_open(path, SYSTEM_READ, &fd);
  if (number) return number;
  while (at <= SUM_BYTES_MOST && (number = system_read(fd, at, bytes, sizeof bytes, &got)) == 0 &&
         got) {
    c = checksum(c, bytes, got);
    at += got;
  }
  system_close(fd);
  if (!number && at > SUM_BYTES_MOST) number = EFBIG;
  put64(sum + SUM_LENGTH, at);
  put32(sum + SUM_CONTENT, c);
  put32(sum + SUM_SELF, checksum(0, sum, SUM_SELF));
  return number;
}

static bool join(char *data, char *sum, const char *folder) {
  return system_join(data, SYSTEM_PATH_BYTES, folder, "data.mdb") &&
         system_join(sum, SYSTEM_PATH_BYTES, folder, "sum");
}

static int compare(const char *path, const char *sum_path, enum sum_result *result) {
  uint8_t kept[SUM_BYTES + 1], sum[SUM_BYTES];
  size_t got = 0;
  int fd, number = system_open(sum_path, SYSTEM_READ, &fd);
  *result = SUM_ABSENT;
  if (number) return number == ENOENT ? 0 : number;
  number = system_read(fd, 0, kept, sizeof kept, &got);
  system_close(fd);
  if (!number) number = sum_of(path, sum);
  if (number) return number == EFBIG ? 0 : number;
  /* A power cut may leave a part of the sum, or none of it: that says nothing. */
  if (got != SUM_BYTES || get32(kept + SUM_SELF) != checksum(0, kept, SUM_SELF)) return 0;
  *result = memcmp(kept, sum, SUM_BYTES) == 0 ? SUM_RIGHT : SUM_WRONG;
  return 0;
}

static int walk(const char *path, const struct memory *memory, enum sum_result *result) {
  enum pages_result pages;
  int number = pages_check(path, SUM_BYTES_MOST, memory, &pages);
  if (!number && pages == PAGES_DAMAGED) *result = SUM_WRONG;
  return number;
}

int sum_check(const char *folder, const struct memory *memory, bool forget,
              enum sum_result *result) {
  char data[SYSTEM_PATH_BYTES], sum[SYSTEM_PATH_BYTES];
  if (!join(data, sum, folder)) return ENAMETOOLONG;
  int number = compare(data, sum, result);
  if (!number && *result == SUM_ABSENT) number = walk(data, memory, result);
  if (number || *result == SUM_WRONG || !forget) return number;
  number = system_remove(sum);
  /* who removed it before may have died before that was durable */
  return number && number != ENOENT ? number : system_flush_folder(folder);
}

void sum_leave(const char *folder) {
  char data[SYSTEM_PATH_BYTES], path[SYSTEM_PATH_BYTES];
  uint8_t sum[SUM_BYTES];
  size_t put = 0;
  int fd;
  if (!join(data, path, folder) || sum_of(data, sum) != 0) return;
  if (system_open(path, SYSTEM_CREATE, &fd) != 0) return;
  int number = system_write(fd, 0, sum, sizeof sum, NULL, 0, &put);
  system_close(fd);
  if (number) system_remove(path);
}
