/** The results as one table of text. */

import { RIVALS } from './peers.js'
import { AGAIN } from './world.js'

/** @typedef {import('./measure.js').Result} Result */
/** @typedef {import('./measure.js').Spread} Spread */

/**
 * @typedef {object} Section
 * @property {string} title
 * @property {Result[]} results
 */

/** The column that has goals. */
export const HOLDFAST = 'holdfast'

/** @param {number} value Three significant digits, without an exponent. */
export function digits(value) {
  if (value >= 100) return value.toFixed(0)
  if (value >= 10) return value.toFixed(1)
  return value.toFixed(2)
}

/** @param {Spread} spread */
const range = ({ median, min, max }) => `${digits(median)} (${digits(min)}..${digits(max)})`

/**
 * How far two measurements of one thing lie apart: what the second backing directory takes, at worst of all rounds.
 * @param {Result} result
 */
function noiseOf({ targets }) {
  const ratio = targets[AGAIN]?.ratio
  return ratio === undefined || ratio === null ? 1 : Math.max(1, ratio.max)
}

/**
 * Does Holdfast reach what this row has to reach? null: nobody can say, because it misses it by less than the noise.
 * @param {Result} result
 * @param {Result[]} all Of the same section.
 * @returns {{ goal: string, isReached: boolean | null }}
 */
export function verdict(result, all) {
  const { goal, targets } = result
  const own = targets[HOLDFAST]
  if (goal === null || own === undefined) return { goal: '', isReached: null }
  /** @param {number} figure @param {number} limit */
  const judge = (figure, limit) => (figure <= limit ? true : figure <= limit * noiseOf(result) ? null : false)
  switch (goal.kind) {
    case 'backing': {
      const figure = own.ratio?.median ?? Number.NaN
      const limit = goal.allowsNoise === true ? goal.times * noiseOf(result) : goal.times
      return { goal: `${goal.times}`, isReached: figure <= limit ? true : judge(figure, goal.times) }
    }
    case 'rivals': {
      const others = RIVALS.flatMap((name) => targets[name]?.value.median ?? [])
      const text = `${goal.times} of others`
      if (others.length === 0) return { goal: text, isReached: null }
      return { goal: text, isReached: judge(own.value.median, goal.times * Math.min(...others)) }
    }
    case 'at most':
      return { goal: `${goal.value} ${result.unit}`, isReached: own.value.median <= goal.value }
    case 'phase': {
      const other = all.find(({ name }) => name === goal.of)?.targets[HOLDFAST]?.value.median ?? Number.NaN
      const limit = goal.times * other
      return { goal: `${digits(limit)} ${result.unit}`, isReached: own.value.median <= limit }
    }
  }
}

/**
 * @param {string[][]} rows
 * @param {('left' | 'right')[]} sides Of each column; without it the first to the left, the others to the right.
 */
function align(rows, sides = ['left']) {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) =>
    row
      .map((cell, column) =>
        sides[column] === 'left' ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  )
}

/**
 * @param {Section[]} sections
 * @param {string[]} targets Names in the order of columns; the first is the backing directory.
 */
export function formatTable(sections, targets) {
  const [backing = '', ...others] = targets
  const rows = [['', backing, 'unit', 'rounds', ...others.map((name) => `${name} [x]`), 'goal', '']]
  for (const { title, results } of sections) {
    rows.push([`-- ${title}`, '', '', '', ...others.map(() => ''), '', ''])
    for (const result of results) {
      const base = result.targets[backing]
      const cells = others.map((name) => {
        const cell = result.targets[name]
        if (cell === undefined) return '-'
        return cell.ratio === null ? `${range(cell.value)} ${result.unit}` : range(cell.ratio)
      })
      const { goal, isReached } = verdict(result, results)
      const mark = isReached === null ? (goal === '' ? '' : '?') : isReached ? 'yes' : 'NO'
      rows.push([
        result.name,
        base === undefined ? '-' : digits(base.value.median),
        result.unit,
        `${result.rounds}`,
        ...cells,
        goal,
        mark,
      ])
    }
  }
  return align(rows)
}

