/* lcompat.c: this module is a library of its own, which needs its own ../lcompat.c. */
#include "../lcompat.c"
