/** The results as tables of Markdown, as docs/PERFORMANCE.md has them. */
import { digits, formatCounts, formatGoal, HOLDFAST, verdict } from './report.js'
import { AGAIN, BACKING } from './world.js'

/** @typedef {import('./report.js').Section} Section */
/** @typedef {import('./measure.js').Result} Result */
/** @typedef {import('./measure.js').Spread} Spread */

/** @param {string[][]} rows The first is the head. */
function table(rows) {
  const lines = rows.map((cells) => `| ${cells.join(' | ')} |`)
  return [lines[0] ?? '', `|${' --- |'.repeat(rows[0]?.length ?? 0)}`, ...lines.slice(1)]
}

/** @param {Spread} spread */
const range = ({ median, min, max }) => `${digits(median)} (${digits(min)}..${digits(max)})`

/** In bold what misses its goal, with a question mark where nothing can be said. @param {Result} result @param {Result[]} all */
function holdfastCell(result, all) {
  const cell = result.targets[HOLDFAST]
  if (cell === undefined) return ''
  const text = cell.ratio === null ? `${range(cell.value)} ${result.unit}` : range(cell.ratio)
  const { goal, isReached } = verdict(result, all)
  if (goal === '' || isReached === true) return text
  return isReached === false ? `**${text}**` : `${text} ?`
}

/** @param {Result} result @param {string} target */
function otherCell(result, target) {
  const ratio = result.targets[target]?.ratio
  if (ratio === undefined || ratio === null) return ''
  return target === AGAIN ? range(ratio) : digits(ratio.median)
}

/** @param {Section[]} sections @param {string[]} targets */
export function markdownTables(sections, targets) {
  const others = targets.filter((name) => name !== BACKING && name !== HOLDFAST)
  return sections.flatMap(({ title, results }) => [
    '',
    `${title[0]?.toUpperCase()}${title.slice(1)}:`,
    '',
    ...table([
      ['', BACKING, ...others, 'Holdfast', 'goal'],
      ...results.map((result) => {
        const base = result.targets[BACKING]
        return [
          result.name,
          base === undefined ? '' : `${digits(base.value.median)} ${result.unit}`,
          ...others.map((name) => otherCell(result, name)),
          holdfastCell(result, results),
          formatGoal(result.goal),
        ]
      }),
    ]),
  ])
}

/** @param {import('./requests.js').Requests[]} requests @param {string[]} others Besides Holdfast: only how many. */
export function markdownRequests(requests, others) {
  const total = (/** @type {Record<string, number> | undefined} */ counts) =>
    counts === undefined ? '' : digits(Object.values(counts).reduce((sum, count) => sum + count, 0))
  return [
    '',
    ...table([
      ['', 'for each', ...others, 'Holdfast', 'of which'],
      ...requests.map(({ name, per, targets }) => [
        name,
        per,
        ...others.map((other) => total(targets[other])),
        total(targets[HOLDFAST]),
        formatCounts(targets[HOLDFAST] ?? {}),
      ]),
    ]),
  ]
}
