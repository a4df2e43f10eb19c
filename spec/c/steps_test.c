/* steps_test.c: every state that the machine of steps.c can be brought into, by whatever it is
** told in whatever order, for all kinds of up to three participants; in each state what it says
** next is held against a second account of what has happened. The machine is included, not
** linked, so that its states can be copied and told apart. */
#include "steps.c"

#include "test.h"

#define MOST 3u
#define TABLE_MOST (1u << 19)  /* states of one exploration: half of it */
#define STEPS_MOST 64          /* to the end, from any state */

/* What has happened, noted by the test. */
struct account {
  uint8_t held[MOST], told[MOST], acknowledged[MOST];
  uint8_t voted[MOST], answered, unknown, forced, ended;
};

struct point {
  struct account account;
  _Alignas(8) unsigned char machine[sizeof(rille_steps) + MOST * sizeof(struct one)];
};

enum what {
  PREPARED, VOTED, VERDICT, TIMEOUT, DECIDED, FORCED, FINISHED, ANSWERED, ACKNOWLEDGED, ENDED
};

struct input {
  enum what what;
  size_t participant;
  int value; /* of its second argument; VERDICT to commit: a set of members, -1: NULL */
};

static rille_steps_participant kinds[MOST];
static size_t kind_count;
static struct point *points; /* in the order found */
static unsigned *table, found;
static uint64_t states_in_all;

static rille_steps *machine_of(struct point *p) { return (rille_steps *)(void *)p->machine; }

static uint64_t hash_of(const struct point *p) {
  const unsigned char *bytes = (const unsigned char *)p;
  uint64_t h = 14695981039346656037u;
  for (size_t i = 0; i < sizeof *p; i++) h = (h ^ bytes[i]) * 1099511628211u;
  return h ^ (h >> 29);
}

static void add(const struct point *p) {
  size_t at = hash_of(p) % TABLE_MOST;
  while (table[at] && memcmp(&points[table[at] - 1], p, sizeof *p) != 0) at = (at + 1) % TABLE_MOST;
  if (table[at] || !CHECK(found < TABLE_MOST / 2)) return;
  points[found++] = *p;
  table[at] = found;
}

/* ---- What the machine may say --------------------------------------------- */

static bool all_told(struct point *p) {
  for (size_t i = 0; i < kind_count; i++)
    if (p->account.held[i] && !p->account.told[i]) return false;
  return true;
}

static bool is_good_member(struct point *p, size_t i) {
  bool agreed = p->account.voted[i] == RILLE_VOTE_YES || p->account.voted[i] == RILLE_VOTE_READ;
  return agreed && !kinds[i].voter;
}

static void check_members(struct point *p) {
  for (size_t i = 0; i < kind_count; i++) {
    bool member = rille_steps_is_member(machine_of(p), i);
    CHECK(!member || is_good_member(p, i));
    CHECK(member || kinds[i].optional || kinds[i].voter);
  }
}

static void check_end(struct point *p) {
  for (size_t i = 0; i < kind_count; i++)
    CHECK(!rille_steps_is_member(machine_of(p), i) || !p->account.held[i] ||
          p->account.acknowledged[i]);
}

static void check_says(struct point *p) {
  const rille_steps *s = machine_of(p);
  const struct account *a = &p->account;
  size_t i;
  enum rille_step step = rille_steps_next(s, &i);
  int outcome = rille_steps_outcome(s);
  CHECK((outcome == RILLE_OUTCOME_COMMITTED) == a->forced);
  CHECK((outcome == RILLE_OUTCOME_UNKNOWN) == a->unknown);
  if (step == RILLE_STEP_DECIDE || step == RILLE_STEP_FORCE || a->forced) check_members(p);
  if (step == RILLE_STEP_COMMIT) {
    CHECK(a->forced && rille_steps_is_member(s, i));
    CHECK(a->held[i] && !a->told[i]);
  }
  if (step == RILLE_STEP_ABORT) {
    CHECK(outcome == RILLE_OUTCOME_ABORTED || (a->forced && !rille_steps_is_member(s, i)));
    CHECK(a->held[i] && !a->told[i] && !a->unknown);
  }
  if (step == RILLE_STEP_ANSWER) CHECK(!a->answered && (a->unknown || all_told(p)));
  if (step == RILLE_STEP_WATCH) CHECK(a->answered && a->told[i] && !a->acknowledged[i]);
  if (step == RILLE_STEP_END) {
    CHECK(a->answered && a->forced && !a->ended);
    check_end(p);
  }
  if (step == RILLE_STEP_OVER) CHECK(a->answered);
}

