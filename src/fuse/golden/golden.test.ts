import { describe, expect, test } from 'vitest'
import type { FuseFileSystem } from '../api.js'
import { formatReply, formatRequest } from '../debug.js'
import { FuseSession } from '../session.js'
import { encodeInitRequest, ScriptedTransport } from '../testing.js'
import { INIT_FLAGS } from '../wire/flags.js'
import { OPCODES } from '../wire/opcodes.js'
import { ATTRIBUTE_ROWS } from './attributes.js'
import { FILE_ROWS } from './files.js'
import { NAME_ROWS } from './names.js'
import { OTHER_ROWS, ROWS_ELSEWHERE } from './others.js'
import { type GoldenRow, goldenBytes, goldenRequest, plain } from './rows.js'

const ROWS: readonly GoldenRow[] = [...NAME_ROWS, ...FILE_ROWS, ...ATTRIBUTE_ROWS, ...OTHER_ROWS]
const ENOSYS = -38
const EINVAL = -22

function started(fileSystem: FuseFileSystem) {
  const transport = new ScriptedTransport()
  const bugs: unknown[] = []
  const session = new FuseSession({
    transport,
    fileSystem,
    wantedFlags: INIT_FLAGS.FUSE_SETXATTR_EXT,
    reportBug: (error) => bugs.push(error),
  })
  const init = encodeInitRequest()
  session.handle(init, init.length)
  transport.takeWritten()
  return { transport, session, bugs }
}

test('golden: every operation has a row, or a reason not to', () => {
  const covered = new Set<string>([...ROWS.map((row) => row.operation), ...Object.keys(ROWS_ELSEWHERE)])
  expect([...covered].sort()).toEqual(Object.keys(OPCODES).sort())
})

for (const row of ROWS) {
  const { code } = OPCODES[row.operation]
  const body = goldenBytes(row.request)
  describe(`golden: ${row.operation}${row.case === undefined ? '' : `, ${row.case}`}`, () => {
    test('the handler is given every field', () => {
      const calls: unknown[] = []
      const fileSystem = row.fileSystem((args, answer) => {
        calls.push(plain([...args]))
        return answer
      })
      const { transport, session, bugs } = started(fileSystem)
      const request = goldenRequest(code, body)
      session.handle(request, request.length)
      expect(bugs).toEqual([])
      expect(calls).toEqual([row.expected])
      if (row.reply === null) {
        expect(transport.written).toEqual([])
        return
      }
      const reply = goldenBytes(row.reply)
      const head = Buffer.alloc(16)
      head.writeUInt32LE(16 + reply.length, 0)
      head.writeBigUInt64LE(12n, 8)
      expect(transport.takeWritten().bytes.toString('hex')).toBe(Buffer.concat([head, reply]).toString('hex'))
      expect(formatReply(code, [head, reply])).toContain('tx 12: OK')
    })

    test('one byte short is refused and calls nobody', () => {
      if (body.length === 0 || row.shorterIsLawful !== undefined) return
      const calls: unknown[] = []
      const { transport, session, bugs } = started(
        row.fileSystem((args, answer) => {
          calls.push(args)
          return answer
        }),
      )
      const request = goldenRequest(code, body.subarray(0, -1))
      // What follows in the buffer is the end of an earlier request, which must not be seen.
      const buffer = Buffer.concat([request, body.subarray(-1), Buffer.alloc(64)])
      session.handle(buffer, request.length)
      expect(calls).toEqual([])
      if (row.reply === null) {
        expect(transport.written).toEqual([])
        expect(bugs).toHaveLength(1)
      } else {
        expect(transport.takeWritten()).toMatchObject({ unique: 12n, error: EINVAL })
        expect(bugs).toEqual([])
      }
      expect(transport.written).toEqual([])
      expect(formatRequest(buffer, request.length)).toContain(row.operation)
    })

    test('a file system without the method answers ENOSYS, or nothing if nothing is expected', () => {
      const { transport, session, bugs } = started({})
      const request = goldenRequest(code, body)
      session.handle(request, request.length)
      expect(bugs).toEqual([])
      if (row.reply === null) expect(transport.written).toEqual([])
      else expect(transport.takeWritten().error).toBe(row.operation === 'DESTROY' ? 0 : ENOSYS)
    })
  })
}
