/* lockfile.c: LMDB makes the file of its locks and of its table of readers by truncation and
** maps it: on a full disk, touching such a hole would end in a signal. So it is made before, with
** all its blocks; and beside its place, because who finds it there may fill it at once, and must
** not be overwritten by a second who missed it. */
#include "lockfile.h"

#include <errno.h>
#include <stdio.h>

#include "system.h"

static int make(const char *path) {
  static const uint8_t zeros[LOCKFILE_BYTES];
  char fresh[SYSTEM_PATH_BYTES];
  uint32_t nonce;
  size_t put;
  int fd, number = system_entropy(&nonce, sizeof nonce);
  if (number) return number;
  int used = snprintf(fresh, sizeof fresh, "%s.new-%08x", path, nonce);
  if (used < 0 || (size_t)used >= sizeof fresh) return ENAMETOOLONG;
  if ((number = system_open(fresh, SYSTEM_CREATE, &fd)) != 0) return number;
  number = system_write(fd, 0, zeros, sizeof zeros, NULL, 0, &put);
  system_close(fd);
  if (!number) number = system_link(fresh, path);
  if (number == EPERM || number == ENOTSUP) return system_rename(fresh, path);
  int left = system_remove(fresh);
  if (!number || number == EEXIST) number = left; /* somebody was faster: as good */
  return number;
}

/* What a power cut left of it: LMDB, which makes any file as long as it needs, never had it. */
static int remove_short(const char *path) {
  struct system_stamp f;
  int number = system_stamp(path, &f);
  if (number || f.bytes >= LOCKFILE_BYTES / 2) return number == ENOENT ? 0 : number;
  number = system_remove(path);
  return number == ENOENT ? 0 : number;
}

int lockfile_make(const char *folder, bool alone) {
  char path[SYSTEM_PATH_BYTES];
  if (!system_join(path, sizeof path, folder, "lock.mdb")) return ENAMETOOLONG;
  int number = alone ? remove_short(path) : 0;
  if (number) return number;
  return system_kind(path) == SYSTEM_ABSENT ? make(path) : 0;
}
