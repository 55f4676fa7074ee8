import { expect, test } from 'vitest'
import { assert } from '../../lib/assert.js'
import { Random } from '../../lib/random.js'
import { ModelMachine } from '../model/index.js'
import { SCENARIOS } from '../scenarios/index.js'
import { explore } from './explorer.js'
import type { MakeMachine } from './history.js'
import { drawHistory } from './random-history.js'
import { GROUNDS } from './test-grounds.js'
import { MUTANTS } from './test-mutant-table.js'
import { loadRules, type Mutant, sourceOf } from './test-mutants.js'

const SEED_COUNT = 12
const STEP_COUNT = 300
const TIMEOUT_MS = 300_000
const STATE_COUNT_MAX = 2_000

test('mutants: each changes one line that is there exactly once, and spreads over the rules', () => {
  for (const mutant of MUTANTS) {
    expect(sourceOf(mutant).split(mutant.line), `${mutant.file}: ${mutant.line}`).toHaveLength(2)
  }
  expect(new Set(MUTANTS.map(({ rule }) => rule)).size).toBeGreaterThan(20)
})

/** @returns What is wrong with the rules, or null. */
function drawSome(makeMachine: MakeMachine): string | null {
  for (let seed = 1; seed <= SEED_COUNT; seed++) {
    const { what } = drawHistory(new Random(seed), seed, STEP_COUNT, makeMachine)
    if (what !== null) return what
  }
  return null
}

function exploreOne(name: string, makeMachine: MakeMachine): string | null {
  const scenario = [...GROUNDS, ...SCENARIOS].find((one) => one.name === name)
  assert(scenario !== undefined, `there is no scenario ${name}`)
  const options = { deathCountMax: 1, anyDeadline: true, stateCountMax: STATE_COUNT_MAX, makeMachine }
  return explore(scenario, options).violation?.what ?? null
}

async function machinesWith(mutant: Mutant | null): Promise<MakeMachine> {
  const createRules = await loadRules(mutant)
  return (scenario) => new ModelMachine(scenario, { createRules })
}

test(
  'mutants: rules that are as they should be pass whatever shows that others are not',
  async () => {
    const makeMachine = await machinesWith(null)
    expect(drawSome(makeMachine)).toBeNull()
    for (const { shownBy } of MUTANTS) {
      if (shownBy !== undefined) expect(exploreOne(shownBy, makeMachine)).toBeNull()
    }
  },
  TIMEOUT_MS,
)

test.each(MUTANTS)(
  'mutants: $rule: that $what is noticed',
  async (mutant) => {
    const makeMachine = await machinesWith(mutant)
    const { shownBy } = mutant
    const found = shownBy === undefined ? drawSome(makeMachine) : exploreOne(shownBy, makeMachine)
    expect(found).toMatch(/^[LBXPR]\d+: /)
  },
  TIMEOUT_MS,
)
