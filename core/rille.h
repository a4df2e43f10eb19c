/* rille.h: an embedded event store. This header is the manual of its C side.
**
** THE STORY
**   A store is a folder. In it an append-only log holds events; each event
**   belongs to a stream and has two numbers: its version (1, 2, 3 ... in the
**   stream) and its position (1, 2, 3 ... in the store). State is what you get
**   by running events through handlers, in order. Everything but the log can
**   be deleted and is built again from it.
**
**     rille_store *store;
**     rille_error error;
**     if (rille_store_open("bank.rille", NULL, &store, &error) < 0)
**       return complain(error.message);
**     rille_event_input opened = {.type = rille_text_of("Opened")};
**     rille_part part = {.stream = rille_text_of("account-1"),
**                        .expect = RILLE_EXPECT_NONE, .events = &opened, .event_count = 1};
**     rille_append append = {.size = sizeof append, .parts = &part, .part_count = 1};
**     rille_appended done;
**     int result = rille_store_append(store, &append, &done, &error);
**     rille_store_close(store);
**
** CONVENTIONS
**   Results: 0 done; < 0 failed, nothing has changed, `error` says why;
**   > 0 done, with a remark in `error`. Every `error` may be NULL.
**   Options: zero is the default; fill in `size = sizeof options` so that a
**   newer library knows how much of the struct you have.
**   Texts are bytes with a length; they need no NUL and may hold one.
**   The library prints nothing, never exits, installs no signal handler, and
**   has no global state but the table of stores open in this process.
**
** THREADS AND PROCESSES
**   A store may be used from several threads; a reader from one at a time.
**   Opening the same folder twice in one process gives one store underneath.
**   Up to 1000 processes may hold a store open, to write and to read: they
**   append one after another, share their flushes, and see what the others
**   wrote. One that is killed costs the others nothing. The first to open a
**   store repairs it, the last to close it folds it to the end. An open store
**   is of no use in a forked child (RILLE_CLOSED): open it again there. A second
**   copy of this library in one process gets RILLE_BUSY.
**   Unless `no_background` is set, each process that may write has one thread
**   for each store, which flushes and folds and calls nothing of the host's.
**
** DURABILITY
**   With sync "always" an append returns when its bytes are on the disk: they
**   are there after a crash or a power cut, at the position that was told.
**   With "interval" it returns at once, and the background thread flushes every
**   sync_interval_ms; rille_store_durable and rille_store_wait tell what is
**   safe. With "never" the operating system decides when. With both a power cut
**   may take the last appends, never the middle, never a part of one.
**   rille_store_sync forces the disk. A failed flush is final for the store, in
**   every process, until all have closed it, because the kernel forgets what it
**   lost; who opens it first then repairs it.
**   A handle with sync "always" sees events when they are durable, any other as
**   soon as they are written.
*/
#ifndef RILLE_H
#define RILLE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RILLE_VERSION "0.1.0"

#ifndef RILLE_API
#if defined(__GNUC__)
#define RILLE_API __attribute__((visibility("default")))
#else
#define RILLE_API
#endif
#endif

/* ---- Limits -------------------------------------------------------------- */

#define RILLE_NAME_BYTES 255                     /* stream name, type, tag, id; at least 1 */
#define RILLE_TAGS 64                            /* tags of one event */
#define RILLE_EVENT_BYTES ((size_t)16 << 20)     /* data and meta of one event together */
#define RILLE_APPEND_BYTES ((size_t)64 << 20)    /* one append, names, data and meta */
#define RILLE_SEGMENT_BYTES ((uint64_t)256 << 20)/* default size at which a log file is succeeded */
#define RILLE_SEGMENT_BYTES_LEAST ((uint64_t)64 << 10)
#define RILLE_SEGMENT_BYTES_MOST ((uint64_t)16 << 30) /* nothing is taken out of larger ones */
#define RILLE_TRANSACTION_BYTES 120              /* the id of a transaction, with a NUL */
#define RILLE_PEERS 64                           /* where homes of transactions may be */

