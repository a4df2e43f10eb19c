/* stage.c: a state of a disk as real files. */
#define _GNU_SOURCE
#include "stage.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES_MOST 64u

struct thing {
  struct thing *next;
  uint64_t inode;
  int level;
  bool is_folder;
  bool is_mapped; /* while a record was made whose processes may have died: it may be anything */
  uint8_t *bytes; /* of a file, as it is now */
  uint64_t length, room;
  struct name *names; /* of a folder */
  uint32_t count, name_room;
};

static struct thing *things, *root;
static char home[128], base[160], pool[160];

static void give_up(const char *what, const char *name) {
  fprintf(stderr, "power: can't %s %s\n", what, name);
  abort();
}

/* ---- What is there ---- */

static struct thing *find(uint64_t inode) {
  for (struct thing *t = things; t; t = t->next)
    if (t->inode == inode) return t;
  give_up("find", "a file of the stage");
  return NULL;
}

static struct thing *add(uint64_t inode, bool is_folder, int level) {
  struct thing *t = calloc(1, sizeof *t);
  if (!t) abort();
  *t = (struct thing){.next = things, .inode = inode, .is_folder = is_folder, .level = level};
  return things = t;
}

static void release(struct thing **at) {
  struct thing *t = *at;
  char name[PATH_MAX];
  if (!t->is_folder) {
    snprintf(name, sizeof name, "%s/%llx", pool, (unsigned long long)t->inode);
    unlink(name);
  }
  *at = t->next;
  free(t->bytes);
  free(t->names);
  free(t);
}

static struct name *name_in(struct thing *folder, const char *text) {
  for (uint32_t i = 0; i < folder->count; i++)
    if (strcmp(folder->names[i].text, text) == 0) return &folder->names[i];
  return NULL;
}

static void drop(struct thing *folder, const char *text) {
  struct name *n = name_in(folder, text);
  if (n) *n = folder->names[--folder->count];
}

static void name(struct thing *folder, const char *text, uint64_t inode) {
  drop(folder, text);
  if (folder->count == folder->name_room) {
    folder->name_room = folder->name_room ? 2 * folder->name_room : 8;
    folder->names = realloc(folder->names, folder->name_room * sizeof *folder->names);
    if (!folder->names) abort();
  }
  struct name *n = &folder->names[folder->count++];
  snprintf(n->text, sizeof n->text, "%s", text);
  n->inode = inode;
}

static void set_length(struct thing *t, uint64_t length) {
  if (length > t->room) {
    uint64_t room = 2 * length > 2 * PAGE_BYTES ? 2 * length : 2 * PAGE_BYTES;
    t->bytes = realloc(t->bytes, room);
    if (!t->bytes) abort();
    t->room = room;
  }
  if (length > t->length) memset(t->bytes + t->length, 0, length - t->length);
  t->length = length;
}

/* ---- Following ---- */

static void follow(const struct entry *e, int level) {
  const char *text = entry_name(e);
  struct thing *t = e->kind <= ENTRY_MAPPED ? find(e->node) : NULL;
  switch ((enum entry_kind)e->kind) {
    case ENTRY_FILE:
    case ENTRY_FOLDER: (void)add(e->child, e->kind == ENTRY_FOLDER, level); /* fall through */
    case ENTRY_NAME: name(t, text, e->child); break;
    case ENTRY_RENAME:
      drop(t, text);
      name(t, text + strlen(text) + 1, e->child);
      break;
    case ENTRY_REMOVE: drop(t, text); break;
    case ENTRY_WRITE:
      if (e->at + e->bytes > t->length) set_length(t, e->at + e->bytes);
      memcpy(t->bytes + e->at, entry_bytes(e), e->bytes);
      break;
    case ENTRY_SIZE: set_length(t, e->at); break;
    case ENTRY_MAPPED: t->is_mapped |= level == 0; break;
    default: break;
  }
}

