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
import { Errno } from '../lib/errno.js'
import { EFD_CLOEXEC, EFD_NONBLOCK, POLLIN } from '../linux/constants.js'
import { check } from '../linux/error.js'
import * as raw from '../linux/raw.js'
import type { IoThreads, Job, JobResult } from './io-jobs.js'

export interface IoThreadsOptions {
  /** The compiled `io-worker`, as a path: dist/passthrough/io-worker.js, or the bundle of it. */
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
  readonly result: JobResult
}

interface Thread {
  readonly worker: Worker
  readonly port: MessagePort
  jobCount: number
}

const STOP_POLL_MS = 100
const STOP_POLL_COUNT = 50

export class ThreadedIo implements IoThreads {
  /** Readable when `collect` has something to do. */
  readonly eventFd = check(raw.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), 'eventfd')
  private readonly workerFile: string
  private readonly threadCountMax: number
  private readonly threads: Thread[] = []
  private readonly waiting = new Map<number, (result: JobResult) => void>()
  private nextId = 1
  private readonly counter = Buffer.alloc(8)

  constructor(options: IoThreadsOptions) {
    this.workerFile = options.workerFile
    this.threadCountMax = options.threadCountMax ?? 4
  }

  get pendingCount(): number {
    return this.waiting.size
  }

  submit(job: Job, done: (result: JobResult) => void): void {
    const id = this.nextId++
    this.waiting.set(id, done)
    const thread = this.idlest()
    thread.jobCount++
    const message: JobMessage = { id, job }
    thread.port.postMessage(message, job.kind === 'write' ? [job.data.buffer as ArrayBuffer] : [])
  }

  private idlest(): Thread {
    let best: Thread | undefined
    for (const thread of this.threads)
      if (best === undefined || thread.jobCount < best.jobCount) best = thread
    if (best !== undefined && (best.jobCount === 0 || this.threads.length >= this.threadCountMax)) return best
    return this.start()
  }

  private start(): Thread {
    const { port1, port2 } = new MessageChannel()
    const workerData: WorkerStart = { port: port2, eventFd: this.eventFd }
    const worker = new Worker(this.workerFile, {
      workerData,
      transferList: [port2],
      env: SHARE_ENV,
      // Not piped to ours: an engine has no standard streams to write to.
      stdout: true,
      stderr: true,
      execArgv: [],
    })
    worker.unref()
    port1.unref()
    const thread: Thread = { worker, port: port1, jobCount: 0 }
    this.threads.push(thread)
    return thread
  }

  /** Hands out the results that have come in. Call it when `eventFd` is readable. */
  collect(): void {
    raw.read(this.eventFd, this.counter, 8)
    for (const thread of this.threads) {
      for (;;) {
        const received = receiveMessageOnPort(thread.port)
        if (received === undefined) break
        const { id, result } = received.message as ResultMessage
        const done = this.waiting.get(id)
        this.waiting.delete(id)
        thread.jobCount--
        done?.(result)
      }
    }
  }

  /** Waits (a few seconds at most) for what is under way, then ends the threads. */
  async stop(): Promise<void> {
    const fds = Buffer.alloc(8)
    for (let round = 0; this.waiting.size > 0 && round < STOP_POLL_COUNT; round++) {
      fds.writeInt32LE(this.eventFd, 0)
      fds.writeInt16LE(POLLIN, 4)
      const ready = raw.poll(fds, 1, STOP_POLL_MS)
      if (ready < 0 && ready !== -Errno.EINTR) break
      this.collect()
    }
    for (const { port } of this.threads) port.close()
    await Promise.all(this.threads.map(({ worker }) => worker.terminate()))
    raw.close(this.eventFd)
  }
}

export function createIoThreads(options: IoThreadsOptions): ThreadedIo {
  return new ThreadedIo(options)
}
