import { expect, test } from 'vitest'
import type { EntryReply } from './api.js'
import { DirectoryBuffer } from './directory.js'
import { dirent, entryOut } from './wire/structs.js'

const DT_REG = 8

function entry(nodeid: number): EntryReply {
  const attr = {
    ino: 9n,
    size: 0,
    blocks: 0,
    atime: 0,
    mtime: 0,
    ctime: 0,
    atimeNsec: 0,
    mtimeNsec: 0,
    ctimeNsec: 0,
    mode: 0o100644,
    nlink: 1,
    uid: 0,
    gid: 0,
    rdev: 0,
    blksize: 4096,
    flags: 0,
  }
  return { nodeid, generation: 1, entryValidMs: 1500, attrValidMs: 0, attr }
}

test('directory: records are padded to 8 bytes with NULs', () => {
  const directory = new DirectoryBuffer()
  directory.start(4096, false)
  expect(directory.add(Buffer.from('abc'), 2n ** 64n - 1n, 1n, DT_REG)).toBe(true)
  expect(directory.add(Buffer.from('12345678'), 7n, 2n, DT_REG)).toBe(true)
  const bytes = directory.bytes()
  expect(bytes.length).toBe(32 + 32)
  expect(bytes.subarray(24, 32).toString('latin1')).toBe('abc\0\0\0\0\0')
  expect(dirent.decode(bytes, 0)).toEqual({ ino: 2n ** 64n - 1n, off: 1n, namelen: 3, type: DT_REG })
  expect(dirent.decode(bytes, 32)).toEqual({ ino: 7n, off: 2n, namelen: 8, type: DT_REG })
})

test('directory: never exceeds the size, exactly filling it is allowed', () => {
  const directory = new DirectoryBuffer()
  directory.start(64, false)
  expect(directory.add(Buffer.from('a'), 1n, 1n, DT_REG)).toBe(true)
  expect(directory.add(Buffer.from('123456789'), 1n, 2n, DT_REG)).toBe(false)
  expect(directory.add(Buffer.from('12345678'), 1n, 2n, DT_REG)).toBe(true)
  expect(directory.bytes().length).toBe(64)
  expect(directory.fits(0)).toBe(false)
})

test('directory: a smaller listing after a larger one shows nothing of it', () => {
  const directory = new DirectoryBuffer()
  directory.start(4096, false)
  directory.add(Buffer.from('left-over-name'), 1n, 1n, DT_REG)
  directory.start(64, false)
  expect(directory.bytes().length).toBe(0)
  directory.add(Buffer.from('b'), 1n, 1n, DT_REG)
  expect(directory.bytes().subarray(24).toString('latin1')).toBe('b\0\0\0\0\0\0\0')
})

test('directory plus: entries are counted as looked up unless they are null or have no nodeid', () => {
  const directory = new DirectoryBuffer()
  directory.start(4096, true)
  directory.addPlus(Buffer.from('.'), 1n, 1n, 4, null)
  directory.add(Buffer.from('..'), 1n, 2n, 4)
  directory.addPlus(Buffer.from('a'), 9n, 3n, DT_REG, entry(5))
  directory.addPlus(Buffer.from('b'), 9n, 4n, DT_REG, entry(0))
  expect(directory.nodeids).toEqual([5])
  const bytes = directory.bytes()
  expect(bytes.length).toBe(4 * 160)
  expect(bytes.subarray(0, entryOut.size).every((byte) => byte === 0)).toBe(true)
  const decoded = entryOut.decode(bytes, 320)
  expect(decoded).toMatchObject({ nodeid: 5, entry_valid: 1, entry_valid_nsec: 500_000_000 })
  expect(dirent.decode(bytes, 320 + entryOut.size)).toMatchObject({ off: 3n, namelen: 1 })
})

test('directory plus: an entry that does not fit is not counted', () => {
  const directory = new DirectoryBuffer()
  directory.start(200, true)
  expect(directory.fits(8)).toBe(true)
  expect(directory.addPlus(Buffer.from('a'), 9n, 1n, DT_REG, entry(5))).toBe(true)
  expect(directory.addPlus(Buffer.from('b'), 9n, 2n, DT_REG, entry(6))).toBe(false)
  expect(directory.nodeids).toEqual([5])
})

test('directory: addPlus belongs to READDIRPLUS', () => {
  const directory = new DirectoryBuffer()
  directory.start(4096, false)
  expect(() => directory.addPlus(Buffer.from('a'), 9n, 1n, DT_REG, entry(5))).toThrow('addPlus in a READDIR')
})
