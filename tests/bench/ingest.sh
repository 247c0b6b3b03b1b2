#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Measures C-STORE and packing, beside the peers that are installed, and prints one line a case:
#
#     bash tests/bench/ingest.sh [BUILD_DIR] [--rounds N] [--studies N] [--instances N]
#
# BUILD_DIR is build where none is given.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
exec /usr/bin/env PATH="/usr/bin:/usr/sbin:$PATH" python3 -B "$here/ingest.py" "$@"
