import { expect, test } from 'vitest'
import { formatScenario, parseScenario } from '../language/index.js'
import { ModelMachine } from '../model/index.js'
import type { Scenario } from '../scenario.js'
import { SCENARIOS } from '../scenarios/index.js'
import { type Exploration, explore } from './explorer.js'
import { auditHistory, type Move } from './history.js'
import { GROUNDS } from './test-grounds.js'
import { loadRules } from './test-mutants.js'

const TIMEOUT_MS = 300_000
const makeMachine = (scenario: Scenario) => new ModelMachine(scenario)

function exploreText(text: string, deathCountMax = 0, anyDeadline = false): Exploration {
  return explore(parseScenario(text), { deathCountMax, anyDeadline, stateCountMax: 10_000, makeMachine })
}

const HEAD = `
scenario test/orders
claim Nothing that is done here breaks a rule.
rules L1
file f
process a alice
process b bob
`

test('explorer: every order is counted, and equal states are gone into once', () => {
  const { stateCount, stepCount, depth, historyCount } = exploreText(`${HEAD}
a:  x = open f rdonly
a:  close x
b:  y = open f rdonly
b:  close y
`)
  // Two of four places are those of `a`; a state is how far each of the two has come.
  expect(historyCount).toBe(6n)
  expect({ stateCount, stepCount, depth }).toEqual({ stateCount: 9, stepCount: 12, depth: 4 })
})

test('explorer: who needs what another still makes waits for it', () => {
  const { historyCount, depth } = exploreText(`${HEAD}
a:  x = open f rdonly
a:  send x to b as y
b:  close y
`)
  expect({ historyCount, depth }).toEqual({ historyCount: 1n, depth: 3 })
})

test('explorer: lines that need what will never come are passed over', () => {
  const alone = exploreText(
    `${HEAD}
a:  x = open f rdonly
a:  send x to b as y
b:  close y
`,
    1,
  )
  // Whoever is killed first: `a` before or after each of its lines, `b` likewise, or nobody.
  expect(alone.violation).toBeNull()
  expect(alone.historyCount).toBeGreaterThan(5n)
})

test('explorer: a deadline passes when all wait, and everybody is answered', () => {
  const text = `${HEAD}
a:  x = open f rdonly
a:  A = lease x normal read
b:  t = truncate f 0 -> waits
`
  const { violation, depth } = exploreText(text)
  expect(violation).toBeNull()
  expect(depth).toBe(4)
  expect(exploreText(text, 0, true).historyCount).toBe(exploreText(text).historyCount)
})

test('explorer: it stops after as many states as it may see, and says so', () => {
  const scenario = SCENARIOS[0]
  if (scenario === undefined) throw new Error('there are no scenarios')
  const options = { deathCountMax: 1, anyDeadline: true, stateCountMax: 3, makeMachine }
  expect(explore(scenario, options).isComplete).toBe(false)
})

test('explorer: a violation is shown by a shortest history, which can be run by itself', async () => {
  const createRules = await loadRules({
    rule: 'B1',
    what: 'no change waits',
    file: 'judge.ts',
    line: "return lease.notifyOnly ? 'tell' : 'wait'",
    replacement: "return 'tell'",
  })
  const scenario = SCENARIOS.find(({ name }) => name === 'breaking/a-breaker-waits-for-all-holders')
  if (scenario === undefined) throw new Error('there is no such scenario')
  const makeBroken = (one: Scenario) => new ModelMachine(one, { createRules })
  const { violation } = explore(scenario, {
    deathCountMax: 1,
    anyDeadline: true,
    stateCountMax: 10_000,
    makeMachine: makeBroken,
  })
  if (violation === null) throw new Error('nothing was found')
  expect(violation.what).toMatch(/^[BX]1: breaker truncate got ok instead of waits$/)
  // Open, lease, truncate: no shorter history can show it.
  const again = parseScenario(formatScenario(violation.history))
  expect(again.lines).toHaveLength(3)
  const moves = again.lines.map((line): Move => {
    if (line.kind !== 'action') throw new Error('only actions are needed')
    return { kind: 'act', process: line.process, action: line.action }
  })
  expect(auditHistory(again, moves, makeBroken)?.what).toBe(violation.what)
  expect(auditHistory(again, moves, makeMachine)).toBeNull()
})

test(
  'explorer: three processes of five steps, one of which may die, and deadlines at any moment',
  () => {
    const { violation, isComplete, historyCount } = exploreText(
      `
scenario test/three-by-five
claim Whatever three processes that want the same bytes do first, no rule is broken.
rules L3 B4
file f 16384 bytes
process a root
process b root
process c root

a:  fd = open f rdwr
a:  A = lease fd normal write wait
a:  ftruncate fd 8192
a:  change fd A normal read
a:  close fd
b:  fd = open f rdwr
b:  B = lease fd normal read wait
b:  ftruncate fd 4096
b:  m = map fd 0..4096
b:  close fd
c:  fd = open f rdwr
c:  C = lease fd exclusive read start
c:  P = pin fd C
c:  ftruncate fd 100
c:  close fd
`,
      1,
      true,
    )
    expect(violation).toBeNull()
    expect(isComplete).toBe(true)
    expect(historyCount).toBeGreaterThan(1_000_000n)
  },
  TIMEOUT_MS,
)

test.each([...SCENARIOS, ...GROUNDS].map((scenario) => [scenario.name, scenario] as const))(
  'explorer: no order of %s breaks a rule',
  (_name, scenario) => {
    const options = { deathCountMax: 1, anyDeadline: true, stateCountMax: 600, makeMachine }
    const { violation } = explore(scenario, options)
    expect(violation === null ? '' : formatScenario(violation.history)).toBe('')
  },
  TIMEOUT_MS,
)
