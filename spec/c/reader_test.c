/* reader_test.c: reading by a query, along the log and along chains, against the naive
** answer: each event held against each item. Both ways are forced, so that neither
** hides behind the other; readers also look at a store that has grown since. */
#include "reader.h"

#include <limits.h>
#include <unistd.h>

#include "store.h"
#include "test.h"

#define EVENTS_MOST 6000u
#define APPEND_MOST 40u
#define NAMES 9u
#define TAGS_MOST 5u
#define ITEMS_MOST 4u
#define QUERIES 400u
#define SEGMENT_BYTES RILLE_SEGMENT_BYTES_LEAST

/* Names are drawn so that the first is in every other event, the next in every fourth ...
** and the last in none. */
static const char *const streams[NAMES] = {"a",     "a-1", "b-1", "b-2", "c",
                                           "d-1-x", "-",   "e",   "none"};
static const char *const types[NAMES] = {"A", "B", "C", "D", "E", "F", "G", "H", "None"};
static const char *const tags[NAMES] = {"t", "u", "v", "w", "x", "y", "z", "q", "none"};

struct event {
  const char *stream, *type;
  const char *tags[TAGS_MOST];
  size_t tag_count;
  uint64_t version;
};

static struct event events[EVENTS_MOST + 1]; /* by position */
static uint64_t event_count;
static char path[PATH_MAX];
static char bytes[70000];

static unsigned some_name(void) {
  unsigned n = 0;
  while (n < NAMES - 2 && one_in(2)) n++;
  return n;
}

/* ---- A store, and what is in it ---- */

static bool has_tag(const struct event *v, const char *tag) {
  for (size_t i = 0; i < v->tag_count; i++)
    if (strcmp(v->tags[i], tag) == 0) return true;
  return false;
}

static uint64_t version_of(const char *stream) {
  uint64_t n = 0;
  for (uint64_t p = 1; p <= event_count; p++)
    if (strcmp(events[p].stream, stream) == 0) n = events[p].version;
  return n;
}

static void note(struct event *v, const char *stream) {
  *v = (struct event){.stream = stream, .type = types[some_name()]};
  for (unsigned n = random_below(TAGS_MOST + 1); n; n--) {
    const char *tag = tags[some_name()];
    if (!has_tag(v, tag)) v->tags[v->tag_count++] = tag;
  }
}

/* Most are small; some have a head that no slot holds, some a body of many pages. */
static size_t some_length(void) { return one_in(100) ? sizeof bytes : random_below(300); }

/* Tags that nobody asks for make the head longer than a slot. */
static size_t add_long_tags(rille_text *texts, size_t count) {
  static char names[RILLE_TAGS][16];
  for (unsigned t = 0; t < RILLE_TAGS - TAGS_MOST; t++) {
    snprintf(names[t], sizeof names[t], "long-tag-%u", t);
    texts[count++] = rille_text_of(names[t]);
  }
  return count;
}

/* n events to one stream. */
static void append(rille_store *store, uint64_t n) {
  static rille_event_input inputs[APPEND_MOST];
  static rille_text texts[APPEND_MOST][RILLE_TAGS];
  const char *stream = streams[some_name()];
  uint64_t version = version_of(stream);
  for (uint64_t i = 0; i < n; i++) {
    struct event *v = &events[event_count + 1 + i];
    note(v, stream);
    v->version = ++version;
    size_t count = v->tag_count;
    for (size_t t = 0; t < count; t++) texts[i][t] = rille_text_of(v->tags[t]);
    if (one_in(20)) count = add_long_tags(texts[i], count);
    inputs[i] = (rille_event_input){.type = rille_text_of(v->type), .tags = texts[i],
                                    .tag_count = count, .data = {bytes, some_length()}};
  }
  rille_part part = {.stream = rille_text_of(stream), .events = inputs, .event_count = n};
  rille_append a = {.size = sizeof a, .parts = &part, .part_count = 1};
  rille_error e = {0};
  if (!CHECK(rille_store_append(store, &a, NULL, &e) == 0)) printf("  %s\n", e.message);
  event_count += n;
}

static void grow(rille_store *store, uint64_t to) {
  while (event_count < to)
    append(store, 1 + random_below((uint32_t)min_u64(APPEND_MOST, to - event_count)));
}

