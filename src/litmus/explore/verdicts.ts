/** What the contract says must come of an action, judged by the auditor's books alone. */
import type { Action, Name } from '../scenario.js'
import {
  type BookedLease,
  type Books,
  type ChangeAction,
  contains,
  isContrary,
  isOwner,
  isSamePin,
  type LayoutChange,
  type LeaseAction,
  type PinHolder,
  type Request,
  stateOf,
  touches,
} from './books.js'
import type { Facts } from './facts.js'

/** The layout change that an action is, or null if it takes no bytes away. */
export function layoutChangeOf(facts: Facts, process: Name, action: Action): LayoutChange | null {
  const change = possibleChangeOf(facts, process, action)
  if (change === null || action.do === 'fallocate') return change
  return change.bytes.start < (facts.files.get(change.file)?.sizeBytes ?? 0) ? change : null
}

/** What it would take away of a file that is long enough: for who waits, since the file may grow meanwhile. */
export function possibleChangeOf(facts: Facts, process: Name, action: Action): LayoutChange | null {
  switch (action.do) {
    case 'open': {
      const isNonBlocking = action.flags.includes('nonblock')
      if (action.flags.includes('past') || !action.flags.includes('trunc')) return null
      return { file: action.file, openFile: null, bytes: { start: 0, end: null }, isNonBlocking }
    }
    case 'truncate': {
      const { target, sizeBytes } = action
      const place = 'fd' in target ? openFileOf(facts, process, target.fd) : null
      const file = 'file' in target ? target.file : place?.file
      if (file === undefined) return null
      return {
        file,
        openFile: place?.openFile ?? null,
        bytes: { start: sizeBytes, end: null },
        isNonBlocking: place?.isNonBlocking ?? false,
      }
    }
    case 'fallocate': {
      const place = openFileOf(facts, process, action.fd)
      if (place === null) return null
      const isToEnd = action.change === 'collapse' || action.change === 'insert'
      const bytes = isToEnd ? { start: action.bytes.start, end: null } : action.bytes
      return { file: place.file, openFile: place.openFile, bytes, isNonBlocking: place.isNonBlocking }
    }
    default:
      return null
  }
}

export function openFileOf(facts: Facts, process: Name, descriptor: Name) {
  const openFile = facts.processes.get(process)?.descriptors.get(descriptor)
  if (openFile === undefined) return null
  const known = facts.openFiles.get(openFile)
  if (known === undefined || known.file === null || known.isPast) return null
  const { file, isNonBlocking, isWritable } = known
  return { openFile, file, isNonBlocking, isWritable }
}

export interface ChangeVerdict {
  readonly refusing: readonly { readonly lease: BookedLease; readonly isOwn: boolean }[]
  readonly waitingFor: readonly BookedLease[]
  readonly toTell: readonly BookedLease[]
  /** B8 */
  readonly ownBroken: readonly BookedLease[]
}

/** X1, X5, L8, B8, B1: what a layout change means to one lease. */
export type Meeting = 'nothing' | 'refused' | 'refused as own' | 'breaks its own' | 'only told' | 'waits'

export function meetingOf(books: Books, lease: BookedLease, process: Name, change: LayoutChange): Meeting {
  if (lease.isRevoked || lease.file !== change.file || !touches(lease.bytes, change.bytes)) return 'nothing'
  const isOwn = isOwner(lease, process)
  const isThrough = lease.isOpen && lease.openFile === change.openFile
  if (lease.mode === 'write' && !lease.isZombie && (isOwn || isThrough)) {
    const isPinned = books.pinsOf(lease.name).some((pin) => touches(pin.bytes, change.bytes))
    return isPinned ? 'refused as own' : 'nothing'
  }
  if (lease.level === 'exclusive') return isOwn ? 'refused as own' : 'refused'
  if (isOwn && lease.owners.length === 1) return 'breaks its own'
  return lease.isNotifyOnly ? 'only told' : 'waits'
}

export function judgeChange(books: Books, process: Name, change: LayoutChange): ChangeVerdict {
  const met = books.leases.map((lease) => ({ lease, meeting: meetingOf(books, lease, process, change) }))
  const leasesMet = (meeting: Meeting) => met.filter((one) => one.meeting === meeting).map((one) => one.lease)
  return {
    refusing: [
      ...leasesMet('refused').map((lease) => ({ lease, isOwn: false })),
      ...leasesMet('refused as own').map((lease) => ({ lease, isOwn: true })),
    ],
    waitingFor: leasesMet('waits'),
    toTell: leasesMet('only told'),
    ownBroken: leasesMet('breaks its own'),
  }
}

/** X1: null if it is not refused. */
export function refusalOf(verdict: ChangeVerdict): 'EDEADLK' | 'ETXTBSY' | null {
  if (verdict.refusing.length === 0) return null
  return verdict.refusing.some((one) => one.isOwn) ? 'EDEADLK' : 'ETXTBSY'
}

/** L8: the file's owner, root, or somebody who may write through this descriptor. */
function mayDelayOthers(facts: Facts, process: Name, openFile: number): boolean {
  const user = facts.processes.get(process)?.user
  const known = facts.openFiles.get(openFile)
  if (user === undefined || known === undefined || known.file === null) return false
  return user === 'root' || known.isWritable || facts.files.get(known.file)?.owner === user
}

