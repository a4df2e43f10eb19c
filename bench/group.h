/* group.h: a file to which several processes write frames and share the flushes; what the
** peers that are limits are made of. Nothing in it could be read again. */
#ifndef BENCH_GROUP_H
#define BENCH_GROUP_H

#include <stddef.h>
#include <stdint.h>

struct group;

struct group *group_open(const char *path);
void group_close(struct group *g);

/* Writes zeros ahead and flushes them, unless somebody has. */
void group_fill(struct group *g);

/* Writes a frame of n bytes. Returns up to where the file must be durable for it to be. */
uint64_t group_write(struct group *g, const char *frame, size_t n);

/* Returns once it is, by this process's flush or another's. */
void group_force(struct group *g, uint64_t end);

uint64_t group_count_flushes(const struct group *g);   /* of all processes */

#endif
