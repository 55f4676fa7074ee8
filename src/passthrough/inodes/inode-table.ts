/** The files that the kernel, or somebody in the engine, knows by number. */
import { assert } from '../../lib/assert.js'
import { S_IFDIR } from '../../linux/constants.js'
import type { Statx } from '../../linux/stat.js'
import type { FileNode } from '../gate.js'
import type { ListingPolicy } from '../listing-policy.js'
import type { FdHolder } from './fd-cache.js'
import { type Chunk, D, DEVICE_SHIFT, FLAG, InodeRecords, TYPE_SHIFT, W } from './inode-records.js'

/** A device as one number. */
function deviceNumber(stat: Statx): number {
  return stat.devMajor * 0x1_0000_0000 + stat.devMinor
}

/** When the inode was made, in microseconds: tells apart two files that had one inode number after another. */
function birth(stat: Statx): number {
  const { seconds, nanoseconds } = stat.btime
  return seconds * 1_000_000 + Math.floor(nanoseconds / 1000)
}

/** The four bits of S_IFMT. */
function typeBits(mode: number): number {
  return (mode >>> 12) & 15
}

/** What an inode asks of the backing tree when somebody asks the inode. */
export interface InodeHome {
  size(inode: Inode): number
  ownerUid(inode: Inode): number
  nameLeads(inode: Inode): ReturnType<FileNode['nameLeads']>
  backingFd(inode: Inode): number
  hold(inode: Inode): void
  letGo(inode: Inode): void
}

/** The open files of one inode, as far as they share something. Exists only while needed. */
export interface InodeUse {
  /** Opens through FUSE_PASSTHROUGH, and by which backing id. 0 is no id. */
  backingId: number
  backingUsers: number
  /** Whose identity its I/O runs with. */
  backingUid: number
  backingGid: number
  /** Was it made from a descriptor that reads or writes? Then the file is open as long as the id exists. */
  keepsFileOpen: boolean
  /** Opens whose I/O comes through the daemon. */
  daemonUsers: number
}

/**
 * A file of the mount. Its name and parent are where it was seen last; its descriptor comes and goes.
 *
 * What must be remembered as long as the kernel knows the file is in its record. The object is there while a request
 * is about the file, and as long as something in it has to last (`isBusy`).
 */
export class Inode implements FileNode, FdHolder {
  readonly nodeid: number
  /** Its record. */
  readonly slot: number
  openCount = 0
  holdCount = 0
  /** Requests that have it in hand and wait for an io thread. */
  keepCount = 0
  /** What to close when there are none any more. */
  lateFds: number[] | null = null
  /** Of a directory: counts names that were taken away or moved through us. */
  nameChangeCount = 0
  /** Counts changes of its mode and size through us. */
  changeCount = 0
  /** Counts changes of its extended attributes through us. */
  xattrChangeCount = 0
  fd = -1
  fdUsedAt = 0
  fdSlot = -1
  /** The descriptor that the file was created with, while that open lasts; it belongs to its Handle. */
  createdFd = -1
  /** Until when it is known to have no extended attributes (`nowMs`), unless it gets one through us. */
  bareUntilMs = 0
  use: InodeUse | null = null
  /** Of a directory, once a long one was listed: may the kernel keep that? */
  listing: ListingPolicy | null = null
  private readonly table: InodeTable
  private readonly chunk: Chunk
  /** Where its record begins in `chunk.words`, and in `chunk.doubles`. */
  private readonly word: number
  private readonly double: number

  constructor(table: InodeTable, slot: number) {
    this.table = table
    this.slot = slot
    this.chunk = table.records.chunk(slot)
    this.word = table.records.at(slot)
    this.double = this.word >>> 1
    this.nodeid = this.chunk.doubles[this.double + D.nodeid] ?? 0
  }

  private get bits(): number {
    return this.chunk.words[this.word + W.bits] ?? 0
  }

  private setFlag(flag: number, value: boolean): void {
    const { words } = this.chunk
    const { bits } = this
    words[this.word + W.bits] = value ? bits | flag : bits & ~flag
  }

  /** False once that name was removed through us. */
  get hasName(): boolean {
    return (this.bits & FLAG.hasName) !== 0
  }
  set hasName(value: boolean) {
    this.setFlag(FLAG.hasName, value)
  }

  /** Had it a setuid or setgid bit when it was last looked at? */
  get hasSetid(): boolean {
    return (this.bits & FLAG.hasSetid) !== 0
  }
  set hasSetid(value: boolean) {
    if (value !== this.hasSetid) this.setFlag(FLAG.hasSetid, value)
  }

