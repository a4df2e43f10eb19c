/* lies_test.c: bytes on the disk that are not what was written, of every class there is, and
** files of another day, another store, another name. A store answers as if nothing had
** happened, or it says that it can't; it never tells an untruth, and ends no process.
**
** Each lie is opened in a child, to read and to write. CASES=n: so many lies a class. */
#define _GNU_SOURCE
#include "lies.h"

#include "checksum.h"
#include "frame.h"

#define REGIONS_MOST 40000
#define CLASSES_MOST 120
#define DAMAGE_BYTES 64u /* of a larger region */

/* ---- States of the store, and what they answer ---- */

enum { CLOSED, CRASHED, STATES };

static struct state {
  const char *name;
  struct image files;
  struct answers truth[2], bare[2]; /* [writing]; bare: the index made anew */
  uint64_t durable;                 /* what frames tell of flushes: below, nothing may be cut */
} states[STATES];

static struct image early, foreign; /* an older day of it; another store made in the same way */
static struct known known, foreign_known;
static struct answers now; /* of the case at hand */
static char root[300];

/* What cases came to, in memory that children share with the parent. */
enum { WHOLE, MENDED, RAISED, CUT, REFUSED, OUTCOMES };
static struct shared {
  unsigned outcomes[OUTCOMES];
  unsigned next; /* case of the class */
  char what[200];
} * shared;

static int open_lie(bool writing, rille_store **store, rille_error *e) {
  rille_options o = {.size = sizeof o, .readonly = !writing, .no_background = 1, .no_create = 1,
                     .segment_bytes = RILLE_SEGMENT_BYTES_LEAST};
  *e = (rille_error){0};
  return rille_store_open(root, &o, store, e);
}

static void ask_truth(struct answers *a, bool writing, const struct known *k) {
  rille_store *s;
  rille_error e;
  if (!CHECK(open_lie(writing, &s, &e) >= 0)) {
    printf("       %s\n", e.message);
    exit(EXIT_FAILURE);
  }
  ask_everything(s, k, a);
  for (size_t i = 0; i < a->count; i++) CHECK(a->values[i] != 0);
  CHECK(rille_store_close(s) == 0);
}

/* ---- Making the states ---- */

static void copy_folder(const char *from, const char *to) {
  char command[700];
  sprintf(command, "cp -r '%s' '%s'", from, to);
  CHECK(system(command) == 0);
}

static rille_store *open_at(const char *path) {
  rille_options o = {.size = sizeof o, .no_background = 1,
                     .segment_bytes = RILLE_SEGMENT_BYTES_LEAST};
  return open_with(path, &o);
}

static void truncate_some(rille_store *s) {
  rille_error e = {0};
  rille_event_input event = {.type = text_of("Happened")};
  for (int i = 0; i < 6; i++) write_event(s, i % 2 ? "cut" : "gone", &event, NULL);
  done_well(rille_store_truncate(s, text_of("cut"), 3, &e), &e);
  done_well(rille_store_delete(s, text_of("gone"), &e), &e);
}

/* Makes it at `root`, by way of a copy, with an older day of it on the way; what a crash of it
** leaves is at `crashed`. */
static void make_store(const char *crashed, struct image *day, struct known *k) {
  char first[300], home_path[300];
  strcpy(first, path_of("first"));
  strcpy(home_path, path_of("home"));
  rille_store *home = open_at(home_path), *s = open_at(first);
  k->count = 0;
  write_plain(s, 0, 130);
  (void)rille_instance_close(be_home(s, 0, k), NULL);
  CHECK(rille_store_close(s) == 0);
  copy_folder(first, root);
  s = open_at(root); /* a copy, and it says so */
  be_there(s, home, home_path, 0, k);
  truncate_some(s);
  keep_some(s, 40);
  CHECK(rille_store_close(s) == 0);
  if (day) image_take(day, root);
  s = open_at(root);
  write_plain(s, 130, 290);
  be_there(s, home, home_path, 1, k);
  keep_some(s, 20);
  rille_instance *alive = be_home(s, 1, k);
  CHECK(rille_store_sync(s, NULL) == 0);
  if (crashed) copy_folder(root, crashed);
  CHECK(rille_instance_close(alive, NULL) == 0);
  CHECK(rille_store_close(s) == 0);
  CHECK(rille_store_close(home) == 0);
  remove_store(home_path);
  remove_store(first);
}

