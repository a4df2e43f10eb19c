/* opens.h: open and open64 in place of the C library's, for who stands between a program and its
** files. Whoever includes it has before:
**
**   static int opened(const char *path, int flags, mode_t mode);     mode 0: nothing is made */
#ifndef RILLE_OPENS_H
#define RILLE_OPENS_H

#include <fcntl.h>
#include <stdarg.h>

static mode_t mode_of(int flags, va_list arguments) {
  return flags & O_CREAT ? (mode_t)va_arg(arguments, unsigned) : 0;
}

int open(const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return opened(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return opened(path, flags, mode);
}

#endif
