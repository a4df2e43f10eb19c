/* lies_map.h: where bytes of a class stand in the files of a store: each field of frames, records
** and facts, of the file `store`, of the words of control, and of LMDB's pages. */
#ifndef RILLE_LIES_MAP_H
#define RILLE_LIES_MAP_H

#include "lies.h"

#include "checksum.h"
#include "frame.h"

#define REGIONS_MOST 40000
#define CLASSES_MOST 120

struct region {
  const char *class;
  size_t file, at, n;
  uint64_t frame, frame_end; /* in the log */
  bool silent;               /* says nothing: a lie here is none */
};

static struct region regions[REGIONS_MOST];
static size_t region_count;
static const char *classes[CLASSES_MOST];
static size_t class_count;
static size_t mapping; /* the file whose regions are being found */
static uint64_t map_first, map_frame, map_end;

static inline struct region *region(const char *class, size_t at, size_t n) {
  if (region_count == REGIONS_MOST) abort();
  if (n == 0) return &regions[REGIONS_MOST - 1];
  regions[region_count] = (struct region){class, mapping, at, n, map_frame, map_end, false};
  for (size_t i = 0; i < class_count; i++)
    if (classes[i] == class) return &regions[region_count++];
  if (class_count == CLASSES_MOST) abort();
  classes[class_count++] = class;
  return &regions[region_count++];
}

struct field {
  const char *class;
  unsigned at, n;
};

static inline void map_fields(const struct field *fields, size_t count, size_t base) {
  for (size_t i = 0; i < count; i++) region(fields[i].class, base + fields[i].at, fields[i].n);
}
#define MAP_FIELDS(fields, base) map_fields(fields, sizeof fields / sizeof *fields, base)

static const struct field frame_fields[] = {{"frame: checksum", 0, 4},
                                            {"frame: length", 4, 4},
                                            {"frame: kind", 8, 2},
                                            {"frame: format", 10, 1},
                                            {"frame: zero", 11, 1},
                                            {"frame: count", 12, 4},
                                            {"frame: time", 16, 8},
                                            {"frame: position", 24, 8},
                                            {"frame: durable", 32, 8},
                                            {"frame: prefix", 40, 4},
                                            {"frame: content checksum", 44, 4}};

static const struct field record_fields[] = {
    {"record: checksum", 0, 4},       {"record: length", 4, 4},
    {"record: position", 8, 8},       {"record: time", 16, 8},
    {"record: version", 24, 8},       {"record: number in type", 32, 8},
    {"record: data length", 40, 4},   {"record: meta length", 44, 4},
    {"record: body checksum", 48, 4}, {"record: names length", 52, 2},
    {"record: stream length", 54, 1}, {"record: type length", 55, 1},
    {"record: id length", 56, 1},     {"record: count of tags", 57, 1},
    {"record: flags", 58, 1},         {"record: zeros", 59, 5}};

static const struct field fact_fields[] = {{"fact: kind", 0, 1},
                                           {"fact: length of name", 1, 1},
                                           {"fact: zeros", 2, 2},
                                           {"fact: length of payload", 4, 4},
                                           {"fact: value", 8, 8}};

static const char *const fact_payloads[] = {
    "fact: of nothing", "fact: mark",      "fact: cut",     "fact: promise",      "fact: commit",
    "fact: abort",      "fact: decision",  "fact: end",     "fact: epoch",        "fact: closed",
    "fact: restored",   "fact: watermark", "fact: by hand", "fact: contradiction"};

/* Every byte of a prefix belongs to its kind, too: a whole fact is a region of that class. */
static inline void map_prefix(const uint8_t *bytes, size_t at, size_t n) {
  struct fact f;
  for (size_t used; n && (used = fact_get(bytes + at, n, &f)) != 0; at += used, n -= used) {
    MAP_FIELDS(fact_fields, at);
    region("fact: name", at + 16, f.name.length);
    region(fact_payloads[f.kind], at + 16, used - 16);
  }
}

static inline size_t map_record(const uint8_t *bytes, size_t at, size_t left, uint64_t salt) {
  struct record r;
  if (record_get(bytes + at, left, map_first + at, salt, &r) != RECORD_OK) abort();
  size_t names = at + RECORD_FIXED_BYTES, body = at + r.head_length;
  MAP_FIELDS(record_fields, at);
  region("record: names", names, r.names_length);
  region("record: numbers in tags", names + r.names_length, 8u * r.tag_count);
  region("record: links", names + r.names_length + 8u * r.tag_count,
         r.head_length - RECORD_FIXED_BYTES - r.names_length - 8u * r.tag_count);
  region("record: data", body, r.data_length);
  region("record: meta", body + r.data_length, r.meta_length);
  size_t used = (size_t)record_body_bytes(&r);
  region("record: padding", body + used, (size_t)align8(used) - used)->silent = true;
  return (size_t)record_bytes(&r);
}

