/* retention_test.c: content that is taken out of the log, beside a model of what is left.
**
** A store of small log files lives through appends, truncations, scavenges, redactions of data,
** ids, tags and streams, reopenings and the loss of its index, in any order. After each step every
** way of reading gives what the model has, verify finds nothing, no file holds what was redacted.
** Then other processes, damage, and deaths at any call. SECONDS= is how long these go on, but for
** LIVES_LEAST and DEATHS_LEAST: on a busy machine a second may be too short for anything. */
#define _GNU_SOURCE
#include "processes.h"

#include <fcntl.h>
#include <ftw.h>

#include "calls.h"
#include "packed.h"
#include "system.h"

#define SECONDS 2
#define STREAMS 4u
#define TAGS 4u
#define EVENTS_MOST 600u
#define SECRET_BYTES 24u
#define STEPS 70u
#define LIVES_LEAST 3u /* of a store; one finds what is wrong nine times in ten */
#define DEATHS_LEAST 6u

static char path[300];

/* ---- The model ---- */

struct event {
  uint32_t stream, tags, bytes;
  uint64_t version;
  bool nameless, redacted, taken, has_id, id_lost;
  uint32_t lost_tags;
};

static struct model {
  uint32_t head;
  struct event events[EVENTS_MOST + 1];
  uint64_t count[STREAMS], cut[STREAMS];
} * model;

static const char *const streams[STREAMS] = {"ann@example.com", "b", "counter-1", "counter-2"};
static const char *const tags[TAGS] = {"mail:ann@example.com", "red", "x", "phone:0815-4711"};

/* Of an event: nobody could find its bytes elsewhere by chance. */
static void secret_of(uint64_t position, uint8_t *bytes, size_t n) {
  uint64_t before = test_random;
  test_random = position * 0xD1342543DE82EF95u ^ 0x5851F42D4C957F2Du;
  random_fill(bytes, n);
  test_random = before;
}

static bool shows(const struct event *v, uint64_t position, const rille_event *e) {
  uint8_t data[512];
  const char *stream = v->nameless ? RILLE_REDACTED_NAME : streams[v->stream];
  secret_of(position, data, v->bytes);
  bool same = e->position == position && e->version == v->version && !v->taken &&
              e->redacted == (int)v->redacted && e->data.length == (v->redacted ? 0 : v->bytes) &&
              (e->data.length == 0 || memcmp(e->data.bytes, data, v->bytes) == 0) &&
              e->stream.length == strlen(stream) &&
              memcmp(e->stream.bytes, stream, e->stream.length) == 0 &&
              (e->id.length > 0) == (v->has_id && !v->id_lost);
  size_t n = 0;
  for (uint32_t t = 0; t < TAGS && same; t++) {
    if (!(v->tags >> t & 1)) continue;
    const char *name = v->lost_tags >> t & 1 ? RILLE_REDACTED_NAME : tags[t];
    rille_text tag = rille_event_tag(e, n++);
    same = tag.length == strlen(name) && memcmp(tag.bytes, name, tag.length) == 0;
  }
  return same && n == e->tag_count;
}

static bool has_tag(const struct event *v, uint32_t tag) {
  return v->tags >> tag & 1 && !(v->lost_tags >> tag & 1);
}

/* ---- Reading, in all ways ---- */

typedef bool (*wanted)(const struct event *v, uint32_t what);

static bool any(const struct event *v, uint32_t what) {
  (void)v, (void)what;
  return true;
}

static bool of_stream(const struct event *v, uint32_t stream) {
  return v->stream == stream && !v->nameless && v->version >= model->cut[stream];
}

