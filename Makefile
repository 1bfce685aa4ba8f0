# wawp: build, install and test (PGXS).
#
#   make, make install          need PostgreSQL's server headers and libcurl, nothing else
#   make installcheck           PGXS' own: REGRESS and ISOLATION against the running server (needs pgTAP)
#   make demo, make test        install what they lack, use private clusters only; see test/README.md
#   make test-matrix            make test on PostgreSQL 17, 18 and 19, each in a chroot (root, debootstrap)
#   make deb, upgrade-majors    Debian's packages, and pg_upgrade, in chroots; see test/packages/README.md
#   make bench                  measures what design and README promise; see test/bench/README.md
#   make simulate               runs the worker in simulated time; see test/simulate/README.md
#   make faults, latency, valgrind, asan, neighbours, copies, engines likewise, and take minutes
#
# demo, test, bench and deps work on a machine that has neither pg_config nor a compiler yet:
# everything that needs PGXS is inside the ifeq below.
#
# Builds outside the source tree as well: mkdir b && cd b && make -f ../wawp/Makefile

EXTENSION = wawp
MODULE_big = wawp

# The source tree: "./", unless the build is outside it.
top := $(if $(VPATH),$(VPATH:%/=%)/,$(dir $(lastword $(MAKEFILE_LIST))))

version := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(top)wawp.control)

# The modules, folder by folder, from the bottom to the top (src/README.md).
protocol = calling_code jid outcome json shape wire_time account_limits wire_value wire_verdict wire_list wire list_again event redact endpoint member_list sync_plan backoff mailbox_record mark seal html
base = guc clock shmem counters mark_file commit_wake spi_statement subtransaction index_probe table_column table_insert table_update encoding text_limit requester signature random_pool
client = http instance call missing_route
throttle = gcra limiter budget share
tables = intent contact membership suppression erasure_key person_data erasure group_settings hold requester_hold identity home adoption privileges audit_block audit_stored audit audit_mailbox webhook_event worker_status
session = api participants check groups join_requests messages pairs pure send session_read session_verify sync sync_request sync_source \
	foreign_table foreign_read foreign_plan foreign_scan foreign_modify foreign_handler
queue = quota enqueue control webhook take_over subject monitor metrics metric_rows audit_verify audit_proof report trigger trigger_batch trigger_search trigger_probe trigger_row trigger_arguments trigger_catalog trigger_guard
worker = launcher worker dispatch settle claim verify precheck precedence messages completion attempt events \
	group_cache lanes admission instance_cache error_log savepoint utility_hook server_changes refusal_run erasure_rest

OBJS = src/wawp.o $(protocol:%=src/protocol/%.o) $(base:%=src/base/%.o) $(client:%=src/client/%.o) \
	$(throttle:%=src/throttle/%.o) $(tables:%=src/tables/%.o) $(session:%=src/session/%.o) \
	$(queue:%=src/queue/%.o) $(worker:%=src/worker/%.o)

# Modules that call nobody; test/unit links them without a server.
PURE = $(protocol:%=protocol/%) throttle/gcra throttle/share

# The install script is these parts, in this order.
SQL_PARTS = sql/00-schema.sql sql/10-instance.sql sql/20-jid.sql sql/30-api.sql \
	sql/40-queue.sql sql/45-policy.sql sql/47-sync.sql sql/50-audit.sql sql/55-webhook.sql sql/60-views.sql sql/90-grants.sql

DATA_built = wawp--$(version).sql

# The install scripts of releases, which do not change any more, and the scripts from one version to the next.
DATA = $(patsubst $(top)%,%,$(wildcard $(top)sql/releases/wawp--*.sql))

# The order they run in.  One name per line of test/sql, never a glob.
REGRESS = surface jid classify instance session_calls readers check sync queue insert wishes verbs foreign_tables events membership_trigger
REGRESS_OPTS = --inputdir=test --load-extension=pgtap --load-extension=wawp

# The same for test/specs.  Expected output is looked for below the output directory.
ISOLATION = duplicates requesters opposites deadlock on_the_wire locked_rows table_lock rollback pause retry cancel_batch trigger
ISOLATION_OPTS = --inputdir=test --outputdir=. --load-extension=wawp --launcher=test/harness/isolation

