/* chain.c: seeking and reading forward along skip links. */
#include "chain.h"

#include <assert.h>

#include "error.h"

unsigned chain_next_links(uint64_t count, const uint64_t *tower, uint64_t *links) {
  unsigned n = link_count(count + 1);
  for (unsigned k = 0; k < n; k++) links[k] = tower[k];
  return n;
}

void chain_advance(uint64_t number, uint64_t address, uint64_t *tower) {
  for (int k = __builtin_ctzll(number); k >= 0; k--) tower[k] = address;
}

/* The last number that is a multiple of 2^k. */
static uint64_t last_multiple(uint64_t count, unsigned k) { return count >> k << k; }

/* A link must lead to an earlier address, or a damaged one could lead in circles. */
static int follow(const struct chain *c, uint64_t number, uint64_t address, uint64_t *links,
                  rille_error *e) {
  int failed = c->links(c->context, number, address, links, e);
  if (failed) return failed;
  for (unsigned k = 0, n = link_count(number); k < n; k++)
    if (links[k] == NO_ADDRESS || links[k] >= address)
      return error_corrupt(e, address, "the record at byte %llu of the log links forward",
                           (unsigned long long)address);
  return 0;
}

/* A record that a walk down to `number` can start from. */
static struct chain_mark start_above(const struct chain *c, uint64_t number) {
  const struct chain_head *h = c->head;
  unsigned level = chain_levels(h->count) - 1;
  while (last_multiple(h->count, level) < number) level--;
  struct chain_mark start = {last_multiple(h->count, level), h->tower[level]};
  return c->near.number >= number && c->near.number < start.number ? c->near : start;
}

int chain_seek(const struct chain *c, uint64_t number, uint64_t *address, rille_error *e) {
  assert(number >= 1 && number <= c->head->count);
  struct chain_mark at = start_above(c, number);
  while (at.number != number) {
    uint64_t links[LINKS_MOST];
    int failed = follow(c, at.number, at.address, links, e);
    if (failed) return failed;
    unsigned k = link_count(at.number) - 1;
    while (at.number - ((uint64_t)1 << k) < number) k--;
    at.address = links[k];
    at.number -= (uint64_t)1 << k;
  }
  *address = at.address;
  return 0;
}

/* The smallest number that is known to lie at or above an address, without a look. */
static struct chain_mark start_from(const struct chain *c, uint64_t address) {
  const struct chain_head *h = c->head;
  struct chain_mark start = {h->count, h->tower[0]};
  for (unsigned k = 1; k < chain_levels(h->count); k++)
    if (h->tower[k] >= address)
      start = (struct chain_mark){last_multiple(h->count, k), h->tower[k]};
  bool nearer = c->near.number && c->near.number < start.number && c->near.address >= address;
  return nearer ? c->near : start;
}

int chain_first_from(const struct chain *c, uint64_t address, uint64_t enough,
                     struct chain_mark *first, rille_error *e) {
  const struct chain_head *h = c->head;
  *first = (struct chain_mark){h->count + 1, NO_ADDRESS};
  if (h->count == 0 || h->tower[0] < address) return 0;
  struct chain_mark at = start_from(c, address);
  while (at.number > enough) {
    uint64_t links[LINKS_MOST];
    int failed = follow(c, at.number, at.address, links, e);
    if (failed) return failed;
    int k = (int)link_count(at.number) - 1;
    while (k >= 0 && links[k] < address) k--;
    if (k < 0) break;
    at.address = links[k];
    at.number -= (uint64_t)1 << k;
  }
  *first = at;
  return 0;
}

int chain_count_below(const struct chain *c, uint64_t end, uint64_t *count, rille_error *e) {
  struct chain_mark first;
  int failed = chain_first_from(c, end, 0, &first, e);
  if (!failed) *count = first.number - 1;
  return failed;
}

/* One wave's members and what is known so far. */
struct block {
  const struct chain *chain;
  uint64_t low, high;
  uint64_t *addresses;
  uint64_t queue[CHAIN_BLOCK];
  size_t queued;
};

static void learn(struct block *b, uint64_t number, uint64_t address) {
  if (number < b->low || number > b->high || b->addresses[number - b->low] != NO_ADDRESS) return;
  b->addresses[number - b->low] = address;
  b->queue[b->queued++] = number;
  if (b->chain->want) b->chain->want(b->chain->context, number, address);
}

/* The block's end, and what the tower knows inside it. */
static void learn_start(struct block *b, uint64_t high_address) {
  const struct chain_head *h = b->chain->head;
  learn(b, b->high, high_address);
  for (unsigned k = 0; k < chain_levels(h->count); k++)
    learn(b, last_multiple(h->count, k), h->tower[k]);
}

int chain_block_at(const struct chain *c, uint64_t low, uint64_t high, uint64_t high_address,
                   uint64_t *addresses, rille_error *e) {
  assert(low >= 1 && low <= high && high - low < CHAIN_BLOCK);
  struct block b = {.chain = c, .low = low, .high = high, .addresses = addresses};
  memset(addresses, 0, (size_t)(high - low + 1) * sizeof *addresses);
  learn_start(&b, high_address);
  int failed = 0;
  for (size_t done = 0; !failed && done < b.queued; done++) {
    uint64_t links[LINKS_MOST], number = b.queue[done];
    failed = follow(c, number, addresses[number - low], links, e);
    if (failed) break;
    for (unsigned k = 0, n = link_count(number); k < n; k++)
      learn(&b, number - ((uint64_t)1 << k), links[k]);
  }
  return failed;
}

int chain_block(const struct chain *c, uint64_t low, uint64_t high, uint64_t *addresses,
                rille_error *e) {
  uint64_t address;
  int failed = chain_seek(c, high, &address, e);
  return failed ? failed : chain_block_at(c, low, high, address, addresses, e);
}
