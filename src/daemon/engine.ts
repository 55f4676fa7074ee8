/**
 * The engine: one process that serves its data mounts and their control directory. Its main thread is the fs
 * thread, an epoll(7) loop in which everything quick is done at once; what may take long runs in io threads.
 */

import type { CommandResult, ControlCommand } from '../control/control-fs.js'
import { FEATURE_PASSTHROUGH, FEATURE_QUERY, FEATURE_START, FEATURE_WAIT } from '../control/formats/abi.js'
import { TransportError } from '../fuse/index.js'
import { DEFAULT_POLICY, type LeasePolicy } from '../lease/index.js'
import type { ProcessKey } from '../lib/ids.js'
import * as c from '../linux/constants.js'
import { check } from '../linux/error.js'
import { nodeLoopFd } from '../linux/event-loop.js'
import { open } from '../linux/files.js'
import { type MountInfo, readMounts } from '../linux/mounts.js'
import { Poller } from '../linux/poller.js'
import * as raw from '../linux/raw.js'
import {
  type CacheMode,
  createIoThreads,
  type Features,
  type ThreadedIo,
  threadIdentity,
} from '../passthrough/index.js'
import { runCommand } from './commands.js'
import { pathText, timestamp } from './leasing/event-records.js'
import { Ioctls } from './leasing/ioctls.js'
import { LeaseService } from './leasing/lease-service.js'
import { ControlMount } from './mounts/control-mount.js'
import { DataMount } from './mounts/data-mount.js'
import { type Registration, register } from './places/registry.js'
import { enterOwnCgroup } from './process/cgroup.js'
import { MemoryKeeper } from './process/memory.js'
import { readRequestTimeoutMs, withinTimeout } from './process/request-timeout.js'
import { type Supervisor, startSupervisor } from './process/supervisor.js'
import {
  type EngineState,
  engineFacts,
  engineTables,
  inodeCount,
  leasesOn,
  mountRecords,
} from './reporting/engine-state.js'
import { Reports } from './reporting/reports.js'

export interface EngineOptions {
  /** `run` goes with its last lease, `mount` stays until it is unmounted. */
  readonly kind: 'run' | 'mount'
  readonly version: string
  readonly policy?: LeasePolicy
  /** What of FUSE not to use although the kernel has it. */
  readonly without: Features
  /** What the kernel may remember. */
  readonly cache: CacheMode
  /** The clock that deadlines go by, if it is to be another than the system's. */
  readonly nowMs?: () => number
  /** One line for each message of the FUSE protocol. */
  readonly debug?: (line: string) => void
  /** Told of our own bugs and of what the system refused us; whoever waited for an answer has got one. */
  readonly reportBug: (error: unknown) => void
  /** Program of an io thread. */
  readonly workerFile: string
  /** Command that removes dead mounts, for the supervisor. */
  readonly cleanup: readonly string[]
}

/** How many turns of the fs loop may pass before Node's own loop gets one (signals, garbage, io threads). */
const TURNS_PER_YIELD = 1024

/** How many requests of one mount may be served before the others get their turn. */
const REQUESTS_PER_TURN = 16

/** Of two times, -1 standing for never. */
function sooner(aMs: number, bMs: number): number {
  return aMs < 0 || (bMs >= 0 && bMs < aMs) ? bMs : aMs
}

export class Engine {
  readonly service: LeaseService
  readonly mounts: DataMount[] = []
  readonly #options: EngineOptions
  readonly #place: Registration
  readonly #ioctls: Ioctls
  readonly #io: ThreadedIo
  readonly #poller = new Poller()
  readonly #controlMount: ControlMount
  /** How old a request may become before the kernel ends the whole connection; null: as old as it likes. */
  readonly #requestAgeMaxMs = readRequestTimeoutMs()
  #readersRefreshedAt = 0
  #servedCount = 0
  readonly #memory = new MemoryKeeper()
  #supervisor: Supervisor | null = null
  #leaveCgroup: () => void = () => {}
  #isEnding = false
  #isStopping = false
  #isSettled = false
  /** Node's own loop has something to do: a signal, the end of the supervisor. */
  #isNodeWaiting = false

