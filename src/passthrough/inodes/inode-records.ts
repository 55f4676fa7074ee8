/**
 * What is remembered of every inode that the kernel knows, as bytes: there may be millions, and an object with a
 * string and two entries in Maps would take four times the room and keep the garbage collector busy.
 *
 * A record has 64 bytes. Its number (`slot`, never 0) stays the same as long as it is used. Records live in chunks of
 * some thousand, and a chunk goes with its last record. Two hash tables lead to them, by nodeid and by inode number,
 * chained through the records themselves.
 */
import { assert } from '../../lib/assert.js'

const CHUNK_BITS = 12
const CHUNK_RECORDS = 1 << CHUNK_BITS
const RECORD_MASK = CHUNK_RECORDS - 1

/** Places in a record, counted in doubles. Counters of lookups exceed 32 bits in weeks. */
export const D = { nodeid: 0, birth: 1, nlookup: 2, toldAtMs: 3 } as const
/** Places in a record, counted in words of 32 bits; the doubles come first. */
export const W = {
  inoLow: 8,
  inoHigh: 9,
  parent: 10,
  childCount: 11,
  /** Where its handle and name are in the chunk's `texts`. */
  text: 12,
  /** FLAG, the file type above them, the number of its device above that. */
  bits: 13,
  nextByNodeid: 14,
  nextByIno: 15,
} as const
export const RECORD_WORDS = 16

export const FLAG = { isUsed: 1, hasName: 2, hasSetid: 4, isBigAndUnlinked: 8 } as const
export const TYPE_SHIFT = 4
export const DEVICE_SHIFT = 8

const TEXT_BYTES_MIN = 8 << 10
const NO_BYTES = new Uint8Array(0)

/**
 * Some thousand records, and the texts of them. A text is the length of a file handle in one byte, the handle, the name
 * with its final NUL. Texts are added at the end; when half of what is there belongs to nobody they are copied together.
 */
export class Chunk {
  /** The slot of its first record. */
  readonly firstSlot: number
  readonly words = new Uint32Array(CHUNK_RECORDS * RECORD_WORDS)
  readonly doubles = new Float64Array(this.words.buffer)
  usedCount = 0
  /** Word 0 of a free record leads to the next free one; a record number plus 1. */
  private firstFree = 0
  /** Records from here on were never used. */
  private fresh: number
  private texts = Buffer.allocUnsafeSlow(TEXT_BYTES_MIN)
  private textsEnd = 0
  private wastedBytes = 0

  constructor(firstSlot: number) {
    this.firstSlot = firstSlot
    // Slot 0 means none.
    this.fresh = firstSlot === 0 ? 1 : 0
  }

  get isFull(): boolean {
    return this.firstFree === 0 && this.fresh === CHUNK_RECORDS
  }

  /** @returns the number of a record whose words are all 0, but for the flag that it is used. */
  take(): number {
    let record = this.fresh
    if (this.firstFree !== 0) {
      record = this.firstFree - 1
      this.firstFree = this.words[record * RECORD_WORDS] ?? 0
      this.words[record * RECORD_WORDS] = 0
    } else this.fresh++
    this.words[record * RECORD_WORDS + W.bits] = FLAG.isUsed
    this.usedCount++
    return record
  }

  give(record: number): void {
    const at = record * RECORD_WORDS
    this.wastedBytes += this.textLength(at)
    this.words.fill(0, at, at + RECORD_WORDS)
    this.words[at] = this.firstFree
    this.firstFree = record + 1
    this.usedCount--
    this.tidyTexts()
  }

