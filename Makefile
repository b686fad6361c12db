# tarn: `make help` lists the targets.
#
# Every object lands under $(B). A variant (asan, ubsan, tsan, fuzz) is the same build with another B and other flags.

B       ?= build
CC      ?= gcc
OPT     ?= -O2 -g
VARIANT ?=
WERROR  ?= $(if $(CI),-Werror,)
V       ?= 0
Q       := $(if $(filter 1,$(V)),,@)
MAKEFLAGS += --no-print-directory
JOBS    := -j$(shell nproc)
PYTHON  := /usr/bin/python3

CFLAGS  += -std=gnu11 $(OPT) -Isrc -D_GNU_SOURCE -fno-strict-aliasing -fstack-protector-strong
# BoringSSL, where Debian keeps it apart from OpenSSL.
TLS_LIB := /usr/lib/$(shell $(CC) -print-multiarch)/android

CFLAGS  += -isystem /usr/include/android
CFLAGS  += -fPIE -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat-security
CFLAGS  += -Wno-unused-parameter $(WERROR) $(VARIANT)
LDFLAGS += $(VARIANT) -pie -pthread -Wl,-z,relro,-z,now
LDLIBS  += -L$(TLS_LIB) -Wl,-rpath,$(TLS_LIB) -lssl -lcrypto -lnghttp2 -lcares -lsqlite3 -luring -lz -lbrotlienc -lbrotlicommon -lzstd -lmaxminddb -lm

# Files of one processor, or for those that have none of their own, are named so.
ARCH      := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
ARCH_ALL  := $(wildcard $(foreach a,x86_64 aarch64 none,src/*/*_$a.c src/*/*_$a_test.c))
ARCH_USED := $(wildcard src/*/*_$(ARCH).c src/*/*_$(ARCH)_test.c) $(if $(wildcard src/bpf/jit_$(ARCH).c),,src/bpf/jit_none.c)

