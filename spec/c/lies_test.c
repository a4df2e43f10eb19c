/* lies_test.c: bytes on the disk that are not what was written, of every class there is, and
** files of another day, another store, another name. A store answers as if nothing had
** happened, or it says that it can't; it never tells an untruth, and ends no process.
**
** Each lie is opened in a child, to read and to write. CASES=n: so many lies a class;
** RILLE_SOAK=n: n times as many. */
#define _GNU_SOURCE
#include "lies_map.h"
#include "lies_states.h"

#define SHOWN_MOST 12
#define DAMAGE_BYTES 64u /* of a larger region */

/* ---- One lie ---- */

enum { ONE_BIT, SOME_BITS, ZEROS, ONES, NEIGHBOUR, RANDOM, ONE_MORE, MANNERS };
static const char *const manners[] = {"a bit",     "some bits", "zeros",   "ones",
                                      "another's", "anything",  "one more"};

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
  for (unsigned bits = manner == ONE_BIT ? 1 : 2 + random_below(6); bits && manner <= SOME_BITS;
       bits--)
    p[random_below((uint32_t)n)] ^= (uint8_t)(1 << random_below(8));
  if (manner == ZEROS || manner == ONES) memset(p, manner == ZEROS ? 0 : 0xff, n);
  if (manner == RANDOM) random_fill(p, n);
  if (manner == NEIGHBOUR) memcpy(p, image->files[o->file].bytes + o->at, min_u64(n, o->n));
  if (manner == ONE_MORE) p[0] = (uint8_t)(p[0] + 1);
}

static void fail(const char *why, const char *detail) {
  if (shared->shown++ < SHOWN_MOST) printf("       %s: %s (%s)\n", shared->what, why, detail);
  test_failures++;
}

struct problems {
  uint64_t from, to;
  bool named;
};
static int look_for(void *context, const rille_problem *p) {
  struct problems *look = context;
  if (p->address >= look->from && p->address <= look->to && strstr(p->message, ".seg, byte "))
    look->named = true;
  return 0;
}

/* Whether what was read are the first events there were. */
static bool are_first(const struct answers *truth) {
  return now.events <= truth->events &&
         memcmp(now.all, truth->all, now.events * sizeof *now.all) == 0;
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
  if (rille_store_verify(s, &how, &v, &e) != 0)
    fail("what was written afterwards is damaged", e.message);
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
    if (writing && rille_store_verify(s, &how, NULL, &e) != 0)
      fail("cut, and not sound", e.message);
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
  if (silent && opened > 0 && !strstr(why->message, "was cut") && !strstr(why->message, "log ends"))
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
  snprintf(shared->what, sizeof shared->what, "%s store, %s, %s+%zu, %s, %s", st->name, class,
           f->name, at, manners[manner], writing ? "to write" : "to read");
  lie_in(&image, f->bytes + at, n, r, manner);
  if (memcmp(f->bytes, st->files.files[r->file].bytes, f->n) != 0)
    shared->outcomes[judge(st, &image, r, writing)]++;
  free(f->bytes);
}

/* ---- Whole files ---- */

/* What a file is exchanged for; NULL: it is missing. */
static struct image exchange(const struct image *image, const char *name, const struct file *by) {
  struct image changed = *image;
  if (by) {
    struct file *f = image_find(&changed, name);
    if (!f) f = &changed.files[changed.count++];
    *f = *by;
    snprintf(f->name, sizeof f->name, "%s", name);
  } else {
    image_without(&changed, name);
  }
  return changed;
}

/* Of a last file nothing else knows after a crash: it may go with all it had, as a whole. */
static bool may_vanish;

static bool is_last_segment(const struct image *image, const char *name) {
  const char *last = "log/";
  for (size_t i = 0; i < image->count; i++)
    if (strncmp(image->files[i].name, "log/", 4) == 0) last = image->files[i].name;
  return strcmp(name, last) == 0;
}

/* Events that are missing are missing at the end, and that was said. */
static void judge_shorter(rille_store *s, const struct answers *truth, int opened,
                          const rille_error *why) {
  rille_verified v = {0};
  rille_error e = {0};
  if (!are_first(truth)) fail("events that were not written", why->message);
  if (opened == 0 && may_vanish) return;
  if (opened == 0) fail("nothing is said of the events that are missing", now.said);
  if (rille_store_verify(s, NULL, &v, &e) == 0 && !strstr(why->message, "was cut"))
    fail("verify finds nothing", why->message);
}

