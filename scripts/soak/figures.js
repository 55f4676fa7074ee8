/** What an engine has of everything, asked of the kernel where that knows it, else of `metrics`. */
import { readdirSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { descriptorsOf, parseMetrics, residentBytes } from '../engine.js'

const METRICS_PATIENCE_MS = 30_000

/** @typedef {import('../engine.js').Engine} Engine */

/** What epoll, inotify and fanotify descriptors watch: a line of fdinfo each. @param {number} pid */
function countWatches(pid) {
  let count = 0
  for (const fd of descriptorsOf(pid)) {
    let text = ''
    try {
      text = readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1')
    } catch (error) {
      // Descriptors go between listing and reading; an engine that is gone is noticed by who reads its metrics.
      if (!(error instanceof Error)) throw error
    }
    count += text.match(/^(?:tfd:|inotify wd:|fanotify ino:)/gm)?.length ?? 0
  }
  return count
}

/** @param {Map<string, number>} metrics @param {string} family */
function sumOf(metrics, family) {
  let sum = 0
  for (const [name, value] of metrics) if (name === family || name.startsWith(`${family}{`)) sum += value
  return sum
}

/**
 * A read of a mount whose engine hangs cannot be taken back, but need not be waited for.
 * @param {Promise<string>} text
 * @param {number} pid
 */
async function inTime(text, pid) {
  const giveUp = new AbortController()
  const before = describeThread(pid)
  const tooLate = sleep(METRICS_PATIENCE_MS, undefined, { signal: giveUp.signal }).then(() => {
    const now = describeThread(pid)
    throw new Error(
      `the engine has not said anything for ${METRICS_PATIENCE_MS} ms. Before:\n${before}\nNow:\n${now}`,
    )
  })
  try {
    return await Promise.race([text, tooLate])
  } finally {
    giveUp.abort()
    tooLate.catch(() => {})
  }
}

/** What the thread that serves is doing: its state, what it has used of a processor, where in the kernel it is. */
function describeThread(/** @type {number} */ pid) {
  const parts = ['stat', 'schedstat', 'wchan', 'stack'].map((name) => {
    try {
      return `${name}: ${readFileSync(`/proc/${pid}/task/${pid}/${name}`, 'latin1').trim()}`
    } catch (error) {
      return `${name}: ${error instanceof Error ? error.message : String(error)}`
    }
  })
  return parts.join('\n')
}

/** What a thread for slow I/O has: a heap, and an event loop of four descriptors, two of which are watched. */
const THREAD_BYTES = 5 << 20
const THREAD_FDS = 4
const THREAD_WATCHES = 2

/** @param {Engine} engine @returns {Promise<Record<string, number>>} */
export async function readFigures({ pid, control, connections }) {
  // First, because reading metrics leaves a RELEASE there for a moment.
  const waiting = connections.map((place) => Number(readFileSync(`${place}/waiting`, 'latin1')))
  const metrics = parseMetrics(await inTime(readFile(`${control}/metrics`, 'latin1'), pid))
  /** @param {string} kind */
  const memory = (kind) => metrics.get(`holdfast_memory_bytes{kind="${kind}"}`) ?? Number.NaN
  const threads = readdirSync(`/proc/${pid}/task`).length
  return {
    resident: residentBytes(pid) - threads * THREAD_BYTES,
    heap: memory('heap'),
    external: memory('external'),
    descriptors: descriptorsOf(pid).length - threads * THREAD_FDS,
    threads,
    watches: countWatches(pid) - threads * THREAD_WATCHES,
    leases: sumOf(metrics, 'holdfast_leases'),
    pins: sumOf(metrics, 'holdfast_pins'),
    inodes: sumOf(metrics, 'holdfast_inodes'),
    tables: sumOf(metrics, 'holdfast_table_entries') + sumOf(metrics, 'holdfast_files'),
    waiting: waiting.reduce((sum, count) => sum + count, 0),
    served: sumOf(metrics, 'holdfast_requests_total'),
  }
}
