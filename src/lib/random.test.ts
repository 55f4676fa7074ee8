import { describe, expect, test } from 'vitest'
import { AssertionError } from './assert.js'
import { Random } from './random.js'

const draw = (seed: number) => {
  const random = new Random(seed)
  return Array.from({ length: 50 }, () => random.int(0, 1_000_000))
}

describe('Random', () => {
  test('the same seed gives the same numbers, another seed others', () => {
    expect(draw(7)).toEqual(draw(7))
    expect(draw(7)).not.toEqual(draw(8))
  })

  test('a seed means the same on every machine, for all time', () => {
    const random = new Random(1)
    expect([random.int(0, 99), random.int(0, 99), random.int(0, 99)]).toEqual([62, 0, 52])
  })

  test('int keeps within its bounds and reaches both', () => {
    const random = new Random(3)
    const seen = new Set(Array.from({ length: 500 }, () => random.int(-2, 2)))
    expect([...seen].sort((a, b) => a - b)).toEqual([-2, -1, 0, 1, 2])
  })

  test('an empty interval and an empty list are mistakes of the caller', () => {
    expect(() => new Random(1).int(2, 1)).toThrow(AssertionError)
    expect(() => new Random(1).pick([])).toThrow(AssertionError)
  })

  test('pick gives every item its turn; oneIn(1) is always true', () => {
    const random = new Random(5)
    expect(new Set(Array.from({ length: 100 }, () => random.pick(['a', 'b', 'c']))).size).toBe(3)
    expect(Array.from({ length: 20 }, () => random.oneIn(1))).not.toContain(false)
  })
})
