/* forget.c: content that goes. */
#define _GNU_SOURCE
#include "forget.h"

#include <stdio.h>
#include <string.h>

#include "memory.h"
#include "scene.h"

#define SECRET_BYTES 24u

/* ---- Workloads: one event an append, so that what was told tells what there was ---- */

static void cut_some(void) {
  rille_error e = {0};
  for (uint32_t i = 0; i < 2; i++) {
    uint32_t stream = chance_below(STREAMS - 1);
    uint64_t version = 0;
    (void)rille_store_version(scene.stores[0], work_stream(stream), &version, &e);
    if (version == 0) continue;
    struct mark m = {
        .kind = MARK_CUT_BEGUN, .serial = stream, .first = 1 + chance_below((uint32_t)version)};
    work_mark(m);
    m.kind = MARK_CUT;
    if (scene_check(rille_store_truncate(scene.stores[0], work_stream(stream), m.first, &e), &e,
                    "cut"))
      work_mark(m);
  }
}

void scavenging(void) {
  work.bytes = 2500, work.plain = true;
  scene_open(0, RILLE_SYNC_ALWAYS, false, SMALL_SEGMENT);
  for (uint32_t i = 0; i < 4; i++) {
    rille_error e = {0};
    rille_scavenge o = {.size = sizeof o};
    scene_append(0, 8 + chance_below(16), true);
    cut_some();
    work_mark((struct mark){.kind = MARK_SCAVENGE_BEGUN});
    if (scene_check(rille_store_scavenge(scene.stores[0], &o, NULL, &e), &e, "scavenge"))
      work_mark((struct mark){.kind = MARK_SCAVENGED});
  }
  scene_append(0, 3, true);
  scene_close(0);
}

/* As a script would that has seen the events: their bytes are in the index, too. */
static void keep_copies(const uint64_t *positions, uint32_t n) {
  rille_error e = {0};
  for (uint32_t i = 0; i < n; i++) {
    struct made m;
    (void)work_make((uint32_t)positions[i], 0, &m); /* one event an append: serials are positions */
    rille_kept_put put = {.key = rille_text_of("copy"), .value = m.events[0].data};
    rille_kept_write w = {.size = sizeof w, .puts = &put, .put_count = 1};
    (void)scene_check(rille_store_kept_write(scene.stores[0], &w, &e), &e, "keep");
  }
}

static int keeps_all(void *context, rille_text key, rille_text value) {
  (void)context, (void)key, (void)value;
  return 1;
}

void redacting(void) {
  work.bytes = 1500, work.plain = true;
  scene_open(0, RILLE_SYNC_ALWAYS, false, SMALL_SEGMENT);
  for (uint32_t i = 0; i < 3; i++) {
    rille_error e = {0};
    uint64_t positions[3];
    uint32_t before = (uint32_t)rille_store_head(scene.stores[0]);
    scene_append(0, 6 + chance_below(16), true);
    uint32_t head = (uint32_t)rille_store_head(scene.stores[0]), n = 1 + chance_below(3);
    bool copies = chance_in(2); /* of what is not redacted already */
    for (uint32_t k = 0; k < n; k++) {
      positions[k] = copies ? before + 1 + chance_below(head - before) : 1 + chance_below(head);
      work_mark((struct mark){.kind = MARK_REDACT_BEGUN, .first = positions[k]});
    }
    if (copies) keep_copies(positions, n);
    rille_redact r = {.size = sizeof r,
                      .positions = positions,
                      .position_count = n,
                      .reason = rille_text_of("asked for"),
                      .keeps = copies ? NULL : keeps_all};
    if (!scene_check(rille_store_redact(scene.stores[0], &r, NULL, &e), &e, "redact")) continue;
    for (uint32_t k = 0; k < n; k++)
      work_mark((struct mark){.kind = MARK_REDACTED, .first = positions[k]});
  }
  scene_append(0, 3, true);
  scene_close(0);
}

/* Half of it comes to the log, and its maker dies: whoever opens the store cuts that off, and
** keeps it beside the log. */
static void append_by_half(uint32_t number) {
  (void)number;
  scene_open(0, RILLE_SYNC_ALWAYS, false, SMALL_SEGMENT);
  scene_die_at(1, 1u << ENTRY_WRITE);
  scene_append(0, 1, true);
}

static void redact_one(uint64_t position) {
  rille_error e = {0};
  rille_redact r = {.size = sizeof r, .positions = &position, .position_count = 1};
  work_mark((struct mark){.kind = MARK_REDACT_BEGUN, .first = position});
  if (scene_check(rille_store_redact(scene.stores[0], &r, NULL, &e), &e, "redact"))
    work_mark((struct mark){.kind = MARK_REDACTED, .first = position});
}

