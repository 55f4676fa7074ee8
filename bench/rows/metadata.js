/** Names and attributes of one file at a time. */
import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { dropNames } from '../machine.js'
import { prepareSmallFile, prepareSmallFiles, SMALL_FILE, SMALL_FILES } from './files.js'
import { AS_BACKING, BETTER_THAN_RIVALS, MICROSECONDS, own, repeated, shared } from './row.js'

/** @typedef {import('./row.js').Row} Row */
/** @typedef {import('./row.js').Scale} Scale */
/** @typedef {import('../world.js').Target} Target */

const FILES = 'files'

/** @param {Target} target */
const smallFile = (target) => shared(target, SMALL_FILE)
/** @param {Target} target */
const smallFiles = (target) => shared(target, SMALL_FILES)
/** @param {Target} target */
const ownFiles = (target) => own(target, FILES)
/** @param {Scale} scale */
const loop = (scale) => scale.loop

/** @type {NonNullable<Row['prepareOwn']>} */
const prepareOwnFiles = (_world, directory) => mkdirSync(path.join(directory, FILES), { recursive: true })

/** Together the processes make as many files as one. @param {number} processes @returns {Row} */
function making(processes) {
  const by = processes === 1 ? '' : `, ${processes} processes`
  const where = processes === 1 ? 'in one directory' : 'each in a directory of its own'
  const amount = (/** @type {Scale} */ scale) => ({ count: Math.ceil(scale.fileCount / processes) })
  return {
    ...MICROSECONDS,
    prepareOwn: prepareOwnFiles,
    phases: [
      {
        name: `create+write+close${by}`,
        how: `new files of 4 KiB, ${where}`,
        goal: BETTER_THAN_RIVALS,
        ...repeated('metadata', 'write', ownFiles, amount, processes),
      },
      {
        name: `unlink of written${by}`,
        how: 'the same files, in their order',
        goal: BETTER_THAN_RIVALS,
        ...repeated('metadata', 'unlink', ownFiles, amount, processes),
      },
    ],
  }
}

/** @param {number} processes @returns {Row} */
function opening(processes) {
  return {
    ...MICROSECONDS,
    prepare: prepareSmallFile,
    phases: [
      {
        name: processes === 1 ? 'open+close' : `open+close, ${processes} processes`,
        how: 'one file, known to the kernel, for reading',
        goal: BETTER_THAN_RIVALS,
        ...repeated('metadata', 'open', smallFile, loop, processes),
      },
    ],
  }
}

/** @type {Row[]} */
export const METADATA = [
  {
    ...MICROSECONDS,
    prepare: prepareSmallFile,
    phases: [
      {
        name: 'stat, hot',
        how: 'one file again and again',
        goal: AS_BACKING,
        ...repeated('metadata', 'stat', smallFile, loop),
      },
    ],
  },
  {
    ...MICROSECONDS,
    prepare: prepareSmallFile,
    phases: [
      {
        name: 'stat, asked for',
        how: 'AT_STATX_FORCE_SYNC: a single request that needs nothing but an answer',
        goal: BETTER_THAN_RIVALS,
        ...repeated('metadata', 'ask', smallFile, loop),
      },
    ],
  },
  {
    ...MICROSECONDS,
    prepare: prepareSmallFiles,
    phases: [
      {
        name: 'stat, cold',
        how: 'files of one directory in turn, after drop_caches of names and inodes',
        goal: BETTER_THAN_RIVALS,
        before: dropNames,
        ...repeated('metadata', 'stat-each', smallFiles, (scale) => ({ count: scale.coldCount })),
      },
    ],
  },
  opening(1),
  opening(4),
  opening(16),
  {
    ...MICROSECONDS,
    prepare: prepareSmallFiles,
    phases: [
      {
        name: 'open+read+close',
        how: '1,000 files of 4 KiB in turn, in the page cache',
        goal: BETTER_THAN_RIVALS,
        ...repeated('metadata', 'read', smallFiles, loop),
      },
    ],
  },
  {
    ...MICROSECONDS,
    prepareOwn: prepareOwnFiles,
    phases: [
      {
        name: 'create+close',
        how: 'empty new files in one directory',
        goal: BETTER_THAN_RIVALS,
        ...repeated('metadata', 'create', ownFiles, (scale) => ({ count: scale.fileCount })),
      },
      {
        name: 'rename',
        how: 'the same files, to new names in the same directory',
        goal: BETTER_THAN_RIVALS,
        ...repeated('metadata', 'rename', ownFiles, (scale) => ({ count: scale.fileCount })),
      },
      {
        name: 'unlink',
        how: 'the same files, in their order',
        goal: BETTER_THAN_RIVALS,
        ...repeated('metadata', 'unlink-renamed', ownFiles, (scale) => ({ count: scale.fileCount })),
      },
    ],
  },
  making(1),
  making(4),
  making(16),
]
