/* frame_test.c: frames and records, there and back; and everything that must
** not pass: flipped bits, other addresses, other salts, missing ends, garbage,
** and lengths that lie under a right checksum. Bytes to be read lie in memory
** of exactly their length, so that the sanitizer sees each step too far. */
#include "frame.h"

#include "made.h"

#define SALT 0x5eed5a17c0ffee11u
#define ROUND_TRIPS 300
#define GARBAGE_TRIALS 20000
#define FORGERIES 20000

/* Offsets in a record's head that a forger would change (see frame.h). */
enum { HEAD_LENGTH = 4, VERSION = 24, TYPE_NUMBER = 32, DATA_LENGTH = 40, META_LENGTH = 44,
       NAMES_LENGTH = 52, STREAM_LENGTH = 54, TYPE_LENGTH = 55, ID_LENGTH = 56, TAG_COUNT = 57 };

static uint8_t *exact_copy(const uint8_t *bytes, size_t n) {
  uint8_t *copy = malloc(n ? n : 1);
  if (n) memcpy(copy, bytes, n);
  return copy;
}

/* ---- Records ---- */

static void check_record(struct made *m) {
  uint64_t address = (1 + random_below(1u << 30)) * 8ull;
  uint8_t *room = malloc(record_room(&m->fields));
  uint32_t head;
  m->fields.position = random_bits();
  m->fields.time_us = (int64_t)(random_bits() >> 1);
  size_t n = made_put(m, room, address, SALT, &head);
  uint8_t *bytes = exact_copy(room, n);
  struct record r;
  CHECK(n <= record_room(&m->fields) && n % 8 == 0);
  if (CHECK(record_get(bytes, n, address, SALT, &r) == RECORD_OK)) {
    CHECK(made_equals(m, &r));
    CHECK(record_bytes(&r) == n && r.head_checksum == head);
    CHECK(r.head_length <= RECORD_HEAD_MOST);
    CHECK(made_body_equals(m, bytes + r.head_length));
    CHECK(record_body_is_sound(&r, bytes + r.head_length, SALT));
    CHECK(record_needs(bytes, n) == r.head_length);
    CHECK(record_get(bytes, r.head_length, address, SALT, &r) == RECORD_OK);
  }
  free(bytes);
  free(room);
}

static void records_round_trip(void) {
  struct made m;
  pool_fill();
  for (int i = 0; i < ROUND_TRIPS; i++) {
    made_random(&m, random_below(6), random_below(300), one_in(2) ? 0 : random_below(100));
    check_record(&m);
  }
}

static void record_limits(void) {
  struct made m;
  pool_fill();
  made_random(&m, 0, 0, 0);
  m.fields.id.length = 0;
  m.numbers[0] = m.numbers[1] = 1;
  check_record(&m); /* the least there is */
  made_random(&m, RECORD_TAGS_MOST, 8, 0);
  m.fields.stream = m.fields.type = m.fields.id = pool_cut(RILLE_NAME_BYTES);
  for (size_t i = 0; i < RECORD_TAGS_MOST; i++) m.tags[i] = pool_cut(RILLE_NAME_BYTES);
  for (size_t c = 0; c < RECORD_FIRST_TAG + RECORD_TAGS_MOST; c++)
    m.numbers[c] = (uint64_t)3 << 61; /* 62 links; no number has more */
  check_record(&m); /* the largest head there is */
}

static void largest_data(void) {
  struct made m;
  pool_fill();
  char *data = malloc(RILLE_EVENT_BYTES);
  for (size_t at = 0; at < RILLE_EVENT_BYTES; at += POOL_BYTES) memcpy(data + at, pool, POOL_BYTES);
  made_random(&m, 2, 0, 0);
  m.fields.data = (rille_text){data, RILLE_EVENT_BYTES};
  check_record(&m);
  free(data);
}

