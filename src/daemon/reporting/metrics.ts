/** What `metrics` says of an engine. Numbers only, of everybody together: whoever may read it learns no name. */
import type { MetricFamily, MetricSample } from '../../control/formats/metrics.js'
import type { LeaseService } from '../leasing/lease-service.js'

const STATES = ['active', 'breaking', 'zombie', 'revoked'] as const
const LEVELS = ['normal', 'exclusive'] as const

/** What the data mounts have to do. */
export interface Served {
  readonly requests: number
  readonly inodes: number
  /** Entries of other tables of the engine, by name. */
  readonly tables: readonly (readonly [string, number])[]
}

export function collectMetrics(service: LeaseService, served: Served, version: string): MetricFamily[] {
  const { rules, counts } = service
  const memory = process.memoryUsage()
  const leases = countLeases(service)
  let changesWaiting = 0
  let requestsWaiting = 0
  for (const { operation } of service.waitingOperations()) {
    if (operation === 'lease') requestsWaiting++
    else changesWaiting++
  }
  const single = (value: number): MetricSample[] => [{ value }]
  return [
    gauge('holdfast_build_info', 'Always 1; the version is the label.', [{ labels: { version }, value: 1 }]),
    gauge('holdfast_leases', 'Leases there are, by state and level.', leases.samples),
    gauge('holdfast_pins', 'Pins there are; one that was made twice counts once.', single(rules.pinCount)),
    gauge('holdfast_files', 'Files with a lease or a pin.', single(service.files.size)),
    gauge('holdfast_watched_files', 'Leased files by whether changes past the mount can be told.', [
      { labels: { watched: 'yes' }, value: service.bypasses.watchedCount },
      { labels: { watched: 'no' }, value: service.bypasses.unwatchedCount },
    ]),
    gauge('holdfast_breaks', 'Breaks under way.', single(leases.breaking)),
    gauge('holdfast_waiting_requests', 'Requests that wait for leases to be given up.', [
      { labels: { kind: 'change' }, value: changesWaiting },
      { labels: { kind: 'lease' }, value: requestsWaiting },
    ]),
    counter(
      'holdfast_events_total',
      'Events by kind, whether or not somebody read them.',
      [...counts.events].map(([kind, value]) => ({ labels: { kind }, value })),
    ),
    counter(
      'holdfast_refused_total',
      'Changes that an exclusive lease or a pin refused, once for each such lease.',
      single(counts.events.get('refused') ?? 0),
    ),
    counter('holdfast_signals_total', 'Signals to owners; withheld: their registrant may not send them.', [
      { labels: { outcome: 'sent' }, value: counts.signalsSent },
      { labels: { outcome: 'withheld' }, value: counts.signalsWithheld },
    ]),
    counter('holdfast_kills_total', 'Owners killed, at a deadline or by command.', single(counts.kills)),
    counter('holdfast_requests_total', 'FUSE requests served on the data mounts.', single(served.requests)),
    gauge(
      'holdfast_inodes',
      'Files and directories of the data mounts that the kernel remembers.',
      single(served.inodes),
    ),
    gauge(
      'holdfast_table_entries',
      'What else the engine keeps in mind, by table.',
      served.tables.map(([table, value]) => ({ labels: { table }, value })),
    ),
    gauge(
      'holdfast_memory_bytes',
      'Memory of the engine: all that is resident, and what JavaScript has of it.',
      [
        { labels: { kind: 'resident' }, value: memory.rss },
        { labels: { kind: 'heap' }, value: memory.heapUsed },
        { labels: { kind: 'external' }, value: memory.external },
      ],
    ),
  ]
}

function countLeases({ rules }: LeaseService): { samples: MetricSample[]; breaking: number } {
  const counted = new Map<string, number>()
  for (const { state, level } of rules.leases()) {
    const key = `${state} ${level}`
    counted.set(key, (counted.get(key) ?? 0) + 1)
  }
  const samples = STATES.flatMap((state) =>
    LEVELS.map((level) => ({ labels: { state, level }, value: counted.get(`${state} ${level}`) ?? 0 })),
  )
  const breaking = samples.filter(({ labels }) => labels.state === 'breaking')
  return { samples, breaking: breaking.reduce((sum, { value }) => sum + value, 0) }
}

function gauge(name: string, help: string, samples: readonly MetricSample[]): MetricFamily {
  return { name, help, type: 'gauge', samples }
}

function counter(name: string, help: string, samples: readonly MetricSample[]): MetricFamily {
  return { name, help, type: 'counter', samples }
}