/* ---- Telling it ------------------------------------------------------------ */

static void tell_verdict(rille_steps *s, int set) {
  size_t members[MOST], count = 0;
  for (size_t i = 0; set >= 0 && i < kind_count; i++)
    if (set >> i & 1) members[count++] = i;
  rille_steps_verdict(s, RILLE_OUTCOME_COMMITTED, set < 0 ? NULL : members, count, NULL);
}

static void tell(rille_steps *s, const struct input *in) {
  switch (in->what) {
    case PREPARED: rille_steps_prepared(s, in->participant, in->value); break;
    case VOTED: rille_steps_voted(s, in->participant, (enum rille_vote)in->value); break;
    case VERDICT:
      if (in->participant == 0) tell_verdict(s, in->value);
      else rille_steps_verdict(s, in->value, NULL, 0, NULL);
      break;
    case TIMEOUT: rille_steps_timeout(s); break;
    case DECIDED: rille_steps_decided(s, in->value); break;
    case FORCED: rille_steps_forced(s, in->value); break;
    case FINISHED: rille_steps_finished(s, in->participant, in->value); break;
    case ANSWERED: rille_steps_answered(s); break;
    case ACKNOWLEDGED: rille_steps_acknowledged(s, in->participant); break;
    case ENDED: rille_steps_ended(s); break;
  }
}

static bool is_voting(enum rille_step step) {
  return step == RILLE_STEP_ASK || step == RILLE_STEP_FLUSH || step == RILLE_STEP_WAIT;
}

static bool is_told(const struct account *a, enum rille_step step, const struct input *in) {
  bool telling = step == RILLE_STEP_COMMIT || step == RILLE_STEP_ABORT;
  return telling && a->held[in->participant] && !a->told[in->participant];
}

/* Whether the machine should take notice; the votes' own conditions are the account's. */
static bool is_expected(struct point *p, const struct input *in) {
  size_t at;
  enum rille_step step = rille_steps_next(machine_of(p), &at);
  bool preparing = step == RILLE_STEP_PREPARE;
  switch (in->what) {
    case PREPARED: return preparing && in->participant == at;
    case VOTED: return is_voting(step) || (preparing && in->participant <= at);
    case VERDICT: return is_voting(step);
    case TIMEOUT: return is_voting(step) || preparing;
    case DECIDED: return step == RILLE_STEP_DECIDE;
    case FORCED: return step == RILLE_STEP_FORCE;
    case FINISHED: return is_told(&p->account, step, in);
    case ANSWERED: return step == RILLE_STEP_ANSWER;
    case ACKNOWLEDGED:
      return p->account.told[in->participant] == 2 &&
             rille_steps_is_member(machine_of(p), in->participant);
    case ENDED: return step == RILLE_STEP_END;
  }
  return false;
}

/* What an expected input means. */
static void note(struct point *p, const struct input *in) {
  struct account *a = &p->account;
  size_t i = in->participant, at;
  bool preparing = rille_steps_next(machine_of(p), &at) == RILLE_STEP_PREPARE;
  bool at_once = preparing && in->what == VOTED && i == at;
  if (in->what == PREPARED && !kinds[i].voter) a->held[i] = 1;
  if (at_once && (in->value == RILLE_VOTE_YES || in->value == RILLE_VOTE_NONE))
    a->held[i] = !kinds[i].voter;
  if (in->what == TIMEOUT && preparing) a->held[at] = !kinds[at].voter;
  if (in->what == DECIDED) a->unknown = in->value == RILLE_OUTCOME_UNKNOWN;
  if (in->what == FORCED) *(in->value ? &a->forced : &a->unknown) = 1;
  if (in->what == FINISHED) {
    a->told[i] = in->value ? 2 : 1;
    a->acknowledged[i] = in->value && a->voted[i] == RILLE_VOTE_READ;
  }
  if (in->what == ACKNOWLEDGED) a->acknowledged[i] = 1;
  if (in->what == ANSWERED) a->answered = 1;
  if (in->what == ENDED) a->ended = 1;
}

static void try(const struct point *from, struct input in) {
  struct point next = *from;
  bool expected = is_expected(&next, &in);
  if (expected) note(&next, &in);
  tell(machine_of(&next), &in);
  if (!expected) CHECK(memcmp(from->machine, next.machine, sizeof next.machine) == 0);
  for (size_t i = 0; i < kind_count; i++) {
    uint8_t vote = (uint8_t)rille_steps_vote(machine_of(&next), i);
    bool by_this = (in.what == VOTED || in.what == PREPARED) && in.participant == i;
    CHECK(vote == from->account.voted[i] || (by_this && expected));
    CHECK(from->account.voted[i] != RILLE_VOTE_NO || vote == RILLE_VOTE_NO);
    next.account.voted[i] = vote;
  }
  check_says(&next);
  add(&next);
}

