/* looks.c: stands between the library and LMDB, and the calls that only look at files: those of a
** stage are answered from memory. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "memory.h"

#define TMPFS 0x01021994

/* To be found by LMDB. */
#pragma GCC visibility push(default)

/* ---- Bytes ---- */

ssize_t preadv2(int fd, const struct iovec *v, int count, off_t at, int flags) {
  (void)flags; /* all is in memory, also where the file system can't tell */
  if (memory_has(fd)) return memory_read(fd, v, count, (uint64_t)at);
  return syscall(SYS_preadv, fd, v, (long)count, (long)at, 0L);
}
ssize_t preadv64v2(int fd, const struct iovec *v, int count, off64_t at, int flags) {
  return preadv2(fd, v, count, at, flags);
}

ssize_t pread(int fd, void *bytes, size_t n, off_t at) {
  struct iovec v = {bytes, n};
  if (memory_has(fd)) return memory_read(fd, &v, 1, (uint64_t)at);
  return syscall(SYS_pread64, fd, bytes, n, (long)at);
}
ssize_t pread64(int fd, void *bytes, size_t n, off64_t at) { return pread(fd, bytes, n, at); }

off_t lseek(int fd, off_t at, int from) {
  return memory_has(fd) ? memory_seek(fd, at, from) : syscall(SYS_lseek, fd, (long)at, from);
}
off64_t lseek64(int fd, off64_t at, int from) { return lseek(fd, at, from); }

int posix_fadvise(int fd, off_t at, off_t n, int advice) {
  return memory_has(fd) ? 0 : (int)syscall(SYS_fadvise64, fd, (long)at, (long)n, advice);
}
int posix_fadvise64(int fd, off64_t at, off64_t n, int advice) {
  return posix_fadvise(fd, at, n, advice);
}

/* Nobody else is there, so what is locked is ours. */
static int controlled(int fd, int what, void *argument) {
  if (!memory_has(fd)) return (int)syscall(SYS_fcntl, fd, what, argument);
  if (what == F_GETLK || what == F_OFD_GETLK) ((struct flock *)argument)->l_type = F_UNLCK;
  return 0;
}

int fcntl(int fd, int what, ...) {
  va_list arguments;
  va_start(arguments, what);
  void *argument = va_arg(arguments, void *);
  va_end(arguments);
  return controlled(fd, what, argument);
}
int fcntl64(int fd, int what, ...) {
  va_list arguments;
  va_start(arguments, what);
  void *argument = va_arg(arguments, void *);
  va_end(arguments);
  return controlled(fd, what, argument);
}

/* ---- What is there ---- */

int stat(const char *path, struct stat *s) {
  return memory_holds(path) ? memory_stat(path, s)
                            : (int)syscall(SYS_newfstatat, AT_FDCWD, path, s, 0);
}
int lstat(const char *path, struct stat *s) {
  return memory_holds(path) ? memory_stat(path, s)
                            : (int)syscall(SYS_newfstatat, AT_FDCWD, path, s, AT_SYMLINK_NOFOLLOW);
}
int fstat(int fd, struct stat *s) {
  if (!memory_has(fd)) return (int)syscall(SYS_fstat, fd, s);
  memory_fstat(fd, s);
  return 0;
}
int stat64(const char *path, struct stat64 *s) { return stat(path, (struct stat *)s); }
int lstat64(const char *path, struct stat64 *s) { return lstat(path, (struct stat *)s); }
int fstat64(int fd, struct stat64 *s) { return fstat(fd, (struct stat *)s); }

/* By these names it is known to what was compiled long ago. */
int __fxstat(int version, int fd, struct stat *s);
int __fxstat64(int version, int fd, struct stat64 *s);
int __fxstat(int version, int fd, struct stat *s) { return (void)version, fstat(fd, s); }
int __fxstat64(int version, int fd, struct stat64 *s) { return (void)version, fstat64(fd, s); }

