/* record.c: stands between the library and LMDB, and the calls that change files. */
#define _GNU_SOURCE
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "memory.h"

#define FILES_MOST 1024
#define MAPS_MOST 16
#define MAP_BYTES_MOST (68u << 10)
#define MAP_PART 4096u
#define FLUSH_US 300
#define ENTROPY_BYTES_MOST (64u << 10)

static struct record *into;
static char base[PATH_MAX], pool[PATH_MAX];
static size_t base_length;

/* Of this process: which inode a descriptor is of, 0 where it does not count. */
static uint64_t files[FILES_MOST];
static bool of_log[FILES_MOST];

/* Files that are written to through memory, and what was last noted of them. */
static struct map {
  uint64_t inode;
  const uint8_t *bytes;
  size_t length;
  uint8_t noted[MAP_BYTES_MOST];
} maps[MAPS_MOST];

static int entropy = -1;

static void give_up(const char *what) {
  fprintf(stderr, "power: %s\n", what);
  abort();
}

/* ---- The record ---- */

struct record *record_new(uint64_t room) {
  struct record *r = mmap(NULL, sizeof *r + room, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (r == MAP_FAILED) give_up("no memory for a record");
  r->room = room;
  return r;
}

void record_empty(struct record *r) { r->count = 0, r->used = 0; }

const struct entry *record_next(const struct record *r, uint64_t *at) {
  if (*at >= r->used) return NULL;
  const struct entry *e = (const void *)(r->bytes + *at);
  *at += sizeof *e + ((e->bytes + 7u) & ~7u);
  return e;
}

static void enter(void) {
  uint32_t free = 0;
  while (!atomic_compare_exchange_weak(&into->lock, &free, 1)) free = 0, syscall(SYS_sched_yield);
}

/* Who was to die with the last entry does so here. */
static void leave(void) {
  bool dies = into->entries_until_death < 0;
  if (dies) into->entries_until_death = 0;
  atomic_store(&into->lock, 0);
  if (dies) kill(getpid(), SIGKILL);
}

/* With the lock. The bytes are the caller's to fill in. */
static uint8_t *note(enum entry_kind kind, uint64_t node, uint64_t child, uint64_t at, size_t n) {
  uint64_t needed = sizeof(struct entry) + ((n + 7) & ~(size_t)7);
  if (into->used + needed > into->room) give_up("a record is full");
  struct entry *e = (void *)(into->bytes + into->used);
  *e = (struct entry){(uint32_t)kind, (uint32_t)n, node, child, at};
  into->used += needed;
  into->count++;
  bool counts = into->entries_until_death > 0 && into->deadly >> kind & 1;
  if (counts && --into->entries_until_death == 0) into->entries_until_death = -1;
  return (uint8_t *)(e + 1);
}

static void note_name(enum entry_kind kind, uint64_t folder, uint64_t child, const char *name) {
  memcpy(note(kind, folder, child, 0, strlen(name) + 1), name, strlen(name) + 1);
}

static void note_map(struct map *m) {
  for (size_t at = 0; at < m->length; at += MAP_PART) {
    size_t n = m->length - at < MAP_PART ? m->length - at : MAP_PART;
    if (memcmp(m->noted + at, m->bytes + at, n) == 0) continue;
    memcpy(m->noted + at, m->bytes + at, n);
    memcpy(note(ENTRY_WRITE, m->inode, 0, at, n), m->noted + at, n);
  }
}

/* What has come to mapped files, and nobody wrote down. */
static void note_maps(void) {
  for (struct map *m = maps; m < maps + MAPS_MOST; m++)
    if (m->inode) note_map(m);
}

void record_mark(const void *bytes, uint32_t n) {
  if (!into) return;
  enter();
  note_maps();
  memcpy(note(ENTRY_MARK, 0, 0, 0, n), bytes, n);
  leave();
}

void record_into(struct record *r) { into = r; }

void record_fail_no_more(void) {
  if (into) atomic_store(&into->flushes_until_failure, 0);
}

void record_under(const char *folder, const char *pool_folder) {
  snprintf(base, sizeof base, "%s", folder);
  snprintf(pool, sizeof pool, "%s", pool_folder);
  base_length = strlen(base);
}

/* ---- Which calls count ---- */

static bool is_under(const char *path) {
  return into && strncmp(path, base, base_length) == 0 && path[base_length] == '/';
}

static uint64_t inode_of(const char *path) {
  struct stat s;
  return stat(path, &s) == 0 ? (uint64_t)s.st_ino : 0;
}

/* The folder that holds the last part of a path. */
static uint64_t folder_of(const char *path, const char **name) {
  char folder[PATH_MAX];
  *name = strrchr(path, '/') + 1;
  snprintf(folder, sizeof folder, "%.*s", (int)(*name - path), path);
  return inode_of(folder);
}

static uint64_t file_of(int fd) { return into && fd >= 0 && fd < FILES_MOST ? files[fd] : 0; }

/* Keeps the file, so that its inode is given to no other. */
static void keep(const char *path, uint64_t inode) {
  char name[PATH_MAX];
  if (memory_holds(path)) return;
  if (snprintf(name, sizeof name, "%s/%llx", pool, (unsigned long long)inode) >= PATH_MAX)
    give_up("a path is too long");
  if (syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, name, 0) < 0) give_up("can't keep a file");
}

