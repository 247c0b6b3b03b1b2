#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Does a bare Debian lead to a running node and passing tests? Makes a minimal root (bash and apt,
# nothing else), enters it and does there what README says: quickstart.sh as root
# with the very lines that it prints, then tests/run.sh --quick as an ordinary user.
#
#   DCB_BARE_ROOT=1 bash tests/bare_root.sh bookworm|trixie
#
# Needs root, mmdebstrap and Debian's archive. The unpacked base is kept as a tar file in
# $DCB_BARE_ROOT_CACHE (/var/tmp/dcbscp-bare-root).
set -euo pipefail
cd "$(dirname "$0")/.."

skip() { echo "skipped: $*"; exit 77; }

suite=${1:-}
case "$suite" in bookworm | trixie) ;; *) echo "usage: bare_root.sh bookworm|trixie" >&2; exit 2 ;; esac
[ "${DCB_BARE_ROOT:-}" = 1 ] || skip "takes minutes; DCB_BARE_ROOT=1 runs it"
[ "$(id -u)" = 0 ] || skip "needs root"
command -v mmdebstrap >/dev/null || skip "needs mmdebstrap"

cache=${DCB_BARE_ROOT_CACHE:-/var/tmp/dcbscp-bare-root}
mkdir -p "$cache"

sources() {
  if [ -f /etc/apt/sources.list.d/debian.sources ]; then
    sed -E "/^Suites:/ s/[a-z]+(-updates|-security)?( |$)/$suite\1\2/g" \
      /etc/apt/sources.list.d/debian.sources
  else
    printf 'deb http://deb.debian.org/debian %s main\n' "$suite"
  fi
}

if [ ! -s "$cache/$suite.tar" ]; then
  sources | mmdebstrap --quiet --format=tar --variant=minbase \
    --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    "$suite" "$cache/$suite.tar.part" -
  mv "$cache/$suite.tar.part" "$cache/$suite.tar"
fi

root=$(mktemp -d "$cache/root.XXXXXX")
trap 'rm -rf --one-file-system "$root"' EXIT
tar -C "$root" -xf "$cache/$suite.tar"
cp /etc/resolv.conf "$root/etc/resolv.conf"
[ -s "$root/etc/hosts" ] || printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
mkdir -p "$root/src/dcbscp"
tar -cf - --exclude=./.git --exclude='./build' --exclude='./build-*' . |
  tar -xf - --no-same-owner -C "$root/src/dcbscp"
if [ -d ../shared/golden ]; then
  mkdir -p "$root/src/shared"
  cp -r ../shared/golden "$root/src/shared/"
fi

cat >"$root/src/inside.sh" <<'INSIDE'
set -euo pipefail
cd /src/dcbscp
fail() { echo "FAIL: $*"; cat /tmp/quickstart.out; exit 1; }

echo "== quickstart"
bash scp/quickstart.sh --port 0 >/tmp/quickstart.out 2>&1 &
node=$!
for i in $(seq 3000); do
  grep -q '^Ctrl-C' /tmp/quickstart.out && break
  kill -0 $node 2>/dev/null || fail "quickstart ended"
  sleep 0.2
done
grep '^dcbscp: listening on 127.0.0.1:.* as DCBSCP, 3 series, 74 instances$' /tmp/quickstart.out ||
  fail "not the line that tells of the sample archive"

# The printed commands, pasted, with a folder of instances where one's own are meant.
sed -n '/^Try/,/^Ctrl-C/{/^  /p}' /tmp/quickstart.out |
  sed 's:FOLDER:tests/data/golden/tiny3/source:' >/tmp/commands
cat /tmp/commands
bash -e /tmp/commands >/tmp/commands.out 2>&1 || { cat /tmp/commands.out; fail "a printed command"; }
grep -q 'SAMPLE-CT' /tmp/commands.out || fail "findscu did not find the CT study"
[ "$(find build/retrieved -type f | wc -l)" = 48 ] || fail "getscu did not bring 48 instances"
[ "$(find build/received -name '*.dcm' | wc -l)" = 3 ] || fail "storescu did not leave 3 instances"
for file in build/retrieved/*; do
  dcmdump -M +P 0010,0020 "$file" | grep -q SAMPLE-CT || fail "$file is not of the CT"
done

kill -INT $node
wait $node || fail "exit status $? after SIGINT"
echo "== quickstart: good"

bash scp/install_packages.sh test
useradd -m tester
rm -rf build
chown -R tester /src
runuser -u tester -- bash tests/run.sh --quick
INSIDE

# A mount and process namespace of its own: nothing stays mounted, no process outlives it.
unshare --mount --pid --fork --kill-child bash -euo pipefail -c '
  mount -t proc proc "$0/proc"
  mount -t tmpfs tmpfs "$0/dev/shm"
  exec chroot "$0" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
    bash /src/inside.sh' "$root"
echo "bare $suite: good"
