import { execFileSync, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, test } from 'vitest'
import { testDirectory } from '../linux/test-directory.js'
import { pathBytes } from './arguments.js'

const directory = testDirectory()
const root = fileURLToPath(new URL('../../', import.meta.url))
const program = path.join(directory, 'program.cjs')

/** arguments.ts as a program of its own, since the arguments of this process are the test runner's. */
beforeAll(() => {
  const bundler = path.join(root, 'node_modules/rolldown/bin/cli.mjs')
  const output = path.join(directory, 'arguments.cjs')
  const options = ['--format', 'cjs', '--platform', 'node', '--external', 'koffi', '--file', output]
  execFileSync(process.execPath, [bundler, path.join(root, 'src/cli/arguments.ts'), ...options], {
    stdio: 'pipe',
  })
  writeFileSync(program, "console.log(JSON.stringify(require('./arguments.cjs').readArguments()))\n")
})

/** @param words Shell code: printf makes bytes that a string of Node's could not hold. */
function run(words: string, nodeOptions = ''): string[] {
  const script = `exec "$NODE" ${nodeOptions} "$PROGRAM" ${words}`
  const result = spawnSync('/bin/sh', ['-c', script], {
    encoding: 'utf8',
    env: {
      ...process.env,
      NODE: process.execPath,
      PROGRAM: program,
      NODE_PATH: path.join(root, 'node_modules'),
    },
  })
  if (result.status !== 0) throw new Error(result.stderr)
  return JSON.parse(result.stdout) as string[]
}

describe('readArguments', () => {
  test('arguments that are not UTF-8 arrive byte for byte', () => {
    const words = run(`run "$(printf '/tmp/\\377\\376')" "$(printf '\\303\\251')"`)
    expect(words.map((word) => [...pathBytes(word)])).toEqual([
      [...Buffer.from('run')],
      [...Buffer.from('/tmp/'), 0xff, 0xfe],
      [0xc3, 0xa9],
    ])
  })

  test('empty arguments count, the first and the last too', () => {
    expect(run(`'' a '' ''`)).toEqual(['', 'a', '', ''])
  })

  test('no arguments are none', () => {
    expect(run('')).toEqual([])
  })

  test("Node's own options and what looks like them behind the script are told apart", () => {
    expect(run('--no-warnings -- -x', '--no-warnings --stack-size=900')).toEqual([
      '--no-warnings',
      '--',
      '-x',
    ])
  })
})

test('pathBytes: every byte comes back', () => {
  const bytes = Buffer.from(Array.from({ length: 255 }, (_, index) => index + 1))
  expect(pathBytes(bytes.toString('latin1'))).toEqual(bytes)
})
