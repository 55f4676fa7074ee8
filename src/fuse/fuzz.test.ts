/** Random bytes: nothing that arrives makes `handle` throw, or be answered twice or not at all. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type FuseFileSystem, OK, PENDING } from './api.js'
import { ATTRIBUTE_ROWS } from './golden/attributes.js'
import { FILE_ROWS } from './golden/files.js'
import { NAME_ROWS } from './golden/names.js'
import { OTHER_ROWS } from './golden/others.js'
import { ENTRY, type GoldenRow, goldenBytes, goldenRequest } from './golden/rows.js'
import { FuseSession } from './session.js'
import { encodeInitRequest, ScriptedTransport } from './testing.js'
import { INIT_FLAGS } from './wire/flags.js'
import { OPCODES, opcodeName, opcodeRow } from './wire/opcodes.js'

const ROWS: readonly GoldenRow[] = [...NAME_ROWS, ...FILE_ROWS, ...ATTRIBUTE_ROWS, ...OTHER_ROWS]
const EIO = -5
const RUNS = 2000

/** All handlers of the golden rows at once; listings fill what they are given. */
function wholeFileSystem(): FuseFileSystem {
  const fileSystem: FuseFileSystem = {}
  for (const row of ROWS)
    Object.assign(
      fileSystem,
      row.fileSystem((_args, answer) => answer),
    )
  return Object.assign(fileSystem, {
    read: (_request, _fh, _offset, size) => Buffer.alloc(Math.min(size, 4096)),
    getxattr: (_request, _nameZ, size) => (size === 0 ? { size: 3 } : -34),
    readdirplus(_request, _fh, _offset, writer) {
      for (let index = 0; index < 100; index++) {
        if (!writer.addPlus(Buffer.from('name'), 1n, BigInt(index + 1), 8, ENTRY)) break
      }
      return OK
    },
    statfs(request) {
      request.defer()
      return PENDING
    },
  } satisfies FuseFileSystem)
}

function started(fileSystem = wholeFileSystem()) {
  const transport = new ScriptedTransport()
  const session = new FuseSession({
    transport,
    fileSystem,
    wantedFlags: INIT_FLAGS.FUSE_SETXATTR_EXT,
    reportBug: () => {},
    debug: () => {},
  })
  const init = encodeInitRequest()
  session.handle(init, init.length)
  transport.takeWritten()
  return { transport, session }
}

const uniques = fc.bigInt({ min: 1n, max: 2n ** 64n - 1n })

test('fuzz: any bytes at all are answered at most once, and never make handle throw', () => {
  const { transport, session } = started()
  const bytes = fc.uint8Array({ maxLength: 400 })
  fc.assert(
    fc.property(bytes, fc.nat(400), (message, length) => {
      const buffer = Buffer.alloc(400)
      buffer.set(message)
      transport.written.length = 0
      session.handle(buffer, length)
      expect(transport.written.length).toBeLessThanOrEqual(1)
      session.failAllPending(5)
    }),
    { numRuns: RUNS },
  )
})

test('fuzz: a sound header with any body is answered exactly once, unless the operation has no reply', () => {
  const { transport, session } = started()
  const opcode = fc.oneof(fc.constantFrom(...Object.values(OPCODES).map((row) => row.code)), fc.nat(5000))
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    // Small numbers and NULs get further than noise does.
    fc.array(fc.constantFrom(0, 0, 0, 1, 8, 0x61), { maxLength: 120 }),
  )
  fc.assert(
    fc.property(opcode, uniques, body, (code, unique, bytes) => {
      const request = goldenRequest(code, Buffer.from(bytes), unique)
      transport.written.length = 0
      session.handle(request, request.length)
      const waits = session.pendingCount
      expect(waits === 0 || opcodeName(code) === 'STATFS').toBe(true)
      session.failAllPending(5)
      const count = opcodeRow(code)?.reply === 'none' ? 0 : 1
      expect(transport.written.map((message) => message.unique)).toEqual(count === 0 ? [] : [unique])
    }),
    { numRuns: RUNS },
  )
})

test('fuzz: a golden request with one byte changed is still answered exactly once', () => {
  const { transport, session } = started()
  fc.assert(
    fc.property(fc.constantFrom(...ROWS), uniques, fc.nat(), fc.nat(255), (row, unique, position, value) => {
      const { code, reply } = OPCODES[row.operation]
      const body = goldenBytes(row.request)
      if (body.length > 0) body[position % body.length] = value
      const request = goldenRequest(code, body, unique)
      transport.written.length = 0
      session.handle(request, request.length)
      session.failAllPending(5)
      expect(transport.written.map((message) => message.unique)).toEqual(reply === 'none' ? [] : [unique])
    }),
    { numRuns: RUNS },
  )
})

test('fuzz: handlers that throw are answered with EIO', () => {
  const throwing = Object.fromEntries(
    Object.keys(wholeFileSystem()).map((name) => [
      name,
      () => {
        throw new Error('bug')
      },
    ]),
  )
  const { transport, session } = started({ ...throwing, init: () => {} })
  for (const row of ROWS) {
    const { code, reply } = OPCODES[row.operation]
    const request = goldenRequest(code, goldenBytes(row.request))
    session.handle(request, request.length)
    if (reply !== 'none') expect(transport.takeWritten().error).toBe(EIO)
    expect(transport.written).toEqual([])
  }
})