  /** Was it so large when its last name went that giving its blocks back takes long? */
  get isBigAndUnlinked(): boolean {
    return (this.bits & FLAG.isBigAndUnlinked) !== 0
  }
  set isBigAndUnlinked(value: boolean) {
    this.setFlag(FLAG.isBigAndUnlinked, value)
  }

  get isDirectory(): boolean {
    return ((this.bits >>> TYPE_SHIFT) & 15) === typeBits(S_IFDIR)
  }

  /** Its file system, as a number of this table. */
  get device(): number {
    return this.bits >>> DEVICE_SHIFT
  }

  get parent(): Inode | null {
    const slot = this.parentSlot
    return slot === 0 ? null : this.table.at(slot)
  }

  /** The record of its parent; 0 for the root. */
  get parentSlot(): number {
    return this.chunk.words[this.word + W.parent] ?? 0
  }

  /** With its final NUL, as a system call takes it; good until anything in the table changes. */
  get nameZ(): Buffer {
    return this.chunk.nameZ(this.word)
  }

  /** One character per byte. */
  get name(): string {
    const { nameZ } = this
    return nameZ.toString('latin1', 0, nameZ.length - 1)
  }

  isCalled(nameZ: Uint8Array): boolean {
    return this.chunk.isCalled(this.word, nameZ)
  }

  /** Is it still known by this name? Whoever has looked at it by name and waited asks. */
  isAt(parent: Inode, name: string): boolean {
    return this.hasName && this.parentSlot === parent.slot && this.name === name
  }

  /** A file handle (name_to_handle_at(2)), taken when its descriptor had to be closed; a copy. */
  get handle(): Buffer | null {
    return this.hasHandle ? Buffer.from(this.chunk.handle(this.word)) : null
  }
  set handle(handle: Buffer) {
    this.chunk.setText(this.word, handle, this.nameZ)
  }

  get hasHandle(): boolean {
    return this.chunk.hasHandle(this.word)
  }

  /** Does the object know anything that its record does not? */
  get isBusy(): boolean {
    return (
      this.fd >= 0 ||
      this.openCount > 0 ||
      this.holdCount > 0 ||
      this.isInUse ||
      this.createdFd >= 0 ||
      (this.use !== null && this.use.backingId !== 0)
    )
  }

  get isInUse(): boolean {
    return this.keepCount > 0
  }

  get mustKeepFd(): boolean {
    return !this.hasName || this.holdCount > 0
  }

  /** Is this the file that `stat` describes? */
  matches(stat: Statx): boolean {
    return this.table.find(stat) === this
  }

  ownerUid(): number {
    return this.table.home.ownerUid(this)
  }

  size(): number {
    return this.table.home.size(this)
  }

  hold(): void {
    this.table.home.hold(this)
  }

  release(): void {
    this.table.home.letGo(this)
  }

  nameLeads(): ReturnType<FileNode['nameLeads']> {
    return this.table.home.nameLeads(this)
  }

  backingFd(): number {
    return this.table.home.backingFd(this)
  }

  path(): Buffer {
    const names: string[] = []
    for (let inode: Inode = this, { parent } = inode; parent !== null; inode = parent, { parent } = inode) {
      names.push(inode.name)
    }
    return Buffer.from(names.reverse().join('/'), 'latin1')
  }
}

export const ROOT_NODEID = 1
const NO_NAME = Buffer.from('\0')
/** Objects that may be there without being needed before they are looked through. */
const IDLE_OBJECT_COUNT_MAX = 1024

/**
 * nodeid -> inode, and (device, inode number, time of birth) -> inode. Node ids are counted up and never given
 * to another file. An inode stays as long as the kernel counts lookups of it, something is open, somebody holds
 * it, or another inode needs it to be found.
 */
export class InodeTable {
  readonly records = new InodeRecords()
  readonly home: InodeHome
  readonly root: Inode
  /** The objects there are, by nodeid: there are never two for one record. */
  private readonly objects = new Map<number, Inode>()
  private objectCountMax = IDLE_OBJECT_COUNT_MAX
  /** Devices as numbers that fit into a record. */
  private readonly devices = new Map<number, number>()
  private lastDevice = { number: -1, device: 0 }
  private nextNodeid = ROOT_NODEID
  /** Called when an inode is out of the table: its descriptor is to be closed. */
  private readonly drop: (inode: Inode) => void

