/**
 * `npm run bench`: what Holdfast costs, in one table. docs/HACKING.md tells how to read it.
 *
 * This process only prepares and prints. The measuring is done by `--inside`, which it starts twice in
 * namespaces of its own (see world.js): once with clients and daemons on one processor, once free.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmdirSync, rmSync } from 'node:fs'
import { availableParallelism, cpus, release, tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { benchConvoy, formatConvoy } from './convoy.js'
import { measureRow } from './measure.js'
import { formatRules, formatTable } from './report.js'
import { FULL, QUICK, ROWS } from './rows.js'
import { hasProgram, makeWorld } from './world.js'

/** The rules are measured without a mount. */
const RULES = 'rules'
/** Not a row: what counts is how two processes get on. */
const CONVOY = 'convoy'
const CONVOY_ROUNDS = 5
const NAMES = [...ROWS.flatMap((row) => row.names), RULES, CONVOY]

const HELP = `npm run bench -- [options]

Measures a directory on a fresh ext4 image directly, through bindfs if it is installed, and through Holdfast.
The first column of figures is the backing directory; the others are multiples of it: median (min..max) over
the rounds. "same again" is the backing directory a second time: what lies within its range is noise.

  --quick              fewer and smaller rounds: a minute instead of several
  --only NAME          only rows whose name contains NAME; may be given several times
  --with-plain         also measure Holdfast without passthrough
  --pinned, --free     only with everything on one processor; only without that
  --json               the figures as JSON
  --help               this text

Names: ${NAMES.map((name) => `"${name}"`).join(' ')}
`

const options = readOptions()

/** @param {unknown} error */
function messageOf(error) {
  return error instanceof Error ? error.message.trim() : String(error)
}

function readOptions() {
  try {
    return parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        only: { type: 'string', multiple: true, default: [] },
        'with-plain': { type: 'boolean', default: false },
        pinned: { type: 'boolean', default: false },
        free: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
        inside: { type: 'string' },
      },
    }).values
  } catch (error) {
    console.error(`bench: ${messageOf(error)} (--help lists the options)`)
    process.exit(2)
  }
}

/** @param {string} name */
function isWanted(name) {
  return options.only.length === 0 || options.only.some((part) => name.includes(part))
}

/** @param {string} text Progress: goes where the table does not go. */
const progress = (text) => process.stderr.write(`${text}\n`)

/** Runs in the namespaces. Prints its results as JSON. @param {string} root */
async function inside(root) {
  const scale = options.quick ? QUICK : FULL
  const world = await makeWorld(root, { passthroughOnly: !options['with-plain'] })
  const results = []
  const missing = [...world.missing]
  for (const row of ROWS) {
    if (!row.names.some((name) => isWanted(name))) continue
    const rounds = row.isSlow === true ? QUICK.rounds : scale.rounds
    progress(`  ${row.names.join(', ')}`)
    try {
      results.push(...(await measureRow(world, row, scale, rounds)))
    } catch (error) {
      // One thing that does not work must not cost the figures of all others.
      missing.push(`${row.names.join(', ')}: ${messageOf(error)}`)
    }
  }
  const { rounds } = options.quick ? QUICK : { rounds: CONVOY_ROUNDS }
  const convoy = isWanted(CONVOY)
    ? await benchConvoy(world, { rounds, isQuick: options.quick, progress })
    : []
  const targets = world.targets.map(({ name }) => name)
  process.stdout.write(JSON.stringify({ results, convoy, missing, targets }))
}

/**
 * Everything inside dies with the process that is started here: a pid namespace ends with its first process.
 * @param {string} root
 * @param {boolean} isPinned
 * @returns {Promise<{ results: import('./measure.js').Result[], convoy: import('./convoy.js').ConvoyRow[],
 *   missing: string[], targets: string[] }>}
 */
