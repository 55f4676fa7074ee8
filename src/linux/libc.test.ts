import { expect, test } from 'vitest'
import { Errno } from '../lib/errno.js'
import { cstr, fromCstr } from './libc.js'
import * as raw from './raw.js'

test('cstr: ends bytes and text with one NUL', () => {
  expect(cstr('é')).toEqual(Buffer.from([0xc3, 0xa9, 0]))
  expect(cstr(Buffer.from([0xff, 0x2f]))).toEqual(Buffer.from([0xff, 0x2f, 0]))
  expect(cstr('')).toEqual(Buffer.from([0]))
})

test('cstr: a NUL inside is EINVAL, because the call would get another path', () => {
  const error = expect.objectContaining({ errno: Errno.EINVAL })
  expect(() => cstr('/etc/passwd\0.txt')).toThrow(error)
  expect(() => cstr(Buffer.from('already\0'))).toThrow(error)
})

test('fromCstr: the bytes before the first NUL, or all of them', () => {
  expect(fromCstr(Buffer.from('ab\0cd\0'))).toEqual(Buffer.from('ab'))
  expect(fromCstr(Buffer.from('ab'))).toEqual(Buffer.from('ab'))
})

test('a raw call gives the negative errno of that very call', () => {
  expect(raw.close(-1)).toBe(-Errno.EBADF)
  expect(raw.openat(-100, cstr('/nowhere/at/all'), 0, 0)).toBe(-Errno.ENOENT)
  expect(raw.kill(process.pid, 0)).toBe(0)
})