  /** Takes a place in the run directory and mounts the control directory. Call it under `withRunLock`. */
  constructor(options: EngineOptions) {
    this.#options = options
    this.service = new LeaseService(
      withinTimeout(options.policy ?? DEFAULT_POLICY, this.#requestAgeMaxMs),
      options.reportBug,
      options.nowMs,
    )
    this.#place = register()
    this.#ioctls = new Ioctls(this.service, {
      number: this.#place.number,
      control: this.#place.control,
      features:
        FEATURE_WAIT |
        FEATURE_START |
        FEATURE_QUERY |
        (options.without.has('passthrough') ? 0 : FEATURE_PASSTHROUGH),
    })
    this.#io = createIoThreads({ workerFile: options.workerFile })
    const reports = new Reports(this.service, {
      version: options.version,
      ioctls: this.#ioctls,
      mounts: () => mountRecords(this.#state()),
      facts: () => engineFacts(this.#state()),
      controlMountId: () => this.#controlMount.mountId,
      served: () => ({
        requests: this.#servedCount,
        inodes: inodeCount(this.mounts),
        tables: engineTables(this.#state()),
      }),
      command: (command, done) => this.#command(command, done),
    })
    try {
      this.#controlMount = new ControlMount({
        directory: this.#place.control,
        source: reports,
        reportBug: options.reportBug,
        debug: options.debug,
      })
    } catch (error) {
      this.#place.remove()
      throw error
    }
  }

  get control(): string {
    return this.#place.control
  }

  /**
   * Makes a mount over what `targetFd` (O_PATH) leads to and attaches it there, or at `attachFd`. Throws a
   * LinuxError; what was mounted before stays, see `abandon`.
   * @param attributes MOUNT_ATTR_* beyond those of the mount below.
   */
  addMount(targetFd: number, attachFd = targetFd, attributes = 0): DataMount {
    const mount = new DataMount({
      index: this.mounts.length,
      targetFd,
      attachFd,
      attributes,
      source: this.control,
      service: this.service,
      ioctls: this.#ioctls,
      io: this.#io,
      without: this.#options.without,
      cache: this.#options.cache,
      debug: this.#options.debug,
      reportBug: this.#options.reportBug,
    })
    this.mounts.push(mount)
    mount.attach()
    return mount
  }

  /** Undoes everything after a failed start: nothing stays mounted. */
  abandon(): void {
    for (const mount of this.mounts) {
      mount.detach()
      mount.device.close()
    }
    this.#removeControl()
  }

