import { expect, test } from 'vitest'
import { createLeaseRules } from '../../lease/index.js'
import { parseScenario } from '../language/index.js'
import type { Action, Line } from '../scenario.js'
import { SCENARIOS } from '../scenarios/index.js'
import { ModelMachine } from './index.js'

const STAGE = `scenario topic/name
claim It does.
rules L1
file f
file g
process one alice
process two alice
process breaker bob
`

function actionsOf(text: string): Extract<Line, { kind: 'action' }>[] {
  return parseScenario(`${STAGE}\n${text}`).lines.filter((line) => line.kind === 'action')
}

function played(text: string): ModelMachine {
  const machine = new ModelMachine(parseScenario(STAGE))
  for (const { process, action } of actionsOf(text)) machine.start(process, action)
  return machine
}

const TAKEN = `one: a = open f rdonly
one: A = lease a normal read
two: b = open g rdonly
two: B = lease b exclusive read
two: P = pin b B
`

test('the key of a state does not depend on the order of what led to it', () => {
  const other = `two: b = open g rdonly
two: B = lease b exclusive read
one: a = open f rdonly
two: P = pin b B
one: A = lease a normal read
`
  expect(played(TAKEN).stateKey()).toBe(played(other).stateKey())
})

test('everything that will make a difference is in the key', () => {
  const base = `${TAKEN}one: m = map a\nbreaker: c = context\nbreaker: x = open f rdwr\n`
  const keys = [
    base,
    `${base}one: unmap m`,
    `${base}one: d = dup a`,
    `${base}one: send a to two as z`,
    `${base}breaker: close x`,
    `${base}two: R = pin b B`,
    `${base}two: R = pin b B 0..4096`,
    `${base}one: own a A add self SIGUSR1 1`,
    `${base}one: own a A add self SIGUSR1 2`,
    `${base}one: own a A remove self`,
    `${base}one: change a A normal read break-time 100`,
    `${base}breaker: t = truncate f 0 -> waits`,
    `${base}breaker: t = truncate f 4096 -> waits`,
    `${base}breaker: t = ftruncate x 4096 -> waits`,
    `${base}breaker: T = lease x normal write start -> EAGAIN`,
    `${base}breaker: T = lease x normal write wait -> waits`,
    `${base}breaker: t = truncate f 0 -> waits\ntwo: u = truncate f 0 -> waits`,
    `${base}breaker: truncate f 9000`,
    `${base}breaker: punch x 0..1`,
    `${base}one: unlink f`,
    `${base}one: chmod f 600`,
    `${base}two: kill one SIGSTOP`,
    `${base}two: kill one SIGKILL`,
    `${base}one: fork child`,
  ].map((text) => played(text).stateKey())
  expect(new Set(keys).size).toBe(keys.length)
})

test('time counts from now on: the key has how much is left of a deadline, not when it is', () => {
  const late = new ModelMachine(parseScenario(STAGE))
  late.pass(12_345)
  const breaking = `${TAKEN}breaker: t = truncate f 0 -> waits`
  for (const { process, action } of actionsOf(breaking)) late.start(process, action)
  const early = played(breaking)
  expect(late.stateKey()).toBe(early.stateKey())
  early.pass(1)
  expect(late.stateKey()).not.toBe(early.stateKey())
})

test('the same history gives the same machine, whatever the scenario', () => {
  for (const scenario of SCENARIOS) {
    const [first, second] = [0, 1].map(() => {
      const machine = new ModelMachine(scenario)
      const seen: unknown[] = []
      for (const line of scenario.lines) {
        if (line.kind === 'action' && machine.canStart(line.process)) {
          seen.push(machine.start(line.process, line.action), machine.stateKey())
        }
        if (line.kind === 'deadline') machine.passDeadlines()
        seen.push(machine.takeFinished(), machine.takeNotices())
      }
      return seen
    })
    expect(first).toEqual(second)
  }
})

test('other rules can be put in, and then decide', () => {
  const machine = new ModelMachine(parseScenario(STAGE), {
    createRules: (policy) => {
      const rules = createLeaseRules(policy)
      const step = rules.step.bind(rules)
      // Everything is somebody else's business: no change is ever refused.
      rules.step = (input, now) =>
        input.kind === 'layout-change' ? { answer: { status: 'done' }, effects: [] } : step(input, now)
      return rules
    },
  })
  for (const { process, action } of actionsOf(TAKEN)) machine.start(process, action)
  const truncate: Action = { do: 'truncate', target: { file: 'g' }, sizeBytes: 0 }
  expect(machine.start('breaker', truncate).outcome).toEqual({ is: 'ok', value: '' })
  expect(machine.files().find(({ name }) => name === 'g')?.sizeBytes).toBe(0)
})

test('what there is can be looked at: processes, open files, mappings, who waits for what', () => {
  const machine = played(`${TAKEN}one: m = map a
breaker: t = truncate f 0 -> waits
two: u = truncate f 10 -> waits`)
  expect(machine.enabled()).toEqual(['one'])
  const [one, two, breaker] = machine.processes()
  expect(one?.mappings.get('m')).toEqual({ file: 'f', range: { start: 0, end: 8192 } })
  expect(two?.waiting?.place).toBe('kernel')
  expect(breaker?.waiting?.place).toBe('holdfast')
  expect(machine.openFiles().map(({ file, referenceCount }) => [file, referenceCount])).toEqual([
    ['f', 1],
    ['g', 1],
  ])
  expect(machine.nextDeadlineMs()).toBe(600)
  expect(machine.leases()).toEqual(['A', 'B'])
})

test('20,000 actions take less than a second of processor time, and their machines too', () => {
  const actions = actionsOf(`${TAKEN}breaker: t = truncate f 0 -> waits\none: release a A\n`)
  const scenario = parseScenario(STAGE)
  const begin = process.cpuUsage()
  for (let count = 0; count < 20_000; count += actions.length) {
    const machine = new ModelMachine(scenario)
    for (const { process: name, action } of actions) machine.start(name, action)
  }
  const { user } = process.cpuUsage(begin)
  expect(user / 1000).toBeLessThan(1000)
})

test('who waits for the lock of a file: SIGKILL ends the wait of a truncate at once, but not that of a write', () => {
  const machine = played(`one: a = open f rdonly
one: A = lease a normal read
two: w = open f rdwr
breaker: t = truncate f 0 -> waits
one: fork third
third: u = truncate f 10 -> waits
two: v = write w 0 10 -> waits
one: kill third SIGKILL
one: kill two SIGKILL`)
  expect(machine.takeFinished().map(({ outcome }) => outcome.is)).toEqual(['killed'])
  expect(['third', 'two'].map((name) => machine.isAlive(name))).toEqual([false, true])
  machine.passDeadlines()
  expect(machine.takeFinished().map(({ outcome }) => outcome.is)).toEqual(['ok', 'killed'])
  expect(machine.files().map(({ sizeBytes }) => sizeBytes)).toEqual([0, 8192])
})
