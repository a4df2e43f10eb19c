/* backup.c: a copy of a store that others go on using.
**
** The index is copied first, and the log after it: so the copy's A lies within the
** copy's log. Log files that have a successor never change any more, and get a second
** name where the file system can; what is the copy's last one is copied up to the durable end,
** in the form that can be appended to.
**
** Everything is made in a folder of another name, flushed, and renamed: if the power
** goes, there is no copy, or a whole one. */
#include "store.h"

#include <errno.h>
#include <stdio.h>

#include "error.h"
#include "scavenge.h"

#define COPY_BYTES ((size_t)256 << 10)

struct backup {
  struct log *log;
  char to[SYSTEM_PATH_BYTES]; /* the folder of another name */
  struct log_end end;
  uint8_t *bytes; /* COPY_BYTES of room */
  rille_progress progress;
  void *context;
  uint64_t done, all; /* bytes of the log */
  bool given_up;
  rille_error *error;
};

static int join(char *path, const char *folder, const char *name, rille_error *e) {
  return system_join(path, SYSTEM_PATH_BYTES, folder, name)
             ? 0
             : error_set(e, RILLE_INVALID, "the path %.200s is too long", folder);
}

/* ---- One file ---- */

/* So many bytes more are done: ECANCELED where that is told and no more is wanted. */
static int advance(struct backup *b, uint64_t n) {
  b->done = min_u64(b->done + n, b->all);
  if (b->progress) b->given_up = b->progress(b->context, b->done, b->all) != 0;
  return b->given_up ? ECANCELED : 0;
}

/* From where somebody reads up to `n` bytes at an offset; 0 or an errno. */
typedef int (*reading)(struct backup *b, uint64_t place, uint64_t at, size_t n, size_t *got);

static int read_file(struct backup *b, uint64_t fd, uint64_t at, size_t n, size_t *got) {
  return system_read((int)fd, at, b->bytes, n, got);
}

/* As the log has them, whatever the form of the file. */
static int read_log(struct backup *b, uint64_t first, uint64_t at, size_t n, size_t *got) {
  rille_error why = {0};
  int failed = segments_read(&b->log->segments, first + at, b->bytes, n, got, &why);
  return failed && why.system == 0 ? EIO : why.system;
}

static int copy_bytes(struct backup *b, reading read, uint64_t place, int to, uint64_t n) {
  size_t got, put;
  int number = 0;
  for (uint64_t at = 0; at < n && !number; at += got) {
    number = read(b, place, at, (size_t)min_u64(n - at, COPY_BYTES), &got);
    if (!number && got == 0) number = EIO; /* it was longer a moment ago */
    if (!number) number = system_write(to, at, b->bytes, got, NULL, 0, &put);
    if (!number) number = advance(b, got);
  }
  return number ? number : system_flush(to);
}

/* A file that nobody changes any more, which may be packed, has `n` bytes of log. */
static int copy_file(struct backup *b, const char *from, const char *to, uint64_t n) {
  int in, out, number = system_open(from, SYSTEM_READ, &in);
  uint64_t stored;
  if (number) return number;
  number = system_size(in, &stored);
  if (!number) number = system_open(to, SYSTEM_CREATE, &out);
  if (!number) {
    number = copy_bytes(b, read_file, (uint64_t)in, out, stored);
    system_close(out);
  }
  system_close(in);
  if (!number && stored < n) number = advance(b, n - stored);
  return number;
}

/* What will be the last file, which is appended to and so is never packed. */
static int copy_last(struct backup *b, uint64_t first, const char *to, uint64_t n) {
  int out, number = system_open(to, SYSTEM_CREATE, &out);
  if (number) return number;
  number = copy_bytes(b, read_log, first, out, n);
  system_close(out);
  return number;
}

static int failed_on(const struct backup *b, const char *path, int number) {
  if (b->given_up) return error_set(b->error, RILLE_REFUSED, "the backup was given up");
  return number ? error_system(b->error, number, "can't copy %s", path) : 0;
}