/* What was cut off is appended once more, as by who was told nothing, and redacted. */
void redacting_the_torn(void) {
  work.bytes = 3000, work.plain = true;
  scene_expect_deaths();
  for (uint32_t i = 0; i < 4; i++) {
    rille_error e = {0};
    scene_fork(1, append_by_half);
    int result = scene_try_open(0, RILLE_SYNC_ALWAYS, false, SMALL_SEGMENT, &e);
    (void)scene_check(result == RILLE_REMARK ? 0 : -1, &e, "open what is torn");
    if (result < 0) return;
    scene_append(0, 1, true);
    uint64_t again = rille_store_head(scene.stores[0]);
    if (chance_in(2)) scene_append(0, 1 + chance_below(3), true);
    redact_one(again);
    scene_close(0);
  }
}

/* ---- What there was ---- */

static uint32_t serial_at(const struct of_store *p, uint64_t position) {
  for (uint32_t i = 1; i < SERIALS_MOST; i++)
    if (p->told[i].first == position && !p->told[i].refused) return i;
  return 0;
}

bool forget_recall(const struct of_store *p, uint64_t position, struct label *label,
                   struct shape_names *names) {
  struct made m;
  uint32_t serial = serial_at(p, position);
  if (serial == 0) return false;
  (void)work_make(serial, 0, &m);
  if (m.count != 1) return false;
  memcpy(label, m.events[0].data.bytes, sizeof *label);
  names->stream = work_stream_number(m.parts[0].stream);
  names->type = work_type_number(m.events[0].type);
  names->tags = 0;
  for (size_t i = 0; i < m.events[0].tag_count; i++)
    names->tags |= (uint16_t)(1u << work_tag_number(m.events[0].tags[i]));
  return true;
}

/* ---- What must hold ---- */

static const char *check_taken(const struct of_store *p, const struct seen *s, uint32_t stream,
                               uint64_t version) {
  uint64_t at = s->positions[stream][version];
  bool must = version < p->scavenged[stream], may = version < p->scavenge_begun[stream];
  if (s->gone[at] == GONE_TAKEN && !may && !must)
    return wrong("position %llu is gone, and was not truncated", (unsigned long long)at);
  if (s->gone[at] != GONE_TAKEN && must)
    return wrong("position %llu came back after a scavenge", (unsigned long long)at);
  return NULL;
}

const char *forget_check(const struct of_store *p, const struct seen *s) {
  const char *bad = NULL;
  for (uint32_t i = 0; i < STREAMS && !bad; i++)
    for (uint64_t v = 1; v <= s->count[i] && !bad; v++) bad = check_taken(p, s, i, v);
  for (uint64_t at = 1; at <= s->head && !bad; at++) {
    if (s->gone[at] == GONE_REDACTED && p->redaction[at] == REDACTION_NONE)
      bad = wrong("position %llu is redacted, and nobody asked", (unsigned long long)at);
    if (s->gone[at] != GONE_REDACTED && p->redaction[at] == REDACTION_DONE)
      bad = wrong("position %llu was redacted, and is shown", (unsigned long long)at);
  }
  return bad;
}

static bool has_bytes(const struct thing *t, const uint8_t *bytes, size_t n) {
  return t->length >= n && memmem(t->bytes, t->length, bytes, n) != NULL;
}

/* The name of a file that has them, or NULL. */
static const char *find_in(const char *path, const uint8_t *bytes, size_t n) {
  static char found[NAME_BYTES];
  const struct thing *folder = memory_at(path);
  for (uint32_t i = 0; folder && i < folder->count; i++) {
    const struct thing *t = memory_find(folder->names[i].inode);
    char below[1024];
    snprintf(below, sizeof below, "%s/%s", path, folder->names[i].text);
    const char *deeper = t && t->is_folder ? find_in(below, bytes, n) : NULL;
    if (deeper) return deeper;
    if (!t || t->is_folder || !has_bytes(t, bytes, n)) continue;
    snprintf(found, sizeof found, "%s", folder->names[i].text);
    return found;
  }
  return NULL;
}

const char *forget_search(const struct of_store *p, const char *path) {
  for (uint64_t at = 1; at <= EVENTS_MOST; at++) {
    struct made m;
    uint32_t serial = p->redaction[at] == REDACTION_DONE ? serial_at(p, at) : 0;
    if (serial == 0) continue;
    (void)work_make(serial, 0, &m);
    rille_text data = m.events[0].data;
    if (data.length < sizeof(struct label) + SECRET_BYTES) continue;
    const char *file =
        find_in(path, (const uint8_t *)data.bytes + sizeof(struct label), SECRET_BYTES);
    if (file)
      return wrong("position %llu was redacted, and its bytes are in %s", (unsigned long long)at,
                   file);
  }
  return NULL;
}
