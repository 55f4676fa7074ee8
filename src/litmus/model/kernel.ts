/**
 * The kernel of the model: processes and what they have, the locks that size changes take, signals, and the way a
 * system call returns. What is done later than the step that causes it (a lock that is handed on, a death) goes
 * through a queue, so that every step of the rules is over before the next one begins.
 */
import type { LeasePolicy, LeaseRules, Mapping } from '../../lease/index.js'
import { assert } from '../../lib/assert.js'
import { errnoName } from '../../lib/errno.js'
import type { ContextId, FileId, LeaseId, Ofd, PinId, ProcessKey, Uid } from '../../lib/ids.js'
import type { Action, Name, Notice, Outcome, Scenario, Signal, User } from '../scenario.js'
import type { Started } from '../world.js'
import { FileBytes } from './file-bytes.js'
import { ModelHoldfast } from './holdfast.js'
import {
  type Call,
  type Description,
  type KernelLock,
  type ModelFile,
  type ModelMapping,
  type ModelProcess,
  maySignal,
  newLock,
  type OpenFile,
  type PendingSignal,
} from './things.js'

export interface ModelOptions {
  /** Whether a mapping lets Holdfast believe that its file is closed (L7). */
  readonly passthrough: boolean
  /** Other rules than those of src/lease: broken ones, to see whether somebody notices. */
  readonly createRules: (policy: LeasePolicy) => LeaseRules
}

const OK: Outcome = { is: 'ok', value: '' }
const NUMBERS = { SIGKILL: 9, SIGUSR1: 10, SIGUSR2: 12, SIGSTOP: 19, SIGIO: 29 } as const

export function signalNumber(signal: Signal): number {
  return NUMBERS[signal]
}

function signalName(signo: number): Signal {
  for (const [name, number] of Object.entries(NUMBERS)) if (number === signo) return name as Signal
  throw new Error(`no scenario speaks of signal ${signo}`)
}

export function ok(value: string | number = ''): Outcome {
  return value === '' ? OK : { is: 'ok', value: String(value) }
}

export function failure(errno: number): Outcome {
  return { is: 'failed', errno: errnoName(errno) }
}

export class Kernel {
  readonly holdfast: ModelHoldfast
  readonly passthrough: boolean
  readonly files = new Map<Name, ModelFile>()
  readonly processes = new Map<Name, ModelProcess>()
  readonly openFiles = new Map<Ofd, OpenFile>()
  readonly leaseIds = new Map<Name, LeaseId>()
  readonly leaseNames = new Map<LeaseId, Name>()
  readonly pinIds = new Map<Name, PinId>()
  readonly #byKey = new Map<ProcessKey, ModelProcess>()
  readonly #work: (() => void)[] = []
  #events: { event: string; lease: LeaseId; offender: ProcessKey | null }[] = []
  #notices: Notice[] = []
  #finished: Call[] = []
  #lastId = 0

  constructor(scenario: Scenario, { passthrough, createRules }: ModelOptions) {
    this.passthrough = passthrough
    const rules = createRules(ModelHoldfast.policyOf(scenario.mount))
    this.holdfast = new ModelHoldfast(rules, {
      event: (event) => {
        const offender = 'offender' in event ? event.offender.process : null
        this.#events.push({ event: event.event, lease: event.lease.id, offender })
      },
      signal: ({ process, signal }) => this.#sendOwnerSignal(process, signal),
      kill: (key) => this.later(() => this.kill(this.processOf(key), 'SIGKILL', 0)),
    })
    for (const { name, sizeBytes, owner, mode } of scenario.files) {
      this.files.set(name, {
        id: this.nextId() as FileId,
        name,
        bytes: new FileBytes(sizeBytes),
        owner,
        mode,
        isLinked: true,
        inodeLock: newLock(),
        directoryLock: newLock(),
      })
    }
    for (const { name, user } of scenario.processes) this.addProcess(name, user, null)
  }

  /** One counter for everything that gets a number: none of them is ever used again. */
  nextId(): number {
    this.#lastId++
    return this.#lastId
  }

  // What comes after the step under way

  later(work: () => void): void {
    this.#work.push(work)
  }

