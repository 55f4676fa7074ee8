/**
 * Brings the auditor's books up to date with one step of a machine, in the order in which things can have
 * happened: what the action did, what the kernel lost by it, what waited and went on, what was told.
 */
import type { Action, Name, Outcome } from '../scenario.js'
import {
  type BookedLease,
  type BookedOwner,
  type Books,
  isMapped,
  isSamePin,
  type Request,
  type Wait,
} from './books.js'
import type { Facts } from './facts.js'
import type { Step } from './step.js'
import { Bag, eventText } from './told.js'
import { leaseThrough, pinHolderOf, possibleChangeOf, requestOf, risesBy } from './verdicts.js'

/** B5: how long those who were killed may take to exit. */
const KILL_GRACE_MS = 1000

/** An action that has returned in this step or has gone ahead in it, at once or after it had waited. */
export interface Done {
  readonly process: Name
  readonly action: Action
  readonly outcome: Outcome
  /** null: it did not wait. */
  readonly wait: Wait | null
}

export class Booking {
  readonly books: Books
  readonly step: Step
  /** Everything that returned in this step, in order. */
  readonly done: readonly Done[]
  /** What owners and processes had to be told in this step, but for breaks and what follows from them. */
  readonly due = new Bag()
  /** New leases, also those that are gone again. */
  readonly granted: Name[] = []
  readonly #pinnedBefore: ReadonlySet<Name>

  constructor(books: Books, step: Step) {
    this.books = books
    this.step = step
    this.done = doneIn(books, step)
    this.#pinnedBefore = new Set(books.pins.map((pin) => pin.lease))
  }

  /** Everything but what is told of breaks and revocations. */
  bookDeeds(): void {
    for (const one of this.done) if (this.#isDone(one)) this.#bookDone(one)
    this.#bookFacts()
    this.#bookStart()
  }

  /**
   * Somebody who was killed can have got what it waited for before it died, and then that is told; and whoever
   * seizes its own lease with `kill` has done so, and is dead.
   */
  #isDone({ action, outcome, wait }: Done): boolean {
    if (outcome.is !== 'killed') return outcome.is === 'ok'
    if (action.do === 'revoke') return true
    if (wait?.kind !== 'request') return false
    const name = wait.request.lease ?? (action.do === 'lease' ? action.as : null)
    return this.step.notices.some(
      (notice) => notice.kind === 'event' && notice.event === 'granted' && notice.lease === name,
    )
  }

