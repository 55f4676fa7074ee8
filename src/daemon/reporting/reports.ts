/** What the control directory shows of an engine: a ControlSource over its lease service and its mounts. */

import type { CommandResult, ControlCommand, ControlSource, Credentials } from '../../control/control-fs.js'
import { rangeLength } from '../../control/formats/abi.js'
import { formatMetrics } from '../../control/formats/metrics.js'
import {
  formatLeases,
  type LeaseRecord,
  type MountRecord,
  type PinRecord,
  type WaitingRecord,
} from '../../control/formats/records.js'
import type { Answer, IoctlArgs, IoctlReply, RequestInfo } from '../../fuse/api.js'
import type { LeaseInfo, PinInfo } from '../../lease/index.js'
import type { ContextId } from '../../lib/ids.js'
import { LinuxError } from '../../linux/error.js'
import { statFd } from '../../linux/files.js'
import { listDescriptors, readDescriptor, readDescriptorPath } from '../../linux/processes.js'
import type { Statx } from '../../linux/stat.js'
import { filePath, formatHolder, formatOffender, pathText, timestamp } from '../leasing/event-records.js'
import type { Ioctls } from '../leasing/ioctls.js'
import type { LeaseService, ProtectedFile, WaitingOperation } from '../leasing/lease-service.js'
import { maySeeLease, maySeePin, maySeeWaiting } from '../leasing/visibility.js'
import { collectMetrics, type Served } from './metrics.js'

/** What the engine itself adds to its reports. */
export interface EngineView {
  readonly version: string
  readonly ioctls: Ioctls
  mounts(): Iterable<MountRecord>
  /** `key value` lines of the control file `version` beside those that are the same everywhere. */
  facts(): readonly (readonly [string, string | number])[]
  /** mnt_id of the control mount: descriptors of pin contexts are found by it. */
  controlMountId(): number
  /** Requests served on the data mounts. */
  served(): Served
  command(command: ControlCommand, done: (result: CommandResult) => void): null | (() => void)
}

export class Reports implements ControlSource {
  readonly #service: LeaseService
  readonly #engine: EngineView

  constructor(service: LeaseService, engine: EngineView) {
    this.#service = service
    this.#engine = engine
  }

  get events() {
    return this.#service.events
  }

  now(): string {
    return timestamp()
  }

  version(): string {
    const lines = this.#engine.facts().map(([key, value]) => `${key} ${value}\n`)
    return `holdfast ${this.#engine.version}\n${lines.join('')}`
  }

  *leases(uid: number): Iterable<string> {
    this.#service.takeExits()
    const seen = [...this.#service.rules.leases()].filter((lease) => maySeeLease(this.#service, uid, lease))
    yield formatLeases(seen.map((lease) => this.#leaseRecord(lease)))
  }

  *report(uid: number): Iterable<string> {
    this.#service.takeExits()
    for (const mount of this.#engine.mounts()) yield `${JSON.stringify(mount)}\n`
    for (const lease of this.#service.rules.leases()) {
      if (maySeeLease(this.#service, uid, lease)) yield `${JSON.stringify(this.#leaseRecord(lease))}\n`
    }
    for (const pin of this.#service.rules.pins()) {
      if (maySeePin(this.#service, uid, pin)) yield `${JSON.stringify(this.#pinRecord(pin))}\n`
    }
    for (const waiting of this.#service.waitingOperations()) {
      if (maySeeWaiting(this.#service, uid, waiting))
        yield `${JSON.stringify(this.#waitingRecord(waiting))}\n`
    }
  }

  #leaseRecord(lease: LeaseInfo): LeaseRecord {
    const file = this.#service.files.get(lease.file)
    const stat = file === undefined ? null : tryStat(file)
    const now = this.#service.now()
    const refusals = this.#service.refusals.get(lease.id)
    return {
      type: 'lease',
      id: lease.id,
      ...pathText(filePath(lease.file, this.#service)),
      mountpoint: mountpointText(file),
      device: stat === null ? '?' : `${stat.devMajor}:${stat.devMinor}`,
      inode: stat === null ? '?' : String(stat.ino),
      start: lease.range.start,
      length: rangeLength(lease.range),
      mode: lease.mode,
      level: lease.level,
      state: lease.state,
      notifyOnly: lease.notifyOnly,
      pins: lease.pinCount,
      ageMs: Math.round(now - lease.takenAt),
      ...(lease.deadline === null ? {} : { breakTimeLeftMs: Math.max(0, Math.ceil(lease.deadline - now)) }),
      uid: lease.user,
      owners: lease.owners.map((owner) => this.#service.processes.describe(owner)),
      ...(refusals === undefined
        ? {}
        : { refused: { ...refusals, last: formatOffender(refusals.last, this.#service) } }),
    }
  }

  #waitingRecord({ file, since, process, operation, range }: WaitingOperation): WaitingRecord {
    const known = this.#service.files.get(file)
    return {
      type: 'waiting',
      ...pathText(filePath(file, this.#service)),
      mountpoint: mountpointText(known),
      inode: inodeText(known),
      ...formatOffender({ process, operation, range, errno: 0 }, this.#service),
      ageMs: Math.round(this.#service.now() - since),
    }
  }

  #pinRecord(pin: PinInfo): PinRecord {
    return {
      type: 'pin',
      id: pin.id,
      lease: pin.lease,
      ...pathText(filePath(pin.file, this.#service)),
      mountpoint: mountpointText(this.#service.files.get(pin.file)),
      start: pin.range.start,
      length: rangeLength(pin.range),
      count: pin.count,
      uid: pin.user,
      holder: formatHolder(pin.holder, this.#service),
    }
  }

  *pinnedPids(uid: number): Iterable<number> {
    const seen = new Set<number>()
    for (const pin of this.#service.rules.pins()) {
      if (!maySeePin(this.#service, uid, pin)) continue
      const { holder } = pin
      const pid =
        holder.kind === 'process'
          ? this.#service.processes.pidOf(holder.process)
          : this.#service.contexts.get(holder.context)?.pid
      if (pid === null || pid === undefined || seen.has(pid)) continue
      seen.add(pid)
      yield pid
    }
  }

  pinsOf(pid: number, uid: number): string | null {
    this.#service.takeExits()
    const own: string[] = []
    const byContext = new Map<number, string[]>()
    for (const pin of this.#service.rules.pins()) {
      if (!maySeePin(this.#service, uid, pin)) continue
      const { file } = pathText(filePath(pin.file, this.#service))
      if (pin.holder.kind === 'process') {
        if (this.#service.processes.pidOf(pin.holder.process) === pid) own.push(`${file}\n`)
      } else {
        const files = byContext.get(pin.holder.context) ?? []
        files.push(`\t${file}\n`)
        byContext.set(pin.holder.context, files)
      }
    }
    const lines = byContext.size === 0 ? [] : this.#contextLines(pid, byContext)
    return own.length + lines.length === 0 ? null : [...lines, ...own].join('')
  }

  /** Every open of `pinctx` is an inode of its own, so fdinfo says which context a descriptor is. */
  #contextLines(pid: number, byContext: ReadonlyMap<number, readonly string[]>): string[] {
    const lines: string[] = []
    for (const fd of listDescriptors(pid)) {
      const descriptor = readDescriptor(pid, fd)
      if (descriptor?.mountId !== this.#engine.controlMountId()) continue
      const files = byContext.get(Number(descriptor.ino))
      if (files === undefined) continue
      const { file } = pathText(readDescriptorPath(pid, fd) ?? Buffer.from('pinctx'))
      lines.push(`${fd}: ${file}\n`, ...files)
    }
    return lines
  }

  contextOpened(context: number, request: RequestInfo): void {
    const caller = this.#service.processes.identify(request.pid)
    this.#service.contexts.set(context, { pid: caller?.pid ?? 0, command: caller?.command ?? '?' })
  }

  contextClosed(context: number): void {
    this.#service.step({ kind: 'context-closed', context: context as ContextId })
    this.#service.contexts.delete(context)
  }

  contextIoctl(context: number, request: RequestInfo, args: IoctlArgs): Answer<IoctlReply> {
    return this.#engine.ioctls.onContext(request, context as ContextId, args)
  }

  metrics(): string {
    this.#service.takeExits()
    return formatMetrics(collectMetrics(this.#service, this.#engine.served(), this.#engine.version))
  }

  /** Of one whose process cannot be seen only the user is known. */
  credentialsOf(request: RequestInfo): Credentials {
    const caller = this.#service.processes.identify(request.pid)
    if (caller !== null) return { ...caller.credentials, uid: request.uid }
    return { uid: request.uid, realUid: request.uid, mayKillAll: false }
  }

  command(command: ControlCommand, done: (result: CommandResult) => void): null | (() => void) {
    return this.#engine.command(command, done)
  }
}

/** One file that cannot be looked at must not keep the others out of a report. */
function tryStat(file: ProtectedFile): Statx | null {
  try {
    return statFd(file.node.backingFd())
  } catch (error) {
    if (error instanceof LinuxError) return null
    throw error
  }
}

function inodeText(file: ProtectedFile | undefined): string {
  const stat = file === undefined ? null : tryStat(file)
  return stat === null ? '?' : String(stat.ino)
}

/** As the MountRecord of the mount has it. */
function mountpointText(file: ProtectedFile | undefined): string {
  return file === undefined ? '?' : pathText(file.mountpoint()).file
}
