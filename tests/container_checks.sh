#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What container.sh does with the image, within namespaces of its own: DICOM between containers that
# call each other by service name, as docker/compose*.yaml start them. DCMTK's clients of Debian 13
# ask, pydicom judges.
set -euo pipefail
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /dev/shm
ip link set lo up

golden=$SOURCE/tests/data/golden
data=$WORK/data
mkdir "$data"
export DCBSCP_ARCHIVE=$golden/ct_phantom_small HAPROXY_IMAGE=localhost/clients

say() { echo "   $SECONDS s: $*"; }
fail() {
  echo "FAIL: $*" >&2
  for id in $(podman ps -aq); do podman logs "$id" 2>&1 | tail -n 15; done
  exit 1
}

compose() { # PROJECT FILES COMMAND...
  local project=$1 files=() file
  for file in $2; do files+=(-f "$file"); done
  shift 2
  podman-compose -p "$project" "${files[@]}" "$@" >"$WORK/compose.log" 2>&1 ||
    { cat "$WORK/compose.log"; fail "podman-compose $*"; }
}
# A bridge has the lowest address of its ports until it is given one: with each container that comes
# or goes the others would send to an old one, for up to a minute.
keep_addresses() {
  ip -o link show type bridge |
    sed -nE 's/^[0-9]+: ([^:@]+).* link\/ether ([0-9a-f:]+).*/link set dev \1 address \2/p' |
    ip -batch -
}
container() { # SERVICE: its container, running or not
  podman ps -aq --filter "label=com.docker.compose.service=$1"
}
address() {
  podman inspect "$1" --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}'
}
state() { podman inspect "$1" --format "{{.State.$2}}"; }

# wait_for WHAT COMMAND...: until the command succeeds.
wait_for() {
  local what=$1 end=$((SECONDS + 60))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || fail "no $what within a minute"
    sleep 0.2
  done
}
healthy() { podman healthcheck run "$1"; }
# The network's name server may miss what is asked while it learns of a new container.
knows() { podman exec "$1" timeout 1 getent hosts "$2"; }

# ---- Clients, in a container of their own ----------------------------------------------------------

start_clients() { # NETWORK: also the viewer, where instances may be moved to
  mkdir -p "$data/moved"
  podman run -d --name clients --network "$1" --network-alias viewer -v "$data:/data" \
    localhost/clients storescp -aet VIEWER -od /data/moved 11113 >/dev/null
  for id in $(podman ps -q); do wait_for "name of the viewer in $id" knows "$id" viewer; done
}
client() { podman exec clients "$@"; }
reach() { # HOST: the clients know the host, and the node its viewer
  wait_for "name of $1" knows clients "$1"
  [ "$1" != node ] || wait_for "name of the viewer" knows "$node" viewer
}

