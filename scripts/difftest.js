/**
 * The differential test and the data exerciser, for as long as one likes: `npm run difftest -- --minutes 60`. The
 * same random system calls are made in a plain directory and through `holdfast mount` of its twin, on a fresh file
 * system, in a mount namespace of their own; see test/programs/difftest.c and exercise.c. Root only.
 */
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { program, REPOSITORY } from '../test/support/compile.js'
import { holdfastServer, inPlace, makeWork, PLAIN_ENVIRONMENT } from '../test/support/place.js'

const HELP = `Usage: npm run difftest -- [option...]

  --minutes N, --seconds N   how long, all in all (default: one minute)
  --backing KIND             ext4 (default), tmpfs, xfs, btrfs or overlay
  --seed N                   start from this seed (default: the time)
  --passthrough              only with I/O past the daemon
  --no-passthrough           only with I/O through the daemon
  --only=I,J,...             repeat these steps of the sequence with that seed
  --sequences N              end after N sequences of 300 steps
  --differences N            go on until N differences have been found
  --list                     print every step
  --without FEATURE,...      leave features of FUSE out, as 'holdfast mount' does
  --native                   compare two plain directories: a check of the test itself
  --data                     the data exerciser instead: many processes, one file, every byte known
  --operations N             end after N operations of the data exerciser
`
/** What cutting a difference down, and a file system that has to be filled with data again, may take besides. */
const MORE_S = 240

const { values } = parseArgs({
  options: {
    minutes: { type: 'string' },
    seconds: { type: 'string' },
    backing: { type: 'string', default: 'ext4' },
    seed: { type: 'string', default: String(Math.floor(Date.now() / 1000)) },
    passthrough: { type: 'boolean', default: false },
    'no-passthrough': { type: 'boolean', default: false },
    only: { type: 'string' },
    sequences: { type: 'string' },
    differences: { type: 'string', default: '1' },
    list: { type: 'boolean', default: false },
    without: { type: 'string', default: '' },
    native: { type: 'boolean', default: false },
    data: { type: 'boolean', default: false },
    operations: { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false },
  },
})

/** @param {boolean} passthrough @param {number} seconds */
function command(passthrough, seconds) {
  const common = ['--seed', values.seed, '--seconds', String(seconds)]
  if (values.data) {
    const place = values.native ? '"$PLAIN/file"' : '"$MOUNT/file"'
    const operations = values.operations ?? String(Number.MAX_SAFE_INTEGER)
    return `${program('exercise')} ${place} ${[...common, '--operations', operations].join(' ')}`
  }
  const again = [
    `npm run difftest -- --backing ${values.backing} ${passthrough ? '--passthrough' : '--no-passthrough'}`,
    ...(values.without === '' ? [] : [`--without ${values.without}`]),
    ...(values.native ? ['--native'] : []),
  ].join(' ')
  const options = [...common, '--differences', values.differences, '--again', `'${again}'`]
  if (values.only !== undefined) options.push(`--only=${values.only}`)
  if (values.sequences !== undefined) options.push('--sequences', values.sequences)
  if (values.list) options.push('--list')
  if (!passthrough) options.push('--through-daemon')
  if (values.native) options.push('--native')
  const places = values.native
    ? '"$PLAIN" "$FILE_SYSTEM/second" "$FILE_SYSTEM/second"'
    : '"$PLAIN" "$MOUNT" "$BACKING"'
  return `mkdir "$FILE_SYSTEM/second" && ${program('difftest')} ${places} ${options.join(' ')}`
}

/**
 * @param {boolean} passthrough @param {number} seconds
 * @returns {boolean} whether there was nothing to find.
 */
function run(passthrough, seconds) {
  const work = makeWork('hf-difftest-')
  const server = holdfastServer(...(passthrough ? [] : ['--no-passthrough']))
  if (values.without !== '') server.push('--without', values.without)
  const script = ['sh', '-c', command(passthrough, seconds)]
  const [place = '', ...argv] = inPlace(work, values.backing, server, script)
  console.log(`${values.backing}, ${passthrough ? 'with' : 'without'} passthrough, seed ${values.seed}`)
  try {
    const done = spawnSync(place, argv, {
      env: {
        ...PLAIN_ENVIRONMENT,
        PROGRAMS: path.join(REPOSITORY, 'test', 'programs'),
        HOLDFAST: path.join(REPOSITORY, 'bin', 'holdfast'),
        TIMEOUT_S: String(seconds + MORE_S),
      },
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    return done.status === 0
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

function main() {
  if (values.help) {
    console.log(HELP)
    return true
  }
  const seconds = Number(values.seconds ?? Number(values.minutes ?? 1) * 60)
  if (!(seconds > 0)) throw new Error('how long is that to be?')
  const ways = [true, false].filter((way) => !(way ? values['no-passthrough'] : values.passthrough))
  return ways.map((way) => run(way, Math.ceil(seconds / ways.length))).every((ok) => ok)
}

process.exitCode = main() ? 0 : 1
