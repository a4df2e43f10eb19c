/* simulator_test.c: thousands of worlds (simulator.h) in which transactions are driven by
** rille_steps through crashes at any moment; afterwards the world calms down, and all must agree:
**
**   nobody commits what another aborts; a decision that somebody acted on never changes;
**   the client was told the truth; no promise and no lock is left; what is committed has ended.
**
** The same with a fault in each: one of the worlds must show it, or the test is worth nothing.
** RUNS=1 TRACE=1 SEED=n shows what happened in one world; MUTANT=n with that fault. */
#include "simulator.h"

#define RUNS 6000u
#define MUTANT_RUNS 60000u /* at most, until the fault shows */
#define TURNS 400u         /* of trouble */
#define CALM_TURNS 900u    /* then, to come to rest: beyond every deadline */

/* ---- The network ------------------------------------------------------------ */

static void send(struct world *w, struct message m) {
  if (w->in_flight < MESSAGES_MOST) w->net[w->in_flight++] = m;
}

static void reply(struct world *w, const struct message *to, int value) {
  send(w, (struct message){ANSWER, to->kind, to->transaction, to->store, value});
}

static void store_gets(struct world *w, const struct message *m) {
  struct store *s = &w->stores[m->store];
  unsigned t = m->transaction;
  if (s->down) return;
  switch (m->kind) {
    case PREPARE: reply(w, m, store_prepare(w, m->store, t)); break;
    case FLUSH: reply(w, m, store_flush(w, m->store, t)); break;
    case COMMIT:
    case ABORT:
      store_finish(w, m->store, t, m->kind == COMMIT ? F_COMMIT : F_ABORT);
      reply(w, m, 1);
      break;
    case WATCH:
      if (is_done_for_good(&s->disk, t) || w->mutant == M_ACK_BEFORE_FLUSH) reply(w, m, 1);
      break;
    case ANSWER: break;
  }
}

/* Votes count whenever they come; the rest answers the step that waits for it. */
static void coordinator_gets(struct coordinator *c, const struct message *m) {
  size_t i = 0, at;
  while (i < c->store_count && c->store_of[i] != m->store) i++;
  enum rille_step now = rille_steps_next(c->steps, &at); /* an answer may have come before */
  bool waits = i < c->store_count && c->asked && now == c->step && i == at && i == c->participant;
  bool voting = c->step == RILLE_STEP_FLUSH || c->step == RILLE_STEP_DECIDE;
  if (m->to == FLUSH && voting && i < c->store_count)
    rille_steps_voted(c->steps, i, (enum rille_vote)m->value);
  if (!waits) return;
  if (m->to == PREPARE && c->step == RILLE_STEP_PREPARE) {
    if (m->value == RILLE_VOTE_NO) rille_steps_voted(c->steps, i, RILLE_VOTE_NO);
    else rille_steps_prepared(c->steps, i, m->value == RILLE_VOTE_NONE);
  }
  if ((m->to == COMMIT && c->step == RILLE_STEP_COMMIT) ||
      (m->to == ABORT && c->step == RILLE_STEP_ABORT))
    rille_steps_finished(c->steps, i, 1);
  if (m->to == WATCH && c->step == RILLE_STEP_WATCH) rille_steps_acknowledged(c->steps, i);
}

static void deliver(struct world *w) {
  if (!w->in_flight) return;
  unsigned at = random_below(w->in_flight);
  struct message m = w->net[at];
  if (!chance(w, 12)) w->net[at] = w->net[--w->in_flight]; /* else it comes again */
  if (chance(w, 12)) return;
  if (m.kind != ANSWER) store_gets(w, &m);
  for (unsigned i = 0; m.kind == ANSWER && i < COORDINATORS; i++) {
    struct coordinator *c = &w->coordinators[i];
    if (c->steps && c->transaction == m.transaction) coordinator_gets(c, &m);
  }
}

/* ---- Coordinators ------------------------------------------------------------- */

static void go_idle(struct coordinator *c) {
  rille_steps_free(c->steps);
  c->steps = NULL;
}

static void die(struct world *w, struct coordinator *c) {
  if (c->alive) trace(w, "coordinator %u dies", c->instance);
  go_idle(c);
  w->alive[c->instance] = false;
  c->alive = false;
}

