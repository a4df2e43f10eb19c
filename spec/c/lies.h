/* lies.h: a store that has everything in it, its files as bytes, and what it answers.
**
** It is made once, and is put back into the same folder for each lie: the file `store` keeps its
** inode, so that no state is taken for a copy. An answer is one number made of all that was
** said, or an error; of a log that was cut one only knows which events were there. */
#ifndef RILLE_LIES_H
#define RILLE_LIES_H

#include "processes.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#define IMAGE_FILES 24
#define STREAMS_MANY 150 /* so many that tables of the index have branches */
#define ANSWERS_MOST 700
#define EVENTS_MOST 700
#define IDS_MOST 24

/* ---- Files as bytes ---- */

struct file {
  char name[48]; /* from the store's folder */
  uint8_t *bytes;
  size_t n;
};

struct image {
  struct file files[IMAGE_FILES];
  size_t count;
};

static inline struct file *image_find(struct image *image, const char *name) {
  for (size_t i = 0; i < image->count; i++)
    if (strcmp(image->files[i].name, name) == 0) return &image->files[i];
  return NULL;
}

static inline struct file file_copy(const struct file *f) {
  struct file copy = *f;
  copy.bytes = malloc(f->n + 1);
  if (!copy.bytes) abort();
  memcpy(copy.bytes, f->bytes, f->n);
  return copy;
}

static inline void image_add(struct image *image, const char *root, const char *name) {
  char path[640];
  struct stat s;
  if (image->count == IMAGE_FILES) abort();
  struct file *f = &image->files[image->count];
  snprintf(path, sizeof path, "%s/%s", root, name);
  if (strlen(name) >= sizeof f->name) abort();
  memcpy(f->name, name, strlen(name) + 1);
  int fd = open(path, O_RDONLY);
  if (fd < 0 || fstat(fd, &s) < 0) abort();
  f->n = (size_t)s.st_size;
  f->bytes = malloc(f->n + 1);
  if (!f->bytes || read(fd, f->bytes, f->n) != (ssize_t)f->n) abort();
  close(fd);
  image->count++;
}

/* Calls `each` with the names of the files in a folder of the store. */
static inline void for_each_file(const char *root, const char *sub,
                                 void (*each)(void *context, const char *name), void *context) {
  char path[640], name[300];
  snprintf(path, sizeof path, "%s/%s", root, sub);
  DIR *dir = opendir(path);
  if (!dir) return;
  for (struct dirent *d; (d = readdir(dir)) != NULL;) {
    if (d->d_name[0] == '.') continue;
    snprintf(name, sizeof name, "%s%s%s", sub, *sub ? "/" : "", d->d_name);
    snprintf(path, sizeof path, "%s/%s", root, name);
    struct stat s;
    if (stat(path, &s) == 0 && S_ISREG(s.st_mode)) each(context, name);
  }
  closedir(dir);
}

struct taking {
  struct image *image;
  const char *root;
};
static inline void take_file(void *context, const char *name) {
  struct taking *t = context;
  image_add(t->image, t->root, name);
}

