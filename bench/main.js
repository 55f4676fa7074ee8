/**
 * `npm run bench`: what Holdfast costs, in one table. docs/PERFORMANCE.md tells how to read it.
 *
 * This process only prepares and prints. The measuring is done by `--inside`, which it starts in namespaces of its
 * own (see world.js): once with clients and daemons on one processor, once free, and once to count requests.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmdirSync, rmSync } from 'node:fs'
import { availableParallelism, cpus, release, tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { hasProgram } from './machine.js'
import { markdownRequests, markdownTables } from './markdown.js'
import { measureRow, messageOf } from './measure.js'
import { HELP, isWanted, readOptions, scaleOf } from './options.js'
import { RIVALS } from './peers.js'
import { formatList, formatRequests, formatRules, formatSummary, formatTable } from './report.js'
import { countRow } from './requests.js'
import { THEMES } from './rows/index.js'
import { COUNTING } from './rows/row.js'
import { makeWorld } from './world.js'

/** @typedef {import('./options.js').Options} Options */
/** @typedef {import('./rows/row.js').Row} Row */

/** The rules are measured without a mount. */
const RULES = 'rules'
const NEEDED = ['unshare', 'taskset', 'mkfs.ext4', 'cc', 'make', 'tar', 'git', 'npm']

/** @typedef {'pinned' | 'free' | 'requests'} Part */
/** @typedef {{ results: import('./measure.js').Result[], requests: import('./requests.js').Requests[], missing: string[], targets: string[] }} Found */

/** @param {string} text Progress: goes where the table does not go. */
const progress = (text) => process.stderr.write(`${text}\n`)

/** @param {Options} options @returns {Row[]} */
function rowsOf(options) {
  return THEMES.flatMap(({ theme, rows }) =>
    rows.filter(
      (row) =>
        !(options.quick && row.isLong === true) &&
        row.phases.some((phase) => isWanted(options, theme, phase.name)),
    ),
  )
}

/** @param {Partial<Found>} found One line of JSON. */
const tell = (found) => process.stdout.write(`${JSON.stringify(found)}\n`)

/** Runs in the namespaces. Prints what it finds row by row: an early end costs the rows that are left. @param {Options} options @param {string} root */
async function inside(options, root) {
  const counting = options.part === 'requests'
  const world = await makeWorld(root, { withPlain: options['with-plain'], counting })
  tell({ missing: world.missing, targets: world.targets.map(({ name }) => name) })
  for (const row of rowsOf(options)) {
    if (counting && row.isUncounted === true) continue
    const names = row.phases.map(({ name }) => name).join('; ')
    const start = performance.now()
    try {
      const { failed, ...found } = await runRow(world, row, options)
      tell({ ...found, missing: [...failed].map(([target, message]) => `${names}, ${target}: ${message}`) })
    } catch (error) {
      tell({ missing: [`${names}: ${messageOf(error)}`] })
    }
    progress(`  ${((performance.now() - start) / 1000).toFixed(1).padStart(6)} s  ${names}`)
  }
}

/** @param {import('./world.js').World} world @param {Row} row @param {Options} options */
function runRow(world, row, options) {
  return options.part === 'requests'
    ? countRow(world, row, COUNTING)
    : measureRow(world, row, scaleOf(options))
}

/** @type {import('node:child_process').ChildProcess | null} */
let running = null

/** Ends what runs in the namespaces and prints what it has found until then; without that, ends everything. */
function stop() {
  if (running === null) process.exit(1)
  // unshare(1) itself ignores the signals of a terminal, and takes the namespace along when it is killed.
  running.kill('SIGKILL')
}

/**
 * Everything inside dies with the process that is started here: a pid namespace ends with its first process.
 * @param {string} root
 * @param {Part} part
 * @returns {Promise<Found>} If it ends early, what it has found until then; `missing` says so.
 */
function runInside(root, part) {
  const own = fileURLToPath(import.meta.url)
  const passed = process.argv.slice(2)
  // The shell is the first process of the namespace: it takes in the exits of what nobody waits for.
  const command = [process.execPath, own, ...passed, '--inside', root, '--part', part]
  const shell = ['sh', '-c', '"$@"; exit $?', 'sh', ...command]
  const namespaces = [
    '--mount',
    '--propagation',
    'private',
    '--pid',
    '--fork',
    '--kill-child',
    '--mount-proc',
  ]
  const argv = [...(part === 'pinned' ? ['taskset', '-c', '0'] : []), 'unshare', ...namespaces, ...shell]
  const child = spawn(argv[0] ?? '', argv.slice(1), {
    stdio: ['ignore', 'pipe', 'inherit'],
    // A session of its own, of which the priority can be set: see sharePriority().
    detached: true,
    env: { ...process.env, NODE_EXTRA_CA_CERTS: undefined },
  })
  running = child
  let text = ''
  child.stdout.on('data', (data) => {
    text += data
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status, signal) => {
      running = null
      const found = collect(text)
      if (status !== 0) {
        found.missing.push(
          `everything that is not in the table: ended early (${signal ?? `exit code ${status}`})`,
        )
        process.exitCode = 1
      }
      resolve(found)
    })
  })
}