/* ---- Results ------------------------------------------------------------- */

/* X(constant, number, name, what it means). One list makes the enum, the names
** that Lua gives as third result, and the table in the docs. */
#define RILLE_CODES(X)                                                          \
  X(RILLE_CONFLICT, -1, "conflict", "a condition failed: read again")           \
  X(RILLE_LOCKED, -2, "locked", "held by a transaction")                        \
  X(RILLE_BUSY, -3, "busy", "somebody else holds it")                           \
  X(RILLE_DUPLICATE, -4, "duplicate", "this id has been used before")           \
  X(RILLE_ABORTED, -5, "aborted", "the transaction did not happen")             \
  X(RILLE_UNKNOWN, -6, "unknown", "may have happened: open the store again and look") \
  X(RILLE_REFUSED, -7, "refused", "a decider said no")                          \
  X(RILLE_INVALID, -8, "invalid", "a value can't be accepted")                  \
  X(RILLE_NOTFOUND, -9, "notfound", "there is no such thing")                   \
  X(RILLE_SCRIPT, -10, "script", "a script does not load or failed")            \
  X(RILLE_BUDGET, -11, "budget", "a script exceeded its limits")                \
  X(RILLE_READONLY, -12, "readonly", "the store is open for reading only")      \
  X(RILLE_CLOSED, -13, "closed", "the handle is closed")                        \
  X(RILLE_FULL, -14, "full", "the disk is full")                                \
  X(RILLE_CORRUPT, -15, "corrupt", "bytes on disk are not what was written")    \
  X(RILLE_IO, -16, "io", "the operating system reported an error")              \
  X(RILLE_UNSUPPORTED, -17, "unsupported", "not possible here, or made by a newer rille") \
  X(RILLE_MEMORY, -18, "memory", "no memory")

enum rille_code {
  RILLE_OK = 0,
  RILLE_REMARK = 1,
  RILLE_REMARK_CORRUPT = 2, /* of opening with `readonly`: not all of the log can be read */
#define RILLE_CODE_ENUM(constant, number, name, text) constant = number,
  RILLE_CODES(RILLE_CODE_ENUM)
#undef RILLE_CODE_ENUM
};

/* The name of a code, such as "conflict"; "ok", "remark"; "?" for no code. */
RILLE_API const char *rille_code_name(int code);

enum rille_condition { RILLE_CONDITION_VERSION = 1, RILLE_CONDITION_MARK, RILLE_CONDITION_UNLESS };

typedef struct rille_error {
  int code;               /* what the call returned */
  int system;             /* errno, where the operating system was the cause */
  int64_t pid;            /* RILLE_BUSY: who holds it, 0 if not known */
  uint64_t address;       /* RILLE_CORRUPT: byte of the log */
  uint64_t position;      /* the event concerned; RILLE_CORRUPT: readable up to here;
                          ** RILLE_CONFLICT: the event that `unless` found, or the mark */
  int condition;          /* RILLE_CONFLICT: enum rille_condition, the one that failed */
  uint64_t version;       /* RILLE_CONFLICT: the version that `stream` has */
  char stream[256];       /* RILLE_CONFLICT of an expectation: the stream, of these bytes
                          ** and a NUL; RILLE_DUPLICATE: the stream concerned */
  size_t stream_length;
  char transaction[RILLE_TRANSACTION_BYTES]; /* RILLE_LOCKED: who holds it ... */
  char coordinator[256];  /* ... the name of its coordinator ... */
  int64_t age_us;         /* ... and for how long */
  char message[768];      /* what, where, and what to do; one line */
} rille_error;

/* ---- Values -------------------------------------------------------------- */

typedef struct rille_text {
  const char *bytes;
  size_t length;
} rille_text;

RILLE_API rille_text rille_text_of(const char *nul_terminated); /* NULL: an empty one */

/* Same shape and rules as lua_Alloc; must be callable from any thread. */
typedef void *(*rille_alloc)(void *context, void *block, size_t old_size, size_t new_size);

/* ---- Opening ------------------------------------------------------------- */

typedef struct rille_store rille_store;