static inline int by_name(const void *a, const void *b) {
  return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

static inline void image_take(struct image *image, const char *root) {
  static const char *const folders[] = {"", "log", "index"};
  struct taking t = {image, root};
  *image = (struct image){.count = 0};
  for (int i = 0; i < 3; i++) for_each_file(root, folders[i], take_file, &t);
  qsort(image->files, image->count, sizeof *image->files, by_name);
}

static inline void drop_file(void *context, const char *name) {
  char path[640];
  if (strcmp(name, "store") == 0) return; /* its inode is what it is */
  snprintf(path, sizeof path, "%s/%s", (const char *)context, name);
  unlink(path);
}

static inline void file_put(const struct file *f, const char *root) {
  char path[640];
  snprintf(path, sizeof path, "%s/%s", root, f->name);
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  if (fd < 0 || write(fd, f->bytes, f->n) != (ssize_t)f->n) abort();
  close(fd);
}

static inline void image_put(const struct image *image, const char *root) {
  static const char *const folders[] = {"", "log", "index", "index.new"};
  char path[640];
  for (int i = 0; i < 4; i++) {
    for_each_file(root, folders[i], drop_file, (void *)(uintptr_t)root);
    snprintf(path, sizeof path, "%s/%s", root, folders[i]);
    if (i == 3) rmdir(path);
    else mkdir(path, 0777);
  }
  for (size_t i = 0; i < image->count; i++) file_put(&image->files[i], root);
}

static inline void image_without(struct image *image, const char *name) {
  size_t n = 0;
  for (size_t i = 0; i < image->count; i++)
    if (strcmp(image->files[i].name, name) != 0) image->files[n++] = image->files[i];
  image->count = n;
}

/* The zeros that are prepared behind the last frame, but for some. */
static inline void cut_zeros(struct file *f) {
  size_t n = f->n;
  while (n && f->bytes[n - 1] == 0) n--;
  n = (n + 4096 + 7) & ~(size_t)7;
  if (n < f->n) f->n = n;
}

/* ---- Making it ---- */

static inline rille_text text_of(const char *s) { return rille_text_of(s); }

struct known {
  char ids[IDS_MOST][RILLE_TRANSACTION_BYTES]; /* transactions */
  size_t count;
};

static inline const char *remember(struct known *k, const char *id) {
  if (k->count == IDS_MOST) abort();
  return strcpy(k->ids[k->count++], id);
}

static inline void done_well(int result, const rille_error *e) {
  if (!CHECK(result >= 0)) printf("       %s\n", e->message);
}

static inline void write_event(rille_store *s, const char *stream, const rille_event_input *event,
                               const rille_mark_move *mark) {
  rille_error e = {0};
  rille_part part = {.stream = text_of(stream), .events = event, .event_count = 1};
  rille_append a = {.size = sizeof a, .parts = &part, .part_count = 1};
  if (mark) a.mark = *mark;
  done_well(rille_store_append(s, &a, NULL, &e), &e);
}

/* Events of all shapes: with and without data, meta, tags, ids; more than one in a frame. */
static inline void write_plain(rille_store *s, unsigned from, unsigned to) {
  static const char filler[3000] = "some data";
  for (unsigned i = from; i < to; i++) {
    char stream[32], id[16], tag[16];
    snprintf(stream, sizeof stream, "many-%u", i % STREAMS_MANY);
    snprintf(id, sizeof id, "id-%u", i);
    snprintf(tag, sizeof tag, "tag-%u", i % 7);
    rille_text tags[] = {text_of(tag), text_of("all")};
    rille_event_input event = {.type = text_of(i % 3 ? "Happened" : "Other"),
                               .data = {filler, i % 20 == 3 ? sizeof filler : i % 11},
                               .meta = {filler, i % 5},
                               .id = i % 4 ? (rille_text){0} : text_of(id),
                               .tags = tags,
                               .tag_count = i % 3};
    rille_mark_move mark = {text_of("mark"), i / 10, i / 10 + 1};
    write_event(s, stream, &event, i % 10 == 0 ? &mark : NULL);
  }
}

static inline void keep_value(rille_store *s, const char *key, const void *bytes, size_t n) {
  rille_error e = {0};
  rille_kept_put put = {.key = text_of(key), .value = {bytes, n}};
  rille_kept_write w = {.size = sizeof w, .puts = &put, .put_count = 1};
  done_well(rille_store_kept_write(s, &w, &e), &e);
}

/* What scripts keep: states, a mark, rungs; small, and in pages of their own. */
static inline void keep_some(rille_store *s, unsigned n) {
  static char bytes[9000];
  memset(bytes, 'k', sizeof bytes);
  for (unsigned i = 0; i < n; i++) {
    char key[48];
    snprintf(key, sizeof key, "%s-%u", i % 3 ? "state" : "rung", i);
    keep_value(s, key, bytes, i == 7 ? sizeof bytes : i == 8 ? 5000 : 8 + i % 60);
  }
}

static inline void promise_in(rille_store *s, const char *id, const char *home,
                              const char *stream) {
  rille_error e = {0};
  rille_prepared done;
  rille_text tags[] = {text_of("promised")}, types[] = {text_of("Never")};
  rille_event_input event = {.type = text_of("Kept"),
                             .data = {"\x01\x02\x03", 3},
                             .id = text_of(stream),
                             .tags = tags,
                             .tag_count = 1};
  rille_item item = {.types = types, .type_count = 1, .stream = text_of(stream)};
  rille_query unless = {.size = sizeof unless, .items = &item, .item_count = 1};
  rille_part part = {.stream = text_of(stream), .events = &event, .event_count = 1};
  rille_append work = {.size = sizeof work, .parts = &part, .part_count = 1, .unless = &unless};
  rille_prepare p = {.size = sizeof p,
                     .id = text_of(id),
                     .name = text_of("there"),
                     .home_kind = text_of("store"),
                     .home_path = text_of(home),
                     .coordinator = text_of("tester"),
                     .client = text_of("client"),
                     .detail = text_of("detail"),
                     .work = &work};
  done_well(rille_store_prepare(s, &p, &done, &e), &e);
}

static inline void decide_at(rille_store *home, const char *id, int outcome, const char *client) {
  rille_error e = {0};
  rille_decided done;
  rille_event_input event = {.type = text_of("Decided"), .data = {"\x05", 1}};
  rille_part part = {.stream = text_of("home-1"), .events = &event, .event_count = 1};
  rille_append work = {.size = sizeof work, .parts = &part, .part_count = 1};
  rille_text members[] = {text_of("there"), text_of("elsewhere")};
  bool commit = outcome == RILLE_OUTCOME_COMMITTED;
  rille_decide d = {.size = sizeof d,
                    .id = text_of(id),
                    .client = text_of(client),
                    .outcome = outcome,
                    .members = members,
                    .member_count = commit ? 2 : 0,
                    .detail = text_of("what was decided"),
                    .work = commit ? &work : NULL};
  done_well(rille_store_decide(home, &d, &done, &e), &e);
}

/* As home: decided, ended, forgotten, aborted, pending; epochs that are closed and open. */
static inline rille_instance *be_home(rille_store *s, int round, struct known *k) {
  rille_error e = {0};
  rille_begun t = {.home_end = 0};
  rille_instance *i = NULL;
  done_well(rille_instance_open(s, text_of("tester"), &i, &e), &e);
  for (int n = 0; n < 4 && i; n++) {
    char client[24];
    snprintf(client, sizeof client, "client-%d", round * 10 + n);
    done_well(rille_instance_begin(i, &t, &e), &e);
    if (n < 3)
      decide_at(s, remember(k, t.id), n == 1 ? RILLE_OUTCOME_ABORTED : RILLE_OUTCOME_COMMITTED,
                client);
    else remember(k, t.id);
    if (n == 0) done_well(rille_store_end(s, text_of(t.id), &e), &e);
  }
  done_well(rille_store_forget(s, INT64_MAX, &e), &e);
  return i;
}

/* As a participant: committed, aborted, by hand, contradicted, in doubt, refused beforehand. */
static inline void be_there(rille_store *s, rille_store *home, const char *home_path, int round,
                            struct known *k) {
  rille_error e = {0};
  rille_begun t = {.home_end = 0};
  rille_instance *i = NULL;
  done_well(rille_instance_open(home, text_of("other"), &i, &e), &e);
  for (int n = 0; n < 6 && i; n++) {
    char stream[16];
    snprintf(stream, sizeof stream, "there-%d", round * 10 + n);
    done_well(rille_instance_begin(i, &t, &e), &e);
    rille_text id = text_of(remember(k, t.id));
    if (n < 5) promise_in(s, t.id, home_path, stream);
    if (n == 0) done_well(rille_store_commit(s, id, NULL, &e), &e);
    if (n == 1 || n == 5) done_well(rille_store_abort(s, id, NULL, &e), &e);
    if (n == 2 || n == 3)
      done_well(rille_store_resolve(s, id, RILLE_OUTCOME_ABORTED, text_of("told to"), &e), &e);
    if (n == 3) CHECK(rille_store_commit(s, id, NULL, &e) == RILLE_ABORTED);
  }
  done_well(rille_instance_close(i, &e), &e);
}

/* ---- What it answers ---- */

struct answers {
  uint64_t all[EVENTS_MOST]; /* of each event, from the first */
  size_t events;
  int ended;                        /* with what the walk over all events ended */
  uint64_t values[ANSWERS_MOST];    /* of each question; an error is 0 */
  size_t count, kept_from, kept_to; /* the questions about what is kept */
  char said[768];                   /* the last error */
};

static inline uint64_t stir(uint64_t h, const void *bytes, size_t n) {
  const uint8_t *p = bytes;
  for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * 0x100000001b3u;
  return (h ^ n ^ h >> 29) * 0x9E3779B97F4A7C15u;
}
static inline uint64_t stir_text(uint64_t h, rille_text t) { return stir(h, t.bytes, t.length); }
static inline uint64_t stir_number(uint64_t h, uint64_t n) { return stir(h, &n, sizeof n); }

static inline uint64_t event_number(const rille_event *v) {
  char room[RILLE_ID_BYTES];
  uint64_t h = stir_number(stir_number(1, v->position), v->version);
  h = stir_number(stir_text(stir_text(h, v->stream), v->type), (uint64_t)v->time_us);
  h = stir_text(stir_text(stir_text(h, v->data), v->meta), rille_event_id(v, room));
  for (size_t i = 0; i < v->tag_count; i++) h = stir_text(h, rille_event_tag(v, i));
  return h;
}

static inline void answer(struct answers *a, int result, uint64_t h, const rille_error *e) {
  if (a->count == ANSWERS_MOST) abort();
  if (result < 0 && result != RILLE_NOTFOUND) snprintf(a->said, sizeof a->said, "%s", e->message);
  a->values[a->count++] =
      result < 0 && result != RILLE_NOTFOUND ? 0 : stir_number(h, (uint64_t)result) | 1;
}

/* Reads all events of a query; those of `a->all` singly. */
static inline void ask_events(rille_store *s, struct answers *a, rille_query *q, bool all) {
  rille_reader *reader = NULL;
  rille_event event;
  rille_error e = {0};
  uint64_t h = 0;
  q->size = sizeof *q;
  int result = rille_store_read(s, q, &reader, &e);
  while (!result && (result = rille_reader_next(reader, &event, &e)) == 1) {
    h = stir_number(h, event_number(&event));
    if (all && a->events < EVENTS_MOST) a->all[a->events++] = event_number(&event);
    result = 0;
  }
  rille_reader_end(reader);
  if (all) a->ended = result;
  answer(a, result, h, &e);
}

static inline void ask_streams(rille_store *s, struct answers *a) {
  static const char *const few[] = {"home-1", "there-0", "there-10", "there-3",
                                    "cut",    "gone",    "never"};
  for (unsigned i = 0; i < 40 + sizeof few / sizeof *few; i++) {
    char name[32];
    uint64_t version = 0;
    rille_error e = {0};
    snprintf(name, sizeof name, "many-%u", i * STREAMS_MANY / 40);
    if (i >= 40) snprintf(name, sizeof name, "%s", few[i - 40]);
    int result = rille_store_version(s, text_of(name), &version, &e);
    answer(a, result, version, &e);
    rille_query q = {.stream = text_of(name), .reverse = i % 2};
    ask_events(s, a, &q, false);
  }
}

static inline void ask_chains(rille_store *s, struct answers *a) {
  static const char *const types[] = {"Other", "Kept", "Decided", "Never"};
  static const char *const tags[] = {"tag-3", "promised", "none"};
  for (int i = 0; i < 4; i++) {
    rille_text type = text_of(types[i]);
    rille_item item = {.types = &type, .type_count = 1};
    rille_query q = {.items = &item, .item_count = 1, .reverse = i == 1};
    ask_events(s, a, &q, false);
  }
  for (int i = 0; i < 3; i++) {
    rille_text tag = text_of(tags[i]);
    rille_item item = {.tags = &tag, .tag_count = 1};
    rille_query q = {.items = &item, .item_count = 1};
    ask_events(s, a, &q, false);
  }
  for (uint64_t after = 0; after < 290; after += 29) { /* the same questions, whatever was read */
    rille_query q = {.after = after, .limit = 2};
    ask_events(s, a, &q, false);
  }
}

static inline void ask_marks(rille_store *s, struct answers *a) {
  rille_mark_found found = {.name_length = 0};
  rille_error e = {0};
  uint64_t position = 0, h = 0;
  int result = rille_store_mark(s, text_of("mark"), &position, &e);
  answer(a, result, position, &e);
  while ((result = rille_store_mark_next(s, (rille_text){found.name, found.name_length}, &found,
                                         &e)) == 0)
    h = stir_number(stir(h, found.name, found.name_length), found.position);
  answer(a, result, h, &e);
}

static inline void ask_kept(rille_store *s, struct answers *a) {
  static char room[16384];
  rille_kept kept = {.room = room, .room_bytes = sizeof room};
  rille_error e = {0};
  uint64_t h = 0;
  int result;
  for (int i = 0; i < 20; i++) {
    char key[48];
    snprintf(key, sizeof key, "%s-%d", i % 3 ? "state" : "rung", i);
    result = rille_store_kept_get(s, text_of(key), &kept, &e);
    answer(a, result, result ? 0 : stir(1, room, kept.length), &e);
  }
  kept.key_length = 0;
  while ((result = rille_store_kept_next(s, (rille_text){kept.key, kept.key_length},
                                         (rille_text){0}, &kept, &e)) == 0)
    h = stir(stir(h, kept.key, kept.key_length), room, kept.length);
  answer(a, result, h, &e);
}

static inline uint64_t doubts_number(const rille_doubts *d) {
  uint64_t h = d->count;
  for (size_t i = 0; i < d->count; i++) {
    const rille_doubt *t = &d->list[i];
    const rille_text texts[] = {t->id,     t->name,      t->coordinator,   t->client,
                                t->detail, t->home_kind, t->home_relative, t->home_path};
    for (size_t k = 0; k < 8; k++) h = stir_text(h, texts[k]);
    h = stir_number(h, (uint64_t)(t->by_hand | t->contradicted << 1 | t->restored << 2));
  }
  return h;
}

static inline void ask_transactions(rille_store *s, const struct known *k, struct answers *a) {
  rille_doubts doubts;
  rille_error e = {0};
  int result;
  for (size_t i = 0; i < k->count; i++) {
    char detail[256];
    rille_told told = {.room = detail, .room_bytes = sizeof detail};
    result = rille_store_outcome(s, text_of(k->ids[i]), &told, &e);
    uint64_t h = stir_number((uint64_t)told.outcome, (uint64_t)told.ended);
    answer(a, result, stir_number(stir_number(h, told.first), told.last), &e);
  }
  for (int i = 0; i < 4; i++) {
    char client[24], detail[256];
    rille_told told = {.room = detail, .room_bytes = sizeof detail};
    snprintf(client, sizeof client, "client-%d", i);
    result = rille_store_outcome(s, text_of(client), &told, &e);
    answer(a, result, stir_number(stir(1, told.id, strlen(told.id)), (uint64_t)told.outcome), &e);
  }
  result = rille_store_indoubt(s, &doubts, &e);
  answer(a, result, result ? 0 : doubts_number(&doubts), &e);
  rille_doubts_free(&doubts);
  result = rille_store_pending(s, &doubts, &e);
  answer(a, result, result ? 0 : doubts_number(&doubts), &e);
  rille_doubts_free(&doubts);
}

static inline void ask_everything(rille_store *s, const struct known *k, struct answers *a) {
  rille_query forward = {.after = 0}, backward = {.reverse = 1};
  *a = (struct answers){.count = 0};
  ask_events(s, a, &forward, true);
  ask_events(s, a, &backward, false);
  ask_streams(s, a);
  ask_chains(s, a);
  ask_marks(s, a);
  a->kept_from = a->count;
  ask_kept(s, a);
  a->kept_to = a->count;
  ask_transactions(s, k, a);
}

#endif
