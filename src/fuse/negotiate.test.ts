import { describe, expect, test } from 'vitest'
import type { FuseFileSystem, Negotiated } from './api.js'
import { KernelTooOldError } from './errors.js'
import { FuseSession, type SessionOptions } from './session.js'
import { encodeInitRequest, encodeRequest, ScriptedTransport } from './testing.js'
import { INIT_FLAGS } from './wire/flags.js'
import { initOut } from './wire/structs.js'

const EIO = -5
const EPROTO = -71
const { FUSE_INIT_EXT, FUSE_MAX_PAGES, FUSE_PASSTHROUGH, FUSE_ATOMIC_O_TRUNC, FUSE_SETXATTR_EXT } = INIT_FLAGS
const { FUSE_SECURITY_CTX, FUSE_WRITEBACK_CACHE, FUSE_BIG_WRITES } = INIT_FLAGS

function started(request: Buffer, options: Partial<SessionOptions> = {}, fileSystem: FuseFileSystem = {}) {
  const transport = new ScriptedTransport()
  const bugs: unknown[] = []
  const session = new FuseSession({
    transport,
    fileSystem,
    wantedFlags: 0n,
    reportBug: (error) => bugs.push(error),
    ...options,
  })
  session.handle(request, request.length)
  return { transport, session, bugs }
}

describe('INIT: versions', () => {
  for (let minor = 31; minor <= 45; minor++) {
    test(`7.${minor} is accepted and answered with the same minor`, () => {
      const { transport, session } = started(encodeInitRequest(minor))
      const message = transport.takeWritten()
      expect(message).toMatchObject({ unique: 2n, error: 0 })
      expect(message.body.length).toBe(64)
      expect(initOut.decode(message.body)).toMatchObject({ major: 7, minor, time_gran: 1 })
      expect(session.negotiated?.minor).toBe(minor)
    })
  }

  test('a newer minor is answered with 7.45', () => {
    const { transport, session } = started(encodeInitRequest(60))
    expect(initOut.decode(transport.takeWritten().body).minor).toBe(45)
    expect(session.negotiated?.minor).toBe(45)
  })

  test('7.30 is refused with EPROTO, and the caller can read why', () => {
    const { transport, session, bugs } = started(encodeInitRequest(30))
    expect(transport.takeWritten().error).toBe(EPROTO)
    expect(session.initError).toBeInstanceOf(KernelTooOldError)
    expect(session.initError).toMatchObject({ code: 'KERNEL_TOO_OLD', major: 7, minor: 30 })
    expect(session.negotiated).toBeNull()
    expect(bugs).toEqual([])
  })

  test('a newer major is told 7 and asks again', () => {
    const { transport, session } = started(encodeInitRequest(3, 0n, 8))
    expect(initOut.decode(transport.takeWritten().body)).toMatchObject({ major: 7, minor: 45, flags: 0 })
    expect(session.negotiated).toBeNull()
    const again = encodeInitRequest()
    session.handle(again, again.length)
    expect(initOut.decode(transport.takeWritten().body)).toMatchObject({ major: 7, minor: 45 })
    expect(session.negotiated?.minor).toBe(45)
  })

  test('a second INIT is refused and changes nothing', () => {
    const { transport, session } = started(encodeInitRequest(40))
    transport.takeWritten()
    const again = encodeInitRequest(45)
    session.handle(again, again.length)
    expect(transport.takeWritten().error).toBe(EIO)
    expect(session.negotiated?.minor).toBe(40)
  })

  test('requests before INIT are answered with EIO', () => {
    const { transport } = started(encodeRequest('LOOKUP', {}, 'name\0'))
    expect(transport.takeWritten().error).toBe(EIO)
  })
})

