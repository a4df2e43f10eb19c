/* system.h: the one door to the world: files, folders, locks, clock, entropy.
** Nothing else in the core makes a system call. Functions that can fail return
** 0 or a positive errno; what they hand out is closed by its own call. */
#ifndef RILLE_SYSTEM_H
#define RILLE_SYSTEM_H

#include "base.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define SYSTEM_PATH_BYTES 4096

/* Files. A descriptor is never inherited by a program that the host starts, and never has the
** number of a standard stream. */
#define SYSTEM_LOW_NUMBERS 3
enum system_open { SYSTEM_READ, SYSTEM_WRITE, SYSTEM_CREATE /* must not exist */ };
INTERNAL int system_open(const char *path, enum system_open how, int *fd);
/* For a descriptor that system_open did not open. */
INTERNAL int system_keep_from_programs(int fd);
INTERNAL void system_close(int fd);
/* Around what opens files by itself: the numbers of standard streams that are closed are taken. */
struct system_low {
  int fds[SYSTEM_LOW_NUMBERS];
  unsigned count;
};
INTERNAL void system_take_low(struct system_low *low);
INTERNAL void system_free_low(const struct system_low *low);
INTERNAL int system_size(int fd, uint64_t *bytes);
/* Reads up to n bytes; fewer only where the file ends. */
INTERNAL int system_read(int fd, uint64_t offset, void *bytes, size_t n, size_t *got);
/* The same, but only what is in memory already: false where the disk would have
** to be waited for, or the system can't tell. */
INTERNAL bool system_read_cached(int fd, uint64_t offset, void *bytes, size_t n, size_t *got);
/* Writes a, then b, in one call where the system can; *put tells how many bytes
** arrived, also on failure. Nothing is written at or behind `limit`: EFBIG. */
INTERNAL int system_write_below(uint64_t limit, int fd, uint64_t offset, const void *a, size_t na,
                                const void *b, size_t nb, size_t *put);
/* How large this process may make a file: to write behind that would end it by a signal. */
INTERNAL uint64_t system_size_limit(void);
/* The same with that limit. */
INTERNAL int system_write(int fd, uint64_t offset, const void *a, size_t na, const void *b,
                          size_t nb, size_t *put);
/* Around writes that are not made here: in this thread that signal is held back, and the write
** fails instead. */
struct system_held {
  sigset_t before;
};
INTERNAL void system_hold_signal(struct system_held *held);
INTERNAL void system_free_signal(const struct system_held *held);
INTERNAL int system_truncate(int fd, uint64_t bytes);
/* To the disk: the data and what is needed to find it. */
INTERNAL int system_flush(int fd);
/* How many files this process may have open. */
INTERNAL uint64_t system_files_limit(void);
/* Whether an errno says that a descriptor was wanting: then the disk was not asked. */
INTERNAL bool system_is_scarce(int number);
/* Hints: they promise nothing and can't fail. */
INTERNAL void system_start_writing(int fd, uint64_t offset, uint64_t n);
INTERNAL void system_will_need(int fd, uint64_t offset, uint64_t n);

/* Byte locks on a file, held by the open file and freed by the kernel when its last
** holder dies. Taking one that is held changes it. EAGAIN: somebody else has it. */
enum system_hold { SYSTEM_FREE, SYSTEM_SHARED, SYSTEM_EXCLUSIVE };
INTERNAL int system_lock(int fd, uint64_t byte, enum system_hold hold, bool wait);
/* Whether another open file holds the byte, in whatever way. */
INTERNAL bool system_is_locked(int fd, uint64_t byte);

/* Maps the first n bytes of a file, shared with all who map them. */
INTERNAL int system_map(int fd, size_t n, bool writable, void **bytes);
INTERNAL void system_unmap(void *bytes, size_t n);
INTERNAL size_t system_page_bytes(void);
/* Whether what is mapped may leave too few addresses for others. */
INTERNAL bool system_lacks_addresses(void);
/* Which pages of n mapped bytes, from a page's beginning, are in memory: the lowest bit of `each`.
** False: the system does not tell. */
INTERNAL bool system_in_memory(const void *bytes, size_t n, uint8_t *each);

