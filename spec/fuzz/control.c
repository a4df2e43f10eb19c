/* control.c: the page that processes share holds these bytes when the first of them opens the
** store, to read or to write: it is made anew, and nothing changes. Fewer than 16 bytes are the
** whole file. */
#include "store_fuzz.h"

#define PAGE_BYTES 4096u
#define SHORT_BYTES 16u

static void look(bool writing) {
  rille_error e = {0};
  rille_store *s = fuzz_open(writing, &e);
  MUST(s != NULL && e.code == 0);
  MUST(rille_store_head(s) == FUZZ_EVENTS && rille_store_durable(s) == FUZZ_EVENTS);
  MUST(fuzz_read(s) == FUZZ_EVENTS);
  MUST(rille_store_close(s) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  static uint8_t page[PAGE_BYTES];
  fuzz_make();
  memset(page, 0, sizeof page);
  if (n) memcpy(page, bytes, n < sizeof page ? n : sizeof page);
  fuzz_put("control", page, n < SHORT_BYTES ? n : sizeof page);
  look(false);
  look(true);
  return 0;
}