static void try_each_of(const struct point *p, size_t i) {
  for (int value = 0; value < 2; value++) {
    try(p, (struct input){PREPARED, i, value});
    try(p, (struct input){FINISHED, i, value});
  }
  for (int vote = RILLE_VOTE_NONE; vote <= RILLE_VOTE_NO; vote++)
    try(p, (struct input){VOTED, i, vote});
  try(p, (struct input){ACKNOWLEDGED, i, 0});
}

static void try_all(const struct point *p) {
  for (size_t i = 0; i < kind_count; i++) try_each_of(p, i);
  for (int set = -1; set < 1 << kind_count; set++) try(p, (struct input){VERDICT, 0, set});
  try(p, (struct input){VERDICT, 1, RILLE_OUTCOME_UNDECIDED});
  try(p, (struct input){VERDICT, 1, RILLE_OUTCOME_ABORTED});
  for (int outcome = RILLE_OUTCOME_NONE; outcome <= RILLE_OUTCOME_UNKNOWN; outcome++)
    if (outcome != RILLE_OUTCOME_UNDECIDED) try(p, (struct input){DECIDED, 0, outcome});
  try(p, (struct input){FORCED, 0, 0});
  try(p, (struct input){FORCED, 0, 1});
  try(p, (struct input){TIMEOUT, 0, 0});
  try(p, (struct input){ANSWERED, 0, 0});
  try(p, (struct input){ENDED, 0, 0});
}

/* Does what it says, until it is over; what it waits for never comes. */
static void check_ends(const struct point *from) {
  struct point p = *from;
  rille_steps *s = machine_of(&p);
  for (int n = 0; CHECK(n < STEPS_MOST); n++) {
    size_t i;
    switch (rille_steps_next(s, &i)) {
      case RILLE_STEP_WAIT: rille_steps_timeout(s); break;
      case RILLE_STEP_PREPARE: rille_steps_prepared(s, i, 1); break;
      case RILLE_STEP_FLUSH: rille_steps_voted(s, i, RILLE_VOTE_YES); break;
      case RILLE_STEP_ASK: rille_steps_verdict(s, RILLE_OUTCOME_UNDECIDED, NULL, 0, NULL); break;
      case RILLE_STEP_DECIDE: rille_steps_decided(s, RILLE_OUTCOME_COMMITTED); break;
      case RILLE_STEP_FORCE: rille_steps_forced(s, 1); break;
      case RILLE_STEP_COMMIT:
      case RILLE_STEP_ABORT: rille_steps_finished(s, i, 1); break;
      case RILLE_STEP_ANSWER: rille_steps_answered(s); break;
      case RILLE_STEP_WATCH: rille_steps_acknowledged(s, i); break;
      case RILLE_STEP_END: rille_steps_ended(s); break;
      case RILLE_STEP_OVER: return;
    }
  }
}

static void explore(void) {
  memset(table, 0, TABLE_MOST * sizeof *table);
  found = 0;
  rille_steps *s = rille_steps_new(kinds, kind_count);
  struct point start;
  memset(&start, 0, sizeof start);
  memcpy(start.machine, s, sizeof *s + kind_count * sizeof s->list[0]);
  rille_steps_free(s);
  add(&start);
  for (unsigned i = 0; i < found && !test_failures; i++) {
    check_ends(&points[i]);
    struct point p = points[i];
    try_all(&p);
  }
  states_in_all += found;
}

/* ---- Tests ------------------------------------------------------------------ */

