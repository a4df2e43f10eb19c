/* segment.c: the files of the log. */
#include "segment.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "error.h"

#define NAME_DIGITS 16
#define NAME_BYTES (NAME_DIGITS + 5) /* ".seg" and NUL */
#define SUFFIX ".seg"
#define NEW ".new"
#define TORN ".torn"

static bool path_of(char *path, const char *folder, uint64_t first, const char *suffix) {
  char name[64];
  snprintf(name, sizeof name, "%016llx%s", (unsigned long long)first, suffix);
  return system_join(path, SYSTEM_PATH_BYTES, folder, name);
}

bool segments_path(char path[SYSTEM_PATH_BYTES], const char *folder, uint64_t first) {
  return path_of(path, folder, first, SUFFIX);
}

bool segments_new_path(char path[SYSTEM_PATH_BYTES], const char *folder, uint64_t first) {
  return path_of(path, folder, first, SUFFIX NEW);
}

bool segments_torn_path(char path[SYSTEM_PATH_BYTES], const char *folder, uint64_t first) {
  return path_of(path, folder, first, TORN);
}

static int too_long(const char *folder, rille_error *e) {
  return error_set(e, RILLE_INVALID, "the path %.200s is too long", folder);
}

/* ---- Opening and closing ---- */

/* A file that could not be flushed stays: others may have it open, and a power cut might
** bring it back. */
static int create_file(const char *folder, uint64_t first, int *fd, rille_error *e) {
  char path[SYSTEM_PATH_BYTES];
  if (!path_of(path, folder, first, SUFFIX)) return too_long(folder, e);
  int number = system_open(path, SYSTEM_CREATE, fd);
  if (number) return error_system(e, number, "can't create %s", path);
  if ((number = system_flush(*fd)) == 0) number = system_flush_folder(folder);
  if (number == 0) return 0;
  system_close(*fd);
  *fd = -1;
  return error_system(e, number, "can't flush %s", path);
}

int segments_create(const char *folder, rille_error *e) {
  int fd;
  int failed = create_file(folder, 0, &fd, e);
  if (!failed) system_close(fd);
  return failed;
}

static bool parse_name(const char *name, uint64_t *first) {
  uint64_t v = 0;
  if (strlen(name) != NAME_BYTES - 1 || strcmp(name + NAME_DIGITS, SUFFIX) != 0) return false;
  for (int i = 0; i < NAME_DIGITS; i++) {
    const char *digits = "0123456789abcdef", *d = strchr(digits, name[i]);
    if (!d) return false;
    v = v << 4 | (uint64_t)(d - digits);
  }
  *first = v;
  return true;
}

/* Adds a segment at its place, unless it is there; the list is nearly always in order
** already. */
static int insert(struct segments *s, uint64_t first, int fd) {
  for (size_t i = s->count; i > 0 && s->list[i - 1].first >= first; i--)
    if (s->list[i - 1].first == first) return 0;
  if (s->count == s->capacity) {
    size_t capacity = s->capacity ? 2 * s->capacity : 16;
    struct segment *list =
        memory_resize(&s->memory, s->list, s->capacity * sizeof *list, capacity * sizeof *list);
    if (!list) return ENOMEM;
    s->list = list;
    s->capacity = capacity;
  }
  size_t i = s->count++;
  for (; i > 0 && s->list[i - 1].first > first; i--) s->list[i] = s->list[i - 1];
  s->list[i] = (struct segment){.first = first, .fd = fd};
  return 0;
}

static int insert_named(void *context, const char *name) {
  uint64_t first;
  return parse_name(name, &first) ? insert(context, first, -1) : 0;
}

static void close_file(struct segments *s, size_t i) {
  if (s->list[i].fd < 0) return;
  map_close(s->list[i].map);
  system_close(s->list[i].fd);
  packed_close(s->list[i].packed);
  s->list[i].fd = -1;
  s->list[i].packed = NULL;
  s->list[i].map = NULL;
  s->list[i].unmapped = false;
  s->open--;
}

/* A file that grows is never packed: who deleted its successor has deleted the log's end. */
static int look_inside(struct segments *s, size_t i, rille_error *e) {
  struct segment *file = &s->list[i];
  int failed = packed_open(&file->packed, file->fd, file->first, s->salt, &s->memory, e);
  if (failed || !file->packed || i + 1 < s->count) return failed;
  int number = system_list(s->folder, insert_named, s); /* it may have got one just now */
  file = &s->list[i];
  if (!number && i + 1 < s->count) return 0;
  return error_corrupt(e, file->first + file->packed->bytes,
                       "the log file behind %016llx.seg is missing",
                       (unsigned long long)file->first);
}

