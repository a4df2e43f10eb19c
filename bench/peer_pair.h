/* peer_pair.h: contenders for transactions over two stores. Each is a peer whose path is a
** folder that holds both, and whose append makes transactions, one after the other, of its
** events by twos: the first of two goes home, the second into the other store. */
#ifndef BENCH_PEER_PAIR_H
#define BENCH_PEER_PAIR_H

#include "peer.h"

extern const struct peer peer_pair, peer_pair_shared, peer_coordinator, peer_stores,
  peer_attached, peer_databases;

#endif