describe('INIT: flags', () => {
  test('only what is wanted and offered is agreed on', () => {
    const wantedFlags = FUSE_ATOMIC_O_TRUNC | FUSE_PASSTHROUGH | FUSE_SETXATTR_EXT
    const offered = FUSE_INIT_EXT | FUSE_PASSTHROUGH | FUSE_ATOMIC_O_TRUNC | FUSE_WRITEBACK_CACHE
    const { transport, session } = started(encodeInitRequest(45, offered), { wantedFlags })
    const reply = initOut.decode(transport.takeWritten().body)
    const agreed = FUSE_INIT_EXT | FUSE_ATOMIC_O_TRUNC | FUSE_PASSTHROUGH
    expect(session.negotiated?.flags).toBe(agreed)
    expect((BigInt(reply.flags2) << 32n) | BigInt(reply.flags)).toBe(agreed)
  })

  test('flags2 counts only with FUSE_INIT_EXT', () => {
    const { session } = started(encodeInitRequest(45, FUSE_PASSTHROUGH), { wantedFlags: FUSE_PASSTHROUGH })
    expect(session.negotiated?.flags).toBe(0n)
  })

  test('max_stack_depth is sent with passthrough only', () => {
    const depth = (offered: bigint) => {
      const { transport } = started(encodeInitRequest(45, offered), {
        wantedFlags: FUSE_PASSTHROUGH,
        maxStackDepth: 2,
      })
      return initOut.decode(transport.takeWritten().body).max_stack_depth
    }
    expect(depth(FUSE_INIT_EXT | FUSE_PASSTHROUGH)).toBe(2)
    expect(depth(FUSE_INIT_EXT)).toBe(0)
  })

  test('security contexts are not agreed on before 7.38, where the header does not count them', () => {
    const wantedFlags = FUSE_SECURITY_CTX
    const offered = FUSE_INIT_EXT | FUSE_SECURITY_CTX
    expect(started(encodeInitRequest(37, offered), { wantedFlags }).session.negotiated?.flags).toBe(
      FUSE_INIT_EXT,
    )
    expect(started(encodeInitRequest(38, offered), { wantedFlags }).session.negotiated?.flags).toBe(offered)
  })

  test('flags that exclude each other, or that the library cannot serve, are an assertion', () => {
    expect(() =>
      started(encodeInitRequest(), { wantedFlags: FUSE_PASSTHROUGH | FUSE_WRITEBACK_CACHE }),
    ).toThrow()
    expect(() => started(encodeInitRequest(), { wantedFlags: INIT_FLAGS.FUSE_OVER_IO_URING })).toThrow()
  })
})

describe('INIT: sizes', () => {
  test('max_pages covers max_write', () => {
    const { transport, session } = started(encodeInitRequest(), { maxWrite: 0x2_0001, maxBackground: 10 })
    expect(initOut.decode(transport.takeWritten().body)).toMatchObject({
      max_write: 0x2_0001,
      max_pages: 33,
      max_background: 10,
      congestion_threshold: 7,
      max_readahead: 0x2_0000,
    })
    expect(session.negotiated?.flags).toBe(FUSE_INIT_EXT | FUSE_MAX_PAGES | FUSE_BIG_WRITES)
  })

  test('without FUSE_MAX_PAGES a write is at most 32 pages', () => {
    const { session } = started(encodeInitRequest(45, 0n), { maxWrite: 0x10_0000 })
    expect(session.negotiated?.maxWrite).toBe(0x2_0000)
  })
})

describe('INIT: the file system', () => {
  test('is told what was agreed', () => {
    const told: Negotiated[] = []
    const { session } = started(encodeInitRequest(), {}, { init: (negotiated) => void told.push(negotiated) })
    expect(told).toEqual([session.negotiated])
  })

  test('that throws in init fails the mount', () => {
    const failing: FuseFileSystem = {
      init() {
        throw new Error('no')
      },
    }
    const { transport, session, bugs } = started(encodeInitRequest(), {}, failing)
    expect(transport.takeWritten().error).toBe(EIO)
    expect(session.negotiated).toBeNull()
    expect(bugs).toHaveLength(1)
  })

  test('a resumed session needs no INIT', () => {
    const resumed = { minor: 45, flags: FUSE_SETXATTR_EXT, maxWrite: 65536, maxReadahead: 4096 }
    const { transport } = started(encodeRequest('STATFS'), { resumed })
    expect(transport.takeWritten().error).toBe(-38)
  })
})

test('SETXATTR: without FUSE_SETXATTR_EXT the struct has 8 bytes', () => {
  const calls: unknown[] = []
  const fileSystem: FuseFileSystem = {
    setxattr(_request, nameZ, value, flags, setxattrFlags) {
      calls.push([nameZ.toString(), value.toString(), flags, setxattrFlags])
      return -95
    },
  }
  const { transport, session } = started(encodeInitRequest(32), {}, fileSystem)
  transport.takeWritten()
  const head = Buffer.from('0300000001000000', 'hex')
  const request = encodeRequest('SETXATTR', {}, head, 'user.a\0', 'abc')
  session.handle(request, request.length)
  expect(calls).toEqual([['user.a\0', 'abc', 1, 0]])
  expect(transport.takeWritten().error).toBe(-95)
})
