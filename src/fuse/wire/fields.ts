/**
 * The kinds of field in the structs of the protocol. The kernel writes in its own byte order, and every
 * platform that Node runs on with Linux and FUSE passthrough is little-endian, so nothing else is supported.
 */
import { assert } from '../../lib/assert.js'
import { Errno } from '../../lib/errno.js'
import { ProtocolError } from './errors.js'

/** Reads and writes one value at a byte offset. Methods, not properties: a list of fields mixes value types. */
export interface Field<T> {
  readonly size: number
  readonly align: number
  read(buffer: Buffer, at: number): T
  write(buffer: Buffer, at: number, value: T): void
}

/** Bytes without a meaning: skipped when decoding, zero when encoding. */
export interface Gap {
  readonly size: number
  readonly align: number
  readonly gap: true
}

const WORD = 2 ** 32
/** The high word of the first integer that a `number` cannot hold exactly, 2^53. */
const HIGH_WORD_LIMIT = 0x20_0000

/*
 * Byte by byte, which V8 turns into a few instructions: each call of a Buffer's own method costs ten times as much,
 * and a request has some fifty fields. That they lie within the buffer was checked for the struct as a whole.
 */

export function readU16(buffer: Buffer, at: number): number {
  return (buffer[at] ?? 0) | ((buffer[at + 1] ?? 0) << 8)
}

export function readI32(buffer: Buffer, at: number): number {
  return readU16(buffer, at) | ((buffer[at + 2] ?? 0) << 16) | ((buffer[at + 3] ?? 0) << 24)
}

export function readU32(buffer: Buffer, at: number): number {
  return readI32(buffer, at) >>> 0
}

function putWord(buffer: Buffer, at: number, value: number): void {
  buffer[at] = value
  buffer[at + 1] = value >>> 8
  buffer[at + 2] = value >>> 16
  buffer[at + 3] = value >>> 24
}

/** @throws RangeError for what does not fit: only our own side encodes. */
export function writeU32(buffer: Buffer, at: number, value: number): void {
  if (value >>> 0 !== value) throw new RangeError(`${value} is not an unsigned 32-bit integer`)
  putWord(buffer, at, value)
}

/** @throws RangeError for what does not fit. */
export function writeI32(buffer: Buffer, at: number, value: number): void {
  if ((value | 0) !== value) throw new RangeError(`${value} is not a signed 32-bit integer`)
  putWord(buffer, at, value)
}

/** Unsigned 64 bits as a number. @throws ProtocolError with `errno` from 2^53 on. */
export function readU64(buffer: Buffer, at: number, errno: Errno = Errno.EINVAL): number {
  const high = readU32(buffer, at + 4)
  if (high >= HIGH_WORD_LIMIT) throw new ProtocolError(`64-bit value at byte ${at} exceeds 2^53`, errno)
  return high * WORD + readU32(buffer, at)
}

/** Signed 64 bits as a number. @throws ProtocolError with `errno` outside of plus or minus 2^53. */
export function readI64(buffer: Buffer, at: number, errno: Errno = Errno.EINVAL): number {
  const high = readI32(buffer, at + 4)
  if (high >= HIGH_WORD_LIMIT || high < -HIGH_WORD_LIMIT) {
    throw new ProtocolError(`64-bit value at byte ${at} exceeds 2^53`, errno)
  }
  return high * WORD + readU32(buffer, at)
}

/** @throws AssertionError for what is not an integer from 0 to 2^53 - 1: only our own side encodes. */
export function writeU64(buffer: Buffer, at: number, value: number): void {
  assert(Number.isSafeInteger(value) && value >= 0, 'not an unsigned 64-bit integer')
  putWord(buffer, at, value)
  putWord(buffer, at + 4, Math.floor(value / WORD))
}

/** @throws AssertionError for what is not a safe integer. */
export function writeI64(buffer: Buffer, at: number, value: number): void {
  assert(Number.isSafeInteger(value), 'not a signed 64-bit integer')
  putWord(buffer, at, value)
  putWord(buffer, at + 4, Math.floor(value / WORD))
}

function checkedU64(errno: Errno): Field<number> {
  return { size: 8, align: 8, read: (buffer, at) => readU64(buffer, at, errno), write: writeU64 }
}

/** A 64-bit number that Holdfast or a file system gave out itself (nodeid, fh), or a count. */
export const u64 = checkedU64(Errno.EINVAL)
/** A file offset, size or length: what is above 2^53 is larger than any file here, hence EFBIG. */
export const fileOffset = checkedU64(Errno.EFBIG)
/** The offset of an lseek: signed, and past the end of every file above 2^53, hence ENXIO (lseek(2)). */
export const seekOffset: Field<number> = {
  size: 8,
  align: 8,
  read: (buffer, at) => readI64(buffer, at, Errno.ENXIO),
  write: writeI64,
}
/** Seconds since 1970. fuse.h says unsigned, but the kernel stores its signed time64_t there. */
export const seconds: Field<number> = {
  size: 8,
  align: 8,
  read: (buffer, at) => readI64(buffer, at),
  write: writeI64,
}
export const i64 = seconds
/** 64 bits that may use all of them (unique, kh, inode numbers, lock owners). */
export const big64: Field<bigint> = {
  size: 8,
  align: 8,
  read: (buffer, at) => buffer.readBigUInt64LE(at),
  write: (buffer, at, value) => void buffer.writeBigUInt64LE(value, at),
}
export const u32: Field<number> = { size: 4, align: 4, read: readU32, write: writeU32 }
export const i32: Field<number> = { size: 4, align: 4, read: readI32, write: writeI32 }
export const u16: Field<number> = {
  size: 2,
  align: 2,
  read: readU16,
  write: (buffer, at, value) => void buffer.writeUInt16LE(value, at),
}

/** `count` reserved elements of `align` bytes each. */
export function unused(align: 1 | 2 | 4 | 8, count = 1): Gap {
  return { size: align * count, align, gap: true }
}
export const pad16 = unused(2)
export const pad32 = unused(4)
export const pad64 = unused(8)

assert(new Uint8Array(Uint16Array.of(1).buffer)[0] === 1, 'holdfast/fuse needs a little-endian processor')
