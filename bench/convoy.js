/**
 * Does one process hold up another? How long an open and a stat of a file that everybody remembers take, while another
 * process does what takes long. What counts is the 99th percentile, against that of the same target in peace.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { call } from './machine.js'
import { spread } from './measure.js'
import { makeWorld } from './world.js'

const SOURCE = fileURLToPath(new URL('./programs/convoy.c', import.meta.url))
const COPIED_MIB = 256
const TREE_DIRECTORIES = 100
const FILES_PER_DIRECTORY = 50
/** With what else goes on, the slowest hundredth may take so many times as long as in peace. */
const GOAL = 5

/** @typedef {import('./world.js').World} World */

/**
 * @typedef {object} Figures In microseconds: medians over the rounds.
 * @property {number} median
 * @property {number} p99
 * @property {number} longest The longest of all rounds.
 */

/** @typedef {{ name: string, targets: Record<string, Figures> }} ConvoyRow */

/** What the other process does, given a directory of the target; null for nothing. */
/** @type {{ name: string, argv: ((program: string, directory: string) => string[]) | null, isCold?: true }[]} */
const NOISES = [
  { name: 'nothing', argv: null },
  { name: 'fsync', argv: (program, directory) => [program, 'fsync', `${directory}/synced`] },
  { name: 'create, fsync, unlink', argv: (program, directory) => [program, 'create', directory] },
  {
    name: 'copies of 256 MiB',
    argv: (program, directory) => [program, 'copy', `${directory}/big`, `${directory}/copy`],
  },
  {
    name: 'find, with nothing remembered',
    argv: (_, directory) => ['find', `${directory}/tree`, '-size', '+1'],
    isCold: true,
  },
]

/** @param {string} backing */
function prepare(backing) {
  const directory = path.join(backing, 'convoy')
  mkdirSync(path.join(directory, 'tree'), { recursive: true })
  writeFileSync(path.join(directory, 'hot'), 'hot')
  writeFileSync(path.join(directory, 'big'), Buffer.alloc(COPIED_MIB << 20, 1))
  for (let outer = 0; outer < TREE_DIRECTORIES; outer++) {
    const inner = path.join(directory, 'tree', `d${outer}`)
    mkdirSync(inner)
    for (let file = 0; file < FILES_PER_DIRECTORY; file++) writeFileSync(path.join(inner, `f${file}`), 'x')
  }
  call('sync', [])
}

/**
 * Starts a command again whenever it ends, until it is stopped.
 * @param {string[]} argv
 * @param {() => void} before
 */
function keepRunning(argv, before) {
  let isStopped = false
  /** @type {import('node:child_process').ChildProcess | null} */
  let child = null
  /** @type {Promise<void>} */
  let ended = Promise.resolve()
  const start = () => {
    before()
    const started = spawn(argv[0] ?? '', argv.slice(1), { stdio: 'ignore' })
    child = started
    ended = new Promise((resolve) => started.once('close', () => resolve()))
    started.once('close', () => {
      if (!isStopped) start()
    })
  }
  start()
  return async () => {
    isStopped = true
    child?.kill('SIGKILL')
    await ended
  }
}

/** @param {string} program @param {string} file @param {number} ms @returns {Promise<number[]>} */
function probe(program, file, ms) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, ['probe', file, `${ms}`], { stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    child.stdout.on('data', (data) => {
      text += data
    })
    child.once('close', (code) => {
      if (code === 0) resolve(text.trim().split(' ').map(Number))
      else reject(new Error(`convoy probe ended with ${code}`))
    })
  })
}

/**
 * @param {World} world
 * @param {{ rounds: number, isQuick: boolean, progress: (text: string) => void }} options
 * @returns {Promise<ConvoyRow[]>}
 */
export async function benchConvoy(world, { rounds, isQuick, progress }) {
  const program = path.join(world.scratch, 'convoy')
  call('cc', ['-O2', '-o', program, SOURCE])
  const probeMs = isQuick ? 1000 : 3000
  const targets = world.targets.filter(({ name }) => name !== 'same again')
  for (const backing of world.backings) prepare(backing)
  /** @type {Map<string, number[][]>} */
  const found = new Map()
  for (let round = 0; round < rounds; round++) {
    for (const noise of NOISES) {
      progress(`  convoy: ${noise.name}`)
      for (const { name, directory } of targets) {
        const place = path.join(directory, 'convoy')
        await probe(program, path.join(place, 'hot'), 200)
        const forget = () => {
          if (noise.isCold !== true) return
          writeFileSync('/proc/sys/vm/drop_caches', '2')
        }
        const stop = noise.argv === null ? null : keepRunning(noise.argv(program, place), forget)
        const figures = await probe(program, path.join(place, 'hot'), probeMs)
        await stop?.()
        const key = `${noise.name}\n${name}`
        found.set(key, [...(found.get(key) ?? []), figures])
      }
    }
  }
  return NOISES.map((noise) => ({
    name: noise.name,
    targets: Object.fromEntries(
      targets.map(({ name }) => [name, figuresOf(found.get(`${noise.name}\n${name}`) ?? [])]),
    ),
  }))
}

/** @param {number[][]} rounds count, median, 99th percentile and longest, in nanoseconds */
function figuresOf(rounds) {
  const column = (/** @type {number} */ index) =>
    spread(rounds.map((round) => (round[index] ?? Number.NaN) / 1000))
  return { median: column(1).median, p99: column(2).median, longest: column(3).max }
}

/** @param {ConvoyRow[]} rows @returns {string[]} */
export function formatConvoy(rows) {
  const lines = ['open+close and stat of a remembered file, while another process does this:']
  const [peace] = rows
  for (const { name, targets } of rows) {
    lines.push(`  ${name}`)
    for (const [target, { median, p99, longest }] of Object.entries(targets)) {
      const ratio = p99 / (peace?.targets[target]?.p99 ?? Number.NaN)
      const verdict = ratio < GOAL ? '' : `  more than ${GOAL} times`
      const figures = [median, p99, longest].map((us) => us.toFixed(us < 100 ? 1 : 0).padStart(9)).join('')
      lines.push(
        `    ${target.padEnd(20)} median, p99, longest${figures} us   p99 x${ratio.toFixed(1)}${verdict}`,
      )
    }
  }
  return lines
}

/** `npm run bench:convoy -- [--quick]`, in namespaces of its own. */
async function main() {
  // What is mounted, and every process, goes with them: outside it would stay.
  if (process.pid !== 1) {
    console.error("bench/convoy.js: runs in namespaces of its own; start it with 'npm run bench:convoy'")
    process.exitCode = 2
    return
  }
  const isQuick = process.argv.includes('--quick')
  const root = mkdtempSync(path.join(tmpdir(), 'holdfast-convoy-'))
  const world = await makeWorld(root, { withPlain: false, counting: false })
  const progress = (/** @type {string} */ text) => process.stderr.write(`${text}\n`)
  const rows = await benchConvoy(world, { rounds: isQuick ? 3 : 5, isQuick, progress })
  console.log(formatConvoy(rows).join('\n'))
}

await main()
