import { constants } from 'node:os'
import { expect, test } from 'vitest'
import { Errno, errnoMessage, errnoName } from './errno.js'

test('every errno that Node knows has our number', () => {
  const { EWOULDBLOCK, ENOTSUP, ...others } = constants.errno
  for (const [name, number] of Object.entries(others)) {
    expect([name, (Errno as Record<string, number>)[name]]).toEqual([name, number])
  }
  // Second names: one errno is shown under one name.
  expect([EWOULDBLOCK, ENOTSUP]).toEqual([Errno.EAGAIN, Errno.EOPNOTSUPP])
})

test('names and numbers lead back to each other, and no number is there twice', () => {
  const numbers = Object.values(Errno)
  expect(new Set(numbers).size).toBe(numbers.length)
  for (const [name, number] of Object.entries(Errno)) expect(errnoName(number)).toBe(name)
})

test('errno 41 and 58 do not exist; what does not exist still has a name and a sentence', () => {
  expect([41, 58, 0, 999].map(errnoName)).toEqual(['E41', 'E58', 'E0', 'E999'])
  expect(errnoMessage(999)).toBe('Unknown error 999')
})

test('messages are those of strerror(3)', () => {
  expect([26, 35, 11, 37].map(errnoMessage)).toEqual([
    'Text file busy',
    'Resource deadlock avoided',
    'Resource temporarily unavailable',
    'No locks available',
  ])
})
