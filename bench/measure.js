/** Rounds, medians and ratios. */
import { writeOut } from './rows/files.js'
import { BACKING } from './world.js'

/** Of a failure in the table. */
const MESSAGE_LENGTH_MAX = 300

/** @typedef {import('./world.js').World} World */
/** @typedef {import('./world.js').Target} Target */
/** @typedef {import('./rows/row.js').Row} Row */
/** @typedef {import('./rows/row.js').Scale} Scale */
/** @typedef {import('./rows/row.js').Goal} Goal */

/**
 * @typedef {object} Spread
 * @property {number} median
 * @property {number} min
 * @property {number} max
 */

/**
 * @typedef {object} Result One line of the table.
 * @property {string} name
 * @property {string} unit
 * @property {number} rounds
 * @property {Goal | null} goal
 * @property {Record<string, { value: Spread, ratio: Spread | null }>} targets Values in the unit; ratios to the
 *   backing directory, round by round. Of rows that only Holdfast has there is no ratio.
 */

/**
 * @param {number[]} numbers At least one.
 * @returns {Spread}
 */
export function spread(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b)
  const at = (/** @type {number} */ index) => sorted[index] ?? Number.NaN
  const middle = Math.floor(sorted.length / 2)
  const median = sorted.length % 2 === 1 ? at(middle) : (at(middle - 1) + at(middle)) / 2
  return { median, min: at(0), max: at(sorted.length - 1) }
}

/** @param {World} world @param {Row} row */
export function targetsOf(world, row) {
  return world.targets.filter((target) => row.onlyHoldfast !== true || target.hasLeases)
}

/** @param {World} world @param {Row} row @param {Target[]} targets @param {Scale} scale */
export function prepareRow(world, row, targets, scale) {
  for (const backing of world.backings) row.prepare?.(world, backing, scale)
  for (const { backing, key } of targets) row.prepareOwn?.(world, `${backing}/own/${key}`, scale)
  writeOut(world)
}

/**
 * All phases of a row for one target.
 * @param {World} world
 * @param {Row} row
 * @param {Target} target
 * @param {Scale} scale
 * @returns {Promise<number[]>} In the row's unit, for each phase.
 */
async function measureOnce(world, row, target, scale) {
  const figures = []
  for (const phase of row.phases) {
    await phase.before?.(world, target, scale)
    figures.push((await phase.measure(world, target, scale)) / row.nsPerUnit)
  }
  return figures
}

/**
 * A target on which something does not work is left out of the row: it must not cost the figures of the others.
 * @param {Target} target
 * @param {() => Promise<void>} action
 * @param {Map<string, string>} failed By target: what it said.
 */
export async function guard(target, action, failed) {
  if (failed.has(target.name)) return
  try {
    await action()
  } catch (error) {
    failed.set(target.name, messageOf(error))
  }
}

/** The command and the first thing it said. @param {unknown} error */
export function messageOf(error) {
  const lines = error instanceof Error ? error.message.trim().split('\n') : [String(error)]
  return lines.slice(0, 2).join(': ').slice(0, MESSAGE_LENGTH_MAX)
}

/**
 * Runs a row without counting it: once, and for every daemon as long. What is measured is one that has been serving
 * for a while; one that has just started still has its code to compile and its memory to grow.
 * @param {World} world
 * @param {Row} row
 * @param {Target} target
 * @param {Scale} scale
 */
async function warmUp(world, row, target, scale) {
  const end = performance.now() + (target.directory === target.backing ? 0 : scale.warmUpMs)
  do await measureOnce(world, row, target, scale)
  while (performance.now() < end)
}

/** @param {Row} row @param {Scale} scale */
function roundsOf(row, scale) {
  if (row.isOnce === true) return 1
  return row.isSlow === true ? scale.slowRounds : scale.rounds
}

/**
 * Measures one row: every target once per round, in an order that turns from round to round, so that neither a
 * slow minute nor a place in the order is charged to one of them.
 * @param {World} world
 * @param {Row} row
 * @param {Scale} scale
 * @returns {Promise<{ results: Result[], failed: Map<string, string> }>} A result for each phase.
 */
export async function measureRow(world, row, scale) {
  const targets = targetsOf(world, row)
  /** @type {Map<string, string>} */
  const failed = new Map()
  if (targets.length === 0) return { results: [], failed }
  prepareRow(world, row, targets, scale)
  /** @type {Map<string, number[][]>} For each target one list of figures per round. */
  const figures = new Map(targets.map((target) => [target.name, []]))
  if (row.isOnce !== true && row.isSlow !== true) {
    for (const target of targets) await guard(target, () => warmUp(world, row, target, scale), failed)
  }
  const end = performance.now() + scale.rowMs
  for (let round = 0; round < roundsOf(row, scale) && (round === 0 || performance.now() < end); round++) {
    for (let place = 0; place < targets.length; place++) {
      const target = targets[(place + round) % targets.length]
      if (target === undefined) continue
      const measure = async () => {
        figures.get(target.name)?.push(await measureOnce(world, row, target, scale))
      }
      await guard(target, measure, failed)
    }
  }
  const done = targets.filter(({ name }) => !failed.has(name))
  return { results: resultsOf(row, done, figures), failed }
}

/** @param {Row} row @param {Target[]} targets @param {Map<string, number[][]>} figures @returns {Result[]} */
function resultsOf(row, targets, figures) {
  return row.phases.map((phase, index) => {
    const column = (/** @type {string} */ target) =>
      (figures.get(target) ?? []).map((measured) => measured[index] ?? Number.NaN)
    const base = row.onlyHoldfast === true ? null : column(BACKING)
    return {
      name: phase.name,
      unit: row.unit,
      rounds: Math.max(...targets.map(({ name }) => column(name).length)),
      goal: phase.goal,
      targets: Object.fromEntries(
        targets.map(({ name }) => [
          name,
          { value: spread(column(name)), ratio: base && spread(ratios(column(name), base)) },
        ]),
      ),
    }
  })
}

/** @param {number[]} own @param {number[]} base Of the same rounds. */
export function ratios(own, base) {
  return own.map((value, round) => value / (base[round] ?? Number.NaN))
}
