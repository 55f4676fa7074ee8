import { expect, test } from 'vitest'
import { parseScenario } from './language/index.js'
import { modelWorld } from './model/index.js'
import { formatSummary, hasFailed, playAll, type Row, TableWriter } from './report.js'
import { formatFailure, perform } from './runner.js'
import type { Scenario } from './scenario.js'
import { modelStage } from './worlds.js'

function scenarioOf(lines: string, head = ''): Scenario {
  return parseScenario(
    `scenario topic/name\nclaim It does.\nrules L1\n${head}\nfile f\nprocess holder alice\nprocess breaker bob\n${lines}`,
  )
}

async function failureOf(lines: string): Promise<string | null> {
  return (await perform(scenarioOf(lines), modelWorld(), { patienceMs: 0 })).failure
}

const TAKEN = 'holder: fd = open f rdonly\nholder: A = lease fd normal read\n'

test('a line of which something else comes fails, whichever kind of line it is', async () => {
  expect(await failureOf('breaker: truncate f 0 -> ETXTBSY')).toBe("'ETXTBSY' should have come of it")
  expect(await failureOf('holder: fd = open f rdonly\nholder: read fd 0 10 -> ok 11 data')).toContain(
    "'ok 11 data'",
  )
  expect(await failureOf(`${TAKEN}breaker: truncate f 0`)).toBe("'ok' should have come of it")
  expect(await failureOf(`${TAKEN}breaker: t = truncate f 0 -> waits\nt -> ok`)).toContain("'ok'")
  expect(await failureOf(`${TAKEN}breaker: t = truncate f 0 -> waits\ndeadline\nt still waits`)).toContain(
    "'waits'",
  )
  expect(await failureOf(`${TAKEN}breaker: t = truncate f 0 -> waits\ntold nothing`)).toBe(
    'exactly this should have been told: nothing',
  )
  expect(await failureOf(`${TAKEN}told A break by breaker`)).toContain('exactly this should have been told')
  expect(await failureOf(`${TAKEN}lease A active exclusive`)).toBe(
    "it should be seen as 'lease A active exclusive'",
  )
  expect(await failureOf(`${TAKEN}lease A owners nobody`)).toContain('owners nobody')
  expect(await failureOf('dead holder')).toBe('it should be dead')
})

test('a process that waits, has stopped or is dead cannot be asked to do anything', async () => {
  expect(await failureOf(`${TAKEN}breaker: t = truncate f 0 -> waits\nbreaker: exit`)).toContain(
    "'breaker' can do nothing: its 'truncate' has not returned",
  )
  expect(await failureOf('holder: exit\nholder: exec')).toContain("'holder' can do nothing: it is dead")
})

test('`told` counts from the last one on, and `told all` what a holder did itself as well', async () => {
  expect(await failureOf(`${TAKEN}told nothing\ntold all nothing`)).toBeNull()
  expect(await failureOf(`${TAKEN}told all A granted`)).toBeNull()
})

test('a failure shows the lines that were played and what came of the last one', async () => {
  const played = await perform(scenarioOf(`${TAKEN}breaker: truncate f 0\nholder: exit`), modelWorld(), {
    patienceMs: 0,
  })
  expect(formatFailure(played)).toBe(
    [
      'topic/name failed in the model: It does.',
      '  holder:  fd = open f rdonly',
      '  holder:  A = lease fd normal read',
      '> breaker:  truncate f 0   (came: waits)',
      "  'ok' should have come of it",
    ].join('\n'),
  )
})

test('what came of the failing line is always told, and of the others where they do not say it', async () => {
  const lines =
    'breaker: fd = open f rdwr -> anything\nbreaker: poll fd -> anything\nbreaker: truncate f 0 -> EPERM'
  const played = await perform(scenarioOf(`${lines}`), modelWorld(), { patienceMs: 0 })
  expect(formatFailure(played)).toMatch(
    /\n> .* -> EPERM {3}\(came: ok nothing\)\n {2}'EPERM' should have come of it$/,
  )
  expect(formatFailure(played)).not.toMatch(/\n {2}breaker.*came/)
})

test('a world that cannot be made fails the scenario, not the run', async () => {
  const broken = { name: 'mount', make: () => Promise.reject(new Error('no room')), close: async () => {} }
  const played = await perform(scenarioOf(TAKEN), broken, { patienceMs: 0 })
  expect(played.failure).toBe('the world could not be made: no room')
})

test('the table has a row for each scenario and a column for each world', async () => {
  const good = scenarioOf(TAKEN)
  const bad = scenarioOf('holder: truncate f 0 -> EIO')
  const stages = [modelStage(), { title: 'mount', maker: { missing: 'no root' }, patienceMs: 0 }]
  const table = new TableWriter([good, bad], stages)
  const heard: Row[] = []
  const rows = await playAll([good, bad], stages, (row) => heard.push(row))
  expect(heard).toEqual(rows)
  expect([table.head(), ...rows.map((row) => table.row(row))]).toEqual([
    'RULES  SCENARIO    MODEL         MOUNT',
    'L1     topic/name  ok            not measured',
    'L1     topic/name  FAILED        not measured',
  ])
  expect(formatSummary(rows, stages)).toBe('model: 1 as written, 1 failed\nmount: not measured: no root')
  expect(hasFailed(rows)).toBe(true)
  expect(hasFailed(await playAll([good], stages))).toBe(false)
})

test('what is for the model only is not tried anywhere else', async () => {
  const scenario = scenarioOf(TAKEN, 'model-only because')
  const maker = { name: 'mount', make: () => Promise.reject(new Error('tried')), close: async () => {} }
  const rows = await playAll([scenario], [modelStage(), { title: 'mount', maker, patienceMs: 0 }])
  expect(rows[0]?.cells.map(({ verdict }) => verdict)).toEqual(['ok', 'model only'])
})
