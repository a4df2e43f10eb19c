/* judge.c: opens the stores of a state with the library itself, and says what is wrong.
**
** What is read is compared with what was written and what was promised; then the index with
** what is read: by streams, types, tags, ids. Then one more append, and all of it must be there,
** at once, or after closing and opening, which every other state has. */
#include "judge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "forget.h"
#include "keep.h"

#define VERIFY_ONE_IN 16

static struct seen seen[STORES_MOST];

struct written {
  uint32_t serial, count;
};

/* ---- Reading all ---- */

/* Of whom something may be gone: then what was told stands in for what can't be read. */
static const struct of_store *forgetful;

static void put(struct seen *s, const struct label *l, const struct shape_names *names,
                enum gone gone) {
  uint64_t at = ++s->head, version = ++s->count[names->stream];
  s->labels[at] = *l;
  s->positions[names->stream][version] = at;
  s->type[at] = (uint8_t)names->type;
  s->tags[at] = names->tags;
  s->gone[at] = (uint8_t)gone;
}

/* Fills in what is missing up to a position. */
static const char *recall_to(struct seen *s, uint64_t last) {
  while (s->head < last) {
    struct label l = {0};
    struct shape_names names;
    if (!forgetful || s->head == EVENTS_MOST || !forget_recall(forgetful, s->head + 1, &l, &names))
      return wrong("L1: position %llu is missing", (unsigned long long)s->head + 1);
    put(s, &l, &names, GONE_TAKEN);
  }
  return NULL;
}

static const char *read_names(const rille_event *event, struct shape_names *names) {
  names->stream = work_stream_number(event->stream);
  names->type = work_type_number(event->type);
  names->tags = 0;
  for (size_t i = 0; i < event->tag_count; i++)
    names->tags |= (uint16_t)(1u << work_tag_number(rille_event_tag(event, i)));
  return names->stream < STREAMS ? NULL : "an event is in a stream that nobody made";
}

static const char *take(const rille_event *event, struct seen *s) {
  struct label l = {0};
  struct shape_names names, told;
  const char *bad = event->redacted ? NULL : work_check(event, &l);
  if (bad) return wrong("%s, at position %llu", bad, (unsigned long long)event->position);
  if ((bad = recall_to(s, event->position - 1)) != NULL) return bad;
  if (event->position != s->head + 1)
    return wrong("L1: position %llu follows %llu", (unsigned long long)event->position,
                 (unsigned long long)s->head);
  if (s->head == EVENTS_MOST) return "there are more events than were written";
  if ((bad = read_names(event, &names)) != NULL) return bad;
  if (event->version != s->count[names.stream] + 1)
    return wrong("L6: version %llu at position %llu should be %llu",
                 (unsigned long long)event->version, (unsigned long long)event->position,
                 (unsigned long long)s->count[names.stream] + 1);
  if (event->redacted) {
    bool known = forgetful && forget_recall(forgetful, event->position, &l, &told);
    if (!known || event->data.length || event->meta.length ||
        told.stream != names.stream || told.type != names.type || told.tags != names.tags)
      return wrong("position %llu is redacted, but not as it should be",
                   (unsigned long long)event->position);
  }
  put(s, &l, &names, event->redacted ? GONE_REDACTED : GONE_NOT);
  return NULL;
}

const char *judge_read(rille_store *store, struct seen *s) {
  rille_reader *reader;
  rille_event event;
  rille_error e = {0};
  const char *bad = NULL;
  int result = 1;
  s->head = 0;
  memset(s->count, 0, sizeof s->count);
  if (rille_store_read(store, NULL, &reader, &e) < 0) return wrong("can't be read: %s", e.message);
  while (!bad && (result = rille_reader_next(reader, &event, &e)) == 1) bad = take(&event, s);
  rille_reader_end(reader);
  if (!bad && result < 0) return wrong("can't be read: %s", e.message);
  if (!bad) bad = recall_to(s, rille_store_head(store));
  if (!bad && rille_store_head(store) != s->head) return "the head is not the last position";
  return bad;
}

/* ---- What the index says ---- */