/* A new instance, once it has closed what the dead have left. */
static void come_alive(struct world *w, struct coordinator *c) {
  if (w->home_down || w->instances + 1 == INSTANCES_MOST) return;
  for (unsigned i = 1; i <= w->instances; i++) {
    bool closed = false;
    for (unsigned f = 0; f < w->home.written; f++)
      closed |= w->home.list[f].kind == F_CLOSE && w->home.list[f].transaction == i;
    if (!w->alive[i] && !closed) disk_put(w, &w->home, F_CLOSE, i, 0);
  }
  if (!disk_flush(w, &w->home)) return;
  c->instance = ++w->instances;
  c->alive = w->alive[c->instance] = true;
  trace(w, "coordinator %u lives", c->instance);
}

static void begin(struct world *w, struct coordinator *c) {
  unsigned t = 0;
  while (t < TRANSACTIONS && w->transactions[t].begun) t++;
  if (t == TRANSACTIONS || w->calm || one_in(4)) return;
  struct transaction *x = &w->transactions[t];
  rille_steps_participant list[STORES] = {{0, 0, 0}};
  c->store_count = 0;
  for (unsigned i = 0; i < STORES; i++) {
    if (!in_set(x->enlisted, i)) continue;
    list[c->store_count].optional = in_set(x->optional, i);
    c->store_of[c->store_count++] = (uint8_t)i;
  }
  x->begun = true;
  x->instance = c->instance;
  x->deadline = w->clock + 10 + random_below(LIFE);
  c->transaction = (uint8_t)t;
  c->asked = false;
  c->step = RILLE_STEP_WAIT;
  c->steps = rille_steps_new(list, c->store_count);
  trace(w, "coordinator %u begins %u", c->instance, t);
}

/* Commits as soon as the required and enough of all have voted yes. */
static void ask_policy(struct world *w, struct coordinator *c) {
  struct transaction *x = &w->transactions[c->transaction];
  unsigned yes = 0, missing = 0, lost = 0;
  for (size_t i = 0; i < c->store_count; i++) {
    enum rille_vote vote = rille_steps_vote(c->steps, i);
    bool agreed = vote == RILLE_VOTE_YES || vote == RILLE_VOTE_READ;
    yes += agreed;
    missing += !agreed && !in_set(x->optional, c->store_of[i]);
    lost += vote == RILLE_VOTE_NO;
  }
  int outcome = RILLE_OUTCOME_UNDECIDED;
  if (missing == 0 && yes >= x->need) outcome = RILLE_OUTCOME_COMMITTED;
  else if (c->store_count - lost < x->need) outcome = RILLE_OUTCOME_ABORTED;
  CHECK(rille_steps_verdict(c->steps, outcome, NULL, 0, NULL) == 0);
}

static uint8_t members_of(const struct coordinator *c) {
  uint8_t members = 0;
  for (size_t i = 0; i < c->store_count; i++)
    if (rille_steps_is_member(c->steps, i)) members |= (uint8_t)(1u << c->store_of[i]);
  return members;
}

/* Who has only conditions: they must hold now, which its lock is for. */
static void check_conditions(struct world *w, unsigned t, uint8_t members) {
  for (unsigned i = 0; i < STORES; i++)
    if (in_set(members, i) && is_read(w, t, i) && status(&w->stores[i].disk, t) != F_PREPARE)
      broken(w, "a condition was not held when it was decided");
}

static void decide(struct world *w, struct coordinator *c) {
  uint8_t members = 0, wanted = members_of(c);
  unsigned t = c->transaction;
  int outcome = home_outcome(w, t, &members);
  if (w->mutant == M_DECIDE_BLIND) outcome = RILLE_OUTCOME_UNDECIDED;
  if (outcome == RILLE_OUTCOME_UNDECIDED) {
    if (chance(w, 25)) { /* home's own no */
      rille_steps_decided(c->steps, RILLE_OUTCOME_NONE);
      return;
    }
    check_conditions(w, t, wanted);
    trace(w, "home: commit %u with %x", t, wanted);
    disk_put(w, &w->home, F_DECIDE, t, wanted);
    outcome = RILLE_OUTCOME_COMMITTED;
  }
  rille_steps_decided(c->steps, outcome);
}

