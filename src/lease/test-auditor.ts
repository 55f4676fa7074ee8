/**
 * Watches the rules from outside, with books of its own that it fills from inputs, answers and effects, and
 * complains about whatever the contract forbids. It shares no code with the rules: what overlaps, conflicts or
 * may pass is said here a second time, in the plainest way, however slow.
 */
import { assert } from '../lib/assert.js'
import { Errno } from '../lib/errno.js'
import type { FileId, LeaseId, Ofd, PinId, RequestId } from '../lib/ids.js'
import {
  type AcquireInput,
  type BookedLease,
  type BookedPin,
  type ChangeInput,
  hasBroken,
  isContrary,
  isSelf,
  meets,
  type Place,
  type SetInput,
  touches,
  type Wish,
} from './test-books.js'
import type { Effect, Input, LeaseEvent, LeaseRules, Step } from './types.js'

export class Auditor {
  readonly leases = new Map<LeaseId, BookedLease>()
  readonly pins = new Map<PinId, BookedPin>()
  readonly waitingChanges = new Map<RequestId, ChangeInput>()
  readonly waitingRequests = new Map<RequestId, AcquireInput | SetInput>()
  readonly inFlight = new Map<RequestId, ChangeInput>()
  readonly #answered = new Set<RequestId>()

  /** Ask before a step, and hand it to `check` after it. */
  filesWithLeases(): Set<FileId> {
    return new Set([...this.leases.values()].map((lease) => lease.file))
  }

  check(rules: LeaseRules, input: Input, step: Step, occupiedBefore: Set<FileId>): void {
    if (step.answer.status === 'failed') this.#checkFailure(input, step)
    else this.#bookInput(input, step)
    for (const effect of step.effects) this.#bookEffect(effect)
    this.#checkFreeFiles(step, occupiedBefore)
    this.#checkConflicts()
    this.#checkHolders()
    this.#checkWaiters()
    this.#compare(rules)
  }

