#!/usr/bin/env bash
# Builds the real Kubernetes for tests: kube-apiserver, kube-controller-manager, kubectl and etcd.
#   tools/kube/build.sh OUTDIR
# Does nothing where OUTDIR is up to date. Where KUBEBUILDER_ASSETS already holds them all, they are
# linked from there (the convention of controller-runtime's envtest).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${1:?usage: build.sh OUTDIR}
source "$here/../dev/go.sh"
version=v1.36.3
programs=(kube-apiserver kube-controller-manager kubectl etcd)

have_all() {
  local program
  for program in "${programs[@]}"; do [ -x "$1/$program" ] || return 1; done
}

stamp=$(cat "$here"/go.mod "$here"/go.sum "$here"/tools.go "$here"/etcd/main.go <(echo "$version") | sha256sum | cut -d' ' -f1)
mkdir -p "$out"
out=$(cd "$out" && pwd)
if have_all "$out" && [ "$(cat "$out/.stamp" 2>/dev/null)" = "$stamp" ]; then exit 0; fi

if [ -n "${KUBEBUILDER_ASSETS:-}" ] && have_all "$KUBEBUILDER_ASSETS"; then
  echo "using the Kubernetes programs in KUBEBUILDER_ASSETS"
  for program in "${programs[@]}"; do ln -sf "$(realpath "$KUBEBUILDER_ASSETS/$program")" "$out/$program"; done
  echo "$stamp" >"$out/.stamp"
  exit 0
fi

go=$(find_go)
echo "building Kubernetes $version and etcd for tests (about 4 minutes on 2 cores, 1.1 GB of modules)"
v=k8s.io/component-base/version
ldflags="-s -w -X $v.gitVersion=$version -X $v.gitMajor=1 -X $v.gitMinor=36 -X $v.gitTreeState=clean"
cd "$here"
for program in kube-apiserver kube-controller-manager kubectl; do
  echo "  $program"
  CGO_ENABLED=0 "$go" build -trimpath -ldflags "$ldflags" -o "$out/$program" "k8s.io/kubernetes/cmd/$program"
done
echo "  etcd"
CGO_ENABLED=0 "$go" build -trimpath -ldflags "-s -w" -o "$out/etcd" ./etcd
echo "$stamp" >"$out/.stamp"
