/**
 * L10: what is done to leased files past the mount, where the kernel tells. A file is watched for as long as there is a
 * lease on it. The kernel says that something was changed, not what: so the file is looked at, and compared with how it
 * was. What goes through the mount shows up here too: it is told apart by taking nothing away (writing in place), or
 * by being announced (`begin`, `end`).
 */
import { rangeLength } from '../../control/formats/abi.js'
import type { EventRecord, OffenderRecord, ProcessRecord } from '../../control/formats/records.js'
import type { LeaseInfo, LeaseRules } from '../../lease/index.js'
import { Errno } from '../../lib/errno.js'
import type { FileId } from '../../lib/ids.js'
import { overlaps, WHOLE_FILE } from '../../lib/range.js'
import { F_DUPFD_CLOEXEC } from '../../linux/constants.js'
import { LinuxError } from '../../linux/error.js'
import { type Extents, extentsOf } from '../../linux/extents.js'
import { type FileChange, FileChanges } from '../../linux/file-changes.js'
import * as raw from '../../linux/raw.js'
import type { FileNode } from '../../passthrough/gate.js'
import { timestamp } from './event-records.js'
import {
  compareExtents,
  compareSize,
  type Finding,
  judgeName,
  lookAt,
  type Snapshot,
} from './layout-snapshot.js'
import type { ProcessTable } from './processes.js'

/** Whose leases are watched over: the part of the lease service that is needed for it. */
export interface BypassHost {
  readonly rules: Pick<LeaseRules, 'leasesOf'>
  readonly files: ReadonlyMap<FileId, { readonly node: FileNode }>
  readonly processes: Pick<ProcessTable, 'identify'>
  publish(event: EventRecord, lease: LeaseInfo | null): void
}

/** After a look the kernel collects what comes for this long, and makes one event of many. */
const REST_MIN_MS = 20
/** And for so many times as long as looking took: it never takes more than a twentieth of the engine's time. */
const REST_FACTOR = 20
/** Looking stops here for one turn of the loop, so that requests do not wait for it. */
const LOOK_BUDGET_MS = 2
/** Files whose extents are read at one time: one of them may wait long, for a write that waits for something else. */
const READ_COUNT_MAX = 4
/** Processes that are known to have written to a file without harm, at most. */
const WRITER_COUNT_MAX = 8

interface Watch {
  snapshot: Snapshot
  /** Raised by each change through the mount: extents that were read across one are neither of before nor of after. */
  version: number
  isReading: boolean
  /** Told already, until the name leads to the file again. */
  isNameLost: boolean
  /** Who has written to it before and took nothing away: hardly whom to blame. */
  readonly writers: Set<number>
}

/** What is to be looked at, and who may have done it. */
interface Touch {
  isData: boolean
  readonly pids: Set<number>
  /** Some of them live for less than a millisecond: read when the event was. */
  readonly processes: Map<number, ProcessRecord>
}

export class BypassWatch {
  readonly #host: BypassHost
  readonly #nowMs: () => number
  readonly #changes: FileChanges<FileId>
  readonly #watches = new Map<FileId, Watch>()
  /** Files whose layout is being changed through the mount, and by how many. */
  readonly #underWay = new Map<FileId, number>()
  readonly #touched = new Map<FileId, Touch>()
  /** Leased files that the kernel does not watch for us. */
  readonly #unwatched = new Set<FileId>()
  #isLimitTold = false
  #isListening = true
  #restUntilMs = 0
  #tookMs = 0
  #readCount = 0
  /** Called when `fd` is to be waited for again. Between `take` and this, it is not. */
  onListen: () => void = () => {}
  /**
   * Reads where a file has blocks, of a descriptor that it closes. That waits for whoever writes to the file, which
   * may be somebody who waits for this very engine: the engine has it done in an io thread.
   */
  readExtents: (fd: number, size: number, done: (extents: Extents | null, durationMs: number) => void) => void

  constructor(host: BypassHost, changes = new FileChanges<FileId>(), nowMs = () => performance.now()) {
    this.#host = host
    this.#changes = changes
    this.#nowMs = nowMs
    this.readExtents = (fd, size, done) => done(extentsOf(fd, size), 0)
  }

  /** Readable when something was changed: call `take` then. */
  get fd(): number {
    return this.#changes.fd
  }

  get watchedCount(): number {
    return this.#watches.size
  }

  get unwatchedCount(): number {
    return this.#unwatched.size
  }

