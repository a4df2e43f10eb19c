/* work.h: what the workloads append, and what they say of it.
**
** An append has a serial number, from which all of it follows: streams, types, tags, ids, sizes
** and bytes. So who reads an event can tell whether it is what was written, and of which append
** it is the how manyth. */
#ifndef RILLE_POWER_WORK_H
#define RILLE_POWER_WORK_H

#include "chance.h"
#include "record.h"
#include "rille.h"

#define STORES_MOST 3u
#define SERIALS_MOST 2048u /* 1 .. ; from SERIAL_EMITTED on what a processor emits, */
#define SERIAL_EMITTED 1024u
#define SERIAL_JUDGE 1536u /* and what the judge appends */
#define STREAMS 6u         /* the last is for what is emitted */
#define TYPES 4u           /* the same */
#define TAGS 5u
#define APPEND_EVENTS_MOST 5u
#define EVENT_BYTES_MOST (40u << 10)

/* What the data of an event begin with. */
struct label {
  uint32_t magic, serial;
  uint16_t index, count;
  uint32_t bytes, input; /* input: position of the event that a processor reacted to */
};

enum mark_kind {
  MARK_MADE,    /* the store is open: it is there from now on */
  MARK_TOLD,    /* append `serial` is at `first`; durably, or just written */
  MARK_DURABLE, /* all up to position `first` is */
  MARK_SEEN,    /* the store has these, whose serials follow, durably; no other below `serial` */
  MARK_REFUSED, /* append `serial` did not happen, and never will */
  MARK_RETRIED, /* it is tried again, and may happen now */
  MARK_CUT_BEGUN, /* stream `serial` before version `first` */
  MARK_CUT,
  MARK_BACKUP_BEGUN, /* store number `serial` is to be a copy, with all up to `first` at least */
  MARK_BACKUP,       /* ... and is there */
  MARK_SCAVENGE_BEGUN, /* what is truncated by now may go */
  MARK_SCAVENGED,
  MARK_REDACT_BEGUN, /* position `first` */
  MARK_REDACTED,
  MARK_OUTCOME /* transaction `serial`: `first` is enum rille_outcome */
};

struct mark {
  uint32_t kind, store, serial, durable;
  uint64_t first;
};

/* Of the workload at hand: what serials mean, and how large events are, at most. */
struct work {
  uint64_t seed;
  uint32_t bytes, large; /* large: one append in eight has events of up to so many */
  bool plain;            /* one event an append */
};
extern struct work work;

struct made {
  rille_append append;
  rille_part parts[2];
  rille_event_input events[APPEND_EVENTS_MOST];
  uint32_t count;
};

/* The append of a serial number. What it holds lives until the next call. */
const rille_append *work_make(uint32_t serial, uint32_t input, struct made *made);
/* Whether an event is what work_make gives; the label is filled in. NULL, or what is wrong. */
const char *work_check(const rille_event *event, struct label *label);
/* Of the names made there. */
rille_text work_stream(uint32_t number);
rille_text work_type(uint32_t number);
rille_text work_tag(uint32_t number);
/* STREAMS, TYPES, TAGS: it is none of them. */
uint32_t work_stream_number(rille_text name);
uint32_t work_type_number(rille_text name);
uint32_t work_tag_number(rille_text name);

void work_mark(struct mark mark);

#endif