static rille_store *open_store(void) {
  rille_options o = {.size = sizeof o, .sync = RILLE_SYNC_NEVER, .segment_bytes = SEGMENT_BYTES};
  rille_store *store = NULL;
  rille_error e = {0};
  if (!CHECK(rille_store_open(path, &o, &store, &e) >= 0)) {
    printf("  %s\n", e.message);
    exit(EXIT_FAILURE);
  }
  return store;
}

static rille_store *new_store(void) {
  const char *base = getenv("TMPDIR");
  snprintf(path, sizeof path, "%s/rille-reader-%ld", base && *base ? base : "/tmp", (long)getpid());
  system_remove_tree(path);
  event_count = 0;
  return open_store();
}

/* ---- A query, and the naive answer ---- */

struct asked {
  rille_query query;
  rille_item items[ITEMS_MOST];
  rille_text names[ITEMS_MOST][2][3];
};

static rille_text some_text(const char *const *names) {
  return rille_text_of(one_in(12) ? names[NAMES - 1] : names[random_below(NAMES)]);
}

static uint64_t some_bound(uint64_t last) {
  uint32_t near = (uint32_t)min_u64(last, 30);
  return one_in(2) ? random_below((uint32_t)last + 1) : last - random_below(near + 1);
}

static void some_item(struct asked *a, size_t i, uint64_t last) {
  static const char *const categories[] = {"a", "b", "", "d"};
  rille_item *item = &a->items[i];
  *item = (rille_item){.types = a->names[i][0], .tags = a->names[i][1]};
  if (one_in(2)) item->type_count = 1 + random_below(3);
  if (one_in(2)) item->tag_count = 1 + random_below(3);
  for (size_t k = 0; k < item->type_count; k++) a->names[i][0][k] = some_text(types);
  for (size_t k = 0; k < item->tag_count; k++) a->names[i][1][k] = some_text(tags);
  if (one_in(5)) item->stream = some_text(streams);
  if (one_in(6)) item->category = rille_text_of(categories[random_below(4)]);
  if (one_in(6)) item->after = random_below((uint32_t)last + 10);
}

static void some_query(struct asked *a, uint64_t end) {
  const char *stream = one_in(4) ? streams[random_below(NAMES)] : NULL;
  uint64_t last = stream ? 0 : end;
  for (uint64_t p = 1; stream && p <= end; p++)
    if (strcmp(events[p].stream, stream) == 0) last = events[p].version;
  a->query = (rille_query){.size = sizeof a->query, .items = a->items, .reverse = one_in(2)};
  if (stream) a->query.stream = rille_text_of(stream);
  a->query.item_count = random_below(ITEMS_MOST + 1);
  for (size_t i = 0; i < a->query.item_count; i++) some_item(a, i, end);
  if (one_in(2)) a->query.after = some_bound(last);
  if (one_in(3)) a->query.before = 1 + some_bound(last);
  if (one_in(3)) a->query.limit = 1 + random_below(one_in(2) ? 3 : 600);
  if (one_in(4)) a->query.shares = 1 + random_below(3);
  if (a->query.shares) a->query.share = 1 + random_below(a->query.shares);
}

static bool is(rille_text text, const char *name) { return text_equal(text, rille_text_of(name)); }

static bool in_category(const char *stream, rille_text category) {
  size_t n = strcspn(stream, "-");
  return n == category.length && memcmp(stream, category.bytes, n) == 0;
}

static bool matches(const rille_item *item, uint64_t position) {
  const struct event *v = &events[position];
  bool typed = item->type_count == 0;
  if (position <= item->after) return false;
  for (size_t i = 0; i < item->type_count; i++) typed = typed || is(item->types[i], v->type);
  for (size_t i = 0; i < item->tag_count; i++) {
    bool tagged = false;
    for (size_t t = 0; t < v->tag_count; t++) tagged = tagged || is(item->tags[i], v->tags[t]);
    if (!tagged) return false;
  }
  if (item->stream.length && !is(item->stream, v->stream)) return false;
  if (item->category.length && !in_category(v->stream, item->category)) return false;
  return typed;
}

/* The first item that matches, or -1. */
static int item_of(const rille_query *q, uint64_t position) {
  const struct event *v = &events[position];
  uint64_t number = q->stream.length ? v->version : position;
  if (q->stream.length && !is(q->stream, v->stream)) return -1;
  if (number <= q->after || (q->before && number >= q->before)) return -1;
  if (q->shares && rille_share_of(rille_text_of(v->stream), q->shares) != q->share) return -1;
  for (size_t i = 0; i < q->item_count; i++)
    if (matches(&q->items[i], position)) return (int)i;
  return q->item_count ? -1 : 0;
}

