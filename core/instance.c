/* instance.c: coordinators come and go. */
#include "instance.h"

#include <stdio.h>

#include "error.h"

bool instance_lives(void *context, uint64_t epoch) {
  struct shared *s = context;
  return control_epoch_lives(&s->control, epoch);
}

/* What log_begin_epoch asks for. */
struct claiming {
  struct shared *shared;
  int fd;
};

static bool lives(void *context, uint64_t epoch) {
  return instance_lives(((struct claiming *)context)->shared, epoch);
}

static bool claim(void *context, uint64_t epoch) {
  struct claiming *c = context;
  return control_claim_epoch(&c->shared->control, epoch, &c->fd);
}

static int make_nonce(char nonce[17], rille_error *e) {
  uint64_t bytes;
  int number = system_entropy(&bytes, sizeof bytes);
  if (number) return error_system(e, number, "can't get random bytes");
  snprintf(nonce, 17, "%016llx", (unsigned long long)bytes);
  return 0;
}

/* D3: the epoch's frame is durable before any id leaves. */
static int begin(rille_instance *i, rille_error *e) {
  struct claiming c = {i->shared, -1};
  struct log *l = &i->shared->log;
  char nonce[17];
  int failed = make_nonce(nonce, e);
  if (!failed) failed = log_begin_epoch(l, nonce, lives, claim, &c, &i->epoch, e);
  if (!failed) failed = log_flush(l, log_written(l).address, e);
  i->claim.fd = c.fd;
  if (failed && c.fd >= 0) system_close(c.fd);
  return failed;
}

/* HOME-UUID.EPOCH.NONCE. is in front of them all. */
static void begin_ids(rille_instance *i) {
  char uuid[37];
  identity_text(i->shared->log.identity.uuid, uuid);
  int n = snprintf(i->prefix, sizeof i->prefix, "%s.%llu.%s.", uuid,
                   (unsigned long long)i->epoch.number, i->epoch.nonce);
  i->prefix_length = (size_t)n;
}

int rille_instance_open(rille_store *home, rille_text name, rille_instance **instance,
                        rille_error *e) {
  *instance = NULL;
  int failed = store_usable(home, e);
  if (!failed && home->shared->log.options.readonly)
    failed = error_set(e, RILLE_READONLY, "the store is open for reading only");
  if (!failed && name.length > RILLE_NAME_BYTES)
    failed = error_set(e, RILLE_INVALID, "the coordinator's name has more than 255 bytes");
  if (failed) return failed;
  rille_instance *i = memory_get_zeroed(&home->memory, sizeof *i);
  if (!i) return error_memory(e);
  i->memory = home->memory;
  i->shared = home->shared;
  table_enter();
  failed = begin(i, e);
  if (!failed) shared_add_claim(i->shared, &i->claim);
  table_leave();
  if (failed) {
    memory_free(&home->memory, i, sizeof *i);
    return failed;
  }
  begin_ids(i);
  shared_hold(i->shared);
  *instance = i;
  return 0;
}

/* With a NUL behind it. */
static void put_decimal(char *to, uint64_t number) {
  char digits[20];
  size_t n = 0;
  do digits[n++] = (char)('0' + number % 10);
  while (number /= 10);
  while (n) *to++ = digits[--n];
  *to = '\0';
}

int rille_instance_begin(rille_instance *i, rille_begun *begun, rille_error *e) {
  if (i->shared->forked) return segments_refuse_fork(e);
  uint64_t number = atomic_fetch_add(&i->begun, 1) + 1;
  memcpy(begun->id, i->prefix, i->prefix_length);
  put_decimal(begun->id + i->prefix_length, number);
  begun->home_end = log_durable(&i->shared->log).address;
  return 0;
}

/* If it fails the epoch stays open; who finds its lock free closes it. */
int rille_instance_close(rille_instance *i, rille_error *e) {
  if (!i) return 0;
  struct memory memory = i->memory;
  struct shared *s = i->shared;
  int failed = 0;
  if (!s->forked) {
    failed = log_close_epochs(&s->log, i->epoch.nonce, instance_lives, s, e);
    table_enter();
    shared_remove_claim(s, &i->claim);
    system_close(i->claim.fd);
    table_leave();
  }
  memory_free(&memory, i, sizeof *i);
  int dropped = shared_drop(s, failed ? NULL : e);
  return failed ? failed : dropped;
}
