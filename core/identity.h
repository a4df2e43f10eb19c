/* identity.h: what a store is: the file `store`, written once; and which file it is, so that
** a copy knows that it is one.
**
** It can't be deleted without deleting the store, because the log can't be read
** without its salt; so it is also the file that carries the locks (control.h).
**
**    store (64 bytes)   0 "rille\r\n\032"   8 format   12 byte order mark
**                      16 uuid   32 salt   40 time of creation
**                      48 mark of this very file; 0: it is a backup's   60 checksum */
#ifndef RILLE_IDENTITY_H
#define RILLE_IDENTITY_H

#include "base.h"

#define IDENTITY_FORMAT 1

struct identity {
  uint8_t uuid[16];
  uint64_t salt;
  int64_t created_us;
  uint64_t mark;
  bool copied; /* what identity_open found was made for another file */
};

/* A fresh identity, from the system's entropy. */
INTERNAL int identity_make(struct identity *identity, rille_error *error);
/* Writes it to a new file `store` in a folder, flushed; `copied`: as that of a copy. */
INTERNAL int identity_write(const char *folder, const struct identity *identity,
                            rille_error *error);
/* A copy becomes a store of its own: the open file `store` gets its own mark, flushed. */
INTERNAL int identity_claim(int fd, const struct identity *identity, rille_error *error);
/* Opens the file `store` of a folder and reads it; the caller closes *fd.
** RILLE_INVALID where the folder is no store; RILLE_UNSUPPORTED where it is a newer
** one's. */
INTERNAL int identity_open(const char *folder, bool readonly, int *fd, struct identity *identity,
                           rille_error *error);
/* "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx" */
INTERNAL void identity_text(const uint8_t uuid[16], char room[37]);

#endif
