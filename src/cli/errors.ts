/** One clear line for whatever goes wrong: what, which file, why, what to do. */

import { KernelLacksError, KernelTooOldError, RunDirectoryError } from '../daemon/main.js'
import { errnoMessage } from '../lib/errno.js'
import { LinuxError, showPath } from '../linux/error.js'
import { FusermountError } from '../linux/fusermount.js'

/** A failure that is not ours: it is shown as its message and ends the command. */
export class CommandError extends Error {
  readonly exitCode: 1 | 2

  constructor(message: string, exitCode: 1 | 2 = 1) {
    super(message)
    this.exitCode = exitCode
  }
}

/** What to do about a failed system call, where there is something to do. */
function advice(error: LinuxError): string | null {
  const path = error.path === undefined ? '' : showPath(error.path)
  if (path === '/dev/fuse') {
    if (error.code === 'ENOENT' || error.code === 'ENODEV' || error.code === 'ENXIO') {
      return "this kernel has no FUSE device: load it with 'modprobe fuse'"
    }
    if (error.code === 'EACCES') return "not allowed to use it: run it with 'sudo'"
  }
  if (
    error.code === 'EPERM' &&
    ['fsopen', 'fsconfig', 'fsmount', 'open_tree', 'move_mount', 'umount2'].includes(error.syscall)
  ) {
    return "not allowed to mount: run it with 'sudo'"
  }
  if (error.code === 'ENODEV' && error.syscall === 'fsopen') {
    return "this kernel has no FUSE: load it with 'modprobe fuse'"
  }
  if (error.code === 'ENOENT' && error.syscall === 'openat') return 'nothing was done: check the name'
  if (error.code === 'ENOSYS') return 'this kernel is too old: Holdfast needs Linux 5.4'
  return null
}

/** What fusermount3 complains of, and what to do about it. The last one fits everything. */
const FUSERMOUNT_ADVICE: readonly (readonly [RegExp, string])[] = [
  [/fuse device not found/, "this kernel has no FUSE device: load it with 'modprobe fuse'"],
  [
    /\/dev\/fuse: Permission denied/,
    "ordinary users may not use it: 'chmod 666 /dev/fuse' as root, or use 'sudo'",
  ],
  [/too many FUSE filesystems/, "end a mount ('holdfast status'), or set mount_max in /etc/fuse.conf"],
  [/not owned by user/, "in a directory like /tmp only the owner's own can be mounted over; use 'sudo'"],
  [
    /no write access|failed to open .*Permission denied/,
    "only what you may write to can be mounted over: 'chmod u+w', or use 'sudo'",
  ],
  [/Text file busy/, "a program that is being executed cannot be mounted over without root: use 'sudo'"],
  [/filesystem type .* is forbidden/, "on this file system only root can mount: use 'sudo'"],
  [/could not determine username/, "it serves only users with a name in /etc/passwd: use 'sudo'"],
  [
    /Operation not permitted/,
    "fusermount3 must be owned by root and set-user-ID, and 'no new privileges' must not be set: install the package fuse3 again, or use 'sudo'",
  ],
  [/./, "use 'sudo'; 'holdfast doctor' says what this machine can do"],
]

function explainFusermount({ path, complaint }: FusermountError): string {
  const shown = showPath(path)
  if (complaint === null) {
    return `${shown}: only root can mount without fusermount3: install the package fuse3, or use 'sudo'`
  }
  const [, what = ''] = FUSERMOUNT_ADVICE.find(([pattern]) => pattern.test(complaint)) ?? []
  return `${shown}: fusermount3: ${complaint} (${what})`
}

/** What Node's own system calls throw. Their errno is negative, their message another than everybody's. */
function isNodeError(
  error: unknown,
): error is Error & { readonly errno: number; readonly syscall: string; readonly path?: string } {
  return error instanceof Error && 'syscall' in error && 'errno' in error && typeof error.errno === 'number'
}

/** The line for an error, without `holdfast:` and newline. Our own bugs are recognisable by their stack. */
export function explain(error: unknown): string {
  if (error instanceof CommandError || error instanceof RunDirectoryError) return error.message
  if (error instanceof LinuxError) {
    const path = error.path === undefined || error.path.length === 0 ? error.syscall : showPath(error.path)
    const what = advice(error)
    return `${path}: ${errnoMessage(error.errno)}${what === null ? '' : ` (${what})`}`
  }
  if (error instanceof FusermountError) return explainFusermount(error)
  if (error instanceof KernelTooOldError) {
    return `${error.message}: Holdfast needs Linux 5.4; 'holdfast doctor' says what this machine can do`
  }
  if (error instanceof KernelLacksError) {
    return `${error.message}, which Holdfast needs; 'holdfast doctor' says what this machine can do`
  }
  if (isNodeError(error)) return `${error.path ?? error.syscall}: ${errnoMessage(-error.errno)}`
  return error instanceof Error ? `this is a bug in Holdfast: ${error.stack ?? error.message}` : String(error)
}
