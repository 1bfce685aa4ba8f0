# wawp: build, install and test (PGXS).
#
#   make, make install          need PostgreSQL's server headers and libcurl, nothing else
#   make installcheck           PGXS' own: REGRESS and ISOLATION against the running server (needs pgTAP)
#   make demo, make test        install what they lack, use private clusters only; see test/README.md
#   make test-matrix            make test on PostgreSQL 17 and 18, each in a chroot (root, debootstrap)
#   make bench                  measures what design and README promise; see test/bench/README.md
#   make faults, valgrind, asan likewise, and take minutes
#
# demo, test, bench and deps work on a machine that has neither pg_config nor a compiler yet:
# everything that needs PGXS is inside the ifneq below.

EXTENSION = wawp
MODULE_big = wawp

version := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(dir $(lastword $(MAKEFILE_LIST)))wawp.control)

OBJS = src/wawp.o src/guc.o src/asker.o src/clock.o src/jid.o src/outcome.o src/json.o src/wire.o \
	src/redact.o src/endpoint.o src/members.o src/text.o src/instance.o src/http.o src/call.o \
	src/verify.o src/pacing.o src/retry.o src/shmem.o src/limiter.o src/sqlrun.o src/probe.o \
	src/intent.o src/contact.o src/membership.o src/suppression.o src/settings.o src/audit.o src/hold.o \
	src/budget.o src/relay.o src/session.o src/lanes.o src/trail.o src/notice.o src/roster.o src/follow.o \
	src/resolve.o src/admission.o src/lanehold.o src/flight.o src/isolation.o src/welcome.o src/ending.o \
	src/errand.o src/screen.o src/claim.o src/invite.o src/look.o src/settle.o src/dispatch.o src/worker.o \
	src/launcher.o src/ddl.o src/queue.o src/policy.o src/trigger.o src/admin.o src/api.o

# Modules that call nobody; test/unit links them without a server.
PURE = jid outcome json wire redact endpoint pacing retry members

# The install script is these parts, in this order.
SQL_PARTS = sql/00-schema.sql sql/10-instance.sql sql/20-jid.sql sql/30-api.sql \
	sql/40-queue.sql sql/45-policy.sql sql/50-audit.sql sql/60-views.sql sql/90-grants.sql

DATA_built = wawp--$(version).sql
DATA = $(notdir $(wildcard $(or $(srcdir),.)/wawp--*--*.sql))

# The order they run in.  One name per line of test/sql, never a glob.
REGRESS = surface jid classify instance session_calls readers queue
REGRESS_OPTS = --inputdir=test --load-extension=pgtap --load-extension=wawp

# The same for test/specs.  Expected output is looked for below the output directory.
ISOLATION = duplicates opposites deadlock on_the_wire locked_rows table_lock rollback pause retry cancel_batch trigger
ISOLATION_OPTS = --inputdir=test --outputdir=. --load-extension=wawp --launcher=test/harness/isolation

SHLIB_EXPORTS = exports.txt
SHLIB_LINK += $(shell curl-config --libs 2>/dev/null || echo -lcurl)
PG_CPPFLAGS += -DWAWP_VERSION='"$(version)"' $(shell curl-config --cflags 2>/dev/null)

EXTRA_CLEAN = exports.txt exports.list test/unit/build

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)

# Not every installation of PostgreSQL brings the tester: installcheck says so and goes without.
SPECS := $(ISOLATION)
ISOLATION_TESTER := $(wildcard $(dir $(PGXS))../test/isolation/pg_isolation_regress)
ifeq ($(ISOLATION_TESTER),)
ISOLATION =
endif

all:

ifneq ($(wildcard $(PGXS)),)

ifdef WERROR
# The server's headers do not pass -Wextra themselves: as system headers they are left alone.
PG_CPPFLAGS += -isystem $(shell $(PG_CONFIG) --includedir-server)
PG_CFLAGS += -Wall -Wextra -Werror
# Clang here is told the options of the compiler that built the server.
ifneq ($(findstring clang,$(CC)),)
PG_CFLAGS += -Wno-unknown-warning-option -Wno-ignored-optimization-argument
endif
endif

include $(PGXS)

$(DATA_built): $(SQL_PARTS) wawp.control
	cat $(filter %.sql,$^) > $@

