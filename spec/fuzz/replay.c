/* replay.c: drives a target without libFuzzer: the files of its corpus, then mutations of them.
**
**   TARGET CORPUS [ROUNDS [SEED]]        prints the seed, and how many inputs there were */
#include "fuzz.h"

#include <dirent.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define INPUTS_MOST 256
#define BYTES_MOST 65536u

static struct input {
  uint8_t *bytes;
  size_t n;
} inputs[INPUTS_MOST];
static size_t input_count;
static uint64_t state;

/* SplitMix64. */
static uint64_t random_bits(void) {
  uint64_t x = state += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}
static size_t below(size_t n) { return n ? (size_t)(random_bits() % n) : 0; }

static void load(const char *folder, const char *name) {
  char path[4096];
  struct input *input = &inputs[input_count];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "rb");
  if (!file || input_count == INPUTS_MOST) return;
  input->bytes = malloc(BYTES_MOST);
  MUST(input->bytes != NULL);
  input->n = fread(input->bytes, 1, BYTES_MOST, file);
  fclose(file);
  input_count++;
}

static int by_bytes(const void *a, const void *b) {
  const struct input *x = a, *y = b;
  int order = memcmp(x->bytes, y->bytes, x->n < y->n ? x->n : y->n);
  return order ? order : x->n < y->n ? -1 : x->n > y->n;
}

static void load_all(const char *folder) {
  DIR *dir = opendir(folder);
  if (!dir) return;
  for (struct dirent *d; (d = readdir(dir)) != NULL;)
    if (d->d_name[0] != '.') load(folder, d->d_name);
  closedir(dir);
  qsort(inputs, input_count, sizeof *inputs, by_bytes); /* a seed means the same everywhere */
}

/* ---- Mutations ---- */

static void set_number(uint8_t *p, size_t left) {
  static const uint64_t odd[] = {0,   1,   7,     8,         63,         64,        127,       128,
                                 255, 256, 65535, INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX};
  uint64_t v = odd[below(sizeof odd / sizeof *odd)] + (below(4) == 0);
  size_t n = (size_t)1 << below(4);
  memcpy(p, &v, n < left ? n : left);
}

/* A stretch of one input goes into another. */
static size_t splice(uint8_t *b, size_t n) {
  const struct input *from = &inputs[below(input_count)];
  size_t start = below(from->n), take = below(from->n - start + 1), at = below(n + 1);
  if (take > BYTES_MOST - at) take = BYTES_MOST - at;
  memcpy(b + at, from->bytes + start, take);
  return at + take > n ? at + take : n;
}

static size_t mutate(uint8_t *b, size_t n) {
  size_t at = below(n), take = below(below(2) ? 9 : n - at + 1);
  if (n == 0) return splice(b, n);
  if (take > n - at) take = n - at;
  switch (below(8)) {
    case 0: b[at] ^= (uint8_t)(1u << below(8)); return n;
    case 1: b[at] = (uint8_t)random_bits(); return n;
    case 2: b[at] = (uint8_t)(b[at] + (below(2) ? 1 : -1)); return n;
    case 3: set_number(b + at, n - at); return n;
    case 4: memmove(b + at, b + at + take, n - at - take); return n - take;
    case 5:
      if (take > BYTES_MOST - n) return n;
      memmove(b + at + take, b + at, n - at);
      return n + take;
    case 6: return at;
    default: return splice(b, n);
  }
}

/* Shows the input that ended it, as hexadecimal digits. */
static struct input current;

static void show(int number) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < current.n; i++) {
    const char two[2] = {digits[current.bytes[i] >> 4], digits[current.bytes[i] & 15]};
    if (write(STDERR_FILENO, two, 2) < 0) break;
  }
  if (write(STDERR_FILENO, "\n", 1) == 1) signal(number, SIG_DFL);
  raise(number);
}

static void run(const uint8_t *bytes, size_t n) {
  uint8_t *copy = fuzz_copy(bytes, n);
  current = (struct input){copy, n};
  (void)LLVMFuzzerTestOneInput(copy, n);
  free(copy);
}

int main(int argc, char **argv) {
  static uint8_t room[BYTES_MOST + 16];
  size_t rounds = argc > 2 ? strtoul(argv[2], NULL, 0) : 1000;
  state = argc > 3 ? strtoull(argv[3], NULL, 0) : (uint64_t)time(NULL);
  signal(SIGABRT, show);
  signal(SIGSEGV, show);
  signal(SIGBUS, show);
  printf("%s: SEED=%llu\n", argv[0], (unsigned long long)state);
  fflush(stdout);
  if (argc > 1) load_all(argv[1]);
  if (input_count == 0) return EXIT_FAILURE;
  for (size_t i = 0; i < input_count; i++) run(inputs[i].bytes, inputs[i].n);
  for (size_t i = 0; i < rounds; i++) {
    const struct input *input = &inputs[below(input_count)];
    size_t n = input->n;
    memcpy(room, input->bytes, n);
    for (size_t times = 1 + below(6); times; times--) n = mutate(room, n);
    run(room, n);
  }
  printf("%zu inputs\n", input_count + rounds);
  return EXIT_SUCCESS;
}
