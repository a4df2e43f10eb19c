/* lwatchdog.c: one thread a process that notices scripts that run too long.
**
** It only sets a flag: touching another thread's lua_State is safe at no moment. The
** count hook and every guarded function look at the flag, and no single step of a
** script between two looks takes long, because memory is limited.
**
**   watchdog_need: 0 -> 1 starts the thread       watchdog_release: 1 -> 0 ends and joins it
**   nobody runs: it sleeps until woken            somebody runs: it looks every TICK_MS
**
** After a fork the child has no such thread, and the lock may be held by nobody: who
** comes first in a process that is not the one remembered begins anew.
**
** It sleeps by a clock that nobody sets.
**
** Invariant: whatever is in the list belongs to this process and is between
** watchdog_begin and watchdog_end; all of `dog` is read and written under its lock. */
#include "lwatchdog.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "../core/system.h"

#define TICK_MS 20

static struct {
  pthread_mutex_t lock;
  pthread_cond_t wake;
  pthread_t thread;
  _Atomic pid_t process; /* whose thread this is; 0: nobody's yet */
  unsigned generation;   /* how many lists there have been */
  unsigned users;
  bool started, ending;
  struct watched *first;
} dog = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static void lock_dog(void) {
  pid_t process = getpid();
  if (dog.process != 0 && dog.process != process) {
    static const pthread_mutex_t free_lock = PTHREAD_MUTEX_INITIALIZER;
    static const pthread_cond_t free_wake = PTHREAD_COND_INITIALIZER;
    memcpy(&dog.lock, &free_lock, sizeof free_lock);
    memcpy(&dog.wake, &free_wake, sizeof free_wake);
    (void)system_condition_init(&dog.wake);
    dog.started = dog.ending = false;
    dog.first = NULL;
    dog.generation++;
    dog.process = process;
  }
  pthread_mutex_lock(&dog.lock);
  if (dog.process == 0) {
    dog.process = process;
    dog.generation = 1;
    (void)system_condition_init(&dog.wake); /* else it looks all the time */
  }
}

static int64_t now_ms(void) { return system_monotonic_us() / 1000; }

static void look(struct watched *w, int64_t now) {
  uint32_t turn = atomic_load_explicit(&w->turn, memory_order_relaxed);
  if (turn != w->seen) {
    w->seen = turn;
    w->seen_ms = now;
  } else if (now - w->seen_ms >= w->ms) {
    atomic_store_explicit(&w->expired, turn, memory_order_relaxed);
  }
}

static void *watch(void *context) {
  (void)context;
  pthread_mutex_lock(&dog.lock);
  while (!dog.ending) {
    if (!dog.first) {
      pthread_cond_wait(&dog.wake, &dog.lock);
      continue;
    }
    int64_t now = now_ms();
    for (struct watched *w = dog.first; w; w = w->next) look(w, now);
    system_condition_wait(&dog.wake, &dog.lock, TICK_MS * 1000);
  }
  pthread_mutex_unlock(&dog.lock);
  return NULL;
}

/* The host's signals are the host's: this thread takes none. */
static int start(void) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int failed = pthread_create(&dog.thread, NULL, watch, NULL);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return failed;
}

int watchdog_need(void) {
  lock_dog();
  int failed = 0;
  while (dog.ending) { /* somebody else is just ending it */
    pthread_mutex_unlock(&dog.lock);
    sched_yield();
    pthread_mutex_lock(&dog.lock);
  }
  if (!dog.started) failed = start();
  if (!failed) {
    dog.started = true;
    dog.users++;
  }
  pthread_mutex_unlock(&dog.lock);
  return failed;
}

void watchdog_release(void) {
  lock_dog();
  bool last = --dog.users == 0 && dog.started;
  pthread_t thread = dog.thread;
  if (last) dog.ending = true;
  pthread_cond_signal(&dog.wake);
  pthread_mutex_unlock(&dog.lock);
  if (!last) return;
  pthread_join(thread, NULL);
  pthread_mutex_lock(&dog.lock);
  dog.started = dog.ending = false;
  pthread_mutex_unlock(&dog.lock);
}

void watchdog_begin(struct watched *w) {
  watched_turn(w);
  w->spent_ms = 0;
  watchdog_resume(w);
}

void watchdog_resume(struct watched *w) {
  if (w->ms == 0) return;
  lock_dog();
  if (!dog.started && dog.users > 0 && start() == 0) dog.started = true; /* in a child */
  w->seen = atomic_load_explicit(&w->turn, memory_order_relaxed);
  w->seen_ms = now_ms() - w->spent_ms;
  w->generation = dog.generation;
  w->previous = NULL;
  w->next = dog.first;
  if (w->next) w->next->previous = w;
  dog.first = w;
  if (!w->next) pthread_cond_signal(&dog.wake);
  pthread_mutex_unlock(&dog.lock);
}

void watchdog_end(struct watched *w) {
  if (w->generation == 0) return;
  lock_dog();
  if (w->generation == dog.generation) {
    if (w->next) w->next->previous = w->previous;
    if (w->previous) w->previous->next = w->next;
    else dog.first = w->next;
  }
  bool is_seen = w->seen == atomic_load_explicit(&w->turn, memory_order_relaxed);
  w->spent_ms = is_seen ? now_ms() - w->seen_ms : 0;
  w->generation = 0;
  pthread_mutex_unlock(&dog.lock);
}
