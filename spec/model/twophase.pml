/* twophase.pml: the two-phase commit as a model, for Spin: one transaction T, its home store
** and N other participants.
**
** The idea: the order of home's log decides. Whoever decides, the coordinator or who is in
** doubt, writes a frame there; the first one counts, whoever wrote it. So the model's home is
** nothing but a log of a few frames with a written and a durable end, and each participant's
** log is its last frame of T, written and durable.
**
** What may happen: written is not durable. A kill keeps what was written, a power cut drops any
** part of the end that no flush has covered, a flush that fails leaves pages that look clean.
** Messages are sets that never shrink: they may be lost, late, doubled, out of order. Anybody
** is killed or loses power between any two steps. Each step is atomic, for in the code it is one
** critical section of a writer lock; its comment names the function that is this step.
**
** What must hold: I1 to I12, at the end of this file.
**
** Options (-D):
**   N=1..3     participants beside home
**   Q=n        yes votes needed, home's apart: the others are optional (default: all)
**   SAMEBOX    one power cut hits all of them
**   RO         participant 0 only has conditions and does not flush what it prepares
**   READER     positions at participant 0, another's append, and who reads them
**   FORGET     home forgets decisions that have ended
**   HOLD       home holds its conditions from the beginning, instead of checking when it decides
**   RESTORE    home may be restored from a backup, and is marked as such
**   FSYNCFAIL  a flush of home may fail
**   LOCKFENCE  who settles looks at the coordinator's lock, and writes no frame
**   LIVE=k     at most k crashes; then everything must come to its end
**   CYC        with LIVE and pan -l: is there a cycle?
**   REACH      fails where the good end is reachable: so it must fail
**   M_...      a mutant: one rule left out. Each must fail. */
#ifndef N
#define N 1
#endif
#ifndef Q
#define Q N
#endif

/* ---- What the parties are ------------------------------------------------------------- */

mtype = { NONE, PREPARED, COMMITTED, ABORTED }; /* a participant: T's last frame in its log */
mtype = { IDLE, ASKING, DECIDED, SENDING, DEAD }; /* the coordinator */

#define EACH(i) for (i : 0 .. N-1)
#if N == 1
#define YES (yes[0])
#define UNSENT (unsent(0))
#define ACKNOWLEDGED (is_acknowledged(0))
#elif N == 2
#define YES (yes[0] + yes[1])
#define UNSENT (unsent(0) || unsent(1))
#define ACKNOWLEDGED (is_acknowledged(0) && is_acknowledged(1))
#else
#define YES (yes[0] + yes[1] + yes[2])
#define UNSENT (unsent(0) || unsent(1) || unsent(2))
#define ACKNOWLEDGED (is_acknowledged(0) && is_acknowledged(1) && is_acknowledged(2))
#endif
#define member(i) ((members >> (i)) & 1)
#define unsent(i) ((member(i) && !told_commit[i]) || (!member(i) && !told_abort[i]))
#define is_acknowledged(i) (!member(i) || acknowledged[i])

/* ---- Home's log ------------------------------------------------------------------------ */

/* Places of its frames; 0: it is not there. LOCAL is another's append that makes T's
** condition at home false. EVENTS are home's events in a frame of their own: mutants only. */
byte at_local, at_commit, at_abort, at_events, at_end;
byte written, durable; /* its ends */
bit failed;            /* a flush failed: pages look clean that the disk may lack */
byte members;          /* named in the decision */

#define is_committed (at_commit && (!at_abort || at_commit < at_abort))
#define is_aborted (at_abort && (!at_commit || at_abort < at_commit))
#ifdef FORGET
#define is_remembered (!at_end)
#else
#define is_remembered 1
#endif

#define WRITE(place) written = written + 1; place = written

inline drop_last_frame() {
  if
  :: at_local == written -> at_local = 0
  :: at_commit == written -> at_commit = 0; members = 0
  :: at_abort == written -> at_abort = 0
  :: at_events == written -> at_events = 0
  :: at_end == written -> at_end = 0
  fi;
  written = written - 1
}

/* ---- The parties' memories and logs ---------------------------------------------------- */

mtype coordinator = IDLE;
bit begun;    /* T's id has been used */
bit held;     /* HOLD: home's conditions */
bit restored; /* home is from a backup */
bit gone;     /* the instance of T is dead, its lock is free for ever */

