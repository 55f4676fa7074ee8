/** The commands of the control file `ctl`: one line each, answered with an errno and a line of text. */
import type { CommandResult, ControlCommand, Credentials } from '../control/control-fs.js'
import { decodeRange, type LeaseRequest } from '../control/formats/abi.js'
import { Errno, errnoMessage, errnoName } from '../lib/errno.js'
import type { LeaseId, ProcessKey } from '../lib/ids.js'
import { statFd } from '../linux/files.js'
import { readDescriptor } from '../linux/processes.js'
import type { OpenFile } from '../passthrough/gate.js'
import { type Ioctls, type IoctlTarget, WHOLE } from './leasing/ioctls.js'
import type { LeaseService } from './leasing/lease-service.js'
import type { Caller } from './leasing/processes.js'
import { releaseAll, revokeLease } from './leasing/seizing.js'
import type { DataMount } from './mounts/data-mount.js'

/** What the commands act on. */
export interface CommandScope {
  readonly service: LeaseService
  readonly ioctls: Ioctls
  readonly mounts: readonly DataMount[]
  /** @returns false if the mounts are about to go, or the process is gone. */
  expect(pid: number): boolean
  arrived(process: ProcessKey): void
}

type Done = (result: CommandResult) => void

function failed(errno: Errno, why: string): CommandResult {
  return { errno, text: `${errnoName(errno)} ${errnoMessage(errno)}: ${why}` }
}

const DONE: CommandResult = { errno: 0, text: 'ok' }

/** Runs one line. `done` is called once, at once or later. @returns what gives up waiting for that. */
export function runCommand(command: ControlCommand, scope: CommandScope, done: Done): null | (() => void) {
  const [word = '', ...args] = command.line.toString('latin1').trim().split(/\s+/)
  if (word === 'lease') return takeLease(args, command, scope, done)
  done(runAtOnce(word, args, command, scope))
  return null
}

function runAtOnce(
  word: string,
  args: readonly string[],
  command: ControlCommand,
  scope: CommandScope,
): CommandResult {
  const [text = '', ...more] = args
  const isKill = word === 'revoke' && more.length === 1 && more[0] === 'kill'
  if (!/^\d{1,15}$/.test(text) || (more.length > 0 && !isKill)) {
    return failed(Errno.EINVAL, `'${word}' takes a number${word === 'revoke' ? ", and perhaps 'kill'" : ''}`)
  }
  const number = Number(text)
  switch (word) {
    case 'hold':
      return hold(number, command, scope)
    case 'expect':
      return scope.expect(number) ? DONE : failed(Errno.ENODEV, 'the mount is about to go')
    case 'break-time':
      return breakTime(number, command.opener, scope)
    case 'revoke':
      return told(revokeLease(scope.service, command.opener, number as LeaseId, isKill), REVOKE_FAILURES)
    case 'release-all':
      return told(releaseAll(scope.service, command.opener, number), RELEASE_FAILURES)
    default:
      return failed(Errno.EINVAL, `no such command: '${word}'`)
  }
}

function told(errno: Errno | 0, failures: Readonly<Record<number, string>>): CommandResult {
  return errno === 0 ? DONE : failed(errno, failures[errno] ?? 'refused')
}

const REVOKE_FAILURES: Readonly<Record<number, string>> = {
  [Errno.ENOENT]: 'no such lease, or not yours to see',
  [Errno.EPERM]:
    "only the file's owner and root may revoke it, and have its owners killed only who may kill them",
  [Errno.EBUSY]:
    'pins need it: having its owners killed ends those of processes, a pin context must be closed',
}

const RELEASE_FAILURES: Readonly<Record<number, string>> = {
  [Errno.EPERM]: 'only root may release the leases of somebody else',
  [Errno.EBUSY]:
    "pins need one of them, so none is released: 'revoke ID kill' ends the processes that have them",
}

