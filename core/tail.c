/* tail.c: the last log file as the disk that repair works on (repair.h), and what of it repair
** cuts off: that stays beside the log. */
#include "segment.h"

#include "error.h"

#define COPY_BYTES ((size_t)64 << 10)

/* A store must open on a full disk; what is cut makes room. */
static int forgive_full(int failed) { return failed == RILLE_FULL ? 0 : failed; }

static int disk_write(void *context, uint64_t address, const void *bytes, size_t n,
                      rille_error *e) {
  struct segments *s = context;
  size_t put;
  struct segments_last last = segments_last_file(s);
  int number = system_write(last.fd, address - last.first, bytes, n, NULL, 0, &put);
  bool in_file = address + put >= s->frontier; /* all that was there before is written */
  if (address + put > s->frontier) s->frontier = address + put; /* else others may change it */
  if (number == 0) return 0;
  int failed = error_system(e, number, "can't rewrite the tail of the log");
  return in_file ? forgive_full(failed) : failed;
}

static int disk_flush(void *context, rille_error *e) { return segments_flush(context, e); }

/* Copies what is behind an address, but for whole blocks of zeros at its end. */
static int copy_tail(struct segments *s, uint64_t address, int to, rille_error *e) {
  uint8_t bytes[COPY_BYTES];
  uint64_t end = 0;
  for (uint64_t at = address; at < s->frontier;) {
    size_t got, put;
    int failed = segments_read(s, at, bytes, sizeof bytes, &got, e);
    if (failed) return failed;
    if (got == 0) break;
    int number = system_write(to, at - address, bytes, got, NULL, 0, &put);
    if (number) return error_system(e, number, "can't save the torn tail");
    uint64_t start = at - address;
    at += got;
    while (got && bytes[got - 1] == 0) got--;
    if (got) end = min_u64(align8(start + got) + KIB, at - address);
  }
  int number = system_truncate(to, end);
  if (!number) number = system_flush(to);
  return number ? error_system(e, number, "can't flush the torn tail's copy") : 0;
}

/* Nothing is lost for good by repair: what is cut stays beside the log. A repair
** that was itself cut short begins again, so an older copy is overwritten. */
static int save_tail(struct segments *s, uint64_t address, rille_error *e) {
  char path[SYSTEM_PATH_BYTES];
  int to;
  if (!segments_torn_path(path, s->folder, address))
    return error_set(e, RILLE_INVALID, "the path %.200s is too long", s->folder);
  system_remove(path);
  int number = system_open(path, SYSTEM_CREATE, &to);
  if (number) return forgive_full(error_system(e, number, "can't create %s", path));
  int failed = copy_tail(s, address, to, e);
  system_close(to);
  if (failed == RILLE_FULL) {
    system_remove(path);
    return 0;
  }
  s->saved = !failed;
  if (!failed && (number = system_flush_folder(s->folder)) != 0)
    failed = error_system(e, number, "can't flush %s", s->folder);
  return failed;
}

static int disk_cut(void *context, uint64_t address, rille_error *e) {
  struct segments *s = context;
  int failed = save_tail(s, address, e);
  if (failed) return failed;
  int number = segments_cut(s, address);
  return number ? error_system(e, number, "can't cut the torn tail of the log") : 0;
}

struct repair_disk segments_disk(struct segments *s) {
  return (struct repair_disk){disk_write, disk_cut, disk_flush, s};
}
