// What the lease rules cost by themselves: steps per second of the usual steps, heap for each lease kept, and how
// the cost of a step grows with what is there already.
// Run it with: npm run build && node --expose-gc bench/lease-rules.js
import { pathToFileURL } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createLeaseRules, DEFAULT_POLICY } from '../dist/lease/index.js'
import { spread } from './measure.js'
import { formatRules } from './report.js'

const FILE_COUNT = 10_000
const LEASE_COUNT = 100_000
const LEASES_PER_PROCESS = 100
const LEASE_BYTES = 1 << 20
const WHOLE_FILE = { start: 0, end: Number.POSITIVE_INFINITY }
const POLICY = { ...DEFAULT_POLICY, leaseCountMax: 3 * LEASE_COUNT }
/** Steps are timed in batches of so many, because reading the clock costs as much as a step. */
const BATCH = 5_000
/** A round lasts until each of its parts has had so much time. The first is not counted. */
const ROUND_MS = 100
const ROUND_COUNT = 5
/** Ids of what comes and goes start here, above those of what stays. */
const COMING = 10_000_000

/** @typedef {ReturnType<typeof createLeaseRules>} LeaseRules */
/** @typedef {{ name: string, stepsPerSecond: number }} CaseResult */
/** @typedef {{ name: string, points: { count: number, ns: number }[] }} Curve */
/** @typedef {{ cases: CaseResult[], bytesPerLease: number, curves: Curve[] }} RulesResult */

/** Not a whole number, as the engine's clock gives none. */
const NOW = /** @type {any} */ (86_400_000.5)

