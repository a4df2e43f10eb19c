/* stage.c: a workload's folder, and a state of a disk as files. */
#define _GNU_SOURCE
#include "stage.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memory.h"

#define NAMES_MOST 64u

static struct thing *root;
static char home[128], base[160], pool[160];

static void give_up(const char *what, const char *name) {
  fprintf(stderr, "power: can't %s %s\n", what, name);
  abort();
}

/* ---- Following ---- */

/* A file of the record is known by its birth, too; it is in the pool. */
static uint64_t birth_of(uint64_t inode) {
  char name[PATH_MAX];
  struct statx x;
  snprintf(name, sizeof name, "%s/%llx", pool, (unsigned long long)inode);
  if (statx(AT_FDCWD, name, 0, STATX_BTIME, &x) < 0 || !(x.stx_mask & STATX_BTIME)) return 0;
  return (uint64_t)x.stx_btime.tv_sec * 1000000000u + x.stx_btime.tv_nsec;
}

static void follow(const struct entry *e) {
  const char *text = entry_name(e);
  struct thing *t = e->kind <= ENTRY_MAPPED ? memory_find(e->node) : NULL;
  switch ((enum entry_kind)e->kind) {
    case ENTRY_FILE:
    case ENTRY_FOLDER:
      memory_add(e->child, e->kind == ENTRY_FOLDER, 0)->birth_ns = birth_of(e->child);
      /* fall through */
    case ENTRY_NAME: memory_name(t, text, e->child); break;
    case ENTRY_RENAME:
      memory_drop(t, text);
      memory_name(t, text + strlen(text) + 1, e->child);
      break;
    case ENTRY_REMOVE: memory_drop(t, text); break;
    case ENTRY_WRITE:
      if (e->at + e->bytes > t->length) memory_set_length(t, e->at + e->bytes);
      memcpy(t->bytes + e->at, entry_bytes(e), e->bytes);
      break;
    case ENTRY_SIZE: memory_set_length(t, e->at); break;
    default: break;
  }
}

void stage_follow(const struct record *r) {
  const struct entry *e;
  for (uint64_t at = 0; (e = record_next(r, &at)) != NULL;) follow(e);
}

/* ---- Putting ---- */

static void remove_all(struct thing *folder);

static void remove_name(struct thing *folder, const char *text) {
  struct thing *t = memory_find(memory_name_in(folder, text)->inode);
  memory_drop(folder, text);
  if (!t->is_folder) return;
  remove_all(t);
  memory_release(t);
}

static void remove_all(struct thing *folder) {
  while (folder->count) {
    char text[NAME_BYTES];
    memcpy(text, folder->names[folder->count - 1].text, sizeof text);
    remove_name(folder, text);
  }
}

/* Pages that differ. */
static void put_bytes(const struct disk *d, const struct node *n, struct thing *t) {
  static const uint8_t zeros[PAGE_BYTES];
  uint8_t room[PAGE_BYTES];
  uint64_t length = disk_length(n);
  memory_set_length(t, length);
  for (uint64_t at = 0; at < length; at += PAGE_BYTES) {
    const uint8_t *page = disk_page(d, n, (uint32_t)(at / PAGE_BYTES), room);
    size_t part = length - at < PAGE_BYTES ? (size_t)(length - at) : PAGE_BYTES;
    if (!page) page = zeros;
    if (memcmp(t->bytes + at, page, part) != 0) memcpy(t->bytes + at, page, part);
  }
}

static void put_folder(const struct disk *d, const struct node *n, struct thing *t);

static void put_name(const struct disk *d, const struct name *wanted, struct thing *folder) {
  const struct node *n = disk_find(d, wanted->inode);
  const struct name *is = memory_name_in(folder, wanted->text);
  struct thing *t = is ? memory_find(is->inode) : NULL;
  if (t && (t->is_folder != n->is_folder || (!t->is_folder && t->inode != n->inode))) {
    remove_name(folder, wanted->text);
    t = NULL;
  }
  if (!t) {
    t = n->is_folder ? memory_add_new(true, 0) : memory_find(n->inode);
    memory_name(folder, wanted->text, t->inode);
  }
  if (n->is_folder) put_folder(d, n, t);
  else put_bytes(d, n, t);
}

static bool is_wanted(const struct name *names, uint32_t count, const char *text) {
  for (uint32_t i = 0; i < count; i++)
    if (strcmp(names[i].text, text) == 0) return true;
  return false;
}

static void put_folder(const struct disk *d, const struct node *n, struct thing *t) {
  struct name names[NAMES_MOST];
  uint32_t count = disk_names(n, names, NAMES_MOST);
  for (uint32_t i = t->count; i-- > 0;) {
    char text[NAME_BYTES];
    memcpy(text, t->names[i].text, sizeof text);
    if (!is_wanted(names, count, text)) remove_name(t, text);
  }
  for (uint32_t i = 0; i < count; i++) put_name(d, &names[i], t);
}

void stage_put(const struct disk *d, int level) {
  put_folder(d, d->root, root);
  memory_release_files(level);
}

/* ---- Copying ---- */

static void copy_folder(struct disk *d, struct node *to, const struct thing *t) {
  for (uint32_t i = 0; i < t->count; i++) {
    const struct thing *child = memory_find(t->names[i].inode);
    bool known = false;
    for (const struct node *n = d->first; n; n = n->next) known |= n->inode == child->inode;
    disk_give_name(to, t->names[i].text, child->inode);
    if (known) continue;
    struct node *n = disk_add(d, child->inode, child->is_folder);
    if (child->is_folder) copy_folder(d, n, child);
    else disk_give_bytes(n, child->bytes, child->length);
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
  memory_answer(-1);
  remove_home(false);
  if (mkdir(base, 0777) < 0 || mkdir(pool, 0777) < 0 || stat(base, &s) < 0) give_up("make", base);
  root = memory_begin(base, (uint64_t)s.st_ino);
}

uint64_t stage_root(void) { return root->inode; }
