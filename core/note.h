/* note.h: what a frame says beside its chains, taken into an overlay: the ids that are
** found again, marks, truncations. The same for who writes the frame and who reads it,
** so that a fold of the log gives what appending gave. */
#ifndef RILLE_NOTE_H
#define RILLE_NOTE_H

#include "frame.h"
#include "identity.h"
#include "overlay.h"

/* Which ids are found again: of the records of a frame that follow each other in one
** stream, the first that the caller gave an id. Starts zeroed with each frame. */
struct id_run {
  char stream[RILLE_NAME_BYTES];
  size_t length;
  bool noted;
};
/* A record and its id, empty where the caller gave none. */
struct noted_id {
  rille_text stream, id;
  uint64_t record, frame; /* addresses */
  bool lost;              /* it had one, or the name of its stream, and nobody knows it any more */
};
static inline struct noted_id noted_id_of(const struct record *r, uint64_t frame) {
  return (struct noted_id){.stream = r->stream,
                           .id = record_given_id(r),
                           .record = r->address,
                           .frame = frame,
                           .lost = r->flags & (RECORD_ID_TAKEN | RECORD_STREAM_TAKEN)};
}
INTERNAL int note_id(struct overlay *o, const struct identity *identity, struct id_run *run,
                     const struct noted_id *id, rille_error *error);

/* The name under which an id is kept: 8 bytes, keyed by the store's secrets. */
#define ID_KEY_BYTES 8
INTERNAL rille_text note_id_key(const struct identity *identity, rille_text stream,
                                rille_text id, char room[ID_KEY_BYTES]);

/* A frame in a word that is never 0, though the first frame's address is; or an outcome and
** the frame that made it. Addresses are multiples of 8. */
static inline uint64_t frame_word(uint64_t frame) { return frame | 1; }
static inline uint64_t frame_of(uint64_t word) { return word & ~(uint64_t)7; }
static inline uint64_t outcome_word(uint64_t frame, unsigned outcome) { return frame | outcome; }
static inline unsigned outcome_of(uint64_t word) { return (unsigned)(word & 7); }

/* Names of words of kind WORD_EPOCH that are no nonce. */
#define EPOCH_LAST "last"           /* the number of the last epoch */
#define EPOCH_RESTORED "restored"   /* the last frame that says so */
#define EPOCH_WATERMARK "watermark" /* decisions below may be forgotten */
#define EPOCH_CLOSED "closed "      /* and a nonce: the frame that closed it */

/* The facts of the frame at `frame` (frame.h). */
INTERNAL int note_facts(struct overlay *o, const uint8_t *prefix, size_t n, uint64_t frame,
                        rille_error *error);

#endif