static void record_cut_short(void) {
  struct made m;
  struct record r;
  uint32_t head;
  pool_fill();
  made_random(&m, 3, 40, 5);
  uint8_t *room = malloc(record_room(&m.fields));
  made_put(&m, room, 4096, SALT, &head);
  size_t whole = record_needs(room, RECORD_FIXED_BYTES);
  for (size_t n = 0; n < whole; n++) {
    uint8_t *bytes = exact_copy(room, n);
    CHECK(record_get(bytes, n, 4096, SALT, &r) == RECORD_SHORT);
    CHECK(record_needs(bytes, n) == (n < RECORD_FIXED_BYTES ? RECORD_FIXED_BYTES : whole));
    free(bytes);
  }
  free(room);
}

/* Whatever record_get accepts, all that can be asked of it lies in the head. */
static void touch(const struct record *r) {
  const char *low = (const char *)r->bytes, *high = low + r->head_length;
  uint64_t links[LINKS_MOST];
  CHECK(r->stream.bytes >= low && r->stream.bytes + r->stream.length <= high);
  CHECK(r->type.bytes >= low && r->type.bytes + r->type.length <= high);
  CHECK(r->id.bytes >= low && r->id.bytes + r->id.length <= high);
  for (size_t i = 0; i < r->tag_count; i++) {
    rille_text tag = record_tag(r, i);
    CHECK(tag.bytes >= low && tag.bytes + tag.length <= high);
  }
  for (size_t c = 0; c < RECORD_FIRST_TAG + (size_t)r->tag_count; c++)
    CHECK(record_links(r, c, links) <= LINKS_MOST);
}

static void record_garbage(void) {
  for (int i = 0; i < GARBAGE_TRIALS; i++) {
    size_t n = random_below(300);
    uint8_t *bytes = malloc(n ? n : 1);
    struct record r;
    random_fill(bytes, n);
    if (n >= 8 && one_in(2)) put32(bytes + HEAD_LENGTH, 64 + 8 * random_below(40));
    enum record_result result = record_get(bytes, n, 64, SALT, &r);
    CHECK(result == RECORD_SHORT || result == RECORD_BAD);
    if (result == RECORD_SHORT) CHECK(record_needs(bytes, n) > n);
    free(bytes);
  }
}

/* One lie about a length or a number. */
static void forge(uint8_t *b, size_t *n) {
  static const uint8_t ones[] = {STREAM_LENGTH, TYPE_LENGTH, ID_LENGTH, TAG_COUNT};
  static const uint8_t eights[] = {VERSION, TYPE_NUMBER};
  switch (random_below(7)) {
    case 0: b[ones[random_below(sizeof ones)]] = (uint8_t)random_bits(); break;
    case 1: b[ones[random_below(sizeof ones)]] += one_in(2) ? 1 : 255; break;
    case 2: put64(b + eights[random_below(2)], one_in(4) ? 0 : made_number()); break;
    case 3: put16(b + NAMES_LENGTH, (uint16_t)random_bits()); break;
    case 4: put16(b + NAMES_LENGTH, (uint16_t)(get16(b + NAMES_LENGTH) + 16 - 8 * random_below(5)));
      break;
    case 5: b[*n - 1 - random_below((uint32_t)(*n - RECORD_FIXED_BYTES))] ^= 0x81; break;
    default: /* fewer bytes than there were */
      *n -= 8 * random_below((uint32_t)(*n - RECORD_FIXED_BYTES) / 8);
      put32(b + HEAD_LENGTH, (uint32_t)*n);
  }
}

