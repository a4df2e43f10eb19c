/* note.h: what a frame says beside its chains, taken into an overlay: the ids that are
** found again, marks, truncations. The same for who writes the frame and who reads it,
** so that a fold of the log gives what appending gave. */
#ifndef RILLE_NOTE_H
#define RILLE_NOTE_H

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
};
INTERNAL int note_id(struct overlay *o, const struct identity *identity, struct id_run *run,
                     const struct noted_id *id, rille_error *error);

/* The name under which an id is kept: 8 bytes, keyed by the store's secrets. */
#define ID_KEY_BYTES 8
INTERNAL rille_text note_id_key(const struct identity *identity, rille_text stream,
                                rille_text id, char room[ID_KEY_BYTES]);

/* The facts of the frame at `frame` (frame.h). */
INTERNAL int note_facts(struct overlay *o, const uint8_t *prefix, size_t n, uint64_t frame,
                        rille_error *error);

#endif
