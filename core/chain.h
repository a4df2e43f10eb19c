/* chain.h: how the events of one stream, type or tag find each other.
**
** A chain numbers its records 1, 2, 3 ... Record n holds the addresses of the
** records n - 2^k, for every k for which 2^k divides n:
**
**    number    1    2    3    4       5    6     7    8
**    links to  -    1    2    3 2     4    5 4   6    7 6 4
**
** That is a skip list that is written once and never changed: about two links
** a record, and any number is reached from the end in O(log n) steps. What is
** needed to append, and to start reading, is the chain's head:
**
**    count       how many records the chain has
**    touched     address of the frame that wrote the last of them
**    tower[k]    address of the last record whose number is a multiple of 2^k
**
** Everything here is pure over a callback that gives a record's links. */
#ifndef RILLE_CHAIN_H
#define RILLE_CHAIN_H

#include "base.h"

#define CHAIN_LEVELS 48u /* 2^48 records in a chain is more than a disk can hold */
#define CHAIN_BLOCK 256u /* records resolved at a time when reading forward */

enum chain_kind { CHAIN_STREAM, CHAIN_TYPE, CHAIN_TAG, CHAIN_KINDS };

struct chain_head {
  uint64_t count, touched;
  uint64_t tower[CHAIN_LEVELS];
};

/* How many levels of its tower a chain of n records uses. */
static inline unsigned chain_levels(uint64_t n) {
  return n ? 64u - (unsigned)__builtin_clzll(n) : 0;
}

/* The links that record count + 1 will have; returns how many. */
INTERNAL unsigned chain_next_links(uint64_t count, const uint64_t *tower, uint64_t *links);

/* Record `number`, at `address`, is now the last of its chain. */
INTERNAL void chain_advance(uint64_t number, uint64_t address, uint64_t *tower);

/* Gives the links of record `number` at `address`; < 0 is an error. */
typedef int (*chain_links)(void *context, uint64_t number, uint64_t address, uint64_t *links,
                           rille_error *error);
/* Tells that this record will be asked for soon. May be NULL. */
typedef void (*chain_want)(void *context, uint64_t number, uint64_t address);

/* A record whose address is known. */
struct chain_mark {
  uint64_t number, address;
};

struct chain {
  const struct chain_head *head;
  chain_links links;
  chain_want want;
  void *context;
  struct chain_mark near; /* a walk may start here, if it is nearer; number 0: none */
};

/* The address of record `number`, 1 <= number <= count. */
INTERNAL int chain_seek(const struct chain *chain, uint64_t number, uint64_t *address,
                        rille_error *error);

/* The first record at or above an address; number count + 1 where there is none. Once it
** is known to be number `enough` or before, the walk may stop at a later one. */
INTERNAL int chain_first_from(const struct chain *chain, uint64_t address, uint64_t enough,
                              struct chain_mark *first, rille_error *error);

/* How many of the chain's records have addresses below `end`. */
INTERNAL int chain_count_below(const struct chain *chain, uint64_t end, uint64_t *count,
                               rille_error *error);

/* The addresses of records low .. high, at most CHAIN_BLOCK of them, are found in
** waves: all links of all known members at once, so that the disk has many
** requests in hand. `links` is called once for each of them. */
INTERNAL int chain_block(const struct chain *chain, uint64_t low, uint64_t high,
                         uint64_t *addresses, rille_error *error);

/* The same, where the address of record `high` is known: who goes backward has
** it from the block before, whose first record links to it. */
INTERNAL int chain_block_at(const struct chain *chain, uint64_t low, uint64_t high,
                            uint64_t high_address, uint64_t *addresses, rille_error *error);

#endif