static void check_query(rille_store *s, rille_query *q, wanted is_wanted, uint32_t what) {
  rille_reader *reader;
  rille_event e;
  rille_error why = {0};
  int result = 1;
  if (!CHECK(rille_store_read(s, q, &reader, &why) == 0)) return;
  for (uint32_t i = 1; i <= model->head && result == 1; i++) {
    uint32_t at = q->reverse ? model->head + 1 - i : i;
    const struct event *v = &model->events[at];
    if (v->taken || !is_wanted(v, what)) continue;
    result = rille_reader_next(reader, &e, &why);
    if (!CHECK(result == 1 && shows(v, at, &e))) {
      printf("       position %u, %s\n", at, result < 0 ? why.message : "another is given");
      break;
    }
  }
  if (result == 1) CHECK(rille_reader_next(reader, &e, &why) == 0);
  rille_reader_end(reader);
}

static void check_all(rille_store *s) {
  for (int reverse = 0; reverse < 2; reverse++) {
    rille_query all = {.size = sizeof all, .reverse = reverse};
    check_query(s, &all, any, 0);
    for (uint32_t t = 0; t < TAGS; t++) {
      rille_text name = rille_text_of(tags[t]);
      rille_item item = {.tags = &name, .tag_count = 1};
      rille_query q = {.size = sizeof q, .items = &item, .item_count = 1, .reverse = reverse};
      check_query(s, &q, has_tag, t);
    }
    for (uint32_t i = 0; i < STREAMS; i++) {
      rille_query q = {.size = sizeof q, .stream = rille_text_of(streams[i]), .reverse = reverse};
      uint64_t version = 99;
      check_query(s, &q, of_stream, i);
      CHECK(rille_store_version(s, q.stream, &version, NULL) == 0 && version == model->count[i]);
    }
  }
  CHECK(rille_store_head(s) == model->head);
}

/* ---- What is in the files ---- */

static const void *sought;
static size_t sought_bytes;
static char found_in[400];

static int search_file(const char *file, const struct stat *st, int kind, struct FTW *at) {
  (void)at;
  if (kind != FTW_F || st->st_size == 0) return 0;
  int fd = open(file, O_RDONLY);
  void *bytes = mmap(NULL, (size_t)st->st_size, PROT_READ, MAP_PRIVATE, fd, 0);
  close(fd);
  if (bytes == MAP_FAILED) abort();
  bool found = memmem(bytes, (size_t)st->st_size, sought, sought_bytes) != NULL;
  if (found) snprintf(found_in, sizeof found_in, "%s", file);
  munmap(bytes, (size_t)st->st_size);
  return found;
}

static bool is_in_files(const void *bytes, size_t n) {
  sought = bytes, sought_bytes = n;
  return nftw(path, search_file, 8, FTW_PHYS) == 1;
}

static bool is_used(uint32_t tag) {
  for (uint32_t i = 1; i <= model->head; i++)
    if (has_tag(&model->events[i], tag)) return true;
  return false;
}

static void check_files(void) {
  uint8_t secret[SECRET_BYTES];
  for (uint32_t i = 1; i <= model->head; i++) {
    secret_of(i, secret, sizeof secret);
    if (!model->events[i].redacted || model->events[i].bytes < sizeof secret) continue;
    if (!CHECK(!is_in_files(secret, sizeof secret)))
      printf("       the data of position %u is in %s\n", i, found_in);
  }
  for (uint32_t t = 0; t < TAGS; t += TAGS - 1) /* those that are long enough to be found */
    if (!is_used(t) && !CHECK(!is_in_files(tags[t], strlen(tags[t]))))
      printf("       %s is in %s\n", tags[t], found_in);
  if (model->count[0] == 0 && !is_used(0) && !CHECK(!is_in_files(streams[0], strlen(streams[0]))))
    printf("       %s is in %s\n", streams[0], found_in);
}

/* ---- Steps ---- */

