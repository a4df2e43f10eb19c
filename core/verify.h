/* verify.h: walking the log for verify: every byte of it is looked at, what does not hold is
** told, and the heads that it leads to are left for audit.c, which holds the index against
** them. */
#ifndef RILLE_VERIFY_H
#define RILLE_VERIFY_H

#include "note.h"
#include "scan.h"
#include "store.h"

#define VERIFY_OLDER_MOST 3u

struct verifying {
  struct log *log;
  const rille_verify *options;
  rille_verified *result;
  /* Our own fold of the log, in stretches: who is in a later one has changed there. */
  struct overlay older[VERIFY_OLDER_MOST], heads;
  unsigned older_count;
  struct id_run run;   /* in the current frame */
  bool beside_writers; /* a reader's: the index may know more than we have read */
  struct scan scan;
  bool damaged, stopped;
  bool locked;        /* nobody may be called: they might use the store */
  struct buffer kept; /* struct kept_problem: what is to be told afterwards */
  uint64_t told;      /* progress has been told up to here */
  rille_error error;  /* of the last step that failed */
  /* audit.c's: */
  bool alone;             /* nobody appends, and `lock` is held from slice to slice */
  struct buffer doubtful; /* entries of ours that others' are to be like, and were not */
  struct overlay unknown; /* names in the index that our own fold has not */
  struct buffer places;   /* that the index has */
};

/* Walks the log from where the last walk ended. */
INTERNAL int verify_walk(struct verifying *v, uint64_t end);
/* The newest entry of our own fold, or NULL. */
INTERNAL struct overlay_entry *verify_head(const struct verifying *v, unsigned kind,
                                           rille_text name);
INTERNAL void verify_tell(struct verifying *v, const char *invariant, uint64_t address,
                          uint64_t position, const char *message);
/* v->error, with the file in which it stands. */
INTERNAL void verify_tell_error(struct verifying *v, const char *invariant, uint64_t position);
/* The first damage ends what can be read, at a position. */
INTERNAL void verify_damaged(struct verifying *v, uint64_t readable);
/* What was found while nobody may be called. */
INTERNAL void verify_tell_kept(struct verifying *v);

#endif