/* A file that was closed for others may be another when it is opened again, before anybody has
** called segments_reopen. */
static void note_kept(struct segments *s, size_t i) {
  struct segment *file = &s->list[i];
  uint64_t kept = file->packed ? packed_kept(file->packed) : 0;
  if (file->looked && kept != file->kept) atomic_store(&s->form_known, false);
  file->kept = kept;
  file->looked = true;
}

/* For one more open file. */
static void make_room(struct segments *s) {
  size_t oldest = s->count;
  if (s->open < s->open_most) return;
  for (size_t i = 0; i + 1 < s->count; i++)
    if (s->list[i].fd >= 0 && (oldest == s->count || s->list[i].used < s->list[oldest].used))
      oldest = i;
  if (oldest < s->count) close_file(s, oldest);
}

/* Opens a file of the list, at the cost of the one that was opened longest ago. */
static int open_file(struct segments *s, size_t i, rille_error *e) {
  char path[SYSTEM_PATH_BYTES];
  int failed = segments_check_place(s, e);
  if (failed) return failed;
  if (!path_of(path, s->folder, s->list[i].first, SUFFIX)) return too_long(s->folder, e);
  make_room(s);
  bool last = i + 1 == s->count;
  int number = system_open(path, last && !s->readonly ? SYSTEM_WRITE : SYSTEM_READ, &s->list[i].fd);
  if (number) s->list[i].fd = -1;
  if (number) return error_system(e, number, "can't open %s", path);
  s->list[i].used = ++s->clock;
  s->open++;
  failed = look_inside(s, i, e);
  if (failed) close_file(s, i);
  else note_kept(s, i);
  return failed;
}

/* Opens the last file and sees where it ends. */
static int measure(struct segments *s, rille_error *e) {
  uint64_t bytes;
  size_t i;
  do {
    i = s->count - 1;
    int failed = s->list[i].fd >= 0 ? 0 : open_file(s, i, e);
    if (failed) return failed;
  } while (i + 1 < s->count); /* opening it has found a later one */
  int number = system_size(s->list[i].fd, &bytes);
  if (number) return error_system(e, number, "can't tell the size of the last segment");
  s->frontier = s->list[i].first + bytes;
  return 0;
}

static int load(struct segments *s, rille_error *e) {
  int number = system_identity(s->folder, &s->place);
  if (!number) number = system_list(s->folder, insert_named, s);
  if (number == ENOMEM) return error_memory(e);
  if (number) return error_system(e, number, "can't read the folder %s", s->folder);
  if (s->count == 0 || s->list[0].first != 0)
    return error_corrupt(e, 0, "the first segment is missing: there is no %s/0000000000000000.seg",
                         s->folder);
  return measure(s, e);
}

int segments_open(struct segments *s, const struct segments_use *use, const struct memory *memory,
                  rille_error *e) {
  *s = (struct segments){.memory = *memory, .readonly = use->readonly, .salt = use->salt};
  s->open_most = (size_t)min_u64(SEGMENT_OPEN_FILES_MOST,
                                 max_u64(system_files_limit() / 4, SEGMENT_OPEN_FILES_LEAST));
  if (pthread_rwlock_init(&s->lock, NULL) != 0) return error_memory(e);
  s->live = true;
  s->folder = memory_copy_text(memory, use->folder);
  s->zeros = memory_get_zeroed(memory, SEGMENT_ZERO_AHEAD_BYTES);
  int failed = s->folder && s->zeros ? load(s, e) : error_memory(e);
  if (failed) segments_close(s);
  return failed;
}

int segments_check_place(const struct segments *s, rille_error *e) {
  struct system_identity now;
  int number = system_identity(s->folder, &now);
  if (number) return error_system(e, number, "can't find %s, which was opened", s->folder);
  if (now.device == s->place.device && now.inode == s->place.inode) return 0;
  return error_system(e, ESTALE,
                      "%s is another folder than was opened: a store must be closed before it is "
                      "moved or replaced",
                      s->folder);
}