static void do_append(rille_store *s) {
  uint8_t data[512];
  rille_text names[TAGS];
  char id[40];
  struct event *v = &model->events[model->head + 1];
  if (model->head == EVENTS_MOST) return;
  *v = (struct event){.stream = random_below(STREAMS),
                      .tags = random_below(1 << TAGS) & random_below(1 << TAGS),
                      .bytes = one_in(5) ? 0 : random_below(sizeof data),
                      .has_id = one_in(3)};
  v->version = model->count[v->stream] + 1;
  secret_of(model->head + 1, data, v->bytes);
  rille_event_input e = {.type = rille_text_of(one_in(2) ? "A" : "B"), .tags = names};
  e.data = (rille_text){(const char *)data, v->bytes};
  for (uint32_t t = 0; t < TAGS; t++)
    if (v->tags >> t & 1) names[e.tag_count++] = rille_text_of(tags[t]);
  snprintf(id, sizeof id, "id-%u", model->head + 1);
  if (v->has_id) e.id = rille_text_of(id);
  rille_part part = {.stream = rille_text_of(streams[v->stream]), .events = &e, .event_count = 1};
  part.expect = model->count[v->stream] ? (int64_t)model->count[v->stream] : RILLE_EXPECT_NONE;
  rille_append a = {.size = sizeof a, .parts = &part, .part_count = 1};
  rille_error why = {0};
  rille_appended done = {0};
  if (!CHECK(rille_store_append(s, &a, &done, &why) == 0)) printf("       %s\n", why.message);
  CHECK(done.first == model->head + 1 && done.version == v->version);
  model->head++;
  model->count[v->stream]++;
}

static void do_truncate(rille_store *s) {
  uint32_t i = random_below(STREAMS);
  if (model->count[i] == 0) return;
  uint64_t before = 1 + random_below((uint32_t)model->count[i] + 1);
  CHECK(rille_store_truncate(s, rille_text_of(streams[i]), before, NULL) == 0);
  if (before > model->cut[i]) model->cut[i] = before;
}

static void do_scavenge(rille_store *s) {
  rille_scavenged would = {0}, done = {0};
  rille_scavenge dry = {.size = sizeof dry, .dry_run = 1};
  rille_error why = {0};
  CHECK(rille_store_scavenge(s, &dry, &would, NULL) == 0);
  if (!CHECK(rille_store_scavenge(s, NULL, &done, &why) == 0)) printf("       %s\n", why.message);
  CHECK(would.events == done.events && would.bytes == done.bytes);
  for (uint32_t i = 1; i <= model->head; i++) {
    struct event *v = &model->events[i];
    if (!v->nameless && v->version < model->cut[v->stream]) v->taken = true;
  }
}

static void forget_tag(uint32_t tag) {
  for (uint32_t i = 1; i <= model->head; i++)
    if (model->events[i].tags >> tag & 1) model->events[i].lost_tags |= 1u << tag;
}

static void forget_stream(uint32_t stream) {
  for (uint32_t i = 1; i <= model->head; i++)
    if (model->events[i].stream == stream) model->events[i].nameless = true;
  model->count[stream] = model->cut[stream] = 0;
}

static void do_redact(rille_store *s) {
  uint64_t positions[3];
  uint32_t tag = random_below(TAGS), stream = random_below(STREAMS);
  rille_text tag_name = rille_text_of(tags[tag]), stream_name = rille_text_of(streams[stream]);
  rille_redact r = {.size = sizeof r,
                    .positions = positions,
                    .ids = one_in(2),
                    .tags = &tag_name,
                    .tag_count = one_in(3),
                    .streams = &stream_name,
                    .stream_count = one_in(6),
                    .reason = rille_text_of("request 7")};
  rille_error why = {0};
  if (model->head == 0) return;
  for (; r.position_count < 1 + random_below(3); r.position_count++)
    positions[r.position_count] = 1 + random_below(model->head);
  if (!CHECK(rille_store_redact(s, &r, NULL, &why) == 0)) printf("       %s\n", why.message);
  for (size_t i = 0; i < r.position_count; i++) {
    struct event *v = &model->events[positions[i]];
    v->redacted = true;
    if (r.ids) v->id_lost = true;
  }
  if (r.tag_count) forget_tag(tag);
  if (r.stream_count) forget_stream(stream);
}