  constructor(rootStat: Statx, home: InodeHome, drop: (inode: Inode) => void) {
    this.home = home
    this.drop = drop
    const slot = this.add(rootStat, 0, NO_NAME)
    // The kernel never forgets it.
    this.records.chunk(slot).doubles[(this.records.at(slot) >>> 1) + D.nlookup] = 1
    this.root = this.at(slot)
  }

  get size(): number {
    return this.records.size
  }

  /** Another request begins: objects of inodes that nobody needs may go. Those of requests that wait are busy. */
  tick(): void {
    if (this.objects.size <= this.objectCountMax) return
    for (const [nodeid, inode] of this.objects) {
      if (!inode.isBusy && inode !== this.root) this.objects.delete(nodeid)
    }
    this.objectCountMax = this.objects.size + IDLE_OBJECT_COUNT_MAX
  }

  /** The kernel names only what it was told of: an unknown number is a bug of ours. */
  get(nodeid: number): Inode {
    const inode = this.tryGet(nodeid)
    assert(inode !== undefined, `nodeid ${nodeid} is not in the table`)
    return inode
  }

  tryGet(nodeid: number): Inode | undefined {
    const known = this.objects.get(nodeid)
    if (known !== undefined) return known
    const slot = this.records.findNodeid(nodeid)
    return slot === 0 ? undefined : this.makeObject(slot)
  }

  /** The inode with this record. */
  at(slot: number): Inode {
    const { doubles } = this.records.chunk(slot)
    const nodeid = doubles[(this.records.at(slot) >>> 1) + D.nodeid] ?? 0
    return this.objects.get(nodeid) ?? this.makeObject(slot)
  }

  private makeObject(slot: number): Inode {
    const inode = new Inode(this, slot)
    this.objects.set(inode.nodeid, inode)
    return inode
  }

  /** The inode of the file that `stat` describes, if it is known. */
  find(stat: Statx): Inode | undefined {
    const slot = this.findSlot(stat)
    return slot === 0 ? undefined : this.at(slot)
  }

  private findSlot(stat: Statx): number {
    const { records } = this
    const device = this.deviceOf(stat)
    const { inoLow, inoHigh } = stat
    const born = birth(stat)
    const type = typeBits(stat.mode)
    let slot = records.findIno(inoLow, inoHigh, device)
    for (; slot !== 0; slot = records.findIno(inoLow, inoHigh, device, slot)) {
      const { words, doubles } = records.chunk(slot)
      const at = records.at(slot)
      const bits = words[at + W.bits] ?? 0
      if (doubles[(at >>> 1) + D.birth] === born && ((bits >>> TYPE_SHIFT) & 15) === type) return slot
    }
    return 0
  }

  /**
   * Was the kernel told since `sinceMs` that this name in the directory leads to the inode with this number, as a
   * listing names it? It may be another by now. One with setuid bits does not count: see `attrValidMs`.
   */
  wasTold(directory: Inode, inoLow: number, inoHigh: number, nameZ: Uint8Array, sinceMs: number): boolean {
    const slot = this.records.findIno(inoLow, inoHigh, directory.device)
    if (slot === 0) return false
    const chunk = this.records.chunk(slot)
    const at = this.records.at(slot)
    const { words, doubles } = chunk
    const flags = (words[at + W.bits] ?? 0) & (FLAG.hasName | FLAG.hasSetid)
    return (
      flags === FLAG.hasName &&
      words[at + W.parent] === directory.slot &&
      (doubles[(at >>> 1) + D.nlookup] ?? 0) > 0 &&
      (doubles[(at >>> 1) + D.toldAtMs] ?? 0) > sinceMs &&
      chunk.isCalled(at, nameZ)
    )
  }

  /**
   * Notes that the kernel is told of a file that was just seen under this name, known or new, and counts a lookup. Of
   * most files nothing else is ever asked, so no object is made.
   * @returns its nodeid.
   */
  tell(stat: Statx, parent: Inode, nameZ: Uint8Array, hasSetid: boolean, nowMs: number): number {
    const slot = this.seeSlot(stat, parent, nameZ)
    const { words, doubles } = this.records.chunk(slot)
    const at = this.records.at(slot)
    const bits = words[at + W.bits] ?? 0
    // What was seen may be older than a chmod(2): taking the flag back is up to those that know (attrReply).
    if (hasSetid) words[at + W.bits] = bits | FLAG.hasSetid
    const double = at >>> 1
    doubles[double + D.nlookup] = (doubles[double + D.nlookup] ?? 0) + 1
    doubles[double + D.toldAtMs] = nowMs
    return doubles[double + D.nodeid] ?? 0
  }

