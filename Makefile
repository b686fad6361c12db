# tarn: `make help` lists the targets.
#
# Every object lands under $(B); a variant (asan, tsan, ...) is the same build with another B and other flags.

B       ?= build
CC      ?= gcc
OPT     ?= -O2 -g
VARIANT ?=
V       ?= 0
Q       := $(if $(filter 1,$(V)),,@)

CFLAGS  += -std=gnu11 $(OPT) -Isrc -D_GNU_SOURCE -fno-strict-aliasing -fstack-protector-strong
CFLAGS  += -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wno-unused-parameter
CFLAGS  += $(if $(CI),-Werror,) $(VARIANT)
LDFLAGS += $(VARIANT) -pthread
LDLIBS  += -luring -lz -lbrotlienc -lbrotlicommon -lzstd -lm

SRC       := $(wildcard src/*/*.c)
TEST_SRC  := $(filter %_test.c,$(SRC))
MAIN_SRC  := src/server/main.c
LIB_SRC   := $(filter-out $(TEST_SRC) $(MAIN_SRC),$(SRC))
LIB_OBJ   := $(LIB_SRC:%.c=$(B)/%.o)
TEST_BIN  := $(TEST_SRC:src/%.c=$(B)/test/%)
FUZZ_SRC  := $(wildcard fuzz/fuzz_*.c)
FUZZ_BIN  := $(FUZZ_SRC:fuzz/fuzz_%.c=$(B)/fuzz/%)

all: $(B)/tarn

$(B)/tarn: $(B)/src/server/main.o $(B)/libtarn.a
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
	@echo "  built $@"

$(B)/libtarn.a: $(LIB_OBJ)
	$(Q)rm -f $@; $(AR) rcs $@ $^

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/test/%: $(B)/src/%.o $(B)/libtarn.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)

unit: $(TEST_BIN)
	@for t in $(TEST_BIN); do $$t >$$t.log 2>&1 || { cat $$t.log; echo "FAILED: $$t"; exit 1; }; done
	@cat $(TEST_BIN:=.log) | grep -c '^\[ *OK \]' | sed 's/^/unit tests passed: /'

-include $(shell test -d $(B) && find $(B) -name '*.d')

.PHONY: all unit
