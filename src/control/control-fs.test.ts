import { describe, expect, test } from 'vitest'
import { FuseSession, structs } from '../fuse/index.js'
import { encodeInitRequest, encodeRequest, ScriptedTransport, type WrittenMessage } from '../fuse/testing.js'
import { Errno } from '../lib/errno.js'
import { type CommandResult, type ControlSource, createControlFs } from './control-fs.js'
import { EventHub } from './events.js'

const ROOT = 1n
const O_WRONLY = 1
const O_NONBLOCK = 0o4000
const POLLIN = 1
const SCHEDULE_NOTIFY = 1
const FATTR_MODE = 1
const FATTR_SIZE = 8

interface Codec<T> {
  readonly size: number
  encode(fields: T): Buffer
  decode(bytes: Buffer): T
}

/** A struct whose other fields are zero. */
function encode<T extends object>(codec: Codec<T>, fields: Partial<T>): Buffer {
  return codec.encode({ ...codec.decode(Buffer.alloc(codec.size)), ...fields })
}

/** A control directory whose kernel and whose engine are this test. */
function mounted(overrides: Partial<ControlSource> = {}) {
  const log: string[] = []
  const notified: bigint[] = []
  const bugs: unknown[] = []
  const events = new EventHub()
  const source: ControlSource = {
    events,
    now: () => '2026-01-02T03:04:05.000Z',
    version: () => 'holdfast 1.2.3\n',
    leases: (uid) => [`leases of ${uid}\n`],
    report: (uid) => [`report of ${uid}\n`],
    pinnedPids: () => [17],
    pinsOf: (pid) => (pid === 17 ? '/srv/a\n' : null),
    contextOpened: (context) => log.push(`opened ${context}`),
    contextClosed: (context) => log.push(`closed ${context}`),
    contextIoctl: (context) => ({ result: 0, output: Buffer.from(String(context)) }),
    metrics: () => 'metrics 1\n',
    credentialsOf: ({ uid }) => ({ uid, realUid: uid, mayKillAll: false }),
    command: ({ line }, done) => {
      log.push(line.toString())
      done(
        line.toString().startsWith('bad')
          ? { errno: Errno.EPERM, text: 'EPERM no' }
          : { errno: 0, text: 'ok' },
      )
      return null
    },
    ...overrides,
  }
  const transport = new ScriptedTransport()
  const fileSystem = createControlFs(source, () => ({
    poll: (kh) => notified.push(kh),
    invalidateInode: () => {},
    invalidateEntry: () => {},
    deleteEntry: () => {},
  }))
  const session = new FuseSession({
    transport,
    fileSystem,
    wantedFlags: 0n,
    reportBug: (error) => bugs.push(error),
  })
  let unique = 2n
  const send = (...args: Parameters<typeof encodeRequest>) => {
    unique += 2n
    const [operation, header, ...body] = args
    const bytes = encodeRequest(operation, { unique, ...header }, ...body)
    session.handle(bytes, bytes.length)
    return unique
  }
  const ask = (...args: Parameters<typeof encodeRequest>): WrittenMessage => {
    send(...args)
    return transport.takeWritten()
  }
  const init = encodeInitRequest()
  session.handle(init, init.length)
  transport.takeWritten()

  const lookup = (name: string, nodeid = ROOT, uid = 0) => {
    const { error, body } = ask('LOOKUP', { nodeid, uid }, `${name}\0`)
    return error === 0 ? BigInt(structs.entryOut.decode(body).nodeid) : error
  }
  const node = (name: string, parent = ROOT): bigint => {
    const found = lookup(name, parent)
    if (typeof found === 'number') throw new Error(`${name}: ${found}`)
    return found
  }
  const openNode = (nodeid: bigint, flags = 0, uid = 0) => {
    const { error, body } = ask('OPEN', { nodeid, uid }, encode(structs.openIn, { flags }))
    return error === 0 ? structs.openOut.decode(body).fh : error
  }
  const readIn = (fh: number, size: number, flags = 0) => encode(structs.readIn, { fh, size, flags })
  const read = (fh: number, size = 4096) => {
    const { error, body } = ask('READ', {}, readIn(fh, size))
    return error === 0 ? body.toString() : error
  }
  const write = (fh: number, text: string) => {
    const data = Buffer.from(text)
    const { error, body } = ask('WRITE', {}, encode(structs.writeIn, { fh, size: data.length }), data)
    return error === 0 ? structs.writeOut.decode(body).size : error
  }
  const release = (fh: number) => ask('RELEASE', {}, encode(structs.releaseIn, { fh }))
  const poll = (fh: number, kh: bigint, flags: number) => {
    const { body } = ask('POLL', {}, encode(structs.pollIn, { fh, kh, flags, events: 0xffff }))
    return structs.pollOut.decode(body).revents
  }
  const all = { log, notified, bugs, events, transport, send, ask, lookup, node, fileSystem }
  return { ...all, open: openNode, readIn, read, write, release, poll }
}

