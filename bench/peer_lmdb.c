/* peer_lmdb.c: plain LMDB, an event store made of key-value tables:
**
**   events    position                      -> version, time, three lengths, stream, type, data
**   streams   stream, version (big-endian)  -> position
**   tags      tag                           -> positions (sorted duplicates)
**
** One write transaction an append. MDB_NOOVERWRITE in `streams` is its check of
** the expected version. Positions only grow, so they are put with MDB_APPEND. */
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"
#include "peer.h"
#include "scratch.h"

#define MAP_BYTES ((size_t)8 << 30)
#define TABLES 3
#define NUMBER_BYTES 8
#define VALUE_BYTES 1024         /* more than any event of the workload */

struct handle {
  MDB_env *env;
  MDB_dbi events, streams, tags;
  MDB_txn *read;                 /* reset between uses, as LMDB advises */
  uint64_t last;                 /* position */
};

struct head {
  uint64_t version;
  int64_t time_us;
  uint32_t stream, type, data;   /* lengths */
};

static const char *lmdb_about(void) { return MDB_VERSION_STRING; }

static void check(int result, const char *what) {
  if (result != 0) die("LMDB: %s: %s", what, mdb_strerror(result));
}

static void open_tables(struct handle *h, bool tags) {
  MDB_txn *txn;
  check(mdb_txn_begin(h->env, NULL, 0, &txn), "begin");
  check(mdb_dbi_open(txn, "events", MDB_CREATE | MDB_INTEGERKEY, &h->events), "table");
  check(mdb_dbi_open(txn, "streams", MDB_CREATE, &h->streams), "table");
  if (tags)
    check(mdb_dbi_open(txn, "tags", MDB_CREATE | MDB_DUPSORT | MDB_DUPFIXED | MDB_INTEGERDUP,
                       &h->tags), "table");
  check(mdb_txn_commit(txn), "commit");
}

static void find_last(struct handle *h) {
  MDB_cursor *cursor;
  MDB_val key, value;
  check(mdb_cursor_open(h->read, h->events, &cursor), "cursor");
  int result = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
  if (result == 0) memcpy(&h->last, key.mv_data, NUMBER_BYTES);
  else if (result != MDB_NOTFOUND) check(result, "last");
  mdb_cursor_close(cursor);
}

static void *lmdb_open(const char *path, const struct peer_mode *mode) {
  struct handle *h = calloc(1, sizeof *h);
  if (!h) die("no memory");
  check(mdb_env_create(&h->env), "create");
  check(mdb_env_set_mapsize(h->env, MAP_BYTES), "map size");
  check(mdb_env_set_maxdbs(h->env, TABLES), "tables");
  unsigned flags = MDB_NOSUBDIR | (mode->durable ? 0 : MDB_NOSYNC);
  check(mdb_env_open(h->env, path, flags, 0666), "open");
  open_tables(h, mode->tags);
  check(mdb_txn_begin(h->env, NULL, MDB_RDONLY, &h->read), "begin");
  find_last(h);
  mdb_txn_reset(h->read);
  return h;
}

static void lmdb_close(void *handle) {
  struct handle *h = handle;
  mdb_txn_abort(h->read);
  mdb_env_close(h->env);
  free(h);
}

static MDB_val value_of(const void *bytes, size_t n) {
  union { const void *from; void *to; } pointer = {.from = bytes};   /* MDB_val has no const */
  return (MDB_val){n, pointer.to};
}

static size_t add(char *room, size_t used, rille_text text) {
  memcpy(room + used, text.bytes, text.length);
  return used + text.length;
}

static void put_event(struct handle *h, MDB_txn *txn, const struct input *in, int64_t time_us) {
  char room[VALUE_BYTES];
  struct head head = {.version = in->version, .time_us = time_us,
                      .stream = (uint32_t)in->stream.length, .type = (uint32_t)in->type.length,
                      .data = (uint32_t)in->data.length};
  memcpy(room, &head, sizeof head);
  size_t n = add(room, add(room, add(room, sizeof head, in->stream), in->type), in->data);
  MDB_val key = value_of(&h->last, NUMBER_BYTES), value = value_of(room, n);
  check(mdb_put(txn, h->events, &key, &value, MDB_APPEND), "put event");
}

static MDB_val stream_key(char *room, rille_text stream, uint64_t version) {
  size_t n = add(room, 0, stream);
  for (int shift = 56; shift >= 0; shift -= 8) room[n++] = (char)(version >> shift);
  return value_of(room, n);
}

