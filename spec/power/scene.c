/* scene.c: what workloads are written in. */
#define _GNU_SOURCE
#include "scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct scene scene;

bool scene_check(int result, const rille_error *e, const char *what) {
  if (result >= 0) return true;
  printf("       %s: %s\n", what, e ? e->message : "failed");
  scene.failed = true;
  return false;
}

int scene_try_open(uint32_t store, int sync, bool background, uint64_t segment_bytes,
                   rille_error *e) {
  rille_options o = {.size = sizeof o,
                     .sync = sync,
                     .no_background = !background,
                     .segment_bytes = segment_bytes,
                     .sync_interval_ms = 1};
  int result = rille_store_open(scene.paths[store], &o, &scene.stores[store], e);
  if (result >= 0) work_mark((struct mark){.kind = MARK_MADE, .store = store});
  return result;
}

void scene_open(uint32_t store, int sync, bool background, uint64_t segment_bytes) {
  rille_error e = {0};
  int result = scene_try_open(store, sync, background, segment_bytes, &e);
  if (!scene_check(result, &e, "open")) exit(EXIT_FAILURE);
}

/* Closing flushes, whatever the sync. */
void scene_close(uint32_t store) {
  uint64_t head = rille_store_head(scene.stores[store]);
  if (scene_check(rille_store_close(scene.stores[store]), NULL, "close"))
    work_mark((struct mark){.kind = MARK_DURABLE, .store = store, .first = head});
}

int scene_append_serial(uint32_t store, uint32_t serial, bool durable, rille_error *e) {
  struct made m;
  rille_appended done;
  int failed = rille_store_append(scene.stores[store], work_make(serial, 0, &m), &done, e);
  if (!failed)
    work_mark((struct mark){.kind = MARK_TOLD,
                            .store = store,
                            .serial = serial,
                            .durable = durable,
                            .first = done.first});
  return failed;
}

void scene_append(uint32_t store, uint32_t n, bool durable) {
  rille_error e = {0};
  while (n--)
    (void)scene_check(scene_append_serial(store, ++scene.serial, durable, &e), &e, "append");
}

void scene_mark_durable(uint32_t store) {
  work_mark((struct mark){
      .kind = MARK_DURABLE, .store = store, .first = rille_store_durable(scene.stores[store])});
}

void scene_mark_seen(uint32_t store) {
  static struct seen seen;
  const char *bad = judge_read(scene.stores[store], &seen);
  rille_error e = {0};
  if (bad) snprintf(e.message, sizeof e.message, "%s", bad);
  if (scene_check(bad ? -1 : 0, &e, "after a failed flush"))
    promises_note_seen(store, &seen, scene.serial + 1);
}

static _Atomic uint32_t *serials; /* shared by all */

void scene_expect_deaths(void) {
  scene.deadly = true;
  serials = mmap(NULL, sizeof *serials, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (serials == MAP_FAILED) abort();
}

void scene_die_at(uint32_t n, uint32_t kinds) {
  scene.record->deadly = kinds;
  scene.record->entries_until_death = (int)n;
}

uint32_t scene_next_serial(void) { return scene.serial = atomic_fetch_add(serials, 1) + 1; }

void scene_fork(uint32_t n, void (*job)(uint32_t number)) {
  int status;
  fflush(stdout);
  for (uint32_t i = 0; i < n; i++) {
    chance_state += 1;
    if (fork() > 0) continue;
    job(i);
    fflush(stdout);
    _exit(scene.failed ? EXIT_FAILURE : 0);
  }
  while (wait(&status) > 0)
    if (status != 0 && !(scene.deadly && WIFSIGNALED(status))) scene.failed = true;
  scene.record->entries_until_death = 0; /* who did not die has left it */
  record_fail_no_more();
}
