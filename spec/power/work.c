/* work.c: what the workloads append. */
#include "work.h"

#include <stdio.h>
#include <string.h>

#define MAGIC 0x72696c6cu
#define ID_BYTES 32

struct work work;

static const char *const streams[] = {"s-0", "s-1", "t-2", "s-3", "u", "out"};
static const char *const types[] = {"Opened", "Moved", "Closed", "Emitted"};
static const char *const tags[] = {"red", "green", "blue", "a:1", "a:2"};

rille_text work_stream(uint32_t number) { return rille_text_of(streams[number]); }
rille_text work_type(uint32_t number) { return rille_text_of(types[number]); }
rille_text work_tag(uint32_t number) { return rille_text_of(tags[number]); }

static uint32_t number_in(const char *const *list, uint32_t count, rille_text name) {
  for (uint32_t i = 0; i < count; i++)
    if (strlen(list[i]) == name.length && memcmp(list[i], name.bytes, name.length) == 0) return i;
  return count;
}

uint32_t work_stream_number(rille_text name) { return number_in(streams, STREAMS, name); }
uint32_t work_type_number(rille_text name) { return number_in(types, TYPES, name); }
uint32_t work_tag_number(rille_text name) { return number_in(tags, TAGS, name); }

/* ---- What follows from a serial number ---- */

struct shape {
  uint64_t bits;
  uint32_t count, first_part; /* events; so many of them to the first stream */
  uint32_t streams[2];
  bool has_ids;
};

static bool is_emitted(uint32_t serial) {
  return serial >= SERIAL_EMITTED && serial < SERIAL_JUDGE;
}

static struct shape shape_of(uint32_t serial) {
  struct shape s = {.bits = chance_mix(work.seed + serial * 0x9E3779B97F4A7C15u), .count = 1};
  bool plain = work.plain || serial >= SERIAL_EMITTED;
  if (!plain && s.bits % 3 == 0) s.count = 1 + (uint32_t)(s.bits >> 8) % APPEND_EVENTS_MOST;
  s.first_part = s.count > 2 && (s.bits >> 12) % 2 ? s.count / 2 : s.count;
  s.streams[0] = is_emitted(serial) ? STREAMS - 1 : (uint32_t)(s.bits >> 16) % (STREAMS - 1);
  s.streams[1] = (s.streams[0] + 1) % (STREAMS - 1);
  s.has_ids = serial % 3 == 0 && !is_emitted(serial);
  return s;
}

static uint64_t bits_of(const struct shape *s, uint32_t index) {
  return chance_mix(s->bits + index + 1);
}

static uint32_t type_of(uint32_t serial, uint64_t bits) {
  return is_emitted(serial) ? TYPES - 1 : (uint32_t)(bits >> 3) % (TYPES - 1);
}

static uint32_t bytes_of(const struct shape *s, uint32_t serial, uint64_t bits) {
  uint32_t most = s->bits >> 40 & 7 || serial >= SERIAL_EMITTED ? work.bytes : work.large;
  return (uint32_t)sizeof(struct label) + (most ? (uint32_t)(bits >> 32) % most : 0);
}

static uint32_t tag_set(uint64_t bits, rille_text list[2]) {
  uint32_t count = (uint32_t)(bits >> 20) % 3, first = (uint32_t)(bits >> 24) % TAGS;
  for (uint32_t i = 0; i < count; i++) list[i] = work_tag((first + i) % TAGS);
  return count;
}

/* The bytes behind the label. */
static void fill(uint8_t *bytes, size_t n, uint64_t bits) {
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    bits += 0x9E3779B97F4A7C15u;
    memcpy(bytes + i, &bits, 8);
  }
  bits += 0x9E3779B97F4A7C15u;
  memcpy(bytes + i, &bits, n - i);
}

static rille_text id_of(uint32_t serial, uint32_t index, char room[ID_BYTES]) {
  int n = snprintf(room, ID_BYTES, "id-%u-%u", serial, index);
  return (rille_text){room, (size_t)n};
}