const published = { time: 'T', event: 'granted' } as const
const LINE = '{"time":"T","event":"granted"}\n'

describe('names', () => {
  test('every file of the directory is found, and nothing else', () => {
    const { lookup } = mounted()
    for (const name of ['version', 'leases', 'report', 'events', 'ctl', 'pinctx', 'pins']) {
      expect(typeof lookup(name)).toBe('bigint')
    }
    for (const name of ['Version', '17', 'leases ']) expect(lookup(name)).toBe(-Errno.ENOENT)
  })

  test('pins: a process with pins has a file, others and what is no pid have none', () => {
    const { lookup, node } = mounted()
    const pins = node('pins')
    expect(typeof lookup('17', pins)).toBe('bigint')
    for (const name of ['18', '017', '0', '-1', '17 ', '99999999999', 'x']) {
      expect(lookup(name, pins)).toBe(-Errno.ENOENT)
    }
  })

  test('pinctx is another inode at each lookup', () => {
    const { node } = mounted()
    expect(new Set([node('pinctx'), node('pinctx'), node('pinctx')]).size).toBe(3)
  })

  test('a listing names what a lookup finds', () => {
    const { ask, node, lookup } = mounted()
    for (const [nodeid, names] of [
      [ROOT, ['version', 'leases', 'report', 'events', 'ctl', 'pinctx', 'pins']],
      [node('pins'), ['17']],
    ] as const) {
      const { fh } = structs.openOut.decode(ask('OPENDIR', { nodeid }, encode(structs.openIn, {})).body)
      const { body } = ask('READDIR', { nodeid }, encode(structs.readIn, { fh, size: 4096 }))
      for (const name of names) {
        expect(body.includes(name)).toBe(true)
        expect(typeof lookup(name, nodeid)).toBe('bigint')
      }
      ask('RELEASEDIR', { nodeid }, encode(structs.releaseIn, { fh }))
    }
  })

  test('nothing can be made, and modes and owners stay; truncating as echo > ctl does is accepted', () => {
    const { ask, node } = mounted()
    const nodeid = node('ctl')
    const setattr = (valid: number) => ask('SETATTR', { nodeid }, encode(structs.setattrIn, { valid })).error
    expect(setattr(FATTR_SIZE)).toBe(0)
    expect(setattr(FATTR_MODE)).toBe(-Errno.EPERM)
    expect(ask('CREATE', {}, encode(structs.createIn, {}), 'new\0').error).toBe(-Errno.EPERM)
  })
})

