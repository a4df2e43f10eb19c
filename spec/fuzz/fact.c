/* fact.c: the prefix of a frame: facts, and the promises and decisions that they carry. What was
** read as a promise is packed into the same bytes again. */
#include "fuzz.h"

#include "decision.h"
#include "note.h"
#include "pending.h"
#include "promise.h"

static void use_promise(const struct fact *f) {
  struct memory memory = memory_default();
  struct promise p;
  struct pack pack;
  rille_error e = {0};
  if (promise_open(&p, f->name, f->payload, &memory, &e) != 0) {
    MUST(e.code && e.message[0]);
    return;
  }
  pack_init(&pack, &memory);
  promise_pack(&p, &pack);
  rille_text again = pack_all(&pack);
  /* numbers that are true or false may have had other bytes, and what follows is not read */
  MUST(again.length <= f->payload.length && !pack.no_memory);
  (void)promise_checks_only(&p);
  MUST(promise_commit_bytes(&p) >= FRAME_HEADER_BYTES);
  pack_release(&pack);
  promise_release(&p);
}

static void use_decision(const struct fact *f) {
  struct decision d;
  if (!decision_unpack(&d, f->payload)) return;
  MUST(fuzz_touch(d.client) + fuzz_touch(d.detail) < UINT32_MAX);
  (void)decision_has_member(&d, (rille_text){"there", 5});
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  struct memory memory = memory_default();
  struct overlay overlay;
  struct pending pending;
  struct fact f;
  rille_error e = {0};
  uint8_t *copy = fuzz_copy(bytes, n);
  overlay_init(&overlay, &memory, FUZZ_SALT);
  pending_init(&pending, &memory);
  for (size_t at = 0, used; (used = fact_get(copy + at, n - at, &f)) != 0; at += used) {
    MUST(used <= n - at);
    MUST(fuzz_touch(f.name) + fuzz_touch(f.payload) < UINT32_MAX);
    if (f.kind == FACT_PROMISED) use_promise(&f);
    if (f.kind == FACT_DECIDED) use_decision(&f);
    (void)pending_note(&pending, &f, 64, 1, &e);
  }
  (void)note_facts(&overlay, copy, n, 64, &e);
  for (struct pending_entry *p = pending.first; p; p = p->next)
    MUST(pending_find(&pending, pending_name(p)) == p);
  pending_clear(&pending);
  overlay_release(&overlay);
  free(copy);
  return 0;
}
