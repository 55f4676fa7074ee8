/**
 * The ioctls of Holdfast, byte by byte: what a program in any language writes and reads (include/holdfast.h).
 * Numbers follow _IOWR('H', n, struct); the size of the argument is part of the number.
 */
import { Errno } from '../../lib/errno.js'
import type { Range } from '../../lib/range.js'

export const SETLEASE = 0xc0404801
export const RELEASE = 0x40084802
export const GETLEASE = 0xc0404803
export const SETOWN = 0x40184804
export const PIN = 0xc0284805
export const UNPIN = 0x40084806
export const QUERY = 0xc0384807
export const INFO = 0x80804808

export const MODE_READ = 1
export const MODE_WRITE = 2

export const FLAG_EXCLUSIVE = 1
export const FLAG_WAIT = 2
export const FLAG_START = 4
/** Only ever given out. */
export const FLAG_NOTIFY_ONLY = 8

export const STATE_ACTIVE = 1
export const STATE_BREAKING = 2
export const STATE_ZOMBIE = 3
export const STATE_REVOKED = 4

export const OWNER_ADD = 1
export const OWNER_REMOVE = 2

export const ABI_VERSION = 1

/** INFO's feature bits. */
export const FEATURE_PASSTHROUGH = 1
export const FEATURE_WAIT = 2
export const FEATURE_START = 4
export const FEATURE_QUERY = 8

/** Input that breaks a rule of the interface. The caller of the ioctl gets EINVAL. */
export class AbiError extends Error {
  readonly errno = Errno.EINVAL
}

/** File offsets end at 2^63 - 1; what lies above 2^53 is beyond every real file and means "to the end". */
const OFFSET_MAX = (1n << 63n) - 1n
const SAFE = BigInt(Number.MAX_SAFE_INTEGER)

/** A range as `struct flock` writes it: length 0 is "to the end of the file, wherever that is". */
export function decodeRange(start: bigint, length: bigint): Range {
  if (start > SAFE) throw new AbiError('start beyond 2^53')
  const end = length === 0n ? null : start + length
  if (end !== null && end - 1n > OFFSET_MAX) throw new AbiError('range overflow')
  return {
    start: Number(start),
    end: end === null || end > SAFE ? Number.POSITIVE_INFINITY : Number(end),
  }
}

/** The length field for a range: 0 where it has no end. */
export function rangeLength(range: Range): number {
  return range.end === Number.POSITIVE_INFINITY ? 0 : range.end - range.start
}

function checkZero(bytes: Buffer, from: number, to: number): void {
  for (let offset = from; offset < to; offset++) {
    if (bytes[offset] !== 0) throw new AbiError('reserved bytes must be zero')
  }
}

function checkSize(bytes: Buffer, size: number): void {
  if (bytes.length !== size) throw new AbiError(`argument of ${bytes.length} bytes instead of ${size}`)
}

/** Ids are counters far below 2^53; a larger one names nothing. */
function decodeId(bytes: Buffer, offset: number): number {
  const id = bytes.readBigUInt64LE(offset)
  return id > SAFE ? Number.MAX_SAFE_INTEGER : Number(id)
}

/** `struct holdfast_lease`, 64 bytes, as SETLEASE and GETLEASE take it. */
export interface LeaseRequest {
  readonly id: number
  readonly range: Range
  /** Were both start and length zero? Then a change of a lease leaves the range unnamed. */
  readonly rangeGiven: boolean
  readonly mode: 'read' | 'write'
  readonly level: 'normal' | 'exclusive'
  readonly whenBusy: 'fail' | 'wait' | 'start'
  readonly breakTimeMs: number
}

export const LEASE_SIZE = 64

