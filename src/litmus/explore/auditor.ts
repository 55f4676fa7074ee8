/**
 * Watches a machine from outside and complains about whatever the contract (docs/SEMANTICS.md) forbids. It knows
 * what was done, what came of it, what was told and what a kernel could tell; from these it keeps books of its
 * own. Slow and plain: every rule is one method.
 */
import type { Action, LeaseSight, MountSpec, Name, RuleName } from '../scenario.js'
import { Booking, type Done } from './booking.js'
import { type BookedLease, Books, isContrary, isOwner, type LayoutChange, stateOf, touches } from './books.js'
import { type Expected, expectedOutcomes } from './expected.js'
import type { Facts } from './facts.js'
import type { Step } from './step.js'
import { Bag, eventText } from './told.js'
import {
  type ChangeVerdict,
  judgeChange,
  judgeRequest,
  layoutChangeOf,
  meetingOf,
  openFileOf,
  refusalOf,
  requestOf,
} from './verdicts.js'

/** What is wrong, in one line, and against which rule. */
export class Violation extends Error {
  override readonly name = 'Violation'
  readonly rule: RuleName

  constructor(rule: RuleName, what: string) {
    super(`${rule}: ${what}`)
    this.rule = rule
  }
}

function check(isRight: boolean, rule: RuleName, what: string): asserts isRight {
  if (!isRight) throw new Violation(rule, what)
}

export class Auditor {
  #books: Books

  constructor(books: Books | MountSpec) {
    this.#books = books instanceof Books ? books : new Books(books)
  }

  /** What it believes now. Later steps write into it. */
  get books(): Books {
    return this.#books
  }

  /** Throws a `Violation` if the step breaks a rule. */
  check(step: Step): void {
    const before = this.#books.copy()
    const audit = new StepAudit(before, this.#books, step)
    audit.run()
  }

  /** Once time has passed and nobody does anything any more. */
  static checkEnd(facts: Facts): void {
    const wait = facts.waits.find((one) => one.returned === null)
    if (wait === undefined) return
    throw new Violation('B4', `${wait.process} waits in ${wait.action.do} and nothing will ever answer it`)
  }
}

class StepAudit {
  readonly #before: Books
  readonly #books: Books
  readonly #step: Step
  readonly #booking: Booking
  /** Everything that had to be told, put together while the step is gone through. */
  readonly #due: Bag

  constructor(before: Books, books: Books, step: Step) {
    this.#before = before
    this.#books = books
    this.#step = step
    this.#booking = new Booking(books, step)
    this.#due = this.#booking.due
  }

