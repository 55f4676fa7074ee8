/** What happens to a request while its calls are made in io threads: here the test decides when each is over. */
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Answer, PENDING, type RequestInfo } from '../fuse/api.js'
import { FATTR_FLAGS } from '../fuse/wire/flags.js'
import { Errno } from '../lib/errno.js'
import { O_PATH, O_TRUNC, O_WRONLY } from '../linux/constants.js'
import { close, open } from '../linux/files.js'
import { Statx } from '../linux/stat.js'
import {
  createPassthrough,
  InlineIo,
  type IoThreads,
  type Job,
  type LayoutGate,
  type Passthrough,
} from './index.js'
import { ROOT_NODEID } from './inodes/inode-table.js'
import type { Finished } from './io/jobs.js'

/** Makes a call when it is told to, and says so when it is told to. */
class HeldIo implements IoThreads {
  readonly jobs: { readonly job: Job; readonly done: (finished: Finished) => void }[] = []
  private readonly inline = new InlineIo()

  submit(job: Job, done: (finished: Finished) => void): void {
    this.jobs.push({ job, done })
  }

  /** Makes the oldest call. @returns what hands its result out. */
  make(): { readonly job: Job; readonly tell: () => void } {
    const next = this.jobs.shift()
    if (next === undefined) throw new Error('there is no call to make')
    let tell = () => {}
    this.inline.submit(next.job, (finished) => {
      const { stat } = finished
      const kept = stat === undefined ? finished : { ...finished, stat: new Uint8Array(stat) }
      tell = () => next.done(kept)
    })
    return { job: next.job, tell }
  }

  /** Makes all calls, and those that follow from them. @param meanwhile is called between a call and its result. */
  finish(meanwhile: (job: Job) => void = () => {}): void {
    while (this.jobs.length > 0) {
      const { job, tell } = this.make()
      meanwhile(job)
      tell()
    }
  }

  /** Makes all calls up to the first of this kind. @returns what hands the result of that one out. */
  makeUpTo(kind: Job['kind']): () => void {
    for (;;) {
      const { job, tell } = this.make()
      if (job.kind === kind) return tell
      tell()
    }
  }
}

interface Asked<T> {
  answer: Answer<T> | null
}

let directory = ''
let rootFd = -1
let io: HeldIo
let fileSystem: Passthrough
let isProtected = false

const gate: LayoutGate = {
  ask(_request, _change, proceed) {
    proceed(isProtected ? Errno.ETXTBSY : 0, () => {})
    return null
  },
  isProtected: () => isProtected,
  opened() {},
  released() {},
  ioctl: () => -Errno.ENOTTY,
  poll: () => ({ revents: 0 }),
}

function ask<T>(nodeid: number, call: (request: RequestInfo) => Answer<T> | undefined): Asked<T> {
  const asked: Asked<T> = { answer: null }
  const request: RequestInfo = {
    opcode: 0,
    unique: 2n,
    nodeid,
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    pid: process.pid,
    supplementaryGroup: null,
    defer: <D>() => ({
      unique: 2n,
      answer: (value: D) => Object.assign(asked, { answer: value }),
      fail(errno: Errno) {
        asked.answer = -errno
      },
      taken() {},
      onInterrupt: null,
    }),
  }
  const answer = call(request) ?? -Errno.ENOSYS
  if (answer !== PENDING) asked.answer = answer
  return asked
}

const zEnded = (name: string) => Buffer.from(`${name}\0`)

function lookup(name: string) {
  return ask(ROOT_NODEID, (request) => fileSystem.lookup?.(request, zEnded(name)))
}

function chmod(nodeid: number, mode: number) {
  const args = {
    valid: FATTR_FLAGS.FATTR_MODE,
    fh: null,
    size: 0,
    atime: 0,
    mtime: 0,
    ctime: 0,
    atimeNsec: 0,
    mtimeNsec: 0,
    ctimeNsec: 0,
    mode,
    uid: 0,
    gid: 0,
  }
  return ask(nodeid, (request) => fileSystem.setattr?.(request, args))
}

