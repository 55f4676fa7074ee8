/**
 * The ioctls on a file of the mount and on a pin context: bytes to inputs of the rules, answers to bytes.
 * Whatever a program sends, the worst it gets is EINVAL.
 */
import * as abi from '../../control/formats/abi.js'
import type { Answer, Deferred, IoctlArgs, IoctlReply, RequestInfo } from '../../fuse/api.js'
import { PENDING } from '../../fuse/api.js'
import type { LeaseInfo, OwnerSignal, PinHolder, Step } from '../../lease/index.js'
import { Errno } from '../../lib/errno.js'
import type { ContextId, FileId, LeaseId, Ofd, PinId, RequestId, Uid } from '../../lib/ids.js'
import { type Range, WHOLE_FILE } from '../../lib/range.js'
import { O_ACCMODE, O_RDONLY } from '../../linux/constants.js'
import type { OpenFile } from '../../passthrough/gate.js'
import { failedWith, type LeaseService, type ProtectedFile } from './lease-service.js'
import type { Caller } from './processes.js'

/** The open file an ioctl came through, as the rules name it. */
export interface IoctlTarget {
  readonly ofd: Ofd
  readonly id: FileId
  readonly file: OpenFile
  readonly protectedFile: ProtectedFile
}

/** What INFO tells. */
export interface MountIdentity {
  readonly number: number
  readonly control: string
  readonly features: number
}

/** An exclusive read lease on all of a file, which is what `hold` asks for. */
export const WHOLE: abi.LeaseRequest = {
  id: 0,
  range: WHOLE_FILE,
  rangeGiven: false,
  mode: 'read',
  level: 'exclusive',
  whenBusy: 'fail',
  breakTimeMs: 0,
}

const NO_OUTPUT = Buffer.alloc(0)

/** The answer of an ioctl without output. */
function plain(step: Step): Answer<IoctlReply> {
  const errno = failedWith(step)
  return errno === null ? { result: 0, output: NO_OUTPUT } : -errno
}

function output(bytes: Buffer): IoctlReply {
  return { result: 0, output: bytes }
}

/** Runs `decode` and what follows; input that breaks the interface is EINVAL. */
function checked(run: () => Answer<IoctlReply>): Answer<IoctlReply> {
  try {
    return run()
  } catch (error) {
    if (error instanceof abi.AbiError) return -error.errno
    throw error
  }
}

/** Whatever goes wrong while the answer is made, whoever waits for it gets one. */
function answerWith<T>(deferred: Deferred<T>, make: () => T): void {
  let value: T
  try {
    value = make()
  } catch (error) {
    deferred.fail(Errno.EIO)
    throw error
  }
  deferred.answer(value)
}

export class Ioctls {
  readonly #service: LeaseService
  readonly #identity: MountIdentity

  constructor(service: LeaseService, identity: MountIdentity) {
    this.#service = service
    this.#identity = identity
  }