/** @param {string} text What was told, but for a last line that was cut short. @returns {Found} */
function collect(text) {
  /** @type {Found} */
  const all = { results: [], requests: [], missing: [], targets: [] }
  for (const line of text.split('\n').slice(0, -1)) {
    const found = /** @type {Partial<Found>} */ (JSON.parse(line))
    all.results.push(...(found.results ?? []))
    all.requests.push(...(found.requests ?? []))
    all.missing.push(...(found.missing ?? []))
    all.targets.push(...(found.targets ?? []))
  }
  return all
}

/** The pure rules, in this process: they need no mount. @param {Options} options */
async function benchRules(options) {
  if (options.requests || !isWanted(options, RULES, RULES)) return null
  progress(RULES)
  const { benchLeaseRules } = await import('./lease-rules.js')
  return benchLeaseRules()
}

/** @param {Options} options */
function partsOf(options) {
  const isAll = !(options.pinned || options.free || options.requests)
  const all = [
    { part: /** @type {Part} */ ('pinned'), title: 'everything on one processor', isOn: options.pinned },
    {
      part: /** @type {Part} */ ('free'),
      title: `free, ${availableParallelism()} processors`,
      isOn: options.free,
    },
    { part: /** @type {Part} */ ('requests'), title: 'counting requests', isOn: options.requests },
  ]
  return all.filter(({ isOn }) => isAll || isOn)
}

function checkMachine() {
  if (process.getuid?.() !== 0)
    throw new Error('this needs root (it mounts file systems): sudo npm run bench')
  const lacking = NEEDED.filter((program) => !hasProgram(program))
  if (lacking.length === 0) return
  throw new Error(`not installed: ${lacking.join(' ')}; "node scripts/test-tools.js" installs what it needs`)
}

/** @param {Options} options */
async function measureAll(options) {
  /** @type {import('./report.js').Section[]} */
  const sections = []
  /** @type {string[]} */
  let targets = []
  /** @type {import('./requests.js').Requests[]} */
  let requests = []
  /** @type {Set<string>} */
  const missing = new Set()
  if (rowsOf(options).length === 0) return { sections, targets, requests, missing }
  const root = mkdtempSync(path.join(tmpdir(), 'holdfast-bench-'))
  process.on('exit', () => {
    rmSync(`${root}.img`, { force: true })
    rmdirSync(root)
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, stop)
  for (const { part, title } of partsOf(options)) {
    progress(title)
    const found = await runInside(root, part)
    for (const line of found.missing) missing.add(line)
    if (part === 'requests') requests = found.requests
    else {
      sections.push({ title, results: found.results })
      targets = found.targets
    }
    if (process.exitCode === 1) break
  }
  return { sections, targets, requests, missing }
}

/** @param {Options} options */
async function outside(options) {
  checkMachine()
  if (rowsOf(options).length === 0 && !isWanted(options, RULES, RULES))
    throw new Error('no row has such a name; --list shows them')
  const { sections, targets, requests, missing } = await measureAll(options)
  const rules = process.exitCode === 1 ? null : await benchRules(options)
  const machine = { cpu: cpus()[0]?.model ?? 'unknown', kernel: release(), node: process.version }
  if (options.json) {
    console.log(JSON.stringify({ machine, sections, requests, rules, missing: [...missing] }, null, 2))
    return
  }
  console.log(`\n${machine.cpu}, Linux ${machine.kernel}, Node ${machine.node}`)
  console.log('First column: the backing directory. [x]: multiples of it, median (min..max) of the rounds.\n')
  if (sections.length > 0) {
    const format = options.markdown ? markdownTables : formatTable
    for (const line of [...format(sections, targets), '', formatSummary(sections)]) console.log(line)
  }
  if (requests.length > 0) {
    const lines = options.markdown ? markdownRequests(requests, RIVALS) : formatRequests(requests)
    for (const line of ['', ...lines]) console.log(line)
  }
  if (rules !== null) for (const line of ['', ...formatRules(rules)]) console.log(line)
  for (const line of missing) console.log(`\nnot measured: ${line}`)
}

try {
  const options = readOptions()
  if (options.help) console.log(HELP)
  else if (options.list) for (const line of formatList(THEMES)) console.log(line)
  else if (options.inside !== undefined) await inside(options, options.inside)
  else await outside(options)
} catch (error) {
  console.error(`bench: ${messageOf(error)}`)
  process.exitCode = 1
}
