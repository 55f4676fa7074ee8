import { describe, expect, test } from 'vitest'
import { CallPolicy, SLOW_MS, SLOW_PERIOD_MS, SUSPECT_COUNT } from './call-policy.js'

const GROUPS = ['look', 'change', 'write'] as const

describe('on a disk of this machine', () => {
  test.each(GROUPS)('a call to %s is made here as long as such calls are quick', (group) => {
    const policy = new CallPolicy(false)
    expect(policy.mayRunHere(group, 0)).toBe(true)
    policy.took(group, SLOW_MS, true, 10)
    expect(policy.mayRunHere(group, 10)).toBe(true)
  })

  test.each(GROUPS)('after a slow call to %s the next ones are made elsewhere, for a while', (group) => {
    const policy = new CallPolicy(false)
    policy.took(group, SLOW_MS + 1, true, 10)
    expect(policy.mayRunHere(group, 10)).toBe(false)
    expect(policy.mayRunHere(group, 10 + SLOW_PERIOD_MS - 1)).toBe(false)
    expect(policy.mayRunHere(group, 10 + SLOW_PERIOD_MS)).toBe(true)
  })

  test('a call that only waited for a processor says nothing, however long it took', () => {
    const policy = new CallPolicy(false)
    policy.took('change', 500, false, 0)
    expect(policy.mayRunHere('change', 0)).toBe(true)
    expect(policy.looksAtNext('change')).toBe(false)
  })

  test('after a call that took long for an unknown reason the next ones are looked at, and made here', () => {
    const policy = new CallPolicy(false)
    policy.took('change', 500, null, 0)
    expect(policy.mayRunHere('change', 0)).toBe(true)
    expect(policy.looksAtNext('look')).toBe(false)
    for (let count = 0; count < SUSPECT_COUNT; count++) expect(policy.looksAtNext('change')).toBe(true)
    expect(policy.looksAtNext('change')).toBe(false)
  })

  test('a slow call elsewhere counts as well, from its end', () => {
    const policy = new CallPolicy(false)
    const id = policy.sent('look', 0)
    policy.back('look', id, 500, true, 500)
    expect(policy.mayRunHere('look', 500 + SLOW_PERIOD_MS - 1)).toBe(false)
    expect(policy.mayRunHere('look', 500 + SLOW_PERIOD_MS)).toBe(true)
  })

  test('slow writing of data says nothing about names', () => {
    const policy = new CallPolicy(false)
    policy.took('write', 100, true, 0)
    expect(policy.mayRunHere('change', 0)).toBe(true)
    expect(policy.mayRunHere('look', 0)).toBe(true)
  })

  test('nothing is changed here while something is being written to disk; looking goes on', () => {
    const policy = new CallPolicy(false)
    policy.commitBegins()
    policy.commitBegins()
    policy.commitEnds(1, true, 0)
    expect(policy.mayRunHere('change', 0)).toBe(false)
    expect(policy.mayRunHere('look', 0)).toBe(true)
    policy.commitEnds(1, true, 0)
    expect(policy.mayRunHere('change', 0)).toBe(true)
  })

  test('nor soon after something took long to be written', () => {
    const policy = new CallPolicy(false)
    policy.commitBegins()
    policy.commitEnds(500, true, 500)
    expect(policy.mayRunHere('change', 500 + SLOW_PERIOD_MS - 1)).toBe(false)
    expect(policy.mayRunHere('change', 500 + SLOW_PERIOD_MS)).toBe(true)
    expect(policy.mayRunHere('look', 500)).toBe(true)
  })

  test('a change elsewhere that does not come back keeps changes and looks away', () => {
    const policy = new CallPolicy(false)
    const id = policy.sent('change', 0)
    expect(policy.mayRunHere('change', 1)).toBe(true)
    expect(policy.mayRunHere('change', 2)).toBe(false)
    expect(policy.mayRunHere('look', 2)).toBe(false)
    policy.back('change', id, 0.5, true, 3)
    expect(policy.mayRunHere('look', 3)).toBe(true)
  })

  test('a look elsewhere that does not come back keeps looks away, but no changes', () => {
    const policy = new CallPolicy(false)
    policy.sent('look', 0)
    expect(policy.mayRunHere('look', 2)).toBe(false)
    expect(policy.mayRunHere('change', 2)).toBe(true)
  })

  test('the oldest call counts, whichever comes back first', () => {
    const policy = new CallPolicy(false)
    const first = policy.sent('look', 0)
    const second = policy.sent('look', 10)
    policy.back('look', second, 0.1, true, 10)
    expect(policy.mayRunHere('look', 10)).toBe(false)
    policy.back('look', first, 0.1, true, 10)
    expect(policy.mayRunHere('look', 10)).toBe(true)
  })
})

test.each(GROUPS)('on a network nothing to %s is done here, however quick it was', (group) => {
  const policy = new CallPolicy(true)
  policy.took(group, 0, false, 0)
  expect(policy.mayRunHere(group, SLOW_PERIOD_MS * 10)).toBe(false)
})