/** The node id of a file of the directory that the kernel has looked up. */
function known(name: string): number {
  const asked = lookup(name)
  io.finish()
  expect(asked.answer).toMatchObject({ nodeid: expect.any(Number) })
  const stat = new Statx().read(rootFd, zEnded(name), 0)
  expect(stat.ino).toBe(BigInt(statSync(path.join(directory, name)).ino))
  return typeof asked.answer === 'object' && asked.answer !== null && 'nodeid' in asked.answer
    ? asked.answer.nodeid
    : 0
}

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'hf-waiting-'))
  writeFileSync(path.join(directory, 'a'), '')
  rootFd = open(directory, O_PATH)
  io = new HeldIo()
  isProtected = false
  // Every call is made in an io thread where the file system below is remote.
  fileSystem = createPassthrough({ rootFd, gate, io, fuseFd: -1, options: { remote: true } })
})

afterEach(() => {
  fileSystem.close()
  close(rootFd)
  rmSync(directory, { recursive: true })
})

test.each([1, 2])('X1: what the holder writes as an open with O_TRUNC has made look %i stays', (count) => {
  const nodeid = known('a')
  isProtected = true
  ask(nodeid, (request) => fileSystem.open?.(request, O_WRONLY | O_TRUNC, 0))
  let lookCount = 0
  io.finish(({ kind }) => {
    if (kind !== 'stat' && kind !== 'stat-at') return
    if (++lookCount === count) writeFileSync(path.join(directory, 'a'), 'x'.repeat(5000))
  })
  expect(lookCount).toBeGreaterThanOrEqual(count)
  expect(statSync(path.join(directory, 'a')).size).toBe(5000)
})

test('the value of setxattr is that of its own request, whatever comes into the buffer meanwhile', () => {
  const nodeid = known('a')
  const buffer = Buffer.from('mine')
  ask(nodeid, (request) => fileSystem.setxattr?.(request, zEnded('user.of'), buffer, 0, 0))
  buffer.write('your')
  const values: string[] = []
  io.finish((job) => {
    if (job.kind === 'set-xattr') values.push(Buffer.from(job.value).toString())
  })
  expect(values).toEqual(['mine'])
})

describe('an answer that is older than a change', () => {
  test('does not give an unlinked file its name back', () => {
    const nodeid = known('a')
    const again = lookup('a')
    const tell = io.makeUpTo('stat-at')
    ask(ROOT_NODEID, (request) => fileSystem.unlink?.(request, zEnded('a')))
    io.finish()
    tell()
    io.finish()
    expect(again.answer).toMatchObject({ nodeid: 0 })
    expect(fileSystem.nodeOf(nodeid)?.nameLeads()).toBe('unnamed')
  })

  test('does not have a setuid bit forgotten', () => {
    const nodeid = known('a')
    const looked = ask(nodeid, (request) => fileSystem.getattr?.(request, null))
    const tell = io.makeUpTo('stat-at')
    chmod(nodeid, 0o104755)
    io.finish()
    tell()
    io.finish()
    expect(looked.answer).toMatchObject({ attr: { mode: 0o104755 } })
  })

  // See `statNow`.
  test.each([
    ['set-attributes', (nodeid: number) => chmod(nodeid, 0o100600)],
    [
      'link',
      (nodeid: number) => ask(ROOT_NODEID, (request) => fileSystem.link?.(request, nodeid, zEnded('b'))),
    ],
  ] as const)('to %s does not say the size from before an open with O_TRUNC', (kind, change) => {
    writeFileSync(path.join(directory, 'a'), 'old')
    const nodeid = known('a')
    const changed = change(nodeid)
    io.makeUpTo(kind)()
    const tell = io.makeUpTo('stat')
    ask(nodeid, (request) => fileSystem.open?.(request, O_WRONLY | O_TRUNC, 0))
    io.finish()
    tell()
    io.finish()
    expect(changed.answer).toMatchObject({ attr: { size: 0 } })
  })
})

test('where a name leads is not judged while a rename may have happened', () => {
  const nodeid = known('a')
  ask(ROOT_NODEID, (request) => fileSystem.rename?.(request, zEnded('a'), ROOT_NODEID, zEnded('b'), 0))
  const tell = io.makeUpTo('rename')
  expect(fileSystem.nodeOf(nodeid)?.nameLeads()).toBe('moving')
  tell()
  io.finish()
  expect(fileSystem.nodeOf(nodeid)?.nameLeads()).toBe('here')
})