  #bookDone({ process, action, wait }: Done): void {
    const { books } = this
    const facts = this.step.before
    switch (action.do) {
      case 'lease':
      case 'change': {
        const request = wait?.kind === 'request' ? wait.request : requestOf(books, facts, process, action)
        if (request !== null)
          this.#bookGrant(request, process, action.do === 'lease' ? action.as : request.lease)
        return
      }
      case 'release': {
        const openFile = facts.processes.get(process)?.descriptors.get(action.fd)
        for (const lease of [...books.leases]) {
          const isMeant = action.lease === null || action.lease === lease.name
          if (isMeant && lease.isOpen && lease.openFile === openFile) this.#end(lease)
        }
        return
      }
      case 'own':
        this.#bookOwner(process, action)
        return
      case 'pin': {
        const holder = pinHolderOf(facts, process, action.through)
        const lease = books.lease(action.lease)
        if (holder === null || lease === undefined) return
        const known = books.pins.find((pin) => isSamePin(pin, lease.name, holder, action.bytes))
        if (known !== undefined) {
          known.count++
          known.names.push(action.as)
          return
        }
        const user = facts.processes.get(process)?.user ?? 'root'
        const { file, name } = lease
        const pin = { names: [action.as], lease: name, file, bytes: action.bytes, holder, user, count: 1 }
        books.pins.push(pin)
        this.due.add(eventText('pinned', name, null))
        return
      }
      case 'unpin': {
        const pin = books.pins.find((one) => one.names.includes(action.pin))
        if (pin === undefined) return
        pin.count--
        if (pin.count === 0) this.#endPin(pin)
        return
      }
      case 'revoke': {
        const lease = books.lease(action.lease)
        if (lease === undefined || lease.isRevoked) return
        if (action.kill) lease.killedFor = 'seizure'
        else this.#revoke(lease)
        return
      }
      case 'kill': {
        const { signal } = action
        if (signal === 'SIGKILL' || signal === 'SIGSTOP' || signal === 'SIGCONT') return
        books.signals.push({ process: action.process, signal, value: 0 })
        return
      }
      default:
    }
  }

  #bookGrant(request: Request, process: Name, name: Name | null): void {
    const { books, step } = this
    if (name === null) return
    const known = request.lease === null ? undefined : books.lease(request.lease)
    if (known === undefined || risesBy(known, request).any) {
      books.watches = books.watches.filter((watch) => watch.openFile !== request.openFile)
    }
    if (known !== undefined) {
      const rises = risesBy(known, request)
      const isOther = known.mode !== request.mode || known.level !== request.level
      if (rises.any) this.due.add(eventText('granted', known.name, null))
      else if (isOther) this.due.add(eventText('downgraded', known.name, null))
      if (rises.right) known.isNotifyOnly = false
      known.mode = request.mode
      known.level = request.level
      known.breakTimeMs = request.breakTimeMs
      if (known.leaseBreak?.demand === 'read' && known.mode === 'read') {
        known.leaseBreak = null
        if (known.killedFor === 'deadline') known.killedFor = null
      }
      return
    }
    const { file, openFile, bytes, mode, level, breakTimeMs } = request
    this.granted.push(name)
    books.leases.push({
      name,
      file,
      openFile,
      bytes,
      mode,
      level,
      breakTimeMs,
      user: step.before.processes.get(process)?.user ?? 'root',
      isNotifyOnly: !request.mayDelayOthers,
      owners: [{ process, signal: null, isSignalled: false }],
      leaseBreak: null,
      isRevoked: false,
      isZombie: false,
      killedFor: null,
      isOpen: true,
      isMapped: false,
    })
    this.due.add(eventText('granted', name, null))
  }

  #bookOwner(process: Name, action: Extract<Action, { readonly do: 'own' }>): void {
    const facts = this.step.before
    const caller = facts.processes.get(process)
    const openFile = caller?.descriptors.get(action.fd)
    const who = action.who === 'self' ? process : caller?.parent
    if (caller === undefined || openFile === undefined || who === undefined || who === null) return
    const lease = leaseThrough(this.books, openFile, action.lease)
    if (lease === undefined) return
    if (action.operation === 'remove') {
      lease.owners = lease.owners.filter((owner) => owner.process !== who)
      return
    }
    let owner = lease.owners.find((one) => one.process === who)
    if (owner === undefined) {
      owner = { process: who, signal: null, isSignalled: false }
      lease.owners.push(owner)
    }
    const { signal, value } = action
    owner.signal = signal === null ? null : { signal, value, registrar: caller.user }
    if (lease.leaseBreak !== null && !owner.isSignalled) this.signal(owner)
  }

  /** L5, B2: sends an owner the signal of its choice, if whoever chose it may. */
  signal(owner: BookedOwner): void {
    if (owner.signal === null) return
    owner.isSignalled = true
    const { signal, value, registrar } = owner.signal
    const receiver = this.step.before.processes.get(owner.process)
    if (registrar !== 'root' && registrar !== receiver?.user) return
    this.books.signals.push({ process: owner.process, signal, value })
  }

  /** L5, L7, P5, P6: what ends because a process, a descriptor, a context or a mapping is not there any more. */
  #bookFacts(): void {
    const { books, step } = this
    const facts = step.after
    const isAlive = (process: Name) => facts.processes.get(process)?.isAlive === true
    for (const pin of [...books.pins]) {
      const { process, context } = pin.holder
      const isHeld = process !== null ? isAlive(process) : facts.openFiles.has(context)
      if (!isHeld) this.#endPin(pin)
    }
    books.watches = books.watches.filter((watch) => facts.openFiles.has(watch.openFile))
    for (const lease of [...books.leases]) {
      lease.owners = lease.owners.filter((owner) => isAlive(owner.process))
      const wasOpen = lease.isOpen
      lease.isOpen = facts.openFiles.has(lease.openFile)
      this.#settle(lease, wasOpen)
    }
  }

  #settle(lease: BookedLease, wasOpen: boolean): void {
    const isPinned = this.books.pinsOf(lease.name).length > 0
    if (lease.killedFor !== null && lease.owners.length === 0 && !isPinned && !lease.isRevoked)
      this.#revoke(lease)
    if (lease.isOpen) return
    const isMappedNow = isMapped(lease, this.step.after)
    lease.isMapped = isMappedNow && (wasOpen || lease.isMapped)
    // Whether it counts what an owner maps anew is open: what is listed decides.
    const isKept = lease.isMapped || (isMappedNow && this.step.after.sights.has(lease.name))
    if (lease.isRevoked || !(isPinned || isKept)) this.#end(lease)
    else if (isPinned && (wasOpen || !lease.isMapped)) lease.isZombie = true
    // The pins can have ended after the last descriptor, though both were one process's that is gone.
    const wasPinned = wasOpen && this.#pinnedBefore.has(lease.name)
    if (wasPinned && this.step.after.sights.get(lease.name)?.state === 'zombie') lease.isZombie = true
    if (lease.isZombie) lease.leaseBreak = null
  }

  #revoke(lease: BookedLease): void {
    lease.isRevoked = true
    lease.killedFor = null
    lease.leaseBreak = null
    if (!lease.isOpen) this.#end(lease)
  }

  #end(lease: BookedLease): void {
    this.books.leases = this.books.leases.filter((one) => one !== lease)
  }

  #endPin(pin: (typeof this.books.pins)[number]): void {
    this.books.pins = this.books.pins.filter((one) => one !== pin)
    this.due.add(eventText('unpinned', pin.lease, null))
  }

  /** Who waits now, and who of them has reached Holdfast; and whom START has told to try again. */
  #bookStart(): void {
    const { books, step } = this
    const waits = step.after.waits.filter((wait) => wait.returned === null)
    books.waits = waits.map((wait) => bookedWait(books, step.after, wait))
    for (const { process, action, outcome } of this.done) {
      if (action.do !== 'lease' && action.do !== 'change') continue
      if (action.whenBusy !== 'start' || outcome.is !== 'failed' || outcome.errno !== 'EAGAIN') continue
      const request = requestOf(books, step.before, process, action)
      if (request === null) continue
      const lease = request.lease === null ? undefined : books.lease(request.lease)
      if (lease !== undefined && lease.leaseBreak !== null) continue // L4: there is nothing to wait for.
      books.watches = books.watches.filter((watch) => watch.openFile !== request.openFile)
      books.watches.push({ request, openFile: request.openFile, isWorthTrying: false })
    }
    for (const wait of books.waits) {
      if (wait.kind !== 'request' || wait.id !== step.move?.id) continue
      books.watches = books.watches.filter((watch) => watch.openFile !== wait.request.openFile)
    }
  }

  /** B1, B2: the break that this `break` event tells of. */
  bookBreak(lease: BookedLease, offender: Name, demand: 'read' | 'none'): void {
    const ownMs = lease.breakTimeMs === 0 ? this.books.mount.breakTimeMs : lease.breakTimeMs
    const breakTimeMs = Math.min(ownMs, this.books.mount.breakTimeMs)
    const deadlineMs = lease.leaseBreak?.deadlineMs ?? this.step.after.nowMs + breakTimeMs
    lease.leaseBreak = { deadlineMs, demand }
    for (const owner of lease.owners) {
      if (owner.process === offender) {
        owner.isSignalled = true
      } else {
        owner.isSignalled = false
        this.signal(owner)
      }
    }
  }

  /** B5, B8: what a `revoked` or `broken` event tells of. */
  bookRevocation(lease: BookedLease): void {
    this.#revoke(lease)
  }

  graceEndMs(lease: BookedLease): number | null {
    if (lease.leaseBreak === null) return null
    return lease.leaseBreak.deadlineMs + (this.books.mount.onTimeout === 'kill' ? KILL_GRACE_MS : 0)
  }
}

