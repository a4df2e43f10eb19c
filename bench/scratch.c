/* scratch.c: one folder a run, removed at exit.
**
** The run's folder is always a new one inside the folder given by --dir, so
** that pointing --dir at a folder with other things in it harms none of them. */
#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN_FOLDERS 16
#define STATUS_INTERRUPTED 130

static char run[PATH_BYTES / 2];     /* the run's folder; empty: none to remove */
static char parent[PATH_BYTES / 4];  /* --dir, where this run made it; else empty */
static pid_t owner;                  /* a forked child that ends leaves everything alone */
static volatile sig_atomic_t interrupted;

void die(const char *format, ...) {
  va_list list;
  va_start(list, format);
  fputs("bench: ", stderr);
  vfprintf(stderr, format, list);
  fputc('\n', stderr);
  va_end(list);
  exit(EXIT_FAILURE);
}

static int remove_one(const char *path, const struct stat *s, int kind, struct FTW *place) {
  (void)s;
  (void)kind;
  (void)place;
  return remove(path);
}

static int remove_all(const char *path) {
  if (nftw(path, remove_one, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT) return 0;
  return -1;
}

void scratch_remove(const char *path) {
  if (remove_all(path) != 0) die("can't remove %s: %s", path, strerror(errno));
}

static void leave(void) {
  if (getpid() != owner) return;
  if (run[0] && remove_all(run) != 0) fprintf(stderr, "bench: %s is left over\n", run);
  if (parent[0] && rmdir(parent) != 0 && errno != ENOTEMPTY && errno != EEXIST)
    fprintf(stderr, "bench: %s is left over\n", parent);
}

static void on_interrupt(int signal_number) { interrupted = signal_number; }

static void catch_interrupts(void) {
  static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
  struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
  for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
    if (sigaction(signals[i], &action, NULL) != 0)
      die("can't catch interrupts: %s", strerror(errno));
}

void scratch_make(const char *dir) {
  if (strlen(dir) >= sizeof parent) die("--dir is too long");
  if (mkdir(dir, 0777) == 0) strcpy(parent, dir);
  else if (errno != EEXIST) die("can't make %s: %s", dir, strerror(errno));
  if (atexit(leave) != 0) die("can't register the removal of %s", dir);
  char name[sizeof run];
  snprintf(name, sizeof name, "%s/run-%ld", dir, (long)getpid());
  if (mkdir(name, 0777) != 0) die("can't make %s: %s", name, strerror(errno));
  strcpy(run, name);
  owner = getpid();
  catch_interrupts();
}

void scratch_path(char path[PATH_BYTES], const char *name) {
  if (snprintf(path, PATH_BYTES, "%s/%s", run, name) >= PATH_BYTES) die("path too long");
}

void scratch_settle(void) {
#ifdef __linux__
  int fd = open(run, O_RDONLY | O_DIRECTORY);
  if (fd < 0 || syncfs(fd) != 0 || close(fd) != 0) die("can't flush %s: %s", run, strerror(errno));
#else
  sync();
#endif
}

void scratch_check(void) {
  if (interrupted) exit(STATUS_INTERRUPTED);
}
