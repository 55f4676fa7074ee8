import { describe, expect, test } from 'vitest'
import * as c from './constants.js'
import { close, open, statFd } from './files.js'
import { mountIdOf, parseMountInfo, readMounts, unmount } from './mounts.js'
import { testDirectory } from './test-directory.js'

const directory = testDirectory()

describe('parseMountInfo', () => {
  function parse(line: string) {
    const mounts = parseMountInfo(Buffer.from(`${line}\n`, 'latin1'))
    expect(mounts).toHaveLength(1)
    return mounts[0]
  }

  test('reads every field of the example in proc(5)', () => {
    expect(parse('36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue')).toEqual({
      id: 36,
      parent: 35,
      major: 98,
      minor: 0,
      root: Buffer.from('/mnt1'),
      mountpoint: Buffer.from('/mnt2'),
      options: ['rw', 'noatime'],
      type: 'ext3',
      source: Buffer.from('/dev/root'),
      superOptions: ['rw', 'errors=continue'],
    })
  })

  for (const [title, optional] of [
    ['no optional field', ''],
    ['one optional field', ' shared:7'],
    ['several optional fields', ' shared:7 master:2 propagate_from:1 unbindable'],
  ] as const) {
    test(`finds the type behind ${title}`, () => {
      expect(parse(`1 2 0:3 / /a rw${optional} - tmpfs none rw`)).toMatchObject({
        type: 'tmpfs',
        options: ['rw'],
      })
    })
  }

  test('undoes the escapes of space, tab, newline, backslash and hash, in every path', () => {
    const all = '/a\\040b\\011c\\012d\\134e\\043f'
    const bytes = Buffer.from('/a b\tc\nd\\e#f')
    expect(parse(`1 2 0:3 ${all} ${all} rw - fuse.x ${all} rw`)).toMatchObject({
      root: bytes,
      mountpoint: bytes,
      source: bytes,
    })
  })

  test('an escaped backslash before digits is not an escape again', () => {
    expect(parse('1 2 0:3 / /a\\134040b rw - t s rw')?.mountpoint).toEqual(Buffer.from('/a\\040b'))
  })

  test('a directory named "-" is not the separator', () => {
    expect(parse('1 2 0:3 - - rw - t s rw')).toMatchObject({ type: 't', root: Buffer.from('-') })
  })

  test('an empty source, and bytes that are not UTF-8', () => {
    const mount = parse('1 2 0:3 / /\xff\xfe rw - fuse  rw')
    expect(mount).toMatchObject({ type: 'fuse', superOptions: ['rw'] })
    expect(mount?.source).toEqual(Buffer.alloc(0))
    expect(mount?.mountpoint).toEqual(Buffer.from([0x2f, 0xff, 0xfe]))
  })

  test('lines that are cut off or empty are left out', () => {
    expect(parseMountInfo(Buffer.from('\n36 35 98:0 /mnt1\n36 35 98:0 / / rw shared:1 -\n'))).toEqual([])
  })
})

test('mountIdOf: the mount that a descriptor leads to is one of those in the table', () => {
  const fd = open(directory, c.O_PATH)
  const mount = readMounts().find(({ id }) => id === mountIdOf(fd))
  expect(mount?.mountpoint.length).toBeGreaterThan(0)
  expect(directory.startsWith(mount?.mountpoint.toString() ?? '?')).toBe(true)
  expect(statFd(fd).devMajor).toBe(mount?.major)
  close(fd)
})

test('unmounting what is no mount fails and names it', () => {
  expect(() => unmount(directory, 0)).toThrow(
    expect.objectContaining({ syscall: 'umount2', path: Buffer.from(directory) }),
  )
})
