/* redaction.h: redactions carried out.
**
**    noted      a redact frame is durable, and its file has a successor: from here on it will be
**               finished, and what it names is shown to nobody (log_hidden)
**    replaced   the files that have something of it were made again
**    made anew  the index has neither the names nor what was computed from the content
**    unnamed    the names went out of the frame's own file, too: nothing is left to be found by
**               them, and no index is there any more that needs the frame to end their chains
**    finished   a frame says so
**
** Each step may be done again; whoever finds a redaction that is noted and not finished, when
** opening the store first, or before the next redaction, goes on with it. */
#ifndef RILLE_REDACTION_H
#define RILLE_REDACTION_H

#include "log.h"

/* What rille_store_redact says. */
INTERNAL int redaction_make(struct log *log, const char *store, const rille_redact *redact,
                            rille_redacted *done, rille_error *error);
/* For a first opener: finishes what is noted, and removes what is left of an older index. */
INTERNAL int redaction_resume(struct log *log, const char *store, rille_error *error);

#endif