enum rille_sync { RILLE_SYNC_ALWAYS = 0, RILLE_SYNC_NEVER = 1, RILLE_SYNC_INTERVAL = 2 };
#define RILLE_SYNC_INTERVAL_MS 100 /* between two flushes of the background thread */

/* Called now and then while something long is done, with how many bytes of the log are done;
** not 0: give it up. Must not use the store. */
typedef int (*rille_progress)(void *context, uint64_t done_bytes, uint64_t all_bytes);

typedef struct rille_options {
  size_t size;               /* sizeof(rille_options) */
  int readonly;              /* change nothing on disk, not even a torn tail */
  int no_create;             /* RILLE_NOTFOUND where there is no store */
  int sync;                  /* enum rille_sync */
  uint64_t segment_bytes;    /* RILLE_SEGMENT_BYTES; from _LEAST to _MOST */
  rille_alloc alloc;         /* malloc and free */
  void *alloc_context;
  int64_t (*clock)(void *context);  /* microseconds since 1970; the system's clock */
  void *clock_context;
  int no_background;         /* no thread: appends, polls and closing flush and fold */
  int64_t sync_interval_ms;  /* RILLE_SYNC_INTERVAL_MS; from 1 to a day */
  int rebuild;               /* make the index anew; RILLE_BUSY beside others that may write */
  const char *const *peers;  /* folders of stores where homes of transactions may be */
  size_t peer_count;         /* at most RILLE_PEERS */
  rille_progress progress;   /* told while the log is read to make the index; RILLE_REFUSED */
  void *progress_context;    /* where it gives up */
} rille_options;

/* Opens the store in folder `path`, making it if absent. options may be NULL.
** A remark (> 0) tells that a torn tail was cut after a crash, or that a damaged index was
** built anew; RILLE_REMARK_CORRUPT, with address and position as of RILLE_CORRUPT,
** that what can be read is not all there was. Errors: RILLE_BUSY (another copy of this
** library has it open in this process; `rebuild`), RILLE_NOTFOUND, RILLE_INVALID
** (a folder that is no store; an option), RILLE_CORRUPT (address, and the
** position up to which `readonly` can still read), RILLE_UNSUPPORTED (newer
** format; a network file system), RILLE_FULL, RILLE_IO (also where a flush failed
** and not all have closed the store since), RILLE_MEMORY.
** Waits while another process opens, repairs or closes the store.
** Where the path is open in this process already, that store is shared: its
** first opener's options hold, but for sync, which each handle has of its own; its
** alloc_context and clock_context must outlive every handle and reader of the store. */
RILLE_API int rille_store_open(const char *path, const rille_options *options,
                               rille_store **store, rille_error *error);

/* Another handle on the same open store, with the same sync, to be closed for itself: whichever
** of them is closed first, the other goes on. RILLE_CLOSED in a forked child; RILLE_MEMORY. */
RILLE_API int rille_store_share(rille_store *store, rille_store **again, rille_error *error);

/* The absolute path of its folder, as it was when the store was opened; lives as long as the
** handle. */
RILLE_API const char *rille_store_path(const rille_store *store);
/* 1: opened to be read only, by who opened it first in this process; else 0. */
RILLE_API int rille_store_is_readonly(const rille_store *store);

/* Flushes, folds and closes. The store is gone whatever the result; < 0 tells
** that the last flush or fold failed (what had been acknowledged stays true). */
RILLE_API int rille_store_close(rille_store *store);

/* ---- Appending ----------------------------------------------------------- */

/* An event to be written. Zero is the default of each field but type. */
typedef struct rille_event_input {
  rille_text type;
  rille_text data, meta;     /* MessagePack by convention; empty: none */
  rille_text id;             /* empty: rille makes one. Given ones make a retry harmless */
  const rille_text *tags;    /* at most RILLE_TAGS; repeated ones are stored once */
  size_t tag_count;
  int64_t time_us;           /* microseconds since 1970; 0: now */
} rille_event_input;

