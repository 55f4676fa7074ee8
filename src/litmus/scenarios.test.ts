import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { formatScenario, parseScenario } from './language/index.js'
import { modelWorld } from './model/index.js'
import { formatFailure, perform } from './runner.js'
import { SCENARIOS } from './scenarios/index.js'

const NAMES = SCENARIOS.map(({ name }) => name)

for (const scenario of SCENARIOS) {
  test(`${scenario.rules.join(', ')}: ${scenario.name}: ${scenario.claim}`, async () => {
    for (const passthrough of [true, false]) {
      const performance = await perform(scenario, modelWorld({ passthrough }), { patienceMs: 0 })
      expect(performance.failure === null ? '' : formatFailure(performance)).toBe('')
    }
  })
}

test('every file of scenarios/ is in the index, once, under its own name', () => {
  const directory = new URL('./scenarios/', import.meta.url)
  const files = readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((file) => /^[^/]+\/[^/]+\.ts$/.test(file))
    .map((file) => file.replace(/\.ts$/, ''))
  expect([...NAMES].sort()).toEqual(files.sort())
})

test('every scenario is the same after it has been written down and read again', () => {
  for (const scenario of SCENARIOS) expect(parseScenario(formatScenario(scenario))).toEqual(scenario)
})

const SEMANTICS = readFileSync(new URL('../../docs/SEMANTICS.md', import.meta.url), 'utf8')
const RULES = [...SEMANTICS.matchAll(/^- \*\*([LBXPR]\d+)\b/gm)].map(([, rule = '']) => rule)

test('every rule of docs/SEMANTICS.md has a scenario, and no scenario names another', () => {
  expect(RULES.length).toBe(35)
  expect([...new Set(SCENARIOS.flatMap(({ rules }) => rules))].sort()).toEqual([...RULES].sort())
})

/** `[name](../src/litmus/scenarios/name.ts)` */
function linkTo(name: string): string {
  return `[${name}](../src/litmus/scenarios/${name}.ts)`
}

test('docs/SEMANTICS.md names under each rule the scenarios that show it', () => {
  const table = SEMANTICS.slice(SEMANTICS.indexOf('\n## Scenarios by rule'))
  for (const rule of RULES) {
    const shown = SCENARIOS.filter(({ rules }) => rules.includes(rule)).map(({ name }) => linkTo(name))
    expect(table).toContain(`\n| ${rule} | ${shown.join(', ')} |\n`)
  }
})

test('docs/LITMUS.md has the questions that scenarios answer, and only those', () => {
  const page = readFileSync(new URL('../../docs/LITMUS.md', import.meta.url), 'utf8')
  const rows = page.slice(page.indexOf('\n## Questions of 2019')).match(/^\| .*\.ts\) \|$/gm)
  const answered = SCENARIOS.flatMap(({ name, question }) =>
    question === null ? [] : [`| ${question} | ${linkTo(name)} |`],
  )
  expect(answered.length).toBeGreaterThan(0)
  expect(rows).toEqual(answered)
})

test('every errno of the table in docs/SEMANTICS.md comes up in a scenario', () => {
  const table = SEMANTICS.slice(SEMANTICS.indexOf('\n## Errors'), SEMANTICS.indexOf('\n## Known limits'))
  const errnos = [...table.matchAll(/^\| (E\w+) \|/gm)].map(([, errno = '']) => errno)
  const shown = new Set(
    SCENARIOS.flatMap(({ lines }) =>
      lines.flatMap((line) =>
        'expect' in line && line.expect !== null && 'is' in line.expect && line.expect.is === 'failed'
          ? [line.expect.errno]
          : [],
      ),
    ),
  )
  expect(errnos.length).toBe(9)
  expect(errnos.filter((errno) => !shown.has(errno))).toEqual([])
})
