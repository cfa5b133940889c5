# Simulation by seeds (test/sim/README.md).

# dev_sim [--hours N | --seconds N] [--seed S]: N virtual hours (default 10), or so many seconds of wall
# time. Prints the virtual hours, and the seed of a failure.
dev_sim() {
  local hours=10 seconds="" seed
  seed=$(date +%s)
  while [ $# -gt 0 ]; do
    case $1 in
      --hours) hours=$2 ;;
      --seconds) seconds=$2 ;;
      --seed) seed=$2 ;;
      *) echo "./dev sim: \"$1\" is not --hours N, --seconds N or --seed S" >&2; return 2 ;;
    esac
    shift 2
  done
  echo "sim: from seed $seed"
  if [ -n "$seconds" ]; then
    export GULFSTREAM_SIM_SECONDS=$seconds
  else
    export GULFSTREAM_SIM_HOURS=$hours
  fi
  GULFSTREAM_SIM_SEED=$seed build/release/test/sim/sim_test --gtest_brief=1 --gtest_filter='Sim.An*:Sim.What*'
}