static uint64_t next_expected(const rille_query *q, uint64_t at, uint64_t end) {
  if (q->reverse) {
    for (uint64_t p = at ? at - 1 : end; p >= 1; p--)
      if (item_of(q, p) >= 0) return p;
  } else {
    for (uint64_t p = at + 1; p <= end; p++)
      if (item_of(q, p) >= 0) return p;
  }
  return 0;
}

/* ---- Both ways ---- */

static bool same_event(const rille_event *given, uint64_t position) {
  const struct event *v = &events[position];
  if (given->position != position || given->version != v->version ||
      given->tag_count < v->tag_count)
    return false;
  for (size_t i = 0; i < v->tag_count; i++)
    if (!is(rille_event_tag(given, i), v->tags[i])) return false;
  return is(given->stream, v->stream) && is(given->type, v->type);
}

static bool check_steps(rille_reader *reader, const rille_query *q, uint64_t end) {
  rille_event event;
  rille_error e = {0};
  uint64_t given = 0, at = 0;
  for (;; given++) {
    uint64_t expected = q->limit && given == q->limit ? 0 : next_expected(q, at, end);
    int result = rille_reader_next(reader, &event, &e);
    if (result < 0) printf("  %s\n", e.message);
    if (!CHECK(result == (expected ? 1 : 0)) || !expected) return result == 0 && !expected;
    at = expected;
    if (!CHECK(same_event(&event, expected)) ||
        !CHECK(rille_reader_item(reader) == (size_t)item_of(q, expected)))
      return false;
  }
}

static bool check_way(struct log *log, const rille_query *q, const struct log_end *end,
                      enum plan_choice choice, rille_explanation *found) {
  rille_reader *reader;
  rille_error e = {0};
  if (!CHECK(reader_open_by(&reader, log, q, end, choice, &e) == 0)) {
    printf("  %s\n", e.message);
    return false;
  }
  rille_reader_explain(reader, found);
  for (size_t i = 0; i < found->chain_count; i++) (void)rille_reader_chain(reader, i);
  bool same = check_steps(reader, q, end->next_position - 1);
  reader_close(reader);
  return same;
}

static bool check_last(struct log *log, const rille_query *q, const struct log_end *end) {
  rille_query from = {.items = q->items, .item_count = q->item_count, .after = q->after,
                      .reverse = 1};
  uint64_t last = UINT64_MAX;
  if (q->stream.length) return true; /* its bounds are versions */
  return CHECK(reader_last_match(log, q, end, &last, NULL) == 0) &&
         CHECK(last == next_expected(&from, 0, end->next_position - 1));
}

static void check_query(struct log *log, const rille_query *q, const struct log_end *end,
                        unsigned ways[2]) {
  rille_explanation scanned, chained, cheapest;
  if (!check_way(log, q, end, PLAN_SCAN, &scanned)) return;
  if (!check_way(log, q, end, PLAN_CHAINS, &chained)) return;
  if (!check_way(log, q, end, PLAN_CHEAPEST, &cheapest)) return;
  CHECK(scanned.events == cheapest.events && chained.events == cheapest.events);
  if (!cheapest.scan && !q->stream.length) CHECK(cheapest.members == chained.members);
  ways[cheapest.scan]++;
  check_last(log, q, end);
}

static void check_some_query(struct log *log, const struct log_end *end, unsigned ways[2]) {
  static struct asked a;
  some_query(&a, end->next_position - 1);
  check_query(log, &a.query, end, ways);
}

static void random_queries_both_ways(void) {
  unsigned ways[2] = {0};
  rille_store *store = new_store();
  struct log_end ends[8];
  size_t end_count = 0;
  for (uint64_t to = 10; to <= EVENTS_MOST && !test_failures; to = to * 3 / 2 + 7) {
    grow(store, to);
    if (one_in(3)) {
      CHECK(rille_store_close(store) == 0);
      store = open_store();
    }
    struct log *log = &store->shared->log;
    CHECK(log_look(log, false, &ends[end_count++ % 8], NULL) == 0);
    for (unsigned i = 0; i < QUERIES / 12 && !test_failures; i++)
      check_some_query(log, &ends[random_below((uint32_t)min_u64(end_count, 8))], ways);
  }
  printf("       %u queries along chains, %u along the log\n", ways[0], ways[1]);
  CHECK(ways[0] > 20 && ways[1] > 20);
  rille_store_close(store);
  system_remove_tree(path);
}

