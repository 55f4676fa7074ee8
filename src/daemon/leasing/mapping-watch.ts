/**
 * Mappings that outlive their descriptor (L7). With passthrough a mapping is of the backing file and does not
 * delay RELEASE, so when the last descriptor of a leased file goes, its owners' /proc/PID/maps say whether
 * a mapping is left, and inotify on the backing file says when to look again.
 */
import type { Input, LeaseRules, Mapping } from '../../lease/index.js'
import { Errno } from '../../lib/errno.js'
import type { FileId, ProcessKey } from '../../lib/ids.js'
import * as c from '../../linux/constants.js'
import { check, LinuxError } from '../../linux/error.js'
import { procFd, statFd } from '../../linux/files.js'
import { cstr } from '../../linux/libc.js'
import { readMappings } from '../../linux/processes.js'
import * as raw from '../../linux/raw.js'
import type { FileNode } from '../../passthrough/gate.js'

/** Whose leases are watched over: the part of the lease service that is needed for it. */
export interface LeaseKeeper {
  readonly rules: Pick<LeaseRules, 'leasesOf'>
  readonly processes: { pidOf(process: ProcessKey): number | null }
  takeExits(): void
  step(input: Input): unknown
}

export class MappingWatch {
  readonly #service: LeaseKeeper
  readonly #inotify = check(raw.inotifyInit1(c.IN_CLOEXEC | c.IN_NONBLOCK), 'inotify_init1')
  readonly #watches = new Map<FileId, { descriptor: number; node: FileNode }>()
  readonly #files = new Map<number, FileId>()
  readonly #buffer = Buffer.alloc(65536)

  constructor(service: LeaseKeeper) {
    this.#service = service
  }

  /** Readable when some mapping may have gone: call `changed` then. */
  get fd(): number {
    return this.#inotify
  }

  /**
   * What the owners of this file's leases map of it now. The watch is set before looking, so that a mapping
   * that goes meanwhile is not missed.
   */
  watch(id: FileId, node: FileNode): Mapping[] {
    if (!this.#watches.has(id)) {
      const mask = c.IN_CLOSE_WRITE | c.IN_CLOSE_NOWRITE
      const descriptor = raw.inotifyAddWatch(this.#inotify, cstr(procFd(node.backingFd())), mask)
      if (descriptor >= 0) {
        this.#watches.set(id, { descriptor, node })
        this.#files.set(descriptor, id)
      }
    }
    return this.#look(id, node)
  }

  #look(id: FileId, node: FileNode): Mapping[] {
    const owners = new Set<ProcessKey>()
    for (const lease of this.#service.rules.leasesOf(id)) {
      for (const owner of lease.owners) owners.add(owner)
    }
    const ino = inodeOf(node)
    if (ino === null) return []
    const mappings: Mapping[] = []
    for (const process of owners) {
      const pid = this.#service.processes.pidOf(process)
      if (pid === null) continue
      for (const mapping of readMappings(pid)) {
        // The device is not compared: btrfs shows another one here than stat(2) does. A foreign file with
        // the same inode number keeps a lease a little longer; it never ends one too early.
        if (mapping.ino === ino) mappings.push({ process, range: { start: mapping.start, end: mapping.end } })
      }
    }
    return mappings
  }

  /** Stops watching where no lease without a descriptor is left. */
  settle(id: FileId): void {
    for (const lease of this.#service.rules.leasesOf(id)) {
      if (lease.ofd === null) return
    }
    this.forget(id)
  }

  forget(id: FileId): void {
    const watch = this.#watches.get(id)
    if (watch === undefined) return
    this.#watches.delete(id)
    this.#files.delete(watch.descriptor)
    raw.inotifyRmWatch(this.#inotify, watch.descriptor)
  }

  /** Takes in what inotify has to say. */
  changed(): void {
    const touched = new Set<FileId>()
    for (;;) {
      const length = raw.read(this.#inotify, this.#buffer, this.#buffer.length)
      if (length === -Errno.EAGAIN || length === -Errno.EINTR || length <= 0) break
      for (let offset = 0; offset + 16 <= length; ) {
        const descriptor = this.#buffer.readInt32LE(offset)
        const id = this.#files.get(descriptor)
        if (id !== undefined) touched.add(id)
        // The kernel's queue was full: anything may have happened.
        if (descriptor < 0) for (const each of this.#watches.keys()) touched.add(each)
        offset += 16 + this.#buffer.readUInt32LE(offset + 12)
      }
    }
    for (const id of touched) {
      const watch = this.#watches.get(id)
      if (watch === undefined) continue
      this.#service.takeExits()
      this.#service.step({ kind: 'mappings-changed', file: id, mappings: this.#look(id, watch.node) })
      this.settle(id)
    }
  }
}

/** null if the backing file cannot even be looked at: then no mapping of it can be told from others. */
function inodeOf(node: FileNode): bigint | null {
  try {
    return statFd(node.backingFd()).ino
  } catch (error) {
    if (error instanceof LinuxError) return null
    throw error
  }
}
