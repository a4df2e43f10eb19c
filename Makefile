# make          builds build/: the library, the Lua module, build/bin/rille; installs nothing
# make demo     installs what is missing, builds, and runs the main job on real input
# make test     the same set-up, then every test; the last line counts them
# make bench    the tables of the README, side by side with peers
# make luajit   the same for LuaJIT, in build/luajit/; LUA=luajit does so for every other word
# make lint     luacheck, cppcheck where it is installed, warnings as errors
# make soak     the tests with chance in them, over and over with new seeds, SECONDS=600 long; then
#               fuzz, and from SECONDS=240 on amalgamation-test, tsan, valgrind: about 20 minutes
# make fuzz     libFuzzer on what reads foreign bytes, SECONDS=60 a target (clang)
# make asan     every test again under AddressSanitizer and UBSan
# make tsan     what has threads under ThreadSanitizer
# make valgrind the Lua binding under valgrind's memcheck
# make analyze  gcc -fanalyzer, clang-tidy
# make docs     the pages of the API, from the source
# make man      the manual page of the command, from the tables of its help
# make install, uninstall    PREFIX=/usr/local DESTDIR=: library, headers, module, command
# make amalgamation          build/amalgamation/: the whole library as one C file
# make amalgamation-test     the specs with what is made of that
# make examples              the hosts in C
# make rock                  archive and source rocks of what is committed
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
LUA_HEADERS = LuaJIT 2.1 with its headers (Debian: libluajit-5.1-dev)
LUA_CFLAGS ?= $(shell $(PKG_CONFIG) --cflags luajit 2>/dev/null || echo -I/usr/include/luajit-2.1)
LUA_LIBS ?= $(shell $(PKG_CONFIG) --libs luajit 2>/dev/null || echo -lluajit-5.1)
B ?= build/luajit
else
LUA_HEADERS = Lua 5.4 with its headers (Debian: liblua5.4-dev)
# Debian's, where there is no pkg-config to tell it.
LUA_PLACE = $(patsubst %/lua.h,%,$(wildcard /usr/include/lua5.4/lua.h))
LUA_CFLAGS ?= $(shell $(PKG_CONFIG) --cflags lua5.4 2>/dev/null || $(PKG_CONFIG) --cflags lua-5.4 2>/dev/null || $(PKG_CONFIG) --cflags lua 2>/dev/null || echo $(LUA_PLACE:%=-I%))
LUA_LIBS ?= $(shell $(PKG_CONFIG) --libs lua5.4 2>/dev/null || $(PKG_CONFIG) --libs lua-5.4 2>/dev/null || $(PKG_CONFIG) --libs lua 2>/dev/null || echo $(if $(LUA_PLACE),-llua5.4,-llua))
endif
# The headers above are of one Lua: a LUA that is another would not load what is made. It is asked;
# where it can't be run (who cleans, or lets make install it), its name may tell.
LUA_NEEDED = $(if $(findstring luajit,$(LUA)),LuaJIT,Lua 5.4)
LUA_IS := $(or $(shell $(LUA) -e 'io.write(jit and "LuaJIT" or _VERSION)' 2>/dev/null),\
  $(strip $(foreach version,5.1 5.2 5.3 5.5,$(if $(findstring $(version),$(notdir $(LUA))),Lua $(version)))),$(LUA_NEEDED))