#define RILLE_EXPECT_ANY ((int64_t)0)      /* whatever the stream's version */
#define RILLE_EXPECT_NONE ((int64_t)-1)    /* no event has ever been written to it */
#define RILLE_EXPECT_EXISTS ((int64_t)-2)  /* at least one has; n > 0: its version is n */

/* What happens to one stream: events to write, if any, and what must hold. */
typedef struct rille_part {
  rille_text stream;
  int64_t expect;
  const rille_event_input *events;
  size_t event_count;        /* 0: the stream is only checked */
} rille_part;

/* A named position, such as how far a processor has come. */
typedef struct rille_mark_move {
  rille_text name;           /* empty: no mark is moved */
  uint64_t from, to;         /* must be at `from` (0: never set), and goes to `to` */
} rille_mark_move;

typedef struct rille_query rille_query;

typedef struct rille_append {
  size_t size;               /* sizeof(rille_append) */
  const rille_part *parts;
  size_t part_count;
  int64_t now_us;            /* the time, in microseconds since 1970; 0: the store's clock tells */
  uint64_t *versions;        /* NULL, or room for part_count: each stream's, after the append */
  const rille_query *unless; /* refused if an event matches after `after`; NULL: no such
                             ** condition. Of the query only items and `after` count */
  rille_mark_move mark;
  int internal;              /* for rille's own scripts: names may begin with "$" */
  int64_t wait_ms;           /* how long to wait for locks of transactions; RILLE_FOREVER */
} rille_append;

typedef struct rille_appended {
  uint64_t first, last;      /* positions; 0, 0 where nothing was written */
  uint64_t version;          /* of the last part's stream, after the append */
  int duplicate;             /* the ids were known: it was written before, these are the
                             ** positions and versions of then */
} rille_appended;

/* Writes all events of all parts, atomically, or nothing. All conditions are
** about the moment before the append, and hold exactly, whoever else appends.
** `done` may be NULL.
** Who is not sure whether an append happened repeats it with the same ids: the
** same ids in the same streams, or the first of them, are answered with what was
** told then, whatever the expectations. Where the first id of a stream's events is
** known and a later one differs: RILLE_DUPLICATE.
** Errors, the first that applies: RILLE_INVALID (names the field), RILLE_DUPLICATE,
** RILLE_CONFLICT (stream and version; or position), RILLE_FULL (nothing was
** written), RILLE_IO, RILLE_UNKNOWN (the flush failed: the events may be there
** after a restart), RILLE_READONLY. */
RILLE_API int rille_store_append(rille_store *store, const rille_append *append,
                                 rille_appended *done, rille_error *error);
/* What is wrong with an append whatever store it is for: names, counts and sizes. For who
** collects what is written later. RILLE_INVALID (names the field). */
RILLE_API int rille_append_check(const rille_append *append, rille_error *error);

/* Makes everything written durable. */
RILLE_API int rille_store_sync(rille_store *store, rille_error *error);

#define RILLE_FOREVER ((int64_t)-1)
/* Waits until the event at `position` is there and as safe as this handle's sync
** makes it: durable, with "never" written. Woken by appends of any process. 0: it
** is; RILLE_REMARK: not within timeout_ms, or a signal came. */
RILLE_API int rille_store_wait(rille_store *store, uint64_t position, int64_t timeout_ms,
                               rille_error *error);

/* Hides a stream's events with versions less than `before` (at most its version
** + 1) from reading that stream; deleting hides all there are. Versions go on
** where they were. Reading everything still shows the events.
** RILLE_NOTFOUND where the stream never had one. */
RILLE_API int rille_store_truncate(rille_store *store, rille_text stream, uint64_t before,
                                   rille_error *error);
/* The same for rille's own scripts: the name may begin with "$". */
RILLE_API int rille_store_prune(rille_store *store, rille_text stream, uint64_t before,
                                rille_error *error);
RILLE_API int rille_store_delete(rille_store *store, rille_text stream, rille_error *error);

/* Where a mark is; 0: it was never set. */
RILLE_API int rille_store_mark(rille_store *store, rille_text name, uint64_t *position,
                               rille_error *error);

