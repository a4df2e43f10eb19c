/* probe.c: the programme starts itself again, so that what is measured is a
** process that has just begun: no warm allocator, no pages left by the others. */
#define _POSIX_C_SOURCE 200809L
#include "probe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"
#include "scratch.h"

#define NS_PER_MS 1e6
#define ARGUMENTS 4              /* --probe KIND PEER PATH */

static const struct peer *const peers[] = {&peer_rille, &peer_sqlite, &peer_lmdb};

static const struct peer *find_peer(const char *name) {
  for (size_t i = 0; i < sizeof peers / sizeof peers[0]; i++)
    if (strcmp(peers[i]->name, name) == 0 && peers[i]->about) return peers[i];
  die("no peer %s", name);
}

static void start_child(const char *self, const char *kind, const char *peer, const char *path) {
  execlp(self, self, PROBE_OPTION, kind, peer, path, (char *)NULL);
  fprintf(stderr, "bench: can't start %s: %s\n", self, strerror(errno));
  _exit(EXIT_FAILURE);
}

static pid_t spawn(const char *self, const char *const what[3], FILE **from) {
  int ends[2];
  if (pipe(ends) != 0) die("pipe: %s", strerror(errno));
  pid_t child = fork();
  if (child < 0) die("fork: %s", strerror(errno));
  if (child == 0) {
    if (dup2(ends[1], STDOUT_FILENO) < 0) _exit(EXIT_FAILURE);
    close(ends[0]);
    close(ends[1]);
    start_child(self, what[0], what[1], what[2]);
  }
  close(ends[1]);
  *from = fdopen(ends[0], "r");
  if (!*from) die("pipe: %s", strerror(errno));
  return child;
}

static void ask(const char *self, const char *const what[3], double answer[2]) {
  FILE *from;
  int status;
  pid_t child = spawn(self, what, &from);
  int found = fscanf(from, "%lf %lf", &answer[0], &answer[1]);
  fclose(from);
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) die("wait: %s", strerror(errno));
  scratch_check();
  if (status != 0 || found != 2) die("the probe of %s in %s failed", what[0], what[1]);
}

struct opened probe_open(const char *self, const struct peer *peer, const char *path) {
  double answer[2];
  ask(self, (const char *const[]){"open", peer->name, path}, answer);
  return (struct opened){answer[0], answer[1]};
}

struct remembered probe_memory(const char *self, const struct peer *peer, const char *path) {
  double answer[2];
  ask(self, (const char *const[]){"memory", peer->name, path}, answer);
  return (struct remembered){answer[0], answer[1]};
}

static void child_open(const struct peer *peer, const char *path) {
  rille_text stream = rille_text_of("account-00000000");
  struct tally tally = {0};
  uint64_t start = clock_ns();
  void *handle = peer->open(path, &(struct peer_mode){0});
  uint64_t open = clock_ns();
  peer->read_stream(handle, stream, &tally);
  uint64_t first = clock_ns();
  if (tally.events == 0) die("%s: stream %s is empty", peer->name, stream.bytes);
  peer->close(handle);
  printf("%.6f %.6f\n", (double)(open - start) / NS_PER_MS, (double)(first - start) / NS_PER_MS);
}

static void look(void *context) {
  uint64_t *peak = context, now = memory_anonymous_kib();
  if (now > *peak) *peak = now;
}

static void child_memory(const struct peer *peer, const char *path) {
  uint64_t peak = 0;
  struct tally tally = {.look = look, .context = &peak};
  void *handle = peer->open(path, &(struct peer_mode){0});
  look(&peak);
  peer->scan(handle, &tally);
  look(&peak);
  peer->close(handle);
  printf("%llu %llu\n", (unsigned long long)peak, (unsigned long long)tally.events);
}

int probe_main(int argc, char **argv) {
  if (argc != ARGUMENTS) die("%s KIND PEER PATH", PROBE_OPTION);
  const struct peer *peer = find_peer(argv[2]);
  if (strcmp(argv[1], "open") == 0) child_open(peer, argv[3]);
  else if (strcmp(argv[1], "memory") == 0) child_memory(peer, argv[3]);
  else die("no probe %s", argv[1]);
  return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