void segments_close(struct segments *s) {
  if (!s->live) return;
  for (size_t i = 0; i < s->count; i++) close_file(s, i);
  memory_free(&s->memory, s->list, s->capacity * sizeof *s->list);
  memory_free(&s->memory, s->zeros, SEGMENT_ZERO_AHEAD_BYTES);
  memory_free_text(&s->memory, s->folder);
  pthread_rwlock_destroy(&s->lock);
  *s = (struct segments){0};
}

int segments_refuse_fork(rille_error *e) {
  return error_set(e, RILLE_CLOSED,
                   "the store was opened before this process was forked: open it again here");
}

void segments_forget(struct segments *s) {
  s->forgotten = true;
  for (size_t i = 0; i < s->count; i++) {
    if (s->list[i].fd < 0) continue;
    map_forget(s->list[i].map);
    system_close(s->list[i].fd);
  }
}

int segments_refresh(struct segments *s, rille_error *e) {
  int moved = segments_check_place(s, e);
  if (moved) return moved;
  pthread_rwlock_wrlock(&s->lock);
  int number = system_list(s->folder, insert_named, s);
  int failed = number == ENOMEM ? error_memory(e)
               : number         ? error_system(e, number, "can't read the folder %s", s->folder)
                                : measure(s, e);
  pthread_rwlock_unlock(&s->lock);
  return failed;
}

int segments_measure(struct segments *s, rille_error *e) {
  pthread_rwlock_wrlock(&s->lock);
  int failed = measure(s, e);
  pthread_rwlock_unlock(&s->lock);
  return failed;
}

int segments_flush_folder(struct segments *s, rille_error *e) {
  int number = system_flush_folder(s->folder);
  return number ? error_system(e, number, "can't flush %s", s->folder) : 0;
}

/* ---- Replacing ---- */

void segments_reopen(struct segments *s) {
  pthread_rwlock_wrlock(&s->lock);
  for (size_t i = 0; i + 1 < s->count; i++) {
    close_file(s, i);
    s->list[i].looked = false;
  }
  atomic_store(&s->form_known, false);
  pthread_rwlock_unlock(&s->lock);
}

int segments_replace(struct segments *s, uint64_t first, rille_error *e) {
  char path[SYSTEM_PATH_BYTES], fresh[SYSTEM_PATH_BYTES];
  if (!segments_path(path, s->folder, first) || !segments_new_path(fresh, s->folder, first))
    return too_long(s->folder, e);
  int number = system_rename(fresh, path);
  if (!number) number = system_flush_folder(s->folder);
  return number ? error_system(e, number, "can't replace %s", path) : 0;
}

struct sweep {
  const char *folder;
  bool torn;
};

static int sweep_named(void *context, const char *name) {
  const struct sweep *w = context;
  char path[SYSTEM_PATH_BYTES];
  size_t n = strlen(name);
  bool fresh = n == NAME_BYTES - 1 + strlen(NEW) && strcmp(name + NAME_DIGITS, SUFFIX NEW) == 0;
  bool torn = w->torn && n == NAME_DIGITS + strlen(TORN) && strcmp(name + NAME_DIGITS, TORN) == 0;
  if (!fresh && !torn) return 0;
  return system_join(path, sizeof path, w->folder, name) ? system_remove(path) : ENAMETOOLONG;
}

int segments_sweep(struct segments *s, bool torn, rille_error *e) {
  struct sweep w = {s->folder, torn};
  int moved = segments_check_place(s, e);
  if (moved) return moved;
  int number = system_list(s->folder, sweep_named, &w);
  if (!number && torn) number = system_flush_folder(s->folder); /* or the power brings it back */
  return number ? error_system(e, number, "can't remove what is left in %s", s->folder) : 0;
}

/* ---- Reading ---- */

/* The last segment that starts at or below the address. */
static size_t find(const struct segments *s, uint64_t address) {
  size_t low = 0, high = s->count;
  if (s->list[s->count - 1].first <= address) return s->count - 1;
  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    if (s->list[middle].first <= address) low = middle;
    else high = middle;
  }
  return low;
}

/* Takes the lock for reading, with the file at `address` open. */
static int hold(struct segments *s, uint64_t address, size_t *found, rille_error *e) {
  if (s->forgotten) return segments_refuse_fork(e); /* its lock may be held by nobody here */
  for (;;) {
    pthread_rwlock_rdlock(&s->lock);
    *found = find(s, address);
    if (s->list[*found].fd >= 0) return 0;
    pthread_rwlock_unlock(&s->lock);
    pthread_rwlock_wrlock(&s->lock);
    size_t i = find(s, address);
    int failed = s->list[i].fd >= 0 ? 0 : open_file(s, i, e);
    pthread_rwlock_unlock(&s->lock);
    if (failed) return failed;
  }
}

