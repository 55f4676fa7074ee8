#!/bin/sh
# Runs a command beside a plain directory and a mount of its twin, on a fresh file system of a given kind.
#
#     on-mount.sh WORK FILE_SYSTEM SERVER... -- COMMAND...
#
# WORK is an empty directory. SERVER gets two arguments more, the directory to serve and the mountpoint, prints
# "ready" when the mount is there, and ends when it is unmounted; it is to run in the foreground. COMMAND finds
# $FILE_SYSTEM (where it is mounted), $PLAIN (a directory of it), $BACKING (what is served) and $MOUNT. SIZE_MIB and
# MKFS_OPTIONS may be given; with OVER_ITSELF=1 the mountpoint is the served directory, and $BACKING another way to it. Ends with COMMAND's exit code, or 90 and more if something else went wrong. To be run in a mount
# namespace of its own (unshare -m --propagation private), which takes along whatever is left mounted.
set -u
WORK=$1
KIND=$2
shift 2
SERVER=
while [ "$1" != -- ]; do
  SERVER="$SERVER $1"
  shift
done
shift

SERVER_PID=
# Ends a server that does not end by itself: its connection is aborted, so that nothing waits for it for ever.
cleanup() {
  cd /
  if [ -n "$SERVER_PID" ] && ! umount "$MOUNT" 2>/dev/null; then umount -l "$MOUNT" 2>/dev/null; fi
  if [ -n "$SERVER_PID" ]; then
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
      kill -0 "$SERVER_PID" 2>/dev/null || break
      sleep 0.1
    done
    if kill -0 "$SERVER_PID" 2>/dev/null; then
      echo "the server had to be killed" >&2
      [ -n "${CONNECTION:-}" ] && echo 1 >"/sys/fs/fuse/connections/$CONNECTION/abort"
      kill -9 "$SERVER_PID"
    fi
  fi
  umount "$WORK/below" 2>/dev/null
  umount "$WORK/top" 2>/dev/null
  umount "$WORK/fs" 2>/dev/null || umount -l "$WORK/fs" 2>/dev/null
}
trap cleanup EXIT

mkdir -p "$WORK/fs" "$WORK/mnt" || exit 90
mountpoint -q /sys/fs/fuse/connections || mount -t fusectl fusectl /sys/fs/fuse/connections || exit 91
FS=$WORK/fs
case $KIND in
  tmpfs) mount -t tmpfs -o "size=${SIZE_MIB:-400}m" tmpfs "$FS" || exit 92 ;;
  ext4 | xfs | btrfs | overlay)
    TYPE=$KIND
    [ "$KIND" = overlay ] && TYPE=ext4
    truncate -s "${SIZE_MIB:-400}M" "$WORK/image" || exit 92
    case $TYPE in
      ext4) mkfs.ext4 -q -F ${MKFS_OPTIONS:-} "$WORK/image" ;;
      xfs) mkfs.xfs -q -f "$WORK/image" ;;
      btrfs) mkfs.btrfs -q -f "$WORK/image" ;;
    esac >&2 || exit 93
    mount -o loop "$WORK/image" "$FS" || exit 94
    ;;
  *) exit 95 ;;
esac
if [ "$KIND" = overlay ]; then
  mkdir "$FS/lower" "$FS/upper" "$FS/work" "$WORK/top"
  mount -t overlay -o "lowerdir=$FS/lower,upperdir=$FS/upper,workdir=$FS/work" overlay "$WORK/top" || exit 96
  FS=$WORK/top
fi
PLAIN=$FS/plain
BACKING=$FS/backing
MOUNT=$WORK/mnt
FILE_SYSTEM=$FS
export FILE_SYSTEM PLAIN BACKING MOUNT
mkdir "$PLAIN" "$BACKING" || exit 97

SERVED="$BACKING $MOUNT"
if [ -n "${OVER_ITSELF:-}" ]; then
  SERVED=$BACKING
  MOUNT=$BACKING
  BACKING=$WORK/below
  mkdir "$BACKING" && mount --bind "$MOUNT" "$BACKING" || exit 97
fi
$SERVER $SERVED >"$WORK/server.out" 2>"$WORK/server.err" &
SERVER_PID=$!
for _ in $(seq 200); do
  grep -qs ready "$WORK/server.out" && break
  kill -0 "$SERVER_PID" 2>/dev/null || break
  sleep 0.05
done
if ! grep -qs ready "$WORK/server.out"; then
  cat "$WORK/server.err" >&2
  exit 98
fi
CONNECTION=$(awk -v m="$MOUNT" '$5 == m { split($3, n, ":"); print n[2] }' /proc/self/mountinfo)

timeout -k 5 "${TIMEOUT_S:-120}" "$@"
RESULT=$?
[ "$RESULT" -eq 124 ] && echo "the command took more than ${TIMEOUT_S:-120} seconds" >&2
cd /
if ! umount "$MOUNT"; then
  echo "the mount is still in use" >&2
  exit 99
fi
# The server closes everything and says by its exit code whether it noticed a bug of its own.
for _ in $(seq 100); do
  kill -0 "$SERVER_PID" 2>/dev/null || break
  sleep 0.05
done
if ! kill -0 "$SERVER_PID" 2>/dev/null; then
  wait "$SERVER_PID"
  SERVER_RESULT=$?
  SERVER_PID=
  if [ "$SERVER_RESULT" -ne 0 ]; then
    cat "$WORK/server.err" >&2
    echo "the server ended with $SERVER_RESULT" >&2
    [ "$RESULT" -eq 0 ] && exit 100
  fi
fi
exit "$RESULT"