typedef struct rille_mark_found {
  char name[RILLE_NAME_BYTES];
  size_t name_length;
  uint64_t position;
} rille_mark_found;

/* The first mark, in byte order, whose name is greater than `after` (empty: of all). A walk
** takes the name for the next `after`: nothing is held in between. RILLE_NOTFOUND: none. */
RILLE_API int rille_store_mark_next(rille_store *store, rille_text after, rille_mark_found *found,
                                    rille_error *error);

/* Does work that is due and that no background thread does: with no_background,
** flushes of sync "interval" and folds; otherwise nothing, and never waits for the
** disk. */
RILLE_API int rille_store_poll(rille_store *store, rille_error *error);

/* ---- Reading ------------------------------------------------------------- */

/* An event as read. Texts live until the reader's next step or end. */
typedef struct rille_event {
  uint64_t position, version;
  int64_t time_us;
  rille_text stream, type, data, meta;
  rille_text id;             /* empty where the caller gave none: see rille_event_id */
  size_t tag_count;
  const void *record;        /* for rille_event_tag and rille_event_id */
  int redacted;              /* data and meta were taken out of the log: rille_store_redact */
} rille_event;

/* What is shown in the place of a redacted name of a stream or a tag. */
#define RILLE_REDACTED_NAME "$redacted"

/* The id of an event, given or made; `room` is used for a made one. A made id
** is a UUID (version 8) of the store's identity and the position. */
#define RILLE_ID_BYTES 36
RILLE_API rille_text rille_event_id(const rille_event *event, char room[RILLE_ID_BYTES]);

/* Tag 0 .. tag_count - 1, in the order in which they were given. */
RILLE_API rille_text rille_event_tag(const rille_event *event, size_t number);

/* One item of a query: all that is given must hold. An item that names neither types nor a
** stream leaves out events whose type begins with "$", which are rille's own; and so does a
** query without items, unless it reads a stream. */
typedef struct rille_item {
  const rille_text *types;   /* one of these; none: any */
  size_t type_count;
  const rille_text *tags;    /* all of these */
  size_t tag_count;
  rille_text stream;         /* empty: any */
  rille_text category;       /* the stream's name up to its first "-"; empty: any */
  rille_text prefix;         /* what the stream's name begins with; empty: any */
  uint64_t after;            /* positions greater than this, and than the query's `after` */
} rille_item;

struct rille_query {
  size_t size;               /* sizeof(rille_query) */
  rille_text stream;         /* read this stream, by versions; empty: all, by positions */
  const rille_item *items;   /* one of these; none: all events (but rille's own) */
  size_t item_count;
  uint64_t after;            /* exclusive, in either direction */
  uint64_t before;           /* exclusive; 0: to the end at the moment of the call */
  uint64_t limit;            /* 0: no limit */
  int reverse;
  uint32_t share, shares;    /* of so many shares the streams of this one, from 1; 0: all */
  int taken_too;             /* for rille's own scripts: also what a scavenge took, without data */
};

/* Which of so many shares a name belongs to, from 1: for ever the same (FNV-1a). `shares` is at
** least 1. */
RILLE_API uint32_t rille_share_of(rille_text name, uint32_t shares);

typedef struct rille_reader rille_reader;

/* Starts reading; query may be NULL for everything. A reader sees the store as
** it was at this call. It holds its store open until it is ended, and pins
** nothing. RILLE_INVALID where `after` is beyond the end. */
RILLE_API int rille_store_read(rille_store *store, const rille_query *query,
                               rille_reader **reader, rille_error *error);

/* 1: `event` is the next; 0: the end; < 0: an error, and so it stays. Every
** byte given out has been checked against its checksum. */
RILLE_API int rille_reader_next(rille_reader *reader, rille_event *event, rille_error *error);

/* Which item of the query the last event matched first, from 0. */
RILLE_API size_t rille_reader_item(const rille_reader *reader);

