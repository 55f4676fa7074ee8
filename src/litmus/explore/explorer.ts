/**
 * Plays every order in which the processes of a scenario can go on, on the model, with an auditor after each step.
 * States that have been seen are not gone into again. Breadth first, so the first violation is a shortest one.
 *
 * A state remembers only how it was reached; to go on from it, a new machine plays that history again.
 */
import { createHash } from 'node:crypto'
import type { ModelMachine } from '../model/index.js'
import type { Action, Name, Scenario } from '../scenario.js'
import { Auditor } from './auditor.js'
import type { Books } from './books.js'
import type { Facts } from './facts.js'
import { asScenario, complaintOf, type MakeMachine, type Move, play } from './history.js'
import { AuditedMachine, factsOf } from './observe.js'
import { type Program, programOf, thingsUsed } from './program.js'

export interface ExploreOptions {
  /** How many processes may be killed in one history, each at any moment. */
  readonly deathCountMax: number
  /** Whether a deadline may pass at any moment; else only when nobody can do anything else. */
  readonly anyDeadline: boolean
  readonly stateCountMax: number
  readonly makeMachine: MakeMachine
  /** Called now and then; playing goes on when it returns. */
  readonly progress?: (report: Counts) => void
}

export interface Counts {
  readonly stateCount: number
  /** Steps that were played and audited. */
  readonly stepCount: number
  /** Length of the longest history so far. */
  readonly depth: number
}

export interface Exploration extends Counts {
  /** Histories from the beginning to the end: so many orders there are, none of them played as such. */
  readonly historyCount: bigint
  /** All of it was seen, within `stateCountMax`. */
  readonly isComplete: boolean
  readonly violation: { readonly what: string; readonly history: Scenario } | null
}

interface Node {
  readonly parent: Node | null
  readonly move: Move | null
  readonly depth: number
  readonly deathCount: number
  /** How many lines of each process have been started or passed over. */
  readonly places: ReadonlyMap<Name, number>
  readonly next: Node[]
  /** Until it is expanded. */
  books: Books | null
  endCount: bigint | null
}

/** Kills those who die; not one of the scenario's processes. */
const REAPER = 'reaper'

export function explore(scenario: Scenario, options: ExploreOptions): Exploration {
  return new Explorer(scenario, options).run()
}

class Explorer {
  readonly #scenario: Scenario
  readonly #options: ExploreOptions
  readonly #program: Program
  readonly #seen = new Map<string, Node>()
  readonly #queue: Node[] = []
  #stepCount = 0
  #depth = 0

  constructor(scenario: Scenario, options: ExploreOptions) {
    const processes = [...scenario.processes, { name: REAPER, user: 'root' } as const]
    this.#scenario = { ...scenario, processes }
    this.#options = options
    this.#program = programOf(scenario)
  }

  run(): Exploration {
    const root = this.#root()
    for (let index = 0; index < this.#queue.length; index++) {
      const node = this.#queue[index]
      if (node === undefined || this.#seen.size > this.#options.stateCountMax) break
      const violation = this.#expand(node)
      node.books = null
      if (violation !== null) return this.#result(root, violation)
      if (index % 256 === 255) this.#options.progress?.(this.#counts())
    }
    return this.#result(root, null)
  }

  #counts(): Counts {
    return { stateCount: this.#seen.size, stepCount: this.#stepCount, depth: this.#depth }
  }

  #result(root: Node, violation: Exploration['violation']): Exploration {
    const isComplete = violation === null && this.#seen.size <= this.#options.stateCountMax
    return { ...this.#counts(), historyCount: countEnds(root), isComplete, violation }
  }

  #root(): Node {
    const machine = this.#options.makeMachine(this.#scenario)
    const books = new Auditor(this.#scenario.mount).books
    const audited = new AuditedMachine(machine, new Auditor(books))
    const places = this.#passOver(audited.facts, new Map())
    const root: Node = {
      parent: null,
      move: null,
      depth: 0,
      deathCount: 0,
      places,
      next: [],
      books,
      endCount: null,
    }
    this.#seen.set(this.#keyOf(machine, root), root)
    this.#queue.push(root)
    return root
  }

  #keyOf(machine: ModelMachine, node: Node): string {
    const places = [...node.places].map(([name, place]) => `${name}${place}`).toSorted()
    const parts = [node.deathCount, ...places, machine.stateKey(), node.books?.key(machine.nowMs)]
    // Of a hundred thousand states the whole texts would not fit into memory.
    return createHash('sha1').update(parts.join('\n')).digest('base64')
  }

