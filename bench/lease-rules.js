// What the lease rules cost: steps per second of a mix, and heap of 100,000 leases on 1,000 files.
// Run it with: npm run build && node --expose-gc bench/lease-rules.js
import { pathToFileURL } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createLeaseRules, DEFAULT_POLICY } from '../dist/lease/index.js'

const FILE_COUNT = 1_000
const LEASE_COUNT = 100_000
const LEASES_PER_PROCESS = 100
const LEASE_BYTES = 1 << 20
const ROUND_COUNT = 100_000
const POLICY = { ...DEFAULT_POLICY, leaseCountMax: 2 * LEASE_COUNT }

/** @typedef {ReturnType<typeof createLeaseRules>} LeaseRules */

/** @returns {number} Bytes in use on the heap after a full collection. */
function heapBytes() {
  setFlagsFromString('--expose-gc')
  const gc = globalThis.gc ?? runInNewContext('gc')
  gc()
  return process.memoryUsage().heapUsed
}

/**
 * Takes a lease the way the engine asks for one.
 * @param {LeaseRules} rules
 * @param {number} index Each has its own open file description; the range depends on it too.
 * @param {Partial<Record<string, unknown>>} [what] What is not as usual: a normal read lease.
 */
function take(rules, index, what = {}) {
  const start = index * LEASE_BYTES
  const input = {
    kind: 'acquire',
    request: index,
    ofd: index,
    file: index % FILE_COUNT,
    process: Math.floor(index / LEASES_PER_PROCESS),
    user: 1000,
    range: { start, end: start + LEASE_BYTES },
    mode: 'read',
    level: 'normal',
    mayDelayOthers: true,
    whenBusy: 'fail',
    breakTimeMs: 0,
    ...what,
  }
  return must(rules.step(/** @type {any} */ (input), /** @type {any} */ (0)))
}

/**
 * @param {ReturnType<LeaseRules['step']>} step
 * @returns {any} Its answer, which has to be `done`.
 */
function must({ answer }) {
  if (answer.status !== 'done') throw new Error(`expected done, got ${JSON.stringify(answer)}`)
  return answer
}

/**
 * One round is 8 steps: a lease comes, is pinned and unpinned, refuses a change, lets another by, and goes.
 * @param {LeaseRules} rules
 * @param {number} index
 */
function round(rules, index) {
  const now = /** @type {any} */ (0)
  const ofd = /** @type {any} */ (2 * LEASE_COUNT + index)
  const file = /** @type {any} */ (index % FILE_COUNT)
  const breaker = /** @type {any} */ (999_999)
  const start = (2 * LEASE_COUNT + (index % 1_000)) * LEASE_BYTES
  const range = { start, end: start + LEASE_BYTES }
  const owner = /** @type {any} */ (index % 1_000)
  const process = { process: owner, user: /** @type {any} */ (1000) }
  const holder = { kind: /** @type {const} */ ('process'), process: owner }
  const { lease } = take(rules, ofd, { file, range, level: 'exclusive', process: owner })
  const pinned = must(rules.step({ kind: 'pin', lease, range, holder, ...process }, now))
  const change = {
    kind: /** @type {const} */ ('layout-change'),
    request: ofd,
    file,
    ofd: null,
    process: breaker,
    operation: /** @type {const} */ ('punch-hole'),
    nonBlocking: false,
  }
  if (rules.step({ ...change, range }, now).answer.status !== 'failed') throw new Error('not refused')
  must(rules.step({ kind: 'unpin', pin: pinned.pin, holder }, now))
  must(rules.step({ kind: 'release', ofd, lease }, now))
  must(rules.step({ ...change, range }, now))
  must(rules.step({ kind: 'layout-change-done', request: ofd }, now))
  must(rules.step({ kind: 'ofd-closed', ofd, mappings: [] }, now))
}

/** @returns {Promise<{ stepsPerSecond: number, bytesFor100kLeases: number }>} */
export async function benchLeaseRules() {
  const before = heapBytes()
  const rules = createLeaseRules(POLICY)
  for (let index = 0; index < LEASE_COUNT; index++) take(rules, index)
  const bytesFor100kLeases = heapBytes() - before
  for (let index = 0; index < ROUND_COUNT / 10; index++) round(rules, index)
  const startedAt = process.hrtime.bigint()
  for (let index = 0; index < ROUND_COUNT; index++) round(rules, index)
  const seconds = Number(process.hrtime.bigint() - startedAt) / 1e9
  if (rules.leaseCount !== LEASE_COUNT) throw new Error('leases were lost')
  return { stepsPerSecond: Math.round((8 * ROUND_COUNT) / seconds), bytesFor100kLeases }
}

/** How long whole-file read leases on one file take, all of them: it must not grow with the square. */
function benchOneFile() {
  for (const count of [1_000, 10_000, 100_000]) {
    const rules = createLeaseRules(POLICY)
    const startedAt = performance.now()
    const range = { start: 0, end: Number.POSITIVE_INFINITY }
    for (let index = 0; index < count; index++) take(rules, index, { file: 1, range })
    const takenMs = performance.now() - startedAt
    for (let ofd = 0; ofd < count; ofd++) {
      must(
        rules.step({ kind: 'release', ofd: /** @type {any} */ (ofd), lease: null }, /** @type {any} */ (0)),
      )
    }
    const releasedMs = performance.now() - startedAt - takenMs
    console.log(
      `${count} on one file: taken in ${takenMs.toFixed(1)} ms, released in ${releasedMs.toFixed(1)} ms`,
    )
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { stepsPerSecond, bytesFor100kLeases } = await benchLeaseRules()
  console.log(
    `${stepsPerSecond} steps per second, ${(bytesFor100kLeases / 1e6).toFixed(1)} MB for 100,000 leases`,
  )
  benchOneFile()
}
