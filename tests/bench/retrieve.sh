#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Measures retrieval against the ceiling of this machine and against the peers that are installed,
# and prints one table:
#
#     bash tests/bench/retrieve.sh [BUILD_DIR] [--rounds N] [CASE...]
#
# BUILD_DIR is build where none is given. Network namespaces need root; without it those cases are
# left out and say so.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
exec /usr/bin/env PATH="/usr/bin:/usr/sbin:$PATH" python3 -B "$here/retrieve.py" "$@"
