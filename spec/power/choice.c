/* choice.c: which of the states that a disk may have after a cut is looked at. */
#include "choice.h"

#include <stdio.h>
#include <stdlib.h>

#include "chance.h"

uint64_t chance_state;

/* ---- What there is to choose ---- */

static void reach(struct disk *d, struct node *n);

static void reach_inode(struct disk *d, uint64_t inode) {
  struct node *n = inode ? disk_find(d, inode) : NULL;
  if (n && !n->is_reachable) reach(d, n);
}

/* By the names there are, and those there may be. */
static void reach(struct disk *d, struct node *n) {
  n->is_reachable = true;
  for (uint32_t i = 0; i < n->name_count; i++) reach_inode(d, n->names[i].inode);
  for (uint32_t i = 0; i < n->change_count; i++) reach_inode(d, n->changes[i].inode);
}

static void add(struct choice *c, uint32_t *value, uint32_t most, struct page *page) {
  *value = 0;
  if (most == 0) return;
  if (c->count == CHOICE_DIGITS_MOST) abort();
  c->digits[c->count++] = (struct digit){value, most, page};
  c->states *= most + 1;
  if (c->states > UINT32_MAX) c->states = UINT32_MAX;
}

static void add_node(struct choice *c, struct node *n) {
  add(c, &n->chosen, n->is_folder ? n->change_count : n->length_count, NULL);
  for (uint32_t i = 0; i < n->page_count; i++)
    add(c, &n->pages[i].chosen, n->pages[i].count, &n->pages[i]);
}

void choice_begin(struct choice *c, struct disk *d) {
  c->disk = d;
  c->count = 0;
  c->states = 1;
  d->torn = NULL;
  for (struct node *n = d->first; n; n = n->next) n->is_reachable = false;
  reach(d, d->root);
  for (struct node *n = d->first; n; n = n->next)
    if (n->is_reachable) add_node(c, n);
}

/* ---- Choosing ---- */

bool choice_next(struct choice *c) {
  for (uint32_t i = 0; i < c->count; i++) {
    struct digit *g = &c->digits[i];
    if (*g->value < g->most) {
      ++*g->value;
      return true;
    }
    *g->value = 0;
  }
  return false;
}

enum taste { ALL, NOTHING, ANYTHING, ALL_BUT_ONE, ONE, MOST, FEW, TASTES };

static uint32_t pick(enum taste taste, uint32_t most) {
  switch (taste) {
    case NOTHING:
    case ONE: return 0;
    case ANYTHING: return chance_below(most + 1);
    case MOST: return chance_in(8) ? chance_below(most + 1) : most;
    case FEW: return chance_in(8) ? chance_below(most + 1) : 0;
    default: return most;
  }
}

/* A page that has come only in part: its first or last sectors, or any. */
static void tear(struct choice *c) {
  const struct digit *g = &c->digits[chance_below(c->count)];
  uint32_t n = 1 + chance_below(PAGE_BYTES / SECTOR_BYTES - 1);
  uint8_t first = (uint8_t)((1u << n) - 1), any = (uint8_t)chance_bits();
  if (!g->page || *g->value == 0) return;
  c->disk->torn = g->page;
  c->disk->torn_sectors = chance_in(3) ? any : chance_in(2) ? first : (uint8_t)~first;
}

void choice_at_random(struct choice *c) {
  enum taste taste = (enum taste)chance_below(TASTES);
  for (uint32_t i = 0; i < c->count; i++) *c->digits[i].value = pick(taste, c->digits[i].most);
  c->disk->torn = NULL;
  if (c->count == 0) return;
  struct digit *g = &c->digits[chance_below(c->count)];
  if (taste == ALL_BUT_ONE) *g->value = chance_below(g->most);
  if (taste == ONE) *g->value = 1 + chance_below(g->most);
  if (chance_in(2)) tear(c);
}

void choice_show(const struct choice *c) {
  for (const struct node *n = c->disk->first; n; n = n->next) {
    uint32_t all = n->is_folder ? n->change_count : n->length_count;
    printf("       %s %llx%s: ", n->is_folder ? "folder" : "file", (unsigned long long)n->inode,
           n->is_reachable ? "" : " (gone)");
    printf("%u of %u changes", n->chosen, all);
    if (n->is_folder)
      for (uint32_t i = 0; i < n->change_count; i++)
        printf("%s %s%s%s%s", i == n->chosen ? " |" : "", n->changes[i].inode ? "+" : "-",
               n->changes[i].name, *n->changes[i].to ? ">" : "", n->changes[i].to);
    else printf(", length %llu", (unsigned long long)disk_length(n));
    for (uint32_t i = 0; i < n->page_count; i++)
      if (n->pages[i].count)
        printf(", page %u: %u of %u%s", i, n->pages[i].chosen, n->pages[i].count,
               &n->pages[i] == c->disk->torn ? " torn" : "");
    printf("\n");
  }
}
