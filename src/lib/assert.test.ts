import { expect, test } from 'vitest'
import { AssertionError, assert, unreachable } from './assert.js'

test('assert: throws AssertionError with its message, for false only', () => {
  assert(true, 'fine')
  expect(() => assert(false, 'time went backwards')).toThrow(new AssertionError('time went backwards'))
})

test('unreachable: names what was not handled', () => {
  expect(() => unreachable({ kind: 'new' } as never)).toThrow('unhandled case: {"kind":"new"}')
})
