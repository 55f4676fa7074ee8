import { assert } from '../lib/assert.js'
import { type Range, WHOLE_FILE } from '../lib/range.js'

/** What a tree needs of the things in it. All but range and id belongs to the tree. */
export interface RangeNode<Item> extends Range {
  /** Greater than those of the things that came before it. */
  readonly id: number
  left: Item | null
  right: Item | null
  /** Of this one and all that are below it, the one that ends last; null if that is this one. */
  reach: Item | null
  height: number
}

/** A place in the order of the tree. */
type Key = Range & { readonly id: number }

/**
 * Things with a range, to be searched by range: a balanced tree (AVL) in the order of their starts, in which each
 * knows how far those below it reach. So a search goes only where something can overlap, and takes logarithmic
 * time beside what it finds. The links are fields of the things: the tree takes no memory of its own. Balance
 * does not rest on chance, because users choose their ranges and must not be able to unbalance it.
 */
export class RangeTree<Item extends RangeNode<Item>> {
  #root: Item | null = null
  #size = 0

  get size(): number {
    return this.#size
  }

  add(item: Item): void {
    this.#root = insert(this.#root, item)
    this.#size++
  }

  delete(item: Item): void {
    this.#root = remove(this.#root, item)
    this.#size--
    item.left = null
    item.right = null
    item.reach = null
    item.height = 1
  }

  /** Sorted by id, so that events come in the order in which the leases were taken. */
  overlapping(range: Range): readonly Item[] {
    const root = this.#root
    if (root === null) return []
    const found: Item[] = []
    collect(root, range, found)
    return found.length < 2 || isSorted(found) ? found : found.sort(byId)
  }

  /** The first that overlaps and passes the test, in the order of their starts. */
  find(range: Range, test: (item: Item) => boolean): Item | null {
    return this.#root === null ? null : search(this.#root, range, test)
  }

