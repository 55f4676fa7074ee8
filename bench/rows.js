/**
 * What is measured. Each row prepares its files on the backing directory, and measures one target once when
 * asked to; how often, in which order, and what becomes of the figures is decided by measure.js.
 */
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import path from 'node:path'
import { call, HOLDFAST, isMounted, until } from './world.js'

/** @typedef {import('./world.js').World} World */
/** @typedef {import('./world.js').Target} Target */

/**
 * @typedef {object} Scale How much is done for one measurement.
 * @property {number} loopMs
 * @property {number} createCount
 * @property {number} treeCount Files of the tree that is listed, unpacked and removed.
 * @property {number} bigMib
 * @property {number} randomCount
 * @property {number} rounds
 * @property {number} warmUpMs Not counted, for each row and target.
 */

/** @type {Scale} */
export const FULL = {
  loopMs: 60,
  createCount: 1000,
  treeCount: 5000,
  bigMib: 128,
  randomCount: 20_000,
  rounds: 7,
  warmUpMs: 1500,
}
/** @type {Scale} */
export const QUICK = {
  loopMs: 20,
  createCount: 200,
  treeCount: 1000,
  bigMib: 32,
  randomCount: 5000,
  rounds: 3,
  warmUpMs: 700,
}

/**
 * @typedef {object} Row
 * @property {string[]} names One measurement gives one figure for each.
 * @property {string} unit
 * @property {number} nsPerUnit
 * @property {(number | 'bindfs' | null | { times: number, of: number })[]} [goals] For each name: at most this
 *   multiple of the backing directory, or at most what bindfs takes. For rows that only Holdfast has: at most so
 *   many of the unit, or so many times what another name of the row (by its index) takes.
 * @property {boolean} [onlyHoldfast]
 * @property {boolean} [isOnce] One round without warming up: what is measured does that itself.
 * @property {boolean} [isSlow] Runs as often as in a quick benchmark.
 * @property {(world: World, scale: Scale) => void} [prepare]
 * @property {(world: World, target: Target, scale: Scale) => number[] | Promise<number[]>} measure Nanoseconds.
 */

const MICROSECONDS = { unit: 'us', nsPerUnit: 1e3 }
const MILLISECONDS = { unit: 'ms', nsPerUnit: 1e6 }
const FILES_PER_DIRECTORY = 100
/** 100,000 leases, each an ioctl. */
const LEASES_TIMEOUT_MS = 300_000

/** @param {World} world @param {string[]} args */
function ops(world, ...args) {
  return call(world.ops, args)
    .trim()
    .split('\n')
    .map((line) => Number(line))
}

/** A mount that has just been made knows no names yet: what is measured is the first use. @param {World} world @param {Target} target */
function forget(world, target) {
  if (target.isFuse) call(world.ops, ['forget', target.directory])
}

/** @param {Target} target @param {string} name */
const within = (target, name) => path.join(target.directory, name)

/** @param {World} world @param {Scale} scale */
function prepareBigFile(world, scale) {
  const fd = openSync(path.join(world.backing, 'big'), 'w')
  const block = Buffer.alloc(2 ** 20, 'h')
  for (let index = 0; index < scale.bigMib; index++) writeSync(fd, block)
  closeSync(fd)
  // The dirty pages of this must not be written out while something else is measured.
  call('sync', ['-f', world.backing])
}

/** @param {World} world */
function prepareSmallFile(world) {
  writeFileSync(path.join(world.backing, 'small'), 'x'.repeat(8192))
}

/** @param {World} world @param {Scale} scale */
function prepareFlatDirectory(world, scale) {
  const directory = path.join(world.backing, 'flat')
  mkdirSync(directory)
  for (let index = 0; index < scale.treeCount; index++) {
    writeFileSync(path.join(directory, `entry-${String(index).padStart(6, '0')}`), '')
  }
}

/** @param {World} world @param {Scale} scale */
function prepareArchive(world, scale) {
  const tree = path.join(world.backing, 'tree')
  const content = Buffer.alloc(4096, 'h')
  for (let index = 0; index < scale.treeCount; index++) {
    const directory = path.join(tree, `directory-${Math.floor(index / FILES_PER_DIRECTORY)}`)
    if (index % FILES_PER_DIRECTORY === 0) mkdirSync(directory, { recursive: true })
    writeFileSync(path.join(directory, `file-${index}`), content)
  }
  call('tar', ['-C', world.backing, '-cf', `${world.ops}.tar`, 'tree'])
  rmSync(tree, { recursive: true })
}

/**
 * A loop over one file that the row's command names.
 * @param {string} command
 * @param {string} file
 * @param {(scale: Scale) => number} amount
 * @returns {Row['measure']}
 */
const onFile = (command, file, amount) => (world, target, scale) =>
  ops(world, command, within(target, file), String(amount(scale)))

/**
 * The best of several loops for each count: all leases are taken and kept by one process, which takes too long to
 * do it again for each round.
 * @param {World} world @param {Target} target @param {Scale} scale @param {number} files @param {number[]} counts
 */
