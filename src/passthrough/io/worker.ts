/** The program of an io thread: carries out jobs one after the other, until its port is closed. */
import { workerData } from 'node:worker_threads'
import { Errno } from '../../lib/errno.js'
import { check } from '../../linux/error.js'
import { collectGarbage } from '../../linux/garbage.js'
import * as raw from '../../linux/raw.js'
import { Statx } from '../../linux/stat.js'
import { threadIdentity } from './identity.js'
import { type Finished, type JobResult, runJob, sleepCountOfThread, statOf } from './jobs.js'
import type { JobMessage, ResultMessage, WorkerStart } from './threads.js'

const { port, eventFd } = workerData as WorkerStart
// The umask belongs to the process unless a thread asks for one of its own.
const CLONE_FS = 0x200
check(raw.unshare(CLONE_FS), 'unshare')
const identity = threadIdentity()
const stat = new Statx()
const one = Buffer.alloc(8)
one.writeUInt32LE(1, 0)

/**
 * What jobs leave behind is garbage at once, but V8 lets it become several MB in each thread. So many jobs later it is
 * collected, when no job has come for a moment.
 */
const JOBS_PER_COLLECTION = 500
const QUIET_MS = 200
let jobCount = 0
const quiet = setTimeout(() => {
  if (jobCount < JOBS_PER_COLLECTION) return
  jobCount = 0
  collectGarbage()
}, QUIET_MS).unref()

port.on('message', ({ id, job }: JobMessage) => {
  const startMs = performance.now()
  const sleepCount = sleepCountOfThread()
  let result: JobResult = { result: -Errno.EIO }
  let bug: string | undefined
  try {
    result = runJob(job, identity, stat)
  } catch (error) {
    // Whoever waits for the answer must get one, and this thread has others to serve.
    bug = error instanceof Error ? (error.stack ?? error.message) : String(error)
  }
  const durationMs = performance.now() - startMs
  const hasSlept = sleepCountOfThread() > sleepCount
  const finished: Finished = { ...result, stat: statOf(job, stat), durationMs, hasSlept }
  const message: ResultMessage = { id, finished, ...(bug === undefined ? {} : { bug }) }
  port.postMessage(message, result.data === undefined ? [] : [result.data.buffer as ArrayBuffer])
  raw.write(eventFd, one, one.length)
  if (++jobCount >= JOBS_PER_COLLECTION) quiet.refresh()
})