static rille_event_input make_event(const struct shape *s, const struct label *l, uint8_t *room,
                                    char *id, rille_text *tag_room) {
  uint64_t bits = bits_of(s, l->index);
  rille_event_input e = {.type = work_type(type_of(l->serial, bits)), .tags = tag_room};
  e.tag_count = tag_set(bits, tag_room);
  if (s->has_ids) e.id = id_of(l->serial, l->index, id);
  memcpy(room, l, sizeof *l);
  fill(room + sizeof *l, l->bytes - sizeof *l, bits);
  e.data = (rille_text){(const char *)room, l->bytes};
  return e;
}

const rille_append *work_make(uint32_t serial, uint32_t input, struct made *m) {
  static uint8_t data[APPEND_EVENTS_MOST][EVENT_BYTES_MOST];
  static char ids[APPEND_EVENTS_MOST][ID_BYTES];
  static rille_text tag_rooms[APPEND_EVENTS_MOST][2];
  struct shape s = shape_of(serial);
  *m = (struct made){.append = {.size = sizeof m->append, .parts = m->parts}, .count = s.count};
  for (uint32_t i = 0; i < s.count; i++) {
    struct label l = {.magic = MAGIC,
                      .serial = serial,
                      .index = (uint16_t)i,
                      .count = (uint16_t)s.count,
                      .input = input,
                      .bytes = bytes_of(&s, serial, bits_of(&s, i))};
    m->events[i] = make_event(&s, &l, data[i], ids[i], tag_rooms[i]);
  }
  m->append.part_count = s.first_part < s.count ? 2 : 1;
  for (uint32_t p = 0; p < m->append.part_count; p++)
    m->parts[p] = (rille_part){.stream = work_stream(s.streams[p]),
                               .expect = RILLE_EXPECT_ANY,
                               .events = m->events + (p ? s.first_part : 0),
                               .event_count = p ? s.count - s.first_part : s.first_part};
  return &m->append;
}

/* ---- Whether it is that ---- */

static bool is_text(rille_text a, rille_text b) {
  return a.length == b.length && (a.length == 0 || memcmp(a.bytes, b.bytes, a.length) == 0);
}

static const char *check_names(const rille_event *e, const struct shape *s, const struct label *l) {
  char room[ID_BYTES];
  rille_text list[2];
  uint64_t bits = bits_of(s, l->index);
  if (!is_text(e->stream, work_stream(s->streams[l->index >= s->first_part])))
    return "an event is in another stream";
  if (!is_text(e->type, work_type(type_of(l->serial, bits)))) return "an event has another type";
  if (!is_text(e->id, s->has_ids ? id_of(l->serial, l->index, room) : (rille_text){0}))
    return "an event has another id";
  if (e->tag_count != tag_set(bits, list)) return "an event has other tags";
  for (size_t i = 0; i < e->tag_count; i++)
    if (!is_text(rille_event_tag(e, i), list[i])) return "an event has another tag";
  return NULL;
}

const char *work_check(const rille_event *e, struct label *l) {
  static uint8_t expected[EVENT_BYTES_MOST];
  if (e->data.length < sizeof *l) return "an event is too short";
  memcpy(l, e->data.bytes, sizeof *l);
  if (l->magic != MAGIC || l->serial >= SERIALS_MOST) return "an event is none that was written";
  struct shape s = shape_of(l->serial);
  uint64_t bits = bits_of(&s, l->index);
  if (l->count != s.count || l->index >= s.count || l->bytes != e->data.length ||
      l->bytes != bytes_of(&s, l->serial, bits))
    return "an event has another length";
  fill(expected, l->bytes - sizeof *l, bits);
  if (memcmp(expected, e->data.bytes + sizeof *l, l->bytes - sizeof *l) != 0)
    return "an event has other bytes";
  return check_names(e, &s, l);
}

void work_mark(struct mark mark) { record_mark(&mark, sizeof mark); }
