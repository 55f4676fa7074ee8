/**
 * Large trees at full size: `npm run trees`. A million files, a directory of 500,000, 10,000 open files, 2,000
 * processes; what they cost the engine, and whether it gives everything back. On a fresh ext4 image in a mount namespace
 * of its own. Root only; test/large-trees.mount.test.ts does the same on a small scale.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { program, REPOSITORY } from '../test/support/compile.js'
import { holdfastServer, inPlace, makeWork, PLAIN_ENVIRONMENT } from '../test/support/place.js'
import { descriptorsOf, findEngine, fromEnvironment, parseMetrics, residentBytes } from './engine.js'

const HELP = `Usage: npm run trees -- [option...]

  --files N          files in directories of 1,000 (default 1,000,000)
  --wide N           files in one directory (default 500,000)
  --open N           files open at once (default 10,000)
  --processes N      processes at once (default 2,000)
  --backing KIND     ext4 (default), tmpfs, xfs or btrfs
  --no-passthrough   only with I/O through the daemon
`
const BASE_BYTES_MAX = 100e6
const INODE_BYTES_MAX = 200
const TIMEOUT_S = 3000

const { values } = parseArgs({
  options: {
    files: { type: 'string', default: '1000000' },
    wide: { type: 'string', default: '500000' },
    open: { type: 'string', default: '10000' },
    processes: { type: 'string', default: '2000' },
    backing: { type: 'string', default: 'ext4' },
    'no-passthrough': { type: 'boolean', default: false },
    inside: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
const fileCount = Number(values.files)
const wideCount = Number(values.wide)
const manyfiles = program('manyfiles')

/** Makes the file system and the mount, and runs this program beside it. */
function outside() {
  const work = makeWork('hf-trees-')
  const server = holdfastServer(...(values['no-passthrough'] ? ['--no-passthrough'] : []))
  const own = [process.execPath, fileURLToPath(import.meta.url), ...process.argv.slice(2), '--inside']
  const [place = '', ...argv] = inPlace(work, values.backing, server, own)
  const inodeCount = fileCount * 1.1 + wideCount + 10_000
  try {
    const done = spawnSync(place, argv, {
      env: {
        ...PLAIN_ENVIRONMENT,
        HOLDFAST: path.join(REPOSITORY, 'bin', 'holdfast'),
        TIMEOUT_S: String(TIMEOUT_S),
        SIZE_MIB: String(Math.ceil((inodeCount * 1024) / 2 ** 20) + 2000),
        MKFS_OPTIONS: `-N ${Math.ceil(inodeCount)} -E lazy_itable_init=0,lazy_journal_init=0`,
      },
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    return done.status === 0
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** What is looked at again and again. @param {import('./engine.js').Engine} engine */
function looking({ pid, control }) {
  return {
    rssBytes: () => residentBytes(pid),
    fdCount: () => descriptorsOf(pid).length,
    inodeCount: () =>
      parseMetrics(readFileSync(`${control}/metrics`, 'utf8')).get('holdfast_inodes') ?? Number.NaN,
  }
}

/** @param {string} file @param {string[]} args */
function run(file, args) {
  return execFileSync(file, args, { encoding: 'utf8', maxBuffer: 1 << 28 }).trim()
}

/** @template T @param {() => T} action @returns {{ value: T, seconds: number }} */
function timed(action) {
  const start = performance.now()
  const value = action()
  return { value, seconds: (performance.now() - start) / 1000 }
}

/** @param {number} bytes */
const mb = (bytes) => `${(bytes / 1e6).toFixed(0)} MB`

let isRight = true

/** @param {boolean} condition @param {string} what */
function require(condition, what) {
  if (condition) return
  isRight = false
  console.log(`WRONG: ${what}`)
}

/** @param {() => boolean} condition */
async function within(condition, ms = 20_000) {
  const end = performance.now() + ms
  while (!condition() && performance.now() < end) await delay(100)
  return condition()
}

async function inside() {
  const backing = fromEnvironment('BACKING')
  const mount = fromEnvironment('MOUNT')
  run(manyfiles, ['make', backing, String(fileCount / 1000), '1000'])
  run(manyfiles, ['wide', `${backing}/wide`, values.wide])
  mkdirSync(`${backing}/other`)
  writeFileSync(`${backing}/other/file`, '')
  const engine = looking(findEngine())
  const say = (/** @type {string} */ what) =>
    console.log(
      `${what}: RSS ${mb(engine.rssBytes())}, ${engine.inodeCount()} inodes, ${engine.fdCount()} descriptors`,
    )
  const base = engine.rssBytes()
  say('at the start')

  const find = (/** @type {string} */ root) =>
    timed(() => run('sh', ['-c', 'find "$1" -name wide -prune -o -printf "%s\\n" | wc -l', 'sh', root]))
  const expected = String(fileCount + fileCount / 1000 + 3)
  const native = find(backing)
  const first = find(mount)
  say(`find -printf %s: ${native.seconds.toFixed(1)} s below, ${first.seconds.toFixed(1)} s on the mount`)
  require(native.value === first.value &&
    native.value === expected, `find saw ${native.value}, ${first.value}`)
  const again = find(mount)
  say(`again: ${again.seconds.toFixed(1)} s`)
  const inodes = engine.inodeCount()
  const each = (engine.rssBytes() - base) / inodes
  console.log(`${each.toFixed(0)} bytes for each inode, the heap of a busy engine included`)
  require(engine.rssBytes() < BASE_BYTES_MAX + inodes * INODE_BYTES_MAX, 'more memory than it may take')

  const probe = spawn(manyfiles, ['probe', `${mount}/other/file`, '3000'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let slowest = ''
  probe.stdout.on('data', (bytes) => {
    slowest += String(bytes)
  })
  const listed = spawn(manyfiles, ['list', `${mount}/wide`, 'file-', values.wide], { stdio: 'inherit' })
  const start = performance.now()
  const code = await new Promise((resolve) => {
    listed.once('exit', resolve)
  })
  say(`a directory of ${values.wide}: ${((performance.now() - start) / 1000).toFixed(1)} s`)
  require(code === 0, 'the listing failed')
  await new Promise((resolve) => {
    probe.once('exit', resolve)
  })
  console.log(`the slowest open+close of somebody else meanwhile, in microseconds: ${slowest.trim()}`)

  const holder = spawn(manyfiles, ['open', `${mount}/wide`, values.open], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const said = await new Promise((resolve) => {
    holder.stdout.once('data', (bytes) => resolve(String(bytes).trim()))
  })
  say(`${values.open} files open at once (${said})`)
  require(said === `opened ${values.open}`, 'an open failed')
  holder.stdin.end()
  await new Promise((resolve) => {
    holder.once('exit', resolve)
  })

  const done = timed(() => run(manyfiles, ['processes', `${mount}/wide`, values.processes]))
  say(`${done.value}: ${done.seconds.toFixed(1)} s`)
  require(done.value === `processes ${values.processes} failed 0`, 'a process failed')

  writeFileSync('/proc/sys/vm/drop_caches', '2')
  require(await within(() => engine.inodeCount() < 100), `${engine.inodeCount()} inodes are still remembered`)
  await within(() => engine.rssBytes() < base * 1.2)
  say('after the kernel has forgotten')
  require(engine.rssBytes() < base + 40e6, 'the memory is not given back')
}

if (values.help) console.log(HELP)
else if (values.inside) {
  await inside()
  process.exitCode = isRight ? 0 : 1
} else process.exitCode = outside() ? 0 : 1
