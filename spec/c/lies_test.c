/* lies_test.c: bytes on the disk that are not what was written, of every class there is, and
** files of another day, another store, another name. A store answers as if nothing had
** happened, or it says that it can't; it never tells an untruth, and ends no process.
**
** Each lie is opened in a child, to read and to write. CASES=n: so many lies a class;
** RILLE_SOAK=n: n times as many. */
#define _GNU_SOURCE
#include "lies_map.h"

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
  rille_options o = {.size = sizeof o,
                     .readonly = !writing,
                     .no_background = 1,
                     .no_create = 1,
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
  rille_options o = {
      .size = sizeof o, .no_background = 1, .segment_bytes = RILLE_SEGMENT_BYTES_LEAST};
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
  image_without(&states[CRASHED].files,
                "index/lock.mdb"); /* the dead are in it: LMDB makes it anew */
  for (int i = 0; i < STATES; i++) {
    cut_all_zeros(&states[i].files);
    learn_truth(&states[i]);
  }
  printf("       %zu events, %zu answers\n", states[CLOSED].truth[0].events,
         states[CLOSED].truth[0].count);
}

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

static void try_all(struct state *st) {
  unsigned cases = (unsigned)test_setting("CASES", 14) * soak(), all = 0;
  make_states();
  st->durable = map_image(&st->files);
  memset(shared->outcomes, 0, sizeof shared->outcomes);
  for (size_t i = 0; i < class_count; i++) try_class(st, classes[i], cases);
  for (int i = 0; i < OUTCOMES; i++) all += shared->outcomes[i];
  printf(
      "       %u lies in %zu classes: %u change nothing, %u mended, %u reported, %u cut, %u "
      "refused\n",
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