const HOLD_FAILURES: Readonly<Record<number, string>> = {
  [Errno.EPERM]: 'an exclusive lease needs the owner of the file, root, or a descriptor open for writing',
  [Errno.ETXTBSY]: "somebody else has an exclusive write lease on it: see 'holdfast who'",
  [Errno.EAGAIN]: "somebody has a write lease on it or is changing it: see 'holdfast who', and try again",
  [Errno.ENOLCK]: 'this user has too many leases or pins',
  [Errno.EINTR]: 'a signal ended the wait',
}

/**
 * `hold FD`: an exclusive lease on the whole file behind the caller's own descriptor FD, and a pin of the
 * whole file for the caller. It is what SETLEASE and PIN do, for callers that can write to a file but make no
 * ioctl: the shell that `holdfast run` becomes COMMAND from.
 */
function hold(fd: number, command: ControlCommand, scope: CommandScope): CommandResult {
  const found = findTarget(fd, command, scope)
  if (!('target' in found)) return found
  return taken(scope.ioctls.hold(command.request, found.target), found.caller, scope)
}

/** `lease FD MODE LEVEL [START LENGTH BREAK_MS [wait]]`: what SETLEASE does on the caller's own descriptor FD. */
function takeLease(
  args: readonly string[],
  command: ControlCommand,
  scope: CommandScope,
  done: Done,
): null | (() => void) {
  const wanted = parseLease(args)
  if (wanted === null) {
    done(failed(Errno.EINVAL, "'lease' takes FD read|write normal|exclusive [START LENGTH BREAK_MS [wait]]"))
    return null
  }
  const found = findTarget(wanted.fd, command, scope)
  if (!('target' in found)) {
    done(found)
    return null
  }
  return scope.ioctls.lease(command.request, found.target, wanted.request, (errno) =>
    done(taken(errno, found.caller, scope)),
  )
}

function parseLease(args: readonly string[]): { fd: number; request: LeaseRequest } | null {
  const [fd = '', mode, level, start = '0', length = '0', breakTimeMs = '0', wait, ...more] = args
  const isMode = mode === 'read' || mode === 'write'
  const isLevel = level === 'normal' || level === 'exclusive'
  const isWait = wait === undefined || wait === 'wait'
  if (!isMode || !isLevel || !isWait || more.length > 0) return null
  if (![fd, start, length, breakTimeMs].every((text) => /^\d{1,15}$/.test(text))) return null
  const range = decodeRange(BigInt(start), BigInt(length))
  const whenBusy = wait === undefined ? 'fail' : 'wait'
  return {
    fd: Number(fd),
    request: { ...WHOLE, range, rangeGiven: true, mode, level, whenBusy, breakTimeMs: Number(breakTimeMs) },
  }
}

function taken(errno: Errno | 0, caller: Caller, scope: CommandScope): CommandResult {
  if (errno === 0) scope.arrived(caller.key)
  return told(errno, HOLD_FAILURES)
}

/**
 * The file behind a descriptor of the process that writes. It is that process's own right that a lease is taken
 * with, so `ctl` must have been opened by the same user: nobody makes a program of somebody else take a lease.
 */
function findTarget(
  fd: number,
  { request, opener }: ControlCommand,
  scope: CommandScope,
): { target: IoctlTarget; caller: Caller } | CommandResult {
  if (request.uid !== opener.uid) return failed(Errno.EPERM, 'it was opened by another user')
  const caller = scope.service.processes.identify(request.pid)
  if (caller === null) return failed(Errno.EPERM, 'the calling process cannot be seen')
  const found = findOpenFile(caller, fd, scope.mounts)
  if (found === null) {
    return failed(Errno.EBADF, `descriptor ${fd} is not a file of this mount that you opened`)
  }
  return { target: found.mount.gate.target(found.file), caller }
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

function breakTime(breakTimeMs: number, opener: Credentials, scope: CommandScope): CommandResult {
  if (opener.uid !== 0 && opener.uid !== process.getuid?.()) {
    return failed(Errno.EPERM, 'only who mounted it may change the break time')
  }
  const errno = scope.service.setBreakTime(breakTimeMs)
  return errno === 0 ? DONE : failed(errno, 'break time out of range')
}
