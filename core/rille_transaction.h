/* rille_transaction.h: transactions over several stores; a part of rille.h, which includes it.
**
** Several stores, and others that can promise, do something together or not at all: by a
** two-phase commit. Its steps, for who drives them:
**
**   1 The coordinator is an INSTANCE of its home store and gives the transaction an id.
**   2 Each other participant PREPARES: it writes what it promises, in one frame, and from
**     then on locks what that needs. Flushed, this is its vote "yes".
**   3 Home DECIDES: one frame, with home's own events. The first decision in the order of
**     home's log wins, whoever wrote it; flushed, it is final.
**   4 Participants COMMIT or ABORT, by a frame that nobody waits for to be flushed.
**   5 Once every member's commit is durable, home notes the END.
**
** Who finds something prepared and can't ask its coordinator, SETTLES: he looks into home's
** log, and where nothing is decided and the coordinator is dead or late, decides that it is
** aborted. So no transaction stays in doubt longer than home is out of reach.
** rille_steps tells which step comes next, and does none itself.
**
** Ids of transactions are texts: HOME-UUID.EPOCH.NONCE.NUMBER, never used twice. */
#ifndef RILLE_TRANSACTION_H
#define RILLE_TRANSACTION_H

#include "rille.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RILLE_MEMBERS 1000          /* participants of one transaction, at most */

typedef struct rille_instance rille_instance;

/* A coordinator begins to live on `home`: writes its epoch, durably, and takes a lock that
** the system frees when it dies. Closes the epochs of those that have died: what they had not
** decided is aborted by that. `name` is for people. Any number may live on one store. */
RILLE_API int rille_instance_open(rille_store *home, rille_text name, rille_instance **instance,
                                  rille_error *error);
/* Ends it; what it has not decided is aborted. It holds its store open until then. */
RILLE_API int rille_instance_close(rille_instance *instance, rille_error *error);

typedef struct rille_begun {
  char id[RILLE_TRANSACTION_BYTES]; /* NUL-terminated */
  uint64_t home_end;                /* how far home's log was durable */
} rille_begun;

/* A new transaction: its id. Writes nothing. RILLE_CLOSED after a fork. */
RILLE_API int rille_instance_begin(rille_instance *instance, rille_begun *begun,
                                   rille_error *error);

typedef struct rille_prepare {
  size_t size;            /* sizeof(rille_prepare) */
  rille_text id;          /* of the transaction */
  rille_text name;        /* of this participant in it */
  rille_text home_kind;   /* "store"; or what another layer knows, such as "postgres" */
  rille_text home_path;   /* of a store: absolute; of others: how that layer finds it */
  uint64_t home_end;      /* as begun */
  rille_text coordinator; /* name, for people */
  rille_text client;      /* the caller's id for the work; empty: none */
  int64_t deadline_us; /* wall clock, since 1970: later, who is in doubt may abort it; 0: never */
  rille_text detail;   /* bytes for who reads it again; at most RILLE_NAME_BYTES * 256 */
  const rille_append *work; /* events and conditions; `versions` is filled in */
} rille_prepare;

typedef struct rille_prepared {
  int checks_only; /* no event, no mark: nothing but conditions */
  uint64_t flush;  /* up to here the log must be durable before this is a "yes":
                             ** rille_store_flush; 0: it need not be */
} rille_prepared;

/* Promises: checks the conditions, fixes versions, reserves space, and locks. Never waits for
** a lock, and no longer than to its deadline for its turn to write: RILLE_BUSY. Other refusals:
** those of an append; RILLE_LOCKED; RILLE_ABORTED where it was told to abort
** before; RILLE_DUPLICATE where it has prepared this before. */
RILLE_API int rille_store_prepare(rille_store *store, const rille_prepare *prepare,
                                  rille_prepared *prepared, rille_error *error);

/* Makes the log durable up to `end`, sharing the flush with others. */
RILLE_API int rille_store_flush(rille_store *store, uint64_t end, rille_error *error);
/* Whether it is, without doing anything: 1, 0. */
RILLE_API int rille_store_is_flushed(rille_store *store, uint64_t end);

typedef struct rille_finished {
  uint64_t first, last; /* positions of the events; 0, 0: none. To be told once durable */
  uint64_t end;         /* of the frame that did it, for rille_store_flush */
} rille_finished;

/* Does what was promised. RILLE_REMARK: it was committed before, `finished` is of then.
** RILLE_NOTFOUND: never prepared here. RILLE_ABORTED: it has been aborted here, by hand; the
** contradiction is logged (rille_store_indoubt, `contradicted`). RILLE_BUSY: others have kept
** the log until the promise's deadline, and for a second at least: it is to be told again. */
RILLE_API int rille_store_commit(rille_store *store, rille_text id, rille_finished *finished,
                                 rille_error *error);