static void forged_heads_stay_inside(void) {
  unsigned accepted = 0;
  pool_fill();
  for (int i = 0; i < FORGERIES; i++) {
    struct made m;
    struct record r;
    uint32_t head;
    made_random(&m, random_below(5), 0, 0);
    for (size_t c = 0; c < RECORD_FIRST_TAG + m.fields.tag_count; c++)
      m.numbers[c] = 1 + random_below(64);
    uint8_t *room = malloc(record_room(&m.fields));
    size_t n = made_put(&m, room, 64, SALT, &head);
    for (unsigned lies = 1 + random_below(3); lies; lies--) forge(room, &n);
    put32(room, checksum(checksum_seed(SALT, 64), room + HEAD_LENGTH, n - HEAD_LENGTH));
    uint8_t *bytes = exact_copy(room, n);
    if (record_get(bytes, n, 64, SALT, &r) == RECORD_OK) touch(&r), accepted++;
    free(bytes);
    free(room);
  }
  CHECK(accepted > 0 && accepted < FORGERIES); /* both ways have been tried */
}

static void forged_length_is_bounded(void) {
  uint8_t head[RECORD_FIXED_BYTES] = {0};
  struct record r;
  static const uint32_t lengths[] = {0, 8, 56, 65, 71, RECORD_HEAD_MOST + 8, 1u << 31,
                                     UINT32_MAX, 0xfffffff8u};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    put32(head + HEAD_LENGTH, lengths[i]);
    put32(head, checksum(checksum_seed(SALT, 64), head + 4, sizeof head - 4));
    CHECK(record_get(head, sizeof head, 64, SALT, &r) == RECORD_BAD);
  }
  put32(head + HEAD_LENGTH, (uint32_t)align8(RECORD_HEAD_MOST));
  CHECK(record_get(head, sizeof head, 64, SALT, &r) ==
        (RECORD_HEAD_MOST % 8 == 0 ? RECORD_SHORT : RECORD_BAD));
}

/* Lies that only chance would tell, under a right checksum. */
static enum record_result get_made(size_t tags, size_t zero_chain) {
  struct made m;
  struct record r;
  uint32_t head;
  made_random(&m, tags, 0, 0);
  for (size_t c = 0; c < RECORD_FIRST_TAG + tags; c++) m.numbers[c] = 1;
  uint8_t *room = malloc(record_room(&m.fields));
  size_t n = made_put(&m, room, 64, SALT, &head);
  if (record_get(room, n, 64, SALT, &r) == RECORD_OK && zero_chain >= RECORD_FIRST_TAG)
    memset(room + n - 8 * (RECORD_FIRST_TAG + tags - zero_chain), 0, 8); /* there are no links */
  put32(room, checksum(checksum_seed(SALT, 64), room + HEAD_LENGTH, n - HEAD_LENGTH));
  enum record_result result = record_get(room, n, 64, SALT, &r);
  free(room);
  return result;
}

static void forged_tags_are_refused(void) {
  pool_fill();
  CHECK(get_made(3, 0) == RECORD_OK && get_made(RECORD_TAGS_MOST, 0) == RECORD_OK);
  CHECK(get_made(RECORD_TAGS_MOST + 1, 0) == RECORD_BAD);
  for (size_t tag = 0; tag < 3; tag++) CHECK(get_made(3, RECORD_FIRST_TAG + tag) == RECORD_BAD);
}

/* ---- Frames ---- */

struct sample {
  struct made records[3];
  struct frame frame;
  uint8_t *bytes;
  bool *padding; /* by byte: no checksum covers it, and nobody is shown it */
};

/* Walks a frame as a reader must; `padding` may be NULL. */
static bool is_sound(const uint8_t *b, size_t n, uint64_t address, uint64_t salt, bool *padding) {
  struct frame f;
  if (n < FRAME_HEADER_BYTES || !frame_get_header(b, address, salt, &f)) return false;
  if (f.length > n) return false;
  size_t at = FRAME_HEADER_BYTES + f.prefix;
  uint32_t content = checksum(checksum_seed(salt, address), b + FRAME_HEADER_BYTES, f.prefix);
  for (uint32_t i = 0; i < f.count; i++) {
    struct record r;
    if (record_get(b + at, f.length - at, address + at, salt, &r) != RECORD_OK) return false;
    if (record_bytes(&r) > f.length - at || r.position != f.first_position + i) return false;
    if (!record_body_is_sound(&r, b + at + r.head_length, salt)) return false;
    content = frame_content_add(content, r.head_checksum);
    for (uint64_t k = r.head_length + record_body_bytes(&r); padding && k < record_bytes(&r); k++)
      padding[at + k] = true;
    at += record_bytes(&r);
  }
  return at == f.length && content == f.content_checksum;
}

