/**
 * A few worker threads for system calls that may take long. The file system thread blocks in poll(2) and never
 * turns Node's event loop, so results are announced through an eventfd in its poll set and fetched by
 * `collect`; jobs wake a worker by an ordinary message, since the workers' loops do turn.
 */
import {
  MessageChannel,
  type MessagePort,
  receiveMessageOnPort,
  SHARE_ENV,
  Worker,
} from 'node:worker_threads'
import { Errno } from '../../lib/errno.js'
import { EFD_CLOEXEC, EFD_NONBLOCK, POLLIN } from '../../linux/constants.js'
import { check } from '../../linux/error.js'
import * as raw from '../../linux/raw.js'
import { threadIdentity } from './identity.js'
import { type Finished, InlineIo, type IoThreads, type Job } from './jobs.js'

export interface IoThreadsOptions {
  /** The compiled `worker.ts`, as a path: dist/passthrough/io/worker.js, or the bundle of it. */
  readonly workerFile: string
  readonly threadCountMax?: number
}

/** What a worker is started with. */
export interface WorkerStart {
  readonly port: MessagePort
  readonly eventFd: number
}

export interface JobMessage {
  readonly id: number
  readonly job: Job
}

export interface ResultMessage {
  readonly id: number
  readonly finished: Finished
  /** What was thrown instead of a result. */
  readonly bug?: string
}

interface Thread {
  readonly worker: Worker
  readonly port: MessagePort
  /** What it was given and has not answered. */
  given: JobMessage | null
  /** The last job that it was given. */
  lastId: number
  hasAnswered: boolean
  /** It could not be started, or died. */
  hasEnded: boolean
}

/**
 * What a job leaves behind is garbage at once, but V8 collects it only when there is much: by itself 48 MB of what is new
 * and hundreds of what is older, in each thread. A job needs a fraction of one; the bytes of files lie elsewhere.
 */
const HEAP = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 16 }
const STOP_POLL_MS = 100
const STOP_POLL_COUNT = 50
const TERMINATE_MS = 1000
/**
 * Each holds one call that does not return: a directory on a server that is gone, say. Whoever comes when all are
 * held waits.
 */
const THREAD_COUNT_MAX = 16
/**
 * More than these go when so many jobs were done without them: seldom, since each thread that ends leaves some 30 KB
 * behind in Node.
 */
const KEPT_THREAD_COUNT = 4
const IDLE_JOB_COUNT_MAX = 20_000

