#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# watch.sh: print every event of every Holdfast mount, one JSON object per line, until it is interrupted.
set -eu

trap 'kill $readers 2>/dev/null' EXIT
trap 'exit 0' INT TERM
readers=
for events in /run/holdfast/*/events; do
	[ -e "$events" ] || { echo "no Holdfast mounts" >&2; exit 1; }
	cat "$events" &
	readers="$readers $!"
done
wait