static void cut_all_zeros(struct image *image) {
  for (size_t i = 0; i < image->count; i++)
    if (strncmp(image->files[i].name, "log/", 4) == 0) cut_zeros(&image->files[i]);
}

static void learn_truth(struct state *s) {
  for (int writing = 0; writing < 2; writing++) {
    image_put(&s->files, root);
    ask_truth(&s->truth[writing], writing, &known);
    struct image bare = s->files;
    for (int i = 0; i < 3; i++)
      image_without(&bare, ((const char *[]){"index/data.mdb", "index/lock.mdb", "index/sum"})[i]);
    image_put(&bare, root);
    ask_truth(&s->bare[writing], writing, &known);
  }
}

static void make_states(void) {
  char crashed[300];
  if (states[CLOSED].name) return;
  shared = share(sizeof *shared);
  strcpy(crashed, path_of("crashed"));
  strcpy(root, path_of("foreign"));
  make_store(NULL, NULL, &foreign_known);
  image_take(&foreign, root);
  strcpy(root, path_of("lies"));
  make_store(crashed, &early, &known);
  states[CLOSED].name = "closed";
  states[CRASHED].name = "crashed";
  image_take(&states[CLOSED].files, root);
  image_take(&states[CRASHED].files, crashed);
  image_without(&states[CRASHED].files, "index/lock.mdb"); /* the dead are in it: LMDB makes it anew */
  for (int i = 0; i < STATES; i++) {
    cut_all_zeros(&states[i].files);
    learn_truth(&states[i]);
  }
  printf("       %zu events, %zu answers\n", states[CLOSED].truth[0].events,
         states[CLOSED].truth[0].count);
}

/* ---- Regions: where bytes of a class stand ---- */

struct region {
  const char *class;
  size_t file, at, n;
  uint64_t frame, frame_end; /* in the log */
  bool silent;               /* says nothing: a lie here is none */
};

static struct region regions[REGIONS_MOST];
static size_t region_count;
static const char *classes[CLASSES_MOST];
static size_t class_count;
static size_t mapping; /* the file whose regions are being found */
static uint64_t map_first, map_frame, map_end;

static struct region *region(const char *class, size_t at, size_t n) {
  if (region_count == REGIONS_MOST) abort();
  if (n == 0) return &regions[REGIONS_MOST - 1];
  regions[region_count] = (struct region){class, mapping, at, n, map_frame, map_end, false};
  for (size_t i = 0; i < class_count; i++)
    if (classes[i] == class) return &regions[region_count++];
  if (class_count == CLASSES_MOST) abort();
  classes[class_count++] = class;
  return &regions[region_count++];
}

struct field {
  const char *class;
  unsigned at, n;
};

static void map_fields(const struct field *fields, size_t count, size_t base) {
  for (size_t i = 0; i < count; i++) region(fields[i].class, base + fields[i].at, fields[i].n);
}
#define MAP_FIELDS(fields, base) map_fields(fields, sizeof fields / sizeof *fields, base)

static const struct field frame_fields[] = {
    {"frame: checksum", 0, 4}, {"frame: length", 4, 4},     {"frame: kind", 8, 2},
    {"frame: format", 10, 1},  {"frame: zero", 11, 1},      {"frame: count", 12, 4},
    {"frame: time", 16, 8},    {"frame: position", 24, 8},  {"frame: durable", 32, 8},
    {"frame: prefix", 40, 4},  {"frame: content checksum", 44, 4}};

static const struct field record_fields[] = {
    {"record: checksum", 0, 4},       {"record: length", 4, 4},      {"record: position", 8, 8},
    {"record: time", 16, 8},          {"record: version", 24, 8},    {"record: number in type", 32, 8},
    {"record: data length", 40, 4},   {"record: meta length", 44, 4}, {"record: body checksum", 48, 4},
    {"record: names length", 52, 2},  {"record: stream length", 54, 1}, {"record: type length", 55, 1},
    {"record: id length", 56, 1},     {"record: count of tags", 57, 1}, {"record: flags", 58, 1},
    {"record: zeros", 59, 5}};

static const struct field fact_fields[] = {
    {"fact: kind", 0, 1}, {"fact: length of name", 1, 1}, {"fact: zeros", 2, 2},
    {"fact: length of payload", 4, 4}, {"fact: value", 8, 8}};

