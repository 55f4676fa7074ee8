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

/** Scenario by scenario, so that what is known can be shown; `onRow` hears of each at once. */
export async function playAll(
  scenarios: readonly Scenario[],
  stages: readonly Stage[],
  onRow: (row: Row) => void = () => {},
): Promise<Row[]> {
  const rows: Row[] = []
  try {
    for (const scenario of scenarios) {
      const cells: Cell[] = []
      for (const stage of stages) cells.push(await playOn(stage, scenario))
      const row = { scenario, cells }
      rows.push(row)
      onRow(row)
    }
  } finally {
    for (const { maker } of stages) if (!('missing' in maker)) await maker.close()
  }
  return rows
}

async function playOn({ maker, title, patienceMs }: Stage, scenario: Scenario): Promise<Cell> {
  if ('missing' in maker) return { verdict: 'not measured', performance: null }
  if (scenario.modelOnly !== null && title !== 'model') return { verdict: 'model only', performance: null }
  const performance = await perform(scenario, maker, { patienceMs })
  return { verdict: performance.failure === null ? 'ok' : 'FAILED', performance }
}

export function hasFailed(rows: readonly Row[]): boolean {
  return rows.some(({ cells }) => cells.some(({ verdict }) => verdict === 'FAILED'))
}

/** A table that is written line by line: its columns are as wide as anything that may come. */
export class TableWriter {
  readonly #stages: readonly Stage[]
  readonly #widths: readonly number[]

  constructor(scenarios: readonly Scenario[], stages: readonly Stage[]) {
    this.#stages = stages
    const longest = (texts: readonly string[]) => Math.max(...texts.map((text) => text.length))
    this.#widths = [
      longest(['RULES', ...scenarios.map(rulesOf)]),
      longest(['SCENARIO', ...scenarios.map(({ name }) => name)]),
      ...stages.map(({ title }) => longest([title, 'not measured'])),
    ]
  }

  head(): string {
    return this.#line(['RULES', 'SCENARIO', ...this.#stages.map(({ title }) => title.toUpperCase())])
  }

  row({ scenario, cells }: Row): string {
    return this.#line([rulesOf(scenario), scenario.name, ...cells.map(({ verdict }) => verdict)])
  }

  #line(cells: readonly string[]): string {
    return cells
      .map((cell, column) => cell.padEnd(this.#widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  }
}

function rulesOf({ rules }: Scenario): string {
  return rules.join(' ')
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
