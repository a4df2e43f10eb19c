/* scavenge.h: taking content out of the log's files, one process at a time (SCAVENGER).
**
**    scavenge   what a truncation has hidden; the work of transactions that are over
**    redact     what somebody must not see any more: noted in the log first (redact.h)
**
** Both survey the closed files and make those again that have something (rewrite.h), while
** others read and append; what is in the last file waits until it has a successor, which is begun
** here. Then log_raise tells everybody. */
#ifndef RILLE_SCAVENGE_H
#define RILLE_SCAVENGE_H

#include "rewrite.h"

/* What rille_store_scavenge says. */
INTERNAL int scavenge_run(struct log *log, bool dry, rille_scavenged *done, rille_error *error);

/* ---- For redaction.c ---- */

/* RILLE_BUSY: this thread has it already. */
INTERNAL int scavenge_begin(struct log *log, rille_error *error);
INTERNAL void scavenge_end(struct log *log);
/* The same for who only wants that nothing is taken out meanwhile: once more for a thread that
** holds it so already, because verify calls its caller's functions, and those may verify. */
INTERNAL int scavenge_hold(struct log *log, rille_error *error);
INTERNAL void scavenge_let_go(struct log *log);
/* Whether what a fact of a prepare frame says may be taken: its transaction is over, durably. */
INTERNAL int scavenge_is_over(struct log *log, const struct fact *fact, bool *over,
                              rille_error *error);
/* The files, in their order: struct repair_segment in `list`. The last one ends where the log is
** durable. */
INTERNAL int scavenge_files(struct log *log, struct buffer *list, rille_error *error);
/* Begins a new file if `first` is the last one's. */
INTERNAL int scavenge_close_last(struct log *log, uint64_t first, rille_error *error);

#endif