/** null: there is no such descriptor, or no such lease of it (ENOENT). */
export function requestOf(
  books: Books,
  facts: Facts,
  process: Name,
  action: LeaseAction | ChangeAction,
): Request | null {
  const place = openFileOf(facts, process, action.fd)
  if (place === null) return null
  const lease = action.do === 'change' ? leaseThrough(books, place.openFile, action.lease) : null
  if (lease === undefined) return null
  const bytes = action.do === 'lease' ? action.bytes : (lease?.bytes ?? { start: 0, end: null })
  const { mode, level, whenBusy, breakTimeMs } = action
  const { file, openFile } = place
  const isAllowed = mayDelayOthers(facts, process, openFile)
  return {
    file,
    openFile,
    bytes,
    lease: lease?.name ?? null,
    mode,
    level,
    whenBusy,
    mayDelayOthers: isAllowed,
    breakTimeMs,
  }
}

/** L4: only through its own open file description. */
export function leaseThrough(books: Books, openFile: number, name: Name): BookedLease | undefined {
  const lease = books.lease(name)
  return lease?.isOpen === true && lease.openFile === openFile ? lease : undefined
}

export interface RequestVerdict {
  /** L6 */
  readonly isRefused: boolean
  readonly isQueued: boolean
  readonly busy: readonly BookedLease[]
  readonly toTell: readonly BookedLease[]
}

/** @param before Only waiters that arrived before this one count. */
export function judgeRequest(
  books: Books,
  request: Request,
  before = Number.POSITIVE_INFINITY,
): RequestVerdict {
  const contrary = books.leases.filter((lease) => !lease.isRevoked && isContrary(lease, request))
  const normal = contrary.filter((lease) => lease.level === 'normal')
  const isHarmless = (lease: BookedLease) => lease.isNotifyOnly && request.mayDelayOthers
  const isBeneathChange = books
    .waitingChanges()
    .some(({ change }) => change.file === request.file && touches(change.bytes, request.bytes))
  const isBehindRequest = books
    .waitingRequests()
    .some((one) => one.arrival < before && isContrary(one.request, request))
  return {
    isRefused: contrary.some((lease) => lease.level === 'exclusive'),
    isQueued: isBeneathChange || isBehindRequest,
    busy: normal.filter((lease) => !isHarmless(lease)),
    toTell: normal.filter(isHarmless),
  }
}

/** L4, L8: in what a request asks for more than the lease has. */
export function risesBy(lease: BookedLease, request: Request) {
  const mode = lease.mode === 'read' && request.mode === 'write'
  const level = lease.level === 'normal' && request.level === 'exclusive'
  const right = lease.isNotifyOnly && request.mayDelayOthers && stateOf(lease) === 'active'
  return { mode, level, any: mode || level || right, right }
}

/** `ok`, `waits`, or an errno. All that the contract allows. */
export function requestOutcomes(books: Books, request: Request, user: string): readonly string[] {
  const { level } = request
  const lease = request.lease === null ? undefined : books.lease(request.lease)
  const errnos: string[] = []
  if (lease === undefined) {
    if (level === 'exclusive' && !request.mayDelayOthers) errnos.push('EPERM')
    const leaseCount = books.leases.filter((one) => one.user === user).length
    if (leaseCount >= books.mount.leaseCountMax) errnos.push('ENOLCK')
  } else {
    const rises = risesBy(lease, request)
    if (lease.isRevoked || (rises.level && !request.mayDelayOthers)) errnos.push('EPERM')
    const isLowered = lease.level === 'exclusive' && level === 'normal'
    if (isLowered && books.pinsOf(lease.name).length > 0) errnos.push('EBUSY')
    if ((rises.mode || rises.level) && lease.leaseBreak !== null) errnos.push('EAGAIN')
  }
  if (errnos.length > 0) return errnos
  if (lease !== undefined && !risesBy(lease, request).any) return ['ok']
  const verdict = judgeRequest(books, request)
  if (verdict.isRefused) return ['ETXTBSY']
  if (verdict.busy.length === 0 && !verdict.isQueued) return ['ok']
  return [request.whenBusy === 'wait' && request.mayDelayOthers ? 'waits' : 'EAGAIN']
}

export function changeOutcome(verdict: ChangeVerdict, change: LayoutChange): string {
  const refusal = refusalOf(verdict)
  if (refusal !== null) return refusal
  if (verdict.waitingFor.length === 0) return 'ok'
  return change.isNonBlocking ? 'EAGAIN' : 'waits'
}

export function pinHolderOf(facts: Facts, process: Name, through: Name): PinHolder | null {
  const openFile = facts.processes.get(process)?.descriptors.get(through)
  if (openFile === undefined) return null
  const isContext = facts.openFiles.get(openFile)?.file === null
  return isContext ? { process: null, context: openFile } : { process, context: null }
}

/** P1, P3, L9, and L6 for pins beneath a change that X5 let pass. */
export function pinOutcomes(
  books: Books,
  facts: Facts,
  process: Name,
  action: Extract<Action, { readonly do: 'pin' }>,
): readonly string[] {
  const lease = books.lease(action.lease)
  const holder = pinHolderOf(facts, process, action.through)
  if (holder === null) return ['EBADF']
  const place = openFileOf(facts, process, action.through)
  if (lease === undefined || (place !== null && place.file !== lease.file)) return ['ENOENT']
  const isUsable = lease.level === 'exclusive' && stateOf(lease) === 'active' && lease.killedFor === null
  if (!isOwner(lease, process) || !isUsable || !contains(lease.bytes, action.bytes)) return ['EPERM']
  const isBeneath = books
    .waitingChanges()
    .some(({ change }) => change.file === lease.file && touches(change.bytes, action.bytes))
  if (isBeneath) return ['EAGAIN']
  const isKnown = books.pins.some((pin) => isSamePin(pin, lease.name, holder, action.bytes))
  const user = facts.processes.get(process)?.user
  const pinCount = books.pins.filter((pin) => pin.user === user).length
  return [!isKnown && pinCount >= books.mount.pinCountMax ? 'ENOLCK' : 'ok']
}
