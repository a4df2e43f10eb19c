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

int chain_seek(const struct chain *c, uint64_t number, uint64_t *address, rille_error *e) {
  const struct chain_head *h = c->head;
  assert(number >= 1 && number <= h->count);
  unsigned level = chain_levels(h->count) - 1;
  while (last_multiple(h->count, level) < number) level--;
  uint64_t at = last_multiple(h->count, level), place = h->tower[level];
  while (at != number) {
    uint64_t links[LINKS_MOST];
    int failed = follow(c, at, place, links, e);
    if (failed) return failed;
    unsigned k = link_count(at) - 1;
    while (at - ((uint64_t)1 << k) < number) k--;
    place = links[k];
    at -= (uint64_t)1 << k;
  }
  *address = place;
  return 0;
}

int chain_count_below(const struct chain *c, uint64_t end, uint64_t *count, rille_error *e) {
  const struct chain_head *h = c->head;
  if (h->count == 0 || h->tower[0] < end) {
    *count = h->count;
    return 0;
  }
  /* The smallest number in the tower that is known to lie at or behind end. */
  uint64_t at = h->count, place = h->tower[0];
  for (unsigned k = 1; k < chain_levels(h->count); k++)
    if (h->tower[k] >= end) at = last_multiple(h->count, k), place = h->tower[k];
  for (;;) {
    uint64_t links[LINKS_MOST];
    int failed = follow(c, at, place, links, e);
    if (failed) return failed;
    int k = (int)link_count(at) - 1;
    while (k >= 0 && links[k] < end) k--;
    if (k < 0) break;
    place = links[k];
    at -= (uint64_t)1 << k;
  }
  *count = at - 1;
  return 0;
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
