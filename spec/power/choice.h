/* choice.h: which of the states that a disk may have after a cut is looked at.
**
** A state is a number with one digit for each page, length and folder that has not been
** flushed: what it has of it. Where there are few states all are taken, one after another;
** where there are many, some, by chance: much of what chance is about is to lose, or to keep,
** one thing alone. */
#ifndef RILLE_POWER_CHOICE_H
#define RILLE_POWER_CHOICE_H

#include "disk.h"

#define CHOICE_DIGITS_MOST 4096u

struct digit {
  uint32_t *value, most;
  struct page *page; /* NULL: it is no page's */
};

struct choice {
  struct disk *disk;
  struct digit digits[CHOICE_DIGITS_MOST];
  uint32_t count;
  uint64_t states; /* how many there are, or UINT32_MAX where that is more; torn pages aside */
};

/* All of them are 0 then, the first state. */
void choice_begin(struct choice *c, struct disk *d);
/* The next one of all; false: there is none left. */
bool choice_next(struct choice *c);
void choice_at_random(struct choice *c);
/* What has arrived, as text. */
void choice_show(const struct choice *c);

#endif