SHLIB_EXPORTS = exports.txt
SHLIB_LINK += $(shell curl-config --libs 2>/dev/null || echo -lcurl)
PG_CPPFLAGS += -I$(top)src -DWAWP_VERSION='"$(version)"' $(shell curl-config --cflags 2>/dev/null)

EXTRA_CLEAN = exports.txt exports.list test/unit/build

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)

# The headers themselves: on Debian pg_config and pgxs.mk come with packages that lack them.
server_headers := $(shell f=$$($(PG_CONFIG) --includedir-server 2>/dev/null)/postgres.h; test -f "$$f" && echo yes)

# Not every installation of PostgreSQL brings the tester: installcheck says so and goes without.
SPECS := $(ISOLATION)
ISOLATION_TESTER := $(wildcard $(dir $(PGXS))../test/isolation/pg_isolation_regress)
ifeq ($(ISOLATION_TESTER),)
ISOLATION =
endif

all:

ifeq ($(and $(wildcard $(PGXS)),$(server_headers)),yes)

# The bitcode for JIT inlining needs the clang that the server was built with.  Without it the build
# goes without bitcode.
llvm_clang := $(shell sed -n 's/^CLANG *= *//p' $(dir $(PGXS))../Makefile.global)
ifeq ($(or $(shell command -v $(or $(llvm_clang),clang) 2>/dev/null),$(filter command line,$(origin with_llvm))),)
override with_llvm := no
endif

# PGXS' installcheck finds the tests in the source tree only.
ifneq ($(top),./)
NO_INSTALLCHECK = yes
endif

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

# Outside the source tree only what is not built is looked for in there, so that an earlier build in the
# source tree is no target of this one.
ifneq ($(top),./)
srcdir := $(patsubst %/,%,$(top))
override VPATH :=
vpath %.c $(top)
vpath %.h $(top)
vpath sql/%.sql $(top)
vpath %.control $(top)

installcheck:
	$(MAKE) -C $(top) installcheck

clean: clean-folders
.PHONY: clean-folders
clean-folders:
	rm -f $(OBJS) $(OBJS:.o=.bc)
	-@find src test -depth -type d -empty -exec rmdir {} ';' 2>/dev/null
endif

# Before anything is compiled: the folders of the objects, and one sentence instead of the compiler's
# many when libcurl's headers are missing.
$(OBJS) $(OBJS:.o=.bc): | ready
.PHONY: ready
ready:
	@$(MKDIR_P) $(sort $(dir $(OBJS)))
	@echo '#include <curl/curl.h>' | $(CC) $(CPPFLAGS) -E -x c - >/dev/null 2>&1 || { \
	  echo "$(firstword $(CC)) does not find libcurl's development files (curl/curl.h); 'make deps' installs them on Debian and Ubuntu." >&2; \
	  exit 1; }

$(DATA_built): $(SQL_PARTS) wawp.control
	cat $(filter %.sql,$^) > $@

# Only what the server looks up leaves the library (15 has no PGDLLEXPORT to say so in C).
exports.txt: $(OBJS:.o=.c)
	{ printf '%s\n' Pg_magic_func _PG_init wawp_launcher_main wawp_worker_main; \
	  awk -F'[()]' '/^PG_FUNCTION_INFO_V1/ { print $$2; print "pg_finfo_" $$2 }' $^; } > $@