ifneq ($(LUA_IS),$(LUA_NEEDED))
$(error rille needs Lua 5.4, or LuaJIT 2.1: $(LUA) is $(LUA_IS). Type make LUA=lua5.4, or make LUA=luajit)
endif
LMDB_CFLAGS ?= $(shell $(PKG_CONFIG) --cflags lmdb 2>/dev/null)
PQ_CFLAGS ?= $(shell $(PKG_CONFIG) --cflags libpq 2>/dev/null)
PQ_LIBS ?= $(shell $(PKG_CONFIG) --libs libpq 2>/dev/null)
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
SCRIPTS = $(wildcard lua/rille/*.lua lua/report/*)
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

.PHONY: all luajit demo test bench soak lint fuzz asan tsan valgrind analyze analyzed docs man clean
.PHONY: setup-build setup-test setup-bench setup-lint setup-soak c-tests fuzzers

all: $B/librille.a $B/rille.so $B/bin/rille $(if $(LIBPQ),$B/rille/postgres.so)

luajit: all # whose core it shares
	@$(MAKE) --no-print-directory LUA=luajit B=$B/luajit CORE_B=$B all

# Whether the compiler finds the headers of others, asked before anything is compiled: three lines
# that say what to do, in place of a page of errors. $(call finds,HEADER,PACKAGES,VARIABLE)
finds = @mkdir -p $(@D) && if said=$$(echo '\#include <$1>' | $(CC) $($3) -E -x c - 2>&1 >/dev/null); then touch $@; \
  else printf '%s\n' "rille needs a C compiler and $2; here:" "  $$(echo "$$said" | head -n 1)" \
  "'sh .ci/setup' installs all that make needs, or says what to type. Headers elsewhere: make $3=-I..." >&2; exit 1; fi

$(CORE_B)/found-lmdb:
	$(call finds,lmdb.h,LMDB with its headers (Debian: liblmdb-dev),LMDB_CFLAGS)

$B/found-lua:
	$(call finds,lauxlib.h,$(LUA_HEADERS),LUA_CFLAGS)

$(CORE_B)/core/%.o: core/%.c $(wildcard core/*.h) | $(CORE_B)/found-lmdb
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c $< -o $@

$B/lua/%.o: lua/%.c $(wildcard core/*.h lua/*.h) | $B/found-lua
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LUA_CFLAGS) -c $< -o $@

$B/librille.a: $(CORE_OBJECTS)
	@mkdir -p $(@D)
	$(AR) rcs $@ $^

$B/rille.so: $(CORE_OBJECTS) $(BINDING_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(MODULE_FLAGS) $(SANITIZE) -o $@ $^ $(LIBS)

# The Lua half is part of the module, as text.
lua/scripts.h: $(SCRIPTS) lua/embed.lua
	$(LUA) lua/embed.lua $(SCRIPTS) > $@.new && mv $@.new $@

# rille.postgres is a module of its own, made where libpq is.
lua/postgres/scripts.h: $(POSTGRES_SCRIPTS) lua/embed.lua
	$(LUA) lua/embed.lua $(POSTGRES_SCRIPTS) > $@.new && mv $@.new $@

$B/rille/postgres.so: $(POSTGRES) lua/postgres/lpostgres.h lua/postgres/scripts.h | $B/found-lua
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LUA_CFLAGS) $(PQ_CFLAGS) $(MODULE_FLAGS) \
	  $(SANITIZE) -o $@ $(POSTGRES) $(PQ_LIBS)

$B/bin/rille: lua/bin/rille
	@mkdir -p $(@D)
	sed '1s|.*|#!/usr/bin/env $(LUA)|' $< > $@ && chmod +x $@

# The tests' own code takes longer to compile well than it runs: the library is what is asked to be fast.
TEST_O ?= -O1

$B/spec/%: spec/c/%.c $(wildcard spec/c/*.h) $B/librille.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(TEST_O) $(SANITIZE) -o $@ $< $B/librille.a $(LIBS)

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
	$(CC) $(ALL_CFLAGS) $(TEST_O) -Ispec $(SANITIZE) -o $@ $< $(POWER_OBJECTS) $B/librille.a $(LIBS)

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

# TESTS=spec/x_spec.lua: some of them.
test: setup-test
	@$(MAKE) --no-print-directory -s all $(if $(filter-out %_spec.lua,$(or $(TESTS),all)),c-tests fuzzers) $(if $(LUAJIT),luajit)
	@RILLE_BUILD=$B $(LUA) spec/run.lua $(TESTS)

SECONDS ?= 600
soak: setup-test
	@$(MAKE) --no-print-directory -s all c-tests fuzzers
	@SECONDS=$(SECONDS) RILLE_BUILD=$B RILLE_LUA=$(LUA) $(LUA) spec/soak.lua
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=$$(( $(SECONDS) < 600 ? $(SECONDS) / 10 + 1 : 60 ))
	@if [ $(SECONDS) -ge 240 ]; then for part in amalgamation-test tsan valgrind; do \
	  echo "soak: $$part" && $(MAKE) --no-print-directory SECONDS=10 $$part || exit 1; done; \
	  else echo "soak: left out amalgamation-test, tsan, valgrind, which take minutes: SECONDS is less than 240"; fi
	@echo "soak: nothing failed"

FUZZ_SECONDS = $(if $(filter command line environment,$(origin SECONDS)),$(SECONDS),60)
fuzz: setup-soak
	@$(MAKE) --no-print-directory -s B=build/clang CC=clang CFLAGS="-O1 -g -fno-omit-frame-pointer" \
	  SANITIZE="-fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined" \
	  FUZZ_MAIN=-fsanitize=fuzzer fuzzers
	@$(MAKE) --no-print-directory -j$$(getconf _NPROCESSORS_ONLN) FUZZ_SECONDS=$(FUZZ_SECONDS) \
	  $(addprefix fuzzed-,$(notdir $(FUZZ)))

# One target for its time; what it says comes at its end, since others run beside it.
fuzzed-%:
	@mkdir -p build/clang/corpus/$* && status=0 && \
	  said=$$(build/clang/fuzz/$* -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=20 \
	  -print_final_stats=1 -verbosity=0 -detect_leaks=0 -artifact_prefix=build/clang/fuzz/$*- \
	  build/clang/corpus/$* spec/fuzz/corpus/$* 2>&1) || status=$$?; \
	  echo "fuzz: $*" && echo "$$said" | \
	  { grep -aE "stat::number_of_executed_units|ERROR|SUMMARY|^[^ ]*[.]c:[0-9]|Test unit" || true; }; \
	  exit $$status

asan: setup-test
	@$(MAKE) --no-print-directory -s B=build/asan CFLAGS="-O1 -g -fno-omit-frame-pointer" TEST_O=-O0 \
	  SANITIZE="-fsanitize=address,undefined -fno-sanitize-recover=undefined" all c-tests fuzzers
	@RILLE_BUILD=build/asan RILLE_PRELOAD="$$($(CC) -print-file-name=libasan.so)" \
	  RILLE_SOAK=$${RILLE_SOAK:-0.2} $(LUA) spec/run.lua

# Threads: folding, followers, who waits, the watchdog of isolated scripts, shared handles.
TSAN_TESTS = $(patsubst %,spec/c/%_test.c,host store follow kept sharing scarce processes small_index \
  transaction kill) $(patsubst %,spec/%_spec.lua,wait fold poll processor projection isolate)

# The sanitizer wants addresses where it expects them.
tsan: setup-test
	@$(MAKE) --no-print-directory -s B=build/tsan CFLAGS="-O1 -g -fno-omit-frame-pointer" \
	  SANITIZE=-fsanitize=thread all c-tests build/tsan/spec/lua
	@RILLE_BUILD=build/tsan RILLE_SOAK=$${RILLE_SOAK:-0.3} RILLE_SLOW=1 \
	  TSAN_OPTIONS="suppressions=$(CURDIR)/spec/support/tsan.txt exitcode=66" \
	  $$(command -v setarch >/dev/null && echo setarch -R) build/tsan/spec/lua spec/run.lua $(TSAN_TESTS)

$B/spec/lua: spec/support/lua.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LUA_CFLAGS) $(SANITIZE) -Wl,-E -o $@ $< $(shell $(PKG_CONFIG) --libs lua5.4)

# Specs that call much of lua/*.c, and end within minutes without what they name #large.
VALGRIND_TESTS = own decide truncate condition transact projection processor append read

valgrind: setup-soak
	@$(MAKE) --no-print-directory -s all
	@for name in $(VALGRIND_TESTS); do echo "valgrind: $$name"; \
	  RILLE_SOAK=$${RILLE_SOAK:-0.01} RILLE_LUA=$(LUA) RILLE_BUILD=$B LUA_CPATH="$B/?.so;;" \
	  valgrind --quiet --error-exitcode=99 --suppressions=spec/support/valgrind.txt $(LUA) \
	  spec/support/busted.lua --exclude-tags=large -o spec/support/report.lua spec/$${name}_spec.lua || exit 1; done

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
	@luacheck --quiet lua spec examples bench docs
	@if command -v clang-format >/dev/null; then \
	  clang-format --dry-run --Werror core/*.c lua/l*.c lua/postgres/*.c; fi
	@if command -v cppcheck >/dev/null; then cppcheck --quiet --error-exitcode=1 --inline-suppr \
	  --enable=warning,portability -Icore -Ilua -DINTERNAL= -DLUA_VERSION_NUM=504 core lua; fi

docs:
	$(LUA) docs/pages.lua lua > docs/api-lua.md
	$(LUA) docs/pages.lua c > docs/api-c.md

# The manual page of the command, of the tables that its help is made of.
man: all
	LUA_CPATH="$B/?.so" $(LUA) -e 'require "rille" io.write(require "rille.manual"())' > docs/rille.1

clean:
	rm -rf build bench-scratch

# ---- In other programs: installing, and the whole library as one file ----

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
LUA_CMOD ?= $(PREFIX)/lib/lua/$(if $(findstring luajit,$(LUA)),5.1,5.4)
VERSION := $(shell sed -n 's/^.define RILLE_VERSION "\(.*\)"/\1/p' core/rille.h)
# While the first number is 0, a new second one may change the ABI.
ABI = $(if $(filter 0.%,$(VERSION)),$(basename $(VERSION)),$(firstword $(subst ., ,$(VERSION))))
MAN = $(wildcard docs/rille.1)

ifeq ($(shell uname -s),Darwin)
SHARED = librille.$(VERSION).dylib
SONAME = librille.$(ABI).dylib
SHARED_LINK = librille.dylib
SHARED_FLAGS = -dynamiclib -install_name $(LIBDIR)/$(SONAME) -Wl,-exported_symbol,_rille_*
else
SHARED = librille.so.$(VERSION)
SONAME = librille.so.$(ABI)
SHARED_LINK = librille.so
# The loader finds what is new in the system's own places once its cache is made anew.
LDCONFIG ?= ldconfig
REFRESH = case '$D$(LIBDIR)/' in /usr/lib/*|/usr/local/lib/*) $(LDCONFIG) || \
  echo "install: programs may not find $(SHARED_LINK) until $(LDCONFIG) has run" >&2 ;; esac
SHARED_FLAGS = -shared -Wl,-soname,$(SONAME) -Wl,-z,defs
endif

.PHONY: install uninstall installable amalgamation amalgamation-module amalgamation-test

installable: all $B/$(SHARED) $B/librille_lua.a

$B/$(SHARED): $(CORE_OBJECTS)
	$(CC) $(SHARED_FLAGS) $(SANITIZE) $(LDFLAGS) -o $@ $^ $(LIBS)

# With the Lua half in it: for hosts that have a lua_State of their own.
$B/librille_lua.a: $(CORE_OBJECTS) $(BINDING_OBJECTS)
	$(AR) rcs $@ $^

# A file of rockspec/install with the places of this installation in it.
PLACES = sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@LIBDIR@|$(LIBDIR)|g' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|g' \
  -e 's|@VERSION@|$(VERSION)|g' -e 's|@ABI@|$(ABI)|g' -e 's|@SHARED@|$(SHARED_LINK)|g' \
  -e 's|@LMDB_LIBS@|$(LMDB_LIBS)|g'

# What make install writes, and make uninstall removes.
INSTALLED = $(INCLUDEDIR)/rille.h $(INCLUDEDIR)/rille_transaction.h $(INCLUDEDIR)/rille_lua.h \
  $(LIBDIR)/librille.a $(LIBDIR)/librille_lua.a $(LIBDIR)/$(SHARED) $(LIBDIR)/$(SONAME) $(LIBDIR)/$(SHARED_LINK) \
  $(LIBDIR)/pkgconfig/rille.pc $(LIBDIR)/pkgconfig/rille-lua.pc \
  $(LIBDIR)/cmake/rille/rille-config.cmake $(LIBDIR)/cmake/rille/rille-config-version.cmake \
  $(LUA_CMOD)/rille.so $(if $(LIBPQ),$(LUA_CMOD)/rille/postgres.so) $(PREFIX)/bin/rille \
  $(PREFIX)/share/rille/meta/rille.lua $(if $(MAN),$(PREFIX)/share/man/man1/rille.1)
D = $(DESTDIR)

install: installable
	install -d $(sort $(dir $(addprefix $D,$(INSTALLED))))
	install -m 644 core/rille.h core/rille_transaction.h lua/rille_lua.h $D$(INCLUDEDIR)
	install -m 644 $B/librille.a $B/librille_lua.a $D$(LIBDIR)
	install -m 755 $B/$(SHARED) $D$(LIBDIR)
	ln -sf $(SHARED) $D$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $D$(LIBDIR)/$(SHARED_LINK)
	for name in rille.pc rille-lua.pc; do \
	  $(PLACES) rockspec/install/$$name.in > $D$(LIBDIR)/pkgconfig/$$name || exit 1; done
	for name in rille-config.cmake rille-config-version.cmake; do \
	  $(PLACES) rockspec/install/$$name.in > $D$(LIBDIR)/cmake/rille/$$name || exit 1; done
	install -m 755 $B/rille.so $D$(LUA_CMOD)/rille.so
	$(if $(LIBPQ),install -m 755 $B/rille/postgres.so $D$(LUA_CMOD)/rille/postgres.so)
	install -m 755 $B/bin/rille $D$(PREFIX)/bin/rille
	install -m 644 lua/meta/rille.lua $D$(PREFIX)/share/rille/meta
	$(if $(MAN),install -m 644 $(MAN) $D$(PREFIX)/share/man/man1/rille.1)
	@$(REFRESH)

uninstall:
	rm -f $(addprefix $D,$(INSTALLED))
	rmdir $D$(LIBDIR)/cmake/rille $D$(LUA_CMOD)/rille $D$(PREFIX)/share/rille/meta $D$(PREFIX)/share/rille 2>/dev/null || true

# rille.c, rille.h, rille_lua.h, CMakeLists.txt: the folder to copy into another project.
A = $B/amalgamation

amalgamation: $A/rille.c

$A/rille.c: lua/amalgamate.lua $(CORE) $(BINDING) $(wildcard core/*.h lua/*.h) lua/scripts.h rockspec/install/CMakeLists.txt
	@mkdir -p $A
	$(LUA) lua/amalgamate.lua $A $(CORE) $(BINDING)
	cp rockspec/install/CMakeLists.txt LICENSE $A

# The specs with what is made of this one file: those that load the module, and the C tests that
# need no more of the library than rille.h. TESTS=spec/x_spec.lua: some of them.
AMALGAMATION_FLAGS ?= -O2 -g
AMALGAMATION_TESTS = $(filter-out $(patsubst %,spec/%_spec.lua,$(OF_SOURCES) $(OF_FAULTS)), \
  $(wildcard spec/*_spec.lua spec/regress/*_spec.lua))
# They read the sources, or build with what is made of them.
OF_SOURCES = crash embed fuzz house install meta mutants proof steps
# They are long, and ask what becomes of files and processes: it is the same source that answers.
OF_FAULTS = chaos clock damage elsewhere_kill errors full handles index kill locks lost_home memory model \
  oracle pause policy_fuzz postgres_recovery postgres_stall processor_kill projection_kill recovery resources spin

amalgamation-module: $A/rille.so $A/bin/rille $(if $(LIBPQ),$A/rille/postgres.so)

$A/rille.o: $A/rille.c
	$(CC) -fPIC -Wall -Wextra $(AMALGAMATION_FLAGS) $(SANITIZE) $(LUA_CFLAGS) $(LMDB_CFLAGS) -c $A/rille.c -o $@

$A/rille.so: $A/rille.o
	$(CC) $(MODULE_FLAGS) $(SANITIZE) -o $@ $< $(LIBS)

$A/bin/rille: $B/bin/rille
	@mkdir -p $(@D)
	cp $< $@

$A/rille/postgres.so: $B/rille/postgres.so
	@mkdir -p $(@D)
	cp $< $@

# Their names are found by asking the compiler what they include.
amalgamation-test: setup-test
	@$(MAKE) --no-print-directory -s all amalgamation-module
	@mkdir -p $A/spec && for test in $(filter-out spec/c/power_test.c,$(wildcard spec/c/*_test.c)); do \
	  name=$$(basename $$test .c) && $(CC) -MM -Icore $(LMDB_CFLAGS) $$test | tr ' ' '\n' | \
	  grep -q '^core/[^r]\|^core/r[^i]' || \
	  { $(CC) $(ALL_CFLAGS) -o $A/spec/$$name $$test $A/rille.o $(LIBS) $(LUA_LIBS) -lm || exit 1; }; done
	@RILLE_BUILD=$A $(LUA) spec/run.lua $(or $(TESTS),$(AMALGAMATION_TESTS) \
	  $$(ls $A/spec/*_test | sed 's|.*/|spec/c/|; s|$$|.c|'))

# Hosts in C.
.PHONY: examples
examples: $B/examples/host $B/examples/transfer

$B/examples/host: examples/host.c core/rille.h lua/rille_lua.h $B/librille_lua.a
	@mkdir -p $(@D)
	$(CC) -std=c11 $(WARNINGS) $(CFLAGS) $(SANITIZE) -Icore -Ilua $(LUA_CFLAGS) -o $@ $< \
	  $B/librille_lua.a $(LUA_LIBS) -lm $(LIBS)

$B/examples/transfer: examples/transfer.c core/rille.h $B/librille.a
	@mkdir -p $(@D)
	$(CC) -std=c11 $(WARNINGS) $(CFLAGS) $(SANITIZE) -Icore -o $@ $< $B/librille.a $(LIBS)

# What LuaRocks calls: the module alone, in a folder that is new each time, with the Lua half as it
# was embedded last (-o): what lies about is in no rock.
.PHONY: rock-build rock-postgres-build
rock-build rock-postgres-build: O = build/$@
rock-build:
	rm -rf $O && $(MAKE) -o lua/scripts.h B=$O $O/rille.so
rock-postgres-build:
	rm -rf $O && $(MAKE) -o lua/postgres/scripts.h B=$O $O/rille/postgres.so

# The rocks of a release, made of what is committed: build/rock/ gets rille-VERSION.tar.gz, the
# rockspecs that name it, and source rocks, which install without network. URL: where the archive
# will be published; without it the rockspecs name the file.
.PHONY: rock
LUAROCKS ?= luarocks --lua-version 5.4
ARCHIVE = rille-$(VERSION).tar.gz
URL ?= $(abspath $B/rock)/$(ARCHIVE)
RELEASE = rockspec/rille-$(VERSION)-1.rockspec rockspec/postgres/rille-postgres-$(VERSION)-1.rockspec

all: $(RELEASE)

rockspec/%-$(VERSION)-1.rockspec: rockspec/%-scm-1.rockspec core/rille.h
	sed -e 's|"scm-1"|"$(VERSION)-1"|' -e 's|^source = .*|source = { url = "git+file://.", tag = "v$(VERSION)" }|' $< > $@

rock: $(RELEASE)
	rm -rf $B/rock && mkdir -p $B/rock
	git archive --prefix=rille-$(VERSION)/ --format=tar.gz -o $B/rock/$(ARCHIVE) HEAD
	for spec in $(RELEASE); do sed 's|^source = .*|source = { url = "$(URL)" }|' $$spec > $B/rock/$${spec##*/}; done
	for spec in $(notdir $(RELEASE)); do (cd $B/rock && $(LUAROCKS) pack $$spec) || exit 1; done