static void add_to_form(uint64_t *form, uint64_t number) {
  if (*form == 0) *form = UINT64_C(14695981039346656037); /* FNV-1a, eight bytes at a time */
  *form = (*form ^ number) * UINT64_C(1099511628211);
}

/* With the lock, to change the list. The last file is never packed. */
static int sum_up(struct segments *s, rille_error *e) {
  uint64_t form = 0;
  for (size_t i = 0; i + 1 < s->count; i++) {
    int failed = s->list[i].looked ? 0 : open_file(s, i, e);
    if (failed) return failed;
    if (s->list[i].kept) add_to_form(&form, s->list[i].first);
    if (s->list[i].kept) add_to_form(&form, s->list[i].kept);
  }
  s->form = form;
  atomic_store(&s->form_known, true);
  return 0;
}

int segments_form(struct segments *s, uint64_t *form, rille_error *e) {
  if (!atomic_load(&s->form_known)) {
    pthread_rwlock_wrlock(&s->lock);
    int failed = sum_up(s, e);
    pthread_rwlock_unlock(&s->lock);
    if (failed) return failed;
  }
  *form = s->form;
  return 0;
}

int segments_read(void *context, uint64_t address, void *bytes, size_t n, size_t *got,
                  rille_error *e) {
  struct segments *s = context;
  size_t i;
  int failed = hold(s, address, &i, e);
  if (failed) return failed;
  const struct segment *file = &s->list[i];
  if (i + 1 < s->count) n = (size_t)min_u64(n, s->list[i + 1].first - address);
  int number = file->packed
                   ? packed_read(file->packed, file->fd, address - file->first, bytes, n, got)
                   : system_read(file->fd, address - file->first, bytes, n, got);
  pthread_rwlock_unlock(&s->lock);
  return number ? error_system(e, number, "can't read %016llx.seg at byte %llu of the log",
                               (unsigned long long)file->first, (unsigned long long)address)
                : 0;
}

/* ---- Reading what is in memory ---- */

void segments_begin_visit(struct segments *s, uint64_t end, struct segments_visit *visit) {
  visit->map.number = atomic_fetch_add(&s->visits, 1) + 1;
  visit->map.time_ms = system_recent_ms();
  visit->end = end;
}

/* Whether the file at i wants to be mapped, as far as the log's address `end` if it grows. */
static bool wants_map(const struct segments *s, size_t i, uint64_t end) {
  const struct segment *file = &s->list[i];
  if (file->packed || file->unmapped) return false;
  if (i + 1 < s->count) end = min_u64(end, s->list[i + 1].first);
  return !file->map || file->map->length < end - file->first;
}

/* A file that grows is mapped for twice what it has now; and none for less than is wanted of it,
** whatever has become of the file, or it would be mapped again each time. */
static void map_file(struct segments *s, size_t i, uint64_t end) {
  struct segment *file = &s->list[i];
  bool last = i + 1 == s->count;
  uint64_t bytes = 0, wanted = (last ? end : s->list[i + 1].first) - file->first;
  bool told = system_size(file->fd, &bytes) == 0;
  if (last) bytes = max_u64(2 * bytes, SEGMENT_MAP_BYTES);
  map_close(file->map);
  file->map = told ? map_open(file->fd, max_u64(bytes, wanted), &s->memory) : NULL;
  file->unmapped = !file->map;
}

/* As hold, with the file mapped as far as an address, if it can be. */
static int hold_mapped(struct segments *s, uint64_t address, uint64_t end, size_t *found,
                       rille_error *e) {
  int failed = hold(s, address, found, e);
  if (failed || !wants_map(s, *found, end)) return failed;
  pthread_rwlock_unlock(&s->lock);
  pthread_rwlock_wrlock(&s->lock);
  size_t i = find(s, address);
  if (s->list[i].fd >= 0 && wants_map(s, i, end)) map_file(s, i, end);
  pthread_rwlock_unlock(&s->lock);
  return hold(s, address, found, e);
}

