/* calls.h: stands between a test program, the library in it and LMDB beside it, and the
** calls that change files: who watches may end the process there, let the call fail, or
** wait. Linux only. */
#ifndef RILLE_CALLS_H
#define RILLE_CALLS_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum call_kind { CALL_WRITE, CALL_FLUSH, CALL_CUT, CALL_NAME, CALL_KINDS };

struct call {
  enum call_kind kind;
  bool done;            /* it has just succeeded; else it is about to be made */
  int fd;               /* -1: of CALL_NAME */
  const struct iovec *v; /* what is written */
  int count;
  uint64_t at;
  size_t bytes;
};

/* NULL: nobody watches. What it returns before a call is the errno with which that fails. */
static int (*call_watch)(const struct call *call);

static inline void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

/* Whether it is a file of the log, and not LMDB's or another. */
static inline bool is_of_log(const struct call *c) {
  char name[64], path[4096];
  snprintf(name, sizeof name, "/proc/self/fd/%d", c->fd);
  ssize_t n = c->fd < 0 ? 0 : readlink(name, path, sizeof path);
  return n > 4 && memcmp(path + n - 4, ".seg", 4) == 0;
}

/* To be called by who watches a write: half of it is done. */
static inline void die_half_written(const struct call *c) {
  for (int i = 0; i < (c->count + 1) / 2; i++) {
    size_t n = c->count == 1 ? c->v[i].iov_len / 2 : c->v[i].iov_len;
    (void)!syscall(SYS_pwrite64, c->fd, c->v[i].iov_base, n, c->at);
  }
  die();
}

static inline bool call_begins(struct call *c) {
  int number = call_watch ? call_watch(c) : 0;
  if (number) errno = number;
  return number == 0;
}

static inline long call_ends(struct call *c, long result) {
  int number = errno;
  c->done = true;
  if (result >= 0 && call_watch) (void)call_watch(c);
  errno = number;
  return result;
}

/* To be found by LMDB. */
#pragma GCC visibility push(default)

/* ---- Writes ---- */

static ssize_t call_write(int fd, const struct iovec *v, int count, off_t at) {
  struct call c = {.kind = CALL_WRITE, .fd = fd, .v = v, .count = count, .at = (uint64_t)at};
  for (int i = 0; i < count; i++) c.bytes += v[i].iov_len;
  if (!call_begins(&c)) return -1;
  return call_ends(&c, syscall(SYS_pwritev, fd, v, (long)count, (long)at, 0L));
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) {
  struct iovec v = {(void *)(uintptr_t)bytes, n};
  return call_write(fd, &v, 1, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at) {
  return pwrite(fd, bytes, n, at);
}
ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at) { return call_write(fd, v, n, at); }
ssize_t pwritev64(int fd, const struct iovec *v, int n, off64_t at) {
  return call_write(fd, v, n, at);
}

ssize_t writev(int fd, const struct iovec *v, int count) {
  off_t at = lseek(fd, 0, SEEK_CUR);
  ssize_t n = at < 0 ? syscall(SYS_writev, fd, v, (long)count) : call_write(fd, v, count, at);
  if (at >= 0 && n > 0) lseek(fd, at + n, SEEK_SET);
  return n;
}

int ftruncate(int fd, off_t size) {
  struct call c = {.kind = CALL_CUT, .fd = fd, .at = (uint64_t)size};
  if (!call_begins(&c)) return -1;
  return (int)call_ends(&c, syscall(SYS_ftruncate, fd, size));
}
int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }

/* ---- Flushes ---- */

static int call_flush(int fd, long number) {
  struct call c = {.kind = CALL_FLUSH, .fd = fd};
  return call_begins(&c) ? (int)call_ends(&c, syscall(number, fd)) : -1;
}
int fdatasync(int fd) { return call_flush(fd, SYS_fdatasync); }
int fsync(int fd) { return call_flush(fd, SYS_fsync); }

/* ---- Names ---- */

static int call_open(const char *path, int flags, mode_t mode) {
  struct call c = {.kind = CALL_NAME, .fd = -1};
  bool makes = (flags & O_CREAT) != 0;
  if (makes && !call_begins(&c)) return -1;
  long fd = syscall(SYS_openat, AT_FDCWD, path, flags, mode);
  return (int)(makes ? call_ends(&c, fd) : fd);
}

static mode_t call_mode(int flags, va_list arguments) {
  return flags & O_CREAT ? (mode_t)va_arg(arguments, unsigned) : 0;
}

int open(const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = call_mode(flags, arguments);
  va_end(arguments);
  return call_open(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = call_mode(flags, arguments);
  va_end(arguments);
  return call_open(path, flags, mode);
}

int mkdir(const char *path, mode_t mode) {
  struct call c = {.kind = CALL_NAME, .fd = -1};
  return call_begins(&c) ? (int)call_ends(&c, syscall(SYS_mkdirat, AT_FDCWD, path, mode)) : -1;
}

int rename(const char *from, const char *to) {
  struct call c = {.kind = CALL_NAME, .fd = -1};
  if (!call_begins(&c)) return -1;
  return (int)call_ends(&c, syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}

int remove(const char *path) {
  struct stat s;
  struct call c = {.kind = CALL_NAME, .fd = -1};
  if (stat(path, &s) < 0 && lstat(path, &s) < 0) return -1;
  if (!call_begins(&c)) return -1;
  int flags = S_ISDIR(s.st_mode) ? AT_REMOVEDIR : 0;
  return (int)call_ends(&c, syscall(SYS_unlinkat, AT_FDCWD, path, flags));
}

#pragma GCC visibility pop

#endif
