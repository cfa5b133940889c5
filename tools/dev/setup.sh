# Installing what build and tests need.
BUILD_PACKAGES=(
  build-essential g++ cmake ninja-build pkg-config ccache mold git openssl ca-certificates python3-venv
  libuv1-dev libc-ares-dev libnghttp2-dev libssl-dev libsimdjson-dev libyaml-cpp-dev libprotobuf-dev
  protobuf-compiler libsqlite3-dev zlib1g-dev libfmt-dev libspdlog-dev libexpected-dev libboost1.81-dev
  libcli11-dev prometheus-cpp-dev libgtest-dev libgmock-dev libbenchmark-dev librapidcheck-dev libre2-dev)
# The second compiler: fuzzers, its sanitizers, lint.
CLANG_PACKAGES=(clang-19 clang-tidy-19 clang-format-19 clang-tools-19 libclang-rt-19-dev lld-19)

# missing_packages PACKAGE...
missing_packages() {
  local package
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || echo "$package"
  done
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# The first Python 3 that can make a venv with pip.
find_python() {
  local candidate
  for candidate in python3 /usr/bin/python3; do
    if "$candidate" -c 'import venv, ensurepip' 2>/dev/null; then echo "$candidate"; return; fi
  done
  echo "no Python 3 with venv was found" >&2
  return 1
}

setup_venv() {
  local stamp python
  stamp=$(sha256sum test/requirements.txt | cut -d' ' -f1)
  [ "$(cat build/venv/.stamp 2>/dev/null)" = "$stamp" ] && return
  python=$(find_python)
  rm -rf build/venv
  mkdir -p build
  "$python" -m venv build/venv
  build/venv/bin/pip install --quiet --disable-pip-version-check -r test/requirements.txt
  echo "$stamp" >build/venv/.stamp
}

# dev_setup [--yes|--quiet|--build]: --quiet says nothing where nothing is to be done; --build also leaves out what only
# tests and lint need.
dev_setup() {
  local missing wanted=("${BUILD_PACKAGES[@]}")
  [ "${1:-}" = --build ] || wanted+=("${CLANG_PACKAGES[@]}")
  mapfile -t missing < <(missing_packages "${wanted[@]}")
  if [ ${#missing[@]} -gt 0 ]; then
    echo "setup: installs ${#missing[@]} Debian packages (up to 1.5 GB of disk, about 2 minutes):"
    echo "  ${missing[*]}"
    [ "$(id -u)" = 0 ] || echo "  sudo may ask for your password."
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  elif [[ ${1:-} != --quiet && ${1:-} != --build ]]; then
    echo "setup: all Debian packages are installed"
  fi
  setup_venv
}
