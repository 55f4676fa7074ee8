import { type BigIntStats, lstatSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import * as c from './constants.js'
import { close, open, statFd, statPath } from './files.js'
import { cstr } from './libc.js'
import * as raw from './raw.js'
import { isType, Statx, type Timestamp } from './stat.js'
import { testDirectory } from './test-directory.js'

const directory = testDirectory()
const nanoseconds = (time: Timestamp) => BigInt(time.seconds) * 1_000_000_000n + BigInt(time.nanoseconds)

/** makedev(3) as glibc has it: 12 and 20 bits of the major number, 8 and 12 of the minor. */
function device(major: number, minor: number): bigint {
  const [a, b] = [BigInt(major), BigInt(minor)]
  return ((a & 0xfffff000n) << 32n) | ((a & 0xfffn) << 8n) | ((b & 0xffffff00n) << 12n) | (b & 0xffn)
}

function expectSame(stat: Statx, node: BigIntStats): void {
  expect({
    mode: BigInt(stat.mode),
    nlink: BigInt(stat.nlink),
    uid: BigInt(stat.uid),
    gid: BigInt(stat.gid),
    ino: stat.ino,
    size: BigInt(stat.size),
    blocks: BigInt(stat.blocks),
    blksize: BigInt(stat.blksize),
    atime: nanoseconds(stat.atime),
    mtime: nanoseconds(stat.mtime),
    ctime: nanoseconds(stat.ctime),
    dev: device(stat.devMajor, stat.devMinor),
    rdev: device(stat.rdevMajor, stat.rdevMinor),
  }).toEqual({
    mode: node.mode,
    nlink: node.nlink,
    uid: node.uid,
    gid: node.gid,
    ino: node.ino,
    size: node.size,
    blocks: node.blocks,
    blksize: node.blksize,
    atime: node.atimeNs,
    mtime: node.mtimeNs,
    ctime: node.ctimeNs,
    dev: node.dev,
    rdev: node.rdev,
  })
}

describe('Statx agrees with lstat of Node, field by field', () => {
  const make: Record<string, (place: string) => void> = {
    'a regular file': (place) => writeFileSync(place, 'x'.repeat(5000), { mode: 0o4751 }),
    'a directory': (place) => mkdirSync(place),
    'a symlink': (place) => symlinkSync('nowhere', place),
    'a sparse file beyond 4 GiB': (place) => {
      writeFileSync(place, '')
      truncateSync(place, 2 ** 40 + 12345)
    },
  }
  for (const [title, create] of Object.entries(make)) {
    test(title, () => {
      const place = path.join(directory, title)
      create(place)
      expectSame(statPath(place, { follow: false }), lstatSync(place, { bigint: true }))
    })
  }

  for (const place of ['/dev/null', '/proc/self/mem', '/']) {
    test(place, () => {
      const stat = statPath(place, { follow: false })
      const node = lstatSync(place, { bigint: true })
      expect([stat.mode, stat.ino, device(stat.rdevMajor, stat.rdevMinor)]).toEqual([
        Number(node.mode),
        node.ino,
        node.rdev,
      ])
    })
  }
})

describe('times', () => {
  for (const [title, seconds, nanosecond] of [
    ['before 1970', -1, 999_999_999],
    ['long before 1970', -2_000_000_000, 1],
    ['1970', 0, 0],
    ['beyond 2038', 2 ** 31 + 5, 7],
    ['beyond 2106', 2 ** 32 + 5, 123_456_789],
  ] as const) {
    test(`${title} is read as it was set`, () => {
      const place = path.join(directory, title)
      writeFileSync(place, '')
      const times = Buffer.alloc(32)
      for (const offset of [0, 16]) {
        times.writeBigInt64LE(BigInt(seconds), offset)
        times.writeBigInt64LE(BigInt(nanosecond), offset + 8)
      }
      expect(raw.utimensat(c.AT_FDCWD, cstr(place), times, 0)).toBe(0)
      const stat = statPath(place, { follow: true })
      // A file system with narrower times gives others back, to us and to Node alike.
      expect(nanoseconds(stat.mtime)).toBe(lstatSync(place, { bigint: true }).mtimeNs)
      expect(stat.mtime.nanoseconds).toBeGreaterThanOrEqual(0)
    })
  }

  test('64-bit seconds of either sign are decoded', () => {
    const stat = new Statx()
    for (const seconds of [-1n, -(2n ** 33n), 2n ** 34n + 1n]) {
      stat.buffer.writeBigInt64LE(seconds, 112)
      expect(stat.mtime.seconds).toBe(Number(seconds))
    }
  })
})

test('tryRead gives an errno where read throws', () => {
  const missing = cstr(path.join(directory, 'missing'))
  expect(new Statx().tryRead(c.AT_FDCWD, missing, 0)).toBe(-2)
  expect(() => new Statx().read(c.AT_FDCWD, missing, 0)).toThrow(expect.objectContaining({ code: 'ENOENT' }))
})

test('statFd works on O_PATH descriptors, and isType compares the whole type', () => {
  const fd = open(directory, c.O_PATH)
  const { mode } = statFd(fd)
  expect(isType(mode, c.S_IFDIR)).toBe(true)
  // S_IFBLK shares its bits with S_IFDIR and S_IFCHR.
  expect(isType(mode, c.S_IFBLK)).toBe(false)
  close(fd)
})
