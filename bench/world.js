/**
 * The place where everything is measured: a fresh journalled ext4 image in a mount and pid namespace of its
 * own, and the same directory of it seen directly, through bindfs and through Holdfast. The image is unlinked
 * as soon as it is mounted, and the namespaces take mounts and daemons with them: nothing has to be cleaned up
 * by hand, whatever ends the benchmark.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

export const HOLDFAST = fileURLToPath(new URL('../bin/holdfast', import.meta.url))
const OPS_SOURCE = fileURLToPath(new URL('./programs/ops.c', import.meta.url))
const IMAGE_MIB = 4096
const TIMEOUT_MS = 60_000

/** Starting Node takes three times as long with this; users of servers have it, but it is not ours to measure. */
const env = { ...process.env, LC_ALL: 'C', NODE_EXTRA_CA_CERTS: undefined }

/** @param {string} program */
export function hasProgram(program) {
  return spawnSync('sh', ['-c', 'command -v "$1"', 'sh', program]).status === 0
}

/**
 * @param {string} program
 * @param {string[]} args
 */
export function call(program, args, timeoutMs = TIMEOUT_MS) {
  return execFileSync(program, args, {
    encoding: 'utf8',
    env,
    timeout: timeoutMs,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

/** @param {string} point */
export function isMounted(point) {
  return readFileSync('/proc/self/mountinfo', 'latin1')
    .split('\n')
    .some((line) => line.split(' ')[4] === point)
}

/**
 * @param {string} what
 * @param {() => boolean} look
 */
export async function until(what, look, timeoutMs = 10_000) {
  const deadline = performance.now() + timeoutMs
  while (!look()) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms`)
    await sleep(5)
  }
}

/**
 * @typedef {object} Target
 * @property {string} name
 * @property {string} directory Where the data is seen through it.
 * @property {boolean} isFuse Its kernel caches can be dropped apart from those of the backing directory.
 * @property {boolean} hasLeases
 */

/**
 * @typedef {object} World
 * @property {string} backing The directory that all targets show.
 * @property {string} ops The program with the measuring loops.
 * @property {Target[]} targets The backing directory comes first.
 * @property {string[]} missing What is not measured, and why.
 */

/** @param {string} root A directory that exists; it is covered by a file system of the namespace. */
function makeDisk(root) {
  call('mount', ['-t', 'tmpfs', 'holdfast-bench', root])
  const image = `${root}.img`
  call('truncate', ['-s', `${IMAGE_MIB}M`, image])
  try {
    // Nothing may go on in the background while something is measured.
    call('mkfs.ext4', ['-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0', image])
    mkdirSync(path.join(root, 'disk'))
    call('mount', ['-o', 'loop', image, path.join(root, 'disk')])
  } finally {
    rmSync(image)
  }
  const backing = path.join(root, 'disk', 'data')
  mkdirSync(backing)
  return backing
}

/** Control directories of this run are not to be seen from outside. */
function hideRunDirectory() {
  mkdirSync('/run/holdfast', { recursive: true })
  call('mount', ['-t', 'tmpfs', 'holdfast-bench-run', '/run/holdfast'])
}

/**
 * @param {string} backing
 * @param {string} directory
 */
async function mountBindfs(backing, directory) {
  mkdirSync(directory)
  const daemon = spawn('bindfs', ['-f', backing, directory], { stdio: 'ignore', env })
  daemon.unref()
  await until('bindfs', () => isMounted(directory))
}

/**
 * @param {string} backing
 * @param {string} directory
 * @param {string[]} options
 */
function mountHoldfast(backing, directory, options) {
  mkdirSync(directory)
  call(HOLDFAST, ['mount', ...options, backing, directory])
  if (!isMounted(directory)) throw new Error('holdfast mount ended without a mount')
}

/**
 * @param {string} root
 * @param {{ passthroughOnly: boolean }} options
 * @returns {Promise<World>}
 */
export async function makeWorld(root, { passthroughOnly }) {
  /** @type {string[]} */
  const missing = []
  const backing = makeDisk(root)
  const ops = path.join(root, 'ops')
  call('cc', ['-O2', '-o', ops, OPS_SOURCE])
  /** @type {Target[]} */
  const targets = [
    { name: 'backing', directory: backing, isFuse: false, hasLeases: false },
    // The same again: what is measured here is how far two measurements of one thing lie apart.
    { name: 'same again', directory: backing, isFuse: false, hasLeases: false },
  ]
  if (hasProgram('bindfs')) {
    const directory = path.join(root, 'bindfs')
    await mountBindfs(backing, directory)
    targets.push({ name: 'bindfs', directory, isFuse: true, hasLeases: false })
  } else {
    missing.push('bindfs is not installed (apt-get install bindfs)')
  }
  if (existsSync(HOLDFAST)) {
    hideRunDirectory()
    const directory = path.join(root, 'holdfast')
    mountHoldfast(backing, directory, [])
    targets.push({ name: 'holdfast', directory, isFuse: true, hasLeases: true })
    if (!passthroughOnly) {
      const plain = path.join(root, 'holdfast-plain')
      mountHoldfast(backing, plain, ['--no-passthrough'])
      targets.push({ name: 'without passthrough', directory: plain, isFuse: true, hasLeases: true })
    }
  } else {
    missing.push('bin/holdfast is missing')
  }
  return { backing, ops, targets, missing }
}
