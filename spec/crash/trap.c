/* trap.c: a library to be loaded before all others (LD_PRELOAD, Linux), that stands
** between a process and its files: it writes down what is done to them, ends the
** process at the n-th call, or lets that call fail.
**
**   TRAP_UNDER    only files whose paths begin so count
**   TRAP_RECORD   a file for what was done, in order; read by power.lua
**   TRAP_KILL     n: the n-th call does not return; half of a write is done
**   TRAP_STOP     n: before the n-th call it is stopped, until somebody continues it
**   TRAP_FAIL     n: the n-th call fails; TRAP_ERRNO says how
**   TRAP_MARK     calls are counted from when this file exists
**
** A record is a line, and behind that of a write its bytes:
**   C dir name ino | D dir name ino | R dir name dir name | U dir name
**   W ino offset n | T ino size | B ino thread | S ino thread | A text
** A rename from a name that begins with "ack:" is no rename but a note, A.
**
** Several processes may write one record: each of its entries is one append. What was done is
** written down before the call returns, so before the process can tell others of it; but a
** flush is written down when it begins, B, and when it has succeeded, S: only what was done
** before B is sure to be on the disk then. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define LINE_BYTES (3 * PATH_MAX)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long calls;
static int record_fd = -1;
static bool marked;

/* ---- Which calls count ---- */

static bool is_under(const char *path) {
  const char *under = getenv("TRAP_UNDER");
  return under && strncmp(path, under, strlen(under)) == 0;
}

static bool is_ours(int fd) {
  char name[64], path[PATH_MAX];
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(name, path, sizeof path - 1);
  if (n <= 0) return false;
  path[n] = '\0';
  return is_under(path);
}

static long setting(const char *name) {
  const char *text = getenv(name);
  return text ? strtol(text, NULL, 10) : 0;
}

static bool has_begun(void) {
  const char *mark = getenv("TRAP_MARK");
  struct stat s;
  if (!mark) return true;
  if (!marked) marked = syscall(SYS_newfstatat, AT_FDCWD, mark, &s, 0) == 0;
  return marked;
}

static void die(void) { kill(getpid(), SIGKILL); }

enum fate { LIVE, DIE, FAIL };

static enum fate fate(void) {
  if (!has_begun()) return LIVE;
  long n = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
  if (n == setting("TRAP_KILL")) return DIE;
  if (n == setting("TRAP_STOP")) kill(getpid(), SIGSTOP);
  if (n != setting("TRAP_FAIL")) return LIVE;
  errno = (int)setting("TRAP_ERRNO");
  return FAIL;
}

/* ---- Writing it down ---- */

/* In one append. */
static void put(const struct iovec *v, int count, size_t n) {
  const char *path = getenv("TRAP_RECORD");
  pthread_mutex_lock(&lock);
  if (record_fd < 0)
    record_fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  pthread_mutex_unlock(&lock);
  if (syscall(SYS_writev, record_fd, v, (long)count) != (ssize_t)n) abort();
}

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...) {
  char line[LINE_BYTES];
  va_list arguments;
  if (!getenv("TRAP_RECORD")) return;
  va_start(arguments, format);
  int n = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  put(&(struct iovec){line, (size_t)n}, 1, (size_t)n);
}

static unsigned long inode(int fd) {
  struct stat s;
  return fstat(fd, &s) == 0 ? (unsigned long)s.st_ino : 0;
}

static unsigned long inode_of(const char *path) {
  struct stat s;
  return stat(path, &s) == 0 ? (unsigned long)s.st_ino : 0;
}

/* The folder that a path names its last part in. */
static unsigned long folder_of(const char *path, const char **name) {
  char folder[PATH_MAX];
  const char *slash = strrchr(path, '/');
  *name = slash ? slash + 1 : path;
  snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
  return inode_of(folder);
}

static void note_made(char what, const char *path) {
  const char *name;
  unsigned long folder = folder_of(path, &name);
  note("%c %lu %s %lu\n", what, folder, name, inode_of(path));
}

static void note_written(int fd, off_t at, const struct iovec *v, int count, size_t n) {
  char line[128];
  struct iovec all[IOV_MAX];
  size_t left = n;
  int parts = 1;
  if (!getenv("TRAP_RECORD")) return;
  int used = snprintf(line, sizeof line, "W %lu %lld %zu\n", inode(fd), (long long)at, n);
  all[0] = (struct iovec){line, (size_t)used};
  for (int i = 0; i < count && left && parts < IOV_MAX; i++, parts++) {
    size_t part = v[i].iov_len < left ? v[i].iov_len : left;
    all[parts] = (struct iovec){v[i].iov_base, part};
    left -= part;
  }
  if (left) abort();
  put(all, parts, (size_t)used + n);
}

/* ---- Writes ---- */

