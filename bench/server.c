/* server.c: initdb, pg_ctl start, pg_ctl stop, as the user "postgres" where we are root, whom
** PostgreSQL refuses. Its settings are the defaults, but for those that a transaction needs.
** The socket is in a short folder of its own: its path may have no more than 107 bytes. */
#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOCKET_FOLDER "/tmp/rille-bench-XXXXXX"
#define USER "postgres"
#define COMMAND_STATUS 127

static char folder[PATH_BYTES], programs[PATH_BYTES / 2], sockets[sizeof SOCKET_FOLDER];
static pid_t owner;                /* whose server it is; 0: none runs */

/* Where Debian and others put what is not on the PATH. */
static bool find_programs(void) {
  FILE *pipe = popen("pg_config --bindir 2>/dev/null", "r");
  if (!pipe) return false;
  bool found = fgets(programs, sizeof programs, pipe) != NULL;
  pclose(pipe);
  if (!found) return false;
  programs[strcspn(programs, "\n")] = '\0';
  char path[PATH_BYTES];
  snprintf(path, sizeof path, "%s/initdb", programs);
  return access(path, X_OK) == 0;
}

static void become(const struct passwd *user) {
  if (!user) return;
  if (initgroups(user->pw_name, user->pw_gid) != 0 || setgid(user->pw_gid) != 0 ||
      setuid(user->pw_uid) != 0) _exit(COMMAND_STATUS);
}

/* Runs a program of PostgreSQL's in the folder, its output into a file there. */
static bool run(const char *program, char *const words[]) {
  char path[PATH_BYTES], output[PATH_BYTES + 16];
  snprintf(path, sizeof path, "%s/%s", programs, program);
  snprintf(output, sizeof output, "%s/output", folder);
  const struct passwd *user = geteuid() == 0 ? getpwnam(USER) : NULL;
  fflush(NULL);
  pid_t child = fork();
  if (child < 0) die("fork: %s", strerror(errno));
  if (child == 0) {
    become(user);
    int fd = open(output, O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0 || chdir(folder) != 0) _exit(COMMAND_STATUS);
    execv(path, words);
    _exit(COMMAND_STATUS);
  }
  int status;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) die("wait: %s", strerror(errno));
  return status == 0;
}

static bool make_folders(void) {
  const struct passwd *user = getpwnam(USER);
  scratch_path(folder, "postgres");
  strcpy(sockets, SOCKET_FOLDER);
  if (mkdir(folder, 0777) != 0 || !mkdtemp(sockets)) return false;
  if (geteuid() != 0) return true;
  return user && chown(folder, user->pw_uid, user->pw_gid) == 0 &&
         chown(sockets, user->pw_uid, user->pw_gid) == 0;
}

static bool start(void) {
  char options[256];
  snprintf(options, sizeof options,
           "-c listen_addresses= -c max_prepared_transactions=40 -c unix_socket_directories=%s",
           sockets);
  char *const init[] = {"initdb", "-A", "trust", "-U", USER, "-D", "data", NULL};
  char *const go[] = {"pg_ctl", "-D", "data", "-l", "log", "-o", options, "-w", "start", NULL};
  if (!run("initdb", init)) return false;
  owner = getpid();
  if (run("pg_ctl", go)) return true;
  owner = 0;
  return false;
}

static bool make_databases(void) {
  char *const home[] = {"createdb", "-h", sockets, "-U", USER, "home", NULL};
  char *const other[] = {"createdb", "-h", sockets, "-U", USER, "other", NULL};
  return run("createdb", home) && run("createdb", other);
}

const char *server_start(void) {
  static bool registered;
  if (!find_programs()) return "initdb was not found";
  if (!registered && atexit(server_stop) != 0) die("can't register the end of the server");
  registered = true;
  if (make_folders() && start() && make_databases()) return NULL;
  server_stop();
  return "its server could not be started";
}

void server_stop(void) {
  char *const words[] = {"pg_ctl", "-D", "data", "-m", "immediate", "-w", "stop", NULL};
  if (owner != 0 && owner != getpid()) return;
  if (owner && !run("pg_ctl", words)) fprintf(stderr, "bench: a PostgreSQL server is left over\n");
  owner = 0;
  if (folder[0]) scratch_remove(folder);
  if (sockets[0]) scratch_remove(sockets);
  folder[0] = sockets[0] = '\0';
}

void server_reach(char text[PATH_BYTES], const char *database) {
  snprintf(text, PATH_BYTES, "host=%s user=%s dbname=%s", sockets, USER, database);
}
