import { expect, test } from 'vitest'
import { Random } from '../../lib/random.js'
import { formatScenario } from '../language/index.js'
import { ModelMachine } from '../model/index.js'
import type { Scenario } from '../scenario.js'
import { asScenario, auditHistory, shrink } from './history.js'
import { drawHistory } from './random-history.js'

const HISTORY_COUNT = 20
const STEP_COUNT = 400
const TIMEOUT_MS = 300_000
const makeMachine = (scenario: Scenario) => new ModelMachine(scenario)

/** Rerun a failure with HOLDFAST_SEED=<the number in its name>. */
function seeds(): number[] {
  const given = process.env.HOLDFAST_SEED
  if (given !== undefined) return [Number.parseInt(given, 10)]
  // The same ones each time, so that a change is judged by what it changed; `npm run litmus -- --random` draws others.
  const first = 1
  return Array.from({ length: HISTORY_COUNT }, (_, index) => first + index)
}

test.each(seeds())(
  'random: nothing breaks a rule, and everybody is answered in the end (seed %i)',
  (seed) => {
    const { scenario, history, what } = drawHistory(new Random(seed), seed, STEP_COUNT, makeMachine)
    if (what === null) return
    const shortest = shrink(scenario, history, makeMachine)
    const found = auditHistory(scenario, shortest, makeMachine)?.what ?? what
    expect.fail(`${found}\n\n${formatScenario(asScenario(scenario, shortest, found))}`)
  },
  TIMEOUT_MS,
)
