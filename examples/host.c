/* host.c: a game in C that keeps everything that happens, and never misses a frame for it.
**
**   make examples && build/examples/host [--strict] [--seconds 4] [--events 0]
**                                       [--players 100] [FOLDER]
**
** The host has its own lua_State, with its own allocator, and draws 60 times a second. Each frame
** runs the game's script, which appends what happened in it and reads states that a projection
** keeps; then rille gets POLL_MS of the frame for its own work. Half way the reducer is edited,
** as by a player's mod: its states are made anew from the first event on, some in each frame,
** beside the old ones, which the game goes on reading.
**
** No file holds a script: what `load` is asked for comes from the program. --events: so many are
** there before the game begins. At the end it tells how long frames took; with --strict it fails
** where one took over FRAME_MS. That is a promise about a machine that is the game's: where others
** take the processor away, a frame of any program is late. So it is also told how much of the
** processor frames took, and how many of the late ones waited for anything: the disk, or a lock. */
#define _GNU_SOURCE
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "rille.h"
#include "rille_lua.h"

#define FRAMES_PER_SECOND 60
#define FRAME_MS 16.0
#define POLL_MS 2
#define EVENTS_A_FRAME 20
#define FILL_PARTS 100 /* players an append, while the store is filled ... */
#define FILL_EVENTS 10 /* ... with so many events each */
#define SCRIPT_BYTES_MOST ((size_t)256 << 20)

/* ---- Memory: one allocator for Lua and rille, which counts ---- */

struct pool {
  atomic_size_t used, most;
};

/* Of lua_Alloc's shape, which is rille_alloc's, too; rille's thread calls it as well. */
static void *pool_alloc(void *context, void *block, size_t old_size, size_t new_size) {
  struct pool *pool = context;
  size_t old = block ? old_size : 0; /* without a block Lua tells a kind of object there */
  if (new_size > old && atomic_load(&pool->used) + (new_size - old) > SCRIPT_BYTES_MOST)
    return NULL;
  void *new_block = NULL;
  if (new_size == 0) free(block);
  else if (!(new_block = realloc(block, new_size))) return NULL;
  size_t used = atomic_fetch_add(&pool->used, new_size - old) + (new_size - old);
  if (used > atomic_load(&pool->most)) atomic_store(&pool->most, used);
  return new_block;
}

/* ---- Scripts, as an archive of the game would hold them ---- */

static const char GAME[] =
    "-- The game: what happens in a frame is appended in that frame. Few states are in memory at\n"
    "-- once, because Lua's collector goes through a table in one step, however large it is.\n"
    "local scores = assert(store:projection('scores', 'reducers/scores.lua', { cache = 1024 }))\n"
    "local frame = { }\n"
    "function play(number, players, count)\n"
    "  for i = 1, count do\n"
    "    frame[i] = { type = 'Scored', data = { points = (number + i) % 10 } }\n"
    "  end\n"
    "  assert(store:append('player-' .. number % players, frame))\n"
    "  local best = scores:get('player-' .. number % players, { consistency = 'weak' })\n"
    "  assert(store:poll(poll_ms))\n"
    "  return best and best.points or 0, scores:lag()\n"
    "end\n";

static const char SCORES[] =
    "return { key = 'stream', initial = { points = 0 },\n"
    "  on = { Scored = function(state, event) state.points = state.points + event.data.points end "
    "} }\n";

/* The edited one: it counts the scores, too, so each event is wanted again. */
static const char SCORES_EDITED[] =
    "return { key = 'stream', initial = { points = 0, scores = 0 },\n"
    "  on = { Scored = function(state, event)\n"
    "    state.points = state.points + event.data.points\n"
    "    state.scores = state.scores + 1\n"
    "  end } }\n";

static int edited;

/* load(name) -> text, or nothing */
static int load_script(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  if (strcmp(name, "reducers/scores.lua") != 0) return 0;
  lua_pushstring(L, edited ? SCORES_EDITED : SCORES);
  return 1;
}

/* ---- The world ---- */

/* What a frame took. */
struct frame {
  double ms, processor_ms;
  long waits; /* how often it gave the processor back by itself */
};

struct game {
  struct pool pool;
  rille_store *store;
  lua_State *L;
  int strict, seconds, players;
  uint64_t fill;
  const char *folder;
  struct frame *frames;
  int count;
  lua_Integer lag; /* of the projection, in events */
  int rebuilt_at;  /* the frame in which it was up to date again */
};