  private seeSlot(stat: Statx, parent: Inode, nameZ: Uint8Array): number {
    const slot = this.findSlot(stat)
    if (slot === 0) return this.add(stat, parent.slot, nameZ)
    const chunk = this.records.chunk(slot)
    const at = this.records.at(slot)
    const hasName = ((chunk.words[at + W.bits] ?? 0) & FLAG.hasName) !== 0
    if (!hasName || chunk.words[at + W.parent] !== parent.slot || !chunk.isCalled(at, nameZ)) {
      this.place(this.at(slot), parent, nameZ)
    }
    return slot
  }

  /** @param parent the record of its parent; 0 for the root. @returns its record. */
  private add(stat: Statx, parent: number, nameZ: Uint8Array): number {
    const { records } = this
    const bits = FLAG.hasName | (typeBits(stat.mode) << TYPE_SHIFT) | (this.deviceOf(stat) << DEVICE_SHIFT)
    const slot = records.add(this.nextNodeid++, stat.inoLow, stat.inoHigh, bits, nameZ)
    const { words, doubles } = records.chunk(slot)
    const at = records.at(slot)
    words[at + W.parent] = parent
    doubles[(at >>> 1) + D.birth] = birth(stat)
    doubles[(at >>> 1) + D.toldAtMs] = Number.NEGATIVE_INFINITY
    if (parent !== 0) this.countChild(parent, 1)
    return slot
  }

  private deviceOf(stat: Statx): number {
    const number = deviceNumber(stat)
    if (number === this.lastDevice.number) return this.lastDevice.device
    let device = this.devices.get(number)
    if (device === undefined) {
      device = this.devices.size
      assert(device < 1 << (32 - DEVICE_SHIFT), 'too many devices')
      this.devices.set(number, device)
    }
    this.lastDevice = { number, device }
    return device
  }

  private countChild(slot: number, change: 1 | -1): void {
    const { words } = this.records.chunk(slot)
    const at = this.records.at(slot) + W.childCount
    words[at] = (words[at] ?? 0) + change
  }

  /** Notes where a file is now. */
  place(inode: Inode, parent: Inode, nameZ: Uint8Array): void {
    if (inode === this.root) return
    const { records } = this
    const chunk = records.chunk(inode.slot)
    const at = records.at(inode.slot)
    const before = inode.parentSlot
    this.countChild(parent.slot, 1)
    chunk.words[at + W.parent] = parent.slot
    chunk.setText(at, chunk.handle(at), nameZ)
    inode.hasName = true
    this.countChild(before, -1)
    this.settleSlot(before)
  }

  /** @returns false for an inode that is not known. */
  forget(nodeid: number, count: number): boolean {
    const slot = this.records.findNodeid(nodeid)
    if (slot === 0) return false
    const { doubles } = this.records.chunk(slot)
    const at = (this.records.at(slot) >>> 1) + D.nlookup
    const left = (doubles[at] ?? 0) - count
    assert(left >= 0, 'the kernel forgets more than it was told')
    doubles[at] = left
    this.settleSlot(slot)
    return true
  }

  /** Takes an inode out that nothing refers to any more, and then perhaps its parents. */
  settle(inode: Inode): void {
    this.settleSlot(inode.slot)
  }

  private settleSlot(slot: number): void {
    for (let next = slot; next !== this.root.slot && !this.isReferenced(next); ) {
      const { words } = this.records.chunk(next)
      const parent = words[this.records.at(next) + W.parent] ?? 0
      this.remove(next)
      this.countChild(parent, -1)
      next = parent
    }
  }

  private isReferenced(slot: number): boolean {
    const { words, doubles } = this.records.chunk(slot)
    const at = this.records.at(slot)
    if ((doubles[(at >>> 1) + D.nlookup] ?? 0) > 0 || (words[at + W.childCount] ?? 0) > 0) return true
    const inode = this.objects.get(doubles[(at >>> 1) + D.nodeid] ?? 0)
    return inode !== undefined && (inode.openCount > 0 || inode.holdCount > 0 || inode.isInUse)
  }

  private remove(slot: number): void {
    const { doubles } = this.records.chunk(slot)
    const nodeid = doubles[(this.records.at(slot) >>> 1) + D.nodeid] ?? 0
    const inode = this.objects.get(nodeid)
    if (inode !== undefined) {
      this.objects.delete(nodeid)
      this.drop(inode)
    }
    this.records.remove(slot)
  }
}
