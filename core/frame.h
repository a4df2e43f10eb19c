/* frame.h: bytes of the log, to and from structs.
**
** The log is a sequence of frames; a frame is the unit of atomicity: it counts
** wholly or not at all. It starts at an address that is a multiple of 8, never
** crosses a segment, and looks like this (numbers little-endian):
**
**    0         4        8      10      11     12      16
**    +---------+--------+------+-------+------+-------+
**    | header  | length | kind | format| zero | count |
**    | checksum|        |      |       |      |       |
**    +---------+--------+------+-------+------+-------+
**   16  time in microseconds since 1970, never less than the previous frame's
**   24  position of the first record (of the next one where count is 0)
**   32  durable: below this address a flush had succeeded when this was built
**   40  prefix: bytes between this header and the first record
**   44  content checksum: of the prefix, then of each record's head checksum
**   48  prefix, records
**
** The header's checksum covers bytes 4 to 47: no length is believed before it
** has been checked. A record is self-contained: head, then body.
**
**    0  head checksum, of bytes 4 to the end of the head
**    4  head length                 8  position
**   16  time                       24  version: its number in its stream
**   32  its number in its type     40  data length        44  meta length
**   48  body checksum, of data and meta
**   52  names length, with padding 54  stream length      55  type length
**   56  id length                  57  tag count          58  flags   59  zeros
**   64  names: stream, type, id, then each tag behind a byte of its length; padded to 8
**       for each tag its number in that tag's chain
**       links: of the stream, of the type, of each tag
**   head length: data, meta, padded to 8
**
** A record whose content was taken out of the log (retention) keeps its place and the length of
** its head, because others link to it and the next one follows it. Its body is gone: data length
** says how many bytes of the log it had, meta length is 0, zeros are read there, and the body
** checksum is that of no bytes. A name that was taken has zeros in its place.
**
** All checksums are seeded with the address of what they cover and the store's
** salt: the header's, the content's and a head's with their own start, a body's
** with its record's. */
#ifndef RILLE_FRAME_H
#define RILLE_FRAME_H

#include "base.h"

#define FRAME_FORMAT 1
#define FRAME_HEADER_BYTES 48u
#define RECORD_FIXED_BYTES 64u
#define RECORD_TAGS_MOST RILLE_TAGS
#define RECORD_HEAD_MOST                                                       \
  (RECORD_FIXED_BYTES + 3 * 255u + RECORD_TAGS_MOST * 256u + 8 +               \
   (2 + RECORD_TAGS_MOST) * (8u + 8u * LINKS_MOST))
/* One append of 64 MiB, each of its events at the worst ratio of head to body. */
#define FRAME_BYTES_MOST ((uint32_t)1 << 31)

/* What a frame is about. A reader that does not know a kind may pass over it if
** it has the ignorable bit, and must refuse the store otherwise. */
#define FRAME_IGNORABLE 0x8000u
#define FRAME_KINDS(X)                                                         \
  X(EVENTS, events, 1, true)      /* an append */                              \
  X(PREPARE, prepare, 2, false)    /* work of a transaction, promised, not visible */\
  X(COMMIT, commit, 3, true)      /* ... done: its events, with their positions */\
  X(ABORT, abort, 4, false)      /* ... dropped */                             \
  X(DECISION, decision, 5, true)    /* at home: the outcome, and home's own events */\
  X(END, end, 6, false)        /* at home: every member has acknowledged */    \
  X(EPOCH, epoch, 7, false)      /* a coordinator's instance begins */         \
  X(CLOSED, closed, 8, false)     /* ... and has ended */                      \
  X(RESTORED, restored, 9, false)   /* what precedes came out of a backup */   \
  X(WATERMARK, watermark, 10, false) /* decisions before it may be forgotten */\
  X(RESOLVE, resolve, 11, false)   /* an operator has settled a transaction */ \
  X(STREAM, stream, 12, false)    /* a stream is truncated or deleted */       \
  X(MARK, mark, 13, false)      /* a processor has reached a position */       \
  X(SCRIPT, script, 14, false)    /* a script's identity and text */           \
  X(PARK, park, 15, false)      /* an event a processor failed on */           \
  X(REDACT, redact, 16, false)    /* content was taken out of the log */
