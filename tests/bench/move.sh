#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Measures C-MOVE to a destination at the end of a long cable, with one and more associations, beside
# the peers that are installed, and prints one table:
#
#     bash tests/bench/move.sh [BUILD_DIR] [--rounds N] [--rtt MS]...
#
# BUILD_DIR is build where none is given. Needs root, for network namespaces.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
exec /usr/bin/env PATH="/usr/bin:/usr/sbin:$PATH" python3 -B "$here/move.py" "$@"