bit asked[N], yes[N], told_commit[N], told_abort[N], acknowledged[N]; /* messages */

mtype log[N] = NONE, disk[N] = NONE; /* participants: written, durable */
bit spoilt[N];                       /* an append made the participant's condition false */

/* What the world saw: */
mtype answer = NONE;   /* the client: COMMITTED, ABORTED */
bit acted;             /* somebody acted on "committed" ... */
byte acted_members;    /* ... of these members */
#ifdef M_EPOCH_LAZY
bit again, decided_work, prepared_work[N]; /* one id for two different works */
#endif
#ifdef READER
mtype = { OF_T, OF_OTHER };
mtype place = NONE, place_disk = NONE, seen = NONE; /* whose event has position 1 at participant 0 */
bit other, other_disk;                              /* another's append there */
#endif

#ifdef LIVE
byte crashes = LIVE;
#define CRASH crashes > 0
#define SPEND crashes = crashes - 1
#else
#define CRASH 1
#define SPEND skip
#endif

/* ---- What must hold where it happens --------------------------------------------------- */

/* The number is shown by pan: an assertion's text is all that it tells. */
#define INVARIANT(number, holds) assert(number == 0 || (holds))

inline act_on_commit() {
  if
  :: !acted -> acted = 1; acted_members = members
  :: else
  fi
}

/* ---- The coordinator ------------------------------------------------------------------- */

inline drop_transaction() { /* nothing is logged: who is in doubt will settle */
  coordinator = IDLE;
  held = 0;
  if
  :: answer == NONE -> answer = ABORTED
  :: else
  fi;
  EACH(i) { told_abort[i] = 1 };
  i = 0
}

inline tell_outcome() {
  act_on_commit();
  EACH(i) {
    if
    :: member(i) -> told_commit[i] = 1
    :: else -> told_abort[i] = 1
    fi
  };
  i = 0
}

/* rille_instance_begin, rille_steps_next: RILLE_STEP_PREPARE for each participant */
inline begin() {
  atomic { coordinator == IDLE && !begun ->
    begun = 1;
    coordinator = ASKING;
    EACH(i) { asked[i] = 1 };
    i = 0;
#if defined(HOLD) || defined(M_HOME_EARLY_CHECK)
    if
    :: at_local -> drop_transaction() /* checked now ... */
    :: else ->
#ifdef HOLD
       held = 1                       /* ... and held until the decision */
#else
       skip
#endif
    fi;
#endif
#ifdef M_HOME_EVENTS_FIRST
    WRITE(at_events);
#endif
    skip
  }
}

/* rille_store_decide (RILLE_STEP_DECIDE): conditions, verdict and frame in one critical section */
inline decide() {
  atomic { coordinator == ASKING && YES >= Q && !failed ->
    if
#ifndef M_DECIDE_BLIND
    :: is_aborted -> drop_transaction() /* somebody settled: the first decision wins */
#endif
#if !defined(HOLD) && !defined(M_HOME_EARLY_CHECK)
    :: at_local -> drop_transaction()   /* home's conditions fail: its no */
#endif
    :: else ->
       WRITE(at_commit);
       members = 0;
       EACH(i) {
         if
         :: yes[i] -> members = members | (1 << i)
         :: else
         fi
       };
       i = 0;
       coordinator = DECIDED;
       held = 0;
#ifdef M_EPOCH_LAZY
       decided_work = again;
#endif
#ifdef RO
       INVARIANT(8, !spoilt[0]);
#endif
#ifdef M_SEND_BEFORE_FORCE
       tell_outcome();
#endif
       skip
    fi
  }
}

/* rille_store_flush of home (RILLE_STEP_FORCE), rille_steps_forced; then the answer */
inline force() {
  atomic { coordinator == DECIDED && !failed ->
    durable = written;
    coordinator = SENDING;
    answer = COMMITTED;
    act_on_commit()
  }
}

/* rille_steps_forced with 0: "unknown" is answered, and home closed; its opening repairs */
inline force_fails() {
  atomic { coordinator == DECIDED && !failed && CRASH ->
    SPEND;
    failed = 1;
#ifdef M_FORCE_FAIL_ABORT
    drop_transaction()
#else
    coordinator = DEAD;
    gone = 1
#endif
  }
}

