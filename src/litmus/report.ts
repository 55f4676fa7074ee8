/** Plays scenarios on every stage and says what came of it, to people and to programs. */
import { formatTable } from '../lib/text-table.js'
import { formatFailure, type Performance, perform } from './runner.js'
import type { Scenario } from './scenario.js'
import type { Stage } from './worlds.js'

export type Verdict = 'ok' | 'FAILED' | 'model only' | 'not measured'

export interface Cell {
  readonly verdict: Verdict
  readonly performance: Performance | null
}

export interface Row {
  readonly scenario: Scenario
  /** One for each stage. */
  readonly cells: readonly Cell[]
}

/** One world after the other, so that nothing that one leaves behind is in the way of the next. */
export async function playAll(scenarios: readonly Scenario[], stages: readonly Stage[]): Promise<Row[]> {
  const columns: Cell[][] = []
  for (const stage of stages) columns.push(await playOn(stage, scenarios))
  return scenarios.map((scenario, index) => ({
    scenario,
    cells: columns.flatMap((column) => column[index] ?? []),
  }))
}

async function playOn({ maker, title, patienceMs }: Stage, scenarios: readonly Scenario[]): Promise<Cell[]> {
  if ('missing' in maker) return scenarios.map(() => ({ verdict: 'not measured', performance: null }))
  const cells: Cell[] = []
  try {
    for (const scenario of scenarios) {
      if (scenario.modelOnly !== null && title !== 'model') {
        cells.push({ verdict: 'model only', performance: null })
        continue
      }
      const performance = await perform(scenario, maker, { patienceMs })
      cells.push({ verdict: performance.failure === null ? 'ok' : 'FAILED', performance })
    }
  } finally {
    await maker.close()
  }
  return cells
}

export function hasFailed(rows: readonly Row[]): boolean {
  return rows.some(({ cells }) => cells.some(({ verdict }) => verdict === 'FAILED'))
}

export function formatRows(rows: readonly Row[], stages: readonly Stage[]): string {
  const head = ['RULES', 'SCENARIO', ...stages.map(({ title }) => title.toUpperCase())]
  const lines = rows.map(({ scenario, cells }) => [
    scenario.rules.join(' '),
    scenario.name,
    ...cells.map(({ verdict }) => verdict),
  ])
  return formatTable([head, ...lines])
}

/** How many went well in each world, and what was not measured for which reason. */
export function formatSummary(rows: readonly Row[], stages: readonly Stage[]): string {
  return stages
    .map(({ title, maker }, index) => {
      if ('missing' in maker) return `${title}: not measured: ${maker.missing}`
      const verdicts = rows.map(({ cells }) => cells[index]?.verdict)
      const count = (wanted: Verdict) => verdicts.filter((verdict) => verdict === wanted).length
      const others = count('model only') === 0 ? '' : `, ${count('model only')} for the model only`
      return `${title}: ${count('ok')} as written, ${count('FAILED')} failed${others}`
    })
    .join('\n')
}

export function formatFailures(rows: readonly Row[]): string {
  return rows
    .flatMap(({ cells }) => cells)
    .flatMap(({ performance }) =>
      performance === null || performance.failure === null ? [] : [formatFailure(performance)],
    )
    .join('\n\n')
}

export function jsonOf(rows: readonly Row[], stages: readonly Stage[]): unknown {
  return {
    worlds: stages.map(({ title, maker }) => ({
      name: title,
      notMeasured: 'missing' in maker ? maker.missing : null,
    })),
    scenarios: rows.map(({ scenario, cells }) => ({
      name: scenario.name,
      claim: scenario.claim,
      rules: scenario.rules,
      question: scenario.question,
      modelOnly: scenario.modelOnly,
      results: cells.map(({ verdict, performance }, index) => ({
        world: stages[index]?.title,
        verdict,
        failure: performance?.failure ?? null,
        lines: performance === null || performance.failure === null ? [] : performance.lines,
      })),
    })),
  }
}

export function formatList(scenarios: readonly Scenario[]): string {
  const rows = scenarios.map(({ name, rules, claim }) => [rules.join(' '), name, claim])
  return formatTable([['RULES', 'SCENARIO', 'CLAIM'], ...rows])
}