void stage_follow(const struct record *r, int level) {
  const struct entry *e;
  for (uint64_t at = 0; (e = record_next(r, &at)) != NULL;) follow(e, level);
}

/* ---- Putting ---- */

struct place {
  const struct disk *disk;
  char path[PATH_MAX];
};

static size_t join(struct place *p, const char *text) {
  size_t n = strlen(p->path);
  if (n + strlen(text) + 2 > sizeof p->path) give_up("name", text);
  snprintf(p->path + n, sizeof p->path - n, "/%s", text);
  return n;
}

static void remove_all(struct place *p, struct thing *folder);

static void remove_name(struct place *p, struct thing *folder, const char *text) {
  struct thing *t = find(name_in(folder, text)->inode);
  size_t n = join(p, text);
  if (t->is_folder) remove_all(p, t);
  if ((t->is_folder ? rmdir(p->path) : unlink(p->path)) < 0) give_up("remove", p->path);
  p->path[n] = '\0';
  drop(folder, text);
  if (!t->is_folder) return;
  struct thing **at = &things;
  while (*at != t) at = &(*at)->next;
  release(at);
}

static void remove_all(struct place *p, struct thing *folder) {
  while (folder->count) {
    char text[NAME_BYTES];
    memcpy(text, folder->names[folder->count - 1].text, sizeof text);
    remove_name(p, folder, text);
  }
}

static void write_part(int fd, struct thing *t, uint64_t from, uint64_t to) {
  if (pwrite(fd, t->bytes + from, to - from, (off_t)from) != (ssize_t)(to - from))
    give_up("write", "a file of the stage");
}

/* Pages that differ, one run of them at a time. What was mapped may have been changed behind our back, and
** is all put once. */
static void put_bytes(const struct disk *d, const struct node *n, struct thing *t,
                      const char *path) {
  static const uint8_t zeros[PAGE_BYTES];
  uint8_t room[PAGE_BYTES];
  uint64_t length = disk_length(n), from = UINT64_MAX, before = t->length;
  int fd = -1;
  set_length(t, length);
  for (uint64_t at = 0; at < length; at += PAGE_BYTES) {
    const uint8_t *page = disk_page(d, n, (uint32_t)(at / PAGE_BYTES), room);
    size_t part = length - at < PAGE_BYTES ? (size_t)(length - at) : PAGE_BYTES;
    bool same = !t->is_mapped && memcmp(t->bytes + at, page ? page : zeros, part) == 0;
    if (!same && fd < 0 && (fd = open(path, O_WRONLY)) < 0) give_up("open", path);
    if (!same && from == UINT64_MAX) from = at;
    if (same && from != UINT64_MAX) write_part(fd, t, from, at), from = UINT64_MAX;
    if (!same) memcpy(t->bytes + at, page ? page : zeros, part);
  }
  if (before != length && (fd < 0 ? truncate(path, (off_t)length) : ftruncate(fd, (off_t)length)))
    give_up("cut", path);
  if (from != UINT64_MAX) write_part(fd, t, from, length);
  if (fd >= 0) close(fd);
  t->is_mapped = false;
}

static void put_file(struct place *p, const struct node *n, struct thing *folder, const char *text,
                     bool is_there) {
  char from[PATH_MAX];
  size_t end = join(p, text);
  if (!is_there) {
    snprintf(from, sizeof from, "%s/%llx", pool, (unsigned long long)n->inode);
    if (link(from, p->path) < 0) give_up("link", p->path);
    name(folder, text, n->inode);
  }
  put_bytes(p->disk, n, find(n->inode), p->path);
  p->path[end] = '\0';
}

static void put_folder(struct place *p, const struct node *n, struct thing *t);

static struct thing *make_folder(struct place *p, struct thing *folder, const char *text) {
  struct stat s;
  size_t end = join(p, text);
  if (mkdir(p->path, 0777) < 0 || stat(p->path, &s) < 0) give_up("make", p->path);
  p->path[end] = '\0';
  name(folder, text, (uint64_t)s.st_ino);
  return add((uint64_t)s.st_ino, true, 0);
}

