/* lost_flush_test.c: real disks that fail while they are flushed. A file system lies on a loop
** device over a file in memory that is given less room than it promises: what the kernel writes
** back then is lost, the flush says so once, and the next one lies. Several threads of two
** processes append meanwhile. All who wait are told, nobody is acknowledged afterwards; and when
** the disk has room again, and the file system was mounted anew, everything acknowledged is there
** and nothing that was refused. Root's, and Linux's; elsewhere it is skipped. */
#define _GNU_SOURCE
#include "processes.h"

#include <pthread.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "ledger.h"

#define WRITERS 3 /* two threads of one process, and another process */
#define LINES_MOST (LEDGER_MOST / WRITERS)
#define BEFORE 5 /* acknowledged to each before the disk loses its room */
#define TROUBLE_BYTES ((size_t)60 << 10)

/* ---- The disk ---- */

static char memory_path[320], disk_path[340], store_path[360];

__attribute__((format(printf, 1, 2))) static bool shell(const char *format, ...) {
  char command[1200];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(command, sizeof command, format, arguments);
  va_end(arguments);
  fflush(stdout);
  return system(command) == 0;
}

/* Unmounts when this process is gone, should it crash. */
static void watch(void) {
  shell("(while kill -0 %ld; do sleep 0.5; done; umount -l '%s'; umount -l '%s') >/dev/null 2>&1 &",
        (long)getpid(), disk_path, memory_path);
}

static bool mount_disk(void) {
  return shell("mount -o loop '%s/image' '%s' 2>/dev/null", memory_path, disk_path);
}

static bool unmount_disk(void) {
  for (int tries = 0; tries < 20; tries++) {
    if (shell("umount '%s' 2>/dev/null", disk_path)) return true;
    usleep(100000);
  }
  return false;
}

/* False where that is not allowed. */
static bool make_disk(const char *options) {
  strcpy(memory_path, path_of("memory"));
  sprintf(disk_path, "%s/disk", memory_path);
  sprintf(store_path, "%s/a.rille", disk_path);
  if (!shell("mkdir -p '%s' && mount -t tmpfs -o size=24m tmpfs '%s' 2>/dev/null", memory_path,
             memory_path))
    return false;
  if (shell("cd '%s' && mkdir disk && truncate -s 100M image && "
            "mkfs.ext4 -q -F -m 0 %s image >/dev/null 2>&1",
            memory_path, options) &&
      mount_disk())
    return true;
  shell("umount '%s'", memory_path);
  return false;
}

static void drop_disk(void) {
  shell("umount -l '%s' 2>/dev/null", disk_path);
  CHECK(shell("umount '%s' 2>/dev/null || umount -l '%s'", memory_path, memory_path));
}

static void take_room(void) { shell("cat /dev/zero >'%s/ballast' 2>/dev/null", memory_path); }
static void give_room(void) { CHECK(shell("rm '%s/ballast'", memory_path)); }

/* What a cut leaves: nothing is in the kernel's memory any more. */
static bool mount_anew(void) { return CHECK(unmount_disk()) && CHECK(mount_disk()); }

/* ---- Those who append ---- */

static struct shared {
  struct ledger told;
  _Atomic int ready, trouble, met, done, go;
  _Atomic int failures[WRITERS]; /* the first failure each was told */
} *shared;

struct writer {
  int number;
  size_t bytes;
  rille_store *store;
};

static int append_line(const struct writer *w, uint32_t line, rille_error *e) {
  struct ledger_work *work = malloc(sizeof *work);
  rille_appended done = {0};
  char stream[8];
  sprintf(stream, "s-%d", w->number);
  shared->told.lines[line] = (struct ledger_line){.count = 1, .told = TOLD_UNKNOWN};
  ledger_work(work, line, 1, stream, 16);
  char *data = calloc(1, w->bytes + 16);
  memcpy(data, work->data[0], 16);
  work->events[0].data = (rille_text){data, w->bytes + 16};
  int result = rille_store_append(w->store, &work->append, &done, e);
  shared->told.lines[line].told = told_of(result);
  shared->told.lines[line].first = result == 0 ? done.first : 0;
  free(data);
  free(work);
  return result;
}