# Only what the server looks up leaves the library (15 has no PGDLLEXPORT to say so in C).
exports.txt: $(OBJS:.o=.c)
	{ printf '%s\n' Pg_magic_func _PG_init wawp_launcher_main wawp_worker_main; \
	  awk -F'[()]' '/^PG_FUNCTION_INFO_V1/ { print $$2; print "pg_finfo_" $$2 }' $^; } > $@

# PGXS tracks no headers; with so few of them each object may depend on all.
$(OBJS): $(wildcard $(srcdir)/src/*.h)

ifeq ($(ISOLATION_TESTER),)
installcheck: no-isolation
.PHONY: no-isolation
no-isolation:
	@echo "no pg_isolation_regress in this installation; not run: $(SPECS)"
endif

# Unit tests: the pure modules as a plain program under the sanitizers.  In newer versions only
# who says USE_PRIVATE_ENCODING_FUNCS gets libpgcommon's encoding functions without libpq.
UNIT_CC ?= $(CC)
UNIT_CFLAGS ?= -fsanitize=address,undefined -fno-sanitize-recover=all -O1
UNIT_PROVE ?= prove
UNIT_TESTS ?= $(basename $(notdir $(wildcard $(srcdir)/test/unit/*_test.c)))
UNIT_PROGRAMS = $(addprefix test/unit/build/,$(UNIT_TESTS))
UNIT_SHARED = $(wildcard $(srcdir)/test/unit/tap.c) $(PURE:%=$(srcdir)/src/%.c)

test/unit/build/%: test/unit/%.c $(UNIT_SHARED) $(wildcard $(srcdir)/src/*.h $(srcdir)/test/unit/*.h)
	@$(MKDIR_P) $(@D)
	$(UNIT_CC) -DFRONTEND -DUSE_PRIVATE_ENCODING_FUNCS -DWAWP_VERSION='"$(version)"' -g -Wall -Wextra -Werror $(UNIT_CFLAGS) \
	  -I $(srcdir)/src -isystem $(includedir_server) -o $@ $< $(UNIT_SHARED) \
	  -L $(pkglibdir) -L $(libdir) -lpgcommon -lpgport -lm

# Palloc'd memory of a frontend program is never freed, so leaks are no finding here.
.PHONY: check-unit
check-unit: $(UNIT_PROGRAMS)
	$(if $(UNIT_PROGRAMS),,$(error no test/unit/*_test.c))
	ASAN_OPTIONS=detect_leaks=0 $(UNIT_PROVE) -e '' $(UNIT_PROGRAMS)

else

all install uninstall installcheck check-unit:
	@echo "PostgreSQL's server development files are missing (no PGXS from '$(PG_CONFIG)')." >&2
	@echo "'make deps' installs them on Debian and Ubuntu; or name yours: make PG_CONFIG=/path/to/pg_config" >&2
	@exit 1

clean distclean:
	rm -rf $(DATA_built) $(OBJS) $(OBJS:.o=.bc) wawp.so $(EXTRA_CLEAN) results regression.diffs regression.out tmp_check

.PHONY: all install uninstall installcheck clean distclean check-unit

endif

# --- what needs nothing but make, git and a shell -----------------------------------------------

.PHONY: deps demo test test-matrix bench faults valgrind asan check-regress check-isolation check-tap check-names
.PHONY: check-layers results dist list-regress list-isolation

deps:
	@bash test/harness/deps

demo:
	@bash test/demo/run

test:
	@bash test/harness/run

# The same on the major versions that this machine does not have: MATRIX="--fresh 18" and the like.
test-matrix:
	@bash test/matrix $(MATRIX) || [ $$? -eq 77 ]

bench:
	@bash test/bench/run

check-regress:
	@LAYERS="regress prove" bash test/harness/run

check-isolation:
	@LAYERS=isolation bash test/harness/run

check-tap:
	@LAYERS=tap bash test/harness/run

# What becomes of the intents when things fail: one table.
faults:
	@bash test/faults/run

valgrind:
	@bash test/valgrind/run

# The Perl tests against servers under ASan and UBSan.
asan:
	@bash test/asan/run

check-names:
	@bash test/harness/check-names

check-layers:
	@bash test/harness/check-layers

# Accept what the regress and isolation layers print now as the expected output.
results:
	@ACCEPT=1 bash test/harness/run

dist:
	version=$$(sed -n 's/^   "version": "\(.*\)",/\1/p' META.json) && \
	git archive --format=zip --prefix=wawp-$$version/ -o wawp-$$version.zip HEAD

list-regress:
	@echo $(REGRESS)

list-isolation:
	@echo $(SPECS)
