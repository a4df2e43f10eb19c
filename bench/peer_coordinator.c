/* peer_coordinator.c: rille's transactions as a Lua program makes them. The program is another
** process (transactor.lua), which is told how many to make and says when it has: one line
** there, one back, for all transactions of an append. It makes its events itself, inside the
** clock; those that others get are made before. */
#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "peer_pair.h"
#include "scratch.h"

#define SCRIPT "bench/transactor.lua"
#define LINE_BYTES 128

struct handle {
  pid_t child;
  FILE *to, *from;
};

static const char *coordinator_about(void) { return "rille " RILLE_VERSION " from Lua"; }

static const char *lua(void) {
  const char *named = getenv("RILLE_LUA");
  return named ? named : "lua5.4";
}

_Noreturn static void become_lua(const char *path, int in, int out) {
  char number[32];
  if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0) _exit(EXIT_FAILURE);
  snprintf(number, sizeof number, "%ld", (long)getpid());
  execlp(lua(), lua(), SCRIPT, path, number, (char *)NULL);
  _exit(EXIT_FAILURE);
}

static struct handle start_lua(const char *path) {
  int to[2], from[2];
  if (pipe(to) != 0 || pipe(from) != 0) die("pipe: %s", strerror(errno));
  fflush(NULL);
  struct handle h = {.child = fork()};
  if (h.child < 0) die("fork: %s", strerror(errno));
  if (h.child == 0) {
    close(to[1]);                  /* else it would never see the end of its input */
    close(from[0]);
    become_lua(path, to[0], from[1]);
  }
  close(to[0]);
  close(from[1]);
  h.to = fdopen(to[1], "w");
  h.from = fdopen(from[0], "r");
  if (!h.to || !h.from) die("no memory");
  return h;
}

static void answer(struct handle *h, char line[LINE_BYTES]) {
  if (!fgets(line, LINE_BYTES, h->from)) die("%s has ended", SCRIPT);
}

static void ask(struct handle *h, const char *what, size_t n, char line[LINE_BYTES]) {
  if (fprintf(h->to, "%s %zu\n", what, n) < 0 || fflush(h->to) != 0)
    die("%s does not listen", SCRIPT);
  answer(h, line);
}

/* Its end of input is its end. */
static void end_lua(struct handle *h) {
  int status;
  fclose(h->to);
  fclose(h->from);
  while (waitpid(h->child, &status, 0) < 0)
    if (errno != EINTR) die("wait: %s", strerror(errno));
  if (status != 0) die("%s failed", SCRIPT);
}

static const char *coordinator_start(void) {
  char line[LINE_BYTES];
  struct handle h = start_lua("");
  answer(&h, line);
  end_lua(&h);
  return strcmp(line, "able\n") == 0 ? NULL : "rille.coordinator is not in this build";
}

static void *coordinator_open(const char *path, const struct peer_mode *mode) {
  char line[LINE_BYTES];
  struct handle *h = malloc(sizeof *h);
  if (!h) die("no memory");
  (void)mode;
  *h = start_lua(path);
  answer(h, line);
  if (strcmp(line, "open\n") != 0) die("%s: %s", SCRIPT, line);
  return h;
}

static void coordinator_close(void *handle) {
  end_lua(handle);
  free(handle);
}

static void coordinator_append(void *handle, const struct input *events, size_t n) {
  char line[LINE_BYTES];
  (void)events;
  ask(handle, "transact", n / 2, line);
}

static uint64_t count(struct handle *h, const char *what) {
  char line[LINE_BYTES];
  ask(h, what, 0, line);
  return strtoull(line, NULL, 10);
}

static uint64_t coordinator_flushes(void *handle) { return count(handle, "flushes"); }
static uint64_t coordinator_bytes(void *handle) { return count(handle, "bytes"); }

const struct peer peer_coordinator = {.name = "coordinator",
                                      .about = coordinator_about,
                                      .open = coordinator_open,
                                      .close = coordinator_close,
                                      .append = coordinator_append,
                                      .log_bytes = coordinator_bytes,
                                      .flushes = coordinator_flushes,
                                      .start = coordinator_start};
