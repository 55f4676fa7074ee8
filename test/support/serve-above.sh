#!/bin/sh
# `holdfast mount` over a FUSE file system that can be told to keep requests waiting (holding.js), as a server for
# on-mount.sh. What is to be held stands in the file DIR.hold; DIR.inner is what Holdfast is mounted above.
#
#     serve-above.sh DIR MOUNTPOINT
set -u
SUPPORT=${0%/*}
INNER=$1.inner
mkdir "$INNER" && : >"$1.hold" || exit 1
node "$SUPPORT/serve-plain.js" --no-passthrough --hold "$1.hold" "$1" "$INNER" >"$1.out" &
SLOW=$!
for _ in $(seq 400); do
  grep -qs ready "$1.out" && break
  kill -0 "$SLOW" 2>/dev/null || exit 5
  sleep 0.05
done
"$SUPPORT/serve-holdfast.sh" "$INNER" "$2"
RESULT=$?
: >"$1.hold"
umount "$INNER" || umount -l "$INNER"
wait "$SLOW" || exit 6
exit "$RESULT"
