# make          builds build/: the library, the Lua module, build/bin/rille; installs nothing
# make demo     installs what is missing, builds, and runs the main job on real input
# make test     the same set-up, then every test; the last line counts them
# make bench    the tables of the README, side by side with peers
# make luajit   the same for LuaJIT, in build/luajit/; LUA=luajit does so for every other word
# make lint     luacheck, cppcheck where it is installed, warnings as errors
# make soak     the tests with chance in them, over and over with new seeds, SECONDS=600 long;
#               then fuzz, tsan, valgrind
# make fuzz     libFuzzer on what reads foreign bytes, SECONDS=60 a target (clang)
# make asan     every test again under AddressSanitizer and UBSan
# make tsan     what has threads under ThreadSanitizer
# make valgrind the Lua binding under valgrind's memcheck
# make analyze  gcc -fanalyzer, clang-tidy
# make clean
#
# REPO=path: another git repository for the demo; LEDGER=postgresql:///bank: a database for it,
# in which it makes the table moves anew. WERROR=1: warnings are errors.

LUA ?= lua5.4
PKG_CONFIG ?= pkg-config
CC ?= cc
CFLAGS ?= -O2 -g
WARNINGS = -Wall -Wextra -Wshadow -Wcast-qual -Wmissing-prototypes $(if $(WERROR),-Werror)
ifneq (,$(findstring luajit,$(LUA)))
LUA_CFLAGS ?= $(shell $(PKG_CONFIG) --cflags luajit)
LUA_LIBS ?= $(shell $(PKG_CONFIG) --libs luajit)
B ?= build/luajit
else
LUA_CFLAGS ?= $(shell $(PKG_CONFIG) --cflags lua5.4 2>/dev/null || $(PKG_CONFIG) --cflags lua-5.4 2>/dev/null || $(PKG_CONFIG) --cflags lua 2>/dev/null)
LUA_LIBS ?= $(shell $(PKG_CONFIG) --libs lua5.4 2>/dev/null || $(PKG_CONFIG) --libs lua-5.4 2>/dev/null || $(PKG_CONFIG) --libs lua 2>/dev/null || echo -llua)
endif
LMDB_CFLAGS ?= $(shell $(PKG_CONFIG) --cflags lmdb 2>/dev/null)
LMDB_LIBS ?= $(shell $(PKG_CONFIG) --libs lmdb 2>/dev/null || echo -llmdb)
B ?= build
ALL_CFLAGS = -std=c11 -fPIC -fvisibility=hidden $(WARNINGS) $(CFLAGS) $(SANITIZE) -Icore $(LMDB_CFLAGS)
LIBS = $(LMDB_LIBS) -lpthread
ifeq ($(shell uname -s),Darwin)
MODULE_FLAGS = -bundle -undefined dynamic_lookup
else
MODULE_FLAGS = -shared
endif

