/* memory.c: the files of a stage, and the calls that a library makes of them. */
#define _GNU_SOURCE
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ROOM_BYTES ((uint64_t)16 << 20) /* of a file: it never moves, so it can be mapped */
#define ROOMS_MOST 1024u
#define BUCKETS 64u
#define DEPTH_MOST 16u
#define FIRST_INODE ((uint64_t)1 << 40) /* what a file system of the system never gets to */
#define FIRST_FD 512
#define FDS_MOST 256

static struct memory {
  struct thing *things[BUCKETS], *root;
  uint64_t next_inode, clock;
  int level; /* of what is made; below 0: calls are not for us */
  size_t base_length;
  const char *base;
} memory = {.level = -1};

static uint8_t *rooms, *free_rooms[ROOMS_MOST];
static uint32_t free_count;

/* What a descriptor is of; NULL: it is free. */
static struct opened {
  struct thing *thing;
  uint64_t at;
} opened[FDS_MOST];

static void give_up(const char *what, const char *name) {
  fprintf(stderr, "power: can't %s %s\n", what, name);
  abort();
}

/* ---- Files and folders ---- */

static void make_rooms(void) {
  rooms = mmap(NULL, ROOMS_MOST * ROOM_BYTES, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (rooms == MAP_FAILED) give_up("find", "room for files");
  for (uint32_t i = ROOMS_MOST; i-- > 0;) free_rooms[free_count++] = rooms + i * ROOM_BYTES;
}

struct thing *memory_find(uint64_t inode) {
  struct thing *t = memory.things[inode % BUCKETS];
  while (t && t->inode != inode) t = t->next;
  if (!t) give_up("find", "a file of the stage");
  return t;
}

struct thing *memory_add(uint64_t inode, bool is_folder, int level) {
  struct thing *t = calloc(1, sizeof *t), **list = &memory.things[inode % BUCKETS];
  if (!rooms) make_rooms();
  if (!t || (!is_folder && free_count == 0)) give_up("find", "room for a file");
  *t = (struct thing){.next = *list, .inode = inode, .is_folder = is_folder, .level = level};
  if (!is_folder) t->bytes = free_rooms[--free_count];
  return *list = t;
}

struct thing *memory_add_new(bool is_folder, int level) {
  return memory_add(memory.next_inode++, is_folder, level);
}

void memory_set_length(struct thing *t, uint64_t length) {
  if (length > ROOM_BYTES) give_up("hold", "so large a file");
  if (length < t->length) memset(t->bytes + length, 0, t->length - length);
  t->length = length;
  t->changed = ++memory.clock;
}

static void release(struct thing **at) {
  struct thing *t = *at;
  if (!t->is_folder) {
    memory_set_length(t, 0);
    free_rooms[free_count++] = t->bytes;
  }
  *at = t->next;
  free(t->names);
  free(t);
}

void memory_release(struct thing *t) {
  struct thing **at = &memory.things[t->inode % BUCKETS];
  while (*at != t) at = &(*at)->next;
  release(at);
}

void memory_release_files(int level) {
  for (uint32_t i = 0; i < BUCKETS; i++)
    for (struct thing **at = &memory.things[i]; *at;) {
      if (!(*at)->is_folder && (*at)->level >= level) release(at);
      else at = &(*at)->next;
    }
}

struct name *memory_name_in(const struct thing *folder, const char *text) {
  for (uint32_t i = 0; i < folder->count; i++)
    if (strcmp(folder->names[i].text, text) == 0) return &folder->names[i];
  return NULL;
}

void memory_drop(struct thing *folder, const char *text) {
  struct name *n = memory_name_in(folder, text);
  if (n) *n = folder->names[--folder->count];
}

void memory_name(struct thing *folder, const char *text, uint64_t inode) {
  memory_drop(folder, text);
  if (folder->count == folder->name_room) {
    folder->name_room = folder->name_room ? 2 * folder->name_room : 8;
    folder->names = realloc(folder->names, folder->name_room * sizeof *folder->names);
    if (!folder->names) abort();
  }
  struct name *n = &folder->names[folder->count++];
  snprintf(n->text, sizeof n->text, "%s", text);
  n->inode = inode;
}

struct thing *memory_begin(const char *base, uint64_t inode) {
  for (uint32_t i = 0; i < BUCKETS; i++)
    while (memory.things[i]) release(&memory.things[i]);
  memory.base = base, memory.base_length = strlen(base);
  memory.next_inode = FIRST_INODE;
  return memory.root = memory_add(inode, true, 0);
}

void memory_answer(int level) { memory.level = level; }

bool memory_answers(void) { return memory.level >= 0; }

/* ---- Paths ---- */

bool memory_holds(const char *path) {
  size_t n = memory.base_length;
  return memory.level >= 0 && strncmp(path, memory.base, n) == 0 && (!path[n] || path[n] == '/');
}

/* Where a path leads: no folder, no thing where that is missing. */
struct place {
  struct thing *folder, *thing;
  char name[NAME_BYTES];
};

static struct place walk(const char *path) {
  struct thing *above[DEPTH_MOST];
  struct place p = {.thing = memory.root};
  uint32_t depth = 0;
  for (path += memory.base_length; *(path += strspn(path, "/"));) {
    size_t n = strcspn(path, "/");
    if (n >= sizeof p.name || depth == DEPTH_MOST) give_up("name", path);
    if (!p.thing || !p.thing->is_folder) return (struct place){0};
    memcpy(p.name, path, n);
    p.name[n] = '\0';
    path += n;
    if (strcmp(p.name, ".") == 0) continue;
    if (strcmp(p.name, "..") == 0) {
      p = (struct place){.thing = depth ? above[--depth] : NULL};
      continue;
    }
    p.folder = above[depth++] = p.thing;
    struct name *found = memory_name_in(p.folder, p.name);
    p.thing = found ? memory_find(found->inode) : NULL;
  }
  return p;
}

static int fail(int number) {
  errno = number;
  return -1;
}

static int new_fd(struct thing *t) {
  for (int i = 0; i < FDS_MOST; i++)
    if (!opened[i].thing) {
      opened[i] = (struct opened){.thing = t};
      return FIRST_FD + i;
    }
  return fail(EMFILE);
}

int memory_open(const char *path, int flags) {
  struct place p = walk(path);
  if (p.thing && (flags & O_CREAT) && (flags & O_EXCL)) return fail(EEXIST);
  if (p.thing && (flags & O_DIRECTORY) && !p.thing->is_folder) return fail(ENOTDIR);
  if (p.thing && p.thing->is_folder && (flags & O_ACCMODE) != O_RDONLY) return fail(EISDIR);
  if (!p.thing && (!(flags & O_CREAT) || !p.folder)) return fail(ENOENT);
  if (!p.thing) {
    p.thing = memory_add_new(false, memory.level);
    memory_name(p.folder, p.name, p.thing->inode);
  }
  if (flags & O_TRUNC) memory_set_length(p.thing, 0);
  return new_fd(p.thing);
}

int memory_make_folder(const char *path) {
  struct place p = walk(path);
  if (p.thing) return fail(EEXIST);
  if (!p.folder) return fail(ENOENT);
  memory_name(p.folder, p.name, memory_add_new(true, memory.level)->inode);
  return 0;
}

int memory_remove(const char *path, bool is_folder) {
  struct place p = walk(path);
  if (!p.thing) return fail(ENOENT);
  if (p.thing->is_folder != is_folder) return fail(is_folder ? ENOTDIR : EISDIR);
  if (is_folder && p.thing->count) return fail(ENOTEMPTY);
  memory_drop(p.folder, p.name);
  if (is_folder) memory_release(p.thing);
  return 0;
}

int memory_rename(const char *from, const char *to) {
  struct place a = walk(from), b = walk(to);
  if (!a.thing || !b.folder) return fail(ENOENT);
  if (b.thing && (b.thing->is_folder || a.thing->is_folder)) return fail(EEXIST);
  memory_drop(a.folder, a.name);
  memory_name(b.folder, b.name, a.thing->inode);
  return 0;
}

int memory_link(const char *from, const char *to) {
  struct place a = walk(from), b = walk(to);
  if (!a.thing || !b.folder) return fail(ENOENT);
  if (b.thing) return fail(EEXIST);
  memory_name(b.folder, b.name, a.thing->inode);
  return 0;
}

static void fill_stat(const struct thing *t, struct stat *s) {
  *s = (struct stat){.st_dev = 1,
                     .st_ino = (ino_t)t->inode,
                     .st_mode = t->is_folder ? S_IFDIR | 0777 : S_IFREG | 0666,
                     .st_nlink = 1,
                     .st_size = (off_t)t->length,
                     .st_blksize = PAGE_BYTES,
                     .st_mtim.tv_nsec = (long)(t->changed % 1000000000),
                     .st_ctim.tv_nsec = (long)(t->changed % 1000000000)};
}

int memory_stat(const char *path, struct stat *s) {
  struct place p = walk(path);
  if (!p.thing) return fail(ENOENT);
  fill_stat(p.thing, s);
  return 0;
}

const struct thing *memory_at(const char *path) { return walk(path).thing; }

/* ---- Descriptors ---- */

static struct opened *of(int fd) {
  if (fd < FIRST_FD || fd >= FIRST_FD + FDS_MOST || !opened[fd - FIRST_FD].thing) return NULL;
  return &opened[fd - FIRST_FD];
}

bool memory_has(int fd) { return of(fd) != NULL; }

void memory_close(int fd) { of(fd)->thing = NULL; }

const struct thing *memory_thing(int fd) { return of(fd)->thing; }

void memory_fstat(int fd, struct stat *s) { fill_stat(of(fd)->thing, s); }

void memory_truncate(int fd, uint64_t length) { memory_set_length(of(fd)->thing, length); }

ssize_t memory_read(int fd, const struct iovec *v, int count, uint64_t at) {
  const struct thing *t = of(fd)->thing;
  ssize_t got = 0;
  for (int i = 0; i < count && at < t->length; i++) {
    size_t n = t->length - at < v[i].iov_len ? (size_t)(t->length - at) : v[i].iov_len;
    memcpy(v[i].iov_base, t->bytes + at, n);
    at += n, got += (ssize_t)n;
  }
  return got;
}

ssize_t memory_write(int fd, const struct iovec *v, int count, uint64_t at) {
  struct thing *t = of(fd)->thing;
  uint64_t start = at;
  for (int i = 0; i < count; i++) {
    if (at + v[i].iov_len > t->length) memory_set_length(t, at + v[i].iov_len);
    memcpy(t->bytes + at, v[i].iov_base, v[i].iov_len);
    at += v[i].iov_len;
  }
  t->changed = ++memory.clock;
  return (ssize_t)(at - start);
}

off_t memory_seek(int fd, off_t at, int from) {
  struct opened *o = of(fd);
  uint64_t start = from == SEEK_SET ? 0 : from == SEEK_CUR ? o->at : o->thing->length;
  o->at = start + (uint64_t)at;
  return (off_t)o->at;
}

void *memory_map(int fd, size_t n, uint64_t at) {
  if (at + n > ROOM_BYTES) return errno = ENOMEM, MAP_FAILED;
  return of(fd)->thing->bytes + at;
}

bool memory_is_map(const void *bytes) {
  uintptr_t p = (uintptr_t)bytes, first = (uintptr_t)rooms;
  return rooms && p >= first && p - first < ROOMS_MOST * ROOM_BYTES;
}

bool memory_next_open(int *fd) {
  for (*fd = *fd < FIRST_FD ? FIRST_FD : *fd + 1; *fd < FIRST_FD + FDS_MOST; ++*fd)
    if (of(*fd)) return true;
  return false;
}
