/* system.c: the one door to the world, on POSIX. */
#include "system.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#endif

#define FILE_MODE 0666 /* less the umask */
#define FOLDER_MODE 0777

/* What a host that has closed its standard streams prints all the same must not come into a file. */
static int move_up(int *fd) {
  int low = *fd;
  *fd = fcntl(low, F_DUPFD_CLOEXEC, SYSTEM_LOW_NUMBERS);
  int number = *fd < 0 ? errno : 0;
  close(low);
  return number;
}

static int open_for(const char *path, int flags, int *fd) {
  do {
    *fd = open(path, flags | O_CLOEXEC, FILE_MODE);
  } while (*fd < 0 && errno == EINTR);
  if (*fd < 0) return errno;
  return *fd < SYSTEM_LOW_NUMBERS ? move_up(fd) : 0;
}

void system_take_low(struct system_low *low) {
  for (low->count = 0; low->count < SYSTEM_LOW_NUMBERS; low->count++) {
    int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= SYSTEM_LOW_NUMBERS) close(fd);
    if (fd < 0 || fd >= SYSTEM_LOW_NUMBERS) return;
    low->fds[low->count] = fd;
  }
}

void system_free_low(const struct system_low *low) {
  for (unsigned i = 0; i < low->count; i++) close(low->fds[i]);
}

int system_keep_from_programs(int fd) {
  int flags = fcntl(fd, F_GETFD);
  return flags < 0 || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0 ? errno : 0;
}

int system_open(const char *path, enum system_open how, int *fd) {
  int flags = how == SYSTEM_READ    ? O_RDONLY
              : how == SYSTEM_WRITE ? O_RDWR
                                    : O_RDWR | O_CREAT | O_EXCL;
  return open_for(path, flags, fd);
}

void system_close(int fd) { close(fd); }

int system_size(int fd, uint64_t *bytes) {
  struct stat s;
  if (fstat(fd, &s) < 0) return errno;
  *bytes = (uint64_t)s.st_size;
  return 0;
}

int system_read(int fd, uint64_t offset, void *bytes, size_t n, size_t *got) {
  uint8_t *p = bytes;
  *got = 0;
  while (*got < n) {
    ssize_t r = pread(fd, p + *got, n - *got, (off_t)(offset + *got));
    if (r < 0 && errno == EINTR) continue;
    if (r < 0) return errno;
    if (r == 0) break;
    *got += (size_t)r;
  }
  return 0;
}

bool system_read_cached(int fd, uint64_t offset, void *bytes, size_t n, size_t *got) {
#ifdef RWF_NOWAIT
  struct iovec v = {bytes, n};
  ssize_t r = preadv2(fd, &v, 1, (off_t)offset, RWF_NOWAIT);
  *got = r > 0 ? (size_t)r : 0;
  return r > 0;
#else
  (void)fd, (void)offset, (void)bytes, (void)n;
  *got = 0;
  return false;
#endif
}

/* The pieces of (a, b) that are left once `done` bytes have been written. */
static int pieces_left(struct iovec v[2], const void *a, size_t na, const void *b, size_t nb,
                       size_t done) {
  int count = 0;
  size_t in_b = done > na ? done - na : 0;
  if (done < na) v[count++] = (struct iovec){(char *)(uintptr_t)a + done, na - done};
  if (in_b < nb) v[count++] = (struct iovec){(char *)(uintptr_t)b + in_b, nb - in_b};
  return count;
}

uint64_t system_size_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
  return (uint64_t)limit.rlim_cur;
}

void system_hold_signal(struct system_held *held) {
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, SIGXFSZ);
  pthread_sigmask(SIG_BLOCK, &one, &held->before);
}

/* What came meanwhile is taken, unless the host had held it back before: then it is the host's. */
void system_free_signal(const struct system_held *held) {
  sigset_t one, pending;
  int number;
  if (sigismember(&held->before, SIGXFSZ)) return;
  sigemptyset(&one);
  sigaddset(&one, SIGXFSZ);
  if (sigpending(&pending) == 0 && sigismember(&pending, SIGXFSZ)) (void)sigwait(&one, &number);
  pthread_sigmask(SIG_SETMASK, &held->before, NULL);
}

int system_write(int fd, uint64_t offset, const void *a, size_t na, const void *b, size_t nb,
                 size_t *put) {
  return system_write_below(system_size_limit(), fd, offset, a, na, b, nb, put);
}

