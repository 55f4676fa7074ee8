import { expect, test } from 'vitest'
import { type Changed, ListingPolicy, LOOKUPS_MAX, SETTLED_MS } from './listing-policy.js'

function changedAt(mtimeSeconds: number, ctimeNanoseconds = 0): Changed {
  return {
    mtime: { seconds: mtimeSeconds, nanoseconds: 5 },
    ctime: { seconds: mtimeSeconds, nanoseconds: ctimeNanoseconds },
  }
}

const OLD = changedAt(1000)
const SINCE_MS = 1_000_000 + SETTLED_MS

function lookUp(policy: ListingPolicy, count: number): void {
  for (let index = 0; index < count; index++) policy.lookedUp()
}

/** A directory that was listed plainly once. */
function kept(): ListingPolicy {
  const policy = new ListingPolicy()
  policy.listedPlainly(OLD, SINCE_MS)
  return policy
}

test('nothing is handed out before a plain listing, and what it has read as long as nothing changes after it', () => {
  expect(new ListingPolicy().opened(OLD)).toBe(false)
  const policy = kept()
  expect(policy.opened(OLD)).toBe(true)
  expect(policy.opened(OLD)).toBe(true)
})

test('a directory that has changed is read anew, also where its mtime was set back', () => {
  const named = kept()
  expect(named.opened(changedAt(1001))).toBe(false)
  expect(named.opened(OLD)).toBe(false)
  expect(kept().opened(changedAt(1000, 7))).toBe(false)
})

test('what may have changed while it was read, or just before, is not handed out', () => {
  const policy = new ListingPolicy()
  policy.listedPlainly(OLD, SINCE_MS - 1)
  expect(policy.opened(OLD)).toBe(false)
  policy.listedPlainly(OLD, SINCE_MS)
  expect(policy.opened(OLD)).toBe(true)
})

test('where entries are looked at with the listing, or one by one after it, nothing is handed out', () => {
  const withListing = kept()
  withListing.listedWithAttributes()
  expect(withListing.opened(OLD)).toBe(false)
  const oneByOne = kept()
  lookUp(oneByOne, LOOKUPS_MAX)
  expect(oneByOne.opened(OLD)).toBe(true)
  lookUp(oneByOne, LOOKUPS_MAX + 1)
  expect(oneByOne.opened(OLD)).toBe(false)
})

test('after each such mistake it takes eight times as many plain listings', () => {
  const policy = kept()
  for (const needed of [8, 64]) {
    lookUp(policy, LOOKUPS_MAX + 1)
    for (let count = 0; count < needed; count++) {
      expect(policy.opened(OLD)).toBe(false)
      policy.listedPlainly(OLD, SINCE_MS)
    }
    expect(policy.opened(OLD)).toBe(true)
  }
})
