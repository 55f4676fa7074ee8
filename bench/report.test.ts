import { expect, test } from 'vitest'
import { ratios, spread } from './measure.js'
import { formatRequests, formatSummary, formatTable, verdict } from './report.js'
import { countRequests, perOperation } from './requests.js'
import { THEMES } from './rows/index.js'
import { AS_BACKING, type Goal, within } from './rows/row.js'

const flat = (value: number) => ({ median: value, min: value, max: value })

function result(goal: Goal | null, holdfast: number, { noise = 1 } = {}) {
  const cell = (value: number) => ({ value: flat(value), ratio: flat(value) })
  const targets = {
    backing: cell(1),
    'same again': cell(noise),
    bindfs: cell(3),
    passthrough_hp: cell(2),
    holdfast: cell(holdfast),
  }
  return { name: 'row', unit: 'us', rounds: 5, goal, targets }
}

const isReached = (row: ReturnType<typeof result>) => verdict(row, []).isReached

test('spread: the median of an even number of figures lies between the two in the middle', () => {
  expect(spread([9, 1, 3])).toEqual({ median: 3, min: 1, max: 9 })
  expect(spread([4, 1, 3, 2])).toEqual({ median: 2.5, min: 1, max: 4 })
})

test('ratios: each round is compared with the backing directory in the same round', () => {
  expect(ratios([2, 30], [1, 10])).toEqual([2, 3])
})

test('verdict: a goal in multiples of the backing directory', () => {
  expect(isReached(result(within(1.3), 1.3))).toBe(true)
  expect(isReached(result(within(1.3), 1.31))).toBe(false)
})

test('verdict: nothing is said of a goal that is missed by less than the noise', () => {
  expect(isReached(result(within(1.05), 1.2, { noise: 1.4 }))).toBe(null)
  expect(isReached(result(within(1.05), 1.0, { noise: 1.4 }))).toBe(true)
  expect(isReached(result(within(1.05), 3.0, { noise: 1.4 }))).toBe(false)
})

test('verdict: as fast as the backing directory is as fast as its second copy', () => {
  expect(isReached(result(AS_BACKING, 1.1, { noise: 1.1 }))).toBe(true)
  expect(isReached(result(AS_BACKING, 1.1))).toBe(false)
})

test('verdict: a part of what the better of the others takes', () => {
  const goal: Goal = { kind: 'rivals', times: 0.8 }
  expect(isReached(result(goal, 1.6))).toBe(true)
  expect(isReached(result(goal, 1.7))).toBe(false)
  expect(isReached(result(goal, 1.7, { noise: 1.1 }))).toBe(null)
})

test('verdict: without the others nothing is said', () => {
  const { targets, ...rest } = result({ kind: 'rivals', times: 0.8 }, 1)
  const alone = { ...rest, targets: { backing: targets.backing, holdfast: targets.holdfast } }
  expect(verdict(alone, []).isReached).toBe(null)
})

test('verdict: a multiple of what another phase takes', () => {
  const first = { ...result(null, 2), name: 'first' }
  const goal: Goal = { kind: 'phase', times: 2, of: 'first' }
  expect(verdict(result(goal, 4), [first])).toEqual({ goal: '4.00 us', isReached: true })
  expect(verdict(result(goal, 4.1), [first]).isReached).toBe(false)
})

test('summary: lines without a goal do not count', () => {
  const results = [
    result(within(1), 1),
    result(within(1), 2),
    result(within(1), 1.2, { noise: 1.3 }),
    result(null, 9),
  ]
  expect(formatSummary([{ title: 'free', results }])).toBe(
    'of 3 goals 1 are reached, 1 are missed, of 1 nothing can be said',
  )
})

test('requests: Holdfast and libfuse log a line for each, of which the opcode counts', () => {
  const holdfast = ['rx 12: LOOKUP n1 "rx 1: OPEN" uid=0', 'tx 12: OK {}', 'rx 14 (resent): OPEN n2', '']
  expect(countRequests(holdfast.join('\n'), /^rx [^:]*: (\w+)/)).toEqual(
    new Map([
      ['LOOKUP', 1],
      ['OPEN', 1],
    ]),
  )
  const libfuse = ['unique: 2, opcode: LOOKUP (1), nodeid: 1', '   unique: 2, success, outsize: 144']
  expect(countRequests(libfuse.join('\n'), /^unique: \d+, opcode: (\w+)/)).toEqual(new Map([['LOOKUP', 1]]))
})

test('requests: they are given for one operation, the most frequent first, without stray ones', () => {
  const counts = new Map([
    ['GETATTR', 1],
    ['OPEN', 200],
    ['LOOKUP', 400],
  ])
  expect(Object.entries(perOperation(counts, 200))).toEqual([
    ['LOOKUP', 2],
    ['OPEN', 1],
  ])
})

test('requests: a line for each target', () => {
  const requests = [
    { name: 'stat', per: 'file', targets: { holdfast: { LOOKUP: 1, GETATTR: 0.5 }, bindfs: {} } },
  ]
  expect(formatRequests(requests).map((line) => line.replaceAll(/ +/g, ' '))).toEqual([
    'requests all by opcode',
    'stat for each file holdfast 1.50 LOOKUP 1, GETATTR 0.5',
    ' bindfs 0.00 none',
  ])
})

test('no two lines of the table have the same name', () => {
  const names = THEMES.flatMap(({ rows }) => rows.flatMap(({ phases }) => phases.map(({ name }) => name)))
  expect(names).toEqual([...new Set(names)])
})

test('the table has a column per target, aligned, and a dash for what was not measured', () => {
  const { targets } = result(null, 1.1)
  const lines = formatTable(
    [{ title: 'free', results: [{ name: 'stat', unit: 'us', rounds: 5, goal: within(1.3), targets }] }],
    ['backing', 'same again', 'bindfs', 'holdfast', 'absent'],
  )
  expect(lines).toEqual([
    '         backing  unit  rounds     same again [x]         bindfs [x]       holdfast [x]  absent [x]  goal',
    '-- free',
    'stat        1.00    us       5  1.00 (1.00..1.00)  3.00 (3.00..3.00)  1.10 (1.10..1.10)           -   1.3  yes',
  ])
})