#define SYSTEM_ANYBODY UINT32_MAX
/* Sleeps until somebody, in whichever process maps the word, wakes it with a bit of `mask`,
** unless it is another than `value` already; at most for timeout_us. False: a signal came.
** Where the system has no such call it looks again every millisecond. */
INTERNAL bool system_sleep_on(_Atomic uint32_t *word, uint32_t value, uint32_t mask,
                              int64_t timeout_us);
/* Wakes all who have a bit of the mask. */
INTERNAL void system_wake(_Atomic uint32_t *word, uint32_t mask);

/* A thread that takes no signals. */
INTERNAL int system_start_thread(pthread_t *thread, void *(*run)(void *), void *context);
INTERNAL void system_yield(void);
INTERNAL void system_pause(int64_t us);
INTERNAL int system_condition_init(pthread_cond_t *condition);
/* Waits at most timeout_us, with `lock` held. */
INTERNAL void system_condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock,
                                    int64_t timeout_us);
/* These are called before a fork, and after it in the parent and in the child. */
INTERNAL int system_at_fork(void (*before)(void), void (*parent)(void), void (*child)(void));

/* Folders. */
INTERNAL int system_make_folder(const char *path);
INTERNAL int system_flush_folder(const char *path);
INTERNAL int system_rename(const char *from, const char *to);
INTERNAL int system_remove(const char *path);
/* A second name for a file; EXDEV, EPERM ... where the file system has none. */
INTERNAL int system_link(const char *from, const char *to);
/* Removes a folder, the files in it, and folders of files in it. */
INTERNAL int system_remove_tree(const char *path);
INTERNAL int system_list(const char *path, int (*each)(void *context, const char *name),
                         void *context);
enum system_kind { SYSTEM_ABSENT, SYSTEM_FILE, SYSTEM_FOLDER, SYSTEM_UNSEEN /* can't be told */ };
INTERNAL enum system_kind system_kind(const char *path);
/* What tells two files apart, whatever their paths. */
struct system_identity {
  uint64_t device, inode;
};
/* A number that an open file has for life and that a copy of it has not: of its inode, and of
** when it was made where the file system remembers that. Never 0. */
INTERNAL int system_mark(int fd, uint64_t *mark);
INTERNAL int system_identity(const char *path, struct system_identity *identity);
/* What tells two states of a file apart; all numbers are 64 bits, so that no byte of it is
** left to chance. */
struct system_stamp {
  uint64_t device, inode, bytes;
  int64_t modified_ns, changed_ns; /* of its bytes; of anything, which nobody can set back */
  uint64_t plain;                  /* 1: a file; 0: a folder, a pipe ... */
};
INTERNAL int system_stamp(const char *path, struct system_stamp *stamp);
/* How often this process has the file open, whoever opened it; 0 where the system can't tell. */
INTERNAL int system_count_open(struct system_identity identity, unsigned *count);
/* Whether the folder lies on a file system shared over a network. */
INTERNAL bool system_is_network(const char *path);
/* A fresh folder for what need not last, its path written to `room`. */
INTERNAL int system_scratch_folder(char *room, size_t n);

/* The world's other inputs. */
INTERNAL int64_t system_clock_us(void);
INTERNAL int64_t system_monotonic_us(void); /* since some moment; never set back */
INTERNAL uint64_t system_recent_ms(void);   /* the same, some milliseconds late, and cheap */
INTERNAL int system_entropy(void *bytes, size_t n);
INTERNAL int64_t system_pid(void);
INTERNAL const char *system_error_text(int number, char *room, size_t n);

/* Joins two names by "/"; false where the result would not fit. */
INTERNAL bool system_join(char *room, size_t n, const char *folder, const char *name);

/* The path without links, from the root. */
INTERNAL int system_absolute(const char *path, char room[SYSTEM_PATH_BYTES]);

#endif
