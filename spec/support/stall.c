/* stall.c: a road to a server that a test can block: stall LISTEN SERVER, both names of sockets.
**
** Whoever connects to LISTEN is connected to SERVER, and what one says is carried to the other,
** until as many bytes as the test has said have passed one way. Commands are lines of the
** standard input; they hold for all connections, and for what passes from then on:
**
**   client N KIND, server N KIND   from behind the N-th byte of the clients', of the server's
**       hold    nothing passes any more, either way, until it is opened: then all arrives
**       lose    the same, but then the connections are cut, and what was under way is lost
**       cut     the connections are cut at once; new ones pass
**   open        all passes, for good
**   count FILE  writes how many bytes have passed since the last command, of each
**
** Ends with its input. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ROADS 64
#define LONGEST 512

enum way { FROM_CLIENT, FROM_SERVER };
enum kind { OPEN, HOLD, LOSE, CUT };

struct road {
  int ends[2]; /* by who says it; -1: none */
};

static struct road roads[ROADS];
static enum kind kind;
static enum way limited;
static long limit, passed[2];
static int is_blocked;

static struct sockaddr_un address_of(const char *path) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
  return a;
}

static int new_socket(void) {
  int s = socket(AF_UNIX, SOCK_STREAM, 0);
  if (s >= 0) return s;
  perror("stall: socket");
  exit(1);
}

static void cut(struct road *r) {
  if (r->ends[0] < 0) return;
  close(r->ends[0]);
  close(r->ends[1]);
  r->ends[0] = r->ends[1] = -1;
}

static void cut_all(void) {
  for (int i = 0; i < ROADS; i++) cut(&roads[i]);
}

static void build_road(int listener, const char *server) {
  struct sockaddr_un a = address_of(server);
  int client = accept(listener, NULL, NULL), other = new_socket();
  struct road *r = roads;
  while (r < roads + ROADS && r->ends[0] >= 0) r++;
  if (client < 0 || r == roads + ROADS || connect(other, (struct sockaddr *)&a, sizeof a) != 0) {
    if (client >= 0) close(client);
    close(other);
    return;
  }
  r->ends[FROM_CLIENT] = client;
  r->ends[FROM_SERVER] = other;
}

static int write_all(int to, const char *bytes, ssize_t n) {
  while (n > 0) {
    ssize_t done = send(to, bytes, (size_t)n, MSG_NOSIGNAL);
    if (done <= 0) return 0;
    bytes += done;
    n -= done;
  }
  return 1;
}

/* Carries what there is, at most up to the limit. */
static void carry(struct road *r, enum way way) {
  char bytes[4096];
  size_t most = sizeof bytes;
  int is_limited = kind != OPEN && way == limited;
  if (is_limited && limit - passed[way] < (long)most) most = (size_t)(limit - passed[way]);
  ssize_t n = most > 0 ? recv(r->ends[way], bytes, most, 0) : 0;
  if (most > 0 && (n <= 0 || !write_all(r->ends[!way], bytes, n))) {
    cut(r);
    return;
  }
  passed[way] += n;
  if (!is_limited || passed[way] < limit) return;
  if (kind == CUT) {
    cut_all();
    kind = OPEN;
  } else {
    is_blocked = 1;
  }
}

static void obey(const char *line) {
  char word[LONGEST] = "", last[LONGEST] = "";
  long n = 0;
  if (sscanf(line, "count %511s", word) == 1) {
    FILE *f = fopen(word, "w");
    if (!f) exit(1);
    fprintf(f, "%ld %ld\n", passed[FROM_CLIENT], passed[FROM_SERVER]);
    fclose(f);
  } else if (sscanf(line, "%511s %ld %511s", word, &n, last) == 3) {
    kind = strcmp(last, "hold") == 0 ? HOLD : strcmp(last, "lose") == 0 ? LOSE : CUT;
    limited = strcmp(word, "client") == 0 ? FROM_CLIENT : FROM_SERVER;
    limit = n;
  } else {
    if (is_blocked && kind == LOSE) cut_all();
    kind = OPEN;
    is_blocked = 0;
  }
  passed[0] = passed[1] = 0;
}

static void take_commands(void) {
  static char line[LONGEST];
  static size_t length;
  char bytes[LONGEST];
  ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
  if (n <= 0) exit(0);
  for (ssize_t i = 0; i < n; i++) {
    line[length] = bytes[i];
    if (bytes[i] != '\n' && length < sizeof line - 1) {
      length++;
      continue;
    }
    line[length] = '\0';
    length = 0;
    obey(line);
  }
}

/* The commands first: who gives one and then connects means it for that connection. */
static void serve(int listener, const char *server) {
  struct pollfd p[2 + 2 * ROADS] = {{.fd = STDIN_FILENO, .events = POLLIN},
                                    {.fd = is_blocked ? -1 : listener, .events = POLLIN}};
  for (int i = 0; i < 2 * ROADS; i++)
    p[2 + i] = (struct pollfd){.fd = is_blocked ? -1 : roads[i / 2].ends[i % 2], .events = POLLIN};
  if (poll(p, 2 + 2 * ROADS, -1) < 0) return;
  if (p[0].revents) {
    take_commands();
    return;
  }
  if (p[1].revents) build_road(listener, server);
  for (int i = 0; i < 2 * ROADS; i++) {
    struct road *r = &roads[i / 2];
    if (p[2 + i].revents && !is_blocked && r->ends[i % 2] == p[2 + i].fd)
      carry(r, (enum way)(i % 2));
  }
}

int main(int count, char **words) {
  if (count != 3) return 2;
  struct sockaddr_un a = address_of(words[1]);
  int listener = new_socket();
  if (bind(listener, (struct sockaddr *)&a, sizeof a) != 0 || listen(listener, ROADS) != 0) {
    perror("stall");
    return 1;
  }
  for (int i = 0; i < ROADS; i++) roads[i].ends[0] = roads[i].ends[1] = -1;
  for (;;) serve(listener, words[2]);
}
