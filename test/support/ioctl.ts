/**
 * The ioctls of Holdfast as bytes, written from the documented layout and not with the project's own client:
 * these tests stand for a program in another language.
 */
export const SETLEASE = 0xc0404801
export const RELEASE = 0x40084802
export const GETLEASE = 0xc0404803
export const SETOWN = 0x40184804
export const PIN = 0xc0284805
export const UNPIN = 0x40084806
export const QUERY = 0xc0384807
export const INFO = 0x80804808

export const READ = 1
export const WRITE = 2
export const NORMAL = 0
export const EXCLUSIVE = 1
export const WAIT = 2
export const START = 4
export const NOTIFY_ONLY = 8
export const ACTIVE = 1
export const BREAKING = 2
export const ZOMBIE = 3
export const REVOKED = 4

export const POLLIN = 1
export const POLLPRI = 2
export const POLLOUT = 4
export const POLLERR = 8

export interface LeaseFields {
  readonly id: bigint
  readonly start: bigint
  readonly length: bigint
  readonly mode: number
  readonly flags: number
  readonly state: number
  readonly pins: number
  readonly breakMs: number
}

export interface PinFields {
  readonly id: bigint
  readonly lease: bigint
  readonly start: bigint
  readonly length: bigint
  readonly count: number
}

/** Absent: a read lease, exclusive, of the whole file, from the mount's own break time. */
export type LeaseRequest = { [Key in keyof LeaseFields]?: LeaseFields[Key] | number }

export function encodeLease(request: LeaseRequest): Buffer {
  const bytes = Buffer.alloc(64)
  bytes.writeBigUInt64LE(BigInt(request.id ?? 0), 0)
  bytes.writeBigUInt64LE(BigInt(request.start ?? 0), 8)
  bytes.writeBigUInt64LE(BigInt(request.length ?? 0), 16)
  bytes.writeUInt32LE(Number(request.mode ?? READ), 24)
  bytes.writeUInt32LE(Number(request.flags ?? EXCLUSIVE), 28)
  bytes.writeUInt32LE(Number(request.state ?? 0), 32)
  bytes.writeUInt32LE(Number(request.pins ?? 0), 36)
  bytes.writeUInt32LE(Number(request.breakMs ?? 0), 40)
  return bytes
}

export function decodeLease(bytes: Buffer): LeaseFields {
  return {
    id: bytes.readBigUInt64LE(0),
    start: bytes.readBigUInt64LE(8),
    length: bytes.readBigUInt64LE(16),
    mode: bytes.readUInt32LE(24),
    flags: bytes.readUInt32LE(28),
    state: bytes.readUInt32LE(32),
    pins: bytes.readUInt32LE(36),
    breakMs: bytes.readUInt32LE(40),
  }
}

export function encodePin(lease: bigint, start: number | bigint, length: number | bigint): Buffer {
  const bytes = Buffer.alloc(40)
  bytes.writeBigUInt64LE(lease, 8)
  bytes.writeBigUInt64LE(BigInt(start), 16)
  bytes.writeBigUInt64LE(BigInt(length), 24)
  return bytes
}

export function decodePin(bytes: Buffer): PinFields {
  return {
    id: bytes.readBigUInt64LE(0),
    lease: bytes.readBigUInt64LE(8),
    start: bytes.readBigUInt64LE(16),
    length: bytes.readBigUInt64LE(24),
    count: bytes.readUInt32LE(32),
  }
}

export interface OwnerRequest {
  readonly lease: bigint
  readonly op: number
  readonly signo?: number
  readonly value?: number
  readonly pid?: number
}

export function encodeOwner(request: OwnerRequest): Buffer {
  const bytes = Buffer.alloc(24)
  bytes.writeBigUInt64LE(request.lease, 0)
  bytes.writeUInt32LE(request.op, 8)
  bytes.writeInt32LE(request.signo ?? 0, 12)
  bytes.writeInt32LE(request.value ?? 0, 16)
  bytes.writeInt32LE(request.pid ?? 0, 20)
  return bytes
}

export function encodeId(id: bigint | number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(id), 0)
  return bytes
}
