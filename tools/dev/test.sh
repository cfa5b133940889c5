# The test command: stages, each timed, each counted.
ALL_STAGES=(release unit samples e2e embedded asan fuzz threads lint)
PASSED=0
FAILED=0
STAGE_LINES=()

# Adds what a ctest or pytest log says to the sums.
count_ctest() {
  local log=$1 passed failed
  passed=$(sed -nE 's/^\[  PASSED  \] ([0-9]+) tests?\.$/\1/p' "$log" | paste -sd+ | bc_or_zero)
  failed=$(sed -nE 's/^ *([0-9]+) FAILED TESTS?$/\1/p' "$log" | paste -sd+ | bc_or_zero)
  PASSED=$((PASSED + passed))
  FAILED=$((FAILED + failed))
}
count_pytest() {
  local log=$1
  PASSED=$((PASSED + $(grep -oE '[0-9]+ passed' "$log" | tail -1 | cut -d' ' -f1 || echo 0)))
  FAILED=$((FAILED + $(grep -oE '[0-9]+ (failed|error)' "$log" | cut -d' ' -f1 | paste -sd+ | bc_or_zero)))
}
bc_or_zero() { local sum; read -r sum || true; echo $((${sum:-0})); }

run_ctest() {
  local preset=$1 label=$2 log=build/test-$1-$2.log rc=0
  ctest --test-dir "build/$preset" -L "$label" -j2 --verbose --no-tests=error --timeout 600 >"$log.raw" 2>&1 || rc=$?
  sed -E 's/^[0-9]+: //' "$log.raw" >"$log"
  count_ctest "$log"
  if [ $rc -ne 0 ]; then
    grep -E '^\[  FAILED|Failure$|ERROR: |SUMMARY: |\*\*\*|WARNING: ThreadSanitizer' "$log" | head -50 >&2
    grep -E -A12 'Failure$' "$log" | head -80 >&2
    # A program that died counts, though it printed no sum.
    FAILED=$((FAILED + 1))
  fi
  return $rc
}

