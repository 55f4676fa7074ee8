/** `holdfast litmus` as a program: what it plays, prints and ends with. The model alone; no mount is needed. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { HOLDFAST } from './support/programs.js'

function litmus(...words: string[]) {
  const { status, stdout, stderr } = spawnSync(HOLDFAST, ['litmus', ...words], {
    encoding: 'utf8',
    timeout: 60_000,
  })
  return { status, stdout, stderr }
}

/** A scenario of our own, in a file. */
function fileWith(text: string): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'holdfast-litmus-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const file = path.join(directory, 'mine.litmus')
  writeFileSync(file, text)
  return file
}

const MINE = `scenario mine/refused
claim It is refused.
rules X1
file f
process holder alice
process breaker bob

holder:   fd = open f rdonly
holder:   A = lease fd exclusive read
breaker:  truncate f 0 -> ETXTBSY
`

test('a rule stands for the scenarios that show it; all go as written in the model', () => {
  const { status, stdout } = litmus('--model', 'X2')
  expect(status).toBe(0)
  expect(stdout).toMatch(/^RULES +SCENARIO +MODEL\n/)
  expect(stdout).toMatch(/^X2 X3 +exclusive\/a-refusal-breaks-nothing +ok$/m)
})

test("a scenario of one's own is played from its file, and a wrong one ends with 1 and what came of it", () => {
  expect(litmus('--model', fileWith(MINE)).status).toBe(0)
  const { status, stdout } = litmus('--model', fileWith(MINE.replace('ETXTBSY', 'waits')))
  expect(status).toBe(1)
  expect(stdout).toContain('> breaker:  truncate f 0')
  expect(stdout).toContain('(came: ETXTBSY)')
})

test('what is not a scenario is one line on standard error and exit code 2', () => {
  expect(litmus('--model', fileWith(MINE.replace('truncate', 'trumcate')))).toMatchObject({
    status: 2,
    stderr: expect.stringMatching(/^holdfast: litmus: .*line 10: .*no process can 'trumcate'\n$/),
  })
  expect(litmus('nonsense').status).toBe(2)
})

test('--json has every world and every verdict; --show gives a text that can be played', () => {
  const { status, stdout } = litmus('--model', '--json', 'pins/pins-count')
  expect(status).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({
    worlds: [{ name: 'model', notMeasured: null }],
    scenarios: [{ name: 'pins/pins-count', rules: ['P3'], results: [{ world: 'model', verdict: 'ok' }] }],
  })
  expect(litmus('--model', fileWith(litmus('--show', 'pins/pins-count').stdout)).status).toBe(0)
})

test('--explore tells how much it saw; --json has the same as numbers', () => {
  const { status, stdout } = litmus('--explore', '--deaths', '0', fileWith(MINE))
  expect(status).toBe(0)
  expect(stdout).toMatch(/^SCENARIO +STATES +STEPS +LONGEST +ORDERS +TIME +RESULT\n/)
  // The breaker comes before, between or after the two lines of the holder; the first two end alike.
  expect(stdout).toMatch(/^mine\/refused +7 +7 +3 +3 +\S+ s +ok$/m)
  const json = litmus('--explore', '--deaths', '0', '--json', fileWith(MINE))
  expect(JSON.parse(json.stdout)).toMatchObject([{ name: 'mine/refused', orders: '3', violation: null }])
  expect(litmus('--explore', '--deaths', 'many', fileWith(MINE)).status).toBe(2)
})
