/** Programs and system state, as all of the benchmark needs them. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { getPriority } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

export const HOLDFAST = fileURLToPath(new URL('../bin/holdfast', import.meta.url))
const TIMEOUT_MS = 120_000
const SETTLE_MS = 30_000
/** Longer than a tick of the processor times in /proc. */
const SETTLE_STEP_MS = 20

/**
 * Starting Node takes three times as long with the certificates; users of servers have them, but they are not ours
 * to measure. Neither is what the user has told git.
 */
export const env = {
  ...process.env,
  LC_ALL: 'C',
  NODE_EXTRA_CA_CERTS: undefined,
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
}

/** @param {string} program */
export function hasProgram(program) {
  return spawnSync('sh', ['-c', 'command -v "$1"', 'sh', program]).status === 0
}

/**
 * @param {string} program
 * @param {string[]} args
 * @param {{ timeoutMs?: number, cwd?: string, input?: string | Buffer }} [options]
 */
export function call(program, args, { timeoutMs = TIMEOUT_MS, cwd, input } = {}) {
  return execFileSync(program, args, {
    encoding: 'utf8',
    env,
    timeout: timeoutMs,
    maxBuffer: 64 << 20,
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    ...(cwd === undefined ? {} : { cwd }),
    ...(input === undefined ? {} : { input }),
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
 * Gives each session in this pid namespace the priority that this process has (nice(1)). Where the scheduler shares
 * the processor among sessions first (autogroup), the nice value of a process counts only within its own: daemons
 * would be served like everybody else on the machine, however important the benchmark is.
 */
export function sharePriority() {
  for (const pid of processIds()) {
    const file = `/proc/${pid}/autogroup`
    if (existsSync(file)) writeFileSync(file, String(getPriority()))
  }
}

const processIds = () => readdirSync('/proc').filter((name) => /^\d+$/.test(name))

/** Processor time of all others in this pid namespace, which are the daemons: in ticks. */
function ticksOfOthers() {
  let ticks = 0
  for (const name of processIds()) {
    if (name === String(process.pid)) continue
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      ticks += Number(fields[11]) + Number(fields[12])
    } catch (error) {
      // It has ended meanwhile.
      if (!(error instanceof Error)) throw error
    }
  }
  return ticks
}

/**
 * Waits until the daemons have done what they still had to do (a RELEASE, a hundred thousand FORGETs): it belongs
 * to what was before.
 */
export async function settle() {
  const deadline = performance.now() + SETTLE_MS
  let calm = 0
  let before = ticksOfOthers()
  while (calm < 2 && performance.now() < deadline) {
    await sleep(SETTLE_STEP_MS)
    const ticks = ticksOfOthers()
    calm = ticks === before ? calm + 1 : 0
    before = ticks
  }
}

/**
 * Nobody in the machine remembers names and attributes any more; what is in files, and the blocks that inodes are
 * made from, stay in memory, so that no disk is measured.
 */
export async function dropNames() {
  writeFileSync('/proc/sys/vm/drop_caches', '2')
  await settle()
}