  /** Begins to watch the file of a lease that was just granted, if it is not watched. */
  watch(lease: LeaseInfo): void {
    const id = lease.file
    const file = this.#host.files.get(id)
    if (file === undefined || this.#watches.has(id) || this.#unwatched.has(id)) return
    // In this order: what happens in between is told, and found to have changed nothing.
    const errno = this.#start(id, file.node)
    const seen = errno === 0 ? lookAt(file.node) : null
    if (seen === null) {
      if (errno === 0) this.#stop(id, file.node)
      this.#unwatched.add(id)
    } else {
      const snapshot = { ...seen, extents: null }
      const watch = { snapshot, version: 0, isReading: false, isNameLost: false, writers: new Set<number>() }
      this.#watches.set(id, watch)
      this.#read(id, watch, file.node, null)
    }
    if (errno === -Errno.ENOSPC || errno === -Errno.EMFILE) this.#tellLimit(lease)
  }

  #start(id: FileId, node: FileNode): number {
    try {
      return this.#changes.watch(id, node.backingFd())
    } catch (error) {
      if (error instanceof LinuxError) return -error.errno
      throw error
    }
  }

  /** Once, and again only after most of the watches have gone. */
  #tellLimit(lease: LeaseInfo): void {
    if (this.#isLimitTold) return
    this.#isLimitTold = true
    const reason = `the kernel watches no more than ${this.#watches.size} files for this user: what happens to other leased files past the mount is not told`
    this.#host.publish({ time: timestamp(), event: 'lost', reason }, lease)
  }