  /** Until nothing moves by itself any more. */
  settle(): void {
    for (let work = this.#work.shift(); work !== undefined; work = this.#work.shift()) work()
  }

  // Processes

  addProcess(name: Name, user: User, parent: ModelProcess | null): ModelProcess {
    assert(!this.processes.has(name), `there is a process '${name}' already`)
    const process: ModelProcess = {
      key: this.nextId() as ProcessKey,
      name,
      parent,
      user,
      state: 'running',
      isDoomed: false,
      descriptors: new Map(),
      mappings: new Map(),
      pending: [],
      call: null,
    }
    this.processes.set(name, process)
    this.#byKey.set(process.key, process)
    return process
  }

  processOf(key: ProcessKey): ModelProcess {
    const process = this.#byKey.get(key)
    assert(process !== undefined, `the rules know a process ${key} that never was`)
    return process
  }

  nameOfProcess(key: ProcessKey | null): Name | null {
    return key === null ? null : (this.#byKey.get(key)?.name ?? null)
  }

  /** As the kernel goes about it: mappings, then descriptors; last of all the pidfd tells. */
  die(process: ModelProcess): void {
    if (process.state === 'dead') return
    this.dropMappings(process)
    for (const name of [...process.descriptors.keys()]) this.closeDescriptor(process, name)
    process.state = 'dead'
    process.pending = []
    this.holdfast.step({ kind: 'process-exited', process: process.key })
  }

  // Descriptors and mappings

  install(process: ModelProcess, name: Name, description: Description): void {
    this.closeDescriptor(process, name)
    description.referenceCount++
    process.descriptors.set(name, description)
  }

  closeDescriptor(process: ModelProcess, name: Name): boolean {
    const description = process.descriptors.get(name)
    if (description === undefined) return false
    process.descriptors.delete(name)
    this.#putReference(description)
    return true
  }

  newContext(): Description {
    return { kind: 'context', id: this.nextId() as ContextId, referenceCount: 0 }
  }

  map(process: ModelProcess, name: Name, mapping: ModelMapping): void {
    this.unmap(process, name)
    process.mappings.set(name, mapping)
    if (mapping.keeps !== null) mapping.keeps.referenceCount++
  }

  unmap(process: ModelProcess, name: Name): boolean {
    const mapping = process.mappings.get(name)
    if (mapping === undefined) return false
    process.mappings.delete(name)
    if (mapping.keeps !== null) this.#putReference(mapping.keeps)
    else this.#backingFileClosed(mapping.file)
    return true
  }

  dropMappings(process: ModelProcess): void {
    for (const name of [...process.mappings.keys()]) this.unmap(process, name)
  }

  #putReference(description: Description): void {
    description.referenceCount--
    if (description.referenceCount > 0) return
    if (description.kind === 'context') {
      this.holdfast.step({ kind: 'context-closed', context: description.id })
      return
    }
    this.openFiles.delete(description.id)
    if (description.isPast) return
    const { id, file } = description
    this.holdfast.step({ kind: 'ofd-closed', ofd: id, mappings: this.mappingsOfOwners(file) })
    this.#backingFileClosed(file)
  }

  /** L7: inotify tells when the backing file is closed, and is listened to while a lease has no descriptor. */
  #backingFileClosed(file: ModelFile): void {
    for (const lease of this.holdfast.rules.leasesOf(file.id)) {
      if (lease.ofd !== null) continue
      const mappings = this.mappingsOfOwners(file)
      this.holdfast.step({ kind: 'mappings-changed', file: file.id, mappings })
      return
    }
  }

  /** As /proc/PID/maps of the owners shows them. */
  mappingsOfOwners(file: ModelFile): Mapping[] {
    const owners = new Set<ProcessKey>()
    for (const lease of this.holdfast.rules.leasesOf(file.id)) {
      for (const owner of lease.owners) owners.add(owner)
    }
    const mappings: Mapping[] = []
    for (const process of owners) {
      for (const mapping of this.processOf(process).mappings.values()) {
        if (mapping.file === file) mappings.push({ process, range: mapping.range })
      }
    }
    return mappings
  }

  // System calls: locks, and the way back

  newCall(id: number, process: ModelProcess, action: Action): Call {
    const call: Call = {
      id,
      process,
      action,
      place: 'started',
      request: null,
      locks: [],
      isKillable: false,
      resume: null,
      outcome: null,
    }
    process.call = call
    return call
  }

  /** Calls `body` with the locks held, now or when they have been handed on; null: it waits. */
  withLocks(call: Call, locks: readonly KernelLock[], body: () => Outcome | null): Outcome | null {
    for (const lock of locks) {
      if (lock.holder === call) continue
      if (lock.holder === null) {
        lock.holder = call
        call.locks.push(lock)
        continue
      }
      if (call.isKillable && call.process.isDoomed) return OK
      lock.queue.push(call)
      call.place = 'kernel'
      call.resume = () => this.goOn(call, () => this.withLocks(call, locks, body))
      return null
    }
    return call.process.isDoomed ? OK : body()
  }