static void sample_make(struct sample *s, size_t count, uint32_t prefix) {
  for (size_t i = 0; i < count; i++)
    made_random(&s->records[i], random_below(4), random_below(60), random_below(20));
  s->frame = (struct frame){.address = 8ull * random_below(1u << 30), .time_us = 1700000000000000,
                            .first_position = 1 + random_below(1000), .prefix = prefix,
                            .kind = FRAME_EVENTS, .format = FRAME_FORMAT};
  s->frame.durable = s->frame.address / 2;
  uint8_t *room = malloc(frame_room(s->records, count, prefix));
  frame_put(&s->frame, room, s->records, count, SALT);
  s->bytes = exact_copy(room, s->frame.length);
  s->padding = calloc(s->frame.length, sizeof *s->padding);
  free(room);
}

static void sample_free(struct sample *s) {
  free(s->bytes);
  free(s->padding);
}

static void headers_round_trip(void) {
  for (int i = 0; i < ROUND_TRIPS; i++) {
    uint8_t b[FRAME_HEADER_BYTES];
    struct frame g, f = {.address = random_bits() & ~7ull, .first_position = random_bits(),
                         .durable = random_bits(), .time_us = (int64_t)random_bits(),
                         .count = (uint32_t)random_bits(), .prefix = 8 * random_below(100),
                         .content_checksum = (uint32_t)random_bits(),
                         .kind = (uint16_t)random_bits(),
                         .format = (uint8_t)random_bits()};
    f.length = FRAME_HEADER_BYTES + f.prefix + 8 * random_below(1u << 20);
    frame_put_header(b, &f, SALT);
    if (!CHECK(frame_get_header(b, f.address, SALT, &g))) continue;
    CHECK(g.address == f.address && g.first_position == f.first_position && g.durable == f.durable);
    CHECK(g.time_us == f.time_us && g.length == f.length && g.count == f.count);
    CHECK(g.prefix == f.prefix && g.content_checksum == f.content_checksum);
    CHECK(g.kind == f.kind && g.format == f.format && g.header_checksum == f.header_checksum);
    CHECK(frame_end(&g) == f.address + f.length);
  }
}

static void forged_headers_are_refused(void) {
  static const struct { uint32_t length, prefix; bool good; } forged[] = {
      {48, 0, true},  {56, 8, true},          {0, 0, false},   {40, 0, false},
      {52, 0, false}, {48, 8, false},         {64, 24, false}, {64, 12, false},
      {47, 0, false}, {48, 0xfffffff8, false}, {0xfffffff8, 0xffffffc8, true}};
  for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
    uint8_t b[FRAME_HEADER_BYTES];
    struct frame g, f = {.address = 512, .length = forged[i].length, .prefix = forged[i].prefix,
                         .kind = FRAME_EVENTS, .format = FRAME_FORMAT};
    frame_put_header(b, &f, SALT);
    CHECK(frame_get_header(b, 512, SALT, &g) == forged[i].good);
  }
}