/* Drops it. Where nothing was prepared, a later prepare is refused. RILLE_REMARK: aborted
** before. RILLE_BUSY: as of rille_store_commit. RILLE_CONFLICT: it has been committed here; the
** contradiction is logged. */
RILLE_API int rille_store_abort(rille_store *store, rille_text id, rille_finished *finished,
                                rille_error *error);

enum rille_outcome {
  RILLE_OUTCOME_NONE = 0,  /* nothing is known of it */
  RILLE_OUTCOME_UNDECIDED, /* its coordinator lives, or its epoch is not closed */
  RILLE_OUTCOME_COMMITTED,
  RILLE_OUTCOME_ABORTED,
  RILLE_OUTCOME_UNKNOWN /* older than the log remembers, or not this log's */
};

typedef struct rille_decide {
  size_t size; /* sizeof(rille_decide) */
  rille_text id, client;
  uint64_t home_end; /* as begun */
  int outcome;               /* RILLE_OUTCOME_COMMITTED or RILLE_OUTCOME_ABORTED */
  const rille_text *members; /* names of the participants that are to commit */
  size_t member_count;
  rille_text detail; /* bytes for who recovers, and for who asks again; <= RILLE_EVENT_BYTES */
  const rille_append *work; /* home's own events and conditions; NULL: none */
  const rille_text *ended;  /* transactions whose end is noted by the same frame, as by */
  size_t ended_count;       /* rille_store_end; only if it decides as asked */
  int64_t deadline_us;      /* wall clock: RILLE_BUSY where the log is not to be had by then; 0:
                            ** never */
} rille_decide;

typedef struct rille_decided {
  int outcome;          /* the one that holds */
  uint64_t first, last; /* positions of home's events */
  uint64_t end;         /* flush home up to here before anybody is told */
} rille_decided;

/* Decides at home. 0: as asked. RILLE_REMARK: it had been decided; `outcome` tells how.
** RILLE_DUPLICATE: another transaction of this client id is committed. RILLE_CONFLICT,
** RILLE_LOCKED ...: home's own no; nothing is written. RILLE_UNKNOWN: the disk failed, and the
** decision may be there: nobody may be told that it is aborted. */
RILLE_API int rille_store_decide(rille_store *home, const rille_decide *decide,
                                 rille_decided *decided, rille_error *error);

/* Whether home's conditions hold now: an early no. Takes no lock and writes nothing. */
RILLE_API int rille_store_check(rille_store *store, const rille_append *work, rille_error *error);

typedef struct rille_told {
  int outcome; /* enum rille_outcome */
  int ended;   /* every member has acknowledged */
  char id[RILLE_TRANSACTION_BYTES];
  uint64_t first, last, end; /* of the decision */
  int64_t time_us;           /* of the decision; 0: none */
  uint64_t aborted_at;       /* who began with this client's id before this address is aborted */
  void *room;                /* the caller's, for the detail of a decision */
  size_t room_bytes, length; /* longer than the room: RILLE_REMARK, and call again */
} rille_told;

/* What home knows of a transaction, by its id or by the client's. */
RILLE_API int rille_store_outcome(rille_store *home, rille_text id, rille_told *told,
                                  rille_error *error);

/* What home knows for good: undecided ones whose coordinator is dead, or with `force`
** whatever it does, are aborted by this; made durable. Of none ever heard of: with `force`
** and an id of this home, aborted too. */
RILLE_API int rille_store_outcome_settle(rille_store *home, rille_text id, int force,
                                         rille_told *told, rille_error *error);

/* Home: every member's commit is durable. Who decides says so; without it the decision stays
** pending: it is listed by rille_store_pending and counted in rille_stats, and
** rille_store_forget goes no further. A coordinator in Lua on the same home does it for decisions
** whose `detail` is a coordinator's in Lua; for all others, and those without, nobody else does.
** So who decides in C looks, when it starts, at what is pending: for each, rille_store_settle
** and then rille_store_sync in every store that may have taken part, and then this. */
RILLE_API int rille_store_end(rille_store *home, rille_text id, rille_error *error);

/* A transaction that is not over in a store. Texts live until rille_doubts_free. */
typedef struct rille_doubt {
  rille_text id, name, coordinator, client, home_kind, home_path, home_relative;
  rille_text detail;      /* of the prepare; by hand: the reason */
  int64_t age_us, deadline_us;
  int by_hand;            /* an operator has resolved it here */
  uint64_t home_end;
  int contradicted; /* done by hand, and home has decided otherwise */
  int restored;     /* prepared before this store was restored from a copy */
  uint64_t end;     /* pending: of the decision */
} rille_doubt;
typedef struct rille_doubts {
  rille_doubt *list;
  size_t count;
  void *own; /* rille's */
} rille_doubts;