  /** @returns What is wrong, if anything is. */
  #expand(node: Node): Exploration['violation'] {
    const history = historyOf(node)
    let machine: ModelMachine | null = this.#replay(history)
    const facts = factsOf(machine)
    const moves = this.#movesFrom(node, machine, facts)
    if (moves.length === 0) return this.#end(facts, history)
    for (const move of moves) {
      machine ??= this.#replay(history)
      const violation = this.#play(node, machine, facts, move)
      machine = null
      if (violation !== null) return violation
    }
    return null
  }

  #end(facts: Facts, history: readonly Move[]): Exploration['violation'] {
    try {
      Auditor.checkEnd(facts)
      return null
    } catch (error) {
      return this.#violation(error, history)
    }
  }

  #replay(history: readonly Move[]): ModelMachine {
    const machine = this.#options.makeMachine(this.#scenario)
    for (const move of history) play(machine, move)
    machine.takeFinished()
    machine.takeNotices()
    return machine
  }

  #play(node: Node, machine: ModelMachine, facts: Facts, move: Move): Exploration['violation'] {
    this.#stepCount++
    const auditor = new Auditor(node.books?.copy() ?? this.#scenario.mount)
    const audited = new AuditedMachine(machine, auditor, facts)
    try {
      play(audited, move)
    } catch (error) {
      return this.#violation(error, [...historyOf(node), move])
    }
    const places = new Map(node.places)
    if (move.kind === 'act' && !isDeath(move)) places.set(move.process, (places.get(move.process) ?? 0) + 1)
    const reached: Node = {
      parent: node,
      move,
      depth: node.depth + 1,
      deathCount: node.deathCount + (isDeath(move) ? 1 : 0),
      places: this.#passOver(audited.facts, places),
      next: [],
      books: auditor.books,
      endCount: null,
    }
    const key = this.#keyOf(machine, reached)
    const known = this.#seen.get(key)
    node.next.push(known ?? reached)
    if (known !== undefined) return null
    this.#seen.set(key, reached)
    this.#queue.push(reached)
    this.#depth = Math.max(this.#depth, reached.depth)
    return null
  }

  #violation(error: unknown, history: readonly Move[]): Exploration['violation'] {
    const what = complaintOf(error)
    const { processes } = this.#scenario
    const needed = history.some(isDeath) ? processes : processes.slice(0, -1)
    return { what, history: asScenario({ ...this.#scenario, processes: needed }, history, what) }
  }

  #movesFrom(node: Node, machine: ModelMachine, facts: Facts): Move[] {
    const { deathCountMax, anyDeadline } = this.#options
    const moves: Move[] = []
    for (const [process, actions] of this.#program.actions) {
      const action = actions[node.places.get(process) ?? 0]
      if (action === undefined || !machine.canStart(process)) continue
      if (this.#isWaitedFor(facts, node.places, process, action)) continue
      moves.push({ kind: 'act', process, action: withNewName(facts, action) })
    }
    const due = machine.nextDeadlineMs()
    if (due !== null && (anyDeadline || moves.length === 0)) {
      moves.push({ kind: 'pass', ms: due - machine.nowMs })
    }
    if (node.deathCount >= deathCountMax) return moves
    const doomed = historyOf(node).map(victimOf)
    for (const [process, { isAlive }] of facts.processes) {
      if (!isAlive || process === REAPER || doomed.includes(process)) continue
      moves.push({ kind: 'act', process: REAPER, action: { do: 'kill', process, signal: 'SIGKILL' } })
    }
    return moves
  }

  /** Does this action need something that is not there yet, and that somebody may still make? */
  #isWaitedFor(facts: Facts, places: ReadonlyMap<Name, number>, process: Name, action: Action): boolean {
    return thingsUsed(process, action).some(
      (thing) => !isThere(facts, thing) && this.#canCome(facts, places, process, thing),
    )
  }

  #canCome(facts: Facts, places: ReadonlyMap<Name, number>, user: Name, thing: string): boolean {
    const makers = this.#program.makers.get(thing) ?? []
    return makers.some(({ process, index }) => {
      if (process === user) return false
      const known = facts.processes.get(process)
      if (known === undefined) return this.#canCome(facts, places, process, `process ${process}`)
      if (!known.isAlive) return false
      const place = places.get(process) ?? 0
      const isAtIt = place === index + 1 && facts.waits.some((wait) => wait.process === process)
      return place <= index || isAtIt
    })
  }

  /** Lines that need what is not there and will not come are passed over, and so are those of the dead. */
  #passOver(facts: Facts, places: ReadonlyMap<Name, number>): ReadonlyMap<Name, number> {
    const passed = new Map(places)
    for (let isMoving = true; isMoving; ) {
      isMoving = false
      for (const [process, actions] of this.#program.actions) {
        const place = passed.get(process) ?? 0
        const action = actions[place]
        if (action === undefined || !this.#isImpossible(facts, passed, process, action)) continue
        passed.set(process, place + 1)
        isMoving = true
      }
    }
    return passed
  }

  #isImpossible(facts: Facts, places: ReadonlyMap<Name, number>, process: Name, action: Action): boolean {
    const known = facts.processes.get(process)
    if (known === undefined) return !this.#canCome(facts, places, process, `process ${process}`)
    if (!known.isAlive) return true
    if (facts.waits.some((wait) => wait.process === process)) return false
    return thingsUsed(process, action).some(
      (thing) => !isThere(facts, thing) && !this.#canCome(facts, places, process, thing),
    )
  }
}

