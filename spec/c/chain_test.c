/* chain_test.c: chains in memory against the naive answer. The chain under test
** is an array of addresses; each call for a record's links is counted. */
#include "chain.h"

#include "error.h"
#include "test.h"

#define LONG_CHAIN 100000u
#define SMALL_CHAIN 200u
#define TRIALS 2000
#define CALLS_MOST 100000u /* of one walk; more is a walk in circles */

struct array {
  struct chain chain;
  struct chain_head head;
  uint64_t *addresses;    /* 1 .. count */
  unsigned *asked;        /* by number: how often its links were wanted */
  unsigned calls, wanted;
  unsigned fail_after;    /* that many calls succeed; UINT32_MAX: all */
  uint64_t lie;           /* this record's last link is `lie_to`; 0: none is */
  uint64_t lie_to;
};

/* By the definition: to n - 2^k for each 2^k that divides n, but never to 0. */
static unsigned naive_links(const struct array *a, uint64_t n, uint64_t *links) {
  unsigned count = 0;
  for (uint64_t step = 1; n % step == 0 && n > step; step *= 2)
    links[count++] = a->addresses[n - step];
  return count;
}

static int give_links(void *context, uint64_t number, uint64_t address, uint64_t *links,
                      rille_error *e) {
  struct array *a = context;
  if (a->calls++ >= a->fail_after) return error_set(e, RILLE_IO, "told to fail");
  if (a->calls > CALLS_MOST) return error_set(e, RILLE_BUDGET, "links without end");
  if (!CHECK(number >= 1 && number <= a->head.count && a->addresses[number] == address))
    return error_set(e, RILLE_INVALID, "asked for a record that is not there");
  a->asked[number]++;
  unsigned n = naive_links(a, number, links);
  if (number == a->lie && n) links[n - 1] = a->lie_to;
  return 0;
}

static void note_want(void *context, uint64_t number, uint64_t address) {
  struct array *a = context;
  CHECK(number >= 1 && number <= a->head.count && a->addresses[number] == address);
  a->wanted++;
}

static void array_init(struct array *a, uint64_t most) {
  *a = (struct array){.fail_after = UINT32_MAX};
  a->addresses = calloc(most + 1, sizeof *a->addresses);
  a->asked = calloc(most + 1, sizeof *a->asked);
  a->chain = (struct chain){&a->head, give_links, note_want, a, {0, 0}};
}

static void array_free(struct array *a) {
  free(a->addresses);
  free(a->asked);
}

/* Adds a record, as an appender would. */
static void array_add(struct array *a) {
  uint64_t n = a->head.count + 1, links[LINKS_MOST], naive[LINKS_MOST];
  a->addresses[n] = (n == 1 ? 48 : a->addresses[n - 1]) + 8 * (1 + random_below(100));
  unsigned count = chain_next_links(a->head.count, a->head.tower, links);
  CHECK(count == naive_links(a, n, naive) && count == link_count(n));
  CHECK(memcmp(links, naive, count * sizeof *links) == 0);
  chain_advance(n, a->addresses[n], a->head.tower);
  a->head.count = n;
}

static void array_fill(struct array *a, uint64_t n) {
  while (a->head.count < n) array_add(a);
}

static void forget_calls(struct array *a) {
  a->calls = a->wanted = 0;
  memset(a->asked, 0, (a->head.count + 1) * sizeof *a->asked);
}

/* The table at the head of chain.h; numbers stand for addresses. */
static void links_as_drawn(void) {
  static const uint64_t drawn[9][4] = {{0}, {0}, {1}, {2}, {3, 2}, {4}, {5, 4}, {6}, {7, 6, 4}};
  struct chain_head head = {0};
  for (uint64_t n = 1; n <= 8; n++) {
    uint64_t links[LINKS_MOST] = {0};
    chain_next_links(n - 1, head.tower, links);
    CHECK(memcmp(links, drawn[n], sizeof drawn[n]) == 0);
    chain_advance(n, n, head.tower);
  }
  CHECK(head.tower[0] == 8 && head.tower[3] == 8 && head.tower[4] == 0);
  CHECK(chain_levels(0) == 0 && chain_levels(1) == 1);
  CHECK(chain_levels(7) == 3 && chain_levels(8) == 4 && chain_levels(9) == 4);
}