export function decodeLeaseRequest(bytes: Buffer): LeaseRequest {
  checkSize(bytes, LEASE_SIZE)
  checkZero(bytes, 44, 64)
  const mode = bytes.readUInt32LE(24)
  const flags = bytes.readUInt32LE(28)
  if (mode !== MODE_READ && mode !== MODE_WRITE) throw new AbiError('mode must be 1 or 2')
  if ((flags & ~(FLAG_EXCLUSIVE | FLAG_WAIT | FLAG_START)) !== 0) throw new AbiError('unknown flag')
  if ((flags & FLAG_WAIT) !== 0 && (flags & FLAG_START) !== 0)
    throw new AbiError('WAIT and START exclude each other')
  const start = bytes.readBigUInt64LE(8)
  const length = bytes.readBigUInt64LE(16)
  return {
    id: decodeId(bytes, 0),
    range: decodeRange(start, length),
    rangeGiven: start !== 0n || length !== 0n,
    mode: mode === MODE_READ ? 'read' : 'write',
    level: (flags & FLAG_EXCLUSIVE) !== 0 ? 'exclusive' : 'normal',
    whenBusy: (flags & FLAG_WAIT) !== 0 ? 'wait' : (flags & FLAG_START) !== 0 ? 'start' : 'fail',
    breakTimeMs: bytes.readUInt32LE(40),
  }
}

/**
 * GETLEASE takes only the id; the other fields are for the answer, and may hold the last one. The reserved
 * words are zero in an answer too.
 */
export function decodeLeaseId(bytes: Buffer): number {
  checkSize(bytes, LEASE_SIZE)
  checkZero(bytes, 44, 64)
  return decodeId(bytes, 0)
}

export interface LeaseReply {
  readonly id: number
  readonly range: Range
  readonly mode: 'read' | 'write'
  readonly level: 'normal' | 'exclusive'
  readonly state: 'active' | 'breaking' | 'zombie' | 'revoked'
  readonly notifyOnly: boolean
  readonly pinCount: number
  /** Milliseconds left while breaking, else 0. */
  readonly breakTimeLeftMs: number
}

const STATES = {
  active: STATE_ACTIVE,
  breaking: STATE_BREAKING,
  zombie: STATE_ZOMBIE,
  revoked: STATE_REVOKED,
}

export function encodeLease(lease: LeaseReply): Buffer {
  const bytes = Buffer.alloc(LEASE_SIZE)
  bytes.writeBigUInt64LE(BigInt(lease.id), 0)
  bytes.writeBigUInt64LE(BigInt(lease.range.start), 8)
  bytes.writeBigUInt64LE(BigInt(rangeLength(lease.range)), 16)
  bytes.writeUInt32LE(lease.mode === 'read' ? MODE_READ : MODE_WRITE, 24)
  bytes.writeUInt32LE(
    (lease.level === 'exclusive' ? FLAG_EXCLUSIVE : 0) | (lease.notifyOnly ? FLAG_NOTIFY_ONLY : 0),
    28,
  )
  bytes.writeUInt32LE(STATES[lease.state], 32)
  bytes.writeUInt32LE(lease.pinCount, 36)
  bytes.writeUInt32LE(lease.breakTimeLeftMs, 40)
  return bytes
}

/** The client's side of `encodeLease`. */
export function decodeLease(bytes: Buffer): LeaseReply {
  checkSize(bytes, LEASE_SIZE)
  const flags = bytes.readUInt32LE(28)
  const state = (['active', 'breaking', 'zombie', 'revoked'] as const)[bytes.readUInt32LE(32) - 1]
  if (state === undefined) throw new AbiError('unknown lease state')
  return {
    id: decodeId(bytes, 0),
    range: decodeRange(bytes.readBigUInt64LE(8), bytes.readBigUInt64LE(16)),
    mode: bytes.readUInt32LE(24) === MODE_READ ? 'read' : 'write',
    level: (flags & FLAG_EXCLUSIVE) !== 0 ? 'exclusive' : 'normal',
    state,
    notifyOnly: (flags & FLAG_NOTIFY_ONLY) !== 0,
    pinCount: bytes.readUInt32LE(36),
    breakTimeLeftMs: bytes.readUInt32LE(40),
  }
}