  /**
   * Like `find` for whoever stands at `key`, and only wants those who came before: looks at those before that
   * place first, the nearest one first, then at those that start later. Those that start there and have a greater
   * id are passed over.
   */
  findBefore(key: Key, test: (item: Item) => boolean): Item | null {
    if (this.#root === null) return null
    return searchBack(this.#root, key, test) ?? searchInside(this.#root, key, test)
  }

  /** Sorted by id. */
  all(): readonly Item[] {
    return this.overlapping(WHOLE_FILE)
  }
}

function isBefore(a: Key, b: Key): boolean {
  return a.start < b.start || (a.start === b.start && a.id < b.id)
}

function byId<Item extends RangeNode<Item>>(a: Item, b: Item): number {
  return a.id - b.id
}

function isSorted<Item extends RangeNode<Item>>(items: readonly Item[]): boolean {
  let last = 0
  for (const { id } of items) {
    if (id < last) return false
    last = id
  }
  return true
}

function collect<Item extends RangeNode<Item>>(node: Item, range: Range, found: Item[]): void {
  if (endOf(node) <= range.start) return
  if (node.left !== null) collect(node.left, range, found)
  if (node.start >= range.end) return
  if (node.end > range.start) found.push(node)
  if (node.right !== null) collect(node.right, range, found)
}

function search<Item extends RangeNode<Item>>(
  node: Item,
  range: Range,
  test: (item: Item) => boolean,
): Item | null {
  if (endOf(node) <= range.start) return null
  const found = node.left === null ? null : search(node.left, range, test)
  if (found !== null || node.start >= range.end) return found
  if (node.end > range.start && test(node)) return node
  return node.right === null ? null : search(node.right, range, test)
}

/** Only those before the key, backwards. */
function searchBack<Item extends RangeNode<Item>>(
  node: Item,
  key: Key,
  test: (item: Item) => boolean,
): Item | null {
  if (endOf(node) <= key.start) return null
  if (isBefore(node, key)) {
    const found = node.right === null ? null : searchBack(node.right, key, test)
    if (found !== null) return found
    if (node.end > key.start && test(node)) return node
  }
  return node.left === null ? null : searchBack(node.left, key, test)
}

/** Only those that start within the range, behind its start. */
function searchInside<Item extends RangeNode<Item>>(
  node: Item,
  range: Range,
  test: (item: Item) => boolean,
): Item | null {
  if (node.start > range.start) {
    const found = node.left === null ? null : searchInside(node.left, range, test)
    if (found !== null || node.start >= range.end) return found
    if (test(node)) return node
  }
  return node.right === null ? null : searchInside(node.right, range, test)
}

function insert<Item extends RangeNode<Item>>(node: Item | null, item: Item): Item {
  if (node === null) return item
  const isLeft = isBefore(item, node)
  const child = isLeft ? node.left : node.right
  const height = heightOf(child)
  const last = lastOf(child)
  return withChild(node, isLeft, insert(child, item), height, last)
}

function remove<Item extends RangeNode<Item>>(node: Item | null, item: Item): Item | null {
  assert(node !== null, 'what is to be removed is not in the tree')
  if (node === item) {
    if (node.left === null) return node.right
    if (node.right === null) return node.left
    const next = first(node.right)
    next.right = remove(node.right, next)
    next.left = node.left
    return balanced(next)
  }
  const isLeft = isBefore(item, node)
  const child = isLeft ? node.left : node.right
  const height = heightOf(child)
  const last = lastOf(child)
  return withChild(node, isLeft, remove(child, item), height, last)
}

function first<Item extends RangeNode<Item>>(node: Item): Item {
  let found = node
  while (found.left !== null) found = found.left
  return found
}

/** Nothing above need be looked at where a child is as high as it was and reaches as far by the same thing. */
function withChild<Item extends RangeNode<Item>>(
  node: Item,
  isLeft: boolean,
  child: Item | null,
  height: number,
  last: Item | null,
): Item {
  if (isLeft) node.left = child
  else node.right = child
  return heightOf(child) === height && lastOf(child) === last ? node : balanced(node)
}

/** Mends a node whose subtrees are right, and differ in height by two at most. */
function balanced<Item extends RangeNode<Item>>(node: Item): Item {
  const { left, right } = node
  const leaning = heightOf(left) - heightOf(right)
  if (left !== null && leaning > 1) {
    if (left.right !== null && heightOf(left.left) < heightOf(left.right)) {
      node.left = turnLeft(left, left.right)
    }
    return turnRight(node, node.left ?? left)
  }
  if (right !== null && leaning < -1) {
    if (right.left !== null && heightOf(right.right) < heightOf(right.left)) {
      node.right = turnRight(right, right.left)
    }
    return turnLeft(node, node.right ?? right)
  }
  sumUp(node)
  return node
}

function turnRight<Item extends RangeNode<Item>>(node: Item, left: Item): Item {
  node.left = left.right
  left.right = node
  sumUp(node)
  sumUp(left)
  return left
}

function turnLeft<Item extends RangeNode<Item>>(node: Item, right: Item): Item {
  node.right = right.left
  right.left = node
  sumUp(node)
  sumUp(right)
  return right
}

function sumUp<Item extends RangeNode<Item>>(node: Item): void {
  const { left, right } = node
  node.height = 1 + Math.max(heightOf(left), heightOf(right))
  let last = node
  if (left !== null && endOf(left) > last.end) last = left.reach ?? left
  if (right !== null && endOf(right) > last.end) last = right.reach ?? right
  node.reach = last === node ? null : last
}

function heightOf<Item extends RangeNode<Item>>(node: Item | null): number {
  return node === null ? 0 : node.height
}

/** The one of a subtree that ends last. */
function lastOf<Item extends RangeNode<Item>>(node: Item | null): Item | null {
  return node === null ? null : (node.reach ?? node)
}

/** Where the last of a subtree ends. */
function endOf<Item extends RangeNode<Item>>(node: Item): number {
  return node.reach === null ? node.end : node.reach.end
}
