/** Plays a scenario in a world and compares what comes of each line with what it says. */
import { formatExpected, formatLine, formatNotice } from './language/index.js'
import type { Expected, LeaseSight, Line, Name, Notice, Outcome, Scenario } from './scenario.js'
import type { ActionId, World, WorldMaker } from './world.js'

export interface PlayedLine {
  readonly text: string
  /** What came of it; empty where the line says it all. */
  readonly came: string
}

export interface Performance {
  readonly scenario: Scenario
  readonly world: string
  /** The lines that were played; with a failure, the last one is the one that failed. */
  readonly lines: readonly PlayedLine[]
  /** What should have come of the last line; null: all went as written. */
  readonly failure: string | null
}

export interface RunOptions {
  /** How long what should happen by itself may take: 0 in a world without time of its own. */
  readonly patienceMs: number
}

const POLL_MS = 10

/** Never throws for what the world does: a world that breaks down has failed the line it was at. */
export async function perform(
  scenario: Scenario,
  maker: WorldMaker,
  options: RunOptions,
): Promise<Performance> {
  const player = new Player(scenario, maker.name, options)
  let world: World
  try {
    world = await maker.make(scenario)
  } catch (error) {
    return player.result(`the world could not be made: ${reasonOf(error)}`)
  }
  try {
    return await player.play(world)
  } finally {
    await world.close()
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

class Player {
  readonly #scenario: Scenario
  readonly #worldName: string
  readonly #patienceMs: number
  readonly #lines: PlayedLine[] = []
  /** Actions by the names that later lines have for them. */
  readonly #waits = new Map<Name, ActionId>()
  readonly #outcomes = new Map<ActionId, Outcome>()
  #notices: Notice[] = []

  constructor(scenario: Scenario, worldName: string, { patienceMs }: RunOptions) {
    this.#scenario = scenario
    this.#worldName = worldName
    this.#patienceMs = patienceMs
  }

  result(failure: string | null): Performance {
    return { scenario: this.#scenario, world: this.#worldName, lines: this.#lines, failure }
  }

  async play(world: World): Promise<Performance> {
    for (const line of this.#scenario.lines) {
      let failure: string | null
      let came = ''
      try {
        ;({ came, failure } = await this.#line(world, line))
      } catch (error) {
        failure = `the line could not be played: ${reasonOf(error)}`
      }
      this.#lines.push({ text: formatLine(line), came })
      if (failure !== null) return this.result(failure)
    }
    return this.result(null)
  }

  async #line(world: World, line: Line): Promise<{ came: string; failure: string | null }> {
    switch (line.kind) {
      case 'action':
        return this.#action(world, line)
      case 'finishes': {
        const outcome = await this.#until(
          () => this.#outcomeOf(world, this.#waits.get(line.wait)),
          (found) => found.is !== 'waits',
        )
        return compared(outcome, line.expect)
      }
      case 'still-waits':
        return compared(await this.#outcomeOf(world, this.#waits.get(line.wait)), { is: 'waits' })
      case 'told':
        return this.#told(world, line)
      case 'sight': {
        const sight = await this.#until(
          () => world.sight(line.lease),
          (found) => isSeen(found, line.expect),
        )
        const came = formatLine({ kind: 'sight', lease: line.lease, expect: sight })
        return isSeen(sight, line.expect)
          ? { came: '', failure: null }
          : { came, failure: `it should be seen as '${formatLine(line)}'` }
      }
      case 'alive': {
        const isAlive = await this.#until(
          () => world.isAlive(line.process),
          (found) => found === line.isAlive,
        )
        if (isAlive === line.isAlive) return { came: '', failure: null }
        return {
          came: isAlive ? 'alive' : 'dead',
          failure: `it should be ${line.isAlive ? 'alive' : 'dead'}`,
        }
      }
      case 'time':
        await world.pass(line.passMs)
        return { came: '', failure: null }
      case 'deadline':
        await world.passDeadlines()
        return { came: '', failure: null }
    }
  }

  async #action(world: World, line: Extract<Line, { kind: 'action' }>) {
    const { process, action, expect, waitsAs } = line
    const willWait = expect === null ? undefined : expect.is === 'waits'
    const { id, outcome: first } = await world.start(process, action, willWait)
    if (waitsAs !== null) this.#waits.set(waitsAs, id)
    if (first.is !== 'waits') this.#outcomes.set(id, first)
    // What merely takes long has not been made to wait.
    const outcome =
      first.is === 'waits' && willWait === false
        ? await this.#until(
            () => this.#outcomeOf(world, id),
            (found) => found.is !== 'waits',
          )
        : first
    return expect === null ? { came: formatExpected(outcome), failure: null } : compared(outcome, expect)
  }

  async #outcomeOf(world: World, id: ActionId | undefined): Promise<Outcome> {
    for (const { id: one, outcome } of await world.finished()) this.#outcomes.set(one, outcome)
    return (id === undefined ? undefined : this.#outcomes.get(id)) ?? { is: 'waits' }
  }

  /** All of them have come, and no others. */
  async #told(world: World, { notices, only }: Extract<Line, { kind: 'told' }>) {
    const expected = notices.map(formatNotice).sort().join(', ')
    const look = async () => {
      this.#notices.push(...(await world.notices()))
      return this.#notices
        .filter((notice) => notice.kind === 'signal' || only === null || only.includes(notice.event))
        .map(formatNotice)
        .sort()
        .join(', ')
    }
    const found = await this.#until(look, (seen) => seen === expected)
    this.#notices = []
    if (found === expected) return { came: '', failure: null }
    return {
      came: `told ${found === '' ? 'nothing' : found}`,
      failure: `exactly this should have been told: ${expected === '' ? 'nothing' : expected}`,
    }
  }

  /** Looks until it is as it should be, as long as there is hope; returns what was seen last. */
  async #until<Seen>(look: () => Promise<Seen>, isRight: (seen: Seen) => boolean): Promise<Seen> {
    const endMs = performance.now() + this.#patienceMs
    for (;;) {
      const seen = await look()
      if (isRight(seen) || performance.now() >= endMs) return seen
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
  }
}

function compared(outcome: Outcome, expect: Expected) {
  const came = formatExpected(outcome)
  const isRight = expect.is === 'succeeds' ? outcome.is === 'ok' : came === formatExpected(expect)
  return { came, failure: isRight ? null : `'${formatExpected(expect)}' should have come of it` }
}

function isSeen(sight: LeaseSight, expect: Extract<Line, { kind: 'sight' }>['expect']): boolean {
  return Object.entries(expect).every(
    ([key, value]) => JSON.stringify(sight[key as keyof LeaseSight]) === JSON.stringify(value),
  )
}

/** The lines that were played, each with what came of it, and what is wrong with the last. */
export function formatFailure({ scenario, world, lines, failure }: Performance): string {
  const shown = lines.map(({ text, came }, index) => {
    const isFailing = failure !== null && index === lines.length - 1
    // Of the others, what came is worth telling where the line does not say the same.
    const isSaid = came === '' || (!isFailing && (came === 'ok nothing' || text.endsWith(`-> ${came}`)))
    return `${isFailing ? '>' : ' '} ${text}${isSaid ? '' : `   (came: ${came})`}`
  })
  return [`${scenario.name} failed in the ${world}: ${scenario.claim}`, ...shown, `  ${failure}`].join('\n')
}