static const char *const fact_payloads[] = {
    "fact: of nothing", "fact: mark", "fact: cut", "fact: promise", "fact: commit", "fact: abort",
    "fact: decision", "fact: end", "fact: epoch", "fact: closed", "fact: restored", "fact: watermark",
    "fact: by hand", "fact: contradiction"};

/* Every byte of a prefix belongs to its kind, too: a whole fact is a region of that class. */
static void map_prefix(const uint8_t *bytes, size_t at, size_t n) {
  struct fact f;
  for (size_t used; n && (used = fact_get(bytes + at, n, &f)) != 0; at += used, n -= used) {
    MAP_FIELDS(fact_fields, at);
    region("fact: name", at + 16, f.name.length);
    region(fact_payloads[f.kind], at + 16, used - 16);
  }
}

static size_t map_record(const uint8_t *bytes, size_t at, size_t left, uint64_t salt) {
  struct record r;
  if (record_get(bytes + at, left, map_first + at, salt, &r) != RECORD_OK) abort();
  size_t names = at + RECORD_FIXED_BYTES, body = at + r.head_length;
  MAP_FIELDS(record_fields, at);
  region("record: names", names, r.names_length);
  region("record: numbers in tags", names + r.names_length, 8u * r.tag_count);
  region("record: links", names + r.names_length + 8u * r.tag_count,
         r.head_length - RECORD_FIXED_BYTES - r.names_length - 8u * r.tag_count);
  region("record: data", body, r.data_length);
  region("record: meta", body + r.data_length, r.meta_length);
  size_t used = (size_t)record_body_bytes(&r);
  region("record: padding", body + used, (size_t)align8(used) - used)->silent = true;
  return (size_t)record_bytes(&r);
}

static void map_segment(struct state *s, const struct file *f, uint64_t salt) {
  struct frame frame;
  size_t at = 0;
  map_first = strtoull(f->name + 4, NULL, 16);
  while (at + FRAME_HEADER_BYTES <= f->n &&
         frame_get_header(f->bytes + at, map_first + at, salt, &frame)) {
    map_frame = frame.address;
    map_end = frame_end(&frame);
    s->durable = max_u64(s->durable, frame.durable);
    MAP_FIELDS(frame_fields, at);
    map_prefix(f->bytes, at + FRAME_HEADER_BYTES, frame.prefix);
    size_t in = at + FRAME_HEADER_BYTES + frame.prefix;
    for (uint32_t i = 0; i < frame.count; i++) in += map_record(f->bytes, in, f->n - in, salt);
    at += frame.length;
  }
  map_frame = map_end = 0;
  region("zeros ahead", at, f->n - at)->silent = true;
}

static const struct field store_fields[] = {
    {"store: magic", 0, 8}, {"store: format", 8, 4}, {"store: order", 12, 4}, {"store: uuid", 16, 16},
    {"store: salt", 32, 8}, {"store: created", 40, 8}, {"store: mark", 48, 8}, {"store: zeros", 56, 4},
    {"store: checksum", 60, 4}};

/* ---- The index: LMDB's pages ---- */

#define PAGE 4096u
enum { BRANCH = 1, LEAF = 2, OVERFLOW = 4, META = 8 };

static const struct field meta_fields[] = {
    {"meta page: header", 0, 16},     {"meta page: magic", 16, 8},     {"meta page: sizes", 24, 16},
    {"meta page: free tree", 40, 48}, {"meta page: main tree", 88, 48}, {"meta page: last page", 136, 8},
    {"meta page: transaction", 144, 8}};

static void map_node(const uint8_t *page, size_t at, size_t node, bool leaf) {
  size_t key = get16(page + node + 6), value = node + 8 + key;
  size_t n = get16(page + node) | (size_t)get16(page + node + 2) << 16;
  bool big = leaf && (page[node + 4] & 1), table = leaf && (page[node + 4] & 2);
  region(leaf ? "leaf page: node" : "branch page: node", at + node, 8);
  region(leaf ? "leaf page: key" : "branch page: key", at + node + 8, key);
  if (leaf) region(table ? "leaf page: table" : big ? "leaf page: overflow number" : "leaf page: value",
                   at + value, big ? 8 : n);
}