/* `other_kept`: the index is of another day, and so is what scripts kept in it. */
static void judge_files(const struct state *st, const struct image *image, bool writing,
                        bool other_kept) {
  const struct answers *truth = &st->truth[writing];
  rille_store *s = NULL;
  rille_error e;
  image_put(image, root);
  int opened = open_lie(writing, &s, &e);
  if (opened < 0) {
    shared->outcomes[REFUSED]++;
    bool known_code = e.code == RILLE_CORRUPT || e.code == RILLE_INVALID || e.code == RILLE_IO;
    if (!known_code || !e.message[0]) fail("refused with another reason", e.message);
    if (writing && !log_is_unchanged(image)) fail("refused, and changed", e.message);
    return;
  }
  ask_everything(s, &known, &now);
  bool anew = opened > 0 && strstr(e.message, "made anew");
  if (other_kept)
    memcpy(&now.values[truth->kept_from], &truth->values[truth->kept_from],
           (truth->kept_to - truth->kept_from) * sizeof *now.values);
  if (now.events < truth->events && now.ended >= 0) {
    judge_shorter(s, truth, opened, &e);
    shared->outcomes[CUT]++;
  } else {
    unsigned errors = compare(anew && !other_kept ? &st->bare[writing] : truth);
    shared->outcomes[errors ? RAISED : anew ? MENDED : WHOLE]++;
  }
  if (writing) go_on(s);
  (void)rille_store_close(s);
}

struct file_job {
  const struct state *state;
  struct image image;
  bool other_kept;
};

static int do_file_job(void *context) {
  const struct file_job *job = context;
  judge_files(job->state, &job->image, shared->next, job->other_kept);
  return 0;
}

static void try_files(const struct state *st, struct image image, bool other_kept, const char *what,
                      const char *name) {
  struct file_job job = {st, image, other_kept};
  may_vanish = st == &states[CRASHED] && is_last_segment(&st->files, name);
  for (shared->next = 0; shared->next < 2; shared->next++) {
    snprintf(shared->what, sizeof shared->what, "%s store, %s %s, %s", st->name, name, what,
             shared->next ? "to write" : "to read");
    int status = wait_for(start(do_file_job, &job));
    if (!CHECK(status == 0)) printf("       %s: status %d\n", shared->what, status);
  }
}

/* A file cut, all zeros, all ones, zeros in the middle, gone. */
static void try_ruins(const struct state *st, const char *name) {
  struct image whole = st->files;
  const struct file *f = image_find(&whole, name);
  const size_t sizes[] = {0, 7, 48, 60, f->n / 2 / 8 * 8, f->n / 2 + 3, f->n - 1, f->n - 8};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    struct file cut = *f;
    cut.n = sizes[i] < f->n ? sizes[i] : 0;
    try_files(st, exchange(&whole, name, &cut), false, "cut", name);
  }
  for (int i = 0; i < 3; i++) {
    struct file ruin = file_copy(f);
    size_t from = i == 2 ? f->n / 3 / 4096 * 4096 : 0;
    memset(ruin.bytes + from, i == 1 ? 0xff : 0, i == 2 ? min_u64(4096, f->n - from) : f->n);
    try_files(st, exchange(&whole, name, &ruin), false, "ruined", name);
    free(ruin.bytes);
  }
  try_files(st, exchange(&whole, name, NULL), false, "missing", name);
}

/* The same name in another store, and on an older day; segments in each other's place. */
static void try_strangers(const struct state *st, const char *name) {
  struct image whole = st->files;
  bool of_index = strcmp(name, "index/data.mdb") == 0;
  const struct file *by = image_find(&foreign, name);
  if (by) try_files(st, exchange(&whole, name, by), false, "of another store", name);
  by = image_find(&early, name);
  if (by) try_files(st, exchange(&whole, name, by), of_index, "of another day", name);
  for (size_t i = 0; i < whole.count && strncmp(name, "log/", 4) == 0; i++) {
    struct file *other = &whole.files[i];
    if (strncmp(other->name, "log/", 4) != 0 || strcmp(other->name, name) <= 0) continue;
    struct image swapped = exchange(&whole, name, other);
    swapped = exchange(&swapped, other->name, image_find(&whole, name));
    try_files(st, swapped, false, "swapped", name);
  }
}

/* The whole index of another day or store, with its sum, or without. */
static void try_other_index(const struct state *st, const struct image *from, bool sum,
                            const char *what) {
  static const char *const names[] = {"index/data.mdb", "index/lock.mdb", "index/sum"};
  struct image image = st->files;
  for (int i = 0; i < 3; i++) {
    struct image source = *from;
    const struct file *by = i == 2 && !sum ? NULL : image_find(&source, names[i]);
    image = exchange(&image, names[i], by);
  }
  try_files(st, image, true, what, "index");
}

static void try_files_of(struct state *st) {
  struct image image = st->files;
  for (size_t i = 0; i < image.count; i++) {
    try_ruins(st, image.files[i].name);
    try_strangers(st, image.files[i].name);
  }
  for (int sum = 0; sum < 2; sum++) {
    try_other_index(st, &early, sum, "of an older day");
    try_other_index(st, &states[CLOSED].files, sum, "of a newer day");
    try_other_index(st, &foreign, sum, "of another store");
  }
  struct file last = image.files[0]; /* a stranger's first segment behind the end */
  for (size_t i = 0; i < image.count; i++)
    if (strncmp(image.files[i].name, "log/", 4) == 0) last = image.files[i];
  const uint64_t behind[] = {8, 64 << 10, 1 << 20};
  for (int i = 0; i < 3; i++) {
    char name[48];
    snprintf(name, sizeof name, "log/%016llx.seg",
             (unsigned long long)(strtoull(last.name + 4, NULL, 16) + last.n + behind[i]) & ~7llu);
    try_files(st, exchange(&image, name, image_find(&foreign, "log/0000000000000000.seg")), false,
              "of another store behind the end", name);
  }
}

