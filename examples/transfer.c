/* transfer.c: rille without Lua: a program in C that decides on what it reads, and moves money
** between two stores, all or nothing.
**
**   make examples && build/examples/transfer FOLDER
**
** Ann's account is in one store, Ben's in another. First both are opened with an append that
** is refused where the stream has any event; then Ann's balance is read, by running her events,
** and 30 are moved, on the condition that nothing has happened to her account since. Run again,
** it goes on from there, until she has nothing left to give. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "rille.h"

#define OPENING 100
#define AMOUNT 30

static int complain(const rille_error *e) {
  fprintf(stderr, "transfer: %s (%s)\n", e->message, rille_code_name(e->code));
  return 1;
}

/* Data is bytes to rille, MessagePack by convention, so that scripts can read it: a number up to
** 127 is one byte. */
static rille_event_input event_of(const char *type, const char *amount) {
  return (rille_event_input){.type = rille_text_of(type), .data = {.bytes = amount, .length = 1}};
}

static int open_account(rille_store *store, const char *name) {
  static const char amount[] = {OPENING};
  rille_error e;
  rille_event_input opened = event_of("Deposited", amount);
  rille_part part = {.stream = rille_text_of(name),
                     .expect = RILLE_EXPECT_NONE,
                     .events = &opened,
                     .event_count = 1};
  rille_append append = {.size = sizeof append, .parts = &part, .part_count = 1};
  int failed = rille_store_append(store, &append, NULL, &e);
  if (failed == RILLE_CONFLICT) printf("%s: the account is there\n", name);
  else if (failed < 0) return complain(&e);
  return 0;
}

/* What the events of an account say, and the version to which they do. */
static int read_balance(rille_store *store, const char *name, int *balance, uint64_t *version) {
  rille_error e;
  rille_reader *reader;
  rille_event event;
  int found;
  rille_query query = {.size = sizeof query, .stream = rille_text_of(name)};
  *balance = 0;
  *version = 0;
  if (rille_store_read(store, &query, &reader, &e) < 0) return complain(&e);
  while ((found = rille_reader_next(reader, &event, &e)) > 0) {
    int amount = event.data.length == 1 ? event.data.bytes[0] : 0;
    int out = event.type.length == 9 && memcmp(event.type.bytes, "Withdrawn", 9) == 0;
    *balance += out ? -amount : amount;
    *version = event.version;
  }
  rille_reader_end(reader);
  return found < 0 ? complain(&e) : 0;
}

/* One store, "home", takes part by deciding; the other promises. Whoever crashes on the way, the
** next one to open either brings both to the same end. */
static int move(rille_store *home, rille_store *other, uint64_t version) {
  static const char amount[] = {AMOUNT};
  rille_error e;
  rille_begun begun;
  rille_transacted done;
  rille_instance *instance;
  rille_event_input out = event_of("Withdrawn", amount), in = event_of("Deposited", amount);
  rille_part from = {.stream = rille_text_of("ann"),
                     .expect = (int64_t)version, /* nothing has happened since it was read */
                     .events = &out,
                     .event_count = 1};
  rille_part to = {.stream = rille_text_of("ben"), .events = &in, .event_count = 1};
  rille_append withdraw = {.size = sizeof withdraw, .parts = &from, .part_count = 1};
  rille_append deposit = {.size = sizeof deposit, .parts = &to, .part_count = 1};
  rille_member member = {.store = other, .name = rille_text_of("ben"), .work = &deposit};
  if (rille_instance_open(home, rille_text_of("transfer"), &instance, &e) < 0) return complain(&e);
  int failed = rille_instance_begin(instance, &begun, &e);
  if (failed == 0) {
    rille_transact transact = {.size = sizeof transact,
                               .home = home,
                               .id = rille_text_of(begun.id),
                               .home_end = begun.home_end,
                               .home_path = rille_text_of(rille_store_path(home)),
                               .coordinator = rille_text_of("transfer"),
                               .work = &withdraw,
                               .members = &member,
                               .member_count = 1,
                               .timeout_us = 5000000};
    failed = rille_store_transact(&transact, &done, &e);
  }
  if (failed == 0 && member.finished.end > 0)
    failed = rille_store_flush(other, member.finished.end, &e); /* then nobody need ask again */
  if (failed == 0 && member.reached) failed = rille_store_end(home, rille_text_of(begun.id), &e);
  if (failed < 0) (void)complain(&e);
  (void)rille_instance_close(instance, NULL);
  return failed < 0;
}

static int transfer(rille_store *ann, rille_store *ben) {
  int balance = 0, other = 0;
  uint64_t version, ignored;
  if (open_account(ann, "ann") || open_account(ben, "ben")) return 1;
  if (read_balance(ann, "ann", &balance, &version)) return 1;
  if (balance < AMOUNT) {
    printf("ann has %d, which is not enough\n", balance);
    return 0;
  }
  if (move(ann, ben, version)) return 1;
  if (read_balance(ann, "ann", &balance, &version) || read_balance(ben, "ben", &other, &ignored))
    return 1;
  printf("moved %d: ann has %d, ben has %d\n", AMOUNT, balance, other);
  return 0;
}

int main(int argc, char **argv) {
  char path[2][512];
  rille_store *stores[2] = {NULL, NULL};
  rille_error e;
  int failed = 0;
  if (argc != 2) {
    fprintf(stderr, "usage: transfer FOLDER\n");
    return 2;
  }
  (void)mkdir(argv[1], 0777); /* it may be there; if not, opening says so */
  for (int i = 0; i < 2 && !failed; i++) {
    snprintf(path[i], sizeof path[i], "%s/%s.rille", argv[1], i ? "ben" : "ann");
    if (rille_store_open(path[i], NULL, &stores[i], &e) < 0) failed = complain(&e);
  }
  if (!failed) failed = transfer(stores[0], stores[1]);
  for (int i = 0; i < 2; i++) (void)rille_store_close(stores[i]);
  return failed;
}
