/* ljsonform.h: what ljsonread.c and ljsonwrite.c share, and no other file needs. */
#ifndef RILLE_LJSONFORM_H
#define RILLE_LJSONFORM_H

#include "../core/base.h"

#include <math.h>

/* The objects of one key, in the order of json_special_keys. */
enum json_special { SPECIAL_BYTES, SPECIAL_FLOAT, SPECIAL_PAIRS, SPECIAL_NONE };
static const char *const json_special_keys[SPECIAL_NONE] = {"$bytes", "$float", "$pairs"};

/* Which of them has this key. */
INTERNAL enum json_special json_special_of(const void *key, size_t length);

/* What $float names: inf, -inf, nan. */
#define JSON_FLOATS 3
static const struct json_float {
  const char *name;
  double number;
} json_floats[JSON_FLOATS] = {
    {"inf", HUGE_VAL}, {"-inf", -HUGE_VAL}, {"nan", (double)NAN}};

/* The digits of $bytes. */
static const char base64_digits[65] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* How many bytes from the front are UTF-8: n, when all are. */
INTERNAL size_t utf8_prefix(const uint8_t *s, size_t n);

#endif