static rille_store *open_small(void) {
  rille_options o = options_of(RILLE_SYNC_NEVER, false);
  o.segment_bytes = RILLE_SEGMENT_BYTES_LEAST;
  return open_with(path, &o);
}

static rille_store *reopen(rille_store *s) {
  char command[400];
  CHECK(rille_store_close(s) == 0);
  snprintf(command, sizeof command, "rm -rf '%s/index'", path);
  if (one_in(2)) CHECK(system(command) == 0);
  return open_small();
}

static rille_store *step(rille_store *s) {
  uint32_t what = random_below(20);
  if (what < 13) {
    for (uint32_t n = 1 + random_below(8); n > 0; n--) do_append(s);
  } else if (what < 15) {
    do_truncate(s);
  } else if (what < 16) {
    do_scavenge(s);
  } else if (what < 18) {
    do_redact(s);
    check_files();
  } else {
    s = reopen(s);
  }
  return s;
}

static void begin(void) {
  snprintf(path, sizeof path, "%s", path_of("s.rille"));
  remove_store(path);
  if (!model) model = share(sizeof *model);
  memset(model, 0, sizeof *model);
}

static void like_the_model(void) {
  int64_t end = now_us() + (int64_t)test_setting("SECONDS", SECONDS) * 500000;
  unsigned lives = 0;
  do {
    begin();
    rille_store *s = open_small();
    for (uint32_t i = 0; i < STEPS && s && !test_failures; i++) {
      s = step(s);
      if (s) check_all(s);
      if (s && !CHECK(is_sound(s, model->head))) printf("       after step %u\n", i);
    }
    if (s) CHECK(rille_store_close(s) == 0);
  } while ((++lives < LIVES_LEAST || now_us() < end) && !test_failures);
}

/* ---- The form of a file ---- */

/* Any runs of kept and taken bytes, read at any place. */
static void packed_reads(void) {
  static uint8_t log[1 << 16], got_bytes[1 << 16];
  struct memory memory = memory_default();
  for (int round = 0; round < 40; round++) {
    struct packing to;
    struct packed *p = NULL;
    size_t n = 0, got;
    char file[320];
    int fd;
    snprintf(file, sizeof file, "%s", path_of("packed"));
    (void)unlink(file);
    if (!CHECK(system_open(file, SYSTEM_CREATE, &fd) == 0)) return;
    packing_begin(&to, fd, 4096, 77, &memory);
    random_fill(log, sizeof log);
    while (n < sizeof log - 2048) {
      size_t run = 8 * (size_t)random_below(one_in(4) ? 200 : 9);
      if (one_in(2)) packing_keep(&to, log + n, run);
      else packing_skip(&to, run), memset(log + n, 0, run);
      n += run;
      CHECK(packing_write(&to, one_in(9)) == 0);
    }
    CHECK(packing_finish(&to) == 0);
    packing_release(&to);
    CHECK(packed_open(&p, fd, 4096, 77, &memory, NULL) == 0 && p != NULL);
    for (int i = 0; p && i < 300; i++) {
      size_t at = random_below((uint32_t)n + 8), want = random_below(one_in(3) ? 1 << 16 : 100);
      CHECK(packed_read(p, fd, at, got_bytes, want, &got) == 0);
      CHECK(got == (at >= n ? 0 : want < n - at ? want : n - at));
      CHECK(memcmp(got_bytes, log + at, got) == 0);
    }
    packed_close(p);
    system_close(fd);
  }
}

/* ---- Damage ---- */

static off_t size_of(int fd) {
  struct stat s;
  return fstat(fd, &s) == 0 ? s.st_size : 0;
}

static int count_problem(void *context, const rille_problem *p) {
  (void)p;
  ++*(unsigned *)context;
  return 0;
}

