/** The program of an io thread: carries out jobs one after the other, until its port is closed. */
import { workerData } from 'node:worker_threads'
import { Errno } from '../lib/errno.js'
import * as raw from '../linux/raw.js'
import { threadIdentity } from './identity.js'
import { type JobResult, runJob } from './io-jobs.js'
import type { JobMessage, ResultMessage, WorkerStart } from './io-threads.js'

const { port, eventFd } = workerData as WorkerStart
const identity = threadIdentity()
const one = Buffer.alloc(8)
one.writeUInt32LE(1, 0)

port.on('message', ({ id, job }: JobMessage) => {
  let result: JobResult = { result: -Errno.EIO }
  try {
    result = runJob(job, identity)
  } finally {
    // Also after a bug of ours: whoever waits for the answer must get one.
    const message: ResultMessage = { id, result }
    port.postMessage(message, result.data === undefined ? [] : [result.data.buffer as ArrayBuffer])
    raw.write(eventFd, one, one.length)
  }
})