function leaseAmong(world, target, scale, files, counts) {
  const args = ['lease-among', target.directory, files, 3 * scale.loopMs, ...counts].map(String)
  return call(world.ops, args, LEASES_TIMEOUT_MS).trim().split('\n').map(Number)
}

/** @param {Scale} scale */
const loopMs = (scale) => scale.loopMs
/** A pass over the big file takes several milliseconds. @param {Scale} scale */
const passesMs = (scale) => 4 * scale.loopMs

/** @type {Row[]} */
export const ROWS = [
  {
    ...MICROSECONDS,
    names: ['stat'],
    goals: ['bindfs'],
    prepare: prepareSmallFile,
    measure: onFile('stat', 'small', loopMs),
  },
  {
    ...MICROSECONDS,
    names: ['open+close'],
    goals: ['bindfs'],
    prepare: prepareSmallFile,
    measure: onFile('open', 'small', loopMs),
  },
  {
    ...MICROSECONDS,
    names: ['create', 'unlink'],
    goals: ['bindfs', 'bindfs'],
    // Made once and used by all in turn: a directory that changed behind a mount would be a stale name there.
    prepare: (world) => mkdirSync(path.join(world.backing, 'create')),
    measure: onFile('create', 'create', (scale) => scale.createCount),
  },
  {
    ...MILLISECONDS,
    names: ['ls -l, first', 'ls -l, again'],
    goals: ['bindfs', 'bindfs'],
    prepare: prepareFlatDirectory,
    measure(world, target) {
      forget(world, target)
      const list = () => ops(world, 'exec', 'ls', '-l', within(target, 'flat'))
      return [...list(), ...list()]
    },
  },
  {
    ...MILLISECONDS,
    names: ['untar', 'rm -rf'],
    goals: ['bindfs', 'bindfs'],
    isSlow: true,
    prepare: prepareArchive,
    measure(world, target) {
      const untar = ops(world, 'exec', 'tar', '-C', target.directory, '-xf', `${world.ops}.tar`)
      // What was unpacked must be neither written out during the removal nor during the next row.
      call('sync', ['-f', world.backing])
      forget(world, target)
      const remove = ops(world, 'exec', 'rm', '-rf', within(target, 'tree'))
      call('sync', ['-f', world.backing])
      return [...untar, ...remove]
    },
  },
  {
    ...MICROSECONDS,
    names: ['read 1 MiB'],
    goals: [1.05],
    prepare: prepareBigFile,
    measure: onFile('seq-read', 'big', passesMs),
  },
  {
    ...MICROSECONDS,
    names: ['write 1 MiB'],
    goals: [1.05],
    prepare: prepareBigFile,
    measure: onFile('seq-write', 'big', passesMs),
  },
  {
    ...MICROSECONDS,
    names: ['mmap read 1 MiB'],
    goals: [1.05],
    prepare: prepareBigFile,
    measure: onFile('mmap-read', 'big', passesMs),
  },
  {
    ...MICROSECONDS,
    names: ['random read 4 KiB'],
    goals: [1.3],
    prepare: prepareBigFile,
    measure: onFile('rand-read', 'big', (scale) => scale.randomCount),
  },
  {
    ...MICROSECONDS,
    names: ['random write 4 KiB'],
    goals: [1.3],
    prepare: prepareBigFile,
    measure: onFile('rand-write', 'big', (scale) => scale.randomCount),
  },
  {
    ...MICROSECONDS,
    names: ['lease set+release'],
    onlyHoldfast: true,
    prepare: prepareSmallFile,
    measure: onFile('lease', 'small', loopMs),
  },
  {
    ...MICROSECONDS,
    // One less than a user may have by default: the one that is set and released is the last.
    names: ['lease, 1 on 10,000 files', 'lease, 1,000 there', 'lease, 100,000 there'],
    goals: [null, null, { times: 2, of: 0 }],
    onlyHoldfast: true,
    isOnce: true,
    measure: (world, target, scale) => leaseAmong(world, target, scale, 10_000, [1, 1_000, 99_999]),
  },
  {
    ...MICROSECONDS,
    names: ['lease, 1 on one file', 'lease, 100 there', 'lease, 10,000 there'],
    goals: [null, null, { times: 2, of: 0 }],
    onlyHoldfast: true,
    isOnce: true,
    measure: (world, target, scale) => leaseAmong(world, target, scale, 1, [1, 100, 10_000]),
  },
  {
    ...MICROSECONDS,
    names: ['refused truncate'],
    onlyHoldfast: true,
    prepare: prepareSmallFile,
    measure: onFile('refused', 'small', loopMs),
  },
  {
    ...MILLISECONDS,
    names: ['added by holdfast run'],
    goals: [100],
    onlyHoldfast: true,
    prepare: prepareSmallFile,
    async measure(world) {
      // Beside the mounts that are measured above: this one `run` makes by itself, over the file.
      const file = path.join(world.backing, 'small')
      const [direct = 0] = ops(world, 'started', world.ops, 'now')
      const [run = 0] = ops(world, 'started', HOLDFAST, 'run', file, '--', world.ops, 'now')
      await until('the end of the mount that run made', () => !isMounted(file))
      return [run - direct]
    },
  },
]