/* Told by verify, or by opening; or nothing that is read has changed. */
static bool is_noticed(void) {
  rille_options o = {.size = sizeof o, .readonly = 1};
  rille_store *s = NULL;
  unsigned problems = 0;
  rille_error e = {0};
  rille_verify v = {.size = sizeof v, .problem = count_problem, .context = &problems};
  if (rille_store_open(path, &o, &s, &e) < 0) return e.code == RILLE_CORRUPT;
  int result = rille_store_verify(s, &v, NULL, &e);
  (void)rille_store_close(s);
  return problems > 0 || result == RILLE_CORRUPT;
}

static void lies(void) {
  char file[400];
  begin();
  rille_store *s = open_small();
  for (uint32_t i = 0; i < 60; i++) do_append(s);
  for (uint32_t i = 0; i < STREAMS; i++)
    if (model->count[i]) (void)rille_store_delete(s, rille_text_of(streams[i]), NULL);
  CHECK(rille_store_scavenge(s, NULL, NULL, NULL) == 0);
  CHECK(rille_store_close(s) == 0);
  snprintf(file, sizeof file, "%s/log/0000000000000000.seg", path);
  int fd = open(file, O_RDWR);
  off_t bytes = size_of(fd);
  for (int i = 0; i < 120; i++) {
    off_t at = i < 64 ? i : (off_t)random_below((uint32_t)bytes);
    uint8_t was, lie;
    CHECK(pread(fd, &was, 1, at) == 1);
    lie = was ^ (uint8_t)(1u << random_below(8));
    CHECK(pwrite(fd, &lie, 1, at) == 1);
    if (!CHECK(is_noticed()))
      printf("       a lie at byte %lld of %lld\n", (long long)at, (long long)bytes);
    CHECK(pwrite(fd, &was, 1, at) == 1);
  }
  close(fd);
  s = open_small();
  CHECK(is_sound(s, model->head));
  CHECK(rille_store_close(s) == 0);
}

/* ---- Other processes ---- */

static struct meeting { _Atomic int there, here; } * meeting;

/* Has the store open, and an iterator in its middle, while another redacts what comes next. */
static int read_beside(void *context) {
  rille_store *s = open_small();
  rille_reader *forward, *by_tag;
  rille_event e;
  rille_text tag = rille_text_of(tags[1]);
  rille_item item = {.tags = &tag, .tag_count = 1};
  rille_query all = {.size = sizeof all}, q = {.size = sizeof q, .items = &item, .item_count = 1};
  (void)context;
  CHECK(rille_store_read(s, &all, &forward, NULL) == 0);
  CHECK(rille_store_read(s, &q, &by_tag, NULL) == 0);
  CHECK(rille_reader_next(forward, &e, NULL) == 1);
  CHECK(rille_reader_next(by_tag, &e, NULL) == 1);
  atomic_fetch_add(&meeting->there, 1);
  wait_until(&meeting->here, 1);
  for (uint32_t at = 2; at <= 8; at++) {
    rille_error why = {0};
    int result = rille_reader_next(forward, &e, &why);
    if (!CHECK(result == 1 && e.position == at && e.redacted == (at == 5)))
      printf("       %d at %u: %s\n", result, at, why.message);
  }
  CHECK(rille_reader_next(by_tag, &e, NULL) == 0); /* its name is gone */
  rille_reader_end(forward);
  rille_reader_end(by_tag);
  /* who appends under that name begins its chain anew, here and there */
  rille_event_input in = {.type = rille_text_of("A"), .tags = &tag, .tag_count = 1};
  rille_part part = {.stream = rille_text_of("b"), .events = &in, .event_count = 1};
  rille_append a = {.size = sizeof a, .parts = &part, .part_count = 1};
  CHECK(rille_store_append(s, &a, NULL, NULL) == 0);
  CHECK(rille_store_read(s, &q, &by_tag, NULL) == 0);
  CHECK(rille_reader_next(by_tag, &e, NULL) == 1 && e.position == 9);
  CHECK(rille_reader_next(by_tag, &e, NULL) == 0);
  rille_reader_end(by_tag);
  CHECK(is_sound(s, 9));
  return rille_store_close(s);
}