/* a no, the deadline, the policy: rille_steps_voted, rille_steps_timeout, rille_steps_verdict */
inline give_up() {
  atomic { coordinator == ASKING -> drop_transaction() }
}

/* RILLE_STEP_COMMIT, RILLE_STEP_ABORT: rille_store_commit, rille_store_abort are called */
inline send() {
  atomic { coordinator == SENDING && UNSENT -> tell_outcome() }
}

#ifdef M_HOME_EVENTS_AFTER
inline write_events() {
  atomic { coordinator == SENDING && !at_events -> WRITE(at_events) }
}
#endif

/* rille_store_end (RILLE_STEP_END), once rille_steps_acknowledged was told of every member */
inline end() {
#ifdef M_FORGET_EARLY
  atomic { coordinator == SENDING && !at_end -> WRITE(at_end); coordinator = IDLE }
#else
  atomic { coordinator == SENDING && !at_end && ACKNOWLEDGED && !UNSENT ->
    WRITE(at_end);
    coordinator = IDLE
  }
#endif
}

/* kill -9: what was written stays */
inline kill_coordinator() {
  atomic { coordinator != DEAD && CRASH ->
    SPEND;
    coordinator = DEAD;
    held = 0;
    gone = begun
  }
}

inline lose_home_tail() {
  do
  :: written > durable -> drop_last_frame()
  :: break
  od;
  durable = written;
  failed = 0;
  coordinator = DEAD;
  held = 0;
  gone = begun;
#ifdef M_EPOCH_LAZY
  if
  :: begun && !again && written == 0 -> again = 1; begun = 0 /* the epoch frame is lost */
  :: else
  fi
#endif
}

inline cut_power_of_home() {
#ifndef SAMEBOX
  atomic { (written > durable || coordinator != DEAD) && CRASH -> SPEND; lose_home_tail() }
#else
  atomic { CRASH ->
    SPEND;
    lose_home_tail();
    EACH(i) { log[i] = disk[i] };
    i = 0;
#ifdef READER
    place = place_disk;
    other = other_disk;
#endif
    skip
  }
#endif
}

/* rille_store_open repairs and makes durable; rille_instance_open; rille_store_pending: recovery
** goes on with what is decided, and with nothing else */
inline open_home() {
  atomic { coordinator == DEAD ->
#ifdef M_READBACK
    if
    :: failed -> failed = 0 /* it reads well, fdatasync says fine, the disk has nothing */
    :: else -> durable = written
    fi;
#else
#ifndef M_RECOVER_NO_SYNC
    durable = written;
#endif
    failed = 0;
#endif
    if
    :: is_committed && !at_end ->
       coordinator = SENDING;
       act_on_commit();
       if
       :: answer == NONE -> answer = COMMITTED
       :: else
       fi
#ifdef M_RERUN
    :: !is_committed && !is_aborted && begun -> coordinator = ASKING
#endif
    :: else -> coordinator = IDLE
    fi
  }
}

/* a backup takes home's place: its end is missing, even what was durable */
inline restore_home() {
  atomic { !restored && begun ->
    restored = 1;
    do
    :: written > 0 -> drop_last_frame()
    :: break
    od;
    durable = written;
    failed = 0;
    coordinator = DEAD;
    held = 0;
    gone = 1
  }
}

proctype Coordinator() {
  byte i;
  do
  :: begin()
  :: decide()
  :: force()
#ifdef FSYNCFAIL
  :: force_fails()
#endif
  :: give_up()
  :: send()
#ifdef M_HOME_EVENTS_AFTER
  :: write_events()
#endif
  :: end()
  :: kill_coordinator()
  :: cut_power_of_home()
  :: open_home()
#if defined(RESTORE) || defined(M_RESTORE)
  :: restore_home()
#endif
  od
}

/* ---- Who is in doubt settles ----------------------------------------------------------- */

#define in_doubt(p) (!failed && log[p] == PREPARED)

/* rille_store_settle where rille_store_outcome_settle finds "committed", as a member */
inline settle_committed(p) {
  atomic { in_doubt(p) && is_committed && is_remembered && member(p) && !told_commit[p] ->
#ifndef M_SETTLE_NO_SYNC
    durable = written; /* nobody acts on what is behind the durable end */
#endif
    act_on_commit();
    told_commit[p] = 1
  }
}

