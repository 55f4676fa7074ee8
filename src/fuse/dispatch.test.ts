import { describe, expect, test } from 'vitest'
import { AssertionError } from '../lib/assert.js'
import { Errno } from '../lib/errno.js'
import { type Deferred, type FuseFileSystem, type LostState, OK, PENDING } from './api.js'
import { TransportError } from './errors.js'
import { ENTRY, OPEN } from './golden/rows.js'
import { FuseSession } from './session.js'
import { encodeInitRequest, encodeRequest, ScriptedTransport } from './testing.js'
import { FUSE_UNIQUE_RESEND } from './wire/flags.js'
import { getxattrIn, interruptIn, openIn, readdirIn, readIn } from './wire/structs.js'

const OPEN_BODY = openIn.encode({ flags: 0, open_flags: 0 })
const STATFS = { blocks: 1, bfree: 1, bavail: 1, files: 1, ffree: 1, bsize: 1, namelen: 1, frsize: 1 }

function started(fileSystem: FuseFileSystem) {
  const transport = new ScriptedTransport()
  const bugs: unknown[] = []
  const session = new FuseSession({
    transport,
    fileSystem,
    wantedFlags: 0n,
    reportBug: (error) => bugs.push(error),
  })
  const send = (request: Buffer) => session.handle(request, request.length)
  send(encodeInitRequest())
  transport.takeWritten()
  return { transport, session, bugs, send }
}

function readRequest(size: number): Buffer {
  const fields = { fh: 1, offset: 0, read_flags: 0, lock_owner: 0n, flags: 0 }
  return encodeRequest('READ', {}, readIn.encode({ ...fields, size }))
}

function interrupt(unique: bigint): Buffer {
  return encodeRequest('INTERRUPT', { unique: unique | 1n }, interruptIn.encode({ unique }))
}

describe('dispatch: errors', () => {
  for (const opcode of ['SETUPMAPPING', 'REMOVEMAPPING', 54, 4096, 0xffff_ffff] as const) {
    test(`${opcode} answers ENOSYS`, () => {
      const { transport, send, bugs } = started({})
      send(encodeRequest(opcode, {}, Buffer.alloc(40)))
      expect(transport.takeWritten()).toMatchObject({ unique: 2n, error: -38 })
      expect(bugs).toEqual([])
    })
  }

  for (const [answer, error, isBug] of [
    [-1, -1, false],
    [-511, -511, false],
    [-512, -5, true],
    [-4095, -5, true],
    [0, -5, true],
    [2, -5, true],
    [-1.5, -5, true],
    [Number.NaN, -5, true],
  ] as const) {
    test(`an answer of ${answer} reaches the kernel as ${error}`, () => {
      const { transport, send, bugs } = started({ statfs: () => answer })
      send(encodeRequest('STATFS'))
      const message = transport.takeWritten()
      expect(message.error).toBe(error)
      expect(message.bytes.length).toBe(16)
      expect(bugs).toHaveLength(isBug ? 1 : 0)
    })
  }

  test('a handler that throws answers EIO and is reported', () => {
    const bug = new Error('bug')
    const { transport, send, bugs } = started({
      statfs() {
        throw bug
      },
    })
    send(encodeRequest('STATFS'))
    expect(transport.takeWritten().error).toBe(-5)
    expect(bugs).toEqual([bug])
  })

  test('an answer that cannot be encoded is EIO, reported, and what it created is given back', () => {
    const lost: unknown[] = []
    const { transport, send, bugs } = started({
      lookup: () => ({ ...ENTRY, attr: { ...ENTRY.attr, mode: -1 } }),
      replyLost: (...args) => lost.push(args),
    })
    send(encodeRequest('LOOKUP', {}, 'name\0'))
    expect(transport.takeWritten().error).toBe(-5)
    expect(bugs).toHaveLength(1)
    expect(lost).toEqual([[1, { nodeids: [6], fh: null }]])
  })

  test('more data than asked for is EIO', () => {
    const { transport, send, bugs } = started({
      read: (_request, _fh, _offset, size) => Buffer.alloc(size + 1),
    })
    send(readRequest(10))
    expect(transport.takeWritten().error).toBe(-5)
    expect(bugs).toHaveLength(1)
  })

  test('an xattr that is larger than asked for is ERANGE', () => {
    const { transport, send, bugs } = started({ getxattr: () => Buffer.from('abc') })
    send(encodeRequest('GETXATTR', {}, getxattrIn.encode({ size: 2 }), 'user.a\0'))
    expect(transport.takeWritten().error).toBe(-Errno.ERANGE)
    send(encodeRequest('GETXATTR', {}, getxattrIn.encode({ size: 0 }), 'user.a\0'))
    expect(transport.takeWritten().body.readUInt32LE()).toBe(3)
    expect(bugs).toEqual([])
  })

  for (const [what, request] of [
    ['a name without NUL', encodeRequest('LOOKUP', {}, 'name')],
    ['an empty name', encodeRequest('LOOKUP', {}, '\0')],
    ['no name', encodeRequest('LOOKUP')],
    ['bytes after the name', encodeRequest('LOOKUP', {}, 'name\0more')],
    ['a name of 4096 bytes', encodeRequest('LOOKUP', {}, `${'n'.repeat(4096)}\0`)],
    ['one name of two', encodeRequest('SYMLINK', {}, 'name\0')],
  ] as const) {
    test(`${what} is EINVAL`, () => {
      const { transport, send, bugs } = started({ lookup: () => ENTRY, symlink: () => ENTRY })
      send(request)
      expect(transport.takeWritten().error).toBe(-22)
      expect(bugs).toEqual([])
    })
  }

  test('a name of 4095 bytes passes', () => {
    const { transport, send } = started({ lookup: () => ENTRY })
    send(encodeRequest('LOOKUP', {}, `${'n'.repeat(4095)}\0`))
    expect(transport.takeWritten().error).toBe(0)
  })
})