/* The positions that a query finds must be these. */
static const char *check_query(rille_store *store, const rille_query *query, const uint64_t *list,
                               uint64_t count, const char *what) {
  rille_reader *reader;
  rille_event event;
  rille_error e = {0};
  uint64_t n = 0;
  int result;
  if (rille_store_read(store, query, &reader, &e) < 0) return wrong("L5: %s: %s", what, e.message);
  while ((result = rille_reader_next(reader, &event, &e)) == 1 && n < count)
    if (event.position != list[n++]) break;
  rille_reader_end(reader);
  if (result < 0) return wrong("L5: %s: %s", what, e.message);
  if (result == 0 && n == count) return NULL;
  return wrong("L5: by %s, %llu of %llu events are found, or others", what, (unsigned long long)n,
               (unsigned long long)count);
}

static const char *check_tag_and_type(rille_store *store, const struct seen *s) {
  static uint64_t list[EVENTS_MOST];
  uint32_t tag = chance_below(TAGS), type = chance_below(TYPES);
  bool by_tag = chance_in(2);
  rille_text name = by_tag ? work_tag(tag) : work_type(type);
  rille_item item = {.types = by_tag ? NULL : &name,
                     .type_count = !by_tag,
                     .tags = by_tag ? &name : NULL,
                     .tag_count = by_tag};
  rille_query q = {.size = sizeof q, .items = &item, .item_count = 1};
  uint64_t n = 0;
  for (uint64_t at = 1; at <= s->head; at++)
    if (s->gone[at] != GONE_TAKEN && (by_tag ? s->tags[at] >> tag & 1 : s->type[at] == type))
      list[n++] = at;
  return check_query(store, &q, list, n, by_tag ? "tag" : "type");
}

/* What a truncation hides is less than it hid at most, and all that it was told to. */
static const char *check_stream(rille_store *store, const struct of_store *p,
                                const struct seen *s) {
  uint32_t number = chance_below(STREAMS);
  uint64_t version = 0, first = 1, count = s->count[number];
  rille_query q = {.size = sizeof q, .stream = work_stream(number), .limit = 1};
  rille_reader *reader;
  rille_event event;
  rille_error e = {0};
  if (rille_store_version(store, q.stream, &version, &e) < 0) return wrong("L5: %s", e.message);
  if (version != count) return wrong("L5: stream %u has another version", number);
  if (rille_store_read(store, &q, &reader, &e) < 0) return wrong("L5: %s", e.message);
  int result = rille_reader_next(reader, &event, &e);
  if (result == 1) first = event.version;
  else first = count + 1;
  rille_reader_end(reader);
  if (result < 0) return wrong("L5: %s", e.message);
  uint64_t least = p->cut[number] ? p->cut[number] : 1;
  uint64_t most = p->cut_begun[number] > least ? p->cut_begun[number] : least;
  if (first < least && count) return wrong("stream %u is not truncated", number);
  if (first > most && first <= count) return wrong("stream %u is truncated too far", number);
  if (count == 0) return NULL;
  q.limit = 0;
  return check_query(store, &q, s->positions[number] + first, count + 1 - first, "stream");
}

/* A repeated append is known by its ids, at the place where it is. */
static const char *check_ids(rille_store *store, const struct seen *s) {
  struct made m;
  rille_appended done;
  rille_error e = {0};
  if (s->head == 0) return NULL;
  const struct label *l = &s->labels[1 + chance_below((uint32_t)s->head)];
  uint64_t at = (uint64_t)(l - s->labels) - l->index;
  if (l->serial % 3 || l->input) return NULL;
  int result = rille_store_append(store, work_make(l->serial, 0, &m), &done, &e);
  if (result < 0) return wrong("L5: append %u, repeated: %s", l->serial, e.message);
  if (done.duplicate && done.first == at) return NULL;
  return wrong("L5: append %u, repeated, is no duplicate of position %llu", l->serial,
               (unsigned long long)at);
}

static int note_problem(void *context, const rille_problem *p) {
  *(const char **)context =
      wrong("verify: %s at %llu: %s", p->invariant, (unsigned long long)p->address, p->message);
  return 1;
}