int system_write_below(uint64_t limit, int fd, uint64_t offset, const void *a, size_t na,
                       const void *b, size_t nb, size_t *put) {
  *put = 0;
  while (*put < na + nb) {
    struct iovec v[2];
    if (offset + *put >= limit) return EFBIG;
    int count = pieces_left(v, a, na, b, nb, *put);
    ssize_t w = count == 1 ? pwrite(fd, v[0].iov_base, v[0].iov_len, (off_t)(offset + *put))
                           : pwritev(fd, v, count, (off_t)(offset + *put));
    if (w < 0 && errno == EINTR) continue;
    if (w < 0) return errno;
    if (w == 0) return ENOSPC;
    *put += (size_t)w;
  }
  return 0;
}

int system_truncate(int fd, uint64_t bytes) {
  while (ftruncate(fd, (off_t)bytes) < 0)
    if (errno != EINTR) return errno;
  return 0;
}

int system_flush(int fd) {
#ifdef __APPLE__
  return fcntl(fd, F_FULLFSYNC) < 0 ? errno : 0; /* fsync leaves it in the drive's cache */
#else
  return fdatasync(fd) < 0 ? errno : 0; /* never repeated: a second one may lie */
#endif
}

uint64_t system_files_limit(void) {
  struct rlimit limit;
  return getrlimit(RLIMIT_NOFILE, &limit) != 0 ? UINT64_MAX : (uint64_t)limit.rlim_cur;
}

bool system_is_scarce(int number) { return number == EMFILE || number == ENFILE; }

void system_start_writing(int fd, uint64_t offset, uint64_t n) {
#ifdef SYNC_FILE_RANGE_WRITE
  (void)!sync_file_range(fd, (off_t)offset, (off_t)n, SYNC_FILE_RANGE_WRITE);
#else
  (void)fd, (void)offset, (void)n;
#endif
}

void system_will_need(int fd, uint64_t offset, uint64_t n) {
#ifdef POSIX_FADV_WILLNEED
  (void)posix_fadvise(fd, (off_t)offset, (off_t)n, POSIX_FADV_WILLNEED);
#else
  (void)fd, (void)offset, (void)n;
#endif
}

/* Locks of the open file description; where they do not exist, those of the
** process, which its every close of the file frees: the registry of stores
** therefore opens the file that carries them once a process. */
#ifdef F_OFD_SETLK
enum { LOCK_TRY = F_OFD_SETLK, LOCK_WAIT = F_OFD_SETLKW, LOCK_ASK = F_OFD_GETLK };
#else
enum { LOCK_TRY = F_SETLK, LOCK_WAIT = F_SETLKW, LOCK_ASK = F_GETLK };
#endif

