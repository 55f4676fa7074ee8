/** A model machine with an auditor beside it, who looks at it after each step. */
import type { ModelMachine } from '../model/index.js'
import type { Action, Name } from '../scenario.js'
import { Auditor } from './auditor.js'
import type { Facts, OpenFileFacts, ProcessFacts, WaitFacts } from './facts.js'
import type { Step } from './step.js'

/** Does something with the machine, and has the auditor check it. Throws a `Violation`. */
export class AuditedMachine {
  readonly machine: ModelMachine
  readonly auditor: Auditor
  #facts: Facts

  /** @param facts of the machine, where they are known. */
  constructor(machine: ModelMachine, auditor: Auditor, facts = factsOf(machine)) {
    this.machine = machine
    this.auditor = auditor
    this.#facts = facts
  }

  get facts(): Facts {
    return this.#facts
  }

  start(process: Name, action: Action): void {
    const { id, outcome } = this.machine.start(process, action)
    this.#audit({ id, process, action, outcome })
  }

  /** Each deadline is a step of its own. */
  pass(ms: number): void {
    const endMs = this.machine.nowMs + ms
    do {
      const dueMs = this.machine.nextDeadlineMs() ?? endMs
      this.machine.pass(Math.min(dueMs, endMs) - this.machine.nowMs)
      this.#audit(null)
    } while (this.machine.nowMs < endMs)
  }

  /** Nobody does anything any more: every deadline passes, and then everybody has been answered. */
  end(): void {
    for (let dueMs = this.machine.nextDeadlineMs(); dueMs !== null; dueMs = this.machine.nextDeadlineMs()) {
      this.pass(dueMs - this.machine.nowMs)
    }
    Auditor.checkEnd(this.#facts)
  }

  #audit(move: Step['move']): void {
    const before = this.#facts
    const after = factsOf(this.machine)
    this.#facts = after
    const finished = this.machine.takeFinished()
    this.auditor.check({ move, finished, notices: this.machine.takeNotices(), before, after })
  }
}

export function factsOf(machine: ModelMachine): Facts {
  const processes = new Map<Name, ProcessFacts>()
  const openFiles = new Map<number, OpenFileFacts>()
  const waits: WaitFacts[] = []
  for (const { id, file, canWrite, isNonBlocking, isPast } of machine.openFiles()) {
    const { priority, error } = machine.pollState(id)
    const poll = { isPriority: priority, isError: error }
    openFiles.set(id, { file, isWritable: canWrite, isNonBlocking, isPast, ...poll })
  }
  for (const view of machine.processes()) {
    const { name, user, parent, state, waiting } = view
    const descriptors = new Map([...view.descriptors].map(([fd, { id }]) => [fd, id]))
    const mappings = new Map([...view.mappings].map(([as, { file, range }]) => [as, { file, bytes: range }]))
    const isAlive = state !== 'dead'
    processes.set(name, { user, parent, isAlive, isStopped: state === 'stopped', descriptors, mappings })
    for (const { kind, id } of view.descriptors.values()) {
      if (kind === 'context') openFiles.set(id, CONTEXT)
    }
    if (waiting === null) continue
    const { id, action, place, outcome } = waiting
    waits.push({ id, process: name, action, isInKernel: place === 'kernel', returned: outcome })
  }
  const names = machine.leases()
  return {
    nowMs: machine.nowMs,
    processes,
    openFiles,
    files: new Map(
      machine.files().map(({ name, owner, sizeBytes, data }) => [name, { owner, sizeBytes, blocks: data }]),
    ),
    waits,
    sights: new Map(names.map((name) => [name, machine.sight(name)])),
    leaseHolders: new Map(names.map((name) => [name, machine.holderOf(name)])),
    pins: new Set(machine.pins()),
    leaseIds: new Map(names.map((name) => [name, machine.leaseId(name)])),
  }
}

const CONTEXT: OpenFileFacts = {
  file: null,
  isWritable: false,
  isNonBlocking: false,
  isPast: false,
  isPriority: false,
  isError: false,
}
