/* error.c: codes and messages. */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "system.h"

const char *rille_code_name(int code) {
  switch (code) {
    case RILLE_OK: return "ok";
    case RILLE_REMARK:
    case RILLE_REMARK_CORRUPT: return "remark";
#define CODE_CASE(constant, number, name, text) \
  case constant: return name;
      RILLE_CODES(CODE_CASE)
#undef CODE_CASE
    default: return "?";
  }
}

static void fill_error(rille_error *e, int code, const char *format, va_list arguments) {
  memset(e, 0, sizeof *e);
  e->code = code;
  vsnprintf(e->message, sizeof e->message, format, arguments);
}

int error_set(rille_error *e, int code, const char *format, ...) {
  if (!e) return code;
  va_list arguments;
  va_start(arguments, format);
  fill_error(e, code, format, arguments);
  va_end(arguments);
  return code;
}

static int code_of_errno(int number) {
  switch (number) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return RILLE_FULL;
    case EROFS:
    case EACCES:
    case EPERM: return RILLE_READONLY;
    case ENOMEM: return RILLE_MEMORY;
    default: return RILLE_IO;
  }
}

int error_system(rille_error *e, int number, const char *format, ...) {
  int code = code_of_errno(number);
  if (!e) return code;
  va_list arguments;
  va_start(arguments, format);
  fill_error(e, code, format, arguments);
  va_end(arguments);
  size_t used = strlen(e->message);
  char text[128];
  snprintf(e->message + used, sizeof e->message - used, ": %s",
           system_error_text(number, text, sizeof text));
  e->system = number;
  return code;
}

int error_memory(rille_error *e) { return error_set(e, RILLE_MEMORY, "no memory"); }

int error_corrupt(rille_error *e, uint64_t address, const char *format, ...) {
  if (!e) return RILLE_CORRUPT;
  va_list arguments;
  va_start(arguments, format);
  fill_error(e, RILLE_CORRUPT, format, arguments);
  va_end(arguments);
  e->address = address;
  return RILLE_CORRUPT;
}

const char *error_name(rille_text name, char room[ERROR_NAME_BYTES]) {
  size_t n = name.length;
  bool cut = n >= ERROR_NAME_BYTES;
  if (cut) n = ERROR_NAME_BYTES - 4;
  for (size_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char)name.bytes[i];
    room[i] = c < 0x20 || c == 0x7f ? '?' : (char)c;
  }
  memcpy(room + n, cut ? "..." : "", cut ? 4 : 1);
  return room;
}
