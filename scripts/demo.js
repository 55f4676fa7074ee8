/**
 * The demonstration: `npm start`, or `npm start -- FILE`. It shows on a copy of a real file what happens to a
 * program whose mapped file is truncated, and then the same under `holdfast run`. Everything it does is done by
 * ordinary programs, and what they print is shown as they print it.
 *
 * Exit code 0 only if everything happened as announced. Nothing is left behind, also after Ctrl-C.
 */
import { spawn, spawnSync } from 'node:child_process'
import { randomFillSync } from 'node:crypto'
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statfsSync,
  statSync,
  writeSync,
} from 'node:fs'
import { constants, tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const HOLDFAST = fileURLToPath(new URL('../bin/holdfast', import.meta.url))
const READER = fileURLToPath(new URL('./demo-reader.js', import.meta.url))
const MIB = 2 ** 20
const DEFAULT_SIZE_MIB = 256
/** No step of ours takes longer, except reading and copying a very large file. */
const STEP_TIMEOUT_MS = 20_000

/** What the programs see: plain messages, and no certificate file that makes each start of Node slow. */
/** @type {NodeJS.ProcessEnv} */
const env = { ...process.env, LC_ALL: 'C' }
delete env.NODE_EXTRA_CA_CERTS

// ---------------------------------------------------------------------------------------------- output

const useColor = process.stdout.isTTY === true && process.env.NO_COLOR === undefined
/** @param {number} code @param {string} text */
const color = (code, text) => (useColor ? `\x1b[${code}m${text}\x1b[0m` : text)
/** @param {string} text */
const say = (text) => console.log(text)
/** @param {string} text */
const heading = (text) => say(`\n${color(1, text)}\n`)
/** @param {string} text */
const indent = (text) => text.trimEnd().replace(/^/gm, '    ')
/** @param {string} command */
const sayCommand = (command) => say(`    ${color(36, `$ ${command}`)}`)

/** @type {string[]} What did not happen as announced. */
const failures = []

/** @param {boolean} ok @param {string} good @param {string} bad */
function expect(ok, good, bad) {
  say(`    ${ok ? color(32, `-> ${good}`) : color(31, `-> NOT AS EXPECTED: ${bad}`)}`)
  if (!ok) failures.push(bad)
}

/** Ends the demonstration with one line. */
class Stop extends Error {
  exitCode = 1
}

// ------------------------------------------------------------------------------------------- processes

/** @type {Set<import('node:child_process').ChildProcess>} */
const children = new Set()

/** @param {string} word */
function quote(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

/** @typedef {{ status: number | null, signal: NodeJS.Signals | null }} End */

/** @param {End['status']} status @param {End['signal']} signal */
function howItEnded(status, signal) {
  return signal === null ? `exit code ${status}` : `killed by ${signal} (signal ${constants.signals[signal]})`
}

/**
 * Runs a program to its end, shows the command and everything it prints.
 * @param {string} directory
 * @param {string} shown The command as a person would type it.
 * @param {string[]} argv
 */
function run(directory, shown, argv, timeoutMs = STEP_TIMEOUT_MS) {
  sayCommand(shown)
  const [program = '', ...args] = argv
  const done = spawnSync(program, args, {
    cwd: directory,
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
  })
  const text = done.error === undefined ? done.stdout + done.stderr : `${done.error.message}\n`
  if (text !== '') say(indent(text))
  return { status: done.status, text }
}

/**
 * Runs a program that is no part of the show. @returns what it printed.
 * @param {string} program
 * @param {string[]} args
 */
function quietly(program, args) {
  const done = spawnSync(program, args, { env, encoding: 'utf8' })
  if (done.status === 0) return done.stdout
  const stop = new Stop(done.stderr?.trim() || `${program} failed: ${done.error?.message ?? done.signal}`)
  // Ctrl-C ends the programs of the terminal before it is our turn.
  if (done.signal !== null) stop.exitCode = 128 + constants.signals[done.signal]
  throw stop
}

/**
 * A program that goes on running: its lines so far, and a promise of its end.
 * @param {string} directory
 * @param {string[]} argv
 */
function start(directory, argv) {
  const [program = '', ...args] = argv
  const child = spawn(program, args, { cwd: directory, env, stdio: ['pipe', 'pipe', 'pipe'] })
  children.add(child)
  /** @type {any[]} */
  const messages = []
  let errors = ''
  createInterface({ input: child.stdout }).on('line', (line) => {
    messages.push(JSON.parse(line))
  })
  child.stderr.on('data', (data) => {
    errors += data
  })
  // The reader may be gone before its input is closed; how it ended says more than EPIPE.
  child.stdin.on('error', () => undefined)
  /** @type {End | null} */
  let ended = null
  child.on('error', (error) => {
    errors += error.message
    ended ??= { status: 127, signal: null }
    children.delete(child)
  })
  child.on('close', (status, signal) => {
    ended = { status, signal }
    children.delete(child)
  })
  return { child, messages, errors: () => errors, ended: () => ended }
}

/**
 * @template T
 * @param {string} what
 * @param {() => T | null | undefined | false} look
 * @param {number} timeoutMs
 * @returns {Promise<T>}
 */
async function until(what, look, timeoutMs = STEP_TIMEOUT_MS) {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const seen = look()
    if (seen !== null && seen !== undefined && seen !== false) return seen
    if (performance.now() > deadline) throw new Stop(`${what} did not happen within ${timeoutMs / 1000} s`)
    await sleep(20)
  }
}

/**
 * Waits until the reader has read its mapping once more from beginning to end.
 * @param {ReturnType<typeof start>} reader
 * @param {(message: any) => boolean} isIt
 */
function pass(reader, isIt, timeoutMs = STEP_TIMEOUT_MS) {
  return until(
    'a pass of the reader over its mapping',
    () => {
      const found = reader.messages.findLast((message) => message.sha256 !== undefined && isIt(message))
      if (found !== undefined) return found
      const end = reader.ended()
      if (end === null) return null
      const how = howItEnded(end.status, end.signal)
      throw new Stop(`the reader ended too early: ${how}\n${indent(reader.errors())}`)
    },
    timeoutMs,
  )
}

// ------------------------------------------------------------------------------------- files and mounts

/** @param {number} bytes */
function size(bytes) {
  if (bytes < 10 * 1024) return `${bytes} bytes`
  if (bytes < 10 * MIB) return `${Math.round(bytes / 1024)} KiB`
  return `${Math.round(bytes / MIB)} MiB`
}

/** Mounts at or below a directory. Octal escapes of mountinfo cannot occur in names that we made. */
function mountsBelow(/** @type {string} */ directory) {
  return readFileSync('/proc/self/mountinfo', 'latin1')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point === directory || point.startsWith(`${directory}/`))
}

