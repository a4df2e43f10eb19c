/* bench.c: rille beside what it competes with, in one run, on one disk.
**
** This file is the command line; row.c says what is measured, README.md why it
** is fair. Reading order: peer.h, workload.h, row.c, report.c. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "peer_pair.h"
#include "probe.h"
#include "row.h"
#include "scratch.h"

#define DEFAULT_DIR "bench-scratch"
#define STATUS_USAGE 2

static const struct settings full = {.rounds = 5, .single_appends = 3000,
                                     .single_unsynced_appends = 20000, .batch_appends = 20,
                                     .scan_events = 1000000, .stream_reads = 2000,
                                     .tag_reads = 5000, .frequent_tag_reads = 5,
                                     .large_events = 10000000, .turn_s = 1,
                                     .folded_streams = 1000000, .growth_events = 1000000,
                                     .followed_events = 1000, .full_size = true};

static const struct settings quick = {.rounds = 3, .single_appends = 500,
                                      .single_unsynced_appends = 5000, .batch_appends = 10,
                                      .scan_events = 100000, .stream_reads = 500,
                                      .tag_reads = 1000, .frequent_tag_reads = 5,
                                      .large_events = 1000000, .turn_s = 0.3,
                                      .folded_streams = 100000, .growth_events = 100000,
                                      .followed_events = 200};

struct command {
  bool quick, all, json, help;
  unsigned rounds;                 /* 0: as the settings say */
  const char *dir;
  const char *only[32];
  size_t only_count;
};

static void usage(FILE *to) {
  fprintf(to,
          "bench [--quick] [--all] [--rounds N] [--only ROW]... [--dir FOLDER] [--json] [--help]\n"
          "  --quick      less of everything: about a minute instead of under 10\n"
          "  --all        the heavy rows, too\n"
          "  --rounds N   each contender gets N turns a row, 1 to %d (default %u, quick %u)\n"
          "  --only ROW   this row; may be given several times\n"
          "  --dir FOLDER on the disk to be measured (default %s); what is made\n"
          "               there, up to 9 GB, is removed at the end\n"
          "  --json       one JSON object a line\n"
          "Rows:\n", ROUNDS_MOST, full.rounds, quick.rounds, DEFAULT_DIR);
  for (size_t i = 0; i < row_count; i++)
    fprintf(to, "  %-20s %s%s\n", rows[i].subject.name, rows[i].subject.title,
            rows[i].heavy ? " (heavy)" : "");
}

_Noreturn static void misuse(const char *what, const char *argument) {
  fprintf(stderr, "bench: %s: %s\n", what, argument);
  usage(stderr);
  exit(STATUS_USAGE);
}

static unsigned parse_rounds(const char *text) {
  char *end;
  long n = strtol(text, &end, 10);
  if (*end || end == text || n < 1 || n > ROUNDS_MOST) misuse("not a number of rounds", text);
  return (unsigned)n;
}

static const char *parse_row(const char *name) {
  for (size_t i = 0; i < row_count; i++)
    if (strcmp(rows[i].subject.name, name) == 0) return name;
  misuse("no such row", name);
}

static bool wanted(const struct command *c, const struct row *row) {
  for (size_t i = 0; i < c->only_count; i++)
    if (strcmp(c->only[i], row->subject.name) == 0) return true;
  return c->only_count == 0 && (c->all || !row->heavy);
}

static void add_only(struct command *c, const char *name) {
  if (c->only_count == sizeof c->only / sizeof c->only[0]) misuse("too many rows", name);
  c->only[c->only_count++] = parse_row(name);
}

static struct command parse(int argc, char **argv) {
  struct command c = {.dir = DEFAULT_DIR};
  for (int i = 1; i < argc; i++) {
    const char *option = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
    if (strcmp(option, "--quick") == 0) c.quick = true;
    else if (strcmp(option, "--all") == 0) c.all = true;
    else if (strcmp(option, "--json") == 0) c.json = true;
    else if (strcmp(option, "--help") == 0) c.help = true;
    else if (strcmp(option, "--rounds") != 0 && strcmp(option, "--only") != 0 &&
             strcmp(option, "--dir") != 0) misuse("unknown option", option);
    else if (!value) misuse("needs a value", option);
    else {
      if (option[2] == 'r') c.rounds = parse_rounds(value);
      else if (option[2] == 'o') add_only(&c, value);
      else c.dir = value;
      i++;
    }
  }
  return c;
}

static void show_progress(const char *what, uint64_t done, uint64_t all) {
  fprintf(stderr, "\r\033[K%s %llu/%llu", what, (unsigned long long)done, (unsigned long long)all);
}

static void clear_progress(void) { fputs("\r\033[K", stderr); }

static void print_machine(bool json) {
  static const struct peer *const peers[] = {&peer_rille, &peer_loop, &peer_group, &peer_sqlite,
                                            &peer_lmdb, &peer_databases};
  struct utsname u;
  if (uname(&u) != 0) die("uname: %s", strerror(errno));
  printf(json ? "{\"system\":\"%s\",\"release\":\"%s\",\"machine\":\"%s\",\"processors\":%ld,"
                "\"contenders\":[" : "%s %s %s, %ld processors\n",
         u.sysname, u.release, u.machine, sysconf(_SC_NPROCESSORS_ONLN));
  bool first = true;
  for (size_t i = 0; i < sizeof peers / sizeof peers[0]; i++) {
    if (!peers[i]->about) continue;
    printf(json ? "%s\"%s\"" : "%s%s", first ? "" : json ? "," : "; ", peers[i]->about());
    first = false;
  }
  puts(json ? "]}" : "\nratio: above 1, rille is the better one; the median of the ratios of the "
                     "rounds (in brackets: of the figure beside it)");
}

static void run_row(const struct row *row, const struct settings *s, bool json,
                    struct score *score) {
  static struct report report;
  report = (struct report){.subject = &row->subject};
  row->run(row, s, &report);
  if (s->progress) clear_progress();
  if (json) report_json(&report, score);
  else report_print(&report, score);
}

static void run_all(const struct command *c, const char *self) {
  struct settings s = c->quick ? quick : full;
  struct score score = {0};
  s.self = self;
  if (c->rounds) s.rounds = c->rounds;
  if (isatty(STDERR_FILENO)) s.progress = show_progress;
  print_machine(c->json);
  for (size_t i = 0; i < row_count; i++)
    if (wanted(c, &rows[i])) run_row(&rows[i], &s, c->json, &score);
  if (!c->json) printf("\ntargets: %u met, %u missed\n", score.met, score.missed);
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], PROBE_OPTION) == 0) return probe_main(argc - 1, argv + 1);
  struct command c = parse(argc, argv);
  if (c.help) {
    usage(stdout);
    return EXIT_SUCCESS;
  }
  scratch_make(c.dir);
  run_all(&c, argv[0]);
  if (fflush(stdout) != 0 || ferror(stdout)) die("can't write the results");
  return EXIT_SUCCESS;
}
