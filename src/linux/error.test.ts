import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Errno } from '../lib/errno.js'
import { check, LinuxError, showPath } from './error.js'

describe('showPath', () => {
  for (const [title, bytes, shown] of [
    ['UTF-8 stays as it is', Buffer.from('/tmp/größe 漢字'), '/tmp/größe 漢字'],
    [
      'a name that is not UTF-8 shows every byte that is not ASCII',
      Buffer.from([0x2f, 0xe9, 0x41]),
      '/\\xe9A',
    ],
    ['a name that is cut inside a character is not UTF-8', Buffer.from([0x61, 0xe2, 0x82]), 'a\\xe2\\x82'],
    ['newline and escape cannot forge a line or a colour', Buffer.from('a\nb\x1b[31m'), 'a\\x0ab\\x1b[31m'],
    ['controls above 0x7f are escaped as well', Buffer.from('a\u0085b\u007f'), 'a\\x85b\\x7f'],
    ['a NUL is shown and ends nothing', Buffer.from('a\0b'), 'a\\x00b'],
    ['a backslash stays: only what pathText adds tells it from an escape', Buffer.from('\\x41'), '\\x41'],
    ['nothing is nothing', Buffer.alloc(0), ''],
  ] as const) {
    test(title, () => expect(showPath(bytes)).toBe(shown))
  }

  test('whatever the bytes are, the text is one line without control characters', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        expect(showPath(bytes)).not.toMatch(/\p{Cc}/u)
      }),
    )
  })
})

describe('LinuxError', () => {
  test('has code, errno, syscall and path as the system errors of Node have', () => {
    const error = new LinuxError(Errno.ENOENT, 'openat', Buffer.from('/nowhere'))
    expect(error).toMatchObject({ name: 'LinuxError', code: 'ENOENT', errno: 2, syscall: 'openat' })
    expect(error.path).toEqual(Buffer.from('/nowhere'))
    expect(error.message).toBe("openat '/nowhere': No such file or directory")
  })

  test('takes a path with its NUL, and shows it without', () => {
    const error = new LinuxError(Errno.EACCES, 'statx', Buffer.from('/root/x\0'))
    expect(error.path).toEqual(Buffer.from('/root/x'))
    expect(error.message).toBe("statx '/root/x': Permission denied")
  })

  test('an empty path, as calls on a descriptor give it, is no path', () => {
    expect(new LinuxError(Errno.EBADF, 'statx', Buffer.from('\0')).message).toBe('statx: Bad file descriptor')
    expect(new LinuxError(Errno.EBADF, 'statx', '').path).toBeUndefined()
  })

  test('keeps the bytes of a path that is not UTF-8', () => {
    expect(new LinuxError(Errno.ENOENT, 'openat', Buffer.from([0xff, 0x2f])).path).toEqual(
      Buffer.from([0xff, 0x2f]),
    )
  })

  test('an errno that is in no table still has a code', () => {
    expect(new LinuxError(4000, 'ioctl')).toMatchObject({ code: 'E4000', errno: 4000 })
  })

  test('check gives a result back and throws a negative one as a positive errno', () => {
    expect(check(0, 'read')).toBe(0)
    expect(() => check(-Errno.EIO, 'read')).toThrow(
      expect.objectContaining({ errno: Errno.EIO, code: 'EIO' }),
    )
  })
})
