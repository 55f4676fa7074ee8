/** What the control files tell of an engine and its mounts. */
import type { MountRecord } from '../../control/formats/records.js'
import type { LeaseInfo } from '../../lease/index.js'
import type { CacheMode } from '../../passthrough/index.js'
import { pathText } from '../leasing/event-records.js'
import type { LeaseService } from '../leasing/lease-service.js'
import type { DataMount } from '../mounts/data-mount.js'

export interface EngineState {
  readonly kind: 'run' | 'mount'
  readonly cache: CacheMode
  /** The control directory. */
  readonly control: string
  readonly service: LeaseService
  readonly mounts: readonly DataMount[]
  /** Jobs that io threads have not answered. */
  readonly jobCount: number
  /** 0 for none. */
  readonly supervisorPid: number
  /** It goes with its last lease. */
  readonly isStopping: boolean
  /** Its mounts have been taken away. */
  readonly isEnding: boolean
}

/** The lines of `version`. */
export function engineFacts(engine: EngineState): [string, string | number][] {
  const facts: [string, string | number][] = [
    ['abi', 1],
    ['engine', process.pid],
    ['supervisor', engine.supervisorPid],
    ['kind', engine.kind],
    ['stopping', engine.isStopping ? 'yes' : 'no'],
    ['break-time', engine.service.policy.breakTimeMs],
    ['on-timeout', engine.service.policy.onTimeout],
    ['cache', engine.cache],
  ]
  for (const mount of engine.mounts) {
    const negotiated = mount.session.negotiated
    facts.push(['mount', pathText(mount.mountpoint).file])
    facts.push(['fuse', negotiated === null ? 'not started' : `7.${negotiated.minor}`])
    facts.push(['passthrough', mount.fileSystem.isPassthrough ? 'yes' : 'no'])
    facts.push(['features', [...mount.fileSystem.features].join(' ')])
  }
  return facts
}

/** How much is in tables that must not grow for ever. */
export function engineTables({ mounts, service, jobCount }: EngineState): [string, number][] {
  const sum = (count: (mount: DataMount) => number) => mounts.reduce((all, each) => all + count(each), 0)
  return [
    ['open-files', sum(({ fileSystem }) => fileSystem.openCount)],
    ['requests', sum(({ session }) => session.pendingCount)],
    ['io-jobs', jobCount],
    ['event-readers', service.events.readerCount],
    ['pin-contexts', service.contexts.size],
    ['watched-processes', service.processes.watchedCount],
  ]
}

export function inodeCount(mounts: readonly DataMount[]): number {
  let count = 0
  for (const { fileSystem } of mounts) count += fileSystem.inodeCount
  return count
}

export function leasesOn(mount: DataMount, service: LeaseService): LeaseInfo[] {
  const files = [...service.files.values()].filter(
    ({ node }) => mount.fileSystem.nodeOf(node.nodeid) === node,
  )
  return files.flatMap(({ id }) => [...service.rules.leasesOf(id)])
}

export function* mountRecords(engine: EngineState): Iterable<MountRecord> {
  for (const mount of engine.mounts) {
    // A mount namespace that was copied from ours may keep it alive; here it is gone.
    if (mount.isGone || engine.isEnding) continue
    const { file, fileBase64 } = pathText(mount.mountpoint)
    const leases = leasesOn(mount, engine.service)
    yield {
      type: 'mount',
      mountpoint: file,
      ...(fileBase64 === undefined ? {} : { mountpointBase64: fileBase64 }),
      control: engine.control,
      kind: engine.kind,
      backing: mount.backingType,
      passthrough: mount.fileSystem.isPassthrough,
      cache: engine.cache,
      features: [...mount.fileSystem.features],
      engine: { pid: process.pid, command: 'holdfast' },
      leases: leases.length,
      pins: leases.reduce((sum, lease) => sum + lease.pinCount, 0),
    }
  }
}
