#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# copy.sh FILE COPY: copy a file that nobody can cut short meanwhile.
#
# The lease sits on descriptor 3 of this shell, which is its owner. It goes with the descriptor: at the end of the
# script, however that comes.
set -eu
[ $# -eq 2 ] || { echo "usage: copy.sh FILE COPY" >&2; exit 2; }

exec 3<"$1"
holdfast lease --fd 3 --exclusive
cat <&3 >"$2"
holdfast who "$1"
exec 3<&-