static void map_page(const uint8_t *page, size_t at) {
  unsigned flags = get16(page + 10), nodes = (get16(page + 12) - 16u) / 2;
  if (flags & META) {
    MAP_FIELDS(meta_fields, at);
  } else if (flags & (BRANCH | LEAF)) {
    region(flags & LEAF ? "leaf page: header" : "branch page: header", at, 16);
    region(flags & LEAF ? "leaf page: pointers" : "branch page: pointers", at + 16, 2 * nodes);
    for (unsigned i = 0; i < nodes; i++) map_node(page, at, get16(page + 16 + 2 * i), flags & LEAF);
  } else if (flags & OVERFLOW) {
    region("overflow page: header", at, 16);
    region("overflow page: value", at + 16, PAGE - 16);
  }
}

static void map_index(const struct file *f) {
  for (size_t at = 0; at + PAGE <= f->n; at += PAGE) map_page(f->bytes + at, at);
}

static void map_state(struct state *s) {
  uint64_t salt = get64(image_find(&s->files, "store")->bytes + 32);
  region_count = class_count = 0;
  s->durable = 0;
  for (mapping = 0; mapping < s->files.count; mapping++) {
    const struct file *f = &s->files.files[mapping];
    map_frame = map_end = 0;
    if (strncmp(f->name, "log/", 4) == 0) map_segment(s, f, salt);
    else if (strcmp(f->name, "store") == 0) MAP_FIELDS(store_fields, 0);
    else if (strcmp(f->name, "control") == 0)
      for (size_t at = 0; at < 1024; at += 8) region("control: words", at, 8)->silent = true;
    else if (strcmp(f->name, "index/sum") == 0) region("sum", 0, f->n);
    else if (strcmp(f->name, "index/lock.mdb") == 0) region("lock file", 0, 4096)->silent = true;
    else if (strcmp(f->name, "index/data.mdb") == 0) map_index(f);
  }
}

/* ---- One lie ---- */

enum { ONE_BIT, SOME_BITS, ZEROS, ONES, NEIGHBOUR, RANDOM, ONE_MORE, MANNERS };
static const char *const manners[] = {"a bit", "some bits", "zeros", "ones", "another's", "anything",
                                      "one more"};

static const struct region *another(const struct region *r) {
  size_t from = random_below((uint32_t)region_count);
  for (size_t i = 0; i < region_count; i++) {
    const struct region *o = &regions[(from + i) % region_count];
    if (o->class == r->class && o != r && o->n >= r->n) return o;
  }
  return r;
}

static void lie_in(const struct image *image, uint8_t *p, size_t n, const struct region *r,
                   unsigned manner) {
  const struct region *o = another(r);
  for (unsigned bits = manner == ONE_BIT ? 1 : 2 + random_below(6); bits && manner <= SOME_BITS; bits--)
    p[random_below((uint32_t)n)] ^= (uint8_t)(1 << random_below(8));
  if (manner == ZEROS || manner == ONES) memset(p, manner == ZEROS ? 0 : 0xff, n);
  if (manner == RANDOM) random_fill(p, n);
  if (manner == NEIGHBOUR) memcpy(p, image->files[o->file].bytes + o->at, min_u64(n, o->n));
  if (manner == ONE_MORE) p[0] = (uint8_t)(p[0] + 1);
}

static void fail(const char *why, const char *detail) {
  printf("       %s: %s (%s)\n", shared->what, why, detail);
  CHECK(!"a lie was believed");
}

struct problems {
  uint64_t from, to;
  bool named;
};
static int look_for(void *context, const rille_problem *p) {
  struct problems *look = context;
  if (p->address >= look->from && p->address <= look->to && p->message[0]) look->named = true;
  return 0;
}

/* Whether what was read are the first events there were. */
static bool are_first(const struct answers *truth) {
  return now.events <= truth->events && memcmp(now.all, truth->all, now.events * sizeof *now.all) == 0;
}

/* Each answer is right or an error. Returns how many are errors. */
static unsigned compare(const struct answers *truth) {
  unsigned errors = 0;
  char where[32];
  if (!are_first(truth)) fail("events that were not written", "all");
  for (size_t i = 0; i < truth->count; i++) {
    errors += now.values[i] == 0;
    snprintf(where, sizeof where, "answer %zu", i);
    if (now.values[i] && now.values[i] != truth->values[i]) fail("a wrong answer", where);
  }
  return errors;
}

