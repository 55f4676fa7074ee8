import { beforeEach, describe, expect, test } from 'vitest'
import { Statx } from '../../linux/stat.js'
import { type Inode, type InodeHome, InodeTable } from './inode-table.js'

const S_IFDIR = 0o040755
const S_IFREG = 0o100644

/** A statx result, at the offsets of statx(2). */
function stat(ino: bigint, options: { mode?: number; birth?: number; device?: number } = {}): Statx {
  const result = new Statx()
  result.buffer.writeUInt16LE(options.mode ?? S_IFREG, 28)
  result.buffer.writeBigUInt64LE(ino, 32)
  result.buffer.writeUInt32LE(options.birth ?? 1, 80)
  result.buffer.writeUInt32LE(options.device ?? 8, 136)
  return result
}

const home: InodeHome = {
  size: () => 0,
  ownerUid: () => 0,
  nameLeads: () => 'unnamed',
  backingFd: () => -1,
  hold: () => {},
  letGo: () => {},
}

let dropped: number[]
let table: InodeTable

beforeEach(() => {
  dropped = []
  table = new InodeTable(stat(2n, { mode: S_IFDIR }), home, ({ nodeid }) => dropped.push(nodeid))
})

function look(ino: bigint, parent: Inode, name: string, options?: Parameters<typeof stat>[1]): Inode {
  return table.get(table.tell(stat(ino, options), parent, Buffer.from(`${name}\0`, 'latin1'), false, 0))
}

test('the root is nodeid 1 and is never dropped', () => {
  expect(table.root.nodeid).toBe(1)
  table.forget(table.root.nodeid, 1)
  expect(table.get(1)).toBe(table.root)
})

test('all names of a file lead to one inode, and it is called by the last one seen', () => {
  const first = look(10n, table.root, 'a')
  expect(look(10n, table.root, 'b')).toBe(first)
  expect(first.path().toString()).toBe('b')
  table.forget(first.nodeid, 1)
  expect(dropped).toEqual([])
  table.forget(first.nodeid, 1)
  expect(dropped).toEqual([first.nodeid])
  expect(table.tryGet(first.nodeid)).toBeUndefined()
})

test('nodeids are not used again', () => {
  const first = look(10n, table.root, 'a')
  table.forget(first.nodeid, 1)
  expect(look(10n, table.root, 'a').nodeid).toBeGreaterThan(first.nodeid)
})

describe('a file that has the inode number of a file that is gone', () => {
  test.each([
    ['another time of birth', { birth: 2 }],
    ['another type', { mode: S_IFDIR }],
    ['another device', { device: 9 }],
  ])('is told apart by %s', (_, options) => {
    const old = look(10n, table.root, 'a')
    const next = look(10n, table.root, 'a', options)
    expect(next).not.toBe(old)
    expect(table.get(old.nodeid)).toBe(old)
    table.forget(old.nodeid, 1)
    expect(table.find(stat(10n, options))).toBe(next)
  })
})

test('inode numbers beyond 2^53 are kept apart', () => {
  const first = look(2n ** 63n + 1n, table.root, 'a')
  const second = look(2n ** 63n + 2n, table.root, 'b')
  expect(first).not.toBe(second)
  expect(table.find(stat(2n ** 63n + 1n))).toBe(first)
})

test('a directory stays as long as something in it must be found through it', () => {
  const directory = look(20n, table.root, 'd', { mode: S_IFDIR })
  const file = look(21n, directory, 'f')
  table.forget(directory.nodeid, 1)
  expect(table.get(directory.nodeid)).toBe(directory)
  table.forget(file.nodeid, 1)
  expect(dropped).toEqual([file.nodeid, directory.nodeid])
  expect(table.size).toBe(1)
})

test('a moved file lets go of the directory that it was in', () => {
  const from = look(20n, table.root, 'from', { mode: S_IFDIR })
  const to = look(22n, table.root, 'to', { mode: S_IFDIR })
  const file = look(21n, from, 'f')
  table.forget(from.nodeid, 1)
  table.place(file, to, Buffer.from('g\0'))
  expect(dropped).toEqual([from.nodeid])
  expect(file.path().toString()).toBe('to/g')
})

test('open files and holds keep an inode', () => {
  const file = look(21n, table.root, 'f')
  file.openCount = 1
  file.holdCount = 1
  table.forget(file.nodeid, 1)
  file.openCount = 0
  table.settle(file)
  expect(dropped).toEqual([])
  file.holdCount = 0
  table.settle(file)
  expect(dropped).toEqual([file.nodeid])
})

test('names are bytes', () => {
  const name = Buffer.from([0xff, 0x20, 0x80])
  const file = look(21n, table.root, name.toString('latin1'))
  expect(file.path()).toEqual(name)
})

test('forgetting more than was looked up is a bug', () => {
  const file = look(21n, table.root, 'f')
  expect(() => table.forget(file.nodeid, 2)).toThrow('forgets more')
})