static void beside_a_reader(void) {
  begin();
  if (!meeting) meeting = share(sizeof *meeting);
  meeting->there = meeting->here = 0;
  rille_store *s = open_small();
  rille_text tag = rille_text_of(tags[1]);
  for (uint32_t i = 0; i < 8; i++) {
    rille_event_input in = {.type = rille_text_of("A"),
                            .data = rille_text_of("something to be read"),
                            .tags = &tag,
                            .tag_count = 1};
    rille_part part = {.stream = rille_text_of("b"), .events = &in, .event_count = 1};
    rille_append a = {.size = sizeof a, .parts = &part, .part_count = 1};
    CHECK(rille_store_append(s, &a, NULL, NULL) == 0);
  }
  CHECK(rille_store_close(s) == 0);
  pid_t pid = start(read_beside, NULL);
  s = open_small();
  wait_until(&meeting->there, 1);
  uint64_t position = 5;
  rille_redact r = {
      .size = sizeof r, .positions = &position, .position_count = 1, .tags = &tag, .tag_count = 1};
  CHECK(rille_store_redact(s, &r, NULL, NULL) == 0);
  atomic_store(&meeting->here, 1);
  CHECK(wait_for(pid) == 0);
  CHECK(is_sound(s, 9));
  CHECK(rille_store_close(s) == 0);
}

/* ---- Deaths ---- */

static unsigned calls_left;

static int die_at_call(const struct call *c) {
  if (c->done || --calls_left > 0) return 0;
  if (c->kind == CALL_WRITE && one_in(2)) die_half_written(c);
  die();
  return 0;
}

static int forget_and_die(void *context) {
  uint32_t *steps = context;
  calls_left = 1 + random_below(250);
  call_watch = die_at_call;
  rille_store *s = open_small();
  for (uint32_t i = 0; s && i < 30; i++, ++*steps) {
    s = step(s);
    if (test_failures) break;
  }
  call_watch = NULL;
  if (s) (void)rille_store_close(s);
  return 0;
}

/* What the dead have told holds: who was redacted is, and the rest is what it was, or redacted. */
static void check_after_death(rille_store *s) {
  rille_reader *reader;
  rille_event e;
  uint8_t data[512];
  rille_query all = {.size = sizeof all};
  CHECK(rille_store_read(s, &all, &reader, NULL) == 0);
  while (rille_reader_next(reader, &e, NULL) == 1) {
    const struct event *v = &model->events[e.position];
    secret_of(e.position, data, v->bytes);
    if (e.position > model->head) continue;
    if (v->redacted) CHECK(e.redacted && e.data.length == 0);
    else
      CHECK(e.redacted || (e.data.length == v->bytes && memcmp(e.data.bytes, data, v->bytes) == 0));
    CHECK(!v->taken);
  }
  rille_reader_end(reader);
  uint64_t head = rille_store_head(s);
  CHECK(head >= model->head && head <= model->head + 1);
  CHECK(is_sound(s, head));
}

static void deaths(void) {
  int64_t end = now_us() + (int64_t)test_setting("SECONDS", SECONDS) * 500000;
  uint32_t *steps = share(sizeof *steps);
  unsigned killed = 0, tried = 0;
  do {
    begin(); /* what the dead was doing nobody knows: the model begins anew */
    test_random += 1;
    killed += wait_for(start(forget_and_die, steps)) == KILLED;
    rille_store *s = open_small();
    if (!s) break;
    check_after_death(s);
    CHECK(rille_store_close(s) == 0);
    check_files();
  } while ((++tried < DEATHS_LEAST || now_us() < end) && !test_failures);
  printf("       %u killed, %u steps\n", killed, *steps);
  CHECK(killed > 0);
}

static const struct test tests[] = {
    {"packed files read like plain ones", packed_reads},
    {"any order of what takes content out", like_the_model},
    {"a damaged packed file is noticed", lies},
    {"a reader and an appender beside a redaction", beside_a_reader},
    {"deaths at any call", deaths},
};

TEST_MAIN(tests)
