/** The benchmark: that it measures what it says, and that nothing of it stays behind. */
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { eventuallyTrue } from './support/eventually.js'

const MAIN = fileURLToPath(new URL('../bench/main.js', import.meta.url))
const SOON_MS = 110_000

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'bench-test-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

function bench(...args: string[]) {
  const child = spawn(process.execPath, [MAIN, '--json', ...args], {
    env: { ...process.env, TMPDIR: directory },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: SOON_MS,
    killSignal: 'SIGINT',
  })
  let output = ''
  let progress = ''
  child.stdout.on('data', (data) => {
    output += data
  })
  child.stderr.on('data', (data) => {
    progress += data
  })
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
  return { child, output: () => output, progress: () => progress, ended }
}

const isMountedBelow = () => readFileSync('/proc/self/mountinfo', 'latin1').includes(directory)

test('bench: to open, read and close a small file causes one OPEN and one RELEASE', async () => {
  const { output, ended } = bench('--requests', '--only', 'open+read+close')
  expect(await ended).toBe(0)
  const { requests } = JSON.parse(output())
  expect(requests[0].targets.holdfast).toMatchObject({ OPEN: 1, RELEASE: 1 })
  expect(readdirSync(directory)).toEqual([])
})

test('bench: interrupted twice, it leaves no mount, no image and no directory, and prints what it has', async () => {
  const { child, output, progress, ended } = bench('--quick', '--pinned', '--only', 'metadata')
  await eventuallyTrue('the first row', () => progress().includes('stat, hot'), SOON_MS)
  child.kill('SIGINT')
  child.kill('SIGINT')
  expect(await ended).toBe(1)
  expect(readdirSync(directory)).toEqual([])
  expect(isMountedBelow()).toBe(false)
  const { sections, missing } = JSON.parse(output())
  expect(sections[0].results[0].name).toBe('stat, hot')
  expect(missing.join()).toContain('ended early')
})
