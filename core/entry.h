/* entry.h: what stands in the index, bytes <-> structs; pure. docs/format.md has the layouts.
**
** Each value ends with its seal, a checksum of its key and itself: of a value without it
** nothing may be believed. Functions that write give the bytes before the seal and leave
** room for it; those that read take the value with its seal, which has been checked, and
** are false where the bytes can't be. */
#ifndef RILLE_ENTRY_H
#define RILLE_ENTRY_H

#include "chain.h"
#include "frame.h"

#define ENTRY_SEAL_BYTES 4u
#define ENTRY_HEAD_BYTES_MOST (16u + 8u * CHAIN_LEVELS)
#define ENTRY_WORD_BYTES 8u
#define ENTRY_PLACE_BYTES 16u
#define ENTRY_KEY_BYTES 8u /* of a place */
#define ENTRY_STATE_BYTES 64u

/* Puts the seal behind a value of n bytes. */
INTERNAL void entry_seal(rille_text key, uint8_t *value, size_t n);
INTERNAL bool entry_is_sealed(rille_text key, rille_text value);

/* The first two return how many bytes they wrote. A head whose count is 0 says that its chain
** has ended (redact.h). */
INTERNAL size_t entry_write_head(uint8_t *b, uint64_t count, uint64_t touched,
                                 const uint64_t *tower);
INTERNAL size_t entry_write_word(uint8_t *b, uint64_t number);
INTERNAL bool entry_read_head(rille_text value, struct chain_head *head);
/* A word is a head without what a chain of one record has besides. */
INTERNAL bool entry_read_word(rille_text value, struct chain_head *head);

/* Big-endian, so that the order of bytes is the order of positions. */
INTERNAL void entry_write_key(uint8_t *key, uint64_t position);
INTERNAL uint64_t entry_read_key(const uint8_t *key);
INTERNAL void entry_write_place(uint8_t *key, uint8_t *value, const struct place *place);
INTERNAL bool entry_read_place(rille_text key, rille_text value, struct place *place);

/* What the index is a fold of. False, too, where it is of another format. */
INTERNAL void entry_write_state(uint8_t *b, uint32_t format, const uint8_t *uuid,
                                const struct log_end *end);
INTERNAL bool entry_read_state(rille_text value, uint32_t format, const uint8_t **uuid,
                               struct log_end *end);

#endif