static void files_are_not_theirs(void) {
  make_states();
  memset(shared->outcomes, 0, sizeof shared->outcomes);
  for (int i = 0; i < STATES; i++) try_files_of(&states[i]);
  printf("       whole files: %u change nothing, %u mended, %u reported, %u cut, %u refused\n",
         shared->outcomes[WHOLE], shared->outcomes[MENDED], shared->outcomes[RAISED],
         shared->outcomes[CUT], shared->outcomes[REFUSED]);
}

/* ---- While it is open ---- */

static int read_what_is_cut(void *context) {
  const struct state *st = context;
  rille_store *s = NULL;
  rille_error e;
  image_put(&st->files, root);
  if (!CHECK(open_lie(shared->next, &s, &e) >= 0)) return 1;
  for (size_t i = 0; i < st->files.count; i++) {
    const struct file *f = &st->files.files[i];
    char path[640];
    snprintf(path, sizeof path, "%s/%s", root, f->name);
    if (strncmp(f->name, "log/", 4) != 0) continue;
    CHECK(truncate(path, (off_t)(f->n / 3)) == 0);
    ask_everything(s, &known, &now);
    (void)compare(&st->truth[shared->next]);
    CHECK(now.ended < 0);
  }
  (void)rille_store_close(s);
  return 0;
}

static void log_files_are_cut_while_open(void) {
  make_states();
  strcpy(shared->what, "cut while it is open");
  for (int i = 0; i < STATES; i++)
    for (shared->next = 0; shared->next < 2; shared->next++)
      CHECK(wait_for(start(read_what_is_cut, &states[i])) == 0);
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

/* How many times as many, where there is time. */
static unsigned soak(void) {
  const char *text = getenv("RILLE_SOAK");
  double times = text ? strtod(text, NULL) : 1;
  return times > 1 ? (unsigned)times : 1;
}

/* All classes whose names begin with one of these. */
static void try_all(struct state *st, const char *const *begins, size_t count) {
  unsigned cases = (unsigned)test_setting("CASES", test_part(14)) * soak(), all = 0, tried = 0;
  make_states();
  st->durable = map_image(&st->files);
  memset(shared->outcomes, 0, sizeof shared->outcomes);
  for (size_t i = 0; i < class_count * count; i++) {
    const char *class = classes[i / count], *begin = begins[i % count];
    if (strncmp(class, begin, strlen(begin)) != 0) continue;
    try_class(st, class, cases);
    tried++;
  }
  for (int i = 0; i < OUTCOMES; i++) all += shared->outcomes[i];
  printf(
      "       %u lies in %u classes: %u change nothing, %u mended, %u reported, %u cut, "
      "%u refused\n",
      all, tried, shared->outcomes[WHOLE], shared->outcomes[MENDED], shared->outcomes[RAISED],
      shared->outcomes[CUT], shared->outcomes[REFUSED]);
  test_tally("lies", all);
  CHECK(tried > 0 && all > tried);
}
#define TRY_ALL(state, ...)                                   \
  try_all(&states[state], (const char *const[]){__VA_ARGS__}, \
          sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void frames_closed(void) { TRY_ALL(CLOSED, "frame", "zeros"); }
static void frames_crashed(void) { TRY_ALL(CRASHED, "frame", "zeros"); }
static void records_closed(void) { TRY_ALL(CLOSED, "record"); }
static void records_crashed(void) { TRY_ALL(CRASHED, "record"); }
static void facts_closed(void) { TRY_ALL(CLOSED, "fact"); }
static void facts_crashed(void) { TRY_ALL(CRASHED, "fact"); }
static void pages_closed(void) { TRY_ALL(CLOSED, "meta", "branch", "leaf", "overflow", "sum"); }
static void pages_crashed(void) { TRY_ALL(CRASHED, "meta", "branch", "leaf", "overflow"); }
static void words_closed(void) { TRY_ALL(CLOSED, "store", "control", "lock"); }
static void words_crashed(void) { TRY_ALL(CRASHED, "store", "control"); }

static const struct test tests[] = {
    {"headers of frames of a closed store", frames_closed},
    {"headers of frames after a crash", frames_crashed},
    {"records of a closed store", records_closed},
    {"records after a crash", records_crashed},
    {"facts of a closed store: transactions, marks, truncations", facts_closed},
    {"facts after a crash", facts_crashed},
    {"pages of the index of a closed store", pages_closed},
    {"pages of the index after a crash", pages_crashed},
    {"the files store, control and lock.mdb of a closed store", words_closed},
    {"the files store and control after a crash", words_crashed},
    {"files that are cut, ruined, exchanged, of another day or store", files_are_not_theirs},
    {"log files that are cut while the store is open", log_files_are_cut_while_open},
};
TEST_MAIN(tests)