/** @returns {number} Bytes in use on the heap after a full collection. */
function heapBytes() {
  setFlagsFromString('--expose-gc')
  const gc = globalThis.gc ?? runInNewContext('gc')
  gc()
  return process.memoryUsage().heapUsed
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
 * Takes a lease the way the engine asks for one.
 * @param {LeaseRules} rules
 * @param {{ ofd: number, file: number, range?: { start: number, end: number }, process?: number, mode?: string, level?: string }} what
 * @returns {any} Its id.
 */
function take(rules, { ofd, file, range = WHOLE_FILE, process = 1, mode = 'read', level = 'normal' }) {
  const { start, end } = range
  const input = {
    kind: 'acquire',
    request: ofd,
    ofd,
    file,
    process,
    user: 1000,
    range: { start, end },
    mode,
    level,
    mayDelayOthers: true,
    whenBusy: 'fail',
    breakTimeMs: 0,
  }
  return must(rules.step(/** @type {any} */ (input), NOW)).lease
}

/** @param {LeaseRules} rules @param {any} ofd @param {any} lease */
function release(rules, ofd, lease) {
  must(rules.step({ kind: 'release', ofd, lease }, NOW))
}

/**
 * A layout change of a stranger.
 * @param {LeaseRules} rules
 * @param {any} file
 * @param {{ start: number, end: number }} range
 */
function change(rules, file, { start, end }) {
  const input = {
    kind: 'layout-change',
    request: COMING,
    file,
    ofd: null,
    process: COMING,
    operation: 'punch-hole',
    range: { start, end },
    nonBlocking: false,
  }
  return rules.step(/** @type {any} */ (input), NOW)
}

/** @param {number} index */
const rangeAt = (index) => ({ start: index * LEASE_BYTES, end: (index + 1) * LEASE_BYTES })

/**
 * Leases that stay: each on an open file description of its own, side by side on the files in turn.
 * @param {number} count
 */
function rulesWith(count) {
  const rules = createLeaseRules(POLICY)
  for (let index = 0; index < count; index++) {
    take(rules, {
      ofd: index + 1,
      file: index % FILE_COUNT,
      process: Math.floor(index / LEASES_PER_PROCESS) + 1,
      range: rangeAt(Math.floor(index / FILE_COUNT)),
    })
  }
  return rules
}

/** Time of a processor: on a machine that has other things to do, the time of a clock says nothing. */
function cpuNs() {
  const { user, system } = process.cpuUsage()
  return (user + system) * 1e3
}

/** @param {(index: number) => void} action Done BATCH times. @returns {number} Nanoseconds. */
function timeBatch(action) {
  const start = cpuNs()
  for (let index = 0; index < BATCH; index++) action(index)
  return cpuNs() - start
}

/**
 * @param {() => number[]} batch Nanoseconds for BATCH times each of its parts.
 * @returns {number[]} Nanoseconds for each part once, the median of the rounds. What the garbage collector takes
 *   counts: a round is long enough to have its share.
 */
function measure(batch) {
  /** @type {number[][]} */
  const rounds = []
  for (let round = 0; round <= ROUND_COUNT; round++) {
    let sums = batch()
    let count = 1
    while (Math.min(...sums) < ROUND_MS * 1e6) {
      const times = batch()
      sums = sums.map((sum, part) => sum + (times[part] ?? Number.NaN))
      count++
    }
    if (round > 0) rounds.push(sums.map((sum) => sum / count / BATCH))
  }
  return (rounds[0] ?? []).map((_, part) => spread(rounds.map((times) => times[part] ?? Number.NaN)).median)
}

/** The usual steps, while 1,000 leases are there. @returns {CaseResult[]} */
function benchCases() {
  const rules = rulesWith(1_000)
  const refusingFile = 999
  const range = rangeAt(2 * LEASE_COUNT)
  take(rules, { ofd: COMING - 1, file: refusingFile, range, level: 'exclusive' })
  /** @type {number[]} */
  const ids = []
  let round = 0
  const ofd = (/** @type {number} */ index) => COMING + (round % 100) * BATCH + index
  const [takeNs = 0, releaseNs = 0, refusedNs = 0, allowedNs = 0] = measure(() => {
    round++
    return [
      timeBatch((index) => {
        ids[index] = take(rules, { ofd: ofd(index), file: index % 1_000, process: (index % 10) + 1, range })
      }),
      timeBatch((index) => release(rules, ofd(index), ids[index])),
      timeBatch(() => {
        if (change(rules, refusingFile, range).answer.status !== 'failed') throw new Error('not refused')
      }),
      timeBatch((index) => {
        must(change(rules, index % 1_000, rangeAt(1_000)))
        must(rules.step({ kind: 'layout-change-done', request: /** @type {any} */ (COMING) }, NOW))
      }),
    ]
  })
  const mixNs = takeNs + releaseNs + refusedNs + allowedNs
  const result = (/** @type {string} */ name, /** @type {number} */ ns, steps = 1) => ({
    name,
    stepsPerSecond: Math.round((steps * 1e9) / ns),
  })
  return [
    result('take', takeNs),
    result('release', releaseNs),
    result('refused change', refusedNs),
    result('allowed change', allowedNs, 2),
    result('all of these', mixNs, 5),
  ]
}

function benchMemory() {
  const before = heapBytes()
  const rules = rulesWith(LEASE_COUNT)
  const bytes = heapBytes() - before
  if (rules.leaseCount !== LEASE_COUNT) throw new Error('leases were lost')
  return bytes / LEASE_COUNT
}

/**
 * One more lease, taken and released.
 * @param {LeaseRules} rules
 * @param {{ file: (index: number) => number, range: { start: number, end: number }, mode?: string }} what
 */
function oneMore(rules, { file, range, mode = 'read' }) {
  let next = 0
  return measure(() => [
    timeBatch(() => {
      const ofd = COMING + (next % FILE_COUNT)
      release(rules, ofd, take(rules, { ofd, file: file(next++), range, mode }))
    }),
  ])
}

/** Each file has its turn, so what the processor's caches do not hold counts. @param {number} count */
function oneMoreOnFiles(count) {
  return oneMore(rulesWith(count), { file: (index) => index % FILE_COUNT, range: rangeAt(LEASE_COUNT) })
}

/**
 * @param {number} count
 * @param {string} mode
 * @param {(index: number) => { start: number, end: number }} range
 */
function oneMoreOnOneFile(count, mode, range) {
  const rules = createLeaseRules(POLICY)
  for (let index = 0; index < count; index++)
    take(rules, { ofd: index + 1, file: 1, mode, range: range(index) })
  return oneMore(rules, { file: () => 1, mode, range: range(count) })
}

/**
 * One of the leases of a file, released and taken again: any of them in turn.
 * @param {number} count
 * @param {string} mode
 * @param {(index: number) => { start: number, end: number }} range
 */
function oneOf(count, mode, range) {
  const rules = createLeaseRules(POLICY)
  const taken = Array.from({ length: count }, (_, index) => ({
    ofd: index + 1,
    file: 1,
    mode,
    range: range(index),
  }))
  const ids = taken.map((lease) => take(rules, lease))
  let next = 0
  return measure(() => [
    timeBatch(() => {
      next = (next + 7_919) % count // A prime: every lease has its turn.
      const lease = taken[next]
      if (lease === undefined) throw new Error('there is no such lease')
      release(rules, lease.ofd, ids[next])
      ids[next] = take(rules, lease)
    }),
  ])
}

/** Who waits for a write lease, each for the one before: what it takes to serve one. @param {number} count */
function oneWaiter(count) {
  const rounds = []
  for (let round = 0; round < 5; round++) {
    const rules = createLeaseRules(POLICY)
    let held = { ofd: 1, id: take(rules, { ofd: 1, file: 1, mode: 'write' }) }
    const start = cpuNs()
    for (let waiter = 2; waiter <= count + 1; waiter++) wait(rules, waiter)
    for (let served = 0; served < count; served++) {
      const { effects } = rules.step(
        { kind: 'release', ofd: /** @type {any} */ (held.ofd), lease: held.id },
        NOW,
      )
      const reply = effects.find((effect) => effect.kind === 'reply')
      if (reply?.kind !== 'reply' || reply.errno !== 0) throw new Error('nobody was served')
      held = { ofd: reply.request, id: reply.lease }
    }
    rounds.push((cpuNs() - start) / count)
  }
  return [spread(rounds).median]
}

/** @param {LeaseRules} rules @param {number} ofd */
function wait(rules, ofd) {
  const input = {
    kind: 'acquire',
    request: ofd,
    ofd,
    file: 1,
    process: ofd,
    user: 1000,
    range: WHOLE_FILE,
    mode: 'write',
    level: 'normal',
    mayDelayOthers: true,
    whenBusy: 'wait',
    breakTimeMs: 0,
  }
  if (rules.step(/** @type {any} */ (input), NOW).answer.status !== 'waiting')
    throw new Error('does not wait')
}

/**
 * @param {string} name
 * @param {number[]} counts
 * @param {(count: number) => number[]} run
 * @returns {Curve}
 */
function curve(name, counts, run) {
  return { name, points: counts.map((count) => ({ count, ns: run(count)[0] ?? Number.NaN })) }
}

/** @returns {RulesResult} */
export function benchLeaseRules() {
  const bytesPerLease = benchMemory()
  const onOneFile = [1, 100, 10_000]
  return {
    cases: benchCases(),
    bytesPerLease,
    curves: [
      curve('take+release, leases on 10,000 files', [1, 1_000, 100_000], oneMoreOnFiles),
      curve('take+release, whole-file leases on one file', onOneFile, (count) =>
        oneMoreOnOneFile(count, 'read', () => WHOLE_FILE),
      ),
      curve('take+release, write leases on one file', onOneFile, (count) =>
        oneMoreOnOneFile(count, 'write', rangeAt),
      ),
      curve('release+take of any lease of one file', onOneFile, (count) =>
        oneOf(count, 'read', () => WHOLE_FILE),
      ),
      // The first count is run twice: the code of waiting is cold until then, and would make every goal easy.
      curve('wait and be served, waiters on one file', [100, 1_000, 10_000], (count) => {
        if (count === 100) oneWaiter(10_000)
        return oneWaiter(count)
      }),
    ],
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  for (const line of formatRules(benchLeaseRules())) console.log(line)
}