export class ThreadedIo implements IoThreads {
  /** Readable when `collect` has something to do. */
  readonly eventFd = check(raw.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), 'eventfd')
  private readonly workerFile: string
  private readonly threadCountMax: number
  private readonly threads: Thread[] = []
  /** Jobs that nobody could take yet. A thread has one at a time, so that none stands behind one that hangs. */
  private readonly queue: JobMessage[] = []
  private readonly waiting = new Map<number, (finished: Finished) => void>()
  /** What went wrong with threads and has not been reported. */
  private bugs: unknown[] = []
  private nextId = 1
  private readonly counter = Buffer.alloc(8)

  constructor(options: IoThreadsOptions) {
    this.workerFile = options.workerFile
    this.threadCountMax = options.threadCountMax ?? THREAD_COUNT_MAX
  }

  get pendingCount(): number {
    return this.waiting.size
  }

  submit(job: Job, done: (finished: Finished) => void): void {
    const id = this.nextId++
    this.waiting.set(id, done)
    const message: JobMessage = { id, job }
    const thread = this.idleThread()
    if (thread === undefined) this.queue.push(message)
    else this.give(thread, message)
  }

  private give(thread: Thread, message: JobMessage): void {
    const { id, job } = message
    thread.given = message
    thread.lastId = id
    // Until it has answered once, it may not have been started: then the job is done elsewhere, bytes and all.
    const isMoved = job.kind === 'write' && thread.hasAnswered
    thread.port.postMessage(message, isMoved ? [job.data.buffer as ArrayBuffer] : [])
  }

  private idleThread(): Thread | undefined {
    const thread = this.threads.find(({ given, hasEnded }) => given === null && !hasEnded)
    return thread ?? (this.threads.length < this.threadCountMax ? this.start() : undefined)
  }

  /** @returns undefined if there can be no more threads now. What waits for one is looked after by `collect`. */
  private start(): Thread | undefined {
    try {
      return this.startThread()
    } catch (error) {
      this.bugs.push(error)
      this.wake()
      return undefined
    }
  }

  private startThread(): Thread {
    const { port1, port2 } = new MessageChannel()
    const workerData: WorkerStart = { port: port2, eventFd: this.eventFd }
    // It begins as whoever we are now, and must be able to read its program.
    threadIdentity().becomeDaemon()
    const worker = new Worker(this.workerFile, {
      workerData,
      transferList: [port2],
      env: SHARE_ENV,
      // Not piped to ours: an engine has no standard streams to write to.
      stdout: true,
      stderr: true,
      execArgv: [],
      resourceLimits: HEAP,
    })
    worker.unref()
    port1.unref()
    const thread: Thread = {
      worker,
      port: port1,
      given: null,
      lastId: 0,
      hasAnswered: false,
      hasEnded: false,
    }
    this.threads.push(thread)
    worker.on('error', (error) => this.bugs.push(error))
    worker.on('exit', () => {
      // Those that we have ended are not among the threads any more.
      if (!this.threads.includes(thread)) return
      thread.hasEnded = true
      this.wake()
    })
    return thread
  }

  /** Has `collect` called. */
  private wake(): void {
    this.counter.writeBigUInt64LE(1n)
    raw.write(this.eventFd, this.counter, this.counter.length)
  }

  /** Hands out the results that have come in. Call it when `eventFd` is readable. */
  collect(): void {
    raw.read(this.eventFd, this.counter, 8)
    const results: (() => void)[] = []
    for (const thread of this.threads) {
      for (;;) {
        const received = receiveMessageOnPort(thread.port)
        if (received === undefined) break
        const { id, finished, bug } = received.message as ResultMessage
        thread.hasAnswered = true
        thread.given = null
        if (bug !== undefined) this.bugs.push(new Error(bug))
        const done = this.waiting.get(id)
        this.waiting.delete(id)
        const next = thread.hasEnded ? undefined : this.queue.shift()
        if (next !== undefined) this.give(thread, next)
        results.push(() => done?.(finished))
      }
    }
    this.bury(results)
    this.retire()
    const { bugs } = this
    this.bugs = []
    for (const result of results) {
      try {
        result()
      } catch (bug) {
        // The others are to have their answers all the same.
        bugs.push(bug)
      }
    }
    if (bugs.length > 0) throw bugs[0]
  }

  /** Removes threads that have ended by themselves. Whoever waits for an answer of theirs must get one all the same. */
  private bury(results: (() => void)[]): void {
    const ended = this.threads.filter(({ hasEnded }) => hasEnded)
    for (const thread of ended) {
      this.threads.splice(this.threads.indexOf(thread), 1)
      thread.port.close()
      if (thread.given === null) continue
      // One that never answered was most likely never started: too many descriptors are open, say.
      if (!thread.hasAnswered) this.queue.unshift(thread.given)
      else results.push(this.failing(thread.given.id))
    }
    for (const thread of this.threads) {
      const next = thread.given === null ? this.queue.shift() : undefined
      if (next !== undefined) this.give(thread, next)
    }
    if (this.threads.length > 0) return
    // Slow for all, but right, which no errno would be.
    for (const message of this.queue.splice(0)) results.push(() => this.runHere(message))
  }

  private failing(id: number): () => void {
    const done = this.waiting.get(id)
    this.waiting.delete(id)
    return () => done?.({ result: -Errno.EIO, durationMs: 0, hasSlept: false })
  }

  private runHere({ id, job }: JobMessage): void {
    const done = this.waiting.get(id)
    this.waiting.delete(id)
    new InlineIo().submit(job, (finished) => done?.(finished))
  }

  private retire(): void {
    const last = this.threads.at(-1)
    if (last === undefined || last.given !== null || this.threads.length <= KEPT_THREAD_COUNT) return
    if (this.nextId - last.lastId < IDLE_JOB_COUNT_MAX) return
    this.threads.pop()
    last.port.close()
  }

  /**
   * Waits (a few seconds at most) for what is under way, then ends the threads.
   * @returns false if one hangs in a system call, which the end of the process would wait for.
   */
  async stop(): Promise<boolean> {
    const fds = Buffer.alloc(8)
    for (let round = 0; this.waiting.size > 0 && round < STOP_POLL_COUNT; round++) {
      fds.writeInt32LE(this.eventFd, 0)
      fds.writeInt16LE(POLLIN, 4)
      const ready = raw.poll(fds, 1, STOP_POLL_MS)
      if (ready < 0 && ready !== -Errno.EINTR) break
      this.collect()
    }
    const threads = this.threads.splice(0)
    for (const { port } of threads) port.close()
    const ended = Promise.all(threads.map(({ worker }) => worker.terminate())).then(() => true)
    let timer: NodeJS.Timeout | undefined
    const patience = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), TERMINATE_MS)
    })
    const haveEnded = await Promise.race([ended, patience])
    clearTimeout(timer)
    raw.close(this.eventFd)
    return haveEnded
  }
}

export function createIoThreads(options: IoThreadsOptions): ThreadedIo {
  return new ThreadedIo(options)
}