  /** Sets handle and name of a record that has none yet, or other ones. @param nameZ ends in NUL. */
  setText(at: number, handle: Uint8Array, nameZ: Uint8Array): void {
    const isNew = this.words[at + W.text] === 0
    if (!isNew) this.wastedBytes += this.textLength(at)
    const length = 1 + handle.length + nameZ.length
    if (this.textsEnd + length > this.texts.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.texts.length * 2, this.textsEnd + length))
      larger.set(this.texts.subarray(0, this.textsEnd))
      this.texts = larger
    }
    this.texts[this.textsEnd] = handle.length
    this.texts.set(handle, this.textsEnd + 1)
    this.texts.set(nameZ, this.textsEnd + 1 + handle.length)
    this.words[at + W.text] = this.textsEnd + 1
    this.textsEnd += length
    if (!isNew) this.tidyTexts()
  }

  /** A view that is good until the next change of any text. Empty if there is no handle. */
  handle(at: number): Buffer {
    const start = this.words[at + W.text] ?? 0
    return this.texts.subarray(start, start + (this.texts[start - 1] ?? 0))
  }

  hasHandle(at: number): boolean {
    return this.texts[(this.words[at + W.text] ?? 0) - 1] !== 0
  }

  /** With its final NUL; a view that is good until the next change of any text. */
  nameZ(at: number): Buffer {
    const start = this.nameStart(at)
    return this.texts.subarray(start, this.texts.indexOf(0, start) + 1)
  }

  isCalled(at: number, nameZ: Uint8Array): boolean {
    const { texts } = this
    const start = this.nameStart(at)
    for (let index = 0; index < nameZ.length; index++) {
      if (texts[start + index] !== nameZ[index]) return false
    }
    return true
  }

  private nameStart(at: number): number {
    const start = this.words[at + W.text] ?? 0
    return start + (this.texts[start - 1] ?? 0)
  }

  private textLength(at: number): number {
    if (this.words[at + W.text] === 0) return 0
    return this.texts.indexOf(0, this.nameStart(at)) + 2 - (this.words[at + W.text] ?? 0)
  }

  private tidyTexts(): void {
    if (this.wastedBytes < TEXT_BYTES_MIN || this.wastedBytes < this.textsEnd / 2) return
    const before = this.texts
    const copy = Buffer.allocUnsafeSlow(Math.max(TEXT_BYTES_MIN, this.textsEnd - this.wastedBytes))
    let end = 0
    for (let at = 0; at < this.words.length; at += RECORD_WORDS) {
      const start = this.words[at + W.text] ?? 0
      if (((this.words[at + W.bits] ?? 0) & FLAG.isUsed) === 0 || start === 0) continue
      const length = this.textLength(at)
      copy.set(before.subarray(start - 1, start - 1 + length), end)
      this.words[at + W.text] = end + 1
      end += length
    }
    this.texts = copy
    this.textsEnd = end
    this.wastedBytes = 0
  }
}

const HEADS_MIN = 1024

/**
 * Chains of records: `heads` holds the slot that each begins with. There are about as many as records, and their number
 * changes by one at a time (linear hashing), so that nobody waits while a million records are put in order again.
 */
class Chains {
  private readonly records: InodeRecords
  private readonly next: number
  private readonly hash: (chunk: Chunk, at: number) => number
  private heads = new Uint32Array(HEADS_MIN)
  private headCount = HEADS_MIN
  /** The largest power of two up to `headCount`, less one: heads below `headCount - mask - 1` go by one bit more. */
  private mask = HEADS_MIN - 1
  private count = 0

  /** @param next the word of a record that leads on. */
  constructor(records: InodeRecords, next: number, hash: (chunk: Chunk, at: number) => number) {
    this.records = records
    this.next = next
    this.hash = hash
  }

  first(hash: number): number {
    return this.heads[this.place(hash)] ?? 0
  }

  private place(hash: number): number {
    const place = hash & (this.mask * 2 + 1)
    return place < this.headCount ? place : hash & this.mask
  }

  add(slot: number): void {
    this.link(slot)
    if (++this.count > this.headCount) this.grow()
  }

  private link(slot: number): void {
    const chunk = this.records.chunk(slot)
    const at = wordOf(slot)
    const place = this.place(this.hash(chunk, at))
    chunk.words[at + this.next] = this.heads[place] ?? 0
    this.heads[place] = slot
  }

  remove(slot: number): void {
    const { records, next } = this
    const place = this.place(this.hash(records.chunk(slot), wordOf(slot)))
    const after = records.chunk(slot).words[wordOf(slot) + next] ?? 0
    let before = this.heads[place] ?? 0
    if (before === slot) this.heads[place] = after
    else {
      for (;;) {
        assert(before !== 0, 'a record is not in its chain')
        const { words } = records.chunk(before)
        const at = wordOf(before) + next
        if (words[at] === slot) {
          words[at] = after
          break
        }
        before = words[at] ?? 0
      }
    }
    if (--this.count < this.headCount >> 1 && this.headCount > HEADS_MIN) this.shrink()
  }

  /** One head more: the chain whose records it may get is linked again. */
  private grow(): void {
    if (this.headCount === this.heads.length) this.resize(this.heads.length * 2)
    if (this.headCount > this.mask * 2 + 1) this.mask = this.mask * 2 + 1
    const divided = this.headCount & this.mask
    this.headCount++
    this.linkAgain(divided)
  }

  /** One head less: its records go to the one that it was divided from. */
  private shrink(): void {
    this.headCount--
    if (this.headCount <= this.mask) this.mask >>>= 1
    this.linkAgain(this.headCount)
    if (this.headCount < this.heads.length >> 2) this.resize(this.heads.length >> 1)
  }