/* Prepared here, outcome not known (and contradictions). */
RILLE_API int rille_store_indoubt(rille_store *store, rille_doubts *doubts, rille_error *error);
/* Decided here to commit, and not ended; `detail` is the decision's. */
RILLE_API int rille_store_pending(rille_store *home, rille_doubts *doubts, rille_error *error);
RILLE_API void rille_doubts_free(rille_doubts *doubts);

typedef struct rille_settle {
  size_t size;     /* sizeof(rille_settle) */
  rille_text id;   /* empty: all */
  rille_text home; /* where home is, for those not found otherwise; empty */
} rille_settle;
typedef struct rille_settled {
  uint64_t committed, aborted;
  uint64_t undecided;   /* their coordinators live */
  uint64_t unreachable; /* home not found, or it does not know: `error` of the last */
} rille_settled;

/* Looks into the homes of what is prepared here and does what they say. Never waits for a
** coordinator. 0 also where some can't be settled; RILLE_NOTFOUND: nothing such is prepared. */
RILLE_API int rille_store_settle(rille_store *store, const rille_settle *settle,
                                 rille_settled *settled, rille_error *error);

/* By hand, where home will never answer: logged, and compared with what home says later. */
RILLE_API int rille_store_resolve(rille_store *store, rille_text id, int outcome, rille_text reason,
                                  rille_error *error);

/* Before a strong read of what the query finds (NULL: everything): it will see every commit
** that was written before, and of what is prepared here and would be found, whatever is
** decided. Flushes and settles if there is anything to. RILLE_LOCKED: such is prepared, and
** its home can't be asked. */
RILLE_API int rille_store_strong(rille_store *store, const rille_query *query,
                                 rille_error *error);

/* Decisions older than `before_us` (wall clock) that have ended may be forgotten: their
** outcome is from then on RILLE_OUTCOME_UNKNOWN. Goes no further than the first not ended. */
RILLE_API int rille_store_forget(rille_store *home, int64_t before_us, rille_error *error);

/* Steps of one transaction: a machine that is told what happened and tells what to do. It
** does nothing itself, knows no clock, and is finished when it says so. What it is told late
** or again changes nothing, and so does what it never asked for (a library built with
** -DRILLE_DEBUG stops there). */
typedef struct rille_steps rille_steps;

enum rille_vote { RILLE_VOTE_NONE = 0, RILLE_VOTE_YES, RILLE_VOTE_READ, RILLE_VOTE_NO };

enum rille_step {
  RILLE_STEP_WAIT = 0, /* nothing, until something is told */
  RILLE_STEP_PREPARE,  /* participant: steps_prepared tells that its frame is written, or its no */
  RILLE_STEP_FLUSH,    /* participant: make the promise durable; then steps_voted */
  RILLE_STEP_ASK,      /* the policy; then steps_verdict */
  RILLE_STEP_DECIDE,   /* home, to commit with the members; then steps_decided */
  RILLE_STEP_FORCE,    /* home: flush the decision; then steps_forced */
  RILLE_STEP_COMMIT,   /* participant; then steps_finished */
  RILLE_STEP_ABORT,    /* participant; then steps_finished */
  RILLE_STEP_ANSWER,   /* the client; steps_outcome says what; then steps_answered */
  RILLE_STEP_WATCH,    /* participant: steps_acknowledged when its commit is durable */
  RILLE_STEP_END,      /* home notes the end; then steps_ended */
  RILLE_STEP_OVER      /* nothing is left to do */
};

typedef struct rille_steps_participant {
  int optional, voter; /* neither: required */
  int prepares_later;  /* its prepare is durable when written: no FLUSH (handlers, databases) */
} rille_steps_participant;

/* Participants other than home, by number from 0. NULL: no memory, or more than RILLE_MEMBERS. */
RILLE_API rille_steps *rille_steps_new(const rille_steps_participant *participants, size_t count);
RILLE_API void rille_steps_free(rille_steps *steps);
/* What is to be done now, and for which participant. The same again until it is told. */
RILLE_API enum rille_step rille_steps_next(const rille_steps *steps, size_t *participant);