static const char *check_verified(rille_store *store) {
  const char *bad = NULL;
  rille_verify options = {.size = sizeof options, .problem = note_problem, .context = &bad};
  rille_error e = {0};
  int code = rille_store_verify(store, &options, NULL, &e);
  return bad || code == 0 ? bad : wrong("verify: %s", e.message);
}

/* ---- A store ---- */

static bool is_there(const char *path) {
  struct stat s;
  return stat(path, &s) == 0;
}

/* A flush of the repair may fail, once: then it begins again. `again`: it was closed as it
** should be, so there is nothing to remark. */
static const char *open_it(const struct trial *t, uint32_t i, bool again, const struct of_store *p,
                           rille_store **store) {
  rille_options o = {.size = sizeof o,
                     .no_background = 1,
                     .readonly = again && !chance_in(4),
                     .no_create = p->made,
                     .segment_bytes = t->segment_bytes};
  rille_error e = {0};
  int result = rille_store_open(t->paths[i], &o, store, &e);
  if (result < 0 && e.system == EIO) result = rille_store_open(t->paths[i], &o, store, &e);
  if (result < 0) return wrong("can't be opened%s: %s", again ? " again" : "", e.message);
  bool may_be_torn = !again && !strstr(e.message, "index was damaged");
  return result > 0 && !may_be_torn ? wrong("%s", e.message) : NULL;
}

static const char *check_all(rille_store *store, const struct of_store *p, struct seen *s) {
  const char *bad = judge_read(store, s);
  if (!bad) bad = promises_check(p, s);
  if (!bad) bad = check_stream(store, p, s);
  if (!bad) bad = check_tag_and_type(store, s);
  if (!bad) bad = check_ids(store, s);
  if (!bad && chance_in(VERIFY_ONE_IN)) bad = check_verified(store);
  return bad;
}

/* What was told to come next and was lost: who appended it does so again, and what had come
** behind it must not come back with it. 0: there is none. */
static uint32_t lost_serial(const struct of_store *p, const struct seen *s) {
  for (uint32_t i = 1; i < SERIAL_EMITTED; i++)
    if (p->told[i].first == s->head + 1 && !p->told[i].refused) return i;
  return 0;
}

/* One that has no ids: with them it might be a duplicate. */
static uint32_t fresh_serial(const struct seen *s) {
  for (;;) {
    uint32_t serial = SERIAL_JUDGE + chance_below(SERIALS_MOST - SERIAL_JUDGE);
    bool known = serial % 3 == 0;
    for (uint64_t at = 1; at <= s->head; at++) known |= s->labels[at].serial == serial;
    if (!known) return serial;
  }
}

/* The version of its stream is an expectation, so that the head in the index is believed. */
static const char *append_one(rille_store *store, uint32_t number, const struct of_store *p,
                              const struct seen *s, struct written *w) {
  struct made m;
  rille_appended done;
  rille_error e = {0};
  uint32_t lost = chance_in(2) ? lost_serial(p, s) : 0;
  w->serial = lost ? lost : fresh_serial(s);
  (void)work_make(w->serial, 0, &m);
  w->count = m.count;
  uint64_t version = s->count[work_stream_number(m.parts[0].stream)];
  m.parts[0].expect = version ? (int64_t)version : RILLE_EXPECT_NONE;
  work_mark((struct mark){.kind = MARK_RETRIED, .store = number, .serial = w->serial});
  if (rille_store_append(store, &m.append, &done, &e) < 0)
    return wrong("can't be written to: %s", e.message);
  if (done.first != s->head + 1 || done.duplicate)
    return wrong("L1: an append behind position %llu is told to be at %llu",
                 (unsigned long long)s->head, (unsigned long long)done.first);
  work_mark((struct mark){.kind = MARK_TOLD,
                          .store = number,
                          .serial = w->serial,
                          .durable = true,
                          .first = done.first});
  return NULL;
}

