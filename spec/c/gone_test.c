/* gone_test.c: who has a store open while another takes content out: nothing of it is known any
** more from memory, and nothing comes back by files that were opened before. From inside. */
#define _GNU_SOURCE
#include "store.h"

#include "processes.h"

#include <fcntl.h>

#include "calls.h"

#define SECRET "ann@example.com"
#define CALLS_MOST 100

static struct meeting {
  _Atomic int there, here;
  _Atomic unsigned names; /* calls of CALL_NAME in a whole redaction */
} * meeting;

static char path[300];

static void begin(void) {
  strcpy(path, path_of("gone"));
  remove_store(path);
  if (!meeting) meeting = share(sizeof *meeting);
  meeting->there = meeting->here = 0;
}

static int redact_stream(rille_store *s) {
  rille_text name = rille_text_of(SECRET);
  rille_redact r = {.size = sizeof r, .streams = &name, .stream_count = 1};
  return rille_store_redact(s, &r, NULL, NULL);
}

/* ---- Memory ---- */

static int redact_beside(void *context) {
  (void)context;
  wait_until(&meeting->here, 1);
  rille_store *s = open_store(path, RILLE_SYNC_NEVER);
  CHECK(redact_stream(s) == 0);
  return rille_store_close(s);
}

/* The one has the stream's head in memory, from its own appends, and reads the log on only when the
** frame that ended the stream has no names any more. */
static void an_appender_that_looked_away(void) {
  uint64_t version = 99;
  begin();
  pid_t pid = start(redact_beside, NULL);
  rille_store *s = open_store(path, RILLE_SYNC_NEVER);
  for (int i = 0; i < 3; i++) CHECK(put_one(s, SECRET) == 0);
  atomic_store(&meeting->here, 1);
  CHECK(wait_for(pid) == 0);
  CHECK(rille_store_version(s, rille_text_of(SECRET), &version, NULL) == 0 && version == 0);
  CHECK(put(s, SECRET, RILLE_EXPECT_NONE, "again", 5, NULL) == 0);
  CHECK(is_sound(s, 4));
  check_reopened(s, path, 4);
}

/* ---- Files ---- */

static unsigned names_seen, calls_left;

static int count_names(const struct call *c) {
  if (c->kind == CALL_NAME && !c->done) atomic_fetch_add(&meeting->names, 1);
  return 0;
}

/* Before and behind each. */
static int die_at_call(const struct call *c) {
  (void)c;
  if (--calls_left == 0) die();
  return 0;
}

/* The last name that a redaction makes is that of the file out of which the noted names have gone:
** right before it the other one looks, and opens the file that is replaced. */
static int look_and_die(const struct call *c) {
  if (c->kind != CALL_NAME || c->done || ++names_seen < meeting->names) return 0;
  call_watch = NULL;
  atomic_store(&meeting->there, 1);
  wait_until(&meeting->here, 2);
  call_watch = die_at_call;
  return die_at_call(c);
}

static int redact_watched(void *context) {
  const unsigned *calls = context;
  names_seen = 0;
  wait_until(&meeting->here, 1);
  rille_store *s = open_store(path, RILLE_SYNC_NEVER);
  calls_left = *calls;
  call_watch = *calls ? look_and_die : count_names;
  CHECK(redact_stream(s) == 0);
  call_watch = NULL;
  return rille_store_close(s);
}

static bool is_in_log(const char *text) {
  char command[400];
  snprintf(command, sizeof command, "grep -rqaF '%s' '%s/log'", text, path);
  return system(command) == 0;
}