function doneIn(books: Books, step: Step): Done[] {
  const done: Done[] = []
  if (step.move !== null && step.move.outcome.is !== 'waits') done.push({ ...step.move, wait: null })
  const returned = step.after.waits.flatMap(({ id, returned: outcome }) =>
    outcome === null ? [] : [{ id, outcome }],
  )
  for (const { id, outcome } of [...step.finished, ...returned]) {
    const wait = books.waits.find((one) => one.id === id)
    if (wait !== undefined) done.push({ process: wait.process, action: wait.action, outcome, wait })
    else if (step.move?.id === id) done.push({ ...step.move, outcome, wait: null })
  }
  for (const { id, process, action } of step.after.waits.filter(isPassed)) {
    if (step.before.waits.some((one) => one.id === id && isPassed(one))) continue
    const wait = books.waits.find((one) => one.id === id) ?? null
    done.push({ process, action, outcome: { is: 'ok', value: '' }, wait })
  }
  return done
}

/** An open asks for no lock of the inode before Holdfast has let it go ahead. */
function isPassed({ action, isInKernel }: Facts['waits'][number]): boolean {
  return action.do === 'open' && isInKernel
}

function bookedWait(books: Books, facts: Facts, wait: Facts['waits'][number]): Wait {
  const { id, process, action, isInKernel } = wait
  const known = books.waits.find((one) => one.id === id)
  if (isPassed(wait)) return { id, process, action, arrival: null, kind: 'passed' }
  if (known !== undefined && known.arrival !== null) return known
  const arrival = isInKernel ? null : books.nextArrival()
  const change = possibleChangeOf(facts, process, action)
  if (change !== null) return { id, process, action, arrival, kind: 'layout-change', change }
  if (action.do === 'lease' || action.do === 'change') {
    const request = requestOf(books, facts, process, action)
    if (request !== null) return { id, process, action, arrival, kind: 'request', request }
  }
  return { id, process, action, arrival, kind: 'other' }
}