/* So small that a place stands for hundreds of them: the nearest one is far from a bound. */
static void bounds_among_tiny_events(void) {
  static rille_event_input inputs[EVENTS_MOST];
  unsigned ways[2] = {0};
  rille_text tag = rille_text_of("z");
  rille_store *store = new_store();
  for (uint64_t p = 1; p <= EVENTS_MOST; p++) {
    events[p] = (struct event){.stream = "a", .type = "A", .version = p};
    if (p % 40 == 7) events[p].tags[events[p].tag_count++] = "z";
    inputs[p - 1] = (rille_event_input){
        .type = rille_text_of("A"), .tags = &tag, .tag_count = events[p].tag_count};
  }
  rille_part part = {.stream = rille_text_of("a"), .events = inputs, .event_count = EVENTS_MOST};
  rille_append a = {.size = sizeof a, .parts = &part, .part_count = 1};
  CHECK(rille_store_append(store, &a, NULL, NULL) == 0);
  event_count = EVENTS_MOST;
  struct log_end end;
  CHECK(log_look(&store->shared->log, false, &end, NULL) == 0);
  for (unsigned i = 0; i < QUERIES && !test_failures; i++) {
    rille_item items[2];
    uint64_t last = one_in(4) ? 40 * random_below(EVENTS_MOST / 40) + 7
                              : 1 + random_below(EVENTS_MOST);
    for (size_t k = 0; k < 2; k++) {
      uint64_t near = last - random_below((uint32_t)min_u64(last, 4));
      items[k] = (rille_item){.tags = &tag, .tag_count = 1,
                              .after = one_in(2) ? near : random_below((uint32_t)last + 2)};
    }
    rille_query q = {.size = sizeof q, .items = items, .item_count = 1 + one_in(2),
                     .after = one_in(2) ? random_below((uint32_t)last) : 0, .before = last + 1,
                     .reverse = one_in(2)};
    check_query(&store->shared->log, &q, &end, ways);
  }
  rille_store_close(store);
  system_remove_tree(path);
}

/* ---- What is chosen ---- */

static rille_explanation explain(rille_store *store, const rille_query *q) {
  rille_explanation found = {0};
  rille_reader *reader;
  if (!CHECK(rille_store_read(store, q, &reader, NULL) == 0)) return found;
  rille_reader_explain(reader, &found);
  rille_reader_end(reader);
  return found;
}

static uint64_t count_tag(const char *tag) {
  uint64_t n = 0;
  for (uint64_t p = 1; p <= event_count; p++) n += has_tag(&events[p], tag);
  return n;
}

static void the_rarest_chain_drives(void) {
  rille_store *store = new_store();
  grow(store, EVENTS_MOST);
  rille_text both[] = {rille_text_of("t"), rille_text_of("z")}, nobody = rille_text_of("none");
  rille_item item = {.tags = both, .tag_count = 2, .stream = rille_text_of("a")};
  rille_query q = {.size = sizeof q, .items = &item, .item_count = 1};
  rille_explanation found = explain(store, &q);
  CHECK(!found.scan && found.chain_count == 1 && found.members == count_tag("z"));
  CHECK(found.events == EVENTS_MOST);
  item.tag_count = 1;
  item.stream.length = 0;
  found = explain(store, &q);
  CHECK(found.scan && found.chain_count == 1 && found.members > EVENTS_MOST / PLAN_SCAN_EVENTS);
  item = (rille_item){.tags = &nobody, .tag_count = 1};
  found = explain(store, &q);
  CHECK(!found.scan && found.chain_count == 1 && found.members == 0);
  item = (rille_item){.category = rille_text_of("a")};
  found = explain(store, &q);
  CHECK(found.scan && found.chain_count == 0 && found.members == EVENTS_MOST);
  item = (rille_item){.types = &nobody, .type_count = 1, .after = EVENTS_MOST};
  found = explain(store, &q);
  CHECK(!found.scan && found.members == 0);
  q = (rille_query){.size = sizeof q, .stream = rille_text_of("a")};
  found = explain(store, &q);
  CHECK(found.scan && found.members == version_of("a") && found.events == found.members);
  q.stream = rille_text_of("e");
  found = explain(store, &q);
  CHECK(!found.scan && found.members == version_of("e"));
  rille_store_close(store);
  system_remove_tree(path);
}