static void put_name(struct place *p, const struct name *wanted, struct thing *folder) {
  const struct node *n = disk_find(p->disk, wanted->inode);
  const struct name *is = name_in(folder, wanted->text);
  struct thing *t = is ? find(is->inode) : NULL;
  if (t && (t->is_folder != n->is_folder || (!t->is_folder && t->inode != n->inode))) {
    remove_name(p, folder, wanted->text);
    t = NULL;
  }
  if (!n->is_folder) {
    put_file(p, n, folder, wanted->text, t != NULL);
    return;
  }
  if (!t) t = make_folder(p, folder, wanted->text);
  size_t end = join(p, wanted->text);
  put_folder(p, n, t);
  p->path[end] = '\0';
}

static bool is_wanted(const struct name *names, uint32_t count, const char *text) {
  for (uint32_t i = 0; i < count; i++)
    if (strcmp(names[i].text, text) == 0) return true;
  return false;
}

static void put_folder(struct place *p, const struct node *n, struct thing *t) {
  struct name names[NAMES_MOST];
  uint32_t count = disk_names(n, names, NAMES_MOST);
  for (uint32_t i = t->count; i-- > 0;) {
    char text[NAME_BYTES];
    memcpy(text, t->names[i].text, sizeof text);
    if (!is_wanted(names, count, text)) remove_name(p, t, text);
  }
  for (uint32_t i = 0; i < count; i++) put_name(p, &names[i], t);
}

void stage_put(const struct disk *d, int level) {
  struct place p = {.disk = d};
  snprintf(p.path, sizeof p.path, "%s", base);
  put_folder(&p, d->root, root);
  for (struct thing **at = &things; *at;) {
    if (!(*at)->is_folder && (*at)->level >= level) release(at);
    else at = &(*at)->next;
  }
}

/* ---- Copying ---- */

static void copy_folder(struct disk *d, struct node *to, const struct thing *t) {
  for (uint32_t i = 0; i < t->count; i++) {
    const struct thing *child = find(t->names[i].inode);
    bool known = false;
    for (const struct node *n = d->first; n; n = n->next) known |= n->inode == child->inode;
    disk_give_name(to, t->names[i].text, child->inode);
    if (known) continue;
    struct node *n = disk_add(d, child->inode, child->is_folder);
    if (child->is_folder) copy_folder(d, n, child);
    else disk_give_bytes(n, child->bytes, child->length, child->is_mapped);
  }
}

void stage_copy(struct disk *d) {
  disk_begin(d, root->inode);
  copy_folder(d, d->root, root);
}

/* ---- Beginning and ending ---- */

const char *stage_begin(void) {
  const char *folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : getenv("TMPDIR");
  char absolute[PATH_MAX];
  snprintf(home, sizeof home, "%.100s/rille-power-XXXXXX",
           folder && realpath(folder, absolute) && strlen(absolute) < 100 ? absolute : "/tmp");
  if (!mkdtemp(home)) give_up("make", home);
  snprintf(base, sizeof base, "%s/w", home);
  snprintf(pool, sizeof pool, "%s/pool", home);
  stage_clear();
  record_under(base, pool);
  return base;
}

static void remove_home(bool whole) {
  char command[300];
  snprintf(command, sizeof command, "rm -rf '%s'%s", home, whole ? "" : "/*");
  if (system(command) != 0) give_up("remove", home);
}

void stage_end(void) { remove_home(true); }

void stage_clear(void) {
  struct stat s;
  while (things) release(&things);
  remove_home(false);
  if (mkdir(base, 0777) < 0 || mkdir(pool, 0777) < 0 || stat(base, &s) < 0) give_up("make", base);
  root = add((uint64_t)s.st_ino, true, 0);
}

uint64_t stage_root(void) { return root->inode; }
