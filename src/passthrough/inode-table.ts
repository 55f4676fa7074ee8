/** The files that the kernel, or somebody in the engine, knows by number. */
import { assert } from '../lib/assert.js'
import { S_IFDIR, S_IFMT } from '../linux/constants.js'
import type { Statx } from '../linux/stat.js'
import type { FdHolder } from './fd-cache.js'
import type { FileNode } from './gate.js'

/** An inode number: a number where it is exact, else a bigint, so that equal numbers are the same Map key. */
export type InodeNumber = number | bigint

function inodeNumber(stat: Statx): InodeNumber {
  return stat.inoHigh < 0x20_0000 ? stat.inoHigh * 0x1_0000_0000 + stat.inoLow : stat.ino
}

/** A device as one number. */
function deviceNumber(stat: Statx): number {
  return stat.devMajor * 0x1_0000_0000 + stat.devMinor
}

/** When the inode was made, in microseconds: tells apart two files that had one inode number after another. */
function birth(stat: Statx): number {
  const { seconds, nanoseconds } = stat.btime
  return seconds * 1_000_000 + Math.floor(nanoseconds / 1000)
}

/** What an inode asks of the backing tree when somebody asks the inode. */
export interface InodeHome {
  size(inode: Inode): number
  ownerUid(inode: Inode): number
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
  /** Was it made from a descriptor that reads or writes? Then the file is open as long as the id exists. */
  keepsFileOpen: boolean
  /** Opens whose I/O comes through the daemon. */
  daemonUsers: number
}

/** A file of the mount. Its name and parent are where it was seen last; its descriptor comes and goes. */
export class Inode implements FileNode, FdHolder {
  readonly nodeid: number
  readonly ino: InodeNumber
  readonly device: number
  readonly birth: number
  /** S_IFMT bits. */
  readonly type: number
  parent: Inode | null
  /** One character per byte: half the memory of a Buffer, and any bytes will do. */
  name: string
  /** False once that name was removed through us. */
  hasName = true
  /** Lookups that the kernel will FORGET. */
  nlookup = 0
  /** Inodes whose parent this is. */
  childCount = 0
  openCount = 0
  holdCount = 0
  /** Requests that use its descriptor and wait for an io thread. */
  busyCount = 0
  /** What to close when there are none any more. */
  lateFds: number[] | null = null
  /** Had it a setuid or setgid bit when it was last looked at? */
  hasSetid = false
  /** Was it so large when its last name went that giving its blocks back takes long? */
  isBigAndUnlinked = false
  fd = -1
  fdUsedAt = 0
  fdSlot = -1
  /** The descriptor that the file was created with, while that open lasts; it belongs to its Handle. */
  createdFd = -1
  /** Counts changes of its extended attributes through us. */
  xattrChangeCount = 0
  /** Until when it is known to have no extended attributes (`nowMs`), unless it gets one through us. */
  bareUntilMs = 0
  /** When the kernel was last given its name and attributes (`nowMs`). */
  toldAtMs = Number.NEGATIVE_INFINITY
  /** A file handle (name_to_handle_at(2)), taken when its descriptor had to be closed. */
  handle: Buffer | null = null
  use: InodeUse | null = null
  private readonly home: InodeHome

  constructor(nodeid: number, stat: Statx, parent: Inode | null, name: string, home: InodeHome) {
    this.nodeid = nodeid
    this.ino = inodeNumber(stat)
    this.device = deviceNumber(stat)
    this.birth = birth(stat)
    this.type = stat.mode & S_IFMT
    this.parent = parent
    this.name = name
    this.home = home
  }

  get isDirectory(): boolean {
    return this.type === S_IFDIR
  }

  get isReferenced(): boolean {
    return (
      this.nlookup > 0 ||
      this.childCount > 0 ||
      this.openCount > 0 ||
      this.holdCount > 0 ||
      this.busyCount > 0
    )
  }

  get isBusy(): boolean {
    return this.busyCount > 0
  }

  get mustKeepFd(): boolean {
    return !this.hasName || this.holdCount > 0
  }

  /** Is this the file that `stat` describes? */
  matches(stat: Statx): boolean {
    return (
      this.ino === inodeNumber(stat) &&
      this.device === deviceNumber(stat) &&
      this.birth === birth(stat) &&
      this.type === (stat.mode & S_IFMT)
    )
  }

  ownerUid(): number {
    return this.home.ownerUid(this)
  }

