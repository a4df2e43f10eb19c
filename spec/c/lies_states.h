/* lies_states.h: the store closed and after a crash, with what each answers; an older day of it;
** and another store that was made in the same way. Made once a program. */
#ifndef RILLE_LIES_STATES_H
#define RILLE_LIES_STATES_H

#include "lies.h"

/* ---- States of the store, and what they answer ---- */

enum { CLOSED, CRASHED, STATES };

static struct state {
  const char *name;
  struct image files;
  struct answers truth[2], bare[2]; /* [writing]; bare: the index made anew */
  uint64_t durable;                 /* what frames tell of flushes: below, nothing may be cut */
} states[STATES];

static struct image early, foreign; /* an older day of it; another store made in the same way */
static struct known known, foreign_known;
static struct answers now; /* of the case at hand */
static char root[300];

/* What cases came to, in memory that children share with the parent. */
enum { WHOLE, MENDED, RAISED, CUT, REFUSED, OUTCOMES };
static struct shared {
  unsigned outcomes[OUTCOMES];
  unsigned next;  /* case of the class */
  unsigned shown; /* failures that were told */
  char what[200];
} * shared;

static inline int open_lie(bool writing, rille_store **store, rille_error *e) {
  rille_options o = {.size = sizeof o,
                     .readonly = !writing,
                     .no_background = 1,
                     .no_create = 1,
                     .segment_bytes = RILLE_SEGMENT_BYTES_LEAST};
  *e = (rille_error){0};
  return rille_store_open(root, &o, store, e);
}

static inline void ask_truth(struct answers *a, bool writing, const struct known *k) {
  rille_store *s;
  rille_error e;
  if (!CHECK(open_lie(writing, &s, &e) >= 0)) {
    printf("       %s\n", e.message);
    exit(EXIT_FAILURE);
  }
  ask_everything(s, k, a);
  for (size_t i = 0; i < a->count; i++) CHECK(a->values[i] != 0);
  CHECK(rille_store_close(s) == 0);
}

/* ---- Making the states ---- */

static inline void copy_folder(const char *from, const char *to) {
  char command[700];
  sprintf(command, "cp -r '%s' '%s'", from, to);
  CHECK(system(command) == 0);
}

static inline rille_store *open_at(const char *path) {
  rille_options o = {
      .size = sizeof o, .no_background = 1, .segment_bytes = RILLE_SEGMENT_BYTES_LEAST};
  return open_with(path, &o);
}

static inline void truncate_some(rille_store *s) {
  rille_error e = {0};
  rille_event_input event = {.type = text_of("Happened")};
  for (int i = 0; i < 6; i++) write_event(s, i % 2 ? "cut" : "gone", &event, NULL);
  done_well(rille_store_truncate(s, text_of("cut"), 3, &e), &e);
  done_well(rille_store_delete(s, text_of("gone"), &e), &e);
}

/* Makes it at `root`, by way of a copy, with an older day of it on the way; what a crash of it
** leaves is at `crashed`. */
static inline void make_store(const char *crashed, struct image *day, struct known *k) {
  char first[300], home_path[300];
  strcpy(first, path_of("first"));
  strcpy(home_path, path_of("home"));
  rille_store *home = open_at(home_path), *s = open_at(first);
  k->count = 0;
  write_plain(s, 0, 130);
  (void)rille_instance_close(be_home(s, 0, k), NULL);
  CHECK(rille_store_close(s) == 0);
  copy_folder(first, root);
  s = open_at(root); /* a copy, and it says so */
  be_there(s, home, home_path, 0, k);
  truncate_some(s);
  keep_some(s, 40);
  CHECK(rille_store_close(s) == 0);
  if (day) image_take(day, root);
  s = open_at(root);
  write_plain(s, 130, 290);
  be_there(s, home, home_path, 1, k);
  keep_some(s, 20);
  rille_instance *alive = be_home(s, 1, k);
  CHECK(rille_store_sync(s, NULL) == 0);
  if (crashed) copy_folder(root, crashed);
  CHECK(rille_instance_close(alive, NULL) == 0);
  CHECK(rille_store_close(s) == 0);
  CHECK(rille_store_close(home) == 0);
  remove_store(home_path);
  remove_store(first);
}

static inline void cut_all_zeros(struct image *image) {
  for (size_t i = 0; i < image->count; i++)
    if (strncmp(image->files[i].name, "log/", 4) == 0) cut_zeros(&image->files[i]);
}

static inline void learn_truth(struct state *s) {
  for (int writing = 0; writing < 2; writing++) {
    image_put(&s->files, root);
    ask_truth(&s->truth[writing], writing, &known);
    struct image bare = s->files;
    for (int i = 0; i < 3; i++)
      image_without(&bare, ((const char *[]){"index/data.mdb", "index/lock.mdb", "index/sum"})[i]);
    image_put(&bare, root);
    ask_truth(&s->bare[writing], writing, &known);
  }
}

static inline void make_states(void) {
  char crashed[300];
  if (states[CLOSED].name) return;
  if (access("/dev/shm", W_OK | X_OK) == 0)
    setenv("TMPDIR", "/dev/shm", 1); /* nothing is flushed */
  shared = share(sizeof *shared);
  strcpy(crashed, path_of("crashed"));
  strcpy(root, path_of("foreign"));
  make_store(NULL, NULL, &foreign_known);
  image_take(&foreign, root);
  strcpy(root, path_of("lies"));
  make_store(crashed, &early, &known);
  states[CLOSED].name = "closed";
  states[CRASHED].name = "crashed";
  image_take(&states[CLOSED].files, root);
  image_take(&states[CRASHED].files, crashed);
  free(image_find(&states[CRASHED].files, "index/lock.mdb")->bytes);
  image_without(&states[CRASHED].files,
                "index/lock.mdb"); /* the dead are in it: LMDB makes it anew */
  for (int i = 0; i < STATES; i++) {
    cut_all_zeros(&states[i].files);
    learn_truth(&states[i]);
  }
  printf("       %zu events, %zu answers\n", states[CLOSED].truth[0].events,
         states[CLOSED].truth[0].count);
}

#endif
