/* system.h: the one door to the world: files, folders, locks, clock, entropy.
** Nothing else in the core makes a system call. Functions that can fail return
** 0 or a positive errno; what they hand out is closed by its own call. */
#ifndef RILLE_SYSTEM_H
#define RILLE_SYSTEM_H

#include "base.h"

#include <pthread.h>

#define SYSTEM_PATH_BYTES 4096

/* Files. A descriptor is never inherited by a program that the host starts. */
enum system_open { SYSTEM_READ, SYSTEM_WRITE, SYSTEM_CREATE /* must not exist */ };
INTERNAL int system_open(const char *path, enum system_open how, int *fd);
INTERNAL void system_close(int fd);
INTERNAL int system_size(int fd, uint64_t *bytes);
/* Reads up to n bytes; fewer only where the file ends. */
INTERNAL int system_read(int fd, uint64_t offset, void *bytes, size_t n, size_t *got);
/* The same, but only what is in memory already: false where the disk would have
** to be waited for, or the system can't tell. */
INTERNAL bool system_read_cached(int fd, uint64_t offset, void *bytes, size_t n, size_t *got);
/* Writes a, then b, in one call where the system can; *put tells how many bytes
** arrived, also on failure. */
INTERNAL int system_write(int fd, uint64_t offset, const void *a, size_t na, const void *b,
                          size_t nb, size_t *put);
INTERNAL int system_truncate(int fd, uint64_t bytes);
/* To the disk: the data and what is needed to find it. */
INTERNAL int system_flush(int fd);
/* Hints: they promise nothing and can't fail. */
INTERNAL void system_start_writing(int fd, uint64_t offset, uint64_t n);
INTERNAL void system_will_need(int fd, uint64_t offset, uint64_t n);

/* Byte locks on a file, held by the descriptor and freed by the kernel when its
** holder dies. EAGAIN: somebody else has it. */
INTERNAL int system_lock(int fd, uint64_t byte, bool exclusive);

/* Folders. */
INTERNAL int system_make_folder(const char *path);
INTERNAL int system_flush_folder(const char *path);
INTERNAL int system_rename(const char *from, const char *to);
INTERNAL int system_remove(const char *path);
/* Removes a folder, the files in it, and folders of files in it. */
INTERNAL int system_remove_tree(const char *path);
INTERNAL int system_list(const char *path, int (*each)(void *context, const char *name),
                         void *context);
enum system_kind { SYSTEM_ABSENT, SYSTEM_FILE, SYSTEM_FOLDER };
INTERNAL enum system_kind system_kind(const char *path);
/* What tells two files apart, whatever their paths. */
struct system_identity {
  uint64_t device, inode;
};
INTERNAL int system_identity(const char *path, struct system_identity *identity);
/* Whether the folder lies on a file system shared over a network. */
INTERNAL bool system_is_network(const char *path);
/* A fresh folder for what need not last, its path written to `room`. */
INTERNAL int system_scratch_folder(char *room, size_t n);

/* The world's other inputs. */
INTERNAL int64_t system_clock_us(void);
INTERNAL int system_entropy(void *bytes, size_t n);
INTERNAL int64_t system_pid(void);
INTERNAL const char *system_error_text(int number, char *room, size_t n);

/* Joins two names by "/"; false where the result would not fit. */
INTERNAL bool system_join(char *room, size_t n, const char *folder, const char *name);

/* The path without links, from the root. */
INTERNAL int system_absolute(const char *path, char room[SYSTEM_PATH_BYTES]);

#endif
