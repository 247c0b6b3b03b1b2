#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs the build into a new prefix, and builds the example against nothing else: through
# pkg-config and through find_package, with the shared and with the static library. All four must
# write what dcbtool extracts.
#
#   test_installed.sh BUILD SERIES.dcbs UID-OF-FRAME-1
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source_dir=$(cd "$here/../.." && pwd)
build=$1 series=$2 uid=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix
fail() { echo "FAIL: $*" >&2; exit 1; }

cmake --install "$build" --prefix "$prefix" >"$work/installed"
lib=$(dirname "$(find "$prefix" -name libdcb.a)")
cc=$(sed -n 's/^CMAKE_C_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")
export PKG_CONFIG_PATH=$lib/pkgconfig
version=$(sed -n 's/^#define DCB_VERSION "\(.*\)"/\1/p' "$prefix/include/dcb.h")

# What is there.
for path in bin/dcbscp bin/dcbtool share/doc/dcbscp/dcbscp.yaml share/doc/dcbscp/LICENSE; do
  [ -f "$prefix/$path" ] || fail "$path is not installed"
done
[ "$(find "$prefix/include" -type f)" = "$prefix/include/dcb.h" ] || fail "more headers than dcb.h"
cmp "$prefix/share/doc/dcbscp/dcbscp.yaml" "$source_dir/conf/dcbscp.yaml"
[ "$("$prefix/bin/dcbtool" --version)" = "dcbtool $version" ] || fail "dcbtool --version"
[ "$(pkg-config --modversion dcb)" = "$version" ] || fail "the version in dcb.pc"
[ "$(readlink "$lib/libdcb.so.0")" = "libdcb.so.$version" ] || fail "the links of libdcb.so"
readelf -d "$lib/libdcb.so" | grep -q 'SONAME.*\[libdcb\.so\.0\]' || fail "the soname"

# The shared library shows what dcb.h declares, no more and no less.
nm -D --defined-only "$lib/libdcb.so" | awk '{print $3}' | sort >"$work/shown"
tr '\n' ' ' <"$prefix/include/dcb.h" | sed 's:/\*[^*]*\*\+\([^/*][^*]*\*\+\)*/::g; s/#define [^;]*//' |
  grep -o '\bdcb_[a-z0-9_]*(' | tr -d '(' | sort -u >"$work/declared"
diff "$work/declared" "$work/shown" || fail "shown (>) and declared (<) functions differ"

# The header needs nothing else and is good C++ too.
for language in c11 c17 c++11 c++20; do
  case $language in c1*) as=c ;; *) as=c++ ;; esac
  echo '#include <dcb.h>' | $cc -x $as -std=$language -pedantic -Wall -Wextra -Werror \
    -I"$prefix/include" -fsyntax-only - || fail "dcb.h as $language"
done

# The example, four times.
$cc -std=c11 -Wall -Wextra -Werror "$here/first_frame.c" -o "$work/first_frame_pkg" \
  $(pkg-config --cflags --libs dcb) -Wl,-rpath,"$lib"
$cc -std=c11 -Wall -Wextra -Werror "$here/first_frame.c" -o "$work/first_frame_pkg_static" \
  $(pkg-config --static --cflags --libs dcb | sed 's/-ldcb\b/-l:libdcb.a/')
cmake -G Ninja -S "$here" -B "$work/cmake" -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$prefix" \
  >"$work/log" && cmake --build "$work/cmake" >>"$work/log" || { cat "$work/log"; fail "cmake"; }

"$prefix/bin/dcbtool" extract "$series" -f 0 -o "$work/expected" >/dev/null
for program in first_frame_pkg first_frame_pkg_static cmake/first_frame_dcb \
  cmake/first_frame_static; do
  said=$("$work/$program" "$series" "$work/out.dcm") || fail "$program"
  [ "$said" = "frame 1 of 3: $uid" ] || fail "$program says: $said"
  cmp "$work/out.dcm" "$work/expected/0000.dcm" || fail "$program wrote something else"
  rm "$work/out.dcm"
  linked=$(ldd "$work/$program" | awk '/libdcb/ {print $3}')
  case $program in
    *static) [ -z "$linked" ] || fail "$program is linked with $linked" ;;
    *) [ "$linked" = "$lib/libdcb.so.0" ] || fail "$program is linked with ${linked:-nothing}" ;;
  esac
done
said=$("$work/first_frame_pkg" "$here/first_frame.c" "$work/out.dcm" 2>&1) && fail "no DCB file"
[ "$said" = "not a DCB file, or damaged: not a DCB file: the magic is not DCMCUBES" ] ||
  fail "for a file that is none: $said"

# reader/ stands alone.
cmake -G Ninja -S "$source_dir/reader" -B "$work/alone" -DCMAKE_C_COMPILER="$cc" >"$work/log" ||
  { cat "$work/log"; fail "reader/ alone"; }
echo "installed, and used in four ways"