/* How a reader finds its events: along the log, or along the chains of streams, types and
** tags that the query names, whichever is cheaper by their counts. */
typedef struct rille_explanation {
  int scan;                  /* 1: along the log; 0: along the chains */
  uint64_t events;           /* in the range of the query: positions, or the stream's versions */
  uint64_t members;          /* of the chains in that range, or a few more; counted until a
                                scan was known to be cheaper. No chains: as many as events */
  size_t chain_count;        /* also where the log was cheaper */
} rille_explanation;

typedef struct rille_chain {
  const char *kind;          /* "stream", "type", "tag" */
  rille_text name;           /* lives until the reader's end */
  uint64_t count;            /* its members, counted in the same way */
} rille_chain;

/* Before the first step. */
RILLE_API void rille_reader_explain(const rille_reader *reader, rille_explanation *explanation);
/* Chain 0 .. chain_count - 1. */
RILLE_API rille_chain rille_reader_chain(const rille_reader *reader, size_t number);

RILLE_API void rille_reader_end(rille_reader *reader);

/* The position of the last event that readers see; 0: none, or it can't be looked for (after a
** fork, say: any call that has an error tells). */
RILLE_API uint64_t rille_store_head(rille_store *store);

/* The position of the last event that no power cut can take. */
RILLE_API uint64_t rille_store_durable(rille_store *store);

/* The number of the last event ever written to a stream; 0: none was. */
RILLE_API int rille_store_version(rille_store *store, rille_text stream, uint64_t *version,
                                  rille_error *error);

/* ---- Keeping bytes ------------------------------------------------------- */

/* Beside what it makes of the log itself, the index keeps bytes for who folds events: states,
** snapshots, how far they came. A sorted map, one for the store and all its processes; keys
** are in byte order. It is part of the index: all of it is gone when index/ is deleted or made
** anew, and must be made again from the log. A power cut may take the last writes, in order. */
#define RILLE_KEPT_KEY_BYTES 511                      /* at least 1 */
#define RILLE_KEPT_WRITE_BYTES ((size_t)256 << 20)    /* keys and values of one write */

/* What reading fills. A value that has no room is not copied: the call returns RILLE_REMARK,
** and succeeds with a room of `length` bytes. */
typedef struct rille_kept {
  void *room;                /* the caller's, for the value */
  size_t room_bytes;
  size_t length;             /* of the value */
  char key[RILLE_KEPT_KEY_BYTES]; /* of rille_store_kept_next */
  size_t key_length;
} rille_kept;

/* What is kept under a key. RILLE_NOTFOUND; RILLE_INVALID (the key's length); RILLE_CORRUPT. */
RILLE_API int rille_store_kept_get(rille_store *store, rille_text key, rille_kept *kept,
                                   rille_error *error);

/* The first key greater than `after` (empty: from the beginning) that begins with `prefix`.
** A walk takes the key for the next `after`: nothing is held in between. RILLE_NOTFOUND: none. */
RILLE_API int rille_store_kept_next(rille_store *store, rille_text after, rille_text prefix,
                                    rille_kept *kept, rille_error *error);

typedef struct rille_kept_put {
  rille_text key, value;
  int remove;                /* instead; no error where nothing is there */
} rille_kept_put;

typedef struct rille_kept_write {
  size_t size;               /* sizeof(rille_kept_write) */
  const rille_kept_put *puts;/* in this order */
  size_t put_count;
  rille_text expect_key;     /* holds expect_value, or nothing is written; empty: no condition */
  rille_text expect_value;
  int expect_absent;         /* instead: nothing is kept under expect_key */
  uint64_t position;         /* the values follow from events up to this one; 0: from any that
                             ** is written. These are made durable before */
  int expect_generation;     /* nothing is written where content was redacted, or log files were
                             ** replaced, since rille_store_log_generation gave `generation` */
  uint64_t generation;       /* ask for it before the first of the events is read */
} rille_kept_write;

/* Writes all of it or nothing, in one transaction. RILLE_CONFLICT: an expectation is not met;
** RILLE_INVALID (a key's length, too much, a position that is not there yet), RILLE_READONLY,
** RILLE_FULL, RILLE_IO. */
RILLE_API int rille_store_kept_write(rille_store *store, const rille_kept_write *write,
                                     rille_error *error);

