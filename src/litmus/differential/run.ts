/** The differential run: random histories in the model and on a mount, until time is up or they differ. */

import { Random } from '../../lib/random.js'
import { formatScenario } from '../language/index.js'
import { ModelMachine } from '../model/index.js'
import type { Scenario } from '../scenario.js'
import type { WorldMaker } from '../world.js'
import { asScenario, compare, type Difference, shrink } from './compare.js'
import { randomScenario, type Step, StepMaker } from './history.js'

export interface RandomRun {
  /** One world each, and whether it has passthrough, which the model must know. */
  readonly makers: readonly { readonly maker: WorldMaker; readonly passthrough: boolean }[]
  readonly seed: number
  readonly untilMs: number
  /** How much longer shrinking may take. */
  readonly shrinkMs: number
  readonly told?: (line: string) => void
}

export interface RandomResult {
  readonly histories: number
  readonly steps: number
  /** Text for whoever has to find out; null: no difference. */
  readonly failure: string | null
}

const STEPS = { least: 50, most: 200 }

/** The history of a seed: the same on every machine. */
export function makeHistory(seed: number, passthrough: boolean): { scenario: Scenario; steps: Step[] } {
  const scenario = randomScenario(seed)
  const machine = new ModelMachine(scenario, { passthrough })
  const maker = new StepMaker(seed, scenario, machine)
  const count = new Random(seed).int(STEPS.least, STEPS.most)
  const steps: Step[] = []
  while (steps.length < count) {
    const step = maker.next()
    if (step === null) break
    steps.push(step)
    if (step.kind === 'time') machine.pass(step.passMs)
    else if (step.kind === 'deadline') machine.passDeadlines()
    else machine.start(step.process, step.action)
    machine.takeFinished()
    machine.takeNotices()
  }
  return { scenario, steps }
}

export async function runRandom(run: RandomRun): Promise<RandomResult> {
  let histories = 0
  let stepCount = 0
  for (let seed = run.seed; performance.now() < run.untilMs; seed++) {
    for (const { maker, passthrough } of run.makers) {
      const { scenario, steps } = makeHistory(seed, passthrough)
      const found = await compare(scenario, steps, maker, passthrough).catch((error: unknown) => {
        const reason = error instanceof Error ? error.message : String(error)
        throw new Error(`seed ${seed}: the ${maker.name} broke down: ${reason}`, { cause: error })
      })
      histories++
      stepCount += steps.length
      if (found === null) continue
      run.told?.(`seed ${seed} differs after ${found.steps.length} steps in the ${maker.name}; shrinking it`)
      const end = performance.now() + run.shrinkMs
      const shortest = await shrink(
        found,
        (part) => compare(scenario, part, maker, passthrough),
        () => performance.now() < end,
      )
      const failure = describe(seed, scenario, shortest, { name: maker.name, passthrough })
      return { histories, steps: stepCount, failure }
    }
  }
  return { histories, steps: stepCount, failure: null }
}

function describe(
  seed: number,
  scenario: Scenario,
  { steps, what }: Difference,
  { name, passthrough }: { name: string; passthrough: boolean },
): string {
  const text = formatScenario(asScenario(scenario, steps, passthrough))
  return [`seed ${seed}: the model and the ${name} differ after the last of these lines:`, text, what].join(
    '\n',
  )
}
