import { describe, expect, test } from 'vitest'
import { Random } from '../../lib/random.js'
import { FLAG, InodeRecords } from './inode-records.js'

const NO_BYTES = new Uint8Array(0)

function nameZ(text: string): Buffer {
  return Buffer.from(`${text}\0`, 'latin1')
}

function nameOf(records: InodeRecords, slot: number): string {
  return records.chunk(slot).nameZ(records.at(slot)).toString('latin1').slice(0, -1)
}

describe('inode records', () => {
  test('are found by nodeid and by inode number, and are gone when they are removed', () => {
    const records = new InodeRecords()
    const slot = records.add(7, 12, 1, FLAG.hasName, nameZ('a'))
    expect(slot).not.toBe(0)
    expect(records.findNodeid(7)).toBe(slot)
    expect(records.findIno(12, 1, 0)).toBe(slot)
    expect(records.findIno(12, 0, 0)).toBe(0)
    expect(records.findIno(12, 1, 1)).toBe(0)
    records.remove(slot)
    expect(records.findNodeid(7)).toBe(0)
    expect(records.findIno(12, 1, 0)).toBe(0)
    expect(records.size).toBe(0)
  })

  test('with one inode number are all found, one after the other', () => {
    const records = new InodeRecords()
    const slots = [1, 2, 3].map((nodeid) => records.add(nodeid, 5, 0, 0, nameZ('x')))
    const found: number[] = []
    for (let slot = records.findIno(5, 0, 0); slot !== 0; slot = records.findIno(5, 0, 0, slot))
      found.push(slot)
    expect(found.sort()).toEqual(slots.sort())
  })

  test('keep a handle beside the name, whichever changes', () => {
    const records = new InodeRecords()
    const slot = records.add(1, 1, 0, 0, nameZ('before'))
    const chunk = records.chunk(slot)
    const at = records.at(slot)
    expect(chunk.hasHandle(at)).toBe(false)
    const handle = Uint8Array.of(0, 255, 0, 3)
    chunk.setText(at, handle, chunk.nameZ(at))
    expect([chunk.handle(at).equals(handle), nameOf(records, slot)]).toEqual([true, 'before'])
    chunk.setText(at, chunk.handle(at), nameZ('after'))
    expect([chunk.handle(at).equals(handle), nameOf(records, slot)]).toEqual([true, 'after'])
    expect(chunk.isCalled(at, nameZ('after'))).toBe(true)
    expect(chunk.isCalled(at, nameZ('afte'))).toBe(false)
    expect(chunk.isCalled(at, nameZ('afters'))).toBe(false)
    chunk.setText(at, NO_BYTES, nameZ(''))
    expect([chunk.hasHandle(at), nameOf(records, slot)]).toEqual([false, ''])
  })

  test('come and go by the thousand without one being lost or mixed up', () => {
    const random = new Random(20_261)
    const records = new InodeRecords()
    const books = new Map<number, { readonly slot: number; ino: number; name: string; handle: Buffer }>()
    /** What is wrong with a record, if anything is. One call of expect for each would take longer than all the rest. */
    const wrong = (nodeid: number): string | undefined => {
      const book = books.get(nodeid)
      const slot = records.findNodeid(nodeid)
      if (slot !== (book?.slot ?? 0)) return `${nodeid} has slot ${slot}`
      if (book === undefined) return undefined
      const kept = records.chunk(slot).handle(records.at(slot))
      if (nameOf(records, slot) !== book.name) return `${nodeid} has another name`
      if (!kept.equals(book.handle)) return `${nodeid} has another handle`
      return records.findIno(book.ino, 0, 3) === slot ? undefined : `${nodeid} is not found by its number`
    }
    let nodeid = 0
    // Up to about 7,000, and down to none, twice: tables and texts grow and shrink.
    for (const share of [9, 1, 9, 0]) {
      for (let count = 0; share === 0 ? books.size > 0 : count < 8_000; count++) {
        if (random.int(0, 9) < share) {
          nodeid++
          const name = 'n'.repeat(random.int(1, 60)) + nodeid
          const slot = records.add(nodeid, nodeid * 8, 0, 3 << 8, nameZ(name))
          books.set(nodeid, { slot, ino: nodeid * 8, name, handle: Buffer.alloc(0) })
        } else if (books.size > 0) {
          const victims = share === 0 ? [...books.keys()].slice(0, 500) : [random.int(1, nodeid)]
          for (const id of victims) {
            const book = books.get(id)
            if (book === undefined) continue
            records.remove(book.slot)
            books.delete(id)
          }
        }
        const other = random.int(1, nodeid)
        const book = books.get(other)
        if (book !== undefined && random.int(0, 3) === 0) {
          book.handle = Buffer.alloc(random.int(0, 40), other)
          book.name = `r${random.int(0, 1_000_000)}`
          records.chunk(book.slot).setText(records.at(book.slot), book.handle, nameZ(book.name))
        }
        if (wrong(other) !== undefined) expect(wrong(other)).toBe(undefined)
      }
      expect(records.size).toBe(books.size)
      expect([...books.keys()].map(wrong).filter((what) => what !== undefined)).toEqual([])
    }
    expect(records.size).toBe(0)
  })
})