/* The same without waiting for the disk: a copy of all of it is left to the background thread.
** 0: begun, and *keeping is to be freed; or any failure that can be told before. RILLE_REMARK:
** there is no such thread, and nothing was begun. Several are done in their order. */
typedef struct rille_keeping rille_keeping;
RILLE_API int rille_store_kept_begin(rille_store *store, const rille_kept_write *write,
                                     rille_keeping **keeping, rille_error *error);

/* How it went, as rille_store_kept_write tells. Where it is not over: waits, or with `wait` 0
** returns RILLE_REMARK. */
RILLE_API int rille_store_kept_result(rille_store *store, rille_keeping *keeping, int wait,
                                      rille_error *error);

/* Also before it is over, which it then becomes without anybody's being told; also after the
** store was closed, which waits for it, if its allocator is still there. NULL is nothing. */
RILLE_API void rille_keeping_free(rille_keeping *keeping);

/* Removes keys that begin with `prefix` (empty: all), the first `most` of them, and tells how
** many it were. */
RILLE_API int rille_store_kept_erase(rille_store *store, rille_text prefix, uint64_t most,
                                     uint64_t *erased, rille_error *error);

/* ---- Looking after it ---------------------------------------------------- */

typedef struct rille_stats {
  uint64_t head, durable;        /* positions */
  uint64_t streams, types, tags; /* how many of each have an event */
  uint64_t log_bytes;            /* from the first address to the end */
  uint64_t unfolded_bytes;       /* of these not yet in the index */
  uint64_t index_bytes;          /* of the index's file */
  uint64_t segments;
  uint64_t appends, flushes, folds;  /* of all processes, since the first of them opened it */
  char uuid[37];
  uint64_t written;              /* position of the last event that is in the log */
  uint64_t ids, marks;           /* how many streams' parts of appends came with an id; marks */
  uint64_t index_readers;        /* processes that have the index open */
  int64_t created_us;            /* when the store was made; microseconds since 1970 */
  int64_t last_us;               /* time of the last append; 0: there was none */
  int failed;                    /* a flush has failed: close it everywhere */
  uint64_t kept;                 /* keys under which scripts keep something */
  uint64_t indoubt, pending;     /* transactions: prepared here, not known; decided, not ended */
  int64_t oldest_us;             /* age of the oldest of both */
  struct rille_step_stats {      /* steps of transactions here, by all processes */
    uint64_t count;
    int64_t time_us;             /* in all */
  } prepares, decisions, commits, forces; /* forces: flushes that the first two waited for */
} rille_stats;

RILLE_API int rille_store_stats(rille_store *store, rille_stats *stats, rille_error *error);

typedef struct rille_problem {
  const char *invariant;     /* "L7", as numbered in docs/design.md */
  uint64_t address;          /* of the log; 0 where it is about the index */
  uint64_t position;
  const char *message;
} rille_problem;

typedef struct rille_verify {
  size_t size;               /* sizeof(rille_verify) */
  int (*problem)(void *context, const rille_problem *problem);  /* not 0: tell no more */
  void (*progress)(void *context, uint64_t done_bytes, uint64_t all_bytes);
  void *context;
} rille_verify;

typedef struct rille_verified {
  uint64_t events, bytes, problems;
  uint64_t readable;         /* the last position before the first damage */
} rille_verified;

/* Reads every byte of the log and the index and reports each broken invariant.
** 0: sound; RILLE_REMARK: problems were reported; < 0: could not look. */
RILLE_API int rille_store_verify(rille_store *store, const rille_verify *options,
                                 rille_verified *result, rille_error *error);

/* ---- Retention ------------------------------------------------------------ */

typedef struct rille_scavenge {
  size_t size;               /* sizeof(rille_scavenge) */
  int dry_run;               /* only tell what it would do */
} rille_scavenge;

