/* failing.h: stands between a program, the library in it, LMDB beside it, and the system, and
** lets the n-th call of one class fail, or that and all that follow. Linux only.
**
**   failing_arm(&(struct failing_plan){FAILING_WRITE, .at = 7, .number = ENOSPC});
**   ...                                      calls of all threads count
**   long calls = failing_disarm();           of the class, in between
**
** What was hit is in `failing`: how often, first at which file, and whether LMDB called.
** Real calls are made by number, so that nothing is needed of the C library but what it
** has no number for. It also counts what is held: descriptors, maps, blocks of memory. */
#ifndef RILLE_FAILING_H
#define RILLE_FAILING_H

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* X(constant, name) */
#define FAILING_CLASSES(X)                                                                     \
  X(READ, "read") X(WRITE, "write") X(FLUSH, "flush") X(OPEN, "open") X(LIST, "list")          \
  X(STAT, "stat") X(RENAME, "rename") X(REMOVE, "remove") X(LINK, "link") X(FOLDER, "mkdir")   \
  X(CUT, "truncate") X(MAP, "map") X(LOCK, "lock") X(THREAD, "thread") X(MEMORY, "memory")

enum failing_class {
#define FAILING_ENUM(constant, name) FAILING_##constant,
  FAILING_CLASSES(FAILING_ENUM)
#undef FAILING_ENUM
  FAILING_CLASS_COUNT
};

static const char *const failing_names[] = {
#define FAILING_NAME(constant, name) name,
    FAILING_CLASSES(FAILING_NAME)
#undef FAILING_NAME
};

#define FAILING_SHORT (-1)

struct failing_plan {
  enum failing_class class;
  long at;          /* the first call that fails, from 1 */
  int number;       /* the errno, or FAILING_SHORT: no failure, but half of the bytes */
  bool from_now_on; /* and all that follow */
};

#define FAILING_WHERE_BYTES 64

static struct {
  struct failing_plan plan;
  atomic_int armed;
  atomic_long calls, hits;
  atomic_long maps, blocks;         /* held just now */
  char where[FAILING_WHERE_BYTES];  /* the end of the first path that was hit */
  bool by_lmdb;                     /* one of the calls that were hit */
} failing;

static inline void failing_arm(const struct failing_plan *plan) {
  failing.plan = *plan;
  atomic_store(&failing.calls, 0);
  atomic_store(&failing.hits, 0);
  failing.where[0] = '\0';
  failing.by_lmdb = false;
  atomic_store(&failing.armed, 1);
}

static inline long failing_disarm(void) {
  atomic_store(&failing.armed, 0);
  return atomic_load(&failing.calls);
}

/* ---- Whether a call fails ---- */

static inline void failing_note(int fd, const char *path) {
  char name[64], real[4096];
  if (!path && fd >= 0) {
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    long n = syscall(SYS_readlinkat, AT_FDCWD, name, real, sizeof real - 1);
    real[n > 0 ? n : 0] = '\0';
    path = real;
  }
  size_t n = path ? strlen(path) : 0;
  size_t skip = n >= FAILING_WHERE_BYTES ? n - FAILING_WHERE_BYTES + 1 : 0;
  memcpy(failing.where, path ? path + skip : "", n - skip + 1);
}

/* AddressSanitizer stands between LMDB and its calls; but nobody else writes its file. */
static inline bool failing_is_lmdbs_write(enum failing_class class, int fd) {
  char name[64], real[4096];
  if (class != FAILING_WRITE || fd < 0) return false;
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  long n = syscall(SYS_readlinkat, AT_FDCWD, name, real, sizeof real);
  return n > 8 && memcmp(real + n - 8, "data.mdb", 8) == 0;
}

static inline void failing_note_caller(void *caller) {
  Dl_info info;
  if (dladdr(caller, &info) && info.dli_fname && strstr(info.dli_fname, "lmdb"))
    failing.by_lmdb = true;
}

