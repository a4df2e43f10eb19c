/* note.c: ids and facts into an overlay. */
#include "note.h"

#include "error.h"
#include "frame.h"
#include "hash.h"

rille_text note_id_key(const struct identity *identity, rille_text stream, rille_text id,
                       char room[ID_KEY_BYTES]) {
  uint8_t bytes[2 * RILLE_NAME_BYTES + 1];
  bytes[0] = (uint8_t)stream.length;
  memcpy(bytes + 1, stream.bytes, stream.length);
  memcpy(bytes + 1 + stream.length, id.bytes, id.length);
  put64(room,
        hash_keyed(identity->salt, get64(identity->uuid), bytes, 1 + stream.length + id.length));
  return (rille_text){room, ID_KEY_BYTES};
}

int note_id(struct overlay *o, const struct identity *identity, struct id_run *run,
            const struct noted_id *n, rille_error *e) {
  char room[ID_KEY_BYTES];
  if (!text_equal((rille_text){run->stream, run->length}, n->stream)) {
    memcpy(run->stream, n->stream.bytes, n->stream.length);
    run->length = n->stream.length;
    run->noted = false;
  }
  if (run->noted || n->id.length == 0) return 0;
  run->noted = true;
  rille_text key = note_id_key(identity, n->stream, n->id, room);
  return overlay_set_word(o, WORD_ID, key, n->record, n->frame) ? 0 : error_memory(e);
}

int note_facts(struct overlay *o, const uint8_t *prefix, size_t n, uint64_t frame, rille_error *e) {
  static const enum word_kind kinds[] = {[FACT_MARK] = WORD_MARK, [FACT_CUT] = WORD_CUT};
  struct fact fact;
  for (size_t at = 0, used; (used = fact_get(prefix + at, n - at, &fact)) != 0; at += used)
    if (!overlay_set_word(o, kinds[fact.kind], fact.name, fact.value, frame))
      return error_memory(e);
  return 0;
}