/* Whether somebody was told of the failure. A file system may have made itself read-only before a
** flush was asked for: then what can't be written is refused as that, and nobody lost anything. */
static bool is_told(int result, const rille_error *e) {
  if (result == RILLE_READONLY) return strstr(e->message, "Read-only") != NULL;
  return (result == RILLE_UNKNOWN || result == RILLE_IO) && strstr(e->message, "close");
}

/* Appends until it is told of the failure, and after that once more. */
static void *write_until_trouble(void *context) {
  const struct writer *w = context;
  rille_error e = {0};
  int result = 0;
  for (uint32_t i = 0; i + 1 < LINES_MOST && result == 0; i++) {
    bool met = atomic_load(&shared->met);
    if (i == BEFORE) {
      atomic_fetch_add(&shared->ready, 1);
      wait_until(&shared->trouble, 1);
    }
    result = append_line(w, (uint32_t)w->number * LINES_MOST + i, &e);
    CHECK(!(met && result == 0)); /* it is sticky before anybody is told */
  }
  if (!CHECK(is_told(result, &e))) printf("  %d %s\n", result, e.message);
  atomic_store(&shared->met, 1);
  atomic_store(&shared->failures[w->number], result);
  result = append_line(w, (uint32_t)(w->number + 1) * LINES_MOST - 1, &e);
  CHECK(result != RILLE_UNKNOWN && is_told(result, &e));
  return NULL;
}

struct plan {
  size_t bytes;           /* of an event */
  uint64_t segment_bytes; /* 0: the default */
};

static rille_store *open_planned(const struct plan *p) {
  rille_options o = options_of(RILLE_SYNC_ALWAYS, FORKS_WITH_THREADS); /* else without its thread */
  o.segment_bytes = p->segment_bytes;
  return open_with(store_path, &o);
}

static int leave(rille_store *store) {
  rille_error e = {0};
  CHECK(rille_store_sync(store, &e) == RILLE_UNKNOWN);
  atomic_fetch_add(&shared->done, 1);
  wait_until(&shared->go, 1); /* the others are told, too, while all have it open */
  CHECK(rille_store_close(store) < 0);
  return 0;
}

static int two_threads(void *context) {
  const struct plan *p = context;
  pthread_t other;
  rille_store *store = open_planned(p);
  struct writer w[] = {{0, p->bytes, store}, {1, p->bytes, store}};
  CHECK(pthread_create(&other, NULL, write_until_trouble, &w[1]) == 0);
  write_until_trouble(&w[0]);
  pthread_join(other, NULL);
  return leave(store);
}

static int one_process(void *context) {
  const struct plan *p = context;
  struct writer w = {2, p->bytes, open_planned(p)};
  write_until_trouble(&w);
  return leave(w.store);
}

/* ---- The judge ---- */

/* False where the file system can't be written: it has given itself up with its journal. */
static bool check_store(uint64_t *events) {
  rille_store *s;
  rille_error e = {0};
  int result = rille_store_open(store_path, NULL, &s, &e);
  if (result == RILLE_READONLY && e.system == EROFS) return false;
  if (!CHECK(result >= 0)) printf("       %s\n", e.message);
  if (result < 0) return false;
  ledger_check(&shared->told, s);
  *events = rille_store_head(s);
  CHECK(is_sound(s, *events));
  CHECK(rille_store_close(s) == 0);
  return true;
}

/* What was found, and so told, is from now on acknowledged. */
static void acknowledge_found(void) {
  for (uint32_t i = 0; i < LEDGER_MOST; i++) {
    struct ledger_line *line = &shared->told.lines[i];
    if (line->told == TOLD_UNKNOWN) line->told = line->seen ? TOLD_DONE : TOLD_REFUSED;
  }
}

