import { expect, test } from 'vitest'
import { Random } from '../lib/random.js'
import { overlaps, type Range, WHOLE_FILE } from '../lib/range.js'
import { type RangeNode, RangeTree } from './range-tree.js'

class Item implements RangeNode<Item> {
  readonly id: number
  readonly start: number
  readonly end: number
  left: Item | null = null
  right: Item | null = null
  reach: Item | null = null
  height = 1

  constructor(id: number, { start, end }: Range) {
    this.id = id
    this.start = start
    this.end = end
  }
}

function randomRange(random: Random): Range {
  if (random.oneIn(6)) return WHOLE_FILE
  const start = random.int(0, 40)
  return { start, end: random.oneIn(6) ? Number.POSITIVE_INFINITY : start + random.int(1, 12) }
}

const ids = (items: readonly Item[]) => items.map(({ id }) => id)
const byStart = (a: Item, b: Item) => a.start - b.start || a.id - b.id

/** What the tree must answer, by looking at everything. */
function expectSame(tree: RangeTree<Item>, plain: readonly Item[], range: Range, key: number): void {
  const found = plain.filter((item) => overlaps(item, range))
  const isOdd = ({ id }: Item) => id % 2 === 1
  expect(tree.size).toBe(plain.length)
  expect(ids(tree.overlapping(range))).toEqual(ids(found))
  expect(tree.find(range, isOdd)).toBe(found.filter(isOdd).sort(byStart)[0] ?? null)
  const place = { ...range, id: key }
  const before = found.filter((item) => isOdd(item) && byStart(item, new Item(key, range)) < 0).sort(byStart)
  const inside = found.filter((item) => isOdd(item) && item.start > range.start).sort(byStart)
  const nearest = before.at(-1) ?? inside[0] ?? null
  expect(tree.findBefore(place, isOdd)).toBe(nearest)
}

/** Its height is that of a balanced tree, and each node knows how far those below it reach. */
function expectSound(node: Item | null): { height: number; end: number } {
  if (node === null) return { height: 0, end: 0 }
  const left = expectSound(node.left)
  const right = expectSound(node.right)
  const end = Math.max(node.end, left.end, right.end)
  expect(Math.abs(left.height - right.height)).toBeLessThanOrEqual(1)
  expect([node.height, node.reach?.end ?? node.end]).toEqual([1 + Math.max(left.height, right.height), end])
  return { height: node.height, end }
}

function rootOf(items: readonly Item[]): Item | null {
  const children = new Set(items.flatMap(({ left, right }) => [left, right]))
  return items.find((item) => !children.has(item)) ?? null
}

for (const seed of [1, 2, 3, Date.now() % 1_000_000]) {
  test(`a tree finds what looking at everything finds, and stays balanced (seed ${seed})`, () => {
    const random = new Random(seed)
    const tree = new RangeTree<Item>()
    const plain: Item[] = []
    for (let id = 1; id <= 600; id++) {
      // It grows, then shrinks to nothing.
      const isShrinking = id > 300
      if (plain.length > 0 && (isShrinking || random.oneIn(4))) {
        const [gone] = plain.splice(random.int(0, plain.length - 1), 1)
        if (gone !== undefined) tree.delete(gone)
      } else if (!isShrinking) {
        const item = new Item(id, randomRange(random))
        plain.push(item)
        tree.add(item)
      }
      expectSame(tree, plain, randomRange(random), random.int(1, 600))
      if (id % 10 === 0) expectSound(rootOf(plain))
    }
  })
}

test('a thousand with the same range, or one behind the other: the tree is as high as it has to be', () => {
  for (const rangeOf of [() => WHOLE_FILE, (id: number) => ({ start: id, end: id + 1 })]) {
    const tree = new RangeTree<Item>()
    const items = Array.from({ length: 1_000 }, (_, id) => new Item(id, rangeOf(id)))
    for (const item of items) tree.add(item)
    expect(expectSound(rootOf(items)).height).toBeLessThanOrEqual(14)
  }
})

test('what is not in a tree cannot be removed from it', () => {
  const tree = new RangeTree<Item>()
  tree.add(new Item(1, WHOLE_FILE))
  expect(() => tree.delete(new Item(2, WHOLE_FILE))).toThrow('not in the tree')
})
