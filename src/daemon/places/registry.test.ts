import { chownSync, existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import type { MountInfo } from '../../linux/mounts.js'
import { testDirectory } from '../../linux/test-directory.js'
import { TestShell } from '../../linux/test-shell.js'
import {
  CONTROL_TYPE,
  DATA_TYPE,
  enginePid,
  isAlive,
  isHoldfast,
  liveEngines,
  register,
  removeDead,
} from './registry.js'
import { runDirectory } from './run-directory.js'

const parent = testDirectory()
let count = 0

/** A run directory of one test. */
function fresh(): string {
  const directory = path.join(parent, String(count++))
  mkdirSync(directory)
  return directory
}

/** A process that holds a place as an engine does. */
async function engine(control: string): Promise<TestShell> {
  mkdirSync(control)
  // A lock of the open file description that the shell shares with python, as the engine's own is.
  const lock = `import fcntl, struct; fcntl.fcntl(9, 37, struct.pack("hhqqi4x", 1, 0, 0, 0, 0))`
  const shell = new TestShell(`exec 9>"$1.lock"; python3 -c '${lock}'; echo locked; read x`, [control])
  await shell.line()
  return shell
}

const mountOf = (type: string, source: string, uid = process.geteuid?.() ?? 0): MountInfo => ({
  id: 1,
  parent: 2,
  major: 0,
  minor: 3,
  root: Buffer.from('/'),
  mountpoint: Buffer.from(source),
  options: [],
  type,
  source: Buffer.from(source),
  superOptions: ['rw', `user_id=${uid}`, 'group_id=0'],
})

test('runDirectory: root has one for the machine, others one each, in a runtime directory that is theirs', () => {
  const runtime = fresh()
  // Root tests it with somebody else's directory, everybody else with their own.
  const own = process.geteuid?.() === 0 ? 47_110 : (process.geteuid?.() ?? 1)
  if (process.geteuid?.() === 0) chownSync(runtime, own, own)
  const before = process.env.XDG_RUNTIME_DIR
  process.env.XDG_RUNTIME_DIR = runtime
  try {
    expect(runDirectory(0)).toBe('/run/holdfast')
    expect(runDirectory(own)).toBe(`${runtime}/holdfast`)
    expect(runDirectory(47_111)).toBe('/tmp/holdfast-47111')
  } finally {
    if (before === undefined) delete process.env.XDG_RUNTIME_DIR
    else process.env.XDG_RUNTIME_DIR = before
  }
})

describe('register', () => {
  test('takes the smallest number that no living engine has, and gives it back', () => {
    const directory = fresh()
    const first = register(directory)
    const second = register(directory)
    expect([first.number, second.number]).toEqual([0, 1])
    expect(first.control).toBe(`${directory}/0`)
    expect([isAlive(first.control), isAlive(second.control)]).toEqual([true, true])
    first.remove()
    expect(isAlive(first.control)).toBeNull()
    expect(existsSync(first.control)).toBe(false)
    const third = register(directory)
    expect(third.number).toBe(0)
    for (const each of [second, third]) each.remove()
  })

  test('a place whose engine was killed can be taken again as it is', async () => {
    const directory = fresh()
    const shell = await engine(`${directory}/0`)
    expect(register(directory).number).toBe(1)
    await shell.kill()
    expect(isAlive(`${directory}/0`)).toBe(false)
    expect(register(directory).number).toBe(0)
  })

  test('everybody may ask whether an engine lives, nobody else may write', () => {
    const place = register(fresh())
    expect(statSync(`${place.control}.lock`).mode & 0o022).toBe(0)
    place.remove()
  })

  test('removing a place that somebody else has tidied up already is no failure', () => {
    const place = register(fresh())
    rmSync(place.control, { recursive: true })
    rmSync(`${place.control}.lock`)
    place.remove()
  })
})

describe('enginePid', () => {
  test('is the process of a place, whoever had it before; null for none, and in another pid namespace', () => {
    const directory = fresh()
    writeFileSync(`${directory}/0.lock`, '1 pid:[0]\n\n\n')
    const place = register(directory)
    expect(enginePid(place.control)).toBe(process.pid)
    writeFileSync(`${place.control}.lock`, '1 pid:[0]\n')
    expect(enginePid(place.control)).toBeNull()
    writeFileSync(`${place.control}.lock`, '')
    expect(enginePid(place.control)).toBeNull()
    place.remove()
    expect(enginePid(place.control)).toBeNull()
  })
})

describe('isAlive', () => {
  test('true while the process lives, false after SIGKILL, null for what never was', async () => {
    const control = `${fresh()}/0`
    expect(isAlive(control)).toBeNull()
    const shell = await engine(control)
    expect(isAlive(control)).toBe(true)
    await shell.kill()
    expect(isAlive(control)).toBe(false)
  })

  test('asking takes nothing away: the next one gets the same answer', async () => {
    const control = `${fresh()}/0`
    const shell = await engine(control)
    await shell.kill()
    expect([isAlive(control), isAlive(control)]).toEqual([false, false])
  })
})

describe('removeDead', () => {
  test('removes the place of an engine that was killed, and leaves one that lives', async () => {
    const directory = fresh()
    const dead = await engine(`${directory}/0`)
    await using alive = await engine(`${directory}/1`)
    await dead.kill()
    expect(removeDead(directory)).toEqual([])
    expect(existsSync(`${directory}/0`)).toBe(false)
    expect(existsSync(`${directory}/0.lock`)).toBe(false)
    expect(existsSync(`${directory}/1`)).toBe(true)
    expect(alive.pid).toBeGreaterThan(0)
  })

  test('half a place is removed too: an engine can be killed between any two steps', () => {
    const directory = fresh()
    writeFileSync(`${directory}/3.lock`, '')
    expect(removeDead(directory)).toEqual([])
    expect(existsSync(`${directory}/3.lock`)).toBe(false)
  })

  test('what cannot be removed stays, with its lock file, and fails nothing', () => {
    const directory = fresh()
    mkdirSync(`${directory}/4/something`, { recursive: true })
    writeFileSync(`${directory}/4.lock`, '')
    expect(removeDead(directory)).toEqual([])
    expect(existsSync(`${directory}/4.lock`)).toBe(true)
  })

  test('files that are not ours are left alone', () => {
    const directory = fresh()
    for (const name of ['lock', 'x.lock', '1.lock.bak', '-1.lock']) writeFileSync(`${directory}/${name}`, '')
    removeDead(directory)
    for (const name of ['lock', 'x.lock', '1.lock.bak', '-1.lock']) {
      expect(existsSync(`${directory}/${name}`)).toBe(true)
    }
  })

  test('a machine on which nothing ever ran has nothing to remove, and gets no directory for it', () => {
    const directory = `${parent}/never`
    expect(removeDead(directory)).toEqual([])
    expect(existsSync(directory)).toBe(false)
  })
})

describe('liveEngines', () => {
  test('control mounts whose engine lives; data mounts, dead ones, those of other users and the rest are none', async () => {
    const directory = fresh()
    const dead = await engine(`${directory}/0`)
    await using alive = await engine(`${directory}/1`)
    await using foreign = await engine(`${directory}/3`)
    await dead.kill()
    const mounts = [
      mountOf(CONTROL_TYPE, `${directory}/0`),
      mountOf(CONTROL_TYPE, `${directory}/1`),
      mountOf(DATA_TYPE, `${directory}/1`),
      mountOf('tmpfs', `${directory}/1`),
      mountOf(CONTROL_TYPE, `${directory}/2`),
      mountOf(CONTROL_TYPE, `${directory}/3`, 4711),
    ]
    expect(liveEngines(mounts)).toEqual([`${directory}/1`])
    expect(mounts.filter(isHoldfast)).toHaveLength(5)
    expect([alive.pid, foreign.pid]).not.toContain(0)
  })
})
