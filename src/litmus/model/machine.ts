/**
 * The model world: a kernel and a Holdfast in memory, with a clock that is moved by hand. Nothing here waits or
 * happens by chance, so the same history gives the same world; that is how one goes back: by playing it again.
 */
import { createLeaseRules, type LeaseRules, type PollState } from '../../lease/index.js'
import { assert } from '../../lib/assert.js'
import type { Ofd } from '../../lib/ids.js'
import type { Range } from '../../lib/range.js'
import type { Action, LeaseSight, Name, Notice, Scenario, User } from '../scenario.js'
import type { Started } from '../world.js'
import { Calls } from './calls.js'
import { Kernel, type ModelOptions } from './kernel.js'
import { stateKeyOf } from './state-key.js'
import type { Call, ModelProcess } from './things.js'

/** What there is, for those who check it: descriptions by number, all else by name. */
export interface ProcessView {
  readonly name: Name
  readonly user: User
  readonly parent: Name | null
  readonly state: 'running' | 'stopped' | 'dead'
  /** By the name the process has for it. */
  readonly descriptors: ReadonlyMap<Name, { readonly kind: 'file' | 'context'; readonly id: number }>
  readonly mappings: ReadonlyMap<Name, { readonly file: Name; readonly range: Range }>
  /** What it waits in: `kernel` for a lock, `holdfast` for an answer, `returned`: for SIGCONT. */
  readonly waiting: Pick<Call, 'id' | 'action' | 'place' | 'outcome'> | null
}

export interface OpenFileView {
  readonly id: number
  readonly file: Name
  readonly canWrite: boolean
  readonly isNonBlocking: boolean
  readonly isPast: boolean
  /** Descriptors, and mappings where they keep it open. */
  readonly referenceCount: number
}

export interface FileView {
  readonly name: Name
  readonly owner: User
  readonly mode: number
  readonly isLinked: boolean
  readonly sizeBytes: number
  /** Where it has data; all else up to its size is zeros. */
  readonly data: readonly Range[]
}

export class ModelMachine {
  readonly #kernel: Kernel
  readonly #calls: Calls
  #lastActionId = 0

  constructor(scenario: Scenario, options: Partial<ModelOptions> = {}) {
    this.#kernel = new Kernel(scenario, { passthrough: true, createRules: createLeaseRules, ...options })
    this.#calls = new Calls(this.#kernel, scenario.modelOnly !== null)
  }

  // Playing

