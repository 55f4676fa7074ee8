import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Errno } from '../../lib/errno.js'
import * as abi from './abi.js'
import { LAYOUT, SIZES } from './test-layout.js'

test('the fields fill their struct without a gap', () => {
  for (const [struct, fields] of Object.entries(LAYOUT)) {
    let end = 0
    for (const [offset, size] of Object.values(fields)) {
      expect(offset).toBe(end)
      end = offset + size
    }
    expect(end).toBe(SIZES[struct as keyof typeof SIZES])
  }
})

/** Writes a value into one field of a zeroed or given struct. */
function put<Struct extends keyof typeof LAYOUT>(
  struct: Struct,
  fields: Partial<Record<keyof (typeof LAYOUT)[Struct], number | bigint>>,
): Buffer {
  const bytes = Buffer.alloc(SIZES[struct])
  for (const [name, value] of Object.entries(fields)) {
    const [offset, size] = (LAYOUT[struct] as Record<string, readonly [number, number]>)[name] ?? [0, 0]
    if (size === 8) bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value as number)), offset)
    else bytes.writeUInt32LE(Number(BigInt.asUintN(32, BigInt(value as number))), offset)
  }
  return bytes
}

const invalid = expect.objectContaining({ errno: Errno.EINVAL })
const TWO_53 = 2n ** 53n
const OFFSET_MAX = 2n ** 63n - 1n

describe('ranges', () => {
  for (const [title, start, length, range] of [
    ['length 0 is "to the end"', 5n, 0n, { start: 5, end: Infinity }],
    ['one byte', 0n, 1n, { start: 0, end: 1 }],
    ['up to the last exact number', 0n, TWO_53 - 1n, { start: 0, end: Number.MAX_SAFE_INTEGER }],
    ['an end beyond every real file is the end', 0n, TWO_53, { start: 0, end: Infinity }],
    ['up to the last byte that a file can have', 1n, OFFSET_MAX, { start: 1, end: Infinity }],
    ['the largest length from 0', 0n, OFFSET_MAX + 1n, { start: 0, end: Infinity }],
    ['the largest start', TWO_53 - 1n, 0n, { start: Number.MAX_SAFE_INTEGER, end: Infinity }],
  ] as const) {
    test(title, () => expect(abi.decodeRange(start, length)).toEqual(range))
  }

  for (const [title, start, length] of [
    ['one byte more than a file can have', 1n, OFFSET_MAX + 1n],
    ['a length of 2^64 - 1', 0n, 2n ** 64n - 1n],
    ['a start that numbers cannot hold', TWO_53, 0n],
    ['a start that would be negative as an off_t', 2n ** 63n, 1n],
    ['a sum that wraps around', 2n ** 64n - 1n, 2n],
  ] as const) {
    test(`${title} is EINVAL`, () => expect(() => abi.decodeRange(start, length)).toThrow(invalid))
  }

  test('rangeLength undoes decodeRange', () => {
    expect(abi.rangeLength({ start: 5, end: 9 })).toBe(4)
    expect(abi.rangeLength({ start: 5, end: Infinity })).toBe(0)
  })
})

