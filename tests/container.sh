#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the image of docker/Dockerfile for real, on a Debian 13 base of our own making, and runs what
# docker/compose*.yaml describe, in network, mount and process namespaces of their own:
# container_checks.sh. Needs root and no engine's daemon; leaves nothing behind but the base as a tar
# file in $DCB_BARE_ROOT_CACHE (/var/tmp/dcbscp-bare-root), and ccache's files with buildah's.
#
#   bash tests/container.sh [--if-asked]
#
# --if-asked, as ctest calls it: only where DCB_CONTAINER=1, which tests/run.sh sets unless --quick.
set -euo pipefail
cd "$(dirname "$0")/.."
export SOURCE=$PWD

skip() { echo "skipped: $*"; exit 77; }
fail() { echo "FAIL: $*" >&2; exit 1; }
step() { echo "== $SECONDS s: $*"; }

[ "${1:-}" != --if-asked ] || [ "${DCB_CONTAINER:-}" = 1 ] || skip "takes minutes; DCB_CONTAINER=1 runs it"
[ "$(id -u)" = 0 ] || skip "needs root"
for program in mmdebstrap buildah podman podman-compose runc unshare ip; do
  command -v $program >/dev/null || skip "needs $program (scp/install_packages.sh container)"
done
for helper in netavark aardvark-dns; do
  [ -n "$(find /usr/lib/podman /usr/libexec/podman -name $helper 2>/dev/null)" ] ||
    skip "needs $helper (scp/install_packages.sh container)"
done
unshare -n -m -p -f --mount-proc true 2>/dev/null || skip "namespaces cannot be made here"

# ---- Storage and settings of our own ---------------------------------------------------------------

work=$(mktemp -d /var/tmp/dcbscp-container.XXXXXX)
export WORK=$work CONTAINERS_STORAGE_CONF=$work/storage.conf CONTAINERS_CONF=$work/containers.conf
export DISABLE_HC_SYSTEMD=true
clean_up() {
  wait
  umount "$work/graph/overlay" 2>/dev/null || true
  rm -rf --one-file-system "$work"
}
trap clean_up EXIT

driver=overlay # or, where overlays cannot be made: copies
mkdir "$work"/{lower,upper,scratch,merged}
unshare -m mount -t overlay overlay "$work/merged" \
  -o "lowerdir=$work/lower,upperdir=$work/upper,workdir=$work/scratch" 2>/dev/null || driver=vfs
cat >"$CONTAINERS_STORAGE_CONF" <<CONF
[storage]
driver = "$driver"
graphroot = "$work/graph"
runroot = "$work/run"
CONF
cat >"$CONTAINERS_CONF" <<CONF
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
static_dir = "$work/libpod"
tmp_dir = "$work/libpod-tmp"
volume_path = "$work/volumes"
[network]
network_backend = "netavark"
network_config_dir = "$work/networks"
CONF

# ---- The base: what debian:trixie-slim is ------------------------------------------------------------

cache=${DCB_BARE_ROOT_CACHE:-/var/tmp/dcbscp-bare-root}
base=$cache/trixie-slim.tar
sources() {
  if [ -f /etc/apt/sources.list.d/debian.sources ]; then
    sed -E '/^Suites:/ s/[a-z]+(-updates|-security)?( |$)/trixie\1\2/g' \
      /etc/apt/sources.list.d/debian.sources
  else
    echo 'deb http://deb.debian.org/debian trixie main'
  fi
}
if [ ! -s "$base" ]; then
  step "base: Debian 13 by mmdebstrap"
  mkdir -p "$cache"
  excluded=()
  for folder in doc info lintian locale man; do
    excluded+=(--dpkgopt="path-exclude=/usr/share/$folder/*")
  done
  sources | mmdebstrap --quiet --format=tar --variant=minbase "${excluded[@]}" \
    --aptopt='Acquire::Languages "none"' \
    --customize-hook='rm -f "$1/etc/resolv.conf" "$1/etc/hostname"' trixie "$work/base.tar" - ||
    fail "no Debian 13 base"
  mv "$work/base.tar" "$base"
fi
podman import -q --change 'CMD ["bash"]' "$base" docker.io/library/debian:trixie-slim >/dev/null

# ---- The images --------------------------------------------------------------------------------------

build() { # TAG CONTEXT [OPTION...]
  local tag=$1 context=$2
  shift 2
  buildah build --isolation chroot --network host --pull-never --format docker -t "$tag" "$@" \
    "$context" >"$work/build.${tag##*/}.log" 2>&1 ||
    { tail -n 40 "$work/build.${tag##*/}.log"; return 1; }
}

step "image: docker/Dockerfile, and clients beside it"
mkdir "$work/clients"
cat >"$work/clients/Dockerfile" <<'DOCKERFILE'
FROM debian:trixie-slim
RUN apt-get update && apt-get install -y --no-install-recommends dcmtk haproxy
DOCKERFILE
build localhost/clients "$work/clients" &
clients=$!
build localhost/dcbscp . -f docker/Dockerfile || fail "the image cannot be built"
wait $clients || fail "the clients' image cannot be built"

size_mb() { echo $(($(podman image inspect "$1" --format '{{.Size}}') / 1000000)); }
size=$(size_mb localhost/dcbscp)
step "image: $size MB, $(size_mb debian:trixie-slim) MB of them the base"
[ "$size" -lt 120 ] || fail "the image has $size MB, 120 are allowed"
config=$(podman image inspect localhost/dcbscp --format \
  'user={{.Config.User}} stop={{.Config.StopSignal}} check={{.HealthCheck.Test}}')
[ "$config" = 'user=11112 stop=SIGTERM check=[CMD dcbtool echo]' ] || fail "the image says: $config"

# ---- Running -------------------------------------------------------------------------------------

step "checks"
timeout 400 unshare -n -m -p -f --kill-child --mount-proc bash tests/container_checks.sh ||
  fail "container_checks.sh: exit status $?"
step "the image is good"
