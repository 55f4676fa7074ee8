import { expect, test } from 'vitest'
import { DEFAULT_POLICY } from '../../lease/index.js'
import { withinTimeout } from './request-timeout.js'

test('withinTimeout: without a limit the policy stays as it is', () => {
  expect(withinTimeout(DEFAULT_POLICY, null)).toBe(DEFAULT_POLICY)
})

test('withinTimeout: a change waits for half the limit at most, and never for nothing', () => {
  const breakTimeMs = (limitMs: number) => withinTimeout(DEFAULT_POLICY, limitMs).breakTimeMs
  expect([60_000, 20_000, 15_000, 1].map(breakTimeMs)).toEqual([10_000, 10_000, 7_500, 1])
})
