#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# letgo.sh FILE: hold a file until somebody wants to take bytes of it away, then let go.
#
# A shell cannot poll(2), but it can read the event stream of the mount: one line of JSON for each event.
set -eu
[ $# -eq 1 ] || { echo "usage: letgo.sh FILE" >&2; exit 2; }

mountpoint=$(df --output=target -- "$1" | tail -n 1)
control=$(holdfast status | awk -v mountpoint="$mountpoint" '$1 == mountpoint { print $NF }')
[ -n "$control" ] || { echo "$1: not on a Holdfast mount" >&2; exit 1; }

# Events are seen from the moment of the open, so it comes before the lease.
exec 3<"$1" 4<"$control/events"
lease=$(holdfast lease --fd 3)
echo "holding $1, $lease"

while read -r event <&4; do
	case $event in
	*'"event":"break","lease":'"${lease#lease },"*)
		echo "told: ${lease} is breaking"
		break
		;;
	esac
done

# Whoever waits goes on now.
exec 3<&-
echo "let go"