/**
 * @param {number} pid
 * @param {string} file
 */
function hasOpen(pid, file) {
  return readdirSync(`/proc/${pid}/fd`).some((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`) === file
    } catch {
      return false // It was closed between the two calls.
    }
  })
}

/**
 * Random content, every MiB different: no file system can leave out a block of it.
 * @param {string} file
 */
function makeFile(file) {
  const fd = openSync(file, 'wx')
  const block = randomFillSync(Buffer.alloc(MIB))
  for (let index = 0; index < DEFAULT_SIZE_MIB; index++) {
    block.writeUInt32LE(index)
    writeSync(fd, block)
  }
  closeSync(fd)
}

/**
 * A private directory with room for the copy: in the temporary directory, else beside the file.
 * @param {number} bytes
 * @param {string | null} source
 */
function makeDirectory(bytes, source) {
  const candidates = source === null ? [tmpdir(), '/var/tmp'] : [tmpdir(), '/var/tmp', path.dirname(source)]
  // Our own file is kept as it was made, to copy it from there.
  const needed = (source === null ? 2 * bytes : bytes) + 16 * MIB
  for (const candidate of candidates) {
    try {
      const { bavail, bsize } = statfsSync(candidate)
      if (bavail * bsize > needed) return realpathSync(mkdtempSync(path.join(candidate, 'holdfast-demo-')))
    } catch (error) {
      // A place that is missing or not writable is no candidate; the next one may do.
      if (candidate === candidates.at(-1)) throw error
    }
  }
  throw new Stop(
    `no room for a copy of ${size(bytes)} in ${candidates.join(' or ')}: set TMPDIR to a larger place`,
  )
}

/** @param {string} named */
function checkFile(named) {
  const info = statSync(named, { throwIfNoEntry: false })
  if (info === undefined) throw new Stop(`${named}: no such file`)
  if (!info.isFile()) throw new Stop(`${named}: not a regular file`)
  if (info.size === 0) throw new Stop(`${named}: empty, there is nothing to take away`)
  return { bytes: info.size, mtimeMs: info.mtimeMs, source: realpathSync(named) }
}

// -------------------------------------------------------------------------------------------- the scenes

/**
 * @typedef {object} Stage
 * @property {string} directory
 * @property {string} name The file in it, as a word for a shell.
 * @property {string} file The file in it, as an argument.
 * @property {() => void} restore Makes the file whole again.
 * @property {string} sha256 What a reader of the file must find.
 * @property {number} passTimeoutMs
 */

/** A core dump of the reader would be left behind. @param {string[]} argv */
const withoutCore = (...argv) => ['sh', '-c', 'ulimit -c 0; exec "$@"', 'sh', ...argv]

/** @param {Stage} stage */
async function withoutHoldfast(stage) {
  heading('1. Without Holdfast')
  say('A program maps the file and keeps reading it, as a model server or a database does:')
  sayCommand(`node demo-reader.js ${stage.name} &`)
  const reader = start(stage.directory, withoutCore(process.execPath, READER, stage.file))
  const first = await pass(reader, () => true, stage.passTimeoutMs)
  expect(
    first.sha256 === stage.sha256,
    `it read every byte through its mapping: sha256 ${first.sha256.slice(0, 16)}...`,
    `it read sha256 ${first.sha256}, sha256sum says ${stage.sha256}`,
  )
  say('\nAnother program cuts the file off. Nothing stops it, and nobody is told:')
  const { status } = run(stage.directory, `truncate -s 0 ${stage.name}`, ['truncate', '-s', '0', stage.file])
  expect(status === 0, `exit code ${status}`, `exit code ${status} instead of 0`)
  say('\nThe reader touches a page that is no longer there:')
  const end = await until('the end of the reader', () => reader.ended())
  // The shell in between replaces itself, so the signal is the reader's own.
  expect(
    end.signal === 'SIGBUS',
    `the reader was ${howItEnded(end.status, end.signal)}`,
    `the reader ended with ${howItEnded(end.status, end.signal)}, not by SIGBUS`,
  )
}

/** Every program that would take bytes away, and what the system must say to it. */
const ATTEMPTS = [
  { program: 'truncate', command: 'truncate -s 0 FILE', says: 'Text file busy' },
  { program: 'sh', command: ': > FILE', says: 'Text file busy' },
  { program: 'fallocate', command: 'fallocate -p -o 0 -l 4096 FILE', says: 'Text file busy' },
  { program: 'cp', command: 'cp OTHER FILE', says: 'Text file busy' },
  { program: 'mv', command: 'mv OTHER FILE', says: 'Device or resource busy' },
]

/** @param {Stage} stage */
function tryEverything(stage) {
  const other = stage.file === 'other' ? 'another' : 'other'
  const makeOther = `echo something else > ${other}`
  run(stage.directory, makeOther, ['sh', '-c', makeOther])
  for (const { program, command, says } of ATTEMPTS) {
    const typed = command.replace('OTHER', other).replace('FILE', () => stage.name)
    // `exec` where possible, so that what is refused is the program and not a shell around it.
    const argv = ['sh', '-c', program === 'sh' ? typed : `exec ${typed}`]
    const { status, text } = run(stage.directory, typed, argv)
    const isRefused = status !== 0 && text.includes(says)
    expect(isRefused, `refused, exit code ${status}`, `"${typed}" should fail with "${says}"`)
  }
}

/**
 * Collects events from the control directory, as `cat` shows them.
 * @param {string} control
 */
async function watchEvents(control) {
  const file = `${control}/events`
  const reader = start('/', ['cat', file])
  // The events come from the moment of opening on: the first attempt has to wait for it.
  await until(`opening ${file}`, () => {
    const end = reader.ended()
    if (end !== null) throw new Stop(`cat ${file}: ${reader.errors()}`)
    return hasOpen(reader.child.pid ?? 0, file)
  })
  return {
    refused: () => reader.messages.filter((event) => event.event === 'refused'),
    stop: () => reader.child.kill(),
  }
}

/**
 * @param {Stage} stage
 * @param {string} control
 * @param {number} pid The reader's.
 * @param {Awaited<ReturnType<typeof watchEvents>>} events
 */
async function showWhatWasSeen(stage, control, pid, events) {
  say('\nWho keeps everybody from truncating this file? One command answers:')
  const who = run(stage.directory, `holdfast who ${stage.name}`, [HOLDFAST, 'who', stage.file])
  expect(
    who.status === 0 && who.text.includes(`${pid}`),
    `the reader is named: process ${pid}`,
    `"holdfast who" does not name the reader, process ${pid}`,
  )
  say('\nAll leases:')
  const leases = run(stage.directory, 'holdfast leases', [HOLDFAST, 'leases'])
  expect(
    leases.status === 0 && leases.text.includes('exclusive') && leases.text.includes(`${pid}`),
    'an exclusive lease on the whole file, with a pin: it lasts as long as the process does',
    '"holdfast leases" does not list the lease of the reader',
  )

  say('\nAnd Holdfast saw who tried (a program reads this with cat, one JSON object per line):')
  sayCommand(`cat ${control}/events`)
  // mv does not get as far as the file: the kernel refuses to rename onto a mount point.
  const expected = ATTEMPTS.filter(({ program }) => program !== 'mv').map(({ program }) => program)
  const seen = await until('the report of every refusal', () => {
    const refused = events.refused()
    return refused.length >= expected.length ? refused : null
  }).catch(() => events.refused())
  if (seen.length > 0) say(`${indent(JSON.stringify(seen[0]))}\n`)
  say('In short:')
  for (const { time, lease, offender } of seen) {
    const { command, operation, errno } = offender
    say(`    ${time}  ${command} (process ${offender.pid}) met lease ${lease}: ${operation}, ${errno}`)
  }
  const programs = seen.map(({ offender }) => offender.command)
  expect(
    programs.join() === expected.join(),
    `${seen.length} refusals, each with the process that tried (mv met the mount point, which the kernel refuses by itself)`,
    `refusals of ${programs.join(', ')} in the events instead of ${expected.join(', ')}`,
  )
}

/** @param {Stage} stage */
async function withHoldfast(stage) {
  heading('2. With Holdfast')
  stage.restore()
  say('The file is whole again. The same program, started by holdfast:')
  sayCommand(`holdfast run ${stage.name} -- node demo-reader.js ${stage.name} &`)
  const reader = start(
    stage.directory,
    withoutCore(HOLDFAST, 'run', stage.file, '--', process.execPath, READER, stage.file),
  )
  const first = await pass(reader, () => true, stage.passTimeoutMs)
  if (reader.errors() !== '') say(indent(reader.errors()))
  const control = reader.messages.find((message) => message.mapped !== undefined)?.control ?? null
  if (control === null)
    throw new Stop('the file is not on a Holdfast mount: "holdfast run" did not protect it')
  expect(first.sha256 === stage.sha256, 'it reads the same bytes', `it read sha256 ${first.sha256}`)

  const events = await watchEvents(control)
  say('\nNow other programs, as root, do what went through before:')
  tryEverything(stage)
  await showWhatWasSeen(stage, control, reader.child.pid ?? 0, events)
  events.stop()

  say('\nMeanwhile the reader went on. It reads everything once more and ends:')
  reader.child.stdin.end()
  const last = await pass(reader, (message) => message.last === true, 2 * stage.passTimeoutMs)
  const end = await until('the end of the reader', () => reader.ended())
  expect(
    last.sha256 === stage.sha256 && end.status === 0,
    `pass ${last.pass}: sha256 ${last.sha256.slice(0, 16)}..., as at the beginning; exit code 0`,
    `pass ${last.pass}: sha256 ${last.sha256}, ${howItEnded(end.status, end.signal)}`,
  )

  say('\nNobody needs the file any more, and the same truncate succeeds:')
  const { status } = run(stage.directory, `truncate -s 0 ${stage.name}`, ['truncate', '-s', '0', stage.file])
  const left = statSync(path.join(stage.directory, stage.file)).size
  expect(
    status === 0 && left === 0,
    `exit code 0, ${left} bytes left`,
    `exit code ${status}, ${left} bytes left`,
  )
  const isGone = await until(
    'the end of the mount',
    () => mountsBelow(stage.directory).length === 0,
    3000,
  ).catch(() => false)
  expect(
    isGone,
    'the mount has gone with the reader: the file is as it always was',
    'the mount is still there',
  )
}

// ----------------------------------------------------------------------------------------------- cleaning

/** @param {string} directory */
async function cleanUp(directory) {
  for (const child of children) child.kill('SIGKILL')
  await until('the end of the mounts', () => mountsBelow(directory).length === 0, 3000).catch(() => {
    // Holdfast has not removed its mount in time: its failure must not become the user's leftovers.
    for (const point of mountsBelow(directory))
      spawnSync('umount', ['-l', point], { timeout: STEP_TIMEOUT_MS })
  })
  rmSync(directory, { recursive: true, force: true })
}

/** @param {string | undefined} named */
async function main(named) {
  if (process.getuid?.() !== 0) throw new Stop('this needs root (it mounts a file system): sudo npm start')
  if (!existsSync(HOLDFAST)) throw new Stop(`${HOLDFAST} is missing: run this from a checkout of Holdfast`)
  const given = named === undefined ? null : checkFile(named)
  const bytes = given?.bytes ?? DEFAULT_SIZE_MIB * MIB
  const directory = makeDirectory(bytes, given?.source ?? null)

  let isCleaning = false
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.on(signal, () => {
      if (isCleaning) return
      isCleaning = true
      say(`\n${signal}: cleaning up`)
      cleanUp(directory).then(
        () => process.exit(128 + constants.signals[signal]),
        (/** @type {unknown} */ error) => {
          console.error(error)
          process.exit(1)
        },
      )
    })
  }
  try {
    await play(directory, given)
  } finally {
    isCleaning = true
    await cleanUp(directory)
  }
}

/** @param {string} directory @param {ReturnType<typeof checkFile> | null} given */
async function play(directory, given) {
  const base = given === null ? 'model.bin' : path.basename(given.source)
  const file = base.startsWith('-') ? `./${base}` : base
  const target = path.join(directory, base)
  const original = path.join(directory, '.original')
  if (given === null) {
    say(`Making a file of ${DEFAULT_SIZE_MIB} MiB in ${directory}.`)
    makeFile(original)
  } else {
    say(`Working on a copy of ${given.source} (${size(given.bytes)}) in ${directory}.`)
  }
  const source = given?.source ?? original
  const restore = () => {
    quietly('cp', ['--reflink=auto', '--', source, target])
  }
  restore()
  const sum = quietly('sha256sum', ['--', target])
  const bytes = statSync(target).size
  /** @type {Stage} */
  const stage = {
    directory,
    name: quote(file),
    file,
    restore,
    // sha256sum puts a backslash before the sum of a file whose name it has to escape.
    sha256: sum.replace(/^\\/, '').slice(0, 64),
    // 20 MiB/s is what a slow disk delivers; nobody waits that long unless something hangs.
    passTimeoutMs: STEP_TIMEOUT_MS + (bytes / (20 * MIB)) * 1000,
  }
  await withoutHoldfast(stage)
  await withHoldfast(stage)
  if (given !== null) {
    const now = checkFile(given.source)
    const isSame = now.bytes === given.bytes && now.mtimeMs === given.mtimeMs
    say('')
    expect(isSame, `${given.source} was only read`, `${given.source} has changed meanwhile`)
  }
}

try {
  const [, , named] = process.argv
  // npm changes to the directory of the package, but the name is meant where the user is.
  await main(named === undefined ? undefined : path.resolve(process.env.INIT_CWD ?? '.', named))
  if (failures.length === 0) {
    heading('Everything happened as announced.')
    say('On your own file:  sudo holdfast run FILE -- COMMAND')
  } else {
    heading(`${failures.length} of the expectations did not hold:`)
    for (const failure of failures) say(`  - ${failure}`)
    process.exitCode = 1
  }
} catch (error) {
  if (!(error instanceof Stop)) throw error
  console.error(`holdfast demo: ${error.message}`)
  process.exitCode = error.exitCode
}
