/* note.c: ids and facts into an overlay. */
#include "note.h"

#include "decision.h"
#include "error.h"
#include "frame.h"
#include "hash.h"
#include "pending.h"
#include "redact.h"

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
  if (n->lost) return 0;
  rille_text key = note_id_key(identity, n->stream, n->id, room);
  return overlay_set_word(o, WORD_ID, key, n->record, n->frame) ? 0 : error_memory(e);
}

/* ---- Facts ---- */

struct noting {
  struct overlay *overlay;
  uint64_t frame;
};

static bool set(const struct noting *n, enum word_kind kind, rille_text name, uint64_t value) {
  return overlay_set_word(n->overlay, kind, name, value, n->frame);
}

static bool set_outcome(const struct noting *n, rille_text name, unsigned outcome) {
  return set(n, WORD_OUTCOME, name, outcome_word(n->frame, outcome));
}

static bool note_decided(const struct noting *n, const struct fact *f) {
  struct decision d;
  if (!set_outcome(n, f->name, (unsigned)f->value)) return false;
  return !decision_unpack(&d, f->payload) || d.client.length == 0 ||
         set(n, WORD_CLIENT, d.client, outcome_word(n->frame, (unsigned)f->value));
}

static bool note_closed(const struct noting *n, rille_text nonce) {
  char name[RILLE_NAME_BYTES + sizeof EPOCH_CLOSED];
  memcpy(name, EPOCH_CLOSED, sizeof EPOCH_CLOSED - 1);
  memcpy(name + sizeof EPOCH_CLOSED - 1, nonce.bytes, nonce.length);
  rille_text closed = {name, sizeof EPOCH_CLOSED - 1 + nonce.length};
  return set(n, WORD_EPOCH, closed, frame_word(n->frame));
}

static bool note_fact(const struct noting *n, const struct fact *f) {
  switch (f->kind) {
    case FACT_MARK: return set(n, WORD_MARK, f->name, f->value);
    case FACT_CUT: return set(n, WORD_CUT, f->name, f->value);
    case FACT_COMMITTED: return set_outcome(n, f->name, RILLE_OUTCOME_COMMITTED);
    case FACT_ABORTED: return set_outcome(n, f->name, RILLE_OUTCOME_ABORTED);
    case FACT_DECIDED: return note_decided(n, f);
    case FACT_CLOSED: return note_closed(n, f->name);
    case FACT_EPOCH:
      return set(n, WORD_EPOCH, f->name, frame_word(n->frame)) &&
             set(n, WORD_EPOCH, rille_text_of(EPOCH_LAST), f->value);
    case FACT_RESTORED:
      return set(n, WORD_EPOCH, rille_text_of(EPOCH_RESTORED), frame_word(n->frame));
    case FACT_REDACTION: return redact_forget(n->overlay, f->payload, n->frame);
    case FACT_WATERMARK: return set(n, WORD_EPOCH, rille_text_of(EPOCH_WATERMARK), f->value);
    default: return true;
  }
}

int note_facts(struct overlay *o, const uint8_t *prefix, size_t n, uint64_t frame, rille_error *e) {
  const struct noting noting = {o, frame};
  struct fact f;
  for (size_t at = 0, used; (used = fact_get(prefix + at, n - at, &f)) != 0; at += used) {
    int effect = pending_effect(&f);
    bool noted = note_fact(&noting, &f);
    if (noted && effect)
      noted = set(&noting, WORD_PENDING, f.name, effect > 0 ? frame_word(frame) : 0);
    if (!noted) return error_memory(e);
  }
  return 0;
}
