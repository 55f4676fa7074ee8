import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { testDirectory } from '../../linux/test-directory.js'
import { TestShell } from '../../linux/test-shell.js'
import { register, removeDead } from './registry.js'
import { RunDirectoryError } from './run-directory.js'
import { withRunLock } from './run-lock.js'

const parent = testDirectory()
const BUILT = path.join(import.meta.dirname, '..', '..', '..', 'dist', 'daemon', 'places', 'run-lock.js')
let count = 0

/** A run directory of one test. */
function fresh(): string {
  const directory = path.join(parent, String(count++))
  mkdirSync(directory)
  return directory
}

function shareDirectory(name: string): void {
  mkdirSync(name)
  chmodSync(name, 0o775)
}

describe('withRunLock', () => {
  test('makes the run directory for everybody, whatever the umask', () => {
    const directory = `${parent}/under/umask`
    const before = process.umask(0o077)
    try {
      expect(withRunLock(() => statSync(directory).mode & 0o777, directory)).toBe(0o755)
    } finally {
      process.umask(before)
    }
  })

  test('waits for another process, and lets go also when the action throws', async () => {
    const directory = fresh()
    await using shell = new TestShell('exec 9>"$1/lock"; flock -x 9; echo locked; sleep 0.1', [directory])
    await shell.line()
    const before = performance.now()
    expect(() =>
      withRunLock(() => {
        throw new Error('refused')
      }, directory),
    ).toThrow('refused')
    expect(performance.now() - before).toBeGreaterThan(20)
    expect(withRunLock(() => 1, directory)).toBe(1)
  })
})

