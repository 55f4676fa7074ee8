import { expect, test } from 'vitest'
import { FuseSession } from './session.js'
import { encodeInitRequest, encodeRequest, ScriptedTransport } from './testing.js'
import { initOut } from './wire/structs.js'

test('session: INIT is answered and a file system without methods answers ENOSYS', () => {
  const transport = new ScriptedTransport()
  const bugs: unknown[] = []
  const session = new FuseSession({
    transport,
    fileSystem: {},
    wantedFlags: 0n,
    reportBug: (error) => bugs.push(error),
  })
  transport.reads.push(encodeInitRequest(), encodeRequest('LOOKUP', { unique: 4n }, 'name\0'))
  expect(session.receive()).toBe('handled')
  expect(session.receive()).toBe('handled')
  expect(session.receive()).toBe('idle')
  expect(initOut.decode(transport.takeWritten().body)).toMatchObject({ major: 7, minor: 45 })
  expect(transport.takeWritten()).toMatchObject({ unique: 4n, error: -38 })
  expect(bugs).toEqual([])
})