static const rille_steps_participant ALL_KINDS[] = {
    {0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {1, 0, 1},
};

/* All combinations of `count` participants. */
static void explore_all(size_t count) {
  unsigned combinations = 1, of = sizeof ALL_KINDS / sizeof *ALL_KINDS;
  for (size_t i = 0; i < count; i++) combinations *= of;
  for (unsigned c = 0; c < combinations && !test_failures; c++) {
    unsigned rest = c;
    kind_count = count;
    for (size_t i = 0; i < count; i++, rest /= of) kinds[i] = ALL_KINDS[rest % of];
    explore();
  }
}

static void with_room(void (*run)(void)) {
  points = malloc(TABLE_MOST / 2 * sizeof *points);
  table = malloc(TABLE_MOST * sizeof *table);
  states_in_all = 0;
  run();
  CHECK(states_in_all > 1000);
  printf("%llu states\n", (unsigned long long)states_in_all);
  free(points);
  free(table);
}

static void few(void) {
  for (size_t count = 0; count <= 2; count++) explore_all(count);
}

/* One of each kind that a policy tells apart, in two orders. */
static void three(void) {
  for (size_t turn = 0; turn < 2; turn++) {
    kind_count = 3;
    for (size_t i = 0; i < 3; i++) kinds[i] = ALL_KINDS[turn ? 2 - i : i];
    explore();
  }
}

static void every_state_of_few(void) { with_room(few); }
static void every_state_of_three(void) { with_room(three); }

static enum rille_step step_of_machine(const rille_steps *s, size_t want) {
  size_t i;
  enum rille_step step = rille_steps_next(s, &i);
  CHECK(i == want);
  return step;
}

/* The first no ends it before anything is flushed, and only who may have promised is told. */
static void early_no(void) {
  rille_steps_participant three[3] = {{0, 0, 0}, {0, 0, 0}, {0, 0, 0}};
  rille_steps *s = rille_steps_new(three, 3);
  rille_steps_prepared(s, 0, 1);
  CHECK(step_of_machine(s, 1) == RILLE_STEP_PREPARE);
  rille_steps_voted(s, 1, RILLE_VOTE_NO);
  CHECK(step_of_machine(s, 0) == RILLE_STEP_ABORT);
  rille_steps_finished(s, 0, 1);
  CHECK(step_of_machine(s, 0) == RILLE_STEP_ANSWER);
  rille_steps_answered(s);
  CHECK(step_of_machine(s, 0) == RILLE_STEP_OVER);
  rille_steps_free(s);
}

/* A quorum is there before the last flush: who is late is no member, and is aborted. */
static void late_yes(void) {
  rille_steps_participant three[3] = {{1, 0, 0}, {1, 0, 0}, {1, 0, 0}};
  rille_steps *s = rille_steps_new(three, 3);
  for (size_t i = 0; i < 3; i++) rille_steps_prepared(s, i, 1);
  rille_steps_voted(s, 0, RILLE_VOTE_YES);
  CHECK(step_of_machine(s, 0) == RILLE_STEP_ASK);
  rille_steps_verdict(s, RILLE_OUTCOME_COMMITTED, NULL, 0, NULL);
  rille_steps_voted(s, 2, RILLE_VOTE_YES);
  rille_steps_timeout(s);
  rille_steps_decided(s, RILLE_OUTCOME_COMMITTED);
  rille_steps_forced(s, 1);
  CHECK(step_of_machine(s, 0) == RILLE_STEP_COMMIT);
  rille_steps_finished(s, 0, 1);
  CHECK(step_of_machine(s, 1) == RILLE_STEP_ABORT);
  rille_steps_finished(s, 1, 1);
  CHECK(step_of_machine(s, 2) == RILLE_STEP_ABORT);
  rille_steps_free(s);
}

/* A verdict against the rules is refused, and aborts. */
static void wrong_verdict(void) {
  rille_steps_participant two[2] = {{0, 0, 0}, {1, 0, 0}};
  size_t members[1] = {1};
  rille_error e;
  rille_steps *s = rille_steps_new(two, 2);
  for (size_t i = 0; i < 2; i++) rille_steps_prepared(s, i, 1);
  for (size_t i = 0; i < 2; i++) rille_steps_voted(s, i, RILLE_VOTE_YES);
  CHECK(rille_steps_verdict(s, RILLE_OUTCOME_COMMITTED, members, 1, &e) == RILLE_INVALID);
  CHECK(rille_steps_outcome(s) == RILLE_OUTCOME_ABORTED);
  CHECK(strcmp(rille_steps_state(s), "aborting") == 0);
  rille_steps_free(s);
}

/* As many as may be, and not one more. */
static void limits(void) {
  rille_steps_participant *many = calloc(RILLE_MEMBERS + 1, sizeof *many);
  rille_steps *s = rille_steps_new(many, RILLE_MEMBERS);
  CHECK(s != NULL && rille_steps_new(many, RILLE_MEMBERS + 1) == NULL);
  rille_steps_prepared(s, RILLE_MEMBERS, 1);
  CHECK(step_of_machine(s, 0) == RILLE_STEP_PREPARE);
  rille_steps_free(s);
  free(many);
}

static const struct test tests[] = {
    {"a required no ends it early", early_no},
    {"a late yes is aborted", late_yes},
    {"a wrong verdict aborts", wrong_verdict},
    {"limits", limits},
    {"every state, up to two participants of all kinds", every_state_of_few},
    {"every state, three participants", every_state_of_three},
};

TEST_MAIN(tests)