static int look_from_elsewhere(void *context) {
  rille_store *s;
  rille_error e = {0};
  (void)context;
  int result = rille_store_open(store_path, NULL, &s, &e);
  if (!CHECK(result != RILLE_UNKNOWN && is_told(result, &e)))
    printf("  %d %s\n", result, e.message);
  return 0;
}

static void run_into_trouble(struct plan *p) {
  memset((void *)shared, 0, sizeof *shared);
  shared->told.count = LEDGER_MOST;
  rille_store *store = open_planned(p);
  pid_t a = start(two_threads, p), b = start(one_process, p);
  CHECK(rille_store_close(store) == 0); /* made while the disk was sound */
  wait_until(&shared->ready, WRITERS);
  take_room();
  atomic_store(&shared->trouble, 1);
  wait_until(&shared->done, 2);
  CHECK(wait_for(start(look_from_elsewhere, NULL)) == 0);
  atomic_store(&shared->go, 1);
  CHECK(wait_for(a) == 0);
  CHECK(wait_for(b) == 0);
}

static unsigned count_told(enum told told) {
  unsigned n = 0;
  for (uint32_t i = 0; i < LEDGER_MOST; i++) n += shared->told.lines[i].told == told;
  return n;
}

/* `repaired`: it is opened, and so mended, before the kernel has forgotten what it lost. */
static void lose_a_flush(const char *options, struct plan p, bool repaired) {
  uint64_t before = 0, after = 0;
  if (!shared) shared = share(sizeof *shared);
  if (!CHECK(make_disk(options))) return;
  run_into_trouble(&p);
  unsigned done = count_told(TOLD_DONE), unknown = count_told(TOLD_UNKNOWN);
  CHECK(done >= WRITERS * BEFORE && unknown > 0);
  if (!repaired) CHECK(unmount_disk()); /* while it can't be written */
  give_room();
  if (!repaired) CHECK(mount_disk());
  bool mended = check_store(&before);
  CHECK(mended || repaired);
  if (mended) acknowledge_found();
  if (mount_anew()) CHECK(check_store(&after) && (!mended || after == before));
  printf("       %u acknowledged, %u unknown, %llu there%s\n", done, unknown,
         (unsigned long long)after, mended ? "" : "; it could not be mended before");
  drop_disk();
}

/* Without a journal that has its room, what is lost is the file system's own as well. */
static const char *const plain = "-J size=4 -E nodiscard,lazy_itable_init=0,lazy_journal_init=0";
static const char *const journal = "-J size=4";

static void cut(void) { lose_a_flush(plain, (struct plan){TROUBLE_BYTES, 0}, false); }
static void mended_and_cut(void) { lose_a_flush(plain, (struct plan){TROUBLE_BYTES, 0}, true); }
static void small(void) { lose_a_flush(plain, (struct plan){12000, 0}, true); }
static void beginning_files(void) {
  lose_a_flush(plain, (struct plan){TROUBLE_BYTES, RILLE_SEGMENT_BYTES_LEAST}, false);
}
static void with_journal(void) { lose_a_flush(journal, (struct plan){TROUBLE_BYTES, 0}, false); }

static const struct test tests[] = {
    {"a flush is lost, and the power goes", cut},
    {"a flush is lost, the store is mended, and the power goes", mended_and_cut},
    {"a flush of zeros ahead is lost", small},
    {"a flush is lost where files begin", beginning_files},
    {"a flush is lost, and with it the journal", with_journal},
};

static int skip(void) {
  return puts("0 passed, 0 failed, 1 skipped: mounting is not allowed here") < 0;
}

int main(int argc, char **argv) {
#ifndef __linux__
  return skip();
#endif
  if (geteuid() != 0 || !make_disk("")) return skip();
  drop_disk();
  watch();
  return test_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
