/** Explores scenarios one after the other and says what was seen, to people and to programs. */
import { formatTable } from '../../lib/text-table.js'
import { formatScenario } from '../language/index.js'
import type { Scenario } from '../scenario.js'
import { type Counts, type Exploration, type ExploreOptions, explore } from './explorer.js'

export interface Explored {
  readonly scenario: Scenario
  readonly exploration: Exploration
  readonly durationMs: number
}

export interface ExploreAllOptions extends Omit<ExploreOptions, 'progress'> {
  readonly nowMs: () => number
  /** Told about once a second, of what takes longer than that. */
  readonly progress: (text: string) => void
}

const PROGRESS_MS = 1_000

export function exploreAll(
  scenarios: readonly Scenario[],
  { nowMs, progress, ...options }: ExploreAllOptions,
): Explored[] {
  return scenarios.map((scenario) => {
    const startedMs = nowMs()
    let toldMs = startedMs
    const tell = ({ stateCount, stepCount, depth }: Counts) => {
      if (nowMs() - toldMs < PROGRESS_MS) return
      toldMs = nowMs()
      progress(
        `${scenario.name}: ${stateCount} states, ${stepCount} steps, histories of up to ${depth} steps`,
      )
    }
    const exploration = explore(scenario, { ...options, progress: tell })
    return { scenario, exploration, durationMs: nowMs() - startedMs }
  })
}

export function formatExplored(explored: readonly Explored[]): string {
  const rows = explored.map(({ scenario, exploration, durationMs }) => [
    scenario.name,
    `${exploration.stateCount}`,
    `${exploration.stepCount}`,
    `${exploration.depth}`,
    exploration.isComplete ? `${exploration.historyCount}` : '-',
    `${(durationMs / 1000).toFixed(1)} s`,
    verdictOf(exploration),
  ])
  return formatTable([['SCENARIO', 'STATES', 'STEPS', 'LONGEST', 'ORDERS', 'TIME', 'RESULT'], ...rows])
}

function verdictOf({ violation, isComplete }: Exploration): string {
  if (violation !== null) return 'VIOLATION'
  return isComplete ? 'ok' : 'ok so far'
}

/** The shortest history of each violation, as a scenario of its own. */
export function formatViolations(explored: readonly Explored[]): string {
  return explored
    .flatMap(({ exploration: { violation } }) => (violation === null ? [] : [violation]))
    .map(({ what, history }) => `${what}\n\n${formatScenario(history)}`)
    .join('\n')
}

export function exploredJson(explored: readonly Explored[]): unknown {
  return explored.map(({ scenario, exploration, durationMs }) => {
    const { stateCount, stepCount, depth, historyCount, isComplete, violation } = exploration
    return {
      name: scenario.name,
      states: stateCount,
      steps: stepCount,
      longest: depth,
      // Can be larger than any number of JSON's users.
      orders: isComplete ? `${historyCount}` : null,
      isComplete,
      durationMs,
      violation:
        violation === null ? null : { what: violation.what, scenario: formatScenario(violation.history) },
    }
  })
}
