import { describe, expect, test } from 'vitest'
import { ProtocolError } from './errors.js'
import {
  big64,
  fileOffset,
  i32,
  pad32,
  readI64,
  readU64,
  seconds,
  seekOffset,
  u16,
  u32,
  u64,
} from './fields.js'
import { struct } from './struct.js'

describe('struct: declarations', () => {
  test('fields that do not add up to the size are refused at load', () => {
    expect(() => struct('short', 16, { a: u64, b: u32 })).toThrow('the fields of short take 12 bytes, not 16')
  })

  test('a field that C would align elsewhere is refused at load', () => {
    expect(() => struct('holey', 12, { a: u32, b: u64 })).toThrow('holey.b is not aligned at byte 4')
  })

  test('a nested struct brings its alignment', () => {
    const inner = struct('inner', 8, { a: u64 })
    expect(() => struct('outer', 12, { a: u32, inner })).toThrow('outer.inner is not aligned at byte 4')
  })
})

describe('struct: bytes', () => {
  const sample = struct('sample', 24, { id: big64, size: u64, error: i32, kind: u16, half: u16 })

  test('what was encoded decodes to the same', () => {
    const value = { id: 2n ** 64n - 1n, size: 2 ** 53 - 1, error: -2, kind: 65535, half: 0 }
    expect(sample.decode(sample.encode(value))).toEqual(value)
  })

  test('decoding stops where the message ends, not where the buffer does', () => {
    const buffer = Buffer.alloc(64)
    expect(() => sample.decode(buffer, 8, 31)).toThrow(ProtocolError)
    expect(sample.decode(buffer, 8, 32).size).toBe(0)
  })

  test('padding is not decoded, and is zero when encoding over old bytes', () => {
    const padded = struct('padded', 8, { a: u32, padding: pad32 })
    const buffer = Buffer.alloc(8, 0xff)
    padded.write(buffer, 0, { a: 1 })
    expect(buffer.toString('hex')).toBe('0100000000000000')
    expect(padded.decode(Buffer.alloc(8, 0xff))).toEqual({ a: 0xffff_ffff })
  })

  test('a value that does not fit its field is not cut', () => {
    expect(() => sample.encode({ id: 0n, size: -1, error: 0, kind: 0, half: 0 })).toThrow()
    expect(() => sample.encode({ id: 0n, size: 0.5, error: 0, kind: 0, half: 0 })).toThrow()
    expect(() => sample.encode({ id: 0n, size: 0, error: 0, kind: 65536, half: 0 })).toThrow()
  })
})

describe('fields: 64 bits in a number', () => {
  const le = (value: bigint) => {
    const buffer = Buffer.alloc(8)
    buffer.writeBigUInt64LE(BigInt.asUintN(64, value))
    return buffer
  }

  test('2^53 - 1 is read, 2^53 is refused', () => {
    expect(readU64(le(2n ** 53n - 1n), 0)).toBe(2 ** 53 - 1)
    expect(() => readU64(le(2n ** 53n), 0)).toThrow(ProtocolError)
    expect(() => readU64(le(2n ** 64n - 1n), 0)).toThrow(ProtocolError)
  })

  test('a file offset above 2^53 is too big a file, a seek there is past the end', () => {
    expect(() => fileOffset.read(le(2n ** 60n), 0)).toThrow('EFBIG')
    expect(() => seekOffset.read(le(2n ** 60n), 0)).toThrow('ENXIO')
  })

  test('times before 1970 are negative', () => {
    expect(seconds.read(le(-1n), 0)).toBe(-1)
    expect(readI64(le(-(2n ** 53n)), 0)).toBe(-(2 ** 53))
    expect(() => readI64(le(-(2n ** 53n) - 1n), 0)).toThrow(ProtocolError)
    const buffer = Buffer.alloc(8)
    seconds.write(buffer, 0, -5)
    expect(buffer.readBigInt64LE()).toBe(-5n)
  })
})
