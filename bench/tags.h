/* tags.h: the rows that read what a tag has. */
#ifndef BENCH_TAGS_H
#define BENCH_TAGS_H

#include "row.h"

enum tag_way { BY_THE_INDEX, PAST_EVERY_EVENT };   /* variants of a contender */

void run_tag(const struct row *row, const struct settings *settings, struct report *report);
void run_tag_frequent(const struct row *row, const struct settings *settings,
                      struct report *report);

#endif