  /** Killed where the kernel lets it: it does not even get the lock. */
  #leaveQueue(call: Call): void {
    const locks = [...this.files.values()].flatMap(({ inodeLock, directoryLock }) => [
      inodeLock,
      directoryLock,
    ])
    for (const { queue } of locks) if (queue.includes(call)) queue.splice(queue.indexOf(call), 1)
    this.returned(call, OK)
  }

  /** It has what it waited for. A signal that came meanwhile interrupts what it waits for next. */
  goOn(call: Call, body: () => Outcome | null): void {
    call.place = 'started'
    const outcome = body()
    if (outcome !== null) this.returned(call, outcome)
    else if (this.#isSignalled(call.process)) this.#interrupt(call)
  }

  #isSignalled(process: ModelProcess): boolean {
    return process.isDoomed || process.state === 'stopped' || process.pending.length > 0
  }

  /** A signal ends what waits in Holdfast; what waits for a lock does not even notice. */
  #interrupt(call: Call): void {
    this.later(() => {
      if (call.place !== 'holdfast' || call.request === null) return
      this.holdfast.step({ kind: 'interrupt', request: call.request })
    })
  }

  /** The call is over in the kernel: its locks are handed on, and its process goes on if it can. */
  returned(call: Call, outcome: Outcome): void {
    call.place = 'returned'
    call.outcome = outcome
    for (const lock of call.locks.splice(0).reverse()) {
      const next = lock.queue.shift() ?? null
      lock.holder = next
      if (next === null) continue
      next.locks.push(lock)
      this.later(() => next.resume?.())
    }
    this.#reachUserSpace(call)
  }

  #reachUserSpace(call: Call): void {
    const { process } = call
    if (process.isDoomed || call.outcome?.is === 'killed') {
      if (call.outcome?.is !== 'killed') call.outcome = { is: 'killed', signal: 'SIGKILL' }
      this.die(process)
    } else if (process.state === 'stopped') {
      return
    }
    process.call = null
    this.#finished.push(call)
    this.#runHandlers(process)
  }

  // Signals

  kill(process: ModelProcess, signal: Signal | 'SIGCONT', value: number): void {
    if (process.state === 'dead') return
    switch (signal) {
      case 'SIGKILL':
        process.isDoomed = true
        if (process.call === null) this.die(process)
        else if (process.call.place === 'returned') this.#reachUserSpace(process.call)
        else if (process.call.place === 'kernel' && process.call.isKillable) this.#leaveQueue(process.call)
        break
      case 'SIGSTOP':
        process.state = 'stopped'
        break
      case 'SIGCONT':
        if (process.state !== 'stopped') return
        process.state = 'running'
        if (process.call?.place === 'returned') this.#reachUserSpace(process.call)
        else this.#runHandlers(process)
        return
      default:
        // One that is pending already is not queued again: these are not real-time signals.
        if (!process.pending.some((pending) => pending.signal === signal))
          process.pending.push({ signal, value })
        this.#runHandlers(process)
    }
    if (process.call !== null) this.#interrupt(process.call)
  }

  #runHandlers(process: ModelProcess): void {
    if (process.state !== 'running' || process.call !== null) return
    for (const { signal, value } of process.pending.splice(0)) {
      this.#notices.push({ kind: 'signal', process: process.name, signal, value })
    }
  }

  /** L5: only if who asked for it could send it now. */
  #sendOwnerSignal(key: ProcessKey, wanted: { signo: number; value: number; registrar: Uid }): void {
    const process = this.processOf(key)
    if (!maySignal(wanted.registrar, process)) return
    const pending: PendingSignal = { signal: signalName(wanted.signo), value: wanted.value }
    this.later(() => this.kill(process, pending.signal, pending.value))
  }

  // What can be asked afterwards

  leaseName(id: LeaseId): Name {
    return this.leaseNames.get(id) ?? `lease-${id}`
  }

  /** It has returned at once: whoever started it knows. @returns false if it has not. */
  forgetFinished(call: Call): boolean {
    const index = this.#finished.indexOf(call)
    if (index >= 0) this.#finished.splice(index, 1)
    return index >= 0
  }

  takeFinished(): Started[] {
    return this.#finished.splice(0).map((call) => ({ id: call.id, outcome: call.outcome ?? OK }))
  }

  takeNotices(): Notice[] {
    const events = this.#events.map(
      ({ event, lease, offender }): Notice => ({
        kind: 'event',
        event,
        lease: this.leaseName(lease),
        offender: this.nameOfProcess(offender),
      }),
    )
    const notices = [...events, ...this.#notices]
    this.#events = []
    this.#notices = []
    return notices
  }
}
