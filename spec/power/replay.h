/* replay.h: a record is played on a disk, call by call; after each, states that the disk may
** have if the power goes are put on the stage and judged. Of a share of them the judging itself
** is recorded, played and cut again. */
#ifndef RILLE_POWER_REPLAY_H
#define RILLE_POWER_REPLAY_H

#include "judge.h"

struct tally {
  uint64_t states, second, points; /* second: of a recovery that was cut */
  double seconds;                  /* of the processor */
};

/* Goes on for so many seconds of the processor's; false: something was wrong, and is shown. The
** stage is as the record left it. */
bool replay(const struct trial *trial, const struct record *record, double seconds,
            struct tally *tally);

#endif
