/**
 * Two worlds, one history: what comes of each step, who is told what, and how every lease is seen after it, must be
 * the same. A difference is shrunk to a history from which nothing can be left out.
 */
import { formatExpected, formatLine, formatNotice } from '../language/index.js'
import { ModelMachine } from '../model/index.js'
import type { LeaseSight, Line, Name, Notice, Scenario } from '../scenario.js'
import type { ActionId, Started, World, WorldMaker } from '../world.js'
import type { Step } from './history.js'

export interface Difference {
  /** The steps that were played, the last of them being the one that differed. */
  readonly steps: readonly Step[]
  /** What differed, and how. */
  readonly what: string
}

/** What is seen after a step, as lines of text that are compared. */
interface Seen {
  readonly outcome: string
  readonly finished: readonly string[]
  /** A process died in this step. */
  readonly hasDeath: boolean
  readonly notices: readonly string[]
  readonly leases: readonly string[]
  readonly alive: readonly string[]
}

const PATIENCE_MS = 3000
const POLL_MS = 10

/**
 * Plays the steps in the model and, step by step, in the other world. Those that the model finds nobody for (their
 * process is dead, or waits) are left out, so that any part of a history is one too.
 * @returns null if both tell the same story.
 */
export async function compare(
  scenario: Scenario,
  steps: readonly Step[],
  maker: WorldMaker,
  passthrough: boolean,
): Promise<Difference | null> {
  const model = new ModelSide(new ModelMachine(scenario, { passthrough }))
  const world = await maker.make(scenario)
  try {
    const other = new WorldSide(world, model)
    const played: Step[] = []
    for (const step of steps) {
      if (!model.canPlay(step)) continue
      played.push(step)
      const expected = model.play(step)
      const what = await other.difference(step, expected)
      if (what !== null) return { steps: played, what }
    }
    return null
  } finally {
    await world.close()
  }
}

function sortedFinished(finished: readonly Started[], stepOf: ReadonlyMap<ActionId, number>): string[] {
  return finished.map(({ id, outcome }) => `${stepOf.get(id) ?? '?'}: ${formatExpected(outcome)}`).sort()
}

function formatSight(lease: Name, sight: LeaseSight): string {
  return formatLine({ kind: 'sight', lease, expect: sight })
}

/**
 * Who dies closes its descriptors and ends its pins in one moment, but a mount may hear of the exit first or of the
 * last close. A lease that is pinned is a zombie in between or it is not: that is no difference.
 */
function withoutOrderOfDeath(notices: readonly Notice[]): Notice[] {
  const hasGone = new Set(
    notices.flatMap((notice) =>
      notice.kind === 'event' && (notice.event === 'gone' || notice.event === 'released')
        ? [notice.lease]
        : [],
    ),
  )
  return notices.flatMap((notice) => {
    if (notice.kind !== 'event' || !hasGone.has(notice.lease)) return [notice]
    if (notice.event === 'zombie') return []
    return notice.event === 'gone' ? [{ ...notice, event: 'released' as const }] : [notice]
  })
}

function formatNotices(notices: readonly Notice[], hasDeath: boolean): string[] {
  return (hasDeath ? withoutOrderOfDeath(notices) : notices).map(formatNotice).sort()
}

class ModelSide {
  readonly #machine: ModelMachine
  readonly #stepOf = new Map<ActionId, number>()
  #count = 0

  constructor(machine: ModelMachine) {
    this.#machine = machine
  }

  canPlay(step: Step): boolean {
    if (step.kind !== 'action') return true
    // A second child of one name cannot be.
    const { action } = step
    const isTaken = action.do === 'fork' && this.processes.includes(action.as)
    // An orphan gets another parent, of whom the model knows nothing.
    const isOrphans = action.do === 'own' && action.who === 'parent' && !this.#hasParent(step.process)
    return this.#machine.canStart(step.process) && !isTaken && !isOrphans
  }