/* All that was there, and what was written. */
static const char *check_again(rille_store *store, uint32_t i, const struct of_store *p,
                               const struct written *w) {
  static struct seen again;
  const struct seen *s = &seen[i];
  const char *bad = judge_read(store, &again);
  if (!bad && forgetful) bad = forget_check(p, &again);
  if (!bad && (again.head != s->head + w->count || again.labels[again.head].serial != w->serial))
    bad = wrong("behind position %llu, where append %u was written, is %llu with append %u",
                (unsigned long long)s->head, w->serial, (unsigned long long)again.head,
                again.labels[again.head].serial);
  for (uint64_t at = 1; at <= s->head && !bad; at++)
    if (again.labels[at].serial != s->labels[at].serial) bad = "an event has changed";
  return bad ? bad : check_stream(store, p, &again);
}

static const char *open_and_check_again(const struct trial *t, uint32_t i, const struct of_store *p,
                                        const struct written *w) {
  rille_store *store = NULL;
  const char *bad = open_it(t, i, true, p, &store);
  if (bad) return bad;
  bad = check_again(store, i, p, w);
  return rille_store_close(store) < 0 && !bad ? "can't be closed again" : bad;
}

/* ---- All of them ---- */

static rille_store *stores[STORES_MOST];
static struct written written[STORES_MOST];

/* What is prepared in a store is settled, and what that wrote is durable, so that it is read. */
static const char *settle(rille_store *store) {
  rille_error e = {0};
  rille_doubts doubts;
  if (rille_store_strong(store, NULL, &e) < 0) return wrong("D2: %s", e.message);
  if (rille_store_indoubt(store, &doubts, &e) < 0) return wrong("D2: %s", e.message);
  bool some = doubts.count > 0;
  rille_doubts_free(&doubts);
  return some ? "D2: a transaction stays in doubt" : NULL;
}

static const char *open_and_check(const struct trial *t, uint32_t i, const struct promises *p) {
  const struct of_store *of = &p->stores[i];
  stores[i] = NULL;
  forgetful = t->forgets ? of : NULL;
  if (!is_there(t->paths[i])) {
    if (of->made) return wrong("store %u is gone", i);
    if (t->copies && i == 1) return NULL;
  }
  const char *bad = t->forgets && chance_in(2) ? forget_search(of, t->paths[i]) : NULL;
  if (!bad) bad = open_it(t, i, false, of, &stores[i]);
  record_fail_no_more();
  if (!bad && t->decides) bad = settle(stores[i]);
  if (!bad) bad = check_all(stores[i], of, &seen[i]);
  if (!bad && t->forgets) bad = forget_check(of, &seen[i]);
  if (!bad && t->forgets && chance_in(2)) bad = forget_search(of, t->paths[i]);
  if (!bad && t->projects) bad = keep_check(stores[i], &seen[i]);
  if (!bad && t->grows) bad = keep_check_large(stores[i]);
  if (!bad && t->emits) bad = emit_check(stores[i], &seen[i]);
  return bad;
}

static const char *write_and_close(uint32_t i, const struct of_store *p, bool look) {
  if (!stores[i]) return NULL;
  promises_note_seen(i, &seen[i], SERIAL_JUDGE);
  const char *bad = append_one(stores[i], i, p, &seen[i], &written[i]);
  if (!bad && look) bad = check_again(stores[i], i, p, &written[i]);
  return rille_store_close(stores[i]) < 0 && !bad ? "can't be closed" : bad;
}

const char *judge(const struct trial *t, const struct promises *p) {
  const char *bad = NULL;
  bool opens_again = chance_in(2);
  uint32_t n = 0, first;
  while (n < STORES_MOST && t->paths[n]) n++;
  first = t->decides ? chance_below(n) : 0; /* whoever comes first settles with the others closed */
  for (uint32_t i = 0; i < n && !bad; i++) bad = open_and_check(t, (first + i) % n, p);
  if (!bad && t->decides) bad = promises_check_outcomes(p, seen, n);
  for (uint32_t i = 0; i < n && !bad; i++) bad = write_and_close(i, &p->stores[i], !opens_again);
  for (uint32_t i = 0; i < n && !bad && opens_again; i++)
    if (stores[i]) bad = open_and_check_again(t, i, &p->stores[i], &written[i]);
  return bad;
}
