/**
 * Is something where it was? What a figure was just after the start is compared with what it is at the end, over
 * the samples that were taken at rest. Pure: tested in judgement.test.ts.
 */

/**
 * @typedef {object} Figure
 * @property {string} name
 * @property {'bytes' | 'count'} unit
 * @property {'median' | 'least'} typical Of the samples of a window. `least` for what garbage collection lets go of
 *   at a time of its own: it is compared where it was just collected.
 * @property {number} share How much of what it was it may grow by; for what settles at a level, not at a number.
 * @property {number} slack How much it may grow by besides.
 * @property {string} about What it is, for the picture.
 */

/**
 * @typedef {object} Sample
 * @property {number} atS Seconds after the start.
 * @property {boolean} isRest Nothing was going on, and the kernel's memory of the mount had been dropped.
 * @property {Readonly<Record<string, number>>} values By name of the figure.
 */

/**
 * @typedef {object} Verdict
 * @property {Figure} figure
 * @property {number} before
 * @property {number} after
 * @property {number} allowed
 * @property {boolean} isFine
 */

const MIB = 1 << 20

/** What is in a table, or in the kernel, at rest. @param {string} name @param {string} about @returns {Figure} */
function count(name, about, slack = 0) {
  return { name, unit: 'count', typical: 'median', share: 0, slack, about }
}

/** What finds a level of its own. @param {string} name @param {string} about @returns {Figure} */
function collected(name, about) {
  return { name, unit: 'bytes', typical: 'least', share: 0.25, slack: 4 * MIB, about }
}

/** Threads for slow I/O are started when they are needed: so many more than at first there may be at the end. */
const IO_THREADS = 16

/** @type {readonly Figure[]} */
export const FIGURES = [
  {
    name: 'resident',
    unit: 'bytes',
    typical: 'median',
    share: 0.15,
    slack: 16 * MIB,
    about: 'VmRSS, without threads',
  },
  collected('heap', 'what JavaScript has'),
  collected('external', 'memory of Buffers'),
  count('threads', 'of the process', IO_THREADS),
  count('descriptors', 'open, without those of threads', 16),
  count('watches', 'in epoll, inotify and fanotify, without those of threads', 8),
  count('leases', 'in the rules'),
  count('pins', 'in the rules'),
  count('inodes', 'in the table', 2),
  count('tables', 'entries of all others', 2),
  count('waiting', 'requests in the kernel'),
]

const WINDOW_LEAST = 3
/** After the start; with fewer there is no verdict. */
export const RESTS_LEAST = 2 * WINDOW_LEAST
/** A window is this part of what comes after the start. */
const WINDOW_SHARE = 6

/** @param {readonly number[]} values */
function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

/**
 * @param {readonly Sample[]} samples
 * @param {number} startS How long the start takes; what is before it does not count.
 * @returns {Verdict[]} one for each figure. Throws if there are too few samples to say anything.
 */
export function judge(samples, startS, figures = FIGURES) {
  const rests = samples.filter(({ isRest, atS }) => isRest && atS >= startS)
  const size = Math.max(WINDOW_LEAST, Math.floor(rests.length / WINDOW_SHARE))
  if (rests.length < 2 * size) {
    throw new Error(`only ${rests.length} samples at rest after ${startS} s: too few to compare ${2 * size}`)
  }
  return figures.map((figure) => {
    /** @param {readonly Sample[]} window */
    const typical = (window) => {
      const values = window.map(({ values }) => values[figure.name] ?? Number.NaN)
      return figure.typical === 'median' ? median(values) : Math.min(...values)
    }
    const before = typical(rests.slice(0, size))
    const after = typical(rests.slice(-size))
    const allowed = before * (1 + figure.share) + figure.slack
    // Not a number is not fine.
    return { figure, before, after, allowed, isFine: after <= allowed }
  })
}

/** @param {Figure} figure @param {number} value */
export function formatValue({ unit }, value) {
  return unit === 'bytes' ? `${(value / MIB).toFixed(1)} MiB` : String(Math.round(value * 10) / 10)
}

/** @param {readonly Verdict[]} verdicts @param {string} start How the start is called: "5 min". */
export function formatVerdicts(verdicts, start) {
  const rows = verdicts.map(({ figure, before, after, allowed, isFine }) => [
    figure.name,
    ...[before, after, allowed].map((value) => formatValue(figure, value)),
    isFine ? 'ok' : 'GREW',
  ])
  const table = [['figure', `after ${start}`, 'at the end', 'allowed', 'verdict'], ...rows]
  const widths = [0, 1, 2, 3].map((column) => Math.max(...table.map((row) => row[column]?.length ?? 0)))
  return table.map((row) =>
    row
      .map((cell, at) => (at === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[at] ?? 0)))
      .join('  '),
  )
}
