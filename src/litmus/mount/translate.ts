/** What the actions of a scenario are in system calls. */
import * as abi from '../../control/formats/abi.js'
import * as c from '../../linux/constants.js'
import type { Action, Bytes, LeaseTerms, OpenFlag, RangeChange, Signal, User } from '../scenario.js'
import type { Command } from './protocol.js'

/** Two who share no group, with numbers that no machine gives to anybody. */
export const UIDS: Readonly<Record<User, number>> = { root: 0, alice: 64_001, bob: 64_002 }

export const SIGNALS: Readonly<Record<Signal | 'SIGCONT', number>> = {
  SIGUSR1: c.SIGUSR1,
  SIGUSR2: c.SIGUSR2,
  SIGIO: c.SIGIO,
  SIGKILL: c.SIGKILL,
  SIGSTOP: c.SIGSTOP,
  SIGCONT: c.SIGCONT,
}

const OPEN_FLAGS: Readonly<Record<OpenFlag, number>> = {
  rdonly: c.O_RDONLY,
  wronly: c.O_WRONLY,
  rdwr: c.O_RDWR,
  trunc: c.O_TRUNC,
  nonblock: c.O_NONBLOCK,
  past: 0,
}

const FALLOCATE_MODES: Readonly<Record<RangeChange, number>> = {
  punch: c.FALLOC_FL_PUNCH_HOLE | c.FALLOC_FL_KEEP_SIZE,
  zero: c.FALLOC_FL_ZERO_RANGE | c.FALLOC_FL_KEEP_SIZE,
  collapse: c.FALLOC_FL_COLLAPSE_RANGE,
  insert: c.FALLOC_FL_INSERT_RANGE,
  unshare: c.FALLOC_FL_UNSHARE_RANGE,
  'write-zeroes': c.FALLOC_FL_WRITE_ZEROES,
}

const QUERIES = { truncate: 'truncate', punch: 'punch-hole', zero: 'zero-range' } as const

/** Where `struct holdfast_owner` has the pid. */
const OWNER_PID_OFFSET = 20

/** Turns names of the scenario into what the kernel and Holdfast know. */
export interface Numbers {
  fd(name: string): number
  mapping(name: string): number
  lease(name: string): number
  pin(name: string): number
  pid(name: string): number
  path(file: string): string
  pathPast(file: string): string
  newPath(file: string): string
  readonly control: string
}

/** Actions that are no command of a single agent: the world does these itself. */
export type PlainAction = Exclude<Action, { do: 'send' | 'fork' | 'exec' | 'exit' | 'pins' }>