  onFile(request: RequestInfo, target: IoctlTarget, args: IoctlArgs): Answer<IoctlReply> {
    return checked(() => {
      // P6: for every request, since RELEASE and GETLEASE too would meet pins that are over.
      this.#service.takeExits()
      switch (args.cmd) {
        case abi.SETLEASE:
          return this.#setLease(request, target, abi.decodeLeaseRequest(args.input))
        case abi.RELEASE:
          return this.#release(target, abi.decodeU64(args.input))
        case abi.GETLEASE:
          return this.#getLease(target, abi.decodeLeaseId(args.input))
        case abi.SETOWN:
          return this.#setOwner(request, target, abi.decodeOwnerRequest(args.input))
        case abi.PIN:
          return this.#pin(request, abi.decodePinRequest(args.input), { file: target.id })
        case abi.UNPIN:
          return this.#unpin(request, abi.decodeU64(args.input), null)
        case abi.QUERY:
          return this.#query(request, target, abi.decodeQuery(args.input))
        case abi.INFO:
          return output(abi.encodeInfo({ ...this.#info() }))
        default:
          return -Errno.ENOTTY
      }
    })
  }

  onContext(request: RequestInfo, context: ContextId, args: IoctlArgs): Answer<IoctlReply> {
    return checked(() => {
      this.#service.takeExits()
      switch (args.cmd) {
        case abi.PIN:
          return this.#pin(request, abi.decodePinRequest(args.input), { context })
        case abi.UNPIN:
          return this.#unpin(request, abi.decodeU64(args.input), context)
        case abi.INFO:
          return output(abi.encodeInfo(this.#info()))
        default:
          return -Errno.ENOTTY
      }
    })
  }

  #info(): abi.Info {
    const { number, control, features } = this.#identity
    return { version: abi.ABI_VERSION, features, mount: number, control: Buffer.from(control) }
  }

  #setLease(request: RequestInfo, target: IoctlTarget, wanted: abi.LeaseRequest): Answer<IoctlReply> {
    const caller = this.#service.processes.identify(request.pid)
    const step =
      wanted.id === 0
        ? this.#acquire(request, target, wanted, caller)
        : this.#change(request, target, wanted, caller)
    if (typeof step === 'number') return step
    const { id, answer } = step
    if (answer.status === 'failed') {
      this.#abandon(target, caller)
      return -answer.errno
    }
    if (answer.status === 'done') return this.#granted(answer.lease ?? (wanted.id as LeaseId))
    const deferred = request.defer<IoctlReply>()
    deferred.onInterrupt = () => this.#service.interrupt(id)
    this.#wait(id, target, wanted.range, caller, (errno, lease) => {
      if (errno === 0) answerWith(deferred, () => this.#granted(lease ?? (wanted.id as LeaseId)))
      else deferred.fail(errno)
    })
    return PENDING
  }

  /** Leaves nothing behind of a request that fails in the end. */
  #wait(
    id: RequestId,
    target: IoctlTarget,
    range: Range,
    caller: Caller | null,
    resume: (errno: Errno | 0, lease: LeaseId | undefined) => void,
  ): void {
    const operation = { file: target.id, process: caller?.key ?? null, operation: 'lease' as const, range }
    this.#service.wait(id, operation, (errno, lease) => {
      // A request of somebody else that failed meanwhile may have let the file go.
      if (errno === 0) this.#service.keep(target.protectedFile)
      else this.#abandon(target, caller)
      resume(errno, lease)
    })
  }

  /** Undoes what `#acquire` prepared for a lease that was not granted. */
  #abandon(target: IoctlTarget, caller: Caller | null): void {
    this.#service.keepOnlyIfProtected(target.id)
    this.#service.settle(caller?.key ?? null)
  }

  #rights(request: RequestInfo, target: IoctlTarget, caller: Caller | null): boolean {
    if ((target.file.flags & O_ACCMODE) !== O_RDONLY) return true
    if (caller?.mayOverrideOwner === true) return true
    return target.file.node.ownerUid() === request.uid
  }

  #acquire(request: RequestInfo, target: IoctlTarget, wanted: abi.LeaseRequest, caller: Caller | null) {
    const id = this.#service.nextRequestId()
    this.#service.keep(target.protectedFile)
    try {
      const process = caller !== null && this.#service.watch(caller.key) ? caller.key : null
      const { answer } = this.#service.step({
        kind: 'acquire',
        request: id,
        ofd: target.ofd,
        file: target.id,
        process,
        user: request.uid as Uid,
        range: wanted.range,
        ...this.#terms(request, target, wanted, caller),
      })
      return { id, answer }
    } catch (error) {
      // Without a free descriptor the process cannot be watched, for one.
      this.#abandon(target, caller)
      throw error
    }
  }

  #change(request: RequestInfo, target: IoctlTarget, wanted: abi.LeaseRequest, caller: Caller | null) {
    const lease = this.#leaseOf(target, wanted.id)
    if (lease === undefined) return -Errno.ENOENT
    const { start, end } = lease.range
    // The range is fixed once the lease is taken: it may be left out or repeated, not changed.
    if (wanted.rangeGiven && (wanted.range.start !== start || wanted.range.end !== end)) return -Errno.EINVAL
    const id: RequestId = this.#service.nextRequestId()
    const { answer } = this.#service.step({
      kind: 'change',
      request: id,
      ofd: target.ofd,
      lease: lease.id,
      process: caller?.key ?? null,
      ...this.#terms(request, target, wanted, caller),
    })
    return { id, answer }
  }

  /** What a lease is to be, whether it is taken or changed. */
  #terms(request: RequestInfo, target: IoctlTarget, wanted: abi.LeaseRequest, caller: Caller | null) {
    const { mode, level, whenBusy, breakTimeMs } = wanted
    return { mode, level, whenBusy, breakTimeMs, mayDelayOthers: this.#rights(request, target, caller) }
  }

  #leaseOf(target: IoctlTarget, id: number): LeaseInfo | undefined {
    const lease = this.#service.rules.lease(id as LeaseId)
    return lease?.ofd === target.ofd ? lease : undefined
  }

  #granted(id: LeaseId): IoctlReply {
    const lease = this.#service.rules.lease(id)
    if (lease === undefined) throw new Error(`lease ${id} was granted but is not there`)
    return output(this.#encode(lease))
  }

  #encode(lease: LeaseInfo): Buffer {
    const left = lease.deadline === null ? 0 : Math.max(0, Math.ceil(lease.deadline - this.#service.now()))
    return abi.encodeLease({ ...lease, breakTimeLeftMs: left })
  }

  #release(target: IoctlTarget, id: number): Answer<IoctlReply> {
    const lease = id === 0 ? null : (id as LeaseId)
    return plain(this.#service.step({ kind: 'release', ofd: target.ofd, lease }))
  }

  /**
   * A new lease for somebody who makes no ioctl. `done` is called once, at once unless the lease is waited for.
   * @returns what ends the wait, null if there is none.
   */
  lease(
    request: RequestInfo,
    target: IoctlTarget,
    wanted: abi.LeaseRequest,
    done: (errno: Errno | 0) => void,
  ): null | (() => void) {
    this.#service.takeExits()
    const caller = this.#service.processes.identify(request.pid)
    const { id, answer } = this.#acquire(request, target, wanted, caller)
    if (answer.status === 'waiting') {
      this.#wait(id, target, wanted.range, caller, done)
      return () => this.#service.interrupt(id)
    }
    if (answer.status === 'failed') this.#abandon(target, caller)
    done(answer.status === 'failed' ? answer.errno : 0)
    return null
  }

  /** An exclusive lease on the whole file and a pin of all of it for the calling process, or neither. */
  hold(request: RequestInfo, target: IoctlTarget): Errno | 0 {
    const taken = this.#takeWhole(request, target)
    if (typeof taken === 'number') return taken
    const pinned = this.#service.step({
      kind: 'pin',
      lease: taken.lease,
      range: WHOLE.range,
      process: taken.caller.key,
      user: request.uid as Uid,
      holder: { kind: 'process', process: taken.caller.key },
    })
    const errno = failedWith(pinned)
    if (errno !== null) this.#service.step({ kind: 'release', ofd: target.ofd, lease: taken.lease })
    return errno ?? 0
  }

  #takeWhole(
    request: RequestInfo,
    target: IoctlTarget,
  ): Errno | { readonly lease: LeaseId; readonly caller: Caller } {
    this.#service.takeExits()
    const caller = this.#service.processes.identify(request.pid)
    if (caller === null) return Errno.EPERM
    const { answer } = this.#acquire(request, target, WHOLE, caller)
    if (answer.status === 'done' && answer.lease !== undefined) return { lease: answer.lease, caller }
    this.#abandon(target, caller)
    return answer.status === 'failed' ? answer.errno : Errno.EAGAIN
  }

  #getLease(target: IoctlTarget, after: number): Answer<IoctlReply> {
    const lease = this.#service.rules.nextLeaseOf(target.ofd, after)
    return lease === undefined ? -Errno.ENOENT : output(this.#encode(lease))
  }

  #setOwner(request: RequestInfo, target: IoctlTarget, wanted: abi.OwnerRequest): Answer<IoctlReply> {
    const lease = this.#leaseOf(target, wanted.lease)
    if (lease === undefined) return -Errno.ENOENT
    const caller = this.#service.processes.identify(request.pid)
    if (caller === null) return -Errno.EPERM
    if (wanted.pid !== 0 && wanted.pid !== caller.parentPid) return -Errno.EPERM
    const owner = wanted.pid === 0 ? caller : this.#service.processes.identify(wanted.pid)
    if (owner === null) return -Errno.ESRCH
    const names = { ofd: target.ofd, lease: lease.id, owner: owner.key }
    if (wanted.operation === 'remove') {
      const step = this.#service.step({ kind: 'remove-owner', ...names })
      this.#service.settle(owner.key)
      return plain(step)
    }
    if (!this.#service.watch(owner.key)) return -Errno.ESRCH
    const { uid, realUid, mayKillAll } = caller.credentials
    const signal: OwnerSignal = {
      signo: wanted.signo,
      value: wanted.value,
      registrar: uid as Uid,
      ...(realUid === uid ? {} : { registrarRealUid: realUid as Uid }),
      ...(mayKillAll ? { mayKillAll } : {}),
    }
    const step = this.#service.step({
      kind: 'set-owner',
      ...names,
      signal: wanted.signo === 0 ? null : signal,
    })
    this.#service.settle(owner.key)
    return plain(step)
  }

  #pin(
    request: RequestInfo,
    wanted: abi.PinRequest,
    through: { readonly file: FileId } | { readonly context: ContextId },
  ): Answer<IoctlReply> {
    const lease = this.#service.rules.lease(wanted.lease as LeaseId)
    if (lease === undefined || ('file' in through && lease.file !== through.file)) return -Errno.ENOENT
    const caller = this.#service.processes.identify(request.pid)
    if (caller === null) return -Errno.EPERM
    const step = this.#service.step({
      kind: 'pin',
      lease: lease.id,
      range: wanted.range,
      process: caller.key,
      user: request.uid as Uid,
      holder:
        'context' in through
          ? { kind: 'context', context: through.context }
          : { kind: 'process', process: caller.key },
    })
    const { answer } = step
    if (answer.status !== 'done') return plain(step)
    return output(abi.encodePin({ ...wanted, id: answer.pin ?? 0, count: answer.pinCount ?? 0 }))
  }

  #unpin(request: RequestInfo, pin: number, context: ContextId | null): Answer<IoctlReply> {
    const holder = this.#holder(request, context)
    if (holder === null) return -Errno.ENOENT
    return plain(this.#service.step({ kind: 'unpin', pin: pin as PinId, holder }))
  }

  #holder(request: RequestInfo, context: ContextId | null): PinHolder | null {
    if (context !== null) return { kind: 'context', context }
    const caller = this.#service.processes.identify(request.pid)
    return caller === null ? null : { kind: 'process', process: caller.key }
  }

  #query(request: RequestInfo, target: IoctlTarget, wanted: abi.QueryRequest): Answer<IoctlReply> {
    // Truncating a file to what it has, or to more, takes nothing away and meets nobody.
    if (wanted.operation === 'truncate' && wanted.range.start >= target.file.node.size()) {
      return output(abi.encodeQueryReply(wanted, { errno: 0, lease: 0, pid: 0, command: '' }))
    }
    const caller = this.#service.processes.identify(request.pid)
    const found = this.#service.rules.query(
      target.id,
      target.ofd,
      caller?.key ?? null,
      wanted.operation,
      wanted.range,
    )
    const owner = found.lease === null ? undefined : this.#service.rules.lease(found.lease)?.owners[0]
    const because = owner === undefined ? { pid: 0, command: '' } : this.#service.processes.describe(owner)
    return output(abi.encodeQueryReply(wanted, { errno: found.errno, lease: found.lease ?? 0, ...because }))
  }
}
