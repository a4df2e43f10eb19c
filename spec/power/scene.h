/* scene.h: what workloads are written in: stores, appends, and what was told of them, in one
** line each. */
#ifndef RILLE_POWER_SCENE_H
#define RILLE_POWER_SCENE_H

#include "judge.h"

#define SMALL_SEGMENT ((uint64_t)64 << 10) /* bytes; no segment can be smaller */

struct workload {
  const char *name;
  void (*run)(void);
  struct trial trial; /* but for its paths */
  uint32_t stores;
  uint32_t share; /* of the time: this to the sum of all */
};
extern const struct workload workloads[]; /* the last has no name */

struct scene {
  struct record *record;
  const char *paths[STORES_MOST];
  rille_store *stores[STORES_MOST];
  uint32_t serial; /* of the last append */
  bool failed;
  bool deadly;     /* children may be killed */
};
extern struct scene scene;

/* False where a call has failed, which is shown: nothing in a workload may. */
bool scene_check(int result, const rille_error *e, const char *what);

/* What opening returns; scene_open: it succeeds. */
int scene_try_open(uint32_t store, int sync, bool background, uint64_t segment_bytes,
                   rille_error *e);
void scene_open(uint32_t store, int sync, bool background, uint64_t segment_bytes);
void scene_close(uint32_t store);
/* One append, or the next n of them, and what was told. */
int scene_append_serial(uint32_t store, uint32_t serial, bool durable, rille_error *e);
void scene_append(uint32_t store, uint32_t n, bool durable);
/* All that the store has told to be durable is. */
void scene_mark_durable(uint32_t store);
/* Opened after a failed flush: what is there is there for good, what is not is gone. */
void scene_mark_seen(uint32_t store);
/* n processes, each does the job with its number from 0. */
void scene_fork(uint32_t n, void (*job)(uint32_t number));

/* From now on children may be killed; the dead can't tell which serials they took. */
void scene_expect_deaths(void);
/* Whoever makes the nth call dies with it; those of a kind (a bit for each), or all, count. */
void scene_die_at(uint32_t n, uint32_t kinds);
uint32_t scene_next_serial(void);

void transactions(void);
void coordinators(void);

#endif