/* Whether bytes are as they were; behind them there may be zeros. */
static bool is_same_file(const struct file *f, const struct file *g) {
  bool same = g && g->n >= f->n && memcmp(f->bytes, g->bytes, f->n) == 0;
  for (size_t i = f->n; same && i < g->n; i++) same = g->bytes[i] == 0;
  return same;
}

static bool log_is_unchanged(const struct image *image) {
  struct image is;
  bool same = true;
  image_take(&is, root);
  for (size_t i = 0; i < image->count; i++)
    if (strncmp(image->files[i].name, "log/", 4) == 0)
      same = same && is_same_file(&image->files[i], image_find(&is, image->files[i].name));
  for (size_t i = 0; i < is.count; i++) free(is.files[i].bytes);
  return same;
}

/* Writes on; a stream's next version is right, or refused. */
static void go_on(rille_store *s) {
  static const char *const names[] = {"many-3", "many-149", "home-1", "cut", "fresh"};
  for (int i = 0; i < 5; i++) {
    uint64_t before = 0;
    rille_error e = {0};
    rille_event_input event = {.type = text_of("After")};
    rille_part part = {.stream = text_of(names[i]), .events = &event, .event_count = 1};
    rille_append a = {.size = sizeof a, .parts = &part, .part_count = 1};
    rille_appended done;
    int result = rille_store_version(s, text_of(names[i]), &before, &e);
    if (rille_store_append(s, &a, &done, &e) == 0 && result == 0 && done.version != before + 1)
      fail("a wrong version", names[i]);
  }
}

/* The log that was written on is sound, whatever the index was. */
static void check_log(void) {
  rille_store *s;
  rille_verified v = {0};
  rille_options o = {.size = sizeof o, .no_background = 1, .rebuild = 1};
  rille_verify how = {.size = sizeof how, .problem = show_problem};
  rille_error e = {0};
  if (rille_store_open(root, &o, &s, &e) < 0) {
    fail("not to be opened afterwards", e.message);
    return;
  }
  if (rille_store_verify(s, &how, &v, &e) != 0) fail("what was written afterwards is damaged", e.message);
  (void)rille_store_close(s);
}

/* What the open store says of a lie in the log. */
static int judge_log(rille_store *s, const struct state *st, const struct region *r, bool writing,
                     int opened, const rille_error *why) {
  const struct answers *truth = &st->truth[writing];
  struct problems look = {r->frame, r->frame_end, false};
  rille_verify how = {.size = sizeof how, .problem = look_for, .context = &look};
  bool cut = now.ended == 0 && now.events < truth->events;
  rille_error e = {0};
  if (opened > 0 && strstr(why->message, "made anew")) fail("the index was blamed", why->message);
  if (!are_first(truth)) fail("events that were not written", why->message);
  if (opened > 0 && (cut || now.ended == 0)) { /* it ends before the lie */
    if (writing && r->frame < st->durable) fail("cut before what was flushed", why->message);
    if (writing && rille_store_verify(s, &how, NULL, &e) != 0) fail("cut, and not sound", e.message);
    return CUT;
  }
  (void)compare(truth);
  int verified = rille_store_verify(s, &how, NULL, &e);
  if (now.ended >= 0 && strncmp(r->class, "record", 6) == 0) fail("read over", now.said);
  if (verified != RILLE_REMARK || !look.named) fail("verify does not name it", e.message);
  return RAISED;
}

static int judge_other(const struct state *st, bool writing, int opened, const rille_error *why,
                       bool silent) {
  bool anew = opened > 0 && strstr(why->message, "made anew");
  if (silent && opened > 0 && !strstr(why->message, "was cut")  && !strstr(why->message, "log ends"))
    fail("taken for damage", why->message);
  if (opened > 0 && !anew && !silent) fail("an unexpected remark", why->message);
  unsigned errors = compare(anew ? &st->bare[writing] : &st->truth[writing]);
  if (silent && errors) fail("taken for damage", now.said);
  return errors ? RAISED : anew ? MENDED : WHOLE;
}