int statx(int fd, const char *path, int flags, unsigned mask, struct statx *x) {
  if (!memory_has(fd)) return (int)syscall(SYS_statx, fd, path, flags, mask, x);
  uint64_t birth = memory_thing(fd)->birth_ns;
  *x = (struct statx){.stx_mask = birth ? STATX_BTIME : 0,
                      .stx_btime.tv_sec = (int64_t)(birth / 1000000000u),
                      .stx_btime.tv_nsec = (uint32_t)(birth % 1000000000u)};
  return 0;
}

int statfs(const char *path, struct statfs *s) {
  if (!memory_holds(path)) return (int)syscall(SYS_statfs, path, s);
  *s = (struct statfs){.f_type = TMPFS, .f_bsize = PAGE_BYTES};
  return 0;
}
int fstatfs(int fd, struct statfs *s) {
  if (!memory_has(fd)) return (int)syscall(SYS_fstatfs, fd, s);
  *s = (struct statfs){.f_type = TMPFS, .f_bsize = PAGE_BYTES};
  return 0;
}
int statfs64(const char *path, struct statfs64 *s) { return statfs(path, (struct statfs *)s); }
int fstatfs64(int fd, struct statfs64 *s) { return fstatfs(fd, (struct statfs *)s); }

/* There are no links in a stage. */
char *realpath(const char *path, char *room) {
  char *found = NULL;
  if (!memory_holds(path)) found = canonicalize_file_name(path);
  else if (memory_at(path)) found = strdup(path);
  else errno = ENOENT;
  if (!found || !room) return found;
  strcpy(room, found);
  free(found);
  return room;
}

/* ---- Folders ---- */

#define LISTS_MOST 8

/* What a folder had when it was opened. */
static struct list {
  struct dirent *entries;
  uint32_t count, at, room;
  bool is_open;
} lists[LISTS_MOST];

static void add_entry(struct list *l, const char *name) {
  if (l->count == l->room) {
    l->room = l->room ? 2 * l->room : 16;
    l->entries = realloc(l->entries, l->room * sizeof *l->entries);
    if (!l->entries) abort();
  }
  snprintf(l->entries[l->count++].d_name, NAME_BYTES, "%s", name);
}

static struct list *new_list(void) {
  struct list *l = lists;
  while (l < lists + LISTS_MOST && l->is_open) l++;
  if (l == lists + LISTS_MOST) abort();
  l->is_open = true, l->count = l->at = 0;
  return l;
}

static DIR *list_folder(const struct thing *t) {
  if (!t || !t->is_folder) return errno = t ? ENOTDIR : ENOENT, NULL;
  struct list *l = new_list();
  for (uint32_t i = 0; i < t->count; i++) add_entry(l, t->names[i].text);
  return (DIR *)l;
}

/* Those of the memory: of the others none is of a store. */
static DIR *list_descriptors(void) {
  struct list *l = new_list();
  char name[16];
  for (int fd = -1; memory_next_open(&fd);) {
    snprintf(name, sizeof name, "%d", fd);
    add_entry(l, name);
  }
  return (DIR *)l;
}

static struct list *list_of(DIR *d) {
  struct list *l = (struct list *)(void *)d;
  return l >= lists && l < lists + LISTS_MOST ? l : NULL;
}

DIR *opendir(const char *path) {
  if (memory_holds(path)) return list_folder(memory_at(path));
  if (memory_answers() && strcmp(path, "/proc/self/fd") == 0) return list_descriptors();
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return fd < 0 ? NULL : fdopendir(fd);
}

struct dirent *readdir(DIR *d) {
  struct list *l = list_of(d);
  if (!l) return (struct dirent *)readdir64(d);
  return l->at < l->count ? &l->entries[l->at++] : NULL;
}

int closedir(DIR *d) {
  static int (*real)(DIR *);
  struct list *l = list_of(d);
  if (l) return l->is_open = false, 0;
  if (!real) *(void **)&real = dlsym(RTLD_NEXT, "closedir");
  return real(d);
}

#pragma GCC visibility pop