/* ---- The parts ---- */

static int copy_segment(struct backup *b, uint64_t first, uint64_t end, bool last) {
  char from[SYSTEM_PATH_BYTES], to[SYSTEM_PATH_BYTES], folder[SYSTEM_PATH_BYTES];
  if (first >= b->end.address && first > 0) return 0; /* begun since */
  int failed = join(folder, b->to, "log", b->error);
  if (failed) return failed;
  if (!segments_path(from, b->log->segments.folder, first) || !segments_path(to, folder, first))
    return error_set(b->error, RILLE_INVALID, "the path %.200s is too long", b->to);
  bool succeeded = end < b->end.address && !last; /* in the copy, too: else it will grow there */
  if (succeeded && system_link(from, to) == 0) return failed_on(b, from, advance(b, end - first));
  if (succeeded) return failed_on(b, from, copy_file(b, from, to, end - first));
  if (last) end = b->end.address; /* others may have made it longer than this process knows */
  return failed_on(b, from, copy_last(b, first, to, min_u64(end, b->end.address) - first));
}

static int note_segment(void *context, uint64_t first, uint64_t end, bool last) {
  struct repair_segment segment = {first, end, last};
  return buffer_add(context, &segment, sizeof segment) ? 0 : RILLE_MEMORY;
}

/* Nobody is kept from beginning a new file while this copies. */
static int copy_segments(struct backup *b) {
  struct buffer list;
  struct repair_segment s;
  buffer_init(&list, &b->log->memory);
  int failed = segments_walk(&b->log->segments, note_segment, &list);
  if (failed) error_memory(b->error);
  for (size_t at = 0; at < list.length && !failed; at += sizeof s) {
    memcpy(&s, list.bytes + at, sizeof s);
    failed = copy_segment(b, s.first, s.end, s.last);
  }
  buffer_release(&list);
  return failed;
}

static int copy_log(struct backup *b) {
  char folder[SYSTEM_PATH_BYTES];
  rille_error *e = b->error;
  int failed = join(folder, b->to, "log", e);
  if (failed) return failed;
  int number = system_make_folder(folder);
  if (number) return error_system(e, number, "can't make %s", folder);
  failed = log_look(b->log, true, &b->end, e);
  b->all = b->end.address;
  if (!failed) failed = copy_segments(b);
  if (!failed && (number = system_flush_folder(folder)) != 0)
    failed = error_system(e, number, "can't flush %s", folder);
  return failed;
}

/* LMDB writes its copy and leaves it to the system. */
static int flush_file(struct backup *b, const char *folder, const char *name) {
  char path[SYSTEM_PATH_BYTES];
  int fd, failed = join(path, folder, name, b->error);
  if (failed) return failed;
  int number = system_open(path, SYSTEM_WRITE, &fd);
  if (number) return error_system(b->error, number, "can't open %s", path);
  number = system_flush(fd);
  system_close(fd);
  return number ? error_system(b->error, number, "can't flush %s", path) : 0;
}

/* A reader without the right to it has an index of its own, which is as good. */
static int copy_index(struct backup *b) {
  char folder[SYSTEM_PATH_BYTES];
  int failed = join(folder, b->to, "index", b->error);
  if (failed) return failed;
  int number = system_make_folder(folder);
  if (number) return error_system(b->error, number, "can't make %s", folder);
  pthread_mutex_lock(&b->log->lock);
  failed = log_follow(b->log, b->error); /* the one it has may be what a redaction has replaced */
  if (!failed) failed = index_look(b->log->index, b->error);
  pthread_mutex_unlock(&b->log->lock);
  struct system_held held;
  system_hold_signal(&held);
  unsigned low = system_take_low();
  if (!failed) failed = index_copy(b->log->index, folder, b->error);
  system_free_low(low);
  system_free_signal(&held);
  if (!failed) failed = flush_file(b, folder, "data.mdb");
  if (!failed && (number = system_flush_folder(folder)) != 0)
    failed = error_system(b->error, number, "can't flush %s", folder);
  return failed;
}