describe('dispatch: deferred answers', () => {
  function deferring(opcodeBody: Buffer = encodeRequest('STATFS')) {
    const taken: Deferred<typeof STATFS>[] = []
    const context = started({
      statfs(request) {
        taken.push(request.defer())
        return PENDING
      },
    })
    context.send(opcodeBody)
    const [deferred] = taken
    if (deferred === undefined) throw new Error('not deferred')
    return { ...context, deferred, taken }
  }

  test('are written when they come, with the number of their request', () => {
    const { transport, session, deferred, send } = deferring(encodeRequest('STATFS', { unique: 8n }))
    expect(transport.written).toEqual([])
    expect(session.pendingCount).toBe(1)
    send(encodeRequest('READLINK', { unique: 10n }))
    expect(transport.takeWritten()).toMatchObject({ unique: 10n, error: -38 })
    deferred.answer(STATFS)
    expect(transport.takeWritten()).toMatchObject({ unique: 8n, error: 0 })
    expect(session.pendingCount).toBe(0)
  })

  test('may be failures', () => {
    const { transport, session, deferred } = deferring()
    deferred.fail(Errno.EINTR)
    expect(transport.takeWritten().error).toBe(-4)
    expect(session.pendingCount).toBe(0)
  })

  test('twice are an assertion, and only one is written', () => {
    const { transport, deferred } = deferring()
    deferred.answer(STATFS)
    for (const again of [() => deferred.answer(STATFS), () => deferred.fail(5), () => deferred.taken()]) {
      expect(again).toThrow(AssertionError)
    }
    expect(transport.written).toHaveLength(1)
  })

  test('that somebody else writes are not pending any more', () => {
    const { transport, session, deferred, send } = deferring()
    let interrupts = 0
    deferred.onInterrupt = () => {
      interrupts++
    }
    deferred.taken()
    expect(session.pendingCount).toBe(0)
    send(interrupt(2n))
    session.failAllPending(Errno.EIO)
    expect(interrupts).toBe(0)
    expect(transport.written).toEqual([])
    expect(() => deferred.answer(STATFS)).toThrow(AssertionError)
  })

  test('failAllPending answers them all, and later answers are dropped', () => {
    const { transport, session, deferred, taken, send } = deferring()
    send(encodeRequest('STATFS', { unique: 4n }))
    session.failAllPending(Errno.ENODEV)
    expect(transport.written.map(({ unique, error }) => [unique, error])).toEqual([
      [2n, -19],
      [4n, -19],
    ])
    expect(session.pendingCount).toBe(0)
    deferred.answer(STATFS)
    taken[1]?.fail(Errno.EIO)
    expect(transport.written).toHaveLength(2)
  })

  test('at once, inside of the handler, are fine', () => {
    const { transport, session, send, bugs } = started({
      statfs(request) {
        request.defer<typeof STATFS>().answer(STATFS)
        return PENDING
      },
    })
    send(encodeRequest('STATFS'))
    expect(transport.written).toHaveLength(1)
    expect(session.pendingCount).toBe(0)
    expect(bugs).toEqual([])
  })

  for (const [what, statfs] of [
    ['PENDING without defer', () => PENDING],
    [
      'a value although deferred',
      (request) => {
        request.defer()
        return STATFS
      },
    ],
    [
      'an exception after defer',
      (request) => {
        request.defer()
        throw new Error('bug')
      },
    ],
    [
      'defer called twice',
      (request) => {
        request.defer()
        request.defer()
        return PENDING
      },
    ],
  ] satisfies [string, FuseFileSystem['statfs']][]) {
    test(`${what} is a bug and answers EIO once`, () => {
      const { transport, session, send, bugs } = started({ statfs })
      send(encodeRequest('STATFS'))
      expect(transport.written.map((message) => message.error)).toEqual([-5])
      expect(session.pendingCount).toBe(0)
      expect(bugs).toHaveLength(1)
    })
  }

  test('keep the listing that they were given', () => {
    const waiting: Deferred<typeof OK>[] = []
    const { transport, send } = started({
      readdir(request, fh, _offset, writer) {
        writer.add(Buffer.from(`name${fh}`), 1n, 1n, 8)
        waiting.push(request.defer())
        return PENDING
      },
    })
    const fields = { offset: 0n, size: 4096, read_flags: 0, lock_owner: 0n, flags: 0 }
    send(encodeRequest('READDIR', { unique: 2n }, readdirIn.encode({ ...fields, fh: 1 })))
    send(encodeRequest('READDIR', { unique: 4n }, readdirIn.encode({ ...fields, fh: 2 })))
    waiting[1]?.answer(OK)
    waiting[0]?.answer(OK)
    expect(transport.takeWritten().body.toString('latin1')).toContain('name2')
    expect(transport.takeWritten().body.toString('latin1')).toContain('name1')
  })
})

