/* transactions.c: workloads of transactions over home and two stores: some commit, some are
** refused by a condition; the coordinator comes and goes, or dies. */
#include "scene.h"

#define HOME 0u
#define MEMBERS 2u
#define TIMEOUT_US 60000000

static rille_instance *instance;
static char last[RILLE_TRANSACTION_BYTES]; /* committed, its end not noted */

static void begin_instance(void) {
  rille_error e = {0};
  (void)scene_check(rille_instance_open(scene.stores[HOME], rille_text_of("tester"), &instance, &e),
                    &e, "instance");
}

/* Every member's commit is durable. */
static void note_end(const rille_member *members) {
  rille_error e = {0};
  for (uint32_t i = 0; i < MEMBERS; i++) {
    uint64_t end = members[i].finished.end;
    if (end) (void)scene_check(rille_store_flush(members[i].store, end, &e), &e, "flush");
  }
  (void)scene_check(rille_store_end(scene.stores[HOME], rille_text_of(last), &e), &e, "end");
}

/* `refused`: by an expectation of the last member's. */
static void transact(uint32_t serial, bool refused) {
  static const rille_text names[MEMBERS] = {{"one", 3}, {"two", 3}};
  struct made home, made[MEMBERS];
  rille_member members[MEMBERS];
  rille_transacted done;
  rille_error e = {0};
  rille_begun begun;
  if (!scene_check(rille_instance_begin(instance, &begun, &e), &e, "begin")) return;
  for (uint32_t i = 0; i < MEMBERS; i++)
    members[i] = (rille_member){
        .store = scene.stores[1 + i], .name = names[i], .work = work_make(serial, 0, &made[i])};
  if (refused) made[MEMBERS - 1].parts[0].expect = 1000;
  rille_transact t = {.size = sizeof t,
                      .home = scene.stores[HOME],
                      .id = rille_text_of(begun.id),
                      .home_end = begun.home_end,
                      .home_path = rille_text_of(scene.paths[HOME]),
                      .coordinator = rille_text_of("tester"),
                      .work = work_make(serial, 0, &home),
                      .members = members,
                      .member_count = MEMBERS,
                      .timeout_us = TIMEOUT_US};
  int result = rille_store_transact(&t, &done, &e);
  if (result != RILLE_ABORTED && !scene_check(result, &e, "transact")) return;
  if (!refused && result) (void)scene_check(RILLE_ABORTED, &e, "transact");
  work_mark((struct mark){.kind = MARK_OUTCOME, .serial = serial, .first = (uint64_t)done.outcome});
  for (size_t i = 0; i < sizeof last; i++) last[i] = begun.id[i];
  if (result == 0 && chance_in(3)) note_end(members);
}

static void come_and_go(void) {
  rille_error e = {0};
  if (instance) (void)scene_check(rille_instance_close(instance, &e), &e, "instance");
  begin_instance();
}

static void open_all(void) {
  for (uint32_t i = 0; i < 1 + MEMBERS; i++) scene_open(i, RILLE_SYNC_ALWAYS, false, 0);
  begin_instance();
}

static void close_all(void) {
  (void)rille_instance_close(instance, NULL);
  for (uint32_t i = 0; i < 1 + MEMBERS; i++) scene_close(i);
}

void transactions(void) {
  work.plain = true;
  open_all();
  for (uint32_t i = 0; i < 12; i++) {
    transact(++scene.serial, chance_in(4));
    if (chance_in(4)) come_and_go();
  }
  close_all();
}

/* ---- Coordinators that die: whoever opens a store next settles ---- */

static void transact_until_death(uint32_t number) {
  (void)number;
  scene.record->deadly = chance_in(2) ? ~0u : 1u << ENTRY_FLUSH_BEGUN | 1u << ENTRY_WRITE;
  scene.record->entries_until_death = 20 + (int)chance_below(60);
  open_all();
  for (;;) transact(scene_next_serial(), chance_in(6));
}

/* Home may be open here all the time: then nobody repairs it, and what the dead wrote there is
** not durable yet. */
void coordinators(void) {
  bool attended = chance_in(2);
  work.plain = true;
  scene_expect_deaths();
  for (uint32_t i = 0; i < 1 + MEMBERS; i++) scene_open(i, RILLE_SYNC_ALWAYS, false, 0);
  if (!attended) scene_close(HOME);
  for (uint32_t m = 1; m <= MEMBERS; m++) scene_close(m);
  for (uint32_t i = 0; i < 6; i++) {
    scene_fork(1, transact_until_death);
    uint32_t m = 1 + chance_below(MEMBERS);
    scene_open(m, RILLE_SYNC_ALWAYS, false, 0);
    scene_close(m);
  }
  if (attended) scene_close(HOME);
  open_all();
  transact(scene_next_serial(), false);
  close_all();
}
