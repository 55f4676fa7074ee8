import type { Lease } from './lease.js'
import type { Waiter } from './waiter.js'

const NOBODY: readonly Waiter[] = []

/**
 * Who has to be looked at again. Everybody who waits is attached to one thing that is in the way, a lease or
 * somebody before him, and is looked at when that moves: ends, changes, or gets other owners.
 */
export class Obstacles {
  #toLookAt: Waiter[] = []

  attach(waiter: Waiter, obstacle: Lease | Waiter): void {
    this.detach(waiter)
    waiter.obstacle = obstacle
    obstacle.attached ??= new Set()
    obstacle.attached.add(waiter)
  }

  detach(waiter: Waiter): void {
    const { obstacle } = waiter
    if (obstacle === null) return
    obstacle.attached?.delete(waiter)
    waiter.obstacle = null
  }

  /** This one may not be in the way any more. */
  moved(obstacle: Lease | Waiter): void {
    const { attached } = obstacle
    if (attached === null || attached.size === 0) return
    obstacle.attached = null
    for (const waiter of attached) this.lookAt(waiter)
  }

  lookAt(waiter: Waiter): void {
    this.detach(waiter)
    this.#toLookAt.push(waiter)
  }

  /** In the order in which they came: those that have to be looked at now. */
  take(): readonly Waiter[] {
    if (this.#toLookAt.length === 0) return NOBODY
    const taken = this.#toLookAt.sort((a, b) => a.id - b.id)
    this.#toLookAt = []
    return taken
  }
}