export function toCommand(action: PlainAction, numbers: Numbers): Command {
  switch (action.do) {
    case 'open': {
      const path = action.flags.includes('past') ? numbers.pathPast(action.file) : numbers.path(action.file)
      return { do: 'open', path, flags: action.flags.reduce((flags, flag) => flags | OPEN_FLAGS[flag], 0) }
    }
    case 'dup':
    case 'close':
    case 'poll':
      return { do: action.do, fd: numbers.fd(action.fd) }
    case 'map':
      return { do: 'map', fd: numbers.fd(action.fd), start: action.bytes.start, end: action.bytes.end }
    case 'unmap':
      return { do: 'unmap', mapping: numbers.mapping(action.mapping) }
    case 'touch':
      return { do: 'touch', mapping: numbers.mapping(action.mapping), offset: action.offset }
    case 'lease':
      return setLease(numbers.fd(action.fd), 0, action.bytes, action)
    case 'change':
      return setLease(numbers.fd(action.fd), numbers.lease(action.lease), { start: 0, end: null }, action)
    case 'release': {
      const id = action.lease === null ? 0 : numbers.lease(action.lease)
      return ioctl(numbers.fd(action.fd), abi.RELEASE, abi.encodeU64(id))
    }
    case 'own': {
      const signo = action.signal === null ? 0 : SIGNALS[action.signal]
      const { operation, value } = action
      const lease = numbers.lease(action.lease)
      const argument = abi.encodeOwnerRequest({ lease, operation, signo, value, pid: 0 })
      const command = ioctl(numbers.fd(action.fd), abi.SETOWN, argument)
      return action.who === 'parent' ? { ...command, parentAt: OWNER_PID_OFFSET } : command
    }
    case 'context':
      return { do: 'open', path: `${numbers.control}/pinctx`, flags: c.O_RDWR }
    case 'pin': {
      const lease = numbers.lease(action.lease)
      const argument = abi.encodePin({ id: 0, lease, range: toRange(action.bytes), count: 0 })
      return ioctl(numbers.fd(action.through), abi.PIN, argument)
    }
    case 'unpin':
      return ioctl(numbers.fd(action.through), abi.UNPIN, abi.encodeU64(numbers.pin(action.pin)))
    case 'truncate': {
      const { target, sizeBytes } = action
      if ('fd' in target) return { do: 'ftruncate', fd: numbers.fd(target.fd), sizeBytes }
      return { do: 'truncate', path: numbers.path(target.file), sizeBytes }
    }
    case 'fallocate':
      return fallocate(numbers.fd(action.fd), FALLOCATE_MODES[action.change], action.bytes)
    case 'allocate':
      return fallocate(numbers.fd(action.fd), 0, action.bytes)
    case 'write':
    case 'read': {
      const { offset, countBytes } = action
      return { do: action.do, fd: numbers.fd(action.fd), offset, countBytes }
    }
    case 'copy': {
      const { fromOffset, toOffset, countBytes } = action
      const from = numbers.fd(action.from)
      return { do: 'copy', from, fromOffset, to: numbers.fd(action.to), toOffset, countBytes }
    }
    case 'chmod':
      return { do: 'chmod', path: numbers.path(action.file), mode: action.mode }
    case 'chown':
      return { do: 'chown', path: numbers.path(action.file), uid: UIDS[action.owner] }
    case 'rename':
      return { do: 'rename', path: numbers.path(action.file), to: numbers.newPath(action.file) }
    case 'unlink':
      return { do: 'unlink', path: numbers.path(action.file) }
    case 'query': {
      const argument = Buffer.alloc(abi.QUERY_SIZE)
      const range = toRange(action.bytes)
      const request = { range, operation: QUERIES[action.change] }
      abi.encodeQueryReply(request, { errno: 0, lease: 0, pid: 0, command: '' }).copy(argument)
      return ioctl(numbers.fd(action.fd), abi.QUERY, argument)
    }
    case 'revoke': {
      const text = `revoke ${numbers.lease(action.lease)}${action.kill ? ' kill' : ''}\n`
      return { do: 'write-file', path: `${numbers.control}/ctl`, text }
    }
    case 'become':
      return { do: 'become', uid: UIDS[action.user] }
    case 'kill':
      return { do: 'kill', pid: numbers.pid(action.process), signo: SIGNALS[action.signal] }
  }
}

function ioctl(fd: number, request: number, argument: Buffer): Extract<Command, { do: 'ioctl' }> {
  return { do: 'ioctl', fd, request, argument: argument.toString('hex') }
}

function toRange({ start, end }: Bytes): { start: number; end: number } {
  return { start, end: end ?? Number.POSITIVE_INFINITY }
}

function setLease(fd: number, id: number, bytes: Bytes, terms: LeaseTerms): Command {
  const { mode, level, whenBusy, breakTimeMs } = terms
  const argument = abi.encodeLeaseRequest({ id, range: toRange(bytes), mode, level, whenBusy, breakTimeMs })
  return ioctl(fd, abi.SETLEASE, argument)
}

function fallocate(fd: number, mode: number, { start, end }: Bytes): Command {
  return { do: 'fallocate', fd, mode, offset: start, length: (end ?? start) - start }
}

/** Of the answer to an ioctl: the fields that a scenario speaks of. */
export const decode = {
  leaseId: (hex: string) => abi.decodeLease(Buffer.from(hex, 'hex')).id,
  pin: (hex: string) => abi.decodePin(Buffer.from(hex, 'hex')),
  /** Where the answer to QUERY has its errno. */
  queryErrno: (hex: string) => Buffer.from(hex, 'hex').readInt32LE(20),
}