static void long_chain_links(void) {
  struct array a;
  array_init(&a, LONG_CHAIN);
  array_fill(&a, LONG_CHAIN); /* checks each record's links */
  for (unsigned k = 0; k < chain_levels(LONG_CHAIN); k++)
    CHECK(a.head.tower[k] == a.addresses[LONG_CHAIN >> k << k]);
  array_free(&a);
}

static void check_seek(struct array *a, uint64_t number) {
  uint64_t address = 0;
  a->calls = 0;
  CHECK(chain_seek(&a->chain, number, &address, NULL) == 0);
  CHECK(address == a->addresses[number]);
  CHECK(a->calls <= 2 * chain_levels(a->head.count));
}

static void seek_everywhere(void) {
  struct array a;
  array_init(&a, SMALL_CHAIN);
  while (a.head.count < SMALL_CHAIN) {
    array_add(&a);
    for (uint64_t n = 1; n <= a.head.count; n++) check_seek(&a, n);
  }
  array_free(&a);
}

static void seek_far(void) {
  struct array a;
  uint64_t hops = 0;
  array_init(&a, LONG_CHAIN);
  array_fill(&a, LONG_CHAIN);
  for (int i = 0; i < TRIALS; i++) {
    check_seek(&a, 1 + random_below(LONG_CHAIN));
    hops += a.calls;
  }
  printf("       seek in %u records: %.1f hops in the mean\n", LONG_CHAIN, (double)hops / TRIALS);
  CHECK(hops <= 17ull * TRIALS); /* log2 of the length */
  array_free(&a);
}

static uint64_t naive_below(const struct array *a, uint64_t end) {
  uint64_t n = 0;
  while (n < a->head.count && a->addresses[n + 1] < end) n++;
  return n;
}

static void check_below(struct array *a, uint64_t end, uint64_t expected) {
  uint64_t count = UINT64_MAX;
  a->calls = 0;
  CHECK(chain_count_below(&a->chain, end, &count, NULL) == 0);
  CHECK(count == expected);
  CHECK(a->calls <= 2 * chain_levels(a->head.count));
}

/* A record behind the sought one is a start as good as the head, and mostly a nearer one. */
static void a_mark_nearby_shortens_the_way(void) {
  struct array a;
  uint64_t near = 0, far = 0;
  array_init(&a, LONG_CHAIN);
  array_fill(&a, LONG_CHAIN);
  for (int i = 0; i < TRIALS; i++) {
    uint64_t number = 1 + random_below(LONG_CHAIN - 64), mark = number + random_below(64);
    a.chain.near = (struct chain_mark){0, 0};
    check_seek(&a, number);
    far += a.calls;
    check_below(&a, a.addresses[number], number - 1);
    a.chain.near = (struct chain_mark){mark, a.addresses[mark]};
    check_seek(&a, number);
    near += a.calls;
    check_below(&a, a.addresses[number], number - 1);
    check_below(&a, a.addresses[mark] + 1, mark); /* which is of no help then */
  }
  printf("       %.1f hops in the mean from the head, %.1f from a mark at most 64 further\n",
         (double)far / TRIALS, (double)near / TRIALS);
  CHECK(near < far);
  array_free(&a);
}

/* It stops early only where as few as asked are below, and then tells no less. */
static void a_count_may_end_early(void) {
  struct array a;
  array_init(&a, LONG_CHAIN);
  array_fill(&a, LONG_CHAIN);
  for (int i = 0; i < TRIALS; i++) {
    uint64_t number = 1 + random_below(LONG_CHAIN), enough = random_below(LONG_CHAIN + 2);
    struct chain_mark first;
    CHECK(chain_first_from(&a.chain, a.addresses[number], enough, &first, NULL) == 0);
    CHECK(first.number == number || (number < first.number && first.number <= enough));
    CHECK(first.address == a.addresses[first.number]);
  }
  array_free(&a);
}

static void count_below_everywhere(void) {
  struct array a;
  array_init(&a, SMALL_CHAIN);
  check_below(&a, 1000, 0);
  while (a.head.count < SMALL_CHAIN) {
    array_add(&a);
    for (uint64_t n = 1; n <= a.head.count; n++) {
      check_below(&a, a.addresses[n], n - 1);
      check_below(&a, a.addresses[n] + 1, n);
    }
    check_below(&a, 0, 0);
    check_below(&a, UINT64_MAX, a.head.count);
  }
  array_free(&a);
}

