# What a reviewer should not have to look for.
LINT_AT_MOST=30  # changed sources, where they are a last commit that may be anything

# What is changed: on a branch, what it adds to the main line; where HEAD is the main line (a fresh clone),
# its last commit. Always with what is not committed.
lint_base() {
  local upstream base
  for upstream in origin/main main; do
    base=$(git merge-base HEAD "$upstream" 2>/dev/null) || continue
    [ "$base" = "$(git rev-parse HEAD)" ] || { echo "$base"; return; }
  done
  git rev-parse --verify -q HEAD~1 || git hash-object -t tree /dev/null
}

# lint_sources [--all]: units to look at, tests too. A header stands for the unit beside it.
lint_sources() {
  if [ "${1:-}" = --all ]; then
    git ls-files 'src/*.cc' 'test/*.cc'
    return
  fi
  { git diff --name-only --diff-filter=d "$(lint_base)"; git ls-files --others --exclude-standard; } |
    grep -E '^(src|test)/.*\.(cc|h)$' | sed 's/\.h$/.cc/' | sort -u | while read -r file; do
      if [ -f "$file" ]; then echo "$file"; fi
    done
}

# banned PATTERN WHY [files allowed...]
banned() {
  local pattern=$1 why=$2 found
  shift 2
  found=$(grep -rnE "$pattern" src --include='*.h' --include='*.cc' || true)
  for allowed in "$@"; do found=$(grep -v "^$allowed" <<<"$found" || true); done
  [ -z "$found" ] && return 0
  echo "lint: $why:" >&2
  echo "$found" >&2
  return 1
}

lint_includes() {
  local failed=0
  banned '#include <(regex|iostream)>' 'regex and iostream are banned' || failed=1
  banned '#include <(boost/)?asio' 'asio is banned but for the buffers of the HTTP/1.1 parser' src/net/http1_parser.cc || failed=1
  banned '#include <simdjson' 'simdjson belongs to src/json' src/json/ || failed=1
  banned '#include <nghttp2' 'nghttp2 belongs to src/net' src/net/ || failed=1
  banned '#include <spdlog' 'spdlog belongs to src/base/log.cc' src/base/log.cc || failed=1
  banned '#include <prometheus' 'prometheus-cpp belongs to src/base/metrics.cc' src/base/metrics.cc || failed=1
  banned '#include <CLI/' 'CLI11 belongs to src/daemon/flags.cc' src/daemon/flags.cc || failed=1
  # g++ 12 miscompiles awaiters inside conditions (src/runtime/task.h).
  banned '(if|while) \(.*co_await|(\|\||&&) *!?co_await|co_await .*(\|\||&&)' 'an await is a statement of its own' src/runtime/task.h || failed=1
  return $failed
}

# g++ 12 destroys some temporaries of an awaiting expression twice: aggregates, and lambdas with captures.
# Only the syntax tree tells them from what is harmless. Coroutines that are lambdas with captures, which
# outlive their captures, are found too (awaits.query).
# over_files LOG COMMAND...: the command on the files that stdin names, two processes at a time.
over_files() {
  local log=$1
  shift
  xargs -r -P2 -n4 "$@" >"$log" 2>&1
}

lint_awaits() {
  local log=build/lint-awaits.log
  grep -lE 'co_(await|return)' "$@" | over_files "$log" clang-query-19 -p build/release \
    --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-error -f tools/dev/awaits.query || true
  if grep -qE ' (fatal )?error: ' "$log"; then
    echo "lint: clang could not read these units:" >&2
    grep -E ' (fatal )?error: ' "$log" | head -20 >&2
    return 1
  fi
  grep -q 'binds here' "$log" || return 0
  echo "lint: name these on a line before the await (src/runtime/task.h):" >&2
  grep -E -A2 'binds here' "$log" | sort -u >&2
  return 1
}

lint_tidy() {
  local log=build/lint-tidy.log sources
  mapfile -t sources < <(printf '%s\n' "$@" | grep -E '^src/' | grep -vE '_(test|bench)\.cc$')
  [ ${#sources[@]} -gt 0 ] || return 0
  printf '%s\n' "${sources[@]}" | over_files "$log" clang-tidy-19 -p build/release --quiet --warnings-as-errors='*' --extra-arg=-Wno-unknown-warning-option && return 0
  grep -vE 'warnings? generated|Suppressed|Use -header' "$log" >&2
  return 1
}

# dev_lint [--all]: the whole tree instead of what is changed.
dev_lint() {
  local files failed=0
  lint_includes || failed=1
  mapfile -t files < <(lint_sources "$@")
  if [ "${1:-}" != --all ] && [ ${#files[@]} -gt $LINT_AT_MOST ]; then
    echo "lint: the first $LINT_AT_MOST of ${#files[@]} changed sources (./dev lint --all looks at all)"
    files=("${files[@]:0:$LINT_AT_MOST}")
  fi
  [ ${#files[@]} -gt 0 ] || { echo "lint: no changed sources"; return $failed; }
  # Generated headers must be there, and the list of commands.
  dev_build release || return 1
  echo "lint: awaits and clang-tidy on ${#files[@]} sources"
  lint_awaits "${files[@]}" || failed=1
  lint_tidy "${files[@]}" || failed=1
  return $failed
}