static int complain(const char *what, const char *why) {
  fprintf(stderr, "host: %s: %s\n", what, why);
  return 1;
}

static double clock_ms(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double now_ms(void) { return clock_ms(CLOCK_MONOTONIC); }

/* The clocks of this moment; what lies between two of them is a frame. */
static struct frame moment(void) {
  struct frame f = {.ms = now_ms(), .processor_ms = clock_ms(CLOCK_THREAD_CPUTIME_ID)};
#ifdef RUSAGE_THREAD /* elsewhere nobody counts that for a thread */
  struct rusage usage;
  if (getrusage(RUSAGE_THREAD, &usage) == 0) f.waits = usage.ru_nvcsw;
#endif
  return f;
}

/* What a display's vertical blank does for a game. */
static void sleep_until(double ms) {
  double left = ms - now_ms();
  if (left <= 0) return;
  struct timespec t = {(time_t)(left / 1e3), (long)((left - 1e3 * (int)(left / 1e3)) * 1e6)};
  while (nanosleep(&t, &t) < 0 && errno == EINTR) {
  }
}

static int open_store(struct game *g) {
  rille_error e;
  rille_options options = {.size = sizeof options, .sync = RILLE_SYNC_INTERVAL};
  options.alloc = pool_alloc;
  options.alloc_context = &g->pool;
  if (rille_store_open(g->folder, &options, &g->store, &e) < 0)
    return complain(g->folder, e.message);
  return 0;
}

/* Everything that may raise runs inside this: the pool, or rille, may have no memory. */
static int open_scripts(lua_State *L) {
  struct game *g = lua_touserdata(L, 1);
  luaL_openlibs(L);
  luaL_requiref(L, "rille", luaopen_rille, 0);
  lua_newtable(L);
  lua_pushcfunction(L, load_script);
  lua_setfield(L, -2, "load");
  if (rille_push_with(L, g->store, -1) < 0) return luaL_error(L, "the store can't be used here");
  lua_setglobal(L, "store");
  lua_pushinteger(L, POLL_MS);
  lua_setglobal(L, "poll_ms");
  if (luaL_loadbuffer(L, GAME, sizeof GAME - 1, "=game.lua") != LUA_OK) return lua_error(L);
  lua_call(L, 0, 0);
  return 0;
}

static int open_lua(struct game *g) {
  g->L = lua_newstate(pool_alloc, &g->pool);
  if (!g->L) return complain("Lua", "no memory");
  lua_pushcfunction(g->L, open_scripts);
  lua_pushlightuserdata(g->L, g);
  if (lua_pcall(g->L, 1, 0, 0) != LUA_OK) return complain("scripts", lua_tostring(g->L, -1));
  return 0;
}

/* A life before this one: appends of many players' events. Data is MessagePack: { points = 5 }. */
static int fill(struct game *g) {
  static rille_event_input events[FILL_EVENTS];
  static char names[FILL_PARTS][32];
  rille_part parts[FILL_PARTS];
  rille_append append = {.size = sizeof append, .parts = parts, .part_count = FILL_PARTS};
  rille_error e;
  uint64_t player = 0;
  for (size_t i = 0; i < FILL_EVENTS; i++)
    events[i] = (rille_event_input){.type = rille_text_of("Scored"),
                                    .data = rille_text_of("\x81\xA6points\x05")};
  for (uint64_t done = 0; done < g->fill; done += FILL_PARTS * FILL_EVENTS) {
    for (size_t i = 0; i < FILL_PARTS; i++) {
      snprintf(names[i], sizeof names[i], "player-%d", (int)(player++ % (uint64_t)g->players));
      parts[i] = (rille_part){
          .stream = rille_text_of(names[i]), .events = events, .event_count = FILL_EVENTS};
    }
    if (rille_store_append(g->store, &append, NULL, &e) < 0) return complain("fill", e.message);
  }
  return 0;
}

/* ---- Frames ---- */

static int run_frame(struct game *g, int number) {
  lua_State *L = g->L;
  struct frame began = moment(), ended;
  lua_getglobal(L, "play");
  lua_pushinteger(L, number);
  lua_pushinteger(L, g->players);
  lua_pushinteger(L, EVENTS_A_FRAME);
  if (lua_pcall(L, 3, 2, 0) != LUA_OK) return complain("play", lua_tostring(L, -1));
  g->lag = lua_tointeger(L, -1);
  lua_pop(L, 2);
  ended = moment();
  g->frames[number] = (struct frame){.ms = ended.ms - began.ms,
                                     .processor_ms = ended.processor_ms - began.processor_ms,
                                     .waits = ended.waits - began.waits};
  return 0;
}

static int run_frames(struct game *g) {
  double next = now_ms();
  g->rebuilt_at = -1;
  for (int i = 0; i < g->count; i++) {
    if (i == g->count / 2) edited = 1;
    if (run_frame(g, i)) return 1;
    if (i > g->count / 2 && g->lag == 0 && g->rebuilt_at < 0) g->rebuilt_at = i;
    next += 1e3 / FRAMES_PER_SECOND;
    sleep_until(next);
  }
  return 0;
}

/* ---- The end ---- */

static int by_size(const void *a, const void *b) {
  double x = ((const struct frame *)a)->ms, y = ((const struct frame *)b)->ms;
  return (x > y) - (x < y);
}

static int report(struct game *g) {
  int over = 0, waited = 0;
  double processor_ms = 0;
  for (int i = 0; i < g->count; i++) {
    const struct frame *f = &g->frames[i];
    over += f->ms > FRAME_MS;
    waited += f->ms > FRAME_MS && f->waits > 0;
    if (f->processor_ms > processor_ms) processor_ms = f->processor_ms;
  }
  qsort(g->frames, (size_t)g->count, sizeof *g->frames, by_size);
  printf("%d frames at %d Hz: median %.2f ms, p99 %.2f ms, worst %.2f ms; %d over %g ms\n",
         g->count, FRAMES_PER_SECOND, g->frames[g->count / 2].ms, g->frames[g->count * 99 / 100].ms,
         g->frames[g->count - 1].ms, over, FRAME_MS);
  printf("of the processor a frame took %.2f ms at most; of the late ones %d waited\n",
         processor_ms, waited);
  if (g->rebuilt_at < 0) printf("the edited reducer is %lld events behind\n", (long long)g->lag);
  else printf("the edited reducer was up to date after %d frames\n", g->rebuilt_at - g->count / 2);
  printf("%llu events, %llu on the disk; memory %.1f MiB at most\n",
         (unsigned long long)rille_store_head(g->store),
         (unsigned long long)rille_store_durable(g->store),
         (double)atomic_load(&g->pool.most) / (1 << 20));
  return g->strict && over > 0;
}

static int run_game(struct game *g) {
  g->count = g->seconds * FRAMES_PER_SECOND;
  g->frames = calloc((size_t)g->count, sizeof *g->frames);
  if (!g->frames) return complain("frames", "no memory");
  int failed = open_store(g);
  if (!failed) failed = fill(g);
  if (!failed) failed = open_lua(g);
  if (!failed) failed = run_frames(g);
  if (!failed) failed = report(g);
  if (g->L) lua_close(g->L); /* scripts' handle and the host's may go in either order */
  if (g->store && rille_store_close(g->store) < 0) failed = complain("closing", "the flush failed");
  free(g->frames);
  if (!failed) printf("closed; %zu bytes are left of the pool\n", atomic_load(&g->pool.used));
  return failed;
}

/* A number behind an option; 0: it is none. */
static uint64_t number_of(const char *word) { return strtoull(word, NULL, 10); }

int main(int argc, char **argv) {
  struct game game = {.seconds = 4, .players = 100, .folder = "game.rille"};
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--strict") == 0) game.strict = 1;
    else if (strcmp(argv[i], "--seconds") == 0 && argv[i + 1])
      game.seconds = (int)number_of(argv[++i]);
    else if (strcmp(argv[i], "--events") == 0 && argv[i + 1]) game.fill = number_of(argv[++i]);
    else if (strcmp(argv[i], "--players") == 0 && argv[i + 1])
      game.players = (int)number_of(argv[++i]);
    else if (argv[i][0] != '-') game.folder = argv[i];
    else game.seconds = 0; /* usage */
  }
  if (game.seconds < 1 || game.players < FILL_PARTS) {
    fprintf(stderr,
            "usage: host [--strict] [--seconds N] [--events N] [--players N] [FOLDER]\n"
            "       at least %d players\n",
            FILL_PARTS);
    return 2;
  }
  return run_game(&game);
}