stage_release() { dev_build release; }
stage_unit() { dev_build release && run_ctest release 'unit|sim'; }
stage_asan() { end_ahead; dev_build asan tests && run_ctest asan 'unit|sim'; }
stage_threads() { end_ahead; dev_build tsan threads_tests && run_ctest tsan threads; }
stage_fuzz() {
  end_ahead
  dev_build fuzz tests && run_ctest fuzz unit || return 1
  dev_fuzz "${FUZZ_SECONDS:-30}" "${FUZZ_RUNS:-100000}"
}
stage_lint() { if [ "${LONG:-}" = yes ]; then dev_lint --all; else dev_lint; fi; }
# Only with --long: the simulation from fresh seeds, and programs in test/soak/*.sh, which are told how many
# seconds they have.
stage_soak() {
  local soak log seconds=${SOAK_SECONDS:-600} rc=0
  dev_build release || return 1
  if declare -F dev_sim >/dev/null; then dev_sim --seconds "$seconds" || rc=1; fi
  for soak in test/soak/*.sh; do
    [ -e "$soak" ] || continue
    log=build/soak-$(basename "$soak").log
    echo "soak: $(basename "$soak") for $seconds s"
    bash "$soak" "$seconds" >"$log" 2>&1 || { rc=1; tail -40 "$log" >&2; }
  done
  return $rc
}
# Unit tests of the delegates in samples/, and a look at the one that end-to-end tests use.
stage_samples() {
  local log=build/test-samples.log go rc=0 sample
  for sample in namespace-baseline conversion; do
    make -s -C "samples/$sample" PYTHON="$PWD/build/venv/bin/python" test >"$log" 2>&1 || rc=$?
    tail -20 "$log"
    count_pytest "$log"
  done
  go=$(find_go)
  : >"$log"
  for sample in website image-policy; do
    (cd "samples/$sample" && "$go" vet ./... && "$go" test -v ./...) >>"$log" 2>&1 || rc=$?
  done
  (cd test/interop && "$go" vet ./...) >>"$log" 2>&1 || rc=$?
  grep -vE '^(=== |--- PASS)' "$log" | tail -40
  PASSED=$((PASSED + $(grep -c '^--- PASS' "$log" || true)))
  FAILED=$((FAILED + $(grep -c '^--- FAIL' "$log" || true)))
  return $rc
}

# End-to-end tests mostly wait: what the stages after them need is built meanwhile, with the time that nobody else wants.
# A build that fails is made again, and told of, by the stage that needs it.
AHEAD=
build_ahead() {
  local stage
  for stage in "$@"; do
    case $stage in
      asan | fuzz) dev_build "$stage" -j2 tests || true ;;
      threads) dev_build tsan -j2 threads_tests || true ;;
    esac
  done
}
# begin_ahead STAGE...: those that are still to come. In a session of its own: where the kernel shares processors between sessions
# first (autogroups), a process is idle within its session only.
begin_ahead() {
  setsid bash -c 'for part in tools/dev/*.sh; do source "$part"; done
                  echo 19 2>/dev/null >/proc/self/autogroup
                  chrt --idle --pid 0 $$
                  build_ahead "$@"' ahead "$@" >build/ahead.log 2>&1 &
  AHEAD=$!
  trap 'kill -- "-$AHEAD" 2>/dev/null' EXIT
}
end_ahead() {
  [ -n "$AHEAD" ] || return 0
  wait "$AHEAD" || true
  AHEAD=
  trap - EXIT
}

# End-to-end tests LOG [VARIABLE=VALUE...]: side by side, as they mostly wait; every worker has servers of its own.
run_e2e() {
  local log=$1
  shift
  env GULFSTREAM_E2E_UNLESS_PASSED=yes "$@" timeout 3600 build/venv/bin/python -m pytest -v test/e2e -p no:cacheprovider --durations=10 \
    -n "${E2E_WORKERS:-3}" --dist worksteal >"$log" 2>&1
}

# About five minutes of seeds, 3,000 virtual hours: beside the end-to-end tests. The same seeds each time, as a verdict is about a
# commit; ./dev sim and the soak begin elsewhere each time.
simulate() {
  local stamp=build/release/passed/hours program=build/release/test/sim/sim_test
  if [ -z "${SIM_HOURS:-}${SIM_SEED:-}" ] && passed_before "$stamp" "$program"; then return; fi
  rm -f "$stamp"
  dev_sim --hours "${SIM_HOURS:-3000}" --seed "${SIM_SEED:-1}" >build/test-sim.log 2>&1 && remember_passed "$stamp" "$program" </dev/null
}

stage_e2e() {
  local log=build/test-e2e.log rc=0 simulation
  dev_build release
  tools/kube/build.sh build/kube/bin
  simulate &
  simulation=$!
  run_e2e "$log" || rc=$?
  tail -60 "$log"
  count_pytest "$log"
  wait "$simulation" || { rc=1; FAILED=$((FAILED + 1)); grep -B1 -A3 'seed' build/test-sim.log | head -40 >&2; }
  grep -E 'virtual hours|from seed' build/test-sim.log
  return $rc
}

# The same tests with `gulfstream apiserver` in the place of kube-apiserver and etcd, but those that test the real ones
# (test/e2e/conftest.py). kubectl is the real one all the same.
stage_embedded() {
  local log=build/test-e2e-embedded.log rc=0
  dev_build release
  tools/kube/build.sh build/kube/bin
  run_e2e "$log" GULFSTREAM_E2E_API=embedded || rc=$?
  tail -60 "$log"
  count_pytest "$log"
  return $rc
}

run_stage() {
  local stage=$1 begin=$SECONDS verdict=ok
  echo "== $stage"
  if ! "stage_$stage"; then verdict=FAILED; fi
  STAGE_LINES+=("$(printf '%-10s %6.1f min  %s' "$stage" "$(awk "BEGIN{print ($SECONDS-$begin)/60}")" "$verdict")")
  [ $verdict = ok ]
}

dev_test() {
  local stages=() stage bad=0 past=0
  for stage in "$@"; do
    case $stage in
      --all) export GULFSTREAM_TEST_ALL=yes ;;
      --long) export GULFSTREAM_TEST_ALL=yes; LONG=yes FUZZ_SECONDS=${FUZZ_SECONDS:-600} FUZZ_SEED=${FUZZ_SEED:-0} FUZZ_RUNS=${FUZZ_RUNS:--1} ;;
      release | unit | samples | e2e | embedded | asan | fuzz | threads | lint | soak) stages+=("$stage") ;;
      *) echo "./dev test: \"$stage\" is not one of ${ALL_STAGES[*]} soak" >&2; return 2 ;;
    esac
  done
  if [ ${#stages[@]} -eq 0 ]; then
    stages=("${ALL_STAGES[@]}")
    if [ "${LONG:-}" = yes ]; then stages+=(soak); fi
  fi
  for stage in "${stages[@]}"; do
    past=$((past + 1))
    if [ "$stage" = e2e ]; then begin_ahead "${stages[@]:$past}"; fi
    run_stage "$stage" || bad=$((bad + 1))
  done
  end_ahead
  echo
  printf '%s\n' "${STAGE_LINES[@]}"
  # A stage that failed without a failed test (a build, a fuzzer, lint) is a failure too.
  [ $bad -gt 0 ] && [ $FAILED -eq 0 ] && FAILED=$bad
  echo "$PASSED passed, $FAILED failed"
  [ $bad -eq 0 ]
}
