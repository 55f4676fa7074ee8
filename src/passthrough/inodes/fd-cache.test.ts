import { expect, test } from 'vitest'
import { FdCache, type FdHolder } from './fd-cache.js'

class Holder implements FdHolder {
  fdUsedAt = 0
  fdSlot = -1
  fd: number
  mustKeepFd = false
  isInUse = false

  constructor(fd: number) {
    this.fd = fd
  }
}

function setUp(countMax: number, count: number) {
  const evicted: number[] = []
  const cache = new FdCache<Holder>(countMax, (holder) => {
    evicted.push(holder.fd)
    holder.fd = -1
  })
  const holders = Array.from({ length: count }, (_, index) => new Holder(index))
  for (const holder of holders) cache.add(holder)
  return { cache, holders, evicted }
}

test('what the present request has used is never closed', () => {
  const { cache, evicted } = setUp(2, 10)
  cache.trim(2)
  expect(evicted).toEqual([])
})

test('the next request makes room, down to an eighth below the limit', () => {
  const { cache, evicted } = setUp(16, 40)
  cache.tick()
  expect(cache.size).toBe(14)
  expect(evicted).toHaveLength(26)
})

test('what was used since the hand came by is spared once', () => {
  const { cache, holders, evicted } = setUp(100, 8)
  cache.tick()
  for (const holder of holders) holder.fdUsedAt = 0
  const [, second, , fourth] = holders
  if (second === undefined || fourth === undefined) throw new Error('no holders')
  second.fdUsedAt = fourth.fdUsedAt = cache.now
  cache.tick()
  cache.trim(2)
  expect(second.fd).toBe(1)
  expect(fourth.fd).toBe(3)
  expect(evicted).toHaveLength(6)
})

test('a descriptor that must stay goes only when nothing else can', () => {
  const { cache, holders } = setUp(100, 4)
  cache.tick()
  for (const holder of holders) holder.mustKeepFd = holder.fd < 2
  cache.trim(2)
  expect(holders.map(({ fd }) => fd)).toEqual([0, 1, -1, -1])
  cache.trim(1)
  expect(cache.size).toBe(1)
})

test('a holder that leaves gives its place to the next one', () => {
  const { cache, holders } = setUp(100, 3)
  const [, second] = holders
  if (second === undefined) throw new Error('no holder')
  cache.remove(second)
  cache.remove(second)
  expect(cache.size).toBe(2)
  const next = new Holder(9)
  cache.add(next)
  expect(next.fdSlot).toBe(1)
  expect([...cache.holders()].map(({ fd }) => fd)).toEqual([0, 9, 2])
})

test('a descriptor that a waiting request uses is never closed', () => {
  const { cache, holders } = setUp(100, 4)
  cache.tick()
  for (const holder of holders) holder.isInUse = holder.fd === 2
  cache.trim(0)
  expect(holders.map(({ fd }) => fd)).toEqual([-1, -1, 2, -1])
})