describe('SETLEASE', () => {
  const valid = { mode: abi.MODE_READ }

  test('every field arrives', () => {
    const flags = abi.FLAG_EXCLUSIVE | abi.FLAG_START
    const bytes = put('lease', { id: 7, start: 100, length: 50, mode: 2, flags, break_ms: 4000 })
    expect(abi.decodeLeaseRequest(bytes)).toEqual({
      id: 7,
      range: { start: 100, end: 150 },
      rangeGiven: true,
      mode: 'write',
      level: 'exclusive',
      whenBusy: 'start',
      breakTimeMs: 4000,
    })
  })

  test('start and length 0 leave the range unnamed; any of the two names it', () => {
    const given = (fields: { start?: number; length?: number }) =>
      abi.decodeLeaseRequest(put('lease', { ...valid, ...fields })).rangeGiven
    expect([given({}), given({ start: 1 }), given({ length: 1 })]).toEqual([false, true, true])
  })

  for (const mode of [0, 3, 0xffff_ffff]) {
    test(`mode ${mode} is EINVAL`, () => {
      expect(() => abi.decodeLeaseRequest(put('lease', { mode }))).toThrow(invalid)
    })
  }

  for (let bit = 0; bit < 32; bit++) {
    const isKnown = bit < 3
    test(`flag bit ${bit} is ${isKnown ? 'known' : 'EINVAL'}`, () => {
      const decode = () => abi.decodeLeaseRequest(put('lease', { ...valid, flags: 2 ** bit }))
      if (isKnown) decode()
      else expect(decode).toThrow(invalid)
    })
  }

  test('WAIT and START together are EINVAL', () => {
    const flags = abi.FLAG_WAIT | abi.FLAG_START
    expect(() => abi.decodeLeaseRequest(put('lease', { ...valid, flags }))).toThrow(invalid)
  })

  test('every reserved byte must be zero; what is only given out may be anything', () => {
    for (let offset = 0; offset < abi.LEASE_SIZE; offset++) {
      const bytes = put('lease', valid)
      if (offset >= 24 && offset < 32) continue
      bytes[offset] = 1
      if (offset >= 44) expect(() => abi.decodeLeaseRequest(bytes)).toThrow(invalid)
      else if (offset >= 32 && offset < 40) abi.decodeLeaseRequest(bytes)
    }
  })

  test('an id beyond 2^53 names nothing instead of something else', () => {
    for (const id of [TWO_53, TWO_53 + 1n, 2n ** 64n - 1n]) {
      expect(abi.decodeLeaseRequest(put('lease', { ...valid, id })).id).toBe(Number.MAX_SAFE_INTEGER)
    }
  })
})

describe('the other requests', () => {
  test('GETLEASE reads the id; of the rest only what is reserved must be zero', () => {
    const bytes = Buffer.alloc(abi.LEASE_SIZE, 0xff)
    bytes.writeBigUInt64LE(9n, 0)
    bytes.fill(0, 44)
    expect(abi.decodeLeaseId(bytes)).toBe(9)
    bytes[63] = 1
    expect(() => abi.decodeLeaseId(bytes)).toThrow(invalid)
  })

  test('SETOWN: signed fields are signed; op is 1 or 2', () => {
    const fields = { lease: 3, op: abi.OWNER_REMOVE, signo: 64, value: -2, pid: -3 }
    expect(abi.decodeOwnerRequest(put('owner', fields))).toEqual({
      lease: 3,
      operation: 'remove',
      signo: 64,
      value: -2,
      pid: -3,
    })
    for (const op of [0, 3]) {
      expect(() => abi.decodeOwnerRequest(put('owner', { ...fields, op }))).toThrow(invalid)
    }
  })

  for (const signo of [-1, 65, 0x7fffffff, -0x80000000]) {
    test(`signal ${signo} is EINVAL, whatever op is`, () => {
      for (const op of [abi.OWNER_ADD, abi.OWNER_REMOVE]) {
        expect(() => abi.decodeOwnerRequest(put('owner', { lease: 3, op, signo }))).toThrow(invalid)
      }
    })
  }

  test('PIN: id and count are only given out; reserved must be zero', () => {
    const fields = { id: 99, lease: 4, start: 8, length: 2, count: 77 }
    expect(abi.decodePinRequest(put('pin', fields))).toEqual({ lease: 4, range: { start: 8, end: 10 } })
    expect(() => abi.decodePinRequest(put('pin', { ...fields, reserved: 1 }))).toThrow(invalid)
  })

  test('QUERY: op is 1 to 3; reserved must be zero', () => {
    const operations = [1, 2, 3].map((op) => abi.decodeQuery(put('query', { op })).operation)
    expect(operations).toEqual(['truncate', 'punch-hole', 'zero-range'])
    for (const op of [0, 4, 0xffff_ffff]) expect(() => abi.decodeQuery(put('query', { op }))).toThrow(invalid)
    expect(() => abi.decodeQuery(put('query', { op: 1, reserved: 1 }))).toThrow(invalid)
  })

  test('a QUERY answer keeps at most 15 bytes of the command, and whole characters', () => {
    const request = { operation: 'truncate', range: { start: 0, end: Infinity } } as const
    const command = (text: string) => {
      const bytes = abi.encodeQueryReply(request, { errno: Errno.ETXTBSY, lease: 2, pid: 3, command: text })
      expect(bytes[55]).toBe(0)
      return bytes.subarray(40, bytes.indexOf(0, 40)).toString()
    }
    expect(command('sixteen letters!')).toBe('sixteen letters')
    expect(command('fourteen bytesé')).toBe('fourteen bytes')
    expect(command('')).toBe('')
  })

  test('INFO keeps at most 111 bytes of the path, so that it ends in NUL', () => {
    const info = { version: 1, features: 15, mount: 3, control: Buffer.alloc(200, 0x61) }
    expect(abi.decodeInfo(abi.encodeInfo(info)).control).toEqual(Buffer.alloc(111, 0x61))
    expect(abi.encodeInfo(info)[127]).toBe(0)
  })

  test('an argument that is a byte too short or too long is EINVAL', () => {
    for (const [size, decode] of DECODERS) {
      for (const wrong of [size - 1, size + 1, 0]) {
        expect(() => decode(Buffer.alloc(wrong))).toThrow(abi.AbiError)
      }
    }
  })
})

