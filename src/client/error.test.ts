import { describe, expect, test } from 'vitest'
import { Errno } from '../lib/errno.js'
import { LinuxError } from '../linux/error.js'
import { asHoldfastError, HoldfastError } from './error.js'

describe('asHoldfastError', () => {
  const failing = (path?: Buffer) => () => {
    throw new LinuxError(Errno.ETXTBSY, 'ioctl', path)
  }

  test('gives a result back', () => {
    expect(asHoldfastError('PIN', undefined, () => 7)).toBe(7)
  })

  test('a failed system call has code, errno, syscall and path as the errors of Node have', () => {
    expect(() => asHoldfastError('SETLEASE', '/srv/a', failing())).toThrow(
      expect.objectContaining({
        name: 'HoldfastError',
        code: 'ETXTBSY',
        errno: 26,
        syscall: 'SETLEASE',
        path: '/srv/a',
        message: "SETLEASE '/srv/a': Text file busy",
      }),
    )
  })

  test('the path of the failed call is used where the caller names none', () => {
    const path = Buffer.from([0x2f, 0xff])
    expect(() => asHoldfastError('open', undefined, failing(path))).toThrow(
      expect.objectContaining({ path: '/\\xff' }),
    )
    expect(() => asHoldfastError('PIN', undefined, failing())).toThrow(
      expect.objectContaining({ path: undefined, message: 'PIN: Text file busy' }),
    )
  })

  test('what is no failed system call stays what it is', () => {
    const bug = new TypeError('oops')
    expect(() =>
      asHoldfastError('PIN', undefined, () => {
        throw bug
      }),
    ).toThrow(bug)
  })
})

test('HoldfastError is an Error with a stack', () => {
  const error = new HoldfastError(Errno.EAGAIN, 'SETLEASE')
  expect(error).toBeInstanceOf(Error)
  expect(error.stack).toContain('HoldfastError: SETLEASE: Resource temporarily unavailable')
})
