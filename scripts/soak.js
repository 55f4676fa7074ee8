/**
 * Does it last? Mixed load on a `holdfast mount` for as long as one likes, `npm run soak -- --minutes 60`: git, npm,
 * SQLite, a compiler, leases, pins and readers of events, killed at random. Memory, descriptors, threads, watches,
 * tables and the kernel's queue must be at the end where they were after the start. Root only.
 *
 * This process makes the place (a fresh file system in a mount namespace of its own, as for the differential test)
 * and starts itself in it with --inside.
 */
import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { REPOSITORY } from '../test/support/compile.js'
import { holdfastServer, inPlace, makeWork, PLAIN_ENVIRONMENT } from '../test/support/place.js'
import { soak } from './soak/inside.js'

const HELP = `Usage: npm run soak [-- option...]

  --minutes N, --seconds N   how long, all in all (default: 60 minutes)
  --start SECONDS            how long the start is, which does not count (default: 5 minutes, at most a twelfth)
  --rests N                  how often everything rests and is looked at (default: 60)
  --seed N                   start from this seed (default: the time)
  --out FILE                 where to draw the curves (default: build/soak.svg)
  --no-passthrough           with I/O through the daemon
  --leak                     with a program that leaks what it takes: a check of the soak itself

Ends with 0 if everything is where it was after the start, else with 1; one line for each figure says which.
`
const FIVE_MINUTES_S = 300
/** What making the place, the last rest and tidying up may take besides. */
const MORE_S = 300

const { values } = parseArgs({
  options: {
    minutes: { type: 'string' },
    seconds: { type: 'string' },
    start: { type: 'string' },
    rests: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Math.floor(Date.now() / 1000)) },
    out: { type: 'string', default: path.join(REPOSITORY, 'build', 'soak.svg') },
    'no-passthrough': { type: 'boolean', default: false },
    leak: { type: 'boolean', default: false },
    inside: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
})

/** @param {string} name @param {string} text */
function positive(name, text) {
  const value = Number(text)
  if (!(value > 0)) throw new Error(`--${name} ${text}: not a number above 0`)
  return value
}

const seconds = values.seconds
  ? positive('seconds', values.seconds)
  : 60 * positive('minutes', values.minutes ?? '60')
const options = {
  seconds,
  startS: values.start ? positive('start', values.start) : Math.min(FIVE_MINUTES_S, seconds / 12),
  rests: positive('rests', values.rests),
  seed: positive('seed', values.seed),
  out: path.resolve(values.out),
  passthrough: !values['no-passthrough'],
  leak: values.leak,
}

/** @returns {Promise<number>} the exit code. */
async function outside() {
  const work = makeWork('hf-soak-')
  const server = holdfastServer(...(options.passthrough ? [] : ['--no-passthrough']))
  const own = [process.execPath, fileURLToPath(import.meta.url), '--inside']
  for (const name of /** @type {const} */ (['seconds', 'rests', 'seed', 'out']))
    own.push(`--${name}`, `${options[name]}`)
  own.push('--start', `${options.startS}`)
  if (!options.passthrough) own.push('--no-passthrough')
  if (options.leak) own.push('--leak')
  const [place = '', ...argv] = inPlace(work, 'ext4', server, own)
  const child = spawn(place, argv, {
    env: {
      ...PLAIN_ENVIRONMENT,
      // Neither git nor npm is to look at how somebody has set them up.
      HOME: work,
      GIT_CONFIG_NOSYSTEM: '1',
      npm_config_update_notifier: 'false',
      SIZE_MIB: '2048',
      TIMEOUT_S: String(Math.ceil(options.seconds + MORE_S)),
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  // A terminal tells the whole group, and so --inside, which ends in good order.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => {})
  try {
    return await new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code) => resolve(code === 0 ? 0 : 1))
    })
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

if (values.help) {
  console.log(HELP)
} else {
  try {
    process.exitCode = values.inside ? await soak(options) : await outside()
  } catch (error) {
    console.error(`soak: ${error instanceof Error ? error.message : String(error)}`)
    process.exitCode = 1
  }
}