describe('texts', () => {
  test('leases and report are those of the user who opens them (R1)', () => {
    const { node, open, read } = mounted()
    expect(read(open(node('leases'), 0, 1000))).toBe('leases of 1000\n')
    expect(read(open(node('report'), 0, 5))).toBe('report of 5\n')
    expect(read(open(node('version')))).toBe('holdfast 1.2.3\n')
    expect(read(open(node('17', node('pins'))))).toBe('/srv/a\n')
  })

  test('a text read in pieces of any size is the whole text, then an end of file', () => {
    const lines = Array.from({ length: 50 }, (_, index) => `line ${index} é\n`)
    for (const size of [1, 2, 3, 7, 64, 4096]) {
      const { node, open, transport, ask, readIn } = mounted({ leases: () => lines })
      const fh = open(node('leases'))
      const parts: Buffer[] = []
      for (;;) {
        const { body } = ask('READ', {}, readIn(fh, size))
        if (body.length === 0) break
        expect(body.length).toBeLessThanOrEqual(size)
        parts.push(body)
      }
      expect(Buffer.concat(parts).toString()).toBe(lines.join(''))
      expect(transport.written).toHaveLength(0)
    }
  })

  test('a text is made while it is read, no more of it than is asked for', () => {
    let made = 0
    function* leases() {
      for (;;) yield `${made++}\n`
    }
    const { node, open, read } = mounted({ leases })
    expect(read(open(node('leases')), 6)).toBe('0\n1\n2\n')
    expect(made).toBe(3)
  })

  test('writing to a text is EACCES; a handle that is not there is EINVAL', () => {
    const { node, open, read, write } = mounted()
    expect(open(node('leases'), O_WRONLY)).toBe(-Errno.EACCES)
    expect(read(999)).toBe(-Errno.EINVAL)
    expect(write(999, 'x')).toBe(-Errno.EINVAL)
    expect(write(open(node('version')), 'x')).toBe(-Errno.EINVAL)
  })

  test('pins of a process whose last pin ended after the lookup are ENOENT', () => {
    let isPinned = true
    const { node, open } = mounted({ pinsOf: () => (isPinned ? 'x\n' : null) })
    const nodeid = node('17', node('pins'))
    isPinned = false
    expect(open(nodeid)).toBe(-Errno.ENOENT)
  })
})

describe('events', () => {
  test('a reader gets what happens after it opened, not what was before', () => {
    const { node, open, read, events } = mounted()
    events.publish(published, [])
    const fh = open(node('events'))
    events.publish({ ...published, lease: 1 }, [])
    expect(read(fh)).toBe('{"time":"T","event":"granted","lease":1}\n')
  })

  test('a read without events waits, and is answered once with the next one', () => {
    const { node, open, send, readIn, transport, events } = mounted()
    const fh = open(node('events'))
    const unique = send('READ', {}, readIn(fh, 4096))
    expect(transport.written).toHaveLength(0)
    events.publish(published, [])
    events.publish(published, [])
    const answer = transport.takeWritten()
    expect([answer.unique, answer.body.toString()]).toEqual([unique, LINE])
    expect(transport.written).toHaveLength(0)
  })

  test('several readers of one descriptor are served in the order they came', () => {
    const { node, open, send, readIn, transport, events } = mounted()
    const fh = open(node('events'))
    const uniques = [send('READ', {}, readIn(fh, 4096)), send('READ', {}, readIn(fh, 4096))]
    events.publish(published, [])
    events.publish(published, [])
    expect(transport.written.map(({ unique }) => unique)).toEqual(uniques)
  })

  test('a signal ends the wait with EINTR, and the event goes to the next read', () => {
    const { node, open, send, read, readIn, transport, events } = mounted()
    const fh = open(node('events'))
    const unique = send('READ', {}, readIn(fh, 4096))
    send('INTERRUPT', {}, encode(structs.interruptIn, { unique }))
    expect(transport.takeWritten()).toMatchObject({ unique, error: -Errno.EINTR })
    events.publish(published, [])
    expect(transport.written).toHaveLength(0)
    expect(read(fh)).toBe(LINE)
  })

  test('O_NONBLOCK: EAGAIN instead of a wait', () => {
    const { node, open, ask, readIn } = mounted()
    const fh = open(node('events'))
    expect(ask('READ', {}, readIn(fh, 4096, O_NONBLOCK)).error).toBe(-Errno.EAGAIN)
  })

  test('poll: not readable, then woken once by an event, then readable until it is read', () => {
    const { node, open, poll, read, notified, events } = mounted()
    const fh = open(node('events'))
    expect(poll(fh, 77n, SCHEDULE_NOTIFY)).toBe(0)
    events.publish(published, [])
    events.publish(published, [])
    expect(notified).toEqual([77n])
    expect(poll(fh, 77n, SCHEDULE_NOTIFY) & POLLIN).toBe(POLLIN)
    read(fh)
    expect(poll(fh, 77n, 0)).toBe(0)
    events.publish(published, [])
    expect(notified).toEqual([77n])
  })

  test('the end of the engine: waiting readers get what is left and then the end of file', () => {
    const { node, open, send, read, readIn, transport, events } = mounted()
    const fh = open(node('events'))
    send('READ', {}, readIn(fh, 4096))
    events.close()
    expect(transport.takeWritten().body).toHaveLength(0)
    expect(read(fh)).toBe('')
    expect(read(open(node('events')))).toBe('')
  })

  test('a closed reader is no reader any more', () => {
    const { node, open, release, events } = mounted()
    const fh = open(node('events'))
    expect(events.hasReaders).toBe(true)
    release(fh)
    expect(events.hasReaders).toBe(false)
  })

  test('an open whose caller was killed before the answer is undone', () => {
    const { node, send, transport, events, log, bugs } = mounted()
    for (const name of ['events', 'pinctx']) {
      const nodeid = node(name)
      transport.writeResults.push(-Errno.ENOENT)
      send('OPEN', { nodeid }, encode(structs.openIn, {}))
    }
    expect(events.hasReaders).toBe(false)
    expect(log.map((entry) => entry.split(' ')[0])).toEqual(['opened', 'closed'])
    expect(bugs).toEqual([])
  })

  test('refreshReaders answers those who wait with an empty line, and they may come again', () => {
    const { node, open, send, readIn, transport, events, fileSystem } = mounted()
    const fh = open(node('events'))
    send('READ', {}, readIn(fh, 4096))
    fileSystem.refreshReaders()
    expect(transport.takeWritten().body.toString()).toBe('\n')
    fileSystem.refreshReaders()
    expect(transport.written).toHaveLength(0)
    send('READ', {}, readIn(fh, 4096))
    events.publish(published, [])
    expect(transport.takeWritten().body.toString()).toBe(LINE)
  })
})

