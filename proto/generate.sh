#!/usr/bin/env bash
# Generates the Go package of the protocol, proto/gulfstream/delegate/v1/*.pb.go, with pinned generators.
# The result is committed, so that Go authors need no protoc. (C++ and Python generate theirs when they build.)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../tools/dev/go.sh"
go=$(find_go)
bin=$GO_ROOT/build/go-bin
GOBIN=$bin "$go" install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.11
GOBIN=$bin "$go" install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.0
PATH=$bin:$PATH protoc -I "$here" --go_out="$here/gulfstream" --go_opt=module=gulfstream.dev/proto \
  --go-grpc_out="$here/gulfstream" --go-grpc_opt=module=gulfstream.dev/proto "$here/gulfstream/delegate/v1/delegate.proto"