static void count_below_far(void) {
  struct array a;
  array_init(&a, LONG_CHAIN);
  array_fill(&a, LONG_CHAIN);
  for (int i = 0; i < TRIALS / 4; i++) {
    uint64_t end = random_below((uint32_t)a.addresses[LONG_CHAIN] + 100);
    check_below(&a, end, naive_below(&a, end));
  }
  array_free(&a);
}

static void check_block(struct array *a, uint64_t low, uint64_t high) {
  uint64_t addresses[CHAIN_BLOCK + 1], sought;
  addresses[high - low + 1] = 0xabcdef;
  forget_calls(a);
  CHECK(chain_seek(&a->chain, high, &sought, NULL) == 0);
  unsigned hops = a->calls;
  forget_calls(a);
  CHECK(chain_block(&a->chain, low, high, addresses, NULL) == 0);
  for (uint64_t n = low; n <= high; n++) {
    CHECK(addresses[n - low] == a->addresses[n]);
    CHECK(a->asked[n] == 1);
  }
  CHECK(a->calls == hops + (high - low + 1) && a->wanted == high - low + 1);
  CHECK(addresses[high - low + 1] == 0xabcdef);
}

static void blocks(void) {
  struct array a;
  array_init(&a, 4000);
  for (unsigned i = 0; i < 300; i++) {
    array_fill(&a, a.head.count + 1 + random_below(12));
    uint64_t high = 1 + random_below((uint32_t)a.head.count);
    uint64_t most = min_u64(high, CHAIN_BLOCK);
    check_block(&a, high - random_below((uint32_t)most), high);
    check_block(&a, high - most + 1, high);
    check_block(&a, a.head.count, a.head.count);
  }
  array_free(&a);
}

/* The three ways to walk, each from the end to the start. */
static int walk(struct array *a, int way, rille_error *e) {
  uint64_t n, addresses[CHAIN_BLOCK];
  if (way == 0) return chain_seek(&a->chain, 1, &n, e);
  if (way == 1) return chain_count_below(&a->chain, 1, &n, e);
  return chain_block(&a->chain, 1, min_u64(a->head.count, CHAIN_BLOCK), addresses, e);
}

static void failures_are_passed_on(void) {
  struct array a;
  array_init(&a, 1001);
  array_fill(&a, 1001);
  for (int way = 0; way < 3; way++) {
    unsigned failures = 0;
    for (unsigned i = 0;; i++, failures++) {
      rille_error e = {0};
      a.calls = 0;
      a.fail_after = i;
      int result = walk(&a, way, &e);
      if (result == 0) break;
      CHECK(result == RILLE_IO && e.code == RILLE_IO);
      CHECK(a.calls == i + 1); /* nothing is asked after a failure */
    }
    CHECK(failures > 0);
  }
  array_free(&a);
}

/* A damaged link: forward, to itself, or to nothing. */
static void links_lead_back_or_are_damage(void) {
  struct array a;
  array_init(&a, 257);
  array_fill(&a, 257);
  for (int way = 0; way < 3; way++) {
    for (a.lie = 2; a.lie <= a.head.count; a.lie++) {
      const uint64_t lies[] = {a.addresses[a.lie], a.addresses[a.lie] + 8, UINT64_MAX, NO_ADDRESS};
      for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        rille_error e = {0};
        a.lie_to = lies[i];
        forget_calls(&a);
        int result = walk(&a, way, &e);
        CHECK(result == (a.asked[a.lie] ? RILLE_CORRUPT : 0));
        if (result) CHECK(e.code == RILLE_CORRUPT && e.address == a.addresses[a.lie]);
      }
    }
  }
  array_free(&a);
}

static const struct test tests[] = {
    {"links as drawn in chain.h", links_as_drawn},
    {"links and tower of a long chain", long_chain_links},
    {"seek: every number of every short chain", seek_everywhere},
    {"seek: a long chain in few hops", seek_far},
    {"count below: every end of every short chain", count_below_everywhere},
    {"count below: a long chain", count_below_far},
    {"a mark nearby shortens the way", a_mark_nearby_shortens_the_way},
    {"a count may end early", a_count_may_end_early},
    {"blocks: all addresses, each record asked once", blocks},
    {"a failing reader is passed on", failures_are_passed_on},
    {"a link that does not lead back is damage", links_lead_back_or_are_damage},
};
TEST_MAIN(tests)
