/* entry.c: values of the index, and walks along chains whose heads and links are these bytes. The
** first byte is the length of the key; what follows it is the value, sealed. */
#include "fuzz.h"

#include "chain.h"
#include "entry.h"

struct links_bytes {
  const uint8_t *bytes;
  size_t n;
  unsigned asked;
};

/* Links that lie: each asks for the next eight bytes. */
static int lying_links(void *context, uint64_t number, uint64_t address, uint64_t *links,
                       rille_error *e) {
  struct links_bytes *l = context;
  (void)e;
  if (++l->asked > 20000) abort(); /* no walk is that long: O(log n), or a block of 256 */
  for (unsigned i = 0, n = link_count(number); i < n; i++) {
    size_t at = (size_t)(address + i) * 8 % (l->n < 8 ? 1 : l->n - 7);
    links[i] = l->n < 8 ? 0 : get64(l->bytes + at);
  }
  return 0;
}

static void use_head(const struct chain_head *head, const uint8_t *b, size_t n) {
  struct links_bytes l = {b, n, 0};
  const struct chain chain = {.head = head, .links = lying_links, .context = &l};
  uint64_t address, addresses[CHAIN_BLOCK], count = head->count;
  struct chain_mark mark;
  rille_error e = {0};
  MUST(chain_levels(count) <= CHAIN_LEVELS);
  if (count == 0) return; /* it has ended */
  (void)chain_seek(&chain, 1, &address, &e);
  (void)chain_seek(&chain, count / 2 + 1, &address, &e);
  (void)chain_first_from(&chain, n ? b[0] * 8u : 0, count, &mark, &e);
  uint64_t high = count > CHAIN_BLOCK ? CHAIN_BLOCK : count;
  (void)chain_block(&chain, 1, high, addresses, &e);
  if (count > 300) (void)chain_block(&chain, count - 255, count, addresses, &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  struct chain_head head;
  struct place place;
  struct log_end end;
  const uint8_t *uuid;
  if (n < 2 || bytes[0] > n - 1) return 0;
  size_t key_length = bytes[0], length = n - 1 - key_length;
  uint8_t *key_bytes = fuzz_copy(bytes + 1, key_length);
  uint8_t *b = fuzz_copy(bytes + 1 + key_length, length);
  rille_text key = {(const char *)key_bytes, key_length}, value = {(const char *)b, length};
  (void)entry_is_sealed(key, value);
  if (length >= ENTRY_SEAL_BYTES) {
    entry_seal(key, b, length - ENTRY_SEAL_BYTES);
    MUST(entry_is_sealed(key, value));
  }
  if (entry_read_head(value, &head)) use_head(&head, bytes, n);
  if (entry_read_word(value, &head)) MUST(head.count == 1);
  if (entry_read_place(key, value, &place)) MUST(place.position == entry_read_key(key_bytes));
  if (entry_read_state(value, 5, &uuid, &end)) MUST(uuid >= b && uuid + 16 <= b + length);
  free(key_bytes);
  free(b);
  return 0;
}