size_t segments_want(struct segments *s, const struct segments_visit *visit, uint64_t address,
                     void *bytes, size_t n) {
  size_t i, got = 0;
  if (address >= visit->end) return 0;
  n = (size_t)min_u64(n, visit->end - address);
  if (hold_mapped(s, address, address + n, &i, NULL)) return 0; /* the read will report it */
  const struct segment *file = &s->list[i];
  uint64_t offset = address - file->first;
  if (i + 1 < s->count) n = (size_t)min_u64(n, s->list[i + 1].first - address);
  if (file->map) got = map_copy(file->map, &visit->map, offset, bytes, n);
  if (!got && !file->packed && !system_read_cached(file->fd, offset, bytes, n, &got))
    system_will_need(file->fd, offset, n);
  pthread_rwlock_unlock(&s->lock);
  return got;
}

int segments_look(struct segments *s, uint64_t address, bool *packed, uint64_t *stored,
                  rille_error *e) {
  size_t i;
  int failed = hold(s, address, &i, e);
  if (failed) return failed;
  *packed = s->list[i].packed != NULL;
  int number = system_size(s->list[i].fd, stored);
  pthread_rwlock_unlock(&s->lock);
  return number ? error_system(e, number, "can't tell the size of a log file") : 0;
}

uint64_t segments_last_first(struct segments *s) {
  pthread_rwlock_rdlock(&s->lock);
  uint64_t first = s->list[s->count - 1].first;
  pthread_rwlock_unlock(&s->lock);
  return first;
}

static struct repair_segment describe(const struct segments *s, size_t i) {
  bool last = i + 1 == s->count;
  return (struct repair_segment){
      .first = s->list[i].first, .end = last ? s->frontier : s->list[i + 1].first, .last = last};
}

struct repair_segment segments_describe(struct segments *s, uint64_t address) {
  pthread_rwlock_rdlock(&s->lock);
  struct repair_segment segment = describe(s, find(s, address));
  pthread_rwlock_unlock(&s->lock);
  return segment;
}

int segments_walk(struct segments *s, segments_each each, void *context) {
  int result = 0;
  pthread_rwlock_rdlock(&s->lock);
  for (size_t i = 0; i < s->count && !result; i++) {
    struct repair_segment segment = describe(s, i);
    result = each(context, segment.first, segment.end, segment.last);
  }
  pthread_rwlock_unlock(&s->lock);
  return result;
}

/* ---- Writing ---- */

struct segments_last segments_last_file(struct segments *s) {
  pthread_rwlock_rdlock(&s->lock);
  const struct segment *last = &s->list[s->count - 1];
  struct segments_last file = {last->fd, last->first};
  pthread_rwlock_unlock(&s->lock);
  return file;
}

/* How many zeros go behind a frame, if that and what is reserved behind it end at `end`. */
static size_t zeros_behind(const struct segments *s, uint64_t end, size_t n) {
  return end > s->frontier && n <= SEGMENT_SMALL_FRAME_BYTES ? SEGMENT_ZERO_AHEAD_BYTES : 0;
}

int segments_cut(struct segments *s, uint64_t end) {
  struct segments_last last = segments_last_file(s);
  int number = system_truncate(last.fd, end - last.first);
  if (number == 0) s->frontier = end;
  return number;
}

static int write_zeros(struct segments *s, uint64_t from, uint64_t to) {
  struct segments_last last = segments_last_file(s);
  int number = 0;
  while (from < to && !number) {
    size_t put, n = (size_t)min_u64(to - from, SEGMENT_ZERO_AHEAD_BYTES);
    number = system_write(last.fd, from - last.first, s->zeros, n, NULL, 0, &put);
    from += put;
  }
  return number;
}

/* Takes back what a failed write has left of [from, to). What the file had before, it
** keeps, zero again: it may be reserved. */
static int take_back(struct segments *s, uint64_t from, uint64_t to, uint64_t frontier) {
  int number = segments_cut(s, frontier);
  return number ? number : write_zeros(s, from, min_u64(to, frontier));
}

/* Behind the frame that will end at `end`, as far as there are no zeros yet, with `more` where
** there is room. This comes before the frame is written: if it fails, no whole frame was ever in
** the file, and none can come back when the power goes before what was taken back is flushed. */
static int reserve_behind(struct segments *s, uint64_t end, uint64_t reserve, uint64_t more) {
  uint64_t from = max_u64(s->frontier, end);
  if (end + reserve <= s->frontier) return 0;
  int number = write_zeros(s, from, end + reserve + more);
  if (number && more) number = write_zeros(s, from, end + reserve);
  else reserve += more;
  if (number == 0) s->frontier = end + reserve;
  return number;
}

