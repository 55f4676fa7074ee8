/** The commands of the control file `ctl`: one line each, answered with an errno and a line of text. */
import type { CommandResult } from '../control/control-fs.js'
import type { RequestInfo } from '../fuse/api.js'
import { Errno, errnoMessage, errnoName } from '../lib/errno.js'
import type { ProcessKey } from '../lib/ids.js'
import { statFd } from '../linux/files.js'
import { readDescriptor } from '../linux/processes.js'
import type { OpenFile } from '../passthrough/gate.js'
import type { DataMount } from './data-mount.js'
import type { Ioctls, IoctlTarget } from './ioctls.js'
import type { LeaseService } from './lease-service.js'
import type { Caller } from './processes.js'

/** What the commands act on. */
export interface CommandScope {
  readonly service: LeaseService
  readonly ioctls: Ioctls
  readonly mounts: readonly DataMount[]
  /** @returns false if the mounts are about to go, or the process is gone. */
  expect(pid: number): boolean
  arrived(process: ProcessKey): void
}

function failed(errno: Errno, why: string): CommandResult {
  return { errno, text: `${errnoName(errno)} ${errnoMessage(errno)}: ${why}` }
}

const DONE: CommandResult = { errno: 0, text: 'ok' }

export function runCommand(line: string, request: RequestInfo, scope: CommandScope): CommandResult {
  const [word, ...args] = line.trim().split(/\s+/)
  if (word === 'lease') return takeLease(args, request, scope)
  const numbers = args.map((arg) => (/^\d{1,15}$/.test(arg) ? Number(arg) : Number.NaN))
  const [first] = numbers
  if (first === undefined || Number.isNaN(first) || numbers.length > 1) {
    return failed(Errno.EINVAL, `'${word ?? ''}' takes a number`)
  }
  switch (word) {
    case 'hold':
      return hold(first, request, scope)
    case 'expect':
      return scope.expect(first) ? DONE : failed(Errno.ENODEV, 'the mount is about to go')
    case 'break-time':
      return breakTime(first, request, scope)
    case 'revoke':
    case 'release-all':
      return failed(Errno.EOPNOTSUPP, `'${word}' is not there yet in this version`)
    default:
      return failed(Errno.EINVAL, `no such command: '${word ?? ''}'`)
  }
}

const HOLD_FAILURES: Readonly<Record<number, string>> = {
  [Errno.EPERM]: 'only the owner of the file or root may hold it (L8)',
  [Errno.ETXTBSY]: "somebody else has an exclusive write lease on it: see 'holdfast who'",
  [Errno.EAGAIN]: "somebody has a write lease on it or is changing it: see 'holdfast who', and try again",
  [Errno.ENOLCK]: 'this user has too many leases or pins',
}

/**
 * `hold FD`: an exclusive lease on the whole file behind the caller's own descriptor FD, and a pin of the
 * whole file for the caller. It is what SETLEASE and PIN do, for callers that can write to a file but make no
 * ioctl: the shell that `holdfast run` becomes COMMAND from.
 */
function hold(fd: number, request: RequestInfo, scope: CommandScope): CommandResult {
  return onDescriptor(fd, request, scope, (target) => scope.ioctls.hold(request, target))
}

/** `lease FD MODE LEVEL`: what SETLEASE does on the whole file behind the caller's own descriptor FD. */
function takeLease(args: readonly string[], request: RequestInfo, scope: CommandScope): CommandResult {
  const [fd = '', mode, level, ...more] = args
  const isMode = mode === 'read' || mode === 'write'
  const isLevel = level === 'normal' || level === 'exclusive'
  if (!/^\d{1,9}$/.test(fd) || !isMode || !isLevel || more.length > 0) {
    return failed(Errno.EINVAL, "'lease' takes a descriptor, read or write, and normal or exclusive")
  }
  return onDescriptor(Number(fd), request, scope, (target) =>
    scope.ioctls.lease(request, target, mode, level),
  )
}

function onDescriptor(
  fd: number,
  request: RequestInfo,
  scope: CommandScope,
  take: (target: IoctlTarget) => Errno | 0,
): CommandResult {
  const caller = scope.service.processes.identify(request.pid)
  if (caller === null) return failed(Errno.EPERM, 'the calling process cannot be seen')
  const found = findOpenFile(caller, fd, scope.mounts)
  if (found === null) {
    return failed(Errno.EBADF, `descriptor ${fd} is not a file of this mount that you opened`)
  }
  const errno = take(found.mount.gate.target(found.file))
  if (errno !== 0) return failed(errno, HOLD_FAILURES[errno] ?? 'the lease was not granted')
  scope.arrived(caller.key)
  return DONE
}

/** fdinfo tells mount and inode of a descriptor; of several opens by the same process the newest is meant. */
function findOpenFile(
  caller: Caller,
  fd: number,
  mounts: readonly DataMount[],
): { mount: DataMount; file: OpenFile } | null {
  const descriptor = readDescriptor(caller.pid, fd)
  const mount = mounts.find(({ mountId }) => mountId === descriptor?.mountId)
  if (descriptor === null || mount === undefined) return null
  let newest: OpenFile | null = null
  for (const file of mount.gate.openFiles()) {
    if (file.openedBy !== caller.pid || (newest !== null && file.fh < newest.fh)) continue
    // Before Linux 5.14 fdinfo does not tell the inode; a mount over a single file has only one anyway.
    if (descriptor.ino === 0n || statFd(file.node.backingFd()).ino === descriptor.ino) newest = file
  }
  return newest === null ? null : { mount, file: newest }
}

function breakTime(breakTimeMs: number, request: RequestInfo, scope: CommandScope): CommandResult {
  if (request.uid !== 0 && request.uid !== process.getuid?.()) {
    return failed(Errno.EPERM, 'only who mounted it may change the break time')
  }
  const errno = scope.service.setBreakTime(breakTimeMs)
  return errno === 0 ? DONE : failed(errno, 'break time out of range')
}
