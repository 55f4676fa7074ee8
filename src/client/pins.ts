/** Pins: of this process, or of a pin context, which is a descriptor that can be passed on. */
import * as abi from '../control/formats/abi.js'
import * as c from '../linux/constants.js'
import { close, open } from '../linux/files.js'
import { asHoldfastError } from './error.js'
import { controlOf, type FileSource, type RangeOption, request, toRange } from './request.js'

/** A pinned range. Disposing it is one unpin; the same range pinned twice takes two (P3). */
export class Pin implements AsyncDisposable {
  readonly id: number
  /** How often this range was pinned when this pin was made. */
  readonly count: number
  readonly #fd: number
  #isPinned = true

  /** @internal */
  constructor(fd: number, lease: number, range: RangeOption) {
    const bytes = abi.encodePin({ id: 0, count: 0, lease, range: toRange(range) })
    request('PIN', fd, abi.PIN, bytes)
    const made = abi.decodePin(bytes)
    this.id = made.id
    this.count = made.count
    this.#fd = fd
  }

  /** Undoes this pin. Further calls do nothing. Throws ENOENT if it is gone already. */
  async unpin(): Promise<void> {
    if (!this.#isPinned) return
    request('UNPIN', this.#fd, abi.UNPIN, abi.encodeU64(this.id))
    this.#isPinned = false
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.unpin()
  }
}

/** Owns pins as long as any copy of its descriptor is open, in whatever process (P2). */
export class PinContext implements AsyncDisposable {
  /** Give it to other processes as any descriptor. */
  readonly fd: number
  #isOpen = true

  /** @internal */
  constructor(fd: number) {
    this.fd = fd
  }

  /** Pins for this context. Throws EPERM unless this process owns an active exclusive lease that covers it. */
  async pin(options: RangeOption & { readonly lease: number | { readonly id: number } }): Promise<Pin> {
    const lease = typeof options.lease === 'number' ? options.lease : options.lease.id
    return new Pin(this.fd, lease, options)
  }

  /** Closes this copy; the last one ends all pins of the context. */
  async close(): Promise<void> {
    if (!this.#isOpen) return
    this.#isOpen = false
    close(this.fd)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/**
 * Opens a new pin context on the mount that a file belongs to.
 * @throws HoldfastError ENOTTY if the file is not under Holdfast.
 */
export async function openPinContext(file: FileSource): Promise<PinContext> {
  const path = `${controlOf(file)}/pinctx`
  return new PinContext(asHoldfastError('open', path, () => open(path, c.O_RDWR)))
}