describe('ctl', () => {
  test('a line is a command, with or without its newline; empty lines are none', () => {
    const { node, open, write, log } = mounted()
    const fh = open(node('ctl'), O_WRONLY)
    expect(write(fh, 'one 1\n')).toBe(6)
    expect(write(fh, 'two 2')).toBe(5)
    expect(write(fh, '\n \n')).toBe(3)
    expect(log).toEqual(['one 1', 'two 2'])
  })

  test('of several lines those after a failed one are not carried out, and its errno is the answer', () => {
    const { node, open, write, read, log } = mounted()
    const fh = open(node('ctl'), 2)
    expect(write(fh, 'one\nbad\nthree\n')).toBe(-Errno.EPERM)
    expect(log).toEqual(['one', 'bad'])
    expect(read(fh)).toBe('EPERM no\n')
  })

  test('the answer is read back once, in pieces if need be, by who wrote', () => {
    const { node, open, write, read } = mounted()
    const [fh, other] = [open(node('ctl'), 2), open(node('ctl'), 2)]
    write(fh, 'x')
    expect(read(other)).toBe('')
    expect([read(fh, 2), read(fh, 4096), read(fh)]).toEqual(['ok', '\n', ''])
  })

  test('a command that is done later answers the write then, and the lines behind it wait for it', () => {
    const waiting: ((result: CommandResult) => void)[] = []
    const { node, open, send, transport } = mounted({
      command: (_command, done) => {
        waiting.push(done)
        return null
      },
    })
    const fh = open(node('ctl'), O_WRONLY)
    const data = Buffer.from('a\nb\n')
    const unique = send('WRITE', {}, encode(structs.writeIn, { fh, size: 4 }), data)
    expect(waiting).toHaveLength(1)
    waiting[0]?.({ errno: 0, text: 'ok' })
    expect(waiting).toHaveLength(2)
    expect(transport.written).toHaveLength(0)
    waiting[1]?.({ errno: Errno.EBUSY, text: 'EBUSY' })
    expect(transport.takeWritten()).toMatchObject({ unique, error: -Errno.EBUSY })
  })

  test('what a command may do follows from who opened the file, not from who writes', () => {
    const openers: [number, number][] = []
    const { node, open, ask } = mounted({
      command: ({ opener, request }, done) => {
        openers.push([opener.uid, request.uid])
        done({ errno: 0, text: 'ok' })
        return null
      },
    })
    const fh = open(node('ctl'), O_WRONLY)
    ask('WRITE', { uid: 17 }, encode(structs.writeIn, { fh, size: 1 }), Buffer.from('x'))
    expect(openers).toEqual([[0, 17]])
  })

  test('an interrupt gives up what the last command waits for, also behind one that was done at once', () => {
    const given: string[] = []
    const { node, open, send, transport } = mounted({
      command: ({ line }, done) => {
        if (line.toString() === 'quick') {
          done({ errno: 0, text: 'ok' })
          return null
        }
        return () => {
          given.push(line.toString())
          done({ errno: Errno.EINTR, text: 'EINTR' })
        }
      },
    })
    const fh = open(node('ctl'), O_WRONLY)
    const unique = send('WRITE', {}, encode(structs.writeIn, { fh, size: 10 }), Buffer.from('quick\nslow'))
    send('INTERRUPT', {}, encode(structs.interruptIn, { unique }))
    expect(given).toEqual(['slow'])
    expect(transport.takeWritten()).toMatchObject({ unique, error: -Errno.EINTR })
  })

  test('bytes of a command arrive as they are', () => {
    const lines: Buffer[] = []
    const { node, open, ask } = mounted({
      command: ({ line }, done) => {
        lines.push(line)
        done({ errno: 0, text: 'ok' })
        return null
      },
    })
    const data = Buffer.from([0x61, 0xff, 0x00, 0x0a])
    ask('WRITE', {}, encode(structs.writeIn, { fh: open(node('ctl'), O_WRONLY), size: 4 }), data)
    expect(lines).toEqual([Buffer.from([0x61, 0xff, 0x00])])
  })

  test('what is far too long is no command: E2BIG, and nothing is carried out', () => {
    const { node, open, write, log } = mounted()
    const fh = open(node('ctl'), O_WRONLY)
    expect(write(fh, 'x\n'.repeat(2048))).toBe(4096)
    log.length = 0
    expect(write(fh, 'x\n'.repeat(2049))).toBe(-Errno.E2BIG)
    expect(log).toEqual([])
  })

  test('a command that throws is answered with EIO', () => {
    const { node, open, write, bugs } = mounted({
      command: () => {
        throw new Error('a bug')
      },
    })
    expect(write(open(node('ctl'), O_WRONLY), 'x')).toBe(-Errno.EIO)
    expect(bugs).toHaveLength(1)
  })
})

