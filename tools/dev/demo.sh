# ./dev demo: the main job on this machine. `gulfstream up` (a hub, the plane and two clusters in one process) and the delegate
# samples/namespace-baseline. What it starts has a file in $DEMO/pids; --down ends exactly that.
DEMO_ROOT=$PWD
DEMO=${GULFSTREAM_DEMO_DIR:-$DEMO_ROOT/build/demo}
# kubectl where there is one (GULFSTREAM_DEMO_KUBECTL names another, or none), else the few words of it that are needed.
DEMO_KUBECTL=${GULFSTREAM_DEMO_KUBECTL-kubectl}
command -v "$DEMO_KUBECTL" >/dev/null 2>&1 || DEMO_KUBECTL="$DEMO_ROOT/build/venv/bin/python $DEMO_ROOT/tools/dev/kube.py"

# What the reader is shown, and what it must print; the demo runs them itself before it says so.
DEMO_COMMANDS=(
  "KUBECTL --context hub get clusters.gulfstream.dev -o name"
  "KUBECTL --context cluster-1 get networkpolicy,resourcequota,limitrange,rolebinding -n shop -o name"
  "KUBECTL --context cluster-2 delete networkpolicy baseline -n shop -o name"
  "KUBECTL --context cluster-2 get networkpolicy -n shop -o name"
)
DEMO_PRINTS=(
  "cluster.gulfstream.dev/cluster-1
cluster.gulfstream.dev/cluster-2"
  "networkpolicy.networking.k8s.io/baseline
resourcequota/baseline
limitrange/baseline
rolebinding.rbac.authorization.k8s.io/baseline"
  "networkpolicy.networking.k8s.io/baseline"
  "networkpolicy.networking.k8s.io/baseline"
)

dev_demo() {
  case "${1:-}" in
    --down) demo_down ;;
    "") demo_up ;;
    *) echo "usage: ./dev demo [--down]" >&2; return 2 ;;
  esac
}

demo_up() {
  if demo_runs; then
    echo "demo: it already runs"
  else
    [ ! -d "$DEMO" ] || demo_down
    demo_announce
    demo_build
    mkdir -p "$DEMO"/{pids,logs,hub}
    trap 'echo "demo: failed; logs are in $DEMO/logs, ./dev demo --down removes everything" >&2' ERR
    demo_step "a hub, its plane and two clusters: gulfstream up --clusters 2"
    demo_start_up
    demo_step "the delegate, and a Namespace with a profile in each cluster"
    demo_start_delegate
    demo_fill_clusters
    touch "$DEMO/complete"
    trap - ERR
  fi
  demo_check
  demo_say
}

