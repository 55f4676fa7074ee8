/** What the benchmark is told to do. */
import { parseArgs } from 'node:util'
import { FULL, QUICK } from './rows/row.js'

export const HELP = `npm run bench -- [options]

Measures two directories of the same content on a fresh ext4 image directly, and the first of them through bindfs,
passthrough_hp (if they are there) and Holdfast, in turn; then counts the requests that each operation causes.
The first column of figures is the backing directory; the others are multiples of it: median (min..max) over
the rounds. "same again" is the second directory: what lies within its range is noise. A goal is a multiple of the
backing directory or, "of others", of the better of bindfs and passthrough_hp; "?" misses it by less than the noise.

  --list               the names of all rows, how they are measured, and what they have to reach
  --only NAME          only rows whose name contains NAME, or of the theme NAME; may be given several times
  --quick              fewer and smaller rounds, without the rows that take minutes
  --rounds N           so many rounds of each row
  --pinned, --free     only with everything on one processor; only without that; neither: no counting
  --requests           only counting
  --with-plain         also measure Holdfast without passthrough
  --json               the figures as JSON
  --markdown           the tables of docs/PERFORMANCE.md
  --help               this text
`

export function readOptions() {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      rounds: { type: 'string' },
      list: { type: 'boolean', default: false },
      'with-plain': { type: 'boolean', default: false },
      pinned: { type: 'boolean', default: false },
      free: { type: 'boolean', default: false },
      requests: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      markdown: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
      inside: { type: 'string' },
      part: { type: 'string' },
    },
  })
  const rounds = values.rounds === undefined ? null : Number(values.rounds)
  if (rounds !== null && !(Number.isInteger(rounds) && rounds > 0)) {
    throw new Error(`--rounds ${values.rounds}: not a positive whole number`)
  }
  return { ...values, rounds }
}

/** @typedef {ReturnType<typeof readOptions>} Options */

/** @param {Options} options */
export function scaleOf({ quick, rounds }) {
  const scale = quick ? QUICK : FULL
  return rounds === null ? scale : { ...scale, rounds, slowRounds: rounds }
}

/**
 * @param {Options} options
 * @param {string} theme
 * @param {string} name
 */
export function isWanted({ only }, theme, name) {
  return only.length === 0 || only.some((part) => part === theme || name.includes(part))
}