  #hasParent(name: Name): boolean {
    const parent = this.#machine.processes().find((process) => process.name === name)?.parent ?? null
    return parent === null || this.#machine.isAlive(parent)
  }

  play(step: Step): Seen {
    this.#count++
    const before = this.processes.filter((name) => this.#machine.isAlive(name))
    let outcome = ''
    if (step.kind === 'time') this.#machine.pass(step.passMs)
    else if (step.kind === 'deadline') this.#machine.passDeadlines()
    else {
      const started = this.#machine.start(step.process, step.action)
      this.#stepOf.set(started.id, this.#count)
      outcome = formatExpected(started.outcome)
    }
    const alive = this.processes.filter((name) => this.#machine.isAlive(name))
    const hasDeath = before.some((name) => !alive.includes(name))
    return {
      outcome,
      finished: sortedFinished(this.#machine.takeFinished(), this.#stepOf),
      hasDeath,
      notices: formatNotices(this.#machine.takeNotices(), hasDeath),
      leases: this.#machine
        .leases()
        .map((name) => formatSight(name, this.#machine.sight(name)))
        .sort(),
      alive,
    }
  }

  get processes(): Name[] {
    return this.#machine.processes().map(({ name }) => name)
  }
}

class WorldSide {
  readonly #world: World
  readonly #model: ModelSide
  readonly #stepOf = new Map<ActionId, number>()
  #count = 0

  constructor(world: World, model: ModelSide) {
    this.#world = world
    this.#model = model
  }

  async difference(step: Step, expected: Seen): Promise<string | null> {
    this.#count++
    const outcome = await this.#play(step, expected)
    const finished = [...(await this.#world.finished())]
    const notices = [...(await this.#world.notices())]
    const { hasDeath } = expected
    const end = performance.now() + PATIENCE_MS
    for (;;) {
      const seen: Seen = {
        outcome,
        finished: sortedFinished(finished, this.#stepOf),
        hasDeath,
        notices: formatNotices(notices, hasDeath),
        leases: await this.#leases(),
        alive: await this.#alive(),
      }
      const what = differenceOf(expected, seen)
      // What follows by itself, such as a mapping that is noticed to be gone, may take its time.
      if (what === null || outcome !== expected.outcome || performance.now() > end) return what
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
      finished.push(...(await this.#world.finished()))
      notices.push(...(await this.#world.notices()))
    }
  }

  async #play(step: Step, expected: Seen): Promise<string> {
    if (step.kind === 'time') await this.#world.pass(step.passMs)
    else if (step.kind === 'deadline') await this.#world.passDeadlines()
    else {
      const { id, outcome } = await this.#world.start(step.process, step.action, expected.outcome === 'waits')
      this.#stepOf.set(id, this.#count)
      return formatExpected(outcome)
    }
    return ''
  }

  async #leases(): Promise<string[]> {
    const names = await this.#world.leases()
    const sights = await Promise.all(
      names.map(async (name) => formatSight(name, await this.#world.sight(name))),
    )
    return sights.sort()
  }

  async #alive(): Promise<string[]> {
    const alive: Name[] = []
    for (const name of this.#model.processes) if (await this.#world.isAlive(name)) alive.push(name)
    return alive
  }
}

function differenceOf(model: Seen, world: Seen): string | null {
  const texts = (seen: Seen) => ({
    'came of it': seen.outcome,
    'returned by now': seen.finished.join('; '),
    'were told': seen.notices.join('; '),
    'leases that are seen': seen.leases.join('; '),
    'are alive': seen.alive.join(' '),
  })
  const other = new Map(Object.entries(texts(world)))
  const differing = Object.entries(texts(model)).filter(([what, text]) => other.get(what) !== text)
  if (differing.length === 0) return null
  return differing
    .map(([what, text]) => `${what}: in the model '${text}', here '${other.get(what) ?? ''}'`)
    .join('\n')
}

/**
 * The shortest part of a history that still differs, as far as leaving out parts of it finds one (ddmin).
 * @param differs plays a part; null if it does not differ.
 * @param mayGoOn false when no more time is to be spent.
 */
export async function shrink(
  found: Difference,
  differs: (steps: readonly Step[]) => Promise<Difference | null>,
  mayGoOn: () => boolean,
): Promise<Difference> {
  let best = found
  for (let parts = 2; best.steps.length > 1 && mayGoOn(); ) {
    const size = Math.ceil(best.steps.length / parts)
    let shorter: Difference | null = null
    // From the end: what came last before the difference has most to do with it, and is needed.
    for (let start = 0; start < best.steps.length - 1 && shorter === null && mayGoOn(); start += size) {
      const rest = [...best.steps.slice(0, start), ...best.steps.slice(start + size)]
      shorter = await differs(rest)
    }
    if (shorter !== null) {
      best = shorter
      parts = Math.max(2, parts - 1)
    } else if (size === 1) {
      break
    } else {
      parts = Math.min(best.steps.length, parts * 2)
    }
  }
  return best
}

/** A scenario that can be played by itself, with what the model says to each of its lines. */
export function asScenario(scenario: Scenario, steps: readonly Step[], passthrough: boolean): Scenario {
  const machine = new ModelMachine(scenario, { passthrough })
  const lines: Line[] = []
  const waits = new Map<ActionId, Name>()
  for (const step of steps) {
    if (step.kind === 'time') machine.pass(step.passMs)
    else if (step.kind === 'deadline') machine.passDeadlines()
    if (step.kind === 'action') {
      if (!machine.canStart(step.process)) continue
      const { id, outcome } = machine.start(step.process, step.action)
      const name = outcome.is === 'waits' ? `w${waits.size + 1}` : null
      if (name !== null) waits.set(id, name)
      lines.push({ ...step, expect: outcome, waitsAs: name })
    } else {
      lines.push(step)
    }
    for (const { id, outcome } of machine.takeFinished()) {
      lines.push({ kind: 'finishes', wait: waits.get(id) ?? 'w', expect: outcome })
    }
  }
  return { ...scenario, lines }
}