enum frame_kind {
#define FRAME_KIND_ENUM(constant, name, number, records) FRAME_##constant = number,
  FRAME_KINDS(FRAME_KIND_ENUM)
#undef FRAME_KIND_ENUM
};

struct frame {
  uint64_t address;
  uint64_t first_position;
  uint64_t durable;
  int64_t time_us;
  uint32_t length, count, prefix;
  uint32_t header_checksum, content_checksum;
  uint16_t kind;
  uint8_t format;
};

/* Writes the 48 bytes of a header, its checksum included. */
INTERNAL void frame_put_header(uint8_t *bytes, struct frame *frame, uint64_t salt);

/* True when the bytes are the header of a frame at `address`. */
INTERNAL bool frame_get_header(const uint8_t *bytes, uint64_t address, uint64_t salt,
                               struct frame *frame);

/* "events", ... or "unknown". */
INTERNAL const char *frame_kind_name(uint16_t kind);
/* Whether this version knows what such a frame means. */
INTERNAL bool frame_is_known(const struct frame *frame);

static inline uint64_t frame_end(const struct frame *f) { return f->address + f->length; }

/* Where a sound log ends, and what its next frame must continue. */
struct log_end {
  uint64_t address;       /* of the next frame */
  uint64_t next_position;
  int64_t time_us;        /* of the last frame */
  uint64_t last_frame;    /* its address; meaningless while address is 0 */
  uint32_t last_checksum; /* of its header */
};

/* Continues a content checksum, which starts as checksum_seed(salt, address). */
INTERNAL uint32_t frame_content_add(uint32_t content, uint32_t head_checksum);

/* ---- Facts: what a frame says beside its records, in the prefix ----
**
**    0 kind   1 length of the name   2 zeros   4 length of the payload   8 value
**   16 name, zeros to a multiple of 8, payload, zeros to a multiple of 8
**
** T is the id of a transaction. */

#define FACT_KINDS(X)                                                                     \
  X(MARK, 1)      /* a mark has moved to this position */                                 \
  X(CUT, 2)       /* a stream is truncated: its first version that is left */             \
  X(PROMISED, 3)  /* T is prepared here: payload of promise.h */                          \
  X(COMMITTED, 4) /* T is done here; value: its prepare frame */                          \
  X(ABORTED, 5)   /* T is dropped here, and will never be prepared again */               \
  X(DECIDED, 6)   /* at home: T's outcome (value, enum rille_outcome); decision.h */      \
  X(ENDED, 7)     /* T is over here: nothing more is to be done for it */                 \
  X(EPOCH, 8)     /* at home: an instance with this nonce begins; value: its number */    \
  X(CLOSED, 9)    /* at home: it has ended; what it did not decide before is aborted */   \
  X(RESTORED, 10) /* the store is a copy, and what precedes is the original's */          \
  X(WATERMARK, 11) /* at home: decisions below this address may be forgotten */           \
  X(BY_HAND, 12)  /* T's outcome here (value) was decided by an operator: the reason */   \
  X(CONTRADICTED, 13) /* ... and home has decided otherwise (value) */                    \
  X(REDACTION, 14) /* content is to be taken out of what stands before; redact.h */       \
  X(REDACTED, 15)  /* ... and that was done */                                            \
  X(TAKEN, 16)    /* a fact whose content was taken: zeros */
enum fact_kind {
#define FACT_KIND_ENUM(constant, number) FACT_##constant = number,
  FACT_KINDS(FACT_KIND_ENUM)
#undef FACT_KIND_ENUM
  FACT_KINDS_END
};
struct fact {
  enum fact_kind kind;
  rille_text name;
  uint64_t value;
  rille_text payload;
};
#define FACT_FIXED_BYTES 16u
static inline size_t fact_bytes(const struct fact *fact) {
  return FACT_FIXED_BYTES + (size_t)align8(fact->name.length) +
         (size_t)align8(fact->payload.length);
}
INTERNAL void fact_put(uint8_t *bytes, const struct fact *fact);
/* Reads the first of n bytes' facts and returns how many bytes it takes; 0: there is
** none left. */
INTERNAL size_t fact_get(const uint8_t *bytes, size_t n, struct fact *fact);

/* ---- Records ---- */

