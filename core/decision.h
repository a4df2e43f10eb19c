/* decision.h: what home decides about a transaction, as bytes of its decision frame.
**
** Who is a member commits; who is not aborts, whatever it voted. The detail is for who made
** it: what is needed to go on after a crash, and to tell a client again. */
#ifndef RILLE_DECISION_H
#define RILLE_DECISION_H

#include "pack.h"

struct decision {
  rille_text client, detail;
  const rille_text *members; /* when it is packed */
  size_t member_count;
  rille_text member_bytes;   /* when it was unpacked */
};
INTERNAL void decision_pack(const struct decision *decision, struct pack *pack);
/* Texts lie in the payload. False where it can't be read. */
INTERNAL bool decision_unpack(struct decision *decision, rille_text payload);
/* Of one that was unpacked. */
INTERNAL bool decision_has_member(const struct decision *decision, rille_text name);

#endif
