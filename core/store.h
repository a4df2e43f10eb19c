/* store.h: a store as its users hold it. */
#ifndef RILLE_STORE_H
#define RILLE_STORE_H

#include "table.h"

struct rille_store {
  struct shared *shared;
  struct memory memory;
  int sync; /* enum rille_sync, of this handle */
  int64_t sync_interval_us;
};

/* Opens a store as rille_store_open does, but settles nothing. */
INTERNAL int store_open(const char *path, const rille_options *options, rille_store **store,
                        rille_error *error);
/* A handle on a store that is open in this process and has this uuid, the `number`th such;
** NULL: there is none. */
INTERNAL rille_store *store_of_uuid(rille_text uuid, size_t number);
/* What a caller gives, as far as its sizes say that he knows it. */
struct known_append {
  rille_append append;
  rille_query unless; /* to which it points */
};
INTERNAL int store_know_append(const rille_append *given, struct known_append *known,
                               rille_error *error);
/* Appends as rille_store_append does, but never waits for a lock. */
INTERNAL int store_append_once(rille_store *store, const rille_append *append, rille_appended *done,
                               rille_error *error);
INTERNAL int store_cut_once(rille_store *store, rille_text stream, uint64_t before,
                            rille_error *error);

/* RILLE_CLOSED in a forked child, whose store this is not. */
INTERNAL int store_usable(const rille_store *store, rille_error *error);
/* Whether the handle's readers see the durable end, or the written one. */
static inline bool store_sees_durable(const rille_store *store) {
  return store->sync == RILLE_SYNC_ALWAYS;
}

#endif
