/** Whole directories and trees. */
import { rmSync } from 'node:fs'
import path from 'node:path'
import { call, dropNames } from '../machine.js'
import { makeFlatDirectory, makeTree, startAfresh, writeOut } from './files.js'
import { AS_BACKING, BETTER_THAN_RIVALS, MILLISECONDS, own, repeated, shared, timed } from './row.js'

/** @typedef {import('./row.js').Row} Row */
/** @typedef {import('./row.js').Scale} Scale */
/** @typedef {import('../world.js').World} World */

const ONCE = { count: 1 }
const ARCHIVE = 'tree.tar'

/** @param {World} world */
const archive = (world) => path.join(world.scratch, ARCHIVE)

/** @param {'list' | 'list-stat'} command @param {string} directory */
function listing(command, directory) {
  const { measure } = repeated(
    'metadata',
    command,
    (target) => shared(target, directory),
    () => ONCE,
  )
  return { measure, per: 'listing' }
}

/**
 * The first time and again. What needs a descriptor for every file fails in large directories: hence two rows.
 * @param {'list' | 'list-stat'} command
 * @param {string} name
 * @param {string} how
 * @param {number} count
 * @returns {Row}
 */
function listingRow(command, name, how, count) {
  const directory = `flat-${count}`
  const title = `${name} of ${count.toLocaleString('en')}`
  const isLong = count > 10_000
  return {
    ...MILLISECONDS,
    isSlow: isLong,
    isLong,
    isUncounted: isLong,
    prepare: (_world, backing) => makeFlatDirectory(path.join(backing, directory), count, ''),
    phases: [
      {
        name: `${title}, first`,
        how: `${how}, after drop_caches of names and inodes`,
        goal: BETTER_THAN_RIVALS,
        before: dropNames,
        ...listing(command, directory),
      },
      {
        name: `${title}, again`,
        how: 'a second process right behind it',
        goal: AS_BACKING,
        ...listing(command, directory),
      },
    ],
  }
}

/** @param {number} count @returns {Row[]} */
const listingRows = (count) => [
  listingRow('list', 'readdir', 'getdents alone', count),
  listingRow('list-stat', 'readdirplus', 'each entry looked at as well, as ls -l does', count),
]

/** @param {World} world @param {string} _backing @param {Scale} scale */
function prepareArchive(world, _backing, scale) {
  const tree = path.join(world.scratch, 'tree')
  makeTree(tree, scale.treeCount, () => 'h'.repeat(4096))
  call('tar', ['-C', world.scratch, '-cf', archive(world), 'tree'])
  rmSync(tree, { recursive: true })
}

/** @type {Row[]} */
export const TREES = [
  ...listingRows(5_000),
  ...listingRows(100_000),
  {
    ...MILLISECONDS,
    prepare: (_world, backing) => makeFlatDirectory(path.join(backing, 'flat-5000'), 5_000, ''),
    phases: [
      {
        name: 'ls -l of 5,000, first',
        how: 'asks for extended attributes as well; after drop_caches of names and inodes',
        goal: BETTER_THAN_RIVALS,
        before: dropNames,
        measure: (world, target) => timed(world, 'ls', '-l', shared(target, 'flat-5000')),
        per: 'listing',
      },
      {
        name: 'ls -l of 5,000, again',
        how: 'a second process right behind it',
        goal: BETTER_THAN_RIVALS,
        measure: (world, target) => timed(world, 'ls', '-l', shared(target, 'flat-5000')),
        per: 'listing',
      },
    ],
  },
  {
    ...MILLISECONDS,
    isSlow: true,
    prepare: prepareArchive,
    phases: [
      {
        name: 'untar',
        how: '5,000 files of 4 KiB in 50 directories, from an archive in memory',
        goal: BETTER_THAN_RIVALS,
        before: writeOut,
        measure: (world, target) => timed(world, 'tar', '-C', own(target, ''), '-xf', archive(world)),
        operations: (scale) => scale.treeCount,
        per: 'file',
      },
      {
        name: 'rm -rf',
        how: 'what was unpacked, after sync and drop_caches',
        goal: BETTER_THAN_RIVALS,
        before: startAfresh,
        measure: (world, target) => timed(world, 'rm', '-rf', own(target, 'tree')),
        operations: (scale) => scale.treeCount,
        per: 'file',
      },
    ],
  },
]