/* ---- The calls themselves: of the memory, or of the system ---- */

static ssize_t write_at(int fd, const struct iovec *v, int count, off_t at) {
  if (memory_has(fd)) return memory_write(fd, v, count, (uint64_t)at);
  return syscall(SYS_pwritev, fd, v, (long)count, (long)at, 0L);
}

static int cut(int fd, off_t size) {
  if (!memory_has(fd)) return (int)syscall(SYS_ftruncate, fd, size);
  memory_truncate(fd, (uint64_t)size);
  return 0;
}

static int open_at(const char *path, int flags, mode_t mode) {
  return memory_holds(path) ? memory_open(path, flags)
                            : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static int make_folder(const char *path, mode_t mode) {
  return memory_holds(path) ? memory_make_folder(path)
                            : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

static int rename_it(const char *from, const char *to) {
  return memory_holds(from) ? memory_rename(from, to)
                            : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

static int link_it(const char *from, const char *to) {
  return memory_holds(to) ? memory_link(from, to)
                          : (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

static int remove_it(const char *path, int flags) {
  return memory_holds(path) ? memory_remove(path, flags == AT_REMOVEDIR)
                            : (int)syscall(SYS_unlinkat, AT_FDCWD, path, flags);
}

/* To be found by LMDB. */
#pragma GCC visibility push(default)

/* ---- Writes ---- */

static void note_written(uint64_t inode, const struct iovec *v, int count, uint64_t at, size_t n) {
  uint8_t *to = note(ENTRY_WRITE, inode, 0, at, n);
  for (int i = 0; i < count && n; i++) {
    size_t part = v[i].iov_len < n ? v[i].iov_len : n;
    memcpy(to, v[i].iov_base, part);
    to += part, n -= part;
  }
}

/* Of who dies writing half of the first piece is there. */
static void write_a_part(int fd, uint64_t inode, const struct iovec *v, off_t at) {
  struct iovec half = {v->iov_base, v->iov_len / 2};
  ssize_t n = syscall(SYS_pwritev, fd, &half, 1L, (long)at, 0L);
  if (n > 0) note_written(inode, &half, 1, (uint64_t)at, (size_t)n);
  leave();
}

static ssize_t written(int fd, const struct iovec *v, int count, off_t at) {
  uint64_t inode = file_of(fd);
  if (!inode) return write_at(fd, v, count, at);
  enter();
  bool dies = into->entries_until_death == 1 && into->deadly >> ENTRY_WRITE & 1;
  if (dies) write_a_part(fd, inode, v, at);
  ssize_t n = write_at(fd, v, count, at);
  if (n > 0) note_written(inode, v, count, (uint64_t)at, (size_t)n);
  leave();
  return n;
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) {
  struct iovec v = {(void *)(uintptr_t)bytes, n};
  return written(fd, &v, 1, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at) {
  return pwrite(fd, bytes, n, at);
}
ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at) { return written(fd, v, n, at); }
ssize_t pwritev64(int fd, const struct iovec *v, int n, off64_t at) {
  return written(fd, v, n, at);
}

ssize_t writev(int fd, const struct iovec *v, int count) {
  if (!file_of(fd) && !memory_has(fd)) return syscall(SYS_writev, fd, v, (long)count);
  off_t at = lseek(fd, 0, SEEK_CUR);
  ssize_t n = written(fd, v, count, at);
  if (n > 0) lseek(fd, at + n, SEEK_SET);
  return n;
}

ssize_t write(int fd, const void *bytes, size_t n) {
  struct iovec v = {(void *)(uintptr_t)bytes, n};
  return file_of(fd) || memory_has(fd) ? writev(fd, &v, 1) : syscall(SYS_write, fd, bytes, n);
}

int ftruncate(int fd, off_t size) {
  uint64_t inode = file_of(fd);
  if (!inode) return cut(fd, size);
  enter();
  int result = cut(fd, size);
  if (result == 0) note(ENTRY_SIZE, inode, 0, (uint64_t)size, 0);
  leave();
  return result;
}
int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }

/* ---- Flushes: nothing is really flushed, for no power is really cut ---- */

static bool fails(int fd) {
  return of_log[fd] && atomic_load(&into->flushes_until_failure) &&
         atomic_fetch_sub(&into->flushes_until_failure, 1) == 1;
}

static int flushed(int fd) {
  uint64_t inode = file_of(fd);
  if (!inode) return 0;
  enter();
  note_maps();
  uint32_t number = into->count;
  note(ENTRY_FLUSH_BEGUN, inode, 0, 0, 0);
  bool failed = fails(fd);
  leave();
  if (into->slow) usleep(FLUSH_US);
  enter();
  note(failed ? ENTRY_FLUSH_FAILED : ENTRY_FLUSHED, inode, 0, number, 0);
  leave();
  if (failed) errno = EIO;
  return failed ? -1 : 0;
}
int fdatasync(int fd) { return flushed(fd); }
int fsync(int fd) { return flushed(fd); }

/* Who is alone need not let others go first. */
int sched_yield(void) { return into && into->slow ? (int)syscall(SYS_sched_yield) : 0; }

/* ---- Memory ---- */

static void note_mapped(int fd, const void *bytes, size_t n) {
  struct map *m = maps;
  while (m < maps + MAPS_MOST && m->inode) m++;
  if (m == maps + MAPS_MOST || n > MAP_BYTES_MOST) give_up("too much is mapped");
  m->inode = file_of(fd), m->bytes = bytes, m->length = n;
  memcpy(m->noted, bytes, n);
  enter();
  note(ENTRY_MAPPED, m->inode, 0, 0, 0);
  leave();
}

void *mmap(void *where, size_t n, int how, int flags, int fd, off_t at) {
  void *bytes = memory_has(fd) ? memory_map(fd, n, (uint64_t)at)
                               : (void *)syscall(SYS_mmap, where, n, how, flags, fd, at);
  bool counts = bytes != MAP_FAILED && (how & PROT_WRITE) && (flags & MAP_SHARED) && file_of(fd);
  if (counts) note_mapped(fd, bytes, n);
  return bytes;
}
void *mmap64(void *where, size_t n, int how, int flags, int fd, off64_t at) {
  return mmap(where, n, how, flags, fd, at);
}

/* The last of it is noted: after that the file is what the record says. */
static void note_unmapped(struct map *m) {
  if (into) {
    enter();
    note_map(m);
    leave();
  }
  m->inode = 0;
}

int munmap(void *bytes, size_t n) {
  for (struct map *m = maps; m < maps + MAPS_MOST; m++)
    if (m->inode && m->bytes == bytes) note_unmapped(m);
  return memory_is_map(bytes) ? 0 : (int)syscall(SYS_munmap, bytes, n);
}

/* ---- Names ---- */

static bool ends_with(const char *path, const char *end) {
  size_t n = strlen(path), m = strlen(end);
  return n >= m && strcmp(path + n - m, end) == 0;
}

/* A file that is only read need not be known; a folder may be flushed. */
static void know(int fd, const char *path, int flags) {
  struct stat s;
  bool counts = ((flags & (O_DIRECTORY | O_ACCMODE)) != O_RDONLY) && is_under(path);
  if (fd >= FILES_MOST) give_up("too many files are open");
  files[fd] = counts && fstat(fd, &s) == 0 ? (uint64_t)s.st_ino : 0;
  of_log[fd] = ends_with(path, ".seg");
}

static int make(const char *path, int flags, mode_t mode) {
  const char *name;
  enter();
  bool is_new = inode_of(path) == 0;
  int fd = open_at(path, flags, mode);
  if (fd >= 0) know(fd, path, flags);
  if (fd >= 0 && is_new) {
    uint64_t folder = folder_of(path, &name);
    keep(path, files[fd]);
    note_name(ENTRY_FILE, folder, files[fd], name);
  }
  leave();
  return fd;
}

static int opened(const char *path, int flags, mode_t mode) {
  bool random = entropy >= 0 && strcmp(path, "/dev/urandom") == 0;
  if (random) return dup(entropy);
  if ((flags & O_CREAT) && is_under(path)) return make(path, flags, mode);
  int fd = open_at(path, flags, mode);
  if (fd >= 0) know(fd, path, flags);
  return fd;
}

#include "opens.h"

int close(int fd) {
  if (fd >= 0 && fd < FILES_MOST) files[fd] = 0;
  if (!memory_has(fd)) return (int)syscall(SYS_close, fd);
  memory_close(fd);
  return 0;
}

int mkdir(const char *path, mode_t mode) {
  const char *name;
  if (!is_under(path)) return make_folder(path, mode);
  enter();
  int result = make_folder(path, mode);
  if (result == 0) {
    uint64_t folder = folder_of(path, &name);
    note_name(ENTRY_FOLDER, folder, inode_of(path), name);
  }
  leave();
  return result;
}

int rename(const char *from, const char *to) {
  const char *old, *new;
  if (!is_under(from)) return rename_it(from, to);
  enter();
  int result = rename_it(from, to);
  if (result == 0) {
    uint64_t folder = folder_of(from, &old);
    if (folder != folder_of(to, &new)) give_up("a rename into another folder is not modelled");
    uint8_t *names = note(ENTRY_RENAME, folder, inode_of(to), 0, strlen(old) + strlen(new) + 2);
    memcpy(names, old, strlen(old) + 1);
    memcpy(names + strlen(old) + 1, new, strlen(new) + 1);
  }
  leave();
  return result;
}

int link(const char *from, const char *to) {
  const char *name;
  if (!is_under(to)) return link_it(from, to);
  enter();
  int result = link_it(from, to);
  if (result == 0) {
    uint64_t folder = folder_of(to, &name);
    note_name(ENTRY_NAME, folder, inode_of(to), name);
  }
  leave();
  return result;
}

static int removed(const char *path, int flags) {
  const char *name;
  if (!is_under(path)) return remove_it(path, flags);
  enter();
  int result = remove_it(path, flags);
  if (result == 0) {
    uint64_t folder = folder_of(path, &name);
    note_name(ENTRY_REMOVE, folder, 0, name);
  }
  leave();
  return result;
}
int unlink(const char *path) { return removed(path, 0); }
int rmdir(const char *path) { return removed(path, AT_REMOVEDIR); }
int remove(const char *path) {
  int result = removed(path, 0);
  return result < 0 && errno == EISDIR ? removed(path, AT_REMOVEDIR) : result;
}

#pragma GCC visibility pop

/* ---- Chance ---- */

void record_seed(uint64_t seed, size_t n) {
  static uint8_t bytes[ENTROPY_BYTES_MOST];
  if (entropy < 0) entropy = (int)syscall(SYS_memfd_create, "entropy", 0);
  for (size_t i = 0; i < n; i++) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    bytes[i] = (uint8_t)(seed >> 56);
  }
  if (syscall(SYS_pwrite64, entropy, bytes, n, 0L) != (ssize_t)n) give_up("no memory for chance");
  lseek(entropy, 0, SEEK_SET);
}
