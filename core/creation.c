/* creation.c: a store is made in a folder of another name beside its place, flushed, renamed,
** and the parent flushed: a power cut leaves no store or an empty one, never half
** of one. (What is left of the other folder, PATH.new-XXXXXXXX, may be deleted.) */
#include "creation.h"

#include <errno.h>
#include <stdio.h>

#include "error.h"
#include "identity.h"
#include "segment.h"
#include "system.h"

static int fill_new(const char *fresh, rille_error *e) {
  char log[SYSTEM_PATH_BYTES];
  struct identity id;
  int number, failed = identity_make(&id, e);
  if (!failed) failed = identity_write(fresh, &id, e);
  if (failed) return failed;
  if (!system_join(log, sizeof log, fresh, "log"))
    return error_set(e, RILLE_INVALID, "the path is too long");
  if ((number = system_make_folder(log)) != 0) return error_system(e, number, "can't make %s", log);
  if ((failed = segments_create(log, e)) < 0) return failed;
  number = system_flush_folder(fresh);
  return number ? error_system(e, number, "can't flush %s", fresh) : 0;
}

int creation_flush_parent(const char *path, rille_error *e) {
  char parent[SYSTEM_PATH_BYTES];
  if (!system_join(parent, sizeof parent, path, ".."))
    return error_set(e, RILLE_INVALID, "the path is too long");
  int number = system_flush_folder(parent);
  return number ? error_system(e, number, "can't flush the folder above %s", path) : 0;
}

int creation_refuse_network(const char *path, rille_error *e) {
  return error_set(e, RILLE_UNSUPPORTED,
                   "%s lies on a network file system, whose locks and flushes can't be trusted",
                   path);
}

static int make_store(const char *path, rille_error *e) {
  char fresh[SYSTEM_PATH_BYTES];
  uint32_t nonce;
  int number = system_entropy(&nonce, sizeof nonce);
  if (number) return error_system(e, number, "can't get random bytes");
  int used = snprintf(fresh, sizeof fresh, "%s.new-%08x", path, nonce);
  if (used < 0 || (size_t)used >= sizeof fresh)
    return error_set(e, RILLE_INVALID, "the path %.200s is too long", path);
  if ((number = system_make_folder(fresh)) != 0)
    return error_system(e, number, "can't make a store at %s", path);
  int failed = system_is_network(fresh) ? creation_refuse_network(path, e) : fill_new(fresh, e);
  if (!failed && (number = system_rename(fresh, path)) != 0) {
    system_remove_tree(fresh);
    if (number == ENOTEMPTY || number == EEXIST) return 0; /* another process was faster */
    return error_system(e, number, "can't make a store at %s", path);
  }
  if (failed) system_remove_tree(fresh);
  return failed ? failed : creation_flush_parent(path, e);
}

static int count_entry(void *context, const char *name) {
  (void)name;
  *(size_t *)context += 1;
  return 0;
}

int creation_find_or_make(const char *path, const rille_options *o, rille_error *e) {
  enum system_kind kind = system_kind(path);
  size_t entries = 0;
  if (kind == SYSTEM_UNSEEN) return 0; /* who opens it will tell why */
  if (kind == SYSTEM_FILE)
    return error_set(e, RILLE_INVALID, "%s is a file: a store is a folder", path);
  if (kind == SYSTEM_FOLDER) {
    int number = system_list(path, count_entry, &entries);
    if (number) return error_system(e, number, "can't read the folder %s", path);
    if (entries) return 0;
  }
  if (o->no_create || o->readonly)
    return error_set(e, RILLE_NOTFOUND, "there is no store at %s", path);
  return make_store(path, e);
}