static inline bool failing_hit(enum failing_class class, int fd, const char *path, void *caller) {
  if (!atomic_load(&failing.armed) || failing.plan.class != class) return false;
  long n = atomic_fetch_add(&failing.calls, 1) + 1;
  if (n < failing.plan.at || (n > failing.plan.at && !failing.plan.from_now_on)) return false;
  if (atomic_fetch_add(&failing.hits, 1) == 0) failing_note(fd, path);
  failing_note_caller(caller);
  if (failing_is_lmdbs_write(class, fd)) failing.by_lmdb = true;
  errno = failing.plan.number;
  return true;
}

/* How many of n bytes pass; -1: the call fails. */
static inline ssize_t failing_bytes(enum failing_class class, int fd, size_t n, void *caller) {
  if (!failing_hit(class, fd, NULL, caller)) return (ssize_t)n;
  return failing.plan.number != FAILING_SHORT ? -1 : (ssize_t)(n > 1 ? n / 2 : n);
}

#define CALLER __builtin_return_address(0)
#define FAILS(class, fd, path) failing_hit(FAILING_##class, fd, path, CALLER)

/* A short one of several pieces is one of the first bytes of the first. */
#define MOVE_VECTOR(class, fd, v, count, all)                                   \
  size_t bytes_ = 0;                                                            \
  for (int i_ = 0; i_ < (count); i_++) bytes_ += (v)[i_].iov_len;               \
  ssize_t most_ = failing_bytes(FAILING_##class, fd, bytes_, CALLER);           \
  if (most_ < 0) return -1;                                                     \
  if ((size_t)most_ < bytes_ && (size_t)most_ > (v)[0].iov_len)                 \
    most_ = (ssize_t)(v)[0].iov_len;                                            \
  struct iovec part_ = {(v)[0].iov_base, (size_t)most_};                        \
  bool whole_ = (size_t)most_ == bytes_;                                        \
  const struct iovec *v_ = whole_ ? (v) : &part_;                               \
  long count_ = whole_ ? (count) : 1;                                           \
  return all

/* To be found by LMDB. */
#pragma GCC visibility push(default)

/* ---- Reads ---- */

ssize_t pread(int fd, void *bytes, size_t n, off_t at) {
  ssize_t most = failing_bytes(FAILING_READ, fd, n, CALLER);
  return most < 0 ? -1 : syscall(SYS_pread64, fd, bytes, (size_t)most, at);
}
ssize_t pread64(int fd, void *bytes, size_t n, off64_t at) {
  ssize_t most = failing_bytes(FAILING_READ, fd, n, CALLER);
  return most < 0 ? -1 : syscall(SYS_pread64, fd, bytes, (size_t)most, at);
}
ssize_t preadv2(int fd, const struct iovec *v, int count, off_t at, int flags) {
  if (flags & RWF_NOWAIT) fd = FAILS(READ, -1, "a hint") ? -1 : fd;
  return syscall(SYS_preadv2, fd, v, (long)count, (long)at, 0L, flags);
}
ssize_t read(int fd, void *bytes, size_t n) {
  ssize_t most = failing_bytes(FAILING_READ, fd, n, CALLER);
  return most < 0 ? -1 : syscall(SYS_read, fd, bytes, (size_t)most);
}

/* ---- Writes ---- */

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) {
  ssize_t most = failing_bytes(FAILING_WRITE, fd, n, CALLER);
  return most < 0 ? -1 : syscall(SYS_pwrite64, fd, bytes, (size_t)most, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at) {
  ssize_t most = failing_bytes(FAILING_WRITE, fd, n, CALLER);
  return most < 0 ? -1 : syscall(SYS_pwrite64, fd, bytes, (size_t)most, at);
}
ssize_t pwritev(int fd, const struct iovec *v, int count, off_t at) {
  MOVE_VECTOR(WRITE, fd, v, count, syscall(SYS_pwritev, fd, v_, count_, (long)at, 0L));
}
ssize_t pwritev64(int fd, const struct iovec *v, int count, off64_t at) {
  MOVE_VECTOR(WRITE, fd, v, count, syscall(SYS_pwritev, fd, v_, count_, (long)at, 0L));
}
ssize_t writev(int fd, const struct iovec *v, int count) {
  MOVE_VECTOR(WRITE, fd, v, count, syscall(SYS_writev, fd, v_, count_));
}

int ftruncate(int fd, off_t size) {
  return FAILS(CUT, fd, NULL) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}
int ftruncate64(int fd, off64_t size) {
  return FAILS(CUT, fd, NULL) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

/* ---- Flushes ---- */

int fdatasync(int fd) { return FAILS(FLUSH, fd, NULL) ? -1 : (int)syscall(SYS_fdatasync, fd); }
int fsync(int fd) { return FAILS(FLUSH, fd, NULL) ? -1 : (int)syscall(SYS_fsync, fd); }
int msync(void *bytes, size_t n, int flags) {
  return FAILS(FLUSH, -1, "msync") ? -1 : (int)syscall(SYS_msync, bytes, n, flags);
}

/* ---- Names ---- */

#define OPEN(path, flags)                                                       \
  mode_t mode_ = 0;                                                             \
  if ((flags) & O_CREAT) {                                                      \
    va_list arguments_;                                                         \
    va_start(arguments_, flags);                                                \
    mode_ = (mode_t)va_arg(arguments_, unsigned);                               \
    va_end(arguments_);                                                         \
  }                                                                             \
  return FAILS(OPEN, -1, path) ? -1                                             \
                               : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode_)

int open(const char *path, int flags, ...) { OPEN(path, flags); }
int open64(const char *path, int flags, ...) { OPEN(path, flags); }

DIR *opendir(const char *path) {
  if (FAILS(LIST, -1, path)) return NULL;
  long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *d = fd < 0 ? NULL : fdopendir((int)fd);
  if (fd >= 0 && !d) close((int)fd);
  return d;
}
struct dirent *readdir(DIR *d) {
  struct dirent *(*next)(DIR *) = (struct dirent * (*)(DIR *)) dlsym(RTLD_NEXT, "readdir");
  return FAILS(LIST, dirfd(d), NULL) ? NULL : next(d);
}

int stat(const char *restrict path, struct stat *restrict s) {
  return FAILS(STAT, -1, path) ? -1 : (int)syscall(SYS_newfstatat, AT_FDCWD, path, s, 0);
}
int statx(int fd, const char *restrict path, int flags, unsigned mask, struct statx *restrict x) {
  return FAILS(STAT, fd, NULL) ? -1 : (int)syscall(SYS_statx, fd, path, flags, mask, x);
}
int fstat(int fd, struct stat *s) {
  return FAILS(STAT, fd, NULL) ? -1 : (int)syscall(SYS_newfstatat, fd, "", s, AT_EMPTY_PATH);
}
int lstat(const char *restrict path, struct stat *restrict s) {
  return FAILS(STAT, -1, path)
             ? -1
             : (int)syscall(SYS_newfstatat, AT_FDCWD, path, s, AT_SYMLINK_NOFOLLOW);
}

int rename(const char *from, const char *to) {
  return FAILS(RENAME, -1, from) ? -1
                                 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}
int link(const char *from, const char *to) {
  return FAILS(LINK, -1, from) ? -1 : (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}
int mkdir(const char *path, mode_t mode) {
  return FAILS(FOLDER, -1, path) ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}
int remove(const char *path) {
  if (FAILS(REMOVE, -1, path)) return -1;
  long failed = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
  if (failed && errno == EISDIR) failed = syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
  return (int)failed;
}

/* ---- Maps, locks, threads ---- */

void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset) {
  if (fd >= 0 && FAILS(MAP, fd, NULL)) return MAP_FAILED;
  long p = syscall(SYS_mmap, at, n, protection, flags, fd, offset);
  if (p == -1) return MAP_FAILED;
  atomic_fetch_add(&failing.maps, 1);
  return (void *)p;
}
void *mmap64(void *at, size_t n, int protection, int flags, int fd, off64_t offset) {
  return mmap(at, n, protection, flags, fd, offset);
}
int munmap(void *bytes, size_t n) {
  atomic_fetch_sub(&failing.maps, 1);
  return (int)syscall(SYS_munmap, bytes, n);
}

static inline bool failing_is_lock(int command) {
  return command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK ||
         command == F_OFD_SETLKW || command == F_OFD_GETLK || command == F_GETLK;
}

/* To let go of a lock never fails. */
static inline bool failing_frees(int command, const void *argument) {
  bool sets = command != F_GETLK && command != F_OFD_GETLK;
  return sets && ((const struct flock *)argument)->l_type == F_UNLCK;
}

#define FCNTL(fd, command)                                                      \
  va_list arguments_;                                                           \
  va_start(arguments_, command);                                                \
  void *argument_ = va_arg(arguments_, void *);                                 \
  va_end(arguments_);                                                           \
  bool asked_ = failing_is_lock(command) && !failing_frees(command, argument_); \
  return asked_ && FAILS(LOCK, fd, NULL) ? -1                                   \
                                         : (int)syscall(SYS_fcntl, fd, command, argument_)

int fcntl(int fd, int command, ...) { FCNTL(fd, command); }
int fcntl64(int fd, int command, ...) { FCNTL(fd, command); }

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *context) {
  int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) =
      (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))dlsym(
          RTLD_NEXT, "pthread_create");
  return FAILS(THREAD, -1, "thread") ? failing.plan.number
                                     : create(thread, attributes, run, context);
}

