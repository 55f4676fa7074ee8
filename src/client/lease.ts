/** Leases for programs: taken on a file, owned by this process, told of breaks. */
import { EventEmitter, once } from 'node:events'
import { constants } from 'node:os'
import * as abi from '../control/formats/abi.js'
import { Errno } from '../lib/errno.js'
import { type Unwatch, watchPriority } from '../linux/event-loop.js'
import { HoldfastError } from './error.js'
import { type RevokeOptions, revokeAt } from './files.js'
import { Pin } from './pins.js'
import {
  type FileSource,
  type OpenSource,
  openSource,
  type RangeOption,
  readInfo,
  request,
  toRange,
} from './request.js'

export interface LeaseOptions extends RangeOption {
  /** `read` (default): nobody changes the layout. `write`: nobody but the holder does. */
  readonly mode?: 'read' | 'write'
  /** `normal` (default) can be broken with notice; `exclusive` makes changes fail. */
  readonly level?: 'normal' | 'exclusive'
  /** Break time in milliseconds, at most the mount's, which is the default. */
  readonly breakTimeMs?: number
  /** Wait for conflicting leases to be given up, instead of failing with EAGAIN. */
  readonly wait?: boolean
  /** Ends a wait: the promise is rejected with the signal's reason. */
  readonly signal?: AbortSignal
}

/** How an owner wants to be told of a break, besides events and poll(2). */
export interface OwnerOptions {
  /** A number, or a name like `SIGUSR1`. SIGKILL, SIGSTOP and the C library's own are EINVAL. */
  readonly signal?: NodeJS.Signals | number
  /** Comes with it as `si_value.sival_int`. */
  readonly value?: number
}

function signalNumber(signal: OwnerOptions['signal']): number {
  const signo = typeof signal === 'string' ? constants.signals[signal] : (signal ?? 0)
  if (Number.isInteger(signo)) return signo
  throw new HoldfastError(Errno.EINVAL, `signal ${String(signal)}`)
}

export type LeaseChange = Pick<LeaseOptions, 'mode' | 'level' | 'breakTimeMs' | 'wait' | 'signal'>

interface LeaseEvents {
  /** The lease is being broken: let go, or lose it when the break time is over. */
  break: []
  /** It was not given up in time; it protects nothing any more. */
  revoked: []
}

/**
 * A lease. It is kept by the descriptor, not by this object: no turn of the event loop is needed for it, and
 * it ends by `release`, or when the last copy of the descriptor is closed.
 */
export class Lease extends EventEmitter<LeaseEvents> implements AsyncDisposable {
  readonly id: number
  readonly #source: OpenSource
  readonly #unwatch: Unwatch
  #isHeld = true

  /** @internal */
  constructor(source: OpenSource, id: number) {
    super()
    this.id = id
    this.#source = source
    this.#unwatch = watchPriority(source.fd, () => this.#look())
  }

  /** The descriptor that holds it; pass it on to let another process hold it as well. */
  get fd(): number {
    return this.#source.fd
  }

  #look(): void {
    if (!this.#isHeld) return
    const state = this.#stateIfAny()
    if (state === 'breaking') this.emit('break')
    if (state === 'revoked') this.emit('revoked')
  }