static void tell_client(struct world *w, struct coordinator *c, int outcome) {
  struct transaction *x = &w->transactions[c->transaction];
  trace(w, "client of %u: %d", c->transaction, outcome);
  if (x->told) broken(w, "the client was answered twice");
  x->told = outcome;
  if (outcome == RILLE_OUTCOME_COMMITTED) act_on_commit(w, c->transaction, members_of(c));
  if (outcome == RILLE_OUTCOME_ABORTED && x->committed)
    broken(w, "a commit is answered \"aborted\"");
  w->tally->committed += outcome == RILLE_OUTCOME_COMMITTED;
  w->tally->aborted += outcome == RILLE_OUTCOME_ABORTED;
  w->tally->unknown += outcome == RILLE_OUTCOME_UNKNOWN;
  w->tally->excluded += outcome == RILLE_OUTCOME_COMMITTED && members_of(c) != x->enlisted;
}

static void force(struct world *w, struct coordinator *c) {
  bool flushed = w->mutant == M_SEND_BEFORE_FORCE || disk_flush(w, &w->home);
  if (flushed || w->mutant != M_FORCE_FAIL_ABORT) {
    rille_steps_forced(c->steps, flushed);
    return;
  }
  tell_client(w, c, RILLE_OUTCOME_ABORTED);
  for (size_t i = 0; i < c->store_count; i++)
    send(w, (struct message){ABORT, ABORT, c->transaction, c->store_of[i], 0});
  die(w, c);
}

/* No answer, after so many tries. */
static void lose_patience(struct world *w, struct coordinator *c) {
  size_t i = c->participant;
  switch (c->step) {
    case RILLE_STEP_PREPARE:
    case RILLE_STEP_FLUSH: rille_steps_voted(c->steps, i, RILLE_VOTE_NONE); break;
    case RILLE_STEP_COMMIT:
    case RILLE_STEP_ABORT: rille_steps_finished(c->steps, i, 0); break;
    default: go_idle(c); break; /* WATCH: whoever recovers does that */
  }
  trace(w, "coordinator %u: no answer", c->instance);
}

static void ask_store(struct world *w, struct coordinator *c, enum message_kind kind) {
  if (c->asked && w->clock < c->since + PATIENCE) return;
  if (c->asked && c->tries == TRIES_MOST) {
    lose_patience(w, c);
    return;
  }
  c->tries = c->asked ? c->tries + 1 : 0;
  c->asked = true;
  c->since = w->clock;
  bool late = kind == ABORT && rille_steps_outcome(c->steps) == RILLE_OUTCOME_COMMITTED;
  if (late && w->mutant == M_LATE_YES_COMMITS) kind = COMMIT;
  if (kind == COMMIT) act_on_commit(w, c->transaction, members_of(c));
  send(w, (struct message){kind, kind, c->transaction, c->store_of[c->participant], 0});
}

static void do_step(struct world *w, struct coordinator *c) {
  size_t i;
  if (w->clock > w->transactions[c->transaction].deadline) rille_steps_timeout(c->steps);
  enum rille_step step = rille_steps_next(c->steps, &i);
  if (step != c->step || i != c->participant) c->asked = false;
  c->step = step;
  c->participant = i;
  switch (step) {
    case RILLE_STEP_WAIT: break;
    case RILLE_STEP_PREPARE: ask_store(w, c, PREPARE); break;
    case RILLE_STEP_FLUSH: ask_store(w, c, FLUSH); break;
    case RILLE_STEP_ASK: ask_policy(w, c); break;
    case RILLE_STEP_DECIDE: decide(w, c); break;
    case RILLE_STEP_FORCE: force(w, c); break;
    case RILLE_STEP_COMMIT: ask_store(w, c, COMMIT); break;
    case RILLE_STEP_ABORT: ask_store(w, c, ABORT); break;
    case RILLE_STEP_ANSWER:
      tell_client(w, c, rille_steps_outcome(c->steps));
      rille_steps_answered(c->steps);
      break;
    case RILLE_STEP_WATCH: ask_store(w, c, WATCH); break;
    case RILLE_STEP_END:
      home_end(w, c->transaction);
      rille_steps_ended(c->steps);
      break;
    case RILLE_STEP_OVER: go_idle(c); break;
  }
}

