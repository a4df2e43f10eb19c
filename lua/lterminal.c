/* lterminal.c: the terminal and the process, for the command `rille`.
**
** Only the command calls these. A library must not touch signals and descriptors
** of its host; a command owns its process. */
#include "../core/base.h"

#include "lterminal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define STANDARD_DESCRIPTORS 3
#define NAMES_MOST 10000

/* is(descriptor) -> boolean */
static int terminal_is(lua_State *L) {
  lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
  return 1;
}

/* width([descriptor]) -> columns of the terminal there or on standard output, or nil */
static int terminal_width(lua_State *L) {
  struct winsize size;
  int descriptor = (int)luaL_optinteger(L, 1, STDOUT_FILENO);
  if (ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) lua_pushinteger(L, size.ws_col);
  else lua_pushnil(L);
  return 1;
}

/* seconds() -> number; only differences mean something */
static int terminal_seconds(lua_State *L) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  lua_pushnumber(L, (lua_Number)now.tv_sec + (lua_Number)now.tv_nsec / 1e9);
  return 1;
}

/* names(folder) -> list of what is in it, at most NAMES_MOST; empty where it can't be read. Its
** elements are bytes, so nothing is called between opening and closing that may raise, but for
** want of memory, which ends the command. */
static int terminal_names(lua_State *L) {
  const char *folder = luaL_checkstring(L, 1);
  lua_newtable(L);
  DIR *d = opendir(folder);
  if (!d) return 1;
  struct dirent *entry;
  for (lua_Integer n = 1; n <= NAMES_MOST && (entry = readdir(d)) != NULL; n++) {
    lua_pushstring(L, entry->d_name);
    lua_rawseti(L, -2, n);
  }
  closedir(d);
  return 1;
}

/* A store's file must not get the number of a standard stream that was closed by
** whoever started this process, or messages would be written into it. The streams
** are opened the wrong way round, so that using them still fails. */
static int occupy(int descriptor) {
  if (fcntl(descriptor, F_GETFD) >= 0 || errno != EBADF) return 1;
  return open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY) == descriptor;
}

/* prepare(): to be called before anything is opened. From then on writing into a
** pipe that nobody reads ends the process quietly, as it does other commands. */
static int terminal_prepare(lua_State *L) {
  for (int descriptor = 0; descriptor < STANDARD_DESCRIPTORS; descriptor++)
    if (!occupy(descriptor)) return luaL_error(L, "can't open /dev/null");
  signal(SIGPIPE, SIG_DFL);
  return 0;
}

/* end_on_interrupt(): ^C ends the process at once, also while it waits for input. */
static int terminal_end_on_interrupt(lua_State *L) {
  (void)L;
  signal(SIGINT, SIG_DFL);
  return 0;
}

/* ---- An interrupt that is looked for ---- */

static volatile sig_atomic_t was_interrupted;

static void note_interrupt(int number) {
  (void)number;
  was_interrupted = 1;
}

/* hold_interrupt(): the first ^C only ends a waiting for input and sets what
** interrupted() tells; the second one ends the process. */
static int terminal_hold_interrupt(lua_State *L) {
  struct sigaction action = {.sa_handler = note_interrupt, .sa_flags = (int)SA_RESETHAND};
  (void)L;
  sigaction(SIGINT, &action, NULL);
  return 0;
}

/* interrupted() -> boolean */
static int terminal_interrupted(lua_State *L) {
  lua_pushboolean(L, was_interrupted);
  return 1;
}

/* ---- An end that is no failure ---- */

static volatile sig_atomic_t ends_line; /* somebody sees the ^C that was typed */

static void leave(int number) {
  if (number == SIGINT && ends_line && write(STDERR_FILENO, "\n", 1) < 0) _exit(0);
  _exit(0);
}

/* end_quietly(): from now on being told to end, or having no reader, is how the
** process ends well. What it has shown must have been flushed. What ^C leaves on a
** terminal is ended, for the shell does so only behind those that a signal killed. */
static int terminal_end_quietly(lua_State *L) {
  static const int signals[] = {SIGINT, SIGTERM, SIGPIPE};
  struct sigaction action = {.sa_handler = leave};
  (void)L;
  ends_line = isatty(STDERR_FILENO);
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
    sigaction(signals[i], &action, NULL);
  return 0;
}

void terminal_push(lua_State *L) {
  static const luaL_Reg functions[] = {{"is", terminal_is},
                                       {"width", terminal_width},
                                       {"seconds", terminal_seconds},
                                       {"names", terminal_names},
                                       {"prepare", terminal_prepare},
                                       {"end_on_interrupt", terminal_end_on_interrupt},
                                       {"hold_interrupt", terminal_hold_interrupt},
                                       {"interrupted", terminal_interrupted},
                                       {"end_quietly", terminal_end_quietly},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
}
