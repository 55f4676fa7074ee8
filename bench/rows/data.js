/** What is in files. */
import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { BIG_FILE, prepareBigFile } from './files.js'
import { countOf, MICROSECONDS, own, repeated, shared, within } from './row.js'

/** @typedef {import('./row.js').Row} Row */
/** @typedef {import('./row.js').Scale} Scale */
/** @typedef {import('../world.js').Target} Target */

const MIB_GOAL = 1.05
const PAGE_GOAL = 1.3

/** @param {Target} target */
const bigFile = (target) => shared(target, BIG_FILE)

/** A pass over the big file; figures are for one MiB of it. @param {string} name @param {string} command @param {string} how @returns {Row} */
function pass(name, command, how) {
  return {
    ...MICROSECONDS,
    prepare: prepareBigFile,
    phases: [
      {
        name,
        how,
        goal: within(MIB_GOAL),
        ...repeated('data', command, bigFile, (scale) => scale.passes),
        operations: (scale) => countOf(scale.passes) * scale.bigMib,
        per: 'MiB',
      },
    ],
  }
}

/**
 * 4 KiB here and there, by one or several processes.
 * @param {string} name
 * @param {string} command
 * @param {string} how
 * @param {(scale: Scale) => number} count Of all processes together.
 * @param {number} [processes]
 * @returns {Row}
 */
function random(name, command, how, count, processes = 1) {
  const by = processes === 1 ? '' : `, ${processes} processes`
  const amount = (/** @type {Scale} */ scale) => ({ count: Math.ceil(count(scale) / processes) })
  return {
    ...MICROSECONDS,
    prepare: prepareBigFile,
    phases: [
      {
        name: `${name}${by}`,
        how,
        goal: within(PAGE_GOAL),
        ...repeated('data', command, bigFile, amount, processes),
      },
    ],
  }
}

/** @param {number} processes @returns {Row} */
function synced(processes) {
  const amount = (/** @type {Scale} */ scale) => ({ count: Math.ceil(scale.syncCount / processes) })
  return {
    ...MICROSECONDS,
    prepareOwn: (_world, directory) => mkdirSync(path.join(directory, 'synced'), { recursive: true }),
    phases: [
      {
        name: processes === 1 ? 'write 4 KiB+fsync' : `write 4 KiB+fsync, ${processes} processes`,
        how: 'one block behind the other, each process in a file of its own',
        goal: within(PAGE_GOAL),
        ...repeated('data', 'sync-write', (target) => own(target, 'synced/file'), amount, processes),
      },
    ],
  }
}

/** @param {Scale} scale */
const randomCount = (scale) => scale.randomCount
/** @param {Scale} scale */
const directCount = (scale) => scale.directCount
const CACHED = 'the file is in the page cache; the pass in the middle, each with an open of its own'
const DIRECT = 'O_DIRECT; the pass in the middle, each with an open of its own'

/** @type {Row[]} */
export const DATA = [
  pass('read 1 MiB', 'seq-read', CACHED),
  pass('write 1 MiB', 'seq-write', CACHED),
  pass('read 1 MiB, direct', 'seq-read-direct', DIRECT),
  pass('write 1 MiB, direct', 'seq-write-direct', DIRECT),
  pass(
    'mmap read 1 MiB, first',
    'mmap-first',
    'a new mapping: every page of it is touched for the first time',
  ),
  pass('mmap read 1 MiB, again', 'mmap-again', 'the same mapping, once more'),
  random('random read 4 KiB', 'rand-read', 'the file is in the page cache', randomCount),
  random('random read 4 KiB', 'rand-read', 'the file is in the page cache', randomCount, 4),
  random('random read 4 KiB', 'rand-read', 'the file is in the page cache', randomCount, 16),
  random('random write 4 KiB', 'rand-write', 'the file is in the page cache', randomCount),
  random('random write 4 KiB', 'rand-write', 'the file is in the page cache', randomCount, 4),
  random('random write 4 KiB', 'rand-write', 'the file is in the page cache', randomCount, 16),
  random('random read 4 KiB, direct', 'rand-read-direct', 'O_DIRECT', directCount),
  random('random write 4 KiB, direct', 'rand-write-direct', 'O_DIRECT', directCount),
  synced(1),
  synced(4),
  synced(16),
]