static ssize_t write_half(int fd, const struct iovec *v, int count, off_t at) {
  for (int i = 0; i < (count + 1) / 2; i++) {
    size_t n = count == 1 ? v[i].iov_len / 2 : v[i].iov_len;
    (void)!syscall(SYS_pwrite64, fd, v[i].iov_base, n, at);
    at += (off_t)n;
  }
  die();
  return -1;
}

static ssize_t written(int fd, const struct iovec *v, int count, off_t at) {
  bool ours = is_ours(fd);
  enum fate f = ours ? fate() : LIVE;
  if (f == DIE) return write_half(fd, v, count, at);
  if (f == FAIL) return -1;
  ssize_t n = syscall(SYS_pwritev, fd, v, (long)count, (long)at, 0L);
  if (ours && n > 0) note_written(fd, at, v, count, (size_t)n);
  return n;
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) {
  struct iovec v = {(void *)(unsigned long)bytes, n};
  return written(fd, &v, 1, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t n, off_t at) { return pwrite(fd, bytes, n, at); }
ssize_t pwritev(int fd, const struct iovec *v, int count, off_t at) { return written(fd, v, count, at); }
ssize_t pwritev64(int fd, const struct iovec *v, int count, off_t at) { return written(fd, v, count, at); }

ssize_t writev(int fd, const struct iovec *v, int count) {
  if (!is_ours(fd)) return syscall(SYS_writev, fd, v, (long)count);
  off_t at = lseek(fd, 0, SEEK_CUR);
  ssize_t n = written(fd, v, count, at);
  if (n > 0) lseek(fd, at + n, SEEK_SET);
  return n;
}

ssize_t write(int fd, const void *bytes, size_t n) {
  struct iovec v = {(void *)(unsigned long)bytes, n};
  return is_ours(fd) ? writev(fd, &v, 1) : syscall(SYS_write, fd, bytes, n);
}

int ftruncate(int fd, off_t size) {
  bool ours = is_ours(fd);
  enum fate f = ours ? fate() : LIVE;
  if (f == DIE) die();
  if (f == FAIL) return -1;
  int result = (int)syscall(SYS_ftruncate, fd, size);
  if (ours && result == 0) note("T %lu %lld\n", inode(fd), (long long)size);
  return result;
}
int ftruncate64(int fd, off_t size) { return ftruncate(fd, size); }

/* ---- Flushes ---- */

static int flushed(int fd, long call) {
  bool ours = is_ours(fd);
  enum fate f = ours ? fate() : LIVE;
  if (f == DIE) die();
  if (f == FAIL) return -1;
  long thread = syscall(SYS_gettid);
  if (ours) note("B %lu %ld\n", inode(fd), thread);
  int result = (int)syscall(call, fd);
  if (ours && result == 0) note("S %lu %ld\n", inode(fd), thread);
  return result;
}
int fdatasync(int fd) { return flushed(fd, SYS_fdatasync); }
int fsync(int fd) { return flushed(fd, SYS_fsync); }

/* ---- Names ---- */

static int opened(const char *path, int flags, mode_t mode) {
  struct stat s;
  bool makes = (flags & O_CREAT) && is_under(path) && stat(path, &s) < 0;
  enum fate f = makes ? fate() : LIVE;
  if (f == DIE) die();
  if (f == FAIL) return -1;
  int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
  if (makes && fd >= 0) note_made('C', path);
  return fd;
}

#include "../c/opens.h"

int mkdir(const char *path, mode_t mode) {
  enum fate f = is_under(path) ? fate() : LIVE;
  if (f == DIE) die();
  if (f == FAIL) return -1;
  int result = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
  if (is_under(path) && result == 0) note_made('D', path);
  return result;
}

int rename(const char *from, const char *to) {
  const char *old, *new;
  if (strncmp(from, "ack:", 4) == 0) {
    note("A %s\n", from + 4);
    errno = ENOENT;
    return -1;
  }
  enum fate f = is_under(from) ? fate() : LIVE;
  if (f == DIE) die();
  if (f == FAIL) return -1;
  int result = (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
  if (is_under(from) && result == 0) {
    unsigned long a = folder_of(from, &old), b = folder_of(to, &new);
    note("R %lu %s %lu %s\n", a, old, b, new);
  }
  return result;
}

static int removed(const char *path, int flags) {
  const char *name;
  enum fate f = is_under(path) ? fate() : LIVE;
  if (f == DIE) die();
  if (f == FAIL) return -1;
  int result = (int)syscall(SYS_unlinkat, AT_FDCWD, path, flags);
  unsigned long folder = folder_of(path, &name);
  if (is_under(path) && result == 0) note("U %lu %s\n", folder, name);
  return result;
}
int unlink(const char *path) { return removed(path, 0); }
int rmdir(const char *path) { return removed(path, AT_REMOVEDIR); }
int remove(const char *path) {
  struct stat s;
  if (stat(path, &s) < 0 && lstat(path, &s) < 0) return -1;
  return removed(path, S_ISDIR(s.st_mode) ? AT_REMOVEDIR : 0);
}