  /** The last lease of this file has gone. The node must still be held. */
  forget(id: FileId): void {
    this.#unwatched.delete(id)
    this.#touched.delete(id)
    if (!this.#watches.delete(id)) return
    if (this.#watches.size * 2 < this.#unwatched.size) this.#isLimitTold = false
    const file = this.#host.files.get(id)
    if (file !== undefined) this.#stop(id, file.node)
  }

  #stop(id: FileId, node: FileNode): void {
    try {
      this.#changes.unwatch(id, node.backingFd())
    } catch (error) {
      // The file cannot be reached any more; the watch goes with the inode.
      if (!(error instanceof LinuxError)) throw error
    }
  }

  /** A layout change that the rules have allowed begins: what it takes away is no bypass, what is gone already is one. */
  begin(id: FileId): void {
    const touch = this.#touched.get(id)
    this.#touched.delete(id)
    this.#look(id, touch ?? { isData: false, pids: new Set(), processes: new Map() })
    this.#underWay.set(id, (this.#underWay.get(id) ?? 0) + 1)
  }

  /** It has happened, or has failed: the file is as it should be. */
  end(id: FileId): void {
    const count = (this.#underWay.get(id) ?? 1) - 1
    if (count > 0) this.#underWay.set(id, count)
    else this.#underWay.delete(id)
    const watch = this.#watches.get(id)
    const node = this.#host.files.get(id)?.node
    if (watch === undefined || node === undefined) return
    watch.version++
    watch.snapshot = { ...(lookAt(node) ?? watch.snapshot), extents: null }
    if (count <= 0) this.#read(id, watch, node, null)
  }

  /** Takes in what the kernel has to say. `fd` need not be waited for from here on, until `onListen`. */
  take(): void {
    this.#isListening = false
    const start = this.#nowMs()
    const isWhole = this.#changes.read((change) => this.#note(change))
    if (!isWhole) for (const id of this.#watches.keys()) this.#touch(id).isData = true
    this.#tookMs = this.#nowMs() - start
    this.turn()
  }

  #touch(id: FileId): Touch {
    let touch = this.#touched.get(id)
    if (touch === undefined) {
      touch = { isData: false, pids: new Set(), processes: new Map() }
      this.#touched.set(id, touch)
    }
    return touch
  }

  #note({ id, pid, isData }: FileChange<FileId>): void {
    const touch = this.#touch(id)
    touch.isData ||= isData
    if (pid === null || pid === process.pid || touch.pids.has(pid)) return
    touch.pids.add(pid)
    if (this.#watches.get(id)?.writers.has(pid) === true || touch.processes.size >= WRITER_COUNT_MAX) return
    const caller = this.#host.processes.identify(pid)
    if (caller !== null) touch.processes.set(pid, { pid: caller.pid, command: caller.command })
  }

  /** Milliseconds until `turn` is due; -1 for never. */
  timeoutMs(): number {
    if (this.#isListening && this.#touched.size === 0) return -1
    return Math.max(0, Math.ceil(this.#restUntilMs - this.#nowMs()))
  }

  /** Goes on with what is to be looked at. Call it in each turn of the loop. */
  turn(): void {
    if (this.#isListening && this.#touched.size === 0) return
    const start = this.#nowMs()
    if (start < this.#restUntilMs) return
    if (this.#touched.size > 0) {
      this.#lookAtTouched(start)
      if (this.#nowMs() < this.#restUntilMs || this.#touched.size > 0) return
    }
    if (this.#isListening) return
    this.#isListening = true
    this.onListen()
  }

  #lookAtTouched(start: number): void {
    let now = start
    const later: [FileId, Touch][] = []
    for (const [id, touch] of this.#touched) {
      if (now - start > LOOK_BUDGET_MS) break
      this.#touched.delete(id)
      if (!this.#look(id, touch)) later.push([id, touch])
      now = this.#nowMs()
    }
    this.#tookMs += now - start
    const isDone = this.#touched.size === 0
    for (const [id, touch] of later) this.#touched.set(id, touch)
    // Else there is more to do in the next turn.
    if (!isDone) return
    this.#rest(now, Math.max(REST_MIN_MS, REST_FACTOR * this.#tookMs))
    this.#tookMs = 0
  }

  #rest(now: number, forMs: number): void {
    this.#restUntilMs = Math.max(this.#restUntilMs, now + forMs)
  }

  /** @returns false if it is to be looked at again. */
  #look(id: FileId, touch: Touch): boolean {
    const watch = this.#watches.get(id)
    const node = this.#host.files.get(id)?.node
    if (watch === undefined || node === undefined || this.#underWay.has(id)) return true
    const before = watch.snapshot
    const seen = lookAt(node)
    if (seen === null) return true
    watch.snapshot = { ...seen, extents: before.extents }
    const cut = compareSize(before, seen)
    if (cut !== null) this.#tell(id, cut, blame(touch, watch.writers))
    const leads = node.nameLeads()
    const name = judgeName(leads, before, seen)
    if (name !== null && !watch.isNameLost) this.#tell(id, name, blame(touch, watch.writers))
    // What is being moved may be lost as before.
    if (leads !== 'moving') watch.isNameLost = name !== null
    if (!touch.isData) return leads !== 'moving'
    if (watch.isReading || this.#readCount >= READ_COUNT_MAX) return false
    this.#read(id, watch, node, touch)
    return leads !== 'moving'
  }

  /** @param touch what made it worth reading; null if what is read is only to be remembered. */
  #read(id: FileId, watch: Watch, node: FileNode, touch: Touch | null): void {
    if (watch.isReading) return
    const fd = duplicate(node)
    if (fd < 0) return
    const { version, snapshot } = watch
    watch.isReading = true
    this.#readCount++
    this.readExtents(fd, snapshot.size, (extents, durationMs) => {
      watch.isReading = false
      this.#readCount--
      this.#rest(this.#nowMs(), REST_FACTOR * durationMs)
      if (this.#watches.get(id) !== watch || this.#underWay.has(id)) return
      if (watch.version !== version) {
        this.#read(id, watch, node, null)
        return
      }
      const { size, extents: before } = watch.snapshot
      const findings = compareExtents(before, extents, Math.min(size, snapshot.size))
      watch.snapshot = { ...watch.snapshot, extents }
      if (touch === null) return
      for (const finding of findings) this.#tell(id, finding, blame(touch, watch.writers))
      if (findings.length === 0) noteWriters(touch, watch.writers)
    })
  }

  /** Whoever has a lease on what was taken hears of it, lease by lease. */
  #tell(id: FileId, { operation, ranges, reason }: Finding, by: ProcessRecord): void {
    const hull = ranges === null ? WHOLE_FILE : { start: ranges[0]?.start ?? 0, end: ranges.at(-1)?.end ?? 0 }
    const offender: OffenderRecord = { ...by, operation, start: hull.start, length: rangeLength(hull) }
    const event = { time: timestamp(), event: 'bypassed', reason, offender }
    for (const lease of [...this.#host.rules.leasesOf(id)]) {
      if (lease.state === 'revoked') continue
      const isMeant = ranges?.some((range) => overlaps(range, lease.range)) ?? true
      if (isMeant) this.#host.publish(event, lease)
    }
  }

  close(): void {
    this.#changes.close()
  }
}

/** A descriptor of its own for a reading that may go on when the lease has gone. */
function duplicate(node: FileNode): number {
  try {
    return raw.fcntl(node.backingFd(), F_DUPFD_CLOEXEC, 0)
  } catch (error) {
    if (error instanceof LinuxError) return -error.errno
    throw error
  }
}

const UNKNOWN: ProcessRecord = { pid: 0, command: '?' }

/** Of those who touched a file since it was looked at last: the one that is left without its usual writers. */
function blame({ pids, processes }: Touch, writers: ReadonlySet<number>): ProcessRecord {
  const strangers = [...pids].filter((pid) => !writers.has(pid))
  const suspects = strangers.length > 0 ? strangers : [...pids]
  const [pid] = suspects
  if (pid === undefined || suspects.length > 1) return UNKNOWN
  return processes.get(pid) ?? { pid, command: '?' }
}

function noteWriters({ pids }: Touch, writers: Set<number>): void {
  for (const pid of pids) {
    writers.delete(pid)
    writers.add(pid)
  }
  for (const oldest of writers) {
    if (writers.size <= WRITER_COUNT_MAX) return
    writers.delete(oldest)
  }
}