/** How many goals are reached. @param {Section[]} sections */
export function formatSummary(sections) {
  const all = sections.flatMap(({ results }) => results.map((result) => verdict(result, results)))
  const judged = all.filter(({ goal }) => goal !== '')
  const count = (/** @type {boolean | null} */ isReached) =>
    judged.filter((verdict) => verdict.isReached === isReached).length
  return `of ${judged.length} goals ${count(true)} are reached, ${count(false)} are missed, of ${count(null)} nothing can be said`
}

/** @param {import('./rows/row.js').Goal | null} goal */
export function formatGoal(goal) {
  if (goal === null) return '-'
  switch (goal.kind) {
    case 'backing':
      return `${goal.times}${goal.allowsNoise === true ? ', or the noise' : ''}`
    case 'rivals':
      return `${goal.times} of others`
    case 'at most':
      return `${goal.value} of the unit`
    case 'phase':
      return `${goal.times} times "${goal.of}"`
  }
}

/**
 * All rows: name, unit, how each is measured, and its goal.
 * @param {typeof import('./rows/index.js').THEMES} themes
 */
export function formatList(themes) {
  const rows = themes.flatMap(({ theme, rows }) => [
    [`-- ${theme}`, '', '', ''],
    ...rows.flatMap(({ unit, phases }) =>
      phases.map(({ name, how, goal }) => [name, unit, formatGoal(goal), how]),
    ),
  ])
  return align([['name', 'unit', 'goal', 'how'], ...rows], ['left', 'left', 'left', 'left'])
}

/** @param {Record<string, number>} counts */
export function formatCounts(counts) {
  const words = Object.entries(counts).map(([opcode, count]) => `${opcode} ${Number(count.toFixed(2))}`)
  return words.length === 0 ? 'none' : words.join(', ')
}

/**
 * A line for each operation and target.
 * @param {import('./requests.js').Requests[]} requests
 */
export function formatRequests(requests) {
  const rows = requests.flatMap(({ name, per, targets }) =>
    Object.entries(targets).map(([target, counts], index) => {
      const total = Object.values(counts).reduce((sum, count) => sum + count, 0)
      return [
        index === 0 ? name : '',
        index === 0 ? `for each ${per}` : '',
        target,
        total.toFixed(2),
        formatCounts(counts),
      ]
    }),
  )
  return align([['requests', '', '', 'all', 'by opcode'], ...rows], ['left', 'left', 'left', 'right', 'left'])
}

/** What the rules have to reach by themselves. */
const RULES_GOALS = { stepsPerSecond: 1_000_000, bytesPerLease: 300, growth: 2 }

/** @param {boolean} isReached */
const mark = (isReached) => (isReached ? 'yes' : 'NO')

/** @param {number} value */
const count = (value) => Math.round(value).toLocaleString('en')

/**
 * What the rules cost by themselves. The last point of a curve is what many leases cost: at most twice the first.
 * @param {import('./lease-rules.js').RulesResult} rules
 */
export function formatRules({ cases, bytesPerLease, curves }) {
  const goals = RULES_GOALS
  const steps = cases.map(({ name, stepsPerSecond }) => [
    `rules: ${name}`,
    count(stepsPerSecond),
    'steps/s',
    count(goals.stepsPerSecond),
    mark(stepsPerSecond >= goals.stepsPerSecond),
  ])
  const memory = [
    'rules: heap for each of 100,000 leases',
    count(bytesPerLease),
    'bytes',
    count(goals.bytesPerLease),
    mark(bytesPerLease <= goals.bytesPerLease),
  ]
  const growth = curves.flatMap(({ name, points }) =>
    points.map((point, index) => {
      const first = points[0]?.ns ?? Number.NaN
      const isLast = index === points.length - 1
      return [
        `rules: ${name}: ${count(point.count)}`,
        count(point.ns),
        'ns',
        isLast ? `${count(goals.growth * first)}` : '',
        isLast ? mark(point.ns <= goals.growth * first) : '',
      ]
    }),
  )
  return align([['', 'measured', 'unit', 'goal', ''], ...steps, memory, ...growth])
}