/** In some orders a name is given twice, since the line that was to fail has not: the second gets a new one. */
function withNewName(facts: Facts, action: Action): Action {
  if (action.do !== 'lease' && action.do !== 'pin') return action
  const taken = action.do === 'lease' ? facts.sights : facts.pins
  let name = action.as
  while (taken.has(name)) name = `${name}-again`
  return { ...action, as: name }
}

function isThere(facts: Facts, thing: string): boolean {
  const [kind, first = '', second = ''] = thing.split(' ')
  switch (kind) {
    case 'fd':
      return facts.processes.get(first)?.descriptors.has(second) === true
    case 'mapping':
      return facts.processes.get(first)?.mappings.has(second) === true
    case 'process':
      return facts.processes.get(first)?.isAlive === true
    case 'lease':
      return facts.sights.has(first)
    case 'pin':
      return facts.pins.has(first)
    default:
      return false
  }
}

/** Who was killed may live on for a while, as long as it waits for a lock of the kernel's. */
function victimOf(move: Move): Name | null {
  return isDeath(move) && move.kind === 'act' && move.action.do === 'kill' ? move.action.process : null
}

function historyOf(node: Node): Move[] {
  const moves: Move[] = []
  for (let at: Node | null = node; at !== null; at = at.parent) if (at.move !== null) moves.unshift(at.move)
  return moves
}

function isDeath(move: Move): boolean {
  return move.kind === 'act' && move.process === REAPER
}

/** How many ways lead from here to an end. Every step leads forward, so no way leads in a circle. */
function countEnds(root: Node): bigint {
  const stack: Node[] = [root]
  for (let node = stack.at(-1); node !== undefined; node = stack.at(-1)) {
    const open = node.next.find((one) => one.endCount === null)
    if (open !== undefined) {
      stack.push(open)
      continue
    }
    stack.pop()
    node.endCount =
      node.next.length === 0 ? 1n : node.next.reduce((sum, one) => sum + (one.endCount ?? 0n), 0n)
  }
  return root.endCount ?? 0n
}