function runInside(root, isPinned) {
  const own = fileURLToPath(import.meta.url)
  const passed = process.argv.slice(2)
  // The shell is the first process of the namespace: it takes in the exits of what nobody waits for.
  const command = [process.execPath, own, ...passed, '--inside', root]
  const shell = ['sh', '-c', '"$@"; exit $?', 'sh', ...command]
  const unshare = [
    'unshare',
    '--mount',
    '--propagation',
    'private',
    '--pid',
    '--fork',
    '--kill-child',
    '--mount-proc',
  ]
  const argv = [...(isPinned ? ['taskset', '-c', '0'] : []), ...unshare, ...shell]
  const child = spawn(argv[0] ?? '', argv.slice(1), {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_EXTRA_CA_CERTS: undefined },
  })
  // unshare(1) itself ignores the signals of a terminal, and takes the namespace along when it is killed.
  const stop = () => child.kill('SIGKILL')
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, stop)
  let text = ''
  child.stdout.on('data', (data) => {
    text += data
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status, signal) => {
      for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(name, stop)
      if (status === 0) resolve(JSON.parse(text))
      else reject(new Error(`the benchmark was ended early (${signal ?? `exit code ${status}`})`))
    })
  })
}

/** The pure rules, in this process: they need no mount. */
async function benchRules() {
  if (!isWanted(RULES)) return null
  progress(RULES)
  const { benchLeaseRules } = await import('./lease-rules.js')
  return benchLeaseRules()
}

async function outside() {
  const needed = ['unshare', 'taskset', 'mkfs.ext4', 'cc', 'tar']
  const lacking = needed.filter((program) => !hasProgram(program))
  if (process.getuid?.() !== 0)
    throw new Error('this needs root (it mounts file systems): sudo npm run bench')
  if (lacking.length > 0) {
    throw new Error(
      `not installed: ${lacking.join(' ')}; "node scripts/test-tools.js" installs what it needs`,
    )
  }
  if (!NAMES.some(isWanted)) throw new Error('no row has such a name; --help lists them')
  const isAll = options.pinned === options.free
  const modes = [
    { title: 'everything on one processor', isPinned: true, isWanted: isAll || options.pinned },
    { title: `free, ${availableParallelism()} processors`, isPinned: false, isWanted: isAll || options.free },
  ]
  const root = mkdtempSync(path.join(tmpdir(), 'holdfast-bench-'))
  const sections = []
  /** @type {string[]} */
  let targets = []
  const missing = new Set()
  try {
    const isAnyWanted = isWanted(CONVOY) || ROWS.some((row) => row.names.some((name) => isWanted(name)))
    for (const mode of modes) {
      if (!mode.isWanted || !isAnyWanted) continue
      progress(mode.title)
      const found = await runInside(root, mode.isPinned)
      sections.push({ title: mode.title, results: found.results, convoy: found.convoy })
      targets = found.targets
      for (const line of found.missing) missing.add(line)
    }
  } finally {
    rmSync(`${root}.img`, { force: true })
    rmdirSync(root)
  }
  const rules = await benchRules()
  const machine = { cpu: cpus()[0]?.model ?? 'unknown', kernel: release(), node: process.version }
  if (options.json) {
    console.log(JSON.stringify({ machine, sections, rules, missing: [...missing] }, null, 2))
    return
  }
  console.log(`\n${machine.cpu}, Linux ${machine.kernel}, Node ${machine.node}`)
  console.log('First column: the backing directory. [x]: multiples of it, median (min..max) of the rounds.\n')
  if (sections.some(({ results }) => results.length > 0))
    for (const line of formatTable(sections, targets)) console.log(line)
  for (const { title, convoy } of sections) {
    if (convoy.length > 0) for (const line of ['', `-- ${title}`, ...formatConvoy(convoy)]) console.log(line)
  }
  if (rules !== null) for (const line of ['', ...formatRules(rules)]) console.log(line)
  for (const line of missing) console.log(`\nnot measured: ${line}`)
}

try {
  if (options.help) console.log(HELP)
  else if (options.inside !== undefined) await inside(options.inside)
  else await outside()
} catch (error) {
  console.error(`bench: ${messageOf(error)}`)
  process.exitCode = 1
}