/** The client's side of `decodeLeaseRequest`. */
export function encodeLeaseRequest(request: Omit<LeaseRequest, 'rangeGiven'>): Buffer {
  const bytes = Buffer.alloc(LEASE_SIZE)
  bytes.writeBigUInt64LE(BigInt(request.id), 0)
  bytes.writeBigUInt64LE(BigInt(request.range.start), 8)
  bytes.writeBigUInt64LE(BigInt(rangeLength(request.range)), 16)
  bytes.writeUInt32LE(request.mode === 'read' ? MODE_READ : MODE_WRITE, 24)
  const whenBusy = { fail: 0, wait: FLAG_WAIT, start: FLAG_START }[request.whenBusy]
  bytes.writeUInt32LE((request.level === 'exclusive' ? FLAG_EXCLUSIVE : 0) | whenBusy, 28)
  bytes.writeUInt32LE(request.breakTimeMs, 40)
  return bytes
}

/** The single __u64 of RELEASE and UNPIN. */
export function decodeU64(bytes: Buffer): number {
  checkSize(bytes, 8)
  return decodeId(bytes, 0)
}

export function encodeU64(id: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(id), 0)
  return bytes
}

/** `struct holdfast_owner`, 24 bytes. */
export interface OwnerRequest {
  readonly lease: number
  readonly operation: 'add' | 'remove'
  readonly signo: number
  readonly value: number
  /** 0 is the caller; anything else must be the caller's parent. */
  readonly pid: number
}

export const OWNER_SIZE = 24
/** SIGRTMAX on x86-64 and arm64. Which of the signals may be chosen is a rule (L5). */
const SIGNAL_MAX = 64

export function decodeOwnerRequest(bytes: Buffer): OwnerRequest {
  checkSize(bytes, OWNER_SIZE)
  const operation = bytes.readUInt32LE(8)
  if (operation !== OWNER_ADD && operation !== OWNER_REMOVE) throw new AbiError('op must be 1 or 2')
  const signo = bytes.readInt32LE(12)
  if (signo < 0 || signo > SIGNAL_MAX) throw new AbiError('no such signal')
  return {
    lease: decodeId(bytes, 0),
    operation: operation === OWNER_ADD ? 'add' : 'remove',
    signo,
    value: bytes.readInt32LE(16),
    pid: bytes.readInt32LE(20),
  }
}

export function encodeOwnerRequest(request: OwnerRequest): Buffer {
  const bytes = Buffer.alloc(OWNER_SIZE)
  bytes.writeBigUInt64LE(BigInt(request.lease), 0)
  bytes.writeUInt32LE(request.operation === 'add' ? OWNER_ADD : OWNER_REMOVE, 8)
  bytes.writeInt32LE(request.signo, 12)
  bytes.writeInt32LE(request.value, 16)
  bytes.writeInt32LE(request.pid, 20)
  return bytes
}

/** `struct holdfast_pin`, 40 bytes. */
export interface PinRequest {
  readonly lease: number
  readonly range: Range
}

export const PIN_SIZE = 40

export function decodePinRequest(bytes: Buffer): PinRequest {
  checkSize(bytes, PIN_SIZE)
  checkZero(bytes, 36, 40)
  return {
    lease: decodeId(bytes, 8),
    range: decodeRange(bytes.readBigUInt64LE(16), bytes.readBigUInt64LE(24)),
  }
}

export function encodePin(pin: PinRequest & { id: number; count: number }): Buffer {
  const bytes = Buffer.alloc(PIN_SIZE)
  bytes.writeBigUInt64LE(BigInt(pin.id), 0)
  bytes.writeBigUInt64LE(BigInt(pin.lease), 8)
  bytes.writeBigUInt64LE(BigInt(pin.range.start), 16)
  bytes.writeBigUInt64LE(BigInt(rangeLength(pin.range)), 24)
  bytes.writeUInt32LE(pin.count, 32)
  return bytes
}

