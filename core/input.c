/* input.c: what is wrong with an append, before anything is done. */
#include "input.h"

#include <stdio.h>

#include "error.h"
#include "frame.h"

/* Where in the input a field is, for messages: "event 2: tags[3]". */
struct spot {
  size_t part, event;
  bool many;     /* several parts, so the stream is named */
  bool internal; /* names may be rille's own */
  rille_text stream;
};

static int bad(const struct spot *at, rille_error *e, const char *field, const char *what) {
  char name[ERROR_NAME_BYTES];
  if (at->event == 0) return error_set(e, RILLE_INVALID, "%s %s", field, what);
  if (!at->many) return error_set(e, RILLE_INVALID, "event %zu: %s %s", at->event, field, what);
  return error_set(e, RILLE_INVALID, "event %zu for stream \"%s\": %s %s", at->event,
                   error_name(at->stream, name), field, what);
}

static int check_name(const struct spot *at, const char *field, rille_text name, rille_error *e) {
  char what[96];
  if (name.length == 0) return bad(at, e, field, "is empty: it needs 1 to 255 bytes");
  if (name.length <= RILLE_NAME_BYTES) return 0;
  snprintf(what, sizeof what, "has %zu bytes: at most %d are allowed", name.length,
           RILLE_NAME_BYTES);
  return bad(at, e, field, what);
}

/* Names of streams and types that begin with "$" belong to rille. */
static int check_own_name(const struct spot *at, const char *field, rille_text name,
                          rille_error *e) {
  int failed = check_name(at, field, name, e);
  if (failed || at->internal || name.bytes[0] != '$') return failed;
  return bad(at, e, field, "begins with \"$\": such names are rille's own");
}

static int check_tags(const struct spot *at, const rille_event_input *event, rille_error *e) {
  char field[32], what[64];
  if (event->tag_count > RILLE_TAGS) {
    snprintf(what, sizeof what, "has %zu entries: at most %d are allowed", event->tag_count,
             RILLE_TAGS);
    return bad(at, e, "tags", what);
  }
  for (size_t i = 0; i < event->tag_count; i++) {
    snprintf(field, sizeof field, "tags[%zu]", i + 1);
    int failed = check_name(at, field, event->tags[i], e);
    if (failed) return failed;
  }
  return 0;
}

static int check_event(const struct spot *at, const rille_event_input *event, rille_error *e) {
  int failed = check_own_name(at, "type", event->type, e);
  if (!failed && event->id.length) failed = check_name(at, "id", event->id, e);
  if (!failed) failed = check_tags(at, event, e);
  if (failed) return failed;
  if (event->time_us < 0) return bad(at, e, "time", "is before 1970");
  if (event->data.length > RILLE_EVENT_BYTES ||
      event->meta.length > RILLE_EVENT_BYTES - event->data.length)
    return bad(at, e, "data", "and meta have more than 16 MiB");
  return 0;
}

/* What an event counts for in the limit of an append: its bytes, and what its
** record adds to them. */
static size_t weight(const rille_part *part, const rille_event_input *event) {
  size_t n = RECORD_FIXED_BYTES + part->stream.length + event->type.length + event->id.length +
             event->data.length + event->meta.length;
  for (size_t i = 0; i < event->tag_count; i++) n += 24 + event->tags[i].length;
  return n;
}

static int check_part(const rille_part *part, struct spot *at, size_t *total, rille_error *e) {
  at->event = 0;
  at->stream = part->stream;
  int failed = check_own_name(at, "stream", part->stream, e);
  if (!failed && part->expect < RILLE_EXPECT_EXISTS) failed = bad(at, e, "expect", "is no version");
  for (size_t i = 0; i < part->event_count && !failed; i++) {
    at->event = i + 1;
    failed = check_event(at, &part->events[i], e);
    if (!failed) *total += weight(part, &part->events[i]);
    if (!failed && *total > RILLE_APPEND_BYTES)
      failed = error_set(e, RILLE_INVALID,
                         "the append has more than 64 MiB: write its events in several appends");
  }
  return failed;
}

int input_check(const rille_append *append, rille_error *e) {
  struct spot at = {.many = append->part_count > 1, .internal = append->internal != 0};
  size_t total = 0;
  int failed = 0;
  for (size_t i = 0; i < append->part_count && !failed; i++)
    failed = check_part(&append->parts[i], &at, &total, e);
  at.event = 0;
  if (!failed && append->mark.name.length)
    failed = check_name(&at, "the mark's name", append->mark.name, e);
  return failed;
}

int rille_append_check(const rille_append *append, rille_error *e) {
  return input_check(append, e);
}

int input_check_stream(rille_text stream, bool internal, rille_error *e) {
  struct spot at = {.stream = stream, .internal = internal};
  return check_own_name(&at, "stream", stream, e);
}
