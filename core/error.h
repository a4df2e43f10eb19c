/* error.h: how a function of the core says what went wrong. Each returns the
** code it was given, so that a caller writes `return error_set(...)`. The
** error may be NULL. Messages tell what, where, and what to do next. */
#ifndef RILLE_ERROR_H
#define RILLE_ERROR_H

#include "base.h"

#if defined(__GNUC__)
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))
#else
#define PRINTF_LIKE(text, first)
#endif

INTERNAL int error_set(rille_error *e, int code, const char *format, ...) PRINTF_LIKE(3, 4);

/* For errno `number`: RILLE_FULL where the disk is full, RILLE_READONLY on a
** read-only file system, else RILLE_IO; the system's words end the message. */
INTERNAL int error_system(rille_error *e, int number, const char *format, ...) PRINTF_LIKE(3, 4);

INTERNAL int error_memory(rille_error *e);

/* RILLE_CORRUPT at an address of the log. */
INTERNAL int error_corrupt(rille_error *e, uint64_t address, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* A name as it may stand in a message: cut to a bearable length, NUL and
** control characters replaced. Returns room. */
#define ERROR_NAME_BYTES 72
INTERNAL const char *error_name(rille_text name, char room[ERROR_NAME_BYTES]);

#endif