  /** Processes that can start an action now. */
  enabled(): Name[] {
    return [...this.#kernel.processes.values()].filter(isFree).map(({ name }) => name)
  }

  canStart(name: Name): boolean {
    const process = this.#kernel.processes.get(name)
    return process !== undefined && isFree(process)
  }

  /** @throws AssertionError if the process cannot start anything: ask `canStart`. */
  start(name: Name, action: Action): Started {
    const process = this.#kernel.processes.get(name)
    assert(process !== undefined, `there is no process '${name}'`)
    assert(isFree(process), `'${name}' can do nothing: ${whyNot(process)}`)
    this.#lastActionId++
    const call = this.#kernel.newCall(this.#lastActionId, process, action)
    const outcome = this.#calls.perform(call)
    if (outcome !== null) this.#kernel.returned(call, outcome)
    this.#kernel.settle()
    if (!this.#kernel.forgetFinished(call)) return { id: call.id, outcome: { is: 'waits' } }
    if (process.state === 'dead' && action.do !== 'exit' && call.outcome?.is !== 'killed') {
      return { id: call.id, outcome: { is: 'killed', signal: 'SIGKILL' } }
    }
    return { id: call.id, outcome: call.outcome ?? { is: 'waits' } }
  }

  /** Calls that waited and have returned since this was last asked for. */
  takeFinished(): Started[] {
    return this.#kernel.takeFinished()
  }

  takeNotices(): Notice[] {
    return this.#kernel.takeNotices()
  }

  // Time

  get nowMs(): number {
    return this.#kernel.holdfast.nowMs
  }

  /** When the next deadline is due; null: none is under way. */
  nextDeadlineMs(): number | null {
    return this.#kernel.holdfast.rules.nextDeadline()
  }

  pass(ms: number): void {
    const { holdfast } = this.#kernel
    const end = holdfast.nowMs + ms
    for (let due = this.nextDeadlineMs(); due !== null && due <= end; due = this.nextDeadlineMs()) {
      this.#timePasses(due)
    }
    holdfast.nowMs = end
  }

  /** Lets the next deadline pass. @returns false if there is none. */
  passDeadline(): boolean {
    const due = this.nextDeadlineMs()
    if (due === null) return false
    this.#timePasses(due)
    return true
  }

  passDeadlines(): void {
    while (this.passDeadline()) {
      // Every one of them revokes a lease, or kills owners and gives them a last respite.
    }
  }

  #timePasses(due: number): void {
    const { holdfast } = this.#kernel
    holdfast.nowMs = Math.max(holdfast.nowMs, due)
    holdfast.step({ kind: 'time-passed' })
    this.#kernel.settle()
  }

  // Looking

  /** Equal keys of two machines of one scenario: the same can happen to them from here on. */
  stateKey(): string {
    return stateKeyOf(this.#kernel)
  }

  get rules(): LeaseRules {
    return this.#kernel.holdfast.rules
  }

  isAlive(name: Name): boolean {
    const process = this.#kernel.processes.get(name)
    return process !== undefined && process.state !== 'dead'
  }

  leases(): Name[] {
    return [...this.rules.leases()].map(({ id }) => this.#kernel.leaseName(id))
  }

  leaseId(name: Name): number {
    const id = this.#kernel.leaseIds.get(name)
    assert(id !== undefined, `there never was a lease '${name}'`)
    return id
  }

  /** The open file description that a lease is of; null: it is closed. */
  holderOf(name: Name): number | null {
    const id = this.#kernel.leaseIds.get(name)
    return id === undefined ? null : (this.rules.lease(id)?.ofd ?? null)
  }

  /** Names of the pins there are; pinning the same again gives it another name (P3). */
  pins(): Name[] {
    const ids = new Set([...this.rules.pins()].map(({ id }) => id))
    return [...this.#kernel.pinIds].flatMap(([name, id]) => (ids.has(id) ? [name] : []))
  }

  pollState(openFile: number): PollState {
    return this.rules.pollState(openFile as Ofd)
  }

  sight(name: Name): LeaseSight {
    const id = this.#kernel.leaseIds.get(name)
    const lease = id === undefined ? undefined : this.rules.lease(id)
    if (lease === undefined) return { state: 'none' }
    const { state, mode, level, notifyOnly, owners, pinCount } = lease
    return {
      state,
      mode,
      level,
      isNotifyOnly: notifyOnly,
      owners: owners.map((key) => this.#kernel.processOf(key).name).sort(),
      pinCount,
    }
  }

  processes(): ProcessView[] {
    return [...this.#kernel.processes.values()].map((process) => ({
      name: process.name,
      user: process.user,
      parent: process.parent?.name ?? null,
      state: process.state,
      descriptors: process.descriptors,
      mappings: new Map(
        [...process.mappings].map(([name, { file, range }]) => [name, { file: file.name, range }]),
      ),
      waiting:
        process.call === null
          ? null
          : {
              id: process.call.id,
              action: process.call.action,
              place: process.call.place,
              outcome: process.call.outcome,
            },
    }))
  }

  openFiles(): OpenFileView[] {
    return [...this.#kernel.openFiles.values()].map(
      ({ id, file, canWrite, isNonBlocking, isPast, referenceCount }) => ({
        id,
        file: file.name,
        canWrite,
        isNonBlocking,
        isPast,
        referenceCount,
      }),
    )
  }

  files(): FileView[] {
    return [...this.#kernel.files.values()].map(({ name, owner, mode, isLinked, bytes }) => ({
      name,
      owner,
      mode,
      isLinked,
      sizeBytes: bytes.sizeBytes,
      data: bytes.data,
    }))
  }
}

function isFree(process: ModelProcess): boolean {
  return process.state === 'running' && process.call === null
}

function whyNot({ state, call }: ModelProcess): string {
  if (state !== 'running') return `it is ${state}`
  return `its '${call?.action.do ?? ''}' has not returned`
}