/* A full disk is none that is broken: who appends next takes it back (append.c). Else nobody
** writes any more; and repair may find that the frame is whole. */
static int tell_torn(struct segments *s, int number, rille_error *e) {
  int failed = error_system(e, number,
                            "a write to the log failed, and what it left there can't be taken "
                            "back: close the store in all processes, mend the disk, and open it "
                            "again, which repairs it");
  if (failed == RILLE_FULL) return failed;
  s->torn = number;
  if (e) e->code = RILLE_UNKNOWN;
  return RILLE_UNKNOWN;
}

/* Something that is not rille has cut the last file: who writes behind that hides it. */
static int refuse_cut(const struct segments *s, uint64_t end, rille_error *e) {
  return error_corrupt(e, s->frontier,
                       "the last log file ends at byte %llu of the log, which had come to byte "
                       "%llu: it was made shorter, and nothing more is written to it",
                       (unsigned long long)s->frontier, (unsigned long long)end);
}

int segments_append(struct segments *s, uint64_t end, const void *frame, size_t n, uint64_t reserve,
                    rille_error *e) {
  assert(end % 8 == 0 && n % 8 == 0);
  if (end > s->frontier) return refuse_cut(s, end, e);
  uint64_t frontier = s->frontier;
  size_t put = 0, zeros = zeros_behind(s, end + n + reserve, n);
  struct segments_last last = segments_last_file(s);
  int number = reserve ? reserve_behind(s, end + n, reserve, zeros) : 0;
  if (reserve) zeros = 0;
  if (end + n > frontier || end + n - last.first > s->limit) s->limit = system_size_limit();
  if (!number)
    number =
        system_write_below(s->limit, last.fd, end - last.first, frame, n, s->zeros, zeros, &put);
  if (put >= n) { /* the frame is there, if not all the zeros */
    s->frontier = max_u64(s->frontier, end + put);
    return 0;
  }
  int failed =
      error_system(e, number, "can't write to %016llx.seg", (unsigned long long)last.first);
  if (put == 0 && number == EROFS) return failed; /* there is nothing to take back */
  number = take_back(s, end, end + n, frontier);
  return number ? tell_torn(s, number, e) : failed;
}

int segments_zero(struct segments *s, uint64_t from, uint64_t to, rille_error *e) {
  int number = write_zeros(s, from, min_u64(to, s->frontier));
  return number ? error_system(e, number, "can't zero what a process left that died while writing")
                : 0;
}

/* A reader of this process may have found the new file already, and opened it. */
static void use_last(struct segments *s, int fd) {
  struct segment *last = &s->list[s->count - 1];
  last->used = ++s->clock;
  if (last->fd >= 0) {
    system_close(fd);
    return;
  }
  make_room(s);
  last->fd = fd;
  last->looked = true;
  s->open++;
}

int segments_succeed(struct segments *s, uint64_t end, rille_error *e) {
  int fd, failed = segments_check_place(s, e);
  if (!failed) failed = create_file(s->folder, end, &fd, e);
  if (failed) return failed;
  (void)segments_cut(s, end); /* the zeros behind the end are of no use now, and do no harm */
  pthread_rwlock_wrlock(&s->lock);
  int number = insert(s, end, -1);
  if (number == 0) use_last(s, fd);
  if (number == 0) s->frontier = end;
  pthread_rwlock_unlock(&s->lock);
  if (number == 0) return 0;
  system_close(fd);
  return error_memory(e);
}

void segments_start_writing(struct segments *s, uint64_t from, uint64_t to) {
  struct segments_last last = segments_last_file(s);
  from = max_u64(from, last.first);
  if (from < to) system_start_writing(last.fd, from - last.first, to - from);
}

/* Nobody who wants the list waits for the disk; and while somebody flushes, the last file
** stays the last, and so stays open, because its successor waits for that. */
int segments_flush(struct segments *s, rille_error *e) {
  struct segments_last last = segments_last_file(s);
  int number = system_flush(last.fd);
  return number ? error_system(e, number,
                               "can't flush %016llx.seg: the disk may have lost what "
                               "was written last; close the store and open it again to repair it",
                               (unsigned long long)last.first)
                : 0;
}
