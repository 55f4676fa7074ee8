import { assert, unreachable } from '../lib/assert.js'
import { Errno } from '../lib/errno.js'
import type { FileId, Instant, LeaseId, Ofd, ProcessKey, RequestId } from '../lib/ids.js'
import type { Range } from '../lib/range.js'
import { acquire, changeLease } from './acquire.js'
import { DONE, failed, WAITING } from './answers.js'
import { expireBreaks, seize, victimsOf } from './breaks.js'
import { leaseInfo, pinInfo } from './infos.js'
import { finishChange, requestChange } from './layout-change.js'
import { changeMappings, closeOfd, release } from './lifetime.js'
import { leaseCountOf, pollStateOf } from './outcome.js'
import { exitProcess, removeOwner, setOwner } from './owners.js'
import { closeContext, pin, unpin } from './pins.js'
import { isPolicyValid } from './policy.js'
import { isProtectedRange, queryChange } from './query.js'
import { interrupt, resumeWaiters } from './resume.js'
import { snapshotOf } from './snapshot.js'
import { Table } from './table.js'
import type {
  Answer,
  Effect,
  Input,
  LayoutOperation,
  LeaseInfo,
  LeasePolicy,
  LeaseRules,
  PinInfo,
  PollState,
  QueryResult,
  RulesSnapshot,
  Step,
} from './types.js'

/** The rules over one table. See `LeaseRules` for what each method promises. */
export class TableRules implements LeaseRules {
  readonly #table: Table

  constructor(policy: LeasePolicy) {
    assert(isPolicyValid(policy), 'the lease policy has a time or a count out of range')
    this.#table = new Table(policy)
  }

  step(input: Input, now: Instant): Step {
    assert(now >= this.#table.now, 'time went backwards')
    this.#table.now = now
    const answer = dispatch(this.#table, input)
    resumeWaiters(this.#table)
    const effects = this.#table.takeEffects()
    return answer.status === 'waiting' && 'request' in input
      ? withFinalAnswer(input.request, effects)
      : { answer, effects }
  }

  nextDeadline(): Instant | null {
    return this.#table.deadlines.first?.deadline ?? null
  }

  pollState(ofd: Ofd): PollState {
    return pollStateOf(this.#table.ofds.get(ofd))
  }

  query(
    file: FileId,
    ofd: Ofd | null,
    process: ProcessKey | null,
    _operation: LayoutOperation,
    range: Range,
  ): QueryResult {
    return queryChange(this.#table.files.get(file), { ofd, process, range })
  }

  isProtected(file: FileId, range: Range): boolean {
    return isProtectedRange(this.#table.files.get(file), range)
  }

  lease(id: LeaseId): LeaseInfo | undefined {
    const lease = this.#table.leases.get(id)
    return lease === undefined ? undefined : leaseInfo(lease)
  }

  victimsOf(id: LeaseId): readonly ProcessKey[] {
    const lease = this.#table.leases.get(id)
    return lease === undefined ? [] : [...victimsOf(lease)]
  }

  nextLeaseOf(ofd: Ofd, after: number): LeaseInfo | undefined {
    const lease = this.#table.ofds.get(ofd)?.leaseAbove(after)
    return lease === undefined ? undefined : leaseInfo(lease)
  }

  *leases(): Iterable<LeaseInfo> {
    for (const lease of this.#table.leases.values()) yield leaseInfo(lease)
  }

  *leasesOf(file: FileId): Iterable<LeaseInfo> {
    const record = this.#table.files.get(file)
    if (record === undefined) return
    for (const lease of record.readers.all()) yield leaseInfo(lease)
    for (const lease of record.writers.all()) yield leaseInfo(lease)
  }

  leaseCountOf(file: FileId): number {
    const record = this.#table.files.get(file)
    return record === undefined ? 0 : leaseCountOf(record)
  }

  *pins(): Iterable<PinInfo> {
    for (const pinned of this.#table.pins.values()) yield pinInfo(pinned)
  }

  isInvolved(process: ProcessKey): boolean {
    return this.#table.processes.has(process)
  }

  snapshot(): RulesSnapshot {
    return snapshotOf(this.#table)
  }

  get leaseCount(): number {
    return this.#table.leases.size
  }

  get pinCount(): number {
    return this.#table.pins.size
  }
}

function dispatch(table: Table, input: Input): Answer {
  switch (input.kind) {
    case 'acquire':
      return acquire(table, input)
    case 'change':
      return changeLease(table, input)
    case 'release':
      return release(table, input)
    case 'set-owner':
      return setOwner(table, input)
    case 'remove-owner':
      return removeOwner(table, input)
    case 'pin':
      return pin(table, input)
    case 'unpin':
      return unpin(table, input)
    case 'layout-change':
      return requestChange(table, input)
    case 'layout-change-done':
      return finishChange(table, input)
    case 'interrupt':
      return interrupt(table, input)
    case 'ofd-closed':
      return closeOfd(table, input)
    case 'mappings-changed':
      return changeMappings(table, input)
    case 'context-closed':
      return closeContext(table, input)
    case 'process-exited':
      return exitProcess(table, input)
    case 'revoke':
      return seize(table, input)
    case 'set-policy':
      return setPolicy(table, input.policy)
    case 'time-passed':
      return expireBreaks(table)
    default:
      return unreachable(input)
  }
}

/**
 * Breaking what is in the way can end somebody's wait (L4) and so let others go ahead, who decide what becomes of
 * this request too: then it does not wait. Nobody could have been told to expect the reply yet.
 */
function withFinalAnswer(request: RequestId, effects: readonly Effect[]): Step {
  const reply = effects.find((effect) => effect.kind === 'reply' && effect.request === request)
  if (reply?.kind !== 'reply') return { answer: WAITING, effects }
  const others = effects.filter((effect) => effect !== reply)
  if (reply.errno !== 0) return { answer: failed(reply.errno), effects: others }
  return {
    answer: reply.lease === undefined ? DONE : { status: 'done', lease: reply.lease },
    effects: others,
  }
}

/** Holds for what comes later: no break under way gets another deadline, no lease is taken away. */
function setPolicy(table: Table, policy: LeasePolicy): Answer {
  if (!isPolicyValid(policy)) return failed(Errno.EINVAL)
  table.policy = policy
  return DONE
}