static int judge_refused(const struct image *image, const struct region *r, bool writing,
                         const rille_error *e) {
  const char *file = image->files[r->file].name;
  bool of_store = strcmp(file, "store") == 0;
  bool known_code = e->code == RILLE_CORRUPT ||
                    (of_store && (e->code == RILLE_INVALID || e->code == RILLE_UNSUPPORTED)) ||
                    (strncmp(file, "index/", 6) == 0 && strstr(e->message, "index"));
  if (!known_code || !e->message[0] || r->silent) fail("refused with another reason", e->message);
  if (r->frame_end && (e->address < r->frame || e->address > r->frame_end))
    fail("refused for another place", e->message);
  if (r->frame_end && !writing) fail("not to be read at all", e->message);
  if (writing && !log_is_unchanged(image)) fail("refused, and changed", e->message);
  return REFUSED;
}

static int judge(const struct state *st, const struct image *image, const struct region *r,
                 bool writing) {
  rille_store *s = NULL;
  rille_error e;
  image_put(image, root);
  int opened = open_lie(writing, &s, &e), outcome;
  if (opened < 0) return judge_refused(image, r, writing, &e);
  ask_everything(s, &known, &now);
  if (r->frame_end && !r->silent) outcome = judge_log(s, st, r, writing, opened, &e);
  else outcome = judge_other(st, writing, opened, &e, r->silent);
  if (writing) go_on(s);
  (void)rille_store_close(s);
  if (writing && !(r->frame_end && !r->silent) && one_in(4)) check_log();
  return outcome;
}

static const struct region *choose(const char *class) {
  size_t from = random_below((uint32_t)region_count);
  while (regions[from % region_count].class != class) from++;
  return &regions[from % region_count];
}

static void try_lie(struct state *st, const char *class, unsigned number) {
  const struct region *r = choose(class);
  struct image image = st->files;
  size_t n = min_u64(r->n, DAMAGE_BYTES);
  size_t at = r->at + random_below((uint32_t)(r->n - n + 1));
  unsigned manner = number % MANNERS;
  bool writing = number / MANNERS % 2;
  struct file *f = &image.files[r->file];
  *f = file_copy(f);
  snprintf(shared->what, sizeof shared->what, "%s store, %s, %s+%zu, %s, %s", st->name, class, f->name,
           at, manners[manner], writing ? "to write" : "to read");
  lie_in(&image, f->bytes + at, n, r, manner);
  if (memcmp(f->bytes, st->files.files[r->file].bytes, f->n) != 0)
    shared->outcomes[judge(st, &image, r, writing)]++;
  free(f->bytes);
}

/* ---- All classes ---- */

struct job {
  struct state *state;
  const char *class;
  unsigned cases;
  uint64_t seed;
};

static int do_job(void *context) {
  const struct job *job = context;
  while (shared->next < job->cases) {
    unsigned number = shared->next++;
    test_random = job->seed + number * 0x9E3779B97F4A7C15u;
    try_lie(job->state, job->class, number + random_below(MANNERS * 2));
  }
  return 0;
}

/* A child that is ended by a lie has failed; the next one goes on behind it. */
static void try_class(struct state *st, const char *class, unsigned cases) {
  struct job job = {st, class, cases, random_bits()};
  shared->next = 0;
  while (shared->next < cases) {
    int status = wait_for(start(do_job, &job));
    if (status > 128) printf("       %s: signal %d\n", shared->what, status - 128);
    if (!CHECK(status == 0) && test_failures > 20) return;
  }
}

static void try_all(struct state *st) {
  unsigned cases = (unsigned)test_setting("CASES", 14), all = 0;
  make_states();
  map_state(st);
  memset(shared->outcomes, 0, sizeof shared->outcomes);
  for (size_t i = 0; i < class_count; i++) try_class(st, classes[i], cases);
  for (int i = 0; i < OUTCOMES; i++) all += shared->outcomes[i];
  printf("       %u lies in %zu classes: %u change nothing, %u mended, %u reported, %u cut, %u refused\n",
         all, class_count, shared->outcomes[WHOLE], shared->outcomes[MENDED], shared->outcomes[RAISED],
         shared->outcomes[CUT], shared->outcomes[REFUSED]);
  CHECK(class_count > 60 && shared->outcomes[RAISED] && shared->outcomes[REFUSED]);
}

static void in_a_closed_store(void) { try_all(&states[CLOSED]); }
static void after_a_crash(void) { try_all(&states[CRASHED]); }

static const struct test tests[] = {
    {"bytes of a closed store", in_a_closed_store},
    {"bytes of a store that crashed", after_a_crash},
};
TEST_MAIN(tests)
