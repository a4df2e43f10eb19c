/* disk.h: files and folders as a disk has them that may lose power at any moment.
**
** Of each page of a file the disk has what it had at the last flush, or any version since;
** of the file's length and of the names in a folder, any number of the first changes since.
**
**    page      durable | version version version      <- now, as processes see it
**    length    durable | change change
**    folder    names   | change change change
**              ^ a flush moves this line to where it was when the flush began
**
** A failed flush moves it too, but what was to move may not have arrived: then the disk keeps
** what it had, the processes see what they wrote, and no later flush will bring it.
**
** A state is one choice for each of these, made by `chosen`: 0 is what is durable. One page,
** `torn`, is mixed of its version and the one before, by sectors. */
#ifndef RILLE_POWER_DISK_H
#define RILLE_POWER_DISK_H

#include "record.h"

#define PAGE_BYTES 4096u
#define SECTOR_BYTES 512u
#define NAME_BYTES 64

struct version {
  uint32_t number; /* of the entry that made it; 0: it was there before */
  const uint8_t *bytes;
};

struct page {
  const uint8_t *now; /* NULL: zeros */
  struct version durable, *list;
  uint32_t count, room, chosen;
};

struct length {
  uint32_t number;
  uint64_t bytes;
};

struct name {
  char text[NAME_BYTES];
  uint64_t inode;
};

struct change {
  uint32_t number;
  char name[NAME_BYTES], to[NAME_BYTES]; /* to: of a rename */
  uint64_t inode;                        /* 0: the name goes */
};

struct node {
  struct node *next; /* in the order in which they were made */
  uint64_t inode;
  bool is_folder, is_reachable;
  uint32_t chosen; /* of lengths, or of changes */
  /* a file */
  uint64_t now, durable;
  struct length *lengths;
  struct page *pages;
  /* a folder */
  struct name *names;
  struct change *changes;
  uint32_t length_count, length_room, page_count, page_room;
  uint32_t name_count, name_room, change_count, change_room;
};

struct disk {
  struct node *first, *last, *root;
  struct page *torn;
  uint8_t torn_sectors; /* a bit for each that is of the version before */
  uint32_t number;      /* entries so far */
};

/* Memory is taken from one place, and given back all at once. */
struct arena;
struct arena *arena_new(void);
void arena_use(struct arena *a); /* by all disks, from now on */
void arena_empty(struct arena *a);
void *arena_get(size_t bytes);

/* The folder in which all happens is there, durably. */
void disk_begin(struct disk *d, uint64_t root);
struct node *disk_add(struct disk *d, uint64_t inode, bool is_folder);
struct node *disk_find(const struct disk *d, uint64_t inode);
/* Durable from the start. */
void disk_give_bytes(struct node *file, const uint8_t *bytes, uint64_t n);
void disk_give_name(struct node *folder, const char *name, uint64_t inode);
/* Does what an entry says. */
void disk_apply(struct disk *d, const struct entry *e);

/* The state that is chosen: the length, a page (NULL: zeros; `room` where it must be made), and
** the names. */
uint64_t disk_length(const struct node *file);
const uint8_t *disk_page(const struct disk *d, const struct node *file, uint32_t i, uint8_t *room);
uint32_t disk_names(const struct node *folder, struct name *names, uint32_t most);

#endif
