/* creation.h: makes stores. */
#ifndef RILLE_CREATION_H
#define RILLE_CREATION_H

#include "base.h"

/* Makes a store where there is nothing, or an empty folder, if the options allow. */
INTERNAL int creation_find_or_make(const char *path, const rille_options *options,
                                   rille_error *error);
/* Makes the name of the store durable. */
INTERNAL int creation_flush_parent(const char *path, rille_error *error);
INTERNAL int creation_refuse_network(const char *path, rille_error *error);

#endif
