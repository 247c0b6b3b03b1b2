#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# From a fresh checkout to a running node: installs what is missing, builds, makes synthetic DICOM
# files, packs them into an archive and serves it until Ctrl-C.
#
#   bash scp/quickstart.sh [--port N]
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

fail() {
  [ -z "${log:-}" ] || tail -n 15 "$log" >&2
  echo "quickstart.sh: $*" >&2
  exit 1
}
usage() { echo "usage: bash scp/quickstart.sh [--port N]" >&2; exit 2; }

port=11112
while [ $# -gt 0 ]; do
  case "$1" in
    --port) [ $# -ge 2 ] || usage; port=$2; shift ;;
    --port=*) port=${1#--port=} ;;
    *) usage ;;
  esac
  shift
done
[[ "$port" =~ ^[0-9]{1,5}$ ]] && [ "$((10#$port))" -le 65535 ] ||
  { echo "quickstart.sh: --port: expected a number from 0 to 65535, not \"$port\"" >&2; exit 2; }

mkdir -p build
log=$root/build/quickstart.log
: >"$log"

step() { printf '%-10s %s\n' "$1" "$2"; }

step "Packages" "what is missing of compilers, libraries and DCMTK's tools"
DCB_LOG=$log bash scp/install_packages.sh try

step "Build" "build/, a minute or two the first time"
launcher=()
if command -v ccache >/dev/null; then
  launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
fi
if [ ! -f build/build.ninja ]; then
  cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo "${launcher[@]}" >>"$log" 2>&1 ||
    fail "configuring failed; see $log"
fi
cmake --build build --target dcbscp dcbtool sample_archive >>"$log" 2>&1 ||
  fail "building failed; see $log"

sample=build/sample/archive
if [ ! -f build/sample/packed ]; then
  step "Sample" "build/sample/files: CT, MR and colour ultrasound of three invented patients"
  rm -rf build/sample && mkdir build/sample build/sample/files
  build/tests/sample_archive build/sample/made >>"$log" 2>&1 || fail "no sample files; see $log"
  for made in build/sample/made/*.dcbs; do
    files=build/sample/files/$(basename "$made" .dcbs)
    mkdir -p "$files"
    build/bin/dcbtool extract "$made" --all --syntax explicit -o "$files" >>"$log" 2>&1 ||
      fail "no sample files; see $log"
  done
  rm -r build/sample/made
  step "Pack" "dcbtool pack build/sample/files -o $sample"
  build/bin/dcbtool pack build/sample/files -o "$sample" || fail "packing failed"
  touch build/sample/packed
fi
mkdir -p build/retrieved build/received

# Tells what to try once the node has told that it is ready, and on which port.
tell() {
  local line page to n
  IFS= read -r line || exit 0
  echo "$line"
  IFS= read -r page && echo "$page"
  n=${line#*:} n=${n#*:} n=${n%% *}
  to=$(printf '%q' "$root/build/retrieved")
  cat <<TEXT

Try in another terminal:

  findscu -S -aec DCBSCP -k QueryRetrieveLevel=STUDY -k PatientName -k PatientID \\
    -k StudyDescription -k ModalitiesInStudy -k NumberOfStudyRelatedInstances 127.0.0.1 $n
  getscu -P -aec DCBSCP -k QueryRetrieveLevel=PATIENT -k PatientID=SAMPLE-CT \\
    -od $to 127.0.0.1 $n && ls $to
  storescu -aec DCBSCP +sd 127.0.0.1 $n FOLDER    # instances of your own; packed in build/received

Ctrl-C stops it.
TEXT
  cat
}

step "Serve" "$sample"
export DCBSCP_HTTP_PATIENT_DATA=true # they are invented
exec build/bin/dcbscp --archive "$sample" --store build/received --port "$port" --http-port 0 \
  > >(trap '' INT; tell)