  run(): void {
    this.#checkAnswer()
    this.#booking.bookDeeds()
    for (const done of this.#booking.done) if (done.wait !== null) this.#checkFinish(done)
    this.#checkRefusals()
    this.#checkBreaks()
    this.#checkGivenUp()
    this.#checkRevocations()
    for (const done of this.#booking.done) this.#checkPassed(done)
    this.#checkLostBytes()
    this.#checkSights()
    this.#checkIds()
    this.#checkConflicts()
    this.#checkWaits()
    this.#checkDeadlines()
    this.#checkPolls()
    this.#checkTold()
    this.#checkSignals()
  }

  /** L6, L8, L9, X1, P1, P4, B6: what comes of an action at once follows from what was there before. */
  #checkAnswer(): void {
    const { move, before } = this.#step
    if (move === null || move.outcome.is === 'killed') return
    const isInKernel = this.#step.after.waits.some((wait) => wait.id === move.id && wait.isInKernel)
    if (isInKernel) return
    const expected: Expected | null = expectedOutcomes(this.#before, before, move.process, move.action)
    if (expected === null) return
    const { outcome } = move
    const got = outcome.is === 'failed' ? outcome.errno : outcome.is
    const isOther = outcome.is === 'failed' && expected.others.includes(outcome.errno)
    const isLate = got === 'ETXTBSY' && expected.outcomes.includes('waits') && this.#isExclusiveNow(move)
    check(
      isOther || isLate || expected.outcomes.includes(got),
      expected.rule,
      `${move.process} ${move.action.do} got ${got} instead of ${expected.outcomes.join(' or ')}`,
    )
  }

  /** L4, L6: by breaking what others waited behind, a request can let one of them go ahead who then is in its way. */
  #isExclusiveNow({ process, action }: { readonly process: Name; readonly action: Action }): boolean {
    if (action.do !== 'lease' && action.do !== 'change') return false
    const request = requestOf(this.#before, this.#step.before, process, action)
    return this.#booking.done.some(
      ({ outcome, wait }) =>
        outcome.is === 'ok' &&
        wait?.kind === 'request' &&
        wait.request.level === 'exclusive' &&
        request !== null &&
        isContrary(wait.request, request),
    )
  }

  /** What an action that had waited may return with. */
  #checkFinish({ process, action, outcome, wait }: Done): void {
    if (wait === null || outcome.is === 'killed') return
    const errno = outcome.is === 'failed' ? outcome.errno : null
    const who = `${process} ${action.do}`
    if (wait.kind === 'layout-change') {
      if (outcome.is === 'ok') this.#checkOrder(wait.id, wait.arrival, who, wait.change)
      const refusal = refusalOf(this.#verdictWhenRefused(process, wait.change))
      const isRefused = errno === 'ETXTBSY' || errno === 'EDEADLK'
      check(
        !isRefused || errno === refusal,
        'X1',
        `${who} failed with ${errno} instead of ${refusal ?? 'going ahead'}`,
      )
      const isGivenUp = errno !== 'EAGAIN' || (wait.arrival === null && wait.change.isNonBlocking)
      check(isGivenUp, 'B6', `${who} may wait, but got EAGAIN`)
      check(errno !== 'EINTR' || this.#isInterrupted(process), 'B7', `${who}: nobody interrupted it`)
    }
    if (wait.kind === 'request') {
      const { request } = wait
      const lease = request.lease === null ? undefined : this.#books.lease(request.lease)
      const isExclusiveThere = [...this.#books.leases, ...this.#before.leases].some(
        (one) => one.level === 'exclusive' && isContrary(one, request),
      )
      const wasGranted = this.#booking.granted.some((name) => this.#books.lease(name) === undefined)
      const isRefused = errno === 'ETXTBSY' && !wasGranted
      check(!isRefused || isExclusiveThere, 'L6', `${who} got ETXTBSY without an exclusive lease`)
      check(errno !== 'EINTR' || this.#isInterrupted(process), 'B7', `${who}: nobody interrupted it`)
      if (errno === 'EAGAIN') {
        const isTold = this.#events('break').some((notice) => notice.lease === lease?.name)
        check(isTold || lease?.leaseBreak !== null, 'L4', `${who} may wait, but got EAGAIN`)
      }
      if (outcome.is === 'ok') {
        for (const earlier of this.#books.waitingRequests()) {
          const isEarlier = wait.arrival !== null && earlier.arrival < wait.arrival
          const isOvertaken = isEarlier && isContrary(earlier.request, request)
          check(!isOvertaken, 'B4', `${who} overtakes ${earlier.process}, who asked before and still waits`)
        }
      }
    }
  }

  /** What refused it may be gone since: its owner was killed in the same step. */
  #verdictWhenRefused(process: Name, change: LayoutChange): ChangeVerdict {
    const now = judgeChange(this.#books, process, change)
    return now.refusing.length > 0 ? now : judgeChange(this.#before, process, change)
  }

  #isInterrupted(process: Name): boolean {
    const action = this.#step.move?.action
    const isSignalled = this.#step.notices.some((one) => one.kind === 'signal' && one.process === process)
    const isStopped = this.#step.after.processes.get(process)?.isStopped === true
    return isSignalled || isStopped || (action?.do === 'kill' && action.process === process)
  }

  /** B4: nobody goes ahead past somebody who came before and waits for the same bytes. */
  #checkOrder(id: number, arrival: number | null, who: string, change: LayoutChange): void {
    if (arrival === null) return
    for (const earlier of this.#books.waitingChanges()) {
      if (earlier.id === id || earlier.arrival > arrival || earlier.change.file !== change.file) continue
      const isOvertaken = touches(earlier.change.bytes, change.bytes)
      check(!isOvertaken, 'B4', `${who} overtakes ${earlier.process}, who came before and still waits`)
    }
  }

  /** X3: owners of what refused a change hear of it, once for each lease. */
  #checkRefusals(): void {
    for (const done of this.#booking.done) {
      const { process, outcome, wait } = done
      if (outcome.is !== 'failed' || !(outcome.errno === 'ETXTBSY' || outcome.errno === 'EDEADLK')) continue
      const known = this.#changeOf(done)
      if (known === null) continue
      const before = judgeChange(this.#before, process, known).refusing.map(({ lease }) => lease.name)
      if (wait === null) for (const name of before) this.#due.add(eventText('refused', name, process))
      else this.#checkLateRefusal(process, known, before)
    }
  }

  /** Who had waited may have been refused before or after leases ended or came in this step, as owners were killed. */
  #checkLateRefusal(process: Name, change: LayoutChange, before: readonly Name[]): void {
    const now = judgeChange(this.#books, process, change).refusing.map(({ lease }) => lease.name)
    const told = this.#events('refused')
      .filter(({ offender }) => offender === process)
      .map(({ lease }) => lease)
    const names = new Set([...before, ...now])
    const isLasting = (name: Name) => before.includes(name) && now.includes(name)
    const due = [...names].filter((name) => isLasting(name) || told.includes(name))
    check(due.length > 0, 'X3', `${process} was refused and no owner was told`)
    for (const name of due) this.#due.add(eventText('refused', name, process))
  }

  /** B1, B2, X2, L6, L8: every break has a reason, and is told once for each demand. */
  #checkBreaks(): void {
    for (const notice of this.#events('break')) {
      const lease = this.#books.lease(notice.lease) ?? this.#before.lease(notice.lease)
      if (lease === undefined && this.#booking.granted.includes(notice.lease)) {
        // It came and went in this step, since its owner was being killed: the books have nothing to judge it by.
        this.#due.add(eventText('break', notice.lease, notice.offender))
        continue
      }
      check(lease !== undefined, 'B2', `a break of ${notice.lease} is told, which is no lease`)
      check(lease.level === 'normal', 'L2', `the exclusive lease ${lease.name} is broken`)
      const { offender } = notice
      const reason = offender === null ? null : this.#reasonToBreak(lease, offender)
      check(
        offender !== null && reason !== null,
        'B1',
        `${lease.name} is broken because of ${offender}, who does nothing that needs it`,
      )
      const known = lease.leaseBreak?.demand ?? null
      const isNews = known === null || (known === 'read' && reason === 'none')
      check(isNews, 'B2', `owners of ${lease.name} are told again of the same break`)
      this.#booking.bookBreak(lease, offender, reason)
      this.#due.add(eventText('break', lease.name, offender))
    }
  }

  /** B6, L6: whoever may not wait gets EAGAIN, but the break that it started goes on. */
  #checkGivenUp(): void {
    const { move, before } = this.#step
    if (move?.outcome.is !== 'failed' || move.outcome.errno !== 'EAGAIN') return
    const { process, action } = move
    const change = layoutChangeOf(before, process, action)
    if (change !== null) {
      for (const { name } of judgeChange(this.#before, process, change).waitingFor) {
        const isBroken = this.#books.lease(name)?.leaseBreak?.demand === 'none'
        check(isBroken, 'B6', `${process} got EAGAIN because of ${name}, whose owners know of nothing`)
      }
      return
    }
    const isStart = (action.do === 'lease' || action.do === 'change') && action.whenBusy === 'start'
    const request = isStart ? requestOf(this.#before, before, process, action) : null
    if (request === null || !request.mayDelayOthers || request.lease !== null) return
    for (const { name } of judgeRequest(this.#before, request).busy) {
      const isBroken = this.#books.lease(name)?.leaseBreak !== null
      check(isBroken, 'L6', `${process} is told to try again, but the owners of ${name} know of nothing`)
    }
  }

  /** What `offender` wants of this lease, if it is something that may break it. */
  #reasonToBreak(lease: BookedLease, offender: Name): 'read' | 'none' | null {
    const { move, before, after } = this.#step
    const wait = [...this.#before.waits, ...this.#books.waits].find((one) => one.process === offender)
    const isMover = move !== null && move.process === offender
    const action = isMover ? move.action : wait?.action
    if (action === undefined) return null
    const books = isMover ? this.#before : this.#books
    const facts = isMover ? before : after
    const known = wait?.kind === 'layout-change' ? wait.change : null
    const change = isMover ? layoutChangeOf(facts, offender, action) : known
    if (change !== null) {
      if (isMover && refusalOf(judgeChange(books, offender, change)) !== null) return null // X2
      const meeting = meetingOf(books, lease, offender, change)
      return meeting === 'waits' || meeting === 'only told' ? 'none' : null
    }
    if (action.do !== 'lease' && action.do !== 'change') return null
    const request =
      wait?.kind === 'request' ? wait.request : requestOf(this.#before, before, offender, action)
    if (request === null || !isContrary(lease, request)) return null
    const isGranted = this.#booking.done.some((one) => one.process === offender && one.outcome.is === 'ok')
    const isAllowed = request.mayDelayOthers && (request.whenBusy !== 'fail' || isGranted)
    if (!isAllowed || (isGranted && !lease.isNotifyOnly && wait === undefined)) return null
    return request.mode === 'read' ? 'read' : 'none'
  }

  /** B5, B8, X4: a lease is taken away at its deadline, by whoever may, or by its only owner. */
  #checkRevocations(): void {
    const nowMs = this.#step.after.nowMs
    for (const notice of this.#events('revoked')) {
      const lease = this.#before.lease(notice.lease)
      check(lease !== undefined && !lease.isRevoked, 'B5', `${notice.lease} is revoked, which is no lease`)
      const deadlineMs = lease.leaseBreak?.deadlineMs
      const isDue = deadlineMs !== undefined && deadlineMs <= nowMs
      const isSeized = this.#isSeized(lease)
      check(isDue || isSeized, 'B5', `${lease.name} is revoked before its deadline`)
      check(this.#books.pinsOf(lease.name).length === 0, 'X4', `${lease.name} is revoked while it is pinned`)
      this.#due.add(eventText('revoked', lease.name, null))
      const booked = this.#books.lease(lease.name)
      if (booked !== undefined) this.#booking.bookRevocation(booked)
    }
    for (const notice of this.#events('broken')) {
      const lease = this.#before.lease(notice.lease) ?? this.#books.lease(notice.lease)
      check(lease !== undefined && !lease.isRevoked, 'B8', `${notice.lease} is broken, which is no lease`)
      const isOwn = this.#booking.done.some((done) => {
        const { process, outcome } = done
        const change = this.#changeOf(done)
        if (change === null || outcome.is === 'failed') return false
        // One that was killed may have gone ahead before it died, and after the other owners had.
        if (outcome.is === 'killed') return isOwner(lease, process) && lease.mode === 'read'
        const inBooks = this.#books.lease(lease.name) ?? lease
        return [inBooks, lease].some(
          (one) => meetingOf(this.#books, one, process, change) === 'breaks its own',
        )
      })
      check(isOwn, 'B8', `${lease.name} is broken as its owner's own, but its only owner changed nothing`)
      this.#due.add(eventText('broken', lease.name, null))
      const booked = this.#books.lease(lease.name)
      if (booked !== undefined) this.#booking.bookRevocation(booked)
    }
  }

  #isSeized(lease: BookedLease): boolean {
    const move = this.#step.move
    const isRevoke =
      move?.action.do === 'revoke' && move.action.lease === lease.name && move.outcome.is !== 'failed'
    return lease.killedFor !== null || isRevoke
  }

  /** B1, X1, X5, B8, L8, P6: a change that went ahead took nothing from a lease that is still there. */
  #checkPassed(done: Done): void {
    const { process, action, outcome, wait } = done
    if (outcome.is !== 'ok') return
    const change = this.#changeOf(done)
    if (change === null || this.#isOvertakenInKernel(process, wait, change)) return
    for (const lease of this.#books.leases) {
      const old = this.#before.lease(lease.name)
      if (old === undefined || old.isRevoked) continue
      const meetings = [
        meetingOf(this.#before, old, process, change),
        meetingOf(this.#books, lease, process, change),
      ]
      if (meetings.includes('nothing')) continue
      const what = `${process} ${action.do} took bytes of ${lease.name} away`
      const isTold = lease.leaseBreak !== null && meetings.includes('only told')
      // It may have gone ahead before the other owner of a lease that is only told was gone.
      const isOwn = meetings.includes('breaks its own') && !isTold
      check(!isOwn, 'B8', `${what}, its own lease, and did not break it`)
      check(!meetings.includes('only told') || isTold, 'L8', `${what} and nobody was told`)
      check(isTold, lease.level === 'normal' ? 'B1' : 'X1', what)
    }
  }

  /** The layout change that somebody made or was refused in this step. */
  #changeOf({ process, action, wait }: Done): LayoutChange | null {
    if (wait === null) return layoutChangeOf(this.#step.before, process, action)
    return wait.kind === 'layout-change' ? wait.change : null
  }

  /** What waited in the kernel may find the file shorter than it was, and then takes nothing away. */
  #isOvertakenInKernel(process: Name, wait: Done['wait'], change: LayoutChange): boolean {
    if (wait === null || wait.arrival !== null || wait.action.do === 'fallocate') return false
    if (layoutChangeOf(this.#step.before, process, wait.action) === null) return true
    return this.#booking.done.some(
      (one) =>
        one.process !== process &&
        one.wait?.kind === 'layout-change' &&
        one.wait.change.file === change.file &&
        one.wait.change.bytes.start <= change.bytes.start,
    )
  }

  /** Whatever is gone from a file was taken by a change that went ahead. */
  #checkLostBytes(): void {
    for (const [name, file] of this.#step.before.files) {
      const now = this.#step.after.files.get(name)
      for (const block of file.blocks) {
        for (let at = block.start; at < (block.end ?? file.sizeBytes); at = nextByte(at, now)) {
          if (now?.blocks.some((one) => one.start <= at && at < (one.end ?? now.sizeBytes)) === true) continue
          check(this.#isTakenBySomeone(name, at), 'X1', `byte ${at} of ${name} is gone and no change took it`)
        }
      }
    }
  }

  #isTakenBySomeone(file: Name, at: number): boolean {
    return this.#booking.done.some((done) => {
      const { process, action, outcome } = done
      if (outcome.is === 'failed') return false
      if (isPast(this.#step.before, process, action)) return true
      // What is copied over them are holes: the bytes stay where they are and become zeros.
      if (action.do === 'copy') return openFileOf(this.#step.before, process, action.to)?.file === file
      const change = this.#changeOf(done)
      return change !== null && change.file === file && touches(change.bytes, { start: at, end: at + 1 })
    })
  }

  /** L7, P5, P4, L4, L5: what is listed is what the books have, no more and no less. */
  #checkSights(): void {
    const { sights } = this.#step.after
    for (const lease of this.#books.leases) {
      const sight = sights.get(lease.name) ?? { state: 'none' }
      this.#checkSight(lease, sight)
    }
    for (const [name, sight] of sights) {
      if (sight.state === 'none' || this.#books.lease(name) !== undefined) continue
      const was = this.#before.lease(name)
      const why = was === undefined ? 'nobody took it' : 'nobody holds it any more'
      throw new Violation('L7', `${name} is listed as ${sight.state}, but ${why}`)
    }
  }

  #checkSight(lease: BookedLease, sight: LeaseSight): void {
    const { name } = lease
    const state = stateOf(lease)
    const rule = state === 'zombie' || sight.state === 'zombie' ? 'P5' : ruleOfState(state)
    const why = lease.isOpen ? 'its holder is open' : 'pins or mappings keep it'
    if (sight.state === 'none' || sight.state !== state) {
      throw new Violation(rule, `${name} is ${sight.state} instead of ${state}; ${why}`)
    }
    check(
      sight.mode === lease.mode && sight.level === lease.level,
      'L4',
      `${name} is ${sight.level} ${sight.mode}`,
    )
    const isNotifyOnly = sight.isNotifyOnly === lease.isNotifyOnly
    check(isNotifyOnly, 'L8', `${name} is ${sight.isNotifyOnly ? '' : 'not '}notify-only`)
    const owners = lease.owners.map((owner) => owner.process).toSorted()
    check(
      owners.join() === sight.owners.join(),
      'L5',
      `${name} is owned by ${sight.owners.join(' ') || 'nobody'} instead of ${owners.join(' ') || 'nobody'}`,
    )
    const pinCount = this.#books.pinsOf(name).length
    check(sight.pinCount === pinCount, 'P6', `${name} has ${sight.pinCount} pins instead of ${pinCount}`)
  }

  /** L4 */
  #checkIds(): void {
    const { leaseIds } = this.#step.after
    for (const [name, id] of [...leaseIds].toSorted((a, b) => a[1] - b[1])) {
      if (this.#step.before.leaseIds.has(name)) continue
      check(id > this.#books.lastLeaseId, 'L4', `the new lease ${name} has the used id ${id}`)
      this.#books.lastLeaseId = id
    }
  }

  /** L3: two that conflict never both protect, but for one that is only told (L8). */
  #checkConflicts(): void {
    const leases = this.#books.leases.filter((lease) => !lease.isRevoked)
    for (const [index, a] of leases.entries()) {
      for (const b of leases.slice(index + 1)) {
        const isTold = [a, b].some((lease) => lease.isNotifyOnly && lease.leaseBreak !== null)
        check(!isContrary(a, b) || isTold, 'L3', `${a.name} and ${b.name} conflict and both are there`)
      }
    }
  }

  /** B4, L6: nobody waits without a reason, and what is waited for has been told. */
  #checkWaits(): void {
    const { waits } = this.#step.after
    for (const wait of waits) {
      if (!wait.isInKernel) continue
      const isHeld = waits.some((one) => one !== wait && !one.isInKernel)
      check(isHeld, 'B4', `${wait.process} waits in the kernel for ${wait.action.do}, and nobody holds it up`)
    }
    for (const { id, process, change, arrival } of this.#books.waitingChanges()) {
      const verdict = judgeChange(this.#books, process, change)
      const isBehind = this.#books
        .waitingChanges()
        .some(
          (one) =>
            one.arrival < arrival &&
            one.change.file === change.file &&
            touches(one.change.bytes, change.bytes),
        )
      const isKept = verdict.waitingFor.some((lease) => lease.leaseBreak?.demand === 'none')
      check(isKept || isBehind, 'B4', `${process} waits to change ${change.file}, but nothing is in its way`)
      if (id !== this.#step.move?.id) continue
      for (const lease of [...verdict.waitingFor, ...verdict.toTell]) {
        check(
          lease.leaseBreak?.demand === 'none',
          'B2',
          `${process} waits for ${lease.name}, but nobody was told`,
        )
      }
    }
    for (const { process, request, arrival } of this.#books.waitingRequests()) {
      const verdict = judgeRequest(this.#books, request, arrival)
      const isKept = verdict.busy.some((lease) => lease.leaseBreak !== null)
      check(isKept || verdict.isQueued, 'L6', `${process} waits for a lease, but nothing is in its way`)
      check(request.mayDelayOthers, 'L8', `${process} has no right to make others wait, and waits`)
      for (const lease of verdict.busy) {
        const isEnough =
          lease.leaseBreak !== null && (request.mode === 'read' || lease.leaseBreak.demand === 'none')
        check(isEnough || verdict.isQueued, 'B2', `${process} waits for ${lease.name}, but nobody was told`)
      }
    }
  }

  /** B5 */
  #checkDeadlines(): void {
    for (const lease of this.#books.leases) {
      const endMs = this.#booking.graceEndMs(lease)
      const { nowMs } = this.#step.after
      if (lease.leaseBreak !== null && lease.leaseBreak.deadlineMs <= nowMs) lease.killedFor ??= 'deadline'
      const isKept = endMs === null || endMs > nowMs
      check(isKept, 'B5', `${lease.name} is still there after its deadline`)
    }
  }

  /** B2, B5, L6 */
  #checkPolls(): void {
    for (const [number, openFile] of this.#step.after.openFiles) {
      const leases = this.#books.leases.filter((lease) => lease.openFile === number)
      const isBreaking = leases.some((lease) => lease.leaseBreak !== null)
      const isRevoked = leases.some((lease) => lease.isRevoked)
      const names = leases.map((lease) => lease.name).join(' ') || openFile.file
      check(openFile.isPriority || !isBreaking, 'B2', `no POLLPRI although ${names} is breaking`)
      check(openFile.isError === isRevoked, 'B5', `POLLERR on ${names} is ${openFile.isError}`)
      const watch = this.#books.watches.find((one) => one.openFile === number)
      if (watch !== undefined) {
        const { isRefused, isQueued, busy } = judgeRequest(this.#books, watch.request)
        if (isRefused || (busy.length === 0 && !isQueued)) watch.isWorthTrying = true
        check(
          openFile.isPriority || !watch.isWorthTrying,
          'L6',
          `no POLLPRI on ${names}: it is time to try again`,
        )
        if (openFile.isPriority && !isBreaking) watch.isWorthTrying = true
      }
      check(
        !openFile.isPriority || isBreaking || watch !== undefined,
        'B2',
        `POLLPRI on ${names} without a break`,
      )
    }
  }

  /** B2, X3, R3: everybody was told everything, once, and nobody anything else. */
  #checkTold(): void {
    const told = new Bag()
    for (const notice of this.#step.notices) {
      if (notice.kind === 'event') told.add(eventText(notice.event, notice.lease, notice.offender))
    }
    this.#noteEnds(told)
    for (const item of this.#due.without(told)) {
      throw new Violation(ruleOfNotice(item), `not told, or not often enough: ${item}`)
    }
    for (const item of told.without(this.#due)) {
      throw new Violation(ruleOfNotice(item), `told without a reason, or too often: ${item}`)
    }
  }

  /** A lease that ends is told as released or as gone, once. A zombie is told when it becomes one. */
  #noteEnds(told: Bag): void {
    const names = this.#before.leases.map((lease) => lease.name)
    for (const name of [...names, ...this.#booking.granted]) {
      const was = this.#before.lease(name)
      const is = this.#books.lease(name)
      const asGone = eventText('gone', name, null)
      if (is === undefined) this.#due.add(told.count(asGone) > 0 ? asGone : eventText('released', name, null))
      const asZombie = eventText('zombie', name, null)
      const isNew = is?.isZombie === true && was?.isZombie !== true
      const isPassing = is === undefined && was !== undefined && !was.isZombie && told.count(asZombie) > 0
      if (isNew || (isPassing && this.#before.pinsOf(name).length > 0)) this.#due.add(asZombie)
      // X4: what is taken away without a descriptor is told as revoked and as gone at once.
      const asRevoked = eventText('revoked', name, null)
      if (
        was !== undefined &&
        this.#isSeized(was) &&
        this.#due.count(asRevoked) === 0 &&
        told.count(asRevoked) > 0
      ) {
        this.#due.add(asRevoked)
      }
    }
  }

  /** B2, L5: every signal that was sent is seen once, as soon as its process runs. */
  #checkSignals(): void {
    const { before, after, notices } = this.#step
    const seen = notices.filter((notice) => notice.kind === 'signal')
    for (const { process, signal, value } of seen) {
      const index = this.#books.signals.findIndex(
        (sent) => sent.process === process && sent.signal === signal && sent.value === value,
      )
      check(index >= 0, 'B2', `${process} got ${signal} with ${value} without a reason, or too often`)
      this.#books.signals.splice(index, 1)
    }
    const isBusy = (facts: Facts, process: Name) =>
      facts.processes.get(process)?.isStopped === true || facts.waits.some((wait) => wait.process === process)
    this.#books.signals = this.#books.signals.filter(({ process, signal, value }) => {
      if (after.processes.get(process)?.isAlive !== true) return false
      if (isBusy(after, process)) return true
      // signal(7): one that is pending already is not queued again.
      const isMerged =
        isBusy(before, process) && seen.some((one) => one.process === process && one.signal === signal)
      check(isMerged, 'B2', `${process} did not get ${signal} with ${value}`)
      return false
    })
  }

  #events(event: string) {
    return this.#step.notices
      .filter((notice) => notice.kind === 'event')
      .filter((notice) => notice.event === event)
  }
}

function ruleOfState(state: 'active' | 'breaking' | 'revoked' | 'zombie'): RuleName {
  if (state === 'revoked') return 'B5'
  return state === 'breaking' ? 'B1' : 'L7'
}

function ruleOfNotice(item: string): RuleName {
  if (item.includes('refused')) return 'X3'
  if (item.includes('pinned')) return 'P6'
  if (item.includes('zombie') || item.includes('gone')) return 'P5'
  if (item.includes('granted') || item.includes('downgraded') || item.includes('released')) return 'R3'
  return item.includes('revoked') ? 'B5' : 'B2'
}

/** L10 */
function isPast(facts: Facts, process: Name, action: Action): boolean {
  if (action.do === 'open') return action.flags.includes('past')
  const target = action.do === 'truncate' ? action.target : action
  const descriptor = 'fd' in target ? target.fd : action.do === 'copy' ? action.to : null
  if (descriptor === null) return false
  const openFile = facts.processes.get(process)?.descriptors.get(descriptor)
  return openFile !== undefined && facts.openFiles.get(openFile)?.isPast === true
}

/** The next byte that may be in another block than this one. */
function nextByte(
  at: number,
  file: Facts['files'] extends ReadonlyMap<Name, infer File> ? File | undefined : never,
) {
  let next = Number.POSITIVE_INFINITY
  for (const block of file?.blocks ?? []) {
    const end = block.end ?? file?.sizeBytes ?? 0
    if (block.start > at) next = Math.min(next, block.start)
    else if (end > at) next = Math.min(next, end)
  }
  return next
}