typedef struct rille_scavenged {
  uint64_t segments;         /* log files that were replaced */
  uint64_t events, bytes;    /* whose content was taken; bytes that the disk has back */
} rille_scavenged;

/* Gives back the bytes of what nobody can need: data and meta of events that a truncation or a
** deletion has hidden, and the work of transactions that are over (their events stay). From then
** on such an event is found by no reading at all; positions, versions and ids stay what they are,
** so the next one is as it would have been. Log files are replaced while others read and append;
** the last one is first succeeded by a new one, if there is something in it. If the power goes
** there is the old file or the new one. RILLE_READONLY, RILLE_FULL, RILLE_IO; RILLE_BUSY from
** within a callback of verify. */
RILLE_API int rille_store_scavenge(rille_store *store, const rille_scavenge *options,
                                   rille_scavenged *done, rille_error *error);

typedef struct rille_redact {
  size_t size;               /* sizeof(rille_redact) */
  const uint64_t *positions; /* events whose content is to be taken, in any order */
  size_t position_count;
  int keep_data;             /* of these events data and meta stay */
  int ids;                   /* of these events the ids that a caller gave go, too: an append that
                             ** is repeated with such an id is not recognised any more */
  const rille_text *tags;    /* names that are taken out of every event that has them by now */
  size_t tag_count;
  const rille_text *streams; /* the same; such a stream is none any more, and may begin again */
  size_t stream_count;
  rille_text reason;         /* is kept in the log: it must not tell the content */
  /* Called for each key under which something is kept: not 0 where that has not seen the
  ** content, and stays. It must not use the store. NULL: nothing stays. */
  int (*keeps)(void *context, rille_text key, rille_text value);
  void *context;
  /* Called once before these: the redaction is noted, and from now on no write that expects an
  ** older generation is kept. It may read, to know what `keeps` will say, and must change nothing
  ** and not close the store. NULL: it is not called. */
  void (*noted)(void *context);
} rille_redact;

typedef struct rille_redacted {
  uint64_t segments, events; /* log files that were replaced; events that lost something */
} rille_redacted;

/* Takes content out of the log for good. First it is noted in the log, durably, that these events
** are redacted: from then on nobody is shown their content, whatever happens. Then the log files
** are replaced by such without it, and the index is made anew; when this returns, no file of the
** store holds the content. If the process dies in between, the next who opens the store, or calls
** this, goes on. A redacted event keeps position, version, time and type; `redacted` says so.
** Copies elsewhere are not looked for: backups, other stores, events made from this one.
** RILLE_INVALID (a position that is not there, no name and no position, too many of them),
** RILLE_READONLY, RILLE_FULL, RILLE_IO: what was noted will be finished. */
RILLE_API int rille_store_redact(rille_store *store, const rille_redact *redact,
                                 rille_redacted *done, rille_error *error);

/* Goes up when log files were replaced or content redacted, by any process. */
RILLE_API uint64_t rille_store_log_generation(rille_store *store);
/* Another number each time content was taken out of the log files; 0: never. What was computed
** of the log and is to be as if computed now is kept with it. */
RILLE_API int rille_store_log_form(rille_store *store, uint64_t *form, rille_error *error);
/* Whether a redaction is noted and not finished, also of one who has died: its content is not
** shown any more, and may yet be in what was kept before. */
RILLE_API int rille_store_redacting(rille_store *store, int *redacting, rille_error *error);

/* Copies the store, as it is at the moment of the call and while others append,
** to a folder that must not exist. Closed log files are linked where the file
** system can, copied elsewhere. What is written is flushed before, and the copy
** is whole and flushed when this returns; if the power goes before, `folder` is
** not there. RILLE_INVALID where it exists. */
RILLE_API int rille_store_backup(rille_store *store, const char *folder, rille_error *error);

/* The same, and tells how far it is. RILLE_REFUSED where `progress` gives it up: there is no
** copy then. */
RILLE_API int rille_store_backup_told(rille_store *store, const char *folder,
                                      rille_progress progress, void *context, rille_error *error);

#ifdef __cplusplus
}
#endif

#include "rille_transaction.h"
#endif
