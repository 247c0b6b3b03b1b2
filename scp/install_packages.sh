#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs what Debian packages are missing to build dcbscp, to try it, or to run its tests.
#
#   bash scp/install_packages.sh build|try|test|container
#
# "try" is build and DCMTK's command-line tools, "test" what the tests need, "container" what
# tests/container.sh builds and runs the image with. Asks dpkg first: where nothing
# is missing, nothing is run and no rights are needed. apt's own output goes to $DCB_LOG, if set.
set -euo pipefail

BUILD="g++ cmake ninja-build pkg-config libdcmtk-dev libssl-dev libcrypt-dev libopenjph-dev libopenjp2-7-dev
  libzstd-dev zlib1g-dev libpng-dev libtiff-dev libsqlite3-dev libsimdjson-dev libxxhash-dev
  libutf8proc-dev libyaml-dev libmicrohttpd-dev libgnutls28-dev libcmocka-dev"
TRY="dcmtk"
TEST="clang libclang-rt-dev llvm ccache libopenjp2-tools dicom3tools tshark python3 python3-pydicom
  python3-numpy python3-odil libgdcm-tools orthanc zstd openssl libxml2-utils iproute2 procps mandoc
  prometheus chromium chromium-driver"
CONTAINER="mmdebstrap buildah podman podman-compose runc netavark aardvark-dns iptables nftables
  iproute2 python3-pydicom python3-numpy"

case "${1:-}" in
  build) wanted="$BUILD" ;;
  try) wanted="$BUILD $TRY" ;;
  test) wanted="$BUILD $TRY $TEST" ;;
  container) wanted="$CONTAINER" ;;
  *) echo "usage: install_packages.sh build|try|test|container" >&2; exit 2 ;;
esac

fail() {
  [ ! -s "${log:-}" ] || tail -n 15 "$log" >&2
  echo "install_packages.sh: $*" >&2
  exit 1
}

missing() {
  local package
  for package in $wanted; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
      echo "$package"
  done
}

command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
  fail "this is not Debian (no apt-get): install by hand:" $wanted

packages=$(missing | tr '\n' ' ')
packages=${packages% }
[ -n "$packages" ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null ||
    fail "not root and no sudo: have an administrator run: apt-get install $packages"
  as_root=(sudo)
fi

log=${DCB_LOG:-$(mktemp /tmp/dcbscp-install.XXXXXX.log)}
apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0 "$@" \
    >>"$log" 2>&1 </dev/null
}

echo "Installing $packages"
apt update || fail "apt-get update failed; see $log"
apt install -y --no-install-recommends $packages ||
  fail "apt-get install failed; see $log (wanted: $packages)"