CORE = $(wildcard core/*.c)
BINDING = $(wildcard lua/*.c)
SCRIPTS = $(wildcard lua/rille/*.lua)
CORE_B ?= $B
CORE_OBJECTS = $(CORE:%.c=$(CORE_B)/%.o)
BINDING_OBJECTS = $(BINDING:%.c=$B/%.o)
C_TESTS = $(patsubst spec/c/%.c,$B/spec/%,$(wildcard spec/c/*_test.c))
FUZZ = $(patsubst spec/fuzz/%.c,$B/fuzz/%,$(filter-out spec/fuzz/replay.c,$(wildcard spec/fuzz/*.c)))
FUZZ_LUA = $(addprefix $B/fuzz/,json messagepack pattern)
FUZZ_MAIN = spec/fuzz/replay.c
POSTGRES = $(wildcard lua/postgres/*.c)
POSTGRES_SCRIPTS = $(wildcard lua/postgres/*.lua)
LIBPQ = $(shell $(PKG_CONFIG) --exists libpq 2>/dev/null && echo yes)
SQLITE = $(shell $(PKG_CONFIG) --exists sqlite3 2>/dev/null && echo yes)
PQ = $(shell $(PKG_CONFIG) --exists libpq 2>/dev/null && echo yes)

# Where both Luas are, the tests run under both.
LUAJIT = $(shell $(PKG_CONFIG) --exists luajit 2>/dev/null && command -v luajit)

.PHONY: all luajit demo test bench soak lint fuzz asan tsan valgrind analyze analyzed clean
.PHONY: setup-build setup-test setup-bench setup-lint setup-soak c-tests fuzzers

all: $B/librille.a $B/rille.so $B/bin/rille $(if $(LIBPQ),$B/rille/postgres.so)

luajit: lua/scripts.h lua/postgres/scripts.h
	@$(MAKE) --no-print-directory LUA=luajit B=$B/luajit CORE_B=$B all

$(CORE_B)/core/%.o: core/%.c $(wildcard core/*.h)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c $< -o $@

$B/lua/%.o: lua/%.c $(wildcard core/*.h lua/*.h)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LUA_CFLAGS) -c $< -o $@

$B/librille.a: $(CORE_OBJECTS)
	$(AR) rcs $@ $^

$B/rille.so: $(CORE_OBJECTS) $(BINDING_OBJECTS)
	$(CC) $(MODULE_FLAGS) $(SANITIZE) -o $@ $^ $(LIBS)

# The Lua half is part of the module, as text.
lua/scripts.h: $(SCRIPTS) lua/embed.lua
	$(LUA) lua/embed.lua $(SCRIPTS) > $@.new && mv $@.new $@

# rille.postgres is a module of its own, made where libpq is.
lua/postgres/scripts.h: $(POSTGRES_SCRIPTS) lua/embed.lua
	$(LUA) lua/embed.lua $(POSTGRES_SCRIPTS) > $@.new && mv $@.new $@

$B/rille/postgres.so: $(POSTGRES) lua/postgres/lpostgres.h lua/postgres/scripts.h
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LUA_CFLAGS) $(shell $(PKG_CONFIG) --cflags libpq) $(MODULE_FLAGS) \
	  $(SANITIZE) -o $@ $(POSTGRES) $(shell $(PKG_CONFIG) --libs libpq)

$B/bin/rille: lua/bin/rille
	@mkdir -p $(@D)
	sed '1s|.*|#!/usr/bin/env $(LUA)|' $< > $@ && chmod +x $@

$B/spec/%: spec/c/%.c $(wildcard spec/c/*.h) $B/librille.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(SANITIZE) -o $@ $< $B/librille.a $(LIBS)

# Power cuts: what stands between the library and its files, and the parts of it that have bounds,
# with smaller ones.
POWER_OBJECTS = $(patsubst spec/power/%.c,$B/spec/power/%.o,$(wildcard spec/power/*.c)) \
  $(patsubst %,$B/spec/power/small/%.o,segment fold index)

$B/spec/power/small/%.o: core/%.c spec/power/small.h $(wildcard core/*.h)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -include spec/power/small.h -c $< -o $@

$B/spec/power/%.o: spec/power/%.c $(wildcard spec/power/*.h core/rille*.h)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Ispec/c -c $< -o $@

$B/spec/power_test: spec/c/power_test.c $(wildcard spec/c/*.h spec/power/*.h) $(POWER_OBJECTS) $B/librille.a
	$(CC) $(ALL_CFLAGS) -Ispec $(SANITIZE) -o $@ $< $(POWER_OBJECTS) $B/librille.a $(LIBS)

c-tests: $(C_TESTS)

# The targets of the fuzzer, with a main of their own that feeds them their corpus.
$B/fuzz/%: spec/fuzz/%.c $(filter %.c,$(FUZZ_MAIN)) $(wildcard spec/fuzz/*.h) $B/librille.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(if $(filter $@,$(FUZZ_LUA)),$(LUA_CFLAGS)) -o $@ $< $(FUZZ_MAIN) \
	  $(if $(filter $@,$(FUZZ_LUA)),$(BINDING_OBJECTS)) $B/librille.a \
	  $(if $(filter $@,$(FUZZ_LUA)),$(LUA_LIBS) -lm) $(LIBS)

$(FUZZ_LUA): $(BINDING_OBJECTS)

fuzzers: $(FUZZ)

setup-build setup-test setup-bench setup-lint setup-soak: setup-%:
	@sh .ci/setup $*

demo: setup-build
	@$(MAKE) --no-print-directory -s all
	@RILLE_BUILD=$B $(LUA) examples/demo.lua $(REPO)
	@echo && RILLE_BUILD=$B LEDGER="$(LEDGER)" $(LUA) examples/bank/transfer.lua
	@echo && RILLE_BUILD=$B LEDGER="$(LEDGER)" $(LUA) examples/bank/chaos.lua 5

test: setup-test
	@$(MAKE) --no-print-directory -s all c-tests fuzzers $(if $(LUAJIT),luajit)
	@RILLE_BUILD=$B $(LUA) spec/run.lua

SECONDS ?= 600
soak: setup-test
	@$(MAKE) --no-print-directory -s all c-tests fuzzers
	@SECONDS=$(SECONDS) RILLE_BUILD=$B RILLE_LUA=$(LUA) $(LUA) spec/soak.lua
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=60
	@$(MAKE) --no-print-directory tsan
	@$(MAKE) --no-print-directory valgrind

FUZZ_SECONDS = $(if $(filter command line environment,$(origin SECONDS)),$(SECONDS),60)
fuzz: setup-soak
	@$(MAKE) --no-print-directory -s B=build/clang CC=clang CFLAGS="-O1 -g -fno-omit-frame-pointer" \
	  SANITIZE="-fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined" \
	  FUZZ_MAIN=-fsanitize=fuzzer fuzzers
	@for target in $(notdir $(FUZZ)); do echo "fuzz: $$target" && \
	  mkdir -p build/clang/corpus/$$target && build/clang/fuzz/$$target -max_total_time=$(FUZZ_SECONDS) \
	  -max_len=4096 -timeout=20 -print_final_stats=1 -verbosity=0 -detect_leaks=0 -artifact_prefix=build/clang/fuzz/$$target- \
	  build/clang/corpus/$$target spec/fuzz/corpus/$$target 2>&1 | \
	  { grep -E "stat::number_of_executed_units|ERROR|SUMMARY|^[^ ]*[.]c:[0-9]|Test unit" || true; }; \
	  ls build/clang/fuzz/$$target-* >/dev/null 2>&1 && exit 1; done; true

asan: setup-test
	@$(MAKE) --no-print-directory -s B=build/asan CFLAGS="-O1 -g -fno-omit-frame-pointer" \
	  SANITIZE="-fsanitize=address,undefined -fno-sanitize-recover=undefined" all c-tests fuzzers
	@RILLE_BUILD=build/asan RILLE_PRELOAD="$$($(CC) -print-file-name=libasan.so)" \
	  RILLE_SOAK=$${RILLE_SOAK:-0.3} $(LUA) spec/run.lua

# Threads: folding, followers, who waits, the watchdog of isolated scripts, shared handles.
TSAN_TESTS = $(patsubst %,spec/c/%_test.c,store follow kept sharing scarce processes small_index \
  transaction kill) $(patsubst %,spec/%_spec.lua,wait fold)

# The sanitizer wants addresses where it expects them.
tsan: setup-test
	@$(MAKE) --no-print-directory -s B=build/tsan CFLAGS="-O1 -g -fno-omit-frame-pointer" \
	  SANITIZE=-fsanitize=thread all c-tests build/tsan/spec/lua
	@RILLE_BUILD=build/tsan RILLE_SOAK=$${RILLE_SOAK:-0.3} \
	  TSAN_OPTIONS="suppressions=$(CURDIR)/spec/support/tsan.txt exitcode=66" \
	  $$(command -v setarch >/dev/null && echo setarch -R) build/tsan/spec/lua spec/run.lua $(TSAN_TESTS)

$B/spec/lua: spec/support/lua.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LUA_CFLAGS) $(SANITIZE) -Wl,-E -o $@ $< $(shell $(PKG_CONFIG) --libs lua5.4)

# Specs that call much of lua/*.c, and end within minutes.
VALGRIND_TESTS = own decide truncate condition transact projection processor

valgrind: setup-soak
	@$(MAKE) --no-print-directory -s all
	@for name in $(VALGRIND_TESTS); do echo "valgrind: $$name"; \
	  RILLE_SOAK=$${RILLE_SOAK:-0.01} RILLE_LUA=$(LUA) RILLE_BUILD=$B LUA_CPATH="$B/?.so;;" \
	  valgrind --quiet --error-exitcode=99 --suppressions=spec/support/valgrind.txt $(LUA) \
	  spec/support/busted.lua -o spec/support/report.lua spec/$${name}_spec.lua || exit 1; done

# Each file by itself, as many at a time as make's -j says.
ANALYZED = $(patsubst %.c,$B/analyzed/%.ok,$(CORE) $(BINDING) $(POSTGRES))

analyze: setup-lint
	@$(MAKE) --no-print-directory -s lua/scripts.h lua/postgres/scripts.h analyzed

analyzed: $(ANALYZED)

$B/analyzed/%.ok: %.c .clang-tidy $(wildcard core/*.h lua/*.h lua/postgres/*.h)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(ANALYZED_CFLAGS) -Werror -fanalyzer -c $< -o /dev/null
	clang-tidy --quiet $< -- $(ALL_CFLAGS) $(ANALYZED_CFLAGS) 2>/dev/null
	@touch $@

# A null that another file, or what a hook is set for, rules out is taken for one that may be.
ANALYZED_CFLAGS = -Wno-analyzer-null-dereference -Wno-unknown-warning-option -Ilua $(LUA_CFLAGS) $(shell $(PKG_CONFIG) --cflags libpq 2>/dev/null)

bench: setup-bench
	@$(MAKE) --no-print-directory -s all $B/bench
	@RILLE_BUILD=$B RILLE_LUA=$(LUA) $B/bench $(BENCH)
	@RILLE_BUILD=$B $(LUA) bench/bench.lua $(BENCH)

$B/bench: $(wildcard bench/*.c bench/*.h) $B/librille.a
	$(CC) -std=c11 -O2 $(WARNINGS) -Icore $(LMDB_CFLAGS) $(if $(SQLITE),,-DNO_SQLITE) \
	  $(if $(PQ),$(shell $(PKG_CONFIG) --cflags libpq),-DNO_PQ) -o $@ $(wildcard bench/*.c) \
	  $B/librille.a $(LIBS) $(if $(SQLITE),-lsqlite3) $(if $(PQ),$(shell $(PKG_CONFIG) --libs libpq)) -lm

# LINT_BUILD: where the warnings are looked for; .ci/run has them looked for in what it tests.
LINT_BUILD ?= build/lint
lint: setup-lint
	@$(MAKE) --no-print-directory -s B=$(LINT_BUILD) WERROR=1 all c-tests fuzzers
	@luacheck --quiet lua spec examples bench
	@if command -v clang-format >/dev/null; then \
	  clang-format --dry-run --Werror core/*.c lua/l*.c lua/postgres/*.c; fi
	@if command -v cppcheck >/dev/null; then cppcheck --quiet --error-exitcode=1 --inline-suppr \
	  --enable=warning,portability -Icore -DINTERNAL= core; fi

clean:
	rm -rf build bench-scratch
