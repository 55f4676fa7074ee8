import { describe, expect, test } from 'vitest'
import { Errno } from '../lib/errno.js'
import type { FuseFileSystem } from './api.js'
import { TransportError } from './errors.js'
import { FuseSession } from './session.js'
import { encodeInitRequest, encodeRequest, ScriptedTransport } from './testing.js'
import { initOut } from './wire/structs.js'

function sessionOn(fileSystem: FuseFileSystem = {}) {
  const transport = new ScriptedTransport()
  const bugs: unknown[] = []
  const lines: string[] = []
  const session = new FuseSession({
    transport,
    fileSystem,
    wantedFlags: 0n,
    reportBug: (error) => bugs.push(error),
    debug: (line) => lines.push(line),
  })
  return { transport, session, bugs, lines }
}

describe('session: receive', () => {
  test('handles one request at a time until there is none', () => {
    const { transport, session, bugs } = sessionOn()
    transport.reads.push(encodeInitRequest(), encodeRequest('LOOKUP', { unique: 4n }, 'name\0'))
    expect(session.receive()).toBe('handled')
    expect(transport.written).toHaveLength(1)
    expect(session.receive()).toBe('handled')
    expect(session.receive()).toBe('idle')
    expect(initOut.decode(transport.takeWritten().body)).toMatchObject({ major: 7, minor: 45 })
    expect(transport.takeWritten()).toMatchObject({ unique: 4n, error: -38 })
    expect(bugs).toEqual([])
  })

  for (const errno of [Errno.EINTR, Errno.EAGAIN, Errno.ENOENT]) {
    test(`a read that fails with ${errno} is to be tried again`, () => {
      const { transport, session } = sessionOn()
      transport.reads.push(-errno)
      expect(session.receive()).toBe('idle')
    })
  }

  for (const errno of [Errno.ENODEV, Errno.ECONNABORTED]) {
    test(`a read that fails with ${errno} is the end of the mount`, () => {
      const { transport, session } = sessionOn()
      transport.reads.push(-errno)
      expect(session.receive()).toBe('unmounted')
    })
  }

  test('a read that fails with EINVAL throws', () => {
    const { transport, session } = sessionOn()
    transport.reads.push(-Errno.EINVAL)
    expect(() => session.receive()).toThrow(TransportError)
  })

  test('the read buffer has room for the largest write and its header', () => {
    let size = 0
    const transport = new ScriptedTransport()
    transport.read = (buffer) => {
      size = buffer.length
      return 0
    }
    const session = new FuseSession({ transport, fileSystem: {}, wantedFlags: 0n, reportBug: () => {} })
    session.receive()
    expect(size).toBe(0x10_0000 + 4096)
  })
})

describe('session: headers', () => {
  test('a length that the header does not announce is EIO', () => {
    const { transport, session, bugs } = sessionOn()
    const request = encodeRequest('LOOKUP', { unique: 6n }, 'name\0')
    session.handle(request, request.length - 1)
    expect(transport.takeWritten()).toMatchObject({ unique: 6n, error: -5 })
    expect(bugs).toHaveLength(1)
  })

  test('a header that is cut off is answered as long as it has a number', () => {
    const request = encodeRequest('STATFS', { unique: 6n })
    for (let length = 0; length < 40; length++) {
      const { transport, session, bugs } = sessionOn()
      session.handle(request, length)
      expect(transport.written.map((message) => message.unique)).toEqual(length < 16 ? [] : [6n])
      expect(bugs).toHaveLength(1)
    }
  })

  test('number 0 is never answered: it would be a notification', () => {
    const { transport, session } = sessionOn()
    const request = encodeRequest('STATFS', { unique: 0n })
    session.handle(request, request.length)
    expect(transport.written).toEqual([])
  })

  test('who asks is taken from the header', () => {
    const seen: unknown[] = []
    const { session } = sessionOn({
      statfs({ opcode, unique, nodeid, uid, gid, pid, supplementaryGroup }) {
        seen.push({ opcode, unique, nodeid, uid, gid, pid, supplementaryGroup })
        return -5
      },
    })
    const init = encodeInitRequest()
    session.handle(init, init.length)
    const request = encodeRequest('STATFS', {
      unique: 2n ** 62n,
      nodeid: 2n ** 53n - 1n,
      uid: 1,
      gid: 2,
      pid: 3,
    })
    session.handle(request, request.length)
    expect(seen).toEqual([
      {
        opcode: 17,
        unique: 2n ** 62n,
        nodeid: 2 ** 53 - 1,
        uid: 1,
        gid: 2,
        pid: 3,
        supplementaryGroup: null,
      },
    ])
  })

  test('a nodeid that was never given out is EIO', () => {
    const { transport, session } = sessionOn()
    const request = encodeRequest('STATFS', { nodeid: 2n ** 53n })
    session.handle(request, request.length)
    expect(transport.takeWritten().error).toBe(-5)
  })
})