/* Tells below which address a flush was known of. */
static inline uint64_t map_segment(const struct file *f, uint64_t salt) {
  uint64_t durable = 0;
  struct frame frame;
  size_t at = 0;
  map_first = strtoull(f->name + 4, NULL, 16);
  while (at + FRAME_HEADER_BYTES <= f->n &&
         frame_get_header(f->bytes + at, map_first + at, salt, &frame)) {
    map_frame = frame.address;
    map_end = frame_end(&frame);
    durable = max_u64(durable, frame.durable);
    MAP_FIELDS(frame_fields, at);
    map_prefix(f->bytes, at + FRAME_HEADER_BYTES, frame.prefix);
    size_t in = at + FRAME_HEADER_BYTES + frame.prefix;
    for (uint32_t i = 0; i < frame.count; i++) in += map_record(f->bytes, in, f->n - in, salt);
    at += frame.length;
  }
  map_frame = map_end = 0;
  region("zeros ahead", at, f->n - at)->silent = true;
  return durable;
}

static const struct field store_fields[] = {
    {"store: magic", 0, 8},  {"store: format", 8, 4}, {"store: order", 12, 4},
    {"store: uuid", 16, 16}, {"store: salt", 32, 8},  {"store: created", 40, 8},
    {"store: mark", 48, 8},  {"store: zeros", 56, 4}, {"store: checksum", 60, 4}};

/* ---- The index: LMDB's pages ---- */

#define PAGE 4096u
enum { BRANCH = 1, LEAF = 2, OVERFLOW = 4, META = 8 };

static const struct field meta_fields[] = {
    {"meta page: header", 0, 16},      {"meta page: magic", 16, 8},
    {"meta page: sizes", 24, 16},      {"meta page: free tree", 40, 48},
    {"meta page: main tree", 88, 48},  {"meta page: last page", 136, 8},
    {"meta page: transaction", 144, 8}};

static inline void map_node(const uint8_t *page, size_t at, size_t node, bool leaf) {
  size_t key = get16(page + node + 6), value = node + 8 + key;
  size_t n = get16(page + node) | (size_t)get16(page + node + 2) << 16;
  bool big = leaf && (page[node + 4] & 1), table = leaf && (page[node + 4] & 2);
  region(leaf ? "leaf page: node" : "branch page: node", at + node, 8);
  region(leaf ? "leaf page: key" : "branch page: key", at + node + 8, key);
  if (leaf)
    region(table ? "leaf page: table"
           : big ? "leaf page: overflow number"
                 : "leaf page: value",
           at + value, big ? 8 : n);
}

static inline void map_page(const uint8_t *page, size_t at) {
  unsigned flags = get16(page + 10), nodes = (get16(page + 12) - 16u) / 2;
  if (flags & META) {
    MAP_FIELDS(meta_fields, at);
  } else if (flags & (BRANCH | LEAF)) {
    region(flags & LEAF ? "leaf page: header" : "branch page: header", at, 16);
    region(flags & LEAF ? "leaf page: pointers" : "branch page: pointers", at + 16, 2 * nodes);
    for (unsigned i = 0; i < nodes; i++) map_node(page, at, get16(page + 16 + 2 * i), flags & LEAF);
  } else if (flags & OVERFLOW) {
    region("overflow page: header", at, 16);
    region("overflow page: value", at + 16, PAGE - 16);
  }
}

static inline void map_index(const struct file *f) {
  for (size_t at = 0; at + PAGE <= f->n; at += PAGE) map_page(f->bytes + at, at);
}

/* Maps all files; returns below which address the log knows of a flush. */
static inline uint64_t map_image(const struct image *image) {
  uint64_t salt = 0, durable = 0;
  region_count = class_count = 0;
  for (size_t i = 0; i < image->count; i++)
    if (strcmp(image->files[i].name, "store") == 0) salt = get64(image->files[i].bytes + 32);
  for (mapping = 0; mapping < image->count; mapping++) {
    const struct file *f = &image->files[mapping];
    map_frame = map_end = 0;
    if (strncmp(f->name, "log/", 4) == 0) durable = max_u64(durable, map_segment(f, salt));
    else if (strcmp(f->name, "store") == 0) MAP_FIELDS(store_fields, 0);
    else if (strcmp(f->name, "control") == 0)
      for (size_t at = 0; at < 1024; at += 8) region("control: words", at, 8)->silent = true;
    else if (strcmp(f->name, "index/sum") == 0) region("sum", 0, f->n);
    else if (strcmp(f->name, "index/lock.mdb") == 0) region("lock file", 0, 4096)->silent = true;
    else if (strcmp(f->name, "index/data.mdb") == 0) map_index(f);
  }
  return durable;
}

#endif