  /** A lease that is gone, with its engine perhaps, protects nothing: to whoever waits for it that is revoked. */
  #stateIfAny(): abi.LeaseReply['state'] {
    try {
      return this.status().state
    } catch (error) {
      if (error instanceof HoldfastError) return 'revoked'
      throw error
    }
  }

  /** What Holdfast knows of it now. Throws ENOENT once it is gone. */
  status(): abi.LeaseReply {
    if (!this.#isHeld) throw new HoldfastError(Errno.ENOENT, 'GETLEASE', this.#source.name)
    const bytes = Buffer.alloc(abi.LEASE_SIZE)
    bytes.writeBigUInt64LE(BigInt(this.id - 1), 0)
    request('GETLEASE', this.fd, abi.GETLEASE, bytes, this.#source.name)
    const lease = abi.decodeLease(bytes)
    if (lease.id !== this.id) throw new HoldfastError(Errno.ENOENT, 'GETLEASE', this.#source.name)
    return lease
  }

  /** Changes mode and level in place; at no moment is the file unprotected. */
  async change(options: LeaseChange): Promise<void> {
    const now = this.status()
    await setLease(this.#source, this.id, { mode: now.mode, level: now.level, ...options })
  }

  /** Pins a range for this process. Throws EPERM unless the lease is active, exclusive and covers it. */
  async pin(range: RangeOption = {}): Promise<Pin> {
    return new Pin(this.fd, this.id, range)
  }

  /**
   * Makes this process, or its parent, an owner too: owners may pin and are told of breaks. Called again, it changes
   * the signal of one that is an owner already; without `signal` there is none.
   */
  async addOwner(who: 'self' | 'parent' = 'self', options: OwnerOptions = {}): Promise<void> {
    this.#setOwner('add', who, signalNumber(options.signal), options.value ?? 0)
  }

  async removeOwner(who: 'self' | 'parent' = 'self'): Promise<void> {
    this.#setOwner('remove', who, 0, 0)
  }

  #setOwner(operation: 'add' | 'remove', who: 'self' | 'parent', signo: number, value: number): void {
    if (!Number.isInteger(value) || value !== (value | 0)) {
      throw new HoldfastError(Errno.EINVAL, `signal value ${value}, which is no 32-bit integer`)
    }
    const pid = who === 'self' ? 0 : process.ppid
    const bytes = abi.encodeOwnerRequest({ lease: this.id, operation, signo, value, pid })
    request('SETOWN', this.fd, abi.SETOWN, bytes, this.#source.name)
  }

  /** Takes it away from all its owners, as `revoke` does; it stays listed until it is released. */
  async revoke(options: RevokeOptions = {}): Promise<void> {
    await revokeAt(readInfo(this.#source).control.toString(), this.id, options)
  }

  /** Gives the lease up and closes the file if it was opened for it. Throws EBUSY while pins need it. */
  async release(): Promise<void> {
    if (!this.#isHeld) return
    request('RELEASE', this.fd, abi.RELEASE, abi.encodeU64(this.id), this.#source.name)
    this.#isHeld = false
    this.#unwatch()
    this.#source.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release()
  }
}

/**
 * Takes a lease on a file under a Holdfast mount.
 * @throws HoldfastError ETXTBSY or EAGAIN if somebody else's lease conflicts, EPERM without the right to make
 *   others fail, ENOLCK over the user's limit, ENOTTY if the file is not under Holdfast.
 */
export async function takeLease(file: FileSource, options: LeaseOptions = {}): Promise<Lease> {
  options.signal?.throwIfAborted()
  const source = openSource(file)
  try {
    return new Lease(source, await setLease(source, 0, options))
  } catch (error) {
    source.close()
    throw error
  }
}

/** A level that is misspelt must not become one that protects less: not every program is type-checked. */
function checkOptions({ mode = 'read', level = 'normal' }: LeaseOptions): void {
  if (mode !== 'read' && mode !== 'write') {
    throw new HoldfastError(Errno.EINVAL, `mode '${String(mode)}', which is neither read nor write`)
  }
  if (level !== 'normal' && level !== 'exclusive') {
    throw new HoldfastError(Errno.EINVAL, `level '${String(level)}', which is neither normal nor exclusive`)
  }
}

async function setLease(source: OpenSource, id: number, options: LeaseOptions): Promise<number> {
  checkOptions(options)
  for (;;) {
    const bytes = abi.encodeLeaseRequest({
      id,
      // The range of a lease is fixed once it is taken: it is not named again.
      range: id === 0 ? toRange(options) : toRange({}),
      mode: options.mode ?? 'read',
      level: options.level ?? 'normal',
      // START and poll instead of WAIT: Node could not interrupt a thread that waits in an ioctl.
      whenBusy: options.wait === true ? 'start' : 'fail',
      breakTimeMs: options.breakTimeMs ?? 0,
    })
    try {
      request('SETLEASE', source.fd, abi.SETLEASE, bytes, source.name)
      return abi.decodeLease(bytes).id
    } catch (error) {
      const isBusy = error instanceof HoldfastError && error.errno === Errno.EAGAIN
      if (!isBusy || options.wait !== true) throw error
    }
    await worthTrying(source.fd, options.signal)
  }
}

/** Waits until POLLPRI says that a lease can be asked for again. */
async function worthTrying(fd: number, signal: AbortSignal | undefined): Promise<void> {
  const emitter = new EventEmitter()
  const unwatch = watchPriority(fd, () => emitter.emit('ready'))
  // The watch alone would not keep the program alive, and who waits wants to.
  const keepAlive = setInterval(() => {}, 60_000)
  try {
    await once(emitter, 'ready', signal === undefined ? {} : { signal })
  } catch (error) {
    // What was promised is the signal's own reason.
    signal?.throwIfAborted()
    throw error
  } finally {
    clearInterval(keepAlive)
    unwatch()
  }
}
