/* peer.h: what a contender can do. rille is one of them, behind the same calls;
** each gets the same list of events and turns it into its own. Nothing here
** returns an error: who fails says why and ends the run (die in scratch.h). */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stdbool.h>

#include "workload.h"

/* What a store is opened for. rille and LMDB take no notice; SQLite is set up
** for the best it does in each. */
enum purpose { READING, SMALL_APPENDS, LARGE_APPENDS };

struct peer_mode {
  enum purpose purpose;
  bool durable;      /* an append returns when it is on the disk */
  bool tags;         /* tags will be appended: have an index of them */
  /* rille only: */
  bool interval;     /* the background thread flushes now and then */
  bool unless;       /* each append is refused if its first event's tag has come again since
                     ** the append before */
  bool readonly;
  bool every_event;  /* a tag is read without its chain, by a look at every event */
};

/* What was read, so that nobody gets away with less: all contenders must come
** to the same. `look` is called now and then while reading, if given. */
struct tally {
  uint64_t events, sum;
  void (*look)(void *context);
  void *context;
};

#define TALLY_LOOK_EVENTS 0x10000   /* a power of two */

static inline void tally_event(struct tally *t, uint64_t position, uint64_t version,
                               rille_text stream, rille_text type, rille_text data) {
  t->sum += position * 31 + version * 7 + stream.length + type.length + data.length;
  t->sum += (unsigned char)stream.bytes[stream.length - 1];
  t->sum += (unsigned char)type.bytes[0];
  t->sum += (unsigned char)data.bytes[data.length - 1];
  if ((++t->events & (TALLY_LOOK_EVENTS - 1)) == 0 && t->look) t->look(t->context);
}

struct peer {
  const char *name;                  /* also that of its files in the scratch folder */
  const char *(*about)(void);        /* its version; NULL: not built, the rest is absent */
  void *(*open)(const char *path, const struct peer_mode *mode);
  void (*close)(void *handle);
  void (*append)(void *handle, const struct input *events, size_t n);   /* one transaction */
  void (*scan)(void *handle, struct tally *tally);                      /* in order of position */
  void (*read_stream)(void *handle, rille_text stream, struct tally *tally);
  void (*read_tag)(void *handle, rille_text tag, struct tally *tally);  /* in order of position */
  uint64_t (*log_bytes)(void *handle);                                  /* rille only */
  uint64_t (*flushes)(void *handle);       /* of all processes; NULL: does not count them */
  void (*reserve)(void *handle, size_t append_bytes, size_t appends);   /* bare loops only */
  bool is_disk;                      /* no store, but what the disk allows */
  /* Around a row, outside its processes; NULL: nothing to do. `start` returns why it can't
  ** run on this machine, or NULL. */
  const char *(*start)(void);
  void (*stop)(void);
};

extern const struct peer peer_rille, peer_loop, peer_group, peer_sqlite, peer_lmdb, peer_pipe;

/* What is under the handle of peer_rille. */
rille_store *peer_rille_store(void *handle);

#endif