const DECODERS: readonly [number, (bytes: Buffer) => unknown][] = [
  [abi.LEASE_SIZE, abi.decodeLeaseRequest],
  [abi.LEASE_SIZE, abi.decodeLeaseId],
  [abi.LEASE_SIZE, abi.decodeLease],
  [8, abi.decodeU64],
  [abi.OWNER_SIZE, abi.decodeOwnerRequest],
  [abi.PIN_SIZE, abi.decodePinRequest],
  [abi.PIN_SIZE, abi.decodePin],
  [abi.QUERY_SIZE, abi.decodeQuery],
  [abi.INFO_SIZE, abi.decodeInfo],
]

describe('for every value', () => {
  const id = fc.maxSafeNat()
  const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
  const s32 = fc.integer()
  const mode = fc.constantFrom('read' as const, 'write' as const)
  const level = fc.constantFrom('normal' as const, 'exclusive' as const)
  const range = fc
    .tuple(fc.maxSafeNat(), fc.option(fc.maxSafeNat()))
    .filter(([start, end]) => end === null || end > start)
    .map(([start, end]) => ({ start, end: end ?? Infinity }))

  test('a lease request is what was encoded', () => {
    const whenBusy = fc.constantFrom('fail' as const, 'wait' as const, 'start' as const)
    const request = fc.record({ id, range, mode, level, whenBusy, breakTimeMs: u32 })
    fc.assert(
      fc.property(request, (value) => {
        expect(abi.decodeLeaseRequest(abi.encodeLeaseRequest(value))).toMatchObject(value)
      }),
    )
  })

  test('a lease is what was encoded', () => {
    const state = fc.constantFrom('active', 'breaking', 'zombie', 'revoked')
    const notifyOnly = fc.boolean()
    const lease = fc.record({
      id,
      range,
      mode,
      level,
      state,
      notifyOnly,
      pinCount: u32,
      breakTimeLeftMs: u32,
    })
    fc.assert(
      fc.property(lease, (value) => {
        const given = value as abi.LeaseReply
        expect(abi.decodeLease(abi.encodeLease(given))).toEqual(given)
      }),
    )
  })

  test('an owner request, a pin and an id are what was encoded', () => {
    const operation = fc.constantFrom('add' as const, 'remove' as const)
    const owner = fc.record({
      lease: id,
      operation,
      signo: fc.integer({ min: 0, max: 64 }),
      value: s32,
      pid: s32,
    })
    const pin = fc.record({ id, lease: id, range, count: u32 })
    fc.assert(
      fc.property(owner, pin, id, (ownerValue, pinValue, idValue) => {
        expect(abi.decodeOwnerRequest(abi.encodeOwnerRequest(ownerValue))).toEqual(ownerValue)
        expect(abi.decodePin(abi.encodePin(pinValue))).toEqual(pinValue)
        expect(abi.decodeU64(abi.encodeU64(idValue))).toBe(idValue)
      }),
    )
  })

  test('random bytes never throw anything but AbiError', () => {
    for (const [size, decode] of DECODERS) {
      fc.assert(
        fc.property(fc.uint8Array({ minLength: size, maxLength: size }), (bytes) => {
          try {
            decode(Buffer.from(bytes))
          } catch (error) {
            expect(error).toBeInstanceOf(abi.AbiError)
          }
        }),
      )
    }
  })

  test('random bytes of any length never throw anything but AbiError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 140 }), fc.nat(DECODERS.length - 1), (bytes, index) => {
        try {
          DECODERS[index]?.[1](Buffer.from(bytes))
        } catch (error) {
          expect(error).toBeInstanceOf(abi.AbiError)
        }
      }),
    )
  })
})
