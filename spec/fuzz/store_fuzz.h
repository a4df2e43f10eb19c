/* store_fuzz.h: a store that is made once, and put back for each input with a file changed. */
#ifndef RILLE_STORE_FUZZ_H
#define RILLE_STORE_FUZZ_H

#include "fuzz.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rille.h"

#define FUZZ_FILE_MOST ((size_t)1 << 20)
#define FUZZ_EVENTS 40

static char fuzz_root[200];

static inline void fuzz_path(char *room, size_t n, const char *name) {
  snprintf(room, n, "%s/%s", fuzz_root, name);
}

static inline void fuzz_remove(void) {
  char command[300];
  snprintf(command, sizeof command, "rm -rf '%s'", fuzz_root);
  if (system(command) != 0) abort();
}

static inline rille_store *fuzz_open(bool writing, rille_error *e) {
  rille_store *s = NULL;
  rille_options o = {
      .size = sizeof o, .readonly = !writing, .no_background = 1, .sync = RILLE_SYNC_NEVER};
  return rille_store_open(fuzz_root, &o, &s, e) < 0 ? NULL : s;
}

static inline void fuzz_append(rille_store *s, unsigned i) {
  char stream[16];
  rille_text tag = rille_text_of("tag");
  snprintf(stream, sizeof stream, "s-%u", i % 25);
  rille_event_input event = {
      .type = rille_text_of("T"), .data = {"\x07", 1}, .tags = &tag, .tag_count = i % 2};
  rille_part part = {.stream = rille_text_of(stream), .events = &event, .event_count = 1};
  rille_append a = {.size = sizeof a, .parts = &part, .part_count = 1};
  MUST(rille_store_append(s, &a, NULL, NULL) == 0);
}

static inline void fuzz_keep(rille_store *s, unsigned i) {
  static char bytes[6000];
  char key[16];
  snprintf(key, sizeof key, "k-%u", i);
  rille_kept_put put = {.key = rille_text_of(key), .value = {bytes, i % 9 ? i * 3 : sizeof bytes}};
  rille_kept_write w = {.size = sizeof w, .puts = &put, .put_count = 1};
  MUST(rille_store_kept_write(s, &w, NULL) == 0);
}

/* Makes the store, once. */
static inline void fuzz_make(void) {
  const char *base = getenv("TMPDIR"); /* of who cleans up behind a crash */
  if (!base && access("/dev/shm", W_OK) == 0) base = "/dev/shm";
  if (*fuzz_root) return;
  snprintf(fuzz_root, sizeof fuzz_root, "%s/rille-fuzz-XXXXXX", base && *base ? base : "/tmp");
  MUST(mkdtemp(fuzz_root) != NULL);
  atexit(fuzz_remove);
  rille_store *s = fuzz_open(true, NULL);
  MUST(s != NULL);
  for (unsigned i = 0; i < FUZZ_EVENTS; i++) fuzz_append(s, i);
  for (unsigned i = 0; i < 60; i++) fuzz_keep(s, i);
  MUST(rille_store_close(s) == 0);
}

static inline uint8_t *fuzz_load(const char *name, size_t *n) {
  char path[300];
  fuzz_path(path, sizeof path, name);
  uint8_t *bytes = malloc(FUZZ_FILE_MOST);
  int fd = open(path, O_RDONLY);
  ssize_t got = fd < 0 || !bytes ? -1 : read(fd, bytes, FUZZ_FILE_MOST);
  MUST(got >= 0);
  close(fd);
  *n = (size_t)got;
  return bytes;
}

static inline void fuzz_put(const char *name, const uint8_t *bytes, size_t n) {
  char path[300];
  fuzz_path(path, sizeof path, name);
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  MUST(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
  close(fd);
}

static inline void fuzz_drop(const char *name) {
  char path[300];
  fuzz_path(path, sizeof path, name);
  (void)unlink(path);
}

/* How many events are read; each is right, or an error is told. */
static inline unsigned fuzz_read(rille_store *s) {
  rille_reader *reader = NULL;
  rille_event event;
  unsigned n = 0;
  if (rille_store_read(s, NULL, &reader, NULL) != 0) return 0;
  while (rille_reader_next(reader, &event, NULL) == 1) {
    char stream[16];
    snprintf(stream, sizeof stream, "s-%u", n % 25);
    MUST(event.position == ++n && event.data.length == 1 && event.data.bytes[0] == 7);
    MUST(event.stream.length == strlen(stream) &&
         memcmp(event.stream.bytes, stream, event.stream.length) == 0);
  }
  rille_reader_end(reader);
  return n;
}

#endif
