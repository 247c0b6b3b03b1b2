#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds dcbscp in every way that is tested and runs all tests.
#
#   bash tests/run.sh [--quick] [-R REGEX]
#
#   --quick    one build (gcc), no sanitizers, no container, no bare Debian roots
#   -R REGEX   only tests whose name matches, as ctest has it
#
# The builds, warnings being errors in all of them:
#   build        gcc                            all tests
#   build-asan   clang, address and undefined   all tests
#   build-tsan   clang, thread                  units, network, services
#
# The container image is built and run beside the first build's tests, as root (tests/container.sh).
# DCB_BARE_ROOT=1 also builds and tests in bare Debian 12 and 13 roots (as root; takes minutes).
set -euo pipefail
cd "$(dirname "$0")/.."

quick=no
select=()
while [ $# -gt 0 ]; do
  case "$1" in
    --quick) quick=yes ;;
    -R) [ $# -ge 2 ] || { echo "run.sh: -R needs a regular expression" >&2; exit 2; }
        select=(-R "$2"); shift ;;
    *) sed -n '3,18s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
  shift
done
[ "$quick" = no ] || unset DCB_BARE_ROOT DCB_CONTAINER
[ "$quick" = no ] || export DCB_QUICK=1 # fewer rounds of crashes

bash scp/install_packages.sh test
if [ "$quick" = no ]; then
  # Where it cannot run, the test says why.
  [ "$(id -u)" != 0 ] || bash scp/install_packages.sh container ||
    echo "run.sh: without these packages the container is not tested" >&2
  export DCB_CONTAINER=1
fi

launcher=()
if command -v ccache >/dev/null; then
  launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
fi
# Thread and address sanitizers of older clangs fail at start where the kernel spreads addresses
# widely.
unspread=()
if setarch -R true 2>/dev/null; then unspread=(setarch -R); fi

jobs=$(nproc)
[ "$jobs" -le 2 ] || jobs=$((jobs / 2 > 2 ? jobs / 2 : 2))
results=()
failed=no
report=$(mktemp)
trap 'rm -f "$report"' EXIT

# What each skipped test printed last is why. Parts that a test that passed has skipped are told,
# too, as Python's unittest and cmocka print them.
list_skipped() {
  python3 - "$1" <<'PYTHON'
import re
import sys
import xml.etree.ElementTree as xml
for case in xml.parse(sys.argv[1]).getroot().iter("testcase"):
    output = (case.findtext("system-out") or "").strip().splitlines()
    if case.get("status") not in ("notrun", "disabled") and case.find("skipped") is None:
        for line in output:
            part = re.match(r"(?:(\w+) \(.*|.*)\.\.\. skipped (.*)|\[  SKIPPED \] (\w+)$", line)
            if part:
                name, reason = part[1] or part[3] or "a part of it", part[2] or "see its output"
                print(f"    {case.get('name')}: {name}: {reason}")
        continue
    reason = output[-1].strip() if output else case.find("skipped").get("message", "")
    print(f"    {case.get('name')}: {reason}")
PYTHON
}

# build NAME LABEL [CMAKE-OPTION...]: configures, builds, tests; goes on where a build fails.
build() {
  local name=$1 label=$2 began=$SECONDS status=0 outcome=passed
  shift 2
  echo
  echo "== $name: $label"
  if ! cmake -S . -B "$name" -G Ninja -DDCB_WERROR=ON "${launcher[@]}" "$@" >"$report" 2>&1; then
    cat "$report"
    results+=("$name: CONFIGURING FAILED"); failed=yes
    return
  fi
  if ! cmake --build "$name" -j "$jobs" >"$report" 2>&1; then
    grep -E -A 12 'FAILED|error:|warning:' "$report" | head -100 || tail -50 "$report"
    results+=("$name: BUILDING FAILED"); failed=yes
    return
  fi
  "${unspread[@]}" ctest --test-dir "$name" -j "$jobs" --output-on-failure --no-tests=error \
    --output-junit junit.xml --test-output-size-passed 65536 "${only[@]}" "${select[@]}" || status=$?
  [ "$status" = 0 ] || { outcome=FAILED; failed=yes; }
  results+=("$name: $outcome, $((SECONDS - began)) s ($label)")
  if [ -f "$name/junit.xml" ]; then
    local skipped
    skipped=$(list_skipped "$name/junit.xml")
    [ -z "$skipped" ] || results+=("  not run:"$'\n'"$skipped")
  fi
}

export ASAN_OPTIONS=detect_leaks=1:${ASAN_OPTIONS:-}
export UBSAN_OPTIONS=print_stacktrace=1:${UBSAN_OPTIONS:-}
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:${TSAN_OPTIONS:-}

only=()
build build "gcc" -DCMAKE_C_COMPILER=gcc -DCMAKE_CXX_COMPILER=g++
if [ "$quick" = no ]; then
  export DCB_QUICK=1 # all rounds of crashes were had above; with sanitizers a few are enough
  clang=(-DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++)
  build build-asan "clang, address and undefined behaviour sanitizers" \
    -DDCB_SANITIZE=address,undefined "${clang[@]}"
  # The judges that look at single files gain nothing from a node that is watched for races.
  only=(-R '^(unit|network|integration.test_(node|get|find|move|ingest_pack|http|tls))')
  [ "${#select[@]}" = 0 ] || only=()
  build build-tsan "clang, thread sanitizer: units, network, services" -DDCB_SANITIZE=thread "${clang[@]}"
fi

echo
echo "== Summary"
printf '%s\n' "${results[@]}"
if [ "$quick" = yes ]; then
  echo "--quick: not done: clang, address, undefined and thread sanitizers, container, bare Debian roots"
elif [ -z "${DCB_BARE_ROOT:-}" ]; then
  echo "not done: bare Debian roots (DCB_BARE_ROOT=1 does them)"
fi
[ "$failed" = no ] || { echo "run.sh: something FAILED"; exit 1; }
echo "run.sh: all passed"