/* the same, as one who was left out */
inline settle_excluded(p) {
#ifdef M_LATE_YES_COMMITS
  atomic { in_doubt(p) && is_committed && is_remembered && !member(p) && !told_commit[p] ->
    act_on_commit();
    told_commit[p] = 1
  }
#else
  atomic { in_doubt(p) && is_committed && is_remembered && !member(p) && !told_abort[p] ->
    told_abort[p] = 1
  }
#endif
}

/* rille_store_settle where rille_store_outcome_settle finds "aborted" */
inline settle_aborted(p) {
  atomic { in_doubt(p) && is_aborted && !told_abort[p] -> told_abort[p] = 1 }
}

#ifdef LOCKFENCE
#ifdef M_LOG_THEN_LOCK
inline see_log(p) {
  atomic { in_doubt(p) && !is_committed && !is_aborted && !told_abort[p] && !saw -> saw = 1 }
}
inline settle_undecided(p) {
  atomic { saw && gone && !told_abort[p] -> told_abort[p] = 1 }
}
#else
/* first the lock of the instance is seen free ... */
inline see_lock() {
  atomic { gone && !saw -> saw = 1 }
}
/* ... then the log is read: nobody can decide any more */
inline settle_undecided(p) {
  atomic { saw && in_doubt(p) && !(is_committed && is_remembered) && !is_aborted && !told_abort[p] ->
    told_abort[p] = 1
  }
}
#endif
#else
/* rille_store_outcome_settle of what nobody decided: an abort decision, in home's writer lock */
inline settle_undecided(p) {
  atomic {
#ifdef RESTORE
    !restored && /* of a restored home: "unknown", never "aborted" */
#endif
    in_doubt(p) && !(is_committed && is_remembered) && !is_aborted && !told_abort[p] ->
#ifndef M_NO_FENCE
    if
    :: !at_commit -> WRITE(at_abort)
    :: else /* forgotten: it can't be decided again */
    fi;
#endif
    told_abort[p] = 1
  }
}
#endif

proctype Settler(byte p) {
#ifdef LOCKFENCE
  bit saw;
#endif
#ifdef M_NO_SETTLE
  false;
#endif
  do
  :: settle_committed(p)
  :: settle_excluded(p)
  :: settle_aborted(p)
  :: settle_undecided(p)
#ifdef LOCKFENCE
#ifdef M_LOG_THEN_LOCK
  :: see_log(p)
#else
  :: see_lock()
#endif
#endif
  od
}

/* ---- Another client of home ------------------------------------------------------------ */

/* rille_store_append, in T's way */
inline append_at_home() {
  atomic { !at_local && !held && !failed -> WRITE(at_local) }
}

/* its flush, which covers everything before */
inline flush_home() {
  atomic { at_local > durable && !failed -> durable = written }
}

proctype Other() {
  do
  :: append_at_home()
  :: flush_home()
  od
}

/* ---- A participant --------------------------------------------------------------------- */

/* rille_store_prepare: conditions hold, the promise is written, and locks */
inline prepare(p) {
  atomic { asked[p] && log[p] == NONE && !spoilt[p] ->
    log[p] = PREPARED;
#ifdef M_EPOCH_LAZY
    prepared_work[p] = again;
#endif
    skip
  }
}

/* rille_store_prepare's refusal: a condition, a lock, no room */
inline refuse(p) {
  atomic { asked[p] && log[p] == NONE -> log[p] = ABORTED }
}

/* rille_store_flush, whoever's (RILLE_STEP_FLUSH) */
inline flush(p) {
  atomic { log[p] != disk[p] ->
    disk[p] = log[p];
#ifdef READER
    if
    :: p == 0 -> place_disk = place; other_disk = other
    :: else
    fi;
#endif
    skip
  }
}

/* rille_steps_voted: yes, once the promise is durable */
inline vote(p) {
  atomic { disk[p] == PREPARED && log[p] == PREPARED && !yes[p] -> yes[p] = 1 }
}
#ifdef M_VOTE_BEFORE_FORCE
inline vote_unflushed(p) {
  atomic { log[p] == PREPARED && !yes[p] -> yes[p] = 1 }
}
#endif
/* rille_steps_prepared with needs_flush 0: conditions alone; a power cut takes all of them or none */
inline vote_on_checks(p) {
  atomic { p == 0 && log[p] == PREPARED && !yes[p] -> yes[p] = 1 }
}