int system_lock(int fd, uint64_t byte, enum system_hold hold, bool wait) {
  static const short types[] = {F_UNLCK, F_RDLCK, F_WRLCK};
  struct flock f = {
      .l_type = types[hold], .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
  while (fcntl(fd, wait ? LOCK_WAIT : LOCK_TRY, &f) < 0) {
    if (errno == EACCES) return EAGAIN;
    if (errno != EINTR) return errno;
  }
  return 0;
}

bool system_is_locked(int fd, uint64_t byte) {
  struct flock f = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
  return fcntl(fd, LOCK_ASK, &f) == 0 && f.l_type != F_UNLCK;
}

int system_map(int fd, size_t n, bool writable, void **bytes) {
  void *p = mmap(NULL, n, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
  *bytes = p == MAP_FAILED ? NULL : p;
  return p == MAP_FAILED ? errno : 0;
}

void system_unmap(void *bytes, size_t n) { munmap(bytes, n); }

size_t system_page_bytes(void) { return (size_t)sysconf(_SC_PAGESIZE); }

bool system_lacks_addresses(void) {
  struct rlimit limit;
  return sizeof(void *) < 8 || getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY;
}

bool system_in_memory(const void *bytes, size_t n, uint8_t *each) {
#ifdef __linux__
  return mincore((void *)(uintptr_t)bytes, n, each) == 0;
#else
  (void)bytes, (void)n, (void)each;
  return false;
#endif
}

static struct timespec timespec_of(int64_t us) {
  return (struct timespec){(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
}

#ifdef __linux__
/* The moment is absolute for a sleep with a mask. */
bool system_sleep_on(_Atomic uint32_t *word, uint32_t value, uint32_t mask, int64_t timeout_us) {
  struct timespec now, t = timespec_of(timeout_us);
  clock_gettime(CLOCK_MONOTONIC, &now);
  t.tv_sec += now.tv_sec;
  t.tv_nsec += now.tv_nsec;
  if (t.tv_nsec >= 1000000000) {
    t.tv_sec++;
    t.tv_nsec -= 1000000000;
  }
  return syscall(SYS_futex, word, FUTEX_WAIT_BITSET, value, &t, NULL, mask) == 0 || errno != EINTR;
}
void system_wake(_Atomic uint32_t *word, uint32_t mask) {
  syscall(SYS_futex, word, FUTEX_WAKE_BITSET, INT_MAX, NULL, NULL, mask);
}
#else
bool system_sleep_on(_Atomic uint32_t *word, uint32_t value, uint32_t mask, int64_t timeout_us) {
  (void)mask;
  for (; atomic_load(word) == value && timeout_us > 0; timeout_us -= 1000) {
    struct timespec t = timespec_of(1000);
    if (nanosleep(&t, NULL) < 0) return false;
  }
  return true;
}
void system_wake(_Atomic uint32_t *word, uint32_t mask) { (void)word, (void)mask; }
#endif

int system_start_thread(pthread_t *thread, void *(*run)(void *), void *context) {
  sigset_t all, before;
  sigfillset(&all);
  int failed = pthread_sigmask(SIG_SETMASK, &all, &before);
  if (failed) return failed;
  failed = pthread_create(thread, NULL, run, context);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return failed;
}

void system_yield(void) { sched_yield(); }

void system_pause(int64_t us) {
  struct timespec t = timespec_of(us);
  nanosleep(&t, NULL);
}

#ifdef __APPLE__
#define CONDITION_CLOCK CLOCK_REALTIME
int system_condition_init(pthread_cond_t *condition) { return pthread_cond_init(condition, NULL); }
#else
#define CONDITION_CLOCK CLOCK_MONOTONIC
int system_condition_init(pthread_cond_t *condition) {
  pthread_condattr_t attributes;
  int failed = pthread_condattr_init(&attributes);
  if (failed) return failed;
  failed = pthread_condattr_setclock(&attributes, CONDITION_CLOCK);
  if (!failed) failed = pthread_cond_init(condition, &attributes);
  pthread_condattr_destroy(&attributes);
  return failed;
}
#endif

void system_condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t timeout_us) {
  struct timespec t;
  clock_gettime(CONDITION_CLOCK, &t);
  int64_t us = (int64_t)t.tv_nsec / 1000 + timeout_us;
  t.tv_sec += (time_t)(us / 1000000);
  t.tv_nsec = (long)(us % 1000000) * 1000;
  pthread_cond_timedwait(condition, lock, &t);
}

int system_at_fork(void (*before)(void), void (*parent)(void), void (*child)(void)) {
  return pthread_atfork(before, parent, child);
}

int system_make_folder(const char *path) { return mkdir(path, FOLDER_MODE) < 0 ? errno : 0; }

int system_flush_folder(const char *path) {
  int fd, failed = open_for(path, O_RDONLY | O_DIRECTORY, &fd);
  if (failed) return failed;
  failed = fsync(fd) < 0 ? errno : 0;
  close(fd);
  return failed;
}

int system_rename(const char *from, const char *to) { return rename(from, to) < 0 ? errno : 0; }

int system_remove(const char *path) { return remove(path) < 0 ? errno : 0; }

int system_link(const char *from, const char *to) { return link(from, to) < 0 ? errno : 0; }

int system_list(const char *path, int (*each)(void *context, const char *name), void *context) {
  DIR *d = opendir(path);
  if (!d) return errno;
  int failed = 0;
  while (!failed) {
    errno = 0;
    struct dirent *entry = readdir(d);
    if (!entry) {
      failed = errno;
      break;
    }
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      failed = each(context, entry->d_name);
  }
  closedir(d);
  return failed;
}

static int remove_entry(void *context, const char *name) {
  char path[SYSTEM_PATH_BYTES];
  if (!system_join(path, sizeof path, context, name)) return ENAMETOOLONG;
  return system_kind(path) == SYSTEM_FOLDER ? system_remove_tree(path) : system_remove(path);
}

int system_remove_tree(const char *path) {
  char copy[SYSTEM_PATH_BYTES];
  if (strlen(path) >= sizeof copy) return ENAMETOOLONG;
  strcpy(copy, path);
  int failed = system_list(path, remove_entry, copy);
  return failed ? failed : system_remove(path);
}

enum system_kind system_kind(const char *path) {
  struct stat s;
  if (lstat(path, &s) == 0 && S_ISLNK(s.st_mode) && stat(path, &s) < 0) return SYSTEM_FILE;
  if (stat(path, &s) < 0) return errno == EIO || errno == ENOMEM ? SYSTEM_UNSEEN : SYSTEM_ABSENT;
  return S_ISDIR(s.st_mode) ? SYSTEM_FOLDER : SYSTEM_FILE;
}

/* 0 where the file system, or an old system, does not remember. */
static int birth_of(int fd, uint64_t *birth) {
  *birth = 0;
#if defined(__linux__) && defined(STATX_BTIME)
  struct statx x;
  if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &x) < 0)
    return errno == EIO || errno == ENOMEM ? errno : 0;
  if (x.stx_mask & STATX_BTIME)
    *birth = (uint64_t)x.stx_btime.tv_sec * 1000000000u + x.stx_btime.tv_nsec;
#endif
  (void)fd;
  return 0;
}

int system_mark(int fd, uint64_t *mark) {
  struct stat s;
  uint64_t birth;
  if (fstat(fd, &s) < 0) return errno;
  int failed = birth_of(fd, &birth);
  *mark = ((uint64_t)s.st_ino * 0x9E3779B97F4A7C15u) ^ birth;
  if (*mark == 0) *mark = 1;
  return failed;
}

int system_identity(const char *path, struct system_identity *identity) {
  struct stat s;
  if (stat(path, &s) < 0) return errno;
  *identity = (struct system_identity){(uint64_t)s.st_dev, (uint64_t)s.st_ino};
  return 0;
}

#if defined(__APPLE__)
#define st_mtim st_mtimespec
#define st_ctim st_ctimespec
#endif

static int64_t nanoseconds(struct timespec t) { return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec; }

int system_stamp(const char *path, struct system_stamp *stamp) {
  struct stat s;
  if (stat(path, &s) < 0) return errno;
  *stamp = (struct system_stamp){.device = (uint64_t)s.st_dev,
                                 .inode = (uint64_t)s.st_ino,
                                 .bytes = (uint64_t)s.st_size,
                                 .modified_ns = nanoseconds(s.st_mtim),
                                 .changed_ns = nanoseconds(s.st_ctim),
                                 .plain = S_ISREG(s.st_mode)};
  return 0;
}

static bool is_file(int fd, struct system_identity identity) {
  struct stat s;
  return fstat(fd, &s) == 0 && (uint64_t)s.st_dev == identity.device &&
         (uint64_t)s.st_ino == identity.inode;
}

struct open_files {
  struct system_identity identity;
  unsigned count;
};

static int count_file(void *context, const char *name) {
  struct open_files *f = context;
  f->count += is_file(atoi(name), f->identity);
  return 0;
}

int system_count_open(struct system_identity identity, unsigned *count) {
  struct open_files f = {identity, 0};
#ifdef __linux__
  const char *folder = "/proc/self/fd";
#else
  const char *folder = "/dev/fd";
#endif
  int number = system_list(folder, count_file, &f);
  *count = number ? 0 : f.count;
  return number == ENOENT || number == EACCES || number == EPERM ? 0 : number; /* it isn't shown */
}

bool system_is_network(const char *path) {
#ifdef __linux__
  struct statfs s;
  if (statfs(path, &s) < 0) return false;
  switch ((uint32_t)s.f_type) {
    case 0x6969u: /* NFS */
    case 0xFF534D42u:
    case 0xFE534D42u: /* CIFS, SMB2 */
    case 0x517Bu:     /* SMB */
    case 0x564Cu:     /* NCP */
    case 0x00C36400u: /* Ceph */
    case 0x5346414Fu: /* AFS */ return true;
    default: return false;
  }
#else
  (void)path;
  return false;
#endif
}

int system_scratch_folder(char *room, size_t n) {
  const char *base = getenv("TMPDIR");
  if (!system_join(room, n, base && *base ? base : "/tmp", "rille-XXXXXX")) return ENAMETOOLONG;
  return mkdtemp(room) ? 0 : errno;
}

int64_t system_clock_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t system_monotonic_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

uint64_t system_recent_ms(void) {
#ifdef CLOCK_MONOTONIC_COARSE
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
  return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
#else
  return (uint64_t)system_monotonic_us() / 1000;
#endif
}

int system_entropy(void *bytes, size_t n) {
  int fd, failed = open_for("/dev/urandom", O_RDONLY, &fd);
  if (failed) return failed;
  uint8_t *p = bytes;
  while (n && !failed) {
    ssize_t r = read(fd, p, n);
    if (r > 0) p += r, n -= (size_t)r;
    else if (r == 0 || errno != EINTR) failed = r == 0 ? EIO : errno;
  }
  close(fd);
  return failed;
}

int64_t system_pid(void) { return (int64_t)getpid(); }

const char *system_error_text(int number, char *room, size_t n) {
#if defined(__GLIBC__)
  return strerror_r(number, room, n); /* the GNU one returns the text */
#else
  return strerror_r(number, room, n) == 0 ? room : "unknown error";
#endif
}

bool system_join(char *room, size_t n, const char *folder, const char *name) {
  int used = snprintf(room, n, "%s/%s", folder, name);
  return used >= 0 && (size_t)used < n;
}

int system_absolute(const char *path, char room[SYSTEM_PATH_BYTES]) {
  char *p = realpath(path, NULL);
  if (!p) return errno;
  size_t n = strlen(p);
  if (n < SYSTEM_PATH_BYTES) memcpy(room, p, n + 1);
  free(p);
  return n < SYSTEM_PATH_BYTES ? 0 : ENAMETOOLONG;
}