  /** A failed step does nothing, but for telling who was refused and starting breaks where that is asked for. */
  #checkFailure(input: Input, step: Step): void {
    const mayBreak =
      (input.kind === 'layout-change' && input.nonBlocking) ||
      ((input.kind === 'acquire' || input.kind === 'change') && input.whenBusy === 'start')
    if (mayBreak && step.answer.status === 'failed' && step.answer.errno === Errno.EAGAIN) return
    for (const effect of step.effects) {
      const isRefusal = effect.kind === 'event' && effect.event.event === 'refused'
      assert(
        isRefusal && input.kind === 'layout-change',
        `a failed step has effects: ${JSON.stringify(effect)}`,
      )
    }
  }

  #bookInput(input: Input, step: Step): void {
    const { answer } = step
    switch (input.kind) {
      case 'acquire':
      case 'change':
        if (answer.status === 'waiting') this.waitingRequests.set(input.request, input)
        else if (answer.status === 'done') this.#bookGrant(input, answer.lease)
        return
      case 'layout-change':
        if (answer.status === 'waiting') this.waitingChanges.set(input.request, input)
        else this.#bookAdmission(input, step)
        return
      case 'layout-change-done':
        assert(this.inFlight.delete(input.request), 'a change is done that was not in flight')
        return
      case 'set-owner':
        this.#lease(input.lease).owners.add(input.owner)
        return
      case 'remove-owner':
        this.leases.get(input.lease)?.owners.delete(input.owner)
        return
      case 'pin':
        this.#bookPin(input, answer.status === 'done' ? answer.pin : undefined)
        return
      case 'ofd-closed':
        for (const lease of this.leases.values()) {
          if (lease.ofd !== input.ofd) continue
          lease.isOpen = false
          lease.mappings = input.mappings
        }
        return
      case 'mappings-changed':
        for (const lease of this.leases.values()) {
          if (lease.file === input.file && !lease.isOpen) lease.mappings = input.mappings
        }
        return
      case 'process-exited':
        for (const lease of this.leases.values()) lease.owners.delete(input.process)
        return
      default:
    }
  }

  #bookGrant(input: AcquireInput | SetInput, id: LeaseId | undefined): void {
    assert(id !== undefined, 'a granted lease has no id')
    const known = this.leases.get(id)
    const isUpgrade =
      known === undefined ||
      (known.mode === 'read' && input.mode === 'write') ||
      (known.level === 'normal' && input.level === 'exclusive')
    if (known !== undefined) {
      known.mode = input.mode
      known.level = input.level
      if (input.mayDelayOthers && known.toldCount === 0) known.notifyOnly = false
    } else {
      assert(input.kind === 'acquire', 'a lease that was changed in place is unknown')
      this.leases.set(id, {
        id,
        file: input.file,
        range: input.range,
        ofd: input.ofd,
        user: input.user,
        mode: input.mode,
        level: input.level,
        notifyOnly: !input.mayDelayOthers,
        isOpen: true,
        mappings: [],
        isRevoked: false,
        toldCount: 0,
        owners: new Set(input.process === null ? [] : [input.process]),
      })
    }
    assert(input.level === 'normal' || !this.#lease(id).notifyOnly, 'L8: exclusive without the right to it')
    if (isUpgrade) this.#checkNoChangeOver(this.#lease(id), 'L6: granted beneath a layout change')
  }

  #bookAdmission(input: ChangeInput, step: Step | null): void {
    for (const lease of this.leases.values()) {
      if (lease.isRevoked || !meets(lease, input)) continue
      const isOwn = input.process !== null && lease.owners.has(input.process)
      const isUnpinned = this.#pinsOf(lease.id).every((pin) => !touches(pin.range, input.range))
      const isThrough = lease.isOpen && lease.ofd === input.ofd
      const isWriter = lease.mode === 'write' && (isOwn || isThrough) && isUnpinned && !this.#isZombie(lease)
      const isTold = lease.notifyOnly && lease.level === 'normal'
      const isBroken = isSelf(lease, input)
      if (isBroken) assert(step !== null && hasBroken(step, lease.id), 'B8: the own lease was not broken')
      assert(isWriter || isBroken || isTold, `lease ${lease.id} did not keep a change from its bytes`)
    }
    this.inFlight.set(input.request, input)
  }

  #bookPin(input: Extract<Input, { readonly kind: 'pin' }>, id: PinId | undefined): void {
    assert(id !== undefined, 'a pin has no id')
    const lease = this.#lease(input.lease)
    assert(
      lease.level === 'exclusive' && !lease.isRevoked && !this.#isZombie(lease),
      'P1: this lease pins nothing',
    )
    assert(input.process !== null && lease.owners.has(input.process), 'P1: no owner, no pin')
    assert(lease.range.start <= input.range.start && input.range.end <= lease.range.end, 'P1: not covered')
    const pin = { id, lease: input.lease, range: input.range, holder: input.holder }
    this.#checkNoChangeOver({ file: lease.file, range: pin.range }, 'P6: pinned beneath a layout change')
    this.pins.set(id, pin)
  }

  #bookEffect(effect: Effect): void {
    if (effect.kind === 'event') this.#bookEvent(effect.event)
    if (effect.kind !== 'reply') return
    assert(!this.#answered.has(effect.request), `request ${effect.request} is answered twice`)
    this.#answered.add(effect.request)
    const change = this.waitingChanges.get(effect.request)
    const request = this.waitingRequests.get(effect.request)
    if (change !== undefined && effect.errno === 0) this.#checkOrder(change)
    this.waitingChanges.delete(effect.request)
    this.waitingRequests.delete(effect.request)
    assert(change !== undefined || request !== undefined, `request ${effect.request} did not wait`)
    if (effect.errno !== 0) return
    if (change !== undefined) this.#bookAdmission(change, null)
    if (request !== undefined) this.#bookGrant(request, effect.lease)
  }

  #checkOrder(change: ChangeInput): void {
    for (const earlier of this.waitingChanges.values()) {
      if (earlier === change) return
      assert(!meets(earlier, change), `B4: change ${change.request} overtakes ${earlier.request}`)
    }
  }

  #bookEvent(event: LeaseEvent): void {
    const lease = this.leases.get(event.lease.id)
    switch (event.event) {
      case 'break':
        assert(
          lease !== undefined && lease.level === 'normal' && !lease.isRevoked,
          'only normal leases break',
        )
        lease.toldCount++
        assert(lease.toldCount <= 2, 'B2: told again and again of one break')
        return
      case 'broken':
      case 'revoked':
        assert(lease !== undefined && !lease.isRevoked, 'revoked twice')
        assert(this.#pinsOf(lease.id).length === 0, 'X4: a pinned lease is revoked')
        lease.isRevoked = true
        lease.toldCount = 0
        return
      case 'granted':
      case 'downgraded':
        if (lease !== undefined && event.lease.state === 'active') lease.toldCount = 0
        return
      case 'unpinned':
        assert(this.pins.delete(event.pin.id), 'a pin ends twice')
        return
      case 'released':
      case 'gone':
        assert(this.leases.delete(event.lease.id), 'a lease ends twice')
        assert(this.#pinsOf(event.lease.id).length === 0, 'P4: a pinned lease ended')
        return
      default:
    }
  }

  #checkNoChangeOver(what: Place, complaint: string): void {
    for (const change of [...this.inFlight.values(), ...this.waitingChanges.values()]) {
      assert(!meets(what, change), complaint)
    }
  }

  #checkFreeFiles(step: Step, before: Set<FileId>): void {
    const free = step.effects.filter((effect) => effect.kind === 'file-free').map((effect) => effect.file)
    const after = this.filesWithLeases()
    const expected = [...before].filter((file) => !after.has(file))
    assert(
      `${free.toSorted()}` === `${expected.toSorted()}`,
      `file-free for ${free}, expected for ${expected}`,
    )
  }

  #checkConflicts(): void {
    const active = [...this.leases.values()].filter((lease) => !lease.isRevoked)
    for (const a of active) {
      for (const b of active) {
        if (a.id >= b.id || a.ofd === b.ofd || (a.mode === 'read' && b.mode === 'read') || !meets(a, b))
          continue
        const isTold = [a, b].some((lease) => lease.notifyOnly && lease.toldCount > 0)
        assert(isTold, `L3: leases ${a.id} and ${b.id} conflict`)
      }
    }
  }

  #checkHolders(): void {
    for (const lease of this.leases.values()) {
      const isPinned = this.#pinsOf(lease.id).length > 0
      assert(lease.isOpen || isPinned || this.#isMapped(lease), `L7: nobody holds lease ${lease.id}`)
    }
  }

  /** Nobody waits without a reason, so no wake-up is lost; and what is waited for has been told. */
  #checkWaiters(): void {
    const leases = [...this.leases.values()]
    const earlierChanges: ChangeInput[] = []
    for (const change of this.waitingChanges.values()) {
      const isKept = leases.some(
        (lease) => lease.toldCount > 0 && meets(lease, change) && !isSelf(lease, change),
      )
      const isBehind = earlierChanges.some((earlier) => meets(earlier, change))
      assert(isKept || isBehind, `B4: change ${change.request} waits for nothing`)
      earlierChanges.push(change)
    }
    const changes = [...this.waitingChanges.values(), ...this.inFlight.values()]
    const earlierRequests: Wish[] = []
    for (const request of this.waitingRequests.values()) {
      const wish = this.#wishOf(request)
      const isKept = leases.some((lease) => lease.toldCount > 0 && isContrary(lease, wish))
      const isBehind = earlierRequests.some((one) => isContrary(one, wish))
      const isBeneath = changes.some((change) => meets(change, wish))
      assert(isKept || isBehind || isBeneath, `L6: request ${request.request} waits for nothing`)
      if (request.kind === 'change') {
        assert(this.#lease(request.lease).toldCount === 0, 'L4: the upgrade of a breaking lease waits')
      }
      earlierRequests.push(wish)
    }
  }

  #compare(rules: LeaseRules): void {
    const listed = [...rules.leases()]
    assert(listed.length === this.leases.size && rules.leaseCount === listed.length, 'leases are missing')
    for (const info of listed) {
      const lease = this.#lease(info.id)
      const { owners, pinCount } = info
      assert(info.mode === lease.mode && info.level === lease.level, `lease ${info.id}: mode or level`)
      assert((info.state === 'revoked') === lease.isRevoked, `lease ${info.id}: state ${info.state}`)
      assert((info.ofd !== null) === lease.isOpen, `lease ${info.id}: holder`)
      assert((info.state === 'breaking') === (info.deadline !== null), `lease ${info.id}: deadline`)
      assert(`${[...owners].toSorted()}` === `${[...lease.owners].toSorted()}`, `lease ${info.id}: owners`)
      assert(pinCount === this.#pinsOf(info.id).length, `lease ${info.id}: pins`)
      for (const owner of owners) assert(rules.isInvolved(owner), 'an owner is not involved')
      if (info.ofd !== null) this.#comparePoll(rules, info.ofd)
    }
    assert(
      [...rules.pins()].length === this.pins.size && rules.pinCount === this.pins.size,
      'pins are missing',
    )
    const deadlines = listed.flatMap((info) => (info.deadline === null ? [] : [info.deadline]))
    const first = deadlines.length === 0 ? null : Math.min(...deadlines)
    assert(rules.nextDeadline() === first, 'the next deadline is not that of a lease')
  }

  #comparePoll(rules: LeaseRules, ofd: Ofd): void {
    const states = [...rules.leases()].filter((info) => info.ofd === ofd).map((info) => info.state)
    const poll = rules.pollState(ofd)
    assert(poll.priority || !states.includes('breaking'), 'B2: no POLLPRI while breaking')
    assert(poll.error === states.includes('revoked'), 'B5: POLLERR says otherwise than the states')
  }

  #wishOf(request: AcquireInput | SetInput): Wish {
    const { file, range } = request.kind === 'acquire' ? request : this.#lease(request.lease)
    return { ofd: request.ofd, mode: request.mode, file, range }
  }

  #lease(id: LeaseId): BookedLease {
    const lease = this.leases.get(id)
    assert(lease !== undefined, `lease ${id} is not in the books`)
    return lease
  }

  #pinsOf(lease: LeaseId): BookedPin[] {
    return [...this.pins.values()].filter((pin) => pin.lease === lease)
  }

  #isMapped(lease: BookedLease): boolean {
    return lease.mappings.some((one) => lease.owners.has(one.process) && touches(one.range, lease.range))
  }

  /** P5, as far as it matters here: closed, and either pinned or it would be gone. */
  #isZombie(lease: BookedLease): boolean {
    return !lease.isOpen && !this.#isMapped(lease)
  }
}
