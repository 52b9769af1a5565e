#!/bin/bash
# Builds Kubernetes 1.20 from Debian's source package into FOLDER/bin, once: the only control plane that comes through apt alone.
# Wants golang-1.19-go, dpkg-dev, rsync and make; takes some five minutes of two idle cores, and 3 GB meanwhile.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
into="$(mkdir -p "$1/bin" && cd "$1" && pwd)"
parts=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy)
missing=""
for part in "${parts[@]}" pause; do [ -x "$into/bin/$part" ] || missing=1; done
[ -n "$missing" ] || exit 0

work="$into/source"
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial"
cd "$work"
export PATH="/usr/lib/go-1.19/bin:$PATH" HOME="$work" CGO_ENABLED=0 GOFLAGS=
GO111MODULE=off go build -ldflags "-s -w" -o "$into/bin/pause" "$here/pause.go"

echo 'deb-src http://deb.debian.org/debian bookworm main' > sources.list
apt=(-o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$work/lists")
apt-get "${apt[@]}" update -qq
apt-get "${apt[@]}" source -qq --download-only kubernetes
dpkg-source --no-check -x kubernetes_*.dsc tree
cat > version.sh <<'VERSION'
KUBE_GIT_COMMIT=debian
KUBE_GIT_TREE_STATE=clean
KUBE_GIT_VERSION=v1.20.2
KUBE_GIT_MAJOR=1
KUBE_GIT_MINOR=20
VERSION
cd tree
# Its vendor folder is no module's: a GOPATH, as there was one then; and there is no git to ask for a version.
mkdir -p .go/src/k8s.io
ln -sfn ../../.. .go/src/k8s.io/kubernetes
GOPATH="$PWD/.go" KUBE_GIT_VERSION_FILE="$work/version.sh" make WHAT="$(printf 'cmd/%s ' "${parts[@]}")"
for part in "${parts[@]}"; do find _output/local/bin -type f -name "$part" -exec cp {} "$into/bin/" \; ; done
