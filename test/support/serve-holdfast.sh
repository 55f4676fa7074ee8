#!/bin/sh
# `holdfast mount` as a server for on-mount.sh: prints "ready" when it is mounted, ends when it is unmounted.
#
#     serve-holdfast.sh [OPTION...] DIR MOUNTPOINT
#
# Gives the mount namespace a /run of its own, so that the mounts of this machine are not seen and not touched.
# Fails if the engine had to report a failure of its own, or left something mounted.
set -u
HOLDFAST=${0%/*}/../../bin/holdfast
mount -t tmpfs -o mode=755 tmpfs /run || exit 1
"$HOLDFAST" mount "$@" >&2 || exit 1
ENGINE=$("$HOLDFAST" status --json | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' | head -n 1)
[ -n "$ENGINE" ] || exit 2
echo ready
while kill -0 "$ENGINE" 2>/dev/null; do sleep 0.05; done
# A daemon has no terminal: what goes wrong in it is in the kernel's log.
if dmesg | grep -F "holdfast[$ENGINE]" >&2; then exit 3; fi
if grep fuse.holdfast /proc/self/mounts >&2; then exit 4; fi