# PGXS tracks no headers; with so few of them each object may depend on all.
$(OBJS): $(wildcard $(srcdir)/src/*.h $(srcdir)/src/*/*.h)

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
UNIT_TESTS ?= $(basename $(notdir $(wildcard $(srcdir)/test/unit/*_test.c))) simulate_test \
	$(patsubst %_fuzz.c,%_corpus_test,$(notdir $(wildcard $(srcdir)/test/fuzz/*_fuzz.c)))
UNIT_PROGRAMS = $(addprefix test/unit/build/,$(UNIT_TESTS))
UNIT_HEADERS = $(wildcard $(srcdir)/src/*.h $(srcdir)/src/*/*.h $(srcdir)/test/unit/*.h $(srcdir)/test/fuzz/*.h)
UNIT_CPPFLAGS = -DFRONTEND -DUSE_PRIVATE_ENCODING_FUNCS -DWAWP_VERSION='"$(version)"' -I $(srcdir)/src -I $(srcdir)/test/unit \
	-isystem $(includedir_server)
UNIT_LIBS = -L $(pkglibdir) -L $(libdir) -lpgcommon -lpgport -lm
UNIT_COMPILE = @$(MKDIR_P) $(@D) && $(UNIT_CC) $(UNIT_CPPFLAGS) -g -Wall -Wextra -Werror $(UNIT_CFLAGS)

# What all of them share is compiled once.
UNIT_OBJECTS = $(PURE:%=test/unit/build/pure/%.o) test/unit/build/pure/tap.o
test/unit/build/pure/%.o: src/%.c $(UNIT_HEADERS)
	$(UNIT_COMPILE) -c -o $@ $<
test/unit/build/pure/tap.o: test/unit/tap.c $(UNIT_HEADERS)
	$(UNIT_COMPILE) -c -o $@ $<

test/unit/build/%_test: test/unit/%_test.c $(UNIT_OBJECTS) $(UNIT_HEADERS)
	$(UNIT_COMPILE) -o $@ $< $(UNIT_OBJECTS) $(UNIT_LIBS)

# The inputs that are kept for each fuzz target, without libFuzzer; `make fuzz` itself is test/fuzz/run.
FUZZ_SHARED = $(srcdir)/test/fuzz/fuzz.c $(UNIT_OBJECTS)
test/unit/build/%_corpus_test: test/fuzz/%_fuzz.c $(srcdir)/test/fuzz/replay.c $(FUZZ_SHARED) $(UNIT_HEADERS)
	$(UNIT_COMPILE) -DCORPUS='"$(abspath $(srcdir))/test/fuzz/corpus/$*"' -o $@ $< $(srcdir)/test/fuzz/replay.c $(FUZZ_SHARED) $(UNIT_LIBS)
test/unit/build/%_fuzz: test/fuzz/%_fuzz.c $(FUZZ_SHARED) $(UNIT_HEADERS)
	$(UNIT_COMPILE) -fsanitize=fuzzer -o $@ $< $(FUZZ_SHARED) $(UNIT_LIBS)

# The worker's own modules in simulated time, by seeds; test/simulate/README.md.  WHOLE: their static variables begin
# anew with each worker.
test/unit/build/simulate_test: WHOLE = $(addprefix worker/,dispatch claim settle verify precheck attempt group_cache lanes admission refusal_run)
test/unit/build/simulate_test: OTHERS = $(addprefix throttle/,limiter budget gcra share) \
	$(addprefix protocol/,backoff member_list jid calling_code outcome account_limits endpoint)
test/unit/build/simulate_test: $(wildcard $(srcdir)/test/simulate/*) $(wildcard $(srcdir)/src/*.h $(srcdir)/src/*/*.[ch] $(srcdir)/test/unit/tap.*)
	@$(MKDIR_P) $(@D)
	CC="$(UNIT_CC)" CPPFLAGS='-DWAWP_VERSION="$(version)" -Isrc -Itest/unit -isystem $(includedir_server)' \
	  LIBS="-L $(pkglibdir) -L $(libdir) -lpgcommon -lpgport" WHOLE="$(WHOLE)" OTHERS="$(OTHERS)" OUT=$(abspath $@) \
	  $(srcdir)/test/simulate/compile

# Palloc'd memory of a frontend program is never freed, so leaks are no finding here.
.PHONY: check-unit
check-unit: $(UNIT_PROGRAMS)
	$(if $(UNIT_PROGRAMS),,$(error no test/unit/*_test.c))
	ASAN_OPTIONS=detect_leaks=0 $(UNIT_PROVE) -e '' $(UNIT_PROGRAMS)

else

# Another installation that could be named instead.
complete := $(firstword $(patsubst %/postgres.h,%,$(wildcard /usr/include/postgresql/*/server/postgres.h)))
other := $(wildcard $(patsubst /usr/include/postgresql/%/server,/usr/lib/postgresql/%/bin/pg_config,$(complete)))

all install uninstall installcheck installdirs check-unit:
	@echo "PostgreSQL's server headers are missing: $(if $(PGXS),no postgres.h where '$(PG_CONFIG)' says,'$(PG_CONFIG)' does not run)." >&2
	@echo "'make deps' installs them on Debian and Ubuntu; or name yours: make PG_CONFIG=$(or $(other),/path/to/pg_config)" >&2
	@exit 1

clean distclean:
	rm -rf $(DATA_built) $(OBJS) $(OBJS:.o=.bc) wawp.so $(EXTRA_CLEAN) results regression.diffs regression.out tmp_check

.PHONY: all install uninstall installcheck installdirs clean distclean check-unit

endif

# --- what needs nothing but make, git and a shell -----------------------------------------------

.PHONY: deps demo test test-matrix deb upgrade-majors bench simulate latency faults soak valgrind asan numbers engines neighbours copies browser fuzz coverage check-regress check-isolation check-tap check-names
.PHONY: check-layers house-report indent lint deps-lint results reference dist list-regress list-isolation

deps:
	@bash $(top)test/harness/deps

demo:
	@bash $(top)test/demo/run

test:
	@bash $(top)test/harness/run

# The same on the major versions that this machine does not have: MATRIX="--fresh 18" and the like.
test-matrix:
	@bash $(top)test/matrix $(MATRIX) || [ $$? -eq 77 ]

# Debian's package in bookworm, trixie and sid, and the zip of `make dist` by pgxnclient: DEB="--fresh sid" and the like.
deb:
	@bash $(top)test/packages/deb $(DEB) || [ $$? -eq 77 ]

# pg_upgrade of a cluster with a queue, 15 to 17 and 17 to 18: UPGRADE=15-17 and the like.
upgrade-majors:
	@bash $(top)test/packages/upgrade $(UPGRADE) || [ $$? -eq 77 ]

bench:
	@bash $(top)test/bench/run

# Who goes next, in simulated time: seeds, and a table of sizes.
simulate:
	@bash $(top)test/simulate/run

# What is added at an API that answers late.
latency:
	@bash $(top)test/latency/run

check-regress:
	@LAYERS="regress prove" bash $(top)test/harness/run

check-isolation:
	@LAYERS=isolation bash $(top)test/harness/run

check-tap:
	@LAYERS=tap bash $(top)test/harness/run

# What becomes of the intents when things fail: one table.
faults:
	@bash $(top)test/faults/run

# Eight hours of kills, floods and restarts; make faults has twenty minutes of it.
soak:
	@SOAK_MINUTES=$${SOAK_MINUTES:-480} FAULTS=soak bash $(top)test/faults/run

valgrind:
	@bash $(top)test/valgrind/run

neighbours:
	@bash $(top)test/neighbours/run

# Copies of a cluster by pgbackrest, barman and PostgreSQL's own tools.
copies:
	@bash $(top)test/copies/run

# What an application does, through drivers, ORMs and poolers (node, npm, python, java).
clients:
	@bash $(top)test/clients/run

# Spellings of valid numbers of all regions (node, npm).
numbers:
	@bash $(top)test/numbers/run

# Answers of real engines, by their own code, and what wawp makes of them (node, npm).
engines:
	@bash $(top)test/engines/run

# The page of wawp_report() in a browser (chromium, npm).
browser:
	@bash $(top)test/browser/run

# libFuzzer on what reads texts from outside (clang).
fuzz:
	@bash $(top)test/fuzz/run

# Lines of src/ that the tests execute in a server.
coverage:
	@bash $(top)test/coverage/run

# The Perl tests against servers under ASan and UBSan.
asan:
	@bash $(top)test/asan/run

check-names:
	@bash $(top)test/harness/check-names

check-layers:
	@bash $(top)test/harness/check-layers

# Faults that can be found by reading; deps-lint installs what that needs.
lint:
	@bash $(top)test/harness/lint $(TOOLS)

deps-lint:
	@bash $(top)test/harness/deps lint

# Lays out src/ and test/unit as PostgreSQL's pgindent does.
indent:
	@perl $(top)test/harness/indent

# Figures of the source tree: folders, floors, lengths, names.
house-report:
	@perl $(top)test/harness/house-report

# Accept what the regress and isolation layers print now as the expected output.
results:
	@ACCEPT=1 bash $(top)test/harness/run

# doc/reference.md from the catalog; t/250_documents.pl compares it.
reference:
	@bash $(top)test/harness/reference

dist:
	cd $(top) && version=$$(sed -n 's/^   "version": "\(.*\)",/\1/p' META.json) && \
	git archive --format=zip --prefix=wawp-$$version/ -o wawp-$$version.zip HEAD || \
	{ rm -f wawp-$$version.zip; exit 1; }

list-regress:
	@echo $(REGRESS)

list-isolation:
	@echo $(SPECS)