/* Names that no event can have are asked of no index. */
static void impossible_names_match_nothing(void) {
  static char room[600];
  rille_store *store = new_store();
  grow(store, 50);
  CHECK(rille_store_close(store) == 0);
  store = open_store();
  memset(room, 'n', sizeof room);
  for (size_t n = 0; n <= sizeof room; n += n < 250 ? 250 : n < 258 ? 1 : 342) {
    rille_text name = {room, n};
    rille_item items[] = {{.types = &name, .type_count = 1}, {.tags = &name, .tag_count = 1}};
    rille_query q = {.size = sizeof q, .items = items, .item_count = 2};
    uint64_t last;
    struct log_end end;
    rille_error e = {0};
    CHECK(log_look(&store->shared->log, true, &end, NULL) == 0);
    if (!CHECK(reader_last_match(&store->shared->log, &q, &end, &last, &e) == 0))
      printf("  %s\n", e.message);
    CHECK(last == 0);
  }
  rille_store_close(store);
  system_remove_tree(path);
}

/* What projections that were shared out have kept depends on it. */
static void shares_are_for_ever(void) {
  CHECK(rille_share_of(rille_text_of("account-1"), 3) == 2);
  CHECK(rille_share_of(rille_text_of("account-2"), 3) == 2);
  CHECK(rille_share_of(rille_text_of(""), 7) == 7);
  CHECK(rille_share_of(rille_text_of("anything"), 1) == 1);
  rille_store *store = new_store();
  rille_reader *reader;
  rille_error e = {0};
  rille_query q = {.size = sizeof q, .share = 3, .shares = 2};
  CHECK(rille_store_read(store, &q, &reader, &e) == RILLE_INVALID);
  q.share = 0;
  CHECK(rille_store_read(store, &q, &reader, &e) == RILLE_INVALID);
  rille_store_close(store);
  system_remove_tree(path);
}

/* Begins with a head all of whose addresses are this one. */
static int first_step(struct cursor *c, uint64_t address) {
  rille_error e = {0};
  for (unsigned k = 0; k < CHAIN_LEVELS; k++) c->head.tower[k] = address;
  cursor_begin(c, true, 1, 1);
  int result = cursor_next(c, &e);
  cursor_release(c);
  CHECK(result == 1 || result == e.code);
  return result;
}

/* A head with a wrong address, one that counts a record too many, and another chain's. */
static void check_wrong_heads(struct log *log, struct window *window, enum chain_kind kind,
                              const char *name, const char *other_name) {
  struct cursor c, other;
  CHECK(cursor_init(&c, log, window, kind, rille_text_of(name), NULL) == 0);
  CHECK(cursor_init(&other, log, window, kind, rille_text_of(other_name), NULL) == 0);
  uint64_t own = c.head.tower[0], others = other.head.tower[0];
  CHECK(first_step(&c, others) == (own == others ? 1 : RILLE_CORRUPT));
  CHECK(cursor_init(&c, log, window, kind, rille_text_of(name), NULL) == 0);
  c.high = ++c.head.count;
  CHECK(first_step(&c, own) == RILLE_CORRUPT);
  CHECK(cursor_init(&other, log, window, kind, rille_text_of(other_name), NULL) == 0);
  other.name = rille_text_of("nobody");
  CHECK(first_step(&other, others) == RILLE_CORRUPT);
}

static void a_chain_that_leads_elsewhere_is_found_out(void) {
  rille_store *store = new_store();
  grow(store, 600);
  struct log *log = &store->shared->log;
  struct window window;
  window_init(&window, &log->source, &log->memory, SCAN_WINDOW_SMALL);
  check_wrong_heads(log, &window, CHAIN_STREAM, "a", "a-1");
  check_wrong_heads(log, &window, CHAIN_TYPE, "A", "B");
  for (size_t i = 0; i + 3 < NAMES; i++)
    check_wrong_heads(log, &window, CHAIN_TAG, tags[i], tags[i + 1]);
  window_release(&window);
  rille_store_close(store);
  system_remove_tree(path);
}

static const struct test tests[] = {
    {"random queries, along the log and along chains", random_queries_both_ways},
    {"bounds among tiny events", bounds_among_tiny_events},
    {"the rarest chain drives", the_rarest_chain_drives},
    {"names that no event can have match nothing", impossible_names_match_nothing},
    {"a name's share is for ever the same", shares_are_for_ever},
    {"a chain that leads elsewhere is found out", a_chain_that_leads_elsewhere_is_found_out},
};
TEST_MAIN(tests)
