/**
 * The place where everything is measured: a fresh journalled ext4 image in a mount and pid namespace of its own,
 * with two directories of the same content on it; the first is seen directly, through bindfs, passthrough_hp and
 * Holdfast, the second directly. The image is unlinked as soon as it is mounted, and the namespaces take mounts and
 * daemons with them: nothing has to be cleaned up by hand, whatever ends the benchmark.
 */
import { mkdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { call, sharePriority } from './machine.js'
import { mountPeer, peers } from './peers.js'

const SOURCES = fileURLToPath(new URL('./programs', import.meta.url))
const PROGRAMS = /** @type {const} */ (['metadata', 'data', 'leases', 'timing'])
const IMAGE_MIB = 8192
/** Half of it for directories of 100,000 files. */
const INODE_COUNT = 400_000
/** Column of the directory that is measured directly, and of the second one. */
export const BACKING = 'backing'
export const AGAIN = 'same again'

/**
 * @typedef {object} Target
 * @property {string} name
 * @property {string} key Its name in a path.
 * @property {string} directory Where the data is seen through it.
 * @property {string} backing The same directory on the disk.
 * @property {boolean} hasLeases
 * @property {{ file: string, request: RegExp } | null} log Where its daemon tells of each request.
 */

/**
 * @typedef {object} World
 * @property {string} scratch A directory in memory, for what is not to be measured.
 * @property {Record<'metadata' | 'data' | 'leases' | 'timing', string>} programs Compiled measuring programs.
 * @property {string[]} backings The directories on the disk. What is prepared is prepared in each.
 * @property {Target[]} targets The backing directory comes first.
 * @property {string[]} missing What is not measured, and why.
 */

/** @param {string} root A directory that exists; it is covered by a file system of the namespace. */
function makeDisk(root) {
  call('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'holdfast-bench', root])
  const image = `${root}.img`
  call('truncate', ['-s', `${IMAGE_MIB}M`, image])
  const disk = path.join(root, 'disk')
  try {
    // Nothing may go on in the background while something is measured.
    const ready = 'lazy_itable_init=0,lazy_journal_init=0'
    call('mkfs.ext4', ['-q', '-F', '-N', String(INODE_COUNT), '-E', ready, image])
    mkdirSync(disk)
    call('mount', ['-o', 'loop', image, disk])
  } finally {
    rmSync(image)
  }
  return disk
}

/** Control directories of this run are not to be seen from outside. */
function hideRunDirectory() {
  mkdirSync('/run/holdfast', { recursive: true })
  call('mount', ['-t', 'tmpfs', 'holdfast-bench-run', '/run/holdfast'])
}

/** @param {string} scratch */
function compile(scratch) {
  const compiled = PROGRAMS.map((name) => {
    const program = path.join(scratch, name)
    call('cc', ['-O2', '-o', program, path.join(SOURCES, `${name}.c`)])
    return [name, program]
  })
  return /** @type {World['programs']} */ (Object.fromEntries(compiled))
}

/** @param {string} name */
const keyOf = (name) => name.replaceAll(' ', '-')

/**
 * @param {string} root
 * @param {{ withPlain: boolean, counting: boolean }} options With `counting` every daemon logs its requests, and
 *   nothing is measured directly.
 * @returns {Promise<World>}
 */
export async function makeWorld(root, { withPlain, counting }) {
  /** @type {string[]} */
  const missing = []
  const disk = makeDisk(root)
  const scratch = path.join(root, 'scratch')
  mkdirSync(scratch)
  const backings = (counting ? ['first'] : ['first', 'second']).map((name) => path.join(disk, name))
  for (const directory of backings) mkdirSync(directory)
  const [first = '', second = first] = backings
  /** @param {string} name @param {string} directory @param {string} backing @returns {Target} */
  const target = (name, directory, backing) => ({
    name,
    key: keyOf(name),
    directory,
    backing,
    hasLeases: false,
    log: null,
  })
  const targets = counting ? [] : [target(BACKING, first, first), target(AGAIN, second, second)]
  hideRunDirectory()
  for (const peer of peers(withPlain)) {
    if (peer.lacks !== null) {
      missing.push(peer.lacks)
      continue
    }
    const directory = path.join(root, 'mounts', keyOf(peer.name))
    const file = counting ? path.join(scratch, `${keyOf(peer.name)}.log`) : null
    await mountPeer(peer, first, directory, file)
    targets.push({
      ...target(peer.name, directory, first),
      hasLeases: peer.name.startsWith('holdfast') || peer.name === 'without passthrough',
      log: file === null ? null : { file, request: peer.request },
    })
  }
  sharePriority()
  for (const { backing, key } of targets) mkdirSync(path.join(backing, 'own', key), { recursive: true })
  return { scratch, programs: compile(scratch), backings, targets, missing }
}