/* rille_store_commit */
inline commit(p) {
  atomic { told_commit[p] && log[p] == PREPARED ->
#ifdef RO
    INVARIANT(6, p == 0 || !spoilt[p]);
#else
    INVARIANT(6, !spoilt[p]);
#endif
    log[p] = COMMITTED;
#ifdef READER
    if
    :: p == 0 && place == NONE -> place = OF_T
    :: else
    fi;
#endif
    skip
  }
}

/* rille_store_commit of what was never promised: RILLE_NOTFOUND. It must not come to that */
inline commit_unknown(p) {
#ifdef RO
  atomic { told_commit[p] && p != 0 && (log[p] == NONE || log[p] == ABORTED) -> INVARIANT(7, false) }
#else
  atomic { told_commit[p] && (log[p] == NONE || log[p] == ABORTED) -> INVARIANT(7, false) }
#endif
}
inline commit_lost(p) { /* RO: only locks were held: nothing to do */
  atomic { told_commit[p] && p == 0 && log[p] == NONE -> log[p] = COMMITTED }
}

/* rille_store_is_flushed, rille_steps_acknowledged */
inline acknowledge(p) {
  atomic { disk[p] == COMMITTED && !acknowledged[p] -> acknowledged[p] = 1 }
}
inline acknowledge_unflushed(p) {
  atomic { log[p] == COMMITTED && !acknowledged[p] -> acknowledged[p] = 1 }
}

/* rille_store_abort */
inline abort(p) {
  atomic { told_abort[p] && log[p] == PREPARED -> log[p] = ABORTED }
}

/* rille_store_abort where nothing is prepared: a later prepare is refused */
inline abort_unknown(p) {
  atomic { told_abort[p] && log[p] == NONE -> log[p] = ABORTED }
}
inline abort_alone(p) {
  atomic { log[p] == PREPARED -> log[p] = ABORTED }
}

/* rille_store_append that makes T's condition false; what is prepared answers it RILLE_LOCKED */
inline spoil(p) {
#ifdef M_NO_LOCK
  atomic { !spoilt[p] && log[p] != COMMITTED -> spoilt[p] = 1 }
#else
  atomic { !spoilt[p] && (log[p] == NONE || log[p] == ABORTED) -> spoilt[p] = 1 }
#endif
}

/* power cut; rille_store_open finds what is durable, and takes its locks again */
inline cut_power(p) {
  atomic { log[p] != disk[p] && CRASH ->
    SPEND;
    log[p] = disk[p];
#ifdef READER
    if
    :: p == 0 -> place = place_disk; other = other_disk
    :: else
    fi;
#endif
    skip
  }
}

proctype Participant(byte p) {
  do
  :: prepare(p)
  :: refuse(p)
  :: flush(p)
  :: vote(p)
#ifdef M_VOTE_BEFORE_FORCE
  :: vote_unflushed(p)
#endif
#ifdef RO
  :: vote_on_checks(p)
#endif
  :: commit(p)
  :: commit_unknown(p)
#ifdef RO
  :: commit_lost(p)
#endif
  :: acknowledge(p)
#ifdef M_ACK_BEFORE_FLUSH
  :: acknowledge_unflushed(p)
#endif
  :: abort(p)
#ifndef M_NO_TOMBSTONE
  :: abort_unknown(p)
#endif
#ifdef M_UNILATERAL_TIMEOUT
  :: abort_alone(p)
#endif
  :: spoil(p)
#ifndef SAMEBOX
  :: cut_power(p)
#endif
  od
}

/* ---- Who reads positions at participant 0 ---------------------------------------------- */

#ifdef READER
/* rille_store_append of another, which takes position 1 if it comes first */
inline append_other() {
  atomic { !other ->
    other = 1;
    if
    :: place == NONE -> place = OF_OTHER
    :: else
    fi
  }
}

/* its flush, which covers T's frames there too */
inline flush_other() {
  atomic { other && !other_disk -> other_disk = 1; place_disk = place; disk[0] = log[0] }
}