/* Commits that are decided and have not ended, where nobody else is at work. */
static void recover(struct world *w, unsigned t) {
  uint8_t members = 0;
  bool all = true;
  for (unsigned i = 0; i < COORDINATORS; i++)
    if (w->coordinators[i].steps && w->coordinators[i].transaction == t) return;
  if (!w->transactions[t].begun || home_has_ended(w, t) || !disk_flush(w, &w->home)) return;
  if (home_outcome(w, t, &members) != RILLE_OUTCOME_COMMITTED) return;
  act_on_commit(w, t, members);
  for (unsigned i = 0; i < STORES; i++) {
    if (!in_set(members, i)) continue;
    if (!w->stores[i].down) store_finish(w, i, t, F_COMMIT);
    if (w->stores[i].down) all = false;
    else if (!is_read(w, t, i)) all &= is_done_for_good(&w->stores[i].disk, t);
  }
  w->tally->recovered++;
  if (all) home_end(w, t);
}

static void take_turn(struct world *w, struct coordinator *c) {
  if (!c->alive) come_alive(w, c);
  else if (c->steps) do_step(w, c);
  else if (one_in(4)) recover(w, random_below(TRANSACTIONS));
  else begin(w, c);
}

/* ---- Trouble -------------------------------------------------------------------- */

static void cut_store(struct world *w, unsigned i) {
  trace(w, "store %u loses power", i);
  disk_cut(w, &w->stores[i].disk);
  w->stores[i].down = true;
  w->stores[i].forgetful |= w->mutant == M_NO_LOCK;
}

static void cut_home(struct world *w) {
  trace(w, "home loses power");
  for (unsigned i = 0; i < COORDINATORS; i++) die(w, &w->coordinators[i]);
  disk_cut(w, &w->home);
  w->home_down = true;
}

static void make_trouble(struct world *w) {
  unsigned i = random_below(STORES);
  bool all = w->same_box;
  switch (random_below(6)) {
    case 0: die(w, &w->coordinators[random_below(COORDINATORS)]); break;
    case 1:
    case 2:
      cut_home(w);
      for (unsigned s = 0; all && s < STORES; s++) cut_store(w, s);
      break;
    case 3:
      if (all && w->mutant != M_READ_ELSEWHERE) break; /* it has no power of its own */
      cut_store(w, i);
      break;
    default: /* its processes are killed */
      w->stores[i].down = true;
      w->stores[i].forgetful |= w->mutant == M_NO_LOCK;
      break;
  }
}

static void come_back(struct world *w) {
  if (w->calm || one_in(8)) w->home_down = false;
  for (unsigned i = 0; i < STORES; i++)
    if (w->calm || one_in(8)) w->stores[i].down = false;
}

static void turn(struct world *w) {
  unsigned i = random_below(STORES);
  w->clock++;
  come_back(w);
  if (chance(w, 25)) make_trouble(w);
  deliver(w);
  take_turn(w, &w->coordinators[random_below(COORDINATORS)]);
  if (w->stores[i].down) return;
  if (one_in(12)) disk_flush(w, &w->stores[i].disk);
  if (one_in(3)) settle(w, i, random_below(TRANSACTIONS));
}

/* ---- What must be true in the end --------------------------------------------------- */

static void check_transaction(struct world *w, unsigned t) {
  struct transaction *x = &w->transactions[t];
  uint8_t members = 0;
  int outcome = home_outcome(w, t, &members);
  bool committed = outcome == RILLE_OUTCOME_COMMITTED;
  if (!x->begun) return;
  if (x->committed && !(committed && members == x->members)) broken(w, "a decision is lost");
  if (x->told == RILLE_OUTCOME_COMMITTED && !committed) broken(w, "the client was promised more");
  if (x->told == RILLE_OUTCOME_ABORTED && committed) broken(w, "the client was promised less");
  if (!x->told && w->alive[x->instance]) broken(w, "the client was never answered");
  if (committed && !home_has_ended(w, t)) broken(w, "it never ends");
  for (unsigned i = 0; i < STORES; i++) {
    unsigned now = status(&w->stores[i].disk, t);
    bool wanted = committed && in_set(members, i);
    if (now == F_PREPARE) broken(w, "in doubt for ever");
    if (now == F_COMMIT && !wanted) broken(w, "committed by one alone");
    if (wanted && now != F_COMMIT && !is_read(w, t, i)) broken(w, "a member has not committed");
  }
}

