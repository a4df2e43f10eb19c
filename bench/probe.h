/* probe.h: a figure that needs a process of its own: opening, and memory. */
#ifndef BENCH_PROBE_H
#define BENCH_PROBE_H

#include "peer.h"

#define PROBE_OPTION "--probe"   /* bench --probe KIND PEER PATH: how the child is started */

struct opened {
  double open_ms, first_ms;      /* until it was open; until one stream had been read too */
};

struct remembered {
  double peak_kib;               /* 0: the system does not tell */
  double events;
};

/* Run in a fresh process, started as `self` (argv[0] of this one). */
struct opened probe_open(const char *self, const struct peer *peer, const char *path);
struct remembered probe_memory(const char *self, const struct peer *peer, const char *path);

/* The child's side: argv from PROBE_OPTION on. Prints two numbers. */
int probe_main(int argc, char **argv);

#endif
