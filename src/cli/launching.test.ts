import { describe, expect, test } from 'vitest'
import { DEFAULT_POLICY } from '../daemon/main.js'
import { parsePolicy } from './launching.js'

describe('parsePolicy', () => {
  test('what is not given is the default', () => {
    expect(parsePolicy({})).toEqual(DEFAULT_POLICY)
  })

  test('what is given is taken', () => {
    expect(parsePolicy({ breakTime: '500', maxLeases: '7', maxPins: '1000000000' })).toEqual({
      ...DEFAULT_POLICY,
      breakTimeMs: 500,
      leaseCountMax: 7,
      pinCountMax: 1_000_000_000,
    })
  })

  for (const breakTime of ['', '0', '-1', '60001', '1.5', '1e3', '0x10', ' 5', 'x', '9999999999999']) {
    test(`a break time of ${JSON.stringify(breakTime)} is wrong usage, and the option is named`, () => {
      const error = expect.objectContaining({ exitCode: 2, message: expect.stringContaining('--break-time') })
      expect(() => parsePolicy({ breakTime })).toThrow(error)
    })
  }
})