demo_announce() {
  local missing
  mapfile -t missing < <(missing_packages "${BUILD_PACKAGES[@]}")
  echo "demo: a hub, the plane, two clusters and a delegate, all on loopback. While it runs it needs 0.1 GB of memory."
  echo "Outside of this directory it writes only Debian packages and ccache's cache. What it does now:"
  [ ${#missing[@]} -eq 0 ] || echo "  - install ${#missing[@]} Debian packages: 0.7 GB, 2 minutes; sudo may ask for your password, once"
  [ -x build/venv/bin/python ] || echo "  - a Python venv in build/venv: 0.1 GB, half a minute"
  [ -x build/release/gulfstream ] || echo "  - build gulfstream: 0.2 GB, 4 minutes on 2 cores"
  echo "  - start everything: a few seconds"
}

DEMO_STEP=0
demo_step() { DEMO_STEP=$((DEMO_STEP + 1)); printf '[%d/3 %4d s] %s\n' "$DEMO_STEP" "$SECONDS" "$1"; }

demo_build() {
  demo_step "packages and the program"
  mkdir -p build
  dev_setup --build
  dev_build release gulfstream
  make -s -C samples/namespace-baseline PYTHON="$DEMO_ROOT/build/venv/bin/python" generated
}

# demo_spawn NAME COMMAND...: in a session of its own, so that it outlives this terminal. A process is known by its id and
# the time of its start: an id alone may be another's by the time of --down.
demo_spawn() {
  local name=$1
  shift
  setsid nohup "$@" >>"$DEMO/logs/$name.log" 2>&1 </dev/null &
  echo "$! $(demo_start_time $!)" >"$DEMO/pids/$name"
}

# Nothing for a process that has ended, also where nobody has reaped it.
demo_start_time() { awk '{ sub(/.*\) /, ""); if ($1 != "Z") print $20 }' "/proc/$1/stat" 2>/dev/null || true; }

# demo_alive PIDFILE: prints the id where its process still runs.
demo_alive() {
  local pid began
  read -r pid began <"$1" || return 1
  [ -n "$began" ] && [ "$(demo_start_time "$pid")" = "$began" ] && echo "$pid"
}

demo_runs() {
  local file
  [ -f "$DEMO/complete" ] || return 1
  for file in "$DEMO"/pids/*; do demo_alive "$file" >/dev/null || return 1; done
}

# demo_wait SECONDS WHAT COMMAND...
demo_wait() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || { echo "demo: $what did not come about; see $DEMO/logs" >&2; return 1; }
    sleep 0.2
  done
}

demo_free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# The sample's Controller and profiles are objects of the hub from its first moment.
demo_start_up() {
  local sample=samples/namespace-baseline/deploy
  demo_free_port >"$DEMO/delegate-port"
  echo "127.0.0.1:$(demo_free_port)" >"$DEMO/metrics-address"
  sed "s|http://127.0.0.1:9443|http://127.0.0.1:$(cat "$DEMO/delegate-port")|" $sample/controller.yaml >"$DEMO/hub/controller.yaml"
  sed -E 's|^(metadata: \{name: [a-z-]+)\}|\1, namespace: gulfstream}|' $sample/profiles.yaml >"$DEMO/hub/profiles.yaml"
  demo_spawn up "$DEMO_ROOT/build/release/gulfstream" up --clusters 2 --data-dir "$DEMO/data" --secure-port 0 --preload "$DEMO/hub" \
    --metrics-address "$(cat "$DEMO/metrics-address")"
  demo_wait 30 "a kubeconfig" test -s "$DEMO/data/kubeconfig"
}

demo_start_delegate() {
  local home=$DEMO_ROOT/samples/namespace-baseline
  demo_spawn delegate env PYTHONPATH="$home/generated:$home" "$DEMO_ROOT/build/venv/bin/python" -m namespace_baseline \
    --address "127.0.0.1:$(cat "$DEMO/delegate-port")"
}

demo_kubectl() { KUBECONFIG=$DEMO/data/kubeconfig $DEMO_KUBECTL "$@"; }

demo_fill_clusters() {
  local cluster
  cat >"$DEMO/shop.yaml" <<'YAML'
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {baseline.gulfstream.dev/profile: restricted}}
YAML
  for cluster in cluster-1 cluster-2; do demo_kubectl --context "$cluster" create -f "$DEMO/shop.yaml" >/dev/null; done
  demo_wait 30 "a ready plane" demo_ready
}

demo_ready() { [ "$(python3 -c "import sys, urllib.request as u; print(u.urlopen('http://$(cat "$DEMO/metrics-address")/readyz', timeout=3).read().decode().strip())")" = ok ]; }

# Runs what the reader is told to run.
demo_check() {
  local i
  for i in "${!DEMO_COMMANDS[@]}"; do
    demo_wait 20 "what \"$(demo_command "$i")\" should print" demo_prints "$i" || return 1
  done
}

demo_command() { echo "${DEMO_COMMANDS[$1]/KUBECTL/$DEMO_KUBECTL}"; }
demo_prints() { [ "$(KUBECONFIG=$DEMO/data/kubeconfig bash -c "$(demo_command "$1")")" = "${DEMO_PRINTS[$1]}" ]; }

demo_say() {
  local i
  printf '\nIt runs in the background (%s/logs). In this shell:\n\n  export KUBECONFIG=%s\n' "$DEMO" "$DEMO/data/kubeconfig"
  printf '\nThe Namespace shop is labelled baseline.gulfstream.dev/profile=restricted in both clusters, so that it has a baseline;\nwhat is deleted comes back:\n\n'
  for i in "${!DEMO_COMMANDS[@]}"; do
    printf '  $ %s\n' "$(demo_command "$i")"
    printf '%s\n' "${DEMO_PRINTS[i]}" | sed 's/^/    /'
  done
  printf '\nThe Controller and its profiles are objects of the hub (context hub; config maps in the namespace gulfstream).\nThe state in words: http://%s/statusz. The end: ./dev demo --down\n' \
    "$(cat "$DEMO/metrics-address")"
}

# The plane first: what it has in flight, its delegate ends. Within 10 s, or it is killed.
demo_down() {
  local file pid
  [ -d "$DEMO" ] || { echo "demo: there is none"; return; }
  for file in "$DEMO"/pids/{up,delegate}; do
    [ -f "$file" ] || continue
    if pid=$(demo_alive "$file"); then kill "$pid"; fi
    demo_wait 10 "the end of $(basename "$file")" demo_ended "$file" 2>/dev/null && continue
    if pid=$(demo_alive "$file"); then kill -9 "$pid"; fi
    demo_wait 10 "the end of $(basename "$file")" demo_ended "$file"
  done
  rm -rf "$DEMO"
  echo "demo: ended and removed"
}

demo_ended() { ! demo_alive "$1" >/dev/null; }
