/**
 * A state of the model as a text. Numbers that tell when something was made are put by names, or by places in an
 * order that is the same whatever happened before; times are counted from now.
 */
import type { LeaseSnapshot, PinInfo, WaiterSnapshot } from '../../lease/index.js'
import type { Kernel } from './kernel.js'
import type { Call, Description, KernelLock, ModelFile, ModelProcess } from './things.js'

export function stateKeyOf(kernel: Kernel): string {
  return new StateKey(kernel).text()
}

class StateKey {
  readonly #kernel: Kernel
  readonly #descriptions = new Map<number, number>()
  readonly #leases = new Map<number, string>()

  constructor(kernel: Kernel) {
    this.#kernel = kernel
    const processes = this.#processes()
    for (const process of processes) {
      for (const [, description] of byName(process.descriptors)) this.#number(description.id)
      for (const [, { keeps }] of byName(process.mappings)) if (keeps !== null) this.#number(keeps.id)
    }
  }

  text(): string {
    const { holdfast, files } = this.#kernel
    const { leases, pins, waiting, watches } = holdfast.rules.snapshot()
    const named = new Map([...this.#kernel.leaseIds].map(([name, id]) => [id, name]))
    for (const { id } of leases) this.#leases.set(id, named.get(id) ?? `#${this.#leases.size}`)
    return [
      ...this.#processes().map((process) => this.#process(process)),
      ...byName(files).map(([, file]) => this.#file(file)),
      ...leases.map((lease) => this.#lease(lease)).sort(),
      ...pins.map((pin) => this.#pin(pin)).sort(),
      ...waiting.map((waiter) => this.#waiter(waiter)),
      ...watches
        .map(
          ({ ofd, request }) =>
            `${this.#numberOf(ofd)}?${request === null ? '' : this.#waiter({ ...request, process: null })}`,
        )
        .sort(),
      this.#pinNames(pins),
    ].join('\n')
  }

  #processes(): ModelProcess[] {
    return byName(this.#kernel.processes).map(([, process]) => process)
  }

  #number(id: number): void {
    if (!this.#descriptions.has(id)) this.#descriptions.set(id, this.#descriptions.size)
  }

  #numberOf(id: number | null): number | null {
    return id === null ? null : (this.#descriptions.get(id) ?? null)
  }

  #process(process: ModelProcess): string {
    if (process.state === 'dead') return `${process.name} dead`
    const { name, user, state, isDoomed, parent, pending, call } = process
    const fds = byName(process.descriptors).map(([fd, to]) => `${fd}=${this.#description(to)}`)
    const maps = byName(process.mappings).map(
      ([as, { file, range, keeps }]) =>
        `${as}@${file.name}${range.start}-${range.end}:${this.#numberOf(keeps?.id ?? null)}`,
    )
    const parentName = parent === null || parent.state === 'dead' ? '' : parent.name
    const signals = pending.map(({ signal, value }) => `${signal}${value}`)
    return [name, user, state, isDoomed, parentName, ...fds, ...maps, ...signals, this.#call(call)].join(' ')
  }

  #description(description: Description): string {
    const place = this.#numberOf(description.id)
    if (description.kind === 'context') return `c${place}`
    const { file, canRead, canWrite, isNonBlocking, isPast } = description
    return `${place}${file.name}${Number(canRead)}${Number(canWrite)}${Number(isNonBlocking)}${Number(isPast)}`
  }

  #call(call: Call | null): string {
    if (call === null) return ''
    const outcome = call.outcome === null ? '' : JSON.stringify(call.outcome)
    return `${call.place}${JSON.stringify(call.action)}${outcome}`
  }

  #file({ name, owner, mode, isLinked, bytes, inodeLock, directoryLock }: ModelFile): string {
    const data = bytes.data.map(({ start, end }) => `${start}-${end}`)
    return [
      name,
      owner,
      mode,
      isLinked,
      bytes.sizeBytes,
      ...data,
      lockText(inodeLock),
      lockText(directoryLock),
    ].join(' ')
  }

  #processName(key: Parameters<Kernel['processOf']>[0] | null): string {
    return key === null ? '' : this.#kernel.processOf(key).name
  }

  #lease(lease: LeaseSnapshot): string {
    const { id, file, user, range, mode, level, state, notifyOnly, demand, seizing, breakTimeMs } = lease
    const left = lease.deadline === null ? '' : lease.deadline - this.#kernel.holdfast.nowMs
    const owners = lease.ownerStates.map(
      ({ process, signal, isSignalled, isMapping }) =>
        `${this.#processName(process)}${signal?.signo}${signal?.value}${signal?.registrar}${isSignalled}${isMapping}`,
    )
    const holder = this.#numberOf(lease.ofd)
    const { start, end } = range
    const fixed = [this.#leases.get(id), file, holder, user, start, end, mode, level, state, notifyOnly]
    return [...fixed, demand, seizing, breakTimeMs, left, ...owners.sort()].join(' ')
  }

  #pin({ lease, range, holder, count, user }: PinInfo): string {
    const owner =
      holder.kind === 'process' ? this.#processName(holder.process) : `c${this.#numberOf(holder.context)}`
    return [this.#leases.get(lease), range.start, range.end, owner, count, user].join(' ')
  }

  #waiter({ kind, file, ofd, process, range, lease, ...terms }: WaiterSnapshot): string {
    const { mode, level, mayDelayOthers, breakTimeMs } = terms
    const who = this.#processName(process)
    const what = lease === null ? '' : this.#leases.get(lease)
    const { start, end } = range
    return [
      kind,
      file,
      this.#numberOf(ofd),
      who,
      start,
      end,
      what,
      mode,
      level,
      mayDelayOthers,
      breakTimeMs,
    ].join(' ')
  }

  /** Which pin a name stands for: its lease, owner and bytes tell. */
  #pinNames(pins: readonly PinInfo[]): string {
    const texts = new Map(pins.map((pin) => [pin.id, this.#pin(pin)]))
    return [...this.#kernel.pinIds]
      .filter(([, id]) => texts.has(id))
      .map(([name, id]) => `${name}=${texts.get(id)}`)
      .sort()
      .join('\n')
  }
}

function lockText({ holder, queue }: KernelLock): string {
  if (holder === null) return '-'
  return [holder, ...queue].map(({ process }) => process.name).join('<')
}

function byName<Value>(map: ReadonlyMap<string, Value>): [string, Value][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1))
}