static void put_keys(struct handle *h, MDB_txn *txn, const struct input *in) {
  char room[RILLE_NAME_BYTES + NUMBER_BYTES];
  MDB_val key = stream_key(room, in->stream, in->version);
  MDB_val position = value_of(&h->last, NUMBER_BYTES);
  check(mdb_put(txn, h->streams, &key, &position, MDB_NOOVERWRITE), "put stream");
  for (size_t i = 0; i < in->tag_count; i++) {
    key = value_of(in->tags[i].bytes, in->tags[i].length);
    check(mdb_put(txn, h->tags, &key, &position, MDB_APPENDDUP), "put tag");
  }
}

static void lmdb_append(void *handle, const struct input *events, size_t n) {
  struct handle *h = handle;
  MDB_txn *txn;
  int64_t time_us = clock_wall_us();
  check(mdb_txn_begin(h->env, NULL, 0, &txn), "begin");
  for (size_t i = 0; i < n; i++) {
    h->last++;
    put_event(h, txn, &events[i], time_us);
    put_keys(h, txn, &events[i]);
  }
  check(mdb_txn_commit(txn), "commit");
}

static void tally_value(struct tally *tally, const MDB_val *key, const MDB_val *value) {
  uint64_t position;
  struct head head;
  const char *bytes = value->mv_data;
  memcpy(&position, key->mv_data, NUMBER_BYTES);
  memcpy(&head, bytes, sizeof head);
  rille_text stream = {bytes + sizeof head, head.stream};
  rille_text type = {stream.bytes + stream.length, head.type};
  rille_text data = {type.bytes + type.length, head.data};
  tally_event(tally, position, head.version, stream, type, data);
}

static void lmdb_scan(void *handle, struct tally *tally) {
  struct handle *h = handle;
  MDB_cursor *cursor;
  MDB_val key, value;
  int result;
  check(mdb_txn_renew(h->read), "renew");
  check(mdb_cursor_open(h->read, h->events, &cursor), "cursor");
  while ((result = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0)
    tally_value(tally, &key, &value);
  if (result != MDB_NOTFOUND) check(result, "next");
  mdb_cursor_close(cursor);
  mdb_txn_reset(h->read);
}

static bool same_stream(const MDB_val *key, rille_text stream) {
  return key->mv_size == stream.length + NUMBER_BYTES &&
         memcmp(key->mv_data, stream.bytes, stream.length) == 0;
}

static void lmdb_read_stream(void *handle, rille_text stream, struct tally *tally) {
  struct handle *h = handle;
  MDB_cursor *cursor;
  char room[RILLE_NAME_BYTES + NUMBER_BYTES];
  MDB_val key = stream_key(room, stream, 1), position, value;
  check(mdb_txn_renew(h->read), "renew");
  check(mdb_cursor_open(h->read, h->streams, &cursor), "cursor");
  int result = mdb_cursor_get(cursor, &key, &position, MDB_SET_RANGE);
  while (result == 0 && same_stream(&key, stream)) {
    check(mdb_get(h->read, h->events, &position, &value), "get");
    tally_value(tally, &position, &value);
    result = mdb_cursor_get(cursor, &key, &position, MDB_NEXT);
  }
  if (result != MDB_NOTFOUND) check(result, "next");
  mdb_cursor_close(cursor);
  mdb_txn_reset(h->read);
}

static void lmdb_read_tag(void *handle, rille_text tag, struct tally *tally) {
  struct handle *h = handle;
  MDB_cursor *cursor;
  MDB_val key = value_of(tag.bytes, tag.length), position, value;
  check(mdb_txn_renew(h->read), "renew");
  check(mdb_cursor_open(h->read, h->tags, &cursor), "cursor");
  int result = mdb_cursor_get(cursor, &key, &position, MDB_SET_KEY);
  while (result == 0) {
    check(mdb_get(h->read, h->events, &position, &value), "get");
    tally_value(tally, &position, &value);
    result = mdb_cursor_get(cursor, &key, &position, MDB_NEXT_DUP);
  }
  if (result != MDB_NOTFOUND) check(result, "next");
  mdb_cursor_close(cursor);
  mdb_txn_reset(h->read);
}

const struct peer peer_lmdb = {.name = "lmdb",
                               .about = lmdb_about,
                               .open = lmdb_open,
                               .close = lmdb_close,
                               .append = lmdb_append,
                               .scan = lmdb_scan,
                               .read_stream = lmdb_read_stream,
                               .read_tag = lmdb_read_tag};
