import { expect, test } from 'vitest'
import { spread } from './measure.js'
import { formatTable, verdict } from './report.js'

const flat = (value: number) => ({ median: value, min: value, max: value })

function result(goal: number | 'bindfs' | null, holdfast: number, { noise = 1 } = {}) {
  const cell = (value: number) => ({ value: flat(value), ratio: flat(value) })
  const targets = { backing: cell(1), 'same again': cell(noise), bindfs: cell(2), holdfast: cell(holdfast) }
  return { name: 'row', unit: 'us', goal, targets }
}

test('spread: the median of an even number of figures lies between the two in the middle', () => {
  expect(spread([9, 1, 3])).toEqual({ median: 3, min: 1, max: 9 })
  expect(spread([4, 1, 3, 2])).toEqual({ median: 2.5, min: 1, max: 4 })
})

test('verdict: a goal in multiples of the backing directory', () => {
  expect(verdict(result(1.3, 1.3)).isReached).toBe(true)
  expect(verdict(result(1.3, 1.31)).isReached).toBe(false)
})

test('verdict: nothing is said where the backing directory misses the goal against itself', () => {
  expect(verdict(result(1.05, 1.2, { noise: 1.4 })).isReached).toBe(null)
  expect(verdict(result(1.05, 1.0, { noise: 1.4 })).isReached).toBe(true)
})

test('verdict: a goal of being no slower than bindfs', () => {
  expect(verdict(result('bindfs', 2)).isReached).toBe(true)
  expect(verdict(result('bindfs', 2.1)).isReached).toBe(false)
  expect(verdict(result('bindfs', 2.1, { noise: 1.1 })).isReached).toBe(null)
})

test('the table has a column per target, aligned, and a dash for what was not measured', () => {
  const { targets } = result(1.3, 1.1)
  const lines = formatTable(
    [{ title: 'free', results: [{ name: 'stat', unit: 'us', goal: 1.3, targets }] }],
    ['backing', 'same again', 'bindfs', 'holdfast', 'absent'],
  )
  expect(lines).toEqual([
    '         backing  unit     same again [x]         bindfs [x]       holdfast [x]  absent [x]  goal',
    '-- free',
    'stat        1.00    us  1.00 (1.00..1.00)  2.00 (2.00..2.00)  1.10 (1.10..1.10)           -   1.3  yes',
  ])
})