/* Flags. Beside them a tag whose name was taken has RECORD_NUMBER_TAKEN in its number. */
#define RECORD_ID_GIVEN 1u     /* the caller gave the id; there is none otherwise */
#define RECORD_TAKEN 2u        /* a scavenge took the body: readers pass over it */
#define RECORD_REDACTED 4u     /* a redaction did: readers show that there was one */
#define RECORD_STREAM_TAKEN 8u /* the stream's name was redacted */
#define RECORD_ID_TAKEN 16u    /* the id was */
#define RECORD_NUMBER_TAKEN ((uint64_t)1 << 63)

struct record {
  uint64_t address;
  uint64_t position, version, type_number;
  int64_t time_us;
  uint32_t head_length, data_length, meta_length;
  uint32_t head_checksum, body_checksum;
  uint16_t names_length;
  uint8_t tag_count, flags;
  rille_text stream, type, id;
  const uint8_t *tags;  /* the first tag's length byte */
  const uint8_t *bytes; /* of the head */
};

/* Whether it has no body any more. */
static inline bool record_is_gone(const struct record *r) {
  return r->flags & (RECORD_TAKEN | RECORD_REDACTED);
}
/* Bytes of the log that the body has, or had. */
static inline uint64_t record_body_bytes(const struct record *r) {
  return (uint64_t)r->data_length + r->meta_length;
}
static inline uint64_t record_bytes(const struct record *r) {
  return r->head_length + align8(record_body_bytes(r));
}

enum record_result { RECORD_OK, RECORD_SHORT, RECORD_BAD };

/* Reads a head from `available` bytes. RECORD_SHORT: it may be whole, but needs
** record_needs(bytes, available) bytes. Texts point into the bytes. */
INTERNAL enum record_result record_get(const uint8_t *bytes, size_t available, uint64_t address,
                                       uint64_t salt, struct record *record);
INTERNAL size_t record_needs(const uint8_t *bytes, size_t available);

/* Whether the body behind the head, of record_body_bytes, is what was written. */
INTERNAL bool record_body_is_sound(const struct record *record, const uint8_t *body,
                                   uint64_t salt);

/* The id, empty where the caller gave none. */
static inline rille_text record_given_id(const struct record *r) {
  return r->flags & RECORD_ID_GIVEN ? r->id : (rille_text){0};
}

INTERNAL rille_text record_tag(const struct record *record, size_t tag);

/* A record's chains: its stream, its type, its tags. */
enum { RECORD_STREAM = 0, RECORD_TYPE = 1, RECORD_FIRST_TAG = 2 };
static inline size_t record_chains(const struct record *r) {
  return (size_t)RECORD_FIRST_TAG + r->tag_count;
}
INTERNAL uint64_t record_number(const struct record *record, size_t chain);
/* Whether the chain's name was taken out of the record: then it is in no chain there. */
INTERNAL bool record_lost(const struct record *record, size_t chain);
/* The links of one chain; returns how many. */
INTERNAL unsigned record_links(const struct record *record, size_t chain,
                               uint64_t links[LINKS_MOST]);

/* Writing a record: names first, then chain by chain in order, then the body. */
struct record_writer {
  uint8_t *bytes, *numbers, *links;
  uint64_t address;
};
struct record_fields {
  uint64_t position;
  int64_t time_us;
  rille_text stream, type, id, data, meta;
  const rille_text *tags;
  size_t tag_count;
};
/* The most bytes that a record of these fields can take. */
INTERNAL size_t record_room(const struct record_fields *fields);
INTERNAL void record_begin(struct record_writer *w, uint8_t *room, uint64_t address,
                           const struct record_fields *fields);
/* `links` are link_count(number) addresses. */
INTERNAL void record_add_chain(struct record_writer *w, size_t chain, uint64_t number,
                               const uint64_t *links);
/* Returns how many bytes the record takes, and its head's checksum. */
INTERNAL size_t record_finish(struct record_writer *w, const struct record_fields *fields,
                              uint64_t salt, uint32_t *head_checksum);

/* What is to be taken out of a record. */
struct record_taking {
  uint8_t flags; /* RECORD_TAKEN or REDACTED: the body; STREAM_TAKEN; ID_TAKEN */
  uint64_t tags; /* a bit for each tag whose name goes */
};
/* Changes a head, which the record was read from, in place; returns its new checksum. */
INTERNAL uint32_t record_take(uint8_t *head, const struct record *record,
                              const struct record_taking *what, uint64_t salt);

#endif
