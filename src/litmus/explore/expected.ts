/** Which outcomes of an action the contract allows, as far as the auditor's books can tell. */
import type { Action, Name, RuleName } from '../scenario.js'
import { type Books, isOwner, isSameHolder } from './books.js'
import type { Facts } from './facts.js'
import {
  changeOutcome,
  judgeChange,
  layoutChangeOf,
  leaseThrough,
  openFileOf,
  pinHolderOf,
  pinOutcomes,
  requestOf,
  requestOutcomes,
} from './verdicts.js'

export interface Expected {
  readonly rule: RuleName
  /** `ok`, `waits` or errnos. */
  readonly outcomes: readonly string[]
  /** Errnos that are no business of leases (permissions, descriptors). */
  readonly others: readonly string[]
}

const OF_FILES = ['EACCES', 'EBADF', 'EINVAL', 'ENOENT', 'EOPNOTSUPP', 'EPERM', 'EFBIG', 'ENODEV', 'ENOTTY']
/** Which rule a layout change, or a lease request, comes out so by. */
const RULES: Readonly<Record<string, RuleName>> = { ETXTBSY: 'X1', EDEADLK: 'X1', EAGAIN: 'B6', waits: 'B1' }
const REQUEST_RULES: Readonly<Record<string, RuleName>> = { EPERM: 'L8', ENOLCK: 'L9', EBUSY: 'P4' }
const OF_DESCRIPTORS = ['EBADF', 'ENOTTY']

/** null: the books have nothing to say about it. */
export function expectedOutcomes(books: Books, facts: Facts, process: Name, action: Action): Expected | null {
  switch (action.do) {
    case 'open':
    case 'truncate':
    case 'fallocate': {
      const change = layoutChangeOf(facts, process, action)
      if (change === null) return { rule: 'L1', outcomes: ['ok'], others: OF_FILES }
      const verdict = judgeChange(books, process, change)
      const outcome = changeOutcome(verdict, change)
      return { rule: RULES[outcome] ?? 'X5', outcomes: [outcome], others: OF_FILES }
    }
    case 'write':
    case 'read':
    case 'allocate':
    case 'chmod':
    case 'rename':
    case 'unlink':
      return { rule: 'L1', outcomes: ['ok'], others: OF_FILES }
    case 'lease':
    case 'change': {
      const request = requestOf(books, facts, process, action)
      const user = facts.processes.get(process)?.user ?? 'root'
      if (request === null) return { rule: 'L4', outcomes: ['ENOENT'], others: OF_DESCRIPTORS }
      const outcomes = requestOutcomes(books, request, user)
      return { rule: REQUEST_RULES[outcomes[0] ?? ''] ?? 'L6', outcomes, others: ['EINVAL'] }
    }
    case 'release':
      return expectRelease(books, facts, process, action)
    case 'own':
      return expectOwn(books, facts, process, action)
    case 'pin':
      return {
        rule: 'P1',
        outcomes: pinOutcomes(books, facts, process, action),
        others: ['EINVAL', 'ENOTTY'],
      }
    case 'unpin': {
      const holder = pinHolderOf(facts, process, action.through)
      if (holder === null) return { rule: 'P6', outcomes: ['EBADF'], others: ['ENOENT'] }
      const pin = books.pins.find((one) => one.names.includes(action.pin))
      const isOwn = pin !== undefined && isSameHolder(pin.holder, holder)
      return { rule: 'P3', outcomes: [isOwn ? 'ok' : 'ENOENT'], others: ['ENOTTY'] }
    }
    case 'revoke':
      return expectRevoke(books, facts, process, action)
    case 'query':
      return expectQuery(books, facts, process, action)
    default:
      return null
  }
}

type Of<Do extends Action['do']> = Extract<Action, { readonly do: Do }>

function expectRelease(books: Books, facts: Facts, process: Name, action: Of<'release'>): Expected {
  const place = openFileOf(facts, process, action.fd)
  if (place === null) return { rule: 'P4', outcomes: ['EBADF'], others: ['ENOTTY', 'ENOENT'] }
  const leases = books.leases.filter((lease) => lease.isOpen && lease.openFile === place.openFile)
  const meant = leases.filter((lease) => action.lease === null || lease.name === action.lease)
  if (meant.length === 0 && action.lease !== null) return { rule: 'L4', outcomes: ['ENOENT'], others: [] }
  const isPinned = meant.some((lease) => books.pinsOf(lease.name).length > 0)
  return { rule: 'P4', outcomes: [isPinned ? 'EBUSY' : 'ok'], others: [] }
}

function expectOwn(books: Books, facts: Facts, process: Name, action: Of<'own'>): Expected | null {
  const place = openFileOf(facts, process, action.fd)
  if (place === null) return { rule: 'L5', outcomes: ['EBADF'], others: ['ENOTTY', 'ENOENT'] }
  const isChoosable = action.signal !== 'SIGKILL' && action.signal !== 'SIGSTOP'
  if (action.operation === 'add' && !isChoosable) {
    return { rule: 'L5', outcomes: ['EINVAL'], others: ['ENOENT', 'ESRCH'] }
  }
  const who = action.who === 'self' ? process : (facts.processes.get(process)?.parent ?? null)
  if (who === null || facts.processes.get(who)?.isAlive !== true) return null
  const lease = leaseThrough(books, place.openFile, action.lease)
  if (lease === undefined) return { rule: 'L4', outcomes: ['ENOENT'], others: [] }
  if (action.operation === 'remove') {
    return { rule: 'L5', outcomes: [isOwner(lease, who) ? 'ok' : 'ENOENT'], others: [] }
  }
  return { rule: 'L5', outcomes: [lease.killedFor === null ? 'ok' : 'EPERM'], others: [] }
}

function expectRevoke(books: Books, facts: Facts, process: Name, action: Of<'revoke'>): Expected {
  const lease = books.lease(action.lease)
  const user = facts.processes.get(process)?.user
  if (lease === undefined) return { rule: 'X4', outcomes: ['ENOENT'], others: [] }
  const isAllowed = user === 'root' || facts.files.get(lease.file)?.owner === user
  if (!isAllowed) return { rule: 'X4', outcomes: ['EPERM', 'ENOENT', 'EACCES'], others: [] }
  const pins = books.pinsOf(lease.name)
  const hasVictims = lease.owners.length > 0 || pins.some((pin) => pin.holder.process !== null)
  const isBusy = pins.length > 0 && !(action.kill && hasVictims)
  // Whether the caller may kill each of them is for kill(2) to say.
  const others = action.kill ? ['EPERM'] : []
  return { rule: 'X4', outcomes: [isBusy && !lease.isRevoked ? 'EBUSY' : 'ok'], others }
}

/** R4: what is foretold is what would happen to somebody who may not wait. */
function expectQuery(books: Books, facts: Facts, process: Name, action: Of<'query'>): Expected | null {
  const place = openFileOf(facts, process, action.fd)
  if (place === null) return null
  const sizeBytes = facts.files.get(place.file)?.sizeBytes ?? 0
  if (action.change === 'truncate' && action.bytes.start >= sizeBytes) {
    return { rule: 'R4', outcomes: ['ok'], others: OF_FILES }
  }
  const change = { ...place, bytes: action.bytes, isNonBlocking: true }
  return {
    rule: 'R4',
    outcomes: [changeOutcome(judgeChange(books, process, change), change)],
    others: OF_FILES,
  }
}