describe.skipIf(!existsSync(BUILT))(
  'a lock that is not let go (skipped before the first npm run build)',
  () => {
    const take = `import(process.argv[1]).then(({ withRunLock }) => withRunLock(() => 1, process.argv[2]))`
    const note = 'echo "$$ $(readlink /proc/self/ns/pid)" >"$1/lock"'

    /** What a process says that waits for the lock, which `script` has as $1/lock until `letGo` has been called. */
    async function waiting(script: string, letGo: (shell: TestShell) => void) {
      const directory = fresh()
      await using shell = new TestShell(`exec 9>>"$1/lock"; flock -x 9; ${script}`, [directory])
      await shell.line()
      const child = spawn(process.execPath, ['-e', take, BUILT, directory], {
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      let said = ''
      child.stderr.setEncoding('latin1').on('data', (text: string) => {
        said += text
        if (said.endsWith('\n')) letGo(shell)
      })
      const [code] = await once(child, 'close')
      return { said, code, directory, pid: shell.pid }
    }

    test('who waits says for whom, once; the lock comes all the same', async () => {
      const { said, code, directory, pid } = await waiting(`${note}; echo locked; read x`, (shell) =>
        shell.write('go'),
      )
      expect(said).toBe(
        `holdfast: waiting for process ${pid} (sh), which is mounting or unmounting (${directory}/lock)\n`,
      )
      expect(code).toBe(0)
      // It had the lock at last: it has tidied up.
      expect(existsSync(directory)).toBe(false)
    })

    test('one that is stopped is told how to go on', async () => {
      const { said, code, directory, pid } = await waiting(`${note}; echo locked; kill -STOP $$`, (shell) =>
        process.kill(shell.pid, 'SIGCONT'),
      )
      expect(said).toBe(
        `holdfast: waiting for process ${pid} (sh), which is stopped: 'kill -CONT ${pid}' lets it go on (${directory}/lock)\n`,
      )
      expect(code).toBe(0)
    })

    test('nobody knows who has it: another holdfast command', async () => {
      const { said, directory } = await waiting('echo locked; read x', (shell) => shell.write('go'))
      expect(said).toBe(
        `holdfast: waiting for another holdfast command, which is mounting or unmounting (${directory}/lock)\n`,
      )
    })

    test('who has had the lock is not named any more', () => {
      const directory = fresh()
      const place = register(directory)
      withRunLock(() => expect(statSync(`${directory}/lock`).size).toBeGreaterThan(0), directory)
      expect(statSync(`${directory}/lock`).size).toBe(0)
      place.remove()
    })
  },
)

describe('a run directory in /tmp', () => {
  test('goes with the last that used it, the lock file too', () => {
    const directory = fresh()
    const [first, second] = withRunLock(() => [register(directory), register(directory)] as const, directory)
    first.remove()
    expect(existsSync(`${directory}/lock`)).toBe(true)
    second.remove()
    expect(existsSync(directory)).toBe(false)
    expect(withRunLock(() => existsSync(`${directory}/lock`), directory)).toBe(true)
    expect(existsSync(directory)).toBe(false)
  })

  test.each([
    ['a dangling symlink', (name: string) => symlinkSync(`${parent}/nowhere`, name), 'is a symlink'],
    ['a symlink to a directory of ours', (name: string) => symlinkSync(parent, name), 'is a symlink'],
    ['a file', (name: string) => writeFileSync(name, ''), 'is no directory'],
    ['a directory that others may write to', shareDirectory, 'can be written to by others'],
  ])('is refused in one line where %s has its name, and removes nothing there', (_what, take, problem) => {
    const directory = `${parent}/taken-${count++}`
    take(directory)
    const before = lstatSync(directory).ino
    const act = () => withRunLock(() => expect.unreachable(), directory)
    expect(act).toThrow(RunDirectoryError)
    expect(act).toThrow(`${directory}: it ${problem}, so Holdfast keeps nothing there: `)
    expect(removeDead(directory)).toEqual([])
    expect(lstatSync(directory).ino).toBe(before)
    expect(existsSync(`${parent}/nowhere`)).toBe(false)
  })

  test.skipIf(process.geteuid?.() !== 0)(
    'is refused where another user has it (root, to give it away)',
    () => {
      const directory = fresh()
      chownSync(directory, 47_110, 47_110)
      expect(() => withRunLock(() => 1, directory)).toThrow('it belongs to uid 47110')
    },
  )

  test('a lock that is a symlink is not followed', () => {
    const directory = fresh()
    symlinkSync(`${parent}/elsewhere`, `${directory}/lock`)
    expect(() => withRunLock(() => 1, directory)).toThrow(expect.objectContaining({ code: 'ELOOP' }))
    expect(existsSync(`${parent}/elsewhere`)).toBe(false)
  })

  test('a directory that was put in its place while the lock was waited for is refused', async () => {
    const directory = fresh()
    // It has the same lock file, as another user could make it by a hard link.
    const script = `
      exec 9>"$1/lock"; flock -x 9; inode=$(stat -c %i "$1/lock"); echo locked
      for i in $(seq 500); do grep -q -- "-> FLOCK.*:$inode " /proc/locks && break; sleep 0.01; done
      mv "$1" "$1.old"; mkdir -m 777 "$1"; ln "$1.old/lock" "$1/lock"`
    await using shell = new TestShell(script, [directory])
    await shell.line()
    expect(() => withRunLock(() => 1, directory)).toThrow('can be written to by others')
  })

  test('stays while somebody has the lock, who tidies up then', () => {
    const directory = fresh()
    const place = register(directory)
    withRunLock(() => {
      place.remove()
      expect(existsSync(`${directory}/lock`)).toBe(true)
    }, directory)
    expect(existsSync(directory)).toBe(false)
  })

  test.skipIf(!existsSync(BUILT))(
    'the lock is one at a time all the same, however often its file goes (skipped before the first npm run build)',
    async () => {
      const directory = fresh()
      const counter = `${parent}/counter`
      writeFileSync(counter, '0')
      // Each of them adds to a number in a file, which only works one at a time, and takes the directory away.
      const script = `
        const { readFileSync, writeFileSync } = require('node:fs')
        const [built, directory, counter] = process.argv.slice(1)
        const add = () => writeFileSync(counter, String(Number(readFileSync(counter, 'utf8')) + 1))
        import(built).then(({ withRunLock }) => { for (let i = 0; i < 40; i++) withRunLock(add, directory) })`
      const argv = ['-e', script, BUILT, directory, counter]
      const runs = Array.from({ length: 3 }, () => promisify(execFile)(process.execPath, argv))
      await Promise.all(runs)
      expect(readFileSync(counter, 'utf8')).toBe('120')
      expect(existsSync(directory)).toBe(false)
    },
  )
})
