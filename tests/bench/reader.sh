#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs bench_reader several times and prints one table: the median of each figure, and the goal.
#
#   bash tests/bench/reader.sh [BUILD [RUNS]]      [build 5]
#
# Measures bench_reader's own series, and the two largest golden ones where GOLDEN_DIR
# (../shared/golden) has them.
set -euo pipefail
cd "$(dirname "$0")/../.."

build=${1:-build} runs=${2:-5}
golden=${GOLDEN_DIR:-../shared/golden}
program=$build/tests/bench_reader
[ -x "$program" ] || { echo "reader.sh: $program is missing: build first" >&2; exit 1; }

files=()
for name in ct_ge_tilt_28 mr_ge_fmri_150; do
  [ ! -f "$golden/$name/series.dcbs" ] || files+=("$golden/$name/series.dcbs")
done

figures=$(mktemp)
trap 'rm -f "$figures"' EXIT
for run in $(seq "$runs"); do
  echo "run $run of $runs, load $(cut -d' ' -f1 /proc/loadavg)" >&2
  "$program" >>"$figures"
  [ ${#files[@]} = 0 ] || "$program" "${files[@]}" >>"$figures"
done

echo "$(nproc) processors, $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)," \
  "Linux $(uname -r), load $(cut -d' ' -f1 /proc/loadavg), medians of $runs runs"
python3 - "$figures" <<'PYTHON'
import collections
import statistics
import sys

GOALS = {
    "open and first frame": lambda series: 0.6 if series.startswith("ct") else 1.2,
    "cold in order": 20000, "cold random": 20000,
    "cold in order, p99": 0.2, "cold random, p99": 0.2,
    "cached hit": 0.3, "cold random, 8 threads to 1": 1.6,
    "decoded, to the codec alone": 90, "1,000 open series, beyond the budget": 100,
}
NO_GOALS = {"dense_200.dcbs"}  # the worst case, not one that clinics have
AT_MOST = {"ms", "us", "MB"}

values = collections.defaultdict(list)
units, series, figures = {}, [], []
for line in open(sys.argv[1]):
    name, figure, value, unit = line.rstrip("\n").split("\t")
    values[figure, name].append(float(value))
    units[figure] = unit
    if name not in series:
        series.append(name)
    if figure not in figures:
        figures.append(figure)

width = max(len(f"{f} ({units[f]})") for f in figures)
print(" " * width, *(f"{name.removesuffix('.dcbs'):>16}" for name in series))
for figure in figures:
    cells = []
    for name in series:
        middle = statistics.median(values[figure, name] or [float("nan")])
        goal = None if name in NO_GOALS else GOALS.get(figure)
        goal = goal(name) if callable(goal) else goal
        missed = goal is not None and (middle > goal if units[figure] in AT_MOST
                                       else middle < goal)
        cells.append(f"{middle:.4g}" + ("!" if missed else " "))
    label = f"{figure} ({units[figure]})" if units[figure] else figure
    print(f"{label:<{width}}", *(f"{cell:>16}" for cell in cells))
print("! misses the goal")
PYTHON