  #removeControl(): void {
    this.service.events.close()
    this.#attempt(() => this.#controlMount.remove())
    this.#place.remove()
  }

  /** Keeps the mounts until this process has taken its lease or has ended. @returns false if it has ended. */
  expect(pid: number): boolean {
    const launcher = this.service.processes.identify(pid)
    if (launcher === null || !this.service.watch(launcher.key)) return false
    this.service.expected.add(launcher.key)
    return true
  }

  /** Serves until nothing is left to serve. Call `dropStandardStreams` before it, when the caller can go on. */
  serve(): Promise<void> {
    this.service.onFileFree = () => this.#endIfIdle()
    this.service.onExit = (process) => {
      if (this.service.expected.delete(process)) this.#endIfIdle()
    }
    for (const mount of this.mounts) this.#watch(mount.device.fd, c.POLLIN, () => this.#receive(mount))
    this.#watch(this.#controlMount.fd, c.POLLIN, () => this.#receiveControl())
    this.service.takeCloses = () => {
      let left = this.#controlMount.waitingCountMax
      while (left-- > 0 && this.#receiveControl() === 'handled');
    }
    this.#watch(this.service.processes.exitFd, c.POLLIN, () => this.service.takeExits())
    this.#watch(this.service.mappings.fd, c.POLLIN, () => this.service.mappings.changed())
    this.#watchBypasses()
    this.#watch(this.#io.eventFd, c.POLLIN, () => this.#io.collect())
    this.#watch(nodeLoopFd(), c.POLLIN, () => {
      this.#isNodeWaiting = true
    })
    this.#watchMounts()
    const afterEach = () => this.#afterEach()
    return new Promise((resolve, reject) => {
      const turn = () => {
        try {
          for (let count = 0; count < TURNS_PER_YIELD; count++) {
            if (this.#isDone()) return resolve(this.#end())
            this.#poller.wait(this.#timeoutMs())
            this.#attempt(afterEach)
            if (this.#isNodeWaiting) break
          }
        } catch (error) {
          return reject(error instanceof Error ? error : new Error(String(error)))
        }
        this.#isNodeWaiting = false
        setImmediate(turn)
      }
      // What was asked of Node's loop before this is not in its descriptor until it has had a turn.
      setImmediate(turn)
    })
  }

  /** What is due whatever the loop has just done. */
  #afterEach(): void {
    this.service.timePassed()
    this.service.bypasses.turn()
    this.#keepReadersAlive()
    this.#memory.look(inodeCount(this.mounts))
    if (!this.#isSettled && this.service.expected.size === 0) this.#settleDown()
  }

  /**
   * What an engine needs to last, and COMMAND need not wait for: moving to another cgroup and starting the
   * supervisor take 10 to 20 ms. Until then, the next holdfast command would remove what a kill leaves.
   */
  #settleDown(): void {
    this.#isSettled = true
    // This thread may still be who made the last file: a cgroup made now would be that user's.
    threadIdentity().becomeDaemon()
    // In this order: the supervisor is born into the cgroup.
    this.#leaveCgroup = enterOwnCgroup(`holdfast-${this.#place.number}`)
    this.#supervisor = startSupervisor(this.#options.cleanup)
  }

  /** What happens to leased files past the mount: while the watch rests, its descriptor is not waited for. */
  #watchBypasses(): void {
    const { bypasses } = this.service
    bypasses.readExtents = (fd, size, done) =>
      this.#io.submit({ kind: 'extents', fd, size }, ({ extents, durationMs }) =>
        done(extents ?? null, durationMs),
      )
    bypasses.onListen = () =>
      this.#watch(bypasses.fd, c.POLLIN, () => {
        this.#poller.remove(bypasses.fd)
        bypasses.take()
      })
    bypasses.onListen()
  }

  #watch(fd: number, events: number, handle: () => void): void {
    this.#poller.add(fd, events, () => this.#attempt(handle))
  }

  /**
   * A failure in one turn of the loop is reported, and the loop goes on: if the engine ended, everybody would
   * lose their protection, and the requests that led to the failure have been answered (dispatch sees to that).
   * A device that cannot be read is another matter: whoever asks would wait for ever, so the engine ends and
   * the supervisor removes the mounts.
   */
  #attempt(action: () => void): void {
    try {
      action()
    } catch (error) {
      if (error instanceof TransportError) throw error
      this.#options.reportBug(error)
    }
  }

  /** How long there is nothing to do but what comes in; -1: for ever. */
  #timeoutMs(): number {
    const readersMs = this.#requestAgeMaxMs === null ? -1 : this.#requestAgeMaxMs / 4
    const leasesMs = sooner(this.service.timeoutMs(), this.service.bypasses.timeoutMs())
    return Math.ceil(sooner(sooner(leasesMs, readersMs), this.#memory.timeoutMs()))
  }

  /** A read of `events` may wait for days; where the kernel counts, it is answered before that is too long. */
  #keepReadersAlive(): void {
    if (this.#requestAgeMaxMs === null) return
    const now = performance.now()
    if (now - this.#readersRefreshedAt < this.#requestAgeMaxMs / 4) return
    this.#readersRefreshedAt = now
    this.#controlMount.refreshReaders()
  }

  #receive(mount: DataMount): void {
    const { nextLook } = mount
    for (let count = 0; count < REQUESTS_PER_TURN; count++) {
      const received = mount.session.receive()
      if (received === 'unmounted') {
        this.#poller.remove(mount.device.fd)
        this.#connectionEnded(mount)
        return
      }
      if (received === 'idle') {
        nextLook.wasInVain()
        return
      }
      this.#servedCount++
      if (count + 1 === REQUESTS_PER_TURN || !nextLook.isWorthwhile(mount.session.isLastAwaited)) return
    }
  }

  /**
   * Usually because it was unmounted and the last file on it closed. An administrator, or a limit to the age of
   * requests, can end it earlier: then the mount is still there and answers "not connected", and the kernel
   * says nothing of the files that were open.
   */
  #connectionEnded(mount: DataMount): void {
    mount.isGone = true
    this.#attempt(() => mount.detach())
    for (const file of [...mount.gate.openFiles()]) this.#attempt(() => mount.gate.released(file))
  }

  #receiveControl(): 'handled' | 'idle' | 'unmounted' {
    const received = this.#controlMount.receive()
    // Somebody unmounted the control directory. The leases do not need it.
    if (received === 'unmounted') this.#poller.remove(this.#controlMount.fd)
    return received
  }

  #isDone(): boolean {
    return this.mounts.every((mount) => mount.isGone)
  }

  async #end(): Promise<void> {
    this.#removeControl()
    const haveStopped = await this.#io.stop()
    this.#leaveCgroup()
    this.#supervisor?.dismiss()
    // Node would wait for a thread that hangs in a system call. Everything is tidied up: nothing is lost.
    if (!haveStopped) raw.kill(process.pid, c.SIGKILL)
  }

  /** poll(2) on mountinfo wakes whenever something is mounted or unmounted in our namespace. */
  #watchMounts(): void {
    const fd = open('/proc/self/mountinfo', c.O_RDONLY)
    this.#watch(fd, c.POLLPRI, () => {
      // The change is noted when the file is read again from its start; readMounts opens it anew.
      check(raw.lseek(fd, 0, c.SEEK_SET), 'lseek')
      this.#mountsChanged(readMounts())
    })
    // What was unmounted before we began to look changes nothing any more that would wake us.
    this.#mountsChanged(readMounts())
  }

  #mountsChanged(mounts: readonly MountInfo[]): void {
    if (this.#isEnding) return
    for (const mount of this.mounts) {
      if (mount.isGone || !mount.canBeAttached || mount.isAttached(mounts)) continue
      if (leasesOn(mount, this.service).length > 0) this.#attachAgain(mount)
      else mount.dropSpare()
    }
  }

  /** L10: somebody pulled a mount away under its leases, by a rename or unlink in another mount namespace. */
  #attachAgain(mount: DataMount): void {
    let reason = 'the mount was detached, and is attached again'
    const path = mount.mountpoint
    try {
      mount.attachAgain()
    } catch (error) {
      reason = `the mount was detached, and cannot be attached again: ${(error as Error).message}`
      mount.dropSpare()
    }
    const event = { time: timestamp(), event: 'bypassed', ...pathText(path), reason }
    // Whoever has a lease there hears of it, lease by lease; a bypass that concerns no lease is root's business.
    const leases = leasesOn(mount, this.service)
    if (leases.length === 0) this.service.publish(event, null)
    for (const lease of leases) this.service.publish(event, lease)
  }

  /**
   * SIGTERM: ends when the last lease does, so that nobody loses what was promised; a second one ends at once.
   * @returns how many leases it waits for.
   */
  stop(): number {
    const { leaseCount } = this.service.rules
    if (leaseCount === 0 || this.#isStopping) this.#detachAll()
    this.#isStopping = true
    return this.#isEnding ? 0 : leaseCount
  }

  /** A `run` mount goes with its last lease, and so does every mount of an engine that was told to stop. */
  #endIfIdle(): void {
    const goes = this.#options.kind === 'run' || this.#isStopping
    if (!goes || this.#isEnding || this.service.expected.size > 0) return
    if (this.service.rules.leaseCount === 0) this.#detachAll()
  }

  #detachAll(): void {
    if (this.#isEnding) return
    this.#isEnding = true
    for (const mount of this.mounts) mount.detach()
  }

  #command(command: ControlCommand, done: (result: CommandResult) => void): null | (() => void) {
    const scope = {
      service: this.service,
      ioctls: this.#ioctls,
      mounts: this.mounts,
      expect: (pid: number) => !this.#isEnding && this.expect(pid),
      arrived: (process: ProcessKey) => {
        this.service.expected.delete(process)
      },
    }
    return runCommand(command, scope, done)
  }

  /** What reports tell of us. */
  #state(): EngineState {
    return {
      kind: this.#options.kind,
      cache: this.#options.cache,
      control: this.control,
      service: this.service,
      mounts: this.mounts,
      jobCount: this.#io.pendingCount,
      supervisorPid: this.#supervisor?.pid ?? 0,
      isStopping: this.#isStopping,
      isEnding: this.#isEnding,
    }
  }
}