describe('pinctx', () => {
  test('each open by name is a context of its own, which ends with its release', () => {
    const { node, open, release, log } = mounted()
    const [first, second] = [open(node('pinctx')), open(node('pinctx'))]
    release(first)
    expect(log).toHaveLength(3)
    expect(log[2]).toBe(log[0]?.replace('opened', 'closed'))
    release(second)
    expect(log[3]).toBe(log[1]?.replace('opened', 'closed'))
  })

  test('opened again through /proc/self/fd it is the same context, and lives until both are closed (P2)', () => {
    const { node, open, release, log } = mounted()
    const nodeid = node('pinctx')
    const [first, again] = [open(nodeid), open(nodeid)]
    release(first)
    expect(log).toEqual([`opened ${nodeid}`])
    release(again)
    expect(log).toEqual([`opened ${nodeid}`, `closed ${nodeid}`])
  })

  test('openCount: no more closes can wait than there are files and directories open', () => {
    const { node, open, release, ask, fileSystem } = mounted()
    const fhs = [
      open(node('pinctx')),
      open(node('version')),
      open(node('events')),
      open(node('ctl'), O_WRONLY),
    ]
    const { body } = ask('OPENDIR', { nodeid: ROOT }, encode(structs.openIn, {}))
    expect(fileSystem.openCount).toBe(5)
    for (const fh of fhs) release(fh)
    expect(fileSystem.openCount).toBe(1)
    ask('RELEASEDIR', {}, encode(structs.releaseIn, { fh: structs.openOut.decode(body).fh }))
    expect(fileSystem.openCount).toBe(0)
  })

  test('ioctls of a context come with its number; other files know none', () => {
    const { node, open, ask } = mounted()
    const nodeid = node('pinctx')
    const ioctl = (fh: number) => ask('IOCTL', {}, encode(structs.ioctlIn, { fh, out_size: 64 }))
    expect(ioctl(open(nodeid)).body.toString('latin1')).toContain(String(nodeid))
    expect(ioctl(open(node('version'))).error).toBe(-Errno.ENOTTY)
    expect(ioctl(999).error).toBe(-Errno.ENOTTY)
  })
})