static void every_flip_is_noticed(void) {
  pool_fill();
  for (uint32_t i = 0; i < 6; i++) {
    struct sample s;
    sample_make(&s, 1 + i % 3, 8 * (i % 2));
    const struct frame *f = &s.frame;
    CHECK(is_sound(s.bytes, f->length, f->address, SALT, s.padding));
    for (size_t bit = 0; bit < 8u * f->length; bit++) {
      s.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
      CHECK(is_sound(s.bytes, f->length, f->address, SALT, NULL) == s.padding[bit / 8]);
      s.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    sample_free(&s);
  }
}

static void place_and_salt_count(void) {
  pool_fill();
  for (int i = 0; i < ROUND_TRIPS; i++) {
    struct sample s;
    struct frame g;
    struct record r;
    sample_make(&s, 2, 0);
    const struct frame *f = &s.frame;
    const uint8_t *first = s.bytes + FRAME_HEADER_BYTES;
    size_t left = f->length - FRAME_HEADER_BYTES;
    uint64_t at = f->address + FRAME_HEADER_BYTES;
    uint64_t move = 8ull * (1 + random_below(1000)), salt = SALT ^ (uint64_t)1 << random_below(64);
    CHECK(!frame_get_header(s.bytes, f->address + move, SALT, &g));
    CHECK(!frame_get_header(s.bytes, f->address, salt, &g));
    CHECK(record_get(first, left, at + move, SALT, &r) == RECORD_BAD);
    CHECK(record_get(first, left, at, salt, &r) == RECORD_BAD);
    CHECK(record_get(first, left, at, SALT, &r) == RECORD_OK);
    CHECK(!record_body_is_sound(&r, first + r.head_length, salt) || record_body_bytes(&r) == 0);
    sample_free(&s);
  }
}

static void frame_cut_short(void) {
  struct sample s;
  pool_fill();
  sample_make(&s, 3, 16);
  for (size_t n = 0; n < s.frame.length; n++) {
    uint8_t *bytes = exact_copy(s.bytes, n);
    CHECK(!is_sound(bytes, n, s.frame.address, SALT, NULL));
    free(bytes);
  }
  sample_free(&s);
}

static void frame_garbage(void) {
  uint8_t b[FRAME_HEADER_BYTES];
  struct frame f;
  unsigned passed = 0;
  for (int i = 0; i < GARBAGE_TRIALS; i++) {
    random_fill(b, sizeof b);
    if (one_in(2)) put32(b + 4, 48 + 8 * random_below(64));
    passed += frame_get_header(b, 8ull * random_below(1u << 30), SALT, &f);
  }
  CHECK(passed <= 1); /* one in 2^32 may, by chance */
  memset(b, 0, sizeof b);
  CHECK(!frame_get_header(b, 0, SALT, &f));
}

static void kinds_have_names(void) {
  CHECK(strcmp(frame_kind_name(FRAME_EVENTS), "events") == 0);
  CHECK(strcmp(frame_kind_name(999), "unknown") == 0);
  CHECK(frame_is_known(&(struct frame){.kind = FRAME_EVENTS, .format = FRAME_FORMAT}));
  CHECK(!frame_is_known(&(struct frame){.kind = FRAME_EVENTS, .format = FRAME_FORMAT + 1}));
  CHECK(!frame_is_known(&(struct frame){.kind = 999, .format = FRAME_FORMAT}));
}

static const struct test tests[] = {
    {"random records, there and back", records_round_trip},
    {"smallest and largest head", record_limits},
    {"16 MiB of data", largest_data},
    {"a head cut at every length is short", record_cut_short},
    {"garbage is no record", record_garbage},
    {"forged heads stay inside their bytes", forged_heads_stay_inside},
    {"too many tags, and tags numbered 0", forged_tags_are_refused},
    {"a forged head length is bounded", forged_length_is_bounded},
    {"headers, there and back", headers_round_trip},
    {"forged headers are refused", forged_headers_are_refused},
    {"every flipped bit is noticed", every_flip_is_noticed},
    {"same bytes elsewhere, or under another salt, are refused", place_and_salt_count},
    {"a frame cut at every length is refused", frame_cut_short},
    {"garbage is no frame", frame_garbage},
    {"kinds and formats", kinds_have_names},
};
TEST_MAIN(tests)