  private linkAgain(place: number): void {
    let slot = this.heads[place] ?? 0
    this.heads[place] = 0
    while (slot !== 0) {
      const after = this.records.chunk(slot).words[wordOf(slot) + this.next] ?? 0
      this.link(slot)
      slot = after
    }
  }

  private resize(length: number): void {
    const heads = new Uint32Array(length)
    heads.set(this.heads.subarray(0, this.headCount))
    this.heads = heads
  }
}

function wordOf(slot: number): number {
  return (slot & RECORD_MASK) * RECORD_WORDS
}

function hashOfIno(inoLow: number, inoHigh: number, device: number): number {
  const mixed = Math.imul(
    inoLow ^ Math.imul(inoHigh, 0x85eb_ca6b) ^ Math.imul(device, 0xc2b2_ae35),
    0x9e37_79b1,
  )
  return mixed ^ (mixed >>> 15)
}

export class InodeRecords {
  private readonly chunks: (Chunk | undefined)[] = []
  /** Those with room. */
  private readonly roomy: Chunk[] = []
  private count = 0
  private readonly byNodeid = new Chains(this, W.nextByNodeid, (chunk, at) => chunk.doubles[at >>> 1] ?? 0)
  private readonly byIno = new Chains(this, W.nextByIno, ({ words }, at) =>
    hashOfIno(
      words[at + W.inoLow] ?? 0,
      words[at + W.inoHigh] ?? 0,
      (words[at + W.bits] ?? 0) >>> DEVICE_SHIFT,
    ),
  )

  get size(): number {
    return this.count
  }

  chunk(slot: number): Chunk {
    const chunk = this.chunks[slot >>> CHUNK_BITS]
    assert(chunk !== undefined, 'there is no such record')
    return chunk
  }

  /** Where a record begins in `words` of its chunk. */
  at(slot: number): number {
    return wordOf(slot)
  }

  /** @param bits without the flag that it is used. @returns its slot. */
  add(nodeid: number, inoLow: number, inoHigh: number, bits: number, nameZ: Uint8Array): number {
    const chunk = this.roomy[this.roomy.length - 1] ?? this.addChunk()
    const record = chunk.take()
    if (chunk.isFull) this.roomy.pop()
    const slot = chunk.firstSlot + record
    const at = wordOf(slot)
    const { words, doubles } = chunk
    doubles[(at >>> 1) + D.nodeid] = nodeid
    words[at + W.inoLow] = inoLow
    words[at + W.inoHigh] = inoHigh
    words[at + W.bits] = bits | FLAG.isUsed
    chunk.setText(at, NO_BYTES, nameZ)
    this.count++
    this.byNodeid.add(slot)
    this.byIno.add(slot)
    return slot
  }

  private addChunk(): Chunk {
    let index = this.chunks.indexOf(undefined)
    if (index < 0) index = this.chunks.length
    const chunk = new Chunk(index * CHUNK_RECORDS)
    this.chunks[index] = chunk
    this.roomy.push(chunk)
    return chunk
  }

  remove(slot: number): void {
    this.byNodeid.remove(slot)
    this.byIno.remove(slot)
    this.count--
    const chunk = this.chunk(slot)
    if (chunk.isFull) this.roomy.push(chunk)
    chunk.give(slot & RECORD_MASK)
    if (chunk.usedCount > 0 || this.roomy.length === 1) return
    this.roomy.splice(this.roomy.indexOf(chunk), 1)
    this.chunks[slot >>> CHUNK_BITS] = undefined
  }

  /** @returns 0 if there is none. */
  findNodeid(nodeid: number): number {
    for (let slot = this.byNodeid.first(nodeid); slot !== 0; ) {
      const { words, doubles } = this.chunk(slot)
      const at = wordOf(slot)
      if (doubles[(at >>> 1) + D.nodeid] === nodeid) return slot
      slot = words[at + W.nextByNodeid] ?? 0
    }
    return 0
  }

  /**
   * The record of a file with this inode number, the one that was added last first.
   * @param after a record that was found but was not the one; 0 for the first.
   * @returns 0 if there is none.
   */
  findIno(inoLow: number, inoHigh: number, device: number, after = 0): number {
    const start =
      after === 0
        ? this.byIno.first(hashOfIno(inoLow, inoHigh, device))
        : this.chunk(after).words[wordOf(after) + W.nextByIno]
    for (let slot = start ?? 0; slot !== 0; ) {
      const { words } = this.chunk(slot)
      const at = wordOf(slot)
      const isIt =
        words[at + W.inoLow] === inoLow &&
        words[at + W.inoHigh] === inoHigh &&
        (words[at + W.bits] ?? 0) >>> DEVICE_SHIFT === device
      if (isIt) return slot
      slot = words[at + W.nextByIno] ?? 0
    }
    return 0
  }
}
