/* fixture.h: a folder of stores as it was at some moment, kept in memory and put back any
** number of times. A file `store` is written in place: a store knows itself by its inode. */
#ifndef RILLE_FIXTURE_H
#define RILLE_FIXTURE_H

#include "test.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIXTURE_FILES_MOST 64u
#define FIXTURE_PATH_BYTES 512

struct fixture_file {
  char path[FIXTURE_PATH_BYTES];
  bool folder;
  char *bytes;
  size_t length;
};

struct fixture {
  char root[FIXTURE_PATH_BYTES];
  struct fixture_file files[FIXTURE_FILES_MOST]; /* a folder before what is in it */
  size_t count;
};

static inline void fixture_join(char *path, const char *from, const char *name) {
  if (strlen(from) + strlen(name) + 2 > FIXTURE_PATH_BYTES) abort();
  char *end = stpcpy(path, from);
  *end++ = '/';
  strcpy(end, name);
}

static inline void fixture_take_file(struct fixture_file *f, size_t length) {
  int fd = open(f->path, O_RDONLY);
  f->bytes = malloc(length ? length : 1);
  f->length = length;
  if (!f->bytes || fd < 0 || read(fd, f->bytes, length) != (ssize_t)length) abort();
  close(fd);
}

static inline void fixture_take(struct fixture *f, const char *from) {
  struct dirent *entry;
  struct stat s;
  DIR *d = opendir(from);
  if (!d) abort();
  while ((entry = readdir(d)) != NULL) {
    if (entry->d_name[0] == '.') continue;
    if (f->count == FIXTURE_FILES_MOST) abort();
    struct fixture_file *file = &f->files[f->count++];
    fixture_join(file->path, from, entry->d_name);
    if (stat(file->path, &s) < 0) abort();
    file->folder = S_ISDIR(s.st_mode);
    if (file->folder) fixture_take(f, file->path);
    else fixture_take_file(file, (size_t)s.st_size);
  }
  closedir(d);
}

static inline bool fixture_has(const struct fixture *f, const char *path) {
  for (size_t i = 0; i < f->count; i++)
    if (strcmp(f->files[i].path, path) == 0) return true;
  return false;
}

/* Removes what is not in it. */
static inline void fixture_clear(const struct fixture *f, const char *from) {
  struct dirent *entry;
  struct stat s;
  char path[FIXTURE_PATH_BYTES];
  DIR *d = opendir(from);
  if (!d) return;
  while ((entry = readdir(d)) != NULL) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    fixture_join(path, from, entry->d_name);
    if (lstat(path, &s) == 0 && S_ISDIR(s.st_mode)) fixture_clear(f, path);
    if (!fixture_has(f, path)) remove(path);
  }
  closedir(d);
}

static inline void fixture_put_back(const struct fixture *f) {
  fixture_clear(f, f->root);
  for (size_t i = 0; i < f->count; i++) {
    const struct fixture_file *file = &f->files[i];
    if (file->folder) {
      (void)mkdir(file->path, 0777);
      continue;
    }
    int fd = open(file->path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd < 0 || write(fd, file->bytes, file->length) != (ssize_t)file->length) abort();
    close(fd);
  }
}

static inline void fixture_begin(struct fixture *f, const char *root) {
  memset(f, 0, sizeof *f);
  snprintf(f->root, sizeof f->root, "%s", root);
  if (mkdir(root, 0777) < 0) abort();
}

static inline void fixture_end(struct fixture *f) {
  for (size_t i = 0; i < f->count; i++) free(f->files[i].bytes);
}

#endif