# found HOST UID: how many instances the study has; 0 where it is not found.
found() {
  client findscu -S -aec DCBSCP -k QueryRetrieveLevel=STUDY -k StudyInstanceUID="$2" \
    -k NumberOfStudyRelatedInstances "$1" 11112 2>&1 |
    sed -n 's/.*(0020,1208) IS \[\([0-9]*\) *\].*/\1/p' | grep . || echo 0
}
expect_found() {
  local n
  n=$(found "$1" "$2")
  [ "$n" = "$3" ] || fail "$1 has $n instances of the study, not $3"
}
get() { # HOST UID FOLDER
  mkdir -p "$data/$3"
  client getscu -S -aec DCBSCP -k QueryRetrieveLevel=STUDY -k StudyInstanceUID="$2" -od "/data/$3" \
    "$1" 11112 >"$WORK/get.log" 2>&1 || { cat "$WORK/get.log"; fail "getscu from $1"; }
}
store() { # HOST FOLDER
  mkdir -p "$data/sent"
  rm -rf "$data/sent/"*
  cp "$2"/*.dcm "$data/sent/"
  client storescu -aec DCBSCP +sd "$1" 11112 /data/sent >"$WORK/store.log" 2>&1 ||
    { cat "$WORK/store.log"; fail "storescu to $1"; }
}
study_of() { # FOLDER of .dcm
  /usr/bin/python3 - "$1" <<'PYTHON'
import pathlib, sys
import pydicom
print(pydicom.dcmread(next(pathlib.Path(sys.argv[1]).glob("*.dcm"))).StudyInstanceUID)
PYTHON
}
# Other instances: the same with UIDs of their own.
make_more() { # FOLDER SOURCE
  mkdir "$1"
  /usr/bin/python3 - "$1" "$2" <<'PYTHON'
import pathlib, sys
import pydicom
for path in pathlib.Path(sys.argv[2]).glob("*.dcm"):
    d = pydicom.dcmread(path)
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(d, name, getattr(d, name) + ".77")
    d.file_meta.MediaStorageSOPInstanceUID = d.SOPInstanceUID
    d.save_as(pathlib.Path(sys.argv[1]) / path.name)
PYTHON
}
# same FOLDER SOURCE exact|pixels: the same instances, with the same elements or the same pixels.
same() {
  /usr/bin/python3 - "$data/$1" "$2" "$3" <<'PYTHON' || fail "what is in $1 is not what was in $2"
import pathlib, sys
import pydicom
def read(folder):
    files = [path for path in pathlib.Path(folder).iterdir() if path.suffix != ".dcbs" and path.is_file()]
    return {d.SOPInstanceUID: d for d in map(pydicom.dcmread, files)}
got, source, how = read(sys.argv[1]), read(sys.argv[2]), sys.argv[3]
if got.keys() != source.keys():
    sys.exit(f"{len(got)} instances, {len(source)} expected; other UIDs: {got.keys() ^ source.keys()}")
for uid, instance in got.items():
    if how == "exact" and instance != source[uid]:
        sys.exit(f"{uid} has other elements")
    a, b = ((d.pixel_array.astype("f8") * float(d.get("RescaleSlope", 1)) +
             float(d.get("RescaleIntercept", 0))) for d in (instance, source[uid]))
    if a.shape != b.shape or (a != b).any():
        sys.exit(f"{uid} has other pixels")
PYTHON
}

# ---- One node --------------------------------------------------------------------------------------

single=$SOURCE/docker/compose.yaml
cat >"$WORK/viewer.yaml" <<'YAML'
services:
  node:
    environment:
      DCBSCP_ACCESS: "[{name: health, addresses: [127.0.0.0/8], allow: [echo]},
        {name: viewers, addresses: [viewer], allow: [echo, find, get, move, store]}]"
      DCBSCP_DESTINATIONS: "[{ae_title: VIEWER, host: viewer, port: 11113}]"
YAML
archived=$(study_of "$golden/ct_phantom_small/source")
stored=$(study_of "$golden/tiny3/source")
make_more "$data/more" "$golden/tiny3/source"
more=$(study_of "$data/more")

echo 0123456789abcdef >"$WORK/http-token"
export DCBSCP_HTTP_TOKEN=$WORK/http-token PROMETHEUS_IMAGE=localhost/clients
compose one "$single $SOURCE/docker/compose.monitoring.yaml $WORK/viewer.yaml" up -d --no-build
keep_addresses
node=$(container node)
wait_for "healthy node" healthy "$node"
start_clients one_default
say "the node is healthy: $(podman exec "$node" dcbtool echo)"

[ "$(podman exec "$node" id -u)" = 11112 ] || fail "it runs as root"
[ -z "$(podman inspect "$node" --format '{{range .EffectiveCaps}}{{.}} {{end}}')" ] ||
  fail "it has capabilities"
for path in /usr/bin/x /etc/dcbscp/x /archive/x; do
  podman exec "$node" sh -c ": >$path" >"$WORK/write.log" 2>&1 && fail "$path can be written"
  grep -q 'Read-only file system' "$WORK/write.log" || fail "$path: $(cat "$WORK/write.log")"
done
say "no root, no capabilities, nothing to write but /store and /state"

client echoscu -aec DCBSCP node 11112 || fail "echoscu"
store node "$golden/tiny3/source"
expect_found node "$archived" 8
expect_found node "$stored" 3
get node "$archived" got
same got "$golden/ct_phantom_small/source" pixels
get node "$stored" got-stored
same got-stored "$golden/tiny3/source" exact
say "echo, store, find, get between containers"

podman run -d --name stranger --network one_default localhost/clients sleep 1000 >/dev/null
wait_for "name of the node" knows stranger node
wait_for "name of the viewer" knows "$node" viewer
podman exec stranger echoscu -aec DCBSCP node 11112 >"$WORK/echo.log" 2>&1 &&
  fail "a container that no rule names is let in"
grep -q 'Calling AE Title Not Recognized' "$WORK/echo.log" || fail "$(cat "$WORK/echo.log")"
podman rm -f -t 0 stranger >/dev/null
wait_for "name of the viewer" knows "$node" viewer
say "a container that no rule names is refused"

client movescu -S -aec DCBSCP -aem VIEWER -k QueryRetrieveLevel=STUDY \
  -k StudyInstanceUID="$archived" node 11112 || fail "movescu"
same moved "$golden/ct_phantom_small/source" pixels
say "move to a destination by service name"

# What Prometheus is told to do, done here.
/usr/bin/python3 - "$SOURCE/docker/prometheus.yaml" "$WORK/http-token" "$(address "$node")" <<'PYTHON' ||
import sys, urllib.error, urllib.request
config = open(sys.argv[1]).read()
assert '"node:11180"' in config and "credentials_file: /run/http-token" in config
url = f"http://{sys.argv[3]}:11180/metrics"
try:
    urllib.request.urlopen(url, timeout=20)
    sys.exit("metrics without a token")
except urllib.error.HTTPError as error:
    assert error.code == 401, error
token = open(sys.argv[2]).read().strip()
request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
text = urllib.request.urlopen(request, timeout=20).read().decode()
assert "dcbscp_build_info" in text and "dcbscp_ready 1" in text, text
PYTHON
  fail "metrics for Prometheus"
say "metrics for Prometheus, with the token"

podman stop -t 30 "$node" >/dev/null
[ "$(state "$node" ExitCode)" = 0 ] || fail "exit status $(state "$node" ExitCode) after SIGTERM"
podman logs "$node" 2>&1 | grep -q ' node.stopped ' || fail "it does not tell that it stopped"
podman start "$node" >/dev/null
wait_for "healthy node after its restart" healthy "$node"
reach node
expect_found node "$archived" 8
expect_found node "$stored" 3
say "SIGTERM: exit status 0; started again with all it had"

store node "$data/more"
kill -KILL "$(state "$node" Pid)"
gone() { [ "$(state "$node" Running)" = false ]; }
wait_for "end after SIGKILL" gone
podman start "$node" >/dev/null
wait_for "healthy node after SIGKILL" healthy "$node"
reach node
expect_found node "$more" 3
get node "$more" got-more
same got-more "$data/more" exact
say "SIGKILL: what was acknowledged is there"

podman rm -f -t 0 clients >/dev/null
compose one "$single $SOURCE/docker/compose.monitoring.yaml" down
[ -z "$(podman ps -aq)" ] || fail "containers are left"

# ---- Two nodes behind a balancer ---------------------------------------------------------------------

compose two "$SOURCE/docker/compose.balanced.yaml" up -d --no-build
keep_addresses
node1=$(container node1) node2=$(container node2)
wait_for "healthy node1" healthy "$node1"
wait_for "healthy node2" healthy "$node2"
start_clients two_default
reach balancer
through() { client echoscu -aec DCBSCP balancer 11112; }
wait_for "way through the balancer" through
served() { podman logs "$1" 2>&1 | grep -c 'calling=ECHOSCU operation=echo .*status=0000' || true; }
for i in 1 2 3 4; do through || fail "echoscu through the balancer"; done
[ "$(served "$node1")" -ge 1 ] && [ "$(served "$node2")" -ge 1 ] ||
  fail "the balancer used one node only: $(served "$node1"), $(served "$node2")"
rm -rf "$data/got"
get balancer "$archived" got
same got "$golden/ct_phantom_small/source" pixels
podman stop -t 30 "$node1" >/dev/null
[ "$(state "$node1" ExitCode)" = 0 ] || fail "node1: exit status $(state "$node1" ExitCode)"
noticed() { podman logs "$(container balancer)" 2>&1 | grep -q 'nodes/node1 is DOWN'; }
wait_for "notice of the balancer that node1 is gone" noticed
reach balancer
for i in 1 2 3; do through || fail "echoscu with one node"; done
rm -rf "$data/got"
get balancer "$archived" got
same got "$golden/ct_phantom_small/source" pixels
say "two nodes share a read-only archive behind a balancer; one may go"

podman rm -f -t 0 clients "$(container balancer)" >/dev/null
compose two "$SOURCE/docker/compose.balanced.yaml" down