static void draw(struct world *w) {
  w->same_box = one_in(3);
  for (unsigned t = 0; t < TRANSACTIONS; t++) {
    struct transaction *x = &w->transactions[t];
    x->enlisted = (uint8_t)random_below(1u << STORES);
    if (one_in(2)) x->optional = x->enlisted & (uint8_t)random_below(1u << STORES);
    if (w->same_box) x->reads = x->enlisted & (uint8_t)random_below(1u << STORES);
    x->need = random_below(STORES);
    if (!x->optional || x->need > (unsigned)__builtin_popcount(x->enlisted)) x->need = 0;
  }
}

/* Seeds of the worlds after a first one; the first is the seed that is printed or given. */
static uint64_t seed_of(uint64_t first, unsigned i) { return first + i * 0xD1B54A32D192ED03u; }

/* One world; the rule that it breaks, or NULL. */
static const char *run(uint64_t seed, enum mutant mutant, bool shown, struct tally *tally) {
  static struct world w;
  test_random = seed;
  memset(&w, 0, sizeof w);
  w.mutant = mutant;
  w.trace = shown;
  w.tally = tally;
  draw(&w);
  while (w.clock < TURNS && !w.broken) turn(&w);
  w.calm = true;
  while (w.clock < TURNS + CALM_TURNS && !w.broken) turn(&w);
  for (unsigned t = 0; t < TRANSACTIONS && !w.broken; t++) check_transaction(&w, t);
  for (unsigned i = 0; i < COORDINATORS; i++) go_idle(&w.coordinators[i]);
  return w.broken;
}

/* ---- Tests ---------------------------------------------------------------------------- */

static void all_agree(void) {
  uint64_t seed = test_random;
  struct tally t = {0};
  unsigned runs = (unsigned)test_setting("RUNS", RUNS);
  enum mutant mutant = (enum mutant)test_setting("MUTANT", SOUND);
  for (unsigned i = 0; i < runs && !test_failures; i++) {
    const char *rule = run(seed_of(seed, i), mutant, test_setting("TRACE", 0) != 0, &t);
    if (!CHECK(rule == NULL))
      printf("%s: RUNS=1 TRACE=1 SEED=%llu shows how\n", rule,
             (unsigned long long)seed_of(seed, i));
  }
  test_tally("simulated worlds of transactions", runs);
  printf("%u worlds: %u committed (%u without all), %u aborted, %u unknown; settled %u times, %u "
         "of them decided by that; %u recoveries, %u ends, %u power cuts\n",
         runs, t.committed, t.excluded, t.aborted, t.unknown, t.settled, t.refused, t.recovered,
         t.ended, t.cuts);
  if (runs < RUNS || mutant) return;
  CHECK(t.committed > runs / 4 && t.aborted > runs / 4 && t.excluded && t.unknown);
  CHECK(t.settled && t.refused && t.recovered && t.ended > runs / 4 && t.cuts > runs);
}

static const char *const MUTANT_NAMES[MUTANTS] = {
    "none", "sent before it is forced", "a failed force is an abort", "read back",
    "decided blindly", "a late yes commits", "a vote before its flush", "a unilateral timeout",
    "settled without a frame", "settled by what is only written", "no lock after coming back",
    "acknowledged before its flush", "conditions with power of their own", "nobody settles",
};

static void faults_are_found(void) {
  uint64_t seed = test_random;
  for (int m = SOUND + 1; m < MUTANTS; m++) {
    struct tally t = {0};
    const char *rule = NULL;
    unsigned i = 0;
    while (i < MUTANT_RUNS && !rule) rule = run(seed_of(seed, i++), (enum mutant)m, false, &t);
    CHECK(rule != NULL);
    printf("%s: %s, in world %u\n", MUTANT_NAMES[m], rule ? rule : "NOT FOUND", i);
  }
}

/* The same seed, the same world. */
static void deterministic(void) {
  uint64_t seed = test_random;
  struct tally a = {0}, b = {0};
  for (unsigned i = 0; i < 50; i++) run(seed_of(seed, i), SOUND, false, &a);
  for (unsigned i = 0; i < 50; i++) run(seed_of(seed, i), SOUND, false, &b);
  CHECK(memcmp(&a, &b, sizeof a) == 0);
}

static const struct test tests[] = {
    {"all agree in the end", all_agree},
    {"each fault is found", faults_are_found},
    {"a seed is a world", deterministic},
};

TEST_MAIN(tests)