/* Whether the one who redacts lives. */
static bool scavenge_after_death(unsigned calls) {
  uint64_t version;
  begin();
  pid_t pid = start(redact_watched, &calls);
  rille_store *s = open_store(path, RILLE_SYNC_NEVER);
  CHECK(put_one(s, SECRET) == 0 && put_one(s, "other") == 0);
  CHECK(rille_store_sync(s, NULL) == 0);
  atomic_store(&meeting->here, 1);
  if (calls) wait_until(&meeting->there, 1);
  struct log *l = &s->shared->log;
  struct log_end end;
  uint8_t byte;
  size_t got;
  CHECK(log_look(l, false, &end, NULL) == 0);
  CHECK(segments_read(&l->segments, 0, &byte, 1, &got, NULL) == 0);
  atomic_store(&meeting->here, 2);
  int status = wait_for(pid);
  CHECK(status == 0 || status == KILLED);
  CHECK(rille_store_delete(s, rille_text_of("other"), NULL) == 0);
  rille_scavenged done;
  CHECK(rille_store_scavenge(s, NULL, &done, NULL) == 0 && done.events == 1);
  CHECK(rille_store_close(s) == 0);
  s = open_store(path, RILLE_SYNC_NEVER);
  CHECK(rille_store_version(s, rille_text_of(SECRET), &version, NULL) == 0 && version == 0);
  CHECK(is_sound(s, 2));
  CHECK(rille_store_close(s) == 0);
  if (!CHECK(!is_in_log(SECRET))) printf("       killed at call %u\n", calls);
  return status == 0;
}

/* Also where he has died between the frame that ends the redaction and what tells others of it. */
static void a_scavenge_behind_a_dead_redaction(void) {
  unsigned calls = 0;
  if (meeting) meeting->names = 0;
  CHECK(scavenge_after_death(0));
  while (++calls < CALLS_MOST && !scavenge_after_death(calls)) continue;
  CHECK(calls > 5 && calls < CALLS_MOST);
  printf("       %u deaths\n", calls - 1);
}

/* ---- The form of the log ---- */

#define FILES (SEGMENT_OPEN_FILES_MOST + 6)

static rille_store *open_small(void) {
  rille_options o = options_of(RILLE_SYNC_NEVER, false);
  o.segment_bytes = RILLE_SEGMENT_BYTES_LEAST;
  return open_with(path, &o);
}

static int scavenge_beside(void *context) {
  (void)context;
  wait_until(&meeting->here, 1);
  rille_store *s = open_small();
  rille_scavenged done;
  CHECK(rille_store_delete(s, rille_text_of("s"), NULL) == 0);
  CHECK(rille_store_scavenge(s, NULL, &done, NULL) == 0 && done.segments >= FILES);
  return rille_store_close(s);
}

static uint64_t form_of(struct segments *s) {
  uint64_t form = 0;
  CHECK(segments_form(s, &form, NULL) == 0);
  return form;
}

/* Between a file's replacement and the moment when that is told, those that are open are the old
** ones, and one that is opened now is the new one: what is folded is of two moments. */
static void a_file_that_was_opened_after_it_was_replaced(void) {
  static char large[RILLE_SEGMENT_BYTES_LEAST];
  uint8_t byte;
  size_t got;
  begin();
  pid_t pid = start(scavenge_beside, NULL);
  rille_store *s = open_small();
  for (unsigned i = 0; i < FILES; i++)
    CHECK(put(s, "s", RILLE_EXPECT_ANY, large, sizeof large, NULL) == 0);
  CHECK(rille_store_close(s) == 0); /* who has made them has them all open */
  s = open_small();
  struct segments *files = &s->shared->log.segments;
  CHECK(files->count > SEGMENT_OPEN_FILES_MOST && form_of(files) == 0);
  size_t closed = 0, open = files->count;
  for (size_t i = 0; i < files->count; i++)
    if (files->list[i].fd < 0) closed = i;
    else if (open == files->count) open = i;
  CHECK(files->list[closed].fd < 0 && files->list[open].fd >= 0);
  atomic_store(&meeting->here, 1);
  CHECK(wait_for(pid) == 0);
  CHECK(segments_read(files, files->list[open].first, &byte, 1, &got, NULL) == 0);
  CHECK(form_of(files) == 0);
  CHECK(segments_read(files, files->list[closed].first, &byte, 1, &got, NULL) == 0);
  CHECK(form_of(files) != 0);
  CHECK(rille_store_close(s) == 0);
}

static const struct test tests[] = {
    {"an appender that looked away", an_appender_that_looked_away},
    {"a scavenge behind a dead redaction", a_scavenge_behind_a_dead_redaction},
    {"a file that was opened after it was replaced", a_file_that_was_opened_after_it_was_replaced},
};
TEST_MAIN(tests)