static int copy_all(struct backup *b) {
  /* Not copied: to open and close `store` would free the locks on it, where they are the
  ** process's (system.c). */
  struct identity copy = b->log->identity;
  copy.copied = true;
  int failed = identity_write(b->to, &copy, b->error);
  if (!failed) failed = copy_index(b);
  if (!failed) failed = copy_log(b);
  if (failed) return failed;
  int number = system_flush_folder(b->to);
  return number ? error_system(b->error, number, "can't flush %s", b->to) : 0;
}

/* ---- The whole ---- */

static int put_in_place(struct backup *b, const char *folder) {
  char parent[SYSTEM_PATH_BYTES];
  int number = system_rename(b->to, folder);
  if (number == ENOTEMPTY || number == EEXIST)
    return error_set(b->error, RILLE_INVALID, "%s exists: a backup needs a new name", folder);
  if (!number) number = system_join(parent, sizeof parent, folder, "..") ? 0 : ENAMETOOLONG;
  if (!number) number = system_flush_folder(parent);
  return number ? error_system(b->error, number, "can't put the backup at %s", folder) : 0;
}

static int begin(struct backup *b, const char *folder) {
  uint32_t nonce;
  rille_error *e = b->error;
  if (folder[0] == '\0') return error_set(e, RILLE_INVALID, "the path of the backup is empty");
  enum system_kind kind = system_kind(folder);
  if (kind == SYSTEM_UNSEEN)
    return error_set(e, RILLE_IO, "can't tell whether %s exists: try again", folder);
  if (kind != SYSTEM_ABSENT)
    return error_set(e, RILLE_INVALID, "%s exists: a backup needs a new name", folder);
  int number = system_entropy(&nonce, sizeof nonce);
  if (number) return error_system(e, number, "can't get random bytes");
  int length = (int)strlen(folder); /* the other name stands beside it, also with a slash */
  while (length > 1 && folder[length - 1] == '/') length--;
  int used = snprintf(b->to, sizeof b->to, "%.*s.new-%08x", length, folder, nonce);
  if (used < 0 || (size_t)used >= sizeof b->to)
    return error_set(e, RILLE_INVALID, "the path %.200s is too long", folder);
  number = system_make_folder(b->to);
  return number ? error_system(e, number, "can't make %s", b->to) : 0;
}

int rille_store_backup(rille_store *h, const char *folder, rille_error *e) {
  return rille_store_backup_told(h, folder, NULL, NULL, e);
}

/* No file is replaced meanwhile: a redaction is in the copy as a whole or not at all. Who only
** reads can keep nobody from it, but notices. */
static int copy_undisturbed(struct backup *b) {
  bool readonly = b->log->options.readonly;
  uint64_t shown = log_shown(b->log);
  int failed = segments_check_place(&b->log->segments, b->error);
  if (!failed && !readonly) failed = scavenge_hold(b->log, b->error);
  if (failed) return failed;
  failed = copy_all(b);
  if (!readonly) scavenge_let_go(b->log);
  if (!failed && readonly && log_shown(b->log) != shown)
    failed = error_set(b->error, RILLE_BUSY, "log files were replaced meanwhile: try again");
  return failed;
}

int rille_store_backup_told(rille_store *h, const char *folder, rille_progress progress,
                            void *context, rille_error *e) {
  struct backup b = {.log = &h->shared->log, .error = e, .progress = progress, .context = context};
  int failed = rille_store_sync(h, e);
  if (!failed) failed = begin(&b, folder);
  if (failed) return failed;
  b.bytes = memory_get(&h->memory, COPY_BYTES);
  failed = b.bytes ? copy_undisturbed(&b) : error_memory(e);
  if (!failed) failed = put_in_place(&b, folder);
  if (failed) system_remove_tree(b.to);
  memory_free(&h->memory, b.bytes, COPY_BYTES);
  return failed;
}
