# Building presets, running fuzzers and benchmarks.
# dev_build PRESET [TARGET...]
dev_build() {
  local preset=$1
  shift
  cmake --preset "$preset" >build/cmake-"$preset".log 2>&1 || { cat build/cmake-"$preset".log >&2; return 1; }
  ninja -C "build/$preset" --quiet "$@"
}

# dev_fuzz SECONDS [RUNS]: every fuzzer for so long or so often, two at a time. What they find is kept in build/corpus;
# they begin from fuzz/corpus/NAME too, which nobody writes but us. Says how much of the code each one reached. The seed
# is fixed, so that with a number of runs a verdict is about a commit (FUZZ_SEED; 0: another each time, as --long has it), and
# one that passed before is not asked for again (passed.sh).
dev_fuzz() {
  local seconds=$1 runs=${2:--1} fuzzer name seeds failed=0 running=()
  for fuzzer in build/fuzz/fuzzers/*; do
    [ -x "$fuzzer" ] && [ ! -d "$fuzzer" ] || continue
    name=$(basename "$fuzzer")
    mkdir -p "build/corpus/$name"
    seeds=fuzz/corpus/$name
    [ -d "$seeds" ] || seeds=
    if [ "$runs" != -1 ] && passed_before "build/fuzz/passed/$name" $(fuzzer_files "$name"); then
      echo "fuzz: $name passed before with the same bytes"
      continue
    fi
    echo "fuzz: $name"
    rm -f "build/fuzz/passed/$name"
    "$fuzzer" -seed="${FUZZ_SEED:-1}" -max_total_time="$seconds" -runs="$runs" -max_len=65536 -rss_limit_mb=2048 -print_final_stats=0 \
      -artifact_prefix="build/corpus/$name-" "build/corpus/$name" $seeds >"build/corpus/$name.log" 2>&1 &
    running+=("$!:$name")
    if [ ${#running[@]} -ge 2 ]; then
      wait_fuzzer "${running[0]}" || failed=1
      running=("${running[@]:1}")
    fi
  done
  for fuzzer in "${running[@]}"; do wait_fuzzer "$fuzzer" || failed=1; done
  return $failed
}

# What a verdict about a fuzzer is about.
fuzzer_files() {
  echo "build/fuzz/fuzzers/$1"
  find "fuzz/corpus/$1" -type f 2>/dev/null | sort
}

wait_fuzzer() {
  local pid=${1%%:*} name=${1#*:}
  if wait "$pid"; then
    remember_passed "build/fuzz/passed/$name" $(fuzzer_files "$name") </dev/null
    echo "fuzz: $name$(sed -nE 's/^#([0-9]+)[[:space:]]+DONE +cov: ([0-9]+) ft: ([0-9]+).*/: \1 runs, coverage \2, features \3/p' "build/corpus/$name.log")"
    return 0
  fi
  echo "fuzz: $name FAILED; the input is in build/corpus/$name-*" >&2
  grep -E 'CHECK failed|Assertion|ERROR: |SUMMARY: ' "build/corpus/$name.log" >&2
  grep -vE '^#[0-9]+' "build/corpus/$name.log" | tail -40 >&2
  return 1
}

# dev_bench [NAME...]: micro-benchmarks, then the figures of a plane in a process of its own: JSON lines
# (kept in build/bench.jsonl) and a table.
dev_bench() {
  local bench go peer=$PWD/build/webhook-peer
  if [ $# -eq 0 ]; then
    for bench in $(find build/release -name '*_bench' -type f -perm -u+x | sort); do
      echo "== $(basename "$bench")"
      "$bench"
    done
  fi
  # What reviews are compared with: a webhook server of controller-runtime.
  if [ $# -eq 0 ] || [[ " $* " == *" webhook "* ]]; then
    go=$(find_go)
    (cd bench/webhook-peer && "$go" build -o "$peer" .)
    export GULFSTREAM_BENCH_PEER=$peer
  fi
  build/release/bench/plane_figures build/release/gulfstream "$@" | tee build/bench.out
  grep '^{' build/bench.out >build/bench.jsonl
}
