/** One soak: load, rests, samples, verdict. Runs where on-mount.sh has made $MOUNT and $PLAIN. */
import { execFileSync, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findEngine, fromEnvironment } from '../engine.js'
import { readFigures } from './figures.js'
import { FIGURES, formatValue, formatVerdicts, judge, RESTS_LEAST } from './judgement.js'
import { Load, leak, preparing } from './load.js'
import { draw } from './picture.js'

const REST_PATIENCE_MS_MAX = 10_000
const SETTLE_PATIENCE_MS_MAX = 5000
const SETTLE_STEP_MS = 100
const PROGRESS_MS = 15_000
/** How much longer a short soak may take to have enough rests. */
const LONGER_AT_MOST = 10
/** Samples under load between two rests. */
const SAMPLES_BETWEEN = 4
/** What is still on its way when everything rests: it is waited for until it does not change any more. */
const SETTLING = /** @type {const} */ ([
  'descriptors',
  'watches',
  'leases',
  'pins',
  'inodes',
  'tables',
  'waiting',
])

/**
 * @typedef {object} Options
 * @property {number} seconds
 * @property {number} startS
 * @property {number} rests
 * @property {number} seed
 * @property {string} out
 * @property {boolean} passthrough
 * @property {boolean} leak
 */

/** @param {string} line */
const progress = (line) => process.stderr.write(`${line}\n`)

/** A remount drops what the kernel remembers of this one file system, and of no other. @param {string} mount */
function dropCaches(mount) {
  execFileSync('mount', ['-i', '-o', 'remount', mount])
}

/**
 * Until nothing changes any more, with a bound: with a leak it never does.
 * @param {import('../engine.js').Engine} engine
 * @param {number} patienceMs
 */
async function settled(engine, patienceMs) {
  const deadline = performance.now() + patienceMs
  let before = await readFigures(engine)
  for (;;) {
    await sleep(SETTLE_STEP_MS)
    const now = await readFigures(engine)
    if (SETTLING.every((name) => now[name] === before[name]) || performance.now() > deadline) return now
    before = now
  }
}

/** @param {Options} options @returns {Promise<number>} the exit code. */
export async function soak(options) {
  const { seconds, rests, seed } = options
  const mount = fromEnvironment('MOUNT')
  const material = `${fromEnvironment('PLAIN')}/material`
  const made = spawnSync(preparing(material)[0] ?? '', preparing(material).slice(1), {
    stdio: ['ignore', 2, 2],
  })
  if (made.status !== 0) throw new Error('the material for the load could not be made')
  const engine = findEngine()
  const place = { mount, material, control: engine.control }
  const load = new Load(place, seed, progress)
  const leaking = options.leak ? leak(place) : null
  const way = options.passthrough ? 'with' : 'without'
  const title = `Holdfast, ${Math.round(seconds)} s of mixed load, ${way} passthrough, seed ${seed}`
  progress(title)
  let isStopped = false
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.on(signal, () => {
      isStopped = true
      load.stop()
    })
  }

  /** @type {import('./judgement.js').Sample[]} */
  const samples = []
  const begunAt = performance.now()
  const elapsedS = () => (performance.now() - begunAt) / 1000
  const intervalS = seconds / rests
  const patienceMs = Math.min(REST_PATIENCE_MS_MAX, intervalS * 500)
  let toldAt = 0
  let served = 0
  try {
    const isEnough = () =>
      samples.filter(({ isRest, atS }) => isRest && atS >= options.startS).length >= RESTS_LEAST
    // On a machine that is busy with something else it may take longer.
    const lastS = seconds * LONGER_AT_MOST
    while (!isStopped && elapsedS() < (isEnough() ? seconds : lastS)) {
      load.start()
      const restAtS = elapsedS() + intervalS
      while (elapsedS() < restAtS && !isStopped) {
        await sleep((intervalS * 1000) / SAMPLES_BETWEEN)
        samples.push({ atS: elapsedS(), isRest: false, values: await readFigures(engine) })
      }
      await load.rest(patienceMs)
      dropCaches(mount)
      const values = await settled(engine, Math.min(SETTLE_PATIENCE_MS_MAX, intervalS * 1000))
      samples.push({ atS: elapsedS(), isRest: true, values })
      served = values.served ?? 0
      if (performance.now() - toldAt > PROGRESS_MS) {
        toldAt = performance.now()
        const said = FIGURES.map(
          (figure) => `${figure.name} ${formatValue(figure, values[figure.name] ?? Number.NaN)}`,
        )
        const { done, killed, failed } = load.counts
        progress(
          `${Math.round(elapsedS())} s: ${said.join(', ')}; jobs ${done} done, ${killed} killed, ${failed} failed`,
        )
      }
    }
  } finally {
    load.stop()
    await load.rest(0)
    if (leaking !== null) {
      leaking.stdin.end()
      await once(leaking, 'close')
    }
  }
  return report(options, samples, load.counts, served, title)
}

/**
 * @param {Options} options
 * @param {import('./judgement.js').Sample[]} samples
 * @param {Load['counts']} jobs
 * @param {number} served
 * @param {string} title
 */
function report(options, samples, jobs, served, title) {
  const { startS, seed, out } = options
  const verdicts = judge(samples, startS)
  mkdirSync(path.dirname(out), { recursive: true })
  writeFileSync(out, draw(verdicts, samples, startS, title))
  for (const line of formatVerdicts(verdicts, formatTime(startS))) console.log(line)
  const { done, killed, failed } = jobs
  console.log(`jobs: ${done} done, ${killed} killed, ${failed} failed; ${served} requests served`)
  console.log(`curves: ${out}`)
  const isFine = failed === 0 && verdicts.every((verdict) => verdict.isFine)
  const again = [`--seed ${seed} --seconds ${options.seconds} --start ${startS} --rests ${options.rests}`]
  if (!options.passthrough) again.push('--no-passthrough')
  if (options.leak) again.push('--leak')
  console.log(isFine ? `ok, seed ${seed}` : `failed; again: npm run soak -- ${again.join(' ')}`)
  return isFine ? 0 : 1
}

/** @param {number} seconds */
function formatTime(seconds) {
  return seconds < 60 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 6) / 10} min`
}