  size(): number {
    return this.home.size(this)
  }

  hold(): void {
    this.home.hold(this)
  }

  release(): void {
    this.home.letGo(this)
  }

  backingFd(): number {
    return this.home.backingFd(this)
  }

  path(): Buffer {
    const names: string[] = []
    for (let inode: Inode = this; inode.parent !== null; inode = inode.parent) names.push(inode.name)
    return Buffer.from(names.reverse().join('/'), 'latin1')
  }
}

export const ROOT_NODEID = 1

/**
 * nodeid -> inode, and (device, inode number, time of birth) -> inode. Node ids are counted up and never given
 * to another file. An inode stays as long as the kernel counts lookups of it, something is open, somebody holds
 * it, or another inode needs it to be found.
 */
export class InodeTable {
  private readonly byNodeid = new Map<number, Inode>()
  private readonly byDevice = new Map<number, Map<InodeNumber, Inode>>()
  private nextNodeid = ROOT_NODEID + 1
  private readonly home: InodeHome
  /** Called when an inode is out of the table: its descriptor is to be closed. */
  private readonly drop: (inode: Inode) => void
  readonly root: Inode

  constructor(rootStat: Statx, home: InodeHome, drop: (inode: Inode) => void) {
    this.home = home
    this.drop = drop
    this.root = new Inode(ROOT_NODEID, rootStat, null, '', home)
    this.root.nlookup = 1
    this.insert(this.root)
  }

  get size(): number {
    return this.byNodeid.size
  }

  /** The kernel names only what it was told of: an unknown number is a bug of ours. */
  get(nodeid: number): Inode {
    const inode = this.byNodeid.get(nodeid)
    assert(inode !== undefined, `nodeid ${nodeid} is not in the table`)
    return inode
  }

  tryGet(nodeid: number): Inode | undefined {
    return this.byNodeid.get(nodeid)
  }

  /** The inode of the file that `stat` describes, if it is known. */
  find(stat: Statx): Inode | undefined {
    const inode = this.byDevice.get(deviceNumber(stat))?.get(inodeNumber(stat))
    return inode?.matches(stat) ? inode : undefined
  }

  /** The inode with this number on the device of a directory, as a listing names it: it may be another by now. */
  findListed(directory: Inode, ino: bigint): Inode | undefined {
    const number = ino <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(ino) : ino
    return this.byDevice.get(directory.device)?.get(number)
  }

  /** The inode of a file that was just seen under this name: known or new. Counts no lookup. */
  see(stat: Statx, parent: Inode, name: string): Inode {
    const known = this.find(stat)
    if (known === undefined) {
      const inode = new Inode(this.nextNodeid++, stat, parent, name, this.home)
      parent.childCount++
      this.insert(inode)
      return inode
    }
    if (known.parent !== parent || known.name !== name || !known.hasName) this.place(known, parent, name)
    return known
  }

  /** Notes where a file is now. */
  place(inode: Inode, parent: Inode, name: string): void {
    if (inode === this.root) return
    const before = inode.parent
    parent.childCount++
    inode.parent = parent
    inode.name = name
    inode.hasName = true
    if (before !== null) {
      before.childCount--
      this.settle(before)
    }
  }

  forget(inode: Inode, count: number): void {
    assert(count <= inode.nlookup, 'the kernel forgets more than it was told')
    inode.nlookup -= count
    this.settle(inode)
  }

  /** Takes an inode out that nothing refers to any more, and then perhaps its parents. */
  settle(inode: Inode): void {
    for (let next: Inode | null = inode; next !== null && next !== this.root && !next.isReferenced; ) {
      this.byNodeid.delete(next.nodeid)
      const numbers = this.byDevice.get(next.device)
      if (numbers?.get(next.ino) === next) numbers.delete(next.ino)
      this.drop(next)
      const parent: Inode | null = next.parent
      if (parent !== null) parent.childCount--
      next = parent
    }
  }

  inodes(): Iterable<Inode> {
    return this.byNodeid.values()
  }

  private insert(inode: Inode): void {
    this.byNodeid.set(inode.nodeid, inode)
    let numbers = this.byDevice.get(inode.device)
    if (numbers === undefined) {
      numbers = new Map()
      this.byDevice.set(inode.device, numbers)
    }
    // An older file with this number is gone; the kernel may still name it by its nodeid.
    numbers.set(inode.ino, inode)
  }
}
