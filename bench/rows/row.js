/**
 * What a row is. A row only does a thing when asked to; how often, in which order, and what becomes of the figures
 * is decided by measure.js and requests.js.
 */
import path from 'node:path'
import { call } from '../machine.js'

/** @typedef {import('../world.js').World} World */
/** @typedef {import('../world.js').Target} Target */

/**
 * @typedef {{ ms: number } | { count: number }} Amount For so long, or so often.
 */

/**
 * @typedef {object} Scale How much is done for one measurement.
 * @property {number} rounds
 * @property {number} slowRounds Of rows that take seconds.
 * @property {number} rowMs A row that has taken longer begins no further round: on a busy machine the rows behind
 *   it matter more.
 * @property {number} warmUpMs Not counted, for each row and daemon.
 * @property {Amount} loop Of operations that take microseconds.
 * @property {Amount} passes Of passes over the big file.
 * @property {number} fileCount Files that are made, renamed and removed again.
 * @property {number} coldCount Files that are looked at without anybody knowing them.
 * @property {number} syncCount
 * @property {number} treeCount Files of the tree that is unpacked and removed.
 * @property {number} bigMib
 * @property {number} randomCount
 * @property {number} directCount
 * @property {number} repositoryCount Files of the git repository.
 * @property {number} packageCount
 * @property {number} sourceCount
 */

/** @type {Scale} */
export const FULL = {
  rounds: 5,
  slowRounds: 3,
  rowMs: 30_000,
  warmUpMs: 1000,
  loop: { ms: 50 },
  passes: { ms: 150 },
  fileCount: 500,
  coldCount: 1000,
  syncCount: 100,
  treeCount: 5000,
  bigMib: 64,
  randomCount: 20_000,
  directCount: 500,
  repositoryCount: 20_000,
  packageCount: 100,
  sourceCount: 100,
}

/** @type {Scale} */
export const QUICK = {
  ...FULL,
  rounds: 3,
  slowRounds: 2,
  rowMs: 15_000,
  warmUpMs: 400,
  loop: { ms: 20 },
  passes: { ms: 50 },
  fileCount: 300,
  coldCount: 500,
  syncCount: 30,
  bigMib: 32,
  randomCount: 5000,
  directCount: 100,
}

/** For counting requests, which are the same each time. @type {Scale} */
export const COUNTING = {
  ...FULL,
  loop: { count: 200 },
  passes: { count: 4 },
  fileCount: 500,
  coldCount: 500,
  syncCount: 50,
  treeCount: 1000,
  bigMib: 8,
  randomCount: 500,
  directCount: 100,
  repositoryCount: 1000,
  packageCount: 20,
  sourceCount: 20,
}

/**
 * What Holdfast has to reach:
 * - `backing`: at most so many times what the backing directory takes; with `allowsNoise`, or what its second copy
 *   takes at worst.
 * - `rivals`: at most so many times what the better of bindfs and passthrough_hp takes.
 * - `at most`: so many of the unit.
 * - `phase`: at most so many times what another phase of the row takes.
 * @typedef {{ kind: 'backing', times: number, allowsNoise?: boolean }
 *   | { kind: 'rivals', times: number }
 *   | { kind: 'at most', value: number }
 *   | { kind: 'phase', times: number, of: string }} Goal
 */

/**
 * @typedef {object} Phase One line of the table.
 * @property {string} name
 * @property {string} how How it is measured, in a few words.
 * @property {Goal | null} goal
 * @property {(world: World, target: Target, scale: Scale) => void | Promise<void>} [before] Not measured.
 * @property {(world: World, target: Target, scale: Scale) => number | Promise<number>} measure Nanoseconds.
 * @property {(scale: Scale) => number} [operations] How many operations that are, for counting requests per
 *   operation; one if it is missing. Nanoseconds are given for one of them or, for whole programs, for all.
 * @property {string} [per] What an operation is called where requests are counted; the operation if it is missing.
 */

/**
 * @typedef {object} Row Phases that follow each other in every round.
 * @property {string} unit
 * @property {number} nsPerUnit
 * @property {Phase[]} phases
 * @property {boolean} [onlyHoldfast]
 * @property {boolean} [isOnce] One round without warming up: what is measured does that itself.
 * @property {boolean} [isSlow] Takes seconds: fewer rounds, without warming up.
 * @property {boolean} [isLong] Takes minutes: a quick benchmark leaves it out.
 * @property {boolean} [isUncounted] Requests are those of another row.
 * @property {(world: World, backing: string, scale: Scale) => void} [prepare] Once for each backing directory.
 * @property {(world: World, own: string, scale: Scale) => void} [prepareOwn] Once for each target: in a directory
 *   of its own, seen on the disk.
 */

export const MICROSECONDS = { unit: 'us', nsPerUnit: 1e3 }
export const MILLISECONDS = { unit: 'ms', nsPerUnit: 1e6 }
export const SECONDS = { unit: 's', nsPerUnit: 1e9 }

/** A file that all targets share, and nobody changes. @param {Target} target @param {string} name */
export const shared = (target, name) => path.join(target.directory, name)

/**
 * What only this target changes: a directory that changed behind a mount would be stale there.
 * @param {Target} target @param {string} name
 */
export const own = (target, name) => path.join(target.directory, 'own', target.key, name)

/** @param {Amount} amount */
export const formatAmount = (amount) => ('ms' in amount ? `${amount.ms}ms` : `${amount.count}x`)

/** @param {Amount} amount */
export const countOf = (amount) => ('count' in amount ? amount.count : 1)

/** @param {string} program @param {string[]} args @param {{ cwd?: string }} [options] @returns {number} */
export function measured(program, args, options = {}) {
  return Number(call(program, args, { timeoutMs: 600_000, ...options }))
}

/**
 * The time of a whole program.
 * @param {World} world @param {string[]} argv
 */
export const timed = (world, ...argv) => measured(world.programs.timing, ['exec', ...argv])

/**
 * An operation that a measuring program repeats.
 * @param {'metadata' | 'data' | 'leases'} program
 * @param {string} command
 * @param {(target: Target) => string} file
 * @param {(scale: Scale) => Amount} amount Of each process.
 * @param {number} [processes]
 */
export function repeated(program, command, file, amount, processes = 1) {
  return {
    /** @type {Phase['measure']} */
    measure: (world, target, scale) => {
      const args = [command, file(target), formatAmount(amount(scale))]
      return measured(world.programs[program], processes === 1 ? args : [...args, String(processes)])
    },
    /** @type {(scale: Scale) => number} */
    operations: (scale) => processes * countOf(amount(scale)),
  }
}

/** @type {Goal} */
export const AS_BACKING = { kind: 'backing', times: 1, allowsNoise: true }
/** @type {Goal} */
export const BETTER_THAN_RIVALS = { kind: 'rivals', times: 0.8 }
/** @type {Goal} */
export const AS_RIVALS = { kind: 'rivals', times: 1 }
/** @param {number} times @returns {Goal} */
export const within = (times) => ({ kind: 'backing', times })