SRC      := $(filter-out $(filter-out $(ARCH_USED),$(ARCH_ALL)),$(wildcard src/*/*.c))
TEST_SRC := $(filter %_test.c,$(SRC))
MAIN_SRC := src/server/main.c
LIB_OBJ  := $(patsubst %.c,$(B)/%.o,$(filter-out $(TEST_SRC) $(MAIN_SRC),$(SRC)))
TEST_BIN := $(patsubst src/%.c,$(B)/test/%,$(TEST_SRC))
FUZZERS  := $(patsubst fuzz/fuzz_%.c,%,$(wildcard fuzz/fuzz_*.c))
SITE     := $(shell find examples/site -type f 2>/dev/null)

SAN_ADDRESS   := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SAN_UNDEFINED := -fsanitize=undefined -fno-sanitize-recover=all
SAN_THREAD    := -fsanitize=thread
SAN_FUZZ      := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all

all: $(B)/tarn ## build build/tarn

$(B)/tarn: $(B)/src/server/main.o $(B)/libtarn.a
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
	@echo "  built $@"

$(B)/libtarn.a: $(LIB_OBJ)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

# It takes them in with .incbin.
$(B)/src/script/sdk.o: sdk/tarn.h sdk/zeroserve.h

$(B)/test/%: $(B)/src/%.o $(B)/libtarn.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)

BPF_COMPARE_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard fuzz/bpf_gen*.c) fuzz/bpf_maker.c fuzz/bpf_compare.c)

$(B)/fuzz/bpf_diff: $(BPF_COMPARE_OBJ)

$(B)/fuzz/%: $(B)/fuzz/fuzz_%.o $(B)/libtarn.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LDLIBS)

$(B)/fuzz/bpf_soak: $(B)/fuzz/bpf_soak.o $(BPF_COMPARE_OBJ) $(B)/libtarn.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(B)/bench/bpf: $(B)/bench/bpf.o $(B)/libtarn.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

examples/site.tar: $(B)/tarn $(SITE)
	$(Q)$(B)/tarn pack examples/site -o $@

run: ## install what is missing, build, pack examples/site and serve it
	@tools/install-deps build
	@$(MAKE) $(JOBS) all
	@$(MAKE) examples/site.tar
	$(B)/tarn serve examples/site.tar

test: ## everything that CI runs; installs what it needs
	@tools/install-deps test
	@$(PYTHON) tools/test-all

check: $(B)/tarn unit ## unit tests, house rules and known fuzz findings, under a minute
	@$(PYTHON) tools/tidy.py
	@$(PYTHON) tools/tidy.py --self-test
	@$(PYTHON) -m unittest -q bench/bench_test.py
	@$(MAKE) $(JOBS) fuzz-replay

UNITS    ?= %
UNIT_BIN := $(filter $(UNITS:%=$(B)/test/%),$(TEST_BIN))

unit: $(UNIT_BIN) ## unit tests; `make unit UNITS=bpf/%`: those of a folder
	@$(PYTHON) tools/run-units $(UNIT_BIN)

e2e: $(B)/tarn ## end-to-end tests, on both event loops
	@TARN_BIN=$(abspath $(B)/tarn) $(PYTHON) -m pytest -q tests $(T)

asan: ## unit and end-to-end tests under the address and undefined behaviour sanitizers
	@$(MAKE) $(JOBS) B=build/asan OPT="-O1 -g" VARIANT="$(SAN_ADDRESS)" all unit
	@$(MAKE) B=build/asan OPT="-O1 -g" VARIANT="$(SAN_ADDRESS)" e2e

ubsan: ## the same under the undefined behaviour sanitizer alone
	@$(MAKE) $(JOBS) B=build/ubsan VARIANT="$(SAN_UNDEFINED)" all unit
	@$(MAKE) B=build/ubsan VARIANT="$(SAN_UNDEFINED)" e2e

tsan: ## the same under the thread sanitizer
	@$(MAKE) $(JOBS) B=build/tsan OPT="-O1 -g" VARIANT="$(SAN_THREAD)" all unit
	@$(MAKE) B=build/tsan OPT="-O1 -g" VARIANT="$(SAN_THREAD)" e2e

FUZZ_MAKE = $(MAKE) B=build/fuzz CC=clang OPT="-O1 -g" VARIANT="$(SAN_FUZZ)"

fuzz-build:
	@$(FUZZ_MAKE) $(JOBS) $(FUZZERS:%=build/fuzz/fuzz/%)

fuzz: ## fuzz one target: make fuzz T=h1_head SECS=60
	@$(FUZZ_MAKE) $(JOBS) build/fuzz/fuzz/$(T)
	@tools/fuzz $(T) $(or $(SECS),60)

fuzz-replay: fuzz-build ## run every fuzzer over its seeds and past findings
	@for t in $(FUZZERS); do tools/fuzz $$t replay || exit 1; done

bench: all ## measure beside nginx and Caddy; `make bench ARGS='174B --rounds 3'`
	@tools/install-deps bench
	@$(PYTHON) bench/bench.py $(ARGS)

fmt: ## format all C
	$(Q)clang-format -i $(wildcard src/*/*.[ch] fuzz/*.[ch] bench/*.[ch])

lint: ## formatting and static analysis
	$(Q)clang-format --dry-run -Werror $(wildcard src/*/*.[ch] fuzz/*.[ch] bench/*.[ch])
	$(Q)cppcheck --quiet --std=c11 -Isrc --enable=warning,portability --inline-suppr --error-exitcode=1 src

clean: ## remove build/
	$(Q)rm -rf build examples/site.tar

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' Makefile | column -t -s'|'

-include $(shell test -d $(B) && find $(B)/src $(B)/fuzz $(B)/bench -name '*.d' 2>/dev/null)

.PHONY: all run test check unit e2e asan ubsan tsan fuzz fuzz-build fuzz-replay bench fmt lint clean help
.SECONDARY:
