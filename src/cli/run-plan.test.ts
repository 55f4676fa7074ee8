import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { testDirectory } from '../linux/test-directory.js'
import { type HeldFile, type RunPlanOptions, runPlan } from './run-plan.js'
import { evaluate, SHELLS } from './test-shells.js'

const directory = testDirectory()
let count = 0

/**
 * A file, and a control directory whose `ctl` is a FIFO: what is asked there comes back as the answer, so a
 * test asks for the answer that it wants.
 */
function heldFile(name = `file ${count} é 'q'`): HeldFile {
  const control = path.join(directory, `control-${count++}`)
  mkdirSync(control)
  execFileSync('mkfifo', [path.join(control, 'ctl')])
  const file = path.join(control, name)
  writeFileSync(file, `content of ${name}`)
  return { path: Buffer.from(file), control: Buffer.from(control) }
}

const files = (length: number) => Array.from({ length }, () => heldFile())

function plan(options: Partial<RunPlanOptions>): Buffer {
  return runPlan({
    files: [],
    request: () => 'ok',
    environment: [Buffer.from('PATH=/usr/bin:/bin')],
    usedFds: new Set([0, 1, 2]),
    isCommandAmbiguous: false,
    ...options,
  }).bytes
}

/** COMMAND that lists its descriptors above 2: `9 PATH` per line. */
const LIST = [
  '--',
  'sh',
  '-c',
  'for fd in 3 4 5 6 7 8 9; do [ ! -e /proc/$$/fd/$fd ] || echo "$fd $(readlink /proc/$$/fd/$fd)"; done',
]

