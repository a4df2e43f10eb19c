/* crew.c: processes are forked before any store is open in them, meet by counting up a
** number in shared memory, and are all ended when one of them fails. */
#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#include "crew.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "scratch.h"

#define LOOK_NS 100000           /* between two looks whether all have come */

struct crew {
  unsigned size;
  _Atomic unsigned arrivals;     /* of all meetings */
};

void *crew_share(size_t bytes) {
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) die("no shared memory: %s", strerror(errno));
  return memory;
}

void crew_unshare(void *memory, size_t bytes) { munmap(memory, bytes); }

void crew_meet(struct crew *crew) {
  unsigned mine = atomic_fetch_add(&crew->arrivals, 1);
  unsigned all = (mine / crew->size + 1) * crew->size;
  while (atomic_load(&crew->arrivals) < all)
    nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
}

static void end_others(const pid_t *members, unsigned n) {
  for (unsigned i = 0; i < n; i++)
    if (members[i] > 0) kill(members[i], SIGKILL);
}

static void wait_for(pid_t *members, unsigned n) {
  bool failed = false;
  for (unsigned left = n; left > 0; left--) {
    int status;
    pid_t ended;
    while ((ended = waitpid(-1, &status, 0)) < 0)
      if (errno != EINTR) die("wait: %s", strerror(errno));
    for (unsigned i = 0; i < n; i++)
      if (members[i] == ended) members[i] = 0;
    if (status != 0 && !failed) end_others(members, n);
    failed |= status != 0;
  }
  scratch_check();
  if (failed) die("one of %u processes failed", n);
}

void crew_run(unsigned n, void (*member)(struct crew *crew, unsigned number, void *context),
              void *context) {
  pid_t members[CREW_MOST] = {0};
  struct crew *crew = crew_share(sizeof *crew);
  crew->size = n;
  fflush(NULL);
  for (unsigned i = 0; i < n; i++) {
    members[i] = fork();
    if (members[i] < 0) {
      end_others(members, i);
      die("fork: %s", strerror(errno));
    }
    if (members[i] > 0) continue;
    member(crew, i, context);
    _exit(EXIT_SUCCESS);
  }
  wait_for(members, n);
  crew_unshare(crew, sizeof *crew);
}
