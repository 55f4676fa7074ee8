/** `holdfast lease`: on an inherited descriptor for the calling shell, or on a FILE for a COMMAND. */
import * as abi from '../control/formats/abi.js'
import { launcherFds, MAX_BREAK_TIME_MS } from '../daemon/main.js'
import { Errno, errnoMessage } from '../lib/errno.js'
import * as c from '../linux/constants.js'
import { check, LinuxError, showPath } from '../linux/error.js'
import { statFd, writeAll } from '../linux/files.js'
import { mountOf } from '../linux/mounts.js'
import { readStrings } from '../linux/processes.js'
import * as raw from '../linux/raw.js'
import { isType } from '../linux/stat.js'
import { refuseSilent } from './answering.js'
import { CommandError } from './errors.js'
import { launcherPid } from './launching.js'
import { print, printJson } from './output.js'
import { runPlan } from './run-plan.js'
import { controlOf, openTargets } from './targets.js'

export interface LeaseOptions {
  readonly fd?: string | undefined
  readonly exclusive?: boolean | undefined
  readonly normal?: boolean | undefined
  readonly write?: boolean | undefined
  readonly start?: string | undefined
  readonly length?: string | undefined
  readonly wait?: boolean | undefined
  readonly breakTime?: string | undefined
  readonly json?: boolean | undefined
}

const USAGE = "lease: which file? Write 'holdfast lease --fd N' or 'holdfast lease FILE -- COMMAND'"

export function lease(file: string | undefined, command: readonly string[], options: LeaseOptions): void {
  if (options.exclusive === true && options.normal === true) {
    throw new CommandError('lease: either --normal or --exclusive', 2)
  }
  if (file !== undefined && options.fd === undefined && command.length > 0) leaseFor(file, command, options)
  else if (file === undefined && options.fd !== undefined && command.length === 0)
    leaseDescriptor(options.fd, options)
  else throw new CommandError(USAGE, 2)
}

/** COMMAND gets the leased descriptor and is the owner; the lease ends with the last copy of it (L7). */
function leaseFor(file: string, command: readonly string[], options: LeaseOptions): void {
  const launcher = launcherPid()
  const wanted = requestOf(options)
  const held = openTargets([file]).map(({ path }) => {
    const control = controlOf(path)
    if (control !== null) return { path, control: Buffer.from(control) }
    throw new CommandError(
      `${showPath(path)}: not under a Holdfast mount; 'holdfast mount' its directory first, or use 'holdfast run'`,
    )
  })
  const { start } = wanted.range
  const wait = wanted.whenBusy === 'wait' ? ' wait' : ''
  const words = `${wanted.mode} ${wanted.level} ${start} ${abi.rangeLength(wanted.range)} ${wanted.breakTimeMs}${wait}`
  const plan = runPlan({
    files: held,
    request: (fd) => `lease ${fd} ${words}`,
    environment: readStrings(launcher, 'environ'),
    usedFds: launcherFds(launcher),
    isCommandAmbiguous: command[0]?.includes('=') ?? false,
  })
  writeAll(1, plan.bytes)
}

function requestOf(options: LeaseOptions): Omit<abi.LeaseRequest, 'rangeGiven'> {
  const start = numberOf('--start', options.start)
  const length = numberOf('--length', options.length)
  return {
    id: 0,
    range: { start, end: length === 0 ? Number.POSITIVE_INFINITY : start + length },
    mode: options.write === true ? 'write' : 'read',
    level: options.exclusive === true ? 'exclusive' : 'normal',
    whenBusy: options.wait === true ? 'wait' : 'fail',
    breakTimeMs: numberOf('--break-time', options.breakTime),
  }
}

function numberOf(option: string, text = '0'): number {
  // 15 digits stay below 2^53, also when two of them are added.
  const max = option === '--break-time' ? MAX_BREAK_TIME_MS : 999_999_999_999_999
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
  if (value <= max) return value
  throw new CommandError(`${option} ${text}: not a number from 0 to ${max}`, 2)
}

function leaseDescriptor(descriptor: string, options: LeaseOptions): void {
  if (!/^\d{1,9}$/.test(descriptor)) throw new CommandError(`--fd ${descriptor}: not a descriptor number`, 2)
  const fd = Number(descriptor)
  const request = abi.encodeLeaseRequest(requestOf(options))
  checkIsFile(fd)
  ask(fd, abi.SETLEASE, request)
  const taken = abi.decodeLease(request)
  const owner = { lease: taken.id, signo: 0, value: 0 }
  // The shell that holds the descriptor becomes the owner; this process is about to end.
  try {
    ask(fd, abi.SETOWN, abi.encodeOwnerRequest({ ...owner, operation: 'add', pid: process.ppid }))
  } catch (error) {
    // Who is told of a failure must not be left with a lease.
    raw.ioctl(fd, abi.RELEASE, abi.encodeU64(taken.id))
    throw error
  }
  ask(fd, abi.SETOWN, abi.encodeOwnerRequest({ ...owner, operation: 'remove', pid: 0 }))
  if (options.json === true)
    printJson({ lease: taken.id, fd, mode: taken.mode, level: taken.level, owner: process.ppid })
  else print(`lease ${taken.id}`)
}

/** Node opens descriptors of its own in the places that the caller left free; none of them is a file. */
function checkIsFile(fd: number): void {
  try {
    refuseSilent(mountOf(fd))
    const { mode } = statFd(fd)
    if (isType(mode, c.S_IFREG) || isType(mode, c.S_IFDIR)) return
  } catch (error) {
    if (!(error instanceof LinuxError)) throw error
    // It is not open, which /proc says first.
    throw explainDescriptor(fd, error.errno === Errno.ENOENT ? new LinuxError(Errno.EBADF, 'fstat') : error)
  }
  throw new CommandError(
    `descriptor ${fd}: not a regular file: open a file under a Holdfast mount first, as in 'exec ${fd}<FILE'`,
  )
}

function ask(fd: number, request: number, argument: Buffer): void {
  try {
    check(raw.ioctl(fd, request, argument), 'ioctl')
  } catch (error) {
    throw error instanceof LinuxError ? explainDescriptor(fd, error) : error
  }
}

function explainDescriptor(fd: number, error: LinuxError): CommandError {
  return new CommandError(`descriptor ${fd}: ${errnoMessage(error.errno)} (${reason(error)})`)
}

function reason(error: LinuxError): string {
  switch (error.errno) {
    case Errno.EBADF:
      return "it is not open: open the file first, as in 'exec 3<FILE'"
    case Errno.ENOTTY:
    case Errno.EOPNOTSUPP:
      return "it is not a file under a Holdfast mount: see 'holdfast mount'"
    case Errno.EPERM:
      return 'an exclusive lease needs the owner of the file, root, or a descriptor open for writing'
    case Errno.ETXTBSY:
      return "another process has an exclusive lease on it: see 'holdfast who'"
    case Errno.ENOTCONN:
    case Errno.ECONNABORTED:
      return 'the engine of its mount has ended, and its leases with it: open the file again'
    case Errno.EINTR:
      return 'a signal ended the wait'
    case Errno.ENOLCK:
      return 'this user has too many leases'
    case Errno.EAGAIN:
      return "a conflicting lease or change is there: see 'holdfast who', and try again, or use --wait"
    default:
      return "see 'holdfast who'"
  }
}
