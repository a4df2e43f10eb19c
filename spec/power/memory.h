/* memory.h: the files of a stage, and the calls that a library makes of them.
**
** The states of a disk are looked at in memory: files are bytes here, folders are names, and
** what the library asks of the system about them is answered without it (looks.c, record.c). A
** file's bytes have their place for good, so that who has mapped them sees what is written. Only
** one process with one thread is answered: no lock is ever in its way. */
#ifndef RILLE_POWER_MEMORY_H
#define RILLE_POWER_MEMORY_H

#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "disk.h"

struct thing {
  struct thing *next;
  uint64_t inode, birth_ns; /* birth_ns: 0 where nobody knows */
  uint64_t changed;         /* grows with every change */
  int level;
  bool is_folder;
  uint8_t *bytes; /* of a file; behind its length are zeros */
  uint64_t length;
  struct name *names; /* of a folder */
  uint32_t count, name_room;
};

/* Nothing but the folder `base`, which is returned. */
struct thing *memory_begin(const char *base, uint64_t inode);
/* From now on calls are answered from here; what they make is of this level. Below 0: they are
** the system's. */
void memory_answer(int level);
bool memory_answers(void);

/* ---- For who sets the stage ---- */

struct thing *memory_find(uint64_t inode);
struct thing *memory_add(uint64_t inode, bool is_folder, int level);
struct thing *memory_add_new(bool is_folder, int level);
void memory_release(struct thing *t);
void memory_release_files(int level); /* of this level and above */
void memory_set_length(struct thing *t, uint64_t length);
struct name *memory_name_in(const struct thing *folder, const char *text);
void memory_name(struct thing *folder, const char *text, uint64_t inode);
void memory_drop(struct thing *folder, const char *text);

/* ---- Calls: -1 and errno, as the system's ---- */

bool memory_holds(const char *path); /* this path is answered from here */
bool memory_has(int fd);
int memory_open(const char *path, int flags);
int memory_make_folder(const char *path);
int memory_remove(const char *path, bool is_folder);
int memory_rename(const char *from, const char *to);
int memory_link(const char *from, const char *to);
int memory_stat(const char *path, struct stat *s);
const struct thing *memory_at(const char *path); /* NULL: nothing is */

/* Of descriptors that are from here. */
void memory_close(int fd);
const struct thing *memory_thing(int fd);
void memory_fstat(int fd, struct stat *s);
void memory_truncate(int fd, uint64_t length);
ssize_t memory_read(int fd, const struct iovec *v, int count, uint64_t at);
ssize_t memory_write(int fd, const struct iovec *v, int count, uint64_t at);
off_t memory_seek(int fd, off_t at, int from);
void *memory_map(int fd, size_t n, uint64_t at);
bool memory_is_map(const void *bytes);
bool memory_next_open(int *fd); /* the next one that is open; from -1 */

#endif
