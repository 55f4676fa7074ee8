/** The results as one table of text. */

/** @typedef {import('./measure.js').Result} Result */
/** @typedef {import('./measure.js').Spread} Spread */

/**
 * @typedef {object} Section
 * @property {string} title
 * @property {Result[]} results
 */

/** @param {number} value Three significant digits, without an exponent. */
function digits(value) {
  if (value >= 100) return value.toFixed(0)
  if (value >= 10) return value.toFixed(1)
  return value.toFixed(2)
}

/** @param {Spread} spread */
const range = ({ median, min, max }) => `${digits(median)} (${digits(min)}..${digits(max)})`

/**
 * Does Holdfast reach what this row has to reach? null: nobody can say.
 * @param {Result} result
 */
export function verdict({ goal, targets }) {
  const { holdfast } = targets
  if (goal === null || holdfast === undefined) return { goal: '', isReached: null }
  // Where the same directory measured twice is as far apart as that, nothing can be said.
  const noise = targets['same again']?.ratio?.max ?? 1
  if (goal === 'bindfs') {
    const other = targets.bindfs?.value.median
    if (other === undefined) return { goal: 'as bindfs', isReached: null }
    const own = holdfast.value.median
    return { goal: 'as bindfs', isReached: own <= other ? true : own <= other * noise ? null : false }
  }
  if (holdfast.ratio === null) return { goal: `${goal}`, isReached: holdfast.value.median <= goal }
  const own = holdfast.ratio.median
  return { goal: `${goal}`, isReached: own <= goal ? true : noise > goal ? null : false }
}

/** @param {string[][]} rows The first column to the left, the others to the right. */
function align(rows) {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
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
  const rows = [['', backing, 'unit', ...others.map((name) => `${name} [x]`), 'goal', '']]
  for (const { title, results } of sections) {
    rows.push([`-- ${title}`, '', '', ...others.map(() => ''), '', ''])
    for (const result of results) {
      const base = result.targets[backing]
      const cells = others.map((name) => {
        const cell = result.targets[name]
        if (cell === undefined) return '-'
        return cell.ratio === null ? `${range(cell.value)} ${result.unit}` : range(cell.ratio)
      })
      const { goal, isReached } = verdict(result)
      const mark = isReached === null ? (goal === '' ? '' : '?') : isReached ? 'yes' : 'NO'
      rows.push([
        result.name,
        base === undefined ? '-' : digits(base.value.median),
        result.unit,
        ...cells,
        goal,
        mark,
      ])
    }
  }
  return align(rows)
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