describe.each(SHELLS)('a plan in $name', (shell) => {
  const run = (options: Partial<RunPlanOptions>, words: readonly string[] = LIST) => {
    const result = evaluate(shell, plan(options), directory, words)
    return { ...result, out: result.stdout.toString(), err: result.stderr.toString() }
  }

  test('COMMAND has each file open, from descriptor 9 downwards', () => {
    const held = files(3)
    const { out, err } = run({ files: held })
    expect(out).toBe(
      held
        .map((file, index) => `${9 - index} ${file.path}\n`)
        .reverse()
        .join(''),
    )
    expect(err).toBe('')
  })

  test('descriptors that are taken already are left alone', () => {
    const held = files(2)
    const { out } = run({ files: held, usedFds: new Set([0, 1, 2, 9, 7]) })
    expect(out).toBe(`6 ${held[1]?.path}\n8 ${held[0]?.path}\n`)
  })

  test('files that are more than the digits are held as well, and then closed', () => {
    const held = files(10)
    const asked: number[] = []
    const request = (fd: number) => {
      asked.push(fd)
      return 'ok'
    }
    const { out, status } = run({ files: held, request })
    expect(asked).toEqual([9, 8, 7, 6, 5, 4, 3, 9, 9, 9])
    expect(status).toBe(0)
    expect(out.split('\n').filter(Boolean)).toHaveLength(7)
    expect(out).toContain(`9 ${held[0]?.path}\n`)
  })

  test('where every digit is taken, each file is held through one that is lent', () => {
    const usedFds = new Set([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(run({ files: files(2), usedFds })).toMatchObject({ status: 0, out: '' })
  })

  test('the environment is what was given, byte for byte, names that are no identifiers included', () => {
    const environment = ['A=1', 'not-an-identifier=2', 'EMPTY=', "Q=it's $HOME `x`", 'N=a\nb'].map(String)
    const bytes = [...environment.map((text) => Buffer.from(text)), Buffer.from([0x58, 0x3d, 0xff, 0x81])]
    const result = evaluate(shell, plan({ environment: bytes }), directory, [
      '--',
      '/bin/cat',
      '/proc/self/environ',
    ])
    expect(result.stdout).toEqual(Buffer.concat(bytes.flatMap((each) => [each, Buffer.from([0])])))
  })

  test('COMMAND gets its words as they are, whatever they look like', () => {
    const words = ['', 'a b', '--', '-n', "it's", '$(x)', '*']
    const { out } = run({}, ['--', '/usr/bin/printf', '[%s]', ...words])
    expect(out).toBe(words.map((word) => `[${word}]`).join(''))
  })

  test('a name with "=" is a command if it is said to be one', () => {
    const name = path.join(directory, 'a=b')
    writeFileSync(name, '#!/bin/sh\necho "ran $1"\n', { mode: 0o755 })
    expect(run({ isCommandAmbiguous: true }, ['--', name, 'x']).out).toBe('ran x\n')
  })

  test("the exit code is COMMAND's own; 127 where there is none, 126 where it cannot be run", () => {
    const plain = path.join(directory, 'plain')
    writeFileSync(plain, '')
    const status = (...words: string[]) => run({ files: files(1) }, ['--', ...words]).status
    expect([status('sh', '-c', 'exit 42'), status('no-such-command'), status(plain)]).toEqual([42, 127, 126])
  })

  for (const [position, length] of [
    ['the first file', 1],
    ['a file beyond the digits', 8],
  ] as const) {
    test(`${position}: a refusal is told in one line, and COMMAND is not started`, () => {
      const held = files(length)
      let asked = 0
      const request = () => (++asked === length ? 'EPERM Operation not permitted: not yours' : 'ok')
      expect(run({ files: held, request })).toMatchObject({
        status: 1,
        out: '',
        err: `holdfast: ${held[length - 1]?.path}: EPERM Operation not permitted: not yours\n`,
      })
    })

    for (const answer of ['ENODEV the mount is about to go', 'EBADF no file of this mount', '']) {
      test(`${position}: after ${JSON.stringify(answer)} the plan comes back, quietly`, () => {
        let asked = 0
        const request = () => (++asked === length ? answer : 'ok')
        expect(run({ files: files(length), request })).toMatchObject({ out: 'came back\n', err: '' })
      })
    }

    test(`${position}: a file that is gone makes the plan come back, quietly`, () => {
      const held = files(length)
      const gone = {
        path: Buffer.from(`${directory}/gone`),
        control: held[length - 1]?.control ?? Buffer.from(''),
      }
      expect(run({ files: [...held.slice(0, -1), gone] })).toMatchObject({ out: 'came back\n', err: '' })
    })
  }

  test('a plan that comes back has closed what it opened', () => {
    let asked = 0
    const bytes = plan({ files: files(3), request: () => (++asked === 3 ? 'ENODEV' : 'ok') })
    const after = Buffer.concat([bytes, Buffer.from('ls /proc/$$/fd | grep -c "^[789]$"\n')])
    expect(evaluate(shell, after, directory).stdout.toString()).toBe('0\ncame back\n')
  })

  test('where the control directory is no mount any more, nothing counts as held', () => {
    const held = heldFile()
    const control = path.join(directory, `plain-${count++}`)
    mkdirSync(control)
    const { out } = run({ files: [{ ...held, control: Buffer.from(control) }] })
    expect(out).toBe('came back\n')
    // The redirection has made a file there, which answers nothing.
    expect(existsSync(path.join(control, 'ctl'))).toBe(true)
    expect(readFileSync(path.join(control, 'ctl'), 'utf8')).toBe('ok\n')
  })
})

describe('environment', () => {
  const given = (...strings: string[]) =>
    evaluate(
      SHELLS[0] ?? { command: ['sh'] },
      plan({ environment: strings.map((text) => Buffer.from(text)) }),
      directory,
      ['--', '/bin/cat', '/proc/self/environ'],
    ).stdout.toString()

  test('of a name that is there twice the first counts, as for getenv(3)', () => {
    expect(given('A=1', 'A=2', 'B=3')).toBe('A=1\0B=3\0')
  })

  test('what env(1) cannot set is left out instead of being taken for the command', () => {
    expect(given('no-equals-sign', '=C:\\x', 'A=1')).toBe('A=1\0')
  })
})
