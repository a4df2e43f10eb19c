/* server.h: a PostgreSQL server of this run's own, in the scratch folder, with two databases. */
#ifndef BENCH_SERVER_H
#define BENCH_SERVER_H

#include "scratch.h"

/* Returns why there can be none here, or NULL; then it runs until server_stop or the end of
** the process that has started it. */
const char *server_start(void);
void server_stop(void);

/* What PQconnectdb wants for one of the databases, "home" and "other"; and for the one that
** they are made from. */
void server_reach(char text[PATH_BYTES], const char *database);

#endif
