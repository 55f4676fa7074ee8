/**
 * Holdfast on kernels older than this machine's, simulated: what a kernel does not offer is used in no answer, and
 * protection is the same whatever is missing. Every check of single answers is in test-kernel.ts.
 */
import {
  chmodSync,
  chownSync,
  mkdtempSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import * as abi from '../control/formats/abi.js'
import { INIT_FLAGS, KernelLacksError, KernelTooOldError, structs as s } from '../fuse/index.js'
import { encodeFields } from '../fuse/testing.js'
import { DEFAULT_POLICY } from '../lease/index.js'
import { Errno } from '../lib/errno.js'
import { WHOLE_FILE } from '../lib/range.js'
import * as c from '../linux/constants.js'
import { testDirectory } from '../linux/test-directory.js'
import { TestShell } from '../linux/test-shell.js'
import { FEATURES, threadIdentity } from '../passthrough/index.js'
import { LeaseService } from './leasing/lease-service.js'
import {
  type Caller,
  callerOf,
  flagsOfMinor,
  type OpenedFile,
  SimulatedKernel,
  type Variant,
} from './test-kernel.js'

const directory = testDirectory()
const isRoot = process.getuid?.() === 0
const SIZE = 8192
const USER = 1000
/** A group that the tree belongs to, and the user not. */
const GROUP = 4242
const PUNCH_HOLE = c.FALLOC_FL_PUNCH_HOLE | c.FALLOC_FL_KEEP_SIZE

const minors = Array.from({ length: 15 }, (_, index) => 31 + index)
const required = INIT_FLAGS.FUSE_POSIX_ACL

interface Row extends Variant {
  readonly title: string
}

const ROWS: readonly Row[] = [
  ...minors.map((minor) => ({ title: `7.${minor}`, minor, offered: flagsOfMinor(minor) })),
  ...minors.map((minor) => ({
    title: `7.${minor} that offers nothing that can be left out`,
    minor,
    offered: required,
  })),
  ...FEATURES.filter(({ bit, isRequired }) => bit !== 0n && isRequired !== true).map(({ name, bit }) => ({
    title: `7.45 without ${name}`,
    minor: 45,
    offered: flagsOfMinor(45) & ~bit,
  })),
]

let holder: Caller
let other: Caller
/** Somebody without capabilities and groups. */
let user: Caller
let member: Caller
const shells: TestShell[] = []

/** A process that lives as long as the tests. @param options of setpriv(1); none changes nothing. */
async function someone(options: string): Promise<Caller> {
  const shell = new TestShell(`exec ${options === '' ? '' : `setpriv ${options}`} sh -c 'echo; read x'`)
  shells.push(shell)
  await shell.line()
  return callerOf(shell.pid)
}

beforeAll(async () => {
  holder = callerOf(process.pid)
  other = await someone('')
  user = isRoot ? await someone(`--reuid ${USER} --regid ${USER} --clear-groups`) : other
  member = isRoot ? await someone(`--reuid ${USER} --regid ${USER} --groups ${GROUP}`) : other
})

afterAll(async () => {
  for (const { kernel } of started.values()) kernel.end()
  for (const shell of shells) await shell.kill()
})

const bugs: unknown[] = []
const reportBug = (bug: unknown) => void bugs.push(bug)
const service = new LeaseService(DEFAULT_POLICY, reportBug)
/** One of each kind: making one takes longer than a test. */
const started = new Map<Variant, { kernel: SimulatedKernel; tree: string }>()
let fileCount = 0

/** The file system lives in this thread and has taken on ids of callers, and given up a capability. */
function asOurselves<T>(action: () => T): T {
  const identity = threadIdentity()
  identity.becomeDaemon()
  return identity.keepingSetid(action)
}

function modeOf(file: string): string {
  return (statSync(file).mode & 0o7777).toString(8)
}

function chmod(file: string, mode: number): void {
  asOurselves(() => chmodSync(file, mode))
}

/** A kernel, and a fresh file of its tree. */
function start(variant: Variant): { kernel: SimulatedKernel; tree: string; name: string; file: string } {
  let found = started.get(variant)
  if (found === undefined) {
    const tree = asOurselves(() => mkdtempSync(path.join(directory, 'tree-')))
    found = { kernel: new SimulatedKernel(variant, tree, { service, reportBug }, started.size), tree }
    started.set(variant, found)
  }
  const name = `file-${++fileCount}`
  const file = path.join(found.tree, name)
  asOurselves(() => {
    writeFileSync(file, 'x'.repeat(SIZE))
    if (isRoot) chownSync(file, USER, GROUP)
  })
  return { ...found, name, file }
}

afterEach(() => {
  for (const { kernel } of started.values()) kernel.closeAll()
  expect(bugs).toEqual([])
})

function lease(kernel: SimulatedKernel, file: OpenedFile, level: 'normal' | 'exclusive'): void {
  const range = { id: 0, range: WHOLE_FILE, mode: 'read', level, whenBusy: 'fail', breakTimeMs: 0 } as const
  expect(kernel.ioctl(file, abi.SETLEASE, abi.encodeLeaseRequest(range), holder).errno).toBe(0)
}

describe.each(ROWS)('on FUSE $title', (variant) => {
  test('INIT agrees on nothing that is not offered, and says nothing that goes with what is not', () => {
    const { kernel } = start(variant)
    const { agreed, initReply } = kernel
    const offered =
      (variant.offered & INIT_FLAGS.FUSE_INIT_EXT) === 0n ? variant.offered & 0xffff_ffffn : variant.offered
    expect(agreed & ~offered).toBe(0n)
    expect(initReply).toMatchObject({ major: 7, minor: variant.minor, map_alignment: 0, request_timeout: 0 })
    expect(initReply.max_pages > 0).toBe(kernel.has('FUSE_MAX_PAGES'))
    expect(initReply.max_write).toBe(kernel.has('FUSE_MAX_PAGES') ? 1 << 20 : 1 << 17)
    expect(initReply.max_stack_depth > 0).toBe(kernel.has('FUSE_PASSTHROUGH'))
  })

  test('every operation that this kernel has is answered in terms that it knows', () => {
    const { kernel, tree, name } = start(variant)
    asOurselves(() => symlinkSync(name, path.join(tree, 'link')))
    const made = kernel.create('made', c.O_RDWR, 0o666, 0o027, holder)
    expect(statSync(path.join(tree, 'made')).mode & 0o777).toBe(0o640)
    expect(kernel.write(made, 'hello', holder)).toBe(0)
    expect(kernel.read(made, 100, holder)).toBe('hello')
    kernel.close(made, holder)
    const file = kernel.mustOpen(name, c.O_RDWR, holder)
    expect(kernel.list(holder)).toEqual(expect.arrayContaining(['.', '..', name, 'link', 'made']))
    kernel.setxattr(file.nodeid, 'user.holdfast', Buffer.from('v'), holder)
    const link = kernel.lookup('link', holder)
    expect(kernel.call('READLINK', holder, link).body.toString()).toBe(name)
    expect(kernel.call('STATFS', holder, 1).errno).toBe(0)
    const lseekIn = encodeFields(s.lseekIn, { fh: file.fh, whence: 3 })
    expect(kernel.call('LSEEK', holder, file.nodeid, lseekIn).errno).toBe(0)
    const rename = encodeFields(s.rename2In, { newdir: 1, flags: 1 })
    expect(kernel.call('RENAME2', holder, 1, rename, 'made\0', 'moved\0').errno).toBe(0)
    expect(kernel.call('UNLINK', holder, 1, 'moved\0').errno).toBe(0)
    const copy = { fh_in: file.fh, fh_out: file.fh, nodeid_out: file.nodeid, off_out: SIZE, len: 100 }
    const names = [
      'COPY_FILE_RANGE',
      ...(variant.minor >= 45 ? (['COPY_FILE_RANGE_64'] as const) : []),
    ] as const
    for (const name of names) {
      expect(kernel.call(name, holder, file.nodeid, encodeFields(s.copyFileRangeIn, copy)).errno).toBe(0)
    }
    if (variant.minor >= 34) expect(kernel.call('SYNCFS', holder, 1, Buffer.alloc(8)).errno).toBe(0)
    // Not every file system has nameless files, and nobody needs STATX.
    if (variant.minor >= 37) {
      const tmpfile = encodeFields(s.createIn, { flags: c.O_RDWR, mode: c.S_IFREG | 0o600 })
      expect([0, Errno.EOPNOTSUPP]).toContain(kernel.call('TMPFILE', holder, 1, tmpfile, '/\0').errno)
    }
    if (variant.minor >= 39) {
      expect(kernel.call('STATX', holder, 1, Buffer.alloc(s.statxIn.size)).errno).toBe(Errno.ENOSYS)
    }
    kernel.close(file, holder)
  })

  test('X1: under an exclusive lease every change is refused, and not a byte is gone', () => {
    const { kernel, name, file: place } = start(variant)
    const held = kernel.mustOpen(name, c.O_RDWR, holder)
    lease(kernel, held, 'exclusive')
    const file = kernel.mustOpen(name, c.O_RDWR, other)
    expect(kernel.truncate(file.nodeid, 0, null, other)).toBe(Errno.ETXTBSY)
    expect(kernel.truncate(file.nodeid, 100, file, other)).toBe(Errno.ETXTBSY)
    expect(kernel.fallocate(file, PUNCH_HOLE, 4096, other)).toBe(Errno.ETXTBSY)
    expect(kernel.fallocate(file, c.FALLOC_FL_ZERO_RANGE, 4096, other)).toBe(Errno.ETXTBSY)
    expect(kernel.open(name, c.O_RDWR | c.O_TRUNC, other)).toEqual({ errno: Errno.ETXTBSY })
    expect(kernel.open(name, c.O_TRUNC, holder)).toEqual({ errno: Errno.EDEADLK })
    const copy = { fh_in: file.fh, fh_out: file.fh, nodeid_out: file.nodeid, off_out: 0, len: 100 }
    const copied = kernel.call('COPY_FILE_RANGE', other, file.nodeid, encodeFields(s.copyFileRangeIn, copy))
    expect(copied.errno).toBe(Errno.EXDEV)
    expect(readFileSync(place, 'latin1')).toBe('x'.repeat(SIZE))
    // L7: it goes with the last close.
    kernel.close(held, holder)
    expect(kernel.truncate(file.nodeid, 100, file, other)).toBe(0)
  })

  test('B1, B2, B4: a normal lease makes every change wait, wakes who polls, and lets it go on', () => {
    const { kernel, name, file: place } = start(variant)
    const held = kernel.mustOpen(name, c.O_RDWR, holder)
    const file = kernel.mustOpen(name, c.O_RDWR, other)
    const changes = [
      () => kernel.truncate(file.nodeid, 6000, null, other),
      () => kernel.truncate(file.nodeid, 5000, file, other),
      () => kernel.fallocate(file, PUNCH_HOLE, 4096, other),
      () => kernel.open(name, c.O_RDWR | c.O_TRUNC, other),
    ]
    for (const [index, change] of changes.entries()) {
      lease(kernel, held, 'normal')
      const pollIn = encodeFields(s.pollIn, {
        fh: held.fh,
        kh: BigInt(index + 1),
        flags: 1,
        events: c.POLLPRI,
      })
      expect(kernel.call('POLL', holder, held.nodeid, pollIn).errno).toBe(0)
      const before = statSync(place)
      const waiting = change()
      if (typeof waiting !== 'bigint') throw new Error(`it does not wait: ${JSON.stringify(waiting)}`)
      expect(kernel.polled.at(-1)).toBe(BigInt(index + 1))
      expect(kernel.answerTo(waiting)).toBeNull()
      expect(statSync(place)).toEqual(before)
      expect(kernel.ioctl(held, abi.RELEASE, abi.encodeU64(0), holder).errno).toBe(0)
      expect(kernel.answerTo(waiting)).toMatchObject({ errno: 0 })
      expect(statSync(place)).not.toEqual(before)
    }
    expect(statSync(place).size).toBe(0)
  })

  test('B6: who may not wait is told EAGAIN, as far as the kernel says who that is', () => {
    const { kernel, name } = start(variant)
    lease(kernel, kernel.mustOpen(name, c.O_RDWR, holder), 'normal')
    const flags = c.O_RDWR | c.O_NONBLOCK
    const file = kernel.mustOpen(name, flags, other)
    expect(kernel.truncate(file.nodeid, 0, file, other)).toBe(Errno.EAGAIN)
    const opened = kernel.open(name, flags | c.O_TRUNC, other)
    if (kernel.has('FUSE_ATOMIC_O_TRUNC')) expect(opened).toEqual({ errno: Errno.EAGAIN })
    else expect(typeof opened).toBe('bigint')
  })

  const CHANGES: Readonly<Record<string, (kernel: SimulatedKernel, name: string, caller: Caller) => void>> = {
    'a write': (kernel, name, caller) => {
      const file = kernel.mustOpen(name, c.O_RDWR, caller)
      expect(kernel.write(file, 'y', caller)).toBe(0)
      kernel.close(file, caller)
    },
    ftruncate: (kernel, name, caller) => {
      const file = kernel.mustOpen(name, c.O_RDWR, caller)
      expect(kernel.truncate(file.nodeid, 5, file, caller)).toBe(0)
      kernel.close(file, caller)
    },
    'an open with O_TRUNC': (kernel, name, caller) => {
      kernel.close(kernel.mustOpen(name, c.O_RDWR | c.O_TRUNC, caller), caller)
    },
    fallocate: (kernel, name, caller) => {
      const file = kernel.mustOpen(name, c.O_RDWR, caller)
      expect([0, Errno.EOPNOTSUPP]).toContain(kernel.fallocate(file, PUNCH_HOLE, 4096, caller))
      kernel.close(file, caller)
    },
  }

  test('writing, truncating and punching by an ordinary user take the setuid and setgid bits', () => {
    expect(user.keepsSetid).toBe(false)
    for (const [change, make] of Object.entries(CHANGES)) {
      const { kernel, name, file } = start(variant)
      chmod(file, 0o6777)
      make(kernel, name, user)
      expect([change, modeOf(file)]).toEqual([change, '777'])
    }
  })

  test.skipIf(!isRoot)('by root they leave them (root)', () => {
    for (const [change, make] of Object.entries(CHANGES)) {
      const { kernel, name, file } = start(variant)
      chmod(file, 0o6777)
      make(kernel, name, other)
      expect([change, modeOf(file)]).toEqual([change, '6777'])
    }
  })

  test.skipIf(!isRoot)(
    'who takes a setgid bit without group execution depends on the group of the caller, whoever was served before (root)',
    () => {
      const inGroup = { ...user, gid: GROUP }
      for (const [change, make] of Object.entries(CHANGES)) {
        const { kernel, name, file } = start(variant)
        for (const [caller, before, mode] of [
          [user, inGroup, '666'],
          [inGroup, user, '2666'],
        ] as const) {
          chmod(file, 0o2666)
          kernel.close(kernel.create(`before-${++fileCount}`, c.O_RDWR, 0o644, 0, before), before)
          make(kernel, name, caller)
          expect([change, modeOf(file)]).toEqual([change, mode])
        }
      }
    },
  )

  test.skipIf(!isRoot)(
    'who is in the group of the directory may make a setgid file there, nobody else (root)',
    () => {
      const { kernel, tree } = start(variant)
      asOurselves(() => chownSync(tree, USER, GROUP))
      chmod(tree, 0o2777)
      for (const [name, caller, mode] of [
        ['by-user', user, 0o755],
        ['by-member', member, 0o2755],
      ] as const) {
        kernel.close(kernel.create(name, c.O_RDWR, 0o2755, 0, caller), caller)
        const made = statSync(path.join(tree, name))
        expect([made.gid, modeOf(path.join(tree, name))]).toEqual([GROUP, mode.toString(8)])
      }
    },
  )

  test.skipIf(!isRoot)(
    'an ACL that is set by who is not in the group of the file costs the setgid bit (root)',
    () => {
      const { kernel, name, file } = start(variant)
      for (const [caller, kills] of [
        [user, true],
        [member, false],
      ] as const) {
        chmod(file, 0o2777)
        const errno = kernel.setxattr(
          kernel.lookup(name, caller),
          'system.posix_acl_access',
          ACL,
          caller,
          kills,
        )
        expect(errno).toBe(0)
        expect(modeOf(file)).toBe(kills ? '775' : '2775')
      }
    },
  )
})

/** user::rwx, group::rwx, mask::rwx, user 1:rwx, other::r-x; version 2 of the kernel's format. */
const ACL = Buffer.concat([
  Buffer.from([2, 0, 0, 0]),
  ...[
    [1, 7, -1],
    [2, 7, 1],
    [4, 7, -1],
    [16, 7, -1],
    [32, 5, -1],
  ].map(([tag = 0, permissions = 0, id = 0]) => {
    const entry = Buffer.alloc(8)
    entry.writeUInt16LE(tag, 0)
    entry.writeUInt16LE(permissions, 2)
    entry.writeInt32LE(id, 4)
    return entry
  }),
])

describe('a kernel that will not do', () => {
  test('7.30 is refused', () => {
    expect(() => start({ minor: 30, offered: flagsOfMinor(45) })).toThrow(KernelTooOldError)
  })

  test('one without POSIX ACLs is refused: it would let in by the mode whom an ACL keeps out', () => {
    const variant = { minor: 45, offered: flagsOfMinor(45) & ~required }
    expect(() => start(variant)).toThrow(new KernelLacksError(['FUSE_POSIX_ACL']))
  })
})
