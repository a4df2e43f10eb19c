/* identity.c: the file `store`. */
#include "identity.h"

#include <errno.h>

#include "checksum.h"
#include "error.h"
#include "system.h"

#define MAGIC "rille\r\n\032"
#define ORDER_MARK 0x01020304u
#define STORE_BYTES 64u

enum {
  I_MAGIC = 0,
  I_FORMAT = 8,
  I_ORDER = 12,
  I_UUID = 16,
  I_SALT = 32,
  I_CREATED = 40,
  I_MARK = 48,
  I_CHECKSUM = 60
};

int identity_make(struct identity *id, rille_error *e) {
  uint8_t b[24];
  int number = system_entropy(b, sizeof b);
  if (number) return error_system(e, number, "can't get random bytes");
  memcpy(id->uuid, b, 16);
  id->uuid[6] = (uint8_t)((id->uuid[6] & 0x0f) | 0x40); /* RFC 9562, version 4 */
  id->uuid[8] = (uint8_t)((id->uuid[8] & 0x3f) | 0x80);
  id->salt = get64(b + 16);
  id->created_us = system_clock_us();
  id->mark = 0;
  id->copied = false;
  return 0;
}

static int put(int fd, const struct identity *id, uint64_t mark) {
  uint8_t b[STORE_BYTES] = {0};
  size_t n;
  memcpy(b + I_MAGIC, MAGIC, 8);
  put32(b + I_FORMAT, IDENTITY_FORMAT);
  put32(b + I_ORDER, ORDER_MARK);
  memcpy(b + I_UUID, id->uuid, 16);
  put64(b + I_SALT, id->salt);
  put64(b + I_CREATED, (uint64_t)id->created_us);
  put64(b + I_MARK, mark);
  put32(b + I_CHECKSUM, checksum(0, b, I_CHECKSUM));
  int number = system_write(fd, 0, b, sizeof b, NULL, 0, &n);
  return number ? number : system_flush(fd);
}

int identity_write(const char *folder, const struct identity *id, rille_error *e) {
  char path[SYSTEM_PATH_BYTES];
  if (!system_join(path, sizeof path, folder, "store"))
    return error_set(e, RILLE_INVALID, "the path is too long");
  int fd, number = system_open(path, SYSTEM_CREATE, &fd);
  if (number) return error_system(e, number, "can't create %s", path);
  uint64_t mark = 0; /* a copy has none yet */
  if (!id->copied) number = system_mark(fd, &mark);
  if (!number) number = put(fd, id, mark);
  system_close(fd);
  return number ? error_system(e, number, "can't write %s", path) : 0;
}

/* In place: the 64 bytes lie in one sector, which is written whole or not at all. */
int identity_claim(int fd, const struct identity *id, rille_error *e) {
  uint64_t mark;
  int number = system_mark(fd, &mark);
  if (!number) number = put(fd, id, mark);
  return number ? error_system(e, number, "can't write the file `store`") : 0;
}

void identity_text(const uint8_t uuid[16], char room[37]) {
  const char *digits = "0123456789abcdef";
  for (int i = 0; i < 16; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *room++ = '-';
    *room++ = digits[uuid[i] >> 4];
    *room++ = digits[uuid[i] & 15];
  }
  *room = '\0';
}

static int parse(const uint8_t *b, size_t n, const char *path, struct identity *id,
                 rille_error *e) {
  if (n < STORE_BYTES || memcmp(b + I_MAGIC, MAGIC, 8) != 0)
    return error_set(e, RILLE_INVALID, "%s is not the identity of a rille store", path);
  if (get32(b + I_FORMAT) > IDENTITY_FORMAT)
    return error_set(e, RILLE_UNSUPPORTED,
                     "%s is of format %u, made by a newer rille; this one knows format %u", path,
                     get32(b + I_FORMAT), IDENTITY_FORMAT);
  if (get32(b + I_CHECKSUM) != checksum(0, b, I_CHECKSUM) || get32(b + I_ORDER) != ORDER_MARK)
    return error_set(
        e, RILLE_CORRUPT,
        "%s is damaged: without its 64 bytes the log can't be read; take them from a backup", path);
  memcpy(id->uuid, b + I_UUID, 16);
  id->salt = get64(b + I_SALT);
  id->created_us = (int64_t)get64(b + I_CREATED);
  id->mark = get64(b + I_MARK);
  return 0;
}

static int read_identity(int fd, const char *path, struct identity *id, rille_error *e) {
  uint8_t b[STORE_BYTES];
  size_t got;
  int number = system_read(fd, 0, b, sizeof b, &got);
  return number ? error_system(e, number, "can't read %s", path) : parse(b, got, path, id, e);
}

int identity_open(const char *folder, bool readonly, int *fd, struct identity *id, rille_error *e) {
  char path[SYSTEM_PATH_BYTES];
  if (!system_join(path, sizeof path, folder, "store"))
    return error_set(e, RILLE_INVALID, "the path is too long");
  int number = system_open(path, readonly ? SYSTEM_READ : SYSTEM_WRITE, fd);
  if (number == ENOENT)
    return error_set(e, RILLE_INVALID, "the folder %s is no rille store: it has no file 'store'",
                     folder);
  if (!readonly && (number == EACCES || number == EROFS || number == EPERM))
    return error_system(e, number, "can't write to %s; it can be opened with readonly", path);
  if (number) return error_system(e, number, "can't open %s", path);
  uint64_t mark = 0;
  int failed = read_identity(*fd, path, id, e);
  if (!failed && (number = system_mark(*fd, &mark)) != 0)
    failed = error_system(e, number, "can't tell whether %s is a copy", path);
  id->copied = !failed && id->mark != mark;
  if (failed) system_close(*fd);
  return failed;
}