/** The client's side: what PIN gave back. */
export function decodePin(bytes: Buffer): PinRequest & { id: number; count: number } {
  const request = decodePinRequest(bytes)
  return { ...request, id: decodeId(bytes, 0), count: bytes.readUInt32LE(32) }
}

/** `struct holdfast_query`, 56 bytes. */
export interface QueryRequest {
  readonly range: Range
  readonly operation: 'truncate' | 'punch-hole' | 'zero-range'
}

export const QUERY_SIZE = 56
const QUERY_OPERATIONS = ['truncate', 'punch-hole', 'zero-range'] as const

export function decodeQuery(bytes: Buffer): QueryRequest {
  checkSize(bytes, QUERY_SIZE)
  checkZero(bytes, 36, 40)
  const operation = QUERY_OPERATIONS[bytes.readUInt32LE(16) - 1]
  if (operation === undefined) throw new AbiError('op must be 1, 2 or 3')
  return { operation, range: decodeRange(bytes.readBigUInt64LE(0), bytes.readBigUInt64LE(8)) }
}

export interface QueryReply {
  readonly errno: number
  readonly lease: number
  readonly pid: number
  /** At most 15 bytes are kept. */
  readonly command: string
}

export function encodeQueryReply(request: QueryRequest, reply: QueryReply): Buffer {
  const bytes = Buffer.alloc(QUERY_SIZE)
  bytes.writeBigUInt64LE(BigInt(request.range.start), 0)
  bytes.writeBigUInt64LE(BigInt(rangeLength(request.range)), 8)
  bytes.writeUInt32LE(QUERY_OPERATIONS.indexOf(request.operation) + 1, 16)
  bytes.writeInt32LE(reply.errno, 20)
  bytes.writeBigUInt64LE(BigInt(reply.lease), 24)
  bytes.writeInt32LE(reply.pid, 32)
  // No character is written in part.
  bytes.write(reply.command, 40, 15, 'utf8')
  return bytes
}

/** The client's side of `decodeQuery`. */
export function encodeQuery(request: QueryRequest): Buffer {
  return encodeQueryReply(request, { errno: 0, lease: 0, pid: 0, command: '' })
}

/** The client's side of `encodeQueryReply`. */
export function decodeQueryReply(bytes: Buffer): QueryReply {
  checkSize(bytes, QUERY_SIZE)
  const command = bytes.subarray(40)
  const end = command.indexOf(0)
  return {
    errno: bytes.readInt32LE(20),
    lease: decodeId(bytes, 24),
    pid: bytes.readInt32LE(32),
    command: (end < 0 ? command : command.subarray(0, end)).toString(),
  }
}

/** `struct holdfast_info`, 128 bytes. */
export interface Info {
  readonly version: number
  readonly features: number
  readonly mount: number
  /** Path of the control directory, at most 111 bytes. */
  readonly control: Buffer
}

export const INFO_SIZE = 128

export function encodeInfo(info: Info): Buffer {
  const bytes = Buffer.alloc(INFO_SIZE)
  bytes.writeUInt32LE(info.version, 0)
  bytes.writeUInt32LE(info.features, 4)
  bytes.writeBigUInt64LE(BigInt(info.mount), 8)
  info.control.copy(bytes, 16, 0, 111)
  return bytes
}

export function decodeInfo(bytes: Buffer): Info {
  checkSize(bytes, INFO_SIZE)
  const control = bytes.subarray(16)
  const end = control.indexOf(0)
  return {
    version: bytes.readUInt32LE(0),
    features: bytes.readUInt32LE(4),
    mount: decodeId(bytes, 8),
    control: end < 0 ? control : control.subarray(0, end),
  }
}