/* ---- Memory ----
** Not beside a sanitizer, which does the same. */

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define FAILING_HAS_MEMORY 1

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t count, size_t n);
extern void *__libc_realloc(void *block, size_t n);
extern void *__libc_memalign(size_t alignment, size_t n);
extern void __libc_free(void *block);

static inline void *failing_count(void *block) {
  if (block) atomic_fetch_add(&failing.blocks, 1);
  return block;
}

void *malloc(size_t n) {
  return FAILS(MEMORY, -1, "memory") ? NULL : failing_count(__libc_malloc(n));
}
void *calloc(size_t count, size_t n) {
  return FAILS(MEMORY, -1, "memory") ? NULL : failing_count(__libc_calloc(count, n));
}
/* What shrinks never fails: who gives memory back relies on it. */
void *realloc(void *block, size_t n) {
  extern size_t malloc_usable_size(void *);
  if (!block) return FAILS(MEMORY, -1, "memory") ? NULL : failing_count(__libc_malloc(n));
  if (n > malloc_usable_size(block) && FAILS(MEMORY, -1, "memory")) return NULL;
  if (n == 0) atomic_fetch_sub(&failing.blocks, 1);
  return __libc_realloc(block, n);
}
int posix_memalign(void **block, size_t alignment, size_t n) {
  if (FAILS(MEMORY, -1, "memory")) return ENOMEM;
  *block = failing_count(__libc_memalign(alignment, n));
  return *block ? 0 : ENOMEM;
}
void free(void *block) {
  if (block) atomic_fetch_sub(&failing.blocks, 1);
  __libc_free(block);
}
#else
#define FAILING_HAS_MEMORY 0
#endif

#pragma GCC visibility pop

/* ---- What is held ---- */

struct failing_held {
  long descriptors, maps, blocks;
};

static inline struct failing_held failing_held(void) {
  struct failing_held h = {0, atomic_load(&failing.maps), atomic_load(&failing.blocks)};
  for (int fd = 0; fd < 256; fd++) h.descriptors += syscall(SYS_fcntl, fd, F_GETFD, 0) >= 0;
  return h;
}

#endif
