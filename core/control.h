/* control.h: who holds a store.
**
** The file `store` says what the store is and carries byte locks, which the
** kernel frees with their holder, after a crash or a reboot alike; it can't be
** deleted without deleting the store. A small file `control` beside it has
** words for those who meet a lock, such as the holder's pid; it is made anew by
** each first opener and worth nothing without the locks.
**
**    store (64 bytes)   0 "rille\r\n\032"   8 format   12 byte order mark
**                      16 uuid   32 salt   40 time of creation   60 checksum */
#ifndef RILLE_CONTROL_H
#define RILLE_CONTROL_H

#include "buffer.h"

#define CONTROL_FORMAT 1

/* Bytes of the file `store` that are locked; they lie behind its end. */
enum control_byte {
  CONTROL_PRESENCE = 1 << 20, /* shared by readers, exclusive for one writer */
  CONTROL_WRITER,             /* reserved: appending */
  CONTROL_FLUSHER             /* reserved: flushing */
};

/* What the file `store` says. */
struct identity {
  uint8_t uuid[16];
  uint64_t salt;
  int64_t created_us;
};

/* A fresh identity, from the system's entropy. */
INTERNAL int identity_make(struct identity *identity, rille_error *error);
/* Writes it to a new file `store` in a folder, flushed. */
INTERNAL int identity_write(const char *folder, const struct identity *identity,
                            rille_error *error);
/* "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx" */
INTERNAL void identity_text(const uint8_t uuid[16], char room[37]);

struct control {
  int fd; /* of `store`, with the lock; -1: not held */
  bool readonly, announced;
  const char *folder; /* the caller's */
};

/* Reads the identity and takes the store: for this process alone, or among
** readers. RILLE_BUSY with the holder's pid; RILLE_INVALID where the folder is no
** store; RILLE_UNSUPPORTED where it is a newer one's. */
INTERNAL int control_open(struct control *control, const char *folder, bool readonly,
                          struct identity *identity, rille_error *error);
INTERNAL void control_close(struct control *control);

#endif
