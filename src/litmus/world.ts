/**
 * Where scenarios are played. Two worlds implement this: the model (in memory, virtual time) and a mount (real
 * processes and system calls). Whoever drives one gives it a line at a time and asks what is to be seen; nothing
 * but names of the scenario goes in and comes out, so that what two worlds say can be compared.
 */
import type { Action, LeaseSight, Name, Notice, Outcome, Scenario } from './scenario.js'

/** Tells one action from all others of a history: its number in the order they were started. */
export type ActionId = number

export interface Started {
  readonly id: ActionId
  /** `waits` if it did not return; `finished` tells when it has. */
  readonly outcome: Outcome
}

/**
 * A world that has been set up for one scenario: its files and processes are there. The bytes of its files are not
 * zero. Each file has a directory of its own, which everybody may write to: what waits in the kernel for a file
 * then holds up nobody who wants another. Its processes are children of whoever made the world.
 */
export interface World {
  /**
   * Starts an action and gives it the time to return. A process whose last action still waits does nothing else:
   * asking it to is a mistake of the caller's (it throws), and so is asking a stopped or dead one; but to `kill` such
   * a process is not.
   * @param willWait Whether it is expected to wait, when the caller knows: a mount then looks for a shorter time.
   */
  start(process: Name, action: Action, willWait?: boolean): Promise<Started>
  /** Outcomes of actions that waited and have returned since they were last asked for, in the order they did. */
  finished(): Promise<readonly Started[]>
  /** What was told since this was last asked for. */
  notices(): Promise<readonly Notice[]>
  sight(lease: Name): Promise<LeaseSight>
  /** Names of all leases that are listed. */
  leases(): Promise<readonly Name[]>
  /** Lets time pass; deadlines that fall into it are dealt with. */
  pass(ms: number): Promise<void>
  /** Lets the time pass until no lease is breaking any more. */
  passDeadlines(): Promise<void>
  /** Is the process alive? */
  isAlive(process: Name): Promise<boolean>
  /** Ends all processes and undoes everything; the world must not be used afterwards. */
  close(): Promise<void>
}

export interface WorldMaker {
  /** `model`, `mount`, `mount without passthrough`. */
  readonly name: string
  make(scenario: Scenario): Promise<World>
  /** After the last scenario. */
  close(): Promise<void>
}