/* rille_store_read, which ends at the durable end */
inline read() {
#ifdef M_READ_UNFLUSHED
  atomic { place != NONE && seen == NONE -> seen = place }
#else
  atomic { place_disk != NONE && seen == NONE -> seen = place_disk }
#endif
}

proctype Reader() {
  do
  :: append_other()
  :: flush_other()
  :: read()
  od
}
#endif

/* ---- What must hold always ------------------------------------------------------------- */

/* I1 who has committed is a member of what was acted on; no member of it has aborted. (RO:
** participant 0 only holds locks; what it thinks afterwards does not matter.) */
#define is_acted_member(i) (acted && ((acted_members >> (i)) & 1))
#define AGREES(i) \
  (!(log[i] == COMMITTED && !is_acted_member(i)) && !(is_acted_member(i) && log[i] == ABORTED))
#ifdef RO
#define I1(i) (i == 0 || AGREES(i))
#else
#define I1(i) AGREES(i)
#endif
/* I2 what was acted on is in home's log for ever, and home's events with it */
#define I2 (!acted || is_committed)
/* I3 who was told "committed" was told what is true and durable */
#define I3 (answer != COMMITTED || (is_committed && at_commit <= durable))
/* I4 who was told "aborted" was told what is true */
#define I4 (answer != ABORTED || !is_committed)
/* I5 home's condition holds where its events stand */
#define I5 (!(at_local && at_commit && at_local < at_commit && is_committed))
/* I6 what was promised is still true when it is done: commit()
** I7 nobody is told to commit who did not promise: commit_unknown()
** I8 a condition that only locks hold is true when T is decided: decide() */
/* I9 what is committed is what was decided, not an older work of the same id */
#define I9(i) (log[i] != COMMITTED || prepared_work[i] == decided_work)
/* I10 home's events stand exactly where T is decided */
#define I10_FIRST (!at_events || is_committed)
#define I10_AFTER (!(at_local && at_events && at_local < at_events))
/* I11 a position once seen never names another event */
#define I11 (seen == NONE || place == NONE || place == seen)
/* I12 where crashes end, every run ends, nobody is in doubt, and home has noted the end. (Every
** step above makes progress: pan -l finds no cycle. So nothing is asked of fairness.) */
#define I12_OVER(i) (log[i] != PREPARED && log[i] == disk[i])
#define I12_DONE(i) (!(is_committed && member(i)) || log[i] == COMMITTED)
#define I12_HOME (coordinator == IDLE && (!is_committed || at_end) && written >= durable)
/* the good end is reachable: this must fail */
#define NO_GOOD_END (!(is_committed && at_end && log[0] == COMMITTED && answer == COMMITTED && at_local > at_commit))

inline check_now() {
  atomic {
    i = 0;
    do
    :: i < N -> INVARIANT(1, I1(i)); i++
    :: i >= N -> break
    od;
    i = 0;
#if !defined(RESTORE) && !defined(M_RESTORE)
    INVARIANT(2, I2);
    INVARIANT(3, I3);
    INVARIANT(4, I4);
#endif
    INVARIANT(5, I5);
#ifdef M_EPOCH_LAZY
    do
    :: i < N -> INVARIANT(9, I9(i)); i++
    :: i >= N -> break
    od;
    i = 0;
#endif
#ifdef REACH
    INVARIANT(99, NO_GOOD_END);
#endif
#ifdef M_HOME_EVENTS_FIRST
    INVARIANT(10, I10_FIRST);
#endif
#ifdef M_HOME_EVENTS_AFTER
    INVARIANT(10, I10_AFTER);
#endif
#ifdef READER
    INVARIANT(11, I11);
#endif
  }
}

active proctype Check() {
  byte i;
  atomic {
    run Coordinator();
    run Other();
    for (i : 0 .. N-1) { run Participant(i); run Settler(i) };
    i = 0
#ifdef READER
    ; run Reader()
#endif
  }
#ifdef LIVE
  timeout ->
    i = 0;
    do
    :: i < N -> INVARIANT(12, I12_OVER(i)); INVARIANT(12, I12_DONE(i)); i++
    :: i >= N -> break
    od;
    INVARIANT(12, I12_HOME)
#else
  do
  :: check_now()
  od
#endif
}