/* Its frame is written. Where it needs no flush this is its vote, too, unless steps_voted tells
** another: of a store "read" (it has only conditions), of who prepares_later "yes". */
RILLE_API void rille_steps_prepared(rille_steps *steps, size_t participant, int needs_flush);
/* A vote; also RILLE_VOTE_NO in answer to PREPARE. RILLE_VOTE_NONE: not known whether it is
** prepared, which counts as no, and it is told to abort. */
RILLE_API void rille_steps_voted(rille_steps *steps, size_t participant, enum rille_vote vote);
/* The policy's answer. RILLE_OUTCOME_UNDECIDED: wait for more. To commit: `members` (NULL: all
** who voted yes or read), checked: each has voted so, and every required participant is among
** them; otherwise RILLE_INVALID, and the transaction aborts. */
RILLE_API int rille_steps_verdict(rille_steps *steps, int outcome, const size_t *members,
                                  size_t count, rille_error *error);
/* The deadline has passed, or the client gave up: aborts what is not decided. */
RILLE_API void rille_steps_timeout(rille_steps *steps);
/* RILLE_OUTCOME_COMMITTED, also where it was before; ABORTED: somebody else decided first; NONE:
** home's no; UNKNOWN: home can't tell whether its frame is written. */
RILLE_API void rille_steps_decided(rille_steps *steps, int outcome);
RILLE_API void rille_steps_forced(rille_steps *steps,
                                  int flushed); /* 0: outcome unknown until repair */
/* COMMIT or ABORT was done, or its participant is out of reach: left to who recovers. */
RILLE_API void rille_steps_finished(rille_steps *steps, size_t participant, int reached);
RILLE_API void rille_steps_answered(rille_steps *steps);
RILLE_API void rille_steps_acknowledged(rille_steps *steps, size_t participant);
RILLE_API void rille_steps_ended(rille_steps *steps);
RILLE_API int rille_steps_outcome(const rille_steps *steps); /* enum rille_outcome */
RILLE_API enum rille_vote rille_steps_vote(const rille_steps *steps, size_t participant);
/* Whether it is to commit. A voter never is. */
RILLE_API int rille_steps_is_member(const rille_steps *steps, size_t participant);
RILLE_API const char *rille_steps_state(const rille_steps *steps); /* its name, for people */

/* ---- A whole transaction over stores ---- */

#define RILLE_TIMEOUT_US 4000000000000000000 /* practically never; sums of times don't overflow */

/* A store that takes part, beside home. It is required. */
typedef struct rille_member {
  rille_store *store;
  rille_text name;
  const rille_append *work; /* `versions` is filled in */
  /* What became of it: */
  enum rille_vote vote;
  int checks_only;         /* its promise is nothing but conditions */
  rille_error error;       /* why it said no, or did not commit; code 0: it did not */
  int reached;             /* it was told the outcome; else rille_store_settle on it does that, and
                           ** home's end has to wait */
  rille_finished finished; /* reached and committed; where end is 0 no flush of it is awaited */
} rille_member;

typedef struct rille_transacted {
  int outcome;            /* COMMITTED, ABORTED, UNKNOWN */
  rille_error home_error; /* home's own no; code 0: there was none */
  rille_decided decided;
} rille_transacted;

typedef struct rille_transact {
  size_t size; /* sizeof(rille_transact) */
  rille_store *home;
  rille_text id; /* as begun */
  uint64_t home_end;
  rille_text home_path, coordinator, client; /* as of rille_prepare */
  rille_text detail;                         /* of the promises */
  const rille_append *work;                  /* home's; NULL: none */
  rille_member *members;
  size_t member_count;
  int64_t timeout_us; /* until home is to decide, at most RILLE_TIMEOUT_US */
  int64_t elapsed_us; /* of it, before the call */
  /* All have voted yes: gives the decision's `detail` and `ended`, which must outlive the
  ** answer. Not 0: there is no memory, which is home's no. NULL: there are none. Who took part is
  ** known to who makes the detail: a coordinator in Lua on the same home leaves the end of such a
  ** transaction to the host (rille_store_pending, rille_store_end). */
  int (*describe)(void *context, rille_decide *decide);
  /* While the disk takes the decision, which is written and not yet forced: for what need not wait
  ** until it is known, of which `reached` and `finished` of the members are not. Not 0: it has
  ** closed one of the stores, so nothing more is done and the outcome is unknown. NULL: nothing. */
  int (*meanwhile)(void *context, const rille_transacted *done);
  void *context; /* of both */
} rille_transact;

/* Runs rille_steps over stores from the first promise to the answer: all of them or none. A lock
** whose holder is dead or late is settled on the way. 0: committed, durably; members are told,
** and `reached` where that was possible. RILLE_ABORTED: nothing happened; RILLE_UNKNOWN: nobody
** can tell yet; with the first cause in `error`. A member that may have promised although its
** disk failed has vote NONE, and was told to abort. The end is the caller's to note. */
RILLE_API int rille_store_transact(const rille_transact *transact, rille_transacted *done,
                                   rille_error *error);

#ifdef __cplusplus
}
#endif
#endif