describe('dispatch: interrupts', () => {
  test('reach the request that waits, once, and are not answered', () => {
    let count = 0
    let owed: Deferred<unknown> | null = null
    const { transport, send } = started({
      statfs(request) {
        const deferred = request.defer<typeof STATFS>()
        deferred.onInterrupt = () => {
          count++
        }
        owed = deferred
        return PENDING
      },
    })
    send(encodeRequest('STATFS', { unique: 6n }))
    send(interrupt(6n))
    send(interrupt(6n))
    expect(count).toBe(1)
    expect(owed).not.toBeNull()
    expect(transport.written).toEqual([])
  })

  test('of an unknown request are ignored', () => {
    const { transport, send, bugs } = started({})
    send(interrupt(100n))
    expect(transport.written).toEqual([])
    expect(bugs).toEqual([])
  })

  test('whose handler throws are reported; the answer is still owed', () => {
    const { session, send, bugs } = started({
      statfs(request) {
        request.defer().onInterrupt = () => {
          throw new Error('bug')
        }
        return PENDING
      },
    })
    send(encodeRequest('STATFS'))
    send(interrupt(2n))
    expect(bugs).toHaveLength(1)
    expect(session.pendingCount).toBe(1)
  })
})

describe('dispatch: requests sent again', () => {
  test('are answered with bit 63 of their number, and the handler sees it', () => {
    let seen = 0n
    const { transport, send } = started({
      statfs(request) {
        seen = request.unique
        return STATFS
      },
    })
    send(encodeRequest('STATFS', { unique: FUSE_UNIQUE_RESEND | 6n }))
    expect(seen).toBe(FUSE_UNIQUE_RESEND | 6n)
    expect(transport.takeWritten().unique).toBe(FUSE_UNIQUE_RESEND | 6n)
  })

  test('while their first copy waits are answered by it alone, under the new number', () => {
    const waiting: Deferred<typeof STATFS>[] = []
    const { transport, session, send } = started({
      statfs(request) {
        waiting.push(request.defer())
        return PENDING
      },
    })
    send(encodeRequest('STATFS', { unique: 6n }))
    send(encodeRequest('STATFS', { unique: FUSE_UNIQUE_RESEND | 6n }))
    send(encodeRequest('STATFS', { unique: FUSE_UNIQUE_RESEND | 6n }))
    expect(waiting).toHaveLength(1)
    expect(session.pendingCount).toBe(1)
    waiting[0]?.answer(STATFS)
    expect(transport.written.map((message) => message.unique)).toEqual([FUSE_UNIQUE_RESEND | 6n])
    expect(session.pendingCount).toBe(0)
  })
})

