/* scratch.h: the folder in which everything is made, and the ways out. Whatever
** way the programme ends, but for a crash, the folder goes with it. */
#ifndef BENCH_SCRATCH_H
#define BENCH_SCRATCH_H

#include <stdbool.h>

#define PATH_BYTES 4096

#if defined(__GNUC__)
#define PRINTS(text, values) __attribute__((format(printf, text, values)))
#else
#define PRINTS(text, values)
#endif

/* Makes a folder of this run's own in `dir` (made too if absent), to be removed
** at exit; an interrupt from then on ends the programme at scratch_check. */
void scratch_make(const char *dir);

/* The path of `name` in it. */
void scratch_path(char path[PATH_BYTES], const char *name);

/* Removes a file or folder and all below; absent is fine. */
void scratch_remove(const char *path);

/* Writes out what the last turn left dirty, so that the next does not pay. */
void scratch_settle(void);

/* Exits if an interrupt has come. */
void scratch_check(void);

/* Says why on stderr and exits with status 1. */
_Noreturn void die(const char *format, ...) PRINTS(1, 2);

#endif
