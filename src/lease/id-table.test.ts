import { expect, test } from 'vitest'
import { Random } from '../lib/random.js'
import { IdTable } from './id-table.js'

/** As the engine numbers what belongs to its second mount. */
const SECOND_MOUNT = 2 ** 40

for (const seed of [1, 2, Date.now() % 1_000_000]) {
  test(`a table has what a Map has, through growing and shrinking (seed ${seed})`, () => {
    const random = new Random(seed)
    const table = new IdTable<{ readonly id: number }>()
    const map = new Map<number, { readonly id: number }>()
    for (let step = 0; step < 6_000; step++) {
      const id = random.int(0, 400) + (random.oneIn(2) ? SECOND_MOUNT : 0)
      const known = map.get(id)
      const isGrowing = step % 2_000 < 1_000
      if (known === undefined) {
        if (!isGrowing) continue
        const item = { id }
        table.add(item)
        map.set(id, item)
      } else if (!isGrowing || random.oneIn(3)) {
        table.delete(known)
        map.delete(id)
      }
      expect(table.get(id)).toBe(map.get(id))
      expect(table.size).toBe(map.size)
      if (step % 100 === 0) expect(table.values()).toEqual([...map.values()].sort((a, b) => a.id - b.id))
    }
  })
}

test('removing what is not there changes nothing, also where another has its id', () => {
  const table = new IdTable<{ readonly id: number }>()
  const item = { id: 7 }
  table.add(item)
  table.delete({ id: 7 })
  table.delete({ id: 8 })
  expect([table.get(7), table.size]).toEqual([item, 1])
})