describe('dispatch: answers that the kernel does not take', () => {
  const fileSystem = (lost: unknown[]): FuseFileSystem => ({
    lookup: () => ENTRY,
    open: () => OPEN,
    statfs: () => STATFS,
    replyLost: (opcode: number, state: LostState) => lost.push([opcode, state]),
    readdirplus(_request, _fh, _offset, writer) {
      writer.addPlus(Buffer.from('a'), 1n, 1n, 8, ENTRY)
      writer.addPlus(Buffer.from('b'), 1n, 2n, 8, { ...ENTRY, nodeid: 7 })
      return OK
    },
    create: () => ({ entry: ENTRY, open: OPEN }),
  })
  const cases = [
    [encodeRequest('LOOKUP', {}, 'n\0'), [1, { nodeids: [6], fh: null }]],
    [encodeRequest('OPEN', {}, OPEN_BODY), [14, { nodeids: [], fh: OPEN.fh }]],
    [encodeRequest('CREATE', {}, Buffer.alloc(16), 'n\0'), [35, { nodeids: [6], fh: OPEN.fh }]],
    [
      encodeRequest(
        'READDIRPLUS',
        {},
        readdirIn.encode({ fh: 1, offset: 0n, size: 4096, read_flags: 0, lock_owner: 0n, flags: 0 }),
      ),
      [44, { nodeids: [6, 7], fh: null }],
    ],
    [encodeRequest('STATFS'), null],
  ] as const

  for (const [request, expected] of cases) {
    test(`opcode ${request.readUInt32LE(4)}: what was created is given back`, () => {
      const lost: unknown[] = []
      const { transport, send, bugs } = started(fileSystem(lost))
      transport.writeResults.push(-Errno.ENOENT)
      send(request)
      expect(lost).toEqual(expected === null ? [] : [expected])
      expect(bugs).toEqual([])
      expect(transport.written).toEqual([])
    })
  }

  test('a negative entry gives nothing back', () => {
    const lost: unknown[] = []
    const { transport, send } = started({ ...fileSystem(lost), lookup: () => ({ ...ENTRY, nodeid: 0 }) })
    transport.writeResults.push(-Errno.ENOENT)
    send(encodeRequest('LOOKUP', {}, 'n\0'))
    expect(lost).toEqual([])
  })

  test('an answer that the kernel calls wrong is reported and followed by EIO', () => {
    const lost: unknown[] = []
    const { transport, send, bugs } = started(fileSystem(lost))
    transport.writeResults.push(-Errno.EINVAL)
    send(encodeRequest('OPEN', {}, OPEN_BODY))
    expect(transport.takeWritten()).toMatchObject({ unique: 2n, error: -5 })
    expect(bugs).toHaveLength(1)
    expect(bugs[0]).toBeInstanceOf(TransportError)
    expect(lost).toHaveLength(1)
  })

  test('a device that refuses everything does not make the session loop', () => {
    const { transport, send, bugs } = started({ statfs: () => STATFS })
    transport.writeResults.push(-Errno.EINVAL, -Errno.EINVAL, -Errno.EINVAL)
    send(encodeRequest('STATFS'))
    expect(transport.refused).toHaveLength(2)
    expect(bugs).toHaveLength(2)
  })
})
